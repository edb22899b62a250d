/* listed.c - tensors of files that are not safetensors: ranges of the file, or of a source that makes them. Layer:
 * model.
 */
#include "listed.h"
#include "decode.h"
#include "shape.h"
#include "strided.h"

#include <string.h>

enum { REPEATED = 16 }; /* times that elements are repeated, on an average, in what is no gathering but an expansion */

/* Bits as they are, and little memory, if the tensor is not far larger than what of the file it is made of. */
static st_status gathered(st_source *src, uint64_t offset, const st_listed *t, const char *quant, st_tensor **out,
                          st_err *err)
{
    st_source *own;
    ST_TRY(st_strided_open(src, offset, (st_dtype)t->dtype, t->ndim, t->shape, t->strides, &own, err));
    st_status s = st_tensor_range(own, 0, (st_dtype)t->dtype, t->ndim, t->shape, t->name, t->len, quant, out, err);
    st_source_unref(own);
    return s;
}

/* The elements from the first to the last, one behind the other, seen through the strides. */
static st_status expanded(st_source *src, uint64_t offset, const st_listed *t, const char *quant, st_tensor **out,
                          st_err *err)
{
    st_tensor *base;
    st_place p = {.ndim = t->ndim};
    int64_t span = (int64_t)(t->bytes * 8 / st_dtype_bits((st_dtype)t->dtype));
    ST_TRY(st_tensor_range(src, offset, (st_dtype)t->dtype, 1, &span, t->name, t->len, quant, &base, err));
    p.of = base;
    memcpy(p.shape, t->shape, t->ndim * sizeof *p.shape);
    memcpy(p.strides, t->strides, t->ndim * sizeof *p.strides);
    st_status s = st_view(base, &p, out, err);
    st_tensor_unref(base);
    return s;
}

static st_status range(st_source *src, uint64_t offset, const st_listed *t, const char *quant, st_tensor **out,
                       st_err *err)
{
    uint64_t numel, bytes;
    bool fits = st_shape_numel(t->ndim, t->shape, &numel) && st_dtype_bytes((st_dtype)t->dtype, numel, &bytes);
    if (t->strides && fits && bytes / REPEATED <= t->bytes) return gathered(src, offset, t, quant, out, err);
    if (t->strides) return expanded(src, offset, t, quant, out, err);
    return st_tensor_range(src, offset, (st_dtype)t->dtype, t->ndim, t->shape, t->name, t->len, quant, out, err);
}

st_status st_listed_tensor(st_source *src, const st_listed *t, const char *quant, st_tensor **out, st_err *err)
{
    st_source *decoded;
    if (t->coding == ST_CODED_NOT) return range(src, t->offset, t, quant, out, err);
    ST_TRY(st_decode_open(src, t, &decoded, err));
    st_status s = range(decoded, 0, t, quant, out, err);
    st_source_unref(decoded);
    return s;
}
