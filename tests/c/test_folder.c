/* test_folder.c - saving a folder of shards: exchanged whole, foreign files carried over, faults and kill -9 at every
 * step. */
#include "crash.h"
#include "mem.h"
#include "writer.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static char *dir;
static st_err err;

typedef struct save {
    bool in_two; /* as on a file system that cannot exchange names */
    bool copies; /* as on one without hard links, for the first foreign file */
    uint64_t kill_at;
    st_writer_opts o;
} save;

static const char *const new_files[] = {"m-1.safetensors", "m-2.safetensors", "m.safetensors.index.json"};
static const char *const old_parts[] = {"m-1.safetensors", "old-9.safetensors", "old.safetensors.index.json"};

static st_status put_file(st_folder *d, const char *name, const char *text)
{
    st_sink *k;
    size_t n = strlen(text);
    ST_TRY(st_folder_file(d, name, n, &k, &err));
    st_status s = k->ops->write(k, text, 0, n, &err);
    if (s == ST_OK) s = k->ops->sync(k, &err);
    if (s == ST_OK) s = k->ops->commit(k, &err);
    k->ops->free(k);
    return s;
}

static st_status do_save(const save *s)
{
    st_folder *d;
    ST_TRY(st_folder_open(in_dir(dir, "model"), true, &s->o, &d, &err));
    st_status st = ST_OK;
    for (int i = 0; i < 3 && st == ST_OK; i++) st = put_file(d, new_files[i], "new");
    if (s->in_two && !sys_fault_pending(SYS_rename)) sys_fault(SYS_rename, 1, EINVAL);
    if (s->copies && !sys_fault_pending(SYS_link)) sys_fault(SYS_link, 1, EPERM);
    if (st == ST_OK) st = st_folder_commit(d, &err);
    st_folder_free(d);
    return st;
}

/* A model with other files: two plain ones, a symlink, a subfolder with a model of its own. */
static void put_old(void)
{
    mkdir(in_dir(dir, "model"), 0755);
    mkdir(in_dir(dir, "model/sub"), 0755);
    for (int i = 0; i < 3; i++) {
        char path[64];
        snprintf(path, sizeof path, "model/%s", old_parts[i]);
        spill(in_dir(dir, path), "old", 3);
    }
    spill(in_dir(dir, "model/config.json"), "config", 6);
    spill(in_dir(dir, "model/sub/own.safetensors"), "own", 3);
    unlink(in_dir(dir, "model/tokenizer.json"));
    assert_int_equal(symlink("../blobs/tokenizer", in_dir(dir, "model/tokenizer.json")), 0);
}

static bool holds(const char *name, const char *text)
{
    size_t n;
    unsigned char *b = slurp(in_dir(dir, name), &n);
    bool is = b && n == strlen(text) && memcmp(b, text, n) == 0;
    free(b);
    return is;
}

static bool has_foreign(const char *at)
{
    char path[256], text[64];
    snprintf(path, sizeof path, "%s/config.json", at);
    if (!holds(path, "config")) return false;
    snprintf(path, sizeof path, "%s/sub/own.safetensors", at);
    if (!holds(path, "own")) return false;
    snprintf(path, sizeof path, "%s/tokenizer.json", at);
    ssize_t n = readlink(in_dir(dir, path), text, sizeof text);
    return n == 18 && memcmp(text, "../blobs/tokenizer", 18) == 0;
}

static bool has_parts(const char *at, const char *const names[3], const char *text)
{
    char path[256];
    for (int i = 0; i < 3; i++) {
        snprintf(path, sizeof path, "%s/%s", at, names[i]);
        if (!holds(path, text)) return false;
    }
    return true;
}

enum { NONE, IS_OLD, IS_NEW, TORN };
/* What a folder is; `foreign`: whether the other files must be in a new one. */
static int content(const char *at, bool foreign)
{
    int n = count_entries(in_dir(dir, at));
    if (access(in_dir(dir, at), F_OK) != 0) return NONE;
    if (n == 6 && has_parts(at, old_parts, "old") && has_foreign(at)) return IS_OLD;
    if (n == (foreign ? 6 : 3) && has_parts(at, new_files, "new") && (!foreign || has_foreign(at))) return IS_NEW;
    return TORN;
}

static ino_t inode(const char *name)
{
    struct stat st;
    return lstat(in_dir(dir, name), &st) == 0 ? st.st_ino : 0;
}

static mode_t mode_of(const char *name)
{
    struct stat st;
    assert_int_equal(lstat(in_dir(dir, name), &st), 0);
    return st.st_mode & 07777;
}

