/* test_gguf.c - headers of GGUF files that lie, and blocks of quantised types with values known by hand. */
#include "support.h"

#include "gguf.h"
#include "kern.h"
#include "mem.h"

#include <stdio.h>
#include <string.h>

static st_err err;

static int teardown(void **state)
{
    (void)state;
    st_mem_fail_at(0, false);
    return st_memory_used() != 0;
}

/* ---------------------------------------------------------------- made files */

typedef struct file {
    unsigned char p[1 << 16];
    size_t n;
} file;

static void put(file *f, const void *bytes, size_t n)
{
    memcpy(f->p + f->n, bytes, n);
    f->n += n;
}
static void put_int(file *f, uint64_t v, int width)
{
    for (int i = 0; i < width; i++) f->p[f->n++] = (unsigned char)(v >> (8 * i));
}
static void put_text(file *f, const char *s)
{
    put_int(f, strlen(s), 8);
    put(f, s, strlen(s));
}

static void begin(file *f, uint64_t version, uint64_t tensors, uint64_t pairs)
{
    f->n = 0;
    put(f, "GGUF", 4);
    put_int(f, version, 4);
    put_int(f, tensors, 8);
    put_int(f, pairs, 8);
}

static void put_tensor(file *f, const char *name, int ndim, const uint64_t *sizes, uint64_t type, uint64_t offset)
{
    put_text(f, name);
    put_int(f, (uint64_t)ndim, 4);
    for (int d = 0; d < ndim; d++) put_int(f, sizes[d], 8);
    put_int(f, type, 4);
    put_int(f, offset, 8);
}

/* `n` bytes of data behind the padding. */
static void end(file *f, size_t n)
{
    while (f->n % 32) f->p[f->n++] = 0;
    memset(f->p + f->n, 0, n);
    f->n += n;
}

static st_status read_file(const file *f, bool skip, st_listing **l)
{
    mem_source *m = mem_source_new(f->p, f->n);
    const st_open_opts opts = {.skip = skip};
    *l = st_calloc(1, sizeof **l);
    st_status s = *l ? st_gguf_read(&m->base, &opts, *l, &err) : st_fail_nomem(&err, 0);
    if (s != ST_OK) {
        st_listing_free(*l);
        *l = NULL;
    }
    st_source_unref(&m->base);
    return s;
}

static void expect(const file *f, st_status status, const char *text)
{
    st_listing *l;
    st_status s = read_file(f, false, &l);
    if (s != status || (s != ST_OK && !strstr(err.message, text)))
        fail_msg("expected %d \"%s\", got %d \"%s\"", status, text, s, s ? err.message : "");
    st_listing_free(l);
}

/* ---------------------------------------------------------------- headers */

static void test_tensors(void **state)
{
    (void)state;
    static file f;
    static const uint64_t sizes[4] = {32, 3, 2, 1};
    st_listing *l;
    begin(&f, 2, 2, 0);
    put_tensor(&f, "a", 3, sizes, 8, 224); /* Q8_0 */
    put_tensor(&f, "b", 2, (uint64_t[]){2, 3}, 1, 0);
    end(&f, 224 + 204);
    assert_ok(read_file(&f, false, &l));
    assert_int_equal(l->count, 2);
    assert_int_equal(l->list[0].ndim, 3);
    assert_int_equal(l->list[0].shape[0], 2); /* the slowest comes first here */
    assert_int_equal(l->list[0].shape[2], 32);
    assert_int_equal(l->list[0].bytes, 204);
    assert_int_equal(l->list[0].coding, ST_CODED_Q8_0);
    assert_int_equal(l->list[0].dtype, ST_F32);
    assert_int_equal(l->list[1].dtype, ST_F16);
    assert_int_equal(l->list[1].offset % 32, 0);
    assert_int_equal(l->list[0].offset, l->list[1].offset + 224);
    st_listing_free(l);
    begin(&f, 3, 0, 0);
    expect(&f, ST_OK, "");
}

