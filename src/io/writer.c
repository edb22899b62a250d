/* writer.c - the save protocol for one file: a sink whose bytes become the target at once or never. Layer: io. Touches
 * the target's folder.
 *
 * The temporary has no name until commit (O_TMPFILE), so a killed save leaves nothing. Where that is not to be had it
 * has a recognisable one from the start, locked while its owner lives, and the next save to the same target removes
 * what a dead owner left. */
#include "writer.h"
#include "context.h"
#include "mem.h"
#include "sys.h"
#include "target.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

enum {
    /* Finished stretches of this size are handed to the disk while the rest is being written: the final fsync then
     * takes hundredths of a second instead of as long as the writing. */
    WRITEBACK = 8 << 20,
    /* Copies go through buffers of this size, which stay in the cache. */
    CHUNK = 256 << 10,
    SPARES = 16,
    TRIES = 100
};

typedef struct writer {
    st_sink sink; /* first: the sink is the writer */
    st_target target;
    st_writer_opts opts;
    char *label, *temp; /* temp: the name it has, or will get for a moment at commit */
    int fd;
    uint64_t most;  /* bytes that the system lets a file have */
    uint64_t there; /* bytes of disk that an earlier save has taken for it */
    bool named;     /* temp exists */
    bool shares;    /* copies inside the kernel pay off here */
    bool synced, done;
    _Atomic bool failed;
    _Atomic(void *) spare[SPARES]; /* buffers waiting for the next copy */
} writer;

/* ---------------------------------------------------------------- open */

static st_status no_room(st_err *err, const char *label, const char *dir, uint64_t need)
{
    uint64_t left;
    if (sys_free_space(dir, &left) < 0) return st_fail_errno(err, ENOSPC, label, "reserving room");
    return st_fail(err, ST_SPACE, label, NULL, "not enough room in %s: %llu bytes needed, %llu free", dir,
                   (unsigned long long)need, (unsigned long long)left);
}

st_status st_writer_space(const char *path, uint64_t need, st_err *err)
{
    st_target t;
    uint64_t left;
    ST_TRY(st_target_find(path, &t, err));
    st_status s = ST_OK;
    int r = sys_free_space(t.dir, &left);
    if (r < 0)
        s = st_fail_errno(err, -r, path, "asking for the free space");
    else if (left < need)
        s = no_room(err, path, t.dir, need);
    st_target_free(&t);
    return s;
}

static st_status check_target(const writer *w, const char *path, st_err *err)
{
    const st_target *t = &w->target;
    if (path[strlen(path) - 1] == '/' || (t->exists && S_ISDIR(t->st.st_mode)))
        return st_fail(err, ST_IO, path, NULL, "this is a folder: name a file in it");
    if (t->exists && !S_ISREG(t->st.st_mode))
        return st_fail(err, ST_IO, path, NULL, "this is not a regular file but a device, pipe or socket: name a file");
    if (t->exists && w->opts.no_replace)
        return st_fail(err, ST_EXISTS, path, NULL, "the file exists already and is not to be replaced");
    return ST_OK;
}

/* A temporary with a name, for file systems without unnamed ones. */
static int open_named(writer *w, mode_t mode)
{
    int fd = sys_open(w->temp, O_RDWR | O_CREAT | O_EXCL, mode);
    w->named = fd >= 0;
    if (fd < 0 || st_target_hold(fd, w->temp)) return fd;
    sys_close(fd);
    sys_unlink(w->temp);
    w->named = false;
    return -EEXIST;
}

/* A temporary that a later save can go on from, or that an earlier one has left. */
static int open_partial(writer *w, mode_t mode)
{
    struct stat st;
    int fd = -EEXIST;
    for (int i = 0; i < TRIES && fd == -EEXIST; i++) {
        fd = st_target_adopt(w->temp, S_IFREG, &st);
        if (fd == -ENOENT && !w->opts.found) fd = open_named(w, mode);
    }
    if (fd < 0 || w->named) return fd;
    w->named = true;
    if ((uint64_t)st.st_size == w->sink.size) {
        w->there = (uint64_t)st.st_blocks * 512;
        w->sink.keep = true; /* whatever fails before its worth is known */
        return fd;
    }
    int r = w->opts.found ? -ENOENT : sys_truncate(fd, 0);
    if (r == 0) return fd;
    sys_close(fd);
    return r;
}

