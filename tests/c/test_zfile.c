/* test_zfile.c - compressed files: both ways, read by the piece, by any number of threads; made by other programs. */
#include "fixture.h"
#include "crash.h"
#include "zmodel.h"

#include "context.h"
#include "file.h"
#include "mem.h"
#include "sys.h"
#include "tensor.h"
#include "zcodec.h"
#include "zsource.h"

#include <errno.h>
#include <stdatomic.h>
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
    return teardown(state);
}

static void expect_file(const char *path, const unsigned char *p, size_t n)
{
    size_t m;
    unsigned char *b = slurp(path, &m);
    assert_non_null(b);
    assert_int_equal(m, n);
    assert_memory_equal(b, p, n);
    free(b);
}

/* Any range of it is that of the plain file. */
static void expect_ranges(const char *path, const unsigned char *p, size_t n, int count)
{
    st_file *f;
    assert_ok(st_file_open(path, &f, &err));
    assert_int_equal(st_file_size(f), n);
    st_source *src = st_file_source(f);
    unsigned char *buf = malloc(n + 1);
    rng r = {7};
    for (int i = 0; i < count; i++) {
        size_t off = rng_below(&r, n + 1), most = i % 3 ? 2000 : n, len = rng_below(&r, most + 1);
        if (len > n - off) len = n - off;
        assert_ok(src->ops->read(src, buf, off, len, &err));
        assert_memory_equal(buf, p + off, len);
    }
    assert_ok(src->ops->read(src, buf, 0, n, &err));
    assert_memory_equal(buf, p, n);
    assert_int_equal(src->ops->read(src, buf, n, 1, &err), ST_INTERNAL);
    assert_int_equal(st_source_fd(src), -1);
    free(buf);
    st_file_close(f);
}

static uint64_t damages(const char *path, bool *checked)
{
    st_verdict v;
    assert_ok(st_file_verify(ctx, path, NULL, &v, &err));
    uint64_t total = v.total;
    *checked = v.checked;
    st_verdict_free(&v);
    return total;
}

static void both_ways(const unsigned char *p, size_t n, bool zstd)
{
    uint64_t bytes;
    bool checked;
    char line[2100];
    spill(in_dir(dir, "plain"), p, n);
    assert_ok(st_file_compress(ctx, in_dir(dir, "plain"), in_dir(dir, "packed"), NULL, &bytes, &err));
    assert_ok(st_file_decompress(ctx, in_dir(dir, "packed"), in_dir(dir, "back"), NULL, &bytes, &err));
    assert_int_equal(bytes, n);
    expect_file(in_dir(dir, "back"), p, n);
    assert_int_equal(damages(in_dir(dir, "packed"), &checked), 0);
    assert_true(checked);
    if (!zstd) return;
    assert_int_equal(rename(in_dir(dir, "packed"), in_dir(dir, "packed.zst")), 0);
    snprintf(line, sizeof line, "-d -f %s -o %s", in_dir(dir, "packed.zst"), in_dir(dir, "back2"));
    assert_int_equal(run_zstd(line), 0);
    expect_file(in_dir(dir, "back2"), p, n);
    snprintf(line, sizeof line, "-t %s", in_dir(dir, "packed.zst"));
    assert_int_equal(run_zstd(line), 0);
    snprintf(line, sizeof line, "-l %s", in_dir(dir, "packed.zst"));
    assert_int_equal(run_zstd(line), 0);
    assert_int_equal(rename(in_dir(dir, "packed.zst"), in_dir(dir, "packed")), 0);
}

static void test_round_trips(void **state)
{
    (void)state;
    static const size_t sizes[][4] = {
        {0}, {1}, {524288}, {524289, 524287, 1}, {100, 1300000, 0, 5}, {150000, 150000, 150000, 150000}};
    static const char *const kinds[] = {"n", "w", "z", "wzr", "nfnN", "rwfz"};
    bool zstd = have_zstd();
    if (!zstd) skipped("that `zstd -d` restores what was compressed: zstd is not installed");
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        size_t n;
        unsigned char *p = zmodel_make(kinds[i], sizes[i], &n);
        both_ways(p, n, zstd);
        expect_ranges(in_dir(dir, "packed"), p, n, 50);
        free(p);
    }
    size_t n;
    unsigned char *p = zmodel_zoo(&n);
    both_ways(p, n, zstd);
    expect_ranges(in_dir(dir, "packed"), p, n, 200);
    free(p);
}

