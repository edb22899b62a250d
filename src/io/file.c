/* file.c - opening files to read: any regular file as a source, a file of tensors with its header or listing. Layer:
 * io; may touch files through core/sys.h, read only. */
#include "file.h"

#include "digest.h"
#include "formats.h"
#include "mem.h"
#include "meta_edit.h"
#include "pack.h"
#include "shape.h"
#include "sniff.h"
#include "sys.h"
#include "zsource.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <xxhash.h>

/* ---------------------------------------------------------------- a regular file as a source */

typedef struct file_source {
    st_source base;
    int fd;
    struct stat opened; /* as fstat saw it when it was opened */
    char path[];
} file_source;

static file_source *of(st_source *s) { return (file_source *)(void *)s; }

static st_status fail_short(const file_source *f, uint64_t off, size_t n, int64_t got, st_err *err)
{
    return st_fail(err, ST_CHANGED, f->path, NULL,
                   "the file was truncated while reading: bytes %llu to %llu were wanted, it now ends at %llu (it had "
                   "%llu when it was "
                   "opened)",
                   (unsigned long long)off, (unsigned long long)off + n,
                   (unsigned long long)off + (unsigned long long)got, (unsigned long long)f->base.size);
}

static st_status source_read(st_source *s, void *buf, uint64_t off, size_t n, st_err *err)
{
    const file_source *f = of(s);
    uint64_t end;
    if (!st_add_u64(off, n, &end) || end > s->size)
        return st_fail(err, ST_INTERNAL, f->path, NULL, "a read of %zu bytes at %llu leaves the file of %llu bytes", n,
                       (unsigned long long)off, (unsigned long long)s->size);
    int64_t got = sys_pread(f->fd, buf, n, off);
    if (got < 0) return st_fail_errno(err, (int)-got, f->path, "cannot read");
    return (size_t)got == n ? ST_OK : fail_short(f, off, n, got, err);
}

static void source_advise(st_source *s, uint64_t off, uint64_t n) { sys_willneed(of(s)->fd, off, n); }

static bool same_time(struct timespec a, struct timespec b) { return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec; }

/* What differs between two looks at one descriptor, or NULL. ctime sees what mtime can be made to hide. It also moves
 * when the file gains or loses a name, as when another file is renamed to its path: that changes no byte of this one.
 */
static const char *difference(const struct stat *a, const struct stat *b)
{
    if (a->st_dev != b->st_dev || a->st_ino != b->st_ino) return "it is another file now";
    if (!same_time(a->st_mtim, b->st_mtim)) return "it was written to";
    if (!same_time(a->st_ctim, b->st_ctim) && a->st_nlink == b->st_nlink)
        return "its attributes changed (mode, owner, or contents with the time put back)";
    return NULL;
}

/* What fstat told of a file when it was opened must still hold when its bytes are relied on. */
static st_status source_check(st_source *s, st_err *err)
{
    const file_source *f = of(s);
    struct stat now;
    int e = sys_fstat(f->fd, &now);
    if (e < 0) return st_fail_errno(err, -e, f->path, "cannot look at the open file");
    if (now.st_size != f->opened.st_size)
        return st_fail(err, ST_CHANGED, f->path, NULL,
                       "the file changed while it was in use: it had %lld bytes, now %lld",
                       (long long)f->opened.st_size, (long long)now.st_size);
    const char *what = difference(&f->opened, &now);
    if (!what) return ST_OK;
    return st_fail(err, ST_CHANGED, f->path, NULL,
                   "the file changed while it was in use: %s; run again when nothing writes to it", what);
}

static int source_fd(st_source *s) { return of(s)->fd; }

