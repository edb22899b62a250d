/* dequant.c - values of ggml's quantised blocks as F32. Layer: kern. One variant for all processors: reading the blocks
 * takes longer.
 *
 * A block is `d`, and in some types a minimum, as F16, and small integers. Products are taken in the order of ggml's
 * own code, so that the bits are the same.
 *
 *   Q4_0  d, 16 bytes of nibbles: the lower ones are elements 0 to 15, the upper ones 16 to 31; less 8
 *   Q4_1  d, minimum, nibbles
 *   Q5_0  d, a fifth bit for each element, nibbles; less 16        Q5_1  d, minimum, fifth bits, nibbles
 *   Q8_0  d, 32 signed bytes
 *   Q4_K  d, dmin, scales and minimums of 8 sub-blocks in 12 bytes, nibbles      Q5_K  fifth bits before the nibbles
 *   Q6_K  256 nibbles, 256 pairs of upper bits, 16 signed scales, d; less 32 */
#include "kern.h"
#include "narrow.h"

static float half(const unsigned char *p) { return st_of_f16(p[0] | p[1] << 8); }

static void q8_0(const unsigned char *b, float *y)
{
    const float d = half(b);
    for (int i = 0; i < 32; i++) y[i] = (float)(int8_t)b[2 + i] * d;
}

static void q4_0(const unsigned char *b, float *y)
{
    const float d = half(b);
    for (int i = 0; i < 16; i++) {
        y[i] = d * (float)((b[2 + i] & 15) - 8);
        y[i + 16] = d * (float)((b[2 + i] >> 4) - 8);
    }
}

static void q4_1(const unsigned char *b, float *y)
{
    const float d = half(b), m = half(b + 2);
    for (int i = 0; i < 16; i++) {
        y[i] = d * (float)(b[4 + i] & 15) + m;
        y[i + 16] = d * (float)(b[4 + i] >> 4) + m;
    }
}

static uint32_t le32(const unsigned char *p)
{
    return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

/* Element i of 32: its nibble and its fifth bit. */
static int five(const unsigned char *nibbles, uint32_t fifth, int i)
{
    return (i < 16 ? nibbles[i] & 15 : nibbles[i - 16] >> 4) | (int)(fifth >> i & 1) << 4;
}

static void q5_0(const unsigned char *b, float *y)
{
    const float d = half(b);
    const uint32_t fifth = le32(b + 2);
    for (int i = 0; i < 32; i++) y[i] = d * (float)(five(b + 6, fifth, i) - 16);
}

static void q5_1(const unsigned char *b, float *y)
{
    const float d = half(b), m = half(b + 2);
    const uint32_t fifth = le32(b + 4);
    for (int i = 0; i < 32; i++) y[i] = d * (float)five(b + 8, fifth, i) + m;
}

/* Scale and minimum of sub-block j: six bits each. Those of the last four lie in the upper bits of the first ones. */
static void scale_min(const unsigned char *s, int j, float *scale, float *min)
{
    int sc = j < 4 ? s[j] & 63 : (s[j + 4] & 15) | (s[j - 4] >> 6) << 4;
    int m = j < 4 ? s[j + 4] & 63 : s[j + 4] >> 4 | (s[j] >> 6) << 4;
    *scale = (float)sc;
    *min = (float)m;
}

/* `fifth` is NULL, or holds bit j of byte i for element i of sub-block j. */
static void sub_blocks(const unsigned char *b, const unsigned char *fifth, const unsigned char *nibbles, float *y)
{
    const float d = half(b), dmin = half(b + 2);
    for (int j = 0; j < 8; j++) {
        float scale, min;
        scale_min(b + 4, j, &scale, &min);
        scale *= d;
        min *= dmin;
        const unsigned char *q = nibbles + j / 2 * 32;
        for (int i = 0; i < 32; i++) {
            int v = j % 2 ? q[i] >> 4 : q[i] & 15;
            if (fifth) v |= (fifth[i] >> j & 1) << 4;
            *y++ = scale * (float)v - min;
        }
    }
}

static void q4_k(const unsigned char *b, float *y) { sub_blocks(b, NULL, b + 16, y); }
static void q5_k(const unsigned char *b, float *y) { sub_blocks(b, b + 16, b + 48, y); }

static void q6_k(const unsigned char *b, float *y)
{
    const unsigned char *low = b, *high = b + 128, *scales = b + 192;
    const float d = half(b + 208);
    for (int i = 0; i < 256; i++) {
        int part = i / 128, quarter = i % 128 / 32, k = i % 32;
        int nibble = low[part * 64 + quarter % 2 * 32 + k] >> quarter / 2 * 4 & 15;
        int upper = high[part * 32 + k] >> quarter * 2 & 3;
        float scale = d * (float)(int8_t)scales[i / 16];
        y[i] = scale * (float)((nibble | upper << 4) - 32);
    }
}

const st_quantised st_kern_quantised[ST_Q_COUNT] = {
#define X(id, elements, bytes, fn) [ST_Q_##id] = {#id, elements, bytes, fn},
    ST_QUANTISED(X)
#undef X
};

void st_kern_dequantise(st_q type, const void *blocks, size_t n, float *out)
{
    const st_quantised *q = &st_kern_quantised[type];
    const unsigned char *b = blocks;
    for (size_t i = 0; i < n; i++) q->block(b + i * q->bytes, out + i * q->elements);
}
