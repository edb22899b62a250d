/* header_parse.c - reading the JSON header of safetensors. Layer: io; may touch memory only. */
#include "header.h"

#include "jscan.h"
#include "mem.h"
#include "shape.h"
#include "sniff.h"
#include "sort.h"

#include <stdio.h>
#include <string.h>

/* A parsed header is its own text plus compact arrays. Names and metadata are unescaped inside the text and referred to
 * by offset (the text is below 2^32 bytes):
 *
 *   text    {"\0lm_head.weight\0:{"dtype":"BF16",...            one block, as read, patched
 *   entry   32 bytes for each tensor, sorted by (begin, end), ties in the order of the text
 *   dims    blocks of DIM_BLOCK sizes; the sizes of one tensor never cross a block
 *   names   hash map name -> entry
 *
 * so that a header of 100 MB costs about two and a half times its bytes, and nothing is allocated per tensor. */
enum { DIM_BLOCK = 8192, MIN_ENTRY = 48 };

typedef struct entry {
    uint64_t begin, end;
    uint32_t name, name_len, dims;
    uint8_t dtype, ndim;
} entry;

typedef struct pair {
    uint32_t key, key_len, value, value_len;
} pair;

struct st_header {
    _Atomic unsigned refs;
    char *text;
    size_t len;
    entry *e;
    size_t n, cap;
    int64_t **dims;                       /* blocks */
    size_t dim_blocks, dim_cap, dim_used; /* dim_used: of the last block */
    pair *meta;
    size_t nmeta, meta_cap;
    st_strmap names;
};

/* What the functions below share while a header is read. */
typedef struct reader {
    st_header *h;
    st_jscan s;
    const char *label;
    uint64_t file_size;
    size_t len; /* of the JSON text */
    st_err *err;
} reader;

static const char *name_of(const st_header *h, const entry *e) { return h->text + e->name; }

static st_status fail_entry(const reader *r, const entry *e, st_status code, const char *fmt, ...) ST_PRINTF(4, 5);
static st_status fail_entry(const reader *r, const entry *e, st_status code, const char *fmt, ...)
{
    char text[1024];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    return st_fail_named(r->err, code, r->label, name_of(r->h, e), e->name_len, "%s", text);
}

/* Where in the file a string of the text stands, for messages. */
static unsigned long long file_offset(uint32_t in_text) { return 8ull + in_text; }

/* ---------------------------------------------------------------- one tensor */

/* A place for `n` sizes; its index goes to *at. */
static int64_t *take_dims(st_header *h, int n, uint32_t *at)
{
    if (h->dim_blocks == 0 || h->dim_used + (size_t)n >= DIM_BLOCK) {
        if (!st_grow((void **)&h->dims, &h->dim_cap, h->dim_blocks + 1, sizeof *h->dims)) return NULL;
        int64_t *block = st_malloc(DIM_BLOCK * sizeof *block);
        if (!block) return NULL;
        h->dims[h->dim_blocks++] = block;
        h->dim_used = 0;
    }
    int64_t *place = h->dims[h->dim_blocks - 1] + h->dim_used;
    *at = (uint32_t)((h->dim_blocks - 1) * DIM_BLOCK + h->dim_used);
    h->dim_used += (size_t)n;
    return place;
}

static st_status fail_signed(const reader *r, const entry *e, const char *what, uint64_t v)
{
    return fail_entry(r, e, ST_LIMIT, "%s %llu does not fit a signed 64-bit integer (limit 9223372036854775807)", what,
                      (unsigned long long)v);
}

static st_status read_dtype(reader *r, entry *e)
{
    st_text t;
    st_dtype d;
    ST_TRY(st_jscan_string(&r->s, &t));
    if (!st_dtype_parse(t.ptr, t.len, false, &d)) {
        char shown[80];
        st_escape(shown, sizeof shown, t.ptr, t.len);
        return fail_entry(r, e, ST_FORMAT, "unknown dtype \"%s\" (names are case-sensitive: F32, BF16, F8_E4M3, ...)",
                          shown);
    }
    e->dtype = (uint8_t)d;
    return ST_OK;
}

