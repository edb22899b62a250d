/* test_sys.c - system calls: loops, limits, fallbacks, what processors we may use, and the faults that other tests
 * inject. */
#include "crash.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

static char *dir;

static int open_rw(const char *name)
{
    int fd = sys_open(in_dir(dir, name), O_RDWR | O_CREAT, 0666);
    assert_true(fd >= 0);
    return fd;
}

/* Interrupted and short calls, at every call, lose and repeat nothing. */
static void test_read_write_loops(void **state)
{
    (void)state;
    unsigned char in[1000], out[1000];
    for (size_t i = 0; i < sizeof in; i++) in[i] = (unsigned char)(i * 7);
    for (int e = 0; e < 2; e++)
        for (uint64_t k = 1; k < 12; k++) {
            int fd = open_rw("loops");
            sys_fault(SYS_pwrite, k, e ? EINTR : 0);
            for (size_t i = 0; i < 10; i++) assert_int_equal(sys_pwrite(fd, in + i * 100, 100, i * 100), 0);
            sys_fault(SYS_pread, k, e ? EINTR : 0);
            for (size_t i = 0; i < 10; i++) assert_int_equal(sys_pread(fd, out + i * 100, 100, i * 100), 100);
            assert_memory_equal(in, out, sizeof in);
            sys_fault(SYS_CALL_COUNT, 0, 0);
            sys_close(fd);
        }
}

static void test_end_of_file(void **state)
{
    (void)state;
    char buf[16];
    int fd = open_rw("end");
    assert_int_equal(sys_pwrite(fd, "abc", 3, 0), 0);
    assert_int_equal(sys_pread(fd, buf, sizeof buf, 1), 2);
    assert_int_equal(sys_pread(fd, buf, sizeof buf, 3), 0);
    assert_int_equal(sys_pread(fd, buf, sizeof buf, 100), 0);
    assert_int_equal(sys_pread(-1, buf, 1, 0), -EBADF);
    assert_int_equal(sys_pwrite(-1, buf, 1, 0), -EBADF);
    sys_close(fd);
}

