/* gguf.c - reading the header of a GGUF file: metadata, names, types, places. Layer: io; reads the source it is given.
 *
 *   "GGUF" | version | number of tensors | number of metadata | metadata | tensors | padding | data
 *   metadata: key, type, value     tensor: name, number of dimensions, sizes (the fastest first), type, offset in data
 *
 * Counts are not believed: everything is read one by one, and a lying count ends at the end of the file. */
#include "gguf.h"
#include "mem.h"
#include "shape.h"
#include "sort.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef unsigned long long ull;

enum {
    WINDOW = 64 << 10,   /* bytes that are read at once */
    TEXT_MAX = 1 << 20,  /* bytes of a metadata text that is kept */
    SHORT_ARRAY = 16,    /* elements of an array that is kept */
    SHORT_TEXT = 200,    /* bytes of each, where they are texts */
    META_MAX = 16 << 20, /* bytes of all metadata */
    DIMS_MAX = 4,
    ORIGINAL_DIMS_MAX = 8,
    ALIGNMENT = 32,
};

/* ---------------------------------------------------------------- types of tensors */

/* Elements of a block, its bytes; what they are here: a dtype, or a coding; neither: known by name alone. */
static const struct {
    uint32_t id;
    const char *name;
    unsigned elements, bytes;
    int dtype, coding;
} types[] = {
    {0, "F32", 1, 4, ST_F32, 0},
    {1, "F16", 1, 2, ST_F16, 0},
    {30, "BF16", 1, 2, ST_BF16, 0},
    {28, "F64", 1, 8, ST_F64, 0},
    {24, "I8", 1, 1, ST_I8, 0},
    {25, "I16", 1, 2, ST_I16, 0},
    {26, "I32", 1, 4, ST_I32, 0},
    {27, "I64", 1, 8, ST_I64, 0},
    {2, "Q4_0", 32, 18, ST_F32, ST_CODED_Q4_0},
    {3, "Q4_1", 32, 20, ST_F32, ST_CODED_Q4_1},
    {6, "Q5_0", 32, 22, ST_F32, ST_CODED_Q5_0},
    {7, "Q5_1", 32, 24, ST_F32, ST_CODED_Q5_1},
    {8, "Q8_0", 32, 34, ST_F32, ST_CODED_Q8_0},
    {12, "Q4_K", 256, 144, ST_F32, ST_CODED_Q4_K},
    {13, "Q5_K", 256, 176, ST_F32, ST_CODED_Q5_K},
    {14, "Q6_K", 256, 210, ST_F32, ST_CODED_Q6_K},
    {9, "Q8_1", 32, 36, -1, 0},
    {10, "Q2_K", 256, 84, -1, 0},
    {11, "Q3_K", 256, 110, -1, 0},
    {15, "Q8_K", 256, 292, -1, 0},
    {16, "IQ2_XXS", 256, 66, -1, 0},
    {17, "IQ2_XS", 256, 74, -1, 0},
    {18, "IQ3_XXS", 256, 98, -1, 0},
    {19, "IQ1_S", 256, 50, -1, 0},
    {20, "IQ4_NL", 32, 18, -1, 0},
    {21, "IQ3_S", 256, 110, -1, 0},
    {22, "IQ2_S", 256, 82, -1, 0},
    {23, "IQ4_XS", 256, 136, -1, 0},
    {29, "IQ1_M", 256, 56, -1, 0},
    {34, "TQ1_0", 256, 54, -1, 0},
    {35, "TQ2_0", 256, 66, -1, 0},
    {39, "MXFP4", 32, 17, -1, 0},
    {40, "NVFP4", 64, 36, -1, 0},
};
enum { TYPES = sizeof types / sizeof *types };

/* ---------------------------------------------------------------- reading */

typedef struct tensor {
    uint64_t offset, bytes; /* in the data; bytes 0: nothing to check */
    uint32_t name;          /* in the listing, or UINT32_MAX */
} tensor;

