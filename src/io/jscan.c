/* jscan.c - a strict JSON scanner. Layer: io; may touch the text it is given and nothing else. */
#include "jscan.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---------------------------------------------------------------- UTF-8 */

/* Bytes of the sequence that begins at p, 0 if it is malformed. */
static size_t utf8_sequence(const unsigned char *p, size_t len)
{
    size_t n = p[0] < 0x80 ? 1 : p[0] < 0xc2 ? 0 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : p[0] < 0xf5 ? 4 : 0;
    if (n == 0 || n > len) return 0;
    for (size_t i = 1; i < n; i++)
        if ((p[i] & 0xc0) != 0x80) return 0;
    /* The second byte tells overlong forms, surrogates and what lies above U+10FFFF. */
    if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f)) return 0;
    if ((p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] > 0x8f)) return 0;
    return n;
}

size_t st_utf8_check(const char *text, size_t len)
{
    const unsigned char *p = (const unsigned char *)text;
    size_t i = 0;
    while (i < len) {
        uint64_t eight;
        if (len - i >= sizeof eight) {
            memcpy(&eight, p + i, sizeof eight);
            if ((eight & 0x8080808080808080u) == 0) {
                i += sizeof eight;
                continue;
            }
        }
        size_t n = utf8_sequence(p + i, len - i);
        if (n == 0) return i;
        i += n;
    }
    return len;
}

/* ---------------------------------------------------------------- places and failures */

void st_jscan_init(st_jscan *s, char *text, size_t len, const char *label, uint64_t offset, int max_depth, st_err *err)
{
    *s = (st_jscan){
        .base = text, .p = text, .end = text + len, .label = label, .offset = offset, .depth = max_depth, .err = err};
}

st_status st_jscan_fail(st_jscan *s, const char *fmt, ...)
{
    char text[512];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    unsigned long long at = s->offset + (uint64_t)(s->p - s->base);
    return st_fail(s->err, ST_FORMAT, s->label, NULL, "byte %llu: %s", at, text);
}

st_status st_jscan_utf8(st_jscan *s)
{
    size_t len = (size_t)(s->end - s->p), good = st_utf8_check(s->p, len);
    if (good == len) return ST_OK;
    s->p += good;
    return st_jscan_fail(s, "byte 0x%02x is not valid UTF-8", (unsigned char)*s->p);
}

/* The scanner expected `what`; says what is there instead. */
static st_status expected(st_jscan *s, const char *what)
{
    char shown[24];
    if (s->p >= s->end) return st_jscan_fail(s, "the JSON text ends where %s is expected", what);
    size_t n = (size_t)(s->end - s->p);
    st_escape(shown, sizeof shown, s->p, n < 12 ? n : 12);
    return st_jscan_fail(s, "expected %s, found `%s`", what, shown);
}

static void white(st_jscan *s)
{
    while (s->p < s->end && (*s->p == ' ' || *s->p == '\n' || *s->p == '\t' || *s->p == '\r')) s->p++;
}

/* The next byte, NUL at the end of the text (a NUL in the text is an error wherever it stands outside a string). */
static char look(const st_jscan *s) { return s->p < s->end ? *s->p : '\0'; }

static bool is_digit(char c) { return c >= '0' && c <= '9'; }

/* ---------------------------------------------------------------- structure */

static const char *const type_names[] = {"an object", "an array", "a string", "a number",
                                         "`true`",    "`false`",  "`null`"};

st_status st_jscan_peek(st_jscan *s, st_jtype *type)
{
    white(s);
    switch (look(s)) {
    case '{': *type = ST_J_OBJECT; return ST_OK;
    case '[': *type = ST_J_ARRAY; return ST_OK;
    case '"': *type = ST_J_STRING; return ST_OK;
    case 't': *type = ST_J_TRUE; return ST_OK;
    case 'f': *type = ST_J_FALSE; return ST_OK;
    case 'n': *type = ST_J_NULL; return ST_OK;
    default:
        if (look(s) != '-' && !is_digit(look(s))) return expected(s, "a JSON value");
        *type = ST_J_NUMBER;
        return ST_OK;
    }
}

static char closing(st_jtype t) { return t == ST_J_OBJECT ? '}' : ']'; }

st_status st_jscan_open(st_jscan *s, st_jtype t, bool *empty)
{
    white(s);
    if (look(s) != (t == ST_J_OBJECT ? '{' : '[')) return expected(s, type_names[t]);
    if (s->depth <= 0) return st_jscan_fail(s, "nested too deeply");
    s->p++;
    s->depth--;
    white(s);
    *empty = look(s) == closing(t);
    if (*empty) {
        s->p++;
        s->depth++;
    }
    return ST_OK;
}

st_status st_jscan_next(st_jscan *s, st_jtype t, bool *more)
{
    white(s);
    *more = look(s) == ',';
    if (!*more) {
        if (look(s) != closing(t)) return expected(s, t == ST_J_OBJECT ? "`,` or `}`" : "`,` or `]`");
        s->depth++;
    }
    s->p++;
    return ST_OK;
}

