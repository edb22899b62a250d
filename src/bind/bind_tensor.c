/* bind_tensor.c - the tensor's userdata, what it says of itself, and core.tensor. Layer: bind. */
#include "bind.h"

#include <string.h>

/* A tensor of a script: a variable that holds a node, or a view of one, which knows where in it it lies. Writing to
 * either gives the root another node, and the views make theirs anew when they are next asked for it. */
typedef struct box {
    st_tensor *t;     /* of a view: NULL until it is asked for */
    uint64_t version; /* of a root: how often it was written to; of a view: the root's when `t` was made */
    bool closed, frozen;
    int ndim;              /* of a view, whose root is its user value; a root has -1 */
    int64_t start, dims[]; /* sizes, then strides */
} box;

static box *box_of(lua_State *L, int arg)
{
    box *b = luaL_testudata(L, arg, BIND_TENSOR);
    if (!b) return bind_fail_arg(L, arg, "%s expected, got %s", BIND_TENSOR, bind_type_name(L, arg)), NULL;
    if (b->closed) bind_fail_arg(L, arg, "the tensor was closed");
    return b;
}

/* The root of an open tensor: itself, or what it is a view of, which lives as long as the view. */
static box *root_of(lua_State *L, int arg, box *b)
{
    if (b->ndim < 0) return b;
    lua_getiuservalue(L, arg, 1);
    box *root = lua_touserdata(L, -1);
    lua_pop(L, 1);
    if (!root || !root->t) bind_fail_arg(L, arg, "the tensor of this view was closed");
    return root;
}

static void place_in(const box *b, const box *root, st_place *p)
{
    st_place_of(root->t, p);
    if (b->ndim < 0) return;
    size_t n = (size_t)b->ndim;
    p->ndim = b->ndim;
    p->start = b->start;
    memcpy(p->shape, b->dims, n * sizeof *b->dims);
    memcpy(p->strides, b->dims + n, n * sizeof *b->dims);
}

bool bind_is_tensor(lua_State *L, int arg) { return luaL_testudata(L, arg, BIND_TENSOR) != NULL; }

st_tensor *bind_tensor(lua_State *L, int arg)
{
    st_err err;
    st_place p;
    box *b = box_of(L, arg), *root = root_of(L, arg, b);
    if (b == root || (b->t && b->version == root->version)) {
        if (!b->t) bind_fail_arg(L, arg, "the tensor was closed");
        return b->t;
    }
    st_tensor_unref(b->t);
    b->t = NULL;
    place_in(b, root, &p);
    if (st_view(root->t, &p, &b->t, &err) != ST_OK) bind_throw(L, &err);
    b->version = root->version;
    return b->t;
}

st_tensor **bind_tensor_new(lua_State *L)
{
    box *b = lua_newuserdatauv(L, sizeof *b, 0);
    *b = (box){.ndim = -1};
    luaL_setmetatable(L, BIND_TENSOR);
    return &b->t;
}

void bind_tensor_freeze(lua_State *L, int arg) { box_of(L, arg)->frozen = true; }

st_tensor *bind_tensor_root(lua_State *L, int arg, st_place *p)
{
    box *b = box_of(L, arg), *root = root_of(L, arg, b);
    if (!root->t) bind_fail_arg(L, arg, "the tensor was closed");
    place_in(b, root, p);
    return root->t;
}

void bind_tensor_view(lua_State *L, int arg, const st_place *p)
{
    size_t n = (size_t)p->ndim;
    arg = lua_absindex(L, arg);
    const box *of = box_of(L, arg);
    box *b = lua_newuserdatauv(L, sizeof *b + 2 * n * sizeof *b->dims, 1);
    *b = (box){.ndim = p->ndim, .start = p->start};
    memcpy(b->dims, p->shape, n * sizeof *b->dims);
    memcpy(b->dims + n, p->strides, n * sizeof *b->dims);
    if (of->ndim < 0)
        lua_pushvalue(L, arg);
    else
        lua_getiuservalue(L, arg, 1);
    lua_setiuservalue(L, -2, 1);
    luaL_setmetatable(L, BIND_TENSOR);
}

void bind_tensor_writable(lua_State *L, int arg)
{
    box *b = box_of(L, arg), *root = root_of(L, arg, b);
    if (!root->t) bind_fail_arg(L, arg, "the tensor was closed");
    if (root->frozen)
        bind_fail(L, ST_ARG,
                  "a tensor of a model is read-only: change a copy (t:clone()) and put that into the model (m:set)");
}

st_tensor **bind_tensor_write(lua_State *L, int arg)
{
    box *b = box_of(L, arg), *root = root_of(L, arg, b);
    if (b != root) { /* its node would keep the root's from being written in place */
        st_tensor_unref(b->t);
        b->t = NULL;
    }
    root->version++;
    return &root->t;
}

static int tensor_close(lua_State *L)
{
    box *b = luaL_testudata(L, 1, BIND_TENSOR);
    if (!b) return bind_fail_arg(L, 1, "%s expected, got %s", BIND_TENSOR, bind_type_name(L, 1));
    st_tensor *t = b->t;
    b->t = NULL;
    b->closed = true;
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

int bind_shape(lua_State *L, int arg, int64_t shape[ST_MAX_DIMS], int64_t least)
{
    bind_table(L, arg);
    size_t n = lua_rawlen(L, arg);
    if (n > ST_MAX_DIMS) bind_fail(L, ST_LIMIT, "a shape of %zu dimensions (at most %d)", n, ST_MAX_DIMS);
    for (size_t i = 0; i < n; i++) {
        int ok = 0;
        int type = lua_rawgeti(L, arg, (lua_Integer)i + 1);
        lua_Integer v = type == LUA_TNUMBER ? lua_tointegerx(L, -1, &ok) : 0;
        if (!ok || v < least)
            bind_fail_arg(L, arg, "size %zu of the shape is not an integer >= %lld", i + 1, (long long)least);
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
    int ndim = bind_shape(L, 2, shape, 0);
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
    lua_pop(L, 1);
    lua_setfield(L, core, "tensor_meta");
    bind_methods(L, BIND_TENSOR, methods);
    lua_pushcfunction(L, tensor_from_bytes);
    lua_setfield(L, core, "tensor");
}
