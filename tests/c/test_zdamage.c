/* test_zdamage.c - compressed files that are damaged, cut short, or lie: nothing wrong is ever read, everything is
 * named, and saves that fail leave nothing. */
#include "fixture.h"
#include "crash.h"
#include "zmodel.h"

#include "file.h"
#include "mem.h"
#include "zcodec.h"
#include "zsource.h"
#include "ztable.h"

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
    return teardown(state);
}

/* All of a file, or why not. The bytes that come are those of `p`. */
static st_status read_all(const char *path, const unsigned char *p, size_t n)
{
    st_file *f;
    unsigned char buf[7000];
    ST_TRY(st_file_open(path, &f, &err));
    st_source *src = st_file_source(f);
    st_status s = ST_OK;
    assert_int_equal(st_file_size(f), n);
    for (size_t off = 0; s == ST_OK && off < n; off += 1500) {
        size_t len = n - off < 1500 ? n - off : 1500;
        s = src->ops->read(src, buf, off, len, &err);
        if (s == ST_OK && memcmp(buf, p + off, len)) fail_msg("wrong bytes at %zu", off);
    }
    if (s == ST_OK) s = st_source_settle(src, &err);
    st_file_close(f);
    return s;
}

static uint64_t count_damages(const char *path, st_damage *first)
{
    st_verdict v;
    st_status s = st_file_verify(ctx, path, NULL, &v, &err);
    if (s != ST_OK) return s == ST_LIMIT ? 1 : 0; /* a window of any size may be asked for */
    if (v.n && first) *first = v.list[0];
    uint64_t total = v.total;
    st_verdict_free(&v);
    return total;
}

static unsigned char *packed_model(const char *kinds, const size_t *sizes, unsigned char **p, size_t *n, size_t *m)
{
    uint64_t bytes;
    *p = zmodel_make(kinds, sizes, n);
    spill(in_dir(dir, "plain"), *p, *n);
    assert_ok(st_file_compress(ctx, in_dir(dir, "plain"), in_dir(dir, "m.zst"), NULL, &bytes, &err));
    return slurp(in_dir(dir, "m.zst"), m);
}

static const size_t SMALL[] = {700, 3, 0, 200};

/* Each bit of a small file: a read gives the right bytes or an error, and the check sees it, but for the few bits in a
 * frame that fill up the last byte of a table: whatever they are, the content is the same, and its checksum right. */
static void test_every_bit(void **state)
{
    (void)state;
    size_t n, m;
    unsigned unseen = 0;
    unsigned char *p, *c = packed_model("wnzr", SMALL, &p, &n, &m);
    for (size_t i = 0; i < m * 8; i++) {
        c[i / 8] = (unsigned char)(c[i / 8] ^ 1 << i % 8);
        spill(in_dir(dir, "flipped"), c, m);
        st_status s = read_all(in_dir(dir, "flipped"), p, n);
        if (s != ST_OK) assert_true(s == ST_FORMAT || s == ST_LIMIT);
        if (s != ST_OK) assert_non_null(strstr(err.message, "flipped: "));
        if (count_damages(in_dir(dir, "flipped"), NULL) == 0) {
            unseen++;
            if (s != ST_OK || i / 8 >= m - st_ztable_bytes(0)) fail_msg("bit %zu of byte %zu of %zu", i % 8, i / 8, m);
        }
        c[i / 8] = (unsigned char)(c[i / 8] ^ 1 << i % 8);
    }
    if (unseen > 12) fail_msg("%u bits", unseen);
    free(p);
    free(c);
}

/* The same of files that others made: of one stream nothing is written before its checksum was seen. */
static void test_every_byte_of_a_stream(void **state)
{
    (void)state;
    size_t n, m;
    unsigned char *p = zmodel_make("wnzr", SMALL, &n);
    for (int i = 0; i < 2; i++) {
        unsigned char *c = zmodel_frames(p, n, i ? 300 : n, true, &m);
        for (size_t k = 0; k < m; k++) {
            c[k] ^= 0x10;
            spill(in_dir(dir, "flipped"), c, m);
            read_all(in_dir(dir, "flipped"), p, n);
            if (count_damages(in_dir(dir, "flipped"), NULL) == 0) fail_msg("byte %zu of %zu", k, m);
            c[k] ^= 0x10;
        }
        free(c);
    }
    free(p);
}

