/* bind_reduce.c - reductions, selection and sorting: what lua/stlua/reduce.lua makes the public methods of. Layer:
 * bind. Dimensions are 1-based here and 0-based below; indices that are values of a tensor are turned in Lua, by one
 * addition. */
#include "bind.h"

#include <string.h>

enum { MAX_QUANTILES = 4096 };

/* Dimensions of a tensor count as positions; one without dimensions takes 1 and -1, as in torch. */
static int dimension(lua_State *L, int arg, const st_tensor *t)
{
    int n = st_tensor_ndim(t);
    return (int)bind_position(L, arg, n ? (uint64_t)n : 1);
}

/* A number, or a table of numbers. */
static int dimensions(lua_State *L, int arg, int dims[ST_MAX_DIMS])
{
    if (lua_isnoneornil(L, arg)) return 0;
    if (lua_type(L, arg) == LUA_TNUMBER) return dims[0] = dimension(L, arg, bind_tensor(L, 2)), 1;
    bind_table(L, arg);
    size_t n = lua_rawlen(L, arg);
    if (n > ST_MAX_DIMS) bind_fail_arg(L, arg, "%zu dimensions", n);
    for (size_t i = 0; i < n; i++) {
        lua_rawgeti(L, arg, (lua_Integer)i + 1);
        dims[i] = dimension(L, lua_gettop(L), bind_tensor(L, 2));
        lua_pop(L, 1);
    }
    return (int)n;
}

static double real(lua_State *L, int arg, double absent)
{
    if (lua_isnoneornil(L, arg)) return absent;
    if (lua_type(L, arg) != LUA_TNUMBER) bind_fail_arg(L, arg, "number expected, got %s", bind_type_name(L, arg));
    return lua_tonumber(L, arg);
}

/* Ends a function whose deferred result is on top of the stack. */
static int done(lua_State *L, st_status s, const st_err *err)
{
    if (s != ST_OK) bind_throw(L, err);
    bind_built_here(L);
    return 1;
}

/* core.reduce(name, t [, dims [, keepdim [, p or correction]]]) */
static int core_reduce(lua_State *L)
{
    static const char *const names[] = {
#define X(id, name) name,
        ST_REDUCTIONS(X)
#undef X
    };
    int dims[ST_MAX_DIMS], what = 0;
    st_err err;
    bind_top(L, 5);
    const char *name = bind_string(L, 1, NULL);
    bind_tensor(L, 2);
    while (what < ST_RED_DOT && strcmp(names[what], name) != 0) what++;
    if (what == ST_RED_DOT) return bind_fail_arg(L, 1, "unknown reduction");
    st_reduce_opts o = {.dims = dims, .ndims = dimensions(L, 3, dims), .keepdim = bind_boolean(L, 4, false)};
    o.p = real(L, 5, 2);
    o.correction = real(L, 5, 1);
    st_tensor **slot = bind_tensor_new(L);
    return done(L, st_reduce((st_reduction)what, bind_tensor(L, 2), &o, slot, &err), &err);
}

/* core.dot(a, b) */
static int core_dot(lua_State *L)
{
    st_err err;
    bind_top(L, 2);
    st_tensor **slot = bind_tensor_new(L);
    return done(L, st_dot(bind_tensor(L, 1), bind_tensor(L, 2), slot, &err), &err);
}

/* core.force_all { t, u, ... }: in as few passes as can be. */
static int core_force_all(lua_State *L)
{
    st_err err;
    bind_top(L, 1);
    bind_table(L, 1);
    size_t n = lua_rawlen(L, 1);
    st_tensor **list = lua_newuserdatauv(L, n * sizeof *list, 0);
    for (size_t i = 0; i < n; i++) {
        lua_rawgeti(L, 1, (lua_Integer)i + 1);
        bind_tensor(L, -1);
        lua_pop(L, 1);
    }
    bind_context *c = bind_enter(L);
    /* From here on nothing of Lua runs but the progress function: own references, against its closing them. */
    for (size_t i = 0; i < n; i++) {
        lua_rawgeti(L, 1, (lua_Integer)i + 1);
        list[i] = st_tensor_ref(*(st_tensor **)lua_touserdata(L, -1));
        lua_pop(L, 1);
    }
    st_status s = st_force_all(c->ctx, list, n, &err);
    for (size_t i = 0; i < n; i++) st_tensor_unref(list[i]);
    bind_leave(L, c, s, &err);
    return 0;
}

/* ---------------------------------------------------------------- selection */

/* core.kth(t, k) */
static int core_kth(lua_State *L)
{
    st_err err;
    bind_top(L, 2);
    int64_t k = bind_integer(L, 2, LUA_MININTEGER + 1, LUA_MAXINTEGER) - 1;
    st_tensor **slot = bind_tensor_new(L);
    return done(L, st_kth(bind_tensor(L, 1), k, slot, &err), &err);
}

/* core.median(t) */
static int core_median(lua_State *L)
{
    st_err err;
    bind_top(L, 1);
    st_tensor **slot = bind_tensor_new(L);
    return done(L, st_median(bind_tensor(L, 1), slot, &err), &err);
}

