/* fft.c - discrete Fourier transforms of tensors, in F64. Layer: exec.
 *
 * Complex numbers are a last dimension of 2. A transform of real numbers takes two nodes: rows that become complex, or
 * real again, and complex lines along the other dimensions. Each line is worked on alone, so that the bits do not
 * depend on the number of threads. */
#include "fft_plan.h"
#include "mem.h"
#include "rows.h"
#include "shape.h"

#include <string.h>

enum { P_KIND, P_DIMS, P_LENGTH };
enum { COLUMNS = 8 }; /* lines that are fetched at a time: their neighbours share cache lines */

static const char *const names[] = {"fftn", "ifftn", "rfftn", "irfftn"};

static const char *name_of(const st_tensor *t) { return names[t->param[P_KIND]]; }

/* ---------------------------------------------------------------- rows of real numbers */

typedef struct row_job {
    st_rows rows;
    fft_plan *plan; /* of n / 2 elements where n is even: two real numbers are taken for a complex one */
    uint64_t n, half;
    double scale;
} row_job;

/* From the transform of x[2j] + i x[2j+1], Z, to that of x, X: E = (Z[k] + Z*[h-k]) / 2 and O = (Z[k] - Z*[h-k]) / 2i
 * are the transforms of the two, X[k] = E + w O, X[h-k] = (E - w O)*, with w = exp(-pi i k / h). */
static void unfold(const row_job *j, fft_complex *x)
{
    uint64_t h = j->half;
    double scale = j->scale / 2;
    x[h] = x[0];
    for (uint64_t k = 0; k <= h / 2; k++) {
        fft_complex a = x[k], b = x[h - k], e = {a.re + b.re, a.im - b.im}, o = {a.im + b.im, b.re - a.re};
        o = fft_times(o, fft_root(j->plan, k));
        x[k] = (fft_complex){(e.re + o.re) * scale, (e.im + o.im) * scale};
        x[h - k] = (fft_complex){(e.re - o.re) * scale, (o.im - e.im) * scale};
    }
}

/* The way back: Z[k] = E + i O, twice as large. */
static void fold(const row_job *j, fft_complex *x)
{
    uint64_t h = j->half;
    x[0].im = x[h].im = 0;
    for (uint64_t k = 0; k <= h / 2; k++) {
        fft_complex a = x[k], b = x[h - k], e = {a.re + b.re, a.im - b.im}, o = {a.re - b.re, a.im + b.im};
        fft_complex w = fft_root(j->plan, k);
        o = fft_times(o, (fft_complex){w.re, -w.im});
        x[k] = (fft_complex){e.re - o.im, e.im + o.re};
        x[h - k] = (fft_complex){e.re + o.im, o.re - e.im};
    }
}

static st_status row_to_complex(const st_rows *rows, void *const in[2], void *scratch, uint64_t r, st_err *err)
{
    const row_job *j = rows->arg;
    fft_complex *out = (fft_complex *)rows->out + r * (j->half + 1), *line = scratch, *spectrum = line + j->n;
    const double *x = in[0];
    (void)err;
    if (j->n % 2 == 0) {
        fft_line(j->plan, in[0], 1, out, scratch);
        unfold(j, out);
        return ST_OK;
    }
    for (uint64_t i = 0; i < j->n; i++) line[i] = (fft_complex){x[i] * j->scale, 0};
    fft_line(j->plan, line, 1, spectrum, spectrum + j->n);
    memcpy(out, spectrum, (j->half + 1) * sizeof *out);
    return ST_OK;
}

/* The inverse transform is the forward one, read backwards. */
static st_status row_to_real(const st_rows *rows, void *const in[2], void *scratch, uint64_t r, st_err *err)
{
    const row_job *j = rows->arg;
    fft_complex *x = in[0], *line = scratch;
    double *out = (double *)rows->out + r * j->n;
    uint64_t h = j->half, n = j->n;
    (void)err;
    if (n % 2 == 0) {
        fold(j, x);
        fft_line(j->plan, x, 1, line, line + h);
        for (uint64_t i = 0; i < h; i++) {
            fft_complex z = line[i ? h - i : 0];
            out[2 * i] = z.re * j->scale;
            out[2 * i + 1] = z.im * j->scale;
        }
        return ST_OK;
    }
    line[0] = (fft_complex){x[0].re, 0};
    for (uint64_t k = 1; k <= h; k++) {
        line[k] = x[k];
        line[n - k] = (fft_complex){x[k].re, -x[k].im};
    }
    fft_line(j->plan, line, 1, line + n, line + 2 * n);
    for (uint64_t i = 0; i < n; i++) out[i] = line[n + (i ? n - i : 0)].re * j->scale;
    return ST_OK;
}

