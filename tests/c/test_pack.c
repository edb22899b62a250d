/* test_pack.c - packing and opening packed files: the same bytes, whatever the dtype; damage and wrong bases. */
#include "fixture.h"

#include "file.h"
#include "header.h"
#include "mem.h"

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
    teardown(state);
    return st_memory_used() != 0;
}

/* ---------------------------------------------------------------- files to pack */

typedef enum fill { RANDOM, ZERO, WEIGHTS, ONES, SPARSE, FILLS } fill;

/* Bytes of a tensor: WEIGHTS are BF16 or F32 of one magnitude. */
static void fill_bytes(rng *r, fill how, st_dtype d, unsigned char *p, size_t n)
{
    unsigned width = st_dtype_bits(d) / 8;
    for (size_t i = 0; i < n; i++) {
        p[i] = how == ZERO ? 0 : how == ONES ? 0xff : (unsigned char)rng_next(r);
        if (how == SPARSE && rng_below(r, 50)) p[i] = 0;
        if (how == WEIGHTS && width > 1 && i % width == width - 1) p[i] = (unsigned char)(rng_below(r, 2) << 7 | 0x3c);
    }
}

typedef struct spec {
    const char *name;
    st_dtype dtype;
    int64_t numel; /* -1: no dimensions */
    fill how;
} spec;

/* Writes a plain file; its bytes are the caller's to free. */
static unsigned char *make_file(const char *name, const spec *list, size_t n, uint64_t seed, size_t *size)
{
    st_header_entry *e = st_calloc(n, sizeof *e);
    for (size_t i = 0; i < n; i++)
        e[i] = (st_header_entry){.name = list[i].name,
                                 .name_len = strlen(list[i].name),
                                 .dtype = list[i].dtype,
                                 .ndim = list[i].numel >= 0,
                                 .shape = &list[i].numel,
                                 .tag = i};
    uint64_t data;
    char *head;
    size_t len;
    st_meta_pair meta = {{"format", 6}, {"pt", 2}};
    assert_ok(st_header_layout(e, n, name, &data, &err));
    assert_ok(st_header_write(e, n, &meta, 1, 0, name, &head, &len, &err));
    unsigned char *bytes = malloc(len + data);
    memcpy(bytes, head, len);
    for (size_t i = 0; i < n; i++) {
        rng r = {seed * 1000 + e[i].tag};
        fill_bytes(&r, list[e[i].tag].how, e[i].dtype, bytes + len + e[i].begin, (size_t)(e[i].end - e[i].begin));
    }
    st_free(head);
    st_free(e);
    *size = len + (size_t)data;
    spill(in_dir(dir, name), bytes, *size);
    return bytes;
}

static void pack_file(const char *from, const char *to, const char *base, st_pack_stats *stats)
{
    st_file *f, *b = NULL;
    assert_ok(st_file_open(in_dir(dir, from), &f, &err));
    if (base) assert_ok(st_file_open(in_dir(dir, base), &b, &err));
    st_pack_opts o = {.base = b, .no_sync = true};
    assert_ok(st_file_pack(ctx, f, in_dir(dir, to), &o, stats, &err));
    st_file_close(f);
    st_file_close(b);
}

/* Everything the packed file gives back, in pieces of many lengths. */
static void expect_bytes(const char *name, const unsigned char *want, size_t size)
{
    st_file *f;
    assert_ok(st_file_open(in_dir(dir, name), &f, &err));
    st_source *s = st_file_source(f);
    assert_int_equal(s->size, size);
    unsigned char *got = malloc(size + 1);
    assert_ok(s->ops->read(s, got, 0, size, &err));
    assert_memory_equal(got, want, size);
    rng r = {7};
    for (int i = 0; i < 200; i++) {
        size_t at = (size_t)rng_below(&r, size), n = (size_t)rng_below(&r, 3000) + 1;
        if (n > size - at) n = size - at;
        assert_ok(s->ops->read(s, got, at, n, &err));
        assert_memory_equal(got, want + at, n);
    }
    free(got);
    st_file_close(f);
}

/* ---------------------------------------------------------------- the same bytes */

