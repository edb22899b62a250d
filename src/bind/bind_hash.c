/* bind_hash.c - core.hash_files: the hashes by which programs know files. Layer: bind. */
#include "bind.h"

#include <string.h>

enum { MAX_FILES = 100000 };

static void set_hash(lua_State *L, const char *key, const char *value)
{
    if (value[0] == '\0') return;
    lua_pushstring(L, value);
    lua_setfield(L, -2, key);
}

/* core.hash_files({ path, ... }, whole) -> a list of { sha256, data_sha256, autov1, sshs_model, sshs_legacy }: those
 * that a file has, in hexadecimal digits; with `whole` the first and the third */
static int core_hash_files(lua_State *L)
{
    st_err err;
    bind_top(L, 2);
    bind_table(L, 1);
    bool whole = lua_toboolean(L, 2);
    lua_settop(L, 2);
    size_t n = lua_rawlen(L, 1);
    if (n > MAX_FILES) return bind_fail(L, ST_LIMIT, "%zu files at once (at most %d)", n, MAX_FILES);
    lua_createtable(L, (int)n, 0); /* 3: keeps the strings */
    const char **paths = lua_newuserdatauv(L, (n + 1) * sizeof *paths, 0);
    st_hashes *out = lua_newuserdatauv(L, (n + 1) * sizeof *out, 0);
    for (size_t i = 0; i < n; i++) {
        if (lua_rawgeti(L, 1, (lua_Integer)i + 1) != LUA_TSTRING)
            return bind_fail_arg(L, 1, "a list of paths expected");
        paths[i] = bind_path(L, lua_gettop(L));
        lua_rawseti(L, 3, (lua_Integer)i + 1);
    }
    bind_context *c = bind_enter(L);
    st_status s = st_hash_files(c->ctx, paths, n, whole, out, &err);
    bind_leave(L, c, s, &err);
    lua_createtable(L, (int)n, 0);
    for (size_t i = 0; i < n; i++) {
        lua_createtable(L, 0, 5);
        set_hash(L, "sha256", out[i].sha256);
        set_hash(L, "data_sha256", out[i].data_sha256);
        set_hash(L, "autov1", out[i].autov1);
        set_hash(L, "sshs_model", out[i].sshs_model);
        set_hash(L, "sshs_legacy", out[i].sshs_legacy);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    return 1;
}

void bind_hash_open(lua_State *L, int core)
{
    lua_pushcfunction(L, core_hash_files);
    lua_setfield(L, core, "hash_files");
}
