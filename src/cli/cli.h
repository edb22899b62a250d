/* cli.h - what the files of the program share. Layer: cli (sees lua.h alone; reaches the library through Lua). */
#ifndef CLI_H
#define CLI_H

#include <lauxlib.h>
#include <lua.h>

/* cli_paths.c: sets package.path and package.cpath to our folders first, then the system's, without relative entries;
 * makes `require` load text, and bytecode only of our own modules. */
void cli_paths(lua_State *L, const char *argv0);

/* cli_compiled.c: takes what `make` has compiled from `file`; without it, and where it is another Lua's, nothing. */
void cli_compiled_open(const char *file);
/* Opens the module stlua.compiled: `made_by`, the Lua whose code is taken. */
int cli_compiled_module(lua_State *L);
/* luaL_loadfilex(L, file, "t"), faster for a file that was compiled as it is. */
int cli_compiled_load(lua_State *L, const char *file);

/* cli_signal.c: SIGINT, SIGTERM, SIGHUP and SIGPIPE stop the work of `L`; wants stlua.core to be loaded. */
void cli_signals_on(lua_State *L);
/* From now on signals touch no Lua. */
void cli_signals_off(void);
/* True while work that an interrupt has left behind would hold up the end of the program. */
int cli_signals_busy(void);

#pragma GCC visibility push(default) /* for terminal.c, which is a library of its own */
/* The signal that asked to stop; 0 if none did. */
int cli_signal_pending(void);
/* The user knows of it and goes on: nothing more will throw. */
void cli_signal_answered(void);
#pragma GCC visibility pop
#endif
