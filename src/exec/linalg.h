/* linalg.h - what the operations of linear algebra share. Layer: exec.
 *
 * Each is one node that is computed whole; several results are views of one hidden node that holds them one after the
 * other. Matrices are row-major here and column-major in LAPACK: what it is given is the transpose, and what it gives
 * back is read as one, so that nothing is moved. A matrix whose transpose is the result is stored as it is and seen
 * through a view. */
#ifndef ST_LINALG_H
#define ST_LINALG_H

#include "blas.h"
#include "context.h"
#include "tensor.h"

/* Refuses operands that are not matrices (or stacks of them: the last two dimensions count) of floats; *dtype becomes
 * their common dtype. */
st_status linalg_check(const char *what, st_tensor *const *args, int n, int min_dims, st_dtype *dtype, st_err *err);
/* Decompositions are not defined for floats of 16 or 8 bits in torch; here they give F32. */
static inline st_dtype linalg_factor_dtype(st_dtype d) { return d == ST_F64 ? ST_F64 : ST_F32; }

/* One result: the dimensions of the stack in front of rows x cols (cols < 0: vectors; rows < 0: numbers). With
 * `transposed` the hidden node holds the transpose, cols x rows. */
typedef struct linalg_part {
    int64_t rows, cols;
    bool transposed;
} linalg_part;
/* The hidden node and its results, of dtype `dtype`, for the stack of matrices args[0]. */
st_status linalg_results(const st_whole *whole, st_dtype dtype, st_tensor *const *args, int nargs,
                         const int64_t *params, int nparams, const linalg_part *parts, int nparts, st_tensor **outs,
                         st_err *err);

/* Rows, columns and number of matrices of a tensor with at least two dimensions. */
typedef struct linalg_dims {
    int m, n, k; /* k: the smaller of the two */
    uint64_t count;
} linalg_dims;
linalg_dims linalg_dims_of(const st_tensor *t);

/* Work space, within the context's memory: LIMIT says what for. */
st_status linalg_alloc(st_ctx *ctx, const char *what, const st_tensor *t, uint64_t count, size_t size, void **out,
                       st_err *err);
/* Values [start, start + count) in F32, or F64; refuses NaN and infinities. */
st_status linalg_load(st_ctx *ctx, const char *what, st_tensor *t, bool wide, uint64_t start, uint64_t count, void *out,
                      st_err *err);
/* Refuses NaN and infinities among `count` values of a tensor. */
st_status linalg_check_finite(const char *what, const st_tensor *t, bool wide, const void *values, uint64_t count,
                              st_err *err);
/* A failure that names the tensor: the first one with a name below `t`. */
st_status linalg_fail(st_err *err, st_status code, const st_tensor *t, const char *fmt, ...) ST_PRINTF(4, 5);

/* ---------------------------------------------------------------- the frame of decompositions
 * The operand is loaded whole, then each matrix of the stack is one task for a worker. */

/* Work space of a worker; it grows to what the routine asked for. */
typedef struct linalg_scratch {
    void *work;
    int *ints; /* 8 k + 1 */
    size_t work_size;
    bool again; /* set by `one`: the operand is to be loaded anew, for `again` */
} linalg_scratch;

typedef struct linalg_job linalg_job;
typedef st_status (*linalg_one)(const linalg_job *j, uint64_t i, linalg_scratch *w, st_err *err);
struct linalg_job {
    st_ctx *ctx;
    const char *what;
    const st_tensor *t; /* the hidden node */
    bool wide;
    size_t width;
    linalg_dims d; /* of its operand */
    char *a;       /* the operand's matrices, which may be overwritten */
    char *out;
    bool filled;           /* out holds something already */
    linalg_one one, again; /* computes matrix i; touches nothing but j and w, for a cancel may leave it behind */
    _Atomic uint64_t next;
};

linalg_job linalg_job_of(st_ctx *ctx, const st_tensor *t, void *out);
/* Runs `one` over the stack. With `in_place` the operand is loaded into the result. */
st_status linalg_run(linalg_job *j, bool in_place, st_err *err);
uint64_t linalg_matrix_size(const linalg_job *j);
void *linalg_matrix(const linalg_job *j, uint64_t i);
/* Makes room for LAPACK's answer to lwork = -1, a number of its precision, and gives it as a count. */
st_status linalg_reserve(const linalg_job *j, linalg_scratch *w, const void *answer, int *lwork, st_err *err);
/* What an info other than 0 means: `why`, or a defect of ours. */
st_status linalg_fail_info(const linalg_job *j, int info, const char *why, st_err *err);

/* Numbers of either precision. */
static inline double linalg_get(bool wide, const void *v, uint64_t i)
{
    return wide ? ((const double *)v)[i] : (double)((const float *)v)[i];
}
static inline void linalg_put(bool wide, void *v, uint64_t i, double x)
{
    if (wide)
        ((double *)v)[i] = x;
    else
        ((float *)v)[i] = (float)x;
}
/* The rule for signs: in each of the first k columns of u (m x stride) the entry of largest magnitude, the first of
 * equal ones, becomes positive; rows of vh (each n) go with them. vh may be NULL. */
void linalg_fix_signs(bool wide, void *u, uint64_t m, uint64_t stride, void *vh, uint64_t n, uint64_t k);

#endif
