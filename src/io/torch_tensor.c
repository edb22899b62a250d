/* torch_tensor.c - the calls by which a checkpoint would rebuild its tensors, read as data. Layer: io; may touch memory
 * only. */
#include "torch.h"
#include "shape.h"

#include <string.h>

typedef unsigned long long ull;

static bool is(st_text t, const char *word) { return t.len == strlen(word) && memcmp(t.ptr, word, t.len) == 0; }

/* ---------------------------------------------------------------- dtypes */

enum { BYTES = -1, NONE = -2 }; /* untyped; one that safetensors has not */

/* torch's name of a dtype, the name of its storages, what it is here, bytes of an element. */
static const struct {
    const char *dtype, *storage;
    int is;
    unsigned width;
} dtypes[] = {
    {"bfloat16", "BFloat16Storage", ST_BF16, 2},
    {"float16", "HalfStorage", ST_F16, 2},
    {"float32", "FloatStorage", ST_F32, 4},
    {"float64", "DoubleStorage", ST_F64, 8},
    {"int64", "LongStorage", ST_I64, 8},
    {"int32", "IntStorage", ST_I32, 4},
    {"int16", "ShortStorage", ST_I16, 2},
    {"int8", "CharStorage", ST_I8, 1},
    {"uint8", "ByteStorage", ST_U8, 1},
    {"bool", "BoolStorage", ST_BOOL, 1},
    {"complex64", "ComplexFloatStorage", ST_C64, 8},
    {"complex128", "ComplexDoubleStorage", NONE, 16},
    {"complex32", NULL, NONE, 4},
    {"uint16", NULL, ST_U16, 2},
    {"uint32", NULL, ST_U32, 4},
    {"uint64", NULL, ST_U64, 8},
    {"float8_e4m3fn", NULL, ST_F8_E4M3, 1},
    {"float8_e5m2", NULL, ST_F8_E5M2, 1},
    {"float8_e4m3fnuz", NULL, ST_F8_E4M3FNUZ, 1},
    {"float8_e5m2fnuz", NULL, ST_F8_E5M2FNUZ, 1},
    {"float8_e8m0fnu", NULL, ST_F8_E8M0, 1},
    {"float4_e2m1fn_x2", NULL, ST_F4, 1}, /* an element of torch is two */
    {"qint8", "QInt8Storage", NONE, 1},
    {"quint8", "QUInt8Storage", NONE, 1},
    {"qint32", "QInt32Storage", NONE, 4},
    {NULL, "QUInt4x2Storage", NONE, 1},
    {NULL, "QUInt2x4Storage", NONE, 1},
    {NULL, "UntypedStorage", BYTES, 1},
};
enum { DTYPES = sizeof dtypes / sizeof *dtypes };

/* The row of a storage's class, or of a dtype; -1. */
static int row_of(const st_pickle *p, st_pnode n, bool storage)
{
    st_text module, name;
    st_pickle_name(p, n, &module, &name);
    if (!is(module, "torch") && !(storage && (is(module, "torch.storage") || is(module, "torch.cuda")))) return -1;
    for (int i = 0; i < DTYPES; i++) {
        const char *word = storage ? dtypes[i].storage : dtypes[i].dtype;
        if (word && is(name, word)) return i;
    }
    return -1;
}

/* ---------------------------------------------------------------- storages */

static bool get_size(const st_pickle *p, st_pnode n, uint64_t *out)
{
    if (!n || st_pickle_kind(p, n) != ST_P_INT || st_pickle_int(p, n) < 0) return false;
    *out = (uint64_t)st_pickle_int(p, n);
    return true;
}

#define bad(...) st_fail_named(err, ST_FORMAT, label, tensor.ptr, tensor.len, "broken checkpoint: " __VA_ARGS__)

