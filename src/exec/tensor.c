/* tensor.c - making, sharing and freeing nodes. Layer: exec. Nothing is computed here. */
#include "tensor.h"
#include "mem.h"
#include "shape.h"

#include <string.h>

static st_status check_shape(st_dtype dtype, int ndim, const int64_t *shape, uint64_t *numel, st_err *err)
{
    uint64_t bytes;
    char text[160];
    if (ndim < 0 || ndim > ST_MAX_DIMS)
        return st_fail(err, ST_SHAPE, NULL, NULL, "%d dimensions: at most %d are supported", ndim, ST_MAX_DIMS);
    for (int d = 0; d < ndim; d++)
        if (shape[d] < 0)
            return st_fail(err, ST_SHAPE, NULL, NULL, "dimension %d has size %lld", d + 1, (long long)shape[d]);
    if (st_shape_numel(ndim, shape, numel) && st_dtype_bytes(dtype, *numel, &bytes) && *numel <= INT64_MAX / 8)
        return ST_OK;
    st_shape_text(text, sizeof text, ndim, shape);
    return st_fail(err, ST_SHAPE, NULL, NULL,
                   "a tensor of shape %s and dtype %s is too large, or does not end on a byte", text,
                   st_dtype_name(dtype));
}

st_status st_node_new(st_node node, st_dtype dtype, int ndim, const int64_t *shape, int nargs, st_tensor *const *args,
                      st_tensor **out, st_err *err)
{
    *out = NULL;
    uint64_t numel;
    ST_TRY(check_shape(dtype, ndim, shape, &numel, err));
    /* One block: the struct, the shape, a view's strides, the operands. */
    size_t ints = (size_t)ndim * (node == ST_N_VIEW ? 2 : 1);
    size_t size = sizeof(st_tensor) + ints * sizeof(int64_t) + (size_t)nargs * sizeof *args;
    st_tensor *t = st_calloc(1, size);
    if (!t) return st_fail_nomem(err, size);
    t->refs = 1;
    t->node = node;
    t->dtype = dtype;
    t->ndim = ndim;
    t->numel = numel;
    if (ndim) memcpy(t->shape, shape, (size_t)ndim * sizeof *shape);
    t->strides = t->shape + ndim;
    t->args = (st_tensor **)(void *)(t->shape + ints);
    for (int i = 0; i < nargs; i++) t->args[t->nargs++] = st_tensor_ref(args[i]);
    *out = t;
    return ST_OK;
}

st_tensor *st_tensor_ref(st_tensor *t)
{
    t->refs++;
    return t;
}

void st_tensor_unref(st_tensor *t)
{
    st_tensor *dead = NULL;
    if (t && --t->refs == 0) dead = t;
    while (dead) {
        t = dead;
        dead = t->next_dead;
        for (int i = 0; i < t->nargs; i++)
            if (--t->args[i]->refs == 0) {
                t->args[i]->next_dead = dead;
                dead = t->args[i];
            }
        st_source_unref(t->source);
        st_free(t->name);
        st_free(t->values);
        st_free(t->forced);
        st_free(t);
    }
}

st_dtype st_tensor_dtype(const st_tensor *t) { return t->dtype; }
int st_tensor_ndim(const st_tensor *t) { return t->ndim; }
const int64_t *st_tensor_shape(const st_tensor *t) { return t->shape; }
int64_t st_tensor_numel(const st_tensor *t) { return (int64_t)t->numel; }
uint64_t st_tensor_nbytes(const st_tensor *t)
{
    uint64_t bytes = 0;
    st_dtype_bytes(t->dtype, t->numel, &bytes); /* checked when the node was made */
    return bytes;
}
bool st_tensor_is_leaf(const st_tensor *t)
{
    return t->node == ST_N_RANGE || t->node == ST_N_VALUES || t->node == ST_N_NUMBER;
}
bool st_is_raw(const st_tensor *t) { return t->node == ST_N_RANGE || t->node == ST_N_VALUES; }
bool st_tensor_is_cast(const st_tensor *t) { return t->node == ST_N_CAST; }
const char *st_tensor_quant(const st_tensor *t) { return t->quant; }
const char *st_tensor_file(const st_tensor *t) { return t->source ? t->source->label : NULL; }
const char *st_tensor_name(const st_tensor *t) { return t->name; }

const st_tensor *st_tensor_operation(const st_tensor *t)
{
    while (t->node == ST_N_VIEW || t->node == ST_N_CAST) t = t->args[0];
    return t;
}

void st_tensor_set_origin(st_tensor *t, uint32_t origin)
{
    st_tensor *made = (st_tensor *)st_tensor_operation(t); /* results are often views of what is computed */
    if ((made->node == ST_N_WHOLE || made->node == ST_N_OP) && !made->origin) made->origin = origin;
}

