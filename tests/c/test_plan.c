/* test_plan.c - models and saving: what is written is what the expressions say, in canonical bytes; several targets in
 * one pass; failures of memory, inputs and cancel leave nothing behind. */
#include "support.h"

#include "file.h"
#include "mem.h"
#include "tensor.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static st_ctx *ctx;
static st_err err;
static char *dir;

static int setup(void **state)
{
    (void)state;
    dir = scratch_new();
    return st_ctx_new(&ctx, NULL) != ST_OK;
}

static int teardown(void **state)
{
    (void)state;
    st_mem_fail_at(0, false);
    st_ctx_free(ctx);
    scratch_free(dir);
    return 0;
}

static st_tensor *f32(int64_t n, float first, float step)
{
    float *v = malloc((size_t)n * 4);
    st_tensor *t = NULL;
    for (int64_t i = 0; i < n; i++) v[i] = first + step * (float)i;
    assert_ok(st_tensor_new(ST_F32, 1, &n, v, (uint64_t)n * 4, &t, &err));
    free(v);
    return t;
}

static void add(st_model *m, const char *name, st_tensor *t)
{
    assert_ok(st_model_add(m, name, strlen(name), t, &err));
    st_tensor_unref(t);
}

/* A model of `n` F32 tensors t000, t001 ... of growing sizes, and one I64. */
static st_model *sample(int n, float first)
{
    st_model *m;
    char name[16];
    int64_t ids[3] = {1, 2, 3}, three = 3;
    st_tensor *t = NULL;
    assert_ok(st_model_new(&m, &err));
    for (int i = 0; i < n; i++) {
        snprintf(name, sizeof name, "t%03d", i);
        add(m, name, f32(10 + 37 * i, first + (float)i, 0.25f));
    }
    assert_ok(st_tensor_new(ST_I64, 1, &three, ids, sizeof ids, &t, &err));
    add(m, "ids", t);
    assert_ok(st_model_set_meta(m, "format", 6, "pt", 2, &err));
    return m;
}

static st_status save(st_model *m, const char *path, const st_save_opts *o)
{
    st_plan *p;
    st_status s = st_plan_new(ctx, &p, &err);
    if (s != ST_OK) return s;
    s = st_plan_add(p, m, path, o, &err);
    if (s == ST_OK) s = st_plan_run(p, &err);
    st_plan_free(p);
    return s;
}

static st_tensor *get(st_model *m, const char *name)
{
    st_tensor *t = NULL;
    int64_t i = st_model_find(m, name, strlen(name));
    assert_true(i >= 0);
    assert_ok(st_model_tensor(m, (size_t)i, &t, &err));
    return t;
}

/* (1-w) a + w b for every tensor. */
static st_model *blend(st_model *a, st_model *b, double w)
{
    st_model *m;
    st_tensor *wa = NULL, *wb = NULL;
    assert_ok(st_model_new(&m, &err));
    assert_ok(st_number(1 - w, &wa, &err));
    assert_ok(st_number(w, &wb, &err));
    for (size_t i = 0; i < st_model_count(a); i++) {
        st_info in = st_model_info(a, i);
        st_tensor *x = get(a, in.name), *y = get(b, in.name), *p = NULL, *q = NULL, *sum = NULL;
        if (in.dtype == ST_I64) {
            add(m, in.name, st_tensor_ref(x));
        } else {
            assert_ok(st_apply(ST_OP_MUL, (st_tensor *[]){x, wa}, &p, &err));
            assert_ok(st_apply(ST_OP_MUL, (st_tensor *[]){y, wb}, &q, &err));
            assert_ok(st_apply(ST_OP_ADD, (st_tensor *[]){p, q}, &sum, &err));
            add(m, in.name, sum);
        }
        st_tensor *all[] = {x, y, p, q};
        for (int j = 0; j < 4; j++) st_tensor_unref(all[j]);
    }
    st_tensor_unref(wa);
    st_tensor_unref(wb);
    return m;
}

