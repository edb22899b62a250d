/* test_checkpoint.c - checkpoints as listings: hostile storages, shapes and names, bombs, and every file of
 * tests/fixtures/checkpoints opened without memory and with failing reads. */
#include "zip_build.h"

#include "file.h"
#include "formats.h"
#include "mem.h"
#include "sys.h"
#include "torch.h"

#include <dirent.h>
#include <stdio.h>

#define FIXTURES "tests/fixtures/checkpoints/"

static st_err err;

static int teardown(void **state)
{
    (void)state;
    st_mem_fail_at(0, false);
    sys_fault(SYS_CALL_COUNT, 0, 0);
    return st_memory_used() != 0;
}

/* ---------------------------------------------------------------- made files */

typedef struct text {
    char *p;
    size_t n, cap;
} text;

static void put(text *t, const void *bytes, size_t n)
{
    if (t->n + n > t->cap) t->p = realloc(t->p, t->cap = (t->n + n) * 2);
    memcpy(t->p + t->n, bytes, n);
    t->n += n;
}
static void puts_to(text *t, const char *s) { put(t, s, strlen(s)); }

/* A text of a pickle. */
static void put_text(text *t, const char *s)
{
    unsigned char n = (unsigned char)strlen(s);
    puts_to(t, "U");
    put(t, &n, 1);
    puts_to(t, s);
}

static void put_int(text *t, long long v)
{
    char line[32];
    snprintf(line, sizeof line, "I%lld\n", v);
    puts_to(t, line);
}

/* _rebuild_tensor_v2(storage of `type` with `count` elements, offset, shape, strides). */
static void put_tensor(text *t, const char *type, const char *key, long long count, long long offset, int ndim,
                       const long long *shape, const long long *strides)
{
    puts_to(t, "ctorch._utils\n_rebuild_tensor_v2\n((");
    put_text(t, "storage");
    puts_to(t, "ctorch\n");
    puts_to(t, type);
    puts_to(t, "\n");
    put_text(t, key);
    put_text(t, "cpu");
    put_int(t, count);
    puts_to(t, "tQ");
    put_int(t, offset);
    for (int k = 0; k < 2; k++) {
        puts_to(t, "(");
        for (int d = 0; d < ndim; d++) put_int(t, k ? strides[d] : shape[d]);
        puts_to(t, "t");
    }
    puts_to(t, "\x89"
               "ccollections\nOrderedDict\n)RtR");
}

/* The pickle as a checkpoint whose storage 0 has 64 bytes. */
static st_status read_checkpoint(const text *pickle, const st_open_opts *opts, st_listing **l)
{
    static zip_build z;
    static const char zeros[64];
    memset(&z, 0, sizeof z);
    zip_add(&z, "x/data.pkl", pickle->p, pickle->n);
    zip_add(&z, "x/data/0", zeros, sizeof zeros);
    zip_add(&z, "x/byteorder", "little", 6);
    zip_add(&z, "x/version", "3\n", 2);
    zip_end(&z);
    mem_source *m = mem_source_new(z.bytes, z.n);
    st_status s = st_format_read(&m->base, z.bytes, z.n < 512 ? z.n : 512, opts, l, &err);
    st_source_unref(&m->base);
    return s;
}

static void expect(text *t, st_status status, const char *fragment)
{
    st_listing *l;
    st_status s = read_checkpoint(t, NULL, &l);
    if (s != status || (s != ST_OK && !strstr(err.message, fragment)))
        fail_msg("expected %d \"%s\", got %d \"%s\"", status, fragment, s, s ? err.message : "");
    st_listing_free(l);
    free(t->p);
    *t = (text){0};
}

static void one_tensor(text *t, const char *type, const char *key, long long count, long long offset, int ndim,
                       const long long *shape, const long long *strides)
{
    puts_to(t, "}");
    put_text(t, "w");
    put_tensor(t, type, key, count, offset, ndim, shape, strides);
    puts_to(t, "s.");
}

typedef long long dims[4];

