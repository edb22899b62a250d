/* level_convert.c - load, store, round, clamp and conversions between register classes, compiled once per SIMD level.
 * Layer: kern. Plain loops that the compiler vectorises, and F16C for F16 where the level has it.
 * Arrays only: no memory, no files, no threads. */
#include "level.h"
#include "narrow.h"

#include <float.h>

#ifdef __F16C__
#include <immintrin.h>
#endif

#define KERNEL(name) static void name(void *dst, const void *const src[3], size_t n)

/* ---------------------------------------------------------------- copies */

#define COPY(bytes)                                              \
    KERNEL(copy_##bytes)                                         \
    {                                                            \
        if (n && dst != src[0]) memcpy(dst, src[0], n *(bytes)); \
    }
COPY(1)
COPY(4)
COPY(8)

/* ---------------------------------------------------------------- load and store */

/* d[i] = f(s[i]) from one element type to another. */
#define MAP(name, from, to, expr) \
    KERNEL(name)                  \
    {                             \
        to *d = dst;              \
        const from *s = src[0];   \
        ST_EACH                   \
        {                         \
            const from x = s[i];  \
            d[i] = (to)(expr);    \
        }                         \
    }

MAP(load_BOOL, st_raw_u8, uint8_t, x != 0)
MAP(load_U8, st_raw_u8, int64_t, x)
MAP(load_I8, st_raw_i8, int64_t, x)
MAP(load_U16, st_raw_u16, int64_t, x)
MAP(load_I16, st_raw_i16, int64_t, x)
MAP(load_U32, st_raw_u32, int64_t, x)
MAP(load_I32, st_raw_i32, int64_t, x)
MAP(store_8, uint64_t, st_raw_u8, x)
MAP(store_16, uint64_t, st_raw_u16, x)
MAP(store_32, uint64_t, st_raw_u32, x)

MAP(load_BF16, st_raw_u16, float, st_of_bf16(x))
MAP(store_BF16, float, st_raw_u16, st_bf16_of(x))
MAP(round_BF16, float, float, st_of_bf16(st_bf16_of(x)))

MAP(load_F8_E4M3, st_raw_u8, float, st_of_e4m3(x))
MAP(load_F8_E5M2, st_raw_u8, float, st_of_e5m2(x))
MAP(load_F8_E4M3FNUZ, st_raw_u8, float, st_of_e4m3fnuz(x))
MAP(load_F8_E5M2FNUZ, st_raw_u8, float, st_of_e5m2fnuz(x))
MAP(store_F8_E4M3, float, st_raw_u8, st_e4m3_of(x))
MAP(store_F8_E5M2, float, st_raw_u8, st_e5m2_of(x))
MAP(store_F8_E4M3FNUZ, float, st_raw_u8, st_e4m3fnuz_of(x))
MAP(store_F8_E5M2FNUZ, float, st_raw_u8, st_e5m2fnuz_of(x))
MAP(round_F8_E4M3, float, float, st_of_e4m3(st_e4m3_of(x)))
MAP(round_F8_E5M2, float, float, st_of_e5m2(st_e5m2_of(x)))
MAP(round_F8_E4M3FNUZ, float, float, st_of_e4m3fnuz(st_e4m3fnuz_of(x)))
MAP(round_F8_E5M2FNUZ, float, float, st_of_e5m2fnuz(st_e5m2fnuz_of(x)))

/* F16C converts both ways; only its NaNs (payload and sign kept) need our canonical one. */
#if defined(__AVX512F__)
enum { LANES = 16 };
typedef __m512 wide;
typedef __m256i half;
static inline wide widen(half h) { return _mm512_cvtph_ps(h); }
static inline half narrow(wide x)
{
    half h = _mm512_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    half nan = _mm256_cmpgt_epi16(_mm256_and_si256(h, _mm256_set1_epi16(0x7fff)), _mm256_set1_epi16(0x7c00));
    return _mm256_blendv_epi8(h, _mm256_set1_epi16(0x7e00), nan);
}
#elif defined(__F16C__)
enum { LANES = 8 };
typedef __m256 wide;
typedef __m128i half;
static inline wide widen(half h) { return _mm256_cvtph_ps(h); }
static inline half narrow(wide x)
{
    half h = _mm256_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    half nan = _mm_cmpgt_epi16(_mm_and_si128(h, _mm_set1_epi16(0x7fff)), _mm_set1_epi16(0x7c00));
    return _mm_blendv_epi8(h, _mm_set1_epi16(0x7e00), nan);
}
#endif

KERNEL(load_F16)
{
    float *d = dst;
    const st_raw_u16 *s = src[0];
    size_t i = 0;
#ifdef __F16C__
    for (; n - i >= LANES; i += LANES) {
        half h;
        memcpy(&h, s + i, sizeof h);
        wide x = widen(h);
        memcpy(d + i, &x, sizeof x);
    }
#endif
    ST_IVDEP for (; i < n; i++) d[i] = st_of_f16(s[i]);
}

KERNEL(store_F16)
{
    st_raw_u16 *d = dst;
    const float *s = src[0];
    size_t i = 0;
#ifdef __F16C__
    for (; n - i >= LANES; i += LANES) {
        wide x;
        memcpy(&x, s + i, sizeof x);
        half h = narrow(x);
        memcpy(d + i, &h, sizeof h);
    }
#endif
    ST_IVDEP for (; i < n; i++) d[i] = (uint16_t)st_f16_of(s[i]);
}

KERNEL(round_F16)
{
    float *d = dst;
    const float *s = src[0];
    size_t i = 0;
#ifdef __F16C__
    for (; n - i >= LANES; i += LANES) {
        wide x;
        memcpy(&x, s + i, sizeof x);
        x = widen(narrow(x));
        memcpy(d + i, &x, sizeof x);
    }
#endif
    ST_IVDEP for (; i < n; i++) d[i] = st_of_f16(st_f16_of(s[i]));
}

const st_kern_fn ST_LEVELED(st_kern_load)[ST_DTYPE_COUNT] = {
    [ST_BOOL] = load_BOOL,
    [ST_U8] = load_U8,
    [ST_I8] = load_I8,
    [ST_F8_E5M2] = load_F8_E5M2,
    [ST_F8_E4M3] = load_F8_E4M3,
    [ST_F8_E4M3FNUZ] = load_F8_E4M3FNUZ,
    [ST_F8_E5M2FNUZ] = load_F8_E5M2FNUZ,
    [ST_I16] = load_I16,
    [ST_U16] = load_U16,
    [ST_F16] = load_F16,
    [ST_BF16] = load_BF16,
    [ST_I32] = load_I32,
    [ST_U32] = load_U32,
    [ST_F32] = copy_4,
    [ST_F64] = copy_8,
    [ST_I64] = copy_8,
    [ST_U64] = copy_8,
};

const st_kern_fn ST_LEVELED(st_kern_store)[ST_DTYPE_COUNT] = {
    [ST_BOOL] = copy_1,
    [ST_U8] = store_8,
    [ST_I8] = store_8,
    [ST_F8_E5M2] = store_F8_E5M2,
    [ST_F8_E4M3] = store_F8_E4M3,
    [ST_F8_E4M3FNUZ] = store_F8_E4M3FNUZ,
    [ST_F8_E5M2FNUZ] = store_F8_E5M2FNUZ,
    [ST_I16] = store_16,
    [ST_U16] = store_16,
    [ST_F16] = store_F16,
    [ST_BF16] = store_BF16,
    [ST_I32] = store_32,
    [ST_U32] = store_32,
    [ST_F32] = copy_4,
    [ST_F64] = copy_8,
    [ST_I64] = copy_8,
    [ST_U64] = copy_8,
};

/* ---------------------------------------------------------------- round */

MAP(round_I8, int64_t, int64_t, (int8_t)x)
MAP(round_U8, int64_t, int64_t, (uint8_t)x)
MAP(round_I16, int64_t, int64_t, (int16_t)x)
MAP(round_U16, int64_t, int64_t, (uint16_t)x)
MAP(round_I32, int64_t, int64_t, (int32_t)x)
MAP(round_U32, int64_t, int64_t, (uint32_t)x)

const st_kern_fn ST_LEVELED(st_kern_round)[ST_DTYPE_COUNT] = {
    [ST_U8] = round_U8,
    [ST_I8] = round_I8,
    [ST_F8_E5M2] = round_F8_E5M2,
    [ST_F8_E4M3] = round_F8_E4M3,
    [ST_F8_E4M3FNUZ] = round_F8_E4M3FNUZ,
    [ST_F8_E5M2FNUZ] = round_F8_E5M2FNUZ,
    [ST_I16] = round_I16,
    [ST_U16] = round_U16,
    [ST_F16] = round_F16,
    [ST_BF16] = round_BF16,
    [ST_I32] = round_I32,
    [ST_U32] = round_U32,
};

/* ---------------------------------------------------------------- clamp */

#define CLAMP(name, type, low, high) MAP(name, type, type, x > (high) ? (high) : x < (low) ? (low) : x)

CLAMP(clamp_U8, int64_t, 0, UINT8_MAX)
CLAMP(clamp_I8, int64_t, INT8_MIN, INT8_MAX)
CLAMP(clamp_U16, int64_t, 0, UINT16_MAX)
CLAMP(clamp_I16, int64_t, INT16_MIN, INT16_MAX)
CLAMP(clamp_U32, int64_t, 0, UINT32_MAX)
CLAMP(clamp_I32, int64_t, INT32_MIN, INT32_MAX)
CLAMP(clamp_F8_E4M3, float, -448.0f, 448.0f)
CLAMP(clamp_F8_E4M3FNUZ, float, -240.0f, 240.0f)
CLAMP(clamp_F8_E5M2, float, -57344.0f, 57344.0f) /* FNUZ too */
CLAMP(clamp_F16, float, -65504.0f, 65504.0f)
CLAMP(clamp_BF16, float, -0x1.fep127f, 0x1.fep127f)
CLAMP(clamp_F32, float, -FLT_MAX, FLT_MAX)
CLAMP(clamp_F64, double, -DBL_MAX, DBL_MAX)

const st_kern_fn ST_LEVELED(st_kern_clamp)[ST_DTYPE_COUNT] = {
    [ST_U8] = clamp_U8,
    [ST_I8] = clamp_I8,
    [ST_F8_E5M2] = clamp_F8_E5M2,
    [ST_F8_E4M3] = clamp_F8_E4M3,
    [ST_F8_E4M3FNUZ] = clamp_F8_E4M3FNUZ,
    [ST_F8_E5M2FNUZ] = clamp_F8_E5M2,
    [ST_I16] = clamp_I16,
    [ST_U16] = clamp_U16,
    [ST_F16] = clamp_F16,
    [ST_BF16] = clamp_BF16,
    [ST_I32] = clamp_I32,
    [ST_U32] = clamp_U32,
    [ST_F32] = clamp_F32,
    [ST_F64] = clamp_F64,
};

/* ---------------------------------------------------------------- between register classes */

/* C leaves out-of-range conversions undefined, so what is converted is in range and the rest is put in afterwards: such
 * loops vectorise where the processor has the instruction. Bounds are powers of two, exact in both types. */
#define TO_I64(type, x)                \
    ((x) >= (type)0x1p63   ? INT64_MAX \
     : (x) < (type)-0x1p63 ? INT64_MIN \
                           : (int64_t)((x) >= (type)-0x1p63 && (x) < (type)0x1p63 ? (x) : (type)0))
#define TO_U64(type, x) \
    ((x) >= (type)0x1p64 ? UINT64_MAX : (uint64_t)((x) > (type)0 && (x) < (type)0x1p64 ? (x) : (type)0))

MAP(f32_to_f64, float, double, x)
MAP(f64_to_f32, double, float, x)
MAP(f32_to_i64, float, int64_t, TO_I64(float, x))
MAP(f64_to_i64, double, int64_t, TO_I64(double, x))
MAP(f32_to_u64, float, uint64_t, TO_U64(float, x))
MAP(f64_to_u64, double, uint64_t, TO_U64(double, x))
MAP(f32_to_b8, float, uint8_t, x != 0)
MAP(f64_to_b8, double, uint8_t, x != 0)
MAP(i64_to_f32, int64_t, float, x)
MAP(i64_to_f64, int64_t, double, x)
MAP(u64_to_f32, uint64_t, float, x)
MAP(u64_to_f64, uint64_t, double, x)
MAP(i64_to_b8, int64_t, uint8_t, x != 0)
MAP(b8_to_f32, uint8_t, float, x)
MAP(b8_to_f64, uint8_t, double, x)
MAP(b8_to_i64, uint8_t, int64_t, x)

/* Rows: from; columns: to. */
const st_kern_fn ST_LEVELED(st_kern_conv)[ST_REG_COUNT][ST_REG_COUNT] = {
    [ST_R_F32] = {[ST_R_F32] = copy_4, f32_to_f64, f32_to_i64, f32_to_u64, f32_to_b8},
    [ST_R_F64] = {[ST_R_F32] = f64_to_f32, copy_8, f64_to_i64, f64_to_u64, f64_to_b8},
    [ST_R_I64] = {[ST_R_F32] = i64_to_f32, i64_to_f64, copy_8, copy_8, i64_to_b8},
    [ST_R_U64] = {[ST_R_F32] = u64_to_f32, u64_to_f64, copy_8, copy_8, i64_to_b8},
    [ST_R_B8] = {[ST_R_F32] = b8_to_f32, b8_to_f64, b8_to_i64, b8_to_i64, copy_1},
};
