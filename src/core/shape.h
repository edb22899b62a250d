/* shape.h - sizes, strides and products, all checked. Layer: core. */
#ifndef ST_SHAPE_H
#define ST_SHAPE_H

#include "status.h"

/* a * b and a + b; false on overflow. */
static inline bool st_mul_u64(uint64_t a, uint64_t b, uint64_t *out) { return !__builtin_mul_overflow(a, b, out); }
static inline bool st_add_u64(uint64_t a, uint64_t b, uint64_t *out) { return !__builtin_add_overflow(a, b, out); }

/* Product of the dims, left to right; an overflow met before a zero counts, as in the reference library. */
bool st_shape_numel(int ndim, const int64_t *shape, uint64_t *numel);
/* Bytes of `numel` elements; false on overflow or when they do not end on a byte. */
bool st_dtype_bytes(st_dtype d, uint64_t numel, uint64_t *bytes);
bool st_shape_equal(int na, const int64_t *a, int nb, const int64_t *b);
/* NumPy's broadcast of two shapes; SHAPE with both in the message. */
st_status st_shape_broadcast(int na, const int64_t *a, int nb, const int64_t *b, int *nout, int64_t out[ST_MAX_DIMS],
                             st_err *err);
/* "[2, 3]" into dst; long shapes are cut. */
void st_shape_text(char *dst, size_t cap, int ndim, const int64_t *shape);

#endif
