/* bind_save.c - core.save: several models to several targets in one pass. Layer: bind.
 *
 * First everything is read out of the jobs table into an array that belongs to Lua, and what it points at is anchored
 * in a second table, out of the reach of scripts. Then the plan lives and dies without a chance for Lua to throw. */
#include "bind.h"

#include <string.h>

typedef struct job {
    bind_model *model;
    const char *path;
    st_save_opts opts;
} job;

enum { MAX_JOBS = 4096, MAX_FILES = 1000 };

/* Reads the list of { name, bytes } on top of the stack into an array; strings and array are kept alive by a table that
 * goes to the job's place `i` in the one in slot `anchor`. */
static void read_files(lua_State *L, int anchor, lua_Integer i, job *j)
{
    int list = lua_gettop(L);
    if (!lua_istable(L, list)) bind_fail(L, ST_ARG, "option 'files': table expected, got %s", luaL_typename(L, list));
    size_t n = lua_rawlen(L, list);
    if (n > MAX_FILES) bind_fail(L, ST_LIMIT, "option 'files': %zu files (at most %d)", n, MAX_FILES);
    lua_createtable(L, (int)n * 2 + 1, 0);
    st_companion *files = lua_newuserdatauv(L, (n + 1) * sizeof *files, 0);
    lua_rawseti(L, list + 1, 1);
    for (size_t k = 0; k < n; k++) {
        if (lua_rawgeti(L, list, (lua_Integer)k + 1) != LUA_TTABLE)
            bind_fail(L, ST_ARG, "option 'files': entry %zu is no { name, text }", k + 1);
        if (lua_rawgeti(L, -1, 1) != LUA_TSTRING || lua_rawgeti(L, -2, 2) != LUA_TSTRING)
            bind_fail(L, ST_ARG, "option 'files': entry %zu must be two strings, a name and a text", k + 1);
        files[k].name = bind_path(L, list + 3);
        files[k].bytes = lua_tolstring(L, -1, &files[k].n);
        lua_rawseti(L, list + 1, (lua_Integer)k * 2 + 2);
        lua_rawseti(L, list + 1, (lua_Integer)k * 2 + 3);
        lua_settop(L, list + 1);
    }
    lua_rawseti(L, anchor, i);
    j->opts.companions = files;
    j->opts.ncompanions = n;
}

static st_compression read_compression(lua_State *L)
{
    const char *name = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : luaL_typename(L, -1);
    if (strcmp(name, "zstd") == 0) return ST_COMPRESS_ZSTD;
    if (strcmp(name, "none") == 0) return ST_COMPRESS_NONE;
    bind_fail(L, ST_ARG, "option 'compress': \"zstd\" or \"none\" expected, got %s", name);
}

/* Reads the job on top of the stack; what it points at is kept alive by the table in slot `anchor`. */
static void read_job(lua_State *L, int anchor, lua_Integer i, job *j)
{
    static const char *const known[] = {"model", "path",      "dtype", "saturate",  "sync",   "replace",  "force",
                                        "align", "max_shard", "files", "only_file", "resume", "compress", NULL};
    int at = lua_gettop(L);
    if (!lua_istable(L, at)) bind_fail_arg(L, 1, "job %lld is a %s, not a table", (long long)i, luaL_typename(L, at));
    bind_options(L, at, known);

    lua_pushliteral(L, "model");
    lua_rawget(L, at);
    j->model = luaL_testudata(L, -1, BIND_MODEL);
    if (!j->model) bind_fail(L, ST_ARG, "option 'model': %s expected, got %s", BIND_MODEL, bind_type_name(L, -1));
    lua_rawseti(L, anchor, i * 3 - 2);

    lua_pushliteral(L, "path");
    lua_rawget(L, at);
    if (lua_type(L, -1) != LUA_TSTRING)
        bind_fail(L, ST_ARG, "option 'path': string expected, got %s", luaL_typename(L, -1));
    j->path = bind_path(L, lua_gettop(L));
    lua_rawseti(L, anchor, i * 3 - 1);

    lua_pushliteral(L, "dtype");
    if (lua_rawget(L, at) != LUA_TNIL) {
        if (lua_type(L, -1) != LUA_TSTRING)
            bind_fail(L, ST_ARG, "option 'dtype': string expected, got %s", luaL_typename(L, -1));
        j->opts.dtype = bind_dtype(L, lua_gettop(L));
        j->opts.has_dtype = true;
    }
    j->opts.saturate = bind_opt_boolean(L, at, "saturate", false);
    j->opts.no_sync = !bind_opt_boolean(L, at, "sync", true);
    j->opts.no_replace = !bind_opt_boolean(L, at, "replace", true);
    j->opts.resume = bind_opt_boolean(L, at, "resume", false);
    j->opts.force = bind_opt_boolean(L, at, "force", false);
    j->opts.align = (uint32_t)bind_opt_integer(L, at, "align", 0, 0, 1 << 20);
    j->opts.max_shard = (uint64_t)bind_opt_integer(L, at, "max_shard", 0, 0, LUA_MAXINTEGER);
    lua_pushliteral(L, "compress");
    if (lua_rawget(L, at) != LUA_TNIL) j->opts.compress = read_compression(L);
    lua_settop(L, at);
    lua_pushliteral(L, "only_file");
    if (lua_rawget(L, at) != LUA_TNIL) j->opts.only_file = bind_path(L, lua_gettop(L)); /* kept by the job's table */
    lua_settop(L, at);

    lua_pushliteral(L, "files");
    if (lua_rawget(L, at) != LUA_TNIL) read_files(L, anchor, i * 3, j);
    lua_settop(L, at);
}

