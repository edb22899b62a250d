/* reduce.h - reductions as nodes, and several of them in one pass. Layer: exec. */
#ifndef ST_REDUCE_H
#define ST_REDUCE_H

#include "tensor.h"

/* Holds every reduction that `roots` need, those over equally many elements in one pass; one that hangs on the result
 * of another comes in a later pass. */
st_status st_reduce_ahead(st_ctx *ctx, st_tensor *const *roots, size_t n, st_err *err);

/* `t` with the dimensions `dims` behind the others, which keep their order. order (may be NULL) receives the
 * permutation. */
st_status st_move_last(st_tensor *t, const int *dims, int ndims, int *order, st_tensor **out, st_err *err);

#endif