static st_interpolation interpolation(lua_State *L, int arg)
{
    static const char *const names[] = {
#define X(id, name) name,
        ST_INTERPOLATIONS(X)
#undef X
    };
    if (lua_isnoneornil(L, arg)) return ST_IP_LINEAR;
    const char *name = bind_string(L, arg, NULL);
    for (int i = 0; i < ST_IP_COUNT; i++)
        if (strcmp(names[i], name) == 0) return (st_interpolation)i;
    bind_fail_arg(L, arg, "interpolation is one of linear, lower, higher, nearest, midpoint");
}

/* core.quantile(t, q or { q, ... } [, interpolation]) */
static int core_quantile(lua_State *L)
{
    st_err err;
    bind_top(L, 3);
    bind_tensor(L, 1);
    bool scalar = lua_type(L, 2) == LUA_TNUMBER;
    if (!scalar) bind_table(L, 2);
    size_t n = scalar ? 1 : lua_rawlen(L, 2);
    if (n > MAX_QUANTILES) return bind_fail_arg(L, 2, "%zu quantiles (at most %d)", n, MAX_QUANTILES);
    double q[MAX_QUANTILES];
    for (size_t i = 0; i < n; i++) {
        if (scalar)
            lua_pushvalue(L, 2);
        else
            lua_rawgeti(L, 2, (lua_Integer)i + 1);
        if (lua_type(L, -1) != LUA_TNUMBER) return bind_fail_arg(L, 2, "quantile %zu is not a number", i + 1);
        q[i] = lua_tonumber(L, -1);
        lua_pop(L, 1);
    }
    st_interpolation how = interpolation(L, 3);
    st_tensor **slot = bind_tensor_new(L);
    return done(L, st_quantile(bind_tensor(L, 1), q, (int64_t)n, scalar, how, slot, &err), &err);
}

/* core.histogram(t, bins, low, high) */
static int core_histogram(lua_State *L)
{
    st_err err;
    bind_top(L, 4);
    int64_t bins = bind_integer(L, 2, LUA_MININTEGER, LUA_MAXINTEGER);
    double low = real(L, 3, 0), high = real(L, 4, 0);
    st_tensor **slot = bind_tensor_new(L);
    return done(L, st_histogram(bind_tensor(L, 1), bins, low, high, slot, &err), &err);
}

/* ---------------------------------------------------------------- order */

/* core.order(t, dim, first, count, descending): places from 0. */
static int core_order(lua_State *L)
{
    st_err err;
    bind_top(L, 5);
    int dim = dimension(L, 2, bind_tensor(L, 1));
    int64_t start = bind_integer(L, 3, LUA_MININTEGER + 1, LUA_MAXINTEGER) - 1;
    int64_t count = bind_integer(L, 4, LUA_MININTEGER, LUA_MAXINTEGER);
    bool descending = bind_boolean(L, 5, false);
    st_tensor **slot = bind_tensor_new(L);
    return done(L, st_order(bind_tensor(L, 1), dim, start, count, descending, slot, &err), &err);
}

/* core.median_place(t, dim): places from 0. */
static int core_median_place(lua_State *L)
{
    st_err err;
    bind_top(L, 2);
    int dim = dimension(L, 2, bind_tensor(L, 1));
    st_tensor **slot = bind_tensor_new(L);
    return done(L, st_median_place(bind_tensor(L, 1), dim, slot, &err), &err);
}

/* core.take(t, dim, places): places from 0. */
static int core_take(lua_State *L)
{
    st_err err;
    bind_top(L, 3);
    int dim = dimension(L, 2, bind_tensor(L, 1));
    st_tensor **slot = bind_tensor_new(L);
    return done(L, st_take(bind_tensor(L, 1), dim, bind_tensor(L, 3), slot, &err), &err);
}

static int running(lua_State *L, st_status (*fn)(st_tensor *, int, st_tensor **, st_err *))
{
    st_err err;
    bind_top(L, 2);
    int dim = dimension(L, 2, bind_tensor(L, 1));
    st_tensor **slot = bind_tensor_new(L);
    return done(L, fn(bind_tensor(L, 1), dim, slot, &err), &err);
}

/* core.cumsum(t, dim), core.cumprod(t, dim) */
static int core_cumsum(lua_State *L) { return running(L, st_cumsum); }
static int core_cumprod(lua_State *L) { return running(L, st_cumprod); }

/* core.index_select(t, dim, places): places from 0. */
static int core_index_select(lua_State *L)
{
    st_err err;
    bind_top(L, 3);
    int dim = dimension(L, 2, bind_tensor(L, 1));
    st_tensor **slot = bind_tensor_new(L);
    return done(L, st_index_select(bind_tensor(L, 1), dim, bind_tensor(L, 3), slot, &err), &err);
}