/* ---------------------------------------------------------------- what a save does */

static void test_new_folder(void **state)
{
    (void)state;
    st_folder *d;
    mode_t old = umask(027);
    assert_ok(st_folder_open(in_dir(dir, "model/"), false, NULL, &d, &err));
    for (int i = 0; i < 3; i++) assert_ok(put_file(d, new_files[i], "new"));
    assert_int_equal(content("model", false), NONE); /* not before commit */
    assert_int_equal(count_entries(dir), 1);
    assert_ok(st_folder_commit(d, &err));
    assert_int_equal(content("model", false), IS_NEW);
    assert_int_equal(st_folder_commit(d, &err), ST_INTERNAL);
    st_folder_free(d);
    umask(old);
    assert_int_equal(content("model", false), IS_NEW);
    assert_int_equal(count_entries(dir), 1);
    assert_int_equal(mode_of("model"), 0750);
    assert_int_equal(mode_of("model/m-1.safetensors"), 0640);
}

static void test_exchange(void **state)
{
    (void)state;
    for (int in_two = 0; in_two < 2; in_two++) {
        put_old();
        chmod(in_dir(dir, "model"), 02751);
        chmod(in_dir(dir, "model/sub"), 0711);
        ino_t config = inode("model/config.json"), own = inode("model/sub/own.safetensors");
        assert_ok(do_save(&(save){.in_two = in_two}));
        assert_int_equal(content("model", true), IS_NEW);
        assert_int_equal(inode("model/config.json"), config); /* linked, not copied */
        assert_int_equal(inode("model/sub/own.safetensors"), own);
        assert_int_equal(mode_of("model"), 02751);
        assert_int_equal(mode_of("model/sub"), 0711);
        assert_int_equal(count_entries(dir), 1);
        scratch_free(strdup(in_dir(dir, "model")));
    }
}

/* A file beside the shards replaces the one of its name; the others are carried over. */
static void test_own_file(void **state)
{
    (void)state;
    st_folder *d;
    for (int links = 0; links < 2; links++) {
        put_old();
        assert_ok(st_folder_open(in_dir(dir, "model"), true, &(st_writer_opts){.no_sync = true}, &d, &err));
        for (int i = 0; i < 3; i++) assert_ok(put_file(d, new_files[i], "new"));
        assert_ok(put_file(d, "config.json", "newer"));
        assert_ok(put_file(d, "tokenizer.json", "was a link"));
        if (!links) sys_fault(SYS_link, 1, EPERM);
        assert_true(holds("model/config.json", "config")); /* not before commit */
        assert_ok(st_folder_commit(d, &err));
        st_folder_free(d);
        assert_true(holds("model/config.json", "newer"));
        assert_true(holds("model/tokenizer.json", "was a link"));
        assert_true(holds("model/sub/own.safetensors", "own"));
        assert_int_equal(count_entries(in_dir(dir, "model")), 6);
        assert_int_equal(count_entries(dir), 1);
        scratch_free(strdup(in_dir(dir, "model")));
        sys_fault(SYS_link, 0, 0);
    }
}

/* Where links are refused, bytes, mode and symlinks are copied. */
static void test_without_links(void **state)
{
    (void)state;
    /* Links during commit: the foreign files in the order of the listing; the unnamed shards had theirs before. */
    int copied = 0;
    for (uint64_t k = 1; k <= 3; k++) {
        st_folder *d;
        scratch_free(strdup(in_dir(dir, "model")));
        put_old();
        ino_t config = inode("model/config.json");
        chmod(in_dir(dir, "model/config.json"), 0604);
        assert_ok(st_folder_open(in_dir(dir, "model"), true, NULL, &d, &err));
        for (int i = 0; i < 3; i++) assert_ok(put_file(d, new_files[i], "new"));
        sys_fault(SYS_link, k, EPERM);
        assert_ok(st_folder_commit(d, &err));
        assert_false(sys_fault_pending(SYS_link));
        st_folder_free(d);
        assert_int_equal(content("model", true), IS_NEW);
        assert_int_equal(mode_of("model/config.json"), 0604);
        assert_int_equal(count_entries(dir), 1);
        copied += inode("model/config.json") != config;
    }
    assert_int_equal(copied, 1);
}

static void test_symlinked_folder(void **state)
{
    (void)state;
    put_old();
    assert_int_equal(rename(in_dir(dir, "model"), in_dir(dir, "real")), 0);
    assert_int_equal(symlink("real", in_dir(dir, "model")), 0);
    assert_ok(do_save(&(save){0}));
    assert_int_equal(content("real", true), IS_NEW);
    struct stat st;
    assert_int_equal(lstat(in_dir(dir, "model"), &st), 0);
    assert_true(S_ISLNK(st.st_mode));
    assert_int_equal(count_entries(dir), 2);
}

