/* program.h - expressions compiled for the fused evaluator: a straight line of kernels that is run block by block, so
 * that intermediates stay in cache and no operation makes an array. Layer: exec; may include core and kern. */
#ifndef ST_PROGRAM_H
#define ST_PROGRAM_H

#include "context.h"
#include "tensor.h"

/* One result of a program: `t` as `dtype`, as st_cast would give it. */
typedef struct st_output {
    st_tensor *t;
    st_dtype dtype;
    bool saturate;
    bool may_be_raw; /* F32 of BF16: st_program_each may hand it out as it lies in memory or in the file */
} st_output;

typedef struct st_program st_program;

/* Compiles outputs of equal element counts into one program: what they share is read and computed once. What
 * must be in memory whole is computed here and now (within the context's memory). Keeps its own references. */
st_status st_program_new(st_ctx *ctx, const st_output *outs, size_t nouts, st_program **out, st_err *err);
void st_program_free(st_program *p);
/* Elements of a tile: as many as keep what one worker touches in its cache. */
uint64_t st_program_tile(const st_program *p);
/* Whether there are products of matrices in it (product.h), which come cheaper by whole tiles. */
bool st_program_has_products(const st_program *p);
/* Tells the sources that what lies `ahead` bytes beyond a range of elements is wanted soon. Files are read nearly in
 * order, so this runs on into the tensors that come next. */
void st_program_advise(const st_program *p, uint64_t start, uint64_t count, uint64_t ahead);

/* What one worker needs to run programs, kept from one to the next. A zeroed lane is valid. */
typedef struct st_lane {
    char *buf;
    size_t size;
    uint64_t program; /* the number of the one whose constants lie in it, */
    size_t block;     /* repeated as often as this */
} st_lane;
void st_lane_free(st_lane *l);

/* Computes elements [start, start + count), count at most a tile, of every output: outs[i] receives raw values of its
 * dtype. From any thread, each with its own lane. */
st_status st_program_run(const st_program *p, st_lane *lane, uint64_t start, uint64_t count, void *const *outs,
                         st_err *err);

/* The same without storing, for outputs whose dtype is their register class: `fn` is called for block after block,
 * which begin `at` elements behind `start`; blocks[i] is then output i. Blocks have a multiple of ST_FOLD_BLOCK
 * elements, or hold whole rows of `row` elements, or end where their row ends. */
/* Whether output i, which may be raw, is. */
bool st_program_is_raw(const st_program *p, size_t i);
typedef void (*st_block_fn)(void *arg, uint64_t at, size_t n);
st_status st_program_each(const st_program *p, st_lane *lane, uint64_t start, uint64_t count, uint64_t row,
                          const void **blocks, st_block_fn fn, void *arg, st_err *err);

#endif
