/* hold.c - values kept in memory. Layer: exec. */
#include "hold.h"
#include "context.h"
#include "eval.h"
#include "mem.h"
#include "product.h"

st_dtype st_held_dtype(const st_tensor *t)
{
    st_reg reg = st_dtype_reg(t->dtype);
    return t->node == ST_N_RANGE || t->node == ST_N_VALUES || reg == ST_R_NONE ? t->dtype : st_reg_dtype(reg);
}

const void *st_held(const st_tensor *t) { return t->node == ST_N_VALUES ? t->values : t->forced; }

/* ---------------------------------------------------------------- pins */

typedef st_status (*visit_fn)(st_tensor *t, st_err *err);

static st_status each_apart(st_tensor *t, visit_fn fn, st_need *need, st_err *err);

static st_status each_operand(st_tensor *t, visit_fn fn, st_need *need, st_err *err)
{
    bool product = st_is_product(t);
    for (int i = 0; i < t->nargs; i++)
        ST_TRY(each_apart(product ? st_product_operand(t, i) : t->args[i], fn, need, err));
    return ST_OK;
}

/* A product that is in memory for a while, because somebody else needs it whole, counts as if it was not. */
static bool is_ranged(const st_tensor *t) { return st_is_ranged(t) || (st_is_product(t) && t->pins); }

enum { LITTLE = 1 << 23 }; /* elements of all that is below operands that one thread makes while others go on */

static st_status is_little(st_tensor *t, bool *little, st_err *err)
{
    st_tensor **list;
    size_t n;
    uint64_t elements = 0;
    ST_TRY(st_topological(t->args, (size_t)t->nargs, ST_BELOW_NEEDED, &list, &n, err));
    for (size_t i = 0; i < n && elements <= LITTLE; i++) elements += list[i]->numel;
    *little = elements <= LITTLE;
    st_free(list);
    return ST_OK;
}

/* A product's elements are made in the pass, its operands before. */
static st_status each_factor(st_tensor *t, visit_fn fn, st_need *need, st_err *err)
{
    st_need own = ST_NEED_NOTHING;
    bool little = true;
    if (need) ST_TRY(is_little(t, &little, err)); /* first: what is pinned is seen by who unpins it */
    st_status s = each_operand(t, fn, &own, err);
    if (own != ST_NEED_NOTHING) own = little ? ST_NEED_FACTORS : ST_NEED_APART;
    if (need && *need < own) *need = own;
    return s;
}

/* What must be in memory before `t` can be computed in the fused pass: calls fn for each. *need (may be NULL) rises to
 * what there is. */
static st_status each_apart(st_tensor *t, visit_fn fn, st_need *need, st_err *err)
{
    st_tensor **list;
    size_t n;
    ST_TRY(st_topological(&t, 1, ST_BELOW_FUSED, &list, &n, err));
    st_status s = ST_OK;
    for (size_t i = 0; s == ST_OK && i < n; i++) {
        st_tensor *x = list[i];
        if (is_ranged(x)) {
            s = each_factor(x, fn, need, err);
            continue;
        }
        bool scattered = x->node == ST_N_VIEW && !x->forced && !st_view_is_plain(x) && x->args[0]->node != ST_N_VALUES;
        bool below = scattered || (x->node == ST_N_STEP && !x->forced);
        if (!below && x->node != ST_N_WHOLE) continue;
        if (need) *need = ST_NEED_APART;
        s = fn(below ? x->args[0] : x, err);
    }
    st_free(list);
    return s;
}

/* The same for a node whose value is computed apart itself. */
static st_status each_input(st_tensor *t, visit_fn fn, st_err *err)
{
    if (t->node == ST_N_RANGE) return ST_OK;
    return t->node == ST_N_WHOLE ? each_operand(t, fn, NULL, err) : each_apart(t, fn, NULL, err);
}

static st_status pin_one(st_tensor *t, st_err *err)
{
    if (t->forced && !t->pins) return ST_OK; /* kept for good */
    return t->pins++ ? ST_OK : each_input(t, pin_one, err);
}

static st_status unpin_one(st_tensor *t, st_err *err)
{
    (void)err;
    if (!t->pins || --t->pins) return ST_OK;
    st_free(t->forced);
    t->forced = NULL;
    return ST_OK;
}

st_status st_pin(st_tensor *root, st_need *need, st_err *err)
{
    *need = ST_NEED_NOTHING;
    return each_apart(root, pin_one, need, err);
}

void st_unpin(st_tensor *root) { each_apart(root, unpin_one, NULL, NULL); }

/* ---------------------------------------------------------------- holding */

