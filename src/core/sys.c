/* sys.c - the only place where libst calls the system. Layer: core. Touches files, processes and clocks; loops over
 * short counts and EINTR; test builds can make each call fail. Linux first: elsewhere the calls it alone has answer
 * -ENOSYS or -EOPNOTSUPP, for which every caller has another way. */
#include "sys.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/mman.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>
#ifdef __linux__
#include <asm/unistd.h> /* not <sys/syscall.h>: its SYS_* macros would shadow sys_call's names */
#include <sched.h>
#include <sys/random.h>
#include <sys/vfs.h>
#endif

/* The kernel moves at most this much in one call; asking for more would look like a short count. */
enum { CALL_MAX = 0x7ffff000 };

static _Atomic uint64_t bytes_read;

uint64_t st_bytes_read(void) { return bytes_read; }

/* ---------------------------------------------------------------- faults */

#ifdef ST_FAULTS

typedef struct fault {
    _Atomic uint64_t left; /* counts down to the call that fails; 0 = off */
    _Atomic int errnum;
} fault;
static fault faults[SYS_CALL_COUNT][2]; /* the second: sys_fault_also */
static _Atomic uint64_t made, kill_at;
static _Atomic unsigned haste, gained; /* seconds */

static void arm(fault *f, uint64_t k, int errnum)
{
    f->left = 0;
    f->errnum = errnum;
    f->left = k;
}

void sys_fault(sys_call call, uint64_t k, int errnum)
{
    if (call >= SYS_CALL_COUNT) {
        for (int i = 0; i < SYS_CALL_COUNT; i++) faults[i][0].left = faults[i][1].left = 0;
        return;
    }
    faults[call][1].left = 0;
    arm(&faults[call][0], k, errnum);
}

void sys_fault_also(sys_call call, uint64_t k, int errnum) { arm(&faults[call][1], k, errnum); }

bool sys_fault_pending(sys_call call) { return faults[call][0].left || faults[call][1].left; }

void sys_kill_at(uint64_t k)
{
    made = 0;
    kill_at = k;
}

uint64_t sys_calls_made(void) { return made; }

void sys_hasten(unsigned seconds) { haste = seconds; }

/* Counts down; true when this use is the one. */
static bool counts_out(fault *f)
{
    uint64_t left = f->left;
    while (left && !atomic_compare_exchange_weak(&f->left, &left, left - 1)) {
    }
    return left == 1;
}

/* True when this use of `call` is a chosen one: *errnum tells how it fails. */
static bool chosen(sys_call call, int *errnum)
{
    if (++made == kill_at) kill(getpid(), SIGKILL);
    if (call >= SYS_CALL_COUNT) return false;
    bool first = counts_out(&faults[call][0]), second = counts_out(&faults[call][1]);
    *errnum = faults[call][first ? 0 : 1].errnum;
    return first || second;
}

/* Sets errno and is true when the call is to fail instead of being made. */
static bool fails(sys_call call)
{
    int e;
    if (!chosen(call, &e) || e == 0) return false;
    errno = e;
    return true;
}

/* The same for calls with a count, which can come short instead. */
static bool fails_or_short(sys_call call, size_t *n)
{
    int e;
    if (!chosen(call, &e)) return false;
    errno = e;
    if (e == 0 && *n > 1) *n /= 2;
    return e != 0;
}
#define FAILS(c) fails(SYS_##c)
#define FAILS_OR_SHORT(c, n) fails_or_short(SYS_##c, n)
#define STEP() fails(SYS_CALL_COUNT)
#else
#define FAILS(c) false
#define FAILS_OR_SHORT(c, n) ((void)(n), false)
#define STEP() ((void)0)
#endif

/* r = the call's result, made again as long as a signal interrupts it. */
#define RETRY(r, fail, call)        \
    do {                            \
        (r) = (fail) ? -1 : (call); \
    } while ((r) < 0 && errno == EINTR)

static int result(int r) { return r < 0 ? -errno : r; }

/* ---------------------------------------------------------------- descriptors */

int sys_open(const char *path, int flags, mode_t mode) { return sys_openat(AT_FDCWD, path, flags, mode); }

int sys_openat(int dirfd, const char *path, int flags, mode_t mode)
{
    int r;
    RETRY(r, FAILS(open), openat(dirfd, path, flags | O_CLOEXEC, mode));
    return result(r);
}

