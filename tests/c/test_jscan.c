/* test_jscan.c - the JSON scanner: UTF-8 against a plain decoder, strings, numbers, skipping, places in messages. What
 * is legal JSON is pinned by the corpus of test_header.c; here are the pieces. */
#include "support.h"

#include "jscan.h"

#include <stdio.h>
#include <string.h>

static st_err err;

/* A scanner over a copy of exactly len + 1 bytes, the spare one not NUL. */
static st_jscan scan(const char *text, size_t len, char **copy)
{
    st_jscan s;
    *copy = malloc(len + 1);
    memcpy(*copy, text, len);
    (*copy)[len] = 'x';
    st_jscan_init(&s, *copy, len, "j", 100, 8, &err);
    return s;
}

/* ---------------------------------------------------------------- UTF-8 */

/* Encodes what a decoder must take; others are refused by not being in the set. */
static size_t encode(uint32_t c, unsigned char *w)
{
    if (c < 0x80) return w[0] = (unsigned char)c, 1;
    if (c < 0x800) return w[0] = (unsigned char)(0xc0 | c >> 6), w[1] = (unsigned char)(0x80 | (c & 63)), 2;
    if (c < 0x10000) {
        w[0] = (unsigned char)(0xe0 | c >> 12);
        w[1] = (unsigned char)(0x80 | (c >> 6 & 63));
        w[2] = (unsigned char)(0x80 | (c & 63));
        return 3;
    }
    w[0] = (unsigned char)(0xf0 | c >> 18);
    w[1] = (unsigned char)(0x80 | (c >> 12 & 63));
    w[2] = (unsigned char)(0x80 | (c >> 6 & 63));
    w[3] = (unsigned char)(0x80 | (c & 63));
    return 4;
}

/* Every code point is taken exactly if it is no surrogate. */
static void test_utf8_all(void **state)
{
    (void)state;
    for (uint32_t c = 0; c < 0x110000; c++) {
        unsigned char b[4];
        size_t n = encode(c, b), good = st_utf8_check((char *)b, n);
        bool legal = c < 0xd800 || c > 0xdfff;
        if ((good == n) != legal || (!legal && good != 0)) fail_msg("U+%04X", (unsigned)c);
    }
}

/* All strings of up to three bytes: what is taken is what encodes some code point, in its shortest form. */
static void test_utf8_short(void **state)
{
    (void)state;
    size_t taken = 0;
    for (uint32_t v = 0; v < 1u << 24; v += v < 1u << 16 ? 1 : 5) {
        unsigned char b[4] = {(unsigned char)v, (unsigned char)(v >> 8), (unsigned char)(v >> 16), 0}, back[4];
        if (b[0] < 0xe0 || st_utf8_check((char *)b, 3) != 3) continue;
        uint32_t c = (b[0] & 15u) << 12 | (b[1] & 63u) << 6 | (b[2] & 63u);
        assert_int_equal(encode(c, back), 3);
        assert_memory_equal(b, back, 3);
        assert_true(c < 0xd800 || c > 0xdfff);
        taken++;
    }
    assert_true(taken > 5000);
}

/* The fast path over eight plain bytes must not jump over a bad one. */
static void test_utf8_place(void **state)
{
    (void)state;
    char text[40];
    for (size_t at = 0; at < sizeof text; at++) {
        memset(text, 'a', sizeof text);
        text[at] = (char)0xff;
        assert_int_equal(st_utf8_check(text, sizeof text), at);
        assert_int_equal(st_utf8_check(text, at), at);
        text[at] = (char)0xc3; /* cut at the end of the text, broken inside it */
        assert_int_equal(st_utf8_check(text, at + 1), at);
    }
    assert_int_equal(st_utf8_check("", 0), 0);
}

/* ---------------------------------------------------------------- strings and numbers */

static void test_strings(void **state)
{
    (void)state;
    static const struct {
        const char *json, *want;
        size_t len;
    } cases[] = {
        {"\"\"", "", 0},
        {"  \"abc\"", "abc", 3},
        {"\"a\\u0000b\"", "a\0b", 3},
        {"\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "\"\\/\b\f\n\r\t", 8},
        {"\"\\u0041\\u00e9\\u20AC\\ud83d\\ude00\"", "A\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", 10},
        {"\"x\\u007f\\u0080\\u07ff\\u0800\\uffff\"", "x\x7f\xc2\x80\xdf\xbf\xe0\xa0\x80\xef\xbf\xbf", 12},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *copy;
        st_text t;
        st_jscan s = scan(cases[i].json, strlen(cases[i].json), &copy);
        assert_ok(st_jscan_string(&s, &t));
        assert_ok(st_jscan_finish(&s));
        assert_int_equal(t.len, cases[i].len);
        assert_memory_equal(t.ptr, cases[i].want, t.len + 1);
        assert_int_equal(copy[strlen(cases[i].json)], 'x'); /* nothing is written behind the text */
        free(copy);
    }
}

/* Any code point, escaped, comes back as itself. */
static void test_escapes_all(void **state)
{
    (void)state;
    for (uint32_t c = 0; c < 0x110000; c += c < 0x3000 ? 1 : 37) {
        char json[32], *copy;
        unsigned char want[4];
        st_text t;
        if (c >= 0xd800 && c < 0xe000) continue;
        uint32_t v = c - 0x10000;
        int n = c < 0x10000
                    ? sprintf(json, "\"\\u%04x\"", (unsigned)c)
                    : sprintf(json, "\"\\u%04X\\u%04x\"", 0xd800 + (unsigned)(v >> 10), 0xdc00 + (unsigned)(v & 1023));
        st_jscan s = scan(json, (size_t)n, &copy);
        assert_ok(st_jscan_string(&s, &t));
        assert_int_equal(t.len, encode(c, want));
        assert_memory_equal(t.ptr, want, t.len);
        free(copy);
    }
}