static void test_storages_and_shapes(void **state)
{
    (void)state;
    text t = {0};
    static const struct {
        const char *type, *key;
        long long count, offset;
        int ndim;
        dims shape, strides;
        st_status status;
        const char *fragment;
    } cases[] = {
        {"FloatStorage", "0", 16, 0, 2, {4, 4}, {4, 1}, ST_OK, ""},
        {"FloatStorage", "0", 16, 15, 1, {1}, {1}, ST_OK, ""},
        {"FloatStorage", "0", 16, 0, 2, {16, 16}, {1, 0}, ST_OK, ""}, /* rows that share bytes */
        {"FloatStorage", "0", 16, 0, 1, {1LL << 50}, {0}, ST_OK, ""}, /* one element, repeated */
        {"FloatStorage", "0", 16, 99, 1, {0}, {1}, ST_OK, ""},        /* nothing */
        {"FloatStorage", "0", 16, 0, 0, {0}, {0}, ST_OK, ""},
        {"ByteStorage", "0", 64, 0, 1, {64}, {1}, ST_OK, ""},
        {"ComplexDoubleStorage", "0", 4, 0, 1, {4}, {1}, ST_DTYPE, "w: complex128 is a dtype that safetensors has not"},
        {"FloatStorage", "1", 16, 0, 1, {1}, {1}, ST_FORMAT, "data/1, which is not there"},
        {"FloatStorage", "../x", 16, 0, 1, {1}, {1}, ST_FORMAT, "which is not there"},
        {"FloatStorage", "0", 15, 0, 1, {1}, {1}, ST_FORMAT, "has 64 bytes; 15 elements of 4 bytes need 60"},
        {"FloatStorage", "0", 17, 0, 1, {1}, {1}, ST_FORMAT, "has 64 bytes; 17 elements"},
        {"FloatStorage", "0", 1LL << 62, 0, 1, {1}, {1}, ST_FORMAT, "has 4611686018427387904 elements"},
        {"FloatStorage", "0", -16, 0, 1, {1}, {1}, ST_FORMAT, "its storage has no key, no length"},
        {"NoStorage", "0", 16, 0, 1, {1}, {1}, ST_FORMAT, "a type that is not known"},
        {"FloatStorage", "0", 16, 16, 1, {1}, {1}, ST_FORMAT, "leaves its storage of 16 elements"},
        {"FloatStorage", "0", 16, 1, 1, {16}, {1}, ST_FORMAT, "shape [16] with strides [1] from element 1 on"},
        {"FloatStorage", "0", 16, 0, 2, {4, 4}, {5, 1}, ST_FORMAT, "leaves its storage"},
        {"FloatStorage", "0", 16, 0, 1, {2}, {-1}, ST_FORMAT, "is negative"},
        {"FloatStorage", "0", 16, 0, 1, {-1}, {1}, ST_FORMAT, "is negative"},
        {"FloatStorage", "0", 16, -1, 1, {1}, {1}, ST_FORMAT, "its offset, sizes or strides are none"},
        {"FloatStorage", "0", 16, 0, 2, {1LL << 33, 1LL << 33}, {0, 0}, ST_FORMAT, "a shape of"},
        {"FloatStorage", "0", 16, 0, 2, {1LL << 32, 1LL << 32}, {0, 0}, ST_FORMAT, "a shape of"},
        {"FloatStorage", "0", 16, 0, 1, {2}, {INT64_MAX}, ST_FORMAT, "leaves its storage"},
        {"FloatStorage", "0", 16, INT64_MAX, 1, {2}, {INT64_MAX}, ST_FORMAT, "leaves its storage"},
        {"FloatStorage", "0", 16, 0, 2, {3, 3}, {INT64_MAX, INT64_MAX}, ST_FORMAT, "leaves its storage"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        one_tensor(&t, cases[i].type, cases[i].key, cases[i].count, cases[i].offset, cases[i].ndim, cases[i].shape,
                   cases[i].strides);
        expect(&t, cases[i].status, cases[i].fragment);
    }
    long long many[65];
    for (int d = 0; d < 65; d++) many[d] = 1;
    one_tensor(&t, "FloatStorage", "0", 16, 0, 64, many, many);
    expect(&t, ST_OK, "");
    one_tensor(&t, "FloatStorage", "0", 16, 0, 65, many, many);
    expect(&t, ST_LIMIT, "65 dimensions");
}

/* Calls of PyTorch's names with other arguments than PyTorch gives. */
static void test_other_arguments(void **state)
{
    (void)state;
#define C(text)               \
    {                         \
        text, sizeof text - 1 \
    }
    static const struct {
        const char *p;
        size_t n;
    } calls[] = {
        C(")"),
        C("(N"),
        C("(NNNNNN"),
        C("N"),
        C("K\1"),
        C("(K\1QK\0))K\0N"),
        C("((tQK\0))K\0N"),
        C("((U\7storageU\1xU\0010U\3cpuK\1tQK\0))K\0N"),
        C("((U\7storagectorch\nFloatStorage\nK\1U\3cpuK\1tQK\0))K\0N"),
        C("((U\7storagectorch\nFloatStorage\nU\0010U\3cpuK\020tQK\0](K\1eK\1\x85K\0N"),
        C("((U\7storagectorch\nFloatStorage\nU\0010U\3cpuK\020tQK\0K\1\x85)K\0N"),
        C("((U\7storagectorch\nFloatStorage\nU\0010U\3cpuK\020tQK\0U\1x\x85U\1x\x85K\0N"),
        C("((U\7storagectorch\nFloatStorage\nU\0010U\3cpuK\020U\1xtQK\0K\1\x85K\1\x85K\0N"),
    };
    static const char *const names[] = {"_rebuild_tensor_v2", "_rebuild_tensor_v3", "_rebuild_tensor",
                                        "_rebuild_parameter"};
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++)
        for (size_t k = 0; k < sizeof names / sizeof *names; k++) {
            text t = {0};
            puts_to(&t, "}");
            put_text(&t, "w");
            puts_to(&t, "ctorch._utils\n");
            puts_to(&t, names[k]);
            puts_to(&t, "\n");
            put(&t, calls[i].p, calls[i].n);
            puts_to(&t, calls[i].p[0] == '(' ? "tRs." : "Rs.");
            st_listing *l;
            st_status s = read_checkpoint(&t, NULL, &l);
            assert_int_not_equal(s, ST_OK);
            assert_null(l);
            free(t.p);
        }
}

