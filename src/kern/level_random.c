/* level_random.c - random numbers from a counter, compiled once per SIMD level. Layer: kern.
 *
 * Philox4x32-10 (Salmon, Moraes, Dror, Shaw: "Parallel random numbers: as easy as 1, 2, 3", SC11). A block of four
 * words is a function of key = seed and counter = (number of the block, stream), so any element can be made at any time
 * by any thread. Who gets which words is fixed for good:
 *
 *    F32, uniform   word i, its upper 24 bits
 *    F64            words 2i and 2i + 1, their upper 53 bits
 *    F32, normal    the pair of elements 2j, 2j + 1 has words 2j, 2j + 1 (Box and Muller: radius, angle; cosine first)
 *    F64, normal    the same with the doubles of block j
 *    integers       words 2i and 2i + 1 as a 64-bit fraction of the span
 *
 * Masks (yes or no, by chance) take a byte an element of a cheaper sequence, a keyed hash of the number of the word. */
#include "level.h"

#include <sleef.h>
#include <string.h>

#if defined(ST_LEVEL_avx512)
#define F32_SINCOS Sleef_cinz_sincospif16_u05avx512fnofma
#define F64_SINCOS Sleef_cinz_sincospid8_u05avx512fnofma
typedef __m512 vec_f32;
typedef __m512d vec_f64;
typedef Sleef___m512_2 both_f32;
typedef Sleef___m512d_2 both_f64;
#elif defined(ST_LEVEL_avx2)
#define F32_SINCOS Sleef_cinz_sincospif8_u05avx
#define F64_SINCOS Sleef_cinz_sincospid4_u05avx
typedef __m256 vec_f32;
typedef __m256d vec_f64;
typedef Sleef___m256_2 both_f32;
typedef Sleef___m256d_2 both_f64;
#elif defined(__SSE2__)
#define F32_SINCOS Sleef_cinz_sincospif4_u05sse2
#define F64_SINCOS Sleef_cinz_sincospid2_u05sse2
typedef __m128 vec_f32;
typedef __m128d vec_f64;
typedef Sleef___m128_2 both_f32;
typedef Sleef___m128d_2 both_f64;
#else
#define F32_SINCOS Sleef_cinz_sincospif1_u05purec
#define F64_SINCOS Sleef_cinz_sincospid1_u05purec
typedef float vec_f32;
typedef double vec_f64;
typedef Sleef_float_2 both_f32;
typedef Sleef_double_2 both_f64;
#endif

enum { BLOCKS = 64, WORDS = 4 * BLOCKS }; /* made at a time */

/* ---------------------------------------------------------------- Philox */

static inline void round_of(uint32_t c[4], uint32_t k0, uint32_t k1)
{
    uint64_t p = (uint64_t)0xD2511F53u * c[0], q = (uint64_t)0xCD9E8D57u * c[2];
    uint32_t c1 = c[1], c3 = c[3];
    c[0] = (uint32_t)(q >> 32) ^ c1 ^ k0;
    c[1] = (uint32_t)q;
    c[2] = (uint32_t)(p >> 32) ^ c3 ^ k1;
    c[3] = (uint32_t)p;
}

/* The words of BLOCKS blocks from `first` on. */
static void make_words(uint32_t w[WORDS], const st_random_key *s, uint64_t first)
{
    uint32_t lane[4][BLOCKS];
    uint32_t seed0 = (uint32_t)s->seed, seed1 = (uint32_t)(s->seed >> 32);
    uint32_t stream0 = (uint32_t)s->stream, stream1 = (uint32_t)(s->stream >> 32);
    ST_IVDEP for (size_t i = 0; i < BLOCKS; i++)
    {
        uint64_t block = first + i;
        uint32_t c[4] = {(uint32_t)block, (uint32_t)(block >> 32), stream0, stream1};
        uint32_t k0 = seed0, k1 = seed1;
        for (int r = 0; r < 10; r++) {
            round_of(c, k0, k1);
            k0 += 0x9E3779B9u;
            k1 += 0xBB67AE85u;
        }
        for (int j = 0; j < 4; j++) lane[j][i] = c[j];
    }
    for (size_t i = 0; i < BLOCKS; i++)
        for (size_t j = 0; j < 4; j++) w[4 * i + j] = lane[j][i];
}

static inline uint64_t word64(const uint32_t *w, size_t i) { return (uint64_t)w[2 * i + 1] << 32 | w[2 * i]; }

