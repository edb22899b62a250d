/* folder.c - the save protocol for a folder of shards: built as a hidden sibling, exchanged with the target in one
 * step. Layer: io. Touches the target, its siblings, and nothing in a folder it replaces but by removing it afterwards.
 */
#include "writer.h"
#include "mem.h"
#include "sys.h"
#include "target.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

enum { CHUNK = 256 << 10, TRIES = 100, LINK_TEXT = 4096 };

struct st_folder {
    st_target target;
    st_writer_opts opts;
    char *label, *temp, *aside; /* aside: where the old folder waits when the system cannot exchange two names */
    int fd;                     /* holds the lock on temp */
    bool done, keep;
    bool found;   /* an earlier save has left it */
    char **names; /* files that were opened in it */
    size_t count, cap;
};

static bool ends_with(const char *s, const char *end)
{
    size_t n = strlen(s), m = strlen(end);
    return n >= m && strcmp(s + n - m, end) == 0;
}

/* The files that a sharded save writes and so replaces as a whole. */
static bool is_model_part(const char *name)
{
    return ends_with(name, ".safetensors") || ends_with(name, ".safetensors.zst") ||
           ends_with(name, ".safetensors.index.json");
}

static char *join(const char *dir, const char *name)
{
    size_t n = strlen(dir) + strlen(name) + 2;
    char *path = st_malloc(n);
    if (path) snprintf(path, n, "%s/%s", dir, name);
    return path;
}

/* ---------------------------------------------------------------- open */

static int find_part(void *user, const char *name)
{
    if (!is_model_part(name)) return 0;
    st_escape(user, 256, name, strlen(name));
    return 1;
}

static st_status check_existing(const st_folder *d, bool force, st_err *err)
{
    const st_target *t = &d->target;
    char part[256] = "";
    struct stat parent;
    if (!S_ISDIR(t->st.st_mode))
        return st_fail(err, ST_IO, d->label, NULL, "this is no folder: shards are saved to a folder");
    if (d->opts.no_replace)
        return st_fail(err, ST_EXISTS, d->label, NULL, "the folder exists already and is not to be replaced");
    int r = sys_stat(t->dir, &parent);
    if (r < 0) return st_fail_errno(err, -r, d->label, "looking at the folder around it");
    if (parent.st_dev != t->st.st_dev)
        return st_fail(err, ST_IO, d->label, NULL,
                       "this is a mount point, which cannot be replaced: name a folder in it");
    r = force ? 0 : sys_listdir(t->path, find_part, part);
    if (r < 0) return st_fail_errno(err, -r, d->label, "listing the folder");
    if (r > 0)
        return st_fail(err, ST_EXISTS, d->label, NULL, "the folder holds a model already (%s): use force to replace it",
                       part);
    return ST_OK;
}

/* The new folder under its hidden name. It is ours alone until its mode is set, just before it appears. */
static st_status make_temp(st_folder *d, st_err *err)
{
    int r = -EEXIST;
    for (int i = 0; i < TRIES && r == -EEXIST; i++) {
        st_free(d->temp);
        d->temp = st_target_sibling(&d->target, ST_TEMP_SUFFIX);
        if (!d->temp) return st_fail_nomem(err, strlen(d->target.path) + 1);
        r = sys_mkdir(d->temp, 0700);
        if (r < 0) continue;
        d->fd = r = sys_open(d->temp, O_RDONLY | O_DIRECTORY, 0);
        if (r >= 0 && st_target_hold(r, d->temp)) return ST_OK;
        if (r >= 0) {
            sys_close(r);
            d->fd = r = -EEXIST;
        }
        sys_rmdir(d->temp);
    }
    st_free(d->temp);
    d->temp = NULL;
    return st_fail_errno(err, -r, d->label, "creating a temporary folder beside it");
}

