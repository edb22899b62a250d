/* torch_zip.c - checkpoints of PyTorch 1.6 and later: a zip archive of data.pkl and an entry per storage. Layer: io;
 * reads the source it is given. */
#include "mem.h"
#include "torch.h"

#include <string.h>

typedef unsigned long long ull;

typedef struct archive {
    st_source *src;
    const st_zip *zip;
    st_text top; /* "archive/", with the slash */
    char *name;  /* room for a name in it */
    size_t cap;
} archive;

/* An entry of the archive's own folder, or NULL. *nomem is set without memory. */
static const st_zip_entry *find(archive *a, const char *inside, st_text key, bool *nomem)
{
    size_t n = strlen(inside), len = a->top.len + n + key.len;
    *nomem = !st_grow((void **)&a->name, &a->cap, len, 1);
    if (*nomem) return NULL;
    memcpy(a->name, a->top.ptr, a->top.len);
    memcpy(a->name + a->top.len, inside, n);
    memcpy(a->name + a->top.len + n, key.ptr, key.len);
    return st_zip_find(a->zip, a->name, len);
}

static st_status find_storage(void *arg, const st_torch_storage *s, st_text tensor, uint64_t *offset, st_err *err)
{
    archive *a = arg;
    bool nomem;
    const st_zip_entry *e = find(a, "data/", s->key, &nomem);
    char key[80];
    if (nomem) return st_fail_nomem(err, s->key.len);
    st_escape(key, sizeof key, s->key.ptr, s->key.len);
    if (!e)
        return st_fail_named(err, ST_FORMAT, a->src->label, tensor.ptr, tensor.len,
                             "its values should be in the archive's entry data/%s, which is not there", key);
    ST_TRY(st_zip_stored(a->src, e, err));
    if (e->size != s->bytes)
        return st_fail_named(err, ST_FORMAT, a->src->label, tensor.ptr, tensor.len,
                             "its storage, the entry data/%s, has %llu bytes; %llu elements of %u bytes need %llu", key,
                             (ull)e->size, (ull)s->whole, s->width, (ull)s->bytes);
    *offset = e->offset;
    return ST_OK;
}

const st_zip_entry *st_torch_find_pickle(const st_zip *zip)
{
    static const char tail[] = "/data.pkl";
    const size_t n = sizeof tail - 1;
    const st_zip_entry *found = NULL;
    for (size_t i = 0; i < zip->count; i++) {
        const st_zip_entry *e = &zip->entries[i];
        if (e->len < n || memcmp(e->name + e->len - n, tail, n) != 0) continue;
        if (memchr(e->name, '/', e->len) != e->name + e->len - n) continue;
        if (found) return NULL;
        found = e;
    }
    return found;
}

/* A small record that must say this, if it is there. */
static st_status expect(archive *a, const char *name, const char *want, st_err *err)
{
    char text[32], shown[64];
    bool nomem;
    size_t len = strlen(want);
    const st_zip_entry *e = find(a, name, (st_text){"", 0}, &nomem);
    if (nomem) return st_fail_nomem(err, a->cap);
    if (!e) return ST_OK;
    ST_TRY(st_zip_stored(a->src, e, err));
    size_t n = e->size < sizeof text ? (size_t)e->size : sizeof text;
    ST_TRY(a->src->ops->read(a->src, text, e->offset, n, err));
    while (n > 0 && (text[n - 1] == '\n' || text[n - 1] == '\0')) n--;
    if (n == len && memcmp(text, want, len) == 0) return ST_OK;
    st_escape(shown, sizeof shown, text, n);
    return st_fail(err, ST_FORMAT, a->src->label, NULL, "its record %s is \"%s\"; only \"%s\" is read", name, shown,
                   want);
}

/* An entry in memory, which the caller frees. */
static st_status load(archive *a, const st_zip_entry *e, char **bytes, st_err *err)
{
    ST_TRY(st_zip_stored(a->src, e, err));
    if (e->size > ST_PICKLE_MAX)
        return st_fail(err, ST_LIMIT, a->src->label, NULL, "a pickle of %llu bytes, the limit is %u", (ull)e->size,
                       ST_PICKLE_MAX);
    *bytes = st_malloc((size_t)e->size);
    if (!*bytes) return st_fail_nomem(err, e->size);
    st_status s = a->src->ops->read(a->src, *bytes, e->offset, (size_t)e->size, err);
    if (s != ST_OK) st_free(*bytes);
    return s;
}

static st_status read_archive(archive *a, const st_open_opts *opts, st_listing *l, st_err *err)
{
    const st_zip_entry *e = st_torch_find_pickle(a->zip);
    char *bytes;
    size_t used;
    st_pickle *p;
    a->top = (st_text){e->name, e->len - strlen("data.pkl")};
    ST_TRY(expect(a, "byteorder", "little", err));
    ST_TRY(expect(a, ".format_version", "1", err));
    ST_TRY(load(a, e, &bytes, err));
    l->head = e->offset;
    l->head_bytes = e->size;
    st_status s = st_pickle_read(a->src->label, bytes, (size_t)e->size, &p, &used, err);
    if (s == ST_OK && used != e->size)
        s = st_fail(err, ST_FORMAT, a->src->label, NULL, "broken pickle: it ends at %zu of %llu bytes", used,
                    (ull)e->size);
    if (s == ST_OK) s = st_torch_walk(a->src->label, p, used, opts, &(st_torch_finder){find_storage, a}, l, err);
    st_pickle_free(p);
    st_free(bytes);
    return s;
}

st_status st_torch_zip(st_source *src, const st_zip *zip, const st_open_opts *opts, st_listing *l, st_err *err)
{
    archive a = {.src = src, .zip = zip};
    l->format = "PyTorch checkpoint";
    st_status s = read_archive(&a, opts, l, err);
    st_free(a.name);
    return s;
}
