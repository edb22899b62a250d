/* target.c - where a save goes: symlinks, folder, temporary names, leftovers of killed saves. Layer: io. Touches names
 * in the target's folder only. */
#include "target.h"
#include "mem.h"
#include "sys.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifndef PATH_MAX
#define PATH_MAX 4096
#endif
enum {
    LINKS_MAX = 40, /* symlinks in a row, as the kernel's own limit */
    NAME_LIMIT = 255,
    RANDOM_DIGITS = 16
};

static size_t folder_len(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? (size_t)(slash - path) + 1 : 0;
}

/* What the symlink at `path` points at, as a path from here; NULL without memory. */
static char *follow(const char *path, const char *link, size_t len)
{
    size_t head = link[0] == '/' ? 0 : folder_len(path);
    char *to = st_malloc(head + len + 1);
    if (!to) return NULL;
    memcpy(to, path, head);
    memcpy(to + head, link, len + 1);
    return to;
}

/* Walks symlinks to the name that a save would create or replace. */
static st_status resolve(const char *given, st_target *t, st_err *err)
{
    char link[PATH_MAX];
    for (int hops = 0;; hops++) {
        int r = sys_lstat(t->path, &t->st);
        t->exists = r == 0;
        if (r == -ENOENT) return ST_OK;
        if (r < 0) return st_fail_errno(err, -r, given, "looking at the target");
        if (!S_ISLNK(t->st.st_mode)) return ST_OK;
        if (hops == LINKS_MAX) return st_fail_errno(err, ELOOP, given, "following symlinks");
        int n = sys_readlink(t->path, link, sizeof link);
        if (n < 0) return st_fail_errno(err, -n, given, "following a symlink");
        char *to = follow(t->path, link, (size_t)n);
        if (!to) return st_fail_nomem(err, (uint64_t)n);
        st_free(t->path);
        t->path = to;
    }
}

static st_status find(const char *given, st_target *t, st_err *err)
{
    size_t len = strlen(given);
    if (len == 0) return st_fail(err, ST_ARG, NULL, NULL, "the name of the file to write is empty");
    while (len > 1 && given[len - 1] == '/') len--;
    t->path = st_strndup(given, len);
    if (!t->path) return st_fail_nomem(err, len + 1);
    ST_TRY(resolve(given, t, err));

    size_t head = folder_len(t->path);
    t->base = t->path + head;
    t->dir = head ? st_strndup(t->path, head > 1 ? head - 1 : 1) : st_strndup(".", 1);
    if (!t->dir) return st_fail_nomem(err, head + 1);
    struct stat st;
    int r = sys_stat(t->dir, &st);
    if (r == -ENOENT) return st_fail(err, ST_IO, given, NULL, "the folder %s does not exist: create it first", t->dir);
    if (r < 0) return st_fail_errno(err, -r, given, "looking at its folder");
    if (!S_ISDIR(st.st_mode)) return st_fail(err, ST_IO, given, NULL, "%s is not a folder", t->dir);
    return ST_OK;
}

st_status st_target_find(const char *given, st_target *t, st_err *err)
{
    memset(t, 0, sizeof *t);
    st_status s = find(given, t, err);
    if (s != ST_OK) st_target_free(t);
    return s;
}

void st_target_free(st_target *t)
{
    st_free(t->path);
    st_free(t->dir);
    memset(t, 0, sizeof *t);
}

/* ---------------------------------------------------------------- temporary names */

/* Bytes of the target's own name that a sibling's name has room for; a UTF-8 sequence is not cut. */
static size_t base_room(const char *base, const char *suffix)
{
    size_t n = strlen(base), most = NAME_LIMIT - (RANDOM_DIGITS + 2) - strlen(suffix);
    if (n <= most) return n;
    for (n = most; n > 0 && (base[n] & 0xc0) == 0x80;) n--;
    return n;
}

char *st_target_numbered(const st_target *t, uint64_t number, const char *suffix)
{
    size_t cap = strlen(t->dir) + NAME_LIMIT + 2;
    char *path = st_malloc(cap);
    if (!path) return NULL;
    const char *slash = t->dir[strlen(t->dir) - 1] == '/' ? "" : "/";
    snprintf(path, cap, "%s%s.%.*s.%016llx%s", t->dir, slash, (int)base_room(t->base, suffix), t->base,
             (unsigned long long)number, suffix);
    return path;
}

char *st_target_sibling(const st_target *t, const char *suffix) { return st_target_numbered(t, sys_random(), suffix); }

/* True for a name st_target_numbered could have made for this target. */
static bool is_sibling(const st_target *t, const char *name, const char *suffix)
{
    size_t room = base_room(t->base, suffix);
    if (name[0] != '.' || strncmp(name + 1, t->base, room) != 0 || name[1 + room] != '.') return false;
    const char *digits = name + room + 2;
    return strspn(digits, "0123456789abcdef") == RANDOM_DIGITS && strcmp(digits + RANDOM_DIGITS, suffix) == 0;
}

bool st_target_hold(int fd, const char *path)
{
    struct stat mine, there;
    if (sys_lock(fd) == -EWOULDBLOCK) return false;
    /* Any other answer: no locks here, and then nobody sweeps either. */
    return sys_fstat(fd, &mine) == 0 && sys_lstat(path, &there) == 0 && mine.st_ino == there.st_ino &&
           mine.st_dev == there.st_dev;
}