static st_status read_shape(reader *r, entry *e)
{
    int64_t dims[ST_MAX_DIMS];
    int n = 0;
    bool empty, more;
    ST_TRY(st_jscan_open(&r->s, ST_J_ARRAY, &empty));
    for (more = !empty; more;) {
        uint64_t v;
        ST_TRY(st_jscan_u64(&r->s, &v));
        if (n == ST_MAX_DIMS)
            return fail_entry(r, e, ST_LIMIT, "shape has more than %d dimensions, the limit", ST_MAX_DIMS);
        if (v > INT64_MAX) return fail_signed(r, e, "a dimension of", v);
        dims[n++] = (int64_t)v;
        ST_TRY(st_jscan_next(&r->s, ST_J_ARRAY, &more));
    }
    e->ndim = (uint8_t)n;
    int64_t *place = take_dims(r->h, n, &e->dims);
    if (!place) return st_fail_nomem(r->err, DIM_BLOCK * sizeof *place);
    if (n) memcpy(place, dims, (size_t)n * sizeof *dims);
    return ST_OK;
}

static st_status read_offsets(reader *r, entry *e)
{
    uint64_t v[2];
    bool empty, more;
    ST_TRY(st_jscan_open(&r->s, ST_J_ARRAY, &empty));
    if (empty) return st_jscan_fail(&r->s, "data_offsets is empty: two integers are expected");
    for (int i = 0; i < 2; i++) {
        ST_TRY(st_jscan_u64(&r->s, &v[i]));
        if (v[i] > INT64_MAX) return fail_signed(r, e, "a data offset of", v[i]);
        ST_TRY(st_jscan_next(&r->s, ST_J_ARRAY, &more));
        if (more != (i == 0))
            return st_jscan_fail(&r->s, "data_offsets has %s than two integers", more ? "more" : "fewer");
    }
    e->begin = v[0];
    e->end = v[1];
    return ST_OK;
}

static bool is(st_text t, st_text word) { return t.len == word.len && memcmp(t.ptr, word.ptr, t.len) == 0; }

#define WORD(literal) ((st_text){literal, sizeof literal - 1})

/* The object that describes a tensor: three fields in any order, each once; others are checked as JSON and ignored. */
static st_status read_tensor(reader *r, entry *e)
{
    static const struct {
        st_text name;
        st_status (*read)(reader *, entry *);
    } fields[] = {{{"dtype", 5}, read_dtype}, {{"shape", 5}, read_shape}, {{"data_offsets", 12}, read_offsets}};
    enum { FIELDS = sizeof fields / sizeof *fields };
    bool seen[FIELDS] = {false}, empty, more;
    st_jtype type;

    ST_TRY(st_jscan_peek(&r->s, &type));
    if (type != ST_J_OBJECT)
        return fail_entry(r, e, ST_FORMAT,
                          "byte %llu: its description is not an object {\"dtype\", \"shape\", \"data_offsets\"}",
                          file_offset((uint32_t)(r->s.p - r->s.base)));
    ST_TRY(st_jscan_open(&r->s, ST_J_OBJECT, &empty));
    for (more = !empty; more;) {
        st_text key;
        int f = 0;
        ST_TRY(st_jscan_key(&r->s, &key));
        while (f < FIELDS && !is(key, fields[f].name)) f++;
        if (f == FIELDS) {
            ST_TRY(st_jscan_skip(&r->s));
        } else {
            if (seen[f]) return fail_entry(r, e, ST_FORMAT, "\"%s\" is given twice", fields[f].name.ptr);
            seen[f] = true;
            ST_TRY(fields[f].read(r, e));
        }
        ST_TRY(st_jscan_next(&r->s, ST_J_OBJECT, &more));
    }
    for (int f = 0; f < FIELDS; f++)
        if (!seen[f]) return fail_entry(r, e, ST_FORMAT, "\"%s\" is missing", fields[f].name.ptr);
    return ST_OK;
}

/* ---------------------------------------------------------------- metadata */

static st_status read_metadata(reader *r)
{
    st_header *h = r->h;
    st_jtype type;
    bool empty, more;
    ST_TRY(st_jscan_peek(&r->s, &type));
    if (type == ST_J_NULL) return st_jscan_literal(&r->s, "null");
    ST_TRY(st_jscan_open(&r->s, ST_J_OBJECT, &empty));
    for (more = !empty; more;) {
        st_text key, value;
        ST_TRY(st_jscan_key(&r->s, &key));
        ST_TRY(st_jscan_peek(&r->s, &type));
        if (type != ST_J_STRING) {
            char shown[120];
            st_escape(shown, sizeof shown, key.ptr, key.len);
            return st_jscan_fail(&r->s, "metadata value of \"%s\" is not a string", shown);
        }
        ST_TRY(st_jscan_string(&r->s, &value));
        if (!st_grow((void **)&h->meta, &h->meta_cap, h->nmeta + 1, sizeof *h->meta))
            return st_fail_nomem(r->err, h->nmeta * 2 * sizeof *h->meta);
        h->meta[h->nmeta++] = (pair){(uint32_t)(key.ptr - h->text), (uint32_t)key.len, (uint32_t)(value.ptr - h->text),
                                     (uint32_t)value.len};
        ST_TRY(st_jscan_next(&r->s, ST_J_OBJECT, &more));
    }
    return ST_OK;
}