static void test_archives(void **state)
{
    (void)state;
    static const struct {
        const char *name, *data, *fragment;
    } cases[] = {
        {"y/data.pkl", "N.", "neither a PyTorch checkpoint"}, /* a second one */
        {"x/byteorder ", "big", ""},
        {"x/.format_version", "2", "its record .format_version is \"2\""},
    };
    static const struct {
        const char *byteorder, *pickle, *fragment;
        size_t n;
    } others[] = {{"big", "N.", "its record byteorder is \"big\"; only \"little\"", 2},
                  {"little", "N.N.", "it ends at 2 of 4 bytes", 4},
                  {"little", "N", "cut short", 1}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        zip_build *z = calloc(1, sizeof *z);
        zip_add(z, "x/data.pkl", "N.", 2);
        zip_add(z, cases[i].name, cases[i].data, strlen(cases[i].data));
        zip_end(z);
        mem_source *m = mem_source_new(z->bytes, z->n);
        st_listing *l;
        st_status s = st_format_read(&m->base, z->bytes, z->n, NULL, &l, &err);
        assert_int_equal(s, *cases[i].fragment ? ST_FORMAT : ST_OK);
        if (s != ST_OK) assert_non_null(strstr(err.message, cases[i].fragment));
        st_listing_free(l);
        st_source_unref(&m->base);
        free(z);
    }
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        zip_build *z = calloc(1, sizeof *z);
        zip_add(z, "x/data.pkl", others[i].pickle, others[i].n);
        zip_add(z, "x/byteorder", others[i].byteorder, strlen(others[i].byteorder));
        zip_end(z);
        mem_source *m = mem_source_new(z->bytes, z->n);
        st_listing *l;
        assert_int_equal(st_format_read(&m->base, z->bytes, z->n, NULL, &l, &err), ST_FORMAT);
        assert_non_null(strstr(err.message, others[i].fragment));
        st_source_unref(&m->base);
        free(z);
    }
}

/* ---------------------------------------------------------------- names */