st_status st_jscan_key(st_jscan *s, st_text *key)
{
    white(s);
    if (look(s) != '"') return expected(s, "a string as key");
    ST_TRY(st_jscan_string(s, key));
    white(s);
    if (look(s) != ':') return expected(s, "`:`");
    s->p++;
    return ST_OK;
}

st_status st_jscan_finish(st_jscan *s)
{
    white(s);
    return s->p == s->end ? ST_OK : expected(s, "the end of the JSON text");
}

st_status st_jscan_literal(st_jscan *s, const char *word)
{
    size_t n = strlen(word);
    white(s);
    if ((size_t)(s->end - s->p) < n || memcmp(s->p, word, n) != 0) return expected(s, word);
    s->p += n;
    return ST_OK;
}

/* ---------------------------------------------------------------- strings */

/* The four hexadecimal digits of a \u escape. */
static st_status hex4(st_jscan *s, uint32_t *out)
{
    uint32_t v = 0;
    for (int i = 0; i < 4; i++) {
        char c = look(s);
        uint32_t d = is_digit(c)            ? (uint32_t)(c - '0')
                     : c >= 'a' && c <= 'f' ? (uint32_t)(c - 'a' + 10)
                     : c >= 'A' && c <= 'F' ? (uint32_t)(c - 'A' + 10)
                                            : 16;
        if (d == 16) return expected(s, "four hexadecimal digits after `\\u`");
        v = v << 4 | d;
        s->p++;
    }
    *out = v;
    return ST_OK;
}

/* A \u escape, the `\u` consumed: one code point, of two escapes where the first is a high surrogate. */
static st_status code_point(st_jscan *s, uint32_t *out)
{
    uint32_t low = 0, c = 0;
    ST_TRY(hex4(s, &c));
    if (c >= 0xdc00 && c < 0xe000)
        return st_jscan_fail(s, "a low surrogate \\u%04x without its high half", (unsigned)c);
    if (c >= 0xd800 && c < 0xdc00) {
        if (s->end - s->p < 2 || s->p[0] != '\\' || s->p[1] != 'u')
            return st_jscan_fail(s, "a high surrogate \\u%04x without its low half", (unsigned)c);
        s->p += 2;
        ST_TRY(hex4(s, &low));
        if (low < 0xdc00 || low >= 0xe000)
            return st_jscan_fail(s, "a high surrogate \\u%04x followed by \\u%04x", (unsigned)c, (unsigned)low);
        c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
    }
    *out = c;
    return ST_OK;
}

/* Writes a code point as UTF-8; never longer than its escape. */
static char *put_utf8(char *w, uint32_t c)
{
    if (c < 0x80) {
        *w++ = (char)c;
        return w;
    }
    if (c < 0x800) {
        *w++ = (char)(0xc0 | c >> 6);
    } else {
        if (c < 0x10000) {
            *w++ = (char)(0xe0 | c >> 12);
        } else {
            *w++ = (char)(0xf0 | c >> 18);
            *w++ = (char)(0x80 | (c >> 12 & 0x3f));
        }
        *w++ = (char)(0x80 | (c >> 6 & 0x3f));
    }
    *w++ = (char)(0x80 | (c & 0x3f));
    return w;
}

/* An escape at s->p (its backslash), written at *w. */
static st_status escape(st_jscan *s, char **w)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    s->p++;
    char c = look(s);
    const char *simple = c ? strchr(from, c) : NULL;
    if (simple) {
        s->p++;
        *(*w)++ = to[simple - from];
        return ST_OK;
    }
    if (c != 'u') return expected(s, "an escape that JSON knows after `\\`");
    s->p++;
    uint32_t cp = 0;
    ST_TRY(code_point(s, &cp));
    *w = put_utf8(*w, cp);
    return ST_OK;
}

st_status st_jscan_string(st_jscan *s, st_text *out)
{
    white(s);
    if (look(s) != '"') return expected(s, "a string");
    char *start = ++s->p, *w = start;
    for (;;) {
        char *from = s->p;
        while (s->p < s->end && *s->p != '"' && *s->p != '\\' && (unsigned char)*s->p >= 0x20) s->p++;
        size_t plain = (size_t)(s->p - from);
        if (w != from) memmove(w, from, plain);
        w += plain;
        if (s->p >= s->end) return st_jscan_fail(s, "the JSON text ends inside a string");
        if (*s->p == '"') break;
        if (*s->p != '\\') return st_jscan_fail(s, "a control byte 0x%02x inside a string", (unsigned char)*s->p);
        ST_TRY(escape(s, &w));
    }
    s->p++;
    *w = '\0'; /* at the latest on the closing quote */
    *out = (st_text){start, (size_t)(w - start)};
    return ST_OK;
}

/* ---------------------------------------------------------------- numbers */

