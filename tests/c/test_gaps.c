/* test_gaps.c - planes that are zero mostly: there and back, and what is no such plane. */
#include "support.h"

#include "pack_gaps.h"

#include <string.h>

enum { N = 4096, ROOM = 3 * N };

static st_zstd *z;
static uint8_t plane[N], back[N], room[ROOM], packed[ROOM];
static const char *why;
static st_err err;

static int setup(void **state)
{
    (void)state;
    return st_zstd_new("some/file", &z, &err) == ST_OK ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    st_zstd_free(z);
    return 0;
}

static size_t there_and_back(size_t n)
{
    size_t len;
    assert_true(st_gaps_suit(plane, n));
    assert_true(st_gaps_room(n) <= ROOM && st_gaps_bound(n) <= ROOM);
    assert_ok(st_gaps_pack(z, plane, n, room, packed, &len, &err));
    assert_true(len <= st_gaps_bound(n) && st_gaps_are(packed, len));
    memset(back, 0xee, sizeof back);
    assert_ok(st_gaps_unpack(z, packed, len, room, back, n, &why, &err));
    assert_memory_equal(back, plane, n);
    return len;
}

static void clear(void) { memset(plane, 0, sizeof plane); }

static void test_one_value(void **state)
{
    (void)state;
    static const size_t at[] = {0, 1, 7, 8, 253, 254, 255, 256, 509, 510, 511, 765, N - 1};
    for (size_t i = 0; i < sizeof at / sizeof *at; i++) {
        clear();
        plane[at[i]] = 9;
        there_and_back(N);
        there_and_back(at[i] < 2 ? 2 : at[i] + 1);
    }
}

static void test_many_values(void **state)
{
    (void)state;
    for (size_t step = 2; step < 1000; step += 7) {
        clear();
        for (size_t i = step - 1; i < N; i += step) plane[i] = (uint8_t)(i | 1);
        there_and_back(N);
    }
    clear();
    for (size_t i = 0; i < N / 2; i++) plane[i] = 1; /* as many as may be, and no gaps */
    there_and_back(N);
}

static void test_what_does_not_suit(void **state)
{
    (void)state;
    clear();
    assert_false(st_gaps_suit(plane, N));
    assert_false(st_gaps_suit(plane, 0));
    for (size_t i = 0; i <= N / 2; i++) plane[i] = 1;
    assert_false(st_gaps_suit(plane, N));
}

/* One in fifty: what chance holds is 1.2 %. */
static void test_small(void **state)
{
    (void)state;
    uint32_t x = 1;
    clear();
    for (size_t i = 0; i < N; i++) {
        x = x * 1664525 + 1013904223;
        plane[i] = x >> 24 < 5 ? 1 + (x >> 20 & 1) : 0;
    }
    assert_true(there_and_back(N) < N / 25);
}

static void refused(size_t len)
{
    why = NULL;
    assert_int_equal(st_gaps_unpack(z, packed, len, room, back, N, &why, &err), ST_FORMAT);
    assert_non_null(why);
}

static void test_lies(void **state)
{
    (void)state;
    clear();
    plane[1000] = plane[4000] = 3;
    size_t len = there_and_back(N);
    for (size_t cut = 0; cut < len; cut++) refused(cut);
    for (int byte = 0; byte < 12; byte++) {
        packed[byte] ^= 0x81; /* counts and sizes */
        refused(len);
        packed[byte] ^= 0x81;
    }
    /* Values beyond the end, more values than gaps, fewer. */
    clear();
    plane[N - 1] = 3;
    len = there_and_back(N);
    assert_int_equal(st_gaps_unpack(z, packed, len, room, back, N - 1, &why, &err), ST_FORMAT);
    static const uint8_t frame[] = {0x28, 0xb5, 0x2f, 0xfd};
    assert_false(st_gaps_are(frame, 4));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_value), cmocka_unit_test(test_many_values), cmocka_unit_test(test_what_does_not_suit),
        cmocka_unit_test(test_small),     cmocka_unit_test(test_lies),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
