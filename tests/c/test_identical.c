/* test_identical.c - whether tensors hold the same bytes, on any number of threads: a difference anywhere is found,
 * failing reads and memory are told; codes, which are the same bytes under another dtype; and freed blocks that are
 * used again. */
#include "support.h"

#include "mem.h"
#include "tensor.h"

#include <string.h>

enum { N = 1500001 }; /* bytes: several pieces, the last one short */

static st_ctx *ctx;
static st_err err;
static unsigned char bytes[N];

static int setup(void **state)
{
    (void)state;
    rng r = {5};
    for (int i = 0; i < N; i++) bytes[i] = (unsigned char)rng_next(&r);
    return st_ctx_new(&ctx, &err) == ST_OK ? 0 : -1;
}
static int teardown(void **state)
{
    (void)state;
    st_ctx_free(ctx);
    return 0;
}

static st_tensor *range(mem_source *src, st_dtype d)
{
    st_tensor *t = NULL;
    int64_t shape[] = {N};
    assert_ok(st_tensor_range(&src->base, 0, d, 1, shape, "t", 1, NULL, &t, &err));
    return t;
}

static void test_differences(void **state)
{
    (void)state;
    static const int places[] = {-1, 0, 1, 262143, 262144, 262145, 1048575, N - 2, N - 1};
    mem_source *a = mem_source_new(bytes, N);
    st_tensor *x = range(a, ST_U8);
    for (unsigned threads = 1; threads < 5; threads++) {
        st_ctx_set_threads(ctx, threads);
        for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
            mem_source *b = mem_source_new(bytes, N);
            if (places[i] >= 0) b->bytes[places[i]] ^= 1;
            st_tensor *y = range(b, ST_U8);
            bool same = places[i] >= 0;
            assert_ok(st_tensor_identical(ctx, x, y, &same, &err));
            assert_int_equal(same, places[i] < 0);
            st_tensor_unref(y);
            st_source_unref(&b->base);
        }
    }
    st_tensor *other = range(a, ST_I8), *again = range(a, ST_U8);
    bool same = true;
    assert_ok(st_tensor_identical(ctx, x, other, &same, &err));
    assert_false(same);
    assert_ok(st_tensor_identical(ctx, x, again, &same, &err));
    assert_true(same);
    st_tensor *all[] = {x, other, again};
    for (int i = 0; i < 3; i++) st_tensor_unref(all[i]);
    st_source_unref(&a->base);
}

/* What is computed is compared as it would be saved. */
static void test_computed(void **state)
{
    (void)state;
    enum { COUNT = 300000 };
    float *v = st_malloc(COUNT * sizeof *v);
    st_tensor *t = NULL, *u = NULL, *one = NULL, *sum = NULL;
    bool same = false;
    for (int i = 0; i < COUNT; i++) v[i] = (float)(i % 100);
    assert_ok(st_tensor_new(ST_F32, 1, (int64_t[]){COUNT}, v, COUNT * sizeof *v, &t, &err));
    for (int i = 0; i < COUNT; i++) v[i] += 1;
    assert_ok(st_tensor_new(ST_F32, 1, (int64_t[]){COUNT}, v, COUNT * sizeof *v, &u, &err));
    assert_ok(st_integer(1, &one, &err));
    assert_ok(st_apply(ST_OP_ADD, (st_tensor *[]){t, one}, &sum, &err));
    assert_ok(st_tensor_identical(ctx, sum, u, &same, &err));
    assert_true(same);
    assert_ok(st_tensor_identical(ctx, t, u, &same, &err));
    assert_false(same);
    st_free(v);
    st_tensor *all[] = {t, u, one, sum};
    for (int i = 0; i < 4; i++) st_tensor_unref(all[i]);
}

