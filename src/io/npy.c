/* npy.c - reading .npy and .npz: headers, and where the elements lie. Layer: io; reads the source it is given. */
#include "npy.h"
#include "mem.h"
#include "shape.h"

#include <stdio.h>
#include <string.h>

typedef unsigned long long ull;

enum { START = 12, HEADER_MAX = 1 << 16 }; /* bytes; NumPy itself stops at 10,000 */

/* ---------------------------------------------------------------- the dict */

typedef struct scanner {
    const char *label;
    st_text name;
    const char *p, *end;
    st_err *err;
} scanner;

static st_status bad(const scanner *s, st_status code, const char *fmt, ...) ST_PRINTF(3, 4);
static st_status bad(const scanner *s, st_status code, const char *fmt, ...)
{
    char text[400];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    const char *intro = code == ST_FORMAT ? "not a NumPy file: " : "";
    if (!s->name.len) return st_fail(s->err, code, s->label, NULL, "%s%s", intro, text);
    return st_fail_named(s->err, code, s->label, s->name.ptr, s->name.len, "%s%s", intro, text);
}

static void blanks(scanner *s)
{
    while (s->p < s->end && (*s->p == ' ' || *s->p == '\t' || *s->p == '\n')) s->p++;
}

static bool accept(scanner *s, char c)
{
    blanks(s);
    if (s->p == s->end || *s->p != c) return false;
    s->p++;
    return true;
}

/* A text in quotes, without escapes. */
static bool take_text(scanner *s, st_text *out)
{
    blanks(s);
    if (s->p == s->end || (*s->p != '\'' && *s->p != '"')) return false;
    char quote = *s->p++;
    const char *from = s->p;
    while (s->p < s->end && *s->p != quote && *s->p != '\\' && (unsigned char)*s->p >= 0x20) s->p++;
    *out = (st_text){from, (size_t)(s->p - from)};
    return s->p < s->end && *s->p++ == quote;
}

static bool take_word(scanner *s, const char *word)
{
    size_t n = strlen(word);
    blanks(s);
    if ((size_t)(s->end - s->p) < n || memcmp(s->p, word, n) != 0) return false;
    s->p += n;
    return true;
}

static st_status take_size(scanner *s, int64_t *out)
{
    const char *from = s->p;
    int64_t v = 0;
    bool fits = true;
    for (; s->p < s->end && *s->p >= '0' && *s->p <= '9'; s->p++)
        fits = fits && !__builtin_mul_overflow(v, 10, &v) && !__builtin_add_overflow(v, *s->p - '0', &v);
    if (s->p == from) return bad(s, ST_FORMAT, "its header lacks the shape or the order");
    if (!fits) {
        char shown[48];
        st_escape(shown, sizeof shown, from, (size_t)(s->p - from));
        return bad(s, ST_FORMAT, "a size of %s", shown);
    }
    if (s->p < s->end && *s->p == 'L') s->p++; /* Python 2 */
    *out = v;
    return ST_OK;
}

/* (), (3,), (3, 4) */
static st_status take_shape(scanner *s, st_npy_about *h)
{
    bool comma = true;
    h->ndim = 0;
    if (!accept(s, '(')) return bad(s, ST_FORMAT, "its header lacks the shape or the order");
    while (!accept(s, ')')) {
        if (!comma) return bad(s, ST_FORMAT, "its shape is no tuple of sizes");
        if (h->ndim == ST_MAX_DIMS) return bad(s, ST_LIMIT, "more than %d dimensions are not supported", ST_MAX_DIMS);
        ST_TRY(take_size(s, &h->shape[h->ndim++]));
        comma = accept(s, ',');
    }
    return h->ndim == 1 && !comma ? bad(s, ST_FORMAT, "its shape is no tuple of sizes") : ST_OK;
}

/* [('x', '<f4'), ('y', [('z', '<i8', (2,))])]: the fields of a structured array. */
static bool skip_fields(scanner *s)
{
    int depth = 0;
    st_text word;
    do {
        blanks(s);
        if (s->p == s->end) return false;
        char c = *s->p;
        if (c == '\'' || c == '"') {
            if (!take_text(s, &word)) return false;
            continue;
        }
        depth += c == '[' || c == '(' ? 1 : c == ']' || c == ')' ? -1 : 0;
        s->p++;
    } while (depth > 0);
    return depth == 0;
}

