/* test_hashes.c - the hashes of files: against digests of the same bytes put together here, on one thread and on
 * several, for tensors in any order, short files and what is no model; faults, failing allocations, a cancel. */
#include "crash.h"

#include "context.h"
#include "digest.h"
#include "header.h"
#include "mem.h"
#include "sys.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static st_err err;
static st_ctx *ctx;
static char *dir;

static int setup(void **state)
{
    (void)state;
    dir = scratch_new();
    return st_ctx_new(&ctx, &err) == ST_OK ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    st_mem_fail_at(0, false);
    sys_fault(SYS_CALL_COUNT, 0, 0);
    st_ctx_free(ctx);
    scratch_free(dir);
    return st_memory_used() != 0;
}

enum { LARGE = 1500000, SMALL = 9000 };

/* A file's bytes, and those of the data as the reference library orders them: F32 before U8, names ascending. */
typedef struct made {
    unsigned char *bytes, *ordered;
    size_t n, data_start, ordered_n;
} made;

/* Two tensors: "a" U8 and "b" F32. `sorted`: b lies first, as it should. Random bytes. */
static made make(bool sorted, const char *meta, size_t small)
{
    char text[1024];
    size_t first = sorted ? LARGE : small, second = sorted ? small : LARGE;
    int len = snprintf(text, sizeof text,
                       "{%s\"%s\":{\"dtype\":\"%s\",\"shape\":[%zu],\"data_offsets\":[0,%zu]},"
                       "\"%s\":{\"dtype\":\"%s\",\"shape\":[%zu],\"data_offsets\":[%zu,%zu]}}",
                       meta, sorted ? "b" : "a", sorted ? "F32" : "U8", sorted ? first / 4 : first, first,
                       sorted ? "a" : "b", sorted ? "U8" : "F32", sorted ? second : second / 4, first, first + second);
    made m = {.n = 8 + (size_t)len + first + second, .data_start = 8 + (size_t)len, .ordered_n = first + second};
    m.bytes = calloc(1, m.n);
    m.ordered = calloc(1, m.ordered_n);
    m.bytes[0] = (unsigned char)len;
    m.bytes[1] = (unsigned char)(len >> 8);
    memcpy(m.bytes + 8, text, (size_t)len);
    rng r = {7};
    for (size_t i = m.data_start; i < m.n; i++) m.bytes[i] = (unsigned char)rng_next(&r);
    memcpy(m.ordered, m.bytes + m.data_start + (sorted ? 0 : first), sorted ? first : second);
    memcpy(m.ordered + LARGE, m.bytes + m.data_start + (sorted ? first : 0), sorted ? second : first);
    return m;
}

static void release(made *m)
{
    free(m->bytes);
    free(m->ordered);
}

static const char *hex_of(const void *bytes, size_t n)
{
    static char out[4][65];
    static int turn;
    char *to = out[turn++ & 3];
    assert_ok(st_sha256_hex(bytes, n, to, &err));
    return to;
}

static void assert_begins(const char *got, const void *bytes, size_t n, size_t digits)
{
    assert_int_equal(strlen(got), digits);
    assert_memory_equal(got, hex_of(bytes, n), digits);
}

/* The header that the reference library writes for these tensors and metadata: its length. */
static size_t canonical_head(size_t small, const char *key, const char *value)
{
    if (!key) { /* "__metadata__":{}, as sd-scripts asks for */
        char text[300];
        int n = snprintf(text, sizeof text,
                         "{\"__metadata__\":{},\"b\":{\"dtype\":\"F32\",\"shape\":[%d],\"data_offsets\":[0,%d]},"
                         "\"a\":{\"dtype\":\"U8\",\"shape\":[%zu],\"data_offsets\":[%d,%zu]}}",
                         LARGE / 4, LARGE, small, LARGE, LARGE + small);
        return 8 + ((size_t)n + 7) / 8 * 8;
    }
    int64_t b = LARGE / 4, a = (int64_t)small;
    st_header_entry e[2] = {{.name = "a", .name_len = 1, .dtype = ST_U8, .ndim = 1, .shape = &a},
                            {.name = "b", .name_len = 1, .dtype = ST_F32, .ndim = 1, .shape = &b}};
    st_meta_pair meta = {{key, key ? strlen(key) : 0}, {value, value ? strlen(value) : 0}};
    uint64_t size;
    char *text;
    size_t len;
    assert_ok(st_header_layout(e, 2, "x", &size, &err));
    assert_ok(st_header_write(e, 2, &meta, key ? 1 : 0, 0, "x", &text, &len, &err));
    st_free(text);
    return len;
}

