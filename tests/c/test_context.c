/* The threads of a run: each on a processor of its own, if there are as many, else wherever they may; and which of
 * several failures is told. */
#include "context.h"
#include "sys.h"
#include "support.h"

#include <sched.h>
#include <stdatomic.h>

enum { MOST = 64 };

typedef struct places {
    unsigned n; /* threads that take part */
    atomic_uint there;
    cpu_set_t set[MOST];
} places;

/* Waits for all the others, so that no thread does the work of two. */
static st_status note_place(void *arg, unsigned worker, st_err *err)
{
    places *p = arg;
    (void)err;
    pthread_getaffinity_np(pthread_self(), sizeof p->set[worker], &p->set[worker]);
    for (p->there++; p->there < p->n;) sched_yield();
    return ST_OK;
}

static void run_on(st_ctx *ctx, places *p, unsigned threads)
{
    st_err err;
    *p = (places){.n = threads};
    st_ctx_set_threads(ctx, threads);
    assert_int_equal(st_ctx_run(ctx, threads, note_place, p, &err), ST_OK);
    assert_int_equal(p->there, threads);
}

static void test_processors(void **state)
{
    (void)state;
    unsigned list[MOST + 1], n = sys_processors(list, MOST + 1);
    if (n < 2 || n >= MOST) skip();
    st_ctx *ctx;
    st_err err;
    static places p;
    cpu_set_t all, own, before;
    sched_getaffinity(0, sizeof before, &before);
    CPU_ZERO(&all);
    for (unsigned i = 0; i < n; i++) CPU_SET(list[i], &all);
    assert_int_equal(st_ctx_new(&ctx, &err), ST_OK);
    for (int round = 0; round < 3; round++) {
        run_on(ctx, &p, n);
        CPU_ZERO(&own);
        for (unsigned i = 1; i < n; i++) {
            assert_int_equal(CPU_COUNT(&p.set[i]), 1);
            CPU_OR(&own, &own, &p.set[i]);
        }
        assert_int_equal(CPU_COUNT(&own), n - 1);
        assert_true(CPU_EQUAL(&p.set[0], &before)); /* the caller's thread is not ours to place */

        run_on(ctx, &p, n + 1);
        for (unsigned i = 0; i <= n; i++) assert_true(CPU_EQUAL(&p.set[i], &all));
    }
    st_ctx_free(ctx);
}

typedef struct failing {
    st_ctx *ctx;
    _Atomic uint64_t next;
    atomic_uint failed;
    uint64_t last;   /* the piece that fails second */
    st_status first; /* what piece 0 gives; piece 1 gives FORMAT */
} failing;

/* One fails at once, the other only afterwards, as a copy would that is slower. */
static st_status fail_in_order(void *arg, unsigned worker, st_err *err)
{
    failing *f = arg;
    uint64_t i = f->next++;
    st_ctx_begun(f->ctx, worker, i);
    while (i == f->last && !f->failed) sched_yield();
    for (int k = 0; i == f->last && k < 1000; k++) sched_yield(); /* until the other has told it */
    f->failed++;
    if (i == 1) return st_fail(err, ST_FORMAT, NULL, NULL, "piece 1");
    return f->first == ST_OK ? ST_OK : st_fail(err, f->first, NULL, NULL, "piece 0");
}

static void test_first_failure(void **state)
{
    (void)state;
    st_ctx *ctx;
    st_err err;
    assert_int_equal(st_ctx_new(&ctx, &err), ST_OK);
    st_ctx_set_threads(ctx, 2);
    const struct {
        st_status first, told;
    } cases[] = {{ST_OK, ST_FORMAT}, {ST_IO, ST_IO}, {ST_CANCELLED, ST_FORMAT}};
    for (int round = 0; round < 20; round++)
        for (size_t i = 0; i < 6; i++) {
            failing f = {.ctx = ctx, .last = i / 3, .first = cases[i % 3].first};
            assert_int_equal(st_ctx_run(ctx, 2, fail_in_order, &f, &err), cases[i % 3].told);
            assert_string_equal(err.message, cases[i % 3].told == ST_IO ? "piece 0" : "piece 1");
        }
    st_ctx_free(ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_processors), cmocka_unit_test(test_first_failure)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
