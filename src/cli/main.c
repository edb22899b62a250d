/* main.c - the program stlua: a Lua with the library in reach. Layer: cli.
 *
 * Options, commands, scripts and the words of errors are the work of lua/stlua/main.lua, a module that returns a
 * function(argv) -> exit status, where argv[0] is the program's name. Here remains what needs C: the state, where Lua
 * files come from, signals, and the last resort for what is thrown past main.lua. */
#include "cli.h"

#include <lualib.h>
#include <stdio.h>
#include <unistd.h>

static void require(lua_State *L, const char *module)
{
    lua_getglobal(L, "require");
    lua_pushstring(L, module);
    lua_call(L, 1, 1);
}

typedef struct command {
    int argc;
    char **argv;
} command;

/* Runs protected; gives main.lua's result. */
static int run(lua_State *L)
{
    const command *c = lua_touserdata(L, 1);
    luaL_openlibs(L);
    cli_paths(L, c->argv[0]);
    require(L, "stlua.core");
    cli_signals_on(L);
    luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
    lua_pushcfunction(L, cli_compiled_module);
    lua_setfield(L, -2, "stlua.compiled");
    require(L, "stlua.main");
    lua_createtable(L, c->argc, 1);
    for (int i = 0; i < c->argc; i++) {
        lua_pushstring(L, c->argv[i]);
        lua_rawseti(L, -2, i);
    }
    lua_call(L, 1, 1);
    return 1;
}

/* Message handler: any value becomes a text. */
static int error_text(lua_State *L)
{
    luaL_tolstring(L, 1, NULL);
    return 1;
}

/* An interrupt ends as a shell expects of the signal, whether main.lua answered it (with 130) or was itself stopped. */
static int exit_status(lua_State *L, int status)
{
    int stopped = cli_signal_pending();
    int code = status == LUA_OK && lua_isinteger(L, -1) ? (int)lua_tointeger(L, -1) : 1;
    if (stopped && (status != LUA_OK || code == 130)) return 128 + stopped;
    if (status != LUA_OK) {
        const char *message = lua_tostring(L, -1);
        fprintf(stderr, "stlua: %s\n", message ? message : "an error that has no message");
    }
    return code;
}

int main(int argc, char **argv)
{
    static char *nameless[] = {"stlua", NULL};
    command c = {argc < 1 ? 1 : argc, argc < 1 ? nameless : argv};
    lua_State *L = luaL_newstate();
    if (!L) {
        fprintf(stderr, "stlua: not enough memory\n");
        return 1;
    }
    lua_pushcfunction(L, error_text);
    lua_pushcfunction(L, run);
    lua_pushlightuserdata(L, &c);
    int code = exit_status(L, lua_pcall(L, 1, 1, 1));
    cli_signals_off();
    if (cli_signals_busy()) {
        fflush(NULL);
        _exit(code);
    }
    lua_close(L);
    return code;
}
