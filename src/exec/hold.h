/* hold.h - values kept in memory: what is computed apart from the fused pass, and for how long. Layer: exec. */
#ifndef ST_HOLD_H
#define ST_HOLD_H

#include "tensor.h"

/* The dtype of values kept in memory: a leaf's own; of computed tensors the one that is exactly their register class.
 */
st_dtype st_held_dtype(const st_tensor *t);
/* Values in memory (numel elements of st_held_dtype), or NULL when there are none yet. */
const void *st_held(const st_tensor *t);
/* Makes st_held give values: reads a range, computes an expression. LIMIT when the context's memory is too small. */
st_status st_hold(st_ctx *ctx, st_tensor *t, st_err *err);
/* The same for several nodes that `compute` knows how to compute together: outs[i] receives numel registers of
 * nodes[i]. */
typedef st_status (*st_together_fn)(st_ctx *ctx, st_tensor *const *nodes, void *const *outs, size_t n, st_err *err);
st_status st_hold_group(st_ctx *ctx, st_tensor *const *nodes, size_t n, st_together_fn compute, st_err *err);

/* Tensors of files that are in memory for a while. A zeroed one is valid; the block serves one use after another, and
 * is st_free'd by who owns it. */
typedef struct st_held_files {
    st_tensor **list;
    size_t n;
    char *block;
    uint64_t size;
} st_held_files;
/* Reads the tensors of files below `roots` into memory if that takes no more than `most` bytes, for work that needs
 * them several times. After a failure, too, st_drop_files is called before the block goes. */
st_status st_hold_files(st_ctx *ctx, st_tensor *const *roots, size_t n, uint64_t most, st_held_files *h, st_err *err);
void st_drop_files(st_held_files *h);

/* A plan pins what its outputs need whole, once per use, and unpins it use by use: values are then dropped after the
 * last one, so that memory does not grow with the model. Values that were there before are left alone. Under the
 * context's lock. *need tells whether there is anything to unpin, and whether it is worth all threads. Without memory
 * st_unpin does nothing: values are then kept longer. */
typedef enum st_need {
    ST_NEED_NOTHING,
    ST_NEED_FACTORS, /* little work, for the operands of products that the fused pass makes */
    ST_NEED_APART,
} st_need;
st_status st_pin(st_tensor *root, st_need *need, st_err *err);
void st_unpin(st_tensor *root);

#endif
