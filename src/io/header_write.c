/* header_write.c - writing the JSON header of safetensors, byte for byte as the reference library does.
 * Layer: io; may touch memory only. */
#include "header.h"

#include "jscan.h"
#include "mem.h"
#include "shape.h"
#include "sort.h"

#include <stdio.h>
#include <string.h>

/* ---------------------------------------------------------------- layout */

static int by_bytes(const char *a, size_t an, const char *b, size_t bn)
{
    int c = memcmp(a, b, an < bn ? an : bn);
    return c ? c : (an > bn) - (an < bn);
}

/* The reference library's order: dtype rank descending, so that every tensor is aligned for its type, then the name. */
static int canonical(const void *x, const void *y, const void *unused)
{
    const st_header_entry *a = x, *b = y;
    (void)unused;
    if (a->dtype != b->dtype) return a->dtype > b->dtype ? -1 : 1;
    return by_bytes(a->name, a->name_len, b->name, b->name_len);
}

/* A name that every reader of the file can take back. */
static st_status check_name(const st_header_entry *e, const char *label, st_err *err)
{
    static const char reserved[] = "__metadata__";
    const char *why = NULL;
    if (e->name_len == sizeof reserved - 1 && memcmp(e->name, reserved, e->name_len) == 0)
        why = "this name is reserved by the format: rename the tensor";
    else if (st_utf8_check(e->name, e->name_len) != e->name_len)
        why = "the name is not valid UTF-8: rename the tensor";
    if (why) return st_fail_named(err, ST_NAME, label, e->name, e->name_len, "%s", why);
    if (e->name_len > ST_NAME_MAX)
        return st_fail_named(err, ST_NAME, label, e->name, e->name_len, "the name has %zu bytes, the limit is %u",
                             e->name_len, ST_NAME_MAX);
    return ST_OK;
}

static st_status check_names(const st_header_entry *e, size_t n, st_strmap *seen, const char *label, st_err *err)
{
    if (n > ST_TENSORS_MAX)
        return st_fail(err, ST_LIMIT, label, NULL, "%zu tensors, the limit is %u", n, ST_TENSORS_MAX);
    ST_TRY(st_strmap_reserve(seen, n, err));
    for (size_t i = 0; i < n; i++) {
        int64_t old;
        ST_TRY(check_name(&e[i], label, err));
        ST_TRY(st_strmap_add(seen, e[i].name, e[i].name_len, i, &old, err));
        if (old >= 0)
            return st_fail_named(err, ST_NAME, label, e[i].name, e[i].name_len,
                                 "the name is given twice: rename one of them");
    }
    return ST_OK;
}

static st_status fail_shape(const st_header_entry *e, const char *why, const char *label, st_err *err)
{
    char shape[160];
    st_shape_text(shape, sizeof shape, e->ndim, e->shape);
    return st_fail_named(err, ST_LIMIT, label, e->name, e->name_len, "shape %s of %s %s", shape,
                         st_dtype_name(e->dtype), why);
}

st_status st_header_layout(st_header_entry *e, size_t n, const char *label, uint64_t *data_size, st_err *err)
{
    st_strmap seen = {0};
    st_status s = check_names(e, n, &seen, label, err);
    st_strmap_free(&seen);
    ST_TRY(s);

    st_sort(e, n, sizeof *e, canonical, NULL);
    uint64_t at = 0;
    for (size_t i = 0; i < n; i++) {
        uint64_t numel, bytes;
        if (e[i].ndim > ST_MAX_DIMS)
            return st_fail_named(err, ST_LIMIT, label, e[i].name, e[i].name_len, "%d dimensions, the limit is %d",
                                 e[i].ndim, ST_MAX_DIMS);
        if (!st_shape_numel(e[i].ndim, e[i].shape, &numel) || !st_dtype_bytes(e[i].dtype, numel, &bytes))
            return fail_shape(&e[i], "has too many bytes, or does not end on a whole one", label, err);
        e[i].begin = at;
        if (!st_add_u64(at, bytes, &at) || at > INT64_MAX)
            return fail_shape(&e[i], "takes the file beyond 2^63 bytes", label, err);
        e[i].end = at;
    }
    *data_size = at;
    return ST_OK;
}

/* ---------------------------------------------------------------- JSON */

/* Text goes through here twice: first with `w` NULL, to be counted, then into a block of that size. */
typedef struct out {
    char *w;
    uint64_t n;
} out;

static void put(out *o, const char *p, size_t n)
{
    if (o->w) memcpy(o->w + o->n, p, n);
    o->n += n;
}

static void put_word(out *o, const char *word) { put(o, word, strlen(word)); }

static void put_u64(out *o, uint64_t v)
{
    char digits[20];
    size_t i = sizeof digits;
    do digits[--i] = (char)('0' + v % 10);
    while ((v /= 10) != 0);
    put(o, digits + i, sizeof digits - i);
}

/* As serde_json escapes: the seven short forms, \u00xx for other control bytes, everything else as it is. */
static void put_string(out *o, const char *p, size_t n)
{
    static const char from[] = "\"\\\b\f\n\r\t", to[] = "\"\\bfnrt";
    put(o, "\"", 1);
    for (size_t i = 0, plain; i < n; i++) {
        for (plain = i; i < n && (unsigned char)p[i] >= 0x20 && p[i] != '"' && p[i] != '\\'; i++) {
        }
        put(o, p + plain, i - plain);
        if (i == n) break;
        const char *simple = p[i] ? strchr(from, p[i]) : NULL;
        char escape[8];
        if (simple)
            snprintf(escape, sizeof escape, "\\%c", to[simple - from]);
        else
            snprintf(escape, sizeof escape, "\\u%04x", (unsigned char)p[i]);
        put_word(o, escape);
    }
    put(o, "\"", 1);
}

