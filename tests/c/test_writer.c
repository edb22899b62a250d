/* test_writer.c - the save protocol for one file: every sentence of it, every fault, kill -9 at every step. */
#include "crash.h"
#include "mem.h"
#include "writer.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

enum { SIZE = 20011, OLD = 4000 };

static char *dir;
static st_err err;

/* ---------------------------------------------------------------- a save to test with */

/* A source on a descriptor, as files are. */
typedef struct fd_source {
    st_source base;
    int fd;
} fd_source;

static st_status fd_read(st_source *s, void *buf, uint64_t off, size_t n, st_err *e)
{
    int64_t r = sys_pread(((fd_source *)s)->fd, buf, n, off);
    if (r < 0) return st_fail_errno(e, (int)-r, s->label, "reading");
    return (size_t)r == n ? ST_OK : st_fail(e, ST_CHANGED, s->label, NULL, "the file became shorter");
}
static int fd_of(st_source *s) { return ((fd_source *)s)->fd; }
static const st_source_ops fd_ops = {.read = fd_read, .fd = fd_of};

/* The byte at each offset of the new file. */
static unsigned char fresh(uint64_t i) { return (unsigned char)(i * 31 >> 3); }

typedef struct save {
    const char *name;
    bool named; /* as on a file system without unnamed files */
    st_writer_opts o;
    uint64_t kill_at;
} save;

/* The second open of a save (the first lists the folder for leftovers) asks for the unnamed file. */
static void without_unnamed(void) { sys_fault(SYS_open, 2, EOPNOTSUPP); }

/* A file of SIZE fresh bytes: a half by write, the other copied from a file. */
static st_status run(const save *s, const char *input)
{
    unsigned char head[SIZE / 2];
    for (size_t i = 0; i < sizeof head; i++) head[i] = fresh(i);
    st_sink *k;
    if (s->named && !sys_fault_pending(SYS_open)) without_unnamed();
    ST_TRY(st_writer_open(in_dir(dir, s->name), SIZE, &s->o, &k, &err));
    fd_source in = {.base = {.ops = &fd_ops, .refs = 1, .size = SIZE, .label = "input"}};
    st_status st = k->ops->write(k, head, 0, sizeof head, &err);
    if (st == ST_OK) {
        in.fd = open(input, O_RDONLY | O_CLOEXEC);
        st = k->ops->copy(k, &in.base, sizeof head, sizeof head, SIZE - sizeof head, &err);
        close(in.fd);
    }
    if (st == ST_OK) st = k->ops->sync(k, &err);
    if (st == ST_OK) st = k->ops->commit(k, &err);
    k->ops->free(k);
    return st;
}

static const char *input_path(void)
{
    static char path[600];
    snprintf(path, sizeof path, "%s-input", dir);
    return path;
}

static st_status do_save(const save *s) { return run(s, input_path()); }
static st_status simple(const char *name) { return do_save(&(save){.name = name}); }

enum { NONE, IS_OLD, IS_NEW, TORN };
static int content(const char *path)
{
    size_t n;
    unsigned char *b = slurp(path, &n);
    if (!b) return NONE;
    int is = n == SIZE ? IS_NEW : n == OLD ? IS_OLD : TORN;
    for (size_t i = 0; i < n && is == IS_NEW; i++)
        if (b[i] != fresh(i)) is = TORN;
    for (size_t i = 0; i < n && is == IS_OLD; i++)
        if (b[i] != 'o') is = TORN;
    free(b);
    return is;
}
static int content_of(const char *name) { return content(in_dir(dir, name)); }

static void put_old(const char *name)
{
    char old[OLD];
    memset(old, 'o', sizeof old);
    spill(in_dir(dir, name), old, sizeof old);
}

static mode_t mode_of(const char *name)
{
    struct stat st;
    assert_int_equal(stat(in_dir(dir, name), &st), 0);
    return st.st_mode & 07777;
}

/* ---------------------------------------------------------------- what a save does */

static void test_new_file(void **state)
{
    (void)state;
    mode_t old = umask(027);
    for (int named = 0; named < 2; named++)
        for (int no_sync = 0; no_sync < 2; no_sync++) {
            assert_ok(do_save(&(save){.name = "new", .named = named, .o = {.no_sync = no_sync}}));
            assert_int_equal(content_of("new"), IS_NEW);
            assert_int_equal(mode_of("new"), 0640);
            assert_int_equal(count_entries(dir), 1);
            unlink(in_dir(dir, "new"));
        }
    umask(old);
    st_sink *k;
    assert_ok(st_writer_open(in_dir(dir, "empty"), 0, NULL, &k, &err));
    assert_ok(k->ops->commit(k, &err)); /* syncs by itself */
    k->ops->free(k);
    assert_int_equal(content_of("empty"), TORN);
    assert_int_equal(count_entries(dir), 1);
}

