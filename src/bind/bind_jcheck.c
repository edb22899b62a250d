/* bind_jcheck.c - the strict check before cJSON, which by itself accepts raw control bytes, invalid UTF-8, leading
 * zeros and trailing garbage, cuts strings at U+0000 and rounds large integers. Layer: bind. */
#include "bind_jcheck.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

typedef struct scan {
    const char *p, *end; /* *end is a NUL */
    const char *what;
    const char *bad;
    bool limit;
    int depth;
    size_t values;
} scan;

static bool fail(scan *s, const char *at, const char *what)
{
    s->bad = at;
    s->what = what;
    return false;
}

static bool fail_limit(scan *s, const char *what)
{
    s->limit = true;
    return fail(s, s->p, what);
}

size_t json_utf8(const char *text, size_t n)
{
    const unsigned char *p = (const unsigned char *)text;
    if (p[0] < 0x80) return 1;
    size_t len = p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : 2;
    if (p[0] < 0xc2 || p[0] > 0xf4 || len > n) return 0;
    for (size_t i = 1; i < len; i++)
        if ((p[i] & 0xc0) != 0x80) return 0;
    /* Overlong forms, surrogates, beyond U+10FFFF. */
    if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f)) return 0;
    if ((p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] > 0x8f)) return 0;
    return len;
}

static void skip_space(scan *s)
{
    while (s->p < s->end && (*s->p == ' ' || *s->p == '\t' || *s->p == '\n' || *s->p == '\r')) s->p++;
}

/* ---------------------------------------------------------------- strings */

/* Value of a hexadecimal digit, or -1. */
static int hex_digit(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The four digits after \u. */
static bool hex4(scan *s, unsigned *out)
{
    *out = 0;
    for (int i = 0; i < 4; i++, s->p++) {
        int d = s->p < s->end ? hex_digit(*s->p) : -1;
        if (d < 0) return fail(s, s->p, "\\u without four hexadecimal digits");
        *out = *out * 16 + (unsigned)d;
    }
    return true;
}

/* At the byte after a backslash. */
static bool escape(scan *s)
{
    const char *start = s->p - 1;
    char c = s->p < s->end ? *s->p++ : '\0';
    if (c != 'u') return (c && strchr("\"\\/bfnrt", c)) || fail(s, start, "unknown escape");
    unsigned high, low;
    if (!hex4(s, &high)) return false;
    if (high == 0) return fail(s, start, "\\u0000 is not supported");
    if (high < 0xd800 || high > 0xdfff) return true;
    if (high > 0xdbff || s->end - s->p < 2 || s->p[0] != '\\' || s->p[1] != 'u')
        return fail(s, start, "half a surrogate pair");
    s->p += 2;
    if (!hex4(s, &low)) return false;
    return (low >= 0xdc00 && low <= 0xdfff) || fail(s, start, "half a surrogate pair");
}

static bool string(scan *s)
{
    const char *start = s->p++;
    while (s->p < s->end && *s->p != '"') {
        unsigned char c = (unsigned char)*s->p;
        if (c < 0x20) return fail(s, s->p, "control character in a string");
        if (c == '\\') {
            s->p++;
            if (!escape(s)) return false;
        } else {
            size_t n = json_utf8(s->p, (size_t)(s->end - s->p));
            if (n == 0) return fail(s, s->p, "invalid UTF-8");
            s->p += n;
        }
    }
    if (s->p == s->end) return fail(s, start, "the string does not end");
    s->p++;
    return true;
}

/* ---------------------------------------------------------------- numbers */

static bool digits(scan *s)
{
    const char *start = s->p;
    while (s->p < s->end && *s->p >= '0' && *s->p <= '9') s->p++;
    return s->p > start || fail(s, start, "a digit is missing");
}

static bool number(scan *s)
{
    const char *start = s->p;
    bool whole = true;
    if (*s->p == '-') s->p++;
    const char *first = s->p;
    if (!digits(s)) return false;
    if (*first == '0' && s->p - first > 1) return fail(s, start, "a number with a leading zero");
    if (s->p < s->end && *s->p == '.') {
        whole = false;
        s->p++;
        if (!digits(s)) return false;
    }
    if (s->p < s->end && (*s->p == 'e' || *s->p == 'E')) {
        whole = false;
        s->p++;
        if (s->p < s->end && (*s->p == '+' || *s->p == '-')) s->p++;
        if (!digits(s)) return false;
    }
    if (s->p - start > JSON_MAX_DIGITS) return fail(s, start, "a number of more than 60 characters");
    if (whole && (s->p - first > 16 || llabs(strtoll(start, NULL, 10)) > JSON_MAX_INTEGER))
        return fail(s, start, "an integer of 2^53 or more cannot be kept exactly");
    /* strtod minds the decimal comma of some locales, as cJSON knows; the exponent alone decides about overflow. */
    if (!whole && !isfinite(strtod(start, NULL))) return fail(s, start, "a number too large for a double");
    return true;
}

/* ---------------------------------------------------------------- values */

static bool value(scan *s);

static bool member(scan *s)
{
    if (s->p == s->end || *s->p != '"') return fail(s, s->p, "a key in quotes expected");
    if (!string(s)) return false;
    skip_space(s);
    if (s->p == s->end || *s->p != ':') return fail(s, s->p, "':' expected");
    s->p++;
    return value(s);
}

static bool container(scan *s, char close, bool (*item)(scan *))
{
    const char *start = s->p++;
    if (++s->depth > JSON_MAX_DEPTH) return fail_limit(s, "nested more than 64 deep");
    skip_space(s);
    if (s->p < s->end && *s->p == close) {
        s->p++;
        s->depth--;
        return true;
    }
    for (;;) {
        skip_space(s);
        if (!item(s)) return false;
        skip_space(s);
        if (s->p == s->end) return fail(s, start, close == '}' ? "the object does not end" : "the array does not end");
        if (*s->p != ',') break;
        s->p++;
    }
    if (*s->p != close) return fail(s, s->p, close == '}' ? "',' or '}' expected" : "',' or ']' expected");
    s->p++;
    s->depth--;
    return true;
}

static bool literal(scan *s, const char *word)
{
    size_t n = strlen(word);
    if ((size_t)(s->end - s->p) < n || memcmp(s->p, word, n) != 0) return fail(s, s->p, "a value expected");
    s->p += n;
    return true;
}

static bool value(scan *s)
{
    skip_space(s);
    if (++s->values > JSON_MAX_VALUES) return fail_limit(s, "more than 4,000,000 values");
    if (s->p == s->end) return fail(s, s->p, "a value expected");
    switch (*s->p) {
    case '{': return container(s, '}', member);
    case '[': return container(s, ']', value);
    case '"': return string(s);
    case 't': return literal(s, "true");
    case 'f': return literal(s, "false");
    case 'n': return literal(s, "null");
    default:
        if (*s->p == '-' || (*s->p >= '0' && *s->p <= '9')) return number(s);
        if (s->end - s->p >= 3 && memcmp(s->p, "\xef\xbb\xbf", 3) == 0) return fail(s, s->p, "a byte order mark");
        return fail(s, s->p, "a value expected");
    }
}

jcheck json_check(const char *text, size_t len)
{
    scan s = {.p = text, .end = text + len};
    if (len > JSON_MAX_BYTES) {
        fail_limit(&s, "more than 64 MiB of text");
    } else if (value(&s)) {
        skip_space(&s);
        if (s.p < s.end) fail(&s, s.p, "something follows the value");
    }
    return (jcheck){s.what, s.what ? (size_t)(s.bad - text) : 0, s.limit};
}
