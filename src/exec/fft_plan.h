/* fft_plan.h - the discrete Fourier transform of one line, of any length, in F64. Layer: exec. */
#ifndef ST_FFT_PLAN_H
#define ST_FFT_PLAN_H

#include "status.h"

typedef struct fft_complex {
    double re, im;
} fft_complex;

static inline fft_complex fft_times(fft_complex a, fft_complex b)
{
    return (fft_complex){a.re * b.re - a.im * b.im, a.re * b.im + a.im * b.re};
}

/* What lines of one length have in common; it is only read by the transforms, so threads share it. */
typedef struct fft_plan fft_plan;
/* `what` and `name`, of an operation and a tensor, are for the message where memory does not suffice. */
st_status fft_plan_new(st_ctx *ctx, uint64_t n, const char *what, const char *name, fft_plan **out, st_err *err);
void fft_plan_free(fft_plan *p);
/* How many numbers `scratch` has room for. */
uint64_t fft_plan_scratch(const fft_plan *p);
/* exp(-pi i k / n) for k < 2 n. */
fft_complex fft_root(const fft_plan *p, uint64_t k);
/* out[k] = sum of in[j stride] exp(-2 pi i j k / n). Stops anywhere after a cancel. */
void fft_line(const fft_plan *p, const fft_complex *in, uint64_t stride, fft_complex *out, fft_complex *scratch);

#endif
