/* test_zip.c - the directory of a zip archive: what is read, and every way in which its records can contradict each
 * other. */
#include "zip_build.h"

#include "mem.h"
#include "zip.h"

static st_err err;
static zip_build *z;

static int setup(void **state)
{
    (void)state;
    z = calloc(1, sizeof *z);
    zip_add(z, "a/data.pkl", "pickle", 6);
    zip_add(z, "a/data/0", "0123456789", 10);
    zip_add(z, "empty", "", 0);
    return z ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    free(z);
    st_mem_fail_at(0, false);
    return st_memory_used() != 0;
}

static st_status read_zip(st_zip *out)
{
    mem_source *m = mem_source_new(z->bytes, z->n);
    st_status s = st_zip_read(&m->base, out, &err);
    st_source_unref(&m->base);
    return s;
}

static void expect(st_status status, const char *text)
{
    st_zip out;
    assert_int_equal(read_zip(&out), status);
    if (status == ST_OK) {
        st_zip_free(&out);
    } else if (!strstr(err.message, text)) {
        fail_msg("expected \"%s\" in \"%s\"", text, err.message);
    }
}

static void test_contents(void **state)
{
    (void)state;
    st_zip out;
    zip_end(z);
    mem_source *m = mem_source_new(z->bytes, z->n);
    assert_ok(st_zip_read(&m->base, &out, &err));
    assert_int_equal(out.count, 3);
    const st_zip_entry *e = st_zip_find(&out, "a/data/0", 8);
    assert_non_null(e);
    assert_int_equal(e->size, 10);
    assert_memory_equal(z->bytes + e->offset, "0123456789", 10);
    assert_null(st_zip_find(&out, "a/data/1", 8));
    assert_null(st_zip_find(&out, "a/data/", 7));
    assert_ok(st_zip_check(&m->base, e, &err));
    m->bytes[e->offset] ^= 1;
    assert_int_equal(st_zip_check(&m->base, e, &err), ST_FORMAT);
    assert_non_null(strstr(err.message, "wrong checksum"));
    st_zip_free(&out);
    st_source_unref(&m->base);
}

/* ---------------------------------------------------------------- one lie each */

static void test_lies(void **state)
{
    (void)state;
    zip_build *good = calloc(1, sizeof *good);
    zip_end(z);
    *good = *z;
    expect(ST_OK, "");
    static const struct {
        char record; /* l, c, e: of entry 1, or the last one */
        size_t at;
        uint64_t value;
        int bytes;
        st_status status;
        const char *text;
    } lies[] = {
        {'c', 20, 11, 4, ST_FORMAT, "has sizes that do not fit"},
        {'c', 24, 11, 4, ST_FORMAT, "has sizes that do not fit"},
        {'c', 24, UINT32_MAX, 4, ST_FORMAT, "has sizes that do not fit"},
        {'c', 42, 1, 4, ST_FORMAT, "is not at 1"},
        {'c', 42, 0, 4, ST_FORMAT, "is another one"},
        {'c', 42, 100000, 4, ST_FORMAT, "is said to be at 100000"},
        {'c', 8, 1, 2, ST_LIMIT, "is encrypted"},
        {'c', 8, 8, 2, ST_FORMAT, "packed otherwise"},
        {'c', 10, 8, 2, ST_FORMAT, "packed otherwise"},
        {'c', 16, 7, 4, ST_FORMAT, "another checksum"},
        {'c', 28, 200, 2, ST_FORMAT, "leaves its directory"},
        {'c', 0, 0, 4, ST_FORMAT, "entry 2 is missing"},
        {'c', 34, 1, 2, ST_FORMAT, "several files"},
        {'l', 0, 0, 4, ST_FORMAT, "is not at"},
        {'l', 18, 9, 4, ST_FORMAT, "10 bytes in the directory, 9 by"},
        {'l', 22, 9, 4, ST_FORMAT, "by the header in front of it"},
        {'l', 14, 9, 4, ST_FORMAT, "another checksum"},
        {'l', 8, 8, 2, ST_FORMAT, "packed otherwise"},
        {'l', 6, 1, 2, ST_FORMAT, "packed otherwise"},
        {'l', 26, 7, 2, ST_FORMAT, "another one"},
        {'l', 28, 60000, 2, ST_FORMAT, "leaves the archive"},
        {'l', 28, 9, 2, ST_FORMAT, "inside another one"},
        {'e', 8, 2, 2, ST_FORMAT, "several files"},
        {'e', 4, 1, 2, ST_FORMAT, "several files"},
        {'e', 12, 5, 4, ST_FORMAT, "is said to be at"},
        {'e', 16, 5, 4, ST_FORMAT, "is said to be at"},
        {'e', 16, UINT32_MAX, 4, ST_FORMAT, "zip64"},
        {'e', 20, 5, 2, ST_FORMAT, "no directory"},
        {'e', 0, 0, 4, ST_FORMAT, "no directory"},
    };
    for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
        *z = *good;
        unsigned char *record = lies[i].record == 'l'   ? z->bytes + z->local[1]
                                : lies[i].record == 'c' ? zip_central(z, 1)
                                                        : z->bytes + z->end;
        zip_put(record + lies[i].at, lies[i].value, lies[i].bytes);
        expect(lies[i].status, lies[i].text);
    }
    for (uint64_t count = 0; count < 10; count++) { /* the number of entries */
        if (count == 3) continue;
        *z = *good;
        zip_put(z->bytes + z->end + 8, count, 2);
        zip_put(z->bytes + z->end + 10, count, 2);
        expect(ST_FORMAT, count < 3 ? "stand behind the last entry" : "entries in a directory");
    }
    free(good);
}