/* Headers as others write them stay as they are: padding, order, spaces. */
static void test_foreign_header(void **state)
{
    (void)state;
    static const char text[] = "{ \"b\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2]},\n \"a\" : "
                               "{\"shape\":[4],\"dtype\":\"U8\",\"data_offsets\":[2,6]}}";
    unsigned char p[8 + 120 + 6] = {120};
    memset(p + 8, ' ', 120);
    memcpy(p + 8, text, sizeof text - 1);
    memcpy(p + 128, "abcdef", 6);
    both_ways(p, sizeof p, have_zstd());
}

static void test_same_bytes_on_any_threads(void **state)
{
    (void)state;
    size_t n, first, again;
    uint64_t bytes;
    unsigned char *p = zmodel_zoo(&n), *a = NULL;
    spill(in_dir(dir, "plain"), p, n);
    for (unsigned threads = 1; threads <= 5; threads++) {
        st_ctx_set_threads(ctx, threads);
        assert_ok(st_file_compress(ctx, in_dir(dir, "plain"), in_dir(dir, "packed"), NULL, &bytes, &err));
        unsigned char *b = slurp(in_dir(dir, "packed"), &again);
        assert_int_equal(bytes, again);
        if (!a) a = b, first = again;
        assert_int_equal(first, again);
        assert_memory_equal(a, b, first);
        if (a != b) free(b);
    }
    free(a);
    free(p);
}

static void test_options(void **state)
{
    (void)state;
    size_t n, sizes[] = {5000};
    uint64_t bytes;
    unsigned char *p = zmodel_make("w", sizes, &n);
    spill(in_dir(dir, "plain"), p, n);
    st_copy_opts o = {.no_sync = true, .no_replace = true};
    assert_ok(st_file_compress(ctx, in_dir(dir, "plain"), in_dir(dir, "packed"), &o, &bytes, &err));
    assert_int_equal(st_file_compress(ctx, in_dir(dir, "plain"), in_dir(dir, "packed"), &o, &bytes, &err), ST_EXISTS);
    assert_int_equal(st_file_compress(ctx, in_dir(dir, "packed"), in_dir(dir, "twice"), &o, &bytes, &err), ST_ARG);
    assert_int_equal(st_file_decompress(ctx, in_dir(dir, "plain"), in_dir(dir, "twice"), &o, &bytes, &err), ST_ARG);
    assert_int_equal(st_file_compress(ctx, in_dir(dir, "none"), in_dir(dir, "twice"), &o, &bytes, &err), ST_IO);
    st_ctx_cancel(ctx);
    assert_int_equal(st_file_compress(ctx, in_dir(dir, "plain"), in_dir(dir, "twice"), &o, &bytes, &err), ST_CANCELLED);
    assert_int_equal(count_entries(dir), 2);
    free(p);
}

static void test_looking(void **state)
{
    (void)state;
    size_t n, sizes[] = {300000, 10};
    uint64_t bytes, id[2], again[2];
    char sum[65], plain_sum[65];
    unsigned char *p = zmodel_make("wn", sizes, &n);
    st_file *f, *g;
    spill(in_dir(dir, "plain"), p, n);
    assert_ok(st_file_compress(ctx, in_dir(dir, "plain"), in_dir(dir, "packed"), NULL, &bytes, &err));
    assert_ok(st_file_open(in_dir(dir, "packed"), &f, &err));
    assert_ok(st_file_open(in_dir(dir, "plain"), &g, &err));
    assert_int_equal(st_file_size(f), n);
    assert_int_equal(st_file_stored(f), bytes);
    assert_int_equal(st_file_stored(g), n);
    assert_string_equal(st_file_compression(f), "zstd");
    assert_null(st_file_compression(g));
    assert_true(st_file_seeks(f) && st_file_seeks(g));
    assert_int_equal(st_file_data_start(f), st_file_data_start(g));
    assert_ok(st_file_sha256(f, sum, &err));
    assert_ok(st_file_sha256(g, plain_sum, &err));
    assert_string_equal(sum, plain_sum);
    st_source *src = st_file_source(f);
    assert_ok(src->ops->check(src, &err));
    assert_true(src->ops->identity(src, id) && src->ops->identity(src, again) && id[0] == again[0]);
    st_source_advise(src, 0, n);
    st_source_advise(src, n - 1, 100);
    spill(in_dir(dir, "packed"), p, n); /* the file below is what is looked at */
    assert_int_equal(src->ops->check(src, &err), ST_CHANGED);
    st_file_close(f);
    st_file_close(g);
    free(p);
}

