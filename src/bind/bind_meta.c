/* bind_meta.c - core.meta_write, core.meta_edit, core.meta_undo: a file's metadata changed, its data as they lie.
 * Layer: bind. */
#include "bind.h"

#include <string.h>

enum { MAX_KEYS = 1 << 20 };

/* Reads the table of texts in slot `arg`, sorted by nothing: libst sorts. The arrays and the strings are kept alive by
 * the stack, where three more slots are taken. Pairs are read raw. */
static void read_pairs(lua_State *L, int arg, st_meta_change *c)
{
    bind_table(L, arg);
    size_t n = 0;
    for (lua_pushnil(L); lua_next(L, arg); lua_pop(L, 1)) n++;
    if (n > MAX_KEYS) bind_fail(L, ST_LIMIT, "%zu metadata keys (at most %d)", n, MAX_KEYS);
    st_text *keys = lua_newuserdatauv(L, (n + 1) * sizeof *keys, 0);
    st_text *values = lua_newuserdatauv(L, (n + 1) * sizeof *values, 0);
    lua_createtable(L, (int)n * 2, 0);
    int kept = lua_gettop(L);
    size_t i = 0;
    for (lua_pushnil(L); i < n && lua_next(L, arg); i++) {
        if (lua_type(L, -2) != LUA_TSTRING || lua_type(L, -1) != LUA_TSTRING)
            bind_fail_arg(L, arg, "metadata are texts by texts");
        keys[i].ptr = lua_tolstring(L, -2, &keys[i].len);
        values[i].ptr = lua_tolstring(L, -1, &values[i].len);
        lua_rawseti(L, kept, (lua_Integer)(2 * i + 1));
        lua_pushvalue(L, -1);
        lua_rawseti(L, kept, (lua_Integer)(2 * i + 2));
    }
    c->keys = keys;
    c->values = values;
    c->n = i;
}

static void read_options(lua_State *L, int arg, st_meta_change *c)
{
    static const char *const known[] = {"sync", "replace", "align", NULL};
    if (lua_isnoneornil(L, arg)) return;
    bind_options(L, arg, known);
    c->no_sync = !bind_opt_boolean(L, arg, "sync", true);
    c->no_replace = !bind_opt_boolean(L, arg, "replace", true);
    c->align = (uint32_t)bind_opt_integer(L, arg, "align", 0, 0, 1 << 20);
}

/* core.meta_write(model of one file, path, { key = text } [, { sync =, replace =, align = }]) */
static int meta_write(lua_State *L)
{
    st_err err;
    st_meta_change c = {0};
    bind_top(L, 4);
    lua_settop(L, 4);
    const char *path = bind_path(L, 2);
    read_options(L, 4, &c);
    read_pairs(L, 3, &c);
    if (st_model_files(bind_model_get(L, 1)) != 1) return bind_fail_arg(L, 1, "a model of one file expected");
    bind_model *b = bind_model_slot(L, 1);
    bind_context *ctx = bind_enter(L);
    b->lent = true;
    st_status s = st_meta_write(ctx->ctx, st_model_file(b->m, 0), &c, path, &err);
    b->lent = false;
    bind_leave(L, ctx, s, &err);
    return 0;
}

/* core.meta_edit(path, SHA-256 of its header, { key = text } [, { sync = }]): in the file itself */
static int meta_edit(lua_State *L)
{
    st_err err;
    st_meta_change c = {0};
    bind_top(L, 4);
    lua_settop(L, 4);
    const char *path = bind_path(L, 1), *sha256 = bind_string(L, 2, NULL);
    read_options(L, 4, &c);
    read_pairs(L, 3, &c);
    if (st_meta_edit(path, sha256, &c, &err) != ST_OK) return bind_throw(L, &err);
    return 0;
}

/* core.meta_undo(path) -> whether an interrupted edit was undone */
static int meta_undo(lua_State *L)
{
    st_err err;
    bool did;
    bind_top(L, 1);
    if (st_meta_undo(bind_path(L, 1), &did, &err) != ST_OK) return bind_throw(L, &err);
    lua_pushboolean(L, did);
    return 1;
}

void bind_meta_open(lua_State *L, int core)
{
    static const luaL_Reg functions[] = {
        {"meta_write", meta_write}, {"meta_edit", meta_edit}, {"meta_undo", meta_undo}, {NULL, NULL}};
    lua_pushvalue(L, core);
    luaL_setfuncs(L, functions, 0);
    lua_pop(L, 1);
}