/* The descriptor is gone whatever close answers, so EINTR is no failure and a second try would hit a stranger's. */
int sys_close(int fd)
{
    bool fail = FAILS(close);
    int e = errno, r = close(fd);
    if (fail) r = -1, errno = e;
    return r < 0 && errno != EINTR ? -errno : 0;
}

int sys_flush(int fd)
{
    int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    return copy < 0 ? -errno : sys_close(copy);
}

int sys_open_unnamed(const char *dir, mode_t mode)
{
#ifdef O_TMPFILE
    /* Without /proc the file could never be given a name. */
    char self[32];
    int fd = sys_open(dir, O_TMPFILE | O_RDWR, mode);
    if (fd < 0) return fd == -EISDIR || fd == -EINVAL || fd == -ENOENT ? -EOPNOTSUPP : fd;
    snprintf(self, sizeof self, "/proc/self/fd/%d", fd);
    if (access(self, F_OK) == 0) return fd;
    close(fd);
#else
    (void)dir, (void)mode;
#endif
    return -EOPNOTSUPP;
}

int sys_lock(int fd)
{
    STEP();
    return result(flock(fd, LOCK_EX | LOCK_NB));
}

int sys_fstat(int fd, struct stat *st) { return FAILS(fstat) ? -errno : result(fstat(fd, st)); }
int sys_stat(const char *path, struct stat *st) { return FAILS(fstat) ? -errno : result(stat(path, st)); }
int sys_lstat(const char *path, struct stat *st) { return FAILS(fstat) ? -errno : result(lstat(path, st)); }

int64_t sys_pread(int fd, void *buf, size_t n, uint64_t off)
{
    size_t done = 0;
    while (done < n) {
        size_t want = n - done < CALL_MAX ? n - done : CALL_MAX;
        ssize_t r;
        RETRY(r, FAILS_OR_SHORT(pread, &want), pread(fd, (char *)buf + done, want, (off_t)(off + done)));
        if (r < 0) return -errno;
        if (r == 0) break;
        done += (size_t)r;
    }
    atomic_fetch_add_explicit(&bytes_read, done, memory_order_relaxed);
    return (int64_t)done;
}

int sys_pwrite(int fd, const void *buf, size_t n, uint64_t off)
{
    for (size_t done = 0; done < n;) {
        size_t want = n - done < CALL_MAX ? n - done : CALL_MAX;
        ssize_t r;
        RETRY(r, FAILS_OR_SHORT(pwrite, &want), pwrite(fd, (const char *)buf + done, want, (off_t)(off + done)));
        if (r < 0) return -errno;
        if (r == 0) return -EIO; /* no progress and no reason: a loop would never end */
        done += (size_t)r;
    }
    return 0;
}

int64_t sys_copy_range(int in, uint64_t in_off, int out, uint64_t out_off, size_t n)
{
#ifdef __linux__
    size_t done = 0;
    while (done < n) {
        size_t want = n - done < CALL_MAX ? n - done : CALL_MAX;
        off_t from = (off_t)(in_off + done), to = (off_t)(out_off + done);
        ssize_t r;
        RETRY(r, FAILS_OR_SHORT(copy, &want), copy_file_range(in, &from, out, &to, want, 0));
        /* What was copied counts: the reason comes back at the next call. */
        if (r < 0 && done == 0) return -errno;
        if (r <= 0) break;
        done += (size_t)r;
    }
    atomic_fetch_add_explicit(&bytes_read, done, memory_order_relaxed);
    return (int64_t)done;
#else
    (void)in, (void)in_off, (void)out, (void)out_off, (void)n;
    return -ENOSYS;
#endif
}

bool sys_copy_shares(int fd)
{
#ifdef __linux__
    static const unsigned long sharing[] = {
        0x9123683e, 0x58465342, 0xca451a4e, 0x7461636f, 0x2fc12fc1, /* btrfs, XFS, bcachefs, OCFS2, ZFS */
        0x6969,     0xff534d42, 0xfe534d42, 0x00c36400,             /* NFS, CIFS, SMB2, Ceph */
    };
    struct statfs f;
#ifdef ST_FAULTS
    if (sys_fault_pending(SYS_copy)) return true; /* whoever arms a fault wants the call made */
#endif
    if (fstatfs(fd, &f) != 0) return false;
    for (size_t i = 0; i < sizeof sharing / sizeof *sharing; i++)
        if ((unsigned long)f.f_type == sharing[i]) return true;
#else
    (void)fd;
#endif
    return false;
}

