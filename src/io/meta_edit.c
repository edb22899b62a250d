/* meta_edit.c - metadata changed in the file itself, where the new header fits into the place of the old one. Layer:
 * io. Touches that file only.
 *
 *   N | header | data                                    before
 *   N | header | data | mark | header | mark             1. the old header is appended, and synced
 *   N | HEADER | data | mark | header | mark             2. the new one is written, and synced
 *   N | HEADER | data                                    3. the end is cut off
 *
 * A file that is longer than its header says is refused by readers: from 1 to 3 nobody takes a half for a whole. The
 * way back needs nothing but the file. */
#include "meta_edit.h"
#include "digest.h"
#include "header.h"
#include "mem.h"
#include "sys.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

typedef struct mark {
    char magic[16];
    uint64_t header, size; /* bytes of the header's text, and of the file without what was appended */
    uint64_t sum;          /* of the text and these two */
} mark;
_Static_assert(sizeof(mark) == 40, "marks have no holes");

static const char BEGIN[16] = "stlua undo 1: (\n", END[16] = "stlua undo 1: )\n";

static mark make_mark(const char magic[16], const char *text, uint64_t header, uint64_t size)
{
    mark m = {.header = header, .size = size};
    memcpy(m.magic, magic, sizeof m.magic);
    m.sum = XXH64(text, header, header ^ size);
    return m;
}

static bool is_mark(const mark *m, const char magic[16], uint64_t header, uint64_t size)
{
    return memcmp(m->magic, magic, sizeof m->magic) == 0 && m->header == header && m->size == size;
}

/* ---------------------------------------------------------------- what an interrupted edit left */

typedef enum state { NOTHING, TORN, WHOLE } state;

static bool read_all(int fd, void *buf, uint64_t off, size_t n) { return sys_pread(fd, buf, n, off) == (int64_t)n; }

/* The end as step 1 writes it, all of it: *text is the old header. */
static bool is_whole(int fd, uint64_t size, uint64_t header, char **text)
{
    mark begin, end;
    uint64_t more = header + 2 * sizeof(mark);
    if (size < 8 + header + more || !read_all(fd, &end, size - sizeof end, sizeof end)) return false;
    if (!is_mark(&end, END, header, size - more) || !read_all(fd, &begin, end.size, sizeof begin)) return false;
    if (!is_mark(&begin, BEGIN, header, end.size) || begin.sum != end.sum) return false;
    *text = st_malloc(header + 1);
    if (*text && read_all(fd, *text, end.size + sizeof begin, header)) {
        mark want = make_mark(BEGIN, *text, header, end.size);
        if (want.sum == begin.sum) return true;
    }
    st_free(*text);
    *text = NULL;
    return false;
}

/* The beginning of such an end: the header has not been touched yet. *original is the size before. */
static bool is_torn(int fd, uint64_t size, uint64_t header, uint64_t *original)
{
    uint64_t most = header + 2 * sizeof(mark), from = size - (8 + header) < most ? 8 + header : size - most;
    size_t n = (size_t)(size - from);
    char *tail = st_malloc(n + 1);
    bool found = false;
    if (tail && read_all(fd, tail, from, n))
        for (size_t i = 0; !found && i < n; i++) {
            mark m = {0};
            const char *at = memchr(tail + i, BEGIN[0], n - i);
            if (!at || n - (size_t)(at - tail) < offsetof(mark, sum)) break;
            i = (size_t)(at - tail);
            memcpy(&m, at, n - i < sizeof m ? n - i : sizeof m);
            found = is_mark(&m, BEGIN, header, from + i);
            *original = from + i;
        }
    st_free(tail);
    return found;
}

static state look(int fd, uint64_t size, uint64_t *header, uint64_t *original, char **text)
{
    unsigned char head[8];
    *text = NULL;
    *header = 0;
    if (size < 8 || !read_all(fd, head, 0, 8)) return NOTHING;
    for (int i = 7; i >= 0; i--) *header = *header << 8 | head[i];
    if (*header == 0 || *header > ST_HEADER_MAX || *header > size - 8) return NOTHING;
    if (is_whole(fd, size, *header, text)) {
        *original = size - *header - 2 * sizeof(mark);
        return WHOLE;
    }
    return is_torn(fd, size, *header, original) ? TORN : NOTHING;
}

bool st_meta_interrupted(st_source *src)
{
    uint64_t header, original;
    char *text;
    int fd = st_source_fd(src);
    if (fd < 0) return false;
    state s = look(fd, src->size, &header, &original, &text);
    st_free(text);
    return s != NOTHING;
}