static void check(bool sorted, unsigned threads)
{
    made m = make(sorted, "\"__metadata__\":{\"ss_a\":\"1\",\"title\":\"long enough to matter\"},", SMALL);
    const char *path = in_dir(dir, "m.safetensors");
    st_hashes h;
    spill(path, m.bytes, m.n);
    st_ctx_set_threads(ctx, threads);
    assert_ok(st_hash_files(ctx, &path, 1, false, &h, &err));
    assert_begins(h.sha256, m.bytes, m.n, 64);
    assert_begins(h.data_sha256, m.bytes + m.data_start, m.n - m.data_start, 64);
    assert_begins(h.autov1, m.bytes + 0x100000, 0x10000, 8);
    assert_begins(h.sshs_model, m.ordered, m.ordered_n, 64);
    assert_begins(h.sshs_legacy, m.ordered + (0x100000 - canonical_head(SMALL, "ss_a", "1")), 0x10000, 8);
    assert_ok(st_hash_files(ctx, &path, 1, true, &h, &err));
    assert_begins(h.sha256, m.bytes, m.n, 64);
    assert_begins(h.autov1, m.bytes + 0x100000, 0x10000, 8);
    assert_true(h.data_sha256[0] == '\0' && h.sshs_model[0] == '\0' && h.sshs_legacy[0] == '\0');
    release(&m);
}

static void test_tensors_in_order(void **state)
{
    (void)state;
    check(true, 1);
    check(true, 4);
}

static void test_tensors_in_another_order(void **state)
{
    (void)state;
    check(false, 1);
    check(false, 4);
}

/* The 64 KiB reach over the border between two tensors, and beyond the end. */
static void test_legacy_at_a_border(void **state)
{
    (void)state;
    const char *path = in_dir(dir, "m.safetensors");
    for (size_t small = 0; small < 1200000; small += 399000) {
        made m = make(false, "", small);
        st_hashes h;
        spill(path, m.bytes, m.n);
        assert_ok(st_hash_files(ctx, &path, 1, false, &h, &err));
        size_t at = 0x100000 - canonical_head(small, NULL, NULL);
        size_t n = m.ordered_n - at < 0x10000 ? m.ordered_n - at : 0x10000;
        assert_begins(h.sshs_legacy, m.ordered + at, n, 8);
        release(&m);
    }
}

static void test_short_files_and_others(void **state)
{
    (void)state;
    const char *names[] = {"empty", "seven", "text", "cut"};
    const char *paths[4];
    static unsigned char text[0x100000 + 10];
    memset(text, 'x', sizeof text);
    made m = make(true, "", SMALL);
    for (int i = 0; i < 4; i++) paths[i] = strdup(in_dir(dir, names[i]));
    spill(paths[0], "", 0);
    spill(paths[1], "seven b", 7);
    spill(paths[2], text, sizeof text);
    spill(paths[3], m.bytes, m.n - 1);
    st_hashes h[4];
    for (unsigned threads = 1; threads < 8; threads += 5) {
        st_ctx_set_threads(ctx, threads);
        assert_ok(st_hash_files(ctx, paths, 4, false, h, &err));
        assert_string_equal(h[0].sha256, hex_of("", 0));
        assert_string_equal(h[0].autov1, "e3b0c442");
        assert_begins(h[1].sha256, "seven b", 7, 64);
        assert_string_equal(h[1].autov1, "e3b0c442");
        assert_begins(h[2].autov1, "xxxxxxxxxx", 10, 8);
        assert_begins(h[3].sha256, m.bytes, m.n - 1, 64);
        for (int i = 0; i < 4; i++) {
            assert_string_equal(h[i].data_sha256, "");
            assert_string_equal(h[i].sshs_model, "");
            assert_string_equal(h[i].sshs_legacy, "");
        }
    }
    for (int i = 0; i < 4; i++) free((char *)paths[i]);
    release(&m);
}

/* Long enough that who reads ahead must wait for room, and for two files at once. */
static void test_reading_ahead(void **state)
{
    (void)state;
    enum { LONG = 7 * 1000 * 1000 + 13 };
    const char *paths[2] = {strdup(in_dir(dir, "one")), strdup(in_dir(dir, "other"))};
    unsigned char *bytes = malloc(LONG);
    rng r = {11};
    for (size_t i = 0; i < LONG; i++) bytes[i] = (unsigned char)rng_next(&r);
    spill(paths[0], bytes, LONG);
    spill(paths[1], bytes + 1, LONG - 1);
    st_hashes h[2];
    for (unsigned threads = 1; threads < 6; threads++)
        for (size_t n = 1; n <= 2; n++) {
            st_ctx_set_threads(ctx, threads);
            assert_ok(st_hash_files(ctx, paths, n, true, h, &err));
            assert_begins(h[0].sha256, bytes, LONG, 64);
            if (n > 1) assert_begins(h[1].sha256, bytes + 1, LONG - 1, 64);
        }
    free(bytes);
    for (int i = 0; i < 2; i++) free((char *)paths[i]);
}

