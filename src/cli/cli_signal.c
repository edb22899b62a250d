/* cli_signal.c - Ctrl-C and its relatives. Layer: cli.
 *
 * The first signal asks: libst's cancel flag is raised, so that running work ends within a tile's time and removes its
 * temporary files, and a hook throws in Lua code. A second one within a second kills. A broken pipe counts as a signal
 * to stop, too: its default action would kill a save that only reports progress to a pager, and leave its temporary
 * file. */
#include "cli.h"

#include <lualib.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <time.h>

static const int caught[] = {SIGINT, SIGTERM, SIGHUP, SIGPIPE};

static struct {
    lua_State *volatile L; /* whose code runs: the main thread of Lua, or a coroutine */
    void *ctx;
    void (*cancel)(void *ctx);
    bool (*busy)(void *ctx);
    pthread_t thread;
    volatile sig_atomic_t pending;
    struct timespec when;
} sig;

/* Throws an error object of code "cancelled". */
static void interrupt_hook(lua_State *L, lua_Debug *ar)
{
    (void)ar;
    lua_sethook(L, NULL, 0, 0);
    luaL_checkstack(L, 6, "interrupted");
    luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
    lua_getfield(L, -1, "stlua.core");
    lua_getfield(L, -1, "error");
    lua_pushliteral(L, "cancelled");
    lua_pushliteral(L, "interrupted");
    lua_call(L, 2, 1);
    lua_error(L);
}

static bool within_a_second(const struct timespec *now)
{
    double d = (double)(now->tv_sec - sig.when.tv_sec) + (double)(now->tv_nsec - sig.when.tv_nsec) / 1e9;
    return d < 1.0;
}

/* Async-signal-safe, as lua_sethook and the cancel function are. */
static void on_signal(int number)
{
    struct timespec now;
    if (!pthread_equal(pthread_self(), sig.thread)) {
        pthread_kill(sig.thread, number); /* lua_sethook belongs to the thread that runs Lua */
        return;
    }
    clock_gettime(CLOCK_MONOTONIC, &now);
    if (sig.pending && within_a_second(&now)) {
        signal(number, SIG_DFL);
        raise(number);
        return;
    }
    sig.pending = number;
    sig.when = now;
    if (!sig.L) return;
    sig.cancel(sig.ctx);
    lua_sethook(sig.L, interrupt_hook, LUA_MASKCALL | LUA_MASKRET | LUA_MASKLINE | LUA_MASKCOUNT, 1);
}

/* ---------------------------------------------------------------- coroutines
 * Each has a hook of its own, so it must be known which one runs: coroutine.resume and what coroutine.wrap gives say so
 * on their way. */

/* Calls the function below its arguments, which lets `co` run. */
static int run_coroutine(lua_State *L, lua_State *co)
{
    if (sig.L && co) sig.L = co;
    int status = lua_pcall(L, lua_gettop(L) - 1, LUA_MULTRET, 0);
    if (sig.L) sig.L = L;
    if (co && lua_gethook(co) == interrupt_hook) { /* the signal came too late for it */
        lua_sethook(co, NULL, 0, 0);
        lua_sethook(L, interrupt_hook, LUA_MASKCALL | LUA_MASKRET | LUA_MASKLINE | LUA_MASKCOUNT, 1);
    }
    return status == LUA_OK ? lua_gettop(L) : lua_error(L);
}

static int resume(lua_State *L)
{
    lua_State *co = lua_tothread(L, 1);
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_insert(L, 1);
    return run_coroutine(L, co);
}

static int call_wrapped(lua_State *L)
{
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_insert(L, 1);
    lua_State *co = lua_getupvalue(L, 1, 1) ? lua_tothread(L, -1) : NULL;
    lua_pop(L, 1);
    return run_coroutine(L, co);
}

static int wrap(lua_State *L)
{
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_insert(L, 1);
    lua_call(L, lua_gettop(L) - 1, 1);
    lua_pushcclosure(L, call_wrapped, 1);
    return 1;
}

static void follow(lua_State *L, const char *name, lua_CFunction fn)
{
    lua_getglobal(L, LUA_COLIBNAME);
    lua_getfield(L, -1, name);
    lua_pushcclosure(L, fn, 1);
    lua_setfield(L, -2, name);
    lua_pop(L, 1);
}

/* ---------------------------------------------------------------- on and off */

static void *registry_pointer(lua_State *L, const char *key)
{
    lua_getfield(L, LUA_REGISTRYINDEX, key);
    void *p = lua_touserdata(L, -1);
    lua_pop(L, 1);
    return p;
}

void cli_signals_on(lua_State *L)
{
    union {
        void *p;
        void (*cancel)(void *ctx);
        bool (*busy)(void *ctx);
        lua_Hook hook;
    } u;
    sig.ctx = registry_pointer(L, "stlua.cancel");
    u.p = registry_pointer(L, "stlua.cancel_fn");
    sig.cancel = u.cancel;
    u.p = registry_pointer(L, "stlua.busy_fn");
    sig.busy = u.busy;
    if (!sig.ctx || !sig.cancel) luaL_error(L, "stlua.core does not belong to this program");
    u.p = NULL;
    u.hook = interrupt_hook;
    lua_pushlightuserdata(L, u.p);
    lua_setfield(L, LUA_REGISTRYINDEX, "stlua.cancel_hook");
    sig.thread = pthread_self();
    sig.L = L;
    follow(L, "resume", resume);
    follow(L, "wrap", wrap);
    for (size_t i = 0; i < sizeof caught / sizeof *caught; i++) {
        struct sigaction old, act = {.sa_handler = on_signal}; /* no SA_RESTART: a read at the prompt ends, too */
        sigemptyset(&act.sa_mask);
        /* What the parent wants ignored stays ignored: nohup, background jobs. */
        if (sigaction(caught[i], NULL, &old) == 0 && old.sa_handler != SIG_IGN) sigaction(caught[i], &act, NULL);
    }
}

void cli_signals_off(void) { sig.L = NULL; }

int cli_signals_busy(void) { return sig.ctx && sig.busy && sig.busy(sig.ctx); }

int cli_signal_pending(void) { return sig.pending; }

void cli_signal_answered(void)
{
    if (sig.L && lua_gethook(sig.L) == interrupt_hook) lua_sethook(sig.L, NULL, 0, 0);
    sig.pending = 0;
}
