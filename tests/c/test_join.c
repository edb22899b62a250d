/* test_join.c - st_cat against bytes put together by hand, from memory, sources and expressions; st_iota; places. */
#include "support.h"

#include "mem.h"
#include "tensor.h"

#include <string.h>

enum { WIDTH = 4 };

typedef struct part {
    st_tensor *t;
    float values[64];
    int64_t shape[3];
} part;

static st_ctx *ctx;

static st_tensor *leaf(const float *values, int ndim, const int64_t *shape, bool in_source)
{
    st_tensor *t = NULL;
    st_err err;
    uint64_t n = 1;
    for (int d = 0; d < ndim; d++) n *= (uint64_t)shape[d];
    if (!in_source) {
        assert_ok(st_tensor_new(ST_F32, ndim, shape, values, n * WIDTH, &t, &err));
        return t;
    }
    mem_source *m = mem_source_new(values, n * WIDTH);
    assert_ok(st_tensor_range(&m->base, 0, ST_F32, ndim, shape, "part", 4, NULL, &t, &err));
    st_source_unref(&m->base);
    return t;
}

/* Parts of a random 3-d join along `dim`: kind 0 in memory, 1 of a source, 2 computed, 3 all of these. */
static int random_parts(rng *r, part *parts, int dim, int kind)
{
    st_err err;
    int n = 1 + (int)rng_below(r, 4);
    int64_t shape[3] = {1 + (int64_t)rng_below(r, 3), 1 + (int64_t)rng_below(r, 3), 1 + (int64_t)rng_below(r, 3)};
    for (int i = 0; i < n; i++) {
        part *p = &parts[i];
        memcpy(p->shape, shape, sizeof shape);
        p->shape[dim] = (int64_t)rng_below(r, 4);
        for (int j = 0; j < 64; j++) p->values[j] = (float)rng_below(r, 1000);
        int k = kind == 3 ? (int)rng_below(r, 3) : kind;
        p->t = leaf(p->values, 3, p->shape, k == 1);
        if (k != 2) continue;
        st_tensor *one = NULL, *sum = NULL;
        assert_ok(st_integer(1, &one, &err));
        assert_ok(st_apply(ST_OP_ADD, (st_tensor *[]){p->t, one}, &sum, &err));
        st_tensor_unref(p->t);
        st_tensor_unref(one);
        p->t = sum;
        for (int j = 0; j < 64; j++) p->values[j] += 1;
    }
    return n;
}

/* Element [a][b][c] of the join. */
static float expected(const part *parts, int dim, const int64_t at[3])
{
    int64_t in[3] = {at[0], at[1], at[2]};
    const part *p = parts;
    for (; in[dim] >= p->shape[dim]; p++) in[dim] -= p->shape[dim];
    return p->values[(in[0] * p->shape[1] + in[1]) * p->shape[2] + in[2]];
}

static void check_join(st_tensor *t, const part *parts, int dim)
{
    st_err err;
    float got[1024], plain[1024];
    assert_true(t->numel <= 1024);
    assert_ok(st_export(ctx, t, 0, t->numel, ST_F32, got, &err));
    assert_ok(st_export_plain(ctx, t, plain, &err));
    assert_memory_equal(got, plain, t->numel * WIDTH);
    int64_t i = 0, at[3];
    for (at[0] = 0; at[0] < t->shape[0]; at[0]++)
        for (at[1] = 0; at[1] < t->shape[1]; at[1]++)
            for (at[2] = 0; at[2] < t->shape[2]; at[2]++, i++) assert_true(got[i] == expected(parts, dim, at));
    for (uint64_t k = 0; k + 2 < t->numel; k += 3) { /* ranges that begin anywhere */
        assert_ok(st_export(ctx, t, k, 2, ST_F32, plain, &err));
        assert_memory_equal(plain, got + k, 2 * WIDTH);
    }
}

static void test_joins(void **state)
{
    (void)state;
    rng r = {3};
    st_err err;
    for (int round = 0; round < 600; round++) {
        part parts[4];
        st_tensor *list[4], *t = NULL;
        int dim = round % 3, n = random_parts(&r, parts, dim, round % 4);
        for (int i = 0; i < n; i++) list[i] = parts[i].t;
        assert_ok(st_cat(list, n, dim, &t, &err));
        for (int i = 0; i < n; i++) st_tensor_unref(parts[i].t); /* the join holds them */
        check_join(t, parts, dim);
        st_tensor_unref(t);
    }
}