static void test_every_dtype(void **state)
{
    (void)state;
    static char names[ST_DTYPE_COUNT * FILLS * 4][40];
    static spec list[ST_DTYPE_COUNT * FILLS * 4];
    static const int64_t numels[] = {0, -1, 1000, 200040};
    size_t n = 0, size;
    for (st_dtype d = 0; d < ST_DTYPE_COUNT; d++)
        for (fill how = 0; how < FILLS; how++)
            for (int k = 0; k < 4; k++) {
                if (numels[k] == -1 && st_dtype_bits(d) % 8) continue;
                if (k == 3 && how != (fill)(d % FILLS)) continue; /* few large ones */
                snprintf(names[n], sizeof names[n], "%s.%d.%d", st_dtype_name(d), how, k);
                list[n] = (spec){names[n], d, numels[k], how};
                n++;
            }
    unsigned char *bytes = make_file("a.safetensors", list, n, 1, &size);
    st_pack_stats stats;
    pack_file("a.safetensors", "a.packed.safetensors", NULL, &stats);
    assert_int_equal(stats.before, size);
    assert_int_equal(stats.tensors, n);
    assert_true(stats.as_earlier > 10); /* the zeros and the ones */
    expect_bytes("a.packed.safetensors", bytes, size);
    free(bytes);
}

static const spec weights[] = {{"embed", ST_BF16, 300000, WEIGHTS}, {"w", ST_F32, 100000, WEIGHTS},
                               {"half", ST_F16, 70000, RANDOM},     {"small", ST_F32, 3, RANDOM},
                               {"count", ST_I64, -1, RANDOM},       {"none", ST_BF16, 0, ZERO},
                               {"zero", ST_F8_E4M3, 5000, ZERO},    {"mask", ST_BOOL, 999, ZERO}};
enum { WEIGHT_COUNT = sizeof weights / sizeof *weights };

static void test_any_number_of_threads(void **state)
{
    (void)state;
    size_t size, n1, n;
    unsigned char *bytes = make_file("a.safetensors", weights, WEIGHT_COUNT, 1, &size);
    st_ctx_set_threads(ctx, 1);
    pack_file("a.safetensors", "one", NULL, NULL);
    unsigned char *one = slurp(in_dir(dir, "one"), &n1);
    for (unsigned threads = 2; threads < 9; threads += 3) {
        st_ctx_set_threads(ctx, threads);
        pack_file("a.safetensors", "many", NULL, NULL);
        unsigned char *many = slurp(in_dir(dir, "many"), &n);
        assert_int_equal(n, n1);
        assert_memory_equal(many, one, n);
        free(many);
    }
    assert_true(n1 < size * 85 / 100);
    free(one);
    free(bytes);
}

/* ---------------------------------------------------------------- a base */

/* Some tensors are equal, one has another dtype, one is missing there, the others differ a little. */
static unsigned char *make_tuned(size_t *size)
{
    static const spec tuned[] = {{"embed", ST_BF16, 300000, WEIGHTS}, {"w", ST_F32, 100000, WEIGHTS},
                                 {"half", ST_BF16, 70000, RANDOM},    {"small", ST_F32, 3, RANDOM},
                                 {"count", ST_I64, -1, RANDOM},       {"new", ST_F64, 300, RANDOM},
                                 {"zero", ST_F8_E4M3, 5000, ZERO},    {"tied", ST_BF16, 300000, WEIGHTS}};
    unsigned char *bytes = make_file("tuned.safetensors", tuned, 8, 1, size);
    st_file *f;
    assert_ok(st_file_open(in_dir(dir, "tuned.safetensors"), &f, &err));
    st_info embed = st_file_info(f, (size_t)st_file_find(f, "embed", 5)),
            tied = st_file_info(f, (size_t)st_file_find(f, "tied", 4));
    unsigned char *data = bytes + st_file_data_start(f);
    for (uint64_t i = embed.begin; i < embed.end; i += 4) data[i] ^= 1;
    memcpy(data + tied.begin, data + embed.begin, (size_t)(embed.end - embed.begin));
    st_file_close(f);
    spill(in_dir(dir, "tuned.safetensors"), bytes, *size);
    return bytes;
}

static void test_a_base(void **state)
{
    (void)state;
    size_t base_size, size, alone, packed;
    free(make_file("base.safetensors", weights, WEIGHT_COUNT, 1, &base_size));
    unsigned char *bytes = make_tuned(&size);
    st_pack_stats stats;
    pack_file("tuned.safetensors", "alone", NULL, NULL);
    pack_file("tuned.safetensors", "tuned.packed", "base.safetensors", &stats);
    free(slurp(in_dir(dir, "alone"), &alone));
    free(slurp(in_dir(dir, "tuned.packed"), &packed));
    assert_true(packed < alone / 2);
    assert_int_equal(stats.as_base, 4); /* w, small, count, zero */
    assert_int_equal(stats.as_earlier, 1);
    assert_int_equal(stats.deltas, 1);
    assert_int_equal(strlen(stats.base_sha256), 64);
    expect_bytes("tuned.packed", bytes, size);
    /* Unpacking does not write over what it reads, whatever name that is given. */
    uint64_t n;
    assert_int_equal(symlink("base.safetensors", in_dir(dir, "link")), 0);
    for (int link = 0; link < 2; link++) {
        const char *to = link ? "link" : "base.safetensors";
        assert_int_equal(st_file_decompress(ctx, in_dir(dir, "tuned.packed"), in_dir(dir, to), NULL, &n, &err), ST_ARG);
        assert_non_null(strstr(err.message, "it is the base, without which"));
    }
    free(bytes);
}

