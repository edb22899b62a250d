/* cli_paths.c - where Lua files come from. Layer: cli.
 *
 * Beside the program (a source tree), or in share/stlua and lib/stlua next to its bin folder, or in those of the prefix it
 * was built for. The system's folders follow; relative entries are dropped, so that what lies in the current folder is
 * never loaded by accident. */
#include "cli.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifndef STLUA_PREFIX
#define STLUA_PREFIX "/usr/local"
#endif

/* The folder of the running program, without a slash at its end. */
static bool program_folder(const char *argv0, char dst[PATH_MAX])
{
    ssize_t n = readlink("/proc/self/exe", dst, PATH_MAX - 1);
    if (n > 0) {
        dst[n] = '\0';
    } else if (!argv0 || !strchr(argv0, '/') || !realpath(argv0, dst)) {
        return false; /* found through PATH on a system without /proc: the prefix must do */
    }
    char *slash = strrchr(dst, '/');
    if (!slash) return false;
    *slash = '\0';
    return true;
}

/* Pushes the path of a file; true if it can be read. */
static bool readable(lua_State *L, const char *folder, const char *file)
{
    return access(lua_pushfstring(L, "%s/%s", folder, file), R_OK) == 0;
}

/* Pushes the folder of lua/ and scripts/, then the folder of the C modules. */
static void find_folders(lua_State *L, const char *argv0)
{
    static const char probe[] = "lua/stlua/main.lua";
    char dir[PATH_MAX];
    if (program_folder(argv0, dir)) {
        if (readable(L, dir, probe)) {
            lua_pushstring(L, dir);
            lua_pushfstring(L, "%s/lua", dir);
            return;
        }
        const char *share = lua_pushfstring(L, "%s/../share/stlua", dir);
        if (readable(L, share, probe)) {
            lua_pushstring(L, share);
            lua_pushfstring(L, "%s/../lib/stlua", dir);
            return;
        }
    }
    lua_pushliteral(L, STLUA_PREFIX "/share/stlua");
    lua_pushliteral(L, STLUA_PREFIX "/lib/stlua");
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

/* package.searchers[2], except that it refuses bytecode, which can crash Lua. Upvalues: package, package.searchpath. */
static int search_text(lua_State *L)
{
    const char *name = luaL_checkstring(L, 1);
    lua_settop(L, 1);
    lua_pushvalue(L, lua_upvalueindex(2));
    lua_pushvalue(L, 1);
    if (lua_getfield(L, lua_upvalueindex(1), "path") != LUA_TSTRING) return luaL_error(L, "'package.path' must be a string");
    lua_call(L, 2, 2);
    if (lua_isnil(L, -2)) return 1; /* the message: where it was looked for */
    lua_pop(L, 1);
    const char *file = lua_tostring(L, -1);
    if (luaL_loadfilex(L, file, "t") != LUA_OK)
        return luaL_error(L, "error loading module '%s' from file '%s':\n\t%s", name, file, lua_tostring(L, -1));
    lua_pushstring(L, file);
    return 2;
}

void cli_paths(lua_State *L, const char *argv0)
{
    int top = lua_gettop(L);
    lua_getglobal(L, "package");
    int package = lua_gettop(L);
    find_folders(L, argv0);
    int modules = lua_gettop(L), root = modules - 1;
    const char *r = lua_tostring(L, root);
    set_path(L, package, "path", lua_pushfstring(L, "%s/lua/?.lua;%s/lua/?/init.lua", r, r));
    set_path(L, package, "cpath", lua_pushfstring(L, "%s/?.so", lua_tostring(L, modules)));
    lua_getfield(L, package, "searchers");
    lua_pushvalue(L, package);
    lua_getfield(L, package, "searchpath");
    lua_pushcclosure(L, search_text, 2);
    lua_rawseti(L, -2, 2);
    lua_pushvalue(L, root);
    lua_replace(L, top + 1);
    lua_settop(L, top + 1);
}