static void test_replaced_mode(void **state)
{
    (void)state;
    static const mode_t modes[] = {0600, 0444, 0751, 0666, 0};
    for (int named = 0; named < 2; named++)
        for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
            put_old("mode");
            chmod(in_dir(dir, "mode"), modes[i]);
            assert_ok(do_save(&(save){.name = "mode", .named = named}));
            assert_int_equal(mode_of("mode"), modes[i]);
            chmod(in_dir(dir, "mode"), 0600);
            assert_int_equal(content_of("mode"), IS_NEW);
        }
}

static void test_owner(void **state)
{
    (void)state;
    struct stat st;
    put_old("owned");
    if (geteuid() != 0 || chown(in_dir(dir, "owned"), 1234, 2345) != 0) {
        skipped("a foreign owner: only root can give files away");
        return;
    }
    assert_ok(simple("owned"));
    assert_int_equal(stat(in_dir(dir, "owned"), &st), 0);
    assert_int_equal(st.st_uid, 1234);
    assert_int_equal(st.st_gid, 2345);
}

/* Until commit the target is as it was, and while the system can, there is no other name. */
static void test_invisible(void **state)
{
    (void)state;
    st_sink *k;
    put_old("busy");
    assert_ok(st_writer_open(in_dir(dir, "busy"), 3, NULL, &k, &err));
    assert_ok(k->ops->write(k, "new", 0, 3, &err));
    assert_ok(k->ops->sync(k, &err));
    assert_int_equal(content_of("busy"), IS_OLD);
    int fd = sys_open_unnamed(dir, 0600);
    assert_int_equal(count_entries(dir), fd >= 0 ? 1 : 2);
    if (fd >= 0) sys_close(fd);
    k->ops->free(k);
    assert_int_equal(content_of("busy"), IS_OLD);
    assert_int_equal(count_entries(dir), 1);

    without_unnamed();
    assert_ok(st_writer_open(in_dir(dir, "busy"), 3, NULL, &k, &err));
    assert_int_equal(count_entries(dir), 2);
    k->ops->free(k);
    assert_int_equal(count_entries(dir), 1);
    assert_int_equal(content_of("busy"), IS_OLD);
}

static void test_links(void **state)
{
    (void)state;
    struct stat st;
    put_old("pointee");
    mkdir(in_dir(dir, "sub"), 0777);
    assert_int_equal(link(in_dir(dir, "pointee"), in_dir(dir, "hard")), 0);
    assert_int_equal(symlink("../pointee", in_dir(dir, "sub/soft")), 0);
    assert_int_equal(symlink("sub/soft", in_dir(dir, "chain")), 0);
    assert_ok(simple("chain"));
    assert_int_equal(content_of("pointee"), IS_NEW);
    assert_int_equal(content_of("hard"), IS_OLD); /* a rename breaks hard links */
    assert_int_equal(lstat(in_dir(dir, "chain"), &st), 0);
    assert_true(S_ISLNK(st.st_mode));
    assert_int_equal(lstat(in_dir(dir, "sub/soft"), &st), 0);
    assert_true(S_ISLNK(st.st_mode));

    assert_int_equal(symlink("sub/created", in_dir(dir, "dangling")), 0);
    assert_ok(simple("dangling"));
    assert_int_equal(content_of("sub/created"), IS_NEW);

    char absolute[1024];
    snprintf(absolute, sizeof absolute, "%s/sub/absolute", dir);
    assert_int_equal(symlink(absolute, in_dir(dir, "abs")), 0);
    assert_ok(simple("abs"));
    assert_int_equal(content_of("sub/absolute"), IS_NEW);

    assert_int_equal(symlink("loop", in_dir(dir, "loop")), 0);
    assert_int_equal(simple("loop"), ST_IO);
    assert_non_null(strstr(err.message, "symlink"));
    assert_int_equal(symlink("nowhere/file", in_dir(dir, "lost")), 0);
    assert_int_equal(simple("lost"), ST_IO);
    assert_non_null(strstr(err.message, "nowhere"));
}

static void refused(const char *path, st_status status, const char *says)
{
    st_sink *k = (st_sink *)dir;
    int fds = open_fds();
    assert_int_equal(st_writer_open(path, 10, NULL, &k, &err), status);
    assert_null(k);
    if (!strstr(err.message, says)) fail_msg("%s: \"%s\" does not say \"%s\"", path, err.message, says);
    assert_int_equal(open_fds(), fds);
}

