/* test_zcodec.c - frames of libzstd: every mode both ways, the same bytes whatever came before, what is refused. */
#include "support.h"

#include "mem.h"
#include "zcodec.h"

#include <string.h>
#include <xxhash.h>

enum { MODES = 4, BIG = 300000 };

static st_err err;

/* What tensors hold: kind 0 noise, 1 zeros, 2 few different words, 3 rows that come again. */
static void fill(unsigned char *p, size_t n, int kind)
{
    rng r = {(uint64_t)kind};
    for (size_t i = 0; i < n; i++) {
        if (kind == 0) p[i] = (unsigned char)rng_next(&r);
        if (kind == 1) p[i] = 0;
        if (kind == 2) p[i] = i % 4 < 2 ? 0 : (unsigned char)(i % 4 + rng_below(&r, 40));
        if (kind == 3) p[i] = i < 70000 ? (unsigned char)rng_next(&r) : p[i - 70000];
    }
}
enum { KINDS = 4 };

static void round_trip(st_zstd *z, int mode, bool checksum, const unsigned char *p, size_t n)
{
    size_t cap = st_zstd_bound(n), made;
    unsigned char *c = st_malloc(cap), *back = st_malloc(n);
    const char *why = NULL;
    if (mode < MODES)
        assert_ok(st_zstd_compress(z, (st_zstd_mode)mode, checksum, p, n, c, cap, &made, &err));
    else
        assert_ok(st_zstd_compress_best(z, checksum, p, n, c, cap, &made, &err));
    st_zstd_head h;
    assert_null(st_zstd_parse_head(c, made, &h));
    assert_true(h.content == n && h.checksum == checksum && !h.skippable && !h.dictionary);
    if (checksum) {
        uint32_t sum = (uint32_t)XXH64(p, n, 0), last;
        memcpy(&last, c + made - 4, 4);
        assert_int_equal(last, sum);
    }
    assert_ok(st_zstd_decompress(z, c, made, back, n, &why, &err));
    assert_memory_equal(back, p, n);
    st_free(c);
    st_free(back);
}

static void test_round_trips(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 1, 7, 1000, 5000, 131072, 131073, BIG};
    unsigned char *p = st_malloc(BIG);
    st_zstd *z;
    assert_ok(st_zstd_new("some/file", &z, &err));
    for (int kind = 0; kind < KINDS; kind++)
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
            fill(p, sizes[i], kind);
            for (int mode = 0; mode <= MODES; mode++) round_trip(z, mode, i % 2, p, sizes[i]);
        }
    st_zstd_free(z);
    st_free(p);
}

/* What was compressed before, in whatever mode, leaves no trace. */
static void test_same_bytes(void **state)
{
    (void)state;
    size_t cap = st_zstd_bound(BIG), first, again;
    unsigned char *p = st_malloc(BIG), *a = st_malloc(cap), *b = st_malloc(cap);
    st_zstd *z, *fresh;
    assert_ok(st_zstd_new("some/file", &z, &err));
    for (int round = 0; round < 40; round++) {
        fill(p, BIG, round % KINDS);
        size_t n = (size_t)BIG / (size_t)(1 + round % 3);
        assert_ok(st_zstd_new("some/file", &fresh, &err));
        assert_ok(st_zstd_compress_best(fresh, true, p, n, a, cap, &first, &err));
        assert_ok(st_zstd_compress_best(z, true, p, n, b, cap, &again, &err));
        assert_int_equal(first, again);
        assert_memory_equal(a, b, first);
        st_zstd_free(fresh);
    }
    st_zstd_free(z);
    st_free(p);
    st_free(a);
    st_free(b);
}

/* The best is never much worse than each of them, and dense bytes are told from such as repeat. */
static void test_best(void **state)
{
    (void)state;
    size_t cap = st_zstd_bound(BIG), best, one;
    unsigned char *p = st_malloc(BIG), *c = st_malloc(cap);
    st_zstd *z;
    assert_ok(st_zstd_new("some/file", &z, &err));
    for (int kind = 0; kind < KINDS; kind++) {
        fill(p, BIG, kind);
        assert_int_equal(st_zstd_repeats(p, BIG), kind != 0);
        assert_ok(st_zstd_compress_best(z, true, p, BIG, c, cap, &best, &err));
        for (int mode = 0; mode < MODES; mode++) {
            assert_ok(st_zstd_compress(z, (st_zstd_mode)mode, true, p, BIG, c, cap, &one, &err));
            if (best > one + one / 50 + 16) fail_msg("kind %d: best %zu, mode %d %zu", kind, best, mode, one);
        }
    }
    st_zstd_free(z);
    st_free(p);
    st_free(c);
}

static void test_damage(void **state)
{
    (void)state;
    enum { N = 3000 };
    unsigned char p[N], c[N + 100], back[N];
    size_t made;
    const char *why;
    st_zstd *z;
    assert_ok(st_zstd_new("some/file", &z, &err));
    for (int kind = 0; kind < KINDS; kind++) {
        fill(p, N, kind);
        assert_ok(st_zstd_compress_best(z, true, p, N, c, sizeof c, &made, &err));
        for (size_t i = 0; i < made * 8; i++) {
            c[i / 8] = (unsigned char)(c[i / 8] ^ 1 << i % 8);
            why = NULL;
            st_status s = st_zstd_decompress(z, c, made, back, N, &why, &err);
            if (s == ST_OK) assert_memory_equal(back, p, N);
            if (s != ST_OK) assert_true(s == ST_FORMAT && why);
            c[i / 8] = (unsigned char)(c[i / 8] ^ 1 << i % 8);
        }
        for (size_t n = 0; n < made; n++) assert_int_equal(st_zstd_decompress(z, c, n, back, N, &why, &err), ST_FORMAT);
        assert_int_equal(st_zstd_decompress(z, c, made, back, N - 1, &why, &err), ST_FORMAT);
        assert_string_equal(why, "its head tells another size");
        assert_ok(st_zstd_decompress(z, c, made, back, N, &why, &err));
    }
    st_zstd_free(z);
}