int sys_fallocate(int fd, uint64_t size)
{
    if (size == 0) return 0;
#ifdef __linux__
    /* Not posix_fallocate: glibc writes every block where the file system cannot. */
    int r;
    RETRY(r, FAILS(fallocate), fallocate(fd, 0, 0, (off_t)size));
    return result(r);
#else
    (void)fd;
    return -EOPNOTSUPP;
#endif
}

int sys_truncate(int fd, uint64_t size)
{
    int r;
    RETRY(r, FAILS(truncate), ftruncate(fd, (off_t)size));
    return result(r);
}

int sys_fsync(int fd)
{
    int r;
#ifdef F_FULLFSYNC
    RETRY(r, FAILS(fsync), fcntl(fd, F_FULLFSYNC)); /* macOS: fsync alone leaves the data in the drive's cache */
    if (r == 0) return 0;
#endif
    RETRY(r, FAILS(fsync), fsync(fd));
    return result(r);
}

int sys_datasync(int fd)
{
#ifdef __linux__
    int r;
    RETRY(r, FAILS(fsync), fdatasync(fd));
    return result(r);
#else
    return sys_fsync(fd);
#endif
}

void sys_writeback(int fd, uint64_t off, uint64_t n)
{
#ifdef __linux__
    sync_file_range(fd, (off_t)off, (off_t)n, SYNC_FILE_RANGE_WRITE);
#else
    (void)fd, (void)off, (void)n;
#endif
}

void sys_willneed(int fd, uint64_t off, uint64_t n)
{
#ifdef POSIX_FADV_WILLNEED
    posix_fadvise(fd, (off_t)off, (off_t)n, POSIX_FADV_WILLNEED);
#else
    (void)fd, (void)off, (void)n;
#endif
}

int sys_chmod_fd(int fd, mode_t mode)
{
    STEP();
    return result(fchmod(fd, mode));
}

int sys_chown_fd(int fd, uid_t u, gid_t g)
{
    STEP();
    return result(fchown(fd, u, g));
}

/* ---------------------------------------------------------------- names */

int sys_rename(const char *from, const char *to) { return FAILS(rename) ? -errno : result(rename(from, to)); }

#if defined(__linux__) && defined(__NR_renameat2)
enum { NOREPLACE = 1, EXCHANGE = 2 }; /* RENAME_*: in <linux/fs.h>, or in newer C libraries */
static int rename_flags(const char *from, const char *to, unsigned flags)
{
    return FAILS(rename) ? -errno : result((int)syscall(__NR_renameat2, AT_FDCWD, from, AT_FDCWD, to, flags));
}
int sys_rename_noreplace(const char *from, const char *to) { return rename_flags(from, to, NOREPLACE); }
int sys_rename_exchange(const char *a, const char *b) { return rename_flags(a, b, EXCHANGE); }
#else
int sys_rename_noreplace(const char *from, const char *to) { return (void)from, (void)to, -ENOSYS; }
int sys_rename_exchange(const char *a, const char *b) { return (void)a, (void)b, -ENOSYS; }
#endif

int sys_link(const char *from, const char *to)
{
    return FAILS(link) ? -errno : result(linkat(AT_FDCWD, from, AT_FDCWD, to, 0));
}

int sys_link_fd(int fd, const char *to)
{
#ifdef __linux__
    char self[32];
    snprintf(self, sizeof self, "/proc/self/fd/%d", fd);
    return FAILS(link) ? -errno : result(linkat(AT_FDCWD, self, AT_FDCWD, to, AT_SYMLINK_FOLLOW));
#else
    return (void)fd, (void)to, -ENOSYS;
#endif
}

int sys_symlink(const char *text, const char *path) { return FAILS(link) ? -errno : result(symlink(text, path)); }

int sys_unlink(const char *path) { return FAILS(unlink) ? -errno : result(unlink(path)); }
int sys_mkdir(const char *path, mode_t mode) { return FAILS(mkdir) ? -errno : result(mkdir(path, mode)); }
int sys_rmdir(const char *path) { return FAILS(unlink) ? -errno : result(rmdir(path)); }

