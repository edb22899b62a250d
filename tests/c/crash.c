/* crash.c - see crash.h. */
#include "crash.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

pid_t child_start(int (*fn)(void *), void *arg)
{
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) _exit(fn(arg));
    assert_true(pid > 0);
    return pid;
}

int child_wait(pid_t pid)
{
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

int in_child(int (*fn)(void *), void *arg) { return child_wait(child_start(fn, arg)); }

typedef struct small_disk {
    const char *dir;
    int kib;
    int (*fn)(void *);
    void *arg;
} small_disk;

enum { NOT_ALLOWED = 99 };

static int on_small_disk(void *user)
{
    const small_disk *d = user;
    char size[32];
    snprintf(size, sizeof size, "size=%dk", d->kib);
    if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("tmpfs", d->dir, "tmpfs", 0, size) != 0)
        return NOT_ALLOWED;
    return d->fn(d->arg);
}

int in_small_disk(const char *dir, int kib, int (*fn)(void *), void *arg)
{
    small_disk d = {dir, kib, fn, arg};
    int r = in_child(on_small_disk, &d);
    return r == NOT_ALLOWED ? -1 : r;
}

void skipped(const char *why)
{
    printf("# not tested here: %s\n", why);
    fflush(stdout);
}

int open_fds(void) { return count_entries("/proc/self/fd"); }

const int fault_errors[] = {EIO, ENOSPC, EDQUOT, EINTR, 0};
const int fault_error_count = sizeof fault_errors / sizeof *fault_errors;

bool harmless(sys_call call, int errnum)
{
    if (errnum == 0) return true;
    if (errnum != EINTR) return false;
    return call == SYS_open || call == SYS_close || call == SYS_pread || call == SYS_pwrite || call == SYS_copy ||
           call == SYS_fallocate || call == SYS_truncate || call == SYS_fsync;
}

const char *call_name(sys_call call)
{
    static const char *const names[] = {
#define X(c) #c,
        SYS_CALLS(X)
#undef X
    };
    return names[call];
}