st_status st_torch_storage_of(const char *label, const st_pickle *p, st_pnode persistent, st_text tensor,
                              st_torch_storage *out, st_err *err)
{
    st_pnode id = st_pickle_id(p, persistent), view;
    st_text unused;
    if (!id || !st_pickle_item(p, id, 4) || !st_pickle_is_text(p, st_pickle_item(p, id, 0), "storage"))
        return bad("what should be its storage is none");
    st_pnode type = st_pickle_item(p, id, 1), key = st_pickle_item(p, id, 2);
    int row = row_of(p, type, true);
    *out = (st_torch_storage){.key = st_pickle_text(p, key), .dtype = -1};
    st_pickle_name(p, type, &unused, &out->type);
    if (row >= 0 && dtypes[row].dtype) out->type = (st_text){dtypes[row].dtype, strlen(dtypes[row].dtype)};
    if (st_pickle_kind(p, key) != ST_P_TEXT || !get_size(p, st_pickle_item(p, id, 4), &out->count) || row < 0)
        return bad("its storage has no key, no length, or a type that is not known");
    out->width = dtypes[row].width;
    out->dtype = dtypes[row].is < 0 ? -1 : dtypes[row].is;
    out->whole = out->count;
    view = st_pickle_item(p, id, 5);
    if (view && st_pickle_kind(p, view) != ST_P_NONE) {
        if (!get_size(p, st_pickle_item(p, view, 1), &out->skip) ||
            !get_size(p, st_pickle_item(p, view, 2), &out->count) || out->skip > out->whole ||
            out->count > out->whole - out->skip)
            return bad("its storage is a view that leaves the one of %llu elements", (ull)out->whole);
    }
    if (!st_mul_u64(out->whole, out->width, &out->bytes) || out->bytes > INT64_MAX)
        return bad("its storage has %llu elements", (ull)out->whole);
    return ST_OK;
}

/* ---------------------------------------------------------------- the calls */

typedef enum how {
    HOW_STRIDED, /* storage, offset, sizes, strides, .., [dtype] */
    HOW_INNER,   /* another tensor is the first argument */
    HOW_BY,      /* callable, type, arguments, state */
    HOW_NOT,     /* what safetensors cannot hold */
} how;

static const struct {
    const char *module, *name;
    how how;
    int dtype, metadata; /* arguments, or -1 */
    const char *why;
} rebuilders[] = {
    {"torch._utils", "_rebuild_tensor_v2", HOW_STRIDED, -1, 6, NULL},
    {"torch._utils", "_rebuild_tensor_v3", HOW_STRIDED, 6, 7, NULL},
    {"torch._utils", "_rebuild_tensor", HOW_STRIDED, -1, -1, NULL},
    {"torch._utils", "_rebuild_parameter", HOW_INNER, -1, -1, NULL},
    {"torch._utils", "_rebuild_parameter_with_state", HOW_INNER, -1, -1, NULL},
    {"torch._utils", "_rebuild_device_tensor_from_cpu_tensor", HOW_INNER, -1, -1, NULL},
    {"torch.nn.parameter", "Parameter", HOW_INNER, -1, -1, NULL},
    {"torch._tensor", "_rebuild_from_type_v2", HOW_BY, -1, -1, NULL},
    {"torch._utils", "_rebuild_qtensor", HOW_NOT, -1, -1, "it is quantised in PyTorch's own way"},
    {"torch._utils", "_rebuild_sparse_tensor", HOW_NOT, -1, -1, "it is sparse"},
    {"torch._utils", "_rebuild_sparse_csr_tensor", HOW_NOT, -1, -1, "it is sparse"},
    {"torch._utils", "_rebuild_nested_tensor", HOW_NOT, -1, -1, "it is nested: it has no shape"},
    {"torch._utils", "_rebuild_meta_tensor_no_storage", HOW_NOT, -1, -1, "it has a shape, but no values (device meta)"},
    {"torch._utils", "_rebuild_wrapper_subclass", HOW_NOT, -1, -1, "it is made by a class of somebody's program"},
    {"torch._utils", "_rebuild_device_tensor_from_numpy", HOW_NOT, -1, -1,
     "its values stand in the pickle, as those of NumPy do"},
};
enum { REBUILDERS = sizeof rebuilders / sizeof *rebuilders, NESTED = 8 };

