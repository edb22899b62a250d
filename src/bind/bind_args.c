/* bind_args.c - checks of arguments and option tables. Layer: bind. */
#include "bind.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

const char *bind_type_name(lua_State *L, int arg)
{
    if (luaL_testudata(L, arg, BIND_TENSOR)) return BIND_TENSOR;
    if (luaL_testudata(L, arg, BIND_MODEL)) return BIND_MODEL;
    return lua_type(L, arg) == LUA_TNONE ? "no value" : luaL_typename(L, arg);
}

static _Noreturn void fail_type(lua_State *L, int arg, const char *expected)
{
    bind_fail_arg(L, arg, "%s expected, got %s", expected, bind_type_name(L, arg));
}

/* Floats with an exact integer value count as integers, as everywhere in Lua. */
lua_Integer bind_integer(lua_State *L, int arg, lua_Integer lo, lua_Integer hi)
{
    int ok = 0;
    if (lua_type(L, arg) != LUA_TNUMBER) fail_type(L, arg, "integer");
    lua_Integer v = lua_tointegerx(L, arg, &ok);
    if (!ok) bind_fail_arg(L, arg, "number has no integer representation");
    if (v < lo || v > hi)
        bind_fail_arg(L, arg, "%lld is not in %lld to %lld", (long long)v, (long long)lo, (long long)hi);
    return v;
}

const char *bind_string(lua_State *L, int arg, size_t *len)
{
    if (lua_type(L, arg) != LUA_TSTRING) fail_type(L, arg, "string");
    return lua_tolstring(L, arg, len);
}

const char *bind_path(lua_State *L, int arg)
{
    size_t n;
    const char *s = bind_string(L, arg, &n);
    if (n == 0) bind_fail_arg(L, arg, "the path is empty");
    if (strlen(s) != n) bind_fail_arg(L, arg, "the path holds a NUL byte");
    return s;
}

bool bind_boolean(lua_State *L, int arg, bool absent)
{
    if (lua_isnoneornil(L, arg)) return absent;
    if (!lua_isboolean(L, arg)) fail_type(L, arg, "boolean");
    return lua_toboolean(L, arg);
}

void bind_table(lua_State *L, int arg)
{
    if (!lua_istable(L, arg)) fail_type(L, arg, "table");
}

void bind_top(lua_State *L, int max)
{
    if (lua_gettop(L) > max) bind_fail(L, ST_ARG, "too many arguments: %d where %d are known", lua_gettop(L), max);
}

/* The dtype that a word of torch's means, as "; did you mean ...?", else "". */
static void hint_at_dtype(char *out, size_t size, const char *s, size_t n)
{
    st_dtype d = ST_F32;
    const char *word;
    *out = 0;
    if (n > 6 && strncasecmp(s, "torch.", 6) == 0) s += 6, n -= 6;
    for (size_t k = 0; (word = st_dtype_word(k, &d)); k++)
        if (strlen(word) == n && strncasecmp(word, s, n) == 0)
            snprintf(out, size, "; did you mean \"%s\"?", st_dtype_name(d));
    if (!*out && st_dtype_parse(s, n, true, &d)) snprintf(out, size, "; did you mean \"%s\"?", st_dtype_name(d));
}

st_dtype bind_dtype(lua_State *L, int arg)
{
    size_t n;
    const char *s = bind_string(L, arg, &n);
    st_dtype d;
    if (!st_dtype_parse(s, n, true, &d)) {
        static const char known[] =
#define X(id, bits, kind, reg) " " #id
            ST_DTYPES(X);
#undef X
        char shown[64], hint[64];
        st_escape(shown, sizeof shown, s, n);
        hint_at_dtype(hint, sizeof hint, s, n);
        bind_fail(L, ST_DTYPE, "unknown dtype \"%s\"%s (known:%s)", shown, hint, known);
    }
    return d;
}

/* ---------------------------------------------------------------- positions */

/* 1 .. n and -n .. -1 count; the result is 0-based. `slack` allows one more at either end, for empty ranges. */
bool bind_convert(lua_Integer i, uint64_t n, bool slack, uint64_t *out)
{
    if (i < 0) {
        uint64_t back = (uint64_t)0 - (uint64_t)i;
        if (back > n) return false;
        *out = n - back;
    } else {
        if (i == 0 || (uint64_t)i > n + slack) return false;
        *out = (uint64_t)i - 1;
    }
    return true;
}

uint64_t bind_position(lua_State *L, int arg, uint64_t n)
{
    uint64_t at;
    lua_Integer i = bind_integer(L, arg, LUA_MININTEGER, LUA_MAXINTEGER);
    if (!bind_convert(i, n, false, &at))
        bind_fail_arg(L, arg, "position %lld is out of range: there are %llu", (long long)i, (unsigned long long)n);
    return at;
}

static lua_Integer opt_integer(lua_State *L, int arg, lua_Integer absent)
{
    return lua_isnoneornil(L, arg) ? absent : bind_integer(L, arg, LUA_MININTEGER, LUA_MAXINTEGER);
}

