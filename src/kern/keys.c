/* keys.c - values as unsigned integers of the same order, for sorting and selecting. Layer: kern. */
#include "kern.h"

#include <string.h>

#define SIGN32 0x80000000u
#define SIGN64 0x8000000000000000u

/* Of floats: positive numbers get the sign bit, negative ones are turned over. Adding 0 makes 0 of -0. */
static uint64_t key_f32(float x)
{
    uint32_t b;
    x += 0.0f;
    memcpy(&b, &x, sizeof b);
    return x != x ? UINT32_MAX : b & SIGN32 ? ~b : b | SIGN32;
}

static uint64_t key_f64(double x)
{
    uint64_t b;
    x += 0.0;
    memcpy(&b, &x, sizeof b);
    return x != x ? UINT64_MAX : b & SIGN64 ? ~b : b | SIGN64;
}

uint64_t st_key_nan(st_reg r) { return r == ST_R_F32 ? UINT32_MAX : UINT64_MAX; }

void st_kern_keys(st_reg r, const void *x, uint64_t *keys, size_t n)
{
    switch (r) {
    case ST_R_F32:
        for (size_t i = 0; i < n; i++) keys[i] = key_f32(((const float *)x)[i]);
        break;
    case ST_R_F64:
        for (size_t i = 0; i < n; i++) keys[i] = key_f64(((const double *)x)[i]);
        break;
    case ST_R_I64:
        for (size_t i = 0; i < n; i++) keys[i] = ((const uint64_t *)x)[i] ^ SIGN64;
        break;
    case ST_R_U64: memcpy(keys, x, n * sizeof *keys); break;
    default:
        for (size_t i = 0; i < n; i++) keys[i] = ((const uint8_t *)x)[i];
        break;
    }
}

void st_kern_unkey(st_reg r, uint64_t key, void *x)
{
    uint32_t low = (uint32_t)key;
    switch (r) {
    case ST_R_F32:
        low = low == UINT32_MAX ? 0x7fc00000u : low & SIGN32 ? low & ~SIGN32 : ~low;
        memcpy(x, &low, sizeof low);
        break;
    case ST_R_F64:
        key = key == UINT64_MAX ? 0x7ff8000000000000u : key & SIGN64 ? key & ~SIGN64 : ~key;
        memcpy(x, &key, sizeof key);
        break;
    case ST_R_I64:
        key ^= SIGN64;
        memcpy(x, &key, sizeof key);
        break;
    case ST_R_U64: memcpy(x, &key, sizeof key); break;
    default: *(uint8_t *)x = (uint8_t)key; break;
    }
}