static int rebuilder_of(const st_pickle *p, st_pnode callee)
{
    st_text module, name;
    if (!callee || st_pickle_kind(p, callee) != ST_P_GLOBAL) return -1;
    st_pickle_name(p, callee, &module, &name);
    for (int i = 0; i < REBUILDERS; i++)
        if (is(name, rebuilders[i].name) && is(module, rebuilders[i].module)) return i;
    return -1;
}

bool st_torch_is_tensor(const st_pickle *p, st_pnode n)
{
    return st_pickle_kind(p, n) == ST_P_CALL && rebuilder_of(p, st_pickle_callee(p, n)) >= 0;
}

/* The call that brings storage and sizes: below a parameter is a tensor. */
static bool innermost(const st_pickle *p, st_pnode n, int *row, st_pnode *args)
{
    for (int depth = 0; n && depth < NESTED; depth++) {
        *row = rebuilder_of(p, st_pickle_callee(p, n));
        *args = st_pickle_args(p, n);
        if (*row >= 0 && rebuilders[*row].how == HOW_BY) {
            *row = rebuilder_of(p, st_pickle_item(p, *args, 0));
            *args = st_pickle_item(p, *args, 2);
        }
        if (*row < 0 || !*args || rebuilders[*row].how == HOW_BY) return false;
        if (rebuilders[*row].how != HOW_INNER) return true;
        n = st_pickle_item(p, *args, 0);
        if (n && st_pickle_kind(p, n) != ST_P_CALL) return false;
    }
    return false;
}

static bool get_sizes(const st_pickle *p, st_pnode tuple, int ndim, int64_t *out)
{
    for (int d = 0; d < ndim; d++) {
        uint64_t v;
        if (!get_size(p, st_pickle_item(p, tuple, (size_t)d), &v)) return false;
        out[d] = (int64_t)v;
    }
    return true;
}

static bool is_row_major(int ndim, const int64_t *shape, const int64_t *strides)
{
    int64_t step = 1;
    for (int d = ndim; d-- > 0; step *= shape[d]) /* the number of elements is known to fit */
        if (shape[d] != 1 && strides[d] != step) return false;
    return true;
}

/* Where the last element is, in elements from the first; false on overflow. */
static bool reach(int ndim, const int64_t *shape, const int64_t *strides, uint64_t *last)
{
    *last = 0;
    for (int d = 0; d < ndim; d++) {
        uint64_t step;
        if (!st_mul_u64((uint64_t)shape[d] - 1, (uint64_t)strides[d], &step) || !st_add_u64(*last, step, last))
            return false;
    }
    return true;
}

static st_status place(const char *label, st_text tensor, uint64_t offset, unsigned width, st_torch_tensor *t,
                       st_err *err)
{
    uint64_t numel, last, start, end, have = t->storage.count * t->storage.width / width;
    char shape[160], strides[160];
    if (!st_shape_numel(t->ndim, t->shape, &numel) || numel > INT64_MAX / 16) {
        st_shape_text(shape, sizeof shape, t->ndim, t->shape);
        return bad("a shape of %s", shape);
    }
    if (numel == 0) {
        t->strides = NULL;
        return ST_OK;
    }
    bool fits = reach(t->ndim, t->shape, t->strides, &last) && st_add_u64(offset, last, &end) && end < have;
    if (!fits) {
        st_shape_text(shape, sizeof shape, t->ndim, t->shape);
        st_shape_text(strides, sizeof strides, t->ndim, t->strides);
        return bad("shape %s with strides %s from element %llu on leaves its storage of %llu elements", shape, strides,
                   (ull)offset, (ull)have);
    }
    start = t->storage.skip * t->storage.width + offset * width;
    t->offset = start;
    t->bytes = (last + 1) * width;
    if (is_row_major(t->ndim, t->shape, t->strides)) t->strides = NULL;
    return ST_OK;
}

