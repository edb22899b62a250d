/* main.c - the program stlua: a Lua with the library in reach. Layer: cli.
 *
 * Options, commands and scripts are handled by lua/stlua/main.lua, a module that returns
 *     function(args, host) -> exit code
 * where args[0] is the program's name and `host` holds what needs C:
 *     host.root            the folder that holds scripts/
 *     host.loadfile(path)  a script as a function, text only ("-" or nil: standard input); nil and a message on failure
 *     host.pcall(f, ...)   as pcall, and an interrupt ends here: afterwards work may go on (for a prompt)
 *     host.trace = true    set by main.lua: errors are followed by a traceback
 *     host.lines = true    set by main.lua: errors name the line of the script
 * What is thrown past main.lua becomes one line on standard error and exit code 1; an interrupt gives 128 + the signal. */
#include "cli.h"

#include <locale.h>
#include <lualib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char host_key;

static bool host_flag(lua_State *L, const char *key)
{
    bool set = false;
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, &host_key) == LUA_TTABLE) {
        lua_getfield(L, -1, key);
        set = lua_toboolean(L, -1);
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
    return set;
}

/* ---------------------------------------------------------------- errors */

/* Message handler. A table gets the traceback as a field; any other value becomes a text. */
static int add_traceback(lua_State *L)
{
    if (!host_flag(L, "trace")) return 1;
    if (lua_istable(L, 1)) {
        lua_pushliteral(L, "traceback");
        luaL_traceback(L, L, NULL, 1);
        lua_rawset(L, 1);
    } else if (lua_isstring(L, 1)) {
        luaL_traceback(L, L, lua_tostring(L, 1), 1);
    }
    lua_settop(L, lua_istable(L, 1) ? 1 : -1);
    return 1;
}

/* The error's field as text, or NULL; pushes one value. */
static const char *field(lua_State *L, int at, const char *key)
{
    lua_pushstring(L, key);
    return lua_rawget(L, at) == LUA_TSTRING ? lua_tostring(L, -1) : NULL;
}

/* One line for the error on top of the stack; may throw (a __tostring may). */
static int report(lua_State *L)
{
    const char *where = NULL, *trace = NULL, *message = NULL;
    lua_settop(L, 1);
    if (lua_istable(L, 1)) {
        where = host_flag(L, "lines") ? field(L, 1, "where") : NULL;
        trace = field(L, 1, "traceback");
        message = field(L, 1, "message");
    }
    if (!message) message = luaL_tolstring(L, 1, NULL);
    fprintf(stderr, "stlua: %s%s%s\n", where ? where : "", where ? ": " : "", message);
    if (trace) fprintf(stderr, "%s\n", trace);
    return 0;
}

static bool is_cancelled(lua_State *L, int at)
{
    if (!lua_istable(L, at)) return false;
    const char *code = field(L, at, "code");
    bool is = code && strcmp(code, "cancelled") == 0;
    lua_pop(L, 1);
    return is;
}

/* ---------------------------------------------------------------- what main.lua gets */

static int host_loadfile(lua_State *L)
{
    const char *path = luaL_optstring(L, 1, NULL);
    if (path && strcmp(path, "-") == 0) path = NULL;
    if (luaL_loadfilex(L, path, "t") == LUA_OK) return 1;
    lua_pushnil(L);
    lua_insert(L, -2);
    return 2;
}

static int host_pcall(lua_State *L)
{
    luaL_checkany(L, 1);
    lua_pushcfunction(L, add_traceback);
    lua_insert(L, 1);
    bool ok = lua_pcall(L, lua_gettop(L) - 2, LUA_MULTRET, 1) == LUA_OK;
    if (cli_signal_pending()) cli_signal_clear(L);
    lua_pushboolean(L, ok);
    lua_replace(L, 1);
    return lua_gettop(L);
}

static void push_host(lua_State *L, const char *argv0)
{
    static const luaL_Reg functions[] = {{"loadfile", host_loadfile}, {"pcall", host_pcall}, {NULL, NULL}};
    luaL_newlib(L, functions);
    cli_paths(L, argv0);
    lua_setfield(L, -2, "root");
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &host_key);
}

static void require(lua_State *L, const char *module)
{
    lua_getglobal(L, "require");
    lua_pushstring(L, module);
    lua_call(L, 1, 1);
}

/* ---------------------------------------------------------------- the run */

typedef struct command {
    int argc;
    char **argv;
} command;

/* Runs protected; gives main.lua's result. */
static int run(lua_State *L)
{
    const command *c = lua_touserdata(L, 1);
    luaL_openlibs(L);
    push_host(L, c->argv[0]);
    require(L, "stlua.core");
    cli_signals_on(L);
    require(L, "stlua.main");
    lua_createtable(L, c->argc, 1);
    for (int i = 0; i < c->argc; i++) {
        lua_pushstring(L, c->argv[i]);
        lua_rawseti(L, -2, i);
    }
    lua_rawgetp(L, LUA_REGISTRYINDEX, &host_key);
    lua_call(L, 2, 1);
    return 1;
}

/* main.lua returned `code`, or what failed lies on top of the stack. */
static int exit_code(lua_State *L, int status)
{
    int stopped = cli_signal_pending();
    if (status == LUA_OK) {
        int code = lua_isinteger(L, -1) ? (int)lua_tointeger(L, -1) : lua_toboolean(L, -1) || lua_isnil(L, -1) ? 0 : 1;
        return code == 130 && stopped ? 128 + stopped : code;
    }
    if (stopped && is_cancelled(L, -1)) return 128 + stopped;
    lua_pushcfunction(L, report);
    lua_insert(L, -2);
    if (lua_pcall(L, 1, 0, 0) != LUA_OK) fprintf(stderr, "stlua: an error that has no message\n");
    return 1;
}

int main(int argc, char **argv)
{
    /* Characters as the user's terminal has them; numbers stay with a point in every country. */
    setlocale(LC_CTYPE, "");
    static char *nameless[] = {"stlua", NULL};
    command c = {argc < 1 ? 1 : argc, argc < 1 ? nameless : argv};
    lua_State *L = luaL_newstate();
    if (!L) {
        fprintf(stderr, "stlua: not enough memory\n");
        return 1;
    }
    lua_pushcfunction(L, add_traceback);
    lua_pushcfunction(L, run);
    lua_pushlightuserdata(L, &c);
    int code = exit_code(L, lua_pcall(L, 1, 1, 1));
    cli_signals_off();
    lua_close(L);
    if (fflush(stdout) != 0 && code == 0) code = 1;
    return code;
}
