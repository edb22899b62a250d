/* zip.c - reading the directory of a zip archive, believing none of its records alone. Layer: io; reads the source it
 * is given. */
#include "zip.h"
#include "crc32.h"
#include "mem.h"
#include "shape.h"
#include "sort.h"

#include <stdio.h>
#include <string.h>

enum {
    LOCAL_SIZE = 30,
    CENTRAL_SIZE = 46,
    END_SIZE = 22,
    END64_SIZE = 56,
    LOCATOR_SIZE = 20,
    TAIL = END_SIZE + 65535, /* the last record, with the longest comment */
    DIRECTORY_MAX = 128 << 20,
    LOCAL_MOST = 1 << 17, /* bytes of a name and its extra fields */
    PIECE = 1 << 20,
};
#define ENTRIES_MAX 1000000u

typedef struct reader {
    st_source *src;
    st_zip *z;
    char *local;    /* LOCAL_MOST bytes */
    uint64_t taken; /* by the entries so far: those that share bytes are refused before they take time */
    st_err *err;
} reader;

static uint32_t le16(const char *p) { return (uint32_t)((uint8_t)p[0] | (uint8_t)p[1] << 8); }
static uint32_t le32(const char *p) { return le16(p) | le16(p + 2) << 16; }
static uint64_t le64(const char *p) { return le32(p) | (uint64_t)le32(p + 4) << 32; }

#define bad(r, ...) st_fail((r)->err, ST_FORMAT, (r)->src->label, NULL, "broken zip archive: " __VA_ARGS__)
typedef unsigned long long ull;

/* `what` and the entry's name, escaped. */
static st_status bad_entry(const reader *r, st_status code, const char *name, size_t len, const char *fmt, ...)
    ST_PRINTF(5, 6);
static st_status bad_entry(const reader *r, st_status code, const char *name, size_t len, const char *fmt, ...)
{
    char shown[200], text[400];
    va_list ap;
    st_escape(shown, sizeof shown, name, len);
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    return st_fail(r->err, code, r->src->label, NULL, "%s\"%s\" %s",
                   code == ST_FORMAT ? "broken zip archive: its entry " : "its entry ", shown, text);
}

/* ---------------------------------------------------------------- where the directory is */

/* The last record ends the file: its comment, which may hold anything, is as long as it says. */
static st_status find_end(reader *r, const char *tail, size_t n, size_t *at)
{
    for (size_t i = n - END_SIZE + 1; i-- > 0;) {
        if (memcmp(tail + i, "PK\5\6", 4) != 0) continue;
        size_t behind = n - i - END_SIZE, comment = le16(tail + i + 20);
        if (comment == behind) return *at = i, ST_OK;
        if (comment < behind)
            return bad(r, "%zu bytes stand behind its end; cut them off, or download it again", behind - comment);
    }
    return bad(r, "it has no directory: it was cut short, or is being written");
}

/* Of an archive whose numbers do not fit the old record. */
static st_status read_end64(reader *r, const char *tail, uint64_t end, size_t i, uint64_t *count, uint64_t *stop)
{
    char record[END64_SIZE];
    if (i < LOCATOR_SIZE || memcmp(tail + i - LOCATOR_SIZE, "PK\6\7", 4) != 0)
        return bad(r, "its sizes need zip64, of which there is no record");
    uint64_t at = le64(tail + i - LOCATOR_SIZE + 8);
    if (at + END64_SIZE < at || at + END64_SIZE + LOCATOR_SIZE != end)
        return bad(r, "the zip64 record is said to be at %llu, its place is %llu", (ull)at,
                   (ull)(end - LOCATOR_SIZE - END64_SIZE));
    ST_TRY(r->src->ops->read(r->src, record, at, sizeof record, r->err));
    if (memcmp(record, "PK\6\6", 4) != 0 || le64(record + 4) != END64_SIZE - 12)
        return bad(r, "there is no zip64 record at %llu", (ull)at);
    if (le32(record + 16) || le32(record + 20) || le64(record + 24) != le64(record + 32))
        return bad(r, "it is a part of an archive in several files");
    *count = le64(record + 32);
    r->z->bytes = le64(record + 40);
    r->z->at = le64(record + 48);
    *stop = at;
    return ST_OK;
}