/* Nothing in here may throw. */
static st_status run(bind_context *c, const job *jobs, size_t n, uint64_t *bytes, uint64_t *stored, st_err *err)
{
    st_plan *plan = NULL;
    st_status s = st_plan_new(c->ctx, &plan, err);
    for (size_t i = 0; i < n && s == ST_OK; i++)
        s = st_plan_add(plan, jobs[i].model->m, jobs[i].path, &jobs[i].opts, err);
    if (s == ST_OK) {
        *bytes = st_plan_bytes(plan);
        s = st_plan_run(plan, err);
        *stored = st_plan_stored(plan);
    }
    st_plan_free(plan);
    return s;
}

/* core.save({ { model =, path =, dtype =, saturate =, sync =, replace =, force =, align =, max_shard =, only_file =,
 * resume =, compress =, files = { { name, bytes }, ... } }, ... }) -> bytes written, and where some are compressed,
 * what they take on the disk. All targets are written, or none. */
static int core_save(lua_State *L)
{
    st_err err;
    uint64_t bytes = 0, stored = 0;
    bool packed = false;
    bind_top(L, 1);
    bind_table(L, 1);
    size_t n = lua_rawlen(L, 1);
    if (n == 0) return bind_fail_arg(L, 1, "a list of jobs expected");
    if (n > MAX_JOBS) return bind_fail(L, ST_LIMIT, "%zu models in one save (at most %d)", n, MAX_JOBS);
    lua_newtable(L);                                       /* 2: the anchor */
    job *jobs = lua_newuserdatauv(L, n * sizeof *jobs, 0); /* 3 */
    memset(jobs, 0, n * sizeof *jobs);
    for (size_t i = 0; i < n; i++) {
        lua_rawgeti(L, 1, (lua_Integer)i + 1);
        read_job(L, 2, (lua_Integer)i + 1, &jobs[i]);
        packed |= jobs[i].opts.compress != ST_COMPRESS_NONE;
        lua_settop(L, 3);
    }
    for (size_t i = 0; i < n; i++)
        if (!jobs[i].model->m) return bind_fail(L, ST_ARG, "the model to be saved as %s was closed", jobs[i].path);
    bind_context *c = bind_enter(L);
    for (size_t i = 0; i < n; i++) jobs[i].model->lent = true;
    st_status s = run(c, jobs, n, &bytes, &stored, &err);
    for (size_t i = 0; i < n; i++) jobs[i].model->lent = false;
    bind_leave(L, c, s, &err);
    lua_pushinteger(L, (lua_Integer)bytes);
    if (packed) lua_pushinteger(L, (lua_Integer)stored);
    return packed ? 2 : 1;
}

void bind_save_open(lua_State *L, int core)
{
    lua_pushcfunction(L, core_save);
    lua_setfield(L, core, "save");
}