static void test_refusals(void **state)
{
    (void)state;
    char name[300];
    put_old("file");
    assert_int_equal(mkfifo(in_dir(dir, "fifo"), 0666), 0);
    refused(dir, ST_IO, "folder");
    refused(in_dir(dir, "."), ST_IO, "folder");
    refused(in_dir(dir, "new/"), ST_IO, "folder");
    refused("/", ST_IO, "folder");
    refused("", ST_ARG, "empty");
    refused(in_dir(dir, "fifo"), ST_IO, "not a regular file");
    refused("/dev/full", ST_IO, "not a regular file");
    refused("/dev/null", ST_IO, "not a regular file");
    refused(in_dir(dir, "missing/file"), ST_IO, "does not exist: create it first");
    refused(in_dir(dir, "file/file"), ST_IO, "Not a directory");
    memset(name, 'n', sizeof name);
    name[256] = '\0';
    refused(in_dir(dir, name), ST_IO, "too long");
    st_sink *k;
    assert_int_equal(st_writer_open(in_dir(dir, "huge"), UINT64_MAX, NULL, &k, &err), ST_LIMIT);
    assert_int_equal(count_entries(dir), 2);
}

static void test_no_replace(void **state)
{
    (void)state;
    put_old("there");
    assert_int_equal(do_save(&(save){.name = "there", .o = {.no_replace = true}}), ST_EXISTS);
    /* 0: unnamed; 1: named; 2: named, and no RENAME_NOREPLACE. */
    for (int way = 0; way < 3; way++) {
        st_writer_opts o = {.no_replace = true};
        st_sink *k;
        if (way) without_unnamed();
        assert_ok(st_writer_open(in_dir(dir, "late"), 3, &o, &k, &err));
        assert_ok(k->ops->write(k, "new", 0, 3, &err));
        put_old("late");
        if (way == 2) sys_fault(SYS_rename, 1, EINVAL);
        assert_int_equal(k->ops->commit(k, &err), ST_EXISTS);
        k->ops->free(k);
        assert_int_equal(content_of("late"), IS_OLD);
        unlink(in_dir(dir, "late"));

        if (way == 2) sys_fault(SYS_rename, 1, EINVAL);
        assert_ok(do_save(&(save){.name = "late", .named = way > 0, .o = o}));
        assert_int_equal(content_of("late"), IS_NEW);
        unlink(in_dir(dir, "late"));
        assert_int_equal(count_entries(dir), 1);
    }
}

static int only_name(void *user, const char *name)
{
    snprintf(user, 256, "%s", name);
    return 0;
}

static void test_long_names(void **state)
{
    (void)state;
    char name[256];
    for (int i = 0; i < 85; i++) memcpy(name + i * 3, "\xe2\x82\xac", 3); /* 255 bytes of euro signs */
    name[255] = '\0';
    char temp[256] = "";
    st_sink *k;
    without_unnamed();
    assert_ok(st_writer_open(in_dir(dir, name), 1, NULL, &k, &err));
    assert_int_equal(sys_listdir(dir, only_name, temp), 0);
    assert_int_equal(strlen(temp),
                     1 + 225 + 1 + 16 + 10); /* 227 bytes of the name have room, 225 are whole characters */
    assert_string_equal(temp + strlen(temp) - 10, ".stlua-tmp");
    k->ops->free(k);
    for (int named = 0; named < 2; named++)
        for (int twice = 0; twice < 2; twice++) assert_ok(do_save(&(save){.name = name, .named = named}));
    assert_int_equal(content_of(name), IS_NEW);
    assert_int_equal(count_entries(dir), 1);
}

static void test_misuse(void **state)
{
    (void)state;
    st_sink *k;
    assert_ok(st_writer_open(in_dir(dir, "range"), 10, NULL, &k, &err));
    assert_int_equal(k->ops->write(k, "x", 10, 1, &err), ST_INTERNAL);
    assert_int_equal(k->ops->write(k, "x", UINT64_MAX, 1, &err), ST_INTERNAL);
    assert_int_equal(k->ops->commit(k, &err), ST_INTERNAL); /* after a failure */
    k->ops->free(k);
    assert_ok(st_writer_open(in_dir(dir, "range"), 1, NULL, &k, &err));
    assert_ok(k->ops->write(k, "x", 0, 1, &err));
    assert_ok(k->ops->commit(k, &err));
    assert_int_equal(k->ops->commit(k, &err), ST_INTERNAL);
    k->ops->free(k);
    assert_int_equal(count_entries(dir), 1);
}

