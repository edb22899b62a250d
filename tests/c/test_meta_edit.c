/* test_meta_edit.c - metadata changed in a file: by the save protocol and in place; kills, faults and failing
 * allocations at every step leave the old file, the new one, or one that is refused and can be brought back. */
#include "crash.h"

#include "mem.h"
#include "sys.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
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
    sys_kill_at(0);
    st_ctx_free(ctx);
    scratch_free(dir);
    return st_memory_used() != 0;
}

/* Two tensors, "b" before "a" (not in the canonical order), some metadata, and room for more. */
static const char OLD[] = "{\"__metadata__\":{\"k\":\"v\",\"long\":\"0123456789012345678901234567890123456789\"},"
                          "\"b\":{\"dtype\":\"U8\",\"shape\":[5],\"data_offsets\":[0,5]},"
                          "\"a\":{\"dtype\":\"U8\",\"shape\":[3],\"data_offsets\":[5,8]}}                ";
static const char DATA[] = "hello123";

enum { HEADER = sizeof OLD - 1, SIZE = 8 + HEADER + 8 };

static const char *file(const char *name)
{
    char f[SIZE] = {(char)(HEADER & 255), (char)(HEADER >> 8)};
    memcpy(f + 8, OLD, HEADER);
    memcpy(f + 8 + HEADER, DATA, 8);
    const char *path = in_dir(dir, name);
    spill(path, f, sizeof f);
    return path;
}

static st_text text_of(const char *s) { return (st_text){s, strlen(s)}; }

/* One key and its value. */
typedef struct change {
    st_text key, value;
    st_meta_change c;
} change;

static st_meta_change *set(change *x, const char *key, const char *value)
{
    x->key = text_of(key);
    x->value = text_of(value);
    x->c = (st_meta_change){.keys = &x->key, .values = &x->value, .n = 1};
    return &x->c;
}

static void header_of(const char *path, char sha[65])
{
    st_file *f;
    assert_ok(st_file_open(path, &f, &err));
    assert_ok(st_file_header_sha256(f, sha, &err));
    st_file_close(f);
}

static st_status edit(const char *path, const char *key, const char *value)
{
    change x;
    char sha[65];
    header_of(path, sha);
    return st_meta_edit(path, sha, set(&x, key, value), &err);
}

/* The value of the only key; "" where the file is not readable. */
static const char *value_of(const char *path)
{
    static char out[4][128];
    static int turn;
    char *to = out[turn++ & 3];
    st_file *f;
    st_text key, value;
    to[0] = '\0';
    if (st_file_open(path, &f, &err) != ST_OK) return to;
    st_file_meta(f, 0, &key, &value);
    snprintf(to, sizeof out[0], "%s=%s", key.ptr, value.ptr);
    st_info first = st_file_info(f, 0);
    assert_memory_equal(first.name, "b", 2);
    assert_int_equal(st_file_count(f), 2);
    st_file_close(f);
    return to;
}

static void assert_data(const char *path)
{
    size_t n;
    unsigned char *all = slurp(path, &n);
    assert_non_null(all);
    assert_true(n > 16);
    assert_memory_equal(all + n - 8, DATA, 8);
    free(all);
}

static void assert_old(const char *path)
{
    size_t n;
    unsigned char *all = slurp(path, &n);
    assert_int_equal(n, SIZE);
    assert_memory_equal(all + 8, OLD, HEADER);
    assert_memory_equal(all + 8 + HEADER, DATA, 8);
    free(all);
}

static off_t size_of(const char *path)
{
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    return st.st_size;
}

/* ---------------------------------------------------------------- in place */

static void test_in_place(void **state)
{
    (void)state;
    const char *path = file("m");
    struct stat before, after;
    stat(path, &before);
    assert_ok(edit(path, "title", "a title that has a little room, \xc3\xa9"));
    stat(path, &after);
    assert_int_equal(before.st_ino, after.st_ino);
    assert_int_equal(after.st_size, SIZE);
    assert_string_equal(value_of(path), "title=a title that has a little room, \xc3\xa9");
    assert_data(path);
    assert_ok(edit(path, "t", ""));
    assert_string_equal(value_of(path), "t=");
    assert_ok(edit(path, "t", "")); /* nothing to do */
    change x;
    char sha[65];
    header_of(path, sha);
    set(&x, "", "");
    x.c.n = 0;
    assert_ok(st_meta_edit(path, sha, &x.c, &err)); /* none at all */
    assert_data(path);
}