/* Two values for one metadata key: which one counts differs from reader to reader, so neither does. */
static st_status unique_metadata(const reader *r, st_strmap *seen)
{
    const st_header *h = r->h;
    ST_TRY(st_strmap_reserve(seen, h->nmeta, r->err));
    for (size_t i = 0; i < h->nmeta; i++) {
        const pair *p = &h->meta[i];
        int64_t old;
        ST_TRY(st_strmap_add(seen, h->text + p->key, p->key_len, i, &old, r->err));
        if (old < 0) continue;
        char shown[120];
        st_escape(shown, sizeof shown, h->text + p->key, p->key_len);
        return st_fail(r->err, ST_FORMAT, r->label, NULL,
                       "metadata key \"%s\" is given twice (bytes %llu and %llu): which one counts is ambiguous", shown,
                       file_offset(h->meta[old].key), file_offset(p->key));
    }
    return ST_OK;
}

/* ---------------------------------------------------------------- the whole */

/* Room for every tensor the text can hold: it needs a brace and MIN_ENTRY bytes for each, so a lying text cannot make
 * this larger than itself. */
static st_status reserve_entries(reader *r)
{
    size_t braces = 0, most = r->len / MIN_ENTRY + 1;
    for (const char *p = r->h->text, *end = p + r->len; braces < most && p < end; p++) {
        p = memchr(p, '{', (size_t)(end - p));
        if (!p) break;
        braces++;
    }
    r->h->cap = braces < most ? braces : most;
    r->h->e = st_malloc(r->h->cap * sizeof *r->h->e);
    return r->h->e ? ST_OK : st_fail_nomem(r->err, r->h->cap * sizeof *r->h->e);
}

static st_status read_text(reader *r)
{
    st_header *h = r->h;
    bool empty, more, had_meta = false;
    ST_TRY(st_jscan_open(&r->s, ST_J_OBJECT, &empty));
    for (more = !empty; more;) {
        st_text key;
        ST_TRY(st_jscan_key(&r->s, &key));
        if (is(key, WORD("__metadata__"))) {
            if (had_meta) return st_jscan_fail(&r->s, "\"__metadata__\" is given twice");
            had_meta = true;
            ST_TRY(read_metadata(r));
        } else {
            entry e = {.name = (uint32_t)(key.ptr - h->text), .name_len = (uint32_t)key.len};
            ST_TRY(read_tensor(r, &e));
            if (h->n == h->cap)
                return st_fail(r->err, ST_INTERNAL, r->label, NULL, "more tensors than its bytes can hold");
            h->e[h->n++] = e;
        }
        ST_TRY(st_jscan_next(&r->s, ST_J_OBJECT, &more));
    }
    return st_jscan_finish(&r->s);
}

/* File order; the name's place in the text breaks ties. */
static int by_offset(const void *x, const void *y, const void *unused)
{
    const entry *a = x, *b = y;
    (void)unused;
    if (a->begin != b->begin) return a->begin < b->begin ? -1 : 1;
    if (a->end != b->end) return a->end < b->end ? -1 : 1;
    return a->name < b->name ? -1 : 1;
}

static st_status fail_size(const reader *r, const entry *e, const st_info *i, const char *why)
{
    char shape[160];
    st_shape_text(shape, sizeof shape, i->ndim, i->shape);
    return fail_entry(r, e, ST_FORMAT, "shape %s of %s (%u bits each) %s", shape, st_dtype_name(i->dtype),
                      st_dtype_bits(i->dtype), why);
}

static st_status check_size(const reader *r, const entry *e)
{
    const st_info i = st_header_info(r->h, (size_t)(e - r->h->e));
    uint64_t numel, bits;
    char why[160];
    if (!st_shape_numel(i.ndim, i.shape, &numel) || !st_mul_u64(numel, st_dtype_bits(i.dtype), &bits))
        return fail_size(r, e, &i, "has more bits than 64-bit arithmetic can count");
    if (bits % 8 != 0) return fail_size(r, e, &i, "does not end on a whole byte");
    if (e->end - e->begin == bits / 8) return ST_OK;
    snprintf(why, sizeof why, "needs %llu bytes, data_offsets [%llu, %llu] give %llu", (unsigned long long)bits / 8,
             (unsigned long long)e->begin, (unsigned long long)e->end, (unsigned long long)(e->end - e->begin));
    return fail_size(r, e, &i, why);
}