/* ---------------------------------------------------------------- values of BLOCKS blocks */

static void uniform_f32(void *out, const uint32_t *w, const st_random_key *s)
{
    float *d = out;
    (void)s;
    for (size_t i = 0; i < WORDS; i++) d[i] = (float)(int32_t)(w[i] >> 8) * 0x1p-24f;
}

static void uniform_f64(void *out, const uint32_t *w, const st_random_key *s)
{
    double *d = out;
    (void)s;
    for (size_t i = 0; i < WORDS / 2; i++) d[i] = (double)(int64_t)(word64(w, i) >> 11) * 0x1p-53;
}

/* `low` plus a fraction of the span: numbers of a span that is no power of two differ in frequency by span / 2^64. */
static void integer(void *out, const uint32_t *w, const st_random_key *s)
{
    int64_t *d = out;
    for (size_t i = 0; i < WORDS / 2; i++) {
        uint64_t x = word64(w, i), a = x >> 32, b = x & 0xffffffffu, c = s->span >> 32, e = s->span & 0xffffffffu;
        uint64_t mid = a * e + (b * e >> 32); /* the upper half of x * span, by hand: no compiler lacks 64 bits */
        d[i] = (int64_t)((uint64_t)s->low + a * c + (mid >> 32) + ((b * c + (mid & 0xffffffffu)) >> 32));
    }
}

/* Radius sqrt(-2 log u), u in (0, 1], and sine and cosine of the angle, for n pairs; n is a multiple of every width. */
#define BOX_MULLER(name, type, root, vec, both, sincospi, log)        \
    static void name(type *out, type *u, const type *turns, size_t n) \
    {                                                                 \
        vec angle;                                                    \
        type sine[WORDS / 2], cosine[WORDS / 2];                      \
        log(u, (const void *const[3]){u}, n);                         \
        for (size_t k = 0; k < n; k += sizeof(vec) / sizeof(type)) {  \
            memcpy(&angle, turns + k, sizeof angle);                  \
            both r = sincospi(angle);                                 \
            memcpy(sine + k, &r.x, sizeof(vec));                      \
            memcpy(cosine + k, &r.y, sizeof(vec));                    \
        }                                                             \
        for (size_t i = 0; i < n; i++) u[i] = root(-2 * u[i]);        \
        for (size_t i = 0; i < n; i++) {                              \
            out[2 * i] = u[i] * cosine[i];                            \
            out[2 * i + 1] = u[i] * sine[i];                          \
        }                                                             \
    }
BOX_MULLER(normal_pairs_f32, float, __builtin_sqrtf, vec_f32, both_f32, F32_SINCOS, ST_LEVELED(st_kern_log_f32))
BOX_MULLER(normal_pairs_f64, double, __builtin_sqrt, vec_f64, both_f64, F64_SINCOS, ST_LEVELED(st_kern_log_f64))

/* All 32 bits go into the radius: the tails reach 6.7 standard deviations (8.7 in F64). */
static void normal_f32(void *out, const uint32_t *w, const st_random_key *s)
{
    float u[WORDS / 2], turns[WORDS / 2];
    (void)s;
    for (size_t i = 0; i < WORDS / 2; i++) {
        u[i] = (float)w[2 * i] * 0x1p-32f + 0x1p-33f;
        turns[i] = (float)(int32_t)(w[2 * i + 1] >> 8) * 0x1p-23f;
    }
    normal_pairs_f32(out, u, turns, WORDS / 2);
}

static void normal_f64(void *out, const uint32_t *w, const st_random_key *s)
{
    double u[WORDS / 4], turns[WORDS / 4];
    (void)s;
    for (size_t i = 0; i < WORDS / 4; i++) {
        u[i] = (double)(int64_t)(word64(w, 2 * i) >> 11) * 0x1p-53 + 0x1p-54;
        turns[i] = (double)(int64_t)(word64(w, 2 * i + 1) >> 11) * 0x1p-52;
    }
    normal_pairs_f64(out, u, turns, WORDS / 4);
}

/* ---------------------------------------------------------------- any range of elements */

typedef void (*chunk_fn)(void *out, const uint32_t *w, const st_random_key *s);