/* Long rows are joined in a source, whatever the dimension: nothing is held. */
static void test_rows_stream(void **state)
{
    enum { COLUMNS = 3000 };
    (void)state;
    st_err err;
    static float a[2 * COLUMNS], b[2 * COLUMNS], got[4 * COLUMNS];
    const int64_t shape[2] = {2, COLUMNS};
    for (int i = 0; i < 2 * COLUMNS; i++) a[i] = (float)i, b[i] = (float)-i;
    st_tensor *parts[2] = {leaf(a, 2, shape, true), leaf(b, 2, shape, false)}, *t = NULL;
    assert_ok(st_cat(parts, 2, 1, &t, &err));
    assert_true(st_tensor_is_leaf(t));
    assert_null(st_tensor_file(t));
    assert_ok(st_export(ctx, t, 0, t->numel, ST_F32, got, &err));
    for (int i = 0; i < COLUMNS; i++) {
        assert_true(got[i] == a[i] && got[COLUMNS + i] == b[i]);
        assert_true(got[3 * COLUMNS + i] == b[COLUMNS + i]);
    }
    mem_source *m = (mem_source *)(void *)parts[0]->source;
    m->broken = true;
    assert_int_not_equal(st_export(ctx, t, 0, t->numel, ST_F32, got, &err), ST_OK);
    m->broken = false;
    m->changed = true;
    assert_int_equal(t->source->ops->check(t->source, &err), ST_CHANGED);
    for (int i = 0; i < 2; i++) st_tensor_unref(parts[i]);
    st_tensor_unref(t);
}

static void test_refused(void **state)
{
    (void)state;
    st_err err;
    float v[8] = {0};
    const int64_t a[2] = {2, 2}, b[2] = {2, 3}, c[1] = {2};
    st_tensor *x = leaf(v, 2, a, false), *y = leaf(v, 2, b, false), *z = leaf(v, 1, c, false), *t = NULL;
    assert_int_equal(st_cat(NULL, 0, 0, &t, &err), ST_ARG);
    assert_int_equal(st_cat((st_tensor *[]){x}, 1, 2, &t, &err), ST_ARG);
    assert_int_equal(st_cat((st_tensor *[]){x, y}, 2, 0, &t, &err), ST_SHAPE);
    assert_int_equal(st_cat((st_tensor *[]){x, z}, 2, 0, &t, &err), ST_SHAPE);
    assert_null(t);
    st_place p; /* one that leaves its tensor is refused, too */
    st_place_of(x, &p);
    p.start = 1;
    assert_int_equal(st_view(x, &p, &t, &err), ST_INTERNAL);
    p.start = 0;
    p.strides[0] = INT64_MAX;
    assert_int_equal(st_view(x, &p, &t, &err), ST_INTERNAL);
    st_tensor_unref(x);
    st_tensor_unref(y);
    st_tensor_unref(z);
}

static void test_iota(void **state)
{
    (void)state;
    st_err err;
    st_tensor *t = NULL;
    int64_t got[5];
    assert_ok(st_iota(5, &t, &err));
    assert_ok(st_export(ctx, t, 0, 5, ST_I64, got, &err));
    for (int i = 0; i < 5; i++) assert_int_equal(got[i], i);
    st_tensor_unref(t);
    assert_int_equal(st_iota(-1, &t, &err), ST_SHAPE);
}

#ifdef ST_FAULTS
/* The n-th allocation fails: an error, nothing lost. */
static void test_without_memory(void **state)
{
    (void)state;
    for (int kind = 0; kind < 4; kind++)
        for (uint64_t n = 1;; n++) {
            rng r = {(uint64_t)kind};
            st_err err;
            part parts[4];
            st_tensor *list[4], *t = NULL;
            float got[1024];
            int count = random_parts(&r, parts, kind % 3, kind);
            for (int i = 0; i < count; i++) list[i] = parts[i].t;
            uint64_t used = st_memory_used();
            st_mem_fail_at(n, false);
            st_status s = st_cat(list, count, kind % 3, &t, &err);
            if (s == ST_OK) s = st_export(ctx, t, 0, t->numel, ST_F32, got, &err);
            st_mem_fail_at(0, false);
            st_tensor_unref(t);
            assert_int_equal(st_memory_used(), used);
            for (int i = 0; i < count; i++) st_tensor_unref(parts[i].t);
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
        cmocka_unit_test(test_joins),          cmocka_unit_test(test_rows_stream),
        cmocka_unit_test(test_refused),        cmocka_unit_test(test_iota),
#ifdef ST_FAULTS
        cmocka_unit_test(test_without_memory),
#endif
    };
    return cmocka_run_group_tests_name("join", tests, setup, teardown);
}