static st_status read_all(const char *name, const char *base, unsigned char *into, size_t size)
{
    st_file *f;
    st_open_opts o = {.base = base ? in_dir(dir, base) : NULL};
    ST_TRY(st_file_open_with(in_dir(dir, name), &o, &f, &err));
    st_source *s = st_file_source(f);
    st_status status = s->size <= size ? s->ops->read(s, into, 0, (size_t)s->size, &err)
                                       : st_fail(&err, ST_LIMIT, NULL, NULL, "large");
    st_file_close(f);
    return status;
}

static void test_a_missing_or_wrong_base(void **state)
{
    (void)state;
    size_t base_size, size;
    unsigned char *base = make_file("base.safetensors", weights, WEIGHT_COUNT, 1, &base_size),
                  *bytes = make_tuned(&size);
    unsigned char *got = malloc(size);
    pack_file("tuned.safetensors", "tuned.packed", "base.safetensors", NULL);
    spill(in_dir(dir, "other.safetensors"), base, base_size);
    assert_int_equal(remove(in_dir(dir, "base.safetensors")), 0);

    st_file *f;
    st_pack_info info;
    assert_ok(st_file_open(in_dir(dir, "tuned.packed"), &f, &err)); /* what it holds can be listed */
    assert_true(st_file_packed(f, &info));
    assert_string_equal(info.base, "base.safetensors");
    assert_false(info.has_base);
    st_file_close(f);
    assert_int_equal(read_all("tuned.packed", NULL, got, size), ST_IO);
    assert_non_null(strstr(err.message, "base.safetensors, which is not there"));
    assert_int_equal(read_all("tuned.packed", "nowhere", got, size), ST_IO);
    assert_ok(read_all("tuned.packed", "other.safetensors", got, size));
    assert_memory_equal(got, bytes, size);

    free(make_file("wrong.safetensors", weights, WEIGHT_COUNT, 2, &base_size)); /* the same header, other values */
    assert_int_equal(read_all("tuned.packed", "wrong.safetensors", got, size), ST_ARG);
    assert_non_null(strstr(err.message, "is not the base"));
    free(make_file("few.safetensors", weights, 1, 1, &base_size));
    assert_int_equal(read_all("tuned.packed", "few.safetensors", got, size), ST_ARG);
    assert_non_null(strstr(err.message, "is not the base"));
    assert_int_equal(read_all("tuned.packed", "tuned.packed", got, size), ST_ARG); /* no base, itself */
    free(got);
    free(bytes);
    free(base);
}

/* Damage of the base is told of the base: a check of the packed file cannot be made, and finds none there. */
static void test_a_damaged_base(void **state)
{
    (void)state;
    size_t size, n;
    uint64_t stored;
    free(make_file("base.safetensors", weights, WEIGHT_COUNT, 1, &size));
    unsigned char *bytes = make_tuned(&size), *got = malloc(size);
    assert_ok(st_file_compress(ctx, in_dir(dir, "base.safetensors"), in_dir(dir, "base.zst"), NULL, &stored, &err));
    pack_file("tuned.safetensors", "tuned.packed", "base.zst", NULL);
    assert_ok(read_all("tuned.packed", NULL, got, size));
    unsigned char *base = slurp(in_dir(dir, "base.zst"), &n);
    for (int header = 0; header < 2; header++) { /* a frame in the middle, then the header's */
        base[header ? 60 : n / 2] ^= 1;
        spill(in_dir(dir, "base.zst"), base, n);
        for (int verify = 0; verify < 2; verify++) {
            st_verdict v;
            st_open_opts o = {.base = header ? in_dir(dir, "base.zst") : NULL};
            st_status s = verify ? st_file_verify(ctx, in_dir(dir, "tuned.packed"), &o, &v, &err)
                                 : read_all("tuned.packed", NULL, got, size);
            assert_int_equal(s, ST_IO);
            assert_int_equal(err.code, ST_IO);
            assert_non_null(strstr(err.file, "/base.zst"));
            assert_non_null(strstr(err.message, "/tuned.packed: download"));
        }
    }
    free(base);
    free(got);
    free(bytes);
}

