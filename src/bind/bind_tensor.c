/* bind_tensor.c - the tensor's userdata, what it says of itself, and core.tensor. Layer: bind. */
#include "bind.h"

#include <string.h>

bool bind_is_tensor(lua_State *L, int arg) { return luaL_testudata(L, arg, BIND_TENSOR) != NULL; }

st_tensor **bind_tensor_new(lua_State *L)
{
    st_tensor **slot = lua_newuserdatauv(L, sizeof(void *), 0);
    *slot = NULL;
    luaL_setmetatable(L, BIND_TENSOR);
    return slot;
}

static st_tensor **tensor_slot(lua_State *L, int arg)
{
    st_tensor **slot = luaL_testudata(L, arg, BIND_TENSOR);
    if (!slot) bind_fail_arg(L, arg, "%s expected, got %s", BIND_TENSOR, bind_type_name(L, arg));
    return slot;
}

st_tensor *bind_tensor(lua_State *L, int arg)
{
    st_tensor **slot = tensor_slot(L, arg);
    if (!*slot) bind_fail_arg(L, arg, "the tensor was closed");
    return *slot;
}

static int tensor_close(lua_State *L)
{
    st_tensor **slot = tensor_slot(L, 1), *t = *slot;
    *slot = NULL;
    st_tensor_unref(t);
    return 0;
}

void bind_push_shape(lua_State *L, int ndim, const int64_t *shape)
{
    int64_t copy[ST_MAX_DIMS]; /* the table's memory may cost the shape's owner its life */
    if (ndim > 0) memcpy(copy, shape, (size_t)ndim * sizeof *copy);
    lua_createtable(L, ndim, 0);
    for (int i = 0; i < ndim; i++) {
        lua_pushinteger(L, copy[i]);
        lua_rawseti(L, -2, i + 1);
    }
}

void bind_methods(lua_State *L, const char *type, const luaL_Reg *l)
{
    luaL_getmetatable(L, type);
    lua_getfield(L, -1, "methods");
    luaL_setfuncs(L, l, 0);
    lua_pop(L, 2);
}

/* ---------------------------------------------------------------- what it is */

static int tensor_dtype(lua_State *L)
{
    lua_pushstring(L, st_dtype_name(st_tensor_dtype(bind_tensor(L, 1))));
    return 1;
}

static int tensor_shape(lua_State *L)
{
    const st_tensor *t = bind_tensor(L, 1);
    bind_push_shape(L, st_tensor_ndim(t), st_tensor_shape(t));
    return 1;
}

static int tensor_ndim(lua_State *L)
{
    lua_pushinteger(L, st_tensor_ndim(bind_tensor(L, 1)));
    return 1;
}

static int tensor_numel(lua_State *L)
{
    lua_pushinteger(L, st_tensor_numel(bind_tensor(L, 1)));
    return 1;
}

static int tensor_nbytes(lua_State *L)
{
    lua_pushinteger(L, (lua_Integer)st_tensor_nbytes(bind_tensor(L, 1)));
    return 1;
}

static int tensor_is_leaf(lua_State *L)
{
    lua_pushboolean(L, st_tensor_is_leaf(bind_tensor(L, 1)));
    return 1;
}

static int tensor_is_cast(lua_State *L)
{
    lua_pushboolean(L, st_tensor_is_cast(bind_tensor(L, 1)));
    return 1;
}

/* t:quant(): the quantised layout that a file's tensor belongs to, or nil. */
static int tensor_quant(lua_State *L)
{
    lua_pushstring(L, st_tensor_quant(bind_tensor(L, 1)));
    return 1;
}

/* t:source(): file and name of a tensor that is a file's, else nil. */
static int tensor_source(lua_State *L)
{
    lua_pushstring(L, st_tensor_file(bind_tensor(L, 1)));
    lua_pushstring(L, st_tensor_name(bind_tensor(L, 1)));
    return 2;
}

/* #t: the first dimension. */
static int tensor_len(lua_State *L)
{
    const st_tensor *t = bind_tensor(L, 1);
    if (st_tensor_ndim(t) == 0) return bind_fail(L, ST_SHAPE, "a tensor without dimensions has no length");
    lua_pushinteger(L, st_tensor_shape(t)[0]);
    return 1;
}

/* ---------------------------------------------------------------- making one */

static int read_shape(lua_State *L, int arg, int64_t shape[ST_MAX_DIMS])
{
    bind_table(L, arg);
    size_t n = lua_rawlen(L, arg);
    if (n > ST_MAX_DIMS) bind_fail(L, ST_LIMIT, "a shape of %zu dimensions (at most %d)", n, ST_MAX_DIMS);
    for (size_t i = 0; i < n; i++) {
        int ok = 0;
        int type = lua_rawgeti(L, arg, (lua_Integer)i + 1);
        lua_Integer v = type == LUA_TNUMBER ? lua_tointegerx(L, -1, &ok) : 0;
        if (!ok || v < 0) bind_fail_arg(L, arg, "size %zu of the shape is not an integer >= 0", i + 1);
        shape[i] = v;
        lua_pop(L, 1);
    }
    return (int)n;
}

/* core.tensor(dtype, shape, bytes): values in memory, from their little-endian bytes. */
static int tensor_from_bytes(lua_State *L)
{
    int64_t shape[ST_MAX_DIMS];
    size_t n;
    st_err err;
    bind_top(L, 3);
    st_dtype dtype = bind_dtype(L, 1);
    int ndim = read_shape(L, 2, shape);
    const char *bytes = bind_string(L, 3, &n);
    st_tensor **slot = bind_tensor_new(L);
    if (st_tensor_new(dtype, ndim, shape, bytes, n, slot, &err) != ST_OK) return bind_throw(L, &err);
    bind_weigh(L, n);
    return 1;
}

void bind_tensor_open(lua_State *L, int core)
{
    static const luaL_Reg meta[] = {
        {"__gc", tensor_close}, {"__close", tensor_close}, {"__len", tensor_len}, {NULL, NULL}};
    static const luaL_Reg methods[] = {
        {"dtype", tensor_dtype},     {"shape", tensor_shape},
        {"ndim", tensor_ndim},       {"numel", tensor_numel},
        {"nbytes", tensor_nbytes},   {"is_leaf", tensor_is_leaf},
        {"is_cast", tensor_is_cast}, {"quant", tensor_quant},
        {"source", tensor_source},   {NULL, NULL},
    };
    luaL_newmetatable(L, BIND_TENSOR);
    luaL_setfuncs(L, meta, 0);
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
    lua_newtable(L);
    lua_pushvalue(L, -1);
    lua_setfield(L, core, "Tensor");
    lua_pushvalue(L, -1);
    lua_setfield(L, -3, "methods"); /* for completion, which looks without running code */
    lua_setfield(L, -2, "__index");
    lua_setfield(L, core, "tensor_meta");
    bind_methods(L, BIND_TENSOR, methods);
    lua_pushcfunction(L, tensor_from_bytes);
    lua_setfield(L, core, "tensor");
}
