/* test_blocks.c - sources made of blocks, read from several threads; results put in order. */
#include "support.h"

#include "append.h"
#include "blocks.h"
#include "context.h"
#include "mem.h"
#include "sys.h"

#include <errno.h>
#include <string.h>
#include <time.h>

enum { BLOCKS = 200, THREADS = 4 };

typedef struct made {
    st_blocks b;
    _Atomic unsigned made[BLOCKS];
    _Atomic int scratches; /* that live */
    size_t broken;         /* this block cannot be made */
} made;

static unsigned char byte_at(uint64_t off) { return (unsigned char)(off * 2654435761u >> 13); }

static st_status make(st_blocks *b, size_t i, void *out, void *scratch, st_err *err)
{
    made *m = (made *)(void *)b;
    assert_non_null(scratch);
    m->made[i]++;
    if (i == m->broken) return st_fail(err, ST_FORMAT, b->base.label, NULL, "block %zu is broken", i);
    for (size_t k = 0; k < st_blocks_size(b, i); k++) ((unsigned char *)out)[k] = byte_at(b->starts[i] + k);
    return ST_OK;
}

/* A scratch knows whose it is. */
static void *new_scratch(st_blocks *b)
{
    made **w = st_malloc(sizeof *w);
    *w = (made *)(void *)b;
    (*w)->scratches++;
    return w;
}
static void free_scratch(void *w)
{
    (*(made **)w)->scratches--;
    st_free(w);
}

static const st_block_ops ops = {make, new_scratch, free_scratch};

/* Lengths from 0 up to some thousand. */
static made *open_made(void)
{
    made *m = st_calloc(1, sizeof *m);
    uint64_t *starts = st_calloc(BLOCKS + 1, sizeof *starts);
    for (size_t i = 0; i < BLOCKS; i++) starts[i + 1] = starts[i] + i * 7919 % 5000 * (i % 10 != 3);
    m->b.base.label = "blocks";
    m->broken = SIZE_MAX;
    st_err err;
    assert_int_equal(st_blocks_init(&m->b, &ops, starts, BLOCKS, &err), ST_OK);
    return m;
}

static void close_made(made *m)
{
    st_blocks_destroy(&m->b);
    st_free(m);
}

static void expect_range(made *m, uint64_t off, size_t n)
{
    unsigned char *buf = st_malloc(n + 1);
    st_err err;
    assert_int_equal(st_blocks_read(&m->b.base, buf, off, n, &err), ST_OK);
    for (size_t i = 0; i < n; i++) assert_int_equal(buf[i], byte_at(off + i));
    st_free(buf);
}

static void test_ranges(void **state)
{
    (void)state;
    made *m = open_made();
    uint64_t size = m->b.base.size;
    expect_range(m, 0, (size_t)size);
    for (size_t i = 0; i < BLOCKS; i++) assert_int_equal(m->made[i], st_blocks_size(&m->b, i) > 0);
    for (uint64_t seed = 1; seed < 2000; seed++) {
        uint64_t off = seed * 0x9e3779b97f4a7c15u % size, n = seed * 40503u % 20000;
        expect_range(m, off, (size_t)(n < size - off ? n : size - off));
    }
    expect_range(m, size, 0);
    close_made(m);
}

static void test_parts_are_made_once(void **state)
{
    (void)state;
    made *m = open_made();
    size_t i = 11, size = st_blocks_size(&m->b, i);
    for (size_t at = 0; at < size; at += 100) expect_range(m, m->b.starts[i] + at, size - at < 100 ? size - at : 100);
    assert_int_equal(m->made[i], 1);
    close_made(m);
}

static void test_a_range_beyond_the_end(void **state)
{
    (void)state;
    made *m = open_made();
    char buf[8];
    st_err err;
    assert_int_equal(st_blocks_read(&m->b.base, buf, m->b.base.size - 3, 4, &err), ST_INTERNAL);
    assert_int_equal(st_blocks_read(&m->b.base, buf, UINT64_MAX, 4, &err), ST_INTERNAL);
    close_made(m);
}

/* When all of it was read, nothing is kept: many shards may be open. */
static void test_nothing_is_kept(void **state)
{
    (void)state;
    made *m = open_made();
    uint64_t before = st_memory_used();
    for (int round = 0; round < 3; round++) {
        for (uint64_t off = 0; off < m->b.base.size; off += 777)
            expect_range(m, off, (size_t)(m->b.base.size - off < 777 ? m->b.base.size - off : 777));
        assert_int_equal(st_memory_used(), before);
        assert_int_equal(m->scratches, 0);
    }
    close_made(m);
}

