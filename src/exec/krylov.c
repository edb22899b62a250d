/* krylov.c - block Krylov subspaces of A'A: how the largest singular values are found. Layer: exec.
 *
 *   V0 = orth(random);   W = A'(A V), V joined by orth(W - V V'W), until the values of V'A'A V stand still
 *
 * This is Golub and Underwood's block Lanczos iteration (1977) with everything orthogonalised twice against all before
 * it. Among subspaces that as many products with A can make it is the best one; that of svd_lowrank keeps only its last
 * block. It matters where singular values fall slowly: half of a difference of BF16 weights is rounding noise.
 *
 * A is read once a step, for both products. All of one matrix runs on one thread, matrices side by side, so that bits
 * do not hang on the number of threads. */
#include "krylov.h"
#include "mem.h"

#include <math.h>
#include <string.h>

enum { C = ST_PANEL_COLS, FIRST_ROOM = 256 };

static st_status alloc(void *out, uint64_t count, size_t size, st_err *err)
{
    void **p = out;
    *p = st_calloc(count, size);
    return *p ? ST_OK : st_fail_nomem(err, count * size);
}

/* A larger array with the old one's columns. */
static st_status widen_array(void *array, size_t rows, size_t old, size_t cap, size_t size, st_err *err)
{
    char **p = array, *more;
    ST_TRY(alloc(&more, rows * cap, size, err));
    if (*p) memcpy(more, *p, rows * old * size);
    st_free(*p);
    *p = more;
    return ST_OK;
}

static st_status make_room(krylov *k, int need, st_err *err)
{
    if (need <= k->cap) return ST_OK;
    int cap = k->cap ? 2 * k->cap : FIRST_ROOM;
    if (cap < need) cap = need;
    if (cap > k->limit) cap = k->limit;
    size_t old = (size_t)k->columns, n = (size_t)cap;
    ST_TRY(widen_array(&k->v, (size_t)k->a->n, old, n, sizeof *k->v, err));
    ST_TRY(widen_array(&k->av, (size_t)k->a->m, old, n, sizeof *k->av, err));
    ST_TRY(widen_array(&k->c, (size_t)k->width, 0, n, sizeof *k->c, err));
    ST_TRY(widen_array(&k->values, 1, old, n, sizeof *k->values, err));
    ST_TRY(widen_array(&k->older, 1, old, n, sizeof *k->older, err));
    ST_TRY(widen_array(&k->eldest, 1, old, n, sizeof *k->eldest, err));
    double *t = k->t;
    k->t = NULL;
    st_status s = alloc(&k->t, n * n, sizeof *t, err);
    for (size_t j = 0; s == ST_OK && j < old; j++) memcpy(k->t + j * n, t + j * (size_t)k->cap, old * sizeof *t);
    st_free(t);
    k->cap = cap;
    return s;
}

/* As many columns a step as half of the rank: fewer steps with wider blocks would need more products, more steps with
 * narrower ones find equal singular values only by their differences. */
static int step_width(int64_t rank)
{
    int64_t width = (rank + 2 * C - 1) / (2 * C) * C;
    return width < KRYLOV_WIDTH ? (int)width : KRYLOV_WIDTH;
}

static st_status begin(krylov *k, st_err *err)
{
    int least = k->a->m < k->a->n ? k->a->m : k->a->n;
    k->width = step_width(k->goal->rank);
    if (least < k->a->n) least += k->width; /* the first columns may lie outside of what A sees */
    if (least > k->a->n) least = k->a->n;
    k->limit = (least + k->width - 1) / k->width * k->width;
    k->rate = 1;
    size_t n = (size_t)k->a->n, w = (size_t)k->width;
    ST_TRY(alloc(&k->w, n * w, sizeof(float), err));
    ST_TRY(alloc(&k->x, n * C, sizeof(float), err));
    ST_TRY(alloc(&k->z, n * C, sizeof(float), err));
    ST_TRY(alloc(&k->y, (size_t)k->a->padded * C, sizeof(float), err));
    ST_TRY(alloc(&k->wide, n * w, sizeof(double), err));
    ST_TRY(alloc(&k->wide2, n * w, sizeof(double), err));
    ST_TRY(alloc(&k->gram, w * w, sizeof(double), err));
    ST_TRY(alloc(&k->change, w * w, sizeof(double), err));
    ST_TRY(alloc(&k->before, w, sizeof(double), err));
    ST_TRY(alloc(&k->fresh, w, sizeof(bool), err));
    for (size_t i = 0; i < w; i++) k->fresh[i] = true; /* the first ones are random, too */
    return ST_OK;
}

