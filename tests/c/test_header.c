/* test_header.c - reading and writing headers: the pinned corpus, limits, bombs, messages, canonical bytes, failing
 * allocations. */
#include "support.h"

#include "header.h"
#include "header_cases.h"
#include "mem.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

static st_err err;

static int teardown(void **state)
{
    (void)state;
    st_mem_fail_at(0, false);
    return st_memory_used() != 0;
}

/* A file: length, text, `data` zeros; malloc'ed at its exact size. */
static unsigned char *file_of(const char *text, size_t len, size_t data, size_t *size)
{
    *size = 8 + len + data;
    unsigned char *f = calloc(1, *size);
    assert_non_null(f);
    for (int i = 0; i < 8; i++) f[i] = (unsigned char)((uint64_t)len >> (8 * i));
    memcpy(f + 8, text, len);
    return f;
}

/* Parses text (' for ") with `data` bytes behind it; the caller frees *h. */
static st_status parse(const char *text, size_t data, st_header **h)
{
    header_case c = {.json = text, .json_len = strlen(text), .data = (unsigned)data};
    size_t n = case_size(&c);
    unsigned char *f = malloc(n);
    case_build(&c, f);
    st_status s = st_header_parse("x.safetensors", f, n, n, h, &err);
    free(f);
    return s;
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* ---------------------------------------------------------------- verdicts */

static void check_case(const header_case *c)
{
    size_t n = case_size(c);
    unsigned char *f = malloc(n);
    st_header *h = (st_header *)1;
    case_build(c, f);
    memset(&err, 0, sizeof err);
    st_status s = st_header_parse("x.safetensors", f, n, n, &h, &err);
    free(f);
    if ((s == ST_OK) != (c->verdict == TAKEN)) {
        st_header_free(s == ST_OK ? h : NULL);
        fail_msg("%d: %s: %s", c->group, c->why, s ? err.message : "taken");
    }
    if (s != ST_OK) {
        assert_null(h);
        assert_int_equal(err.code, s);
        assert_true(s == ST_FORMAT || s == ST_LIMIT);
        assert_string_equal(err.file, "x.safetensors");
        assert_int_equal(strncmp(err.message, "x.safetensors: ", 15), 0);
        /* What the terminal gets is one printable line, whatever the names were. */
        for (const char *p = err.message; *p; p++) assert_true((unsigned char)*p >= 0x20 && *p != 0x7f);
    }
    st_header_free(h);
}

static void test_cases(void **state)
{
    (void)state;
    int groups[15] = {0};
    assert_true(HEADER_CASES >= 300);
    for (int i = 0; i < HEADER_CASES; i++) {
        groups[header_cases[i].group]++;
        check_case(&header_cases[i]);
    }
    for (int g = 1; g < 15; g++) assert_true(groups[g] >= 6);
}

/* Every strict prefix of a file is refused, and so is every file that is longer. */
static void test_cut_anywhere(void **state)
{
    (void)state;
    static const char text[] =
        "{\"__metadata__\":{\"k\":\"v\"},\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}";
    size_t n;
    unsigned char *f = file_of(text, sizeof text - 1, 8, &n);
    st_header *h;
    for (size_t cut = 0; cut < n; cut++) {
        unsigned char *part = malloc(cut ? cut : 1);
        memcpy(part, f, cut);
        assert_int_equal(st_header_parse("cut", part, cut, cut, &h, &err), ST_FORMAT);
        free(part);
    }
    assert_ok(st_header_parse("whole", f, n, n, &h, &err));
    st_header_free(h);
    free(f);
}

/* Exactly the cap is legal, one more is not, and the latter is refused before anything is allocated. */
static void test_cap(void **state)
{
    (void)state;
    size_t n;
    char *text = malloc(ST_HEADER_MAX);
    memset(text, ' ', ST_HEADER_MAX);
    memcpy(text + ST_HEADER_MAX - 2, "{}", 2);
    unsigned char *f = file_of(text, ST_HEADER_MAX, 0, &n);
    free(text);
    st_header *h;
    assert_ok(st_header_parse("cap", f, n, n, &h, &err));
    st_header_free(h);
    free(f);

    unsigned char head[16] = {0x01, 0xe1, 0xf5, 0x05, 0, 0, 0, 0, '{', '}'};
    uint64_t before = st_mem_calls();
    assert_int_equal(st_header_parse("above", head, sizeof head, 200000000, &h, &err), ST_LIMIT);
    assert_int_equal(st_mem_calls(), before);
    assert_non_null(strstr(err.message, "100000001"));
    /* A length the file cannot hold is never believed either. */
    assert_int_equal(st_header_parse("short", head, sizeof head, sizeof head, &h, &err), ST_FORMAT);
    assert_int_equal(st_mem_calls(), before);
}

/* ---------------------------------------------------------------- contents */

static void test_contents(void **state)
{
    (void)state;
    st_header *h;
    st_text key, value;
    assert_ok(
        parse("{'z':{'dtype':'F32','shape':[2,3],'data_offsets':[6,30]},'__metadata__':{'b':'1','a':'\\u00e9\\n'},"
              "'e\\u0000\\ud83d\\ude00':{'data_offsets':[6,6],'shape':[0,5],'dtype':'BF16'},"
              "'a':{'dtype':'I16','shape':[3],'data_offsets':[0,6]}}",
              30, &h));
    assert_int_equal(st_header_count(h), 3);
    st_info a = st_header_info(h, 0), e = st_header_info(h, 1), z = st_header_info(h, 2);
    assert_string_equal(a.name, "a");
    assert_int_equal(a.dtype, ST_I16);
    assert_int_equal(a.ndim, 1);
    assert_int_equal(a.shape[0], 3);
    assert_int_equal(e.name_len, 6);
    assert_memory_equal(e.name, "e\0\xf0\x9f\x98\x80", 7);
    assert_int_equal(e.dtype, ST_BF16);
    assert_int_equal(e.shape[0], 0);
    assert_int_equal(e.shape[1], 5);
    assert_string_equal(z.name, "z");
    assert_int_equal(z.begin, 6);
    assert_int_equal(z.end, 30);
    assert_int_equal(z.shape[1], 3);
    assert_int_equal(st_header_find(h, "z", 1), 2);
    assert_int_equal(st_header_find(h, e.name, e.name_len), 1);
    assert_int_equal(st_header_find(h, "e", 1), -1);
    assert_int_equal(st_header_find(h, "", 0), -1);
    assert_int_equal(st_header_meta_count(h), 2);
    st_header_meta(h, 0, &key, &value);
    assert_string_equal(key.ptr, "b");
    assert_string_equal(value.ptr, "1");
    st_header_meta(h, 1, &key, &value);
    assert_string_equal(value.ptr, "\xc3\xa9\n");
    assert_int_equal(value.len, 3);
    st_header_free(h);
}

/* Empty tensors at one place keep the order of the text. */
static void test_order_of_ties(void **state)
{
    (void)state;
    st_header *h;
    assert_ok(parse(
        "{'c':{'dtype':'U8','shape':[1],'data_offsets':[0,1]},'b':{'dtype':'U8','shape':[0],'data_offsets':[1,1]},"
        "'z':{'dtype':'U8','shape':[0],'data_offsets':[0,0]},'a':{'dtype':'U8','shape':[0],'data_offsets':[1,1]}}",
        1, &h));
    char order[5] = "";
    for (size_t i = 0; i < 4; i++) order[i] = st_header_info(h, i).name[0];
    assert_string_equal(order, "zcba");
    st_header_free(h);
}

/* Shapes are kept in blocks: none may be lost where one block ends. */
static void test_many_shapes(void **state)
{
    (void)state;
    enum { N = 3000 };
    char *text = malloc(N * 200), *w = text;
    for (int i = 0; i < N; i++) {
        w += sprintf(w, "%c\"%d\":{\"dtype\":\"U8\",\"shape\":[", i ? ',' : '{', i);
        for (int k = 0; k < i % 17; k++) w += sprintf(w, "%s%d", k ? "," : "", k ? i : 0);
        w += sprintf(w, "],\"data_offsets\":[%d,%d]}", (i + 16) / 17, (i + 17) / 17);
    }
    *w++ = '}';
    size_t n;
    unsigned char *f = file_of(text, (size_t)(w - text), (N + 16) / 17, &n);
    st_header *h;
    assert_ok(st_header_parse("many", f, n, n, &h, &err));
    for (int i = 0; i < N; i++) {
        char name[16];
        int64_t at = st_header_find(h, name, (size_t)sprintf(name, "%d", i));
        assert_true(at >= 0);
        st_info t = st_header_info(h, (size_t)at);
        assert_int_equal(t.ndim, i % 17);
        for (int k = 0; k < t.ndim; k++) assert_int_equal(t.shape[k], k ? i : 0);
    }
    st_header_free(h);
    free(f);
    free(text);
}

/* ---------------------------------------------------------------- messages */

static void test_messages(void **state)
{
    (void)state;
#define D1(b, e) "{'dtype':'F32','shape':[2],'data_offsets':[" #b "," #e "]}"
    static const struct {
        const char *text;
        unsigned data;
        const char *want[4];
    } cases[] = {
        {"{'w':" D1(0, 8) "}", 5, {"cut short", "describes 70 bytes", "it has 67", "3 are missing"}},
        {"{'w':" D1(0, 8) "}", 9, {"1 bytes follow the last tensor", "70 bytes", "71"}},
        {"{'w':" D1(0, 7) "}", 7, {"tensor \"w\"", "[2] of F32 (32 bits each)", "needs 8 bytes", "[0, 7] give 7"}},
        {"{'w':" D1(4, 12) "}", 12, {"tensor \"w\"", "a hole", "must begin at 0, the start of the data"}},
        {"{'w':" D1(0, 8) ",'v':" D1(4, 12) "}", 12, {"tensor \"v\"", "overlap", "must begin at 8"}},
        {"{'w':" D1(0, 8) ",'w':" D1(0, 8) "}", 8, {"tensor \"w\"", "twice", "bytes 10 and 63"}},
        {"{'w':" D1(8, 0) "}", 8, {"tensor \"w\"", "reversed"}},
        {"{'w':{'dtype':'f32','shape':[2],'data_offsets':[0,8]}}", 8, {"unknown dtype \"f32\"", "case-sensitive"}},
        {"{'w':{'dtype':'F4','shape':[3],'data_offsets':[0,1]}}", 1, {"tensor \"w\"", "4 bits each", "whole byte"}},
        {"{'w':{'dtype':'F32','data_offsets':[0,1]}}", 1, {"tensor \"w\"", "\"shape\" is missing"}},
        {"{'w':{'dtype':'F32','shape':[4294967296,4294967296],'data_offsets':[0,1]}}", 1, {"[4294967296, 4294967296]"}},
        {"{'w':{'dtype':'F32','shape':[@64(1,)1],'data_offsets':[0,4]}}", 4, {"more than 64 dimensions"}},
        {"{'w':{'dtype':'F32','shape':[0,9223372036854775808],'data_offsets':[0,0]}}",
         0,
         {"9223372036854775808 does not fit"}},
        {"{'__metadata__':{'k':1}}", 0, {"value of \"k\" is not a string", "byte 29"}},
        {"{'__metadata__':{'k':'1','k':'2'}}", 0, {"metadata key \"k\" is given twice"}},
        {"{'w':{'dtype':'F32',}}", 0, {"byte 28: expected a string as key, found `}}`"}},
        {"{'\\ud800'}", 0, {"byte 16: ", "\\ud800"}},
        {"{'w':[]}", 0, {"tensor \"w\"", "byte 13", "not an object"}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        st_header *h;
        assert_true(parse(cases[i].text, cases[i].data, &h) != ST_OK);
        for (int k = 0; k < 4 && cases[i].want[k]; k++)
            if (!strstr(err.message, cases[i].want[k])) fail_msg("`%s` is not in: %s", cases[i].want[k], err.message);
    }
    st_header *h;
    assert_int_equal(parse("{'w\\u001b\\u202e':" D1(0, 7) "}", 7, &h), ST_FORMAT);
    assert_string_equal(err.tensor, "w\\u001b\\u202e");
}

/* What people mistake for a model is named, with what to do. */
static void test_diagnosis(void **state)
{
    (void)state;
#define FILE_OF(bytes) bytes, sizeof bytes - 1
    static const struct {
        const char *bytes;
        size_t n;
        const char *want[2];
    } files[] = {
        {FILE_OF(""), {"it is empty"}},
        {FILE_OF("abc"), {"shorter than the 8 bytes"}},
        {FILE_OF("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 4\n"),
         {"git-LFS pointer", "git lfs pull"}},
        {FILE_OF("GGUF\3\0\0\0\0\0\0\0\0\0\0\0"), {"GGUF", "stlua convert"}},
        {FILE_OF("PK\3\4\0\0\x08\x08\0\0\0\0"), {"zip archive", "PyTorch"}},
        {FILE_OF("PK\3\4\0\0\0\0\0\0\0\0"), {"zip archive", "stlua convert"}},
        {FILE_OF("\x80\x02\x8a\x0al\xfc\x9c\x46\xf9 j"), {"pickle", "stlua convert"}},
        {FILE_OF("\x93NUMPY\1\0v\0{'descr'"), {"NumPy array", "stlua convert"}},
        {FILE_OF("#!/bin/sh\nPK\3\4"), {"zip archive behind some other bytes"}},
        {FILE_OF("\x89HDF\r\n\x1a\n\0\0"), {"HDF5"}},
        {FILE_OF("\x7f"
                 "ELF\2\1\1\0\0\0\0\0"),
         {"a program"}},
        {FILE_OF("%PDF-1.7\n%"), {"PDF"}},
        {FILE_OF("\x28\xb5\x2f\xfd\4\0\1\0\0"), {"zstd", "zstd -d"}},
        {FILE_OF("\x1f\x8b\x08\0\1\2\3\4\0"), {"gzip"}},
        {FILE_OF("<!DOCTYPE html>\n<html lang=\"en\">"), {"a web page", "saved instead"}},
        {FILE_OF("\n  <HTML><body>"), {"a web page"}},
        {FILE_OF("<?xml version=\"1.0\"?><Error><Code>AccessDenied"), {"server's error"}},
        {FILE_OF("{\"error\":\"Repository not found\"}"), {"server's error"}},
        {FILE_OF("{\n  \"metadata\": {\n    \"total_size\": 4\n  },"), {"the index of a sharded model"}},
        {FILE_OF("{\"model_type\": \"llama\"}"), {"JSON text"}},
        {FILE_OF("Entry not found"), {"the address it was downloaded from is wrong"}},
        {FILE_OF("\0\0\0\0\0\0\0\0\0\0\0\0"), {"begins with zeros", "never finished"}},
        {FILE_OF("\x64\0\0\0\0\0\0\0{\"a\":{\"dtype\""), {"cut short", "header alone takes 108 bytes"}},
        {FILE_OF("\x7b\0\0\0\0\0\0\0{\"a\":{\"dtype\""), {"cut short", "131 bytes"}}, /* 0x7b is also `{` */
        {FILE_OF("something that is none of these"), {"first 8 bytes give a header of"}},
    };
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        st_header *h;
        unsigned char *exact = malloc(files[i].n ? files[i].n : 1);
        memcpy(exact, files[i].bytes, files[i].n);
        assert_int_equal(st_header_parse("x", exact, files[i].n, files[i].n, &h, &err), ST_FORMAT);
        free(exact);
        for (int k = 0; k < 2 && files[i].want[k]; k++)
            if (!strstr(err.message, files[i].want[k])) fail_msg("`%s` is not in: %s", files[i].want[k], err.message);
    }
}

/* ---------------------------------------------------------------- bombs */

/* Texts of a megabyte that cost a careless reader seconds or gigabytes; here a second and 64 MiB. */
static void test_bombs(void **state)
{
    (void)state;
#define T8 "{'dtype':'U8','shape':[8],'data_offsets':[0,8]}"
#define T0 "{'dtype':'U8','shape':[0],'data_offsets':[0,0]}"
    static const struct {
        const char *text;
        unsigned data;
        bool taken;
    } bombs[] = {
        {"{@18000('a':" T8 ",)'b':" T8 "}", 8, false},
        {"{@18000('a':" T0 ",)'b':" T0 "}", 0, false},
        {"{'a':{'dtype':'U8','shape':[0],'data_offsets':[0,0],'x':@900000([)", 0, false},
        {"{'a':{'dtype':'U8','shape':[0],'data_offsets':[0,0],'x':@180000({'a':)", 0, false},
        {"{'a':{'dtype':'U8','shape':[@450000(1,)1],'data_offsets':[0,1]}}", 1, false},
        {"{'a':{'dtype':'U8','shape':[0],'data_offsets':[0,0],'x':[@450000(0,)0]}}", 0, true},
        {"{'a':{'dtype':'U8','shape':[0],'data_offsets':[0,0],'x':[@200000(1e9,)0]}}", 0, true},
        {"{'a':{'dtype':'U8','shape':[0],'data_offsets':[0,0],'x':@900000(9)}}", 0, false},
        {"{'a':{'dtype':'U8','shape':[0],'data_offsets':[0,0],'x':0.@900000(9)}}", 0, true},
        {"{'@900000({)':" T0 "}", 0, true},
        {"{'@150000(\\u0041)':" T0 "}", 0, true},
        {"{'__metadata__':{@110000('k':'v',)'k':'v'}}", 0, false},
        {"{'__metadata__':{'@900000(k)':''}}", 0, true},
        {"@900000( ){}", 0, true},
        {"{'a':" T0 "@900000( )}", 0, true},
        {"@900000(')", 0, false},
        {"{'a':{@80000('x':{},)'dtype':'U8','shape':[0],'data_offsets':[0,0]}}", 0, true},
    };
    for (size_t i = 0; i < sizeof bombs / sizeof *bombs; i++) {
        st_header *h;
        double start = now();
        st_status s = parse(bombs[i].text, bombs[i].data, &h);
        if ((s == ST_OK) != bombs[i].taken || now() - start > 1.0)
            fail_msg("bomb %zu: %s, %.2f s", i, s ? err.message : "taken", now() - start);
        st_header_free(h);
    }
    assert_true(st_memory_peak() < 64u << 20);
}

/* Bombs whose names all differ, in an order that suits no sort: written by a loop. */
static void test_distinct_bombs(void **state)
{
    (void)state;
    enum { N = 17000, M = 80000 };
    char *text = malloc(N * 80), *w = text;
    uint64_t before = st_memory_used();
    for (unsigned i = 0; i < N; i++) {
        unsigned at = i % 2 ? (N - 1 - i) | 1 : i; /* out of order; every byte belongs to one tensor */
        w += sprintf(w, "%c\"n%u\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[%u,%u]}", i ? ',' : '{', i, at,
                     at + 1);
    }
    *w++ = '}';
    size_t n;
    unsigned char *f = file_of(text, (size_t)(w - text), N, &n);
    st_header *h;
    double start = now();
    assert_ok(st_header_parse("distinct", f, n, n, &h, &err));
    assert_true(now() - start < 1.0);
    assert_true(st_memory_used() - before < 5 * (uint64_t)n / 2 + 200000);
    st_header_free(h);
    free(f);

    w = text + sprintf(text, "{\"__metadata__\":");
    for (unsigned i = 0; i < M; i++) w += sprintf(w, "%c\"%x\":\"\"", i ? ',' : '{', i);
    w += sprintf(w, "}}");
    f = file_of(text, (size_t)(w - text), 0, &n);
    start = now();
    assert_ok(st_header_parse("metadata", f, n, n, &h, &err));
    assert_true(now() - start < 1.0);
    assert_int_equal(st_header_meta_count(h), M);
    st_header_free(h);
    free(f);
    free(text);
    assert_true(st_memory_peak() < 64u << 20);
}

/* ---------------------------------------------------------------- canonical writing */

static st_header_entry *entries_of(const st_header *h, rng *r)
{
    size_t n = st_header_count(h);
    st_header_entry *e = calloc(n + 1, sizeof *e);
    for (size_t i = 0; i < n; i++) {
        st_info t = st_header_info(h, i);
        size_t at = rng_below(r, i + 1);
        e[i] = e[at];
        e[at] = (st_header_entry){
            .name = t.name, .name_len = t.name_len, .dtype = t.dtype, .ndim = t.ndim, .shape = t.shape, .tag = i};
    }
    return e;
}

/* From a shuffled list of what a file of the reference library holds, its very bytes come back. */
static void test_canonical(void **state)
{
    (void)state;
    static const char *const names[] = {"empty", "dtypes", "names", "shapes"};
    rng r = {7};
    for (size_t i = 0; i < 4; i++) {
        char path[128];
        size_t n, len;
        snprintf(path, sizeof path, "tests/fixtures/canonical_%s.safetensors", names[i]);
        unsigned char *f = slurp(path, &n);
        assert_non_null(f);
        st_header *h;
        assert_ok(st_header_parse(path, f, n, n, &h, &err));
        for (int round = 0; round < 20; round++) {
            st_header_entry *e = entries_of(h, &r);
            st_meta_pair meta[4];
            uint64_t size;
            char *text;
            for (size_t k = 0; k < st_header_meta_count(h); k++) st_header_meta(h, k, &meta[k].key, &meta[k].value);
            assert_ok(st_header_layout(e, st_header_count(h), "out", &size, &err));
            assert_ok(
                st_header_write(e, st_header_count(h), meta, st_header_meta_count(h), 0, "out", &text, &len, &err));
            assert_int_equal(len + size, n);
            assert_memory_equal(text, f, len);
            st_free(text);
            free(e);
        }
        st_header_free(h);
        free(f);
    }
}

static st_header_entry u8(const char *name, size_t len, const int64_t *shape)
{
    return (st_header_entry){.name = name, .name_len = len, .dtype = ST_U8, .ndim = 1, .shape = shape};
}

/* Header padding that puts the data on a boundary is legal for every reader. */
static void test_align(void **state)
{
    (void)state;
    static const uint32_t aligns[] = {0, 8, 64, 4096};
    int64_t three = 3;
    for (size_t i = 0; i < 4; i++) {
        st_header_entry e = u8("a", 1, &three);
        uint64_t size;
        char *text;
        size_t len;
        st_header *h;
        assert_ok(st_header_layout(&e, 1, "out", &size, &err));
        assert_ok(st_header_write(&e, 1, NULL, 0, aligns[i], "out", &text, &len, &err));
        assert_int_equal(len % (aligns[i] ? aligns[i] : 8), 0);
        assert_ok(st_header_parse("out", text, len, len + 3, &h, &err));
        st_header_free(h);
        st_free(text);
        assert_int_equal(st_header_write(&e, 1, NULL, 0, 12, "out", &text, &len, &err), ST_ARG);
        assert_null(text);
    }
}

/* Metadata is written by key, whatever the order it is given in. */
static void test_metadata_order(void **state)
{
    (void)state;
    st_meta_pair m[] = {{{"b", 1}, {"2", 1}}, {{"a\0", 2}, {"1", 1}}, {{"a", 1}, {"0", 1}}};
    char *text;
    size_t len;
    assert_ok(st_header_write(NULL, 0, m, 3, 0, "out", &text, &len, &err));
    static const char want[] = "{\"__metadata__\":{\"a\":\"0\",\"a\\u0000\":\"1\",\"b\":\"2\"}}";
    assert_memory_equal(text + 8, want, sizeof want - 1);
    st_free(text);
    m[1].key = m[0].key;
    assert_int_equal(st_header_write(NULL, 0, m, 3, 0, "out", &text, &len, &err), ST_ARG);
    assert_non_null(strstr(err.message, "\"b\": it is given twice"));
    m[1].key = (st_text){"\xff", 1};
    assert_int_equal(st_header_write(NULL, 0, m, 3, 0, "out", &text, &len, &err), ST_ARG);
    assert_non_null(strstr(err.message, "not valid UTF-8"));
}

static void test_refuses_to_write(void **state)
{
    (void)state;
    int64_t three = 3, huge[2] = {INT64_MAX, 2}, ones[ST_MAX_DIMS + 1];
    uint64_t size;
    char *name = malloc(ST_NAME_MAX + 1);
    memset(name, 'n', ST_NAME_MAX + 1);
    for (int i = 0; i <= ST_MAX_DIMS; i++) ones[i] = 1;

    st_header_entry twice[] = {u8("a", 1, &three), u8("b", 1, &three), u8("a", 1, &three)};
    twice[2].dtype = ST_F32; /* apart after sorting */
    assert_int_equal(st_header_layout(twice, 3, "out", &size, &err), ST_NAME);
    assert_string_equal(err.tensor, "a");
    st_header_entry e = u8("__metadata__", 12, &three);
    assert_int_equal(st_header_layout(&e, 1, "out", &size, &err), ST_NAME);
    e = u8("\xff", 1, &three);
    assert_int_equal(st_header_layout(&e, 1, "out", &size, &err), ST_NAME);
    e = u8(name, ST_NAME_MAX, &three);
    assert_ok(st_header_layout(&e, 1, "out", &size, &err));
    e = u8(name, ST_NAME_MAX + 1, &three);
    assert_int_equal(st_header_layout(&e, 1, "out", &size, &err), ST_NAME);
    e = u8("a", 1, huge);
    e.ndim = 2;
    assert_int_equal(st_header_layout(&e, 1, "out", &size, &err), ST_LIMIT);
    e = u8("a", 1, &three);
    e.dtype = ST_F4;
    assert_int_equal(st_header_layout(&e, 1, "out", &size, &err), ST_LIMIT);
    e = u8("a", 1, ones);
    e.ndim = ST_MAX_DIMS;
    assert_ok(st_header_layout(&e, 1, "out", &size, &err));
    e.ndim = ST_MAX_DIMS + 1;
    assert_int_equal(st_header_layout(&e, 1, "out", &size, &err), ST_LIMIT);
    int64_t big = INT64_MAX / 16;
    st_header_entry sum[20];
    for (int i = 0; i < 20; i++) sum[i] = u8(&"abcdefghijklmnopqrst"[i], 1, &big);
    assert_int_equal(st_header_layout(sum, 20, "out", &size, &err), ST_LIMIT);
    free(name);
}

/* A header above the cap is refused before it is allocated; at the cap it is written. */
static void test_write_cap(void **state)
{
    (void)state;
    size_t n = ST_HEADER_MAX - 24, len; /* {"__metadata__":{"k":""}} has 25 bytes; 8 more are the next multiple */
    char *value = malloc(n), *text;
    memset(value, 'v', n);
    st_meta_pair m = {{"k", 1}, {value, n - 1}};
    assert_ok(st_header_write(NULL, 0, &m, 1, 0, "out", &text, &len, &err));
    assert_int_equal(len, 8 + ST_HEADER_MAX);
    st_free(text);
    m.value.len = n;
    assert_int_equal(st_header_write(NULL, 0, &m, 1, 0, "out", &text, &len, &err), ST_LIMIT);
    assert_null(text);
    assert_non_null(strstr(err.message, "100000008"));
    free(value);
}

/* ---------------------------------------------------------------- allocations that fail */

/* Fails the k-th allocation, once or from then on, until the call succeeds; nothing may leak or be half made. */
static void test_no_memory(void **state)
{
    (void)state;
    static const char text[] = "{'__metadata__':{'k':'v','l':'w'},'a':{'dtype':'U8','shape':[2],'data_offsets':[0,2]},"
                               "'b':{'dtype':'F32','shape':[],'data_offsets':[2,6]}}";
    for (int onwards = 0; onwards < 2; onwards++) {
        uint64_t k;
        for (k = 1;; k++) {
            st_header *h = (st_header *)1;
            st_mem_fail_at(k, onwards);
            st_status s = parse(text, 6, &h);
            st_mem_fail_at(0, false);
            if (s == ST_OK) {
                st_header_free(h);
                break;
            }
            assert_int_equal(s, ST_NOMEM);
            assert_null(h);
            assert_int_equal(st_memory_used(), 0);
        }
        assert_true(k > 5);
    }
    int64_t three = 3;
    for (uint64_t k = 1;; k++) {
        st_header_entry e[2] = {u8("a", 1, &three), u8("b", 1, &three)};
        st_meta_pair m = {{"k", 1}, {"v", 1}};
        uint64_t size;
        size_t len;
        char *out = NULL;
        st_mem_fail_at(k, true);
        st_status s = st_header_layout(e, 2, "out", &size, &err);
        if (s == ST_OK) s = st_header_write(e, 2, &m, 1, 0, "out", &out, &len, &err);
        st_mem_fail_at(0, false);
        if (s == ST_OK) {
            st_free(out);
            assert_true(k > 3);
            break;
        }
        assert_int_equal(s, ST_NOMEM);
        assert_null(out);
        assert_int_equal(st_memory_used(), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_bombs, teardown), /* first: they look at the peak of memory */
        cmocka_unit_test_teardown(test_distinct_bombs, teardown),
        cmocka_unit_test_teardown(test_cases, teardown),
        cmocka_unit_test_teardown(test_cut_anywhere, teardown),
        cmocka_unit_test_teardown(test_cap, teardown),
        cmocka_unit_test_teardown(test_contents, teardown),
        cmocka_unit_test_teardown(test_order_of_ties, teardown),
        cmocka_unit_test_teardown(test_many_shapes, teardown),
        cmocka_unit_test_teardown(test_messages, teardown),
        cmocka_unit_test_teardown(test_diagnosis, teardown),
        cmocka_unit_test_teardown(test_canonical, teardown),
        cmocka_unit_test_teardown(test_align, teardown),
        cmocka_unit_test_teardown(test_metadata_order, teardown),
        cmocka_unit_test_teardown(test_refuses_to_write, teardown),
        cmocka_unit_test_teardown(test_write_cap, teardown),
        cmocka_unit_test_teardown(test_no_memory, teardown),
    };
    return cmocka_run_group_tests_name("header", tests, NULL, NULL);
}