static st_status fill(st_ctx *ctx, st_tensor *t, void *values, st_err *err)
{
    if (t->node == ST_N_RANGE) return st_read_raw_spread(ctx, t, 0, values, st_tensor_nbytes(t), err);
    if (t->node == ST_N_WHOLE) return t->numel ? t->whole->compute(ctx, t, values, err) : ST_OK;
    return st_export(ctx, t, 0, t->numel, st_held_dtype(t), values, err);
}

/* Memory for the values of `t`, within the context's limit. */
static st_status room(st_ctx *ctx, const st_tensor *t, void **values, st_err *err)
{
    uint64_t bytes = t->numel * (st_dtype_bits(st_held_dtype(t)) / 8); /* fits: numel is at most INT64_MAX / 8 */
    if (bytes > st_ctx_memory(ctx))
        return st_fail(
            err, ST_LIMIT, st_tensor_file(t), t->name,
            "this tensor is needed whole, which takes %llu bytes; the limit is %llu (raise it with --memory)",
            (unsigned long long)bytes, (unsigned long long)st_ctx_memory(ctx));
    *values = st_malloc(bytes);
    return *values ? ST_OK : st_fail_nomem(err, bytes);
}

/* Gives `t` its computed values, unless another thread was faster. */
static void publish(st_tensor *t, void *values)
{
    if (t->pins) each_input(t, unpin_one, NULL); /* its inputs have served it */
    void *none = NULL;
    if (!__atomic_compare_exchange_n((void **)&t->forced, &none, values, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
        st_free(values);
}

/* The innermost operation that could not be computed is the one to name. */
static st_status blame(st_status s, const st_tensor *t, st_err *err)
{
    if (s != ST_OK && err && !err->origin) err->origin = t->origin;
    return s;
}

st_status st_hold(st_ctx *ctx, st_tensor *t, st_err *err)
{
    void *values;
    if (st_held(t)) return ST_OK;
    ST_TRY(blame(room(ctx, t, &values, err), t, err));
    st_status s = fill(ctx, t, values, err);
    if (s == ST_OK)
        publish(t, values);
    else
        st_free(values);
    return blame(s, t, err);
}

st_status st_hold_group(st_ctx *ctx, st_tensor *const *nodes, size_t n, st_together_fn compute, st_err *err)
{
    void **values = st_calloc(n, sizeof *values);
    st_status s = values ? ST_OK : st_fail_nomem(err, n * sizeof *values);
    for (size_t i = 0; s == ST_OK && i < n; i++) s = room(ctx, nodes[i], &values[i], err);
    if (s == ST_OK) s = compute(ctx, nodes, values, n, err);
    if (n == 1) blame(s, nodes[0], err); /* of several nobody knows which */
    for (size_t i = 0; values && i < n; i++)
        if (s == ST_OK)
            publish(nodes[i], values[i]);
        else
            st_free(values[i]);
    st_free(values);
    return s;
}

st_status st_force(st_ctx *ctx, st_tensor *t, st_err *err)
{
    if (t->node == ST_N_NUMBER || st_dtype_reg(t->dtype) == ST_R_NONE) return ST_OK;
    return st_hold(ctx, t, err);
}

/* ---------------------------------------------------------------- files */

/* Those that are pinned are held, and freed, one by one. */
static bool is_in_file(const st_tensor *t) { return t->node == ST_N_RANGE && !t->forced && !t->pins; }

st_status st_hold_files(st_ctx *ctx, st_tensor *const *roots, size_t n, uint64_t most, st_held_files *h, st_err *err)
{
    size_t all;
    uint64_t bytes = 0;
    ST_TRY(st_topological(roots, n, ST_BELOW_NEEDED, &h->list, &all, err));
    for (size_t i = 0; i < all; i++)
        if (is_in_file(h->list[i])) bytes += (st_tensor_nbytes(h->list[i]) + 63) / 64 * 64;
    if (bytes > most) return ST_OK;
    if (bytes > h->size) {
        st_free(h->block);
        h->block = st_malloc(bytes);
        h->size = h->block ? bytes : 0;
        if (!h->block) return st_fail_nomem(err, bytes);
    }
    char *at = h->block;
    for (size_t i = 0; i < all; i++) {
        st_tensor *t = h->list[i];
        if (!is_in_file(t)) continue;
        ST_TRY(st_read_raw_spread(ctx, t, 0, at, st_tensor_nbytes(t), err));
        t->forced = at;
        at += (st_tensor_nbytes(t) + 63) / 64 * 64;
        h->list[h->n++] = t;
    }
    return ST_OK;
}

void st_drop_files(st_held_files *h)
{
    for (size_t i = 0; i < h->n; i++) h->list[i]->forced = NULL;
    st_free(h->list);
    h->list = NULL;
    h->n = 0;
}
