/* test_zplan.c - saving compressed: the content is that of a plain save, on any number of threads, in one file, in
 * shards, in a sweep; from compressed inputs; and whatever fails leaves nothing. */
#include "fixture.h"
#include "crash.h"
#include "zmodel.h"

#include "file.h"
#include "mem.h"
#include "tensor.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static char *dir;

static int setup_dir(void **state)
{
    dir = scratch_new();
    return setup(state);
}
static int teardown_dir(void **state)
{
    scratch_free(dir);
    sys_fault(SYS_CALL_COUNT, 0, 0);
    st_mem_fail_at(0, false);
    return teardown(state);
}

static st_tensor *randn(int64_t n, uint64_t seed)
{
    st_tensor *t;
    st_seed s = {.seed = seed};
    assert_ok(st_randn(ST_BF16, 1, &n, &s, &t, &err));
    return t;
}

static void add(st_model *m, const char *name, st_tensor *t)
{
    assert_ok(st_model_add(m, name, strlen(name), t, &err));
    st_tensor_unref(t);
}

/* A large tensor, many small ones, an empty one. */
static void write_input(const char *name, uint64_t seed)
{
    st_model *m;
    st_plan *p;
    char tensor[24];
    assert_ok(st_model_new(&m, &err));
    add(m, "large", randn(700000, seed));
    for (int i = 0; i < 40; i++) {
        snprintf(tensor, sizeof tensor, "small.%d", i);
        add(m, tensor, randn(i * 50, seed + (uint64_t)i + 1));
    }
    add(m, "second", randn(300001, seed + 99));
    assert_ok(st_plan_new(ctx, &p, &err));
    assert_ok(st_plan_add(p, m, in_dir(dir, name), NULL, &err));
    assert_ok(st_plan_run(p, &err));
    st_plan_free(p);
    st_model_free(m);
}

static st_tensor *get(st_model *m, size_t i)
{
    st_tensor *t = NULL;
    assert_ok(st_model_tensor(m, i, &t, &err));
    return t;
}

/* Every second tensor is a + w b, the others are copied. */
static st_model *blend(st_model *a, st_model *b, double w)
{
    st_model *m;
    st_tensor *wb = NULL;
    assert_ok(st_model_new(&m, &err));
    assert_ok(st_number(w, &wb, &err));
    for (size_t i = 0; i < st_model_count(a); i++) {
        st_tensor *x = get(a, i), *y = get(b, i), *q = NULL, *sum = NULL;
        if (i % 2) {
            add(m, st_model_info(a, i).name, st_tensor_ref(x));
        } else {
            assert_ok(st_apply(ST_OP_MUL, (st_tensor *[]){y, wb}, &q, &err));
            assert_ok(st_apply(ST_OP_ADD, (st_tensor *[]){x, q}, &sum, &err));
            add(m, st_model_info(a, i).name, sum);
        }
        st_tensor_unref(x);
        st_tensor_unref(y);
        st_tensor_unref(q);
    }
    st_tensor_unref(wb);
    return m;
}

/* Saves a blend of a and b to `path`; with `second` another one to that, in the same pass. */
static st_status save(const char *a, const char *b, const char *path, const char *second, const st_save_opts *o,
                      uint64_t *stored)
{
    st_model *x, *y, *m, *n;
    st_plan *p = NULL;
    ST_TRY(st_model_open_file(in_dir(dir, a), &x, &err));
    st_status s = st_model_open_file(in_dir(dir, b), &y, &err);
    if (s != ST_OK) {
        st_model_free(x);
        return s;
    }
    m = blend(x, y, 0.5);
    n = blend(x, y, 0.25);
    s = st_plan_new(ctx, &p, &err);
    if (s == ST_OK) s = st_plan_add(p, m, in_dir(dir, path), o, &err);
    if (s == ST_OK && second) s = st_plan_add(p, n, in_dir(dir, second), o, &err);
    if (s == ST_OK) s = st_plan_run(p, &err);
    if (s == ST_OK && stored) *stored = st_plan_stored(p);
    st_plan_free(p);
    st_model_free(m);
    st_model_free(n);
    st_model_free(x);
    st_model_free(y);
    return s;
}

