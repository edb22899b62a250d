/* test_strided.c - gathering what lies scattered in a file: random shapes and strides against the obvious loop, large
 * turned matrices, parts of blocks, failing memory and reads. */
#include "support.h"

#include "mem.h"
#include "strided.h"

#include <string.h>

static st_err err;

static int teardown(void **state)
{
    (void)state;
    st_mem_fail_at(0, false);
    return st_memory_used() != 0;
}

enum { MOST = 6 };
typedef struct place {
    st_dtype dtype;
    int ndim;
    int64_t shape[MOST], strides[MOST];
    uint64_t numel, reach; /* elements; from the first to the last */
} place;

static void measure(place *p)
{
    p->numel = 1;
    p->reach = 0;
    for (int d = 0; d < p->ndim; d++) {
        p->numel *= (uint64_t)p->shape[d];
        p->reach += (uint64_t)(p->shape[d] - 1) * (uint64_t)p->strides[d];
    }
}

/* Element by element. */
static void plainly(const place *p, const char *from, char *to)
{
    size_t w = st_dtype_bits(p->dtype) / 8;
    for (uint64_t i = 0; i < p->numel; i++) {
        uint64_t rest = i, at = 0;
        for (int d = p->ndim; d-- > 0; rest /= (uint64_t)p->shape[d])
            at += rest % (uint64_t)p->shape[d] * (uint64_t)p->strides[d];
        memcpy(to + i * w, from + at * w, w);
    }
}

/* The whole, and some parts of it, read through the source. */
static void compare(const place *p, rng *r)
{
    size_t w = st_dtype_bits(p->dtype) / 8, bytes = p->numel * w;
    enum { FRONT = 24 };
    char *file = malloc(FRONT + (p->reach + 1) * w), *want = malloc(bytes), *got = malloc(bytes);
    for (size_t i = 0; i < FRONT + (p->reach + 1) * w; i++) file[i] = (char)(rng_next(r) >> 56);
    plainly(p, file + FRONT, want);
    mem_source *m = mem_source_new(file, FRONT + (p->reach + 1) * w);
    st_source *s;
    assert_ok(st_strided_open(&m->base, FRONT, p->dtype, p->ndim, p->shape, p->strides, &s, &err));
    assert_int_equal(s->size, bytes);
    assert_ok(s->ops->read(s, got, 0, bytes, &err));
    assert_memory_equal(got, want, bytes);
    for (int i = 0; i < 5; i++) {
        uint64_t from = rng_below(r, bytes), n = rng_below(r, bytes - from + 1);
        assert_ok(s->ops->read(s, got, from, n, &err));
        assert_memory_equal(got, want + from, n);
    }
    st_source_unref(s);
    st_source_unref(&m->base);
    free(file);
    free(want);
    free(got);
}

static void test_random_places(void **state)
{
    (void)state;
    rng r = {1};
    static const st_dtype dtypes[] = {ST_U8, ST_F16, ST_F32, ST_C64};
    for (int round = 0; round < 2000; round++) {
        place p = {.dtype = dtypes[rng_below(&r, 4)], .ndim = (int)rng_below(&r, MOST + 1)};
        for (int d = 0; d < p.ndim; d++) {
            p.shape[d] = 1 + (int64_t)rng_below(&r, 6);
            p.strides[d] = rng_below(&r, 4) ? (int64_t)rng_below(&r, 40) : (int64_t)rng_below(&r, 3000);
        }
        measure(&p);
        compare(&p, &r);
    }
}

/* Several blocks; pieces that are read alone, pieces that are read together. */
static void test_large_places(void **state)
{
    (void)state;
    rng r = {2};
    static const place places[] = {
        {ST_F32, 2, {2000, 1500}, {1, 2000}, 0, 0},       /* turned */
        {ST_U8, 2, {3000, 3000}, {1, 3001}, 0, 0},        /* and padded */
        {ST_F16, 2, {1500, 3000}, {3100, 1}, 0, 0},       /* rows with gaps */
        {ST_F32, 1, {2000000}, {2}, 0, 0},                /* every second one */
        {ST_F32, 1, {3000}, {1000}, 0, 0},                /* far apart */
        {ST_C64, 3, {70, 80, 90}, {90, 6300, 1}, 0, 0},   /* turned stacks */
        {ST_F64, 3, {3, 300000, 2}, {1, 6, 3}, 0, 0},     /* the last dimension is not the closest */
        {ST_F32, 3, {4, 1000, 1000}, {0, 1000, 1}, 0, 0}, /* repeated */
        {ST_U8, 2, {5000001, 2}, {1, 1}, 0, 0},           /* overlapping */
    };
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        place p = places[i];
        measure(&p);
        compare(&p, &r);
    }
}

/* A turned matrix is not read over and over. */
static void test_reads(void **state)
{
    (void)state;
    place p = {ST_F32, 2, {1024, 4096}, {1, 1024}, 0, 0};
    measure(&p);
    size_t bytes = p.numel * 4;
    char *zeros = calloc(1, bytes), *got = malloc(bytes);
    mem_source *m = mem_source_new(zeros, bytes);
    st_source *s;
    assert_ok(st_strided_open(&m->base, 0, p.dtype, p.ndim, p.shape, p.strides, &s, &err));
    uint64_t most = st_memory_used() + (16u << 20);
    for (size_t at = 0; at < bytes; at += 1 << 20) assert_ok(s->ops->read(s, got, at, 1 << 20, &err));
    assert_true(st_memory_used() < most);
    assert_true(m->reads <= 4 * 4096 + 16); /* four blocks of 256 rows, a piece of each column */
    m->broken = true;
    assert_int_not_equal(s->ops->read(s, got, 0, bytes, &err), ST_OK);
    st_source_unref(s);
    st_source_unref(&m->base);
    free(zeros);
    free(got);
}

static void test_without_memory(void **state)
{
    (void)state;
    place p = {ST_F32, 2, {30, 20}, {1, 30}, 0, 0};
    char zeros[2400] = {0}, got[2400];
    mem_source *m = mem_source_new(zeros, sizeof zeros);
    st_status status = ST_NOMEM;
    for (uint64_t k = 1; status != ST_OK; k++) {
        st_source *s = NULL;
        st_mem_fail_at(k, false);
        status = st_strided_open(&m->base, 0, p.dtype, p.ndim, p.shape, p.strides, &s, &err);
        if (status == ST_OK) status = s->ops->read(s, got, 4, 1000, &err);
        st_mem_fail_at(0, false);
        assert_true(status == ST_OK || status == ST_NOMEM);
        st_source_unref(s);
    }
    st_source_unref(&m->base);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_random_places, teardown),
        cmocka_unit_test_teardown(test_large_places, teardown),
        cmocka_unit_test_teardown(test_reads, teardown),
        cmocka_unit_test_teardown(test_without_memory, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
