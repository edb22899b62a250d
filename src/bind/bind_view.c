/* bind_view.c - tensors in other shapes, which are views where that can be; joins, copies. Layer: bind. */
#include "bind.h"

/* Sizes or dimensions as a table in slot 2, or one by one from there on: a table in slot 2 in both cases. */
static void gather_arguments(lua_State *L)
{
    int n = lua_gettop(L) - 1;
    if (n < 0) bind_fail_arg(L, 1, "%s expected, got no value", BIND_TENSOR);
    if (lua_istable(L, 2) && n == 1) return;
    lua_createtable(L, n, 0);
    for (int i = 1; i <= n; i++) {
        lua_pushvalue(L, 1 + i);
        lua_rawseti(L, -2, i);
    }
    lua_insert(L, 2);
    lua_settop(L, 2);
}

static void check_dense(lua_State *L, const st_tensor *t)
{
    if (st_dtype_bits(st_tensor_dtype(t)) % 8 != 0)
        bind_fail(L, ST_DTYPE, "parts of %s values, which share bytes, cannot be taken",
                  st_dtype_name(st_tensor_dtype(t)));
}

/* A size of -1 becomes what the others leave over. */
static void infer(lua_State *L, const char *who, uint64_t numel, int ndim, int64_t *shape)
{
    int open = -1;
    uint64_t rest = 1;
    for (int d = 0; d < ndim; d++) {
        if (shape[d] >= 0) {
            if (__builtin_mul_overflow(rest, (uint64_t)shape[d], &rest)) rest = 0;
        } else if (open < 0) {
            open = d;
        } else {
            bind_fail(L, ST_ARG, "%s: only one size may be -1", who);
        }
    }
    if (open < 0) return;
    if (rest == 0 || numel % rest != 0) {
        bind_fail(L, ST_SHAPE, "%s: no size in place of -1 gives %llu elements", who, (unsigned long long)numel);
        return;
    }
    shape[open] = (int64_t)(numel / rest);
}

/* t:reshape(sizes): a view where that can be, else a tensor of its own; t:view(sizes): a view or an error. */
static int reshape(lua_State *L, bool must_view)
{
    st_err err;
    st_place p;
    bool fits;
    int64_t shape[ST_MAX_DIMS];
    const char *who = must_view ? "view" : "reshape";
    gather_arguments(L);
    check_dense(L, bind_tensor_root(L, 1, &p));
    int ndim = bind_shape(L, 2, shape, -1);
    uint64_t numel = 1; /* fits: it is no more than the root's */
    for (int d = 0; d < p.ndim; d++) numel *= (uint64_t)p.shape[d];
    infer(L, who, numel, ndim, shape);
    bind_tensor_root(L, 1, &p);
    if (st_place_reshape(&p, ndim, shape, who, &fits, &err) != ST_OK) return bind_throw(L, &err);
    if (fits) {
        bind_tensor_view(L, 1, &p);
        return 1;
    }
    if (must_view)
        return bind_fail(L, ST_SHAPE,
                         "view: the elements do not lie so that this shape is a view; use reshape, which copies");
    st_tensor **slot = bind_tensor_new(L);
    if (st_reshape(bind_tensor(L, 1), ndim, shape, slot, &err) != ST_OK) return bind_throw(L, &err);
    return 1;
}

static int tensor_reshape(lua_State *L) { return reshape(L, false); }
static int tensor_view(lua_State *L) { return reshape(L, true); }

/* t:permute(dims): dimension d of the result is the d-th that is given. */
static int tensor_permute(lua_State *L)
{
    st_err err;
    st_place p;
    int order[ST_MAX_DIMS];
    gather_arguments(L);
    check_dense(L, bind_tensor_root(L, 1, &p));
    if (lua_rawlen(L, 2) != (size_t)p.ndim)
        return bind_fail(L, ST_ARG, "permute: %d dimensions are to be ordered, %d were given", p.ndim,
                         (int)lua_rawlen(L, 2));
    for (int d = 0; d < p.ndim; d++) {
        lua_rawgeti(L, 2, d + 1);
        order[d] = (int)bind_position(L, 3, (uint64_t)p.ndim);
        lua_pop(L, 1);
    }
    if (st_place_permute(&p, order, &err) != ST_OK) return bind_throw(L, &err);
    bind_tensor_view(L, 1, &p);
    return 1;
}

/* t:expand(sizes): sizes of 1 are repeated, dimensions may come in front; -1 keeps a size. */
static int tensor_expand(lua_State *L)
{
    st_err err;
    st_place p;
    int64_t shape[ST_MAX_DIMS];
    gather_arguments(L);
    check_dense(L, bind_tensor_root(L, 1, &p));
    int ndim = bind_shape(L, 2, shape, -1), before = ndim - p.ndim;
    for (int d = 0; d < ndim; d++) {
        if (shape[d] >= 0) continue;
        if (d < before) return bind_fail(L, ST_ARG, "expand: -1 keeps a size, but dimension %d is new", d + 1);
        shape[d] = p.shape[d - before];
    }
    if (st_place_expand(&p, ndim, shape, &err) != ST_OK) return bind_throw(L, &err);
    bind_tensor_view(L, 1, &p);
    return 1;
}