static void refused(const char *path, bool force, bool no_replace, st_status status, const char *says)
{
    st_folder *d = (st_folder *)dir;
    st_writer_opts o = {.no_replace = no_replace};
    int fds = open_fds(), n = count_entries(dir);
    assert_int_equal(st_folder_open(path, force, &o, &d, &err), status);
    assert_null(d);
    if (!strstr(err.message, says)) fail_msg("%s: \"%s\" does not say \"%s\"", path, err.message, says);
    assert_int_equal(open_fds(), fds);
    assert_int_equal(count_entries(dir), n);
}

static void test_refusals(void **state)
{
    (void)state;
    put_old();
    spill(in_dir(dir, "file"), "x", 1);
    refused(in_dir(dir, "model"), false, false, ST_EXISTS, ".safetensors");
    refused(in_dir(dir, "model"), true, true, ST_EXISTS, "not to be replaced");
    refused(in_dir(dir, "file"), true, false, ST_IO, "no folder");
    refused(in_dir(dir, "missing/model"), true, false, ST_IO, "does not exist: create it first");
    refused(in_dir(dir, "."), true, false, ST_ARG, "needs a name");
    refused(in_dir(dir, ".."), true, false, ST_ARG, "needs a name");
    refused("/", true, false, ST_ARG, "needs a name");
    refused("", true, false, ST_ARG, "empty");
    refused("/proc", true, false, ST_IO, "mount point");
    assert_int_equal(content("model", true), IS_OLD);
}

/* A folder that holds no model is filled without force. */
static void test_fill(void **state)
{
    (void)state;
    st_folder *d;
    mkdir(in_dir(dir, "model"), 0755);
    spill(in_dir(dir, "model/config.json"), "config", 6);
    assert_ok(st_folder_open(in_dir(dir, "model"), false, NULL, &d, &err));
    assert_ok(put_file(d, "m.safetensors", "new"));
    assert_ok(st_folder_commit(d, &err));
    st_folder_free(d);
    assert_true(holds("model/config.json", "config"));
    assert_true(holds("model/m.safetensors", "new"));
    assert_int_equal(count_entries(in_dir(dir, "model")), 2);
    assert_int_equal(count_entries(dir), 1);
}

static void test_files(void **state)
{
    (void)state;
    static const char *const bad[] = {"", ".", "..", ".hidden", "a/b", "/abs", "../up"};
    st_folder *d;
    st_sink *k;
    put_old();
    assert_ok(st_folder_open(in_dir(dir, "model"), true, NULL, &d, &err));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(st_folder_file(d, bad[i], 1, &k, &err), ST_ARG);
        assert_null(k);
    }
    assert_ok(put_file(d, "m-1.safetensors", "new"));
    assert_int_equal(st_folder_file(d, "m-1.safetensors", 1, &k, &err), ST_EXISTS);
    /* A shard that was given up. */
    assert_ok(st_folder_file(d, "m-2.safetensors", 1, &k, &err));
    k->ops->free(k);
    assert_int_equal(st_folder_commit(d, &err), ST_INTERNAL);
    assert_non_null(strstr(err.message, "m-2.safetensors was not committed"));
    st_folder_free(d);
    assert_int_equal(content("model", true), IS_OLD);
    assert_int_equal(count_entries(dir), 1);
}

/* Somebody else creates the target meanwhile: theirs stays. */
static void test_appears(void **state)
{
    (void)state;
    for (int plain = 0; plain < 2; plain++) {
        st_folder *d;
        assert_ok(st_folder_open(in_dir(dir, "model"), true, NULL, &d, &err));
        assert_ok(put_file(d, "m.safetensors", "new"));
        put_old();
        if (plain) sys_fault(SYS_rename, 1, EINVAL);
        assert_int_equal(st_folder_commit(d, &err), ST_EXISTS);
        st_folder_free(d);
        assert_int_equal(content("model", true), IS_OLD);
        assert_int_equal(count_entries(dir), 1);
        scratch_free(strdup(in_dir(dir, "model")));
    }
}

