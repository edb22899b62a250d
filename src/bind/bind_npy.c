/* bind_npy.c - writing NumPy's files: core.npy_header, core.save_npy. Layer: bind. */
#include "bind.h"

#include <string.h>

enum { MAX_ITEMS = 1 << 24 };

/* core.npy_header(dtype, shape) -> the text in front of the elements */
static int npy_header(lua_State *L)
{
    st_err err;
    char text[2048];
    size_t n;
    int64_t shape[ST_MAX_DIMS];
    bind_top(L, 2);
    st_dtype dtype = bind_dtype(L, 1);
    int ndim = bind_shape(L, 2, shape, 0);
    if (st_npy_header(dtype, ndim, shape, text, &n, &err) != ST_OK) return bind_throw(L, &err);
    lua_pushlstring(L, text, n);
    return 1;
}

/* Field k of the item on top of the stack. */
static int field(lua_State *L, int k)
{
    lua_rawgeti(L, -1, k);
    return lua_gettop(L);
}

/* The item { name, tensor, as, named } on top of the stack; name and tensor are kept alive by the table in slot 4. */
static void read_item(lua_State *L, lua_Integer i, st_npy_item *it)
{
    int at = lua_gettop(L);
    if (!lua_istable(L, at)) bind_fail_arg(L, 2, "item %lld is a %s, not a table", (long long)i, luaL_typename(L, at));
    it->name = bind_string(L, field(L, 1), &it->name_len);
    lua_rawseti(L, 4, i * 2);
    int t = field(L, 2);
    bind_tensor(L, t);
    lua_rawseti(L, 4, i * 2 + 1);
    it->as = bind_dtype(L, field(L, 3));
    lua_settop(L, at);
    it->named = bind_dtype(L, field(L, 4));
    lua_settop(L, at);
}

/* core.save_npy(path, { { name, tensor, as, named }, ... }, { archive =, sync =, replace = }) */
static int save_npy(lua_State *L)
{
    static const char *const known[] = {"archive", "sync", "replace", NULL};
    st_err err;
    bind_top(L, 3);
    const char *path = bind_path(L, 1);
    bind_table(L, 2);
    bind_options(L, 3, known);
    bool archive = bind_opt_boolean(L, 3, "archive", false);
    st_save_opts opts = {.no_sync = !bind_opt_boolean(L, 3, "sync", true),
                         .no_replace = !bind_opt_boolean(L, 3, "replace", true)};
    size_t n = lua_rawlen(L, 2);
    if (n > MAX_ITEMS) return bind_fail(L, ST_LIMIT, "%zu arrays (at most %d)", n, MAX_ITEMS);
    lua_newtable(L);                                                 /* 4: the anchor */
    st_npy_item *items = lua_newuserdatauv(L, n * sizeof *items, 0); /* 5 */
    for (size_t i = 0; i < n; i++) {
        lua_rawgeti(L, 2, (lua_Integer)i + 1);
        read_item(L, (lua_Integer)i + 1, &items[i]);
        lua_settop(L, 5);
    }
    for (size_t i = 0; i < n; i++) { /* nothing of Lua runs from here on but the progress function */
        lua_rawgeti(L, 4, ((lua_Integer)i + 1) * 2 + 1);
        items[i].t = bind_tensor(L, 6);
        lua_settop(L, 5);
    }
    bind_context *c = bind_enter(L);
    for (size_t i = 0; i < n; i++) st_tensor_ref(items[i].t); /* it may write to the tensors */
    st_status s = st_npy_save(c->ctx, path, items, n, archive, &opts, &err);
    for (size_t i = 0; i < n; i++) st_tensor_unref(items[i].t);
    bind_leave(L, c, s, &err);
    return 0;
}

void bind_npy_open(lua_State *L, int core)
{
    static const luaL_Reg functions[] = {{"npy_header", npy_header}, {"save_npy", save_npy}, {NULL, NULL}};
    lua_pushvalue(L, core);
    luaL_setfuncs(L, functions, 0);
    lua_pop(L, 1);
}
