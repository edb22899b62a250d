/* level_panel.c - the product x -> A'A x by panels of A, compiled once per SIMD level. Layer: kern.
 *
 * A panel is ST_PANEL_ROWS rows of A, packed column by column, and x has ST_PANEL_COLS columns: then a panel's part of
 * A x fills the registers of AVX2, and stays there while the panel, now in the cache, is read a second time for A'(A
 * x). The one kernel whose bits hang on the level: it is held to residuals, as all linear algebra is, and
 * multiplications and additions are fused where the processor can. */
#include "level.h"

enum { R = ST_PANEL_ROWS, C = ST_PANEL_COLS };

#if defined(__FMA__) && defined(__AVX2__)
#include <immintrin.h>

enum { AHEAD = 512 }; /* floats of A, fetched while these are worked on */

#define ROWS(X) X(0) X(1) X(2) X(3) X(4) X(5)
#define ZERO(i) __m256 l##i = _mm256_setzero_ps(), h##i = l##i;
#define LOAD(i) __m256 l##i = _mm256_loadu_ps(y + C * i), h##i = _mm256_loadu_ps(y + C * i + 8);
#define STORE(i)                       \
    _mm256_storeu_ps(y + C * i, l##i); \
    _mm256_storeu_ps(y + C * i + 8, h##i);
#define GATHER(i)                              \
    {                                          \
        __m256 s = _mm256_broadcast_ss(a + i); \
        l##i = _mm256_fmadd_ps(s, low, l##i);  \
        h##i = _mm256_fmadd_ps(s, high, h##i); \
    }
#define SCATTER(i)                             \
    {                                          \
        __m256 s = _mm256_broadcast_ss(a + i); \
        low = _mm256_fmadd_ps(s, l##i, low);   \
        high = _mm256_fmadd_ps(s, h##i, high); \
    }

static void times(const float *a, size_t n, const float *x, float *y)
{
    ROWS(ZERO)
    for (size_t k = 0; k < n; k++, a += R, x += C) {
        __m256 low = _mm256_loadu_ps(x), high = _mm256_loadu_ps(x + 8);
        _mm_prefetch((const char *)(a + AHEAD), _MM_HINT_T0);
        ROWS(GATHER)
    }
    ROWS(STORE)
}

static void times_transposed(const float *a, size_t n, const float *y, float *z)
{
    ROWS(LOAD)
    for (size_t k = 0; k < n; k++, a += R, z += C) {
        __m256 low = _mm256_loadu_ps(z), high = _mm256_loadu_ps(z + 8);
        ROWS(SCATTER)
        _mm256_storeu_ps(z, low);
        _mm256_storeu_ps(z + 8, high);
    }
}

#else

static void times(const float *a, size_t n, const float *x, float *y)
{
    for (int i = 0; i < R * C; i++) y[i] = 0;
    for (size_t k = 0; k < n; k++, a += R, x += C)
        for (int i = 0; i < R; i++)
            for (int j = 0; j < C; j++) y[C * i + j] += a[i] * x[j];
}

static void times_transposed(const float *a, size_t n, const float *y, float *z)
{
    for (size_t k = 0; k < n; k++, a += R, z += C)
        for (int i = 0; i < R; i++)
            for (int j = 0; j < C; j++) z[j] += a[i] * y[C * i + j];
}

#endif

static void panel(const float *a, size_t n, const float *x, float *z, float *y)
{
    times(a, n, x, y);
    times_transposed(a, n, y, z);
}

const st_panel_fn ST_LEVELED(st_kern_panel) = panel;
