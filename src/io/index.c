/* index.c - reading model.safetensors.index.json, or pytorch_model.bin.index.json: which shard holds which tensor.
 * Layer: io; may touch files through sources, read only. */
#include "file.h"

#include "jscan.h"
#include "mem.h"

#include <string.h>

#define INDEX_MAX 64000000u /* bytes; so at most some 3.5 million entries */

/* As a header: the text, patched in place, and compact arrays that refer to it. A shard name is stored once. */
typedef struct entry {
    uint32_t name, name_len, shard;
} entry;

struct st_index {
    char *text;
    entry *e;
    size_t n, cap;
    const char **shards;
    size_t nshards, shard_cap;
    st_strmap names, shard_names;
    bool has_total;
    uint64_t total;
};

typedef struct reader {
    st_index *x;
    st_jscan s;
    const char *label;
    st_err *err;
} reader;

/* ---------------------------------------------------------------- shard names */

static bool ends_with(const char *p, size_t n, const char *tail)
{
    size_t t = strlen(tail);
    return n >= t && memcmp(p + n - t, tail, t) == 0;
}

/* CON, NUL, COM1 ... are devices on Windows in every folder and with every extension. */
static bool is_device(const char *p, size_t n)
{
    static const char *const names[] = {"con", "prn", "aux", "nul", "com", "lpt"};
    const char *dot = memchr(p, '.', n);
    size_t stem = dot ? (size_t)(dot - p) : n;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        size_t k = 0;
        while (k < 3 && k < stem && (p[k] | 0x20) == names[i][k]) k++;
        if (k == 3 && (i < 4 ? stem == 3 : stem == 4 && p[3] >= '1' && p[3] <= '9')) return true;
    }
    return false;
}

/* Why a shard name is refused, or NULL. Windows' rules hold on every system: an index that is safe here is safe there.
 */
static const char *refused(const char *p, size_t n)
{
    if (n == 0) return "is empty";
    for (size_t i = 0; i < n; i++) {
        if ((unsigned char)p[i] < 0x20 || p[i] == 0x7f) return "holds a control character";
        if (p[i] == '\\') return "holds a backslash";
        if (p[i] == ':') return "holds a colon (a drive or a stream)";
    }
    if (p[0] == '/') return "is absolute";
    for (size_t from = 0; from <= n;) {
        const char *slash = memchr(p + from, '/', n - from);
        size_t len = slash ? (size_t)(slash - p) - from : n - from;
        const char *part = p + from;
        if (len == 0) return "has an empty component";
        if (len == 2 && memcmp(part, "..", 2) == 0) return "leaves the folder by \"..\"";
        if (part[len - 1] == '.' || part[len - 1] == ' ') return "has a component that ends in a dot or a blank";
        if (is_device(part, len)) return "is a device on Windows";
        from += len + 1;
    }
    static const char *const endings[] = {".safetensors", ".safetensors.zst", ".bin", ".pt", ".pth"};
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++)
        if (ends_with(p, n, endings[i])) return NULL;
    return "does not end in \".safetensors\", \".safetensors.zst\" or \".bin\"";
}

/* The number of a shard, which is new or known. */
static st_status intern_shard(reader *r, st_text name, const entry *e, uint32_t *out)
{
    st_index *x = r->x;
    int64_t old = st_strmap_find(&x->shard_names, name.ptr, name.len);
    if (old < 0) {
        const char *why = refused(name.ptr, name.len);
        if (why) {
            char shown[160];
            st_escape(shown, sizeof shown, name.ptr, name.len);
            return st_fail_named(
                r->err, ST_FORMAT, r->label, x->text + e->name, e->name_len,
                "byte %llu: shard name \"%s\" %s; a plain file name inside the model's folder is expected",
                (unsigned long long)(name.ptr - x->text), shown, why);
        }
        if (!st_grow((void **)&x->shards, &x->shard_cap, x->nshards + 1, sizeof *x->shards))
            return st_fail_nomem(r->err, x->nshards * 2 * sizeof *x->shards);
        ST_TRY(st_strmap_add(&x->shard_names, name.ptr, name.len, x->nshards, &old, r->err));
        x->shards[x->nshards] = name.ptr;
        old = (int64_t)x->nshards++;
    }
    *out = (uint32_t)old;
    return ST_OK;
}

/* ---------------------------------------------------------------- the text */

static bool is(st_text t, const char *word) { return t.len == strlen(word) && memcmp(t.ptr, word, t.len) == 0; }

static st_status read_weight_map(reader *r)
{
    st_index *x = r->x;
    bool empty, more;
    ST_TRY(st_jscan_open(&r->s, ST_J_OBJECT, &empty));
    for (more = !empty; more;) {
        st_text key, shard;
        int64_t old;
        ST_TRY(st_jscan_key(&r->s, &key));
        ST_TRY(st_jscan_string(&r->s, &shard));
        entry e = {.name = (uint32_t)(key.ptr - x->text), .name_len = (uint32_t)key.len};
        ST_TRY(intern_shard(r, shard, &e, &e.shard));
        ST_TRY(st_strmap_add(&x->names, key.ptr, key.len, x->n, &old, r->err));
        if (old >= 0)
            return st_fail_named(r->err, ST_FORMAT, r->label, key.ptr, key.len,
                                 "the name is mapped twice (bytes %u and %u): to %s and to %s", x->e[old].name, e.name,
                                 x->shards[x->e[old].shard], x->shards[e.shard]);
        if (!st_grow((void **)&x->e, &x->cap, x->n + 1, sizeof *x->e))
            return st_fail_nomem(r->err, x->n * 2 * sizeof *x->e);
        x->e[x->n++] = e;
        ST_TRY(st_jscan_next(&r->s, ST_J_OBJECT, &more));
    }
    return ST_OK;
}