/* "<f4" taken apart. */
static st_status take_descr(scanner *s, st_npy_about *h)
{
    blanks(s);
    if (s->p < s->end && *s->p == '[') {
        h->kind = '[';
        return skip_fields(s) ? ST_OK : bad(s, ST_FORMAT, "its header names no type");
    }
    if (!take_text(s, &h->descr)) return bad(s, ST_FORMAT, "its header names no type");
    st_text d = h->descr;
    h->width = 0;
    for (size_t i = 2; i < d.len && d.len <= 8; i++) {
        if (d.ptr[i] < '0' || d.ptr[i] > '9') {
            h->width = 0;
            break;
        }
        h->width = h->width * 10 + (unsigned)(d.ptr[i] - '0');
    }
    h->order = d.len > 1 ? d.ptr[0] : '\0';
    h->kind = d.len > 1 ? d.ptr[1] : '\0';
    return ST_OK;
}

static st_status take_order(scanner *s, st_npy_about *h)
{
    h->fortran = take_word(s, "True");
    if (!h->fortran && !take_word(s, "False")) return bad(s, ST_FORMAT, "its header lacks the shape or the order");
    return ST_OK;
}

static bool is(st_text t, const char *word) { return t.len == strlen(word) && memcmp(t.ptr, word, t.len) == 0; }

st_status st_npy_parse(const char *label, st_text name, const char *text, size_t len, st_npy_about *h, st_err *err)
{
    static const struct {
        const char *key;
        st_status (*take)(scanner *s, st_npy_about *h);
    } entries[] = {{"descr", take_descr}, {"fortran_order", take_order}, {"shape", take_shape}};
    scanner s = {label, name, text, text + len, err};
    bool seen[3] = {false}, comma = true;
    *h = (st_npy_about){0};
    if (!accept(&s, '{')) return bad(&s, ST_FORMAT, "its header names no type");
    while (!accept(&s, '}')) {
        st_text key;
        int i = 0;
        if (!comma || !take_text(&s, &key) || !accept(&s, ':')) return bad(&s, ST_FORMAT, "its header is no dict");
        while (i < 3 && !is(key, entries[i].key)) i++;
        if (i == 3 || seen[i]) return bad(&s, ST_FORMAT, "its header has another entry, or one twice");
        seen[i] = true;
        ST_TRY(entries[i].take(&s, h));
        comma = accept(&s, ',');
    }
    blanks(&s);
    if (s.p != s.end) return bad(&s, ST_FORMAT, "its header goes on behind the dict");
    if (!seen[0]) return bad(&s, ST_FORMAT, "its header names no type");
    if (!seen[1] || !seen[2]) return bad(&s, ST_FORMAT, "its header lacks the shape or the order");
    return ST_OK;
}

/* ---------------------------------------------------------------- types */

static const struct {
    char kind;
    unsigned width;
    st_dtype is;
} types[] = {
    {'b', 1, ST_BOOL}, {'u', 1, ST_U8},  {'i', 1, ST_I8},  {'u', 2, ST_U16}, {'i', 2, ST_I16},
    {'u', 4, ST_U32},  {'i', 4, ST_I32}, {'u', 8, ST_U64}, {'i', 8, ST_I64}, {'f', 2, ST_F16},
    {'f', 4, ST_F32},  {'f', 8, ST_F64}, {'c', 8, ST_C64},
};