/* core.masked_select(t or nil, mask): elements, or places from 0. */
static int core_masked_select(lua_State *L)
{
    st_err err;
    bind_top(L, 2);
    bool places = lua_isnil(L, 1);
    if (!places) bind_tensor(L, 1);
    st_tensor **slot = bind_tensor_new(L);
    st_tensor *t = places ? NULL : bind_tensor(L, 1), *mask = bind_tensor(L, 2), *made = NULL;
    bind_context *c = bind_enter(L);
    if (t) st_tensor_ref(t);
    st_tensor_ref(mask);
    st_status s = st_masked_select(c->ctx, t, mask, &made, &err);
    st_tensor_unref(t);
    st_tensor_unref(mask);
    *slot = made;
    bind_leave(L, c, s, &err);
    bind_weigh(L, st_tensor_nbytes(bind_tensor(L, -1)));
    return 1;
}

/* core.rank(t, dim): from 0. */
static int core_rank(lua_State *L)
{
    st_err err;
    bind_top(L, 2);
    int dim = dimension(L, 2, bind_tensor(L, 1));
    st_tensor **slot = bind_tensor_new(L);
    return done(L, st_rank(bind_tensor(L, 1), dim, slot, &err), &err);
}

/* core.top_mask(t, k): k is a number or a tensor. */
static int core_top_mask(lua_State *L)
{
    st_err err;
    st_tensor *k;
    bind_top(L, 2);
    bind_tensor(L, 1);
    bind_check_operand(L, 2);
    st_tensor **slot = bind_tensor_new(L);
    st_status s = bind_operand(L, 2, &k, &err);
    if (s == ST_OK) s = st_top_mask(bind_tensor(L, 1), k, slot, &err);
    st_tensor_unref(k);
    return done(L, s, &err);
}

/* core.stiefel(w, n, steps, tol) */
static int core_stiefel(lua_State *L)
{
    st_err err;
    bind_top(L, 4);
    int64_t n = bind_integer(L, 2, 1, LUA_MAXINTEGER), steps = bind_integer(L, 3, 0, LUA_MAXINTEGER);
    double tol = real(L, 4, 0);
    st_tensor **slot = bind_tensor_new(L);
    return done(L, st_stiefel(bind_tensor(L, 1), n, steps, tol, slot, &err), &err);
}

/* core.sphere_mean(products, shares, steps, tol) */
static int core_sphere_mean(lua_State *L)
{
    st_err err;
    bind_top(L, 4);
    bind_tensor(L, 1);
    bind_tensor(L, 2);
    int64_t steps = bind_integer(L, 3, 0, LUA_MAXINTEGER);
    double tol = real(L, 4, 0);
    st_tensor **slot = bind_tensor_new(L);
    return done(L, st_sphere_mean(bind_tensor(L, 1), bind_tensor(L, 2), steps, tol, slot, &err), &err);
}

/* core.require(value, condition, message): tensors of one element. */
static int core_require(lua_State *L)
{
    st_err err;
    bind_top(L, 3);
    const char *message = bind_string(L, 3, NULL);
    st_tensor **slot = bind_tensor_new(L);
    return done(L, st_require(bind_tensor(L, 1), bind_tensor(L, 2), message, slot, &err), &err);
}

/* core.drop_dim(t, dim): the same without a dimension of size 1. */
static int core_drop_dim(lua_State *L)
{
    int64_t shape[ST_MAX_DIMS];
    st_err err;
    bind_top(L, 2);
    int dim = dimension(L, 2, bind_tensor(L, 1)), n = 0;
    st_tensor **slot = bind_tensor_new(L), *t = bind_tensor(L, 1);
    for (int d = 0; d < st_tensor_ndim(t); d++)
        if (d != dim) shape[n++] = st_tensor_shape(t)[d];
    return st_reshape(t, n, shape, slot, &err) == ST_OK ? 1 : bind_throw(L, &err);
}

/* core.unique(t): values, counts, inverse (numbers from 0). */
static int core_unique(lua_State *L)
{
    st_err err;
    bind_top(L, 1);
    bind_tensor(L, 1);
    st_tensor **slots[3];
    for (int i = 0; i < 3; i++) slots[i] = bind_tensor_new(L);
    st_tensor *t = bind_tensor(L, 1);
    bind_context *c = bind_enter(L);
    st_tensor_ref(t);
    st_status s = st_unique(c->ctx, t, slots[0], slots[1], slots[2], &err);
    st_tensor_unref(t);
    bind_leave(L, c, s, &err);
    return 3;
}

void bind_reduce_open(lua_State *L, int core)
{
    static const luaL_Reg functions[] = {
        {"reduce", core_reduce},
        {"dot", core_dot},
        {"force_all", core_force_all},
        {"kth", core_kth},
        {"median", core_median},
        {"quantile", core_quantile},
        {"histogram", core_histogram},
        {"order", core_order},
        {"median_place", core_median_place},
        {"take", core_take},
        {"rank", core_rank},
        {"top_mask", core_top_mask},
        {"require", core_require},
        {"sphere_mean", core_sphere_mean},
        {"stiefel", core_stiefel},
        {"cumsum", core_cumsum},
        {"cumprod", core_cumprod},
        {"index_select", core_index_select},
        {"masked_select", core_masked_select},
        {"drop_dim", core_drop_dim},
        {"unique", core_unique},
        {NULL, NULL},
    };
    lua_pushvalue(L, core);
    luaL_setfuncs(L, functions, 0);
    lua_pop(L, 1);
}