/* ComfyUI-GGUF's tensors whose rows are no whole blocks. */
static void test_original_shapes(void **state)
{
    (void)state;
    static file f;
    static const struct {
        const char *key;
        uint64_t sizes[5];
        int n, ndim;
        int64_t first;
    } cases[] = {
        {"comfy.gguf.orig_shape.w", {8, 2, 2, 1, 1}, 5, 5, 8},
        {"comfy.gguf.orig_shape.w", {8, 2, 2}, 3, 3, 8},
        {"comfy.gguf.orig_shape.w", {8, 2, 3}, 3, 2, 1}, /* another number of elements */
        {"comfy.gguf.orig_shape.w", {INT32_MAX, INT32_MAX, INT32_MAX}, 3, 2, 1},
        {"comfy.gguf.orig_shape.w", {0}, 0, 2, 1},
        {"comfy.gguf.orig_shape.v", {8, 2, 2}, 3, 2, 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        st_listing *l;
        begin(&f, 3, 1, 1);
        put_text(&f, cases[i].key);
        put_int(&f, 9, 4);
        put_int(&f, 5, 4); /* I32 */
        put_int(&f, (uint64_t)cases[i].n, 8);
        for (int d = 0; d < cases[i].n; d++) put_int(&f, cases[i].sizes[d], 4);
        put_tensor(&f, "w", 2, (uint64_t[]){32, 1}, 8, 0);
        end(&f, 34);
        assert_ok(read_file(&f, false, &l));
        assert_int_equal(l->list[0].ndim, cases[i].ndim);
        assert_int_equal(l->list[0].shape[0], cases[i].first);
        assert_int_equal(l->list[0].bytes, 34);
        st_listing_free(l);
    }
}

static void one(file *f, int ndim, const uint64_t *sizes, uint64_t type, uint64_t offset, size_t data)
{
    begin(f, 3, 1, 0);
    put_tensor(f, "w", ndim, sizes, type, offset);
    end(f, data);
}

static void test_lies(void **state)
{
    (void)state;
    static file f;
    static const struct {
        int ndim;
        uint64_t sizes[4], type, offset;
        size_t data;
        st_status status;
        const char *text;
    } cases[] = {
        {1, {4}, 0, 0, 16, ST_OK, ""},
        {1, {4}, 0, 0, 17, ST_OK, ""},
        {0, {0}, 0, 0, 4, ST_OK, ""},
        {1, {0}, 0, 0, 0, ST_OK, ""},
        {1, {4}, 0, 0, 15, ST_FORMAT, "do not lie in the data of 15 bytes"},
        {1, {4}, 0, 32, 16, ST_FORMAT, "do not lie in the data"},
        {1, {4}, 0, 8, 64, ST_FORMAT, "not on its alignment of 32"},
        {1, {4}, 0, UINT64_MAX - 31, 64, ST_FORMAT, "do not lie in the data"},
        {1, {UINT64_MAX}, 0, 0, 64, ST_FORMAT, "a size of"},
        {1, {INT64_MAX}, 0, 0, 64, ST_FORMAT, "a product that does not fit"},
        {2, {1ull << 32, 1ull << 32}, 24, 0, 64, ST_FORMAT, "a product that does not fit"},
        {2, {1ull << 40, 1ull << 18}, 0, 0, 64, ST_FORMAT, "do not lie in the data"},
        {1, {31}, 8, 0, 64, ST_FORMAT, "rows of 31 elements are not whole blocks of 32 (Q8_0)"},
        {2, {16, 2}, 8, 0, 64, ST_FORMAT, "not whole blocks"},
        {0, {0}, 8, 0, 64, ST_FORMAT, "not whole blocks"},
        {1, {256}, 14, 0, 209, ST_FORMAT, "do not lie in the data of 209 bytes"},
        {1, {256}, 10, 0, 84, ST_DTYPE, "w: it is quantised as Q2_K"},
        {1, {256}, 10, 0, 83, ST_FORMAT, "do not lie in the data"},
        {1, {256}, 999, 0, 84, ST_DTYPE, "w: it is of type 999"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        one(&f, cases[i].ndim, cases[i].sizes, cases[i].type, cases[i].offset, cases[i].data);
        expect(&f, cases[i].status, cases[i].text);
    }
    one(&f, 5, (uint64_t[]){1, 1, 1, 1, 1}, 0, 0, 64);
    expect(&f, ST_LIMIT, "5 dimensions");
    begin(&f, 3, 2, 0);
    put_tensor(&f, "a", 1, (uint64_t[]){16}, 0, 0);
    put_tensor(&f, "b", 1, (uint64_t[]){4}, 0, 32);
    end(&f, 64);
    expect(&f, ST_FORMAT, "tensor \"b\": it begins at 32, inside another one, which ends at 64");
    begin(&f, 3, 2, 0);
    put_tensor(&f, "a", 1, (uint64_t[]){4}, 0, 0);
    put_tensor(&f, "a", 1, (uint64_t[]){4}, 0, 32);
    end(&f, 64);
    expect(&f, ST_FORMAT, "the name is there twice");
    /* counts that lie */
    static const uint64_t counts[] = {1, 1000, UINT32_MAX, INT64_MAX, UINT64_MAX};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        begin(&f, 3, counts[i], 0);
        expect(&f, ST_FORMAT, "byte 24");
        begin(&f, 3, 0, counts[i]);
        expect(&f, ST_FORMAT, "byte 24");
    }
    static const uint64_t versions[] = {0, 1, 4, 0x03000000};
    for (size_t i = 0; i < 4; i++) {
        begin(&f, versions[i], 0, 0);
        expect(&f, ST_FORMAT, i == 3 ? "big-endian" : "versions 2 and 3");
    }
}

static void test_metadata(void **state)
{
    (void)state;
    static file f;
    st_listing *l;
    begin(&f, 3, 0, 7);
    put_text(&f, "u8");
    put_int(&f, 0, 4);
    put_int(&f, 200, 1);
    put_text(&f, "i8");
    put_int(&f, 1, 4);
    put_int(&f, 200, 1);
    put_text(&f, "f64");
    put_int(&f, 12, 4);
    put(&f, &(double){0.1}, 8);
    put_text(&f, "text");
    put_int(&f, 8, 4);
    put_text(&f, "two\nlines");
    put_text(&f, "quoted");
    put_int(&f, 9, 4);
    put_int(&f, 8, 4);
    put_int(&f, 1, 8);
    put_text(&f, "a\"b");
    put_text(&f, "empty");
    put_int(&f, 9, 4);
    put_int(&f, 4, 4);
    put_int(&f, 0, 8);
    put_text(&f, "latin");
    put_int(&f, 8, 4);
    put_text(&f, "\xe9");
    assert_ok(read_file(&f, false, &l));
    static const char *const want[][2] = {
        {"u8", "200"}, {"i8", "-56"}, {"f64", "0.1"}, {"text", "two\nlines"}, {"empty", "[]"}};
    assert_int_equal(l->nmeta, 5);
    for (size_t i = 0; i < 5; i++) {
        assert_string_equal(l->meta[i][0].ptr, want[i][0]);
        assert_string_equal(l->meta[i][1].ptr, want[i][1]);
    }
    assert_int_equal(l->nnotes, 1);
    assert_string_equal(l->notes[0].text.ptr, "quoted: an array of 1");
    st_listing_free(l);

    static const struct {
        uint64_t type, inner, count;
        const char *text;
    } arrays[] = {{9, 9, 1, "an array of type 9"},
                  {9, 13, 1, "an array of type 13"},
                  {9, 4, UINT64_MAX, "an array takes"},
                  {9, 4, UINT64_MAX / 4, "an array takes"},
                  {9, 10, UINT64_MAX / 8, "an array takes"},
                  {9, 8, 100, "a text takes"},
                  {9, 8, 1, "a text takes"},
                  {13, 0, 0, "metadata of type 13"}};
    for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++) {
        begin(&f, 3, 0, 1);
        put_text(&f, "k");
        put_int(&f, arrays[i].type, 4);
        put_int(&f, arrays[i].inner, 4);
        put_int(&f, arrays[i].count, 8);
        expect(&f, ST_FORMAT, arrays[i].text);
    }
    begin(&f, 3, 0, 2);
    for (int i = 0; i < 2; i++) {
        put_text(&f, "k");
        put_int(&f, 0, 4);
        put_int(&f, 1, 1);
    }
    expect(&f, ST_FORMAT, "\"k\" is given twice");
    static const uint64_t alignments[] = {0, 3, 48, 1u << 21};
    for (size_t i = 0; i < 4; i++) {
        begin(&f, 3, 0, 1);
        put_text(&f, "general.alignment");
        put_int(&f, 4, 4);
        put_int(&f, alignments[i], 4);
        expect(&f, ST_FORMAT, "an alignment of");
    }
    begin(&f, 3, 1, 1);
    put_text(&f, "general.alignment");
    put_int(&f, 4, 4);
    put_int(&f, 64, 4);
    put_tensor(&f, "w", 1, (uint64_t[]){4}, 0, 0);
    while (f.n % 64) f.p[f.n++] = 0;
    end(&f, 64);
    assert_ok(read_file(&f, false, &l));
    assert_int_equal(l->list[0].offset % 64, 0);
    st_listing_free(l);
}

