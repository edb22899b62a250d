/* bind_json.c - core.json_decode and core.json_encode. Layer: bind.
 *
 * Reading: the text is checked (bind_jcheck.c), cJSON parses it, the tree becomes Lua values. Objects and arrays become
 * tables, arrays with a metatable that marks them; null is core.null; a number with an integer value below 2^53 is
 * an integer, any other a float.
 * Writing is done here: cJSON's printer drops the last bits of a double and rounds integers near 2^53. */
#include "bind.h"
#include "bind_jcheck.h"

#include <cjson/cJSON.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TREE "stlua.JsonTree"
#define ARRAY "stlua.JsonArray"

/* ---------------------------------------------------------------- reading */

static int tree_gc(lua_State *L)
{
    cJSON **tree = luaL_testudata(L, 1, TREE);
    if (!tree) return 0;
    cJSON_Delete(*tree);
    *tree = NULL;
    return 0;
}

/* Line and column as an editor counts them. */
static int fail_at(lua_State *L, const char *text, jcheck bad)
{
    size_t line = 1, column = 1;
    for (size_t i = 0; i < bad.at; i++) {
        column++;
        if (text[i] == '\n') line++, column = 1;
    }
    return bind_fail(L, bad.limit ? ST_LIMIT : ST_FORMAT, "JSON, line %zu, column %zu: %s", line, column, bad.what);
}

static void push_value(lua_State *L, const cJSON *v);

static void push_object(lua_State *L, const cJSON *v)
{
    lua_newtable(L);
    for (const cJSON *c = v->child; c; c = c->next) {
        lua_pushstring(L, c->string);
        lua_pushvalue(L, -1);
        if (lua_rawget(L, -3) != LUA_TNIL) {
            char key[128];
            st_escape(key, sizeof key, c->string, strlen(c->string));
            bind_fail(L, ST_FORMAT, "JSON: the key \"%s\" is there twice", key);
        }
        lua_pop(L, 1);
        push_value(L, c);
        lua_rawset(L, -3);
    }
}

static void push_array(lua_State *L, const cJSON *v)
{
    lua_Integer i = 0;
    lua_newtable(L);
    luaL_setmetatable(L, ARRAY);
    for (const cJSON *c = v->child; c; c = c->next) {
        push_value(L, c);
        lua_rawseti(L, -2, ++i);
    }
}

static void push_number(lua_State *L, double d)
{
    bool integer = d == floor(d) && fabs(d) <= (double)JSON_MAX_INTEGER && !(d == 0 && signbit(d));
    if (integer)
        lua_pushinteger(L, (lua_Integer)d);
    else
        lua_pushnumber(L, d);
}

static void push_value(lua_State *L, const cJSON *v)
{
    luaL_checkstack(L, 8, "JSON");
    switch (v->type & 0xff) {
    case cJSON_False: lua_pushboolean(L, 0); break;
    case cJSON_True: lua_pushboolean(L, 1); break;
    case cJSON_Number: push_number(L, v->valuedouble); break;
    case cJSON_String: lua_pushstring(L, v->valuestring); break;
    case cJSON_Array: push_array(L, v); break;
    case cJSON_Object: push_object(L, v); break;
    default: lua_pushlightuserdata(L, NULL); break;
    }
}

/* core.json_decode(text) */
static int json_decode(lua_State *L)
{
    size_t n;
    bind_top(L, 1);
    const char *text = bind_string(L, 1, &n);
    jcheck bad = json_check(text, n);
    if (bad.what) return fail_at(L, text, bad);
    cJSON **tree = lua_newuserdatauv(L, sizeof(void *), 0);
    *tree = NULL;
    luaL_setmetatable(L, TREE);
    *tree = cJSON_ParseWithLengthOpts(text, n + 1, NULL, 1);
    if (!*tree) return bind_fail(L, ST_NOMEM, "no memory for %zu bytes of JSON", n);
    push_value(L, *tree);
    cJSON_Delete(*tree); /* not left to the collector: it may hold much */
    *tree = NULL;
    return 1;
}

/* ---------------------------------------------------------------- writing */

typedef struct writer {
    bind_text text;
    int indent; /* blanks per level, 0: everything on one line */
    int depth;
    unsigned written; /* values */
    bool lossy;       /* bytes that are no UTF-8 become U+FFFD */
} writer;

enum { POLL = 1 << 12 };