/* ---------------------------------------------------------------- damage */

static const spec few[] = {{"a", ST_BF16, 3000, WEIGHTS},
                           {"b", ST_F32, 40, ZERO},
                           {"c", ST_U8, 0, ZERO},
                           {"d", ST_BF16, 3000, RANDOM},
                           {"e", ST_I32, -1, RANDOM}};

/* Reads the original, tensor by tensor: each is right or refused. */
static size_t count_refused(const char *name, const unsigned char *want, size_t size)
{
    unsigned char *got = malloc(size);
    size_t refused = 0;
    st_file *f;
    if (st_file_open(in_dir(dir, name), &f, &err) != ST_OK) {
        assert_true(err.message[0] && err.code != ST_INTERNAL);
        free(got);
        return 1;
    }
    st_source *s = st_file_source(f);
    uint64_t start = st_file_data_start(f);
    if (st_file_packed(f, &(st_pack_info){0}))
        for (size_t i = 0; i < st_file_count(f); i++) {
            st_info in = st_file_info(f, i);
            size_t n = (size_t)(in.end - in.begin);
            assert_true(start + in.end <= size);
            if (s->ops->read(s, got, start + in.begin, n, &err) != ST_OK)
                refused++;
            else
                assert_memory_equal(got, want + start + in.begin, n);
        }
    else
        refused = 1; /* it has become a plain file of payloads: its metadata was hit */
    st_file_close(f);
    free(got);
    return refused;
}

static void test_every_damaged_byte(void **state)
{
    (void)state;
    size_t size, n, silent = 0;
    unsigned char *bytes = make_file("a.safetensors", few, 5, 3, &size);
    pack_file("a.safetensors", "packed", NULL, NULL);
    unsigned char *packed = slurp(in_dir(dir, "packed"), &n);
    st_file *f;
    assert_ok(st_file_open(in_dir(dir, "packed"), &f, &err));
    st_file_close(f);
    for (size_t i = 0; i < n; i++) {
        unsigned char old = packed[i];
        packed[i] ^= (unsigned char)(1 << i % 8);
        spill(in_dir(dir, "damaged"), packed, n);
        size_t refused = count_refused("damaged", bytes, size);
        silent += refused == 0;
        packed[i] = old;
    }
    assert_int_equal(silent, 0); /* padding, too */
    for (size_t cut = 0; cut < n; cut += 97) {
        spill(in_dir(dir, "damaged"), packed, cut);
        assert_true(count_refused("damaged", bytes, size) > 0);
    }
    free(packed);
    free(bytes);
}

static void test_nothing_is_left_behind(void **state)
{
    (void)state;
    size_t size;
    free(make_file("a.safetensors", few, 5, 3, &size));
    st_file *f;
    assert_ok(st_file_open(in_dir(dir, "a.safetensors"), &f, &err));
    st_status s = ST_NOMEM;
    for (uint64_t k = 1; s != ST_OK; k++) {
        st_mem_fail_at(k, false);
        s = st_file_pack(ctx, f, in_dir(dir, "packed"), NULL, NULL, &err);
        st_mem_fail_at(0, false);
        assert_true(s == ST_OK || s == ST_NOMEM);
        assert_int_equal(count_entries(dir), s == ST_OK ? 2 : 1);
    }
    st_ctx_cancel(ctx);
    assert_int_equal(st_file_pack(ctx, f, in_dir(dir, "other"), NULL, NULL, &err), ST_CANCELLED);
    st_ctx_resume(ctx);
    assert_int_equal(count_entries(dir), 2);
    st_file_close(f);
    s = ST_NOMEM;
    for (uint64_t k = 1; s != ST_OK; k++) {
        st_mem_fail_at(k, false);
        s = st_file_open(in_dir(dir, "packed"), &f, &err);
        st_mem_fail_at(0, false);
        assert_true(s == ST_OK || s == ST_NOMEM);
    }
    st_file_close(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_every_dtype, setup_dir, teardown_dir),
        cmocka_unit_test_setup_teardown(test_any_number_of_threads, setup_dir, teardown_dir),
        cmocka_unit_test_setup_teardown(test_a_base, setup_dir, teardown_dir),
        cmocka_unit_test_setup_teardown(test_a_missing_or_wrong_base, setup_dir, teardown_dir),
        cmocka_unit_test_setup_teardown(test_a_damaged_base, setup_dir, teardown_dir),
        cmocka_unit_test_setup_teardown(test_every_damaged_byte, setup_dir, teardown_dir),
        cmocka_unit_test_setup_teardown(test_nothing_is_left_behind, setup_dir, teardown_dir),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