/* Every block is made, and those that cannot be are listed. */
static void test_verify(void **state)
{
    (void)state;
    made *m = open_made();
    st_ctx *ctx;
    st_err err;
    st_damages d;
    assert_int_equal(st_ctx_new(&ctx, &err), ST_OK);
    for (unsigned threads = 1; threads <= THREADS; threads++) {
        st_ctx_set_threads(ctx, threads);
        m->broken = threads == 1 ? SIZE_MAX : threads * 20;
        assert_int_equal(st_damages_init(&d, &err), ST_OK);
        assert_int_equal(st_blocks_verify(&m->b, ctx, &d, &err), ST_OK);
        assert_int_equal(d.total, threads > 1);
        if (d.n) assert_int_equal(d.list[0].begin, m->b.starts[m->broken]);
        st_damages_free(&d);
        for (size_t i = 0; i < BLOCKS; i++) assert_int_equal(m->made[i], threads);
    }
    st_ctx_free(ctx);
    close_made(m);
}

/* The list keeps the first ones, whatever order they come in. */
static void test_many_damages(void **state)
{
    (void)state;
    st_err err;
    st_damages d;
    assert_int_equal(st_damages_init(&d, &err), ST_OK);
    for (uint64_t i = 0; i < 3000; i++) {
        uint64_t at = i * 7919 % 3000;
        st_fail(&err, ST_FORMAT, "f", "t", "number %llu", (unsigned long long)at);
        st_damages_add(&d, at, at + 1, &err);
    }
    assert_int_equal(d.total, 3000);
    assert_int_equal(d.n, ST_DAMAGES_MOST);
    for (size_t i = 0; i < d.n; i++) assert_int_equal(d.list[i].begin, i);
    assert_string_equal(d.list[999].message, "f: tensor \"t\": number 999");
    st_damages_free(&d);
}

static void test_a_broken_block(void **state)
{
    (void)state;
    made *m = open_made();
    m->broken = 17;
    char *buf = st_malloc((size_t)m->b.base.size);
    uint64_t at = m->b.starts[17];
    st_err err;
    for (int again = 0; again < 3; again++) {
        assert_int_equal(st_blocks_read(&m->b.base, buf, at + 1, 5, &err), ST_FORMAT);
        assert_string_equal(err.message, "blocks: block 17 is broken");
        assert_int_equal(st_blocks_read(&m->b.base, buf, 0, (size_t)m->b.base.size, &err), ST_FORMAT);
    }
    expect_range(m, 0, (size_t)at);
    m->broken = SIZE_MAX;
    expect_range(m, at + 1, 5);
    st_free(buf);
    close_made(m);
}

static st_status read_all(void *arg, unsigned worker, st_err *err)
{
    made *m = arg;
    unsigned char buf[300];
    uint64_t size = m->b.base.size;
    if (m->scratches > THREADS) return st_fail(err, ST_INTERNAL, NULL, NULL, "%d scratches", (int)m->scratches);
    for (uint64_t off = worker; off + sizeof buf <= size; off += sizeof buf - worker) {
        st_status s = st_blocks_read(&m->b.base, buf, off, sizeof buf, err);
        if (s == ST_OK && buf[worker] != byte_at(off + worker)) s = st_fail(err, ST_INTERNAL, NULL, NULL, "wrong");
        if (m->scratches > THREADS) return st_fail(err, ST_INTERNAL, NULL, NULL, "%d scratches", (int)m->scratches);
        if (s != ST_OK && m->broken == SIZE_MAX) return s;
    }
    return ST_OK;
}

static void test_many_threads(void **state)
{
    (void)state;
    st_ctx *ctx;
    st_err err;
    assert_int_equal(st_ctx_new(&ctx, &err), ST_OK);
    st_ctx_set_threads(ctx, THREADS);
    for (int broken = 0; broken < 2; broken++) {
        made *m = open_made();
        if (broken) m->broken = 42;
        assert_int_equal(st_ctx_run(ctx, THREADS, read_all, m, &err), ST_OK);
        close_made(m);
    }
    st_ctx_free(ctx);
}