int sys_readlink(const char *path, char *buf, size_t cap)
{
    STEP();
    ssize_t r = readlink(path, buf, cap - 1);
    if (r < 0) return -errno;
    if ((size_t)r >= cap - 1) return -ENAMETOOLONG; /* it may have been cut */
    buf[r] = '\0';
    return (int)r;
}

int sys_free_space(const char *dir, uint64_t *bytes)
{
    struct statvfs v;
    int r;
    RETRY(r, FAILS(fstat), statvfs(dir, &v));
    if (r == 0) *bytes = v.f_blocks ? (uint64_t)v.f_bavail * v.f_frsize : UINT64_MAX; /* all 0: it does not say */
    return result(r);
}

uint64_t sys_file_limit(void)
{
    struct rlimit l;
    return getrlimit(RLIMIT_FSIZE, &l) == 0 && l.rlim_cur != RLIM_INFINITY ? (uint64_t)l.rlim_cur : UINT64_MAX;
}

int sys_listdir(const char *path, int (*fn)(void *user, const char *name), void *user)
{
    int fd = sys_open(path, O_RDONLY | O_DIRECTORY, 0), r = 0;
    if (fd < 0) return fd;
    DIR *d = fdopendir(fd);
    if (!d) {
        r = -errno;
        close(fd);
        return r;
    }
    while (r == 0) {
        errno = 0;
        const struct dirent *e = readdir(d);
        if (!e) {
            r = -errno;
            break;
        }
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0) r = fn(user, e->d_name);
    }
    closedir(d);
    return r;
}

/* ---------------------------------------------------------------- process */

/* Reads a small text file whole: /proc and /sys. False when it is not there. */
static bool slurp(const char *path, char *buf, size_t cap)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return false;
    size_t n = 0;
    ssize_t r;
    while (n < cap - 1 && ((r = read(fd, buf + n, cap - 1 - n)) > 0 || (r < 0 && errno == EINTR)))
        if (r > 0) n += (size_t)r;
    close(fd);
    buf[n] = '\0';
    return true;
}

/* Asking by setting it would, for a moment, change the mode of another thread's files. */
mode_t sys_umask(void)
{
    char text[1024];
    const char *line = slurp("/proc/self/status", text, sizeof text) ? strstr(text, "\nUmask:") : NULL;
    if (line) return (mode_t)strtoul(line + 7, NULL, 8) & 0777;
    mode_t m = umask(022);
    umask(m);
    return m;
}

uid_t sys_uid(void) { return geteuid(); }

void sys_boot(char text[64])
{
    if (slurp("/proc/sys/kernel/random/boot_id", text, 64)) return;
    snprintf(text, 64, "%016llx", (unsigned long long)sys_random());
}

void sys_huge_pages(void *p, size_t n)
{
#ifdef MADV_HUGEPAGE
    madvise(p, n, MADV_HUGEPAGE);
#else
    (void)p, (void)n;
#endif
}

uint64_t sys_random(void)
{
    uint64_t r;
#ifdef __linux__
    if (getrandom(&r, sizeof r, GRND_NONBLOCK) == sizeof r) return r;
#endif
    struct timespec t; /* good enough for names that are tried until one is free */
    clock_gettime(CLOCK_REALTIME, &t);
    r = (uint64_t)t.tv_nsec << 32 ^ (uint64_t)t.tv_sec ^ (uint64_t)getpid() << 16;
    return r * 0x9e3779b97f4a7c15u;
}

double sys_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
#ifdef ST_FAULTS
    unsigned more = haste;
    t.tv_sec += atomic_fetch_add(&gained, more) + more;
#endif
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Processors that quota per period amounts to, rounded up; 0 = no limit. */
static unsigned quota_cpus(long long quota, long long period)
{
    if (quota <= 0 || period <= 0) return 0;
    long long n = (quota - 1) / period + 1;
    return n < 1 << 20 ? (unsigned)n : 0;
}