/* /dev/null takes the bytes without looking at them, so a call above the kernel's limit costs nothing here. */
static void test_kernel_limit(void **state)
{
    (void)state;
    size_t n = 0x7ffff000u + 4097u;
    void *p = mmap(NULL, n, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    assert_true(p != MAP_FAILED);
    int fd = sys_open("/dev/null", O_WRONLY, 0);
    sys_kill_at(0);
    assert_int_equal(sys_pwrite(fd, p, n, 0), 0);
    assert_int_equal(sys_calls_made(), 2);
    sys_close(fd);
    munmap(p, n);
}

static void test_beyond_4_gib(void **state)
{
    (void)state;
    const uint64_t far = 5000000000u;
    char buf[8] = "";
    int a = open_rw("far-a"), b = open_rw("far-b");
    assert_int_equal(sys_pwrite(a, "faraway", 8, far), 0);
    assert_int_equal(sys_pread(a, buf, 8, far), 8);
    assert_string_equal(buf, "faraway");
    assert_int_equal(sys_copy_range(a, far, b, far + 3, 8), 8);
    assert_int_equal(sys_pread(b, buf, 8, far + 3), 8);
    assert_string_equal(buf, "faraway");
    assert_int_equal(sys_truncate(a, far * 2), 0);
    struct stat st;
    assert_int_equal(sys_fstat(a, &st), 0);
    assert_int_equal(st.st_size, far * 2);
    sys_close(a);
    sys_close(b);
}

static void test_copy_range(void **state)
{
    (void)state;
    char buf[101] = "";
    int a = open_rw("copy-a"), b = open_rw("copy-b");
    for (int i = 0; i < 10; i++) assert_int_equal(sys_pwrite(a, "0123456789", 10, (uint64_t)i * 10), 0);
    for (int e = 0; e < 2; e++)
        for (uint64_t k = 1; k < 4; k++) {
            assert_int_equal(sys_truncate(b, 0), 0);
            sys_fault(SYS_copy, k, e ? EINTR : 0);
            assert_int_equal(sys_copy_range(a, 1, b, 3, 1000), 99);
            assert_int_equal(sys_pread(b, buf, 100, 3), 99);
            assert_memory_equal(buf, "1234567890123456789", 19);
        }
    sys_fault(SYS_copy, 1, EXDEV);
    assert_int_equal(sys_copy_range(a, 0, b, 0, 10), -EXDEV);
    assert_int_equal(sys_copy_range(a, 100, b, 0, 10), 0);
    sys_fault(SYS_copy, 1000, EIO);
    assert_true(sys_copy_shares(a));
    sys_fault(SYS_CALL_COUNT, 0, 0);
    sys_close(a);
    sys_close(b);
}

static int each_call(sys_call c, int fd)
{
    struct stat st;
    char byte = 'x';
    switch (c) {
    case SYS_open: return sys_open("/dev/null", O_RDONLY, 0);
    case SYS_close: return sys_close(fd);
    case SYS_fstat: return sys_fstat(fd, &st);
    case SYS_pread: return (int)sys_pread(fd, &byte, 1, 0);
    case SYS_pwrite: return sys_pwrite(fd, &byte, 1, 0);
    case SYS_copy: return (int)sys_copy_range(fd, 0, fd, 100, 1);
    case SYS_fallocate: return sys_fallocate(fd, 10);
    case SYS_truncate: return sys_truncate(fd, 10);
    case SYS_fsync: return sys_fsync(fd);
    case SYS_rename: return sys_rename(in_dir(dir, "no"), in_dir(dir, "where"));
    case SYS_link: return sys_link(in_dir(dir, "no"), in_dir(dir, "where"));
    case SYS_unlink: return sys_unlink(in_dir(dir, "no"));
    case SYS_mkdir: return sys_mkdir(in_dir(dir, "no/where"), 0777);
    default: return -1;
    }
}

/* Every kind fails once, at its k-th use, with the chosen error; and a failed close has closed. */
static void test_faults(void **state)
{
    (void)state;
    int before = open_fds();
    for (sys_call c = 0; c < SYS_CALL_COUNT; c++) {
        int fd = open_rw("faults");
        sys_fault(c, 1, EDQUOT);
        assert_true(sys_fault_pending(c));
        assert_int_equal(each_call(c, fd), -EDQUOT);
        assert_false(sys_fault_pending(c));
        if (c != SYS_close) {
            int again = each_call(c, fd);
            assert_int_not_equal(again, -EDQUOT);
            if (c == SYS_open) sys_close(again);
            sys_close(fd);
        }
        assert_int_equal(open_fds(), before);
    }
}

static int make_calls(void *arg)
{
    sys_kill_at(*(uint64_t *)arg);
    for (int i = 0; i < 5; i++) sys_unlink(in_dir(dir, "nothing"));
    return 0;
}

static void test_kill(void **state)
{
    (void)state;
    for (uint64_t k = 1; k <= 7; k++) assert_int_equal(in_child(make_calls, &k), k <= 5 ? 128 + SIGKILL : 0);
}

static void test_close_on_exec(void **state)
{
    (void)state;
    int fd = open_rw("exec"), tmp = sys_open_unnamed(dir, 0600);
    assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    if (tmp >= 0) assert_true(fcntl(tmp, F_GETFD) & FD_CLOEXEC);
    sys_close(fd);
    sys_close(tmp);
}

static void test_unnamed(void **state)
{
    (void)state;
    int n = count_entries(dir), fd = sys_open_unnamed(dir, 0666);
    if (fd == -EOPNOTSUPP) {
        skipped("this file system has no unnamed files");
        return;
    }
    assert_true(fd >= 0);
    assert_int_equal(count_entries(dir), n);
    assert_int_equal(sys_link_fd(fd, in_dir(dir, "named")), 0);
    assert_int_equal(count_entries(dir), n + 1);
    assert_int_equal(sys_link_fd(fd, in_dir(dir, "named")), -EEXIST);
    sys_close(fd);
    assert_int_equal(sys_open_unnamed(in_dir(dir, "named"), 0666), -ENOTDIR);
}

static void test_renames(void **state)
{
    (void)state;
    const char *a = in_dir(dir, "ren-a"), *b = in_dir(dir, "ren-b");
    size_t n;
    spill(a, "a", 1);
    spill(b, "b", 1);
    assert_int_equal(sys_rename_noreplace(a, b), -EEXIST);
    int r = sys_rename_exchange(a, b);
    if (r == -EINVAL) {
        skipped("this file system cannot exchange names");
    } else {
        assert_int_equal(r, 0);
        unsigned char *text = slurp(a, &n);
        assert_int_equal(text[0], 'b');
        free(text);
    }
    assert_int_equal(sys_rename(a, b), 0);
    assert_int_equal(sys_rename_exchange(a, b), -ENOENT);
}

static void test_lock(void **state)
{
    (void)state;
    int a = open_rw("lock"), b = open_rw("lock");
    assert_int_equal(sys_lock(a), 0);
    assert_int_equal(sys_lock(b), -EWOULDBLOCK);
    assert_int_equal(sys_flush(a), 0); /* keeps it */
    assert_int_equal(sys_lock(b), -EWOULDBLOCK);
    sys_close(a);
    assert_int_equal(sys_lock(b), 0);
    sys_close(b);
}

static int count_until(void *user, const char *name)
{
    assert_string_not_equal(name, ".");
    assert_string_not_equal(name, "..");
    return --*(int *)user == 0 ? 42 : 0;
}

static void test_listdir(void **state)
{
    (void)state;
    int left = 1000, fds = open_fds(), n = count_entries(dir);
    assert_int_equal(sys_listdir(dir, count_until, &left), 0);
    assert_int_equal(1000 - left, n);
    left = 2;
    assert_int_equal(sys_listdir(dir, count_until, &left), 42);
    assert_int_equal(sys_listdir(in_dir(dir, "missing"), count_until, &left), -ENOENT);
    assert_int_equal(open_fds(), fds);
}

static void test_symlinks(void **state)
{
    (void)state;
    char buf[32], small[8];
    struct stat st;
    const char *l = in_dir(dir, "link");
    assert_int_equal(sys_symlink("some/where", l), 0);
    assert_int_equal(sys_readlink(l, buf, sizeof buf), 10);
    assert_string_equal(buf, "some/where");
    assert_int_equal(sys_readlink(l, small, sizeof small), -ENAMETOOLONG);
    assert_int_equal(sys_readlink(dir, buf, sizeof buf), -EINVAL);
    assert_int_equal(sys_stat(l, &st), -ENOENT);
    assert_int_equal(sys_lstat(l, &st), 0);
    assert_true(S_ISLNK(st.st_mode));
    assert_int_equal(sys_link(l, in_dir(dir, "link2")), 0); /* the link itself */
}

static void test_umask(void **state)
{
    (void)state;
    mode_t old = umask(0057);
    assert_int_equal(sys_umask(), 0057);
    assert_int_equal(umask(old), 0057);
}

/* ---------------------------------------------------------------- processors */

static void group_file(const char *name, const char *text)
{
    char path[1024];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    for (char *p = path + strlen(dir) + 1; (p = strchr(p, '/')); *p++ = '/') {
        *p = '\0';
        mkdir(path, 0777);
    }
    spill(path, text, strlen(text));
}

static void test_cgroups(void **state)
{
    (void)state;
    static const struct {
        const char *groups, *file, *quota, *file2, *text2;
        unsigned cpus;
    } cases[] = {
        {"0::/a/b\n", "c0/a/b/cpu.max", "150000 100000\n", NULL, NULL, 2},
        {"0::/a/b\n", "c1/a/b/cpu.max", "max 100000\n", NULL, NULL, 0},
        {"0::/a/b\n", "c2/a/b/cpu.max", "max 100000\n", "c2/a/cpu.max", "100000 100000\n", 1},
        {"0::/a/b\n", "c3/a/b/cpu.max", "100000 100000\n", "c3/a/cpu.max", "800000 100000\n", 1},
        {"0::/\n", "c4/cpu.max", "300000 100000\n", NULL, NULL, 3},
        {"0::/the/host/knows\n", "c5/cpu.max", "1000 100000\n", NULL, NULL, 1},
        {"7:memory:/\n4:cpu,cpuacct:/d\n0::/\n", "c6/cpu/d/cpu.cfs_quota_us", "250000\n", "c6/cpu/d/cpu.cfs_period_us",
         "100000\n", 3},
        {"4:cpu:/d\n", "c7/cpu/cpu.cfs_quota_us", "-1\n", "c7/cpu/cpu.cfs_period_us", "100000\n", 0},
        {"nonsense\n::\n0:\n", "c8/cpu.max", "100000 100000\n", NULL, NULL, 1},
        {"0::/a\n", "c9/a/cpu.max", "many 0\n", "c9/cpu.max", "5 0\n", 0},
    };
    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
        char mount[16];
        snprintf(mount, sizeof mount, "c%u", i);
        group_file("groups", cases[i].groups);
        group_file(cases[i].file, cases[i].quota);
        if (cases[i].file2) group_file(cases[i].file2, cases[i].text2);
        unsigned n = sys_cgroup_cpus(in_dir(dir, "groups"), in_dir(dir, mount));
        if (n != cases[i].cpus) fail_msg("case %u: %u processors, expected %u", i, n, cases[i].cpus);
    }
    assert_int_equal(sys_cgroup_cpus(in_dir(dir, "no-groups"), dir), 0);
}

