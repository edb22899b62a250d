/* cli.h - what the files of the program share. Layer: cli (sees lua.h alone; reaches the library through Lua). */
#ifndef CLI_H
#define CLI_H

#include <lauxlib.h>
#include <lua.h>
#include <stdbool.h>

/* cli_paths.c: sets package.path and package.cpath to our folders first, then the system's, without relative entries;
 * makes `require` load text only. Pushes the folder that holds scripts/. */
void cli_paths(lua_State *L, const char *argv0);

/* cli_signal.c: SIGINT, SIGTERM, SIGHUP and SIGPIPE stop the work of `L`; wants stlua.core to be loaded. */
void cli_signals_on(lua_State *L);
/* From now on signals touch no Lua. */
void cli_signals_off(void);
/* The signal that asked to stop and has not been answered; 0 if none. */
int cli_signal_pending(void);
/* Answers it: work may go on (at a prompt). */
void cli_signal_clear(lua_State *L);

#endif