static void test_no_such_file_and_no_files(void **state)
{
    (void)state;
    const char *paths[] = {in_dir(dir, "nothing"), dir};
    st_hashes h[2];
    assert_int_equal(st_hash_files(ctx, paths, 1, false, h, &err), ST_IO);
    assert_non_null(strstr(err.message, "nothing"));
    assert_int_equal(st_hash_files(ctx, paths + 1, 1, false, h, &err), ST_IO);
    assert_ok(st_hash_files(ctx, paths, 0, false, h, &err));
}

static void test_faults_and_allocations(void **state)
{
    (void)state;
    made m = make(false, "", SMALL);
    const char *path = in_dir(dir, "m.safetensors");
    spill(path, m.bytes, m.n);
    st_hashes h;
    int before = open_fds();
    st_ctx_set_threads(ctx, 4); /* some read for the others */
    for (int i = 0; i < 2 * fault_error_count; i++) {
        int error = fault_errors[i / 2];
        bool met = true, whole = i % 2;
        for (uint64_t k = 1; met; k++) {
            sys_fault(SYS_pread, k, error);
            st_status s = st_hash_files(ctx, &path, 1, whole, &h, &err);
            met = !sys_fault_pending(SYS_pread);
            sys_fault(SYS_pread, 0, 0);
            if (met && !harmless(SYS_pread, error)) assert_true(s == ST_IO || s == ST_SPACE);
            if (s == ST_OK) assert_begins(h.sha256, m.bytes, m.n, 64);
            assert_int_equal(open_fds(), before);
        }
    }
    uint64_t used = st_memory_used();
    for (unsigned threads = 1; threads < 8; threads += 3) /* with threads an allocation may not be asked for */
        for (uint64_t n = 1, fine = 0; fine < threads; n++) {
            st_ctx_set_threads(ctx, threads);
            st_mem_fail_at(n, false);
            st_status s = st_hash_files(ctx, &path, 1, threads > 1, &h, &err);
            st_mem_fail_at(0, false);
            assert_int_equal(st_memory_used(), used);
            fine += s == ST_OK;
            if (s != ST_OK) assert_int_equal(s, ST_NOMEM);
            assert_true(n < 1000);
        }
    release(&m);
}

static void test_cancel(void **state)
{
    (void)state;
    made m = make(true, "", SMALL);
    const char *path = in_dir(dir, "m.safetensors");
    spill(path, m.bytes, m.n);
    st_hashes h;
    st_ctx_cancel(ctx);
    assert_int_equal(st_hash_files(ctx, &path, 1, false, &h, &err), ST_CANCELLED);
    st_ctx_resume(ctx);
    assert_ok(st_hash_files(ctx, &path, 1, false, &h, &err));
    release(&m);
}

static bool refuse(void *user, const st_progress *p)
{
    (void)user;
    return p->done == p->total;
}

/* The thread that is asked may be one that reads for another. */
static void test_cancel_on_the_way(void **state)
{
    (void)state;
    const char *path = in_dir(dir, "large");
    st_hashes h;
    spill(path, "", 0);
    assert_int_equal(truncate(path, 2000000000), 0);
    st_ctx_set_progress(ctx, refuse, NULL);
    for (int i = 0; i < 4; i++) {
        st_ctx_set_threads(ctx, i < 3 ? 4 : 1);
        assert_int_equal(st_hash_files(ctx, &path, 1, true, &h, &err), ST_CANCELLED);
        st_ctx_resume(ctx);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_tensors_in_order, setup, teardown),
        cmocka_unit_test_setup_teardown(test_tensors_in_another_order, setup, teardown),
        cmocka_unit_test_setup_teardown(test_legacy_at_a_border, setup, teardown),
        cmocka_unit_test_setup_teardown(test_short_files_and_others, setup, teardown),
        cmocka_unit_test_setup_teardown(test_reading_ahead, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_such_file_and_no_files, setup, teardown),
        cmocka_unit_test_setup_teardown(test_faults_and_allocations, setup, teardown),
        cmocka_unit_test_setup_teardown(test_cancel, setup, teardown),
        cmocka_unit_test_setup_teardown(test_cancel_on_the_way, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