/* ctime, too: it sees what mtime can be made to hide, and to begin anew for nothing costs only time. */
static bool source_identity(st_source *s, uint64_t id[2])
{
    const struct stat *st = &of(s)->opened;
    const uint64_t what[] = {(uint64_t)st->st_dev,         (uint64_t)st->st_ino,          (uint64_t)st->st_size,
                             (uint64_t)st->st_mtim.tv_sec, (uint64_t)st->st_mtim.tv_nsec, (uint64_t)st->st_ctim.tv_sec,
                             (uint64_t)st->st_ctim.tv_nsec};
    XXH128_hash_t h = XXH3_128bits(what, sizeof what);
    id[0] = h.low64;
    id[1] = h.high64;
    return true;
}

static void source_close(st_source *s)
{
    sys_close(of(s)->fd); /* opened for reading: nothing can be lost */
    st_free(s);
}

static const st_source_ops file_ops = {.read = source_read,
                                       .advise = source_advise,
                                       .check = source_check,
                                       .fd = source_fd,
                                       .identity = source_identity,
                                       .close = source_close};

/* Regular files only: anything else could block, have effects, or never end. */
static st_status check_regular(const char *path, const struct stat *st, st_err *err)
{
    if (S_ISREG(st->st_mode)) return ST_OK;
    const char *what = S_ISDIR(st->st_mode)    ? "a folder, not a file: name a file in it"
                       : S_ISFIFO(st->st_mode) ? "a pipe: save its contents to a file first"
                       : S_ISSOCK(st->st_mode) ? "a socket, not a file"
                                               : "a device, not a file";
    return st_fail(err, ST_IO, path, NULL, "it is %s", what);
}

/* Looks before opening, since to open a device may have effects, and again at what was opened. O_NONBLOCK: if a FIFO
 * takes the file's place between the two looks, opening must not hang. */
static st_status open_regular(const char *path, int *fd, struct stat *st, st_err *err)
{
    int e = sys_stat(path, st);
    if (e < 0) return st_fail_errno(err, -e, path, "cannot open");
    ST_TRY(check_regular(path, st, err));
    *fd = sys_open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0);
    if (*fd < 0) return st_fail_errno(err, -*fd, path, "cannot open");
    e = sys_fstat(*fd, st);
    st_status s = e < 0 ? st_fail_errno(err, -e, path, "cannot look at the open file") : check_regular(path, st, err);
    if (s != ST_OK) sys_close(*fd);
    return s;
}

st_status st_source_open(const char *path, st_source **out, st_err *err)
{
    *out = NULL;
    size_t len = strlen(path);
    file_source *f = st_calloc(1, sizeof *f + len + 1);
    if (!f) return st_fail_nomem(err, sizeof *f + len + 1);
    memcpy(f->path, path, len + 1);
    st_status s = open_regular(path, &f->fd, &f->opened, err);
    if (s != ST_OK) {
        st_free(f);
        return s;
    }
    f->base.ops = &file_ops;
    f->base.refs = 1;
    f->base.size = (uint64_t)f->opened.st_size;
    f->base.label = f->path;
    *out = &f->base;
    return ST_OK;
}

/* ---------------------------------------------------------------- a file of tensors */

struct st_file {
    _Atomic unsigned refs;
    bool zstd; /* the file is compressed as a whole */
    st_source *src;
    st_header *h;  /* of safetensors */
    st_listing *l; /* of every other format */
    /* Of a packed file, whose original `src` and `h` are. */
    st_header *packed;
    uint64_t stored;
    bool seeks;
    char *base_name;
    st_file *base;
};

static st_status check_header(const st_source *src, size_t len, st_err *err)
{
    uint64_t stored = st_zsource_stored(src);
    if (st_zsource_header_fits(len, stored)) return ST_OK;
    return st_fail(err, ST_LIMIT, src->label, NULL, "a header of %zu bytes in a compressed file of %llu", len,
                   (unsigned long long)stored);
}

/* Reads the header that the `n` bytes of `head` announce: nothing is allocated before the length was compared with the
 * file. */
