/* test_npz.c - writing .npy and .npz: what is read back, more entries than old archives can count, targets that stay
 * whole when memory or the disk fails. */
#include "fixture.h"

#include "file.h"
#include "mem.h"
#include "sys.h"

#include <stdio.h>
#include <string.h>

static char *dir;

static int setup_dir(void **state)
{
    dir = scratch_new();
    return setup(state);
}

static int teardown_dir(void **state)
{
    st_mem_fail_at(0, false);
    sys_fault(SYS_CALL_COUNT, 0, 0);
    scratch_free(dir);
    teardown(state);
    return st_memory_used() != 0;
}

static st_tensor *ramp(int ndim, const int64_t *shape, size_t n)
{
    st_tensor *t;
    float *v = malloc((n + 1) * sizeof *v);
    for (size_t i = 0; i < n; i++) v[i] = (float)i;
    assert_ok(st_tensor_new(ST_F32, ndim, shape, v, n * sizeof *v, &t, &err));
    free(v);
    return t;
}

static st_npy_item item(const char *name, st_tensor *t)
{
    return (st_npy_item){name, strlen(name), t, st_tensor_dtype(t), st_tensor_dtype(t)};
}

static void test_round_trip(void **state)
{
    (void)state;
    static const int order[] = {1, 0};
    st_tensor *a = ramp(2, (int64_t[]){300, 5000}, 1500000), *b = ramp(0, NULL, 1), *c = ramp(1, (int64_t[]){0}, 0), *d,
              *e;
    assert_ok(st_permute(a, order, &d, &err)); /* needs to be gathered */
    assert_ok(st_cast(a, ST_BF16, false, &e, &err));
    st_npy_item items[] = {item("a", a), item("b/\xc3\xa9", b), item("c", c), item("d", d), item("e", e), item("f", e)};
    items[4].as = items[4].named = ST_F32;
    items[5].named = ST_U16; /* its bits */
    const char *path = in_dir(dir, "x.npz");
    assert_ok(st_npy_save(ctx, path, items, 6, true, NULL, &err));
    st_file *f;
    assert_ok(st_file_open(path, &f, &err));
    assert_string_equal(st_file_format(f), "NumPy archive");
    bool all;
    assert_ok(st_file_check(f, &all, &err));
    assert_true(all);
    assert_int_equal(st_file_count(f), 6);
    st_info in = st_file_info(f, 3);
    assert_string_equal(in.name, "d");
    assert_int_equal(in.shape[0], 5000);
    st_source *s = st_file_source(f);
    float got[3];
    assert_ok(s->ops->read(s, got, st_file_listed(f, 3)->offset + 4 * 299, 12, &err));
    assert_true(got[0] == 299 * 5000 && got[1] == 1 && got[2] == 5001);
    assert_ok(s->ops->read(s, got, st_file_listed(f, 4)->offset + 4, 4, &err));
    assert_true(got[0] == 1);
    assert_int_equal(st_file_info(f, 5).dtype, ST_U16);
    st_file_close(f);

    assert_ok(st_npy_save(ctx, in_dir(dir, "x.npy"), &items[3], 1, false, NULL, &err));
    assert_ok(st_file_open(in_dir(dir, "x.npy"), &f, &err));
    assert_string_equal(st_file_format(f), "NumPy array");
    assert_int_equal(st_file_info(f, 0).shape[1], 300);
    st_file_close(f);
    assert_int_equal(st_npy_save(ctx, in_dir(dir, "x.npy"), items, 2, false, NULL, &err), ST_ARG);
    assert_int_equal(st_npy_save(ctx, path, items, 1, true, &(st_save_opts){.no_replace = true}, &err), ST_EXISTS);
    items[0].as = ST_F16; /* no bits of the other */
    assert_int_equal(st_npy_save(ctx, path, items, 1, true, NULL, &err), ST_ARG);
    items[0].as = items[0].named = ST_BF16;
    assert_int_equal(st_npy_save(ctx, path, items, 1, true, NULL, &err), ST_DTYPE);
    st_tensor_unref(a);
    st_tensor_unref(b);
    st_tensor_unref(c);
    st_tensor_unref(d);
    st_tensor_unref(e);
}

static void test_many_entries(void **state)
{
    (void)state;
    enum { N = 66000 };
    st_tensor *t = ramp(1, (int64_t[]){1}, 1);
    st_npy_item *items = calloc(N, sizeof *items);
    char(*names)[16] = calloc(N, sizeof *names);
    for (int i = 0; i < N; i++) {
        snprintf(names[i], sizeof names[i], "%d", i);
        items[i] = item(names[i], t);
    }
    st_save_opts opts = {.no_sync = true};
    assert_ok(st_npy_save(ctx, in_dir(dir, "many.npz"), items, N, true, &opts, &err));
    st_file *f;
    assert_ok(st_file_open(in_dir(dir, "many.npz"), &f, &err));
    assert_int_equal(st_file_count(f), N);
    assert_int_equal(st_file_find(f, "65999", 5), 65999);
    st_file_close(f);
    free(names);
    free(items);
    st_tensor_unref(t);
}

static st_tensor *small[2];

static st_status save_small(void)
{
    st_npy_item items[] = {item("a", small[0]), item("b", small[1])};
    return st_npy_save(ctx, in_dir(dir, "keep.npz"), items, 2, true, NULL, &err);
}

static void expect_whole(const unsigned char *before, size_t n)
{
    size_t now;
    unsigned char *bytes = slurp(in_dir(dir, "keep.npz"), &now);
    assert_true(bytes && now == n && memcmp(bytes, before, n) == 0);
    free(bytes);
    assert_int_equal(count_entries(dir), 1);
}

static void test_failures(void **state)
{
    (void)state;
    size_t n;
    small[0] = ramp(2, (int64_t[]){3, 4}, 12);
    assert_ok(st_permute(small[0], (int[]){1, 0}, &small[1], &err));
    assert_ok(save_small());
    unsigned char *before = slurp(in_dir(dir, "keep.npz"), &n);
    st_status s = ST_NOMEM;
    for (uint64_t k = 1; s != ST_OK; k++) {
        st_mem_fail_at(k, false);
        s = save_small();
        st_mem_fail_at(0, false);
        assert_true(s == ST_OK || s == ST_NOMEM);
        expect_whole(before, n);
    }
    static const sys_call calls[] = {SYS_open, SYS_pwrite, SYS_fsync, SYS_link, SYS_rename, SYS_fallocate};
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++)
        for (uint64_t k = 1; k < 40; k++) {
            sys_fault(calls[i], k, calls[i] == SYS_fallocate ? 28 : 5); /* ENOSPC, EIO */
            s = save_small();
            bool met = !sys_fault_pending(calls[i]);
            sys_fault(SYS_CALL_COUNT, 0, 0);
            expect_whole(before, n);
            if (!met) break;
        }
    free(before);
    st_tensor_unref(small[0]);
    st_tensor_unref(small[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_round_trip, setup_dir, teardown_dir),
        cmocka_unit_test_setup_teardown(test_many_entries, setup_dir, teardown_dir),
        cmocka_unit_test_setup_teardown(test_failures, setup_dir, teardown_dir),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
