/* test_index.c - the index of a sharded model: what is accepted, which shard names are refused, limits, failing
 * allocations. */
#include "support.h"

#include "mem.h"

#include <stdio.h>
#include <string.h>

static st_err err;
static char *dir;

static int setup(void **state)
{
    (void)state;
    dir = scratch_new();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    st_mem_fail_at(0, false);
    scratch_free(dir);
    return st_memory_used() != 0;
}

/* Parses text (' for ") from a block of its exact size. */
static st_status parse(const char *text, size_t n, st_index **x)
{
    char *copy = malloc(n ? n : 1);
    for (size_t i = 0; i < n; i++) copy[i] = text[i] == '\'' ? '"' : text[i];
    st_status s = st_index_parse("i.json", copy, n, x, &err);
    free(copy);
    return s;
}

static void test_contents(void **state)
{
    (void)state;
    static const char text[] = "{'metadata':{'total_size':123,'mergekit_version':'0.1'},'extra':[1,{}],'weight_map':{"
                               "'b':'m-2.safetensors','a':'m-1.safetensors','\\u00e9\\u0000':'m-2.safetensors'}}\n";
    st_index *x;
    st_text name;
    size_t shard;
    uint64_t total = 0;
    assert_ok(parse(text, sizeof text - 1, &x));
    assert_int_equal(st_index_shards(x), 2);
    assert_string_equal(st_index_shard(x, 0), "m-2.safetensors");
    assert_string_equal(st_index_shard(x, 1), "m-1.safetensors");
    assert_int_equal(st_index_count(x), 3);
    st_index_entry(x, 1, &name, &shard);
    assert_string_equal(name.ptr, "a");
    assert_int_equal(shard, 1);
    st_index_entry(x, 2, &name, &shard);
    assert_int_equal(name.len, 3);
    assert_memory_equal(name.ptr, "\xc3\xa9\0", 4);
    assert_int_equal(shard, 0);
    assert_int_equal(st_index_find(x, "b", 1), 0);
    assert_int_equal(st_index_find(x, name.ptr, 3), 2);
    assert_int_equal(st_index_find(x, "c", 1), -1);
    assert_true(st_index_total_size(x, &total));
    assert_int_equal(total, 123);
    st_index_free(x);
}

