/* bind_context.c - the context of a Lua state: threads, memory, progress, cancel. Layer: bind.
 *
 * A program that wants to stop work from a signal handler finds two light userdata in the registry: "stlua.cancel" (the
 * st_ctx) and "stlua.cancel_fn" (a void (*)(st_ctx *)); "stlua.busy_fn" (a bool (*)(st_ctx *)) tells whether closing
 * the state would wait for work that a cancel has left behind. If it interrupts Lua code by a hook as well it may leave
 * that hook's address in "stlua.cancel_hook": the hook is taken off when the interrupt has been reported by a C
 * function. */
#include "bind.h"

#include <limits.h>
#include <stdlib.h>
#include <time.h>

#define CONTEXT "stlua.Context"

static const char context_key, progress_key;

bind_context *bind_context_get(lua_State *L)
{
    lua_rawgetp(L, LUA_REGISTRYINDEX, &context_key);
    bind_context *c = lua_touserdata(L, -1);
    lua_pop(L, 1);
    /* Finalizers of things older than this module run after the context's own. */
    if (!c || !c->ctx) bind_fail(L, ST_ARG, "this Lua state is being closed");
    return c;
}

static void set_registry(lua_State *L, const char *key, void *p)
{
    lua_pushlightuserdata(L, p);
    lua_setfield(L, LUA_REGISTRYINDEX, key);
}

static int context_gc(lua_State *L)
{
    bind_context *c = luaL_testudata(L, 1, CONTEXT);
    if (!c) return 0;
    st_ctx *ctx = c->ctx;
    c->ctx = NULL;
    st_ctx_free(ctx);
    return 0;
}

/* ---------------------------------------------------------------- progress */

/* Runs inside lua_pcall: here Lua may throw. */
static int progress_call(lua_State *L)
{
    const st_progress *p = lua_touserdata(L, 1);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &progress_key);
    lua_pushstring(L, p->phase);
    lua_pushinteger(L, (lua_Integer)p->done);
    lua_pushinteger(L, (lua_Integer)p->total);
    lua_pushnumber(L, p->seconds);
    lua_pushinteger(L, (lua_Integer)p->there);
    lua_call(L, 5, 0);
    return 0;
}

/* Called by libst, which must not be jumped over: nothing outside lua_pcall may allocate. */
static bool on_progress(void *user, const st_progress *p)
{
    bind_context *c = user;
    if (c->failed) return false;
    if (!c->busy || !lua_checkstack(c->L, 4)) return true;
    if (st_ctx_cancelled(c->ctx)) return true; /* a hook would throw in there, and the work has more to say */
    st_progress copy = *p;
    lua_pushcfunction(c->L, progress_call);
    lua_pushlightuserdata(c->L, &copy);
    c->failed = lua_pcall(c->L, 1, 0, 0) != LUA_OK;
    return !c->failed;
}

/* core.progress(fn | nil): fn(phase, done, total, seconds, there), at most ten times a second; there: of what is
 * done, the bytes that an earlier save had written. */
static int set_progress(lua_State *L)
{
    bind_context *c = bind_context_get(L);
    if (!lua_isnil(L, 1) && !lua_isfunction(L, 1))
        bind_fail_arg(L, 1, "function or nil expected, got %s", luaL_typename(L, 1));
    lua_settop(L, 1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &progress_key);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &progress_key);
    st_ctx_set_progress(c->ctx, lua_isnil(L, -1) ? NULL : on_progress, c);
    return 0;
}

/* ---------------------------------------------------------------- calls that compute */

bind_context *bind_enter(lua_State *L)
{
    bind_context *c = bind_context_get(L);
    if (c->busy) bind_fail(L, ST_ARG, "a progress function may not compute or save");
    luaL_checkstack(L, 8, "progress");
    c->L = L;
    c->failed = false;
    c->busy = true;
    return c;
}

/* The hook would report the same Ctrl-C again, perhaps inside a __close that cleans up. */
static void disarm(lua_State *L)
{
    lua_Hook hook = lua_gethook(L);
    if (hook && lua_getfield(L, LUA_REGISTRYINDEX, "stlua.cancel_hook") == LUA_TLIGHTUSERDATA) {
        union {
            lua_Hook f;
            void *p;
        } u = {.f = hook};
        if (u.p == lua_touserdata(L, -1)) lua_sethook(L, NULL, 0, 0);
    }
}

void bind_leave(lua_State *L, bind_context *c, st_status status, const st_err *err)
{
    c->busy = false;
    if (c->failed) {
        st_ctx_resume(c->ctx); /* the function stopped this work, not what comes next */
        lua_error(L);
    }
    if (status == ST_OK) return;
    if (status == ST_CANCELLED) disarm(L);
    bind_throw(L, err);
}

