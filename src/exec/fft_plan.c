/* fft_plan.c - the discrete Fourier transform of one line. Layer: exec.
 *
 * A length is split into factors of 4, 2, 3, 5, 7, 11 and 13, by which the line is divided in time (Cooley and Tukey,
 * 1965), and a rest, whose transforms are convolutions with a chirp (Bluestein, 1970), carried out by transforms of a
 * length without a rest. Roots of unity come from the library's own sine and cosine, the same on every processor. */
#include "fft_plan.h"
#include "context.h"
#include "kern.h"
#include "mem.h"

#include <string.h>

enum {
    MAX_FACTORS = 64,
    LARGEST = 13,        /* factor */
    ALL_ROOTS = 1 << 16, /* up to this many each root has an entry of its own */
    LONG = 1 << 15,      /* lines of this length look for a cancel */
};

/* Roots of the order 2 n: high[k >> shift] low[k & mask], so that a long line needs no table of its own length. */
typedef struct roots {
    fft_complex *low, *high;
    unsigned shift;
    uint64_t mask;
} roots;

struct fft_plan {
    st_ctx *ctx;
    uint64_t n, rest; /* rest: what no factor divides */
    unsigned factors;
    unsigned char factor[MAX_FACTORS];
    roots roots;
    fft_plan *convolve;            /* of a length of at least 2 rest - 1, where rest > 1 */
    fft_complex *chirp, *spectrum; /* exp(-pi i j j / rest); the transform of its conjugate, over the length */
};

/* ---------------------------------------------------------------- roots of unity */

/* The sine (cosine) of pi / 2 times a / n, a <= n / 2. */
static double wave(st_op op, uint64_t a, uint64_t n)
{
    double x = 1.57079632679489661923 * ((double)a / (double)n), y;
    st_kern()->op[op][ST_R_F64](&y, (const void *const[3]){&x, NULL, NULL}, 1);
    return y;
}

/* exp(-2 pi i k / n), n even: turned into the first half of the first quadrant, where it is most precise. */
static fft_complex root_of_unity(uint64_t k, uint64_t n)
{
    bool below = 2 * k > n, left, steep;
    if (below) k = n - k;
    left = 4 * k > n;
    if (left) k = n / 2 - k;
    uint64_t a = 4 * k;
    steep = 2 * a > n;
    if (steep) a = n - a;
    double c = wave(ST_OP_COS, a, n), s = wave(ST_OP_SIN, a, n);
    double re = steep ? s : c, im = steep ? c : s;
    return (fft_complex){left ? -re : re, below ? im : -im};
}

static st_status make_roots(roots *r, uint64_t order, st_err *err)
{
    r->shift = 1;
    while (order > ALL_ROOTS ? 1ull << 2 * r->shift < order : 1ull << r->shift < order) r->shift++;
    r->mask = (1ull << r->shift) - 1;
    uint64_t low = order > r->mask ? r->mask + 1 : order, high = ((order - 1) >> r->shift) + 1;
    uint64_t bytes = (low + high) * sizeof *r->low;
    r->low = st_malloc(bytes);
    if (!r->low) return st_fail_nomem(err, bytes);
    r->high = r->low + low;
    for (uint64_t i = 0; i < low; i++) r->low[i] = root_of_unity(i, order);
    for (uint64_t i = 0; i < high; i++) r->high[i] = root_of_unity(i << r->shift, order);
    return ST_OK;
}

fft_complex fft_root(const fft_plan *p, uint64_t k)
{
    const roots *r = &p->roots;
    fft_complex low = r->low[k & r->mask];
    return k <= r->mask ? low : fft_times(r->high[k >> r->shift], low);
}

/* ---------------------------------------------------------------- plans */

/* What remains of n without the factors; those are written to `factor`, which may be NULL. */
static uint64_t split(uint64_t n, unsigned char *factor, unsigned *count)
{
    static const unsigned char primes[] = {4, 2, 3, 5, 7, 11, LARGEST};
    *count = 0;
    for (unsigned i = 0; i < sizeof primes; i++)
        for (; n % primes[i] == 0; n /= primes[i], ++*count)
            if (factor) factor[*count] = primes[i];
    return n;
}

/* The chirp and its transform. */
static st_status make_chirp(fft_plan *p, const char *what, const char *name, st_err *err)
{
    unsigned count;
    uint64_t l = p->rest, m = 2 * l - 1;
    while (split(m, NULL, &count) > 1) m++;
    uint64_t bytes = (l + 2 * m) * sizeof *p->chirp;
    if (bytes > st_ctx_memory(p->ctx))
        return st_fail(err, ST_LIMIT, NULL, name,
                       "%s over %llu elements, which have the factor %llu, needs %llu bytes; the limit is %llu (raise "
                       "it with --memory)",
                       what, (unsigned long long)p->n, (unsigned long long)l, (unsigned long long)bytes,
                       (unsigned long long)st_ctx_memory(p->ctx));
    ST_TRY(fft_plan_new(p->ctx, m, what, name, &p->convolve, err));
    p->chirp = st_malloc(bytes);
    if (!p->chirp) return st_fail_nomem(err, bytes);
    fft_complex *line = p->chirp + l + m;
    p->spectrum = p->chirp + l;
    memset(line, 0, m * sizeof *line);
    uint64_t square = 0; /* j j mod 2 l */
    for (uint64_t j = 0; j < l; j++) {
        fft_complex c = fft_root(p, square * (p->n / l));
        p->chirp[j] = c;
        line[j] = line[j ? m - j : 0] = (fft_complex){c.re / (double)m, -c.im / (double)m};
        square = (square + 2 * j + 1) % (2 * l);
    }
    fft_line(p->convolve, line, 1, p->spectrum, NULL);
    return ST_OK;
}