static void test_verdicts(void **state)
{
    (void)state;
#define S "m.safetensors"
    static const struct {
        const char *why, *text;
        bool taken, total;
    } cases[] = {
        {"smallest", "{'weight_map':{}}", true, false},
        {"one", "{'weight_map':{'a':'" S "'}}", true, false},
        {"metadata is null", "{'metadata':null,'weight_map':{}}", true, false},
        {"metadata is empty", "{'metadata':{},'weight_map':{}}", true, false},
        {"metadata behind", "{'weight_map':{},'metadata':{'total_size':5}}", true, true},
        {"total_size is the largest integer", "{'metadata':{'total_size':18446744073709551615},'weight_map':{}}", true,
         true},
        {"total_size is a fraction", "{'metadata':{'total_size':1.5e9},'weight_map':{}}", true, false},
        {"total_size is negative", "{'metadata':{'total_size':-1},'weight_map':{}}", true, false},
        {"total_size is a string", "{'metadata':{'total_size':'5'},'weight_map':{}}", true, false},
        {"total_size is null", "{'metadata':{'total_size':null},'weight_map':{}}", true, false},
        {"total_size is too large", "{'metadata':{'total_size':18446744073709551616},'weight_map':{}}", true, false},
        {"total_size is no JSON", "{'metadata':{'total_size':01},'weight_map':{}}", false, false},
        {"other metadata of any kind", "{'metadata':{'x':{'y':[1,null]}},'weight_map':{}}", true, false},
        {"total_size twice", "{'metadata':{'total_size':1,'total_size':1},'weight_map':{}}", false, false},
        {"metadata twice", "{'metadata':{},'metadata':{},'weight_map':{}}", false, false},
        {"metadata is an array", "{'metadata':[],'weight_map':{}}", false, false},
        {"metadata is a string", "{'metadata':'x','weight_map':{}}", false, false},
        {"no weight_map", "{'metadata':{'total_size':5}}", false, false},
        {"empty object", "{}", false, false},
        {"weight_map twice", "{'weight_map':{},'weight_map':{}}", false, false},
        {"weight_map twice after unescaping", "{'weight_map':{},'\\u0077eight_map':{}}", false, false},
        {"weight_map is null", "{'weight_map':null}", false, false},
        {"weight_map is an array", "{'weight_map':[]}", false, false},
        {"weight_map inside metadata only", "{'metadata':{'weight_map':{}}}", false, false},
        {"shard is null", "{'weight_map':{'a':null}}", false, false},
        {"shard is a number", "{'weight_map':{'a':1}}", false, false},
        {"shard is an array", "{'weight_map':{'a':['" S "']}}", false, false},
        {"tensor twice, one shard", "{'weight_map':{'a':'" S "','a':'" S "'}}", false, false},
        {"tensor twice, two shards", "{'weight_map':{'a':'" S "','a':'n.safetensors'}}", false, false},
        {"tensor twice after unescaping", "{'weight_map':{'a':'" S "','\\u0061':'" S "'}}", false, false},
        {"names that differ behind a NUL", "{'weight_map':{'a\\u0000b':'" S "','a\\u0000c':'" S "'}}", true, false},
        {"empty tensor name", "{'weight_map':{'':'" S "'}}", true, false},
        {"unknown top-level fields", "{'x':1,'x':2,'weight_map':{}}", true, false},
        {"empty file", "", false, false},
        {"array", "[]", false, false},
        {"text behind", "{'weight_map':{}}x", false, false},
        {"comma behind the last", "{'weight_map':{},}", false, false},
        {"comment", "{'weight_map':{}/**/}", false, false},
        {"bad UTF-8", "{'weight_map':{'\xff':'" S "'}}", false, false},
        {"byte order mark", "\xef\xbb\xbf{'weight_map':{}}", false, false},
        {"high surrogate alone", "{'weight_map':{'\\ud800':'" S "'}}", false, false},
        {"cut", "{'weight_map':{'a':'" S, false, false},
        {"a web page", "<!DOCTYPE html>", false, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        st_index *x = (st_index *)1;
        uint64_t total = 77;
        memset(&err, 0, sizeof err);
        st_status s = parse(cases[i].text, strlen(cases[i].text), &x);
        if ((s == ST_OK) != cases[i].taken) fail_msg("%s: %s", cases[i].why, s ? err.message : "taken");
        if (s == ST_OK) {
            assert_int_equal(st_index_total_size(x, &total), cases[i].total);
            assert_int_equal(total == 77, !cases[i].total);
            st_index_free(x);
        } else {
            assert_null(x);
            assert_int_equal(s, ST_FORMAT);
            assert_string_equal(err.file, "i.json");
        }
    }
}

/* ---------------------------------------------------------------- shard names */

static void check_shard(const char *shard, bool taken)
{
    char text[512];
    st_index *x;
    int n = snprintf(text, sizeof text, "{\"weight_map\":{\"w.0\":\"%s\"}}", shard);
    st_status s = st_index_parse("i.json", text, (size_t)n, &x, &err);
    if ((s == ST_OK) != taken) fail_msg("%s: %s", shard, s ? err.message : "taken");
    if (s == ST_OK) {
        st_index_free(x);
        return;
    }
    assert_int_equal(s, ST_FORMAT);
    assert_string_equal(err.tensor, "w.0");
    assert_non_null(strstr(err.message, "shard name"));
}

static void test_shard_names(void **state)
{
    (void)state;
    static const char *const taken[] = {
        "pytorch_model-00001-of-00002.bin",
        "m.pt",
        "a/m.pth",
        "model.safetensors",
        "model-00001-of-00003.safetensors",
        "model.safetensors-00003-of-00004.safetensors",
        "model_00002-of-00072.safetensors",
        "sub/model.safetensors",
        "a/b/c.safetensors",
        "..model.safetensors",
        "a..b.safetensors",
        ".safetensors",
        ("m\xc3\xb6"
         "del.safetensors"),
        "a b.safetensors",
        "con1.safetensors",
        "console.safetensors",
        "com0.safetensors",
        "com.safetensors",
        "com10.safetensors",
        ".hidden/x.safetensors",
        "%2e%2e.safetensors",
        "~.safetensors",
        "$HOME.safetensors",
    };
    static const char *const refused[] = {
        "",
        "/",
        ".",
        "..",
        "/model.safetensors",
        "//host/share/model.safetensors",
        "../model.safetensors",
        "../../etc/model.safetensors",
        "a/../model.safetensors",
        "a/../../model.safetensors",
        "a/..",
        "..\\\\m.safetensors",
        "a\\\\m.safetensors",
        "\\\\m.safetensors",
        "\\\\\\\\host\\\\m.safetensors",
        "\\\\\\\\?\\\\C:\\\\m.safetensors",
        "C:m.safetensors",
        "C:/m.safetensors",
        "c:\\\\m.safetensors",
        "m.safetensors:stream.safetensors",
        "file:///m.safetensors",
        "https://host/m.safetensors",
        "m\\u0000.safetensors",
        "m.safetensors\\u0000",
        "\\u0000",
        "m\\n.safetensors",
        "m\\u001b.safetensors",
        "m\\u007f.safetensors",
        "./m.safetensors",
        "a/./m.safetensors",
        "a//m.safetensors",
        "a/",
        "m.safetensors/",
        ".. /m.safetensors",
        ".../m.safetensors",
        "a./m.safetensors",
        "a /m.safetensors",
        "m.safetensors.",
        "m.safetensors ",
        "model.binary",
        "../model.bin",
        "/model.pt",
        "con.bin",
        "model",
        "safetensors",
        "model.safetensor",
        "model.safetensors.bak",
        "model.SAFETENSORS",
        "/etc/passwd",
        "/dev/zero.safetensors",
        "con.safetensors",
        "NUL.safetensors",
        "aux/m.safetensors",
        "Prn.x.safetensors",
        "com1.safetensors",
        "a/LPT9.safetensors",
        "\\u002e\\u002e/m.safetensors",
        "..\\u002fm.safetensors",
        "\\u002fm.safetensors",
    };
    for (size_t i = 0; i < sizeof taken / sizeof *taken; i++) check_shard(taken[i], true);
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) check_shard(refused[i], false);
    assert_true(sizeof refused / sizeof *refused >= 40);
}

