/* torch_legacy.c - checkpoints from before PyTorch 1.6: five pickles, then the storages. Layer: io; reads the source it
 * is given.
 *
 *   magic number | protocol 1001 | about the system | the object | keys of the storages | for each key: count, bytes */
#include "mem.h"
#include "torch.h"

#include <string.h>

typedef unsigned long long ull;

enum { FIRST = 64 << 10, PICKLES = 5, PROTOCOL = 1001 };

/* 0x1950a86a20f9469cfc6c, as a pickle has it. */
static const char magic[] = "\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19";

typedef struct legacy {
    st_source *src;
    const st_open_opts *opts;
    st_listing *l;
    char *bytes; /* the first `len` of the file */
    size_t len;
    st_pickle *pickles[PICKLES];
    size_t sizes[PICKLES];
    int n; /* pickles read */
    st_strmap keys;
    st_torch_storage *storages; /* in the order of the file; `skip` is where their bytes begin */
    size_t count;
    st_err *err;
} legacy;

#define bad(g, ...) st_fail((g)->err, ST_FORMAT, (g)->src->label, NULL, "broken checkpoint: " __VA_ARGS__)

/* ---------------------------------------------------------------- the pickles */

static bool is_magic(const st_pickle *p)
{
    st_pnode root = st_pickle_root(p);
    st_text t = st_pickle_text(p, root);
    return st_pickle_kind(p, root) == ST_P_BIG && t.len == sizeof magic - 1 && memcmp(t.ptr, magic, t.len) == 0;
}

static void forget(legacy *g)
{
    for (int i = 0; i < g->n; i++) st_pickle_free(g->pickles[i]);
    g->n = 0;
}

/* As many of the pickles as are there: one, if it does not begin a checkpoint. *cut: more bytes are needed. */
static st_status read_pickles(legacy *g, bool *cut)
{
    size_t at = 0;
    *cut = false;
    while (g->n < PICKLES) {
        size_t used;
        st_status s = st_pickle_read(g->src->label, g->bytes + at, g->len - at, &g->pickles[g->n], &used, g->err);
        *cut = s != ST_OK && used > g->len - at;
        if (s != ST_OK) return s;
        g->sizes[g->n++] = used;
        at += used;
        if (g->n == 1 && !is_magic(g->pickles[0])) break;
    }
    g->l->head_bytes = at;
    return ST_OK;
}

/* Nobody says how long they are: they are read again with more of the file until it is enough. */
static st_status load(legacy *g)
{
    for (uint64_t want = FIRST;; want *= 4) {
        bool cut;
        g->len = want < g->src->size ? (size_t)want : (size_t)g->src->size;
        if (g->len > ST_PICKLE_MAX) g->len = ST_PICKLE_MAX;
        st_free(g->bytes);
        g->bytes = st_malloc(g->len);
        if (!g->bytes) return st_fail_nomem(g->err, g->len);
        ST_TRY(g->src->ops->read(g->src, g->bytes, 0, g->len, g->err));
        st_status s = read_pickles(g, &cut);
        if (!cut || g->len == g->src->size) return s;
        if (g->len == ST_PICKLE_MAX)
            return st_fail(g->err, ST_LIMIT, g->src->label, NULL, "pickles of more than %u bytes", ST_PICKLE_MAX);
        forget(g);
    }
}

static st_status check_system(legacy *g)
{
    const st_pickle *p = g->pickles[1], *about = g->pickles[2];
    st_pnode v = st_pickle_root(p), little = st_pickle_get(about, st_pickle_root(about), "little_endian", 13);
    if (st_pickle_kind(p, v) != ST_P_INT || st_pickle_int(p, v) != PROTOCOL)
        return bad(g, "its protocol is not %d", PROTOCOL);
    if (little && st_pickle_kind(about, little) == ST_P_BOOL && !st_pickle_int(about, little))
        return bad(g, "it was written on a big-endian computer; only little-endian files are read");
    return ST_OK;
}

/* ---------------------------------------------------------------- the storages */