static void test_without_memory(void **state)
{
    (void)state;
    size_t n;
    static file f;
    unsigned char *bytes = slurp("tests/fixtures/checkpoints/small.gguf", &n);
    assert_non_null(bytes);
    memcpy(f.p, bytes, n);
    f.n = n;
    free(bytes);
    st_status s = ST_NOMEM;
    for (uint64_t k = 1; s != ST_OK; k++) {
        st_listing *l;
        mem_source *m = mem_source_new(f.p, f.n);
        l = st_calloc(1, sizeof *l);
        st_mem_fail_at(k, false);
        s = st_gguf_read(&m->base, &(st_open_opts){0}, l, &err);
        st_mem_fail_at(0, false);
        assert_true(s == ST_OK || s == ST_NOMEM);
        st_listing_free(l);
        st_source_unref(&m->base);
        assert_int_equal(st_memory_used(), 0);
    }
}

/* ---------------------------------------------------------------- blocks */

/* Values are powers of two and small numbers: no rounding, so that they can be told here. */
static void test_blocks(void **state)
{
    (void)state;
    unsigned char b[256] = {0};
    float y[256];
    b[1] = 0x38; /* 0.5 */
    b[2] = 0x80;
    b[33] = 5;
    st_kern_dequantise(ST_Q_Q8_0, b, 1, y);
    assert_true(y[0] == -64 && y[1] == 0 && y[31] == 2.5f);
    b[2] = 0xf0;
    st_kern_dequantise(ST_Q_Q4_0, b, 1, y);
    assert_true(y[0] == -4 && y[16] == 3.5f && y[1] == -4);
    memset(b, 0, sizeof b);
    b[1] = 0x38;
    b[3] = 0x3c; /* minimum 1 */
    b[4] = 0x21;
    st_kern_dequantise(ST_Q_Q4_1, b, 1, y);
    assert_true(y[0] == 1.5f && y[16] == 2 && y[1] == 1);
    memset(b, 0, sizeof b);
    b[1] = 0x38;
    b[2] = 1;    /* fifth bit of element 0 */
    b[5] = 0x80; /* of element 31 */
    b[6] = 0x03;
    st_kern_dequantise(ST_Q_Q5_0, b, 1, y);
    assert_true(y[0] == 1.5f && y[31] == 0 && y[1] == -8);
    memset(b, 0, sizeof b);
    b[1] = 0x38;           /* d = 0.5 */
    b[3] = 0x3c;           /* dmin = 1 */
    b[4] = 2 | 1 << 6;     /* scale 0 is 2; the upper bits of scale 4 are 1 */
    b[4 + 4] = 3 | 2 << 6; /* minimum 0 is 3; the upper bits of minimum 4 are 2 */
    b[4 + 8] = 5 | 6 << 4; /* lower bits of scale 4 and minimum 4 */
    b[16] = 0x0a;          /* element 0 of sub-block 0 */
    b[16 + 64] = 0x07;     /* element 0 of sub-block 4 */
    st_kern_dequantise(ST_Q_Q4_K, b, 1, y);
    assert_true(y[0] == 10 * 1.0f - 3 && y[1] == -3);
    assert_true(y[128] == 7 * 10.5f - 38 && y[129] == -38 && y[32] == 0);
    memset(b, 0, sizeof b);
    b[209] = 0x38;
    b[192] = 0xff; /* scale 0 is -1 */
    b[192 + 15] = 2;
    b[0] = 0x0f;
    b[128] = 0x03;      /* element 0 has its upper bits */
    b[127] = 0x10;      /* element 255: nibble 1 */
    b[128 + 63] = 0x40; /* and upper bits 1 */
    st_kern_dequantise(ST_Q_Q6_K, b, 1, y);
    assert_true(y[0] == -0.5f * 31 && y[1] == 16 && y[255] == 17 - 32);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_tensors, teardown),         cmocka_unit_test_teardown(test_lies, teardown),
        cmocka_unit_test_teardown(test_original_shapes, teardown), cmocka_unit_test_teardown(test_metadata, teardown),
        cmocka_unit_test_teardown(test_without_memory, teardown),  cmocka_unit_test_teardown(test_blocks, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