static st_status find_directory(reader *r, uint64_t *count)
{
    st_zip *z = r->z;
    size_t n = r->src->size < TAIL ? (size_t)r->src->size : TAIL, i = 0;
    uint64_t stop = 0;
    if (n < END_SIZE) return bad(r, "%zu bytes are too few for one", n);
    char *tail = st_malloc(n);
    if (!tail) return st_fail_nomem(r->err, n);
    st_status s = r->src->ops->read(r->src, tail, r->src->size - n, n, r->err);
    if (s == ST_OK) s = find_end(r, tail, n, &i);
    if (s == ST_OK) {
        const char *e = tail + i;
        stop = r->src->size - n + i;
        *count = le16(e + 10);
        z->bytes = le32(e + 12);
        z->at = le32(e + 16);
        bool big = *count == 0xffff || z->bytes == UINT32_MAX || z->at == UINT32_MAX;
        bool locator = i >= LOCATOR_SIZE && memcmp(e - LOCATOR_SIZE, "PK\6\7", 4) == 0;
        if (le16(e + 4) || le16(e + 6) || le16(e + 8) != *count)
            s = bad(r, "it is a part of an archive in several files");
        else if (big || locator)
            s = read_end64(r, tail, stop, i, count, &stop);
    }
    st_free(tail);
    if (s != ST_OK) return s;
    uint64_t end;
    if (!st_add_u64(z->at, z->bytes, &end) || end != stop)
        return bad(r, "its directory of %llu bytes is said to be at %llu, but ends at %llu", (ull)z->bytes, (ull)z->at,
                   (ull)stop);
    if (z->bytes > DIRECTORY_MAX || *count > ENTRIES_MAX)
        return st_fail(r->err, ST_LIMIT, r->src->label, NULL,
                       "a zip archive of %llu entries, with a directory of %llu bytes: the limits are %u and %d",
                       (ull)*count, (ull)z->bytes, ENTRIES_MAX, DIRECTORY_MAX);
    return *count <= z->bytes / CENTRAL_SIZE
               ? ST_OK
               : bad(r, "%llu entries in a directory of %llu bytes", (ull)*count, (ull)z->bytes);
}

/* ---------------------------------------------------------------- one entry */

/* Numbers of 64 bits in place of those that are all ones, in this order. */
static bool read_zip64(const char *extra, size_t n, uint64_t *const *numbers, size_t count)
{
    bool needed = false;
    for (size_t i = 0; i < count; i++) needed = needed || *numbers[i] == UINT32_MAX;
    if (!needed) return true;
    for (size_t at = 0; at + 4 <= n;) {
        size_t len = le16(extra + at + 2);
        if (len > n - at - 4) return false;
        if (le16(extra + at) == 1) {
            const char *p = extra + at + 4, *end = p + len;
            for (size_t i = 0; i < count; i++) {
                if (*numbers[i] != UINT32_MAX) continue;
                if (end - p < 8) return false;
                *numbers[i] = le64(p);
                p += 8;
            }
            return true;
        }
        at += 4 + len;
    }
    return false;
}

/* Why a name is refused, or NULL. Nothing is unpacked here; but what others unpack from this file should be harmless,
 * too, and a name that looks like another one is for deceiving. */
static const char *refused(const char *p, size_t n)
{
    if (n == 0) return "has no name";
    if (p[0] == '/' || memchr(p, '\\', n) || memchr(p, '\0', n)) return "has a name that is no relative path";
    for (size_t from = 0; from <= n;) {
        const char *slash = memchr(p + from, '/', n - from);
        size_t len = slash ? (size_t)(slash - p) - from : n - from;
        if (len == 2 && memcmp(p + from, "..", 2) == 0) return "leaves its folder by \"..\"";
        from += len + 1;
    }
    return NULL;
}