static void test_beyond_4_gib(void **state)
{
    (void)state;
    const uint64_t far = 4800000000u;
    char buf[8] = "";
    fd_source in = {.base = {.ops = &fd_ops, .size = SIZE, .label = "input"}, .fd = open(input_path(), O_RDONLY)};
    st_sink *k;
    sys_fault(SYS_fallocate, 1, EOPNOTSUPP); /* sparse */
    assert_ok(st_writer_open(in_dir(dir, "far"), far + 100, NULL, &k, &err));
    assert_ok(k->ops->write(k, "faraway", far, 8, &err));
    assert_ok(k->ops->copy(k, &in.base, 16, far + 8, 8, &err));
    assert_ok(k->ops->commit(k, &err));
    k->ops->free(k);
    close(in.fd);
    int fd = open(in_dir(dir, "far"), O_RDONLY);
    assert_int_equal(sys_pread(fd, buf, 8, far), 8);
    assert_string_equal(buf, "faraway");
    assert_int_equal(sys_pread(fd, buf, 8, far + 8), 8);
    for (uint64_t i = 0; i < 8; i++) assert_int_equal((unsigned char)buf[i], fresh(16 + i));
    close(fd);
}

/* ---------------------------------------------------------------- copies */

static void test_copy_ways(void **state)
{
    (void)state;
    /* By hand; in the kernel; tried there and refused; with a short count; interrupted. */
    static const struct {
        uint64_t k;
        int errnum;
    } ways[] = {{0, 0}, {1000, EIO}, {1, EXDEV}, {1, EINVAL}, {1, 0}, {1, EINTR}};
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        sys_fault(SYS_copy, ways[i].k, ways[i].errnum);
        assert_ok(simple("copied"));
        assert_int_equal(content_of("copied"), IS_NEW);
        assert_int_equal(sys_fault_pending(SYS_copy), ways[i].k == 1000);
        sys_fault(SYS_CALL_COUNT, 0, 0);
    }
}

static void test_copy_failures(void **state)
{
    (void)state;
    st_sink *k;
    mem_source *m = mem_source_new("0123456789", 10);
    assert_ok(st_writer_open(in_dir(dir, "from-memory"), 10, NULL, &k, &err));
    assert_ok(k->ops->copy(k, &m->base, 5, 0, 5, &err));
    assert_ok(k->ops->copy(k, &m->base, 0, 5, 5, &err));
    assert_ok(k->ops->commit(k, &err));
    k->ops->free(k);
    size_t n;
    unsigned char *b = slurp(in_dir(dir, "from-memory"), &n);
    assert_int_equal(n, 10);
    assert_memory_equal(b, "5678901234", 10);
    free(b);

    put_old("kept");
    m->broken = true;
    assert_ok(st_writer_open(in_dir(dir, "kept"), 10, NULL, &k, &err));
    assert_int_equal(k->ops->copy(k, &m->base, 0, 0, 10, &err), ST_IO);
    assert_int_equal(k->ops->sync(k, &err), ST_INTERNAL);
    k->ops->free(k);
    st_source_unref(&m->base);

    /* An input that ends early, whichever way it is copied. */
    spill(in_dir(dir, "short"), "abc", 3);
    for (uint64_t in_kernel = 0; in_kernel < 2; in_kernel++) {
        fd_source in = {.base = {.ops = &fd_ops, .size = 10, .label = "short"},
                        .fd = open(in_dir(dir, "short"), O_RDONLY)};
        sys_fault(SYS_copy, in_kernel * 1000, EIO);
        assert_ok(st_writer_open(in_dir(dir, "kept"), 10, NULL, &k, &err));
        assert_int_equal(k->ops->copy(k, &in.base, 0, 0, 10, &err), ST_CHANGED);
        assert_int_equal(k->ops->commit(k, &err), ST_INTERNAL);
        k->ops->free(k);
        close(in.fd);
    }
    assert_int_equal(content_of("kept"), IS_OLD);
    assert_int_equal(count_entries(dir), 3);
}

/* A kernel that stops halfway: the rest is copied by hand, from where it stopped. */
static void test_copy_in_parts(void **state)
{
    (void)state;
    sys_fault(SYS_copy, 1, 0);
    sys_fault_also(SYS_copy, 2, EOPNOTSUPP);
    assert_ok(simple("copied"));
    assert_false(sys_fault_pending(SYS_copy));
    assert_int_equal(content_of("copied"), IS_NEW);
}