static st_status read_announced(st_source *src, const char *head, size_t n, bool zstd, st_header **h, st_err *err)
{
    size_t len;
    ST_TRY(st_header_length(src->label, head, n, src->size, &len, err));
    if (zstd) ST_TRY(check_header(src, len, err));
    char *text = st_malloc(len + 1);
    if (!text) return st_fail_nomem(err, len + 1);
    st_status s = src->ops->read(src, text, 8, len, err);
    if (s != ST_OK) {
        st_free(text);
        return s;
    }
    s = st_header_adopt(src->label, text, len, src->size, h, err);
    if (s != ST_OK && s != ST_NOMEM && st_meta_interrupted(src)) return st_meta_fail_interrupted(src->label, err);
    ST_TRY(s);
    if (zstd) s = st_zsource_set_header(src, *h, err);
    if (s == ST_OK) return ST_OK;
    st_header_free(*h);
    *h = NULL;
    return s;
}

/* `most` bytes of the head, then the header. */
static st_status read_header(st_source *src, size_t most, bool zstd, st_header **h, st_err *err)
{
    char head[ST_SNIFF_BYTES];
    size_t n = src->size < most ? (size_t)src->size : most;
    ST_TRY(zstd ? st_zsource_peek(src, head, sizeof head, &n, err) : src->ops->read(src, head, 0, n, err));
    return read_announced(src, head, n, zstd, h, err);
}

st_status st_read_header(st_source *src, bool zstd, st_header **h, st_err *err)
{
    return read_header(src, ST_SNIFF_BYTES, zstd, h, err);
}

/* Reads the head of the file as it lies on the disk, which tells whether it is compressed. */
static st_status open_source(st_file *f, const char *path, char head[ST_SNIFF_BYTES], size_t *n, st_err *err)
{
    st_source *raw;
    ST_TRY(st_source_open(path, &raw, err));
    f->src = raw;
    *n = raw->size < ST_SNIFF_BYTES ? (size_t)raw->size : ST_SNIFF_BYTES;
    ST_TRY(raw->ops->read(raw, head, 0, *n, err));
    f->zstd = st_zsource_is(head, *n);
    if (!f->zstd) return ST_OK;
    f->src = NULL;
    return st_zsource_open(raw, &f->src, err);
}

static st_status open_file(const char *path, const st_open_opts *o, bool as_base, st_file **out, st_err *err);

static st_status open_base(st_file *f, const char *path, bool may_lack, st_err *err)
{
    st_err why;
    st_status s = open_file(path, NULL, true, &f->base, &why);
    if (s == ST_IO && may_lack) return ST_OK;
    return st_pack_base_failed(s, &why, f->src->label, err);
}

/* The base of a packed file: the one that was named, or what lies beside it. Not to be there is no failure: some
 * tensors can be read, and of the others it is said what they want. */
static st_status find_base(st_file *f, const st_open_opts *o, st_err *err)
{
    size_t len;
    const char *name = st_header_meta_find(f->packed, ST_PACK_META_BASE, &len), *path = f->src->label;
    if (!name) return ST_OK;
    char shown[256];
    st_escape(shown, sizeof shown, name, len);
    f->base_name = st_strndup(shown, strlen(shown));
    if (!f->base_name) return st_fail_nomem(err, strlen(shown) + 1);
    if (o && o->base) return open_base(f, o->base, false, err);
    if (len == 0 || *name == '.' || memchr(name, '/', len) || memchr(name, '\0', len)) return ST_OK; /* no plain name */
    const char *slash = strrchr(path, '/');
    size_t folder = slash ? (size_t)(slash - path) + 1 : 0;
    char *beside = st_malloc(folder + len + 1);
    if (!beside) return st_fail_nomem(err, folder + len + 1);
    memcpy(beside, path, folder);
    memcpy(beside + folder, name, len + 1);
    st_status s = open_base(f, beside, true, err);
    st_free(beside);
    return s;
}