typedef struct reader {
    st_source *src;
    const st_open_opts *opts;
    st_listing *l;
    char *window; /* `have` bytes of the file from `from` on */
    uint64_t from, at;
    size_t have;
    uint64_t alignment, meta_bytes;
    char *text; /* room for a value */
    size_t cap;
    tensor *tensors;
    size_t count, tensor_cap, of_type[TYPES], skipped;
    char first_skipped[200];
    st_err *err;
} reader;

#define bad(r, ...) st_fail((r)->err, ST_FORMAT, (r)->src->label, NULL, "broken GGUF file: " __VA_ARGS__)

/* There are n more bytes. */
static st_status need(reader *r, uint64_t n, const char *what)
{
    if (n <= r->src->size - r->at) return ST_OK;
    return bad(r, "byte %llu: %s takes %llu bytes, %llu are left; it was cut short, or never whole", (ull)r->at, what,
               (ull)n, (ull)(r->src->size - r->at));
}

static st_status take(reader *r, void *dst, size_t n, const char *what)
{
    ST_TRY(need(r, n, what));
    for (char *to = dst; n;) {
        if (r->at < r->from || r->at >= r->from + r->have) {
            uint64_t left = r->src->size - r->at;
            r->have = left < WINDOW ? (size_t)left : WINDOW;
            r->from = r->at;
            ST_TRY(r->src->ops->read(r->src, r->window, r->from, r->have, r->err));
        }
        size_t there = (size_t)(r->from + r->have - r->at), some = there < n ? there : n;
        memcpy(to, r->window + (r->at - r->from), some);
        to += some;
        r->at += some;
        n -= some;
    }
    return ST_OK;
}

static st_status take_int(reader *r, unsigned width, uint64_t *v, const char *what)
{
    unsigned char b[8];
    ST_TRY(take(r, b, width, what));
    *v = 0;
    for (unsigned i = width; i-- > 0;) *v = *v << 8 | b[i];
    return ST_OK;
}

static st_status skip(reader *r, uint64_t n, const char *what)
{
    ST_TRY(need(r, n, what));
    r->at += n;
    return ST_OK;
}

/* A text of at most `most` bytes at place `from` of r->text; longer ones are passed over, *len is then more. */
static st_status take_text(reader *r, size_t from, size_t most, uint64_t *len, const char *what)
{
    ST_TRY(take_int(r, 8, len, what));
    if (*len > most) return skip(r, *len, what);
    ST_TRY(need(r, *len, what));
    if (!st_grow((void **)&r->text, &r->cap, from + (size_t)*len + 1, 1)) return st_fail_nomem(r->err, *len);
    return take(r, r->text + from, (size_t)*len, what);
}

/* ---------------------------------------------------------------- metadata */

enum { V_F32 = 6, V_BOOL = 7, V_TEXT = 8, V_ARRAY = 9, V_F64 = 12, V_TYPES = 13 };
static const struct {
    unsigned width;
    bool negative;
} values[V_TYPES] = {[0] = {1, false}, [1] = {1, true},   [2] = {2, false},      [3] = {2, true},   [4] = {4, false},
                     [5] = {4, true},  [V_F32] = {4, 0},  [V_BOOL] = {1, 0},     [10] = {8, false}, [11] = {8, true},
                     [V_F64] = {8, 0}, [V_TEXT] = {0, 0}, [V_ARRAY] = {0, false}};

/* The shortest text that reads back as the same number. */
static int float_text(char *dst, size_t cap, double v, bool single)
{
    int n = 0;
    for (int digits = single ? 6 : 15; digits <= 17; digits++) {
        n = snprintf(dst, cap, "%.*g", digits, v);
        if (single ? strtof(dst, NULL) == (float)v : strtod(dst, NULL) == v) break;
    }
    return n;
}

