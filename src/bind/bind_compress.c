/* bind_compress.c - files as wholes: core.compress, core.decompress, core.write_file, core.verify. Layer: bind. */
#include "bind.h"

typedef st_status (*copier)(st_ctx *ctx, const char *path, const char *to, const st_copy_opts *opts, uint64_t *bytes,
                            st_err *err);

static int copy_with(lua_State *L, copier copy)
{
    static const char *const known[] = {"sync", "replace", "base", NULL};
    st_err err;
    uint64_t bytes = 0;
    st_copy_opts opts = {0};
    bind_top(L, 3);
    const char *path = bind_path(L, 1), *to = bind_path(L, 2);
    if (!lua_isnoneornil(L, 3)) {
        bind_table(L, 3);
        bind_options(L, 3, known);
        opts.no_sync = !bind_opt_boolean(L, 3, "sync", true);
        opts.no_replace = !bind_opt_boolean(L, 3, "replace", true);
        lua_pushliteral(L, "base");
        if (lua_rawget(L, 3) != LUA_TNIL) opts.base = bind_path(L, 4); /* kept by the table */
    }
    bind_context *c = bind_enter(L);
    st_status s = copy(c->ctx, path, to, &opts, &bytes, &err);
    bind_leave(L, c, s, &err);
    lua_pushinteger(L, (lua_Integer)bytes);
    return 1;
}

/* core.compress(path, to [, { sync =, replace = }]) -> bytes on the disk; core.decompress takes `base` as well. */
static int core_compress(lua_State *L) { return copy_with(L, st_file_compress); }
static int core_decompress(lua_State *L) { return copy_with(L, st_file_decompress); }

/* core.write_file(path, bytes) */
static int core_write_file(lua_State *L)
{
    st_err err;
    size_t n;
    bind_top(L, 2);
    const char *path = bind_path(L, 1), *bytes = bind_string(L, 2, &n);
    bind_context *c = bind_enter(L);
    st_status s = st_file_write(c->ctx, path, bytes, n, &err);
    bind_leave(L, c, s, &err);
    return 0;
}

#define VERDICT "stlua.Verdict"

static int verdict_gc(lua_State *L)
{
    st_verdict *v = luaL_testudata(L, 1, VERDICT);
    if (v) st_verdict_free(v);
    return 0;
}

static void set_integer(lua_State *L, const char *key, uint64_t v)
{
    lua_pushinteger(L, (lua_Integer)v);
    lua_setfield(L, -2, key);
}

static void push_damage(lua_State *L, const st_damage *d)
{
    lua_createtable(L, 0, 4);
    set_integer(L, "first", d->begin);
    set_integer(L, "bytes", d->end - d->begin);
    lua_pushstring(L, d->message);
    lua_setfield(L, -2, "message");
    if (!d->tensor[0]) return;
    lua_pushstring(L, d->tensor);
    lua_setfield(L, -2, "tensor");
}

/* core.verify(path [, base]) -> { damaged = list of { first =, bytes =, tensor =, message = }, total =, checked =,
 * compression = }; names are escaped. */
static int core_verify(lua_State *L)
{
    st_err err;
    bind_top(L, 2);
    const char *path = bind_path(L, 1);
    st_open_opts o = {.base = lua_isnoneornil(L, 2) ? NULL : bind_path(L, 2)};
    st_verdict *v = lua_newuserdatauv(L, sizeof *v, 0);
    *v = (st_verdict){0};
    luaL_setmetatable(L, VERDICT);
    bind_context *c = bind_enter(L);
    st_status s = st_file_verify(c->ctx, path, &o, v, &err);
    bind_leave(L, c, s, &err);
    lua_createtable(L, 0, 4);
    lua_createtable(L, (int)v->n, 0);
    for (size_t i = 0; i < v->n; i++) {
        push_damage(L, &v->list[i]);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    lua_setfield(L, -2, "damaged");
    set_integer(L, "total", v->total);
    lua_pushboolean(L, v->checked);
    lua_setfield(L, -2, "checked");
    lua_pushstring(L, v->compression);
    lua_setfield(L, -2, "compression");
    return 1;
}

void bind_compress_open(lua_State *L, int core)
{
    static const luaL_Reg functions[] = {{"compress", core_compress},
                                         {"decompress", core_decompress},
                                         {"write_file", core_write_file},
                                         {"verify", core_verify},
                                         {NULL, NULL}};
    bind_owner_type(L, VERDICT, verdict_gc);
    lua_pop(L, 1);
    lua_pushvalue(L, core);
    luaL_setfuncs(L, functions, 0);
    lua_pop(L, 1);
}
