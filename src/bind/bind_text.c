/* bind_text.c - text under construction, in a slot of the Lua stack. Layer: bind. */
#include "bind.h"
#include "bind_jcheck.h"

#include <string.h>

void bind_text_init(lua_State *L, bind_text *b)
{
    b->cap = 1024;
    b->n = 0;
    b->p = lua_newuserdatauv(L, b->cap, 0);
    b->slot = lua_gettop(L);
}

void bind_text_reserve(lua_State *L, bind_text *b, size_t more)
{
    if (b->cap - b->n >= more) return;
    size_t need;
    if (__builtin_add_overflow(b->n, more, &need) || need > (size_t)-1 / 2)
        bind_fail(L, ST_LIMIT, "the text is too long");
    size_t cap = b->cap * 2 > need ? b->cap * 2 : need;
    char *p = lua_newuserdatauv(L, cap, 0);
    memcpy(p, b->p, b->n);
    lua_replace(L, b->slot); /* the old buffer stays alive until here */
    b->p = p;
    b->cap = cap;
}

void bind_text_push(lua_State *L, const bind_text *b) { lua_pushlstring(L, b->p, b->n); }

void bind_text_add(bind_text *b, const char *s, size_t n)
{
    memcpy(b->p + b->n, s, n);
    b->n += n;
}

void bind_text_str(bind_text *b, const char *s) { bind_text_add(b, s, strlen(s)); }

void bind_text_fill(bind_text *b, char c, size_t n)
{
    memset(b->p + b->n, c, n);
    b->n += n;
}

/* By hand: a listing of 100,000 tensors prints half a million numbers. */
void bind_text_uint(bind_text *b, uint64_t v)
{
    char digits[20];
    size_t i = sizeof digits;
    do digits[--i] = (char)('0' + v % 10);
    while (v /= 10);
    bind_text_add(b, digits + i, sizeof digits - i);
}

void bind_text_int(bind_text *b, int64_t v)
{
    if (v < 0) b->p[b->n++] = '-';
    bind_text_uint(b, v < 0 ? (uint64_t)0 - (uint64_t)v : (uint64_t)v);
}

/* What a terminal may take for a command, or for a change of the direction of writing. */
static bool is_hidden(uint32_t c)
{
    return c < 0x20 || (c >= 0x7f && c <= 0x9f) || (c >= 0x202a && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069);
}

/* Code point of the sequence of n bytes at s; U+FFFD where there is none. */
static uint32_t code_point(const char *s, size_t n)
{
    static const unsigned char first[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
    if (n == 0) return 0xfffd;
    uint32_t c = (unsigned char)s[0] & first[n];
    for (size_t i = 1; i < n; i++) c = c << 6 | ((unsigned char)s[i] & 0x3f);
    return c;
}

void bind_text_json(bind_text *b, const char *s, size_t n)
{
    static const char hex[] = "0123456789abcdef", letters[] = "btn?fr"; /* for 8 to 13 */
    b->p[b->n++] = '"';
    for (size_t i = 0, len; i < n; i += len ? len : 1) {
        len = json_utf8(s + i, n - i);
        uint32_t c = code_point(s + i, len);
        if (len > 0 && c != '"' && c != '\\' && !is_hidden(c)) {
            bind_text_add(b, s + i, len);
            continue;
        }
        b->p[b->n++] = '\\';
        if (c == '"' || c == '\\') {
            b->p[b->n++] = (char)c;
        } else if (c >= 8 && c <= 13 && c != 11) {
            b->p[b->n++] = letters[c - 8];
        } else {
            b->p[b->n++] = 'u';
            for (int shift = 12; shift >= 0; shift -= 4) b->p[b->n++] = hex[c >> shift & 15];
        }
    }
    b->p[b->n++] = '"';
}

void bind_text_size(bind_text *b, uint64_t bytes)
{
    static const char *const units[] = {" B", " KiB", " MiB", " GiB", " TiB", " PiB", " EiB"};
    unsigned u = 0;
    uint64_t whole = bytes, rest = 0;
    for (; whole >= 1024; whole >>= 10, u++) rest = whole & 1023;
    if (u > 0) {
        /* Tenths of the last division's rest, rounded to nearest. */
        uint64_t tenths = (rest * 10 + 512) >> 10;
        if (tenths == 10) {
            whole++;
            tenths = 0;
        }
        if (whole == 1024) {
            whole = 1;
            u++;
        }
        bind_text_uint(b, whole);
        b->p[b->n++] = '.';
        b->p[b->n++] = (char)('0' + tenths);
    } else {
        bind_text_uint(b, whole);
    }
    bind_text_str(b, units[u]);
}

/* core.escape(text [, width]): how a text from a file is shown: control, bidirectional and invalid bytes escaped, the
 * middle left out where it would be longer than `width` bytes. */
static int escape(lua_State *L)
{
    size_t n;
    const char *s = bind_string(L, 1, &n);
    size_t width = lua_isnoneornil(L, 2) ? 200 : (size_t)bind_integer(L, 2, 16, 4096);
    char shown[4097];
    st_escape(shown, width + 1, s, n);
    lua_pushstring(L, shown);
    return 1;
}

/* core.size(bytes): "86.0 MiB" */
static int size(lua_State *L)
{
    char room[32];
    bind_text b = {.p = room, .cap = sizeof room};
    bind_text_size(&b, (uint64_t)bind_integer(L, 1, 0, LUA_MAXINTEGER));
    bind_text_push(L, &b);
    return 1;
}

void bind_text_open(lua_State *L, int core)
{
    static const luaL_Reg functions[] = {{"escape", escape}, {"size", size}, {NULL, NULL}};
    lua_pushvalue(L, core);
    luaL_setfuncs(L, functions, 0);
    lua_pop(L, 1);
}