/* A number as text, behind the first `from` bytes of r->text. */
static st_status take_number(reader *r, uint32_t type, size_t from, size_t *len)
{
    enum { ROOM = 40 };
    uint64_t v;
    float f;
    double d;
    ST_TRY(take_int(r, values[type].width, &v, "a number"));
    if (!st_grow((void **)&r->text, &r->cap, from + ROOM, 1)) return st_fail_nomem(r->err, ROOM);
    char *dst = r->text + from;
    if (type == V_F32) {
        uint32_t bits = (uint32_t)v;
        memcpy(&f, &bits, sizeof f);
        *len = (size_t)float_text(dst, ROOM, (double)f, true);
    } else if (type == V_F64) {
        memcpy(&d, &v, sizeof d);
        *len = (size_t)float_text(dst, ROOM, d, false);
    } else if (type == V_BOOL) {
        *len = (size_t)snprintf(dst, ROOM, "%s", v ? "true" : "false");
    } else if (values[type].negative) {
        unsigned up = 64 - 8 * values[type].width;
        *len = (size_t)snprintf(dst, ROOM, "%lld", (long long)((int64_t)(v << up) >> up));
    } else {
        *len = (size_t)snprintf(dst, ROOM, "%llu", (ull)v);
    }
    return ST_OK;
}

/* One element of an array that is kept: texts in quotes. *fits is false for what JSON would need to escape. */
static st_status take_element(reader *r, uint32_t type, size_t from, size_t *len, bool *fits)
{
    uint64_t n;
    if (type != V_TEXT) return take_number(r, type, from, len);
    ST_TRY(take_text(r, from + 1, SHORT_TEXT, &n, "a text"));
    *fits = *fits && n <= SHORT_TEXT;
    *len = 0;
    if (!*fits) return ST_OK;
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)r->text[from + 1 + i];
        *fits = *fits && c >= 0x20 && c != '"' && c != '\\';
    }
    if (!st_grow((void **)&r->text, &r->cap, from + n + 2, 1)) return st_fail_nomem(r->err, n);
    r->text[from] = r->text[from + 1 + n] = '"';
    *len = (size_t)n + 2;
    return ST_OK;
}

static st_status untold(reader *r, st_text key, const char *what, uint64_t n)
{
    char shown[120];
    st_escape(shown, sizeof shown, key.ptr, key.len);
    return st_listing_note(r->l, ST_NOTE_UNTOLD, r->err, "%s: %s of %llu", shown, what, (ull)n);
}

static st_status keep(reader *r, st_text key, size_t from, size_t len)
{
    r->meta_bytes += key.len + len;
    if (r->meta_bytes > META_MAX) return untold(r, key, "one value too many", r->meta_bytes);
    return st_listing_meta(r->l, r->src->label, (st_text){r->text, key.len}, (st_text){r->text + from, len}, r->err);
}

/* [1, 2] is kept; of long arrays, such as vocabularies, only the length is told. */
static st_status read_array(reader *r, st_text key)
{
    uint64_t type, n, len;
    size_t from = key.len, end = from + 1, some;
    bool fits = true;
    ST_TRY(take_int(r, 4, &type, "an array"));
    ST_TRY(take_int(r, 8, &n, "an array"));
    if (type >= V_TYPES || type == V_ARRAY) return bad(r, "byte %llu: an array of type %llu", (ull)r->at, (ull)type);
    if (n > SHORT_ARRAY) {
        ST_TRY(untold(r, (st_text){r->text, key.len}, "an array", n));
        if (type != V_TEXT && n > UINT64_MAX / 8) return need(r, UINT64_MAX, "an array");
        if (type != V_TEXT) return skip(r, n * values[type].width, "an array");
        for (uint64_t i = 0; i < n; i++) {
            ST_TRY(take_int(r, 8, &len, "a text"));
            ST_TRY(skip(r, len, "a text"));
        }
        return ST_OK;
    }
    for (uint64_t i = 0; i < n; i++) {
        if (!st_grow((void **)&r->text, &r->cap, end + 3, 1)) return st_fail_nomem(r->err, end);
        if (i) memcpy(r->text + end, ", ", 2);
        end += i ? 2 : 0;
        ST_TRY(take_element(r, (uint32_t)type, end, &some, &fits));
        end += some;
    }
    if (!st_grow((void **)&r->text, &r->cap, end + 1, 1)) return st_fail_nomem(r->err, end);
    key.ptr = r->text;
    if (!fits) return untold(r, key, "an array", n);
    r->text[from] = '[';
    r->text[end] = ']';
    return keep(r, key, from, end + 1 - from);
}

