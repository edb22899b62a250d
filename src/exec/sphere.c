/* sphere.c - the mean of directions on the sphere, from their inner products alone. Layer: exec.
 *
 * The mean stays in the span of the directions: it is a coefficient for each, and lengths and angles follow from the
 * inner products (Karcher, "Riemannian center of mass and mollifier smoothing", 1977; steps of the gradient). */
#include "mem.h"
#include "tensor.h"

#include <math.h>
#include <string.h>

enum { P_STEPS };

typedef struct mean {
    size_t n;
    const double *g; /* inner products */
    double *c, *towards, *share;
} mean;

static double inner(const mean *m, const double *a, const double *b)
{
    double sum = 0;
    for (size_t i = 0; i < m->n; i++)
        for (size_t j = 0; j < m->n; j++) sum += a[i] * b[j] * m->g[i * m->n + j];
    return sum;
}

/* The middle of those that count, made one long; where they cancel each other, the first. */
static void begin(mean *m, double tol)
{
    double length = sqrt(fmax(inner(m, m->share, m->share), 0));
    for (size_t i = 0; i < m->n; i++) m->c[i] = length < tol ? 0 : m->share[i] / length;
    for (size_t i = 0; length < tol && i < m->n; i++)
        if (m->share[i] > 0) {
            m->c[i] = 1;
            break;
        }
}

/* One step; false where the mean is reached. */
static bool step(mean *m, double tol)
{
    double along = 0;
    for (size_t i = 0; i < m->n; i++) {
        double cosine = 0;
        for (size_t j = 0; j < m->n; j++) cosine += m->c[j] * m->g[i * m->n + j];
        cosine = fmax(-1, fmin(1, cosine));
        double angle = acos(cosine);
        m->towards[i] = angle < tol ? 0 : m->share[i] * angle / sin(angle);
        along += m->towards[i] * cosine;
    }
    for (size_t i = 0; i < m->n; i++) m->towards[i] -= along * m->c[i];
    double length = sqrt(fmax(inner(m, m->towards, m->towards), 0));
    if (!(length >= tol)) return false;
    for (size_t i = 0; i < m->n; i++) m->c[i] = cos(length) * m->c[i] + sin(length) / length * m->towards[i];
    double size = sqrt(inner(m, m->c, m->c));
    for (size_t i = 0; i < m->n; i++) m->c[i] /= size;
    return true;
}

static st_status compute_mean(st_ctx *ctx, const st_tensor *t, void *out, st_err *err)
{
    size_t n = (size_t)t->numel, bytes = (n * n + 2 * n) * sizeof(double);
    double *g = st_malloc(bytes);
    if (!g) return st_fail_nomem(err, bytes);
    mean m = {.n = n, .g = g, .c = out, .towards = g + n * n, .share = g + n * n + n};
    st_status s = st_export(ctx, t->args[0], 0, n * n, ST_F64, g, err);
    if (s == ST_OK) s = st_export(ctx, t->args[1], 0, n, ST_F64, m.share, err);
    if (s == ST_OK) begin(&m, t->real[0]);
    for (int64_t i = 0; s == ST_OK && i < t->param[P_STEPS] && step(&m, t->real[0]); i++) {
    }
    st_free(g);
    return s;
}

static const st_whole whole_mean = {"the mean on the sphere", compute_mean};

st_status st_sphere_mean(st_tensor *products, st_tensor *shares, int64_t steps, double tol, st_tensor **out,
                         st_err *err)
{
    *out = NULL;
    ST_TRY(st_check_computable(products, "sphere_mean", err));
    ST_TRY(st_check_computable(shares, "sphere_mean", err));
    int64_t n = shares->ndim == 1 ? shares->shape[0] : -1;
    if (products->ndim != 2 || n < 1 || products->shape[0] != n || products->shape[1] != n)
        return st_fail(err, ST_SHAPE, NULL, shares->name,
                       "sphere_mean: inner products are a square matrix, with as many shares as it has rows");
    ST_TRY(st_node_new(ST_N_WHOLE, ST_F64, 1, &n, 2, (st_tensor *[]){products, shares}, out, err));
    (*out)->whole = &whole_mean;
    (*out)->param[P_STEPS] = steps;
    (*out)->real[0] = tol;
    return ST_OK;
}