/* The same under a name that a later save finds again. */
static st_status make_partial(st_folder *d, st_err *err)
{
    struct stat st;
    int r = -EEXIST;
    d->temp = st_target_numbered(&d->target, d->opts.partial, ST_PARTIAL_SUFFIX);
    if (!d->temp) return st_fail_nomem(err, strlen(d->target.path) + 1);
    for (int i = 0; i < TRIES && r == -EEXIST; i++) {
        r = st_target_adopt(d->temp, S_IFDIR, &st);
        if (r >= 0) d->found = d->keep = true;
        if (r != -ENOENT || d->opts.found) continue;
        r = sys_mkdir(d->temp, 0700);
        if (r == 0) r = st_target_adopt(d->temp, S_IFDIR, &st);
        if (r == -ENOENT) r = -EEXIST; /* a sweep took it */
    }
    if (r >= 0) return d->fd = r, ST_OK;
    st_free(d->temp); /* not ours to remove */
    d->temp = NULL;
    return st_target_fail_adopt(r, d->label, err);
}

static st_status open_folder(st_folder *d, const char *path, bool force, st_err *err)
{
    st_target *t = &d->target;
    d->label = st_strndup(path, strlen(path));
    if (!d->label) return st_fail_nomem(err, strlen(path) + 1);
    ST_TRY(st_target_find(path, t, err));
    if (*t->base == '\0' || strcmp(t->base, ".") == 0 || strcmp(t->base, "..") == 0)
        return st_fail(err, ST_ARG, path, NULL, "a folder that is replaced needs a name: give one");
    st_target_restore(t);
    if (t->exists) ST_TRY(check_existing(d, force, err));
    st_target_sweep(t, d->opts.partial);
    d->aside = st_target_sibling(t, ST_OLD_SUFFIX);
    if (!d->aside) return st_fail_nomem(err, strlen(t->path) + 1);
    return d->opts.partial ? make_partial(d, err) : make_temp(d, err);
}

st_status st_folder_open(const char *path, bool force, const st_writer_opts *o, st_folder **out, st_err *err)
{
    *out = NULL;
    st_folder *d = st_calloc(1, sizeof *d);
    if (!d) return st_fail_nomem(err, sizeof *d);
    d->fd = -1;
    if (o) d->opts = *o;
    st_status s = open_folder(d, path, force, err);
    if (s != ST_OK) {
        st_folder_free(d);
        return s;
    }
    *out = d;
    return ST_OK;
}

/* How files inside the hidden folder are written: under new names, the folder synced once at the end. */
static st_writer_opts inside(const st_folder *d)
{
    return (st_writer_opts){.no_sync = d->opts.no_sync, .no_replace = true, .no_folder_sync = true, .ctx = d->opts.ctx};
}

static bool is_written(const st_folder *d, const char *name)
{
    for (size_t i = 0; i < d->count; i++)
        if (strcmp(d->names[i], name) == 0) return true;
    return false;
}

static st_status open_file(st_folder *d, const char *name, uint64_t size, bool open_ended, st_sink **out, st_err *err)
{
    *out = NULL;
    if (*name == '\0' || *name == '.' || strchr(name, '/'))
        return st_fail(err, ST_ARG, d->label, NULL, "\"%s\" is no plain file name", name);
    if (is_written(d, name)) return st_fail(err, ST_EXISTS, d->label, NULL, "%s is written already", name);
    if (!st_grow((void **)&d->names, &d->cap, d->count + 1, sizeof *d->names))
        return st_fail_nomem(err, sizeof *d->names);
    char *copy = st_strndup(name, strlen(name)), *path = join(d->temp, name);
    st_status s = ST_OK;
    if (!copy || !path)
        s = st_fail_nomem(err, strlen(d->temp) + strlen(name) + 2);
    else {
        st_writer_opts o = inside(d);
        o.partial = d->opts.partial;
        o.in_place = o.partial != 0;
        o.no_replace = !o.in_place;
        o.open_ended = open_ended;
        s = st_writer_open(path, size, &o, out, err);
    }
    st_free(path);
    if (s == ST_OK)
        d->names[d->count++] = copy;
    else
        st_free(copy);
    return s;
}