static st_status compute_rows(st_ctx *ctx, const st_tensor *t, void *out, st_err *err)
{
    bool back = t->param[P_KIND] == ST_FFT_TO_REAL;
    uint64_t n = (uint64_t)t->param[P_LENGTH];
    row_job j = {.n = n, .half = n / 2, .scale = t->real[0]};
    ST_TRY(fft_plan_new(ctx, n % 2 ? n : n / 2, name_of(t), t->args[0]->name, &j.plan, err));
    uint64_t row = back ? 2 * (j.half + 1) : n, lines = n % 2 ? 2 * n : back ? j.half : 0;
    j.rows = (st_rows){.arg = &j,
                       .rows = t->args[0]->numel / row,
                       .in = {t->args[0]},
                       .as = {ST_F64},
                       .row = {row},
                       .scratch = (lines + fft_plan_scratch(j.plan)) * sizeof(fft_complex),
                       .fn = back ? row_to_real : row_to_complex,
                       .out = out};
    st_status s = st_each_row(ctx, &j.rows, name_of(t), err);
    fft_plan_free(j.plan);
    return s;
}

/* ---------------------------------------------------------------- lines of complex numbers */

typedef struct line_job {
    st_ctx *ctx;
    fft_plan *plan;
    fft_complex *values; /* outer x n x inner */
    uint64_t n, inner, blocks, tasks;
    bool back;
    double scale;
    size_t scratch; /* bytes */
    _Atomic uint64_t next;
} line_job;

static void one_block(const line_job *j, uint64_t task, fft_complex *buf)
{
    uint64_t first = task % j->blocks * COLUMNS, w = j->inner - first < COLUMNS ? j->inner - first : COLUMNS;
    fft_complex *at = j->values + task / j->blocks * j->n * j->inner + first, *line = buf + j->n * w;
    for (uint64_t i = 0; i < j->n; i++) memcpy(buf + i * w, at + i * j->inner, w * sizeof *buf);
    for (uint64_t c = 0; c < w; c++) {
        fft_line(j->plan, buf + c, w, line, line + j->n);
        for (uint64_t i = 0; i < j->n; i++) {
            fft_complex z = line[j->back && i ? j->n - i : i];
            buf[i * w + c] = (fft_complex){z.re * j->scale, z.im * j->scale};
        }
    }
    for (uint64_t i = 0; i < j->n; i++) memcpy(at + i * j->inner, buf + i * w, w * sizeof *buf);
}

static st_status line_worker(void *arg, unsigned worker, st_err *err)
{
    line_job *j = arg;
    fft_complex *buf = st_malloc(j->scratch);
    (void)worker;
    if (!buf) return st_fail_nomem(err, j->scratch);
    for (uint64_t task; !st_ctx_stopped(j->ctx) && (task = j->next++) < j->tasks;) one_block(j, task, buf);
    st_free(buf);
    return ST_OK;
}

/* All lines along one dimension, in place. */
static st_status transform_dim(st_ctx *ctx, const st_tensor *t, int dim, double scale, void *values, st_err *err)
{
    line_job j = {.ctx = ctx, .values = values, .n = (uint64_t)t->shape[dim], .inner = 1, .scale = scale};
    for (int d = dim + 1; d < t->ndim - 1; d++) j.inner *= (uint64_t)t->shape[d];
    j.back = t->param[P_KIND] == ST_FFT_INVERSE || t->param[P_KIND] == ST_FFT_TO_REAL;
    j.blocks = (j.inner + COLUMNS - 1) / COLUMNS;
    j.tasks = t->numel / 2 / (j.n * j.inner) * j.blocks;
    ST_TRY(fft_plan_new(ctx, j.n, name_of(t), t->args[0]->name, &j.plan, err));
    uint64_t wide = j.inner < COLUMNS ? j.inner : COLUMNS, workers = st_ctx_threads(ctx);
    j.scratch = ((wide + 1) * j.n + fft_plan_scratch(j.plan)) * sizeof *j.values;
    if (workers > st_ctx_memory(ctx) / j.scratch) workers = st_ctx_memory(ctx) / j.scratch;
    if (workers > j.tasks) workers = j.tasks;
    st_status s = workers ? st_ctx_run(ctx, (unsigned)workers, line_worker, &j, err)
                          : st_fail(err, ST_LIMIT, NULL, t->args[0]->name,
                                    "%s works on lines in memory; one takes %llu bytes here, the limit is %llu (raise "
                                    "it with --memory)",
                                    name_of(t), (unsigned long long)j.scratch, (unsigned long long)st_ctx_memory(ctx));
    fft_plan_free(j.plan);
    return s;
}

static st_status compute_lines(st_ctx *ctx, const st_tensor *t, void *out, st_err *err)
{
    double scale = t->real[0];
    int last = t->ndim - 2 - (int)t->param[P_LENGTH]; /* dimensions before the pairs that are not transformed */
    ST_TRY(st_export(ctx, t->args[0], 0, t->numel, ST_F64, out, err));
    for (int d = last; d > last - t->param[P_DIMS]; d--) {
        ST_TRY(transform_dim(ctx, t, d, scale, out, err));
        scale = 1;
    }
    return ST_OK;
}

