/* krylov_orth.c - keeping a Krylov basis orthonormal: everything by large products, sums in F64. Layer: exec. */
#include "krylov.h"

#include <math.h>
#include <string.h>

/* Columns of F32 that lose more than this of their squares are left with rounding errors. */
static const double NOISE = 1e-11;

void krylov_project(krylov *k)
{
    int n = k->a->n, held = k->columns;
    size_t count = (size_t)held * (size_t)k->width;
    if (!held) return;
    blas_gemm(false, 'T', 'N', held, k->width, n, k->v, n, k->w, n, 0, k->c, held);
    for (size_t i = 0; i < count; i++) k->c[i] = -k->c[i];
    blas_gemm(false, 'N', 'N', n, k->width, held, k->v, n, k->c, held, 1, k->w, n);
    for (size_t i = 0; i < count; i++) k->c[i] = -k->c[i];
}

/* change: makes n columns orthonormal whose inner products are in gram; columns that are made of the others, or have
 * less than `least` of what they had before, become zeros. dropped[] says which. */
static void orthogonal_change(int n, const double *gram, const double *before, double least, double *change,
                              bool *dropped)
{
    double r[KRYLOV_WIDTH * KRYLOV_WIDTH]; /* the upper factor of the Gram matrix of columns of length 1 */
    memset(change, 0, (size_t)n * (size_t)n * sizeof *change);
    for (int i = 0; i < n; i++) {
        double length = gram[i * n + i], left = 1, *m = change + i * n;
        dropped[i] = !(length > least * before[i]) || !(length > 0);
        double scale = dropped[i] ? 0 : 1 / sqrt(length);
        for (int j = 0; j < i && !dropped[i]; j++) {
            if (dropped[j]) continue;
            double sum = 0; /* q_j' a_i, q_j = sum of change[j] a */
            for (int p = 0; p <= j; p++) sum += change[j * n + p] * gram[i * n + p];
            r[j * n + i] = sum * scale;
            left -= r[j * n + i] * r[j * n + i];
        }
        if (!dropped[i] && !(left > NOISE * 10)) dropped[i] = true;
        if (dropped[i]) continue;
        double d = 1 / sqrt(left);
        m[i] = scale * d;
        for (int j = 0; j < i; j++)
            for (int p = 0; p <= j && !dropped[j]; p++) m[p] -= r[j * n + i] * d * change[j * n + p];
    }
}

/* w times `change`, in F64. */
static void apply_change(krylov *k)
{
    int n = k->a->n, l = k->width;
    blas_gemm(true, 'N', 'N', n, l, l, k->wide, n, k->change, l, 0, k->wide2, n);
    for (size_t i = 0; i < (size_t)n * (size_t)l; i++) k->w[i] = (float)k->wide2[i];
}

static void orthonormalise_columns(krylov *k, double least)
{
    int n = k->a->n, l = k->width;
    bool dropped[KRYLOV_WIDTH];
    for (size_t i = 0; i < (size_t)n * (size_t)l; i++) k->wide[i] = (double)k->w[i];
    blas_gemm(true, 'T', 'N', l, l, n, k->wide, n, k->wide, n, 0, k->gram, l);
    orthogonal_change(l, k->gram, k->before, least, k->change, dropped);
    apply_change(k);
    for (int j = 0; j < l; j++) k->fresh[j] = dropped[j];
}

/* Random columns of length 1, about, where there was nothing left: else equal singular values would be found only as
 * often as a step has columns. */
static bool fill_fresh(krylov *k)
{
    bool any = false;
    size_t n = (size_t)k->a->n;
    float scale = 1 / sqrtf((float)n);
    for (int j = 0; j < k->width; j++) {
        if (!k->fresh[j]) continue;
        any = true;
        const st_random_key key = {.seed = k->goal->seed, .stream = k->stream++};
        float *w = k->w + (size_t)j * n;
        st_kern()->generate[ST_G_NORMAL_F32](w, &key, 0, n);
        for (size_t i = 0; i < n; i++) w[i] *= scale;
    }
    return any;
}

void krylov_orthonormalise(krylov *k)
{
    double largest = 0;
    for (int j = 0; j < k->width; j++) largest = fmax(largest, k->before[j]);
    for (int j = 0; j < k->width; j++) k->before[j] = largest;
    if (k->columns) orthonormalise_columns(k, NOISE);
    bool random = fill_fresh(k);
    for (int j = 0; j < k->width; j++) k->before[j] = 1;
    krylov_project(k);
    orthonormalise_columns(k, 1e-6);
    if (!random) return;
    krylov_project(k); /* what was random lost much: once more */
    orthonormalise_columns(k, 0.01);
}
