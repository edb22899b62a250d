/* cli_paths.c - where Lua files come from. Layer: cli.
 *
 * Beside the program (a source tree), else below the prefix whose bin folder it lies in, else below the prefix that it
 * was built for. The system's folders follow; relative entries are dropped, so that what lies in the current folder is
 * never loaded by accident.
 */
#include "cli.h"

#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifndef STLUA_PREFIX
#define STLUA_PREFIX "/usr/local"
#endif

/* The folder of the running program, without a slash at its end. Both sources give absolute paths. */
static bool program_folder(const char *argv0, char dst[PATH_MAX])
{
    ssize_t n = readlink("/proc/self/exe", dst, PATH_MAX - 1);
    if (n > 0) {
        dst[n] = '\0';
    } else if (!argv0 || !strchr(argv0, '/') || !realpath(argv0, dst)) {
        return false; /* found through PATH on a system without /proc: the prefix must do */
    }
    *strrchr(dst, '/') = '\0';
    return true;
}

/* Where things are below a folder. */
typedef struct layout {
    const char *lua, *modules;
} layout;

#define LUA_V LUA_VERSION_MAJOR "." LUA_VERSION_MINOR
static const layout tree = {"/lua", "/lua"};
static const layout installed = {"/share/lua/" LUA_V, "/lib/lua/" LUA_V};

/* True if the library lies below `folder` in this layout. */
static bool holds(lua_State *L, const char *folder, const layout *l)
{
    bool found = access(lua_pushfstring(L, "%s%s/stlua/main.lua", folder, l->lua), R_OK) == 0;
    lua_pop(L, 1);
    return found;
}

/* The folder to look below, in `dir`, and its layout. */
static const layout *find_library(lua_State *L, const char *argv0, char dir[PATH_MAX])
{
    if (program_folder(argv0, dir)) {
        if (holds(L, dir, &tree)) return &tree;
        char *slash = strrchr(dir, '/');
        if (slash) *slash = '\0'; /* from PREFIX/bin to PREFIX */
        if (holds(L, dir, &installed)) return &installed;
    }
    strcpy(dir, STLUA_PREFIX);
    return &installed;
}

/* package[field] = ours, then its absolute entries. */
static void set_path(lua_State *L, int package, const char *field, const char *ours)
{
    luaL_Buffer b;
    lua_getfield(L, package, field);
    const char *entry = luaL_optstring(L, -1, "");
    luaL_buffinit(L, &b);
    luaL_addstring(&b, ours);
    while (*entry) {
        size_t n = strcspn(entry, ";");
        if (*entry == '/') {
            luaL_addchar(&b, ';');
            luaL_addlstring(&b, entry, n);
        }
        entry += n;
        if (*entry == ';') entry++;
    }
    luaL_pushresult(&b);
    lua_setfield(L, package, field);
    lua_pop(L, 1);
}

/* package.searchers[2], except that it refuses foreign bytecode, which can crash Lua. Upvalues: package,
 * package.searchpath. */
static int search_text(lua_State *L)
{
    const char *name = luaL_checkstring(L, 1);
    lua_settop(L, 1);
    lua_pushvalue(L, lua_upvalueindex(2));
    lua_pushvalue(L, 1);
    if (lua_getfield(L, lua_upvalueindex(1), "path") != LUA_TSTRING)
        return luaL_error(L, "'package.path' must be a string");
    lua_call(L, 2, 2);
    if (lua_isnil(L, -2)) return 1; /* the message: where it was looked for */
    lua_pop(L, 1);
    const char *file = lua_tostring(L, -1);
    if (cli_compiled_load(L, file) != LUA_OK)
        return luaL_error(L, "error loading module '%s' from file '%s':\n\t%s", name, file, lua_tostring(L, -1));
    lua_pushstring(L, file);
    return 2;
}

void cli_paths(lua_State *L, const char *argv0)
{
    char dir[PATH_MAX];
    const layout *l = find_library(L, argv0, dir);
    int top = lua_gettop(L);
    lua_getglobal(L, "package");
    int package = lua_gettop(L);
    const char *lua = lua_pushfstring(L, "%s%s", dir, l->lua);
    set_path(L, package, "path", lua_pushfstring(L, "%s/?.lua;%s/?/init.lua", lua, lua));
    set_path(L, package, "cpath", lua_pushfstring(L, "%s%s/?.so", dir, l->modules));
    cli_compiled_open(lua_pushfstring(L, "%s%s/stlua/compiled", dir, l->modules));
    lua_getfield(L, package, "searchers");
    lua_pushvalue(L, package);
    lua_getfield(L, package, "searchpath");
    lua_pushcclosure(L, search_text, 2);
    lua_rawseti(L, -2, 2);
    lua_settop(L, top);
}