/* The header in front of an entry says the same as the directory. Sizes may be left to a record behind it (flag 8). */
static st_status check_local(reader *r, st_zip_entry *e, uint32_t flags, uint64_t whole)
{
    char *h = r->local;
    uint64_t room = r->z->at - e->header;
    if (e->header >= r->z->at || room < LOCAL_SIZE)
        return bad_entry(r, ST_FORMAT, e->name, e->len, "is said to be at %llu, where no room is", (ull)e->header);
    ST_TRY(r->src->ops->read(r->src, h, e->header, LOCAL_SIZE, r->err));
    size_t names = le16(h + 26), extras = le16(h + 28);
    uint64_t packed = le32(h + 18), full = le32(h + 22);
    if (memcmp(h, "PK\3\4", 4) != 0) return bad_entry(r, ST_FORMAT, e->name, e->len, "is not at %llu", (ull)e->header);
    if (names + extras > room - LOCAL_SIZE)
        return bad_entry(r, ST_FORMAT, e->name, e->len, "has a header that leaves the archive");
    r->taken += LOCAL_SIZE + names + extras;
    if (r->taken > r->z->at) return bad(r, "its entries overlap");
    ST_TRY(r->src->ops->read(r->src, h + LOCAL_SIZE, e->header + LOCAL_SIZE, names + extras, r->err));
    if (names != e->len || memcmp(h + LOCAL_SIZE, e->name, names) != 0 || le16(h + 8) != e->method ||
        le16(h + 6) != flags)
        return bad_entry(r, ST_FORMAT, e->name, e->len,
                         "is another one, or packed otherwise, by the header in front of it");
    if (!read_zip64(h + LOCAL_SIZE + names, extras, (uint64_t *[]){&full, &packed}, 2))
        return bad_entry(r, ST_FORMAT, e->name, e->len, "has no sizes in the header in front of it");
    bool same = full == whole && packed == e->size, later = flags & 8 && packed == 0 && full == 0;
    if (!later && (!same || (le32(h + 14) != e->crc && !(flags & 8))))
        return bad_entry(r, ST_FORMAT, e->name, e->len,
                         "has %llu bytes in the directory, %llu by the header in front of it, or another checksum",
                         (ull)e->size, (ull)packed);
    e->offset = e->header + LOCAL_SIZE + names + extras;
    if (e->size > r->z->at - e->offset)
        return bad_entry(r, ST_FORMAT, e->name, e->len, "has %llu bytes from %llu on: it leaves the archive's %llu",
                         (ull)e->size, (ull)e->offset, (ull)r->z->at);
    return ST_OK;
}

/* Reads the entry whose record is at *p, and moves behind it. */
static st_status read_entry(reader *r, const char **p, const char *end, st_zip_entry *e)
{
    const char *c = *p;
    if (end - c < CENTRAL_SIZE || memcmp(c, "PK\1\2", 4) != 0)
        return bad(r, "entry %zu is missing in its directory", r->z->count + 1);
    size_t names = le16(c + 28), extras = le16(c + 30), comment = le16(c + 32);
    if (names + extras + comment > (size_t)(end - c) - CENTRAL_SIZE)
        return bad(r, "entry %zu leaves its directory", r->z->count + 1);
    uint32_t flags = le16(c + 8);
    uint64_t whole = le32(c + 24);
    *e = (st_zip_entry){.name = c + CENTRAL_SIZE,
                        .len = (uint32_t)names,
                        .crc = le32(c + 16),
                        .size = le32(c + 20),
                        .header = le32(c + 42),
                        .method = le16(c + 10)};
    *p = c + CENTRAL_SIZE + names + extras + comment;
    const char *why = refused(e->name, e->len);
    if (why) return bad_entry(r, ST_FORMAT, e->name, e->len, "%s", why);
    if (flags & 0x2041) return bad_entry(r, ST_LIMIT, e->name, e->len, "is encrypted");
    if (le16(c + 34) != 0) return bad(r, "it is a part of an archive in several files");
    if (!read_zip64(e->name + names, extras, (uint64_t *[]){&whole, &e->size, &e->header}, 3) ||
        (e->method == 0 && whole != e->size))
        return bad_entry(r, ST_FORMAT, e->name, e->len, "has sizes that do not fit");
    return check_local(r, e, flags, whole);
}

/* ---------------------------------------------------------------- all of them */

static int by_place(const void *a, const void *b, const void *arg)
{
    const st_zip_entry *e = arg, *x = &e[*(const uint32_t *)a], *y = &e[*(const uint32_t *)b];
    return x->header < y->header ? -1 : x->header > y->header;
}

