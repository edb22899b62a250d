/* dtype.h - what the layers above need to know of dtypes beyond st.h. Layer: core. */
#ifndef ST_DTYPE_H
#define ST_DTYPE_H

#include "status.h"

/* Register classes: the representations in which values are computed. */
#define ST_REGS(X)      \
    X(F32, float, 4)    \
    X(F64, double, 8)   \
    X(I64, int64_t, 8)  \
    X(U64, uint64_t, 8) \
    X(B8, uint8_t, 1)

typedef enum st_reg {
#define X(id, type, size) ST_R_##id,
    ST_REGS(X)
#undef X
        ST_REG_COUNT,
    ST_R_NONE = ST_REG_COUNT /* dtypes that are not computed on */
} st_reg;

st_reg st_dtype_reg(st_dtype d);
size_t st_reg_size(st_reg r);
/* The dtype whose storage is exactly a register of this class: F32, F64, I64, U64, BOOL. */
st_dtype st_reg_dtype(st_reg r);
static inline bool st_dtype_is_float(st_dtype d) { return st_dtype_kind(d) == ST_KIND_FLOAT; }
/* Largest finite value of a float dtype. */
double st_dtype_max(st_dtype d);

#endif