/* ---------------------------------------------------------------- made by others */

/* Frames of several MiB have no place in memory: they are read as a stream, in any order at last. */
static void read_stream(const unsigned char *p, size_t n, const unsigned char *packed, size_t m)
{
    uint64_t bytes;
    bool checked;
    st_file *f;
    spill(in_dir(dir, "foreign"), packed, m);
    assert_ok(st_file_open(in_dir(dir, "foreign"), &f, &err));
    assert_false(st_file_seeks(f));
    st_source *src = st_file_source(f);
    unsigned char *buf = malloc(1 << 20);
    for (int pass = 0; pass < 2; pass++) /* forwards, twice */
        for (size_t off = 0; off < n; off += 300001) {
            size_t len = n - off < 300001 ? n - off : 300001;
            assert_ok(src->ops->read(src, buf, off, len, &err));
            assert_memory_equal(buf, p + off, len);
        }
    assert_ok(st_source_settle(src, &err));
    for (size_t off = n - 1000; off > 3000000; off -= 2999999) { /* backwards */
        assert_ok(src->ops->read(src, buf, off, 1000, &err));
        assert_memory_equal(buf, p + off, 1000);
    }
    assert_ok(src->ops->read(src, buf, 0, 1000, &err));
    assert_memory_equal(buf, p, 1000);
    free(buf);
    st_file_close(f);
    expect_ranges(in_dir(dir, "foreign"), p, n, 30);
    assert_int_equal(damages(in_dir(dir, "foreign"), &checked), 0);
    assert_ok(st_file_decompress(ctx, in_dir(dir, "foreign"), in_dir(dir, "back"), NULL, &bytes, &err));
    expect_file(in_dir(dir, "back"), p, n);
    assert_ok(st_file_compress(ctx, in_dir(dir, "foreign"), in_dir(dir, "packed"), NULL, &bytes, &err));
    expect_ranges(in_dir(dir, "packed"), p, n, 10);
}

static void test_streams(void **state)
{
    (void)state;
    static const size_t sizes[] = {9000000, 12345, 1000000};
    size_t n, m;
    unsigned char *p = zmodel_make("wzw", sizes, &n);
    unsigned char *one = zmodel_frames(p, n, n, true, &m);
    read_stream(p, n, one, m);
    free(one);
    one = zmodel_frames(p, n, 5000000, true, &m);
    read_stream(p, n, one, m);
    free(one);
    /* Skippable frames before, between and behind. */
    static const unsigned char skip[] = {0x50, 0x2a, 0x4d, 0x18, 4, 0, 0, 0, 1, 2, 3, 4};
    one = zmodel_frames(p, n, n, false, &m);
    unsigned char *with = malloc(m + 2 * sizeof skip);
    memcpy(with, skip, sizeof skip);
    memcpy(with + sizeof skip, one, m);
    memcpy(with + sizeof skip + m, skip, sizeof skip);
    read_stream(p, n, with, m + 2 * sizeof skip);
    free(with);
    free(one);
    free(p);
}

/* As t2sz and others cut: frames of a MiB that know nothing of tensors; checksums in the frames, in the table, in both
 * or nowhere; frames that are too large for it. */