st_status st_folder_file(st_folder *d, const char *name, uint64_t size, st_sink **out, st_err *err)
{
    return open_file(d, name, size, false, out, err);
}

st_status st_folder_open_ended(st_folder *d, const char *name, uint64_t most, st_sink **out, st_err *err)
{
    return open_file(d, name, most, true, out, err);
}

/* ---------------------------------------------------------------- what is carried over */

typedef struct carry {
    const st_folder *d;
    const char *from, *to;
    bool top;
    st_err *err;
    st_status status;
} carry;

static st_status carry_folder(const st_folder *d, const char *from, const char *to, bool top, st_err *err);

static st_status copy_bytes(st_sink *k, int fd, const char *from, void *buf, st_err *err)
{
    for (uint64_t off = 0; off < k->size;) {
        int64_t n = sys_pread(fd, buf, k->size - off < CHUNK ? (size_t)(k->size - off) : CHUNK, off);
        if (n < 0) return st_fail_errno(err, (int)-n, from, "carrying it over");
        if (n == 0) return st_fail(err, ST_CHANGED, from, NULL, "the file became shorter while it was carried over");
        ST_TRY(k->ops->write(k, buf, off, (size_t)n, err));
        off += (uint64_t)n;
    }
    return k->ops->commit(k, err);
}

/* A file that cannot be linked: another owner's, or a file system without links. */
static st_status copy_file(const st_folder *d, const char *from, const char *to, const struct stat *st, st_err *err)
{
    st_writer_opts o = inside(d);
    o.mode = st->st_mode & 0777;
    void *buf = st_malloc(CHUNK);
    if (!buf) return st_fail_nomem(err, CHUNK);
    st_sink *k;
    int fd = sys_open(from, O_RDONLY | O_NOFOLLOW, 0);
    st_status s = fd < 0 ? st_fail_errno(err, -fd, from, "carrying it over") : ST_OK;
    if (s == ST_OK && (s = st_writer_open(to, (uint64_t)st->st_size, &o, &k, err)) == ST_OK) {
        s = copy_bytes(k, fd, from, buf, err);
        k->ops->free(k);
    }
    if (fd >= 0) sys_close(fd);
    st_free(buf);
    return s;
}

static st_status copy_symlink(const char *from, const char *to, st_err *err)
{
    char text[LINK_TEXT];
    int r = sys_readlink(from, text, sizeof text);
    if (r >= 0) r = sys_symlink(text, to);
    return r < 0 ? st_fail_errno(err, -r, from, "carrying a symlink over") : ST_OK;
}

static st_status carry_path(const st_folder *d, const char *from, const char *to, st_err *err)
{
    struct stat st;
    int r = sys_lstat(from, &st);
    if (r < 0) return st_fail_errno(err, -r, from, "carrying it over");
    if (S_ISDIR(st.st_mode)) {
        r = sys_mkdir(to, 0700);
        return r < 0 ? st_fail_errno(err, -r, to, "creating a subfolder") : carry_folder(d, from, to, false, err);
    }
    r = sys_link(from, to);
    if (r == 0) return ST_OK;
    if (S_ISLNK(st.st_mode)) return copy_symlink(from, to, err);
    if (S_ISREG(st.st_mode)) return copy_file(d, from, to, &st, err);
    return st_fail_errno(err, -r, from, "carrying it over");
}

static int carry_entry(void *user, const char *name)
{
    carry *c = user;
    if (c->top && (is_model_part(name) || is_written(c->d, name))) return 0;
    char *from = join(c->from, name), *to = join(c->to, name);
    c->status =
        from && to ? carry_path(c->d, from, to, c->err) : st_fail_nomem(c->err, strlen(c->to) + strlen(name) + 2);
    st_free(from);
    st_free(to);
    return c->status != ST_OK;
}

