/* product.h - products of matrices whose inner size is small: made range by range where they are read. Layer: exec. */
#ifndef ST_PRODUCT_H
#define ST_PRODUCT_H

#include "tensor.h"

/* Makes a node that is a product of args[0] and args[1] one of these, if its inner size is small: then it is not
 * computed apart, but a leaf of the fused pass, which holds the two operands alone. False: left as it is. */
bool st_product_take(st_tensor *t);
/* What was taken; and, of these, what the fused pass makes by ranges: all that is not in memory already. */
bool st_is_product(const st_tensor *t);
bool st_is_ranged(const st_tensor *t);
/* What must be computed for an operand: what it is a view of, where that is no larger. */
st_tensor *st_product_operand(const st_tensor *t, int i);

/* The operands in memory, laid out for the kernels. */
typedef struct st_product st_product;
st_status st_product_new(st_ctx *ctx, const st_tensor *t, st_product **out, st_err *err);
void st_product_free(st_product *p);
uint64_t st_product_width(const st_product *p); /* elements of a row */
/* Elements [start, start + count) as registers of the node's class; the bits are those of the whole. */
void st_product_fill(const st_product *p, uint64_t start, uint64_t count, void *out);

#endif