static st_status resume_temp(writer *w, mode_t mode, st_err *err)
{
    const st_target *t = &w->target;
    w->temp = w->opts.in_place ? st_strndup(t->path, strlen(t->path))
                               : st_target_numbered(t, w->opts.partial, ST_PARTIAL_SUFFIX);
    if (!w->temp) return st_fail_nomem(err, strlen(t->path) + 1);
    int fd = open_partial(w, mode);
    if (fd >= 0) w->fd = fd;
    return fd < 0 ? st_target_fail_adopt(fd, w->label, err) : ST_OK;
}

static st_status open_temp(writer *w, st_err *err)
{
    const st_target *t = &w->target;
    /* Until it has its final mode it is ours alone. The umask, or a default ACL of the folder, narrows 0666. */
    mode_t mode = t->exists || w->opts.mode ? 0600 : 0666;
    if (w->opts.partial) return resume_temp(w, mode, err);
    int fd = sys_open_unnamed(t->dir, mode);
    if (fd >= 0) sys_lock(fd); /* so that it is held when it gets its name */
    for (int i = 0; i < TRIES; i++) {
        st_free(w->temp);
        w->temp = st_target_sibling(t, ST_TEMP_SUFFIX);
        if (!w->temp) break;
        if (fd == -EOPNOTSUPP || fd == -EEXIST) fd = open_named(w, mode);
        if (fd != -EEXIST) break;
    }
    if (fd >= 0) w->fd = fd;
    if (!w->temp) return st_fail_nomem(err, strlen(t->path) + 1);
    if (fd < 0) return st_fail_errno(err, -fd, w->label, "creating a temporary file in its folder");
    return ST_OK;
}

/* Owner of the file that will be replaced. A foreign one can be kept by root alone, a group by its members: best
 * effort. */
static st_status inherit_owner(const writer *w, st_err *err)
{
    struct stat st;
    const struct stat *old = &w->target.st;
    int r = sys_fstat(w->fd, &st);
    if (r < 0) return st_fail_errno(err, -r, w->label, "looking at the temporary file");
    if (st.st_uid != old->st_uid) sys_chown_fd(w->fd, old->st_uid, (gid_t)-1);
    if (st.st_gid != old->st_gid) sys_chown_fd(w->fd, (uid_t)-1, old->st_gid);
    return ST_OK;
}

static st_status inherit(const writer *w, st_err *err)
{
    if (w->target.exists) ST_TRY(inherit_owner(w, err));
    mode_t mode = w->target.exists ? w->target.st.st_mode & 0777 : w->opts.mode;
    int r = w->target.exists || mode ? sys_chmod_fd(w->fd, mode) : 0;
    return r < 0 ? st_fail_errno(err, -r, w->label, "setting the mode of the temporary file") : ST_OK;
}

/* Room for all of it before the first byte; writing into reserved blocks is also twice as fast on ext4. */
static st_status reserve(writer *w, st_err *err)
{
    uint64_t size = w->sink.size, most = w->most = sys_file_limit();
    if (size > INT64_MAX)
        return st_fail(err, ST_LIMIT, w->label, NULL, "a file of %llu bytes is beyond any file system",
                       (unsigned long long)size);
    if (size > most && !w->opts.open_ended)
        return st_fail(err, ST_SPACE, w->label, NULL,
                       "%llu bytes are more than the limit of %llu for a file (`ulimit -f`)", (unsigned long long)size,
                       (unsigned long long)most);
    if (w->opts.open_ended) return ST_OK;
    /* Asked first: a reservation that fails has filled the disk for a moment. */
    uint64_t need = size > w->there ? size - w->there : 0, left;
    int r = sys_free_space(w->target.dir, &left) == 0 && left < need ? -ENOSPC : sys_fallocate(w->fd, size);
    if (r == -EOPNOTSUPP || r == -ENOSYS || r == -EINVAL) r = sys_truncate(w->fd, size);
    if (r == -ENOSPC) return no_room(err, w->label, w->target.dir, need);
    return r < 0 ? st_fail_errno(err, -r, w->label, "reserving room") : ST_OK;
}