static void test_a_name_twice(void **state)
{
    (void)state;
    zip_add(z, "a/data/0", "another", 7);
    zip_end(z);
    expect(ST_FORMAT, "\"a/data/0\" is there twice");
}

static void test_names(void **state)
{
    (void)state;
    static const struct {
        const char *name, *text;
    } names[] = {{"../x", "leaves its folder"},
                 {"x/../../y", "leaves its folder"},
                 {"/etc/passwd", "no relative path"},
                 {"a\\b", "no relative path"},
                 {"", "has no name"},
                 {"x/..", "leaves its folder"},
                 {"..", "leaves its folder"}};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        memset(z, 0, sizeof *z);
        zip_add(z, names[i].name, "x", 1);
        zip_end(z);
        expect(ST_FORMAT, names[i].text);
    }
}

static void test_around(void **state)
{
    (void)state;
    zip_end(z);
    zip_build *good = calloc(1, sizeof *good);
    *good = *z;
    zip_add_raw(z, "more", 4);
    expect(ST_FORMAT, "4 bytes stand behind its end");
    *z = *good; /* a comment may be there, and hold anything */
    zip_put(z->bytes + z->end + 20, 4, 2);
    zip_add_raw(z, "PK\5\6", 4);
    expect(ST_OK, "");
    for (size_t n = 0; n < good->n; n++) {
        *z = *good;
        z->n = n;
        st_zip out;
        assert_int_equal(read_zip(&out), ST_FORMAT);
    }
    memset(z, 0, sizeof *z); /* something in front, which the offsets know of */
    zip_add_raw(z, "#!/bin/sh\n", 10);
    zip_add(z, "a", "x", 1);
    zip_end(z);
    expect(ST_FORMAT, "10 bytes stand before its first entry");
    memset(z, 0, sizeof *z);
    zip_end(z);
    expect(ST_OK, "");
    free(good);
}