static void check_equal_files(const char *a, const char *b)
{
    size_t na, nb;
    unsigned char *x = slurp(a, &na), *y = slurp(b, &nb);
    assert_int_equal(na, nb);
    assert_memory_equal(x, y, na);
    free(x);
    free(y);
}

static void write_sample(const char *name, int n, float first)
{
    st_model *m = sample(n, first);
    assert_ok(save(m, in_dir(dir, name), NULL));
    st_model_free(m);
}

/* ---------------------------------------------------------------- */

static void test_round_trip_is_a_fixed_point(void **state)
{
    (void)state;
    st_model *m;
    write_sample("a", 9, 1);
    assert_ok(st_model_open_file(in_dir(dir, "a"), &m, &err));
    assert_int_equal(st_model_count(m), 10);
    assert_int_equal(st_model_meta_count(m), 1);
    assert_ok(save(m, in_dir(dir, "b"), NULL));
    check_equal_files(in_dir(dir, "a"), in_dir(dir, "b"));
    assert_ok(save(m, in_dir(dir, "a"), NULL)); /* over its own input */
    check_equal_files(in_dir(dir, "a"), in_dir(dir, "b"));
    st_model_free(m);
}

static void test_values(void **state)
{
    (void)state;
    st_model *a, *b, *c, *m;
    write_sample("a", 5, 0);
    write_sample("b", 5, 100);
    assert_ok(st_model_open_file(in_dir(dir, "a"), &a, &err));
    assert_ok(st_model_open_file(in_dir(dir, "b"), &b, &err));
    m = blend(a, b, 0.25);
    assert_ok(save(m, in_dir(dir, "c"), &(st_save_opts){.no_sync = true}));
    assert_ok(st_model_open_file(in_dir(dir, "c"), &c, &err));
    st_tensor *t = get(c, "t004");
    float v[158];
    assert_ok(st_export(ctx, t, 0, 158, ST_F32, v, &err));
    for (int i = 0; i < 158; i++) {
        float x = 4 + 0.25f * (float)i, y = 104 + 0.25f * (float)i;
        assert_true(v[i] == 0.75f * x + 0.25f * y);
    }
    st_tensor_unref(t);
    st_model_free(a);
    st_model_free(b); /* m holds what it needs */
    st_model_free(c);
    st_model_free(m);
}

static void test_sweep_equals_single_saves(void **state)
{
    (void)state;
    st_model *a, *b, *m[3];
    st_plan *p;
    char name[16];
    write_sample("a", 12, 0);
    write_sample("b", 12, 3);
    assert_ok(st_model_open_file(in_dir(dir, "a"), &a, &err));
    assert_ok(st_model_open_file(in_dir(dir, "b"), &b, &err));
    assert_ok(st_plan_new(ctx, &p, &err));
    for (int i = 0; i < 3; i++) {
        m[i] = blend(a, b, 0.2 + 0.3 * i);
        snprintf(name, sizeof name, "s%d", i);
        assert_ok(save(m[i], in_dir(dir, name), NULL));
        snprintf(name, sizeof name, "p%d", i);
        assert_ok(st_plan_add(p, m[i], in_dir(dir, name), NULL, &err));
    }
    assert_int_equal(st_plan_add(p, m[0], in_dir(dir, "p0"), NULL, &err), ST_ARG);
    assert_ok(st_plan_run(p, &err));
    st_plan_free(p);
    for (int i = 0; i < 3; i++) {
        char s[16], q[16];
        snprintf(s, sizeof s, "s%d", i);
        snprintf(q, sizeof q, "p%d", i);
        check_equal_files(in_dir(dir, s), in_dir(dir, q));
        st_model_free(m[i]);
    }
    st_model_free(a);
    st_model_free(b);
}