static void test_names(void **state)
{
    (void)state;
    dims one = {1}, step = {1};
    text t = {0};
    puts_to(&t, "}("); /* two ways to one name */
    put_text(&t, "a.b");
    put_tensor(&t, "FloatStorage", "0", 16, 0, 1, one, step);
    put_text(&t, "a");
    puts_to(&t, "}");
    put_text(&t, "b");
    put_tensor(&t, "FloatStorage", "0", 16, 0, 1, one, step);
    puts_to(&t, "su.");
    expect(&t, ST_FORMAT, "tensor \"a.b\": the name is there twice");

    puts_to(&t, "}");
    put_text(&t, "\xff");
    put_tensor(&t, "FloatStorage", "0", 16, 0, 1, one, step);
    puts_to(&t, "s.");
    expect(&t, ST_FORMAT, "tensor \"\\xff\": its name is not UTF-8");

    puts_to(&t, "}");
    put_text(&t, "__metadata__");
    put_tensor(&t, "FloatStorage", "0", 16, 0, 1, one, step);
    puts_to(&t, "s.");
    expect(&t, ST_NAME, "reserved");

    puts_to(&t, "}(N"); /* keys that are no names */
    put_tensor(&t, "FloatStorage", "0", 16, 0, 1, one, step);
    puts_to(&t, "K\7");
    put_tensor(&t, "FloatStorage", "0", 16, 0, 1, one, step);
    puts_to(&t, "u.");
    st_listing *l;
    assert_ok(read_checkpoint(&t, NULL, &l));
    assert_int_equal(l->count, 1);
    assert_string_equal(l->list[0].name, "7");
    st_listing_free(l);
    free(t.p);
}

/* As Python 2 wrote an OrderedDict: a list of pairs. */
static void test_python_2(void **state)
{
    (void)state;
    dims one = {1}, step = {1};
    text t = {0};
    puts_to(&t, "ccollections\nOrderedDict\n(](](");
    put_text(&t, "w");
    put_tensor(&t, "FloatStorage", "0", 16, 0, 1, one, step);
    puts_to(&t, "e](");
    put_text(&t, "v");
    put_tensor(&t, "FloatStorage", "0", 16, 3, 1, one, step);
    puts_to(&t, "eetR.");
    st_listing *l;
    assert_ok(read_checkpoint(&t, NULL, &l));
    assert_int_equal(l->count, 2);
    assert_string_equal(l->list[0].name, "w");
    assert_string_equal(l->list[1].name, "v");
    assert_int_equal(l->list[1].offset - l->list[0].offset, 12);
    st_listing_free(l);
    free(t.p);
}

/* ---------------------------------------------------------------- bombs */

enum { MILLION = 1 << 20 };

/* A pickle of a megabyte: an answer within a second (of a usual build) and 64 MiB. */
static void expect_cheap(text *t, st_status status, const char *fragment)
{
    st_pickle *p;
    size_t used;
    double from = sys_seconds();
    assert_ok(st_pickle_read("p", t->p, t->n, &p, &used, &err));
    st_listing *l = st_calloc(1, sizeof *l);
    st_status s = st_torch_walk("p", p, used, NULL, &(st_torch_finder){NULL, NULL}, l, &err);
    if (s != status || (s != ST_OK && !strstr(err.message, fragment))) fail_msg("%d %s", s, err.message);
    assert_true(st_memory_used() < 64u << 20);
    st_listing_free(l);
    st_pickle_free(p);
    free(t->p);
    *t = (text){0};
    assert_true(sys_seconds() - from < PATIENCE);
}

static void test_bombs(void **state)
{
    (void)state;
    text t = {0};
    puts_to(&t, ")"); /* 2^500,000 ways to nothing; too deep */
    while (t.n < MILLION) puts_to(&t, "2\x86");
    puts_to(&t, ".");
    expect_cheap(&t, ST_LIMIT, "nested deeper");

    puts_to(&t, "}q\x01"); /* 800 levels, two ways from each to the next */
    t.p[t.n - 1] = 1;
    for (int i = 0; i < 800; i++)
        puts_to(&t, "q\x01"
                    "0}(U\1ah\x01U\1bh\x01u");
    puts_to(&t, ".");
    expect_cheap(&t, ST_OK, "");

    puts_to(&t, "]q\x01"); /* in itself, a million times */
    while (t.n < MILLION)
        puts_to(&t, "h\x01"
                    "a");
    puts_to(&t, ".");
    expect_cheap(&t, ST_OK, "");

    puts_to(&t, "]"); /* calls of one unknown class after the other */
    for (unsigned i = 0; t.n < MILLION; i++) {
        char name[32];
        snprintf(name, sizeof name, "cm\nC%x\n)Ra", i);
        puts_to(&t, name);
    }
    puts_to(&t, ".");
    expect_cheap(&t, ST_OK, "");

    for (int i = 0; i < 500; i++) puts_to(&t, "}U\nstate_dict"); /* wrappers in wrappers */
    puts_to(&t, "N");
    for (int i = 0; i < 500; i++) puts_to(&t, "s");
    puts_to(&t, ".");
    expect_cheap(&t, ST_OK, "");
}

