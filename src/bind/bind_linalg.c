/* bind_linalg.c - linear algebra, Fourier transforms and random tensors: what lua/stlua/linalg.lua, fourier.lua and
 * random.lua make the public functions of. Layer: bind. All of them only describe; the results are deferred. */
#include "bind.h"

#include <string.h>

enum { MAX_RESULTS = 4 };

/* Pushes n closed tensors. All before an operand is looked at: making them may close one. */
static void new_slots(lua_State *L, st_tensor **slots[], int n)
{
    for (int i = 0; i < n; i++) slots[i] = bind_tensor_new(L);
}

static int fill(lua_State *L, st_tensor **slots[], st_tensor **out, int n, st_status s, const st_err *err)
{
    if (s != ST_OK) return bind_throw(L, err);
    for (int i = 0; i < n; i++) *slots[i] = out[i];
    bind_built_here(L); /* several results are parts of one operation */
    return n;
}

/* core.cholesky(a), core.qr(a) ...: functions of one tensor, told apart by the upvalue. */
static const struct {
    const char *name;
    st_status (*fn)(st_tensor *a, st_tensor **out, st_err *err);
    int results;
} factors[] = {
    {"cholesky", st_cholesky, 1},         {"det", st_det, 1}, {"inverse", st_inverse, 1}, {"svdvals", st_svdvals, 1},
    {"nuclear_norm", st_nuclear_norm, 1}, {"qr", st_qr, 2},   {"eigh", st_eigh, 2},
};

static int core_factor(lua_State *L)
{
    st_err err;
    st_tensor **slots[MAX_RESULTS], *out[MAX_RESULTS] = {NULL};
    bind_top(L, 1);
    bind_tensor(L, 1);
    size_t i = (size_t)lua_tointeger(L, lua_upvalueindex(1));
    new_slots(L, slots, factors[i].results);
    return fill(L, slots, out, factors[i].results, factors[i].fn(bind_tensor(L, 1), out, &err), &err);
}

/* core.svd(a [, full]) */
static int core_svd(lua_State *L)
{
    st_err err;
    st_tensor **slots[3], *out[3] = {NULL};
    bind_top(L, 2);
    bool full = bind_boolean(L, 2, false);
    new_slots(L, slots, 3);
    return fill(L, slots, out, 3, st_svd(bind_tensor(L, 1), full, out, &err), &err);
}

/* core.svd_lowrank(a, k, niter, seed): U, S, V, certificate */
static int core_svd_lowrank(lua_State *L)
{
    st_err err;
    st_tensor **slots[4], *out[4] = {NULL};
    bind_top(L, 4);
    int64_t k = bind_integer(L, 2, LUA_MININTEGER, LUA_MAXINTEGER);
    int niter = (int)bind_integer(L, 3, -1, 100000);
    uint64_t seed = (uint64_t)bind_integer(L, 4, LUA_MININTEGER, LUA_MAXINTEGER);
    new_slots(L, slots, 4);
    return fill(L, slots, out, 4, st_svd_lowrank(bind_tensor(L, 1), k, niter, seed, out, &err), &err);
}

/* core.pinv(a [, rtol]) */
static int core_pinv(lua_State *L)
{
    st_err err;
    st_tensor **slot, *out = NULL;
    double rtol = -1;
    bind_top(L, 2);
    if (!lua_isnoneornil(L, 2)) {
        if (lua_type(L, 2) != LUA_TNUMBER || !((rtol = lua_tonumber(L, 2)) >= 0))
            return bind_fail_arg(L, 2, "a number of at least 0 expected");
    }
    new_slots(L, &slot, 1);
    return fill(L, &slot, &out, 1, st_pinv(bind_tensor(L, 1), rtol, &out, &err), &err);
}

static int binary(lua_State *L, st_status (*fn)(st_tensor *, st_tensor *, st_tensor **, st_err *))
{
    st_err err;
    st_tensor **slot, *out = NULL;
    bind_top(L, 2);
    new_slots(L, &slot, 1);
    st_tensor *a = bind_tensor(L, 1), *b = bind_tensor(L, 2);
    return fill(L, &slot, &out, 1, fn(a, b, &out, &err), &err);
}