/* From now on the file is what it was packed from. */
static st_status unpack(st_file *f, const st_open_opts *o, bool as_base, st_err *err)
{
    st_source *original;
    f->stored = st_file_stored(f);
    f->seeks = st_file_seeks(f);
    f->packed = f->h;
    f->h = NULL;
    if (f->zstd && !f->seeks) /* it would be decoded several times, whatever it becomes */
        return st_fail(err, ST_LIMIT, f->src->label, NULL,
                       "a packed model within a zstd file without a seek table: unpack that first (zstd -d)");
    if (as_base && st_header_meta_find(f->packed, ST_PACK_META_BASE, &(size_t){0}))
        return st_fail(err, ST_ARG, f->src->label, NULL,
                       "it is packed as the difference to another file and cannot be a base itself: unpack it first");
    ST_TRY(find_base(f, o, err));
    st_pack_base base;
    if (f->base) base = (st_pack_base){f->base->src, f->base->h};
    ST_TRY(st_pack_open(f->src, f->packed, f->base ? &base : NULL, &original, err));
    st_source_unref(f->src);
    f->src = original;
    return read_header(f->src, 8, false, &f->h, err); /* no more: tensors may not be readable */
}

/* What is no other format is read as safetensors, and told what it lacks; so is all that is compressed, and a base. */
static st_status read_file(st_file *f, const char *path, const st_open_opts *o, bool as_base, st_err *err)
{
    char head[ST_SNIFF_BYTES];
    size_t n = 0;
    ST_TRY(open_source(f, path, head, &n, err));
    if (!f->zstd && !as_base) ST_TRY(st_format_read(f->src, head, n, o, &f->l, err));
    if (f->l) return ST_OK;
    ST_TRY(f->zstd ? st_read_header(f->src, true, &f->h, err) : read_announced(f->src, head, n, false, &f->h, err));
    return st_pack_is(f->h) ? unpack(f, o, as_base, err) : ST_OK;
}

static st_status open_file(const char *path, const st_open_opts *o, bool as_base, st_file **out, st_err *err)
{
    *out = NULL;
    st_file *f = st_calloc(1, sizeof *f);
    if (!f) return st_fail_nomem(err, sizeof *f);
    f->refs = 1;
    st_status s = read_file(f, path, o, as_base, err);
    if (s != ST_OK) {
        st_file_close(f);
        return s;
    }
    *out = f;
    return ST_OK;
}

st_status st_file_open(const char *path, st_file **out, st_err *err) { return open_file(path, NULL, false, out, err); }

st_status st_file_open_with(const char *path, const st_open_opts *o, st_file **out, st_err *err)
{
    return open_file(path, o, false, out, err);
}

st_file *st_file_ref(st_file *f)
{
    f->refs++;
    return f;
}

void st_file_close(st_file *f)
{
    if (!f || --f->refs > 0) return;
    st_header_free(f->h);
    st_header_free(f->packed);
    st_listing_free(f->l);
    st_source_unref(f->src); /* before the base, whose header it uses */
    st_file_close(f->base);
    st_free(f->base_name);
    st_free(f);
}

st_status st_file_header_sha256(st_file *f, char out[65], st_err *err)
{
    if (f->l) return st_sha256_source(NULL, f->src, f->l->head, f->l->head_bytes, out, err);
    return st_sha256_source(NULL, f->src, 0, st_file_data_start(f), out, err);
}

st_status st_file_sha256(st_file *f, char out[65], st_err *err)
{
    return st_sha256_source(NULL, f->src, 0, st_file_size(f), out, err);
}