/* ---------------------------------------------------------------- nodes */

static const st_whole whole_rows = {"Fourier transform of rows", compute_rows},
                      whole_lines = {"Fourier transform of lines", compute_lines};

static st_status rows_node(st_fft_kind kind, st_tensor *t, int64_t n, double scale, st_tensor **out, st_err *err)
{
    int64_t shape[ST_MAX_DIMS];
    int ndim = kind == ST_FFT_REAL ? t->ndim + 1 : t->ndim - 1;
    if (ndim > ST_MAX_DIMS)
        return st_fail(err, ST_SHAPE, st_tensor_file(t), t->name, "rfftn: the result has %d dimensions, at most %d",
                       ndim, ST_MAX_DIMS);
    memcpy(shape, t->shape, (size_t)(ndim < t->ndim ? ndim : t->ndim) * sizeof *shape);
    if (kind == ST_FFT_REAL) {
        shape[ndim - 2] = n / 2 + 1;
        shape[ndim - 1] = 2;
    } else
        shape[ndim - 1] = n;
    ST_TRY(st_node_new(ST_N_WHOLE, ST_F64, ndim, shape, 1, &t, out, err));
    (*out)->whole = &whole_rows;
    (*out)->param[P_KIND] = kind;
    (*out)->param[P_LENGTH] = n;
    (*out)->real[0] = scale;
    return ST_OK;
}

/* Complex lines along `dims` dimensions that lie before `behind` others. */
static st_status lines_node(st_fft_kind kind, st_tensor *t, int dims, int behind, double scale, st_tensor **out,
                            st_err *err)
{
    if (dims == 0) return *out = st_tensor_ref(t), ST_OK;
    ST_TRY(st_node_new(ST_N_WHOLE, ST_F64, t->ndim, t->shape, 1, &t, out, err));
    (*out)->whole = &whole_lines;
    (*out)->param[P_KIND] = kind;
    (*out)->param[P_DIMS] = dims;
    (*out)->param[P_LENGTH] = behind;
    (*out)->real[0] = scale;
    return ST_OK;
}

static st_status check(st_fft_kind kind, const st_tensor *t, int dims, int64_t n, st_err *err)
{
    const char *file = st_tensor_file(t), *who = names[kind];
    int pairs = kind != ST_FFT_REAL, ndim = t->ndim - pairs;
    ST_TRY(st_check_computable(t, who, err));
    if (pairs && (ndim < 0 || t->shape[ndim] != 2))
        return st_fail(err, ST_SHAPE, file, t->name,
                       "%s: complex numbers are pairs along a last dimension of 2; the last one here has %lld", who,
                       t->ndim ? (long long)t->shape[t->ndim - 1] : 1);
    if (dims < 1 || dims > ndim)
        return st_fail(err, ST_SHAPE, file, t->name, "%s over %d dimensions of a tensor with %d%s", who, dims, ndim,
                       pairs ? " besides the pairs" : "");
    for (int d = ndim - dims; d < ndim; d++)
        if (t->shape[d] < 1)
            return st_fail(err, ST_SHAPE, file, t->name, "%s over dimension %d, which has no elements", who, d + 1);
    if (kind == ST_FFT_TO_REAL && (n < 1 || n / 2 + 1 != t->shape[ndim - 1]))
        return st_fail(err, ST_SHAPE, file, t->name,
                       "%s to %lld elements needs %lld pairs along the last dimension, there are %lld", who,
                       (long long)n, n < 1 ? 1 : (long long)(n / 2 + 1), (long long)t->shape[ndim - 1]);
    return ST_OK;
}

st_status st_fft(st_fft_kind kind, st_tensor *t, int dims, int64_t n, double scale, st_tensor **out, st_err *err)
{
    st_tensor *inner = NULL, *whole = NULL;
    *out = NULL;
    ST_TRY(check(kind, t, dims, n, err));
    st_status s;
    if (kind == ST_FFT_REAL) {
        s = rows_node(kind, t, t->shape[t->ndim - 1], scale, &inner, err);
        if (s == ST_OK) s = lines_node(kind, inner, dims - 1, 1, 1, &whole, err);
    } else if (kind == ST_FFT_TO_REAL) {
        s = lines_node(kind, t, dims - 1, 1, 1, &inner, err);
        if (s == ST_OK) s = rows_node(kind, inner, n, scale, &whole, err);
    } else
        s = lines_node(kind, t, dims, 0, scale, &whole, err);
    if (s == ST_OK) s = st_cast(whole, t->dtype == ST_F64 ? ST_F64 : ST_F32, false, out, err);
    st_tensor_unref(inner);
    st_tensor_unref(whole);
    return s;
}