static void test_no_room(void **state)
{
    (void)state;
    char value[300];
    const char *path = file("m");
    memset(value, 'x', sizeof value);
    /* What is left for the value: all but the rest of the header. */
    size_t room =
        HEADER - (sizeof "{\"__metadata__\":{\"k\":\"\"},\"b\":{\"dtype\":\"U8\",\"shape\":[5],\"data_offsets\":[0,"
                         "5]},\"a\":{\"dtype\":\"U8\",\"shape\":[3],\"data_offsets\":[5,8]}}" -
                  1);
    value[room + 1] = '\0';
    assert_int_equal(edit(path, "k", value), ST_SPACE);
    assert_non_null(strstr(err.message, "room for"));
    assert_old(path);
    value[room] = '\0';
    assert_ok(edit(path, "k", value));
    assert_data(path);
    assert_int_equal(size_of(path), SIZE);
}

static void test_refusals(void **state)
{
    (void)state;
    const char *path = file("m"), *other = in_dir(dir, "other");
    assert_int_equal(link(path, other), 0);
    assert_int_equal(edit(path, "k", "w"), ST_ARG);
    assert_non_null(strstr(err.message, "2 names"));
    assert_old(path);
    unlink(other);
    symlink(path, other);
    assert_ok(edit(other, "k", "w")); /* what it points at has one name */
    path = file("m");

    st_file *f;
    char sha[65];
    change x;
    header_of(path, sha);
    assert_ok(st_file_open(path, &f, &err));
    assert_int_equal(st_meta_edit(path, sha, set(&x, "k", "w"), &err), ST_ARG);
    assert_non_null(strstr(err.message, "open as an input"));
    st_file_close(f);
    assert_old(path);

    assert_ok(edit(path, "k", "other"));
    assert_int_equal(st_meta_edit(path, sha, set(&x, "k", "w"), &err), ST_CHANGED);
    assert_string_equal(value_of(path), "k=other");

    int fd = open(path, O_RDWR);
    header_of(path, sha);
    int locked = open(path, O_RDONLY);
    assert_int_equal(sys_lock(locked), 0);
    assert_int_equal(st_meta_edit(path, sha, set(&x, "k", "w"), &err), ST_IO);
    assert_non_null(strstr(err.message, "another process"));
    close(locked);
    close(fd);

    header_of(path, sha);
    assert_int_equal(st_meta_edit(path, sha, set(&x, "k", "bad \xff"), &err), ST_ARG);
    assert_int_equal(st_meta_edit(dir, sha, set(&x, "k", "w"), &err), ST_IO);
    assert_int_equal(st_meta_edit(in_dir(dir, "nothing"), sha, set(&x, "k", "w"), &err), ST_IO);
    assert_string_equal(value_of(path), "k=other");
}

/* ---------------------------------------------------------------- interrupted */

typedef struct killed {
    const char *path;
    char sha[65];
    uint64_t at, calls;
} killed;

static int edit_and_die(void *arg)
{
    killed *k = arg;
    change x;
    sys_kill_at(k->at);
    st_status s = st_meta_edit(k->path, k->sha, set(&x, "k", "new"), &err);
    return s == ST_OK ? 0 : 1;
}

/* Old, new, or refused; and after the way back, old or new. */
static void assert_recoverable(const char *path)
{
    bool did;
    const char *now = value_of(path);
    bool refused = now[0] == '\0';
    if (refused && !strstr(err.message, "an edit of its metadata was interrupted"))
        fail_msg("the message says nothing of it: %s", err.message);
    assert_ok(st_meta_undo(path, &did, &err));
    assert_int_equal(did, refused);
    now = value_of(path);
    if (strcmp(now, "k=v") != 0 && strcmp(now, "k=new") != 0) fail_msg("%s: %s", now, err.message);
    assert_int_equal(size_of(path), SIZE);
    assert_data(path);
    if (refused) assert_old(path);
    assert_ok(st_meta_undo(path, &did, &err));
    assert_false(did);
}

