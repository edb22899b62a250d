/* narrow.h - floats of 8 and 16 bits as formulas on the bits of an F32, free of branches so that loops of them
 * vectorise. Layer: kern.
 *
 * A format is its mantissa bits, its exponent bias and three codes: `top`, the largest finite value; `over`, what lies
 * beyond; `nan`. Called with constants, everything folds.
 *
 *   format      man bias  top     over              nan     largest
 *   F16          10   15  0x7bff  0x7c00 infinity   0x7e00  65504
 *   F8_E5M2       2   15  0x7b    0x7c infinity     0x7f    57344
 *   F8_E4M3       3    7  0x7e    0x7e the largest  0x7f    448      torch 2.13 saturates here, infinity included
 *   F8_E4M3FNUZ   3    8  0x7f    0x80 NaN          0x80    240      no negative zero: its code is the NaN
 *   F8_E5M2FNUZ   2   16  0x7f    0x80 NaN          0x80    57344
 */
#ifndef ST_NARROW_H
#define ST_NARROW_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

static inline int32_t st_bits_of(float x)
{
    int32_t u;
    memcpy(&u, &x, sizeof u);
    return u;
}

static inline float st_float_of(int32_t u)
{
    float x;
    memcpy(&x, &u, sizeof x);
    return x;
}

enum { ST_F32_INF = 0x7f800000, ST_F32_MAG = 0x7fffffff, ST_F32_QUIET = 0x400000 };

/* The code of an F32, rounded to nearest even. All in signed 32-bit numbers: SSE2 has no unsigned comparison. */
static inline int32_t st_narrow_bits(int32_t u, int man, int bias, int32_t top, int32_t over, int32_t nan)
{
    const int drop = 23 - man;
    const bool fnuz = over == nan;
    const int32_t least_normal = (128 - bias) << 23;
    /* One ulp of `magic` is the smallest subnormal: adding it makes the processor round to a multiple of that. */
    const int32_t magic = (127 + 24 - bias - man) << 23;

    int32_t mag = u & ST_F32_MAG;
    int32_t sub = st_bits_of(st_float_of(mag) + st_float_of(magic)) - magic;
    int32_t odd = (mag >> drop) & 1;
    int32_t norm = (mag - (least_normal - (1 << 23)) + ((1 << (drop - 1)) - 1) + odd) >> drop;
    norm = norm > top ? over : norm;
    int32_t code = mag < least_normal ? sub : norm;
    int32_t sign = (int32_t)((uint32_t)u >> (31 - (man == 10 ? 15 : 7))) & (man == 10 ? 0x8000 : 0x80);
    if (fnuz) sign &= -(code != 0);
    return mag > ST_F32_INF ? nan : code | sign;
}

/* The F32 of a code. `inf` is the code of infinity, 0 where there is none; NaNs of formats with infinities keep their
 * payload and turn quiet, as the processor's own conversion does. */
static inline float st_widen(int32_t code, int man, int bias, int32_t inf, int32_t nan)
{
    const int32_t sign_bit = man == 10 ? 0x8000 : 0x80;
    const int up = 23 - man;
    const float step = st_float_of((127 + 1 - bias - man) << 23); /* the smallest subnormal */

    int32_t mag = code & (sign_bit - 1);
    int32_t sign = (int32_t)((uint32_t)(code & sign_bit) << (man == 10 ? 16 : 24));
    int32_t norm = (mag << up) + ((127 - bias) << 23);
    int32_t sub = st_bits_of((float)mag * step);
    int32_t u = (mag < (1 << man) ? sub : norm) | sign;
    if (inf) { /* exponent all ones */
        int32_t special = sign | ST_F32_INF | (mag << up & 0x7fffff) | (mag > inf ? ST_F32_QUIET : 0);
        u = mag >= inf ? special : u;
    } else if (nan == 0x80) {
        u = code == nan ? ST_F32_INF | ST_F32_QUIET : u;
    } else {
        u = mag == nan ? sign | ST_F32_INF | ST_F32_QUIET : u;
    }
    return st_float_of(u);
}

static inline int32_t st_f16_of(float x) { return st_narrow_bits(st_bits_of(x), 10, 15, 0x7bff, 0x7c00, 0x7e00); }
static inline int32_t st_e5m2_of(float x) { return st_narrow_bits(st_bits_of(x), 2, 15, 0x7b, 0x7c, 0x7f); }
static inline int32_t st_e4m3_of(float x) { return st_narrow_bits(st_bits_of(x), 3, 7, 0x7e, 0x7e, 0x7f); }
static inline int32_t st_e4m3fnuz_of(float x) { return st_narrow_bits(st_bits_of(x), 3, 8, 0x7f, 0x80, 0x80); }
static inline int32_t st_e5m2fnuz_of(float x) { return st_narrow_bits(st_bits_of(x), 2, 16, 0x7f, 0x80, 0x80); }

static inline float st_of_f16(int32_t c) { return st_widen(c, 10, 15, 0x7c00, 0); }
static inline float st_of_e5m2(int32_t c) { return st_widen(c, 2, 15, 0x7c, 0); }
static inline float st_of_e4m3(int32_t c) { return st_widen(c, 3, 7, 0, 0x7f); }
static inline float st_of_e4m3fnuz(int32_t c) { return st_widen(c, 3, 8, 0, 0x80); }
static inline float st_of_e5m2fnuz(int32_t c) { return st_widen(c, 2, 16, 0, 0x80); }

/* BF16 is the upper half of an F32. Rounding is in integers: the processor's own vcvtneps2bf16 flushes subnormals. */
static inline int32_t st_bf16_of(float x)
{
    uint32_t u = (uint32_t)st_bits_of(x);
    uint32_t r = (u + 0x7fff + (u >> 16 & 1)) >> 16;
    return (int32_t)(u & ST_F32_MAG) > ST_F32_INF ? 0x7fc0 : (int32_t)r;
}
static inline float st_of_bf16(int32_t c) { return st_float_of((int32_t)((uint32_t)c << 16)); }

#endif