static void test_cut_short(void **state)
{
    (void)state;
    size_t n, m;
    unsigned char *p, *c = packed_model("wnzr", SMALL, &p, &n, &m);
    for (size_t k = 0; k < m; k++) {
        spill(in_dir(dir, "cut"), c, k);
        /* Without its table alone it is still whole, as a stream. */
        st_status s = read_all(in_dir(dir, "cut"), p, n);
        if (s == ST_OK && k < m - st_ztable_bytes(5)) fail_msg("%zu of %zu bytes", k, m);
        if (s != ST_OK) assert_int_equal(s, ST_FORMAT);
    }
    free(p);
    free(c);
}

static void test_places_are_named(void **state)
{
    (void)state;
    static const size_t sizes[] = {100, 600000, 50, 300000};
    size_t n, m;
    st_damage d;
    unsigned char *p, *c = packed_model("nwnw", sizes, &p, &n, &m);
    c[m / 2] ^= 1; /* in the large tensor */
    spill(in_dir(dir, "m.zst"), c, m);
    assert_int_equal(read_all(in_dir(dir, "m.zst"), p, n), ST_FORMAT);
    if (strcmp(err.tensor, "t0001")) fail_msg("%s", err.message);
    assert_int_equal(count_damages(in_dir(dir, "m.zst"), &d), 1);
    assert_string_equal(d.tensor, "t0001");
    assert_int_equal(d.end - d.begin, 524288);
    assert_non_null(strstr(d.message, "t0001"));
    c[m - st_ztable_bytes(0) - 100] ^= 1; /* a checksum of the table, or a size: the last frames */
    c[400] ^= 1;
    spill(in_dir(dir, "m.zst"), c, m);
    assert_true(count_damages(in_dir(dir, "m.zst"), &d) >= 2);
    free(p);
    free(c);
}

/* A damaged header: the rest is checked all the same. */
static void test_damaged_header(void **state)
{
    (void)state;
    static const size_t sizes[] = {100, 600000};
    size_t n, m;
    st_damage d;
    unsigned char *p, *c = packed_model("nw", sizes, &p, &n, &m);
    c[60] ^= 1;
    c[m / 2] ^= 1;
    spill(in_dir(dir, "m.zst"), c, m);
    assert_int_equal(read_all(in_dir(dir, "m.zst"), p, n), ST_FORMAT);
    assert_int_equal(count_damages(in_dir(dir, "m.zst"), &d), 2);
    assert_int_equal(d.begin, 0);
    free(p);
    free(c);
}

/* Of frames without a table, all damaged ones are told. */
static void test_damaged_stream(void **state)
{
    (void)state;
    static const size_t sizes[] = {12000000};
    size_t n, m;
    st_damage d;
    unsigned char *p = zmodel_make("w", sizes, &n), *c = zmodel_frames(p, n, 4500000, true, &m);
    c[m / 6] ^= 1;
    c[m / 6 * 5] ^= 1;
    spill(in_dir(dir, "m.zst"), c, m);
    assert_int_equal(count_damages(in_dir(dir, "m.zst"), &d), 2);
    assert_string_equal(d.tensor, "t0000");
    free(c);
    /* What was read of a frame is right only when its checksum has come. */
    c = zmodel_frames(p, n, n, true, &m);
    c[m - 1] ^= 1;
    spill(in_dir(dir, "m.zst"), c, m);
    st_file *f;
    unsigned char buf[1000];
    assert_ok(st_file_open(in_dir(dir, "m.zst"), &f, &err));
    st_source *src = st_file_source(f);
    assert_ok(st_source_settle(src, &err)); /* nothing was read but the header */
    assert_ok(src->ops->read(src, buf, 5000, sizeof buf, &err));
    assert_int_equal(st_source_settle(src, &err), ST_FORMAT);
    assert_int_equal(src->ops->read(src, buf, 5000, sizeof buf, &err), ST_FORMAT);
    assert_int_equal(st_source_settle(src, &err), ST_FORMAT);
    st_file_close(f);
    uint64_t bytes;
    assert_int_equal(st_file_decompress(ctx, in_dir(dir, "m.zst"), in_dir(dir, "back"), NULL, &bytes, &err), ST_FORMAT);
    assert_int_equal(access(in_dir(dir, "back"), F_OK), -1);
    free(c);
    free(p);
}

/* ---------------------------------------------------------------- lies */

static void put32(unsigned char *p, uint32_t x)
{
    for (int i = 0; i < 4; i++) p[i] = (unsigned char)(x >> 8 * i);
}