static void test_a_sweep_reads_its_inputs_once(void **state)
{
    (void)state;
    float v[100] = {0};
    int64_t n = 100;
    mem_source *src = mem_source_new(v, sizeof v);
    st_tensor *x = NULL, *y[3] = {NULL};
    st_plan *p;
    st_model *m[3];
    assert_ok(st_tensor_range(&src->base, 0, ST_F32, 1, &n, "x", 1, NULL, &x, &err));
    assert_ok(st_plan_new(ctx, &p, &err));
    for (int i = 0; i < 3; i++) {
        st_tensor *k = NULL;
        char name[16];
        assert_ok(st_integer(i + 2, &k, &err));
        assert_ok(st_apply(ST_OP_MUL, (st_tensor *[]){x, k}, &y[i], &err));
        st_tensor_unref(k);
        assert_ok(st_model_new(&m[i], &err));
        add(m[i], "x", y[i]);
        snprintf(name, sizeof name, "m%d", i);
        assert_ok(st_plan_add(p, m[i], in_dir(dir, name), NULL, &err));
    }
    assert_ok(st_plan_run(p, &err));
    assert_int_equal(src->reads, 1);
    src->changed = true; /* noticed before anything is replaced */
    assert_int_equal(st_plan_run(p, &err), ST_CHANGED);
    src->changed = false;
    src->broken = true;
    assert_int_equal(st_plan_run(p, &err), ST_IO);
    st_plan_free(p);
    assert_int_equal(count_entries(dir), 3);
    for (int i = 0; i < 3; i++) st_model_free(m[i]);
    st_tensor_unref(x);
    st_source_unref(&src->base);
}

/* t000 and t001 are neighbours in the input, but not in the output: a computed tensor comes between them (in the second
 * target one that is written with the first). */
static void test_copies_are_joined_only_where_both_sides_run_on(void **state)
{
    (void)state;
    st_model *a, *m, *c;
    bool same;
    write_sample("a", 4, 1);
    assert_ok(st_model_open_file(in_dir(dir, "a"), &a, &err));
    assert_ok(st_model_new(&m, &err));
    for (size_t i = 0; i < st_model_count(a); i++) {
        st_info in = st_model_info(a, i);
        add(m, in.name, get(a, in.name));
    }
    st_tensor *x = get(a, "t002"), *y = NULL;
    assert_ok(st_apply(ST_OP_NEG, (st_tensor *[]){x}, &y, &err));
    add(m, "t000x", y);
    st_plan *plan;
    assert_ok(st_plan_new(ctx, &plan, &err));
    assert_ok(st_plan_add(plan, m, in_dir(dir, "b"), NULL, &err));
    assert_ok(st_plan_add(plan, m, in_dir(dir, "c"), NULL, &err));
    assert_ok(st_plan_run(plan, &err));
    st_plan_free(plan);
    check_equal_files(in_dir(dir, "b"), in_dir(dir, "c"));
    assert_ok(st_model_open_file(in_dir(dir, "c"), &c, &err));
    for (size_t i = 0; i < st_model_count(m); i++) {
        st_info in = st_model_info(m, i);
        st_tensor *p = get(m, in.name), *q = get(c, in.name);
        assert_ok(st_tensor_identical(ctx, p, q, &same, &err));
        assert_true(same);
        st_tensor_unref(p);
        st_tensor_unref(q);
    }
    st_tensor_unref(x);
    st_model_free(a);
    st_model_free(m);
    st_model_free(c);
}

static void test_dtype_option(void **state)
{
    (void)state;
    st_model *m = sample(3, 0.1f), *r;
    assert_ok(save(m, in_dir(dir, "h"), &(st_save_opts){.has_dtype = true, .dtype = ST_BF16}));
    assert_ok(st_model_open_file(in_dir(dir, "h"), &r, &err));
    for (size_t i = 0; i < st_model_count(r); i++) {
        st_info in = st_model_info(r, i);
        assert_int_equal(in.dtype, strcmp(in.name, "ids") ? ST_BF16 : ST_I64); /* integers are never touched */
    }
    st_model_free(r);
    st_model_free(m);
}