st_status st_meta_fail_interrupted(const char *label, st_err *err)
{
    return st_fail(
        err, ST_FORMAT, label, NULL,
        "an edit of its metadata was interrupted: `stlua meta` with its name brings back what it was before");
}

/* ---------------------------------------------------------------- the file */

static st_status fail_io(st_err *err, int r, const char *path, const char *doing)
{
    return st_fail_errno(err, -r, path, doing);
}

static st_status open_locked(const char *path, int *fd, struct stat *st, st_err *err)
{
    int r = sys_open(path, O_RDWR | O_NONBLOCK | O_NOCTTY, 0);
    if (r < 0) return fail_io(err, r, path, "opening it for writing");
    *fd = r;
    r = sys_fstat(*fd, st);
    if (r < 0) return fail_io(err, r, path, "looking at the open file");
    if (!S_ISREG(st->st_mode)) return st_fail(err, ST_IO, path, NULL, "this is not a regular file");
    if (sys_lock(*fd) == -EWOULDBLOCK)
        return st_fail(err, ST_IO, path, NULL, "another process is writing it just now: wait for its end, or stop it");
    return ST_OK;
}

typedef struct others {
    const struct stat *st;
    int own;
} others;

static int same_file(void *user, const char *name)
{
    const others *o = user;
    char path[64];
    struct stat st;
    if (strlen(name) > 20 || atoi(name) == o->own) return 0;
    snprintf(path, sizeof path, "/proc/self/fd/%s", name);
    return sys_stat(path, &st) == 0 && st.st_dev == o->st->st_dev && st.st_ino == o->st->st_ino;
}

static st_status check_alone(const char *path, int fd, const struct stat *st, st_err *err)
{
    if (st->st_nlink > 1)
        return st_fail(err, ST_ARG, path, NULL,
                       "the file has %lu names (hard links), and all would change: write a file of its own instead",
                       (unsigned long)st->st_nlink);
    others o = {st, fd};
    if (sys_listdir("/proc/self/fd", same_file, &o) == 1)
        return st_fail(err, ST_ARG, path, NULL,
                       "the file is open as an input of this program: close the model first, or write a new file");
    return ST_OK;
}

/* ---------------------------------------------------------------- the new header */

static st_status read_old(const char *path, int fd, const struct stat *st, const char *sha256, char **old, size_t *n,
                          st_err *err)
{
    char head[8], hex[65];
    if (st->st_size < 8 || !read_all(fd, head, 0, 8)) return st_fail(err, ST_CHANGED, path, NULL, "it was cut off");
    ST_TRY(st_header_length(path, head, 8, (uint64_t)st->st_size, n, err));
    *old = st_malloc(8 + *n);
    if (!*old) return st_fail_nomem(err, 8 + *n);
    if (!read_all(fd, *old, 0, 8 + *n))
        return st_fail(err, ST_CHANGED, path, NULL, "its header could not be read again");
    ST_TRY(st_sha256_hex(*old, 8 + *n, hex, err));
    if (strcmp(hex, sha256) != 0)
        return st_fail(err, ST_CHANGED, path, NULL, "its header changed while the edit was made; run it again");
    return ST_OK;
}

/* The header with other metadata, its text filled with blanks up to `n` bytes; *text begins with the length. */
static st_status make_new(const char *path, const char *old, size_t n, uint64_t size, const st_meta_change *c,
                          char **text, st_err *err)
{
    st_header *h = NULL;
    size_t len;
    char *canonical = NULL;
    ST_TRY(st_header_parse(path, old, 8 + n, size, &h, err));
    st_status s = st_header_rewrite(h, c, 0, path, &canonical, &len, err);
    st_header_free(h);
    if (s != ST_OK) return s;
    while (canonical[len - 1] == ' ') len--;
    if (len > 8 + n) {
        st_free(canonical);
        return st_fail(err, ST_SPACE, path, NULL,
                       "the header has room for %zu bytes and needs %zu: it must be written anew, not in place", n,
                       len - 8);
    }
    *text = st_malloc(8 + n);
    if (*text) {
        memset(*text, ' ', 8 + n);
        memcpy(*text, old, 8);
        memcpy(*text + 8, canonical + 8, len - 8);
    }
    st_free(canonical);
    return *text ? ST_OK : st_fail_nomem(err, 8 + n);
}

/* ---------------------------------------------------------------- the three steps */