/* Sizes of 64 bits where the old ones are all ones, and a record behind the entry. */
static void test_zip64_and_descriptors(void **state)
{
    (void)state;
    unsigned char *b = z->bytes;
    memset(z, 0, sizeof *z);
    zip_add(z, "big", "12345", 5);
    /* local: extra field of 20 bytes between name and data */
    memmove(b + 33 + 20, b + 33, 5);
    z->n += 20;
    zip_put(b + 18, UINT32_MAX, 4);
    zip_put(b + 22, UINT32_MAX, 4);
    zip_put(b + 28, 20, 2);
    zip_put(b + 33, 1, 2);
    zip_put(b + 35, 16, 2);
    zip_put(b + 37, 5, 8);
    zip_put(b + 45, 5, 8);
    zip_add(z, "later", "678", 3);
    unsigned char *l = b + z->local[1];
    zip_put(l + 6, 8, 2); /* sizes come behind */
    zip_put(l + 14, 0, 4);
    zip_put(l + 18, 0, 4);
    zip_put(l + 22, 0, 4);
    zip_put(z->directory + z->central[1] + 8, 8, 2);
    zip_add_raw(z, "PK\7\10ccccnnnnnnnn", 16);
    /* directory and end in zip64 */
    size_t at = z->n;
    zip_add_raw(z, z->directory, z->directory_len);
    unsigned char r[56 + 20 + 22] = {0};
    zip_put(r, 0x06064b50, 4);
    zip_put(r + 4, 44, 8);
    zip_put(r + 24, 2, 8);
    zip_put(r + 32, 2, 8);
    zip_put(r + 40, z->directory_len, 8);
    zip_put(r + 48, at, 8);
    zip_put(r + 56, 0x07064b50, 4);
    zip_put(r + 64, z->n, 8);
    zip_put(r + 72, 1, 4);
    zip_put(r + 76, 0x06054b50, 4);
    zip_put(r + 84, 0xffff, 2);
    zip_put(r + 86, 0xffff, 2);
    zip_put(r + 88, UINT32_MAX, 4);
    zip_put(r + 92, UINT32_MAX, 4);
    size_t record = z->n;
    zip_add_raw(z, r, sizeof r);
    st_zip out;
    assert_ok(read_zip(&out));
    assert_int_equal(out.count, 2);
    assert_int_equal(out.entries[0].size, 5);
    assert_memory_equal(b + out.entries[0].offset, "12345", 5);
    assert_memory_equal(b + out.entries[1].offset, "678", 3);
    st_zip_free(&out);
    zip_build *good = calloc(1, sizeof *good);
    *good = *z;
    zip_put(b + record + 56 + 8, record + 1, 8);
    expect(ST_FORMAT, "the zip64 record is said to be at");
    *z = *good;
    zip_put(b + record + 48, UINT64_MAX, 8);
    expect(ST_FORMAT, "is said to be at");
    *z = *good;
    zip_put(b + record + 24, UINT64_MAX, 8);
    zip_put(b + record + 32, UINT64_MAX, 8);
    expect(ST_LIMIT, "the limits are");
    *z = *good;
    zip_put(b + 37, 6, 8);
    expect(ST_FORMAT, "by the header in front of it");
    free(good);
}

/* Entries inside the headers of others cost no more time than the file is long. */
static void test_headers_in_headers(void **state)
{
    (void)state;
    memset(z, 0, sizeof *z);
    for (unsigned i = 0; i < ZIP_ENTRIES; i++) {
        const char name[2] = {(char)('a' + i), '\0'};
        zip_add(z, name, "", 0);
        zip_put(z->bytes + z->local[i] + 28, 300, 2);
    }
    z->n += 400;
    zip_end(z);
    expect(ST_FORMAT, "its entries overlap");
}

static void test_without_memory(void **state)
{
    (void)state;
    zip_end(z);
    mem_source *m = mem_source_new(z->bytes, z->n);
    st_status s = ST_NOMEM;
    for (uint64_t k = 1; s != ST_OK; k++) {
        st_zip out;
        st_mem_fail_at(k, false);
        s = st_zip_read(&m->base, &out, &err);
        st_mem_fail_at(0, false);
        assert_true(s == ST_OK || s == ST_NOMEM);
        if (s == ST_OK) st_zip_free(&out);
    }
    m->broken = true;
    st_zip out;
    assert_int_not_equal(st_zip_read(&m->base, &out, &err), ST_OK);
    st_source_unref(&m->base);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_contents, setup, teardown),
        cmocka_unit_test_setup_teardown(test_lies, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_name_twice, setup, teardown),
        cmocka_unit_test_setup_teardown(test_names, setup, teardown),
        cmocka_unit_test_setup_teardown(test_around, setup, teardown),
        cmocka_unit_test_setup_teardown(test_zip64_and_descriptors, setup, teardown),
        cmocka_unit_test_setup_teardown(test_headers_in_headers, setup, teardown),
        cmocka_unit_test_setup_teardown(test_without_memory, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