/* Network disks may tell of a lost write at close only. */
static void test_failed_close(void **state)
{
    (void)state;
    st_sink *k;
    put_old("target");
    assert_ok(st_writer_open(in_dir(dir, "target"), 3, NULL, &k, &err));
    assert_ok(k->ops->write(k, "new", 0, 3, &err));
    sys_fault(SYS_close, 1, EDQUOT);
    assert_int_equal(k->ops->commit(k, &err), ST_SPACE);
    k->ops->free(k);
    assert_int_equal(content_of("target"), IS_OLD);
}

enum { THREADS = 4, BLOCK = 700 << 10, BLOCKS = 40 };
typedef struct thread_job {
    st_sink *k;
    st_source *src;
    unsigned number;
    st_status status;
} thread_job;

/* Every fourth block, by write or by copy; in all enough for early write-back. */
static void *write_blocks(void *arg)
{
    thread_job *j = arg;
    unsigned char *b = malloc(BLOCK);
    for (unsigned i = j->number; i < BLOCKS && j->status == ST_OK; i += THREADS) {
        uint64_t off = (uint64_t)i * BLOCK;
        for (uint64_t x = 0; x < BLOCK; x++) b[x] = fresh(off + x);
        j->status =
            i % 3 ? j->k->ops->write(j->k, b, off, BLOCK, NULL) : j->k->ops->copy(j->k, j->src, off, off, BLOCK, NULL);
    }
    free(b);
    return NULL;
}