static void write_value(lua_State *L, writer *w, int at);

static void put(lua_State *L, writer *w, const char *s)
{
    size_t n = strlen(s);
    bind_text_reserve(L, &w->text, n);
    bind_text_add(&w->text, s, n);
}

static void newline(lua_State *L, writer *w)
{
    if (w->indent == 0) return;
    size_t blanks = (size_t)w->indent * (size_t)w->depth;
    bind_text_reserve(L, &w->text, blanks + 1);
    bind_text_fill(&w->text, '\n', 1);
    bind_text_fill(&w->text, ' ', blanks);
}

static void write_string(lua_State *L, writer *w, int at)
{
    size_t n;
    const char *s = lua_tolstring(L, at, &n);
    for (size_t i = 0, step; !w->lossy && i < n; i += step) {
        step = s[i] == '\0' ? 0 : json_utf8(s + i, n - i);
        if (step == 0) bind_fail(L, ST_FORMAT, "a string for JSON holds a NUL or invalid UTF-8 at byte %zu", i + 1);
    }
    if (n > JSON_MAX_BYTES) bind_fail(L, ST_LIMIT, "a string for JSON of %zu bytes", n);
    bind_text_reserve(L, &w->text, n * 6 + 2);
    bind_text_json(&w->text, s, n);
}

static void write_number(lua_State *L, writer *w, int at)
{
    char text[40];
    if (lua_isinteger(L, at)) {
        lua_Integer i = lua_tointeger(L, at);
        if (i > JSON_MAX_INTEGER || i < -JSON_MAX_INTEGER)
            bind_fail(L, ST_LIMIT, "the integer %lld cannot be written to JSON: other readers keep 2^53 at most",
                      (long long)i);
        snprintf(text, sizeof text, "%lld", (long long)i);
    } else {
        double d = lua_tonumber(L, at);
        if (!isfinite(d)) bind_fail(L, ST_ARG, "JSON has no infinity and no NaN");
        /* The shortest text that reads back as the same double. */
        for (int digits = 15; digits <= 17; digits++) {
            snprintf(text, sizeof text, "%.*g", digits, d);
            if (strtod(text, NULL) == d) break;
        }
        char *comma = strpbrk(text, ","); /* a locale's */
        if (comma) *comma = '.';
        if (!strpbrk(text, ".e")) strcat(text, ".0");
    }
    put(L, w, text);
}

static bool is_marked(lua_State *L, int at)
{
    if (!lua_getmetatable(L, at)) return false;
    luaL_getmetatable(L, ARRAY);
    bool marked = lua_rawequal(L, -1, -2);
    lua_pop(L, 2);
    return marked;
}

/* Counts the pairs and finds out whether all keys are strings. */
static size_t count_pairs(lua_State *L, int at, bool *strings)
{
    size_t n = 0;
    *strings = true;
    lua_pushnil(L);
    for (; lua_next(L, at); n++) {
        lua_pop(L, 1);
        if (lua_type(L, -1) != LUA_TSTRING) *strings = false;
    }
    return n;
}

static void write_array(lua_State *L, writer *w, int at, size_t n)
{
    put(L, w, "[");
    w->depth++;
    for (size_t i = 1; i <= n; i++) {
        if (i > 1) put(L, w, ",");
        newline(L, w);
        lua_rawgeti(L, at, (lua_Integer)i);
        write_value(L, w, lua_gettop(L));
        lua_pop(L, 1);
    }
    w->depth--;
    if (n) newline(L, w);
    put(L, w, "]");
}

static int by_bytes(const void *a, const void *b)
{
    const st_text *x = a, *y = b;
    int c = memcmp(x->ptr, y->ptr, x->len < y->len ? x->len : y->len);
    return c ? c : (x->len > y->len) - (x->len < y->len);
}