static st_status set_alignment(reader *r, st_text key, size_t from, size_t len)
{
    static const char name[] = "general.alignment";
    if (key.len != sizeof name - 1 || memcmp(key.ptr, name, key.len) != 0) return ST_OK;
    uint64_t v = 0;
    for (size_t i = 0; i < len && len < 10; i++) v = v * 10 + (unsigned)(r->text[from + i] - '0');
    if (v == 0 || v > 1 << 20 || v & (v - 1)) return bad(r, "an alignment of %llu", (ull)v);
    r->alignment = v;
    return ST_OK;
}

static st_status read_pair(reader *r)
{
    uint64_t n, type, len;
    size_t used;
    ST_TRY(take_text(r, 0, 65535, &n, "a key"));
    if (n > 65535) return bad(r, "byte %llu: a key of %llu bytes", (ull)r->at, (ull)n);
    ST_TRY(take_int(r, 4, &type, "a value"));
    st_text key = {r->text, (size_t)n};
    if (type >= V_TYPES) return bad(r, "byte %llu: metadata of type %llu", (ull)r->at, (ull)type);
    if (type == V_ARRAY) return read_array(r, key);
    if (type == V_TEXT) {
        ST_TRY(take_text(r, key.len, TEXT_MAX, &len, "a text"));
        key.ptr = r->text;
        return len > TEXT_MAX ? untold(r, key, "a text", len) : keep(r, key, key.len, (size_t)len);
    }
    ST_TRY(take_number(r, (uint32_t)type, key.len, &used));
    key.ptr = r->text;
    if (type == 4) ST_TRY(set_alignment(r, key, key.len, used));
    return keep(r, key, key.len, used);
}

/* ---------------------------------------------------------------- tensors */

static int row_of(uint64_t id)
{
    for (int i = 0; i < TYPES; i++)
        if (types[i].id == id) return i;
    return -1;
}

static st_status fail_tensor(reader *r, const st_listed *t, st_status code, const char *fmt, ...) ST_PRINTF(4, 5);
static st_status fail_tensor(reader *r, const st_listed *t, st_status code, const char *fmt, ...)
{
    char text[300];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    return st_fail_named(r->err, code, r->src->label, t->name, t->len, "%s", text);
}

/* What has no place in safetensors: told. Its bytes are checked all the same where its type is known. */
static st_status skip_tensor(reader *r, const st_listed *t, int row, uint64_t id)
{
    char name[120], text[200];
    st_escape(name, sizeof name, t->name, t->len);
    if (row >= 0)
        snprintf(text, sizeof text, "%s: it is quantised as %s, which is not read yet", name, types[row].name);
    else
        snprintf(text, sizeof text, "%s: it is of type %llu, which is not known", name, (ull)id);
    if (r->skipped++ == 0) memcpy(r->first_skipped, text, sizeof text);
    return st_listing_note(r->l, ST_NOTE_SKIPPED, r->err, "%s", text);
}

static st_status read_sizes(reader *r, st_listed *t, int64_t shape[DIMS_MAX])
{
    uint64_t ndim, v;
    ST_TRY(take_int(r, 4, &ndim, "a tensor"));
    if (ndim > DIMS_MAX)
        return fail_tensor(r, t, ST_LIMIT, "%llu dimensions: GGUF has at most %d", (ull)ndim, DIMS_MAX);
    for (uint64_t d = ndim; d-- > 0;) { /* the fastest comes first there, last here */
        ST_TRY(take_int(r, 8, &v, "a tensor"));
        if (v > INT64_MAX) return fail_tensor(r, t, ST_FORMAT, "a size of %llu", (ull)v);
        shape[d] = (int64_t)v;
    }
    t->ndim = (uint8_t)ndim;
    return ST_OK;
}