static const st_save_opts PACKED = {.compress = ST_COMPRESS_ZSTD};

static void expect_equal(const char *a, const char *b)
{
    size_t n, m;
    unsigned char *x = slurp(in_dir(dir, a), &n), *y = slurp(in_dir(dir, b), &m);
    assert_non_null(x);
    assert_non_null(y);
    assert_int_equal(n, m);
    assert_memory_equal(x, y, n);
    free(x);
    free(y);
}

/* The file `packed`, decompressed, and compressed anew, is what a plain save gives. */
static void expect_content(const char *packed, const char *plain)
{
    uint64_t bytes;
    assert_ok(st_file_decompress(ctx, in_dir(dir, packed), in_dir(dir, "back"), NULL, &bytes, &err));
    expect_equal("back", plain);
    assert_ok(st_file_compress(ctx, in_dir(dir, plain), in_dir(dir, "again"), NULL, &bytes, &err));
    expect_equal("again", packed);
}

static void test_content(void **state)
{
    (void)state;
    uint64_t stored;
    write_input("a", 1);
    write_input("b", 1000);
    for (unsigned threads = 1; threads <= 4; threads++) {
        st_ctx_set_threads(ctx, threads);
        assert_ok(save("a", "b", "plain", "plain2", NULL, &stored));
        assert_ok(save("a", "b", "m.zst", NULL, &PACKED, &stored));
        expect_content("m.zst", "plain");
        size_t n;
        free(slurp(in_dir(dir, "m.zst"), &n));
        assert_int_equal(stored, n);
        assert_ok(save("a", "b", "s1.zst", "s2.zst", &PACKED, NULL));
        expect_equal("s1.zst", "m.zst");
        expect_content("s2.zst", "plain2");
    }
}

/* From compressed inputs, with a table and without. */
static void test_inputs(void **state)
{
    (void)state;
    uint64_t bytes;
    size_t n, m;
    write_input("a", 1);
    write_input("b", 1000);
    assert_ok(st_file_compress(ctx, in_dir(dir, "a"), in_dir(dir, "a.zst"), NULL, &bytes, &err));
    unsigned char *p = slurp(in_dir(dir, "b"), &n), *c = zmodel_frames(p, n, n, true, &m);
    spill(in_dir(dir, "b.zst"), c, m);
    assert_ok(save("a", "b", "plain", NULL, NULL, NULL));
    for (unsigned threads = 1; threads <= 4; threads++) {
        st_ctx_set_threads(ctx, threads);
        assert_ok(save("a.zst", "b.zst", "m.zst", NULL, &PACKED, NULL));
        expect_content("m.zst", "plain");
        assert_ok(save("b.zst", "a.zst", "other", NULL, NULL, NULL));
    }
    /* What is wrong with an input comes to light before anything is replaced. */
    c[m - 3] ^= 1;
    spill(in_dir(dir, "b.zst"), c, m);
    assert_int_equal(save("a.zst", "b.zst", "plain", NULL, NULL, NULL), ST_FORMAT);
    expect_content("m.zst", "plain");
    free(p);
    free(c);
}

