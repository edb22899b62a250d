/* pickle_line.c - texts of protocol 0, which have escapes. Layer: io; may touch memory only. */
#include "pickle_node.h"

#include <string.h>

static bool hex(const char *p, size_t n, uint32_t *v)
{
    *v = 0;
    for (size_t i = 0; i < n; i++) {
        char c = p[i];
        unsigned d = c >= '0' && c <= '9' ? (unsigned)(c - '0') : (unsigned)((c | 0x20) - 'a' + 10);
        if (d > 15) return false;
        *v = *v << 4 | d;
    }
    return true;
}

static char *put_utf8(char *dst, uint32_t c)
{
    if (c < 0x80) {
        *dst++ = (char)c;
    } else if (c < 0x800) {
        *dst++ = (char)(0xc0 | c >> 6);
        *dst++ = (char)(0x80 | (c & 63));
    } else if (c < 0x10000) {
        *dst++ = (char)(0xe0 | c >> 12);
        *dst++ = (char)(0x80 | (c >> 6 & 63));
        *dst++ = (char)(0x80 | (c & 63));
    } else {
        *dst++ = (char)(0xf0 | (c >> 18 & 7));
        *dst++ = (char)(0x80 | (c >> 12 & 63));
        *dst++ = (char)(0x80 | (c >> 6 & 63));
        *dst++ = (char)(0x80 | (c & 63));
    }
    return dst;
}

/* Undoes an escape at p (behind the backslash): the bytes it takes, or 0 where it is none. `raw`: only \u and \U are.
 */
static size_t unescape(const char *p, size_t n, bool raw, uint32_t *c)
{
    static const char from[] = "\\'\"abfnrtv", to[] = "\\'\"\a\b\f\n\r\t\v";
    if (n >= 5 && p[0] == 'u' && raw && hex(p + 1, 4, c)) return 5;
    if (n >= 9 && p[0] == 'U' && raw && hex(p + 1, 8, c)) return 9;
    if (n == 0 || raw) return 0;
    if (n >= 3 && p[0] == 'x' && hex(p + 1, 2, c)) return 3;
    const char *known = p[0] ? strchr(from, p[0]) : NULL;
    if (known) return *c = (unsigned char)to[known - from], 1;
    return 0;
}

bool st_pickle_unescape(st_arena *a, st_text line, bool raw, st_text *out)
{
    char *text = st_arena_take(a, line.len * 2 + 1), *dst = text; /* Latin-1 doubles, escapes shrink */
    if (!text) return false;
    for (size_t i = 0; i < line.len;) {
        uint32_t c = (unsigned char)line.ptr[i++];
        if (c == '\\') i += unescape(line.ptr + i, line.len - i, raw, &c);
        dst = put_utf8(dst, c);
    }
    *out = (st_text){text, (size_t)(dst - text)};
    return true;
}