static void test_foreign_tables(void **state)
{
    (void)state;
    static const size_t sizes[] = {900000, 12, 3500000}, frames[] = {1 << 20, 4 << 20, (4 << 20) + 1};
    size_t n, m;
    bool checked;
    st_file *f;
    unsigned char *p = zmodel_make("wnr", sizes, &n);
    for (size_t i = 0; i < 12; i++) {
        bool in_frame = i & 1, in_table = i & 2;
        size_t frame = frames[i / 4];
        unsigned char *c = zmodel_seekable(p, n, frame, in_frame, in_table, &m);
        spill(in_dir(dir, "foreign"), c, m);
        assert_ok(st_file_open(in_dir(dir, "foreign"), &f, &err));
        assert_int_equal(st_file_seeks(f), frame <= 4 << 20);
        st_file_close(f);
        expect_ranges(in_dir(dir, "foreign"), p, n, 30);
        assert_int_equal(damages(in_dir(dir, "foreign"), &checked), 0);
        assert_int_equal(checked, in_frame || (in_table && frame <= 4 << 20));
        /* What either of them vouches for is not read when it is wrong. */
        c[m / 2] ^= 1;
        spill(in_dir(dir, "foreign"), c, m);
        if (checked) assert_int_equal(damages(in_dir(dir, "foreign"), &checked), 1);
        /* A size in the table that is not the frame's. */
        c[m / 2] ^= 1;
        c[m - 9 - (in_table ? 12 : 8) + 4] ^= 1;
        spill(in_dir(dir, "foreign"), c, m);
        assert_true(damages(in_dir(dir, "foreign"), &checked) > 0);
        free(c);
    }
    free(p);
}

/* A small file without a table gets one as it is opened. */
static void test_small_foreign(void **state)
{
    (void)state;
    static const size_t sizes[] = {90000, 12, 400000};
    size_t n, m;
    bool checked;
    unsigned char *p = zmodel_make("wnr", sizes, &n);
    for (int i = 0; i < 4; i++) {
        unsigned char *c = zmodel_frames(p, n, i % 2 ? n : 50000, i / 2, &m);
        spill(in_dir(dir, "foreign"), c, m);
        expect_ranges(in_dir(dir, "foreign"), p, n, 50);
        assert_int_equal(damages(in_dir(dir, "foreign"), &checked), 0);
        assert_int_equal(checked, i / 2);
        free(c);
    }
    free(p);
}

static void test_zstd_program(void **state)
{
    (void)state;
    static const size_t sizes[] = {3000000, 7, 1500000};
    size_t n;
    char line[2100];
    uint64_t bytes;
    if (!have_zstd()) {
        skipped("files made by zstd: it is not installed");
        return;
    }
    unsigned char *p = zmodel_make("wnw", sizes, &n);
    spill(in_dir(dir, "m"), p, n);
    static const char *const ways[] = {"-1 -c", "-6 -c", "--no-check -c", "-12 --long=24 -c"};
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        snprintf(line, sizeof line, "zstd -q %s %s %s > %s", ways[i], i == 1 ? "" : "<", in_dir(dir, "m"),
                 in_dir(dir, "m.zst"));
        assert_int_equal(system(line), 0);
        assert_ok(st_file_decompress(ctx, in_dir(dir, "m.zst"), in_dir(dir, "back"), NULL, &bytes, &err));
        expect_file(in_dir(dir, "back"), p, n);
        expect_ranges(in_dir(dir, "m.zst"), p, n, 10);
    }
    free(p);
}

/* A window beyond what may be held is refused, unless more is allowed. */
static void test_window(void **state)
{
    (void)state;
    size_t n, sizes[] = {1000};
    unsigned char *p = zmodel_make("n", sizes, &n), packed[1200];
    st_file *f;
    /* One stored block, in a frame that asks for 2^27 bytes, without the size of its content. */
    unsigned char head[] = {0x28, 0xb5, 0x2f, 0xfd, 0x00, 17 << 3, 0, 0, 0};
    uint32_t block = (uint32_t)n << 3 | 1;
    for (int i = 0; i < 3; i++) head[6 + i] = (unsigned char)(block >> 8 * i);
    memcpy(packed, head, sizeof head);
    memcpy(packed + sizeof head, p, n);
    spill(in_dir(dir, "wide"), packed, n + sizeof head);
    assert_int_equal(st_file_open(in_dir(dir, "wide"), &f, &err), ST_LIMIT);
    assert_non_null(strstr(err.message, "134217728"));
    st_ctx_set_memory(ctx, 256 << 20);
    assert_ok(st_file_open(in_dir(dir, "wide"), &f, &err));
    st_file_close(f);
    st_memory_allow(0);
    free(p);
}