static void test_shards(void **state)
{
    (void)state;
    st_model *m = sample(20, 0), *r;
    st_save_opts o = {.max_shard = 3000};
    assert_ok(save(m, in_dir(dir, "out"), &o));
    assert_ok(st_model_open_index(in_dir(dir, "out/model.safetensors.index.json"), &r, &err));
    assert_int_equal(st_model_count(r), 21);
    assert_true(st_model_files(r) > 3);
    for (size_t i = 0; i < st_model_count(r); i++) {
        bool same;
        st_info in = st_model_info(r, i);
        st_tensor *x = get(r, in.name), *y = get(m, in.name);
        assert_ok(st_tensor_identical(ctx, x, y, &same, &err));
        assert_true(same);
        st_tensor_unref(x);
        st_tensor_unref(y);
    }
    assert_int_equal(save(m, in_dir(dir, "out"), &o), ST_EXISTS); /* a folder with a model needs force */
    o.force = true;
    o.max_shard = 1 << 20; /* one shard: no index */
    assert_ok(save(m, in_dir(dir, "out"), &o));
    assert_int_equal(count_entries(in_dir(dir, "out")), 1);
    st_model_free(r);
    st_model_free(m);
}

static void test_companions(void **state)
{
    (void)state;
    st_model *m = sample(3, 0);
    size_t n;
    st_companion files[] = {{"config.json", "{}", 2}, {"empty", "", 0}};
    st_save_opts o = {.max_shard = 1 << 20, .companions = files, .ncompanions = 2};
    assert_ok(save(m, in_dir(dir, "out"), &o));
    unsigned char *b = slurp(in_dir(dir, "out/config.json"), &n);
    assert_true(b && n == 2 && memcmp(b, "{}", 2) == 0);
    free(b);
    b = slurp(in_dir(dir, "out/empty"), &n);
    assert_true(b && n == 0);
    free(b);
    assert_int_equal(count_entries(in_dir(dir, "out")), 3);
    files[1].name = "config.json"; /* twice: refused, and the folder is as it was */
    o.force = true;
    assert_int_not_equal(save(m, in_dir(dir, "out"), &o), ST_OK);
    files[1].name = "a/b";
    assert_int_equal(save(m, in_dir(dir, "out"), &o), ST_ARG);
    assert_int_equal(count_entries(in_dir(dir, "out")), 3);
    assert_int_equal(count_entries(dir), 1);
    o.max_shard = 0;
    assert_int_equal(save(m, in_dir(dir, "file"), &o), ST_ARG);
    st_model_free(m);
}

static void test_quantised_tensors(void **state)
{
    (void)state;
    st_model *m, *r, *c;
    st_tensor *w, *t = NULL;
    assert_ok(st_model_new(&m, &err));
    add(m, "l.weight", f32(8, 0, 1));
    add(m, "l.weight_scale", f32(1, 0, 1));
    add(m, "plain.weight", f32(8, 0, 1));
    assert_ok(save(m, in_dir(dir, "q"), NULL));
    assert_ok(st_model_open_file(in_dir(dir, "q"), &r, &err));
    w = get(r, "l.weight");
    assert_int_equal(st_apply(ST_OP_NEG, (st_tensor *[]){w}, &t, &err), ST_QUANT);
    assert_non_null(strstr(err.message, "l.weight"));
    assert_non_null(strstr(err.message, "scaled weight"));
    assert_int_equal(st_cast(w, ST_F16, false, &t, &err), ST_QUANT);
    assert_int_equal(save(r, in_dir(dir, "x"), &(st_save_opts){.has_dtype = true, .dtype = ST_F16}), ST_QUANT);
    assert_non_null(strstr(err.message, "l.weight_scale")); /* all of them are named */
    assert_ok(save(r, in_dir(dir, "copy"), NULL));
    check_equal_files(in_dir(dir, "q"), in_dir(dir, "copy"));
    assert_ok(st_model_open_file(in_dir(dir, "copy"), &c, &err));
    st_tensor *p = get(c, "plain.weight");
    assert_null(st_tensor_quant(p));
    st_tensor_unref(p);
    st_tensor_unref(w);
    st_model_free(c);
    st_model_free(r);
    st_model_free(m);
}