/* The limit set in one cgroup folder, of version 2 or 1. */
static unsigned folder_cpus(const char *dir)
{
    char path[1200], text[64];
    long long quota = 0, period = 0;
    snprintf(path, sizeof path, "%s/cpu.max", dir);
    if (slurp(path, text, sizeof text)) /* "max 100000" or "150000 100000" */
        return sscanf(text, "%lld %lld", &quota, &period) == 2 ? quota_cpus(quota, period) : 0;
    snprintf(path, sizeof path, "%s/cpu.cfs_quota_us", dir);
    if (!slurp(path, text, sizeof text)) return 0;
    quota = strtoll(text, NULL, 10);
    snprintf(path, sizeof path, "%s/cpu.cfs_period_us", dir);
    if (!slurp(path, text, sizeof text)) return 0;
    period = strtoll(text, NULL, 10);
    return quota_cpus(quota, period);
}

unsigned sys_cgroup_cpus(const char *groups, const char *mount)
{
    char text[4096], dir[1100];
    unsigned least = 0;
    if (!slurp(groups, text, sizeof text)) return 0;
    /* Lines are `0::/path` (version 2) or `4:cpu,cpuacct:/path` (version 1). */
    for (char *save = NULL, *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
        char *kind = strchr(line, ':'), *path = kind ? strchr(kind + 1, ':') : NULL;
        if (!path) continue;
        *path++ = '\0';
        kind++;
        bool v2 = *kind == '\0', v1 = strcmp(kind, "cpu") == 0 || strcmp(kind, "cpu,cpuacct") == 0;
        if (!v2 && !v1) continue;
        int root = snprintf(dir, sizeof dir, "%s%s", mount, v1 ? "/cpu" : "");
        if (root < 0 || strlen(path) >= sizeof dir - (size_t)root) continue;
        memcpy(dir + root, path, strlen(path) + 1);
        /* Each ancestor limits too; inside a container the path may be the host's and only the root exist. */
        for (;;) {
            unsigned n = folder_cpus(dir);
            if (n && (!least || n < least)) least = n;
            char *slash = strrchr(dir + root, '/');
            if (!slash) break;
            *slash = '\0';
        }
    }
    return least;
}

#ifdef __linux__
enum { SETS = 16 }; /* 16,384 processors: the kernel refuses a set smaller than its own */
#endif

unsigned sys_processors(unsigned *list, unsigned most)
{
    unsigned n = 0;
#ifdef __linux__
    cpu_set_t set[SETS];
    if (sched_getaffinity(0, sizeof set, set) != 0) return 0;
    unsigned all = (unsigned)CPU_COUNT_S(sizeof set, set);
    if (all < most) most = all;
    for (unsigned i = 0; n < most; i++)
        if (CPU_ISSET_S(i, sizeof set, set)) list[n++] = i;
#else
    (void)list, (void)most;
#endif
    return n;
}

unsigned sys_processor(void)
{
#ifdef __linux__
    int now = sched_getcpu();
    return now < 0 ? 0 : (unsigned)now;
#else
    return 0;
#endif
}

void sys_keep_on(pthread_t thread, const unsigned *list, unsigned n)
{
#ifdef __linux__
    cpu_set_t set[SETS];
    CPU_ZERO_S(sizeof set, set);
    for (unsigned i = 0; i < n; i++) CPU_SET_S(list[i], sizeof set, set);
    pthread_setaffinity_np(thread, sizeof set, set);
#else
    (void)thread, (void)list, (void)n;
#endif
}

unsigned sys_cpus(void)
{
#ifdef __linux__
    cpu_set_t set[SETS];
    int n = sched_getaffinity(0, sizeof set, set) == 0 ? CPU_COUNT_S(sizeof set, set) : 1;
    static _Atomic int limit = -1; /* a dozen files tell it: they are read once */
    if (limit < 0) limit = (int)sys_cgroup_cpus("/proc/self/cgroup", "/sys/fs/cgroup");
    if (limit && limit < n) n = limit;
#else
    long n = sysconf(_SC_NPROCESSORS_ONLN);
#endif
    return n < 1 ? 1 : (unsigned)n;
}

int sys_thread(void)
{
#ifdef __linux__
    return (int)syscall(__NR_gettid);
#else
    return 0;
#endif
}

void sys_step_back(int thread)
{
#ifdef __linux__
    if (thread) setpriority(PRIO_PROCESS, (id_t)thread, 19); /* Linux: of one thread */
#else
    (void)thread;
#endif
}
