/* jput.c - writing JSON text. Layer: io. */
#include "jput.h"
#include "mem.h"

#include <stdio.h>
#include <string.h>

void st_jput_bytes(st_jput *j, const char *p, size_t n)
{
    if (j->failed || !st_grow((void **)&j->buf, &j->cap, j->len + n, 1)) {
        j->failed = true;
        return;
    }
    memcpy(j->buf + j->len, p, n);
    j->len += n;
}

void st_jput_text(st_jput *j, const char *s) { st_jput_bytes(j, s, strlen(s)); }

void st_jput_u64(st_jput *j, uint64_t v)
{
    char digits[20], *p = digits + sizeof digits;
    do *--p = (char)('0' + v % 10);
    while (v /= 10);
    st_jput_bytes(j, p, (size_t)(digits + sizeof digits - p));
}

/* The letter of a two-character escape, 'u' for the long form, 0 for bytes that stand as they are. */
static char escape_letter(unsigned char c)
{
    static const char short_forms[0x20] = {[8] = 'b', [9] = 't', [10] = 'n', [12] = 'f', [13] = 'r'};
    if (c == '"' || c == '\\') return (char)c;
    if (c >= 0x20) return 0;
    return short_forms[c] ? short_forms[c] : 'u';
}

void st_jput_string(st_jput *j, const char *p, size_t n)
{
    st_jput_bytes(j, "\"", 1);
    size_t done = 0;
    for (size_t i = 0; i < n; i++) {
        char letter = escape_letter((unsigned char)p[i]), item[8];
        if (!letter) continue;
        st_jput_bytes(j, p + done, i - done);
        done = i + 1;
        int w = letter == 'u' ? snprintf(item, sizeof item, "\\u%04x", (unsigned)p[i])
                              : snprintf(item, sizeof item, "\\%c", letter);
        st_jput_bytes(j, item, (size_t)w);
    }
    st_jput_bytes(j, p + done, n - done);
    st_jput_bytes(j, "\"", 1);
}