/* The tensors fill the data section: from 0, without holes or overlaps, to the end of the file. */
static st_status check_layout(const reader *r)
{
    const st_header *h = r->h;
    const uint64_t start = 8 + (uint64_t)r->len, have = r->file_size - start;
    uint64_t at = 0;
    for (const entry *e = h->e; e < h->e + h->n; e++) {
        const unsigned long long begin = e->begin, end = e->end, last = at;
        if (end < begin) return fail_entry(r, e, ST_FORMAT, "data_offsets [%llu, %llu] are reversed", begin, end);
        if (begin != at)
            return fail_entry(r, e, ST_FORMAT, "data_offsets [%llu, %llu] %s: it must begin at %llu%s", begin, end,
                              begin > last ? "leave a hole" : "overlap another tensor", last,
                              e == h->e ? ", the start of the data" : ", where the tensor before it ends");
        ST_TRY(check_size(r, e));
        at = e->end;
    }
    if (r->file_size == ST_SIZE_UNKNOWN) return ST_OK;
    if (at > have)
        return st_fail(r->err, ST_FORMAT, r->label, NULL,
                       "the file is cut short: its header describes %llu bytes, it has %llu, %llu are missing; "
                       "download or copy it again",
                       (unsigned long long)(start + at), (unsigned long long)r->file_size,
                       (unsigned long long)(at - have));
    if (at < have)
        return st_fail(r->err, ST_FORMAT, r->label, NULL,
                       "%llu bytes follow the last tensor: its header describes %llu bytes, the file has %llu",
                       (unsigned long long)(have - at), (unsigned long long)(start + at),
                       (unsigned long long)r->file_size);
    return ST_OK;
}

static st_status index_names(const reader *r)
{
    st_header *h = r->h;
    ST_TRY(st_strmap_reserve(&h->names, h->n, r->err));
    for (size_t i = 0; i < h->n; i++) {
        const entry *e = &h->e[i];
        int64_t old;
        ST_TRY(st_strmap_add(&h->names, name_of(h, e), e->name_len, i, &old, r->err));
        if (old >= 0)
            return fail_entry(r, e, ST_FORMAT,
                              "the name is given twice (bytes %llu and %llu of the file): which tensor counts is "
                              "ambiguous; write the "
                              "file anew",
                              file_offset(h->e[old].name), file_offset(e->name));
    }
    return ST_OK;
}

static st_status read_all(reader *r)
{
    st_strmap seen = {0};
    ST_TRY(st_jscan_utf8(&r->s));
    ST_TRY(reserve_entries(r));
    ST_TRY(read_text(r));
    st_status s = unique_metadata(r, &seen);
    st_strmap_free(&seen);
    ST_TRY(s);
    st_sort(r->h->e, r->h->n, sizeof *r->h->e, by_offset, NULL);
    ST_TRY(index_names(r));
    return check_layout(r);
}

st_status st_header_adopt(const char *label, char *text, size_t len, uint64_t file_size, st_header **out, st_err *err)
{
    *out = NULL;
    st_header *h = st_calloc(1, sizeof *h);
    if (!h) {
        st_free(text);
        return st_fail_nomem(err, sizeof *h);
    }
    h->refs = 1;
    h->text = text;
    h->len = len;
    if (len > ST_HEADER_MAX || file_size < 8 + (uint64_t)len) {
        st_header_free(h);
        return st_fail(err, ST_ARG, label, NULL, "a header of %zu bytes in a file of %llu", len,
                       (unsigned long long)file_size);
    }
    reader r = {.h = h, .label = label, .file_size = file_size, .len = len, .err = err};
    st_jscan_init(&r.s, text, len, label, 8, ST_JSCAN_DEPTH, err);
    st_status s = read_all(&r);
    if (s != ST_OK) {
        st_header_free(h);
        return s;
    }
    *out = h;
    return ST_OK;
}

/* ---------------------------------------------------------------- the length in front */