st_status fft_plan_new(st_ctx *ctx, uint64_t n, const char *what, const char *name, fft_plan **out, st_err *err)
{
    fft_plan *p = *out = st_calloc(1, sizeof *p);
    if (!p) return st_fail_nomem(err, sizeof *p);
    p->ctx = ctx;
    p->n = n;
    p->rest = split(n, p->factor, &p->factors);
    st_status s = make_roots(&p->roots, 2 * n, err);
    if (s == ST_OK && p->rest > 1) s = make_chirp(p, what, name, err);
    if (s == ST_OK) return ST_OK;
    fft_plan_free(p);
    *out = NULL;
    return s;
}

void fft_plan_free(fft_plan *p)
{
    if (!p) return;
    fft_plan_free(p->convolve);
    st_free(p->roots.low);
    st_free(p->chirp);
    st_free(p);
}

uint64_t fft_plan_scratch(const fft_plan *p) { return p->convolve ? 2 * p->convolve->n : 0; }

/* ---------------------------------------------------------------- transforms */

static fft_complex add(fft_complex a, fft_complex b) { return (fft_complex){a.re + b.re, a.im + b.im}; }
static fft_complex sub(fft_complex a, fft_complex b) { return (fft_complex){a.re - b.re, a.im - b.im}; }

static void transform_2(fft_complex *x)
{
    fft_complex a = x[0];
    x[0] = add(a, x[1]);
    x[1] = sub(a, x[1]);
}

static void transform_4(fft_complex *x)
{
    fft_complex a = add(x[0], x[2]), b = sub(x[0], x[2]), c = add(x[1], x[3]), d = sub(x[1], x[3]);
    x[0] = add(a, c);
    x[1] = (fft_complex){b.re + d.im, b.im - d.re};
    x[2] = sub(a, c);
    x[3] = (fft_complex){b.re - d.im, b.im + d.re};
}

/* Of an odd length r: x[q] and x[r - q] share their cosines, and their sines but for the sign. w: its roots. */
static void transform_odd(fft_complex *x, unsigned r, const fft_complex *w)
{
    fft_complex even[LARGEST / 2 + 1], odd[LARGEST / 2 + 1], first = x[0];
    for (unsigned q = 1; q <= r / 2; q++) {
        even[q] = add(x[q], x[r - q]);
        odd[q] = sub(x[q], x[r - q]);
        x[0] = add(x[0], even[q]);
    }
    for (unsigned k = 1; k <= r / 2; k++) {
        fft_complex c = first, s = {0, 0};
        for (unsigned q = 1, t = k; q <= r / 2; q++, t = (t + k) % r) {
            c.re += w[t].re * even[q].re;
            c.im += w[t].re * even[q].im;
            s.re -= w[t].im * odd[q].im;
            s.im += w[t].im * odd[q].re;
        }
        x[k] = add(c, s);
        x[r - k] = sub(c, s);
    }
}

/* Joins r transforms of length m, one behind the other, to one of length r m. */
static void join(const fft_plan *p, fft_complex *out, unsigned r, uint64_t m)
{
    fft_complex x[LARGEST], w[LARGEST];
    uint64_t unit = 2 * p->n / (r * m); /* the root of order r m, among all */
    for (unsigned q = 0; q < r; q++) w[q] = fft_root(p, q * m * unit);
    for (uint64_t k = 0; k < m; k++) {
        x[0] = out[k];
        for (unsigned q = 1; q < r; q++) x[q] = k ? fft_times(out[k + q * m], fft_root(p, q * k * unit)) : out[q * m];
        if (r == 4)
            transform_4(x);
        else if (r == 2)
            transform_2(x);
        else
            transform_odd(x, r, w);
        for (unsigned q = 0; q < r; q++) out[k + q * m] = x[q];
    }
}

/* The rest, by Bluestein: jk = (jj + kk - (k - j)(k - j)) / 2. The inverse transform is the forward one, read
 * backwards. */
static void convolve(const fft_plan *p, const fft_complex *in, uint64_t stride, fft_complex *out, fft_complex *scratch)
{
    uint64_t l = p->rest, m = p->convolve->n;
    fft_complex *a = scratch, *b = scratch + m;
    for (uint64_t j = 0; j < l; j++) a[j] = fft_times(in[j * stride], p->chirp[j]);
    memset(a + l, 0, (m - l) * sizeof *a);
    fft_line(p->convolve, a, 1, b, NULL);
    for (uint64_t j = 0; j < m; j++) b[j] = fft_times(b[j], p->spectrum[j]);
    fft_line(p->convolve, b, 1, a, NULL);
    for (uint64_t k = 0; k < l; k++) out[k] = fft_times(a[k ? m - k : 0], p->chirp[k]);
}

static void transform(const fft_plan *p, unsigned level, uint64_t n, const fft_complex *in, uint64_t stride,
                      fft_complex *out, fft_complex *scratch)
{
    if (n >= LONG && st_ctx_stopped(p->ctx)) return;
    if (n == p->rest) {
        if (n == 1)
            *out = *in;
        else
            convolve(p, in, stride, out, scratch);
        return;
    }
    unsigned r = p->factor[level];
    uint64_t m = n / r;
    for (unsigned q = 0; q < r; q++)
        if (m == 1)
            out[q] = in[q * stride];
        else
            transform(p, level + 1, m, in + q * stride, stride * r, out + q * m, scratch);
    join(p, out, r, m);
}

void fft_line(const fft_plan *p, const fft_complex *in, uint64_t stride, fft_complex *out, fft_complex *scratch)
{
    transform(p, 0, p->n, in, stride, out, scratch);
}
