/* status.c - error messages. Layer: core. */
#include "status.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

const char *st_status_code(st_status s)
{
    static const char *const codes[] = {
#define X(id, code, when) [ST_##id] = code,
        ST_STATUSES(X)
#undef X
    };
    return (unsigned)s < sizeof codes / sizeof *codes ? codes[s] : "unknown";
}

/* Length of the valid UTF-8 sequence at p, or 0; *cp is its code point. */
static size_t utf8_one(const unsigned char *p, size_t n, uint32_t *cp)
{
    if (p[0] < 0x80) return *cp = p[0], 1;
    size_t len = p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : 2;
    if (p[0] < 0xc2 || p[0] > 0xf4 || len > n) return 0;
    uint32_t c = p[0] & (0xffu >> (len + 1));
    for (size_t i = 1; i < len; i++) {
        if ((p[i] & 0xc0) != 0x80) return 0;
        c = c << 6 | (p[i] & 0x3fu);
    }
    if ((len == 3 && (c < 0x800 || (c >= 0xd800 && c < 0xe000))) || (len == 4 && (c < 0x10000 || c > 0x10ffff)))
        return 0;
    return *cp = c, len;
}

/* Characters that change how a terminal shows the rest: bidirectional controls, zero-width, line separators. */
static bool is_trickery(uint32_t c)
{
    return (c >= 0x80 && c < 0xa0) || (c >= 0x200b && c <= 0x200f) || (c >= 0x2028 && c <= 0x202e) ||
           (c >= 0x2066 && c <= 0x2069) || c == 0xfeff || (c >= 0xfff9 && c <= 0xfffb);
}

void st_escape(char *dst, size_t cap, const char *src, size_t len)
{
    /* A long name keeps its start and its end: both tell layers apart. */
    const size_t tail = cap / 8;
    size_t o = 0, i = 0;
    bool cut = false;
    const unsigned char *s = (const unsigned char *)src;
    while (i < len) {
        uint32_t c;
        size_t n = utf8_one(s + i, len - i, &c);
        char item[16];
        size_t w;
        if (n == 0) {
            n = 1;
            w = (size_t)snprintf(item, sizeof item, "\\x%02x", s[i]);
        } else if (c == '\\' || c == '"') {
            w = (size_t)snprintf(item, sizeof item, "\\%c", (char)c);
        } else if (c < 0x20 || c == 0x7f || is_trickery(c)) {
            w = (size_t)snprintf(item, sizeof item, "\\u%04x", (unsigned)c);
        } else {
            memcpy(item, s + i, n);
            w = n;
        }
        if (!cut && len - i > tail && o + w + tail * 6 + 4 > cap && len > cap - 4) {
            memcpy(dst + o, "...", 3);
            o += 3;
            i = len - tail;
            while (i < len && (s[i] & 0xc0) == 0x80) i++;
            cut = true;
            continue;
        }
        if (o + w + 1 > cap) break;
        memcpy(dst + o, item, w);
        o += w;
        i += n;
    }
    dst[o] = '\0';
}

static ST_PRINTF(5, 0) st_status
    fail_v(st_err *err, st_status code, const char *file, const char *tensor, const char *fmt, va_list ap)
{
    if (!err) return code;
    err->code = code;
    err->file[0] = err->tensor[0] = '\0';
    err->origin = 0;
    if (file) st_escape(err->file, sizeof err->file, file, strlen(file));
    if (tensor) snprintf(err->tensor, sizeof err->tensor, "%s", tensor);
    size_t o = 0, cap = sizeof err->message;
    if (err->file[0]) o += (size_t)snprintf(err->message + o, cap - o, "%s: ", err->file);
    if (tensor) o += (size_t)snprintf(err->message + o, cap - o, "tensor \"%s\": ", err->tensor);
    vsnprintf(err->message + o, cap - o, fmt, ap);
    return code;
}

st_status st_fail(st_err *err, st_status code, const char *file, const char *tensor, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    fail_v(err, code, file, tensor, fmt, ap);
    va_end(ap);
    return code;
}

st_status st_fail_named(st_err *err, st_status code, const char *file, const char *name, size_t len, const char *fmt,
                        ...)
{
    char shown[400];
    st_escape(shown, sizeof shown, name, len);
    va_list ap;
    va_start(ap, fmt);
    fail_v(err, code, file, shown, fmt, ap);
    va_end(ap);
    return code;
}

st_status st_fail_errno(st_err *err, int errnum, const char *file, const char *doing)
{
    const char *hint = errnum == EMFILE  ? " (raise the limit with `ulimit -n`)"
                       : errnum == EROFS ? " (choose another folder)"
                                         : "";
    st_status code = errnum == ENOSPC || errnum == EDQUOT || errnum == EFBIG ? ST_SPACE
                     : errnum == ENOMEM                                      ? ST_NOMEM
                                                                             : ST_IO;
    /* strerror: of a known number it is a constant, and strerror_r has two incompatible signatures. */
    return st_fail(err, code, file, NULL, "%s: %s%s", doing, strerror(errnum), hint);
}
