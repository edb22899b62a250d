/* level_planes.c - lanes of 1, 2, 4 or 8 bytes apart into planes of bytes, and back: what weights have in common is
 * their exponents, and a plane of them compresses. Compiled once per SIMD level. Layer: kern. */
#include "level.h"

typedef int64_t st_raw_i64 ST_RAW;
typedef uint64_t st_raw_u64 ST_RAW;
typedef uint8_t *out_plane;
typedef const uint8_t *in_plane;

/* A float's bits as an integer that orders as the float does, and back: a bijection, NaN and -0 included. */
#define SIGN(bits) ((uint##bits##_t)((uint##bits##_t)1 << (bits - 1)))
#define SPREAD(u, bits) ((uint##bits##_t)(0 - ((u) >> (bits - 1)))) /* the sign bit in all bits */
#define KEY(u, bits) ((uint##bits##_t)((u) ^ (SPREAD(u, bits) | SIGN(bits))))
#define UNKEY(k, bits) ((uint##bits##_t)((k) ^ ((uint##bits##_t) ~SPREAD(k, bits) | SIGN(bits))))
#define ZIGZAG(d, bits) ((uint##bits##_t)((uint##bits##_t)((d) << 1) ^ SPREAD(d, bits)))
#define UNZIGZAG(z, bits) ((uint##bits##_t)(((z) >> 1) ^ (uint##bits##_t)(0 - ((z)&1))))
#define LEFT(u, bits) ((uint##bits##_t)((uint##bits##_t)((u) << 1) | (u) >> (bits - 1)))
#define RIGHT(u, bits) ((uint##bits##_t)((u) >> 1 | (uint##bits##_t)((u) << (bits - 1))))

/* What becomes of lane u, beside lane b of the base, and back. */
#define DO_SPLIT(u, b, bits) (u)
#define DO_JOIN(z, b, bits) (z)
#define DO_SPLIT_ROTATE(u, b, bits) LEFT(u, bits)
#define DO_JOIN_ROTATE(z, b, bits) RIGHT(z, bits)
#define DO_SPLIT_DELTA(u, b, bits) ZIGZAG((uint##bits##_t)((u) - (b)), bits)
#define DO_JOIN_DELTA(z, b, bits) ((uint##bits##_t)(UNZIGZAG(z, bits) + (b)))
#define DO_SPLIT_ORDERED(u, b, bits) ZIGZAG((uint##bits##_t)(KEY(u, bits) - KEY(b, bits)), bits)
#define DO_JOIN_ORDERED(z, b, bits) UNKEY((uint##bits##_t)(UNZIGZAG(z, bits) + KEY(b, bits)), bits)

#define PUT8 p0[i] = (uint8_t)z;
#define PUT16 PUT8 p1[i] = (uint8_t)(z >> 8);
#define PUT32                         \
    PUT16 p2[i] = (uint8_t)(z >> 16); \
    p3[i] = (uint8_t)(z >> 24);
#define PUT64                                                                                 \
    PUT32 p4[i] = (uint8_t)(z >> 32), p5[i] = (uint8_t)(z >> 40), p6[i] = (uint8_t)(z >> 48), \
          p7[i] = (uint8_t)(z >> 56);
#define GET8 (p0[i])
#define GET16 (GET8 | (unsigned)p1[i] << 8)
#define GET32 (GET16 | (uint32_t)p2[i] << 16 | (uint32_t)p3[i] << 24)
#define GET64 (GET32 | (uint64_t)p4[i] << 32 | (uint64_t)p5[i] << 40 | (uint64_t)p6[i] << 48 | (uint64_t)p7[i] << 56)

#define PLANES8(type) type p0 = planes[0];
#define PLANES16(type) PLANES8(type) type p1 = planes[1];
#define PLANES32(type) PLANES16(type) type p2 = planes[2], p3 = planes[3];
#define PLANES64(type) PLANES32(type) type p4 = planes[4], p5 = planes[5], p6 = planes[6], p7 = planes[7];

/* `based` says whether the base is read. */
#define PAIR(name, NAME, bits, based)                                                                      \
    static void split##name##_##bits(uint8_t *const planes[], const void *src, const void *base, size_t n) \
    {                                                                                                      \
        const st_raw_u##bits *s = src, *other = base;                                                      \
        PLANES##bits(out_plane);                                                                           \
        (void)other;                                                                                       \
        ST_EACH                                                                                            \
        {                                                                                                  \
            const uint##bits##_t u = s[i], b = based ? other[i] : 0;                                       \
            const uint##bits##_t z = DO_SPLIT##NAME(u, b, bits);                                           \
            (void)b;                                                                                       \
            PUT##bits                                                                                      \
        }                                                                                                  \
    }                                                                                                      \
    static void join##name##_##bits(void *dst, const uint8_t *const planes[], const void *base, size_t n)  \
    {                                                                                                      \
        const st_raw_u##bits *other = base;                                                                \
        st_raw_u##bits *d = dst;                                                                           \
        PLANES##bits(in_plane);                                                                            \
        (void)other;                                                                                       \
        ST_EACH                                                                                            \
        {                                                                                                  \
            const uint##bits##_t z = (uint##bits##_t)GET##bits, b = based ? other[i] : 0;                  \
            (void)b;                                                                                       \
            d[i] = DO_JOIN##NAME(z, b, bits);                                                              \
        }                                                                                                  \
    }
#define PAIRS(bits)                 \
    PAIR(, , bits, 0)               \
    PAIR(_rotate, _ROTATE, bits, 0) \
    PAIR(_delta, _DELTA, bits, 1)   \
    PAIR(_ordered, _ORDERED, bits, 1)

PAIRS(8)
PAIRS(16)
PAIRS(32)
PAIRS(64)

#define TABLE(kind, bits)                                                                                          \
    {                                                                                                              \
        [ST_PL_PLAIN] = kind##_##bits, [ST_PL_ROTATE] = kind##_rotate_##bits, [ST_PL_DELTA] = kind##_delta_##bits, \
        [ST_PL_ORDERED] = kind##_ordered_##bits                                                                    \
    }
const st_split_fn ST_LEVELED(st_kern_split)[ST_LANES][ST_PL_COUNT] = {TABLE(split, 8), TABLE(split, 16),
                                                                      TABLE(split, 32), TABLE(split, 64)};
const st_join_fn ST_LEVELED(st_kern_join)[ST_LANES][ST_PL_COUNT] = {TABLE(join, 8), TABLE(join, 16), TABLE(join, 32),
                                                                    TABLE(join, 64)};