/* ---------------------------------------------------------------- threads */

typedef struct reading {
    st_source *src;
    const unsigned char *p;
    _Atomic size_t at;
} reading;

static st_status read_some(void *arg, unsigned worker, st_err *e)
{
    reading *r = arg;
    unsigned char *buf = malloc(100000);
    st_status s = ST_OK;
    (void)worker;
    for (size_t off; s == ST_OK && (off = r->at) < r->src->size;) {
        size_t n = 1000 + off % 99000;
        if (!atomic_compare_exchange_strong(&r->at, &off, off + n)) continue;
        if (n > r->src->size - off) n = (size_t)r->src->size - off;
        s = r->src->ops->read(r->src, buf, off, n, e);
        if (s == ST_OK && memcmp(buf, r->p + off, n))
            s = st_fail(e, ST_INTERNAL, NULL, NULL, "other bytes at %zu", off);
    }
    free(buf);
    return s;
}

static void test_threads(void **state)
{
    (void)state;
    static const size_t sizes[] = {3000000, 20, 30, 6000000};
    size_t n, m;
    uint64_t bytes;
    unsigned char *p = zmodel_make("wnzr", sizes, &n), *one = zmodel_frames(p, n, n, true, &m);
    spill(in_dir(dir, "plain"), p, n);
    spill(in_dir(dir, "foreign"), one, m);
    st_ctx_set_threads(ctx, 4);
    assert_ok(st_file_compress(ctx, in_dir(dir, "plain"), in_dir(dir, "packed"), NULL, &bytes, &err));
    for (int i = 0; i < 4; i++) {
        st_file *f;
        assert_ok(st_file_open(in_dir(dir, i % 2 ? "packed" : "foreign"), &f, &err));
        reading r = {.src = st_file_source(f), .p = p};
        for (int pass = 0; pass < 3; pass++) {
            r.at = i < 2 ? 0 : 8000000 * (pass % 2);
            assert_ok(st_ctx_run(ctx, 4, read_some, &r, &err));
        }
        st_file_close(f);
    }
    free(one);
    free(p);
}

/* A copy of a tensor of a stream is read in order, whatever the threads: nothing goes to a temporary file. */
static void test_copies_of_streams(void **state)
{
    (void)state;
    static const size_t sizes[] = {40000000};
    size_t n, m;
    unsigned char *p = zmodel_make("r", sizes, &n), *one = zmodel_frames(p, n, n, true, &m);
    char *got = malloc(sizes[0]);
    int64_t shape = (int64_t)sizes[0];
    spill(in_dir(dir, "m.zst"), one, m);
    for (int i = 0; i < 3; i++) {
        st_file *f;
        st_tensor *t;
        st_ctx_set_threads(ctx, 4);
        assert_ok(st_file_open(in_dir(dir, "m.zst"), &f, &err));
        assert_ok(st_tensor_range(st_file_source(f), n - sizes[0], ST_U8, 1, &shape, "t0", 2, NULL, &t, &err));
        sys_fault(SYS_pwrite, 1, ENOSPC);
        assert_ok(st_export(ctx, t, 0, sizes[0], ST_U8, got, &err));
        assert_true(sys_fault_pending(SYS_pwrite));
        sys_fault(SYS_CALL_COUNT, 0, 0);
        assert_memory_equal(got, p + n - sizes[0], sizes[0]);
        st_tensor_unref(t);
        st_file_close(f);
    }
    free(got);
    free(one);
    free(p);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup_dir, teardown_dir)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_round_trips),    TEST(test_foreign_header), TEST(test_same_bytes_on_any_threads),
        TEST(test_options),        TEST(test_looking),        TEST(test_streams),
        TEST(test_foreign_tables), TEST(test_small_foreign),  TEST(test_zstd_program),
        TEST(test_window),         TEST(test_threads),        TEST(test_copies_of_streams),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