/* A name that can be foretold may be anything by now: a link to elsewhere, another user's file. */
static bool is_own(const struct stat *st, mode_t type)
{
    return (st->st_mode & S_IFMT) == type && st->st_uid == sys_uid() && (type == S_IFDIR || st->st_nlink == 1);
}

int st_target_adopt(const char *path, mode_t type, struct stat *st)
{
    int r = sys_lstat(path, st);
    if (r < 0) return r;
    if (!is_own(st, type)) {
        r = st_remove_tree(path);
        return r < 0 ? r : -ENOENT;
    }
    int fd = sys_open(path, (type == S_IFDIR ? O_RDONLY | O_DIRECTORY : O_RDWR) | O_NOFOLLOW | O_NONBLOCK, 0);
    if (fd < 0) return fd;
    struct stat there;
    r = sys_lock(fd) == -EWOULDBLOCK ? -EWOULDBLOCK : sys_fstat(fd, st);
    if (r == 0) r = sys_lstat(path, &there); /* a sweep, or its owner's commit, may have come before the lock */
    if (r == 0 && (!is_own(st, type) || st->st_ino != there.st_ino || st->st_dev != there.st_dev)) r = -ENOENT;
    if (r == 0) return fd;
    sys_close(fd);
    return r;
}

st_status st_target_fail_adopt(int answer, const char *label, st_err *err)
{
    if (answer == -EWOULDBLOCK)
        return st_fail(err, ST_IO, label, NULL, "another process is writing it just now: wait for its end, or stop it");
    if (answer == -ENOENT)
        return st_fail(err, ST_CHANGED, label, NULL,
                       "what an earlier save had left was removed just now; run the same again");
    return st_fail_errno(err, -answer, label, "opening what an earlier save may have left");
}

/* ---------------------------------------------------------------- leftovers */

/* A path that grows and shrinks while walking a tree: removal must work without memory. */
typedef struct walk {
    const st_target *target;
    uint64_t spare;
    size_t len;
    char path[PATH_MAX];
} walk;

/* Appends a name; 0 or the length to go back to is in *old. */
static int walk_into(walk *w, const char *name, size_t *old)
{
    size_t n = strlen(name);
    *old = w->len;
    if (w->len + n + 2 > sizeof w->path) return -ENAMETOOLONG;
    if (w->len && w->path[w->len - 1] != '/') w->path[w->len++] = '/';
    memcpy(w->path + w->len, name, n + 1);
    w->len += n;
    return 0;
}

static void walk_back(walk *w, size_t old)
{
    w->len = old;
    w->path[old] = '\0';
}

static int remove_here(walk *w);

static int remove_entry(void *user, const char *name)
{
    walk *w = user;
    size_t old;
    int r = walk_into(w, name, &old);
    if (r == 0) r = remove_here(w);
    walk_back(w, old);
    return r;
}

static int remove_here(walk *w)
{
    struct stat st;
    int r = sys_lstat(w->path, &st);
    if (r < 0) return r == -ENOENT ? 0 : r;
    if (!S_ISDIR(st.st_mode)) return sys_unlink(w->path);
    r = sys_listdir(w->path, remove_entry, w);
    return r < 0 ? r : sys_rmdir(w->path);
}

int st_remove_tree(const char *path)
{
    walk w = {.len = 0};
    size_t old;
    int r = walk_into(&w, path, &old);
    return r < 0 ? r : remove_here(&w);
}

static bool is_left_over(const walk *w, const char *name)
{
    const st_target *t = w->target;
    if (is_sibling(t, name, ST_TEMP_SUFFIX)) return true;
    /* A folder set aside is the only copy until a new one is in place. */
    if (is_sibling(t, name, ST_OLD_SUFFIX)) return t->exists && S_ISDIR(t->st.st_mode);
    if (!is_sibling(t, name, ST_PARTIAL_SUFFIX) && !is_sibling(t, name, ST_JOURNAL_SUFFIX)) return false;
    return strtoull(strrchr(name, '.') - RANDOM_DIGITS, NULL, 16) != w->spare;
}

static int sweep_entry(void *user, const char *name)
{
    walk *w = user;
    if (!is_left_over(w, name)) return 0;
    size_t old;
    if (walk_into(w, name, &old) == 0) {
        int fd = sys_open(w->path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0);
        if (fd >= 0) {
            if (sys_lock(fd) == 0) remove_here(w);
            sys_close(fd);
        }
    }
    walk_back(w, old);
    return 0;
}

void st_target_sweep(const st_target *t, uint64_t spare)
{
    walk w = {.target = t, .spare = spare};
    size_t old;
    if (walk_into(&w, t->dir, &old) == 0) sys_listdir(t->dir, sweep_entry, &w);
}

static int restore_entry(void *user, const char *name)
{
    walk *w = user;
    if (!is_sibling(w->target, name, ST_OLD_SUFFIX)) return 0;
    size_t old;
    int r = walk_into(w, name, &old);
    if (r == 0) r = sys_rename(w->path, w->target->path);
    walk_back(w, old);
    return r == 0; /* one is enough */
}

void st_target_restore(st_target *t)
{
    walk w = {.target = t};
    size_t old;
    if (t->exists || walk_into(&w, t->dir, &old) < 0) return;
    if (sys_listdir(t->dir, restore_entry, &w) == 1) t->exists = sys_lstat(t->path, &t->st) == 0;
}

int st_sync_folder(int fd)
{
    int r = sys_fsync(fd);
    return r == -EINVAL || r == -EOPNOTSUPP || r == -ENOSYS ? 0 : r;
}
