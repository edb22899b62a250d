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

static st_status fail(st_err *err, int errnum, const char *path, const char *doing, const char *dir)
{
    char shown[256], text[400];
    st_escape(shown, sizeof shown, dir, strlen(dir));
    snprintf(text, sizeof text, "%s in %s, to which it must be unpacked to be read in this order", doing, shown);
    return st_fail_errno(err, errnum, path, text);
}

static st_status check_room(const char *path, const char *dir, uint64_t size, st_err *err)
{
    uint64_t left = 0, most = sys_file_limit();
    int r = sys_free_space(dir, &left);
    if (r < 0) return fail(err, -r, path, "asking for the free space", dir);
    if (size <= left && size <= most) return ST_OK;
    char shown[256];
    st_escape(shown, sizeof shown, dir, strlen(dir));
    return st_fail(err, ST_SPACE, path, NULL,
                   "without a seek table it must be unpacked to be read in this order: %llu bytes are needed in %s, "
                   "there is room for %llu; set TMPDIR to another folder, or unpack it once with `stlua decompress`",
                   (unsigned long long)size, shown, (unsigned long long)(left < most ? left : most));
}

st_status st_spool_open(const char *path, uint64_t size, int *fd, st_err *err)
{
    const char *slash = strrchr(path, '/'), *chosen = getenv("TMPDIR");
    char *own = slash ? st_strndup(path, slash == path ? 1 : (size_t)(slash - path)) : st_strndup(".", 1);
    if (!own) return st_fail_nomem(err, strlen(path));
    const char *dirs[] = {chosen && *chosen ? chosen : own, "/var/tmp"};
    st_status s = ST_OK;
    int r = -1;
    for (int i = 0; i < 2 && r < 0; i++) {
        s = check_room(path, dirs[i], size, err);
        if (s != ST_OK) continue;
        r = open_in(dirs[i]);
        if (r < 0) s = fail(err, -r, path, "creating a temporary file", dirs[i]);
    }
    st_free(own);
    *fd = r;
    return s;
}