/* ---------------------------------------------------------------- leaves */

st_status st_tensor_range(st_source *src, uint64_t offset, st_dtype dtype, int ndim, const int64_t *shape,
                          const char *name, size_t name_len, const char *quant, st_tensor **out, st_err *err)
{
    st_tensor *t;
    *out = NULL;
    ST_TRY(st_node_new(ST_N_RANGE, dtype, ndim, shape, 0, NULL, &t, err));
    char shown[400];
    st_escape(shown, sizeof shown, name, name_len);
    t->name = st_strndup(shown, strlen(shown));
    if (!t->name) {
        st_tensor_unref(t);
        return st_fail_nomem(err, name_len);
    }
    t->source = st_source_ref(src);
    t->offset = offset;
    t->quant = quant;
    *out = t;
    return ST_OK;
}

st_status st_tensor_new(st_dtype dtype, int ndim, const int64_t *shape, const void *values, uint64_t nbytes,
                        st_tensor **out, st_err *err)
{
    st_tensor *t;
    *out = NULL;
    ST_TRY(st_node_new(ST_N_VALUES, dtype, ndim, shape, 0, NULL, &t, err));
    if (nbytes != st_tensor_nbytes(t)) {
        st_status s = st_fail(err, ST_ARG, NULL, NULL, "%llu bytes were given for %llu elements of %s, which need %llu",
                              (unsigned long long)nbytes, (unsigned long long)t->numel, st_dtype_name(dtype),
                              (unsigned long long)st_tensor_nbytes(t));
        st_tensor_unref(t);
        return s;
    }
    t->values = st_malloc(nbytes);
    if (!t->values) {
        st_tensor_unref(t);
        return st_fail_nomem(err, nbytes);
    }
    if (nbytes) memcpy(t->values, values, nbytes);
    *out = t;
    return ST_OK;
}

st_status st_tensor_codes(st_tensor *t, st_dtype dtype, st_tensor **out, st_err *err)
{
    *out = NULL;
    if (!st_is_raw(t))
        return st_fail(err, ST_ARG, NULL, t->name, "codes are bytes of a file or in memory, this is computed");
    if (st_dtype_bits(dtype) != st_dtype_bits(t->dtype))
        return st_fail(err, ST_DTYPE, st_tensor_file(t), t->name, "%s has %u bits, %s has %u", st_dtype_name(t->dtype),
                       st_dtype_bits(t->dtype), st_dtype_name(dtype), st_dtype_bits(dtype));
    if (t->node == ST_N_VALUES)
        return st_tensor_new(dtype, t->ndim, t->shape, t->values, st_tensor_nbytes(t), out, err);
    return st_tensor_range(t->source, t->offset, dtype, t->ndim, t->shape, t->name, strlen(t->name), NULL, out, err);
}

st_status st_number(double value, st_tensor **out, st_err *err)
{
    ST_TRY(st_node_new(ST_N_NUMBER, ST_F64, 0, NULL, 0, NULL, out, err));
    (*out)->f = value;
    return ST_OK;
}

st_status st_integer(int64_t value, st_tensor **out, st_err *err)
{
    ST_TRY(st_node_new(ST_N_NUMBER, ST_I64, 0, NULL, 0, NULL, out, err));
    (*out)->i = value;
    return ST_OK;
}

/* ---------------------------------------------------------------- operations */

enum result_rule { RESULT_SAME, RESULT_FLOAT, RESULT_BOOL, RESULT_WHERE };
static const struct {
    const char *name;
    int arity;
    enum result_rule rule;
} ops[ST_OP_COUNT] = {
#define X(id, name, arity, result) [ST_OP_##id] = {name, arity, RESULT_##result},
    ST_OPS(X)
#undef X
};

/* Quantised values are codes, not numbers: only whole copies make sense. */
st_status st_check_computable(const st_tensor *t, const char *doing, st_err *err)
{
    if (t->quant)
        return st_fail(err, ST_QUANT, st_tensor_file(t), t->name,
                       "%s on a quantised tensor (%s layout): its values mean nothing without their scales; copy it, "
                       "or dequantise the model first (stlua cast --dequantize)",
                       doing, t->quant);
    if (st_dtype_reg(t->dtype) == ST_R_NONE)
        return st_fail(err, ST_DTYPE, st_tensor_file(t), t->name, "%s is not defined for %s, which can only be copied",
                       doing, st_dtype_name(t->dtype));
    return ST_OK;
}

/* A new reference to `t`, broadcast to a shape when it has another. Numbers fit every shape as they are. */
static st_status expanded(st_tensor *t, int ndim, const int64_t *shape, st_tensor **out, st_err *err)
{
    if (t->node == ST_N_NUMBER || st_shape_equal(t->ndim, t->shape, ndim, shape)) {
        *out = st_tensor_ref(t);
        return ST_OK;
    }
    return st_expand(t, ndim, shape, out, err);
}