/* Few bytes of pickle, many names: the finder is never asked, for all tensors are empty or refused. */
static st_status anywhere(void *arg, const st_torch_storage *s, st_text tensor, uint64_t *offset, st_err *e)
{
    (void)arg;
    (void)s;
    (void)tensor;
    (void)e;
    *offset = 0;
    return ST_OK;
}

static void test_many_names(void **state)
{
    (void)state;
    dims one = {1}, step = {1};
    for (int kind = 0; kind < 2; kind++) {
        text t = {0};
        put_tensor(&t, "FloatStorage", "0", 16, 0, 1, one, step);
        puts_to(&t, "q\x05"
                    "0");
        if (kind == 0) { /* one tensor in one list, hundreds of thousands of times */
            puts_to(&t, "](");
            while (t.n < MILLION) puts_to(&t, "h\x05");
            puts_to(&t, "e.");
        } else { /* below a key of 60,000 bytes */
            char *key = malloc(60000);
            memset(key, 'k', 60000);
            puts_to(&t, "}X\x60\xea");
            put(&t, "\0\0", 2);
            put(&t, key, 60000);
            free(key);
            puts_to(&t, "](");
            for (int i = 0; i < 20000; i++) puts_to(&t, "h\x05");
            puts_to(&t, "es.");
        }
        st_pickle *p;
        size_t used;
        assert_ok(st_pickle_read("p", t.p, t.n, &p, &used, &err));
        st_listing *l = st_calloc(1, sizeof *l);
        assert_int_equal(st_torch_walk("p", p, used, NULL, &(st_torch_finder){anywhere, NULL}, l, &err), ST_LIMIT);
        assert_non_null(strstr(err.message, "than its pickle can honestly hold"));
        assert_true(st_memory_used() < 64u << 20);
        st_listing_free(l);
        st_pickle_free(p);
        free(t.p);
    }
}

/* ---------------------------------------------------------------- real files */

static int is_file(const struct dirent *e) { return e->d_name[0] != '.' && strchr(e->d_name, '.'); }

/* Opens each fixture over and over: `fault` makes the k-th thing fail, until it is opened without a fault. */
static void each_fixture(void (*fault)(uint64_t k), st_status expected)
{
    struct dirent **names;
    int n = scandir(FIXTURES, &names, is_file, alphasort);
    assert_true(n > 20);
    for (int i = 0; i < n; i++) {
        char path[512];
        snprintf(path, sizeof path, FIXTURES "%s", names[i]->d_name);
        const st_open_opts opts = {.tensors_only = true, .skip = true};
        st_status want = ST_OK, s = ST_NOMEM;
        st_file *f;
        want = st_file_open_with(path, &opts, &f, &err); /* compressed.npz is refused */
        st_file_close(f);
        assert_true(want == ST_OK || strstr(path, "compressed"));
        for (uint64_t k = 1; s != want && k < 3000; k++) {
            fault(k);
            s = st_file_open_with(path, &opts, &f, &err);
            fault(0);
            if (s != want && s != expected) fail_msg("%s, fault %d: %s", path, (int)k, err.message);
            st_file_close(f);
            assert_int_equal(st_memory_used(), 0);
        }
        assert_int_equal(s, want);
        free(names[i]);
    }
    free(names);
}

static void fail_memory(uint64_t k) { st_mem_fail_at(k, false); }
static void fail_read(uint64_t k) { sys_fault(SYS_pread, k, 5); } /* EIO */

static void test_without_memory(void **state)
{
    (void)state;
    each_fixture(fail_memory, ST_NOMEM);
}

static void test_failing_reads(void **state)
{
    (void)state;
    each_fixture(fail_read, ST_IO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_storages_and_shapes, teardown),
        cmocka_unit_test_teardown(test_other_arguments, teardown),
        cmocka_unit_test_teardown(test_archives, teardown),
        cmocka_unit_test_teardown(test_names, teardown),
        cmocka_unit_test_teardown(test_python_2, teardown),
        cmocka_unit_test_teardown(test_bombs, teardown),
        cmocka_unit_test_teardown(test_many_names, teardown),
        cmocka_unit_test_teardown(test_without_memory, teardown),
        cmocka_unit_test_teardown(test_failing_reads, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