typedef struct edit {
    const char *path;
    int fd;
    uint64_t size;
    const char *old, *text; /* both with the length in front */
    size_t n;
    bool no_sync;
} edit;

static int synced(const edit *e, int r) { return r == 0 && !e->no_sync ? sys_datasync(e->fd) : r; }

static int append_old(const edit *e)
{
    size_t total = e->n + 2 * sizeof(mark);
    char *block = st_malloc(total);
    if (!block) return -ENOMEM;
    mark begin = make_mark(BEGIN, e->old + 8, e->n, e->size), end = make_mark(END, e->old + 8, e->n, e->size);
    memcpy(block, &begin, sizeof begin);
    memcpy(block + sizeof begin, e->old + 8, e->n);
    memcpy(block + sizeof begin + e->n, &end, sizeof end);
    int r = synced(e, sys_pwrite(e->fd, block, total, e->size));
    st_free(block);
    return r;
}

static int put_header(const edit *e, const char *text) { return synced(e, sys_pwrite(e->fd, text + 8, e->n, 8)); }

static int cut_end(const edit *e)
{
    int r = sys_truncate(e->fd, e->size);
    return r == 0 && !e->no_sync ? sys_fsync(e->fd) : r;
}

/* After a failure: as it was, if the system lets us. */
static st_status go_back(const edit *e, bool touched, int r, const char *doing, st_err *err)
{
    int back = touched ? put_header(e, e->old) : 0;
    if (back == 0) back = cut_end(e);
    if (back == 0) return fail_io(err, r, e->path, doing);
    return st_fail(err, ST_IO, e->path, NULL,
                   "%s failed (%s), and so did the way back: `stlua meta` with its name brings back what it was", doing,
                   strerror(-r));
}

static st_status run_edit(const edit *e, st_err *err)
{
    int r = append_old(e);
    if (r < 0) return go_back(e, false, r, "writing the old header behind the data", err);
    r = put_header(e, e->text);
    if (r < 0) return go_back(e, true, r, "writing the new header", err);
    r = cut_end(e);
    return r < 0 ? go_back(e, true, r, "cutting the old header off", err) : ST_OK;
}

static st_status edit_open(const char *path, int fd, const struct stat *st, const char *sha256, const st_meta_change *c,
                           st_err *err)
{
    char *old = NULL, *text = NULL;
    size_t n = 0;
    st_status s = check_alone(path, fd, st, err);
    if (s == ST_OK) s = read_old(path, fd, st, sha256, &old, &n, err);
    if (s == ST_OK) s = make_new(path, old, n, (uint64_t)st->st_size, c, &text, err);
    if (s == ST_OK && memcmp(old, text, 8 + n) != 0)
        s = run_edit(&(edit){path, fd, (uint64_t)st->st_size, old, text, n, c->no_sync}, err);
    st_free(old);
    st_free(text);
    return s;
}

st_status st_meta_edit(const char *path, const char *header_sha256, const st_meta_change *c, st_err *err)
{
    struct stat st;
    int fd = -1;
    st_status s = open_locked(path, &fd, &st, err);
    if (s == ST_OK) s = edit_open(path, fd, &st, header_sha256, c, err);
    if (fd >= 0) sys_close(fd);
    return s;
}

/* ---------------------------------------------------------------- the way back */

static st_status undo_open(const char *path, int fd, const struct stat *st, bool *did, st_err *err)
{
    uint64_t header, original;
    char *text, *old = NULL;
    state s = look(fd, (uint64_t)st->st_size, &header, &original, &text);
    edit e = {.path = path, .fd = fd, .size = original, .n = (size_t)header};
    int r = 0;
    if (s == WHOLE && !(old = st_malloc(8 + header))) r = -ENOMEM;
    if (old) {
        memcpy(old + 8, text, header);
        r = put_header(&e, old);
    }
    if (s != NOTHING && r == 0) r = cut_end(&e);
    *did = s != NOTHING && r == 0;
    st_free(old);
    st_free(text);
    return r < 0 ? fail_io(err, r, path, "undoing an interrupted edit of the metadata") : ST_OK;
}

st_status st_meta_undo(const char *path, bool *did, st_err *err)
{
    struct stat st;
    int fd = -1;
    *did = false;
    st_status s = open_locked(path, &fd, &st, err);
    if (s == ST_OK) s = undo_open(path, fd, &st, did, err);
    if (fd >= 0) sys_close(fd);
    return s;
}
