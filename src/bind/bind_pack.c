/* bind_pack.c - core.pack: a file to a packed file. Layer: bind. */
#include "bind.h"

/* The file of a model that is exactly one. */
static st_file *file_of(lua_State *L, int arg)
{
    const st_model *m = bind_model_get(L, arg);
    st_file *f = st_model_files(m) == 1 ? st_model_file(m, 0) : NULL;
    if (!f) bind_fail_arg(L, arg, "a model of one file expected, it has %zu", st_model_files(m));
    return f;
}

static void set_integer(lua_State *L, const char *key, uint64_t v)
{
    lua_pushinteger(L, (lua_Integer)v);
    lua_setfield(L, -2, key);
}

static int push_stats(lua_State *L, const st_pack_stats *s)
{
    lua_createtable(L, 0, 7);
    set_integer(L, "before", s->before);
    set_integer(L, "after", s->after);
    set_integer(L, "tensors", s->tensors);
    set_integer(L, "deltas", s->deltas);
    set_integer(L, "as_base", s->as_base);
    set_integer(L, "as_earlier", s->as_earlier);
    if (s->base_sha256[0]) {
        lua_pushstring(L, s->base_sha256);
        lua_setfield(L, -2, "base_sha256");
    }
    return 1;
}

/* core.pack(model, path, { base = model, base_sha256 =, sync =, replace = }) -> { before, after, tensors, deltas,
 * as_base, as_earlier, base_sha256 }. */
static int core_pack(lua_State *L)
{
    static const char *const known[] = {"base", "base_sha256", "sync", "replace", NULL};
    st_err err;
    st_pack_stats stats;
    st_pack_opts o = {0};
    bind_top(L, 3);
    st_file *f = file_of(L, 1);
    const char *path = bind_path(L, 2);
    bind_table(L, 3);
    bind_options(L, 3, known);
    o.no_sync = !bind_opt_boolean(L, 3, "sync", true);
    o.no_replace = !bind_opt_boolean(L, 3, "replace", true);
    lua_pushliteral(L, "base");
    if (lua_rawget(L, 3) != LUA_TNIL) o.base = file_of(L, 4);
    lua_pushliteral(L, "base_sha256");
    if (lua_rawget(L, 3) != LUA_TNIL) {
        size_t n;
        o.base_sha256 = bind_string(L, 5, &n);
        if (n != 64) return bind_fail(L, ST_ARG, "option 'base_sha256': 64 digits expected, got %zu", n);
    }
    /* The files live on even if a finalizer closes the models. */
    f = st_file_ref(f);
    if (o.base) st_file_ref(o.base);
    bind_context *c = bind_enter(L);
    st_status s = st_file_pack(c->ctx, f, path, &o, &stats, &err);
    st_file_close(f);
    st_file_close(o.base);
    bind_leave(L, c, s, &err);
    return push_stats(L, &stats);
}

void bind_pack_open(lua_State *L, int core)
{
    lua_pushcfunction(L, core_pack);
    lua_setfield(L, core, "pack");
}
