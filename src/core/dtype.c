/* dtype.c - the facts of each dtype, and the dtype of mixed arithmetic. Layer: core. */
#include "dtype.h"

#include <float.h>
#include <string.h>

static const struct {
    const char *name;
    size_t len; /* of the name */
    unsigned bits;
    st_kind kind;
    st_reg reg;
} facts[] = {
#define X(id, bits, kind, reg) [ST_##id] = {#id, sizeof #id - 1, bits, ST_KIND_##kind, ST_R_##reg},
    ST_DTYPES(X)
#undef X
};

const char *st_dtype_name(st_dtype d) { return facts[d].name; }
unsigned st_dtype_bits(st_dtype d) { return facts[d].bits; }
st_kind st_dtype_kind(st_dtype d) { return facts[d].kind; }
st_reg st_dtype_reg(st_dtype d) { return facts[d].reg; }

size_t st_reg_size(st_reg r)
{
    static const size_t sizes[] = {
#define X(id, type, size) [ST_R_##id] = size,
        ST_REGS(X)
#undef X
            [ST_R_NONE] = 0};
    return sizes[r];
}

st_dtype st_reg_dtype(st_reg r)
{
    static const st_dtype dtypes[ST_REG_COUNT] = {
        [ST_R_F32] = ST_F32, [ST_R_F64] = ST_F64, [ST_R_I64] = ST_I64, [ST_R_U64] = ST_U64, [ST_R_B8] = ST_BOOL};
    return dtypes[r];
}

double st_dtype_max(st_dtype d)
{
    switch (d) {
    case ST_F64: return DBL_MAX;
    case ST_F32: return FLT_MAX;
    case ST_BF16: return 0x1.fep127;
    case ST_F16: return 65504;
    case ST_F8_E4M3: return 448;
    case ST_F8_E5M2: return 57344;
    case ST_F8_E4M3FNUZ: return 240;
    case ST_F8_E5M2FNUZ: return 57344;
    default: return 0;
    }
}

static char upper(char c) { return c >= 'a' && c <= 'z' ? (char)(c - 'a' + 'A') : c; }

bool st_dtype_parse(const char *name, size_t len, bool fold, st_dtype *out)
{
    for (int d = 0; d < ST_DTYPE_COUNT; d++) {
        if (facts[d].len != len) continue;
        size_t i = 0;
        while (i < len && (fold ? upper(name[i]) : name[i]) == facts[d].name[i]) i++;
        if (i == len) return *out = (st_dtype)d, true;
    }
    return false;
}

const char *st_dtype_word(size_t k, st_dtype *out)
{
    static const struct {
        const char *word;
        st_dtype dtype;
    } words[] = {
        {"bfloat16", ST_BF16},
        {"float16", ST_F16},
        {"half", ST_F16},
        {"fp16", ST_F16},
        {"float32", ST_F32},
        {"float", ST_F32},
        {"fp32", ST_F32},
        {"float64", ST_F64},
        {"double", ST_F64},
        {"fp64", ST_F64},
        {"float8_e4m3fn", ST_F8_E4M3},
        {"float8_e5m2", ST_F8_E5M2},
        {"float8_e4m3fnuz", ST_F8_E4M3FNUZ},
        {"float8_e5m2fnuz", ST_F8_E5M2FNUZ},
        {"int8", ST_I8},
        {"int16", ST_I16},
        {"short", ST_I16},
        {"int32", ST_I32},
        {"int", ST_I32},
        {"int64", ST_I64},
        {"long", ST_I64},
        {"uint8", ST_U8},
        {"byte", ST_U8},
        {"uint16", ST_U16},
        {"uint32", ST_U32},
        {"uint64", ST_U64},
        {"boolean", ST_BOOL},
        {"complex64", ST_C64},
    };
    if (k >= sizeof words / sizeof *words) return NULL;
    *out = words[k].dtype;
    return words[k].word;
}

/* The wider of two dtypes. */
static st_dtype wider(st_dtype a, st_dtype b) { return facts[a].bits >= facts[b].bits ? a : b; }

/* The signed dtype that holds both an unsigned and a signed one; COUNT where there is none. */
static st_dtype signed_over(st_dtype u, st_dtype s)
{
    static const st_dtype ladder[] = {ST_I8, ST_I16, ST_I32, ST_I64};
    for (size_t i = 0; i < sizeof ladder / sizeof *ladder; i++)
        if (facts[ladder[i]].bits > facts[u].bits && facts[ladder[i]].bits >= facts[s].bits) return ladder[i];
    return ST_DTYPE_COUNT;
}

/* torch.promote_types. Where torch has no answer (16-bit and wider unsigned with other integers, F8 with anything but
 * itself) NumPy's rule holds: the smallest dtype of the winning kind that can hold both; two floats that cannot hold
 * each other meet in F32. */
st_status st_dtype_promote(st_dtype a, st_dtype b, st_dtype *out, st_err *err)
{
    st_kind ka = facts[a].kind, kb = facts[b].kind;
    if (facts[a].reg == ST_R_NONE || facts[b].reg == ST_R_NONE)
        return st_fail(err, ST_DTYPE, NULL, NULL, "%s can be stored and copied, but not computed on",
                       facts[facts[a].reg == ST_R_NONE ? a : b].name);
    if (a == b || kb == ST_KIND_BOOL) return *out = a, ST_OK;
    if (ka == ST_KIND_BOOL) return *out = b, ST_OK;
    if (ka == ST_KIND_FLOAT && kb == ST_KIND_FLOAT)
        return *out = facts[a].bits == facts[b].bits ? ST_F32 : wider(a, b), ST_OK;
    if (ka == ST_KIND_FLOAT) return *out = a, ST_OK;
    if (kb == ST_KIND_FLOAT) return *out = b, ST_OK;
    if (ka == kb) return *out = wider(a, b), ST_OK;
    st_dtype r = ka == ST_KIND_UINT ? signed_over(a, b) : signed_over(b, a);
    if (r == ST_DTYPE_COUNT)
        return st_fail(err, ST_DTYPE, NULL, NULL, "no integer dtype holds both %s and %s: cast one of them first",
                       facts[a].name, facts[b].name);
    return *out = r, ST_OK;
}