static uint64_t range_start(lua_State *L, int arg, uint64_t n)
{
    uint64_t at;
    lua_Integer i = opt_integer(L, arg, 1);
    if (!bind_convert(i, n, true, &at))
        bind_fail_arg(L, arg, "position %lld is out of range: there are %llu", (long long)i, (unsigned long long)n);
    return at;
}

void bind_range(lua_State *L, int arg, uint64_t n, uint64_t *begin, uint64_t *end)
{
    uint64_t first = range_start(L, arg, n), last;
    lua_Integer i = opt_integer(L, arg + 1, -1);
    if (i == 0 || (i == -1 && n == 0)) {
        last = 0;
    } else if (bind_convert(i, n, false, &last)) {
        last++;
    } else {
        bind_fail_arg(L, arg + 1, "position %lld is out of range: there are %llu", (long long)i, (unsigned long long)n);
    }
    if (last < first) bind_fail_arg(L, arg + 1, "the range ends before it begins");
    *begin = first;
    *end = last;
}

void bind_span(lua_State *L, int arg, uint64_t n, uint64_t *begin, uint64_t *count)
{
    *begin = range_start(L, arg, n);
    uint64_t rest = n - *begin;
    lua_Integer c = opt_integer(L, arg + 1, (lua_Integer)rest);
    if (c < 0 || (uint64_t)c > rest)
        bind_fail_arg(L, arg + 1, "%lld elements asked for, %llu are left", (long long)c, (unsigned long long)rest);
    *count = (uint64_t)c;
}

/* ---------------------------------------------------------------- options */

static bool is_known(lua_State *L, const char *const *known)
{
    size_t n;
    if (lua_type(L, -1) != LUA_TSTRING) return false;
    const char *key = lua_tolstring(L, -1, &n);
    for (; *known; known++)
        if (strlen(*known) == n && memcmp(key, *known, n) == 0) return true;
    return false;
}

/* How many letters must be changed, put in or left out to make one word of the other; no more than 9. */
static int distance(const char *a, const char *b)
{
    int row[40], n = (int)strlen(b);
    if (strlen(a) >= 32 || n >= 32) return 9;
    for (int j = 0; j <= n; j++) row[j] = j;
    for (int i = 1; a[i - 1]; i++) {
        int before = row[0];
        row[0] = i;
        for (int j = 1; j <= n; j++) {
            int here = before + (a[i - 1] != b[j - 1]);
            before = row[j];
            if (row[j] + 1 < here) here = row[j] + 1;
            if (row[j - 1] + 1 < here) here = row[j - 1] + 1;
            row[j] = here;
        }
    }
    return row[n] < 9 ? row[n] : 9;
}

static const char *nearest(const char *key, const char *const *known)
{
    const char *best = NULL;
    int least = 3; /* as many letters off is another word */
    for (; *known; known++) {
        int d = distance(key, *known);
        if (d < least) best = *known;
        if (d < least) least = d;
    }
    return best;
}

void bind_options(lua_State *L, int arg, const char *const *known)
{
    arg = lua_absindex(L, arg);
    bind_table(L, arg);
    lua_pushnil(L);
    while (lua_next(L, arg)) {
        lua_pop(L, 1);
        if (is_known(L, known)) continue;
        char key[80], list[256] = "";
        size_t len = 0;
        const char *text = luaL_tolstring(L, -1, &len);
        st_escape(key, sizeof key, text, len);
        const char *near = nearest(key, known);
        for (size_t n = 0; *known && n < sizeof list; known++)
            n += (size_t)snprintf(list + n, sizeof list - n, "%s%s", n ? ", " : "", *known);
        bind_fail(L, ST_ARG, "unknown option \"%s\"%s%s%s (known: %s)", key, near ? "; did you mean \"" : "",
                  near ? near : "", near ? "\"?" : "", list);
    }
}

static int raw_field(lua_State *L, int arg, const char *key)
{
    arg = lua_absindex(L, arg);
    lua_pushstring(L, key);
    return lua_rawget(L, arg);
}

bool bind_opt_boolean(lua_State *L, int arg, const char *key, bool absent)
{
    int type = raw_field(L, arg, key);
    if (type != LUA_TNIL && type != LUA_TBOOLEAN)
        bind_fail(L, ST_ARG, "option '%s': boolean expected, got %s", key, lua_typename(L, type));
    bool v = type == LUA_TNIL ? absent : lua_toboolean(L, -1);
    lua_pop(L, 1);
    return v;
}

lua_Integer bind_opt_integer(lua_State *L, int arg, const char *key, lua_Integer absent, lua_Integer lo, lua_Integer hi)
{
    int ok = 1, type = raw_field(L, arg, key);
    if (type != LUA_TNIL && type != LUA_TNUMBER)
        bind_fail(L, ST_ARG, "option '%s': integer expected, got %s", key, lua_typename(L, type));
    lua_Integer v = type == LUA_TNIL ? absent : lua_tointegerx(L, -1, &ok);
    if (!ok || v < lo || v > hi)
        bind_fail(L, ST_ARG, "option '%s': an integer from %lld to %lld expected", key, (long long)lo, (long long)hi);
    lua_pop(L, 1);
    return v;
}