static int on_one_cpu(void *arg)
{
    (void)arg;
    cpu_set_t set;
    CPU_ZERO(&set);
    for (int i = 0; i < CPU_SETSIZE; i++) {
        CPU_SET(i, &set);
        if (sched_setaffinity(0, sizeof set, &set) == 0) return sys_cpus() == 1 ? 0 : 1;
        CPU_CLR(i, &set);
    }
    return 2;
}

static void test_cpus(void **state)
{
    (void)state;
    assert_true(sys_cpus() >= 1);
    assert_int_equal(in_child(on_one_cpu, NULL), 0);
}

static int limited(void *arg)
{
    (void)arg;
    struct rlimit l = {12345, 12345};
    if (setrlimit(RLIMIT_FSIZE, &l) != 0) return 1;
    return sys_file_limit() == 12345 ? 0 : 2;
}

static void test_the_rest(void **state)
{
    (void)state;
    uint64_t room = 0;
    double t = sys_seconds();
    assert_int_equal(sys_free_space(dir, &room), 0);
    assert_true(room > 0);
    assert_int_equal(sys_free_space(in_dir(dir, "missing"), &room), -ENOENT);
    assert_true(sys_random() != sys_random());
    assert_true(sys_seconds() >= t);
    assert_int_equal(in_child(limited, NULL), 0);
    int fd = open_rw("hints");
    sys_writeback(fd, 0, 4096);
    sys_willneed(fd, 0, 4096);
    assert_int_equal(sys_fallocate(fd, 0), 0);
    assert_int_equal(sys_chmod_fd(fd, 0640), 0);
    assert_int_equal(sys_chown_fd(fd, (uid_t)-1, (gid_t)-1), 0);
    assert_int_equal(sys_fsync(fd), 0);
    assert_int_equal(sys_close(fd), 0);
    assert_int_equal(sys_close(fd), -EBADF);
}

static int setup(void **state)
{
    (void)state;
    dir = scratch_new();
    return dir ? 0 : -1;
}
static int teardown(void **state)
{
    (void)state;
    scratch_free(dir);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_read_write_loops),
        cmocka_unit_test(test_end_of_file),
        cmocka_unit_test(test_kernel_limit),
        cmocka_unit_test(test_beyond_4_gib),
        cmocka_unit_test(test_copy_range),
        cmocka_unit_test(test_faults),
        cmocka_unit_test(test_kill),
        cmocka_unit_test(test_close_on_exec),
        cmocka_unit_test(test_unnamed),
        cmocka_unit_test(test_renames),
        cmocka_unit_test(test_lock),
        cmocka_unit_test(test_listdir),
        cmocka_unit_test(test_symlinks),
        cmocka_unit_test(test_umask),
        cmocka_unit_test(test_cgroups),
        cmocka_unit_test(test_cpus),
        cmocka_unit_test(test_the_rest),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
