/* krylov.h - the best factors of low rank of a matrix that is only multiplied with. Layer: exec. */
#ifndef ST_KRYLOV_H
#define ST_KRYLOV_H

#include "blas.h"
#include "context.h"
#include "kern.h"

typedef struct krylov_matrix krylov_matrix;
/* y = A x and z = A'y, for x and z (n x 16) and y (rows_padded x 16), all row-major; z is zeros before. */
typedef st_status (*krylov_apply)(krylov_matrix *a, const float *x, float *y, float *z, st_err *err);
struct krylov_matrix {
    st_ctx *ctx;
    int m, n;
    int padded;   /* rows of y that apply writes, at least m */
    double total; /* sum of A's squares */
    krylov_apply apply;
};

/* A' = right left' about: left = A right (m x rank), right orthonormal (n x rank), both column-major; s their lengths,
 * descending. All st_malloc'ed. */
typedef struct krylov_factors {
    int rank;
    float *left, *right;
    double *s;
    double retained; /* sum of the squares of s */
    double captured; /* of A's squares, those that the whole subspace holds */
    double ahead;    /* how much more the best factors may retain, as an estimate */
    int columns;     /* of the subspace */
} krylov_factors;

/* The rank is the goal's for the values that were found. */
st_status krylov_factor(krylov_matrix *a, const st_lowrank_goal *goal, krylov_factors *out, st_err *err);
void krylov_factors_free(krylov_factors *f);

/* ---------------------------------------------------------------- its parts */

enum { KRYLOV_WIDTH = 64 }; /* columns that a step adds, at most */

/* The basis and what is known of A on it. */
typedef struct krylov {
    krylov_matrix *a;
    const st_lowrank_goal *goal;
    int width;                       /* columns that each step adds */
    int columns, cap;                /* of the basis, and room for them */
    int limit;                       /* as many as A can have singular values, up to a whole step */
    float *v, *av;                   /* basis (n x cap) and A's products with it (m x cap), column-major */
    float *w;                        /* the next columns (n x width) */
    float *x, *y, *z;                /* for apply */
    float *c;                        /* cap x width */
    double *t;                       /* v'A'A v: of cap x cap, column-major, the upper triangle */
    double *wide, *wide2;            /* n x width */
    double *gram, *change;           /* width x width */
    double *before;                  /* width: squares of w's columns before something was taken off them */
    bool *fresh;                     /* width: columns that were replaced by random ones */
    double *values, *older, *eldest; /* eigenvalues of t, descending, now and one and two steps ago */
    int nvalues, nolder, neldest;
    double rate;     /* of the last gain to the one before */
    uint64_t stream; /* of random numbers: the next one */
} krylov;

/* Makes w orthonormal and orthogonal to v; what cannot be, for the space is used up, becomes zeros. */
void krylov_orthonormalise(krylov *k);
/* w -= v (v'w); the coefficients are left in c. */
void krylov_project(krylov *k);
/* Eigenvalues, ascending, of the upper triangle of `a` (n x n, lda); with `vectors` those take its place. */
st_status krylov_eigen(int n, double *a, int lda, bool vectors, double *values, st_err *err);
/* Whether the values at hold are good enough; *wait becomes the number of steps to take before asking again. */
st_status krylov_is_done(krylov *k, int *wait, st_err *err);
/* The rank that the goal asks for, of values of A'A in descending order. */
int krylov_rank(const krylov *k, const double *values, int n);
st_status krylov_finish(krylov *k, krylov_factors *out, st_err *err);

#endif