/* ---------------------------------------------------------------- files and limits */

static void test_open(void **state)
{
    (void)state;
    st_index *x;
    const char *path = in_dir(dir, "model.safetensors.index.json");
    static const char text[] = "{\"weight_map\":{\"a\":\"m.safetensors\"}}";
    spill(path, text, sizeof text - 1);
    assert_ok(st_index_open(path, &x, &err));
    assert_int_equal(st_index_count(x), 1);
    st_index_free(x);

    assert_int_equal(st_index_open(in_dir(dir, "none.json"), &x, &err), ST_IO);
    assert_null(x);
    assert_non_null(strstr(err.message, "No such file"));
    assert_int_equal(st_index_open(dir, &x, &err), ST_IO);
    assert_non_null(strstr(err.message, "a folder"));
    spill(path, "", 0);
    assert_int_equal(st_index_open(path, &x, &err), ST_FORMAT);
    spill(path, "{}", 2);
    assert_int_equal(st_index_open(path, &x, &err), ST_FORMAT);
    assert_non_null(strstr(err.message, "no \"weight_map\""));
}

/* 64,000,000 bytes are read, one more is refused unread. */
static void test_size_limit(void **state)
{
    (void)state;
    const size_t cap = 64000000;
    char *text = malloc(cap + 1);
    st_index *x;
    memset(text, ' ', cap + 1);
    memcpy(text, "{\"weight_map\":{}}", 17);
    assert_ok(st_index_parse("i.json", text, cap, &x, &err));
    st_index_free(x);
    uint64_t before = st_mem_calls();
    assert_int_equal(st_index_parse("i.json", text, cap + 1, &x, &err), ST_LIMIT);
    assert_int_equal(st_mem_calls(), before);
    assert_non_null(strstr(err.message, "64000001"));
    free(text);
}

static void test_many(void **state)
{
    (void)state;
    enum { N = 30000 };
    char *text = malloc(N * 64), *w = text + sprintf(text, "{\"weight_map\":");
    st_index *x;
    for (int i = 0; i < N; i++) w += sprintf(w, "%c\"t%d\":\"s%d.safetensors\"", i ? ',' : '{', i, i % 1000);
    w += sprintf(w, "}}");
    assert_ok(st_index_parse("i.json", text, (size_t)(w - text), &x, &err));
    assert_int_equal(st_index_shards(x), 1000);
    for (int i = 0; i < N; i++) {
        char name[16];
        st_text got;
        size_t shard;
        assert_int_equal(st_index_find(x, name, (size_t)sprintf(name, "t%d", i)), i);
        st_index_entry(x, (size_t)i, &got, &shard);
        assert_string_equal(got.ptr, name);
        assert_int_equal(shard, i % 1000);
    }
    st_index_free(x);
    free(text);
}

static void test_no_memory(void **state)
{
    (void)state;
    static const char text[] =
        "{\"metadata\":{\"total_size\":1},\"weight_map\":{\"a\":\"m.safetensors\",\"b\":\"n.safetensors\"}}";
    const char *path = in_dir(dir, "i.json");
    spill(path, text, sizeof text - 1);
    for (int onwards = 0; onwards < 2; onwards++) {
        for (uint64_t k = 1;; k++) {
            st_index *x = (st_index *)1;
            st_mem_fail_at(k, onwards);
            st_status s = st_index_open(path, &x, &err);
            st_mem_fail_at(0, false);
            if (s == ST_OK) {
                st_index_free(x);
                assert_true(k > 5);
                break;
            }
            assert_int_equal(s, ST_NOMEM);
            assert_null(x);
            assert_int_equal(st_memory_used(), 0);
        }
    }
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_contents),   T(test_verdicts), T(test_shard_names), T(test_open),
        T(test_size_limit), T(test_many),     T(test_no_memory),
    };
    return cmocka_run_group_tests_name("index", tests, NULL, NULL);
}