/* Owner (best effort), mode and sync of a folder whose entries are complete. */
static int finish_folder(const st_folder *d, int fd, const struct stat *old)
{
    struct stat st;
    int r = sys_fstat(fd, &st);
    if (r < 0) return r;
    if (st.st_uid != old->st_uid) sys_chown_fd(fd, old->st_uid, (gid_t)-1);
    if (st.st_gid != old->st_gid) sys_chown_fd(fd, (uid_t)-1, old->st_gid);
    r = sys_chmod_fd(fd, old->st_mode & 07777);
    return r == 0 && !d->opts.no_sync ? st_sync_folder(fd) : r;
}

static st_status carry_folder(const st_folder *d, const char *from, const char *to, bool top, st_err *err)
{
    carry c = {d, from, to, top, err, ST_OK};
    struct stat st;
    int r = sys_listdir(from, carry_entry, &c);
    if (c.status != ST_OK) return c.status;
    if (r < 0) return st_fail_errno(err, -r, from, "listing the folder");
    r = sys_stat(from, &st);
    int fd = r < 0 ? r : sys_open(to, O_RDONLY | O_DIRECTORY, 0);
    if (fd < 0) return st_fail_errno(err, -fd, from, "carrying the folder over");
    r = finish_folder(d, fd, &st);
    sys_close(fd);
    return r < 0 ? st_fail_errno(err, -r, to, "finishing the folder") : ST_OK;
}

/* ---------------------------------------------------------------- commit */

static st_status check_committed(const st_folder *d, st_err *err)
{
    for (size_t i = 0; i < d->count; i++) {
        struct stat st;
        char *path = join(d->temp, d->names[i]);
        if (!path) return st_fail_nomem(err, strlen(d->temp) + strlen(d->names[i]) + 2);
        int r = sys_lstat(path, &st);
        st_free(path);
        if (r < 0) return st_fail(err, ST_INTERNAL, d->label, NULL, "%s was not committed", d->names[i]);
    }
    return ST_OK;
}

/* What an earlier save carried over, or left half-way, is not trusted: only what this one wrote stays. */
static int strip_entry(void *user, const char *name)
{
    const st_folder *d = user;
    if (is_written(d, name)) return 0;
    char *path = join(d->temp, name);
    int r = path ? st_remove_tree(path) : -ENOMEM;
    st_free(path);
    return r;
}

/* Everything the new folder holds besides the shards, its mode, its own sync. */
static st_status complete(st_folder *d, st_err *err)
{
    const st_target *t = &d->target;
    int left = d->found ? sys_listdir(d->temp, strip_entry, d) : 0;
    if (left < 0) return st_fail_errno(err, -left, d->label, "removing what an earlier save left in it");
    if (t->exists) return carry_folder(d, t->path, d->temp, true, err);
    int r = sys_chmod_fd(d->fd, 0777 & ~sys_umask());
    if (r == 0 && !d->opts.no_sync) r = st_sync_folder(d->fd);
    return r < 0 ? st_fail_errno(err, -r, d->label, "finishing the folder") : ST_OK;
}

/* Two renames where one exchange is not to be had. A kill between them leaves the old folder whole under its `aside`
 * name, from which the next save takes it back. */
static int replace_in_two(st_folder *d)
{
    int r = sys_rename(d->target.path, d->aside);
    if (r < 0) return r;
    r = sys_rename(d->temp, d->target.path);
    if (r < 0) sys_rename(d->aside, d->target.path);
    return r;
}

/* From here on it is a temporary like any other: after the exchange this name is the old folder's, which must never be
 * taken for what a save has left. Under it, it goes back if that fails. */
static st_status leave_partial(st_folder *d, char **partial, st_err *err)
{
    *partial = NULL;
    if (!d->opts.partial) return ST_OK;
    char *temp = st_target_sibling(&d->target, ST_TEMP_SUFFIX);
    if (!temp) return st_fail_nomem(err, strlen(d->target.path) + 1);
    int r = sys_rename(d->temp, temp);
    if (r < 0) {
        st_free(temp);
        return st_fail_errno(err, -r, d->label, "renaming the finished folder");
    }
    *partial = d->temp;
    d->temp = temp;
    return ST_OK;
}