/* What the object says of each storage, by its key. */
static st_status collect(legacy *g)
{
    const st_pickle *p = g->pickles[3];
    size_t n = st_pickle_nodes(p), cap = 0;
    for (st_pnode i = 1; i < n; i++) {
        st_torch_storage s;
        int64_t old;
        if (st_pickle_kind(p, i) != ST_P_PERSISTENT) continue;
        st_pnode what = st_pickle_item(p, st_pickle_id(p, i), 0);
        if (what && st_pickle_is_text(p, what, "module")) continue; /* a class, with its source code */
        ST_TRY(st_torch_storage_of(g->src->label, p, i, (st_text){"", 0}, &s, g->err));
        ST_TRY(st_strmap_add(&g->keys, s.key.ptr, s.key.len, g->count, &old, g->err));
        if (old >= 0) {
            const st_torch_storage *first = &g->storages[old];
            if (first->bytes != s.bytes || first->width != s.width)
                return bad(g, "a storage is said to have %llu and %llu bytes", (ull)first->bytes, (ull)s.bytes);
            continue;
        }
        if (!st_grow((void **)&g->storages, &cap, g->count + 1, sizeof s)) return st_fail_nomem(g->err, sizeof s);
        s.skip = UINT64_MAX; /* not found yet */
        g->storages[g->count++] = s;
    }
    return ST_OK;
}

/* The storages follow in the order of the keys, each behind its number of elements. */
static st_status locate(legacy *g)
{
    const st_pickle *p = g->pickles[4];
    uint64_t at = g->l->head_bytes;
    st_pitems it = st_pickle_items(p, st_pickle_root(p));
    st_pnode unused, key;
    if (st_pickle_kind(p, st_pickle_root(p)) != ST_P_LIST) return bad(g, "the keys of its storages are no list");
    while (st_pickle_next(&it, &unused, &key)) {
        unsigned char count[8];
        uint64_t n = 0, left = g->src->size - at;
        st_text t = st_pickle_text(p, key);
        char shown[80];
        st_escape(shown, sizeof shown, t.ptr, t.len);
        int64_t i = st_strmap_find(&g->keys, t.ptr, t.len);
        if (i < 0) return bad(g, "storage %s is of no tensor", shown);
        st_torch_storage *s = &g->storages[i];
        if (s->skip != UINT64_MAX) return bad(g, "storage %s is there twice", shown);
        if (left < 8) return bad(g, "it is cut short before storage %s, at %llu", shown, (ull)at);
        ST_TRY(g->src->ops->read(g->src, count, at, 8, g->err));
        for (int b = 7; b >= 0; b--) n = n << 8 | count[b];
        if (n != s->whole)
            return bad(g, "storage %s has %llu elements where it lies, %llu where it is named", shown, (ull)n,
                       (ull)s->whole);
        if (s->bytes > left - 8)
            return bad(g, "it is cut short: storage %s needs %llu bytes from %llu on, the file has %llu", shown,
                       (ull)s->bytes, (ull)at + 8, (ull)g->src->size);
        s->skip = at + 8;
        at += 8 + s->bytes;
    }
    if (at != g->src->size) return bad(g, "%llu bytes stand behind its last storage", (ull)(g->src->size - at));
    return ST_OK;
}

static st_status find_storage(void *arg, const st_torch_storage *s, st_text tensor, uint64_t *offset, st_err *err)
{
    const legacy *g = arg;
    int64_t i = st_strmap_find(&g->keys, s->key.ptr, s->key.len);
    if (i < 0 || g->storages[i].skip == UINT64_MAX)
        return st_fail_named(err, ST_FORMAT, g->src->label, tensor.ptr, tensor.len, "its storage is not in the file");
    *offset = g->storages[i].skip;
    return ST_OK;
}

/* ---------------------------------------------------------------- the whole */

static st_status read_file(legacy *g)
{
    int object = 0;
    ST_TRY(load(g));
    if (is_magic(g->pickles[0])) {
        object = 3;
        ST_TRY(check_system(g));
        ST_TRY(collect(g));
        ST_TRY(locate(g));
    } else {
        g->l->format = "Python pickle";
    }
    return st_torch_walk(g->src->label, g->pickles[object], g->sizes[object], g->opts,
                         &(st_torch_finder){find_storage, g}, g->l, g->err);
}

st_status st_torch_legacy(st_source *src, const st_open_opts *opts, st_listing *l, st_err *err)
{
    legacy g = {.src = src, .opts = opts, .l = l, .err = err};
    l->format = "PyTorch checkpoint, before 1.6";
    st_status s = read_file(&g);
    forget(&g);
    st_strmap_free(&g.keys);
    st_free(g.storages);
    st_free(g.bytes);
    return s;
}