/* ---------------------------------------------------------------- appending */

typedef struct memory_sink {
    st_sink base;
    unsigned char bytes[1 << 16];
    bool fails;
} memory_sink;

static st_status memory_write(st_sink *k, const void *buf, uint64_t off, size_t n, st_err *err)
{
    memory_sink *m = (memory_sink *)(void *)k;
    if (m->fails) return st_fail(err, ST_IO, "sink", NULL, "full");
    if (n) memcpy(m->bytes + off, buf, n);
    return ST_OK;
}

static const st_sink_ops memory_ops = {.write = memory_write};

typedef struct job {
    st_append *a;
    _Atomic size_t next;
} job;

enum { RESULTS = 3000 };

static st_status put_results(void *arg, unsigned worker, st_err *err)
{
    job *j = arg;
    (void)worker;
    for (size_t i; (i = j->next++) < RESULTS;) {
        unsigned char buf[20];
        memset(buf, (int)(i & 255), sizeof buf);
        ST_TRY(st_append_put(j->a, i, buf, i % 20, err));
    }
    return ST_OK;
}

static void test_results_in_order(void **state)
{
    (void)state;
    st_ctx *ctx;
    st_err err;
    memory_sink *k = st_calloc(1, sizeof *k);
    k->base.ops = &memory_ops;
    job j = {0};
    assert_int_equal(st_ctx_new(&ctx, &err), ST_OK);
    st_ctx_set_threads(ctx, THREADS);
    assert_int_equal(st_append_new(&k->base, 5, NULL, &j.a, &err), ST_OK);
    assert_int_equal(st_ctx_run(ctx, THREADS, put_results, &j, &err), ST_OK);
    assert_int_equal(st_append_count(j.a), RESULTS);
    size_t at = 5;
    for (size_t i = 0; i < RESULTS; at += i++ % 20)
        for (size_t n = 0; n < i % 20; n++) assert_int_equal(k->bytes[at + n], i & 255);
    assert_int_equal(st_append_end(j.a), at);
    st_append_free(j.a);
    st_ctx_free(ctx);
    st_free(k);
}

static void test_backwards(void **state)
{
    (void)state;
    st_err err;
    memory_sink *k = st_calloc(1, sizeof *k);
    st_append *a;
    k->base.ops = &memory_ops;
    assert_int_equal(st_append_new(&k->base, 0, NULL, &a, &err), ST_OK);
    for (int i = 9; i >= 0; i--) assert_int_equal(st_append_put(a, (size_t)i, &(char){(char)i}, 1, &err), ST_OK);
    for (int i = 0; i < 10; i++) assert_int_equal(k->bytes[i], i);
    assert_int_equal(st_append_put(a, 11, "x", 1, &err), ST_OK); /* and never 10 */
    k->fails = true;
    assert_int_equal(st_append_put(a, 10, "x", 1, &err), ST_IO);
    st_append_free(a);
    st_free(k);
}

/* ---------------------------------------------------------------- a producer that is delayed */

enum { LARGE = 4 << 20, DELAYED = 12, PRODUCERS = 4 };

typedef struct slow {
    st_sink sink;
    st_append *a;
    const char *bytes;
    _Atomic size_t taken, written;
    bool fails;
} slow;

static st_status count_write(st_sink *k, const void *buf, uint64_t off, size_t n, st_err *err)
{
    slow *s = (slow *)(void *)k;
    (void)buf;
    (void)err;
    assert_true(off % LARGE == 0 && n == LARGE);
    s->written++;
    return ST_OK;
}

static void pause_ms(void)
{
    struct timespec t = {.tv_nsec = 1000000};
    nanosleep(&t, NULL);
}

/* Who has the first result waits until all the others have one for which there is no room. */
static st_status put_large(void *arg, unsigned worker, st_err *err)
{
    slow *s = arg;
    (void)worker;
    for (size_t i; (i = s->taken++) < DELAYED;) {
        for (int k = 0; i == 0 && (s->taken < 4 + PRODUCERS || k < 20); k++) pause_ms();
        if (i == 0 && s->fails) return st_fail(err, ST_IO, "first", NULL, "it fails");
        ST_TRY(st_append_put(s->a, i, s->bytes, LARGE, err));
    }
    return ST_OK;
}