static void drop(krylov *k)
{
    void *all[] = {k->v,     k->av,   k->w,      k->x,      k->y,     k->z,      k->c,     k->t,     k->wide,
                   k->wide2, k->gram, k->change, k->before, k->fresh, k->values, k->older, k->eldest};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) st_free(all[i]);
}

/* ---------------------------------------------------------------- a step */

/* rows x C row-major, from and to column-major. */
static void to_rows(float *to, const float *from, size_t rows)
{
    for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j < C; j++) to[i * C + j] = from[j * rows + i];
}

static void to_columns(float *to, const float *from, size_t rows)
{
    for (size_t j = 0; j < C; j++)
        for (size_t i = 0; i < rows; i++) to[j * rows + i] = from[i * C + j];
}

/* Columns of v from `first` on: A's products with them into av and A'A's into w. */
static st_status multiply(krylov *k, int first, st_err *err)
{
    size_t m = (size_t)k->a->m, n = (size_t)k->a->n;
    for (int j = 0; j < k->width; j += C) {
        to_rows(k->x, k->v + (size_t)(first + j) * n, n);
        memset(k->z, 0, n * C * sizeof *k->z);
        ST_TRY(k->a->apply(k->a, k->x, k->y, k->z, err));
        to_columns(k->av + (size_t)(first + j) * m, k->y, m);
        to_columns(k->w + (size_t)j * n, k->z, n);
    }
    return ST_OK;
}

static void remember_products(krylov *k, int first)
{
    for (int j = 0; j < k->width; j++)
        for (int i = 0; i < k->columns; i++)
            k->t[(size_t)(first + j) * (size_t)k->cap + (size_t)i] =
                (double)k->c[(size_t)j * (size_t)k->columns + (size_t)i];
}

/* w, made orthonormal, joins the basis; then w is what A'A makes of it, less what the basis holds. */
static st_status step(krylov *k, st_err *err)
{
    int first = k->columns;
    size_t n = (size_t)k->a->n;
    if (st_ctx_stopped(k->a->ctx)) return st_fail_cancelled(err);
    ST_TRY(make_room(k, first + k->width, err));
    krylov_orthonormalise(k);
    memcpy(k->v + (size_t)first * n, k->w, n * (size_t)k->width * sizeof *k->w);
    ST_TRY(multiply(k, first, err));
    k->columns += k->width;
    for (int j = 0; j < k->width; j++) {
        const float *w = k->w + (size_t)j * n;
        k->before[j] = 0;
        k->fresh[j] = false;
        for (size_t i = 0; i < n; i++) k->before[j] += (double)w[i] * (double)w[i];
    }
    krylov_project(k);
    remember_products(k, first);
    return ST_OK;
}

st_status krylov_factor(krylov_matrix *a, const st_lowrank_goal *goal, krylov_factors *out, st_err *err)
{
    krylov k = {.a = a, .goal = goal};
    st_status s = begin(&k, err);
    *out = (krylov_factors){0};
    for (int wait = 0; s == ST_OK;) {
        s = step(&k, err);
        if (s != ST_OK || k.columns >= k.limit) break;
        if (k.columns < goal->rank + k.width || --wait > 0) continue;
        s = krylov_is_done(&k, &wait, err);
        if (s == ST_OK && !wait) break;
    }
    if (s == ST_OK) s = krylov_finish(&k, out, err);
    drop(&k);
    if (s != ST_OK) krylov_factors_free(out);
    return s;
}

void krylov_factors_free(krylov_factors *f)
{
    st_free(f->left);
    st_free(f->right);
    st_free(f->s);
    *f = (krylov_factors){0};
}
