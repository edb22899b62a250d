/* test_assign.c - st_assign and st_clone: what is written where, when a copy is made, and what a failure leaves. */
#include "support.h"

#include "mem.h"
#include "tensor.h"

#include <string.h>

static st_ctx *ctx;

static st_tensor *counting(int ndim, const int64_t *shape)
{
    float values[256];
    st_tensor *t = NULL;
    st_err err;
    int64_t n = 1;
    for (int d = 0; d < ndim; d++) n *= shape[d];
    for (int i = 0; i < n; i++) values[i] = (float)i;
    assert_ok(st_tensor_new(ST_F32, ndim, shape, values, (uint64_t)n * 4, &t, &err));
    return t;
}

static void check(st_tensor *t, const float *want)
{
    float got[256];
    st_err err;
    assert_ok(st_export(ctx, t, 0, t->numel, ST_F32, got, &err));
    assert_memory_equal(got, want, t->numel * 4);
}

/* Moves a place at random; `index` follows: which element of the tensor lies where. */
static void random_place(rng *r, st_place *p)
{
    st_err err;
    for (int steps = (int)rng_below(r, 4); steps > 0; steps--) {
        if (rng_below(r, 2)) {
            int order[3] = {1, 2, 0};
            assert_ok(st_place_permute(p, order, &err));
            continue;
        }
        int dim = (int)rng_below(r, 3);
        int64_t size = p->shape[dim];
        if (size == 0) continue;
        int64_t start = (int64_t)rng_below(r, (uint64_t)size), step = rng_below(r, 2) ? 1 : -1;
        int64_t most = step > 0 ? size - start : start + 1;
        assert_ok(st_place_narrow(p, dim, start, (int64_t)rng_below(r, (uint64_t)most + 1), step, &err));
    }
}

/* Assigns a counting value to random places and does the same by hand. */
static void test_places(void **state)
{
    (void)state;
    rng r = {5};
    st_err err;
    const int64_t shape[3] = {3, 4, 5};
    for (int round = 0; round < 2000; round++) {
        float want[60];
        st_place p;
        st_tensor *t = counting(3, shape), *keeps = NULL;
        for (int i = 0; i < 60; i++) want[i] = (float)i;
        st_place_of(t, &p);
        random_place(&r, &p);
        st_tensor *value = counting(3, p.shape);
        if (round % 2) keeps = st_tensor_ref(t);
        const st_tensor *before = t;
        assert_ok(st_assign(ctx, &t, &p, value, &err));
        float next = 0;
        for (int64_t a = 0; a < p.shape[0]; a++)
            for (int64_t b = 0; b < p.shape[1]; b++)
                for (int64_t c = 0; c < p.shape[2]; c++)
                    want[p.start + a * p.strides[0] + b * p.strides[1] + c * p.strides[2]] = next++;
        check(t, want);
        if (keeps && value->numel) { /* somebody looks: the old values stay */
            assert_ptr_not_equal(t, before);
            for (int i = 0; i < 60; i++) want[i] = (float)i;
            check(keeps, want);
        } else if (value->numel && value->numel < 60) {
            assert_ptr_equal(t, before);
        }
        st_tensor_unref(keeps);
        st_tensor_unref(value);
        st_tensor_unref(t);
    }
}

static void test_numbers_and_expressions(void **state)
{
    (void)state;
    st_err err;
    st_place p;
    const int64_t shape[2] = {2, 3};
    st_tensor *t = counting(2, shape), *half = NULL, *sum = NULL;
    assert_ok(st_number(0.5, &half, &err));
    st_place_of(t, &p);
    assert_ok(st_place_narrow(&p, 1, 0, 2, 1, &err));
    assert_ok(st_assign(ctx, &t, &p, half, &err));
    check(t, (const float[]){0.5f, 0.5f, 2, 0.5f, 0.5f, 5});
    st_place_of(t, &p);
    assert_ok(st_apply(ST_OP_ADD, (st_tensor *[]){t, half}, &sum, &err));
    assert_ok(st_assign(ctx, &t, &p, sum, &err)); /* of its own old values */
    check(t, (const float[]){1, 1, 2.5f, 1, 1, 5.5f});
    st_place_of(sum, &p); /* an expression becomes values; who uses it does not see them */
    assert_ok(st_place_narrow(&p, 0, 1, 1, 1, &err));
    assert_ok(st_assign(ctx, &sum, &p, half, &err));
    check(sum, (const float[]){1, 1, 2.5f, 0.5f, 0.5f, 0.5f});
    st_tensor_unref(t);
    st_tensor_unref(half);
    st_tensor_unref(sum);
}