/* "[2, 3] and [4]" must not only be wrong, but say whose: names the first operand that has a name. */
static st_status shape_error(st_tensor *const *args, int n, const char *name, st_err *err)
{
    char text[3][160] = {"", "", ""};
    const st_tensor *named = NULL;
    for (int i = 0; i < n; i++) {
        st_shape_text(text[i], sizeof text[i], args[i]->ndim, args[i]->shape);
        if (!named && args[i]->name) named = args[i];
    }
    return st_fail(err, ST_SHAPE, named ? st_tensor_file(named) : NULL, named ? named->name : NULL,
                   "%s: shapes %s and %s%s%s do not broadcast", name, text[0], text[1], n > 2 ? " and " : "", text[2]);
}

st_status st_apply(st_op op, st_tensor *const *args, st_tensor **out, st_err *err)
{
    *out = NULL;
    if ((unsigned)op >= ST_OP_COUNT)
        return st_fail(err, ST_INTERNAL, NULL, NULL, "operation %d does not exist", (int)op);
    int n = ops[op].arity, first = ops[op].rule == RESULT_WHERE ? 1 : 0;
    for (int i = 0; i < n; i++) ST_TRY(st_check_computable(args[i], ops[op].name, err));
    if (first && args[0]->dtype != ST_BOOL)
        return st_fail(err, ST_DTYPE, NULL, args[0]->name, "where: the condition is %s, it must be a mask (BOOL)",
                       st_dtype_name(args[0]->dtype));

    st_dtype dtype;
    ST_TRY(st_result_dtype(args + first, n - first, &dtype, err));
    if (ops[op].rule == RESULT_FLOAT && !st_dtype_is_float(dtype)) dtype = ST_F32;
    st_reg reg = st_dtype_reg(dtype);
    if (!st_kern()->op[op][reg])
        return st_fail(err, ST_DTYPE, st_tensor_file(args[0]), args[0]->name, "%s is not defined for %s; cast it first",
                       ops[op].name, st_dtype_name(dtype));

    int ndim = 0;
    int64_t shape[ST_MAX_DIMS];
    for (int i = 0; i < n; i++)
        if (st_shape_broadcast(ndim, shape, args[i]->ndim, args[i]->shape, &ndim, shape, NULL) != ST_OK)
            return shape_error(args, n, ops[op].name, err);

    st_tensor *wide[3] = {NULL, NULL, NULL};
    st_status s = ST_OK;
    for (int i = 0; s == ST_OK && i < n; i++) s = expanded(args[i], ndim, shape, &wide[i], err);
    if (s == ST_OK)
        s = st_node_new(ST_N_OP, ops[op].rule == RESULT_BOOL ? ST_BOOL : dtype, ndim, shape, n, wide, out, err);
    for (int i = 0; i < n; i++) st_tensor_unref(wide[i]);
    if (s != ST_OK) return s;
    (*out)->op = op;
    (*out)->operands = reg;
    return ST_OK;
}

st_status st_cast(st_tensor *a, st_dtype dtype, bool saturate, st_tensor **out, st_err *err)
{
    *out = NULL;
    bool as_it_is = st_is_raw(a) || st_dtype_reg(dtype) == ST_R_NONE; /* nothing to round */
    if (a->dtype == dtype && as_it_is) {
        *out = st_tensor_ref(a);
        return ST_OK;
    }
    ST_TRY(st_check_computable(a, "a cast", err));
    if (st_dtype_reg(dtype) == ST_R_NONE)
        return st_fail(err, ST_DTYPE, st_tensor_file(a), a->name, "cannot cast %s to %s, which can only be copied",
                       st_dtype_name(a->dtype), st_dtype_name(dtype));
    ST_TRY(st_node_new(ST_N_CAST, dtype, a->ndim, a->shape, 1, &a, out, err));
    (*out)->saturate = saturate;
    return ST_OK;
}

/* ---------------------------------------------------------------- result dtypes */

static int category(const st_tensor *t) { return t->node == ST_N_NUMBER ? 2 : t->ndim == 0 ? 1 : 0; }

/* torch's combine_categories: a lower category matters only when it is of a higher kind. */
static st_status combine(bool have, st_dtype high, st_dtype low, st_dtype *out, st_err *err)
{
    if (!have) return *out = low, ST_OK;
    bool low_float = st_dtype_is_float(low);
    if (st_dtype_is_float(high) || (!low_float && high != ST_BOOL)) return *out = high, ST_OK;
    return st_dtype_promote(high, low, out, err);
}

