/* sys.h - the only place where libst calls the system. Layer: core. Loops over short counts and EINTR live here; test
 * builds (ST_FAULTS) can make any call fail or come short. */
#ifndef ST_SYS_H
#define ST_SYS_H

#include "status.h"

#include <sys/stat.h>
#include <sys/types.h>

/* Each returns 0 (or a value >= 0) on success, -errno on failure. Descriptors are close-on-exec. */
int sys_open(const char *path, int flags, mode_t mode);
int sys_openat(int dirfd, const char *path, int flags, mode_t mode);
/* A new file in `dir` that has no name and vanishes with its descriptor: -EOPNOTSUPP where there is no such thing. */
int sys_open_unnamed(const char *dir, mode_t mode);
int sys_close(int fd);
int sys_flush(int fd); /* reports what the last close would, and keeps the descriptor */
/* Holds the file, or folder, until the descriptor is closed or the process gone. -EWOULDBLOCK: another holds it. */
int sys_lock(int fd);
int sys_fstat(int fd, struct stat *st);
int sys_stat(const char *path, struct stat *st);
int sys_lstat(const char *path, struct stat *st);
/* All n bytes, or the count up to the end of the file. */
int64_t sys_pread(int fd, void *buf, size_t n, uint64_t off);
/* All n bytes or an error. */
int sys_pwrite(int fd, const void *buf, size_t n, uint64_t off);
/* Bytes copied in the kernel (0 at end of input), or -errno: -EXDEV, -EINVAL, -ENOSYS, -EOPNOTSUPP mean: use read and
 * write. */
int64_t sys_copy_range(int in, uint64_t in_off, int out, uint64_t out_off, size_t n);
/* True on file systems where such a copy shares blocks or stays on the server; on the others it is slower than read and
 * write (ext4, tmpfs: half the speed). */
bool sys_copy_shares(int fd);
int sys_fallocate(int fd, uint64_t size); /* -EOPNOTSUPP where the file system cannot */
int sys_truncate(int fd, uint64_t size);
int sys_fsync(int fd);
int sys_datasync(int fd); /* the bytes, and what is needed to find them */
/* Starts writing a range back without waiting; a hint. */
void sys_writeback(int fd, uint64_t off, uint64_t n);
void sys_willneed(int fd, uint64_t off, uint64_t n);
int sys_rename(const char *from, const char *to);
int sys_rename_noreplace(const char *from, const char *to); /* -EEXIST */
int sys_rename_exchange(const char *a, const char *b);
int sys_link(const char *from, const char *to); /* a symlink itself, not what it points at */
int sys_link_fd(int fd, const char *to);        /* gives an O_TMPFILE descriptor a name */
int sys_symlink(const char *text, const char *path);
int sys_unlink(const char *path);
int sys_mkdir(const char *path, mode_t mode);
int sys_rmdir(const char *path);
int sys_chmod_fd(int fd, mode_t mode);
int sys_chown_fd(int fd, uid_t u, gid_t g);
mode_t sys_umask(void);
uid_t sys_uid(void);                                       /* whose files this process makes */
int sys_readlink(const char *path, char *buf, size_t cap); /* length */
int sys_free_space(const char *dir, uint64_t *bytes);      /* UINT64_MAX when the file system does not say */
uint64_t sys_file_limit(void); /* `ulimit -f`: to write beyond it is to be killed by SIGXFSZ */
/* Calls fn for each entry but . and ..; a non-zero return of fn stops and is returned. */
int sys_listdir(const char *path, int (*fn)(void *user, const char *name), void *user);
void sys_huge_pages(void *p, size_t n); /* a hint */
uint64_t sys_random(void);
/* Text that is another after each start of the machine; without it, in every process. */
void sys_boot(char text[64]);
/* A hint: that thread gets what time the others leave. */
int sys_thread(void);
void sys_step_back(int thread);
double sys_seconds(void); /* monotonic */
/* Processors that the caller may run on, lowest first, at most `most`; 0 where the system does not tell. */
unsigned sys_processors(unsigned *list, unsigned most);
unsigned sys_processor(void); /* the caller's at this moment */
/* A hint: the thread runs on these n alone. */
void sys_keep_on(pthread_t thread, const unsigned *list, unsigned n);
unsigned sys_cpus(void); /* affinity and cgroup aware, at least 1 */
/* Processors that cgroup quotas allow, 0 = no limit: `groups` is /proc/self/cgroup, `mount` /sys/fs/cgroup. */
unsigned sys_cgroup_cpus(const char *groups, const char *mount);

#ifdef ST_FAULTS
/* X(call): the calls that can be made to fail. */
#define SYS_CALLS(X) \
    X(open)          \
    X(close)         \
    X(fstat)         \
    X(pread)         \
    X(pwrite)        \
    X(copy)          \
    X(fallocate)     \
    X(truncate)      \
    X(fsync)         \
    X(rename)        \
    X(link)          \
    X(unlink)        \
    X(mkdir)
typedef enum sys_call {
#define X(c) SYS_##c,
    SYS_CALLS(X)
#undef X
        SYS_CALL_COUNT
} sys_call;
/* The k-th use of `call` from now (1 = the next) fails once with errnum; 0 makes a pread, pwrite or copy short instead.
 * k = 0 switches that call's fault off, SYS_CALL_COUNT those of all calls. A retried call (EINTR, short) counts again.
 * stat, lstat and free_space count as fstat, rmdir as unlink, symlink as link, datasync as fsync, every kind of rename
 * as rename. */
void sys_fault(sys_call call, uint64_t k, int errnum);
void sys_fault_also(sys_call call, uint64_t k, int errnum); /* one more, after sys_fault */
bool sys_fault_pending(sys_call call);                      /* armed, and not met yet */
/* SIGKILL ends the process just before its k-th call of any kind from now; 0 = never. */
void sys_kill_at(uint64_t k);
uint64_t sys_calls_made(void); /* since sys_kill_at */
/* From now on the clock gains this much with every look at it; 0 = it is right again. */
void sys_hasten(unsigned seconds);
#endif

#endif