/* The dtype for a type, or why there is none. `want` of the same width goes for unsigned integers and raw bytes. */
static bool dtype_of(const st_npy_about *h, const st_open_opts *opts, st_dtype *out, char why[160])
{
    bool raw = h->kind == 'u' || h->kind == 'V';
    if (opts->has_dtype && raw && st_dtype_bits(opts->dtype) == 8 * h->width) return *out = opts->dtype, true;
    for (size_t i = 0; memchr("<>|=", h->order, 4) && i < sizeof types / sizeof *types; i++)
        if (types[i].kind == h->kind && types[i].width == h->width) return *out = types[i].is, true;
    char shown[60];
    st_escape(shown, sizeof shown, h->descr.ptr, h->descr.len);
    if (h->kind == 'V' && h->width == 2)
        snprintf(why, 160, "two raw bytes per element: if they are BF16, load it with { dtype = \"BF16\" }");
    else if (h->kind == '[')
        snprintf(why, 160, "a structured array is no tensor");
    else if (h->kind == 'O')
        snprintf(why, 160, "it holds Python objects, which are never loaded");
    else
        snprintf(why, 160, "no dtype for NumPy's type \"%s\"", shown);
    return false;
}

/* ---------------------------------------------------------------- one array */

/* What lies between `at` and `end` is an array of this name. */
typedef struct array {
    st_source *src;
    st_text name;
    uint64_t at, end;
    bool alone; /* in its file: what follows is told, too */
} array;

/* The header's text, which the caller frees; moves `at` behind it. */
static st_status read_header(array *a, char **text, size_t *len, st_err *err)
{
    unsigned char start[START];
    scanner s = {.label = a->src->label, .name = a->alone ? (st_text){"", 0} : a->name, .err = err};
    uint64_t have = a->end - a->at;
    size_t n = have < START ? (size_t)have : START;
    ST_TRY(a->src->ops->read(a->src, start, a->at, n, err));
    if (n < 10 || memcmp(start, "\x93NUMPY", 6) != 0)
        return bad(&s, ST_FORMAT, "it does not begin with \\x93NUMPY, or ends there");
    if (start[6] < 1 || start[6] > 3) return bad(&s, ST_FORMAT, "version %d of the format is not known", start[6]);
    size_t used = start[6] == 1 ? 10 : 12;
    if (n < used) return bad(&s, ST_FORMAT, "it ends in its header");
    uint64_t length = start[8] | (uint64_t)start[9] << 8;
    if (used == 12) length |= (uint64_t)start[10] << 16 | (uint64_t)start[11] << 24;
    if (length > have - used || length > HEADER_MAX) return bad(&s, ST_FORMAT, "a header of %llu bytes", (ull)length);
    *len = (size_t)length;
    *text = st_malloc(*len + 1);
    if (!*text) return st_fail_nomem(err, *len);
    st_status status = a->src->ops->read(a->src, *text, a->at + used, *len, err);
    if (status != ST_OK) st_free(*text);
    a->at += used + length;
    return status;
}

static st_status check_length(const array *a, const st_npy_about *h, uint64_t bytes, bool fits, st_err *err)
{
    scanner s = {.label = a->src->label, .name = a->alone ? (st_text){"", 0} : a->name, .err = err};
    uint64_t left = a->end - a->at;
    char shape[160];
    st_shape_text(shape, sizeof shape, h->ndim, h->shape);
    if (!fits || bytes > left)
        return bad(&s, ST_FORMAT, "a shape of %s needs more than the %llu bytes that follow", shape, (ull)left);
    if (bytes < left) return bad(&s, ST_FORMAT, "%llu bytes stand behind its %llu", (ull)(left - bytes), (ull)bytes);
    return ST_OK;
}

static st_status list_array(array *a, const st_npy_about *h, const st_open_opts *opts, st_listing *l, bool *had,
                            st_err *err)
{
    st_dtype dtype;
    char why[160], shown[200];
    int64_t strides[ST_MAX_DIMS], step = 1;
    uint64_t numel, bytes = 0;
    if (!dtype_of(h, opts, &dtype, why)) {
        st_escape(shown, sizeof shown, a->name.ptr, a->name.len);
        if (opts->skip) return *had = false, st_listing_note(l, ST_NOTE_SKIPPED, err, "%s: %s", shown, why);
        scanner s = {.label = a->src->label, .name = a->alone ? (st_text){"", 0} : a->name, .err = err};
        return bad(&s, ST_DTYPE, "%s", why);
    }
    bool fits = st_shape_numel(h->ndim, h->shape, &numel) && numel <= INT64_MAX / 16 &&
                st_mul_u64(numel, st_dtype_bits(dtype) / 8, &bytes);
    ST_TRY(check_length(a, h, bytes, fits, err));
    st_listed t = {.name = a->name.ptr,
                   .len = (uint32_t)a->name.len,
                   .dtype = (uint8_t)dtype,
                   .ndim = (uint8_t)h->ndim,
                   .shape = h->shape,
                   .offset = a->at,
                   .bytes = bytes,
                   .coding = h->order == '>' && h->width > 1 ? ST_CODED_SWAPPED : ST_CODED_NOT};
    bool turned = false;
    for (int d = 0; h->fortran && d < h->ndim; d++) {
        turned = turned || (d > 0 && h->shape[d] > 1 && step > 1);
        strides[d] = step;
        step *= h->shape[d];
    }
    if (turned && numel) t.strides = strides;
    *had = true;
    return st_listing_add(l, a->src->label, &t, err);
}