static void test_heads(void **state)
{
    (void)state;
    st_zstd_head h;
    static const unsigned char skippable[] = {0x5e, 0x2a, 0x4d, 0x18, 1, 2, 0, 0}, foreign[8] = "GGUF1234",
                               windowed[] = {0x28, 0xb5, 0x2f, 0xfd, 0x04, 0x59},
                               with_id[] = {0x28, 0xb5, 0x2f, 0xfd, 0x21, 7, 9}, /* one segment, a dictionary */
        reserved[] = {0x28, 0xb5, 0x2f, 0xfd, 0x28, 9}, unused[] = {0x28, 0xb5, 0x2f, 0xfd, 0x30, 9};
    assert_null(st_zstd_parse_head(skippable, 8, &h));
    assert_true(h.skippable && h.variant == 14 && h.content == 513 && h.bytes == 8);
    assert_non_null(st_zstd_parse_head(skippable, 7, &h));
    assert_non_null(st_zstd_parse_head(foreign, 8, &h));
    assert_null(st_zstd_parse_head(windowed, 6, &h));
    assert_true(h.checksum && h.content == ST_ZSTD_UNKNOWN && h.window == (1u << 21) + (1u << 18) && h.bytes == 6);
    assert_null(st_zstd_parse_head(with_id, 7, &h));
    assert_true(h.dictionary && h.content == 9 && h.window == 9);
    assert_non_null(st_zstd_parse_head(reserved, 6, &h));
    assert_non_null(st_zstd_parse_head(unused, 6, &h));
}

static void test_stream(void **state)
{
    (void)state;
    enum { N = 50000 };
    unsigned char *p = st_malloc(2 * N), *c = st_malloc(2 * st_zstd_bound(N)), *back = st_malloc(2 * N);
    size_t first, second, used = 0, made = 0, ends = 0;
    const char *why = NULL;
    bool ended = false;
    st_zstd *z;
    st_zstd_stream *s;
    assert_ok(st_zstd_new("some/file", &z, &err));
    fill(p, 2 * N, 2);
    assert_ok(st_zstd_compress(z, ST_ZSTD_LEVEL3, true, p, N, c, st_zstd_bound(N), &first, &err));
    assert_ok(st_zstd_compress(z, ST_ZSTD_LITERALS, true, p + N, N, c + first, st_zstd_bound(N), &second, &err));
    assert_ok(st_zstd_stream_new(1 << 20, &s, &err));
    while (used < first + second) { /* a few bytes in, a few out */
        size_t n = used + 100 < first + second ? used + 100 : first + second, cap = made + 777;
        assert_ok(st_zstd_stream_run(s, c, n, &used, back, cap < 2 * N ? cap : 2 * N, &made, &ended, &why, &err));
        ends += ended;
    }
    assert_true(ended && ends == 2 && made == 2 * N);
    assert_memory_equal(back, p, 2 * N);
    st_zstd_stream_free(s);
    c[first - 1] ^= 1;
    assert_ok(st_zstd_stream_new(1 << 20, &s, &err));
    used = made = 0;
    assert_int_equal(st_zstd_stream_run(s, c, first, &used, back, 2 * N, &made, &ended, &why, &err), ST_FORMAT);
    assert_string_equal(why, "its checksum does not match");
    st_zstd_stream_free(s);
    st_zstd_free(z);
    st_free(p);
    st_free(c);
    st_free(back);
}

static void test_no_memory(void **state)
{
    (void)state;
    unsigned char p[100] = {1}, c[300], back[100];
    uint64_t before = st_memory_used();
    bool done = false;
    for (uint64_t n = 1; !done; n++) {
        size_t made;
        const char *why;
        st_zstd *z;
        st_mem_fail_at(n, true);
        st_status s = st_zstd_new("some/file", &z, &err);
        if (s == ST_OK) s = st_zstd_compress_best(z, true, p, sizeof p, c, sizeof c, &made, &err);
        if (s == ST_OK) s = st_zstd_decompress(z, c, made, back, sizeof back, &why, &err);
        st_mem_fail_at(0, false);
        st_zstd_free(z);
        assert_true(s == ST_OK || s == ST_NOMEM);
        done = s == ST_OK;
    }
    assert_int_equal(st_memory_used(), before);
}

static void test_a_refusal_names_the_file(void **state)
{
    (void)state;
    unsigned char p[1000], c[2];
    size_t made;
    st_zstd *z;
    fill(p, sizeof p, 0);
    assert_ok(st_zstd_new("some/file", &z, &err));
    assert_int_equal(st_zstd_compress(z, ST_ZSTD_FAST, true, p, sizeof p, c, sizeof c, &made, &err), ST_INTERNAL);
    assert_non_null(strstr(err.message, "some/file: libzstd refused"));
    st_zstd_free(z);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trips), cmocka_unit_test(test_same_bytes),
        cmocka_unit_test(test_best),        cmocka_unit_test(test_damage),
        cmocka_unit_test(test_heads),       cmocka_unit_test(test_stream),
        cmocka_unit_test(test_no_memory),   cmocka_unit_test(test_a_refusal_names_the_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