st_source *st_file_source(st_file *f) { return f->src; }
const st_header *st_file_header(const st_file *f) { return f->h; }
const char *st_file_path(const st_file *f) { return f->src->label; }
const char *st_file_format(const st_file *f) { return f->l ? f->l->format : "safetensors"; }
uint64_t st_file_size(const st_file *f) { return f->src->size; }
bool st_file_seeks(const st_file *f) { return f->packed ? f->seeks : !f->zstd || st_zsource_seeks(f->src); }
bool st_file_cut(const st_file *f) { return !f->packed && f->zstd && st_zsource_cut(f->src); }
const char *st_file_compression(const st_file *f) { return f->packed ? "pack" : f->zstd ? "zstd" : NULL; }
uint64_t st_file_stored(const st_file *f)
{
    return f->packed ? f->stored : f->zstd ? st_zsource_stored(f->src) : f->src->size;
}
uint64_t st_file_data_start(const st_file *f) { return f->l ? 0 : st_header_data_start(f->h); }
uint64_t st_file_header_bytes(const st_file *f) { return f->l ? f->l->head_bytes : st_file_data_start(f) - 8; }
size_t st_file_count(const st_file *f) { return f->l ? f->l->count : st_header_count(f->h); }
const st_listed *st_file_listed(const st_file *f, size_t i) { return f->l ? &f->l->list[i] : NULL; }

st_info st_file_info(const st_file *f, size_t i)
{
    const st_listed *t = st_file_listed(f, i);
    if (!t) return st_header_info(f->h, i);
    return (st_info){
        .name = t->name, .name_len = t->len, .dtype = (st_dtype)t->dtype, .ndim = t->ndim, .shape = t->shape};
}

int64_t st_file_find(const st_file *f, const char *name, size_t len)
{
    return f->l ? st_strmap_find(&f->l->names, name, len) : st_header_find(f->h, name, len);
}

st_status st_file_want_safetensors(const st_file *f, const char *doing, st_err *err)
{
    if (!f->l) return ST_OK;
    return st_fail(err, ST_ARG, f->src->label, NULL, "%s is for safetensors; this is a %s (`stlua convert`)", doing,
                   f->l->format);
}

st_status st_file_tied(const st_file *f, size_t *first, st_err *err)
{
    if (f->l) return st_listing_tied(f->l, first, err);
    for (size_t i = 0; i < st_file_count(f); i++) first[i] = i; /* no two share a byte */
    return ST_OK;
}

size_t st_file_meta_count(const st_file *f) { return f->l ? f->l->nmeta : st_header_meta_count(f->h); }

void st_file_meta(const st_file *f, size_t i, st_text *key, st_text *value)
{
    if (!f->l) return st_header_meta(f->h, i, key, value);
    *key = f->l->meta[i][0];
    *value = f->l->meta[i][1];
}

st_status st_file_check(st_file *f, bool *all, st_err *err)
{
    bool own;
    if (!all) all = &own;
    *all = false;
    return f->l ? st_format_check(f->src, all, err) : ST_OK;
}

size_t st_file_notes(const st_file *f) { return f->l ? f->l->nnotes : 0; }

void st_file_note(const st_file *f, size_t i, st_note *kind, st_text *text)
{
    *kind = f->l->notes[i].kind;
    *text = f->l->notes[i].text;
}

st_status st_file_spare_base(const st_file *f, const char *to, st_err *err)
{
    struct stat base, there;
    char shown[256];
    if (!f->base || sys_stat(f->base->src->label, &base) < 0 || sys_stat(to, &there) < 0) return ST_OK;
    if (base.st_dev != there.st_dev || base.st_ino != there.st_ino) return ST_OK;
    st_escape(shown, sizeof shown, f->src->label, strlen(f->src->label));
    return st_fail(err, ST_ARG, to, NULL, "it is the base, without which %s cannot be read; give another output",
                   shown);
}

bool st_file_packed(const st_file *f, st_pack_info *info)
{
    size_t len;
    if (!f->packed) return false;
    *info = (st_pack_info){.base = f->base_name,
                           .base_sha256 = st_header_meta_find(f->packed, ST_PACK_META_BASE_SHA256, &len),
                           .has_base = f->base != NULL};
    return true;
}