static void put_metadata(out *o, const st_meta_pair *meta, size_t n)
{
    put_word(o, "\"__metadata__\":{");
    for (size_t i = 0; i < n; i++) {
        if (i) put(o, ",", 1);
        put_string(o, meta[i].key.ptr, meta[i].key.len);
        put(o, ":", 1);
        put_string(o, meta[i].value.ptr, meta[i].value.len);
    }
    put(o, "}", 1);
}

static void put_entry(out *o, const st_header_entry *e)
{
    put_string(o, e->name, e->name_len);
    put_word(o, ":{\"dtype\":\"");
    put_word(o, st_dtype_name(e->dtype));
    put_word(o, "\",\"shape\":[");
    for (int i = 0; i < e->ndim; i++) {
        if (i) put(o, ",", 1);
        put_u64(o, (uint64_t)e->shape[i]);
    }
    put_word(o, "],\"data_offsets\":[");
    put_u64(o, e->begin);
    put(o, ",", 1);
    put_u64(o, e->end);
    put_word(o, "]}");
}

static void put_header(out *o, const st_header_entry *e, size_t n, const st_meta_pair *meta, size_t nmeta)
{
    put(o, "{", 1);
    if (nmeta) put_metadata(o, meta, nmeta);
    for (size_t i = 0; i < n; i++) {
        if (i || nmeta) put(o, ",", 1);
        put_entry(o, &e[i]);
    }
    put(o, "}", 1);
}

/* ---------------------------------------------------------------- the whole */

static int by_key(const void *x, const void *y, const void *unused)
{
    const st_meta_pair *a = x, *b = y;
    (void)unused;
    return by_bytes(a->key.ptr, a->key.len, b->key.ptr, b->key.len);
}

static st_status fail_meta(st_text key, const char *why, const char *label, st_err *err)
{
    char shown[120];
    st_escape(shown, sizeof shown, key.ptr, key.len);
    return st_fail(err, ST_ARG, label, NULL, "metadata key \"%s\": %s", shown, why);
}

/* Sorted by key, since the reference library's order is random from run to run. */
static st_status sort_metadata(st_meta_pair *meta, size_t n, const char *label, st_err *err)
{
    st_sort(meta, n, sizeof *meta, by_key, NULL);
    for (size_t i = 0; i < n; i++) {
        st_text k = meta[i].key, v = meta[i].value;
        if (i && by_key(&meta[i - 1], &meta[i], NULL) == 0) return fail_meta(k, "it is given twice", label, err);
        if (st_utf8_check(k.ptr, k.len) != k.len) return fail_meta(k, "the key is not valid UTF-8", label, err);
        if (st_utf8_check(v.ptr, v.len) != v.len) return fail_meta(k, "the value is not valid UTF-8", label, err);
    }
    return ST_OK;
}

static st_status write_sorted(const st_header_entry *e, size_t n, const st_meta_pair *meta, size_t nmeta,
                              uint32_t align, const char *label, char **text, size_t *len, st_err *err)
{
    out o = {NULL, 8};
    put_header(&o, e, n, meta, nmeta);
    uint64_t total = (o.n + align - 1) / align * align;
    if (total - 8 > ST_HEADER_MAX)
        return st_fail(
            err, ST_LIMIT, label, NULL,
            "%zu tensors and %zu metadata entries need a header of %llu bytes, the format's limit is %u: save "
            "in shards, or shorten names and metadata",
            n, nmeta, (unsigned long long)(total - 8), ST_HEADER_MAX);
    o = (out){st_malloc((size_t)total), 8};
    if (!o.w) return st_fail_nomem(err, total);
    for (int i = 0; i < 8; i++) o.w[i] = (char)((total - 8) >> (8 * i));
    put_header(&o, e, n, meta, nmeta);
    memset(o.w + o.n, ' ', (size_t)(total - o.n));
    *text = o.w;
    *len = (size_t)total;
    return ST_OK;
}

st_status st_header_write(const st_header_entry *e, size_t n, const st_meta_pair *meta, size_t nmeta, uint32_t align,
                          const char *label, char **text, size_t *len, st_err *err)
{
    *text = NULL;
    *len = 0;
    if (align == 0) align = 8;
    if (align % 8 != 0 || align > ST_ALIGN_MAX)
        return st_fail(err, ST_ARG, label, NULL, "align = %u: a multiple of 8 up to %u is expected", align,
                       ST_ALIGN_MAX);
    st_meta_pair *sorted = st_malloc(nmeta * sizeof *sorted);
    if (!sorted) return st_fail_nomem(err, nmeta * sizeof *sorted);
    if (nmeta) memcpy(sorted, meta, nmeta * sizeof *sorted);
    st_status s = sort_metadata(sorted, nmeta, label, err);
    if (s == ST_OK) s = write_sorted(e, n, sorted, nmeta, align, label, text, len, err);
    st_free(sorted);
    return s;
}