static void test_threads(void **state)
{
    (void)state;
    const size_t total = (size_t)BLOCK * BLOCKS;
    unsigned char *all = malloc(total);
    for (size_t i = 0; i < total; i++) all[i] = fresh(i);
    mem_source *m = mem_source_new(all, total);
    uint64_t used = st_memory_used();
    st_sink *k;
    assert_ok(st_writer_open(in_dir(dir, "threads"), total, NULL, &k, &err));
    thread_job jobs[THREADS];
    pthread_t threads[THREADS];
    for (unsigned i = 0; i < THREADS; i++) {
        jobs[i] = (thread_job){k, &m->base, i, ST_OK};
        pthread_create(&threads[i], NULL, write_blocks, &jobs[i]);
    }
    for (unsigned i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
    for (unsigned i = 0; i < THREADS; i++) assert_int_equal(jobs[i].status, ST_OK);
    assert_ok(k->ops->sync(k, &err));
    assert_ok(k->ops->commit(k, &err));
    k->ops->free(k);
    assert_int_equal(st_memory_used(), used);
    size_t n;
    unsigned char *b = slurp(in_dir(dir, "threads"), &n);
    assert_int_equal(n, total);
    assert_true(memcmp(b, all, n) == 0);
    free(b);
    free(all);
    st_source_unref(&m->base);
}

/* ---------------------------------------------------------------- failures */

typedef struct injected {
    sys_call call;
    uint64_t k;
    int errnum;
} injected;

/* What is wrong with the outcome of a save with one fault, or NULL. */
static const char *verdict(const save *s, injected f, st_status st, int before, int is)
{
    if (st == ST_OK) return is == IS_NEW ? NULL : "success, but not the new bytes";
    bool in_place = strstr(err.message, "in place,") != NULL; /* only the sync of the folder came after */
    if (is != (in_place ? IS_NEW : before)) return "a failure that changed the target";
    if (harmless(f.call, f.errnum)) return "a signal or a short count made it fail";
    if (!strstr(err.message, f.call == SYS_pread ? "input" : s->name)) return "a message that does not name the file";
    if ((f.errnum == ENOSPC || f.errnum == EDQUOT) && st != ST_SPACE) return "not a matter of space";
    return NULL;
}

/* One save with a fault armed: old or new, nothing else, nothing left, nothing leaked. False when the fault was not
 * met. */
static bool one_fault(const save *s, bool had_old, injected f)
{
    unlink(in_dir(dir, s->name));
    if (had_old) put_old(s->name);
    int fds = open_fds();
    uint64_t used = st_memory_used();
    if (s->named && f.call != SYS_open) without_unnamed();
    sys_fault(f.call, f.k, f.errnum);
    memset(&err, 0, sizeof err);
    st_status st = do_save(s);
    bool met = !sys_fault_pending(f.call);
    sys_fault(SYS_CALL_COUNT, 0, 0);

    int is = content_of(s->name);
    const char *wrong = verdict(s, f, st, had_old ? IS_OLD : NONE, is);
    if (f.call != SYS_unlink && count_entries(dir) != (is != NONE)) wrong = "something is left over";
    if (open_fds() != fds) wrong = "a descriptor leaks";
    if (st_memory_used() != used) wrong = "memory leaks";
    if (wrong)
        fail_msg("%s %d errno %d, named %d: %s (%s)", call_name(f.call), (int)f.k, f.errnum, s->named, wrong,
                 err.message);
    return met;
}

static void every_fault(save *s)
{
    for (sys_call c = 0; c < SYS_CALL_COUNT; c++) {
        s->o.no_sync = c != SYS_fsync && c != SYS_open; /* a disk has only so many syncs a second */
        for (int had_old = 0; had_old < 2; had_old++)
            for (int e = 0; e < fault_error_count; e++) {
                uint64_t k = 1;
                while (one_fault(s, had_old, (injected){c, k, fault_errors[e]})) k++;
                if (c == SYS_open || c == SYS_pwrite || c == SYS_fsync) assert_true(k > 1);
            }
    }
}

static void test_faults_unnamed(void **state)
{
    (void)state;
    every_fault(&(save){.name = "target"});
}
static void test_faults_named(void **state)
{
    (void)state;
    every_fault(&(save){.name = "target", .named = true});
}
static void test_faults_without_reserving(void **state)
{
    (void)state;
    for (int e = 0; e < fault_error_count; e++) {
        sys_fault(SYS_fallocate, 1, ENOSYS);
        one_fault(&(save){.name = "target"}, true, (injected){SYS_truncate, 1, fault_errors[e]});
    }
}

/* The file and its folder reach the disk, once each; or neither is asked to. */
static void test_syncs(void **state)
{
    (void)state;
    for (int no_sync = 0; no_sync < 2; no_sync++)
        for (uint64_t k = 1; k <= 3; k++) {
            sys_fault(SYS_fsync, k, EIO);
            st_status s = do_save(&(save){.name = "target", .o = {.no_sync = no_sync}});
            assert_int_equal(sys_fault_pending(SYS_fsync), no_sync || k == 3);
            assert_int_equal(s, no_sync || k == 3 ? ST_OK : ST_IO);
        }
}

/* A second fsync would claim success for bytes the kernel has dropped. */
static void test_failed_sync_is_final(void **state)
{
    (void)state;
    st_sink *k;
    put_old("target");
    assert_ok(st_writer_open(in_dir(dir, "target"), 3, NULL, &k, &err));
    assert_ok(k->ops->write(k, "new", 0, 3, &err));
    sys_fault(SYS_fsync, 1, EIO);
    assert_int_equal(k->ops->sync(k, &err), ST_IO);
    assert_int_equal(k->ops->sync(k, &err), ST_INTERNAL);
    assert_int_equal(k->ops->commit(k, &err), ST_INTERNAL);
    k->ops->free(k);
    assert_int_equal(content_of("target"), IS_OLD);
}

static void test_no_memory(void **state)
{
    (void)state;
    put_old("target");
    for (int onwards = 0; onwards < 2; onwards++)
        for (uint64_t k = 1;; k++) {
            uint64_t used = st_memory_used();
            int fds = open_fds();
            st_mem_fail_at(k, onwards);
            st_status s = simple("target");
            bool met = st_mem_calls() >= k;
            st_mem_fail_at(0, false);
            assert_int_equal(open_fds(), fds);
            assert_int_equal(st_memory_used(), used);
            assert_int_equal(count_entries(dir), 1);
            assert_int_equal(content_of("target"), s == ST_OK ? IS_NEW : IS_OLD);
            put_old("target");
            if (!met) {
                assert_true(k > 4);
                assert_int_equal(s, ST_OK);
                break;
            }
            assert_int_equal(s, ST_NOMEM);
        }
}

static int killed_save(void *arg)
{
    const save *s = arg;
    if (s->named) without_unnamed();
    sys_kill_at(s->kill_at);
    return do_save(s) == ST_OK ? 0 : 1;
}

/* Killed just before each call: old or new; at most one file besides, of ours; and the next save takes that away. */
static void test_kill(void **state)
{
    (void)state;
    for (int way = 0; way < 8; way++) {
        save s = {.name = "target",
                  .named = way & 1,
                  .o = {.no_replace = way == 2 || way == 3, .no_sync = way > 1 && way < 6}};
        int had = way & 4 ? IS_OLD : NONE, status = 128 + SIGKILL;
        unsigned seen_old = 0, seen_new = 0;
        for (s.kill_at = 1; status == 128 + SIGKILL; s.kill_at++) {
            unlink(in_dir(dir, "target"));
            if (had == IS_OLD) put_old("target");
            status = in_child(killed_save, &s);
            int is = content_of("target");
            assert_true(is == IS_NEW || (is == had && status != 0));
            if (is == IS_NEW)
                seen_new++;
            else
                seen_old++;
            int left = count_entries(dir) - (is != NONE);
            assert_true(left == 0 || left == 1);
            sys_fault(SYS_CALL_COUNT, 0, 0);
            assert_ok(do_save(&(save){.name = "target", .o = {.no_sync = true}}));
            assert_int_equal(content_of("target"), IS_NEW);
            assert_int_equal(count_entries(dir), 1);
        }
        assert_int_equal(status, 0);
        assert_true(seen_old > 5 && seen_new > 0);
    }
}

/* ---------------------------------------------------------------- real limits */

static int on_full_disk(void *arg)
{
    (void)arg;
    save s = {.name = "target"};
    st_sink *k;
    put_old("target");
    /* Reserving finds out before the first byte. */
    if (st_writer_open(in_dir(dir, "target"), 100000, NULL, &k, &err) != ST_SPACE) return 1;
    if (!strstr(err.message, "100000 bytes needed") || !strstr(err.message, "free")) return 2;
    if (count_entries(dir) != 1 || content_of("target") != IS_OLD) return 3;
    if (st_writer_space(in_dir(dir, "target"), 100000, &err) != ST_SPACE) return 4;
    if (st_writer_space(in_dir(dir, "target"), 10000, &err) != ST_OK) return 5;
    /* Where nothing can be reserved, what is free is looked at, and writing finds out about the rest. */
    static char full[40000];
    sys_fault(SYS_fallocate, 1, EOPNOTSUPP);
    if (st_writer_open(in_dir(dir, "target"), 100000, NULL, &k, &err) != ST_SPACE) return 6;
    sys_fault(SYS_fallocate, 1, EOPNOTSUPP);
    if (st_writer_open(in_dir(dir, "target"), sizeof full, NULL, &k, &err) != ST_OK) return 6;
    spill(in_dir(dir, "other"), full, 30000);
    if (k->ops->write(k, full, 0, sizeof full, &err) != ST_SPACE) return 7;
    k->ops->free(k);
    unlink(in_dir(dir, "other"));
    if (count_entries(dir) != 1 || content_of("target") != IS_OLD) return 8;
    /* And it was all given back. */
    return do_save(&s) == ST_OK && content_of("target") == IS_NEW ? 0 : 9;
}

static void test_full_disk(void **state)
{
    (void)state;
    int r = in_small_disk(dir, 64, on_full_disk, NULL);
    if (r < 0)
        skipped("a full disk: mounting a small tmpfs needs privileges");
    else
        assert_int_equal(r, 0);
}

static int with_file_limit(void *arg)
{
    (void)arg;
    st_sink *k;
    struct rlimit l = {5000, 5000};
    put_old("target");
    if (setrlimit(RLIMIT_FSIZE, &l) != 0) return 1;
    if (simple("target") != ST_SPACE || !strstr(err.message, "ulimit -f")) return 2;
    if (content_of("target") != IS_OLD || count_entries(dir) != 1) return 3;
    if (st_writer_open(in_dir(dir, "target"), 5000, NULL, &k, &err) != ST_OK) return 4;
    k->ops->free(k);
    return 0;
}

/* SIGXFSZ would end the whole program. */
static void test_file_limit(void **state)
{
    (void)state;
    assert_int_equal(in_child(with_file_limit, NULL), 0);
}

static void test_space(void **state)
{
    (void)state;
    assert_ok(st_writer_space(in_dir(dir, "file"), 1, &err));
    assert_int_equal(st_writer_space(in_dir(dir, "file"), UINT64_MAX - 1, &err), ST_SPACE);
    assert_non_null(strstr(err.message, "18446744073709551614 bytes needed"));
    assert_int_equal(st_writer_space(in_dir(dir, "missing/file"), 1, &err), ST_IO);
    assert_non_null(strstr(err.message, "does not exist"));
}

/* ---------------------------------------------------------------- company */

static void test_leftovers(void **state)
{
    (void)state;
    static const char *const ours = ".model.0123456789abcdef.stlua-tmp";
    static const char *const others[] = {
        ".model.0123456789abcde.stlua-tmp", ".model.0123456789abcdeg.stlua-tmp",  ".model2.0123456789abcdef.stlua-tmp",
        ".mode.0123456789abcdef.stlua-tmp", ".model.0123456789abcdef.stlua-tmp~", "model.0123456789abcdef.stlua-tmp",
    };
    const int count = sizeof others / sizeof *others;
    for (int i = 0; i < count; i++) spill(in_dir(dir, others[i]), "x", 1);
    spill(in_dir(dir, ours), "x", 1);
    int live = open(in_dir(dir, ours), O_RDONLY);
    assert_int_equal(sys_lock(live), 0);
    assert_ok(simple("model")); /* its owner lives */
    assert_int_equal(count_entries(dir), count + 2);
    close(live);
    /* An old folder of this name, set aside: a file is no successor of it. */
    mkdir(in_dir(dir, ".model.0123456789abcdef.stlua-old"), 0777);
    assert_ok(simple("model"));
    assert_int_equal(rmdir(in_dir(dir, ".model.0123456789abcdef.stlua-old")), 0);
    assert_ok(simple("model"));
    assert_int_equal(count_entries(dir), count + 1);
    for (int i = 0; i < count; i++) assert_int_equal(access(in_dir(dir, others[i]), F_OK), 0);
    assert_int_not_equal(access(in_dir(dir, ours), F_OK), 0);
}

/* The temporary is locked also in the moment it has a name. */
static void test_lock_at_commit(void **state)
{
    (void)state;
    char temp[256] = "";
    for (int named = 0; named < 2; named++) {
        st_sink *k;
        if (named) without_unnamed();
        assert_ok(st_writer_open(in_dir(dir, "locked"), 3, NULL, &k, &err));
        assert_ok(k->ops->write(k, "new", 0, 3, &err));
        sys_fault(SYS_rename, 1, EIO);
        assert_int_equal(k->ops->commit(k, &err), ST_IO);
        assert_int_equal(sys_listdir(dir, only_name, temp), 0);
        int fd = open(in_dir(dir, temp), O_RDONLY);
        assert_true(fd >= 0);
        assert_int_equal(sys_lock(fd), -EWOULDBLOCK);
        close(fd);
        k->ops->free(k);
        assert_int_equal(count_entries(dir), 0);
    }
}

enum { SAVERS = 4, ROUNDS = 25 };
static int save_often(void *arg)
{
    save s = {.name = "shared", .named = *(int *)arg, .o = {.no_sync = true}};
    for (int i = 0; i < ROUNDS; i++)
        if (do_save(&s) != ST_OK) {
            fprintf(stderr, "# %s\n", err.message);
            return 1;
        }
    return 0;
}

/* Several processes save to one target: nobody fails, what is there is always whole, nothing is left. */
static void test_concurrent_saves(void **state)
{
    (void)state;
    int ways[SAVERS] = {0, 1, 0, 1};
    pid_t savers[SAVERS];
    put_old("shared");
    for (int i = 0; i < SAVERS; i++) savers[i] = child_start(save_often, &ways[i]);
    for (int i = 0; i < 200; i++) {
        int is = content_of("shared");
        assert_true(is == IS_OLD || is == IS_NEW);
    }
    for (int i = 0; i < SAVERS; i++) assert_int_equal(child_wait(savers[i]), 0);
    assert_int_equal(content_of("shared"), IS_NEW);
    assert_int_equal(count_entries(dir), 1);
}

static int setup(void **state)
{
    (void)state;
    unsigned char in[SIZE];
    dir = scratch_new();
    if (!dir) return -1;
    for (size_t i = 0; i < SIZE; i++) in[i] = fresh(i);
    spill(input_path(), in, SIZE);
    sys_fault(SYS_CALL_COUNT, 0, 0);
    return 0;
}
static int teardown(void **state)
{
    (void)state;
    unlink(input_path());
    scratch_free(dir);
    return 0;
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_new_file),
        TEST(test_replaced_mode),
        TEST(test_owner),
        TEST(test_invisible),
        TEST(test_links),
        TEST(test_refusals),
        TEST(test_no_replace),
        TEST(test_long_names),
        TEST(test_misuse),
        TEST(test_beyond_4_gib),
        TEST(test_copy_ways),
        TEST(test_copy_failures),
        TEST(test_copy_in_parts),
        TEST(test_failed_close),
        TEST(test_lock_at_commit),
        TEST(test_threads),
        TEST(test_faults_unnamed),
        TEST(test_faults_named),
        TEST(test_faults_without_reserving),
        TEST(test_syncs),
        TEST(test_failed_sync_is_final),
        TEST(test_no_memory),
        TEST(test_kill),
        TEST(test_full_disk),
        TEST(test_file_limit),
        TEST(test_space),
        TEST(test_leftovers),
        TEST(test_concurrent_saves),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