static void test_shards(void **state)
{
    (void)state;
    st_model *m, *one;
    st_save_opts o = {.compress = ST_COMPRESS_ZSTD, .max_shard = 800000};
    bool same;
    write_input("a", 1);
    write_input("b", 1000);
    assert_ok(save("a", "b", "plain", NULL, NULL, NULL));
    assert_ok(save("a", "b", "shards", NULL, &o, NULL));
    assert_int_equal(access(in_dir(dir, "shards/model-00001-of-00002.safetensors.zst"), F_OK), 0);
    assert_ok(st_model_open_index(in_dir(dir, "shards/model.safetensors.index.json"), &m, &err));
    assert_ok(st_model_open_file(in_dir(dir, "plain"), &one, &err));
    assert_int_equal(st_model_count(m), st_model_count(one));
    for (size_t i = 0; i < st_model_count(m); i++) {
        st_info in = st_model_info(m, i);
        st_tensor *x = get(m, i), *y = get(one, (size_t)st_model_find(one, in.name, in.name_len));
        assert_ok(st_tensor_identical(ctx, x, y, &same, &err));
        assert_true(same);
        st_tensor_unref(x);
        st_tensor_unref(y);
    }
    st_model_free(m);
    st_model_free(one);
    /* A folder of compressed shards is a model: it is replaced as a whole, and only if that is wanted. */
    assert_int_equal(save("a", "b", "shards", NULL, &o, NULL), ST_EXISTS);
    o = (st_save_opts){.max_shard = 1 << 30, .force = true, .compress = ST_COMPRESS_ZSTD};
    assert_ok(save("a", "b", "shards", NULL, &o, NULL));
    assert_int_equal(count_entries(in_dir(dir, "shards")), 1);
    assert_int_equal(access(in_dir(dir, "shards/model.safetensors.zst"), F_OK), 0);
}

static void test_no_resume(void **state)
{
    (void)state;
    st_save_opts o = {.compress = ST_COMPRESS_ZSTD, .resume = true};
    write_input("a", 1);
    assert_int_equal(save("a", "a", "m.zst", NULL, &o, NULL), ST_ARG);
    assert_non_null(strstr(err.message, "resume"));
    assert_int_equal(count_entries(dir), 1);
}

static void test_faults(void **state)
{
    (void)state;
    st_save_opts o = {.compress = ST_COMPRESS_ZSTD};
    write_input("a", 1);
    write_input("b", 1000);
    spill(in_dir(dir, "m.zst"), "old", 3);
    int fds = open_fds();
    static const sys_call calls[] = {SYS_open, SYS_pread, SYS_pwrite, SYS_truncate, SYS_fsync, SYS_rename, SYS_link};
    for (unsigned threads = 1; threads <= 2; threads++) {
        st_ctx_set_threads(ctx, threads);
        for (size_t c = 0; c < sizeof calls / sizeof *calls; c++)
            for (uint64_t k = 1;; k++) {
                sys_fault(calls[c], k, c == 2 ? ENOSPC : EIO);
                st_status s = save("a", "b", "m.zst", NULL, &o, NULL);
                bool met = !sys_fault_pending(calls[c]);
                sys_fault(SYS_CALL_COUNT, 0, 0);
                size_t n;
                free(slurp(in_dir(dir, "m.zst"), &n));
                assert_int_equal(count_entries(dir), 3);
                assert_int_equal(open_fds(), fds);
                if (s != ST_OK && n != 3) assert_non_null(strstr(err.message, "in place")); /* the folder's sync */
                spill(in_dir(dir, "m.zst"), "old", 3);
                if (!met) break;
            }
    }
}

static void test_memory(void **state)
{
    (void)state;
    write_input("a", 1);
    write_input("b", 1000);
    st_ctx_set_threads(ctx, 2);
    uint64_t before = st_memory_used();
    st_model *x;
    assert_ok(st_model_open_file(in_dir(dir, "a"), &x, &err));
    st_model *m = blend(x, x, 0.5);
    for (uint64_t k = 1;; k += 1 + k / 8) {
        st_plan *p = NULL;
        st_mem_fail_at(k, true);
        st_status s = st_plan_new(ctx, &p, &err);
        if (s == ST_OK) s = st_plan_add(p, m, in_dir(dir, "m.zst"), &PACKED, &err);
        if (s == ST_OK) s = st_plan_run(p, &err);
        bool met = st_mem_calls() >= k;
        st_mem_fail_at(0, false);
        st_plan_free(p);
        assert_true(s == ST_OK || s == ST_NOMEM);
        assert_int_equal(count_entries(dir), 2 + (s == ST_OK));
        if (!met) break;
    }
    st_model_free(m);
    st_model_free(x);
    assert_int_equal(st_memory_used(), before);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup_dir, teardown_dir)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_content),   TEST(test_inputs), TEST(test_shards),
        TEST(test_no_resume), TEST(test_faults), TEST(test_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
