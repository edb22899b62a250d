/* blas.c - OpenBLAS, loaded at its first use; the only file that knows its symbols. Layer: exec.
 *
 * They are the Fortran ones, which every BLAS with LAPACK has (LAPACKE is a package of its own). Arrays of either
 * precision are void * here, so that both routines of a pair have one type. A Fortran routine gets the length of each
 * character argument after all others. */
#include "blas.h"
#include "lazy.h"

typedef const int *in;
typedef const char *chr;

/* X(name without its letter, parameters) */
#define ROUTINES(X)                                                                                                    \
    X(gemm, (chr opa, chr opb, in m, in n, in k, const void *alpha, const void *a, in lda, const void *b, in ldb,      \
             const void *beta, void *c, in ldc, size_t, size_t))                                                       \
    X(gesdd, (chr job, in m, in n, void *a, in lda, void *s, void *u, in ldu, void *vt, in ldvt, void *work, in lwork, \
              int *iwork, int *info, size_t))                                                                          \
    X(gesvd, (chr jobu, chr jobvt, in m, in n, void *a, in lda, void *s, void *u, in ldu, void *vt, in ldvt,           \
              void *work, in lwork, int *info, size_t, size_t))                                                        \
    X(geqrf, (in m, in n, void *a, in lda, void *tau, void *work, in lwork, int *info))                                \
    X(gelqf, (in m, in n, void *a, in lda, void *tau, void *work, in lwork, int *info))                                \
    X(orgqr, (in m, in n, in k, void *a, in lda, const void *tau, void *work, in lwork, int *info))                    \
    X(orglq, (in m, in n, in k, void *a, in lda, const void *tau, void *work, in lwork, int *info))                    \
    X(syevd, (chr jobz, chr uplo, in n, void *a, in lda, void *w, void *work, in lwork, int *iwork, in liwork,         \
              int *info, size_t, size_t))                                                                              \
    X(potrf, (chr uplo, in n, void *a, in lda, int *info, size_t))                                                     \
    X(getrf, (in m, in n, void *a, in lda, int *pivots, int *info))                                                    \
    X(getri, (in n, void *a, in lda, const int *pivots, void *work, in lwork, int *info))                              \
    X(getrs, (chr trans, in n, in nrhs, const void *a, in lda, const int *pivots, void *b, in ldb, int *info, size_t))

#define DECLARE(name, parameters) \
    void s##name##_ parameters;   \
    void d##name##_ parameters;
ROUTINES(DECLARE)
void openblas_set_num_threads(int n);

#define BOTH(X, name, parameters) X(s##name##_) X(d##name##_)
#define POINTER(name, parameters) BOTH(ST_LAZY_POINTER, name, parameters)
#define SYMBOL(name, parameters) BOTH(ST_LAZY_NAME, name, parameters)
#define LIST_OF_ST_LAZY_POINTER ROUTINES(POINTER)
#define LIST_OF_ST_LAZY_NAME ROUTINES(SYMBOL)
#define OPENBLAS(X) LIST_OF_##X X(openblas_set_num_threads)
ST_LAZY(openblas, "OpenBLAS", "openblas", "0", "3", OPENBLAS);

#define CALL(name) (wide ? openblas_fn.d##name##_ : openblas_fn.s##name##_)

st_status blas_load(st_err *err)
{
    static _Atomic bool ready;
    if (ready) return ST_OK;
    ST_TRY(st_lazy_load(&openblas, err));
    openblas_fn.openblas_set_num_threads(1); /* twice does no harm */
    ready = true;
    return ST_OK;
}

void blas_gemm(bool wide, char opa, char opb, int m, int n, int k, const void *a, int lda, const void *b, int ldb,
               double beta, void *c, int ldc)
{
    const float one = 1, beta32 = (float)beta;
    const double one64 = 1;
    CALL(gemm)
    (&opa, &opb, &m, &n, &k, wide ? (const void *)&one64 : &one, a, &lda, b, &ldb, wide ? (const void *)&beta : &beta32,
     c, &ldc, 1, 1);
}

int lapack_gesdd(bool wide, char job, int m, int n, void *a, int lda, void *s, void *u, int ldu, void *vt, int ldvt,
                 void *work, int lwork, int *iwork)
{
    int info = 0;
    CALL(gesdd)(&job, &m, &n, a, &lda, s, u, &ldu, vt, &ldvt, work, &lwork, iwork, &info, 1);
    return info;
}

int lapack_gesvd(bool wide, char job, int m, int n, void *a, int lda, void *s, void *u, int ldu, void *vt, int ldvt,
                 void *work, int lwork)
{
    int info = 0;
    CALL(gesvd)(&job, &job, &m, &n, a, &lda, s, u, &ldu, vt, &ldvt, work, &lwork, &info, 1, 1);
    return info;
}

int lapack_geqrf(bool wide, int m, int n, void *a, int lda, void *tau, void *work, int lwork)
{
    int info = 0;
    CALL(geqrf)(&m, &n, a, &lda, tau, work, &lwork, &info);
    return info;
}

int lapack_orgqr(bool wide, int m, int n, int k, void *a, int lda, const void *tau, void *work, int lwork)
{
    int info = 0;
    CALL(orgqr)(&m, &n, &k, a, &lda, tau, work, &lwork, &info);
    return info;
}

int lapack_gelqf(bool wide, int m, int n, void *a, int lda, void *tau, void *work, int lwork)
{
    int info = 0;
    CALL(gelqf)(&m, &n, a, &lda, tau, work, &lwork, &info);
    return info;
}

int lapack_orglq(bool wide, int m, int n, int k, void *a, int lda, const void *tau, void *work, int lwork)
{
    int info = 0;
    CALL(orglq)(&m, &n, &k, a, &lda, tau, work, &lwork, &info);
    return info;
}

int lapack_syevd(bool wide, bool vectors, int n, void *a, int lda, void *w, void *work, int lwork, int *iwork,
                 int liwork)
{
    int info = 0;
    CALL(syevd)(vectors ? "V" : "N", "U", &n, a, &lda, w, work, &lwork, iwork, &liwork, &info, 1, 1);
    return info;
}

int lapack_potrf(bool wide, int n, void *a, int lda)
{
    int info = 0;
    CALL(potrf)("U", &n, a, &lda, &info, 1);
    return info;
}

int lapack_getrf(bool wide, int n, void *a, int lda, int *pivots)
{
    int info = 0;
    CALL(getrf)(&n, &n, a, &lda, pivots, &info);
    return info;
}

int lapack_getri(bool wide, int n, void *a, int lda, const int *pivots, void *work, int lwork)
{
    int info = 0;
    CALL(getri)(&n, a, &lda, pivots, work, &lwork, &info);
    return info;
}

int lapack_getrs_t(bool wide, int n, int columns, const void *a, int lda, const int *pivots, void *b, int ldb)
{
    int info = 0;
    CALL(getrs)("T", &n, &columns, a, &lda, pivots, b, &ldb, &info, 1);
    return info;
}