static st_status read_array(array *a, const st_open_opts *opts, st_listing *l, st_err *err)
{
    char *text = NULL;
    size_t len = 0;
    bool had;
    st_npy_about h;
    ST_TRY(read_header(a, &text, &len, err));
    st_status s = st_npy_parse(a->src->label, a->alone ? (st_text){"", 0} : a->name, text, len, &h, err);
    if (s == ST_OK) s = list_array(a, &h, opts, l, &had, err);
    st_free(text);
    return s;
}

/* ---------------------------------------------------------------- files */

st_status st_npy_read(st_source *src, const st_open_opts *opts, st_listing *l, st_err *err)
{
    array a = {src, {"tensor", 6}, 0, src->size, true};
    l->format = "NumPy array";
    ST_TRY(read_array(&a, opts, l, err));
    l->head_bytes = a.at;
    return ST_OK;
}

static bool has_ending(const st_zip_entry *e) { return e->len > 4 && memcmp(e->name + e->len - 4, ".npy", 4) == 0; }

bool st_npz_is(const st_zip *zip)
{
    for (size_t i = 0; i < zip->count; i++)
        if (!has_ending(&zip->entries[i])) return false;
    return true;
}

st_status st_npz_read(st_source *src, const st_zip *zip, const st_open_opts *opts, st_listing *l, st_err *err)
{
    l->format = "NumPy archive";
    l->head = zip->at;
    l->head_bytes = zip->bytes;
    for (size_t i = 0; i < zip->count; i++) {
        const st_zip_entry *e = &zip->entries[i];
        array a = {src, {e->name, e->len - 4}, e->offset, e->offset + e->size, false};
        ST_TRY(st_zip_stored(src, e, err));
        ST_TRY(read_array(&a, opts, l, err));
    }
    return ST_OK;
}

/* ---------------------------------------------------------------- writing */

st_status st_npy_header(st_dtype dtype, int ndim, const int64_t *shape, char out[2048], size_t *len, st_err *err)
{
    enum { FRONT = 10, ROOM = 2048 - FRONT };
    size_t i = 0, n, count = sizeof types / sizeof *types;
    char *dict = out + FRONT;
    while (i < count && types[i].is != dtype) i++;
    if (i == count)
        return st_fail(err, ST_DTYPE, NULL, NULL, "NumPy has no type for %s: write its raw bytes instead",
                       st_dtype_name(dtype));
    n = (size_t)snprintf(dict, ROOM, "{'descr': '%c%c%u', 'fortran_order': False, 'shape': (",
                         types[i].width == 1 ? '|' : '<', types[i].kind, types[i].width);
    for (int d = 0; d < ndim; d++) /* 64 sizes of 19 digits fit */
        n += (size_t)snprintf(dict + n, ROOM - n, "%s%lld", d ? ", " : "", (long long)shape[d]);
    n += (size_t)snprintf(dict + n, ROOM - n, "%s), }", ndim == 1 ? "," : "");
    while ((FRONT + n + 1) % 64) dict[n++] = ' ';
    dict[n++] = '\n';
    memcpy(out, "\x93NUMPY\1\0", 8);
    out[8] = (char)(n & 0xff);
    out[9] = (char)(n >> 8);
    *len = FRONT + n;
    return ST_OK;
}
