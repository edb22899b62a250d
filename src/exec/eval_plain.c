/* eval_plain.c - the obvious evaluator: one node at a time, each whole, on one thread, with the kernels of the baseline
 * level. It shares nothing with program.c but the kernels, so that each can be held to the other. Layer: exec. */
#include "cut.h"
#include "eval.h"
#include "hold.h"
#include "mem.h"

#include <string.h>

typedef struct plain {
    const st_kernels *k;
    st_tensor **list;
    void **values; /* one array of registers per node of the list */
    size_t n;
} plain;

static void *array(uint64_t numel, st_reg r) { return st_malloc(numel * st_reg_size(r)); }

static void call(st_kern_fn fn, void *dst, const void *a, const void *b, const void *c, uint64_t n)
{
    fn(dst, (const void *const[3]){a, b, c}, n);
}

static const void *value_of(const plain *p, const st_tensor *t)
{
    for (size_t i = 0; i < p->n; i++)
        if (p->list[i] == t) return p->values[i];
    return NULL;
}

/* The value of `t` converted to class `want` and repeated to `numel` when it is a number; a new array. */
static void *converted(const plain *p, const st_tensor *t, st_reg want, uint64_t numel)
{
    st_reg have = st_dtype_reg(t->dtype);
    char *out = array(numel, want);
    if (!out) return NULL;
    st_kern_fn fn = have == want ? p->k->load[st_reg_dtype(want)] : p->k->conv[have][want];
    if (t->node == ST_N_NUMBER)
        for (uint64_t i = 0; i < numel; i++) call(fn, out + i * st_reg_size(want), value_of(p, t), NULL, NULL, 1);
    else
        call(fn, out, value_of(p, t), NULL, NULL, numel);
    return out;
}

static st_status plain_leaf(const plain *p, const st_tensor *t, void *out, st_err *err)
{
    if (t->forced) return call(p->k->load[st_held_dtype(t)], out, t->forced, NULL, NULL, t->numel), ST_OK;
    if (t->node == ST_N_NUMBER) return memcpy(out, t->dtype == ST_F64 ? (const void *)&t->f : &t->i, 8), ST_OK;
    void *raw = st_malloc(st_tensor_nbytes(t));
    if (!raw) return st_fail_nomem(err, st_tensor_nbytes(t));
    st_status s = st_read_raw(t, 0, raw, st_tensor_nbytes(t), err);
    if (s == ST_OK) call(p->k->load[t->dtype], out, raw, NULL, NULL, t->numel);
    st_free(raw);
    return s;
}

/* Index of the operand's element that is element i of a view. */
static int64_t view_index(const st_tensor *t, uint64_t i)
{
    int64_t index = t->start;
    for (int d = t->ndim - 1; d >= 0; d--) {
        index += (int64_t)(i % (uint64_t)t->shape[d]) * t->strides[d];
        i /= (uint64_t)t->shape[d];
    }
    return index;
}

static void plain_view(const plain *p, const st_tensor *t, char *out)
{
    size_t w = st_reg_size(st_dtype_reg(t->dtype));
    const char *from = value_of(p, t->args[0]);
    for (uint64_t i = 0; i < t->numel; i++) memcpy(out + i * w, from + view_index(t, i) * (int64_t)w, w);
}

static st_status plain_op(const plain *p, const st_tensor *t, void *out, st_err *err)
{
    void *arg[3] = {NULL, NULL, NULL};
    bool ok = true;
    for (int i = 0; i < t->nargs; i++) {
        st_reg want = t->op == ST_OP_WHERE && i == 0 ? ST_R_B8 : t->operands;
        ok &= (arg[i] = converted(p, t->args[i], want, t->numel)) != NULL;
    }
    if (ok) {
        call(p->k->op[t->op][t->operands], out, arg[0], arg[1], arg[2], t->numel);
        if (!st_dtype_is_float(t->dtype) && p->k->round[t->dtype])
            call(p->k->round[t->dtype], out, out, NULL, NULL, t->numel);
    }
    for (int i = 0; i < t->nargs; i++) st_free(arg[i]);
    return ok ? ST_OK : st_fail_nomem(err, t->numel * 8);
}

static st_status plain_cast(const plain *p, const st_tensor *t, void *out, st_err *err)
{
    const st_tensor *a = t->args[0];
    bool to_float = st_dtype_is_float(t->dtype);
    bool clamp = to_float ? t->saturate : st_dtype_is_float(a->dtype);
    void *v = converted(p, a, st_dtype_reg(t->dtype), t->numel);
    if (!v) return st_fail_nomem(err, t->numel * 8);
    if (clamp && p->k->clamp[t->dtype]) call(p->k->clamp[t->dtype], v, v, NULL, NULL, t->numel);
    if (p->k->round[t->dtype]) call(p->k->round[t->dtype], v, v, NULL, NULL, t->numel);
    memcpy(out, v, t->numel * st_reg_size(st_dtype_reg(t->dtype)));
    st_free(v);
    return ST_OK;
}

static st_status plain_node(st_ctx *ctx, plain *p, size_t i, st_err *err)
{
    const st_tensor *t = p->list[i];
    void *out = p->values[i] = array(t->numel, st_dtype_reg(t->dtype));
    if (!out) return st_fail_nomem(err, t->numel * 8);
    if (st_tensor_is_leaf(t) || t->forced) return plain_leaf(p, t, out, err);
    if (t->node == ST_N_OP) return plain_op(p, t, out, err);
    if (t->node == ST_N_CAST) return plain_cast(p, t, out, err);
    if (t->node == ST_N_RANDOM) return p->k->generate[t->gen](out, &t->key, 0, t->numel), ST_OK;
    if (t->node == ST_N_WHOLE) return t->numel ? t->whole->compute(ctx, t, out, err) : ST_OK;
    if (t->node == ST_N_STEP)
        st_step_fill(t, value_of(p, t->args[0]), 0, t->numel, out);
    else
        plain_view(p, t, out);
    return ST_OK;
}

st_status st_export_plain(st_ctx *ctx, st_tensor *t, void *out, st_err *err)
{
    if (st_is_raw(t)) return st_read_raw(t, 0, out, st_tensor_nbytes(t), err);
    plain p = {.k = st_kern_level(0)};
    ST_TRY(st_topological(&t, 1, ST_BELOW_NEEDED, &p.list, &p.n, err));
    p.values = st_calloc(p.n, sizeof *p.values);
    st_status s = p.values ? ST_OK : st_fail_nomem(err, p.n * sizeof *p.values);
    for (size_t i = 0; s == ST_OK && i < p.n; i++) s = plain_node(ctx, &p, i, err);
    if (s == ST_OK) call(p.k->store[t->dtype], out, p.values[p.n - 1], NULL, NULL, t->numel);
    for (size_t i = 0; p.values && i < p.n; i++) st_free(p.values[i]);
    st_free(p.values);
    st_free(p.list);
    return s;
}