/* A file that consists of a table alone, whose n frames claim these sizes. */
static void spill_table(const char *path, uint32_t n, uint32_t packed, uint32_t plain)
{
    size_t head = 20, size = head + (size_t)n * packed + 8 + (size_t)n * 8 + 9;
    unsigned char *b = calloc(1, size), *t = b + head + (size_t)n * packed;
    static const unsigned char first[] = {0x28, 0xb5, 0x2f, 0xfd, 0x20, 0x04, 0x21, 0, 0, 1, 2, 3, 4};
    memcpy(b, first, sizeof first);
    put32(t, 0x184d2a5e);
    put32(t + 4, n * 8 + 9);
    for (uint32_t i = 0; i < n; i++) {
        put32(t + 8 + i * 8, packed + (i == 0) * 20);
        put32(t + 12 + i * 8, plain);
    }
    put32(b + size - 9, n);
    put32(b + size - 4, 0x8f92eab1);
    spill(path, b, size);
    free(b);
}

static void test_lies(void **state)
{
    (void)state;
    st_file *f;
    uint64_t peak = st_memory_peak();
    static const uint32_t plain[] = {0, 1, 4u << 20, (4u << 20) + 1, UINT32_MAX};
    for (size_t i = 0; i < sizeof plain / sizeof *plain; i++) {
        spill_table(in_dir(dir, "lie"), 300000, 9, plain[i]);
        st_status s = st_file_open(in_dir(dir, "lie"), &f, &err);
        assert_true(s == ST_FORMAT || s == ST_LIMIT);
    }
    spill_table(in_dir(dir, "lie"), (2u << 20) + 1, 9, 100);
    assert_int_equal(st_file_open(in_dir(dir, "lie"), &f, &err), ST_LIMIT);
    assert_true(st_memory_peak() - peak < 64 << 20);
}

/* A header of 90 MB that compresses to nothing, or is not there at all. */
static void test_bombs(void **state)
{
    (void)state;
    enum { N = 90 << 20 };
    st_file *f;
    size_t m;
    unsigned char *p = malloc(N), *c;
    memset(p, ' ', N);
    put32(p, N - 8), put32(p + 4, 0);
    memcpy(p + 8, "{}", 2);
    for (size_t frame = 1 << 20; frame <= N; frame += N - (1 << 20)) {
        c = zmodel_frames(p, N, frame, true, &m);
        spill(in_dir(dir, "bomb"), c, m);
        uint64_t before = st_memory_used();
        assert_int_equal(st_file_open(in_dir(dir, "bomb"), &f, &err), ST_LIMIT);
        assert_non_null(strstr(err.message, "bomb: a header of"));
        assert_int_equal(st_memory_used(), before);
        free(c);
    }
    /* Nor is such a file made. */
    uint64_t bytes;
    spill(in_dir(dir, "padded"), p, N);
    int before = count_entries(dir);
    assert_int_equal(st_file_compress(ctx, in_dir(dir, "padded"), in_dir(dir, "padded.zst"), NULL, &bytes, &err),
                     ST_LIMIT);
    assert_non_null(strstr(err.message, "padded.zst: the header of 94371832 bytes"));
    assert_int_equal(count_entries(dir), before);
    free(p);
}

static void test_other_files(void **state)
{
    (void)state;
    size_t n = 3000, m;
    st_file *f;
    unsigned char p[3000] = "GGUF";
    unsigned char *c = zmodel_frames(p, n, n, true, &m);
    spill(in_dir(dir, "other"), c, m);
    assert_int_equal(st_file_open(in_dir(dir, "other"), &f, &err), ST_FORMAT);
    assert_non_null(strstr(err.message, "GGUF"));
    free(c);
    c = zmodel_frames(p, 5, 5, true, &m);
    spill(in_dir(dir, "other"), c, m);
    assert_int_equal(st_file_open(in_dir(dir, "other"), &f, &err), ST_FORMAT);
    free(c);
    static const unsigned char dictionary[] = {0x28, 0xb5, 0x2f, 0xfd, 0x21, 7, 9, 0, 0, 0};
    spill(in_dir(dir, "other"), dictionary, sizeof dictionary);
    assert_int_equal(st_file_open(in_dir(dir, "other"), &f, &err), ST_FORMAT);
    assert_non_null(strstr(err.message, "dictionary"));
    spill(in_dir(dir, "other"), dictionary, 4);
    assert_int_equal(st_file_open(in_dir(dir, "other"), &f, &err), ST_FORMAT);
}

