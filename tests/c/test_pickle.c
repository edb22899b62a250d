/* test_pickle.c - pickles as inert nodes: every operation of protocols 0 to 5, bytes that are no pickle, bombs; and
 * what is known of names. */
#include "support.h"

#include "callables.h"
#include "mem.h"
#include "pickle.h"
#include "sys.h"

#include <stdio.h>
#include <string.h>

static st_err err;

static int teardown(void **state)
{
    (void)state;
    st_mem_fail_at(0, false);
    return st_memory_used() != 0;
}

/* Reads from a block of the exact size. */
static st_status read_bytes(const void *bytes, size_t n, st_pickle **p, size_t *used, char **copy)
{
    *copy = malloc(n ? n : 1);
    memcpy(*copy, bytes, n);
    return st_pickle_read("p", *copy, n, p, used, &err);
}

static const char *shown(const void *bytes, size_t n)
{
    static char text[400];
    st_pickle *p;
    size_t used;
    char *copy;
    st_status s = read_bytes(bytes, n, &p, &used, &copy);
    if (s == ST_OK) {
        assert_int_equal(used, n);
        st_pickle_show(p, st_pickle_root(p), text, sizeof text);
    } else {
        snprintf(text, sizeof text, "%.399s", err.message);
    }
    st_pickle_free(p);
    free(copy);
    return text;
}

#define P(text) text, sizeof text - 1

/* ---------------------------------------------------------------- operations */