static const st_sink_ops writer_ops;

static st_status open_writer(writer *w, const char *path, st_err *err)
{
    w->label = st_strndup(path, strlen(path));
    if (!w->label) return st_fail_nomem(err, strlen(path) + 1);
    w->sink.label = w->label;
    ST_TRY(st_target_find(path, &w->target, err));
    ST_TRY(check_target(w, path, err));
    if (!w->opts.in_place) st_target_sweep(&w->target, w->opts.partial);
    ST_TRY(open_temp(w, err));
    ST_TRY(inherit(w, err));
    ST_TRY(reserve(w, err));
    w->shares = sys_copy_shares(w->fd);
    return ST_OK;
}

st_status st_writer_open(const char *path, uint64_t size, const st_writer_opts *o, st_sink **out, st_err *err)
{
    *out = NULL;
    writer *w = st_calloc(1, sizeof *w);
    if (!w) return st_fail_nomem(err, sizeof *w);
    w->sink.ops = &writer_ops;
    w->sink.size = size;
    w->fd = -1;
    if (o) w->opts = *o;
    st_status s = open_writer(w, path, err);
    if (s != ST_OK) {
        writer_ops.free(&w->sink);
        return s;
    }
    *out = &w->sink;
    return ST_OK;
}

st_status st_writer_find(const char *path, uint64_t number, const char *inside, uint64_t size, bool *found, st_err *err)
{
    st_target t;
    struct stat st;
    ST_TRY(st_target_find(path, &t, err));
    char *name = st_target_numbered(&t, number, ST_PARTIAL_SUFFIX), *whole = NULL;
    if (name && inside && (whole = st_malloc(strlen(name) + strlen(inside) + 2))) sprintf(whole, "%s/%s", name, inside);
    st_status s = name && (whole || !inside) ? ST_OK : st_fail_nomem(err, strlen(path));
    *found =
        s == ST_OK && sys_lstat(inside ? whole : name, &st) == 0 && S_ISREG(st.st_mode) && (uint64_t)st.st_size == size;
    st_free(whole);
    st_free(name);
    st_target_free(&t);
    return s;
}

/* ---------------------------------------------------------------- write and copy */

static st_status check_range(const writer *w, uint64_t off, uint64_t n, st_err *err)
{
    bool inside = off <= w->sink.size && n <= w->sink.size - off && !w->done;
    if (inside && off + n <= w->most) return ST_OK;
    if (inside)
        return st_fail(err, ST_SPACE, w->label, NULL,
                       "the file would become larger than the limit of %llu bytes for a file (`ulimit -f`)",
                       (unsigned long long)w->most);
    return st_fail(err, ST_INTERNAL, w->label, NULL,
                   "a write of %llu bytes at %llu does not fit the file of %llu bytes", (unsigned long long)n,
                   (unsigned long long)off, (unsigned long long)w->sink.size);
}

static void start_writeback(const writer *w, uint64_t off, uint64_t n)
{
    uint64_t first = off / WRITEBACK, end = (off + n) / WRITEBACK;
    if (first != end && !w->opts.no_sync) sys_writeback(w->fd, first * WRITEBACK, (end - first) * WRITEBACK);
}

static st_status put(writer *w, const void *buf, uint64_t off, size_t n, st_err *err)
{
    int r = sys_pwrite(w->fd, buf, n, off);
    if (r < 0) return st_fail_errno(err, -r, w->label, "writing");
    start_writeback(w, off, n);
    return ST_OK;
}

