/* random.c - tensors of random numbers. Layer: exec. Only their names and keys are here; kern makes the numbers. */
#include "tensor.h"

#include <xxhash.h>

static st_status new_random(st_gen gen, st_dtype dtype, int ndim, const int64_t *shape, const st_seed *seed,
                            st_tensor **out, st_err *err)
{
    ST_TRY(st_node_new(ST_N_RANDOM, dtype, ndim, shape, 0, NULL, out, err));
    (*out)->gen = gen;
    (*out)->key.seed = seed->seed;
    (*out)->key.stream = seed->name ? XXH64(seed->name, seed->name_len, 0) : seed->stream;
    return ST_OK;
}

static st_status new_float(const char *what, st_gen narrow, st_gen wide, st_dtype dtype, int ndim, const int64_t *shape,
                           const st_seed *seed, st_tensor **out, st_err *err)
{
    *out = NULL;
    if (!st_dtype_is_float(dtype))
        return st_fail(err, ST_DTYPE, NULL, NULL, "%s: random numbers of dtype %s: give a float dtype, or use randint",
                       what, st_dtype_name(dtype));
    return new_random(dtype == ST_F64 ? wide : narrow, dtype, ndim, shape, seed, out, err);
}

st_status st_rand(st_dtype dtype, int ndim, const int64_t *shape, const st_seed *seed, st_tensor **out, st_err *err)
{
    return new_float("rand", ST_G_UNIFORM_F32, ST_G_UNIFORM_F64, dtype, ndim, shape, seed, out, err);
}

st_status st_randn(st_dtype dtype, int ndim, const int64_t *shape, const st_seed *seed, st_tensor **out, st_err *err)
{
    return new_float("randn", ST_G_NORMAL_F32, ST_G_NORMAL_F64, dtype, ndim, shape, seed, out, err);
}

/* Whether an integer is a value of an integer dtype of the I64 class. */
static bool fits(st_dtype d, int64_t v)
{
    unsigned bits = st_dtype_bits(d);
    if (st_dtype_kind(d) == ST_KIND_UINT) return v >= 0 && (bits >= 64 || (uint64_t)v >> bits == 0);
    int64_t most = (int64_t)(UINT64_MAX >> (65 - bits));
    return v >= -most - 1 && v <= most;
}

st_status st_randint(st_dtype dtype, int ndim, const int64_t *shape, int64_t low, int64_t high, const st_seed *seed,
                     st_tensor **out, st_err *err)
{
    *out = NULL;
    if (st_dtype_reg(dtype) != ST_R_I64)
        return st_fail(err, ST_DTYPE, NULL, NULL,
                       "randint: %s is not a signed or small integer dtype: make I64 and cast", st_dtype_name(dtype));
    if (low >= high)
        return st_fail(err, ST_ARG, NULL, NULL, "randint: there is no integer from %lld up to, not including, %lld",
                       (long long)low, (long long)high);
    if (!fits(dtype, low) || !fits(dtype, high - 1))
        return st_fail(err, ST_ARG, NULL, NULL, "randint: %lld to %lld do not fit %s", (long long)low,
                       (long long)(high - 1), st_dtype_name(dtype));
    ST_TRY(new_random(ST_G_INTEGER, dtype, ndim, shape, seed, out, err));
    (*out)->key.low = low;
    (*out)->key.span = (uint64_t)high - (uint64_t)low;
    return ST_OK;
}

st_status st_chance(double p, int ndim, const int64_t *shape, const st_seed *seed, st_tensor **out, st_err *err)
{
    *out = NULL;
    if (!(p >= 0 && p <= 1)) return st_fail(err, ST_ARG, NULL, NULL, "a probability of %g is not in 0 to 1", p);
    ST_TRY(new_random(ST_G_CHANCE, ST_BOOL, ndim, shape, seed, out, err));
    (*out)->key.span = (uint64_t)(p * 0x1p32 + 0.5);
    return ST_OK;
}