void bind_poll(lua_State *L)
{
    if (!st_ctx_cancelled(bind_context_get(L)->ctx)) return;
    disarm(L);
    bind_fail(L, ST_CANCELLED, "interrupted");
}

void bind_weigh(lua_State *L, uint64_t bytes)
{
    uint64_t kb = bytes / 1024;
    if (kb) lua_gc(L, LUA_GCSTEP, kb < INT_MAX / 2048 ? (int)kb : INT_MAX / 2048);
}

/* ---------------------------------------------------------------- settings */

/* core.threads([n]): how many are used; 0 asks for as many as the process may have. */
static int threads(lua_State *L)
{
    bind_context *c = bind_context_get(L);
    if (!lua_isnoneornil(L, 1)) {
        unsigned n = (unsigned)bind_integer(L, 1, 0, 4096);
        if (c->busy) bind_fail(L, ST_ARG, "the number of threads cannot change while they work");
        st_ctx_set_threads(c->ctx, n);
    }
    lua_pushinteger(L, st_ctx_threads(c->ctx));
    return 1;
}

/* core.memory([bytes]): what operations on whole tensors may hold. */
static int memory(lua_State *L)
{
    bind_context *c = bind_context_get(L);
    if (!lua_isnoneornil(L, 1)) st_ctx_set_memory(c->ctx, (uint64_t)bind_integer(L, 1, 1, LUA_MAXINTEGER));
    uint64_t bytes = st_ctx_memory(c->ctx);
    lua_pushinteger(L, bytes < LUA_MAXINTEGER ? (lua_Integer)bytes : LUA_MAXINTEGER);
    return 1;
}

static int memory_used(lua_State *L)
{
    lua_pushinteger(L, (lua_Integer)st_memory_used());
    return 1;
}

static int memory_peak(lua_State *L)
{
    lua_pushinteger(L, (lua_Integer)st_memory_peak());
    return 1;
}

/* core.bytes_read(): taken from files so far. */
static int bytes_read(lua_State *L)
{
    lua_pushinteger(L, (lua_Integer)st_bytes_read());
    return 1;
}

/* core.clock(): seconds of a clock that nobody sets. */
static int monotonic(lua_State *L)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    lua_pushnumber(L, (lua_Number)t.tv_sec + (lua_Number)t.tv_nsec / 1e9);
    return 1;
}

static int simd(lua_State *L)
{
    lua_pushstring(L, st_simd_name());
    return 1;
}

/* core.resume(): work may start again after a cancel. */
static int resume(lua_State *L)
{
    st_ctx_resume(bind_context_get(L)->ctx);
    return 0;
}

/* core.cancelled(): whether a cancel waits to be answered by core.resume. */
static int cancelled(lua_State *L)
{
    lua_pushboolean(L, st_ctx_cancelled(bind_context_get(L)->ctx));
    return 1;
}

void bind_owner_type(lua_State *L, const char *name, lua_CFunction gc)
{
    luaL_newmetatable(L, name);
    lua_pushcfunction(L, gc);
    lua_setfield(L, -2, "__gc");
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
}

void bind_context_new(lua_State *L)
{
    bind_context *c = lua_newuserdatauv(L, sizeof *c, 0);
    *c = (bind_context){.eager = getenv("STLUA_EAGER") != NULL};
    bind_owner_type(L, CONTEXT, context_gc);
    lua_setmetatable(L, -2);
    st_err err;
    if (st_ctx_new(&c->ctx, &err) != ST_OK) bind_throw(L, &err);
    set_registry(L, "stlua.cancel", c->ctx);
    union {
        void (*f)(st_ctx *);
        void *p;
    } u = {.f = st_ctx_cancel};
    set_registry(L, "stlua.cancel_fn", u.p);
    union {
        bool (*f)(st_ctx *);
        void *p;
    } v = {.f = st_ctx_busy};
    set_registry(L, "stlua.busy_fn", v.p);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &context_key);
}

int bind_made(lua_State *L, st_tensor *t)
{
    if (!bind_context_get(L)->eager) return 1;
    st_err err;
    bind_context *c = bind_enter(L);
    st_status s = st_force(c->ctx, t, &err);
    bind_leave(L, c, s, &err);
    return 1;
}

void bind_context_open(lua_State *L, int core)
{
    static const luaL_Reg functions[] = {
        {"threads", threads},
        {"memory", memory},
        {"memory_used", memory_used},
        {"memory_peak", memory_peak},
        {"progress", set_progress},
        {"simd", simd},
        {"resume", resume},
        {"cancelled", cancelled},
        {"bytes_read", bytes_read},
        {"clock", monotonic},
        {NULL, NULL},
    };
    lua_pushvalue(L, core);
    luaL_setfuncs(L, functions, 0);
    lua_pop(L, 1);
}