static void test_failures(void **state)
{
    (void)state;
    mem_source *a = mem_source_new(bytes, N), *b = mem_source_new(bytes, N);
    st_tensor *x = range(a, ST_U8), *y = range(b, ST_U8);
    bool same;
    b->broken = true;
    assert_int_not_equal(st_tensor_identical(ctx, x, y, &same, &err), ST_OK);
    b->broken = false;
    st_ctx_cancel(ctx);
    assert_int_equal(st_tensor_identical(ctx, x, y, &same, &err), ST_CANCELLED);
    st_ctx_resume(ctx);
#ifdef ST_FAULTS
    for (unsigned threads = 1; threads < 3; threads++) {
        st_ctx_set_threads(ctx, threads);
        st_status s = ST_NOMEM;
        for (uint64_t n = 1; n < 50 && s != ST_OK; n++) {
            uint64_t used = st_memory_used();
            st_mem_fail_at(n, false);
            s = st_tensor_identical(ctx, x, y, &same, &err);
            st_mem_fail_at(0, false);
            if (s != ST_OK) assert_int_equal(s, ST_NOMEM);
            if (threads == 1) assert_int_equal(st_memory_used(), used);
        }
        assert_ok(s);
        assert_true(same);
    }
#endif
    st_tensor_unref(x);
    st_tensor_unref(y);
    st_source_unref(&a->base);
    st_source_unref(&b->base);
}

/* A range whose layout says that it is quantised is plain numbers as codes, in any dtype as wide. */
static void test_codes(void **state)
{
    (void)state;
    mem_source *src = mem_source_new(bytes, N);
    int64_t shape[] = {100, 10};
    st_tensor *t = NULL, *u = NULL, *v = NULL, *one = NULL, *sum = NULL;
    unsigned char got[1000];
    assert_ok(st_tensor_range(&src->base, 7, ST_F8_E8M0, 2, shape, "w", 1, "a layout", &t, &err));
    assert_ok(st_tensor_codes(t, ST_U8, &u, &err));
    assert_int_equal(st_tensor_dtype(u), ST_U8);
    assert_null(st_tensor_quant(u));
    assert_ok(st_export(ctx, u, 0, 1000, ST_U8, got, &err));
    assert_memory_equal(got, bytes + 7, 1000);
    assert_int_equal(st_tensor_codes(t, ST_F16, &v, &err), ST_DTYPE);
    assert_null(v);
    assert_ok(st_integer(1, &one, &err));
    assert_ok(st_apply(ST_OP_ADD, (st_tensor *[]){u, one}, &sum, &err));
    assert_int_equal(st_tensor_codes(sum, ST_U8, &v, &err), ST_ARG);
    st_tensor_unref(u);
    assert_ok(st_tensor_new(ST_U8, 2, shape, bytes, 1000, &u, &err));
    assert_ok(st_tensor_codes(u, ST_F8_E4M3, &v, &err));
    assert_ok(st_export(ctx, v, 0, 1000, ST_F8_E4M3, got, &err));
    assert_memory_equal(got, bytes, 1000);
    st_tensor *all[] = {t, u, v, one, sum};
    for (int i = 0; i < 5; i++) st_tensor_unref(all[i]);
    st_source_unref(&src->base);
}

/* Blocks of a worker's size: taken again they are whole, counted by what was asked for, and no two users have one. */
static void test_blocks_again(void **state)
{
    (void)state;
    enum { COUNT = 40 };
    uint64_t before = st_memory_used();
    unsigned char *p[COUNT];
    rng r = {1};
    for (int round = 0; round < 20; round++) {
        size_t sizes[COUNT];
        for (int i = 0; i < COUNT; i++) {
            sizes[i] = 1 + rng_below(&r, 3 << 20);
            p[i] = st_malloc(sizes[i]);
            assert_non_null(p[i]);
            assert_int_equal((uintptr_t)p[i] % 64, 0);
            p[i][0] = (unsigned char)i;
            p[i][sizes[i] - 1] = (unsigned char)i;
        }
        for (int i = 0; i < COUNT; i++) {
            assert_int_equal(p[i][sizes[i] - 1], i);
            st_free(p[i]);
        }
        assert_int_equal(st_memory_used(), before);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_differences), cmocka_unit_test(test_computed),
                                       cmocka_unit_test(test_failures), cmocka_unit_test(test_codes),
                                       cmocka_unit_test(test_blocks_again)};
    return cmocka_run_group_tests_name("identical", tests, setup, teardown);
}