static st_status writer_write(st_sink *k, const void *buf, uint64_t off, size_t n, st_err *err)
{
    writer *w = (writer *)k;
    st_status s = check_range(w, off, n, err);
    if (s == ST_OK) s = put(w, buf, off, n, err);
    if (s != ST_OK) w->failed = true;
    return s;
}

static void *take_buffer(writer *w)
{
    for (int i = 0; i < SPARES; i++) {
        void *b = atomic_exchange(&w->spare[i], NULL);
        if (b) return b;
    }
    return st_malloc(CHUNK);
}

static void give_buffer(writer *w, void *b)
{
    for (int i = 0; i < SPARES; i++) {
        void *none = NULL;
        if (atomic_compare_exchange_strong(&w->spare[i], &none, b)) return;
    }
    st_free(b);
}

static st_status copy_by_hand(writer *w, st_source *src, uint64_t soff, uint64_t doff, uint64_t n, st_err *err)
{
    void *buf = take_buffer(w);
    if (!buf) return st_fail_nomem(err, CHUNK);
    st_status s = ST_OK;
    while (s == ST_OK && n > 0) {
        size_t part = n < CHUNK ? (size_t)n : CHUNK;
        s = src->ops->read(src, buf, soff, part, err);
        if (s == ST_OK) s = put(w, buf, doff, part, err);
        soff += part;
        doff += part;
        n -= part;
    }
    give_buffer(w, buf);
    return s;
}

/* Copies in the kernel as far as that goes. Whatever stops it, an end of file included, comes to light with its message
 * in the read or write that follows. */
static uint64_t copy_in_kernel(const writer *w, st_source *src, uint64_t soff, uint64_t doff, uint64_t n)
{
    int in = w->shares ? st_source_fd(src) : -1;
    if (in < 0) return 0;
    int64_t r = sys_copy_range(in, soff, w->fd, doff, (size_t)n);
    if (r > 0) start_writeback(w, doff, (uint64_t)r);
    return r > 0 ? (uint64_t)r : 0;
}

static st_status writer_copy(st_sink *k, st_source *src, uint64_t soff, uint64_t doff, uint64_t n, st_err *err)
{
    writer *w = (writer *)k;
    st_status s = check_range(w, doff, n, err);
    if (s == ST_OK) {
        uint64_t did = copy_in_kernel(w, src, soff, doff, n);
        if (did < n) s = copy_by_hand(w, src, soff + did, doff + did, n - did, err);
    }
    if (s != ST_OK) w->failed = true;
    return s;
}

/* ---------------------------------------------------------------- sync and commit */

static st_status writer_end(st_sink *k, uint64_t size, st_err *err)
{
    writer *w = (writer *)k;
    ST_TRY(check_range(w, 0, size, err));
    int r = sys_truncate(w->fd, size);
    if (r < 0) w->failed = true;
    if (r == 0) k->size = size;
    return r < 0 ? st_fail_errno(err, -r, w->label, "setting the length of the file") : ST_OK;
}

static st_status writer_flush(st_sink *k, st_err *err)
{
    writer *w = (writer *)k;
    if (w->failed) return st_fail(err, ST_INTERNAL, w->label, NULL, "flush after a failed write");
    if (w->opts.no_sync) return ST_OK;
    int r = sys_datasync(w->fd);
    if (r < 0) w->failed = true;
    return r < 0 ? st_fail_errno(err, -r, w->label, "writing to the disk (fdatasync)") : ST_OK;
}

/* Once: after a failure the kernel may have dropped the bytes and a second fsync would claim success. */
static st_status writer_sync(st_sink *k, st_err *err)
{
    writer *w = (writer *)k;
    if (w->opts.no_sync || w->synced) return ST_OK;
    if (w->failed) return st_fail(err, ST_INTERNAL, w->label, NULL, "sync after a failed write");
    int r = sys_fsync(w->fd);
    w->synced = r == 0;
    w->failed = r < 0;
    return r < 0 ? st_fail_errno(err, -r, w->label, "writing to the disk (fsync)") : ST_OK;
}

