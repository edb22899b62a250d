/* bind_error.c - error objects: tables { code, message, where, built, file, tensor, hint, traceback }. Layer:
 * bind. `message` is one clean sentence; `where` is the line of the user's script that asked for what failed, `built`
 * the one that wrote the deferred operation down. */
#include "bind.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* The library's own Lua files lie in such folders: a user is not helped by a line in there. */
static bool is_ours(const char *source)
{
    static const char *const folders[] = {"lua/stlua/", "lua/" LUA_VERSION_MAJOR "." LUA_VERSION_MINOR "/stlua/"};
    if (*source != '@') return false;
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++)
        for (const char *p = source; (p = strstr(p, folders[i])) != NULL; p++)
            if (p == source + 1 || p[-1] == '/') return true;
    return false;
}

#define WHERE_MAX 160

/* "script.lua:12": the innermost Lua line that is not in the library itself, else the innermost one; empty where there
 * is none. */
static void find_where(lua_State *L, char dst[WHERE_MAX])
{
    lua_Debug ar;
    int ours = -1, level;
    dst[0] = '\0';
    for (level = 0; lua_getstack(L, level, &ar); level++) {
        if (!lua_getinfo(L, "l", &ar) || ar.currentline <= 0) continue;
        lua_getinfo(L, "S", &ar);
        if (!is_ours(ar.source)) break;
        if (ours < 0) ours = level;
    }
    if (!lua_getstack(L, level, &ar) && (ours < 0 || !lua_getstack(L, ours, &ar))) return;
    lua_getinfo(L, "Sl", &ar);
    snprintf(dst, WHERE_MAX, "%s:%d", ar.short_src, ar.currentline);
}

/* ---------------------------------------------------------------- lines that built something */

enum { MAX_LINES = 65535 }; /* more are those of a program that makes code as it runs: they go nameless */

static const char lines_key;

/* Pushes the table of lines: text -> number and number -> text. */
static void push_lines(lua_State *L)
{
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, &lines_key) == LUA_TTABLE) return;
    lua_pop(L, 1);
    lua_newtable(L);
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &lines_key);
}

void bind_built_here(lua_State *L)
{
    char where[WHERE_MAX];
    find_where(L, where);
    if (where[0] == '\0') return;
    push_lines(L);
    lua_pushstring(L, where);
    lua_pushvalue(L, -1);
    if (lua_rawget(L, -3) != LUA_TNUMBER) {
        lua_Integer n = (lua_Integer)lua_rawlen(L, -3) + 1;
        lua_pop(L, 1);
        if (n <= MAX_LINES) {
            lua_pushvalue(L, -1);
            lua_rawseti(L, -3, n);
            lua_pushvalue(L, -1);
            lua_pushinteger(L, n);
            lua_rawset(L, -4);
        }
        lua_pushinteger(L, n <= MAX_LINES ? n : 0);
    }
    uint32_t origin = (uint32_t)lua_tointeger(L, -1);
    lua_pop(L, 3);
    st_tensor_set_origin(bind_tensor(L, -1), origin);
}

static void set_built(lua_State *L, uint32_t origin)
{
    if (!origin) return;
    push_lines(L);
    lua_rawgeti(L, -1, origin);
    lua_setfield(L, -3, "built");
    lua_pop(L, 1);
}

/* ---------------------------------------------------------------- objects */

/* Pushes a new error object. Needs four stack slots, which every C function has. */
static void push_error(lua_State *L, const char *code, const char *message)
{
    char where[WHERE_MAX];
    find_where(L, where);
    lua_createtable(L, 0, 6);
    lua_pushstring(L, code);
    lua_setfield(L, -2, "code");
    lua_pushstring(L, message);
    lua_setfield(L, -2, "message");
    if (where[0]) {
        lua_pushstring(L, where);
        lua_setfield(L, -2, "where");
    }
    luaL_setmetatable(L, BIND_ERROR);
}

static void set_text(lua_State *L, const char *key, const char *value)
{
    if (value[0] == '\0') return;
    lua_pushstring(L, value);
    lua_setfield(L, -2, key);
}

/* The stack may be full of results when something fails late. */
static void need_stack(lua_State *L) { luaL_checkstack(L, 8, "error object"); }

static _Noreturn void throw(lua_State * L)
{
    lua_error(L);
    __builtin_unreachable(); /* lua.h does not say so */
}

int bind_throw(lua_State *L, const st_err *err)
{
    need_stack(L);
    push_error(L, st_status_code(err->code), err->message);
    set_text(L, "file", err->file);
    set_text(L, "tensor", err->tensor);
    set_built(L, err->origin);
    throw(L);
}

int bind_fail(lua_State *L, st_status code, const char *fmt, ...)
{
    char message[1024];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(message, sizeof message, fmt, ap);
    va_end(ap);
    need_stack(L);
    push_error(L, st_status_code(code), message);
    throw(L);
}

/* The words of luaL_argerror, in an object. */
int bind_fail_arg(lua_State *L, int arg, const char *fmt, ...)
{
    char what[512], place[160] = "";
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(what, sizeof what, fmt, ap);
    va_end(ap);
    lua_Debug ar;
    if (lua_getstack(L, 0, &ar) && lua_getinfo(L, "n", &ar) && ar.name) {
        if (strcmp(ar.namewhat, "method") == 0) {
            if (arg == 1) bind_fail(L, ST_ARG, "calling '%.80s' on bad self (%s)", ar.name, what);
            arg--;
        }
        snprintf(place, sizeof place, " to '%.80s'", ar.name);
    }
    bind_fail(L, ST_ARG, "bad argument #%d%s (%s)", arg, place, what);
}

/* core.error(code, message [, fields]): makes an error object for Lua code to throw. */
static int error_new(lua_State *L)
{
    const char *code = bind_string(L, 1, NULL), *message = bind_string(L, 2, NULL);
    if (!lua_isnoneornil(L, 3)) bind_table(L, 3);
    lua_settop(L, 3);
    push_error(L, code, message);
    if (lua_istable(L, 3)) {
        lua_pushnil(L);
        while (lua_next(L, 3)) {
            lua_pushvalue(L, -2);
            lua_insert(L, -2);
            lua_rawset(L, 4);
        }
    }
    return 1;
}

/* core.is_error(value) */
static int error_is(lua_State *L)
{
    lua_settop(L, 1);
    bool is =
        lua_istable(L, 1) && lua_getmetatable(L, 1) && luaL_getmetatable(L, BIND_ERROR) && lua_rawequal(L, -1, -2);
    lua_pushboolean(L, is);
    return 1;
}

static int error_tostring(lua_State *L)
{
    bind_table(L, 1);
    lua_pushliteral(L, "message");
    lua_rawget(L, 1);
    if (lua_type(L, -1) != LUA_TSTRING) lua_pushliteral(L, "error without a message");
    return 1;
}

void bind_error_open(lua_State *L, int core)
{
    static const luaL_Reg functions[] = {{"error", error_new}, {"is_error", error_is}, {NULL, NULL}};
    luaL_newmetatable(L, BIND_ERROR);
    lua_pushcfunction(L, error_tostring);
    lua_setfield(L, -2, "__tostring");
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
    lua_setfield(L, core, "error_meta");
    lua_pushvalue(L, core);
    luaL_setfuncs(L, functions, 0);
    lua_pop(L, 1);
}
