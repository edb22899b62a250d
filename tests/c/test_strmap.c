/* test_strmap.c - the string map against a plain array, crafted keys, failing allocations; and the sort beside it. */
#include "support.h"

#include "mem.h"
#include "sort.h"
#include "strmap.h"

#include <stdio.h>
#include <string.h>

static st_err err;

static int teardown(void **state)
{
    (void)state;
    st_mem_fail_at(0, false);
    return st_memory_used() != 0;
}

static void test_add_and_find(void **state)
{
    (void)state;
    enum { N = 20000 };
    static char keys[N][16];
    st_strmap m = {0};
    int64_t old;
    assert_int_equal(st_strmap_find(&m, "a", 1), -1);
    for (size_t i = 0; i < N; i++) {
        size_t len = (size_t)sprintf(keys[i], "%zu", i * 7919);
        assert_ok(st_strmap_add(&m, keys[i], len, i, &old, &err));
        assert_int_equal(old, -1);
        /* What was put in earlier is still there, whenever the map has grown. */
        assert_int_equal(st_strmap_find(&m, keys[i / 2], strlen(keys[i / 2])), i / 2);
    }
    for (size_t i = 0; i < N; i++) {
        char copy[16];
        strcpy(copy, keys[i]);
        assert_ok(st_strmap_add(&m, copy, strlen(copy), 1, &old, &err));
        assert_int_equal(old, i);
    }
    assert_int_equal(st_strmap_find(&m, "x", 1), -1);
    st_strmap_free(&m);
    assert_int_equal(st_strmap_find(&m, "0", 1), -1);
}

/* Keys are counted: the empty one, prefixes, and what differs only behind a NUL are all different. */
static void test_counted_keys(void **state)
{
    (void)state;
    static const char text[] = "a\0b\0c";
    st_strmap m = {0};
    int64_t old;
    for (size_t len = 0; len < sizeof text; len++) {
        assert_ok(st_strmap_add(&m, text, len, len, &old, &err));
        assert_int_equal(old, -1);
    }
    assert_ok(st_strmap_add(&m, "a\0c", 3, 99, &old, &err));
    assert_int_equal(old, -1);
    for (size_t len = 0; len < sizeof text; len++) assert_int_equal(st_strmap_find(&m, text, len), len);
    assert_int_equal(st_strmap_find(&m, "a\0d", 3), -1);
    st_strmap_free(&m);
}

/* After reserve(n) n keys go in without an allocation. */
static void test_reserve(void **state)
{
    (void)state;
    static char keys[1000][8];
    int64_t old;
    for (size_t n = 0; n <= 1000; n += 37) {
        st_strmap m = {0};
        assert_ok(st_strmap_reserve(&m, n, &err));
        uint64_t before = st_mem_calls();
        for (size_t i = 0; i < n; i++)
            assert_ok(st_strmap_add(&m, keys[i], (size_t)sprintf(keys[i], "%zu", i), i, &old, &err));
        assert_int_equal(st_mem_calls(), before);
        assert_ok(st_strmap_reserve(&m, 1, &err));
        st_strmap_free(&m);
    }
}

/* A failed growth leaves the map as it was, and the same key goes in later. */
static void test_no_memory(void **state)
{
    (void)state;
    static char keys[100][8];
    st_strmap m = {0};
    int64_t old;
    size_t refused = 0;
    for (size_t i = 0; i < 100; i++) {
        size_t len = (size_t)sprintf(keys[i], "%zu", i);
        st_mem_fail_at(1, false);
        st_status s = st_strmap_add(&m, keys[i], len, i, &old, &err);
        st_mem_fail_at(0, false);
        if (s != ST_OK) {
            refused++;
            assert_int_equal(s, ST_NOMEM);
            assert_int_equal(st_strmap_find(&m, keys[i], len), -1);
            assert_ok(st_strmap_add(&m, keys[i], len, i, &old, &err));
        }
        for (size_t k = 0; k <= i; k++) assert_int_equal(st_strmap_find(&m, keys[k], strlen(keys[k])), k);
    }
    assert_true(refused >= 4);
    st_strmap_free(&m);
}

/* ---------------------------------------------------------------- sort */

typedef struct item {
    uint32_t key, place;
    char rest[56];
} item;

static int by_key(const void *a, const void *b, const void *arg)
{
    const item *x = a, *y = b;
    ++*(uint64_t *)(uintptr_t)arg;
    if (x->key != y->key) return x->key < y->key ? -1 : 1;
    return (x->place > y->place) - (x->place < y->place);
}

/* Random, sorted, reversed, all equal, organ pipe: sorted afterwards, the items whole, never more than 2 n log2 n
 * looks. */
static void test_sort(void **state)
{
    (void)state;
    enum { MAX = 3000 };
    item *v = malloc(MAX * sizeof *v);
    rng r = {3};
    for (size_t n = 0; n <= MAX; n = n < 40 ? n + 1 : n * 3) {
        for (int kind = 0; kind < 5; kind++) {
            uint64_t looks = 0, sum = 0, log2 = 1;
            for (uint32_t i = 0; i < n; i++) {
                uint32_t keys[] = {(uint32_t)rng_below(&r, n), i, (uint32_t)n - i, 4, i < n / 2 ? i : (uint32_t)n - i};
                v[i] = (item){.key = keys[kind], .place = i};
                memset(v[i].rest, (int)(i % 251), sizeof v[i].rest);
                sum += keys[kind];
            }
            st_sort(v, n, sizeof *v, by_key, &looks);
            while (((size_t)1 << log2) < n) log2++;
            assert_true(looks <= 2 * n * (log2 + 1));
            if (kind == 1) assert_true(looks <= n);
            for (size_t i = 0; i < n; i++) {
                sum -= v[i].key;
                assert_int_equal((unsigned char)v[i].rest[55], v[i].place % 251);
                if (i)
                    assert_true(v[i - 1].key < v[i].key || (v[i - 1].key == v[i].key && v[i - 1].place < v[i].place));
            }
            assert_int_equal(sum, 0);
        }
    }
    free(v);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_add_and_find, teardown), cmocka_unit_test_teardown(test_counted_keys, teardown),
        cmocka_unit_test_teardown(test_reserve, teardown),      cmocka_unit_test_teardown(test_no_memory, teardown),
        cmocka_unit_test_teardown(test_sort, teardown),
    };
    return cmocka_run_group_tests_name("strmap", tests, NULL, NULL);
}