/* The keys' texts are kept alive by a copy of the keys: a finalizer may change the table meanwhile. */
static void write_object(lua_State *L, writer *w, int at, size_t n)
{
    st_text *keys = lua_newuserdatauv(L, (n ? n : 1) * sizeof *keys, 0);
    lua_createtable(L, n < INT_MAX ? (int)n : 0, 0);
    int anchor = lua_gettop(L);
    size_t i = 0;
    lua_pushnil(L);
    for (; i < n && lua_next(L, at); i++) {
        lua_pop(L, 1);
        if (lua_type(L, -1) != LUA_TSTRING) bind_fail(L, ST_ARG, "a table for JSON changed while it was written");
        keys[i].ptr = lua_tolstring(L, -1, &keys[i].len);
        lua_pushvalue(L, -1);
        lua_rawseti(L, anchor, (lua_Integer)i + 1);
    }
    lua_settop(L, anchor);
    n = i;
    qsort(keys, n, sizeof *keys, by_bytes);
    put(L, w, "{");
    w->depth++;
    for (i = 0; i < n; i++) {
        if (i) put(L, w, ",");
        newline(L, w);
        lua_pushlstring(L, keys[i].ptr, keys[i].len);
        write_string(L, w, anchor + 1);
        put(L, w, w->indent ? ": " : ":");
        lua_rawget(L, at);
        write_value(L, w, anchor + 1);
        lua_pop(L, 1);
    }
    w->depth--;
    if (n) newline(L, w);
    put(L, w, "}");
    lua_settop(L, anchor - 2);
}

static void write_table(lua_State *L, writer *w, int at)
{
    bool strings;
    size_t n = count_pairs(L, at, &strings), len = lua_rawlen(L, at);
    if (w->depth >= JSON_MAX_DEPTH)
        bind_fail(L, ST_LIMIT, "a table for JSON is nested more than %d deep, or holds itself", JSON_MAX_DEPTH);
    bool array = is_marked(L, at) || (n > 0 && len > 0);
    if (array && n != len) bind_fail(L, ST_ARG, "a list for JSON has holes or keys that are no positions");
    if (!array && !strings) bind_fail(L, ST_ARG, "a table for JSON has keys that are not strings");
    if (array)
        write_array(L, w, at, n);
    else
        write_object(L, w, at, n);
}

static void write_value(lua_State *L, writer *w, int at)
{
    luaL_checkstack(L, 12, "JSON");
    if (++w->written % POLL == 0) bind_poll(L);
    switch (lua_type(L, at)) {
    case LUA_TNIL: put(L, w, "null"); break;
    case LUA_TBOOLEAN: put(L, w, lua_toboolean(L, at) ? "true" : "false"); break;
    case LUA_TNUMBER: write_number(L, w, at); break;
    case LUA_TSTRING: write_string(L, w, at); break;
    case LUA_TTABLE: write_table(L, w, at); break;
    default:
        if (lua_islightuserdata(L, at) && !lua_touserdata(L, at))
            put(L, w, "null");
        else
            bind_fail(L, ST_ARG, "a %s cannot be written to JSON", luaL_typename(L, at));
    }
}

/* (value [, { indent = n }]): keys sorted by their bytes. */
static int encode(lua_State *L, bool lossy)
{
    static const char *const known[] = {"indent", NULL};
    writer w = {.lossy = lossy};
    bind_top(L, 2);
    if (lua_isnone(L, 1)) return bind_fail_arg(L, 1, "a value expected");
    if (!lua_isnoneornil(L, 2)) {
        bind_options(L, 2, known);
        w.indent = (int)bind_opt_integer(L, 2, "indent", 0, 0, 16);
    }
    bind_text_init(L, &w.text);
    write_value(L, &w, 1);
    bind_text_push(L, &w.text);
    return 1;
}

static int json_encode(lua_State *L) { return encode(L, false); }
/* For reports: whatever a name or a text of a file holds, it is written; what is no UTF-8 as U+FFFD. */
static int json_report(lua_State *L) { return encode(L, true); }

/* core.array([t]): marks a table as an array, which matters when it is empty. */
static int json_array(lua_State *L)
{
    bind_top(L, 1);
    if (lua_isnone(L, 1)) lua_newtable(L);
    bind_table(L, 1);
    luaL_setmetatable(L, ARRAY);
    return 1;
}

void bind_json_open(lua_State *L, int core)
{
    static const luaL_Reg functions[] = {{"json_decode", json_decode},
                                         {"json_encode", json_encode},
                                         {"json_report", json_report},
                                         {"array", json_array},
                                         {NULL, NULL}};
    luaL_newmetatable(L, ARRAY);
    bind_owner_type(L, TREE, tree_gc);
    lua_pop(L, 2);
    lua_pushlightuserdata(L, NULL);
    lua_setfield(L, core, "null");
    lua_pushvalue(L, core);
    luaL_setfuncs(L, functions, 0);
    lua_pop(L, 1);
}