/* Elements [start, start + n): by chunks of BLOCKS blocks that begin at multiples of `per_chunk` elements. */
static void generate(chunk_fn fn, size_t width, size_t per_chunk, void *dst, const st_random_key *s, uint64_t start,
                     size_t n)
{
    char *d = dst;
    uint32_t w[WORDS];
    _Alignas(64) char values[WORDS * sizeof(float)];
    while (n) {
        uint64_t chunk = start / per_chunk;
        size_t skip = (size_t)(start % per_chunk), now = per_chunk - skip < n ? per_chunk - skip : n;
        make_words(w, s, chunk * BLOCKS);
        fn(values, w, s);
        memcpy(d, values + skip * width, now * width);
        d += now * width;
        start += now;
        n -= now;
    }
}

#define GENERATOR(name, width)                                                            \
    static void gen_##name(void *dst, const st_random_key *s, uint64_t start, size_t n)   \
    {                                                                                     \
        generate(name, width, (size_t)WORDS * sizeof(float) / (width), dst, s, start, n); \
    }
GENERATOR(uniform_f32, 4)
GENERATOR(uniform_f64, 8)
GENERATOR(normal_f32, 4)
GENERATOR(normal_f64, 8)
GENERATOR(integer, 8)

/* Bytes that are the probability's own upper eight bits: 24 bits more decide, a hash of the word and the place. */
static void settle(uint8_t *keep, const uint8_t *ties, const uint32_t *w, uint32_t lower)
{
    for (size_t i = 0; i < 4 * WORDS; i += 8) {
        uint64_t any;
        memcpy(&any, ties + i, sizeof any);
        for (size_t e = i; any && e < i + 8; e++) {
            uint32_t h = (w[e / 4] ^ (uint32_t)e % 4 * 0x85EBCA6Bu) * 0x9E3779B1u;
            if (ties[e]) keep[e] = (h ^ h >> 15) * 0xC2B2AE35u >> 8 < lower;
        }
    }
}

/* A bijection of 32 bits in which each bit depends on all (lowbias32 of Wellons' hash prospector). */
static inline uint32_t mixed(uint32_t x)
{
    x = (x ^ x >> 16) * 0x21f0aaadu;
    x = (x ^ x >> 15) * 0xd35a2d97u;
    return x ^ x >> 15;
}

/* Words [first, first + WORDS) of a cheaper sequence than Philox's: masks need one bit or little more of a number. */
static void make_hashes(uint32_t w[WORDS], const st_random_key *s, uint64_t first)
{
    uint32_t seed0 = mixed((uint32_t)s->seed), seed1 = mixed((uint32_t)(s->seed >> 32) + seed0);
    uint32_t stream0 = mixed((uint32_t)s->stream + seed1), stream1 = mixed((uint32_t)(s->stream >> 32) + stream0);
    const uint32_t key = mixed((uint32_t)(first >> 32) + stream1), low = (uint32_t)first, other = mixed(key ^ stream0);
    for (uint32_t i = 0; i < WORDS; i++) w[i] = mixed(mixed(low + i + key) ^ other);
}

/* True with probability span / 2^32. */
static void gen_chance(void *dst, const st_random_key *s, uint64_t start, size_t n)
{
    uint8_t *d = dst, keep[4 * WORDS], ties[4 * WORDS], bytes[4 * WORDS];
    uint32_t w[WORDS];
    const uint32_t lower = (uint32_t)s->span & 0xffffff;
    const unsigned upper = (unsigned)(s->span >> 24); /* 256 where all are true */
    while (n) {
        size_t skip = (size_t)(start % (4 * WORDS)), now = 4 * WORDS - skip < n ? 4 * WORDS - skip : n;
        make_hashes(w, s, start / (4 * WORDS) * WORDS);
        memcpy(bytes, w, sizeof bytes);
        const uint8_t edge = (uint8_t)upper;
        for (size_t i = 0; i < 4 * WORDS; i++) keep[i] = bytes[i] < edge;
        if (lower) {
            for (size_t i = 0; i < 4 * WORDS; i++) ties[i] = bytes[i] == edge;
            settle(keep, ties, w, lower);
        }
        if (upper > 255) memset(keep, 1, sizeof keep);
        memcpy(d, keep + skip, now);
        d += now;
        start += now;
        n -= now;
    }
}

const st_gen_fn ST_LEVELED(st_kern_gen)[ST_GEN_COUNT] = {
    [ST_G_UNIFORM_F32] = gen_uniform_f32, [ST_G_UNIFORM_F64] = gen_uniform_f64, [ST_G_NORMAL_F32] = gen_normal_f32,
    [ST_G_NORMAL_F64] = gen_normal_f64,   [ST_G_INTEGER] = gen_integer,         [ST_G_CHANCE] = gen_chance,
};