/* Gives the bytes their name. */
static int publish(writer *w)
{
    const char *path = w->target.path;
    if (w->opts.in_place) return w->named = false, 0;
    if (!w->named && w->opts.no_replace) return sys_link_fd(w->fd, path); /* a link never replaces */
    int r = w->named ? 0 : sys_link_fd(w->fd, w->temp);
    if (r < 0) return r;
    w->named = true;
    r = w->opts.no_replace ? sys_rename_noreplace(w->temp, path) : sys_rename(w->temp, path);
    if (r == 0) w->named = false;
    if (w->opts.no_replace && (r == -EINVAL || r == -ENOSYS))
        r = sys_link(w->temp, path); /* free removes the other name */
    return r;
}

/* Opened before the rename, after which nothing may fail any more but the disk; -1: none is wanted or allowed. */
static st_status open_folder(const writer *w, int *fd, st_err *err)
{
    *fd = -1;
    if (w->opts.no_sync || w->opts.no_folder_sync) return ST_OK;
    int r = sys_open(w->target.dir, O_RDONLY | O_DIRECTORY, 0);
    if (r < 0 && r != -EACCES) return st_fail_errno(err, -r, w->label, "opening its folder");
    *fd = r < 0 ? -1 : r;
    return ST_OK;
}

static st_status writer_commit(st_sink *k, st_err *err)
{
    writer *w = (writer *)k;
    int folder;
    ST_TRY(writer_sync(k, err));
    if (w->failed || w->done) return st_fail(err, ST_INTERNAL, w->label, NULL, "commit after a failure, or twice");
    int r = sys_flush(w->fd); /* network disks tell at close */
    if (r < 0) return st_fail_errno(err, -r, w->label, "writing to the disk (close)");
    ST_TRY(open_folder(w, &folder, err));
    r = publish(w);
    w->done = r == 0;
    w->failed = r < 0;
    int synced = w->done && folder >= 0 ? st_sync_folder(folder) : 0;
    if (folder >= 0) sys_close(folder);
    if (r == -EEXIST)
        return st_fail(err, ST_EXISTS, w->label, NULL, "the file has appeared meanwhile and is not replaced");
    if (r < 0) return st_fail_errno(err, -r, w->label, "putting the finished file in its place");
    if (synced < 0)
        return st_fail_errno(err, -synced, w->label, "the new file is in place, but syncing its folder failed");
    return ST_OK;
}

static void close_file(void *fd) { sys_close((int)(intptr_t)fd); }

/* The last close of a file without a name gives its pages back, which takes a quarter of a second per gigabyte. What is
 * kept is closed at once: its lock must go. */
static void give_up_file(const writer *w)
{
    st_ctx *ctx = w->done || w->sink.keep ? NULL : w->opts.ctx;
    if (ctx && st_ctx_cancelled(ctx))
        st_ctx_later(ctx, close_file, (void *)(intptr_t)w->fd);
    else
        sys_close(w->fd);
}

static void writer_free(st_sink *k)
{
    writer *w = (writer *)k;
    if (!w) return;
    if (w->named && (w->done || !w->sink.keep)) sys_unlink(w->temp);
    if (w->fd >= 0) give_up_file(w);
    for (int i = 0; i < SPARES; i++) st_free(w->spare[i]);
    st_target_free(&w->target);
    st_free(w->temp);
    st_free(w->label);
    st_free(w);
}

static const st_sink_ops writer_ops = {writer_write, writer_copy,   writer_end, writer_flush,
                                       writer_sync,  writer_commit, writer_free};

/* ---------------------------------------------------------------- small files */

st_status st_file_write(st_ctx *ctx, const char *path, const void *bytes, size_t n, st_err *err)
{
    st_sink *k;
    st_writer_opts o = {.ctx = ctx};
    ST_TRY(st_writer_open(path, n, &o, &k, err));
    st_status s = n > 0 ? k->ops->write(k, bytes, 0, n, err) : ST_OK;
    if (s == ST_OK) s = k->ops->commit(k, err);
    k->ops->free(k);
    return s;
}