static void test_a_delayed_producer(void **state)
{
    (void)state;
    static const st_sink_ops counts = {.write = count_write};
    st_ctx *ctx;
    st_err err;
    char *bytes = calloc(1, LARGE);
    assert_int_equal(st_ctx_new(&ctx, &err), ST_OK);
    st_ctx_set_threads(ctx, PRODUCERS);
    for (int fails = 0; fails < 2; fails++) {
        slow s = {.sink = {.ops = &counts, .label = "sink"}, .bytes = bytes, .fails = fails};
        assert_int_equal(st_append_new(&s.sink, 0, ctx, &s.a, &err), ST_OK);
        uint64_t before = st_memory_used();
        st_status status = st_ctx_run(ctx, PRODUCERS, put_large, &s, &err);
        if (fails) assert_string_equal(err.message, "first: it fails");
        assert_int_equal(status, fails ? ST_IO : ST_OK);
        assert_int_equal(s.written, fails ? 0 : DELAYED);
        assert_true(st_memory_used() - before < (fails ? 4ull * LARGE : 0) + (1 << 20));
        st_append_free(s.a);
    }
    st_ctx_free(ctx);
    free(bytes);
}

/* Where nobody may wait, what does not fit into memory waits on the disk. */
static st_status check_piece(st_sink *k, const void *buf, uint64_t off, size_t n, st_err *err)
{
    slow *s = (slow *)(void *)k;
    const char *b = buf;
    (void)err;
    assert_true(off % LARGE == 0 && n == LARGE);
    assert_int_equal(b[0], off / LARGE);
    assert_int_equal(b[n - 1], off / LARGE);
    s->written++;
    return ST_OK;
}

static void test_far_too_early(void **state)
{
    (void)state;
    static const st_sink_ops checks = {.write = check_piece};
    slow s = {.sink = {.ops = &checks, .label = "sink"}};
    st_err err;
    char *bytes = malloc(LARGE);
    uint64_t before = st_memory_used();
    assert_int_equal(st_append_new(&s.sink, 0, NULL, &s.a, &err), ST_OK);
    for (size_t i = DELAYED; i-- > 0;) {
        memset(bytes, (int)i, LARGE);
        assert_int_equal(st_append_put(s.a, i, bytes, LARGE, &err), ST_OK);
        assert_int_equal(s.written, i ? 0 : DELAYED);
        assert_true(st_memory_used() - before < (16 << 20) + (1 << 20));
    }
    st_append_free(s.a);
    free(bytes);
}

#ifdef ST_FAULTS
static void test_the_disk_fails_what_is_early(void **state)
{
    (void)state;
    static const st_sink_ops counts = {.write = count_write};
    slow s = {.sink = {.ops = &counts, .label = "sink"}};
    st_err err;
    char *bytes = calloc(1, LARGE);
    assert_int_equal(st_append_new(&s.sink, 0, NULL, &s.a, &err), ST_OK);
    for (size_t i = 1; i <= 4; i++) assert_int_equal(st_append_put(s.a, i, bytes, LARGE, &err), ST_OK);
    sys_fault(SYS_pwrite, 1, ENOSPC);
    assert_int_equal(st_append_put(s.a, 5, bytes, LARGE, &err), ST_SPACE);
    assert_non_null(strstr(err.message, "sink: "));
    assert_int_equal(st_append_put(s.a, 5, bytes, LARGE, &err), ST_OK);
    sys_fault(SYS_pread, 1, EIO);
    assert_int_equal(st_append_put(s.a, 0, bytes, LARGE, &err), ST_IO);
    sys_fault(SYS_CALL_COUNT, 0, 0);
    assert_int_equal(s.written, 5);
    st_append_free(s.a);
    free(bytes);
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ranges),
        cmocka_unit_test(test_parts_are_made_once),
        cmocka_unit_test(test_a_range_beyond_the_end),
        cmocka_unit_test(test_a_broken_block),
        cmocka_unit_test(test_nothing_is_kept),
        cmocka_unit_test(test_verify),
        cmocka_unit_test(test_many_damages),
        cmocka_unit_test(test_many_threads),
        cmocka_unit_test(test_results_in_order),
        cmocka_unit_test(test_backwards),
        cmocka_unit_test(test_a_delayed_producer),
        cmocka_unit_test(test_far_too_early),
#ifdef ST_FAULTS
        cmocka_unit_test(test_the_disk_fails_what_is_early),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