static void test_killed_at_every_call(void **state)
{
    (void)state;
    int refused = 0, kills = 0, r;
    for (uint64_t at = 1;; at++) {
        killed k = {.path = file("m"), .at = at};
        header_of(k.path, k.sha);
        r = in_child(edit_and_die, &k);
        if (r != 128 + SIGKILL) break;
        kills++;
        refused += value_of(k.path)[0] == '\0';
        assert_recoverable(k.path);
        assert_true(at < 200);
    }
    assert_int_equal(r, 0);
    assert_true(kills > 8);
    assert_true(refused >= 2); /* after the old header was appended, and after the new one was written */
}

/* What is written but not synced may be lost or torn, byte by byte: any mixture of headers behind a whole end, and any
 * part of that end before an old header. */
static void test_torn_writes(void **state)
{
    (void)state;
    size_t n;
    const char *path = file("m");
    killed k = {.path = path};
    header_of(path, k.sha);
    k.at = 0;
    /* Find the state after the first step by killing at later and later calls. */
    unsigned char *appended = NULL;
    size_t appended_n = 0;
    for (uint64_t at = 1; !appended; at++) {
        path = file("m");
        k.at = at;
        assert_int_equal(in_child(edit_and_die, &k), 128 + SIGKILL);
        unsigned char *all = slurp(path, &n);
        if (n > SIZE) {
            appended = all;
            appended_n = n;
        } else {
            free(all);
        }
    }
    assert_int_equal(appended_n, SIZE + HEADER + 80);
    path = file("m");
    assert_ok(edit(path, "k", "new"));
    unsigned char *new = slurp(path, &n);
    for (size_t cut = 0; cut <= HEADER; cut += 3) {
        unsigned char *mix = malloc(appended_n);
        memcpy(mix, appended, appended_n);
        memcpy(mix + 8, new + 8, cut);
        spill(path, mix, appended_n);
        assert_string_equal(value_of(path), "");
        assert_recoverable(path);
        free(mix);
    }
    /* Of a cut end 32 bytes tell whose it is; less is a file with a few bytes too many. */
    for (size_t have = 32; have < appended_n - SIZE; have += 7) {
        spill(path, appended, SIZE + have);
        assert_string_equal(value_of(path), "");
        assert_recoverable(path);
    }
    bool did;
    spill(path, appended, SIZE + 31);
    assert_ok(st_meta_undo(path, &did, &err));
    assert_false(did);
    free(new);
    free(appended);
}

/* A planted end that does not fit leads nowhere. */
static void test_ends_that_lie(void **state)
{
    (void)state;
    size_t n;
    const char *path = file("m");
    killed k = {.path = path, .at = 0};
    unsigned char *whole = NULL;
    for (uint64_t at = 1; !whole; at++) {
        path = file("m");
        header_of(path, k.sha);
        k.at = at;
        in_child(edit_and_die, &k);
        unsigned char *all = slurp(path, &n);
        if (n > SIZE)
            whole = all;
        else
            free(all);
    }
    for (size_t i = SIZE; i < n; i++) {
        bool did;
        whole[i] ^= 1;
        spill(path, whole, n);
        assert_ok(st_meta_undo(path, &did, &err));
        if (did) assert_old(path); /* the beginning is enough while the old header stands */
        whole[i] ^= 1;
    }
    for (size_t cut = 0; cut < 8 + HEADER; cut += 5) {
        bool did;
        spill(path, whole, cut);
        st_meta_undo(path, &did, &err);
        assert_false(did);
    }
    free(whole);
}

/* ---------------------------------------------------------------- faults */