static bool cancel_at_once(void *user, const st_progress *p)
{
    (void)user, (void)p;
    return false;
}

static void test_cancel_leaves_nothing(void **state)
{
    (void)state;
    write_sample("a", 3, 0);
    size_t n;
    unsigned char *before = slurp(in_dir(dir, "a"), &n);
    st_model *m = sample(3, 50);
    st_ctx_cancel(ctx);
    assert_int_equal(save(m, in_dir(dir, "a"), NULL), ST_CANCELLED);
    st_ctx_resume(ctx);
    st_ctx_set_progress(ctx, cancel_at_once, NULL);
    assert_int_equal(save(m, in_dir(dir, "a"), NULL), ST_CANCELLED);
    assert_int_equal(count_entries(dir), 1);
    size_t n2;
    unsigned char *after = slurp(in_dir(dir, "a"), &n2);
    assert_int_equal(n, n2);
    assert_memory_equal(before, after, n);
    free(before);
    free(after);
    st_model_free(m);
}

/* ---------------------------------------------------------------- failing allocations */

static st_status open_blend_save(void)
{
    st_model *a = NULL, *m = NULL;
    st_tensor *x = NULL, *k = NULL, *y = NULL;
    st_status s = st_model_open_file(in_dir(dir, "a"), &a, &err);
    if (s == ST_OK) s = st_model_new(&m, &err);
    if (s == ST_OK) s = st_number(0.5, &k, &err);
    for (size_t i = 0; s == ST_OK && i < st_model_count(a); i++) {
        st_info in = st_model_info(a, i);
        s = st_model_tensor(a, i, &x, &err);
        if (s == ST_OK && i % 2)
            s = st_apply(ST_OP_MUL, (st_tensor *[]){x, k}, &y, &err);
        else if (s == ST_OK)
            y = st_tensor_ref(x);
        if (s == ST_OK) s = st_model_add(m, in.name, in.name_len, y, &err);
        st_tensor_unref(x);
        st_tensor_unref(y);
        x = y = NULL;
    }
    if (s == ST_OK) s = save(m, in_dir(dir, "a"), &(st_save_opts){.no_sync = true});
    st_tensor_unref(k);
    st_model_free(m);
    st_model_free(a);
    return s;
}

static void test_every_allocation_may_fail(void **state)
{
    (void)state;
    write_sample("a", 6, 1);
    size_t n, n2;
    unsigned char *before = slurp(in_dir(dir, "a"), &n);
    st_ctx_set_threads(ctx, 1);
    uint64_t used = st_memory_used();
    int failures = 0;
    for (uint64_t k = 1;; k++)
        for (int onwards = 0; onwards < 2; onwards++) {
            st_mem_fail_at(k, onwards);
            st_status s = open_blend_save();
            uint64_t asked = st_mem_calls();
            st_mem_fail_at(0, false);
            assert_int_equal(st_memory_used(), used);
            assert_int_equal(count_entries(dir), 1);
            if (s == ST_OK && asked < k) {
                assert_true(failures > 100);
                free(before);
                return;
            }
            assert_int_equal(s, ST_NOMEM);
            failures++;
            unsigned char *after = slurp(in_dir(dir, "a"), &n2);
            assert_int_equal(n, n2);
            assert_memory_equal(before, after, n);
            free(after);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
        T(test_round_trip_is_a_fixed_point),
        T(test_values),
        T(test_sweep_equals_single_saves),
        T(test_a_sweep_reads_its_inputs_once),
        T(test_copies_are_joined_only_where_both_sides_run_on),
        T(test_dtype_option),
        T(test_shards),
        T(test_companions),
        T(test_quantised_tensors),
        T(test_cancel_leaves_nothing),
        T(test_every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