st_status st_jscan_u64(st_jscan *s, uint64_t *out)
{
    white(s);
    if (!is_digit(look(s))) return expected(s, "a non-negative integer");
    char *start = s->p;
    uint64_t v = 0;
    for (; is_digit(look(s)); s->p++) {
        if (__builtin_mul_overflow(v, (uint64_t)10, &v) || __builtin_add_overflow(v, (uint64_t)(*s->p - '0'), &v)) {
            s->p = start;
            return expected(s, "an integer below 2^64");
        }
    }
    if ((*start == '0' && s->p - start > 1) || look(s) == '.' || look(s) == 'e' || look(s) == 'E') {
        s->p = start;
        return expected(s, "a plain integer: no leading zero, fraction or exponent");
    }
    *out = v;
    return ST_OK;
}

static st_status digits(st_jscan *s)
{
    if (!is_digit(look(s))) return expected(s, "a digit");
    while (is_digit(look(s))) s->p++;
    return ST_OK;
}

/* serde_json holds a number as significand (64 bits, further digits cut) and decimal exponent, and refuses what
 * overflows a double even where nobody wants the value. This repeats its arithmetic. */
static bool overflows(uint64_t significand, int64_t exponent)
{
    char power[16];
    if (significand == 0 || exponent <= 0) return false;
    if (exponent > 308) return true;
    snprintf(power, sizeof power, "1e%d", (int)exponent);
    return isinf((double)significand * strtod(power, NULL));
}

/* Digits of a number as a significand; *dropped counts those that no longer fit. */
static void significant(const char *p, const char *end, uint64_t *significand, bool *full, int64_t *dropped)
{
    for (; p < end; p++) {
        uint64_t v;
        if (*full || __builtin_mul_overflow(*significand, (uint64_t)10, &v) ||
            __builtin_add_overflow(v, (uint64_t)(*p - '0'), &v)) {
            *full = true;
            ++*dropped;
        } else {
            *significand = v;
        }
    }
}

/* Any number of JSON's grammar, its value unwanted. */
static st_status skip_number(st_jscan *s)
{
    uint64_t significand = 0;
    int64_t dropped = 0, ignored = 0, exponent = 0;
    bool full = false, negative = false;
    char *number = s->p;

    if (look(s) == '-') s->p++;
    char *whole = s->p;
    ST_TRY(digits(s));
    if (*whole == '0' && s->p - whole > 1) {
        s->p = whole;
        return expected(s, "a number without leading zeros");
    }
    significant(whole, s->p, &significand, &full, &dropped);

    if (look(s) == '.') {
        char *fraction = ++s->p;
        ST_TRY(digits(s));
        /* What is kept of the fraction lowers the exponent; serde_json tries again on each digit here. */
        full = false;
        significant(fraction, s->p, &significand, &full, &ignored);
        dropped -= s->p - fraction - ignored;
    }
    if (look(s) == 'e' || look(s) == 'E') {
        s->p++;
        negative = look(s) == '-';
        if (negative || look(s) == '+') s->p++;
        char *e = s->p;
        ST_TRY(digits(s));
        for (; e < s->p; e++)
            if (exponent < INT32_MAX) exponent = exponent * 10 + (*e - '0');
    }
    if (overflows(significand, dropped + (negative ? -exponent : exponent))) {
        s->p = number;
        return expected(s, "a number that fits a double");
    }
    return ST_OK;
}

/* ---------------------------------------------------------------- skipping */

/* A value that is not a container. */
static st_status skip_scalar(st_jscan *s, st_jtype t)
{
    st_text unused;
    switch (t) {
    case ST_J_STRING: return st_jscan_string(s, &unused);
    case ST_J_NUMBER: return skip_number(s);
    case ST_J_TRUE: return st_jscan_literal(s, "true");
    case ST_J_FALSE: return st_jscan_literal(s, "false");
    default: return st_jscan_literal(s, "null");
    }
}

/* Not recursive: the kinds of the open brackets are bits, so that depth costs nothing. */
st_status st_jscan_skip(st_jscan *s)
{
    uint64_t kinds[2] = {0, 0};
    st_text key;
    int open = 0;
    for (;;) {
        st_jtype t;
        bool empty = true, more = false;
        ST_TRY(st_jscan_peek(s, &t));
        if (t == ST_J_OBJECT || t == ST_J_ARRAY)
            ST_TRY(st_jscan_open(s, t, &empty));
        else
            ST_TRY(skip_scalar(s, t));
        if (!empty) {
            uint64_t bit = (uint64_t)1 << (open & 63), *word = &kinds[open >> 6];
            *word = t == ST_J_OBJECT ? *word | bit : *word & ~bit;
            open++;
            more = true;
        }
        while (open > 0) {
            st_jtype inside = kinds[(open - 1) >> 6] >> ((open - 1) & 63) & 1 ? ST_J_OBJECT : ST_J_ARRAY;
            if (!more) ST_TRY(st_jscan_next(s, inside, &more));
            if (more && inside == ST_J_OBJECT) ST_TRY(st_jscan_key(s, &key));
            if (more) break;
            open--;
        }
        if (open == 0) return ST_OK;
    }
}