/* ---------------------------------------------------------------- faults */

static st_status both_ways(void)
{
    uint64_t bytes;
    ST_TRY(st_file_compress(ctx, in_dir(dir, "plain"), in_dir(dir, "out.zst"), NULL, &bytes, &err));
    return st_file_decompress(ctx, in_dir(dir, "out.zst"), in_dir(dir, "out"), NULL, &bytes, &err);
}

static void test_faults(void **state)
{
    (void)state;
    static const size_t sizes[] = {300000, 5};
    size_t n;
    unsigned char *p = zmodel_make("wn", sizes, &n);
    st_ctx_set_threads(ctx, 1);
    spill(in_dir(dir, "plain"), p, n);
    int fds = open_fds();
    for (int call = 0; call < SYS_CALL_COUNT; call++)
        for (uint64_t k = 1;; k++) {
            sys_fault((sys_call)call, k, EIO);
            st_status s = both_ways();
            bool met = !sys_fault_pending((sys_call)call);
            sys_fault(SYS_CALL_COUNT, 0, 0);
            bool packed = access(in_dir(dir, "out.zst"), F_OK) == 0, plain = access(in_dir(dir, "out"), F_OK) == 0;
            assert_int_equal(count_entries(dir), 1 + packed + plain);
            if (packed) assert_int_equal(count_damages(in_dir(dir, "out.zst"), NULL), 0);
            if (s == ST_OK) assert_true(packed && plain);
            unlink(in_dir(dir, "out.zst"));
            unlink(in_dir(dir, "out"));
            assert_int_equal(open_fds(), fds);
            if (!met) break;
        }
    free(p);
}

static void test_no_memory(void **state)
{
    (void)state;
    static const size_t sizes[] = {300000, 5};
    size_t n;
    unsigned char *p = zmodel_make("wn", sizes, &n);
    st_ctx_set_threads(ctx, 1);
    spill(in_dir(dir, "plain"), p, n);
    uint64_t before = st_memory_used();
    st_status s = ST_NOMEM;
    for (uint64_t k = 1; s != ST_OK; k++) {
        st_mem_fail_at(k, k % 2);
        s = both_ways();
        if (s == ST_OK) s = st_mem_calls() < k ? ST_OK : ST_NOMEM;
        st_mem_fail_at(0, false);
        assert_int_equal(st_memory_used(), before);
        unlink(in_dir(dir, "out.zst"));
        unlink(in_dir(dir, "out"));
        assert_int_equal(count_entries(dir), 1);
    }
    free(p);
}

/* m.zst, a model in one frame; gives its plain bytes. */
static unsigned char *spill_one_frame(size_t *n)
{
    static const size_t sizes[] = {12000000};
    size_t m;
    unsigned char *p = zmodel_make("w", sizes, n), *c = zmodel_frames(p, *n, *n, true, &m);
    spill(in_dir(dir, "m.zst"), c, m);
    free(c);
    return p;
}

/* A stream that must be unpacked, and cannot be. */
static void test_spool_faults(void **state)
{
    (void)state;
    size_t n;
    st_file *f;
    unsigned char buf[100], *p = spill_one_frame(&n);
    setenv("TMPDIR", dir, 1);
    static const sys_call calls[] = {SYS_open, SYS_pwrite, SYS_pread};
    for (size_t i = 0; i < 3; i++) {
        assert_ok(st_file_open(in_dir(dir, "m.zst"), &f, &err));
        st_source *src = st_file_source(f);
        assert_ok(src->ops->read(src, buf, n - 100, 100, &err));
        sys_fault(calls[i], i == 2 ? 3 : 1, i ? EIO : EACCES);
        st_status s = src->ops->read(src, buf, 5000, 100, &err);
        sys_fault(SYS_CALL_COUNT, 0, 0);
        if (i) assert_int_equal(s, ST_IO);
        if (!i) assert_memory_equal(buf, p + 5000, 100); /* another folder will do */
        st_file_close(f);
    }
    for (int second = 0; second < 2; second++) { /* neither folder will do: opening fails in one, asking in the other */
        assert_ok(st_file_open(in_dir(dir, "m.zst"), &f, &err));
        st_source *src = st_file_source(f);
        assert_ok(src->ops->read(src, buf, n - 100, 100, &err));
        sys_fault(SYS_open, 1, EACCES);
        sys_fault(SYS_fstat, second ? 2 : 1, EIO);
        assert_int_equal(src->ops->read(src, buf, 5000, 100, &err), ST_IO);
        sys_fault(SYS_CALL_COUNT, 0, 0);
        const char *what = second ? "in this order; asking for the free space in /var/tmp"
                                  : "in this order; creating a temporary file in /var/tmp";
        if (!strstr(err.message, what)) fail_msg("%s", err.message);
        st_file_close(f);
    }
    unsetenv("TMPDIR");
    assert_int_equal(count_entries(dir), 1);
    free(p);
}