static void test_leftovers(void **state)
{
    (void)state;
    mkdir(in_dir(dir, ".model.0123456789abcdef.stlua-tmp"), 0700);
    mkdir(in_dir(dir, ".model.0123456789abcdef.stlua-tmp/sub"), 0700);
    spill(in_dir(dir, ".model.0123456789abcdef.stlua-tmp/sub/x"), "x", 1);
    mkdir(in_dir(dir, ".model.123456789abcdef0.stlua-tmp"), 0700);
    int live = open(in_dir(dir, ".model.123456789abcdef0.stlua-tmp"), O_RDONLY);
    assert_int_equal(sys_lock(live), 0);
    assert_ok(do_save(&(save){0}));
    assert_int_equal(count_entries(dir), 2); /* the living one's stays */
    close(live);
    assert_ok(do_save(&(save){0}));
    assert_int_equal(count_entries(dir), 1);

    /* An old folder set aside: beside its successor it goes, alone it comes back. */
    mkdir(in_dir(dir, ".model.0123456789abcdef.stlua-old"), 0700);
    assert_ok(do_save(&(save){0}));
    assert_int_equal(count_entries(dir), 1);
    scratch_free(strdup(in_dir(dir, "model")));
    put_old();
    assert_int_equal(rename(in_dir(dir, "model"), in_dir(dir, ".model.0123456789abcdef.stlua-old")), 0);
    refused(in_dir(dir, "model"), false, false, ST_EXISTS, "holds a model");
    assert_int_equal(content("model", true), IS_OLD);
    assert_int_equal(count_entries(dir), 1);
}

/* ---------------------------------------------------------------- failures */

/* What is wrong with the outcome of a save with one fault, or NULL. */
static const char *verdict(sys_call call, int errnum, st_status st, int is, int entries)
{
    /* After a success a rest of the old folder may stay, hidden, for the next save to remove. */
    if (st == ST_OK) return is == IS_NEW ? NULL : "success, but not the new folder";
    bool in_place = strstr(err.message, "in place,") != NULL; /* only the sync of the folder around it came after */
    if (is != (in_place ? IS_NEW : IS_OLD)) return "a failure that changed the target";
    if (harmless(call, errnum)) return "a signal or a short count made it fail";
    if (!strstr(err.message, "model")) return "a message that does not name the folder";
    if (call != SYS_unlink && entries != 1 && !in_place) return "something is left over";
    return NULL;
}

/* The second of two renames fails: the old folder goes back. */
static void test_second_rename(void **state)
{
    (void)state;
    put_old();
    sys_fault(SYS_rename, 1, EINVAL);
    sys_fault_also(SYS_rename, 3, EIO);
    assert_int_equal(do_save(&(save){0}), ST_IO);
    assert_false(sys_fault_pending(SYS_rename));
    assert_int_equal(content("model", true), IS_OLD);
    assert_int_equal(count_entries(dir), 1);
}

/* Every shard and every folder reaches the disk, the one around them included; or none is asked to. */
static void test_syncs(void **state)
{
    (void)state;
    for (int had_old = 0; had_old < 2; had_old++)
        for (int no_sync = 0; no_sync < 2; no_sync++)
            for (uint64_t syncs = 1; syncs <= 7; syncs++) {
                scratch_free(strdup(in_dir(dir, "model")));
                if (had_old) put_old();
                sys_fault(SYS_fsync, syncs, EIO);
                st_status s = do_save(&(save){.o = {.no_sync = no_sync}});
                bool met = !sys_fault_pending(SYS_fsync);
                /* Three shards, the new folder, its subfolder if there is one, the folder around it. */
                assert_int_equal(met, !no_sync && syncs <= (had_old ? 6 : 5));
                assert_int_equal(s, met ? ST_IO : ST_OK);
            }
    sys_fault(SYS_fsync, 0, 0);
}

static bool one_fault(const save *s, sys_call call, uint64_t k, int errnum)
{
    scratch_free(strdup(in_dir(dir, "model")));
    put_old();
    int fds = open_fds();
    uint64_t used = st_memory_used();
    sys_fault(call, k, errnum);
    memset(&err, 0, sizeof err);
    st_status st = do_save(s);
    bool met = !sys_fault_pending(call);
    sys_fault(SYS_CALL_COUNT, 0, 0);

    int entries = count_entries(dir);
    const char *wrong = verdict(call, errnum, st, content("model", true), entries);
    if (open_fds() != fds) wrong = "a descriptor leaks";
    if (st_memory_used() != used) wrong = "memory leaks";
    if (wrong)
        fail_msg("%s %d errno %d, in two %d: %s (%s)", call_name(call), (int)k, errnum, s->in_two, wrong, err.message);
    if (entries > 1) {
        assert_ok(do_save(&(save){.o = {.no_sync = true}}));
        assert_int_equal(count_entries(dir), 1); /* the next save cleans up */
    }
    return met;
}

