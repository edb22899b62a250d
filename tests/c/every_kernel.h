/* every_kernel.h - walks all kernels of a level by number, and random input for them. For tests and kern_speed. */
#ifndef ST_EVERY_KERNEL_H
#define ST_EVERY_KERNEL_H

#include "kern.h"

#include <stdio.h>

typedef struct st_any_kernel {
    char name[48]; /* "load F16", "conv F32 I64", "add F32" */
    int sources;
    size_t in[3], out;    /* bytes per element */
    bool flag[3];         /* the source is an array of 0 and 1 */
    bool raw_in, raw_out; /* may have any alignment */
    st_kern_fn fn;
} st_any_kernel;

static inline const char *st_reg_name(int r)
{
    static const char *const names[] = {
#define X(id, type, size) #id,
        ST_REGS(X)
#undef X
    };
    return names[r];
}

static inline void st_any_source(st_any_kernel *k, size_t size, bool flag)
{
    k->in[k->sources] = size;
    k->flag[k->sources++] = flag;
}

/* The i-th slot of a level's tables; fn is NULL where the slot is empty. False past the last. */
static inline bool st_kernel_at(const st_kernels *level, unsigned i, st_any_kernel *k)
{
    enum { D = ST_DTYPE_COUNT, R = ST_REG_COUNT };
    static const struct {
        const char *name;
        int arity;
    } ops[] = {
#define X(id, name, arity, result) {name, arity},
        ST_OPS(X)
#undef X
    };
    *k = (st_any_kernel){.sources = 0};
    if (i < 4 * D) {
        static const char *const what[] = {"load", "store", "round", "clamp"};
        st_dtype d = (st_dtype)(i % D);
        const st_kern_fn *const tables[] = {level->load, level->store, level->round, level->clamp};
        size_t raw = st_dtype_bits(d) / 8, reg = st_reg_size(st_dtype_reg(d));
        k->fn = tables[i / D][d];
        k->raw_in = i / D == 0;
        k->raw_out = i / D == 1;
        st_any_source(k, k->raw_in ? raw : reg, d == ST_BOOL && !k->raw_in);
        k->out = k->raw_out ? raw : reg;
        snprintf(k->name, sizeof k->name, "%s %s", what[i / D], st_dtype_name(d));
        return true;
    }
    i -= 4 * D;
    if (i < R * R) {
        k->fn = level->conv[i / R][i % R];
        st_any_source(k, st_reg_size((st_reg)(i / R)), i / R == ST_R_B8);
        k->out = st_reg_size((st_reg)(i % R));
        snprintf(k->name, sizeof k->name, "conv %s %s", st_reg_name((int)(i / R)), st_reg_name((int)(i % R)));
        return true;
    }
    i -= R * R;
    if (i >= ST_OP_COUNT * R) return false;
    unsigned op = i / R, r = i % R;
    k->fn = level->op[op][r];
    size_t size = st_reg_size((st_reg)r);
    for (int s = 0; s < ops[op].arity; s++) {
        bool mask = op == ST_OP_WHERE && s == 0;
        st_any_source(k, mask ? 1 : size, mask || r == ST_R_B8);
    }
    k->out = op >= ST_OP_EQ && op <= ST_OP_GE ? 1 : size;
    snprintf(k->name, sizeof k->name, "%s %s", ops[op].name, st_reg_name((int)r));
    return true;
}

/* Value i of a fixed random sequence (the fixtures use the same). */
static inline uint64_t st_splitmix64(uint64_t i)
{
    uint64_t z = (i + 1) * 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

#endif