/* ComfyUI-GGUF lays tensors whose rows are no whole blocks out as others, and keeps their shape in the metadata. */
static void take_original_shape(const reader *r, st_listed *t, uint64_t numel, int64_t shape[ORIGINAL_DIMS_MAX])
{
    char key[256];
    int len = snprintf(key, sizeof key, "comfy.gguf.orig_shape.%.*s", (int)t->len, t->name);
    int64_t at = len < (int)sizeof key ? st_strmap_find(&r->l->keys, key, (size_t)len) : -1;
    if (at < 0) return;
    st_text value = r->l->meta[at][1];
    uint64_t product;
    int ndim = 0;
    bool digit = false;
    if (value.len == 0 || value.ptr[0] != '[') return;
    for (size_t i = 0; i < value.len; i++) {
        int d = value.ptr[i] - '0';
        bool more = d >= 0 && d <= 9;
        if (more && !digit && ndim++ == ORIGINAL_DIMS_MAX) return;
        if (more && digit && shape[ndim - 1] > INT32_MAX) return;
        if (more) shape[ndim - 1] = (digit ? shape[ndim - 1] * 10 : 0) + d;
        digit = more;
    }
    if (!st_shape_numel(ndim, shape, &product) || product != numel) return;
    t->shape = shape;
    t->ndim = (uint8_t)ndim;
}

static st_status read_tensor(reader *r)
{
    uint64_t n, id, offset, numel, bytes = 0;
    int64_t shape[DIMS_MAX], original[ORIGINAL_DIMS_MAX];
    ST_TRY(take_text(r, 0, 65535, &n, "a tensor's name"));
    if (n > 65535) return bad(r, "byte %llu: a tensor's name of %llu bytes", (ull)r->at, (ull)n);
    st_listed t = {.name = r->text, .len = (uint32_t)n, .shape = shape};
    ST_TRY(read_sizes(r, &t, shape));
    ST_TRY(take_int(r, 4, &id, "a tensor"));
    ST_TRY(take_int(r, 8, &offset, "a tensor"));
    int row = row_of(id);
    if (!st_shape_numel(t.ndim, shape, &numel) || numel > INT64_MAX / 16)
        return fail_tensor(r, &t, ST_FORMAT, "its sizes have a product that does not fit");
    if (row >= 0) {
        int64_t inner = t.ndim ? shape[t.ndim - 1] : 1;
        if (inner % types[row].elements)
            return fail_tensor(r, &t, ST_FORMAT, "rows of %lld elements are not whole blocks of %u (%s)",
                               (long long)inner, types[row].elements, types[row].name);
        bytes = numel / types[row].elements * types[row].bytes;
    }
    if (!st_grow((void **)&r->tensors, &r->tensor_cap, r->count + 1, sizeof *r->tensors))
        return st_fail_nomem(r->err, r->count * sizeof *r->tensors);
    r->tensors[r->count++] = (tensor){offset, bytes, UINT32_MAX};
    if (row < 0 || types[row].dtype < 0) return skip_tensor(r, &t, row, id);
    t.dtype = (uint8_t)types[row].dtype;
    t.coding = (uint8_t)types[row].coding;
    t.bytes = bytes;
    r->of_type[row]++;
    take_original_shape(r, &t, numel, original);
    ST_TRY(st_listing_add(r->l, r->src->label, &t, r->err));
    r->tensors[r->count - 1].name = (uint32_t)(r->l->count - 1);
    return ST_OK;
}