/* What failed for a reason that may pass can be tried again; when all lies on the disk, the decoder goes. */
static void test_a_spool_that_was_full(void **state)
{
    (void)state;
    size_t n;
    st_file *f;
    unsigned char buf[100], *p = spill_one_frame(&n);
    assert_ok(st_file_open(in_dir(dir, "m.zst"), &f, &err));
    uint64_t asleep = st_memory_used();
    st_source *src = st_file_source(f);
    assert_ok(src->ops->read(src, buf, n - 100, 100, &err));
    for (unsigned k = 1; k < 8; k += 3) { /* each time some more lies there */
        sys_fault(SYS_pwrite, k, ENOSPC);
        st_status s = src->ops->read(src, buf, 3000000, 100, &err);
        sys_fault(SYS_CALL_COUNT, 0, 0);
        assert_int_equal(s, ST_SPACE);
        assert_non_null(strstr(err.message, "m.zst: "));
    }
    st_mem_fail_at(1, false);
    assert_int_equal(src->ops->read(src, buf, 3000000, 100, &err), ST_NOMEM);
    st_mem_fail_at(0, false);
    assert_int_equal(st_memory_used(), asleep);
    for (size_t at = 0; at < n - 100; at += 1000003) {
        assert_ok(src->ops->read(src, buf, at, 100, &err));
        assert_memory_equal(buf, p + at, 100);
    }
    assert_ok(src->ops->read(src, buf, n - 100, 100, &err));
    assert_memory_equal(buf, p + n - 100, 100);
    assert_ok(st_source_settle(src, &err));
    assert_int_equal(st_memory_used(), asleep);
    st_file_close(f);
    free(p);
}

/* What lies on the disk of a frame that turned out to be damaged is not saved either. */
static void test_a_spool_beyond_damage(void **state)
{
    (void)state;
    enum { FRAME = 20000000 };
    static const size_t sizes[] = {3 * FRAME};
    size_t n, m, two;
    st_file *f;
    unsigned char buf[100], *p = zmodel_make("w", sizes, &n), *c = zmodel_frames(p, 2 * FRAME, FRAME, true, &two);
    free(c);
    c = zmodel_frames(p, n, FRAME, true, &m);
    c[two - 1] ^= 1; /* the checksum of the second */
    spill(in_dir(dir, "m.zst"), c, m);
    assert_ok(st_file_open(in_dir(dir, "m.zst"), &f, &err));
    st_source *src = st_file_source(f);
    assert_ok(src->ops->read(src, buf, FRAME / 4 * 3, 100, &err));
    assert_ok(src->ops->read(src, buf, 5000, 100, &err)); /* from now on by the disk */
    assert_ok(st_source_settle(src, &err));
    assert_int_equal(src->ops->read(src, buf, FRAME / 2 * 5, 100, &err), ST_FORMAT);
    assert_ok(src->ops->read(src, buf, 5000, 100, &err));
    assert_ok(st_source_settle(src, &err)); /* the first frame is sound */
    if (src->ops->read(src, buf, FRAME / 2 * 3, 100, &err) == ST_OK)
        assert_int_equal(st_source_settle(src, &err), ST_FORMAT);
    st_file_close(f);
    free(p);
    free(c);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup_dir, teardown_dir)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_every_bit),
        TEST(test_every_byte_of_a_stream),
        TEST(test_cut_short),
        TEST(test_places_are_named),
        TEST(test_damaged_header),
        TEST(test_damaged_stream),
        TEST(test_lies),
        TEST(test_bombs),
        TEST(test_other_files),
        TEST(test_faults),
        TEST(test_no_memory),
        TEST(test_spool_faults),
        TEST(test_a_spool_that_was_full),
        TEST(test_a_spool_beyond_damage),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