static void test_refused(void **state)
{
    (void)state;
    st_err err;
    st_place p;
    float v[4] = {1, 2, 3, 4};
    const int64_t shape[2] = {2, 2}, wide[2] = {3, 2}, two = 2;
    mem_source *m = mem_source_new(v, sizeof v);
    m->base.label = "x.safetensors";
    st_tensor *file = NULL, *row = NULL, *turned = NULL, *copy = NULL, *t = counting(1, &two);
    assert_ok(st_tensor_range(&m->base, 0, ST_F32, 2, shape, "w", 1, NULL, &file, &err));
    st_place_of(file, &p);
    assert_int_equal(st_assign(ctx, &file, &p, t, &err), ST_ARG);
    assert_non_null(strstr(err.message, "read-only"));
    assert_ok(st_permute(file, (int[]){1, 0}, &turned, &err));
    st_place_of(turned, &p);
    assert_int_equal(st_assign(ctx, &turned, &p, t, &err), ST_ARG);
    assert_ok(st_clone(ctx, turned, &copy, &err));
    st_place_of(copy, &p);
    assert_ok(st_assign(ctx, &copy, &p, t, &err));
    check(copy, (const float[]){0, 1, 0, 1});

    row = counting(1, &two);
    st_place_of(row, &p);
    assert_ok(st_place_expand(&p, 2, wide, &err));
    assert_int_equal(st_assign(ctx, &row, &p, t, &err), ST_ARG); /* three elements in one place */
    st_place_of(copy, &p);
    st_tensor *three = counting(1, (int64_t[]){3});
    assert_int_equal(st_assign(ctx, &copy, &p, three, &err), ST_SHAPE);
    st_ctx_set_memory(ctx, 8);
    assert_int_equal(st_assign(ctx, &copy, &p, t, &err), ST_LIMIT);
    st_tensor *none = NULL;
    assert_int_equal(st_clone(ctx, copy, &none, &err), ST_LIMIT);
    assert_null(none);
    st_ctx_set_memory(ctx, 1 << 30);
    check(copy, (const float[]){0, 1, 0, 1});
    st_tensor *all[] = {file, row, turned, copy, t, three};
    for (int i = 0; i < 6; i++) st_tensor_unref(all[i]);
    st_source_unref(&m->base);
}

#ifdef ST_FAULTS
/* The n-th allocation fails: the tensor is as it was, or as it should be. */
static void test_without_memory(void **state)
{
    (void)state;
    const int64_t shape[2] = {2, 3};
    const float before[] = {0, 1, 2, 3, 4, 5}, after[] = {0, 1, 2, 0, 1, 2}, all[] = {0, 1, 2, 0, 1, 2};
    for (int whole = 0; whole < 2; whole++)
        for (uint64_t n = 1;; n++) {
            st_err err;
            st_place p;
            uint64_t used = st_memory_used();
            st_tensor *t = counting(2, shape), *held = st_tensor_ref(t), *value = counting(1, shape + 1), *w = NULL;
            assert_ok(st_cast(value, ST_F64, false, &w, &err));
            st_place_of(t, &p);
            if (!whole) assert_ok(st_place_narrow(&p, 0, 1, 1, 1, &err));
            st_mem_fail_at(n, false);
            st_status s = st_assign(ctx, &t, &p, w, &err);
            st_mem_fail_at(0, false);
            check(t, s != ST_OK ? before : whole ? all : after);
            check(held, before);
            st_tensor *list[] = {t, held, value, w};
            for (int i = 0; i < 4; i++) st_tensor_unref(list[i]);
            assert_int_equal(st_memory_used(), used);
            if (s == ST_OK) break;
            assert_int_equal(s, ST_NOMEM);
        }
}
#endif

static int setup(void **state)
{
    (void)state;
    return st_ctx_new(&ctx, NULL) != ST_OK;
}

static int teardown(void **state)
{
    (void)state;
    st_ctx_free(ctx);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_places),
        cmocka_unit_test(test_numbers_and_expressions),
        cmocka_unit_test(test_refused),
#ifdef ST_FAULTS
        cmocka_unit_test(test_without_memory),
#endif
    };
    return cmocka_run_group_tests_name("assign", tests, setup, teardown);
}