static int by_offset(const void *a, const void *b, const void *unused)
{
    const tensor *x = a, *y = b;
    (void)unused;
    if (x->offset != y->offset) return x->offset < y->offset ? -1 : 1;
    return x->bytes < y->bytes ? -1 : x->bytes > y->bytes;
}

/* Each lies in the data, on its alignment, and shares no byte with another. */
static st_status place_tensors(reader *r)
{
    uint64_t start = r->at + (r->alignment - r->at % r->alignment) % r->alignment, end = 0;
    uint64_t have = start <= r->src->size ? r->src->size - start : 0;
    r->l->head_bytes = r->at;
    st_sort(r->tensors, r->count, sizeof *r->tensors, by_offset, NULL);
    for (size_t i = 0; i < r->count; i++) {
        const tensor *x = &r->tensors[i];
        const st_listed none = {.name = "", .shape = NULL};
        st_listed *own = x->name == UINT32_MAX ? NULL : &r->l->list[x->name];
        const st_listed *t = own ? own : &none;
        if (x->offset % r->alignment || x->offset > have || x->bytes > have - x->offset)
            return fail_tensor(r, t, ST_FORMAT,
                               "%llu bytes from %llu on do not lie in the data of %llu bytes, or not on its alignment "
                               "of %llu: the file was cut short, or never whole",
                               (ull)x->bytes, (ull)x->offset, (ull)have, (ull)r->alignment);
        if (x->bytes && x->offset < end)
            return fail_tensor(r, t, ST_FORMAT, "it begins at %llu, inside another one, which ends at %llu",
                               (ull)x->offset, (ull)end);
        if (x->bytes) end = x->offset + x->bytes;
        if (own) own->offset = x->bytes ? start + x->offset : 0;
    }
    return ST_OK;
}

/* ---------------------------------------------------------------- the whole */

static st_status note_types(reader *r)
{
    for (int i = 0; i < TYPES; i++)
        if (r->of_type[i] && types[i].coding)
            ST_TRY(st_listing_note(r->l, ST_NOTE_DECODED, r->err, "%s: %zu tensor%s, read as F32", types[i].name,
                                   r->of_type[i], r->of_type[i] == 1 ? "" : "s"));
    if (!r->skipped || r->opts->skip) return ST_OK;
    return st_fail(r->err, ST_DTYPE, r->src->label, NULL,
                   "%zu of its tensors cannot be had: %s%s (leave them out: `stlua convert --skip`)", r->skipped,
                   r->first_skipped, r->skipped > 1 ? ", ..." : "");
}

static st_status read_header(reader *r)
{
    uint64_t magic, version, tensors, pairs;
    ST_TRY(take_int(r, 4, &magic, "its magic number"));
    ST_TRY(take_int(r, 4, &version, "its version"));
    if (version != 2 && version != 3) {
        bool swapped = version > 0xffff;
        return st_fail(r->err, ST_FORMAT, r->src->label, NULL,
                       swapped ? "a GGUF file of a big-endian computer (version %llu): only little-endian ones are read"
                               : "a GGUF file of version %llu: versions 2 and 3 are read",
                       (ull)version);
    }
    ST_TRY(take_int(r, 8, &tensors, "the number of tensors"));
    ST_TRY(take_int(r, 8, &pairs, "the number of metadata"));
    for (uint64_t i = 0; i < pairs; i++) ST_TRY(read_pair(r));
    for (uint64_t i = 0; i < tensors; i++) ST_TRY(read_tensor(r));
    ST_TRY(place_tensors(r));
    return note_types(r);
}

st_status st_gguf_read(st_source *src, const st_open_opts *opts, st_listing *l, st_err *err)
{
    reader r = {.src = src, .opts = opts, .l = l, .alignment = ALIGNMENT, .err = err};
    l->format = "GGUF";
    r.window = st_malloc(WINDOW);
    st_status s = r.window ? read_header(&r) : st_fail_nomem(err, WINDOW);
    st_free(r.window);
    st_free(r.text);
    st_free(r.tensors);
    return s;
}