static void test_faults_in_place(void **state)
{
    (void)state;
    int before = open_fds();
    for (int call = 0; call < SYS_CALL_COUNT; call++)
        for (int i = 0; i < fault_error_count; i++) {
            bool met = true;
            for (uint64_t at = 1; met; at++) {
                const char *path = file("m");
                char sha[65];
                change x;
                header_of(path, sha);
                sys_fault((sys_call)call, at, fault_errors[i]);
                st_status s = st_meta_edit(path, sha, set(&x, "k", "new"), &err);
                met = !sys_fault_pending((sys_call)call);
                sys_fault(SYS_CALL_COUNT, 0, 0);
                assert_int_equal(open_fds(), before);
                if (s == ST_OK)
                    assert_string_equal(value_of(path), "k=new");
                else
                    assert_recoverable(path);
                assert_true(at < 100);
            }
        }
}

static void test_allocations_in_place(void **state)
{
    (void)state;
    for (uint64_t n = 1;; n++) {
        const char *path = file("m");
        char sha[65];
        change x;
        header_of(path, sha);
        uint64_t used = st_memory_used();
        st_mem_fail_at(n, false);
        st_status s = st_meta_edit(path, sha, set(&x, "k", "new"), &err);
        st_mem_fail_at(0, false);
        assert_int_equal(st_memory_used(), used);
        if (s == ST_OK) break;
        assert_old(path);
        assert_true(n < 200);
    }
}

/* ---------------------------------------------------------------- by the save protocol */

static void test_written_anew(void **state)
{
    (void)state;
    const char *path = file("m"), *out = in_dir(dir, "out");
    st_file *f;
    change x;
    char value[5000];
    memset(value, 'y', sizeof value);
    value[sizeof value - 1] = '\0';
    assert_ok(st_file_open(path, &f, &err));
    assert_ok(st_meta_write(ctx, f, set(&x, "k", value), out, &err));
    assert_old(path);
    assert_data(out);
    assert_int_equal(strncmp(value_of(out), "k=yyy", 5), 0);
    x.c.no_replace = true;
    assert_int_equal(st_meta_write(ctx, f, &x.c, out, &err), ST_EXISTS);
    x.c.no_replace = false;
    x.c.align = 4096;
    assert_ok(st_meta_write(ctx, f, &x.c, path, &err)); /* over the file that is read */
    st_file_close(f);
    assert_int_equal(size_of(path), 8192 + 8);
    assert_ok(edit(path, "k", "room enough"));
    assert_string_equal(value_of(path), "k=room enough");
    assert_data(path);
    st_ctx_cancel(ctx);
    assert_ok(st_file_open(path, &f, &err));
    assert_int_equal(st_meta_write(ctx, f, &x.c, path, &err), ST_CANCELLED);
    st_ctx_resume(ctx);
    st_file_close(f);
    assert_string_equal(value_of(path), "k=room enough");
}

static void test_faults_written_anew(void **state)
{
    (void)state;
    for (int call = 0; call < SYS_CALL_COUNT; call++)
        for (int i = 0; i < fault_error_count; i++) {
            bool met = true;
            for (uint64_t at = 1; met; at++) {
                const char *path = file("m");
                st_file *f;
                change x;
                assert_ok(st_file_open(path, &f, &err));
                sys_fault((sys_call)call, at, fault_errors[i]);
                st_status s = st_meta_write(ctx, f, set(&x, "k", "new"), path, &err);
                met = !sys_fault_pending((sys_call)call);
                sys_fault(SYS_CALL_COUNT, 0, 0);
                st_file_close(f);
                if (s == ST_OK) assert_string_equal(value_of(path), "k=new");
                if (s != ST_OK && strcmp(value_of(path), "k=new") != 0) assert_old(path);
                assert_data(path);
                assert_int_equal(count_entries(dir), 1);
                assert_true(at < 100);
            }
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_in_place, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_room, setup, teardown),
        cmocka_unit_test_setup_teardown(test_refusals, setup, teardown),
        cmocka_unit_test_setup_teardown(test_killed_at_every_call, setup, teardown),
        cmocka_unit_test_setup_teardown(test_torn_writes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_ends_that_lie, setup, teardown),
        cmocka_unit_test_setup_teardown(test_faults_in_place, setup, teardown),
        cmocka_unit_test_setup_teardown(test_allocations_in_place, setup, teardown),
        cmocka_unit_test_setup_teardown(test_written_anew, setup, teardown),
        cmocka_unit_test_setup_teardown(test_faults_written_anew, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
