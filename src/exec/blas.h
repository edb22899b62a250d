/* blas.h - the routines of OpenBLAS that we use. Layer: exec.
 *
 * Matrices are column-major, as in Fortran; `wide` chooses between F32 and F64. Sizes have been checked by the caller:
 * on a wrong one these routines print a line and go on. Each LAPACK routine returns its info: 0, or > 0 for a matrix
 * that it cannot factor. With lwork = -1 it only writes the work space it wants, as a number of its own precision, to
 * `work`.
 *
 * Every call runs on the thread that makes it. */
#ifndef ST_BLAS_H
#define ST_BLAS_H

#include "status.h"

/* Loads OpenBLAS at the first use, and tells it, for the whole process, to start no threads: ours divide the work.
 * Before any of the routines below. */
st_status blas_load(st_err *err);
/* The most threads that may be inside OpenBLAS at a time: each takes one of its fixed number of buffers. */
enum { BLAS_THREADS = 48 };

/* C (m x n) = op(A) op(B) + beta C; op is 'N' or 'T', k the inner size. */
void blas_gemm(bool wide, char opa, char opb, int m, int n, int k, const void *a, int lda, const void *b, int ldb,
               double beta, void *c, int ldc);

/* job 'S', 'A' or 'N'; iwork has 8 min(m, n) entries. gesvd: the slower one that always converges, or nearly so. */
int lapack_gesdd(bool wide, char job, int m, int n, void *a, int lda, void *s, void *u, int ldu, void *vt, int ldvt,
                 void *work, int lwork, int *iwork);
int lapack_gesvd(bool wide, char job, int m, int n, void *a, int lda, void *s, void *u, int ldu, void *vt, int ldvt,
                 void *work, int lwork);
/* QR and LQ, and the orthogonal factor of each from its k reflectors. */
int lapack_geqrf(bool wide, int m, int n, void *a, int lda, void *tau, void *work, int lwork);
int lapack_orgqr(bool wide, int m, int n, int k, void *a, int lda, const void *tau, void *work, int lwork);
int lapack_gelqf(bool wide, int m, int n, void *a, int lda, void *tau, void *work, int lwork);
int lapack_orglq(bool wide, int m, int n, int k, void *a, int lda, const void *tau, void *work, int lwork);
/* Eigenvalues, ascending, and if wanted vectors, in `a`, of the symmetric matrix in the upper triangle of `a`. */
int lapack_syevd(bool wide, bool vectors, int n, void *a, int lda, void *w, void *work, int lwork, int *iwork,
                 int liwork);
/* The upper factor R of A = R'R. */
int lapack_potrf(bool wide, int n, void *a, int lda);
int lapack_getrf(bool wide, int n, void *a, int lda, int *pivots);
int lapack_getri(bool wide, int n, void *a, int lda, const int *pivots, void *work, int lwork);
/* Solves A'X = B from A's factors. */
int lapack_getrs_t(bool wide, int n, int columns, const void *a, int lda, const int *pivots, void *b, int ldb);

#endif