/* The length does not fit. If JSON follows it the file was cut inside its header; else it is something else. */
static st_status fail_length(const char *label, const void *head, size_t n, uint64_t length, uint64_t file_size,
                             st_err *err)
{
    const unsigned long long L = length, F = file_size;
    if (length <= ST_HEADER_MAX && n > 8 && ((const char *)head)[8] == '{')
        return st_fail(err, ST_FORMAT, label, NULL,
                       "the file is cut short: its header alone takes %llu bytes, it has %llu, at least %llu are "
                       "missing; download or "
                       "copy it again",
                       8 + L, F, 8 + L - F);
    const char *hint = st_sniff(head, n, file_size);
    if (hint) return st_fail(err, ST_FORMAT, label, NULL, "not a safetensors file: %s", hint);
    if (length > ST_HEADER_MAX && length <= file_size - 8)
        return st_fail(err, ST_LIMIT, label, NULL, "its header claims %llu bytes, the format's limit is %u", L,
                       ST_HEADER_MAX);
    return st_fail(err, ST_FORMAT, label, NULL,
                   "not a safetensors file: its first 8 bytes give a header of %llu bytes, the file has %llu", L, F);
}

st_status st_header_length(const char *label, const void *head, size_t n, uint64_t file_size, size_t *length,
                           st_err *err)
{
    const unsigned char *p = head;
    uint64_t v = 0;
    if (n < 8) {
        const char *hint = st_sniff(head, n, file_size);
        return st_fail(err, ST_FORMAT, label, NULL, "not a safetensors file: %s",
                       hint ? hint : "it is shorter than the 8 bytes that every such file begins with");
    }
    for (int i = 7; i >= 0; i--) v = v << 8 | p[i];
    if (v > ST_HEADER_MAX || v > file_size - 8) return fail_length(label, head, n, v, file_size, err);
    /* A length that fits, but no JSON behind it: say what the file is, if it is known. Validation alone decides. */
    const char *hint = v == 0 || (n > 8 && !memchr("{ \t\r\n", p[8], 5)) ? st_sniff(head, n, file_size) : NULL;
    if (v == 0 || hint)
        return st_fail(err, ST_FORMAT, label, NULL, "not a safetensors file: %s",
                       hint ? hint : "its header length is 0");
    *length = (size_t)v;
    return ST_OK;
}

st_status st_header_parse(const char *label, const void *buf, size_t len, uint64_t file_size, st_header **out,
                          st_err *err)
{
    *out = NULL;
    size_t n;
    ST_TRY(st_header_length(label, buf, len < file_size ? len : (size_t)file_size, file_size, &n, err));
    if (len < 8 + n) return st_fail(err, ST_ARG, label, NULL, "%zu bytes were given, the header takes %zu", len, 8 + n);
    char *text = st_malloc(n + 1);
    if (!text) return st_fail_nomem(err, n + 1);
    memcpy(text, (const char *)buf + 8, n);
    return st_header_adopt(label, text, n, file_size, out, err);
}

/* ---------------------------------------------------------------- what was read */

void st_header_free(st_header *h)
{
    if (!h || --h->refs > 0) return;
    for (size_t i = 0; i < h->dim_blocks; i++) st_free(h->dims[i]);
    st_free(h->dims);
    st_free(h->e);
    st_free(h->meta);
    st_strmap_free(&h->names);
    st_free(h->text);
    st_free(h);
}

st_header *st_header_ref(st_header *h)
{
    h->refs++;
    return h;
}

uint64_t st_header_data_start(const st_header *h) { return 8 + (uint64_t)h->len; }
uint64_t st_header_file_size(const st_header *h) { return st_header_data_start(h) + (h->n ? h->e[h->n - 1].end : 0); }

size_t st_header_count(const st_header *h) { return h->n; }

st_info st_header_info(const st_header *h, size_t i)
{
    const entry *e = &h->e[i];
    return (st_info){.name = name_of(h, e),
                     .name_len = e->name_len,
                     .dtype = (st_dtype)e->dtype,
                     .ndim = e->ndim,
                     .shape = h->dims[e->dims / DIM_BLOCK] + e->dims % DIM_BLOCK,
                     .begin = e->begin,
                     .end = e->end};
}

int64_t st_header_find(const st_header *h, const char *name, size_t len)
{
    return st_strmap_find(&h->names, name, len);
}

size_t st_header_meta_count(const st_header *h) { return h->nmeta; }

void st_header_meta(const st_header *h, size_t i, st_text *key, st_text *value)
{
    const pair *p = &h->meta[i];
    *key = (st_text){h->text + p->key, p->key_len};
    *value = (st_text){h->text + p->value, p->value_len};
}