/* t:narrow(dim, first, length [, step]): `length` elements of a dimension from `first` on, every step-th. */
static int tensor_narrow(lua_State *L)
{
    st_err err;
    st_place p;
    uint64_t first;
    bind_top(L, 5);
    check_dense(L, bind_tensor_root(L, 1, &p));
    uint64_t dim = bind_position(L, 2, (uint64_t)p.ndim), size = (uint64_t)p.shape[dim];
    lua_Integer i = bind_integer(L, 3, LUA_MININTEGER, LUA_MAXINTEGER);
    if (!bind_convert(i, size, true, &first))
        return bind_fail_arg(L, 3, "position %lld is out of range: there are %llu", (long long)i,
                             (unsigned long long)size);
    lua_Integer length = bind_integer(L, 4, 0, LUA_MAXINTEGER);
    lua_Integer step = lua_isnoneornil(L, 5) ? 1 : bind_integer(L, 5, -LUA_MAXINTEGER, LUA_MAXINTEGER);
    if (st_place_narrow(&p, (int)dim, (int64_t)first, length, step, &err) != ST_OK) return bind_throw(L, &err);
    bind_tensor_view(L, 1, &p);
    return 1;
}

/* t:clone(): a copy in memory, which can be written to. */
static int tensor_clone(lua_State *L)
{
    st_err err;
    bind_top(L, 1);
    bind_tensor(L, 1);
    st_tensor **slot = bind_tensor_new(L), *t = bind_tensor(L, 1), *copy = NULL;
    bind_context *c = bind_enter(L);
    st_tensor_ref(t);
    st_status s = st_clone(c->ctx, t, &copy, &err);
    st_tensor_unref(t);
    *slot = copy;
    bind_leave(L, c, s, &err);
    bind_weigh(L, st_tensor_nbytes(bind_tensor(L, -1)));
    return 1;
}

/* core.broadcast(t, sizes): as expand, but a tensor of its own, no view: writing to it leaves `t` alone. */
static int core_broadcast(lua_State *L)
{
    st_err err;
    int64_t shape[ST_MAX_DIMS];
    bind_top(L, 2);
    int ndim = bind_shape(L, 2, shape, 0);
    st_tensor **slot = bind_tensor_new(L);
    if (st_expand(bind_tensor(L, 1), ndim, shape, slot, &err) != ST_OK) return bind_throw(L, &err);
    return 1;
}

/* core.cat(tensors, dim) */
static int core_cat(lua_State *L)
{
    st_err err;
    bind_top(L, 2);
    bind_table(L, 1);
    lua_Unsigned n = lua_rawlen(L, 1);
    if (n == 0 || n > 1 << 20) return bind_fail_arg(L, 1, "a list of tensors expected, with 1 to %d of them", 1 << 20);
    st_tensor **slot = bind_tensor_new(L);
    st_tensor **parts = lua_newuserdatauv(L, (size_t)n * sizeof *parts, 0);
    int ndim = 0;
    for (lua_Unsigned i = 0; i < n; i++) { /* the list holds them, so pointers to their nodes last */
        lua_rawgeti(L, 1, (lua_Integer)i + 1);
        if (!bind_is_tensor(L, -1))
            return bind_fail_arg(L, 1, "tensor %d of the list is a %s", (int)i + 1, bind_type_name(L, -1));
        parts[i] = bind_tensor(L, -1);
        if (i == 0) ndim = st_tensor_ndim(parts[0]);
        lua_pop(L, 1);
    }
    if (ndim == 0) return bind_fail(L, ST_SHAPE, "cat: tensors without dimensions cannot be joined (stack them)");
    int dim = (int)bind_position(L, 2, (uint64_t)ndim);
    if (st_cat(parts, (int)n, dim, slot, &err) != ST_OK) return bind_throw(L, &err);
    lua_pop(L, 1);
    bind_built_here(L);
    return 1;
}

/* core.iota(n): 0, 1, ... n - 1 as I64. */
static int core_iota(lua_State *L)
{
    st_err err;
    bind_top(L, 1);
    lua_Integer n = bind_integer(L, 1, 0, LUA_MAXINTEGER);
    st_tensor **slot = bind_tensor_new(L);
    if (st_iota(n, slot, &err) != ST_OK) return bind_throw(L, &err);
    return 1;
}

/* core.codes(t, dtype): the bytes of a leaf as plain numbers. */
static int core_codes(lua_State *L)
{
    st_err err;
    bind_top(L, 2);
    bind_tensor(L, 1);
    st_dtype dtype = bind_dtype(L, 2);
    st_tensor **slot = bind_tensor_new(L);
    return st_tensor_codes(bind_tensor(L, 1), dtype, slot, &err) == ST_OK ? 1 : bind_throw(L, &err);
}

void bind_view_open(lua_State *L, int core)
{
    static const luaL_Reg methods[] = {
        {"reshape", tensor_reshape},
        {"view", tensor_view},
        {"permute", tensor_permute},
        {"expand", tensor_expand},
        {"narrow", tensor_narrow},
        {"clone", tensor_clone},
        {NULL, NULL},
    };
    static const luaL_Reg functions[] = {
        {"broadcast", core_broadcast}, {"cat", core_cat}, {"iota", core_iota}, {"codes", core_codes}, {NULL, NULL}};
    bind_methods(L, BIND_TENSOR, methods);
    lua_pushvalue(L, core);
    luaL_setfuncs(L, functions, 0);
    lua_pop(L, 1);
}