static void test_values(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t n;
        const char *text;
    } cases[] = {
        {P("N."), "None"},
        {P("\x88."), "True"},
        {P("\x89."), "False"},
        {P("I01\n."), "True"},
        {P("I00\n."), "False"},
        {P("I1\n."), "1"},
        {P("I-15\n."), "-15"},
        {P("L77L\n."), "77"},
        {P("L-77\n."), "-77"},
        {P("L9223372036854775807L\n."), "9223372036854775807"},
        {P("L9223372036854775808L\n."), "a large number"},
        {P("L123456789012345678901234567890L\n."), "a large number"},
        {P("K\xff."), "255"},
        {P("M\xff\xff."), "65535"},
        {P("J\xff\xff\xff\xff."), "-1"},
        {P("J\xff\xff\xff\x7f."), "2147483647"},
        {P("\x8a\x00."), "0"},
        {P("\x8a\x01\xff."), "-1"},
        {P("\x8a\x02\xff\x00."), "255"},
        {P("\x8a\x08\x00\x00\x00\x00\x00\x00\x00\x80."), "-9223372036854775808"},
        {P("\x8a\x09\x00\x00\x00\x00\x00\x00\x00\x80\x00."), "a large number"},
        {P("\x8b\x01\x00\x00\x00\x05."), "5"},
        {P("F1.5\n."), "1.5"},
        {P("Fnan\n."), "nan"},
        {P("G\x3f\xf8\x00\x00\x00\x00\x00\x00."), "1.5"},
        {P("S'it\\'s \\x41\\n'\n."), "\"it's A\\u000a\""},
        {P("S\"q\"\n."), "\"q\""},
        {P("V\\u00e9\\U0001f600 \\n \xe9\n."), "\"\u00e9\U0001f600 \\\\n \u00e9\""},
        {P("T\x02\x00\x00\x00hi."), "\"hi\""},
        {P("U\x02hi."), "\"hi\""},
        {P("X\x02\x00\x00\x00hi."), "\"hi\""},
        {P("\x8c\x02hi."), "\"hi\""},
        {P("\x8d\x02\x00\x00\x00\x00\x00\x00\x00hi."), "\"hi\""},
        {P("B\x02\x00\x00\x00hi."), "b\"hi\""},
        {P("C\x02hi."), "b\"hi\""},
        {P("\x8e\x02\x00\x00\x00\x00\x00\x00\x00hi."), "b\"hi\""},
        {P("\x96\x02\x00\x00\x00\x00\x00\x00\x00hi."), "b\"hi\""},
        {P(")."), "()"},
        {P("(K\x01K\x02t."), "(1, 2)"},
        {P("(t."), "()"},
        {P("K\x01\x85."), "(1,)"},
        {P("K\x01K\x02\x86."), "(1, 2)"},
        {P("K\x01K\x02K\x03\x87."), "(1, 2, 3)"},
        {P("(K\x01l."), "[1]"},
        {P("]K\x01"
           "a."),
         "[1]"},
        {P("](K\x01K\x02"
           "eK\x03"
           "a."),
         "[1, 2, 3]"},
        {P("(K\x01K\x02"
           "d."),
         "{1: 2}"},
        {P("}K\x01K\x02s(K\x03K\x04u."), "{1: 2, 3: 4}"},
        {P("\x8f(K\x01K\x02\x90."), "{1, 2}"},
        {P("(K\x01\x91."), "{1}"},
        {P("K\x01(K\x02K\x03"
           "1."),
         "1"},
        {P("K\x01K\x02"
           "0."),
         "1"},
        {P("K\x01("
           "0."),
         "1"},
        {P("K\x01"
           "2\x86."),
         "(1, 1)"},
        {P("K\x05p0\n0g0\n."), "5"},
        {P("K\x05q\x01"
           "0h\x01."),
         "5"},
        {P("K\x05r\x02\x00\x00\x00"
           "0j\x02\x00\x00\x00."),
         "5"},
        {P("\x80\x04\x95\x08\x00\x00\x00\x00\x00\x00\x00K\x05\x94K\x06\x94h\x00\x87."), ""},
        {P("\x80\x04K\x05\x94K\x06\x94h\x00\x87."), "(5, 6, 5)"},
        {P("cos\nsystem\n."), "os.system"},
        {P("cos\nsystem\n(U\x02lstR."), "os.system(\"ls\")"},
        {P("\x8c\x02os\x8c\x06system\x93)R."), "os.system()"},
        {P("cm\nC\n)\x81."), "m.C()"},
        {P("cm\nC\n)}\x92."), "m.C((), {})"},
        {P("(im\nC\n."), "m.C()"},
        {P("(K\x01im\nC\n."), "m.C(1)"},
        {P("(cm\nC\nK\x01o."), "m.C(1)"},
        {P("cm\nC\n)R}K\x01K\x02sb."), "m.C()"},
        {P("\x82\x05."), "copyreg.extension 5"},
        {P("\x83\x05\x01."), "copyreg.extension 261"},
        {P("\x84\x05\x00\x00\x00."), "copyreg.extension 5"},
        {P("K\x01Q."), "<storage>"},
        {P("Pstorage\n."), "<storage>"},
        {P("cm\nC\nK\x05R."), "m.C(*5)"},
        {P("]q\x00h\x00"
           "a."),
         "[[[[[...]]]]]"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (cases[i].text[0]) assert_string_equal(shown(cases[i].bytes, cases[i].n), cases[i].text);
}

/* What a call's object is built with, and what it is given. */
static void test_objects(void **state)
{
    (void)state;
    static const char bytes[] = "ccollections\nOrderedDict\n)R(U\1aK\1U\1bK\2u}U\1cK\3sb.";
    st_pickle *p;
    size_t used;
    char *copy;
    st_pnode key, value;
    assert_ok(read_bytes(P(bytes), &p, &used, &copy));
    st_pnode root = st_pickle_root(p);
    assert_int_equal(st_pickle_kind(p, root), ST_P_CALL);
    assert_true(st_pickle_is_global(p, st_pickle_callee(p, root), "collections", "OrderedDict"));
    assert_int_equal(st_pickle_int(p, st_pickle_get(p, root, "b", 1)), 2);
    assert_int_equal(st_pickle_get(p, root, "c", 1), 0);
    assert_int_equal(st_pickle_int(p, st_pickle_get(p, st_pickle_state(p, root), "c", 1)), 3);
    st_pitems it = st_pickle_items(p, root);
    assert_true(st_pickle_next(&it, &key, &value) && st_pickle_is_text(p, key, "a"));
    assert_true(st_pickle_next(&it, &key, &value) && st_pickle_int(p, value) == 2);
    assert_false(st_pickle_next(&it, &key, &value));
    assert_false(st_pickle_next(&it, &key, &value));
    assert_int_equal(st_pickle_globals(p), 1);
    assert_int_equal(st_pickle_first_call(p, st_pickle_global(p, 0)), root);
    st_pickle_free(p);
    free(copy);
}

/* What is thrown away again would have run all the same: it is known. */
static void test_calls_that_leave_nothing(void **state)
{
    (void)state;
    static const char bytes[] = "cos\nsystem\n(U\2lstR0((cnt\nsystem\nU\1xo1K\1.";
    st_pickle *p;
    size_t used;
    char *copy, text[100];
    assert_ok(read_bytes(P(bytes), &p, &used, &copy));
    assert_int_equal(st_pickle_globals(p), 2);
    st_pickle_show(p, st_pickle_first_call(p, st_pickle_global(p, 0)), text, sizeof text);
    assert_string_equal(text, "os.system(\"ls\")");
    assert_int_equal(st_pickle_int(p, st_pickle_root(p)), 1);
    st_pickle_free(p);
    free(copy);
}

/* What a call is handed it may call; a call of its own is told rather. */
static void test_names_that_are_handed_on(void **state)
{
    (void)state;
    static const char bytes[] = "cm\nf\n(cn\ng\nco\nh\ntRco\nh\n)Rcp\ni\n.";
    static const char *const calls[] = {"m.f(n.g, o.h)", "m.f(n.g, o.h)", "o.h()", NULL};
    st_pickle *p;
    size_t used;
    char *copy, text[100];
    assert_ok(read_bytes(P(bytes), &p, &used, &copy));
    assert_int_equal(st_pickle_globals(p), 4);
    for (size_t i = 0; i < 4; i++) {
        st_pnode call = st_pickle_first_call(p, st_pickle_global(p, i));
        assert_int_equal(call != 0, calls[i] != NULL);
        if (!call) continue;
        st_pickle_show(p, call, text, sizeof text);
        assert_string_equal(text, calls[i]);
    }
    st_pickle_free(p);
    free(copy);
}

static void test_showing_fits(void **state)
{
    (void)state;
    static const char bytes[] = "(U\6\xc3\xa9\xc3\xa9\xc3\xa9](K\1K\1K\1K\1K\1K\1K\1K\1K\1K\1eU\1\nt.";
    st_pickle *p;
    size_t used;
    char *copy, text[100];
    assert_ok(read_bytes(P(bytes), &p, &used, &copy));
    for (size_t cap = 9; cap < sizeof text; cap++) {
        memset(text, 'z', sizeof text);
        st_pickle_show(p, st_pickle_root(p), text, cap);
        assert_true(strlen(text) < cap);
        assert_int_equal(text[cap], 'z');
    }
    assert_string_equal(text, "(\"\u00e9\u00e9\u00e9\", [1, 1, 1, 1, 1, 1, 1, 1, ...], \"\\u000a\")");
    st_pickle_free(p);
    free(copy);
}

/* ---------------------------------------------------------------- what is no pickle */

static void test_errors(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t n;
        const char *text;
    } cases[] = {
        {P(""), "cut short"},
        {P("."), "an operand is missing"},
        {P("K\x01"), "cut short"},
        {P("a"), "an operand is missing"},
        {P("]a"), "an operand is missing"},
        {P("K\x01K\x02"
           "a"),
         "items for what takes none"},
        {P("]K\x01K\x02s"), "items for what takes none"},
        {P("](K\x01u."), "items for what takes none"},
        {P("}(K\x01u."), "a key without a value"},
        {P("(K\x01"
           "d."),
         "a key without a value"},
        {P("K\x01("
           "a."),
         "an operand is missing"},
        {P("t."), "no mark"},
        {P("("
           "."),
         "an operand is missing"},
        {P("h\x00."), "memo entry 0 is not there"},
        {P("g12\n."), "memo entry 12 is not there"},
        {P("gx\n."), "without a number"},
        {P("K\x01pr\n."), "without a number"},
        {P("q\x00."), "an operand is missing"},
        {P("K\x01r\xff\xff\xff\xff."), "memo entry 4294967295 of a pickle of"},
        {P("K\x01p18446744073709551616\n."), "without a number"},
        {P("Iabc\n."), "no whole number"},
        {P("I\n."), "no whole number"},
        {P("I-\n."), "no whole number"},
        {P("Fx\n."), "no number"},
        {P("F\n."), "no number"},
        {P("Sx\n."), "without its quotes"},
        {P("S'\n."), "without its quotes"},
        {P("K\x01K\x02\x93."), "a name that is no text"},
        {P("(o."), "an object without a class"},
        {P("\x80\x06."), "protocol 6"},
        {P("\x95\xff\x00\x00\x00\x00\x00\x00\x00."), "cut short: 255 more bytes"},
        {P("\x95\xff\xff\xff\xff\xff\xff\xff\xff."), "cut short"},
        {P("\x97."), "a buffer that is not in the file"},
        {P("N\x98."), "a buffer that is not in the file"},
        {P("\x00."), "0x00 is no operation"},
        {P("\xff."), "0xff is no operation"},
        {P("X\xff\xff\xff\xff."), "cut short: 4294967295 more"},
        {P("\x8d\xff\xff\xff\xff\xff\xff\xff\xff."), "cut short"},
        {P("\x8b\xff\xff\xff\xff."), "cut short"},
        {P("cos"), "a line has no end"},
        {P("cos\nsystem"), "a line has no end"},
        {P("cm\nC\n)R(K\1e(K\1K\2u."), "a list and a dict"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *text = shown(cases[i].bytes, cases[i].n);
        if (!strstr(text, "p: broken pickle: byte") || !strstr(text, cases[i].text))
            fail_msg("case %zu: expected \"%s\" in \"%s\"", i, cases[i].text, text);
    }
}

static void test_every_cut(void **state)
{
    (void)state;
    static const char bytes[] = "\x80\x02}q\x00(X\x01\x00\x00\x00"
                                "acos\nsystem\nU\x02ls\x85RI12\nS'x'\nK\1G\x3f\xf8\x00\x00\x00\x00\x00\x00u.";
    for (size_t n = 0; n < sizeof bytes - 1; n++) {
        st_pickle *p;
        size_t used;
        char *copy;
        assert_int_equal(read_bytes(bytes, n, &p, &used, &copy), ST_FORMAT);
        assert_null(p);
        assert_true(used > n);
        free(copy);
    }
}

/* ---------------------------------------------------------------- bombs */

enum { MILLION = 1 << 20 };

/* `start`, then `unit` over and over, then `stop`: read in less than a second and 64 MiB. */
static void expect_cheap(const char *start, const char *unit, size_t n, const char *stop, st_status status)
{
    size_t a = strlen(start), b = strlen(stop), len = a;
    char *bytes = malloc(MILLION + a + b + n);
    memcpy(bytes, start, a);
    for (; len < MILLION; len += n) memcpy(bytes + len, unit, n);
    memcpy(bytes + len, stop, b);
    len += b;
    st_pickle *p;
    size_t used;
    double from = sys_seconds();
    assert_int_equal(st_pickle_read("p", bytes, len, &p, &used, &err), status);
    char text[100];
    if (p) st_pickle_show(p, st_pickle_root(p), text, sizeof text);
    assert_true(st_memory_used() < 64u << 20);
    st_pickle_free(p);
    free(bytes);
    assert_true(sys_seconds() - from < 10); /* of a sanitizer's build */
}

static void test_bombs(void **state)
{
    (void)state;
    expect_cheap("", P("N"), ".", ST_OK);
    expect_cheap("", P("]"), ".", ST_OK);
    expect_cheap("", P("("), "N.", ST_OK);
    expect_cheap("N", P("\x85"), ".", ST_OK);                /* nested a million times */
    expect_cheap(")", P("2\x86"), ".", ST_OK);               /* (x, x) of (x, x) ... 2^500,000 paths */
    expect_cheap(")", P("222\x87"), ".", ST_OK);             /* and more */
    expect_cheap("]", P("2a"), ".", ST_OK);                  /* a list in itself */
    expect_cheap("]", P("Na"), ".", ST_OK);                  /* grown one by one */
    expect_cheap("", P("N\x94"), ".", ST_OK);                /* memo entries */
    expect_cheap("", P("cm\nC\n"), ".", ST_OK);              /* one name */
    expect_cheap("cm\nC\n)", P("R)"), "0.", ST_OK);          /* calls of calls */
    expect_cheap("", P("I1\n"), ".", ST_OK);                 /* text */
    expect_cheap("", P("(N1"), "N.", ST_OK);                 /* marks that come and go */
    expect_cheap("", P("U\xff"), ".", ST_FORMAT);            /* texts of 255 bytes */
    expect_cheap("(", P("N"), "t.", ST_OK);                  /* one tuple */
    expect_cheap("K\1", P("r\xff\xff\x0f\x00"), ".", ST_OK); /* the last memo entry there may be */
    /* as many names as fit */
    char *bytes = malloc(MILLION + 1);
    size_t len = 0;
    for (unsigned i = 0; len + 16 < MILLION; i++) len += (size_t)sprintf(bytes + len, "ca\n%x\n", i);
    bytes[len++] = '.';
    st_pickle *p;
    size_t used;
    assert_ok(st_pickle_read("p", bytes, len, &p, &used, &err));
    assert_true(st_memory_used() < 64u << 20 && st_pickle_globals(p) > 100000);
    st_pickle_free(p);
    free(bytes);
}

static void test_limits(void **state)
{
    (void)state;
    st_pickle *p;
    size_t used, n = ST_PICKLE_OPS_MAX + 2;
    char *bytes = malloc(n);
    memset(bytes, '(', n);
    assert_int_equal(st_pickle_read("p", bytes, n, &p, &used, &err), ST_LIMIT);
    assert_non_null(strstr(err.message, "more than 10000000 operations"));
    assert_int_equal(st_pickle_read("p", bytes, (size_t)ST_PICKLE_MAX + 1, &p, &used, &err), ST_LIMIT);
    free(bytes);
}

static void test_without_memory(void **state)
{
    (void)state;
    static const char bytes[] = "\x80\x02}q\x00(X\x01\x00\x00\x00"
                                "acos\nsystem\n\x8c\x02ls\x85RVx\n](K\1K\2K\3e(l}b(d\x8c\1m\x8c\1n\x93K\1u.";
    st_status s = ST_NOMEM;
    for (uint64_t k = 1; s != ST_OK; k++) {
        st_pickle *p;
        size_t used;
        char *copy;
        st_mem_fail_at(k, false);
        s = read_bytes(bytes, sizeof bytes - 1, &p, &used, &copy);
        st_mem_fail_at(0, false);
        if (s != ST_OK && s != ST_NOMEM) fail_msg("%s", err.message);
        st_pickle_free(p);
        free(copy);
        assert_int_equal(st_memory_used(), 0);
    }
}

/* ---------------------------------------------------------------- names */

static st_callable of(const char *module, const char *name, bool called)
{
    return st_callable_of((st_text){module, strlen(module)}, (st_text){name, strlen(name)}, called);
}

static void test_names(void **state)
{
    (void)state;
    static const char *const danger[][2] = {
        {"os", "system"},
        {"posix", "system"},
        {"nt", "popen"},
        {"os.path", "x"},
        {"subprocess", "Popen"},
        {"builtins", "eval"},
        {"__builtin__", "exec"},
        {"builtins", "getattr"},
        {"builtins", "__import__"},
        {"sys", "modules"},
        {"runpy", "run_path"},
        {"shutil", "rmtree"},
        {"socket", "socket"},
        {"webbrowser", "open"},
        {"importlib", "import_module"},
        {"torch", "load"},
        {"torch.hub", "load"},
        {"torch.storage", "_load_from_bytes"},
        {"operator", "attrgetter"},
        {"functools", "partial"},
        {"pickle", "loads"},
        {"types", "CodeType"},
        {"ctypes", "CDLL"},
        /* by way of attributes */
        {"torch", "serialization.os.system"},
        {"collections", "abc.sys.modules"},
        {"m", "C.__globals__"},
        {"m", "f.__class__.__subclasses__"},
        {"torch.serialization", "os.system"},
        {"random", "_os.system"},
        {"argparse", "_os.system"},
        {"collections", "_sys.modules"},
        {"torch", "hub.load"},
        {"torch", "jit.load"},
        {"torch", "ops.load_library"},
        {"torch", "classes.load_library"},
        {"numpy", "f2py.crackfortran.myeval"},
        {"profile", "Profile.run"},
        {"trace", "Trace.run"},
        {"code", "InteractiveInterpreter.runcode"},
        {"m", "a.b.c.d.e.f.g.h.i.j.k"},
        /* of other people's libraries */
        {"yaml", "unsafe_load"},
        {"yaml.constructor", "UnsafeConstructor"},
    };
    /* Whatever is called of Python, torch and NumPy, and is not known; and names with dots. */
    static const char *const suspect[][2] = {
        {"collections", "OrderedDict.fromkeys"},
        {"my.program", "Config.Inner"},
        {"numpy", "lib.something"},
        {"torch", "something_new"},
        {"torch._utils", "_import_dotted_name"},
        {"torch.nn.parallel.distributed", "import_something"},
        {"torch.nn.modules.module", "import_something"},
        {"numpy", "tofile"},
        {"logging", "StreamHandler"},
        {"logging", "disable"},
        {"builtins", "map"},
        {"_sqlite", "x"},
        {"", "."},
    };
    static const char *const known[][2] = {
        {"collections", "OrderedDict"},        {"torch._utils", "_rebuild_tensor_v2"}, {"torch", "FloatStorage"},
        {"torch.nn.modules.linear", "Linear"}, {"numpy.core.multiarray", "scalar"},    {"builtins", "set"},
    };
    static const char *const unknown[][2] = {
        {"my.program", "Config"},
        {"osx", "system"},
        {"models.yolo", "Model"},
        {"__main__", "Net"},
        {"torchvision.models.resnet", "ResNet"},
        {"torch.optim.adam", "Adam"},
        {"torch.cuda.amp.grad_scaler", "GradScaler"},
        {"numpy.random._pcg64", "PCG64"},
        {"builtins", "type"},
        {"builtins", "KeyError"},
        {"", ""},
        {".", ""},
    };
#define EXPECT(table, called, what)                           \
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) \
        if (of(table[i][0], table[i][1], called) != what) fail_msg("%s %s: not " #what, table[i][0], table[i][1]);
    EXPECT(danger, false, ST_CALLABLE_DANGER)
    EXPECT(danger, true, ST_CALLABLE_DANGER)
    EXPECT(suspect, true, ST_CALLABLE_SUSPECT)
    EXPECT(known, true, ST_CALLABLE_KNOWN)
    EXPECT(unknown, true, ST_CALLABLE_UNKNOWN)
    assert_int_equal(of("torch", "relu", false), ST_CALLABLE_UNKNOWN); /* a value in a configuration */
    assert_int_equal(of("my.program", "Config.Inner", false), ST_CALLABLE_SUSPECT);
    /* Names made of dots cost nothing. */
    char *dots = malloc(MILLION);
    memset(dots, '.', MILLION);
    double from = sys_seconds();
    st_callable_of((st_text){dots, MILLION}, (st_text){dots, MILLION}, true);
    for (int i = 0; i < 10000; i++) st_callable_of((st_text){dots, 4}, (st_text){dots, 5}, true);
    assert_true(sys_seconds() - from < PATIENCE);
    free(dots);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_values, teardown),
        cmocka_unit_test_teardown(test_objects, teardown),
        cmocka_unit_test_teardown(test_calls_that_leave_nothing, teardown),
        cmocka_unit_test_teardown(test_names_that_are_handed_on, teardown),
        cmocka_unit_test_teardown(test_showing_fits, teardown),
        cmocka_unit_test_teardown(test_errors, teardown),
        cmocka_unit_test_teardown(test_every_cut, teardown),
        cmocka_unit_test_teardown(test_bombs, teardown),
        cmocka_unit_test_teardown(test_limits, teardown),
        cmocka_unit_test_teardown(test_without_memory, teardown),
        cmocka_unit_test_teardown(test_names, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