static void back_to_partial(st_folder *d, char *partial)
{
    if (!partial) return;
    if (d->done || sys_rename(d->temp, partial) < 0) {
        st_free(partial);
        d->keep = false;
    } else {
        st_free(d->temp);
        d->temp = partial;
    }
}

/* Puts the new folder in place; *old is where the old one is now. */
static int swap(st_folder *d, const char **old)
{
    const st_target *t = &d->target;
    int r;
    *old = NULL;
    if (!t->exists) {
        r = sys_rename_noreplace(d->temp, t->path);
        /* A plain rename replaces an empty folder at most. */
        return r == -EINVAL || r == -ENOSYS ? sys_rename(d->temp, t->path) : r;
    }
    *old = d->temp;
    r = sys_rename_exchange(d->temp, t->path);
    if (r != -EINVAL && r != -ENOSYS && r != -EOPNOTSUPP) return r;
    *old = d->aside;
    return replace_in_two(d);
}

st_status st_folder_commit(st_folder *d, st_err *err)
{
    const char *old;
    int parent = -1;
    if (d->done) return st_fail(err, ST_INTERNAL, d->label, NULL, "commit twice");
    ST_TRY(check_committed(d, err));
    ST_TRY(complete(d, err));
    if (!d->opts.no_sync) { /* opened before the exchange, after which nothing may fail any more but the disk */
        parent = sys_open(d->target.dir, O_RDONLY | O_DIRECTORY, 0);
        if (parent < 0 && parent != -EACCES)
            return st_fail_errno(err, -parent, d->label, "opening the folder around it");
    }
    char *partial;
    st_status s = leave_partial(d, &partial, err);
    if (s != ST_OK) {
        if (parent >= 0) sys_close(parent);
        return s;
    }
    int r = swap(d, &old);
    d->done = r == 0;
    back_to_partial(d, partial);
    int synced = d->done && parent >= 0 ? st_sync_folder(parent) : 0;
    if (parent >= 0) sys_close(parent);
    if (r == -EEXIST || r == -ENOTEMPTY)
        return st_fail(err, ST_EXISTS, d->label, NULL, "the folder has appeared meanwhile and is not replaced");
    if (r < 0) return st_fail_errno(err, -r, d->label, "putting the finished folder in its place");
    if (synced < 0) /* the old one stays, hidden, until the next save: the disk may still hold the names as they were */
        return st_fail_errno(err, -synced, d->label,
                             "the new folder is in place, but syncing the one around it failed");
    if (old) st_remove_tree(old); /* what cannot be removed now, the next save tries again */
    return ST_OK;
}

void st_folder_keep(st_folder *d, bool keep) { d->keep = keep; }

typedef struct there {
    const st_folder *d;
    uint64_t bytes;
} there;

static int add_there(void *user, const char *name)
{
    there *t = user;
    struct stat st;
    char *path = join(t->d->temp, name);
    if (path && sys_lstat(path, &st) == 0 && S_ISREG(st.st_mode)) t->bytes += (uint64_t)st.st_blocks * 512;
    st_free(path);
    return 0;
}

uint64_t st_folder_there(const st_folder *d)
{
    there t = {.d = d};
    if (d->found) sys_listdir(d->temp, add_there, &t);
    return t.bytes;
}

void st_folder_free(st_folder *d)
{
    if (!d) return;
    if (d->temp && !d->done && !d->keep) st_remove_tree(d->temp);
    if (d->fd >= 0) sys_close(d->fd);
    for (size_t i = 0; i < d->count; i++) st_free(d->names[i]);
    st_free(d->names);
    st_target_free(&d->target);
    st_free(d->aside);
    st_free(d->temp);
    st_free(d->label);
    st_free(d);
}