/* Two F4 are one element of torch's. */
static void unpair(st_torch_tensor *t)
{
    if (t->why || t->dtype != ST_F4) return;
    if (t->ndim == 0 || t->strides) {
        t->why = "it is float4 without rows, or not contiguous";
        return;
    }
    t->shape[t->ndim - 1] *= 2; /* the number of elements leaves room */
}

static bool is_empty(const st_pickle *p, st_pnode n)
{
    return !n || st_pickle_kind(p, n) == ST_P_NONE || (st_pickle_kind(p, n) == ST_P_DICT && !st_pickle_count(p, n));
}

static st_status read_strided(const char *label, const st_pickle *p, int row, st_pnode args, st_text tensor,
                              int64_t *sizes, st_torch_tensor *t, st_err *err)
{
    st_pnode size = st_pickle_item(p, args, 2), stride = st_pickle_item(p, args, 3);
    uint64_t offset;
    bool ok = size && stride && st_pickle_kind(p, size) == ST_P_TUPLE && st_pickle_kind(p, stride) == ST_P_TUPLE;
    size_t ndim = ok ? st_pickle_count(p, size) : 0;
    if (!ok || st_pickle_count(p, stride) != ndim || !get_size(p, st_pickle_item(p, args, 1), &offset))
        return bad("its offset, sizes or strides are none");
    if (ndim > ST_MAX_DIMS)
        return st_fail_named(err, ST_LIMIT, label, tensor.ptr, tensor.len, "%zu dimensions: at most %d are supported",
                             ndim, ST_MAX_DIMS);
    ST_TRY(st_torch_storage_of(label, p, st_pickle_item(p, args, 0), tensor, &t->storage, err));
    t->ndim = (int)ndim;
    t->shape = sizes;
    t->strides = t->shape + ndim;
    if (!get_sizes(p, size, t->ndim, t->shape) || !get_sizes(p, stride, t->ndim, t->strides))
        return bad("a size or a stride is negative, or no whole number");

    int dtype = t->storage.dtype;
    unsigned width = t->storage.width;
    t->what = t->storage.type;
    if (rebuilders[row].dtype >= 0) {
        st_pnode d = st_pickle_item(p, args, (size_t)rebuilders[row].dtype);
        int i = d ? row_of(p, d, false) : -1;
        st_text module;
        if (!d || st_pickle_kind(p, d) != ST_P_GLOBAL) return bad("its dtype is none");
        st_pickle_name(p, d, &module, &t->what);
        dtype = i < 0 ? -1 : dtypes[i].is;
        width = i < 0 ? 1 : dtypes[i].width;
    }
    if (dtype < 0) {
        t->why = "is a dtype that safetensors has not";
        return ST_OK;
    }
    t->what = (st_text){"", 0};
    t->dtype = (st_dtype)dtype;
    if (rebuilders[row].metadata >= 0 && !is_empty(p, st_pickle_item(p, args, (size_t)rebuilders[row].metadata)))
        t->why = "it is to be conjugated or negated when it is used (tensor.resolve_conj(), resolve_neg())";
    ST_TRY(place(label, tensor, offset, width, t, err));
    unpair(t);
    return ST_OK;
}

st_status st_torch_tensor_of(const char *label, const st_pickle *p, st_pnode n, st_text tensor,
                             int64_t sizes[2 * ST_MAX_DIMS], st_torch_tensor *out, st_err *err)
{
    int row;
    st_pnode args;
    *out = (st_torch_tensor){0};
    if (!innermost(p, n, &row, &args)) return bad("the call that makes it is not one that PyTorch writes");
    out->why = rebuilders[row].why;
    if (out->why) return ST_OK;
    return read_strided(label, p, row, args, tensor, sizes, out, err);
}