static void test_u64(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool good;
        uint64_t want;
    } cases[] = {
        {"0", true, 0},
        {" 7", true, 7},
        {"18446744073709551615", true, UINT64_MAX},
        {"18446744073709551616", false, 0},
        {"99999999999999999999", false, 0},
        {"-1", false, 0},
        {"-0", false, 0},
        {"01", false, 0},
        {"00", false, 0},
        {"1.0", false, 0},
        {"1e1", false, 0},
        {"1E1", false, 0},
        {"", false, 0},
        {"x", false, 0},
        {"\"1\"", false, 0},
        {"9223372036854775808", true, 9223372036854775808u},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *copy;
        uint64_t v = 5;
        st_jscan s = scan(cases[i].text, strlen(cases[i].text), &copy);
        st_status got = st_jscan_u64(&s, &v);
        if ((got == ST_OK) != cases[i].good) fail_msg("%s", cases[i].text);
        assert_int_equal(v, cases[i].good ? cases[i].want : 5);
        free(copy);
    }
}

/* ---------------------------------------------------------------- skipping, depth, places */

/* Any legal value is passed over to its last byte, and its every strict prefix fails. */
static void test_skip(void **state)
{
    (void)state;
    static const char *const values[] = {
        "{\"a\":[1,2,{\"b\":null}],\"c\":{},\"d\":[],\"e\":\"\\u00e9\",\"f\":-1.5e+3,\"g\":true,\"h\":false}",
        "[[[[[[[]]]]]]]",
        "[{\"a\":[{\"a\":[{}]}]},[],{}]",
        "\"x\"",
        "null",
        " [ 1 , 2 ] ",
    };
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        size_t n = strlen(values[i]);
        char *copy;
        st_jscan s = scan(values[i], n, &copy);
        assert_ok(st_jscan_skip(&s));
        assert_ok(st_jscan_finish(&s));
        assert_int_equal(s.depth, 8);
        free(copy);
        while (n > 0 && values[i][n - 1] == ' ') n--;
        for (size_t cut = 0; cut < n; cut++) {
            s = scan(values[i], cut, &copy);
            assert_int_equal(st_jscan_skip(&s), ST_FORMAT);
            free(copy);
        }
    }
}

/* The kinds of brackets are remembered through all 127 levels. */
static void test_depth(void **state)
{
    (void)state;
    for (unsigned pattern = 0; pattern < 64; pattern++) {
        for (int levels = 120; levels <= ST_JSCAN_DEPTH + 1; levels++) {
            char text[2048], *w = text;
            for (int i = 0; i < levels; i++) w += sprintf(w, "%s", pattern >> (i % 6) & 1 ? "{\"\":" : "[");
            *w++ = '1';
            for (int i = levels; i-- > 0;) *w++ = pattern >> (i % 6) & 1 ? '}' : ']';
            st_jscan s;
            st_jscan_init(&s, text, (size_t)(w - text), "j", 0, ST_JSCAN_DEPTH, &err);
            st_status got = st_jscan_skip(&s);
            assert_int_equal(got, levels <= ST_JSCAN_DEPTH ? ST_OK : ST_FORMAT);
            if (got == ST_OK) assert_ok(st_jscan_finish(&s));
            w[-1] = w[-1] == '}' ? ']' : '}'; /* the outermost bracket, closed wrongly */
            st_jscan_init(&s, text, (size_t)(w - text), "j", 0, ST_JSCAN_DEPTH, &err);
            assert_int_equal(st_jscan_skip(&s), ST_FORMAT);
        }
    }
}

/* Messages count bytes of the file: the text here begins at byte 100. */
static void test_places(void **state)
{
    (void)state;
    char *copy;
    st_text t;
    bool flag;
    st_jscan s = scan("  {\"a\" 1}", 9, &copy);
    assert_ok(st_jscan_open(&s, ST_J_OBJECT, &flag));
    assert_int_equal(st_jscan_key(&s, &t), ST_FORMAT);
    assert_string_equal(err.message, "j: byte 107: expected `:`, found `1}`");
    free(copy);
    s = scan("ab\xff", 3, &copy);
    assert_int_equal(st_jscan_utf8(&s), ST_FORMAT);
    assert_string_equal(err.message, "j: byte 102: byte 0xff is not valid UTF-8");
    free(copy);
    s = scan("\"ab", 3, &copy);
    assert_int_equal(st_jscan_string(&s, &t), ST_FORMAT);
    assert_string_equal(err.message, "j: byte 103: the JSON text ends inside a string");
    free(copy);
    s = scan("\"a\nb\"", 5, &copy);
    s.err = NULL; /* nobody wants the message */
    assert_int_equal(st_jscan_string(&s, &t), ST_FORMAT);
    free(copy);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_utf8_all), cmocka_unit_test(test_utf8_short),  cmocka_unit_test(test_utf8_place),
        cmocka_unit_test(test_strings),  cmocka_unit_test(test_escapes_all), cmocka_unit_test(test_u64),
        cmocka_unit_test(test_skip),     cmocka_unit_test(test_depth),       cmocka_unit_test(test_places),
    };
    return cmocka_run_group_tests_name("jscan", tests, NULL, NULL);
}