/* They lie one behind the other, from the start of the file. */
static st_status check_places(reader *r)
{
    const st_zip *z = r->z;
    uint32_t *order = st_malloc(z->count * sizeof *order);
    st_status s = ST_OK;
    uint64_t end = 0;
    if (!order) return st_fail_nomem(r->err, z->count * sizeof *order);
    for (size_t i = 0; i < z->count; i++) order[i] = (uint32_t)i;
    st_sort(order, z->count, sizeof *order, by_place, z->entries);
    for (size_t i = 0; s == ST_OK && i < z->count; i++) {
        const st_zip_entry *e = &z->entries[order[i]];
        if (i == 0 && e->header > 0)
            s = bad(r, "%llu bytes stand before its first entry", (ull)e->header);
        else if (e->header < end)
            s = bad_entry(r, ST_FORMAT, e->name, e->len, "begins at %llu, inside another one, which ends at %llu",
                          (ull)e->header, (ull)end);
        end = e->offset + e->size;
    }
    st_free(order);
    return s;
}

static st_status read_all(reader *r)
{
    st_zip *z = r->z;
    uint64_t count = 0;
    int64_t old;
    ST_TRY(find_directory(r, &count));
    z->directory = st_malloc((size_t)z->bytes);
    z->entries = st_calloc((size_t)count, sizeof *z->entries);
    r->local = st_malloc(LOCAL_SIZE + LOCAL_MOST);
    if (!z->directory || !z->entries || !r->local) return st_fail_nomem(r->err, z->bytes);
    ST_TRY(r->src->ops->read(r->src, z->directory, z->at, (size_t)z->bytes, r->err));
    ST_TRY(st_strmap_reserve(&z->names, (size_t)count, r->err));
    const char *p = z->directory, *end = p + z->bytes;
    for (; z->count < count; z->count++) {
        st_zip_entry *e = &z->entries[z->count];
        ST_TRY(read_entry(r, &p, end, e));
        ST_TRY(st_strmap_add(&z->names, e->name, e->len, z->count, &old, r->err));
        if (old >= 0)
            return bad_entry(r, ST_FORMAT, e->name, e->len, "is there twice, at %llu and at %llu",
                             (ull)z->entries[old].header, (ull)e->header);
    }
    if (p != end) return bad(r, "%zu bytes stand behind the last entry of its directory", (size_t)(end - p));
    return check_places(r);
}

st_status st_zip_read(st_source *src, st_zip *z, st_err *err)
{
    reader r = {.src = src, .z = z, .err = err};
    *z = (st_zip){0};
    st_status s = read_all(&r);
    st_free(r.local);
    if (s != ST_OK) st_zip_free(z);
    return s;
}

void st_zip_free(st_zip *z)
{
    st_strmap_free(&z->names);
    st_free(z->entries);
    st_free(z->directory);
    *z = (st_zip){0};
}

const st_zip_entry *st_zip_find(const st_zip *z, const char *name, size_t len)
{
    int64_t i = st_strmap_find(&z->names, name, len);
    return i < 0 ? NULL : &z->entries[i];
}

st_status st_zip_stored(st_source *src, const st_zip_entry *e, st_err *err)
{
    reader r = {.src = src, .err = err};
    if (e->method == 0) return ST_OK;
    return bad_entry(&r, ST_LIMIT, e->name, e->len,
                     "is compressed (method %u); only stored entries are read: unpack the archive and pack it again "
                     "without compression (zip -0), or save it with numpy.savez",
                     e->method);
}

st_status st_zip_check(st_source *src, const st_zip_entry *e, st_err *err)
{
    char *buf = st_malloc(e->size < PIECE ? (size_t)e->size : PIECE);
    uint32_t crc = 0;
    st_status s = ST_OK;
    if (!buf) return st_fail_nomem(err, PIECE);
    for (uint64_t at = 0; s == ST_OK && at < e->size;) {
        size_t n = e->size - at < PIECE ? (size_t)(e->size - at) : PIECE;
        s = src->ops->read(src, buf, e->offset + at, n, err);
        if (s == ST_OK) crc = st_crc32(crc, buf, n);
        at += n;
    }
    st_free(buf);
    if (s != ST_OK || crc == e->crc) return s;
    reader r = {.src = src, .err = err};
    return bad_entry(&r, ST_FORMAT, e->name, e->len, "has a wrong checksum: %08x, by the directory %08x", crc, e->crc);
}