static int core_matmul(lua_State *L) { return binary(L, st_matmul); }
static int core_solve(lua_State *L) { return binary(L, st_solve); }

/* core.fft(kind, t, dims, n, scale): kind is "fftn", "ifftn", "rfftn" or "irfftn"; over the last `dims` dimensions. */
static int core_fft(lua_State *L)
{
    static const char *const names[] = {"fftn", "ifftn", "rfftn", "irfftn"};
    st_err err;
    st_tensor **slot, *out = NULL;
    int kind = 0;
    bind_top(L, 5);
    const char *name = bind_string(L, 1, NULL);
    while (kind < 4 && strcmp(names[kind], name) != 0) kind++;
    if (kind == 4) return bind_fail_arg(L, 1, "unknown transform");
    int dims = (int)bind_integer(L, 3, 0, ST_MAX_DIMS);
    int64_t n = bind_integer(L, 4, LUA_MININTEGER, LUA_MAXINTEGER);
    if (lua_type(L, 5) != LUA_TNUMBER) return bind_fail_arg(L, 5, "a number expected");
    double scale = lua_tonumber(L, 5);
    new_slots(L, &slot, 1);
    return fill(L, &slot, &out, 1, st_fft((st_fft_kind)kind, bind_tensor(L, 2), dims, n, scale, &out, &err), &err);
}

/* core.random(kind, dtype, sizes, seed, stream [, low, high]): kind is "rand", "randn", "randint" or "chance" (whose
 * low is the probability), stream a number or a name. */
static int core_random(lua_State *L)
{
    int64_t shape[ST_MAX_DIMS], low = 0, high = 0;
    st_err err;
    st_status s;
    st_tensor **slot, *out = NULL;
    bind_top(L, 7);
    const char *kind = bind_string(L, 1, NULL);
    st_dtype dtype = bind_dtype(L, 2);
    int ndim = bind_shape(L, 3, shape, 0);
    st_seed seed = {.seed = (uint64_t)bind_integer(L, 4, LUA_MININTEGER, LUA_MAXINTEGER)};
    if (lua_type(L, 5) == LUA_TSTRING)
        seed.name = bind_string(L, 5, &seed.name_len);
    else
        seed.stream = (uint64_t)bind_integer(L, 5, LUA_MININTEGER, LUA_MAXINTEGER);
    bool integers = strcmp(kind, "randint") == 0, chance = strcmp(kind, "chance") == 0;
    double p = 0;
    if (chance && lua_type(L, 6) != LUA_TNUMBER) return bind_fail_arg(L, 6, "a probability expected");
    if (chance) p = lua_tonumber(L, 6);
    if (integers) {
        low = bind_integer(L, 6, LUA_MININTEGER, LUA_MAXINTEGER);
        high = bind_integer(L, 7, LUA_MININTEGER, LUA_MAXINTEGER);
    }
    new_slots(L, &slot, 1);
    if (integers)
        s = st_randint(dtype, ndim, shape, low, high, &seed, &out, &err);
    else if (chance)
        s = st_chance(p, ndim, shape, &seed, &out, &err);
    else if (strcmp(kind, "randn") == 0)
        s = st_randn(dtype, ndim, shape, &seed, &out, &err);
    else
        s = st_rand(dtype, ndim, shape, &seed, &out, &err);
    return fill(L, &slot, &out, 1, s, &err);
}

void bind_linalg_open(lua_State *L, int core)
{
    static const luaL_Reg functions[] = {
        {"svd", core_svd},     {"svd_lowrank", core_svd_lowrank}, {"pinv", core_pinv}, {"matmul", core_matmul},
        {"solve", core_solve}, {"random", core_random},           {"fft", core_fft},   {NULL, NULL},
    };
    lua_pushvalue(L, core);
    luaL_setfuncs(L, functions, 0);
    for (size_t i = 0; i < sizeof factors / sizeof *factors; i++) {
        lua_pushinteger(L, (lua_Integer)i);
        lua_pushcclosure(L, core_factor, 1);
        lua_setfield(L, -2, factors[i].name);
    }
    lua_pop(L, 1);
}
