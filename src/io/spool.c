/* spool.c - a temporary file that vanishes with its descriptor. Layer: io. Touches the folder it chooses. */
#include "spool.h"
#include "mem.h"
#include "sys.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Where there are no unnamed files it has a name for a moment. */
static int open_in(const char *dir)
{
    int fd = sys_open_unnamed(dir, 0600);
    if (fd != -EOPNOTSUPP) return fd;
    size_t cap = strlen(dir) + 64;
    char *path = st_malloc(cap);
    if (!path) return -ENOMEM;
    snprintf(path, cap, "%s/.stlua.%016llx.spool", dir, (unsigned long long)sys_random());
    fd = sys_open(path, O_RDWR | O_CREAT | O_EXCL, 0600);
    if (fd >= 0) sys_unlink(path);
    st_free(path);
    return fd;
}

static st_status fail(st_err *err, int errnum, const char *path, const st_spool_use *use, const char *doing,
                      const char *dir)
{
    char shown[256], text[500];
    st_escape(shown, sizeof shown, dir, strlen(dir));
    snprintf(text, sizeof text, "%s; %s in %s", use->why, doing, shown);
    return st_fail_errno(err, errnum, path, text);
}

static st_status check_room(const char *path, const char *dir, uint64_t size, const st_spool_use *use, st_err *err)
{
    uint64_t left = 0, most = sys_file_limit();
    int r = sys_free_space(dir, &left);
    if (r < 0) return fail(err, -r, path, use, "asking for the free space", dir);
    if (size <= left && size <= most) return ST_OK;
    char shown[256];
    st_escape(shown, sizeof shown, dir, strlen(dir));
    return st_fail(err, ST_SPACE, path, NULL,
                   "%s: %llu bytes are needed in %s, there is room for %llu; set TMPDIR to another folder, or %s",
                   use->why, (unsigned long long)size, shown, (unsigned long long)(left < most ? left : most),
                   use->instead);
}

st_status st_spool_open(const char *path, uint64_t size, const st_spool_use *use, int *fd, st_err *err)
{
    const char *slash = strrchr(path, '/'), *chosen = getenv("TMPDIR");
    char *own = slash ? st_strndup(path, slash == path ? 1 : (size_t)(slash - path)) : st_strndup(".", 1);
    if (!own) return st_fail_nomem(err, strlen(path));
    const char *dirs[] = {chosen && *chosen ? chosen : own, "/var/tmp"};
    st_status s = ST_OK;
    int r = -1;
    for (int i = 0; i < 2 && r < 0; i++) {
        s = check_room(path, dirs[i], size, use, err);
        if (s != ST_OK) continue;
        r = open_in(dirs[i]);
        if (r < 0) s = fail(err, -r, path, use, "creating a temporary file", dirs[i]);
    }
    st_free(own);
    *fd = r;
    return s;
}

st_status st_spool_write(int fd, const char *path, const void *buf, uint64_t off, size_t n, st_err *err)
{
    int r = sys_pwrite(fd, buf, n, off);
    return r < 0 ? st_fail_errno(err, -r, path, "writing a part of it to a temporary file") : ST_OK;
}

st_status st_spool_read(int fd, const char *path, void *buf, uint64_t off, size_t n, st_err *err)
{
    int64_t r = sys_pread(fd, buf, n, off);
    if (r < 0) return st_fail_errno(err, (int)-r, path, "reading a part of it from a temporary file");
    return (size_t)r == n ? ST_OK : st_fail(err, ST_IO, path, NULL, "the temporary file of a part of it is short");
}