/* total_size is informative: writers also put fractions there, which count as absent. */
static st_status read_total(reader *r)
{
    st_jscan back = r->s;
    r->s.err = NULL;
    r->x->has_total = st_jscan_u64(&r->s, &r->x->total) == ST_OK;
    if (r->x->has_total) {
        r->s.err = back.err;
        return ST_OK;
    }
    r->s = back;
    return st_jscan_skip(&r->s);
}

static st_status read_metadata(reader *r)
{
    st_jtype type;
    bool empty, more, had_total = false;
    ST_TRY(st_jscan_peek(&r->s, &type));
    if (type == ST_J_NULL) return st_jscan_literal(&r->s, "null");
    ST_TRY(st_jscan_open(&r->s, ST_J_OBJECT, &empty));
    for (more = !empty; more;) {
        st_text key;
        ST_TRY(st_jscan_key(&r->s, &key));
        if (is(key, "total_size")) {
            if (had_total) return st_jscan_fail(&r->s, "\"total_size\" is given twice");
            had_total = true;
            ST_TRY(read_total(r));
        } else {
            ST_TRY(st_jscan_skip(&r->s));
        }
        ST_TRY(st_jscan_next(&r->s, ST_J_OBJECT, &more));
    }
    return ST_OK;
}

static st_status read_text(reader *r)
{
    static const struct {
        const char *name;
        st_status (*read)(reader *);
    } parts[] = {{"weight_map", read_weight_map}, {"metadata", read_metadata}};
    bool seen[2] = {false}, empty, more;
    ST_TRY(st_jscan_utf8(&r->s));
    ST_TRY(st_jscan_open(&r->s, ST_J_OBJECT, &empty));
    for (more = !empty; more;) {
        st_text key;
        int i = 0;
        ST_TRY(st_jscan_key(&r->s, &key));
        while (i < 2 && !is(key, parts[i].name)) i++;
        if (i < 2) {
            if (seen[i]) return st_jscan_fail(&r->s, "\"%s\" is given twice", parts[i].name);
            seen[i] = true;
            ST_TRY(parts[i].read(r));
        } else {
            ST_TRY(st_jscan_skip(&r->s));
        }
        ST_TRY(st_jscan_next(&r->s, ST_J_OBJECT, &more));
    }
    ST_TRY(st_jscan_finish(&r->s));
    if (!seen[0])
        return st_fail(r->err, ST_FORMAT, r->label, NULL, "it has no \"weight_map\": not the index of a sharded model");
    return ST_OK;
}

/* Takes over `text`, which has a spare byte at its end. */
static st_status adopt(const char *label, char *text, size_t len, st_index **out, st_err *err)
{
    st_index *x = st_calloc(1, sizeof *x);
    if (!x) {
        st_free(text);
        return st_fail_nomem(err, sizeof *x);
    }
    x->text = text;
    reader r = {.x = x, .label = label, .err = err};
    st_jscan_init(&r.s, text, len, label, 0, ST_JSCAN_DEPTH, err);
    st_status s = read_text(&r);
    if (s != ST_OK) {
        st_index_free(x);
        return s;
    }
    *out = x;
    return ST_OK;
}

static st_status fail_size(const char *label, uint64_t size, st_err *err)
{
    return st_fail(err, ST_LIMIT, label, NULL, "an index of %llu bytes, the limit is %u", (unsigned long long)size,
                   INDEX_MAX);
}

st_status st_index_parse(const char *label, const void *buf, size_t len, st_index **out, st_err *err)
{
    *out = NULL;
    if (len > INDEX_MAX) return fail_size(label, len, err);
    char *text = st_malloc(len + 1);
    if (!text) return st_fail_nomem(err, len + 1);
    if (len) memcpy(text, buf, len);
    return adopt(label, text, len, out, err);
}

static st_status read_source(st_source *src, st_index **out, st_err *err)
{
    if (src->size > INDEX_MAX) return fail_size(src->label, src->size, err);
    size_t len = (size_t)src->size;
    char *text = st_malloc(len + 1);
    if (!text) return st_fail_nomem(err, len + 1);
    st_status s = src->ops->read(src, text, 0, len, err);
    if (s != ST_OK) {
        st_free(text);
        return s;
    }
    return adopt(src->label, text, len, out, err);
}

st_status st_index_open(const char *path, st_index **out, st_err *err)
{
    st_source *src;
    *out = NULL;
    ST_TRY(st_source_open(path, &src, err));
    st_status s = read_source(src, out, err);
    st_source_unref(src);
    return s;
}

/* ---------------------------------------------------------------- what was read */

void st_index_free(st_index *x)
{
    if (!x) return;
    st_strmap_free(&x->names);
    st_strmap_free(&x->shard_names);
    st_free(x->shards);
    st_free(x->e);
    st_free(x->text);
    st_free(x);
}

size_t st_index_shards(const st_index *x) { return x->nshards; }
const char *st_index_shard(const st_index *x, size_t i) { return x->shards[i]; }
size_t st_index_count(const st_index *x) { return x->n; }

void st_index_entry(const st_index *x, size_t i, st_text *name, size_t *shard)
{
    *name = (st_text){x->text + x->e[i].name, x->e[i].name_len};
    *shard = x->e[i].shard;
}

int64_t st_index_find(const st_index *x, const char *name, size_t len) { return st_strmap_find(&x->names, name, len); }

bool st_index_total_size(const st_index *x, uint64_t *out)
{
    if (x->has_total) *out = x->total;
    return x->has_total;
}