/* Every use of every call with EIO; the other errors at every tenth, where they take no other way. A disk has only so
 * many syncs a second: they are left out where no sync is to fail. */
static void every_fault(save s)
{
    for (sys_call c = 0; c < SYS_CALL_COUNT; c++)
        for (int e = 0; e < fault_error_count; e++) {
            bool all = e == 0 || c == SYS_rename || c == SYS_link;
            uint64_t k = all ? 1 : (uint64_t)e;
            s.o.no_sync = c != SYS_fsync;
            while (one_fault(&s, c, k, fault_errors[e])) k += all ? 1 : 10;
        }
}

static void test_faults(void **state)
{
    (void)state;
    every_fault((save){0});
}
static void test_faults_in_two(void **state)
{
    (void)state;
    every_fault((save){.in_two = true, .copies = true});
}

static void test_no_memory(void **state)
{
    (void)state;
    for (int onwards = 0; onwards < 2; onwards++)
        for (uint64_t k = 1;; k++) {
            scratch_free(strdup(in_dir(dir, "model")));
            put_old();
            uint64_t used = st_memory_used();
            int fds = open_fds();
            st_mem_fail_at(k, onwards);
            st_status s = do_save(&(save){.copies = true, .o = {.no_sync = true}});
            bool met = st_mem_calls() >= k;
            st_mem_fail_at(0, false);
            sys_fault(SYS_CALL_COUNT, 0, 0);
            assert_int_equal(open_fds(), fds);
            assert_int_equal(st_memory_used(), used);
            assert_int_equal(count_entries(dir), 1);
            assert_int_equal(content("model", true), s == ST_OK ? IS_NEW : IS_OLD);
            if (!met) {
                assert_true(k > 20);
                assert_int_equal(s, ST_OK);
                break;
            }
            assert_int_equal(s, ST_NOMEM);
        }
}

static int killed_save(void *arg)
{
    const save *s = arg;
    sys_kill_at(s->kill_at);
    return do_save(s) == ST_OK ? 0 : 1;
}

/* The old folder where a kill between two renames leaves it. */
static int set_aside(void *user, const char *name)
{
    size_t n = strlen(name);
    if (n < 10 || strcmp(name + n - 10, ".stlua-old") != 0) return 0;
    snprintf(user, 256, "%s", name);
    return 1;
}

static void test_kill(void **state)
{
    (void)state;
    for (int way = 0; way < 4; way++) {
        save s = {.in_two = way & 1, .o = {.no_sync = way > 1}};
        int status = 128 + SIGKILL;
        unsigned olds = 0, news = 0, asides = 0;
        /* With syncs a coarser grid. */
        for (s.kill_at = 1; status == 128 + SIGKILL; s.kill_at += s.o.no_sync ? 1 : 7) {
            char aside[256] = "";
            scratch_free(strdup(in_dir(dir, "model")));
            put_old();
            status = in_child(killed_save, &s);
            int is = content("model", true);
            if (is == NONE) { /* only where names cannot be exchanged */
                assert_true(s.in_two);
                assert_int_equal(sys_listdir(dir, set_aside, aside), 1);
                assert_int_equal(content(aside, true), IS_OLD);
                asides++;
            }
            assert_true(is != TORN);
            assert_true(is == IS_NEW || status != 0);
            if (is == IS_NEW) news++;
            if (is == IS_OLD) olds++;
            assert_true(count_entries(dir) <= 2);
            assert_ok(do_save(&(save){.o = {.no_sync = true}}));
            assert_int_equal(content("model", true), IS_NEW);
            assert_int_equal(count_entries(dir), 1);
        }
        assert_int_equal(status, 0);
        assert_true(s.o.no_sync ? olds > 30 && news > 5 : olds > 3);
        if (way == 3) assert_int_equal(asides, 1);
    }
}

static int setup(void **state)
{
    (void)state;
    dir = scratch_new();
    sys_fault(SYS_CALL_COUNT, 0, 0);
    return dir ? 0 : -1;
}
static int teardown(void **state)
{
    (void)state;
    scratch_free(dir);
    return 0;
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_new_folder),       TEST(test_exchange),      TEST(test_own_file),      TEST(test_without_links),
        TEST(test_symlinked_folder), TEST(test_refusals),      TEST(test_fill),          TEST(test_files),
        TEST(test_appears),          TEST(test_leftovers),     TEST(test_second_rename), TEST(test_syncs),
        TEST(test_faults),           TEST(test_faults_in_two), TEST(test_no_memory),     TEST(test_kill),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