st_status st_result_dtype(st_tensor *const *args, int n, st_dtype *out, st_err *err)
{
    bool have = false;
    st_dtype total = ST_F32;
    for (int c = 0; c < 3; c++) {
        bool any = false;
        st_dtype d = ST_F32;
        for (int i = 0; i < n; i++) {
            if (category(args[i]) != c) continue;
            /* A number with a fraction has torch's default dtype, not F64. */
            st_dtype di = args[i]->node == ST_N_NUMBER && args[i]->dtype == ST_F64 ? ST_F32 : args[i]->dtype;
            if (any)
                ST_TRY(st_dtype_promote(d, di, &d, err));
            else
                d = di;
            any = true;
        }
        if (any) ST_TRY(combine(have, total, d, &total, err));
        have |= any;
    }
    *out = total;
    return ST_OK;
}

/* ---------------------------------------------------------------- order */

/* A set of node pointers by open addressing. */
typedef struct set {
    st_tensor **slots;
    size_t mask, used;
} set;

static size_t slot_of(const set *s, const st_tensor *t)
{
    size_t i = ((uintptr_t)t >> 6) * 0x9e3779b97f4a7c15u >> 20 & s->mask;
    while (s->slots[i] && s->slots[i] != t) i = (i + 1) & s->mask;
    return i;
}

static bool set_add(set *s, st_tensor *t, bool *fresh)
{
    if (!s->slots || s->used * 2 > s->mask) {
        set bigger = {.mask = s->slots ? s->mask * 2 + 1 : 63, .used = s->used};
        bigger.slots = st_calloc(bigger.mask + 1, sizeof *bigger.slots);
        if (!bigger.slots) return false;
        for (size_t i = 0; s->slots && i <= s->mask; i++)
            if (s->slots[i]) bigger.slots[slot_of(&bigger, s->slots[i])] = s->slots[i];
        st_free(s->slots);
        *s = bigger;
    }
    size_t i = slot_of(s, t);
    *fresh = !s->slots[i];
    if (*fresh) s->used++;
    s->slots[i] = t;
    return true;
}

typedef struct visit {
    st_tensor *t;
    int next; /* operand to look at next */
} visit;

/* How many operands of `t` the walk goes down to. */
static int operands_below(const st_tensor *t, st_below below)
{
    if (below == ST_BELOW_ALL) return t->nargs;
    if (t->forced) return 0;
    bool apart = t->node == ST_N_WHOLE || t->node == ST_N_STEP || (t->node == ST_N_VIEW && !st_view_is_plain(t));
    return apart && below == ST_BELOW_FUSED ? 0 : t->nargs;
}

st_status st_topological(st_tensor *const *roots, size_t nroots, st_below below, st_tensor ***list, size_t *count,
                         st_err *err)
{
    set seen = {0};
    visit *stack = NULL;
    st_tensor **order = NULL;
    size_t depth = 0, stack_cap = 0, n = 0, cap = 0;
    bool ok = true, fresh;
    for (size_t r = 0; ok && r < nroots; r++) {
        ok = set_add(&seen, roots[r], &fresh) && st_grow((void **)&stack, &stack_cap, 1, sizeof *stack);
        if (ok && fresh) stack[depth++] = (visit){roots[r], 0};
        while (ok && depth) {
            visit *v = &stack[depth - 1];
            if (v->next < operands_below(v->t, below)) {
                st_tensor *a = v->t->args[v->next++];
                ok = set_add(&seen, a, &fresh) && st_grow((void **)&stack, &stack_cap, depth + 1, sizeof *stack);
                if (ok && fresh) stack[depth++] = (visit){a, 0};
            } else {
                ok = st_grow((void **)&order, &cap, n + 1, sizeof *order);
                if (ok) order[n++] = v->t;
                depth--;
            }
        }
    }
    st_free(seen.slots);
    st_free(stack);
    if (!ok) {
        st_free(order);
        return st_fail_nomem(err, n * sizeof *order);
    }
    *list = order;
    *count = n;
    return ST_OK;
}

static st_status check_source(st_source *s, bool read, st_err *err)
{
    if (read) ST_TRY(st_source_settle(s, err));
    return s->ops->check(s, err);
}

st_status st_check_sources(st_tensor *root, bool read, st_err *err)
{
    st_tensor **list = NULL;
    size_t n = 0;
    const st_source *last = NULL;
    ST_TRY(st_topological(&root, 1, ST_BELOW_NEEDED, &list, &n, err));
    st_status s = ST_OK;
    for (size_t i = 0; s == ST_OK && i < n; i++) {
        st_source *src = list[i]->source;
        if (src && src != last) s = check_source(src, read, err);
        last = src;
    }
    st_free(list);
    return s;
}
