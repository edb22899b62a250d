/* pack_read.c - a packed file's original bytes as a source of blocks: a block is a chunk of a tensor. Layer: io; may
 * touch sources. */
#include "blocks.h"
#include "mem.h"
#include "pack.h"
#include "shape.h"

#include <stdio.h>
#include <string.h>
#include <xxhash.h>

typedef struct packed_tensor {
    st_pack_tail tail;
    uint64_t at, payload; /* in the packed file */
    uint64_t base_at;     /* in the base, if it needs one that is there */
    uint32_t *table;
    size_t first;                  /* its first block */
    _Atomic unsigned char base_is; /* once somebody looked: SAME or OTHER */
} packed_tensor;
enum { SAME = 1, OTHER };

typedef struct packed {
    st_blocks b;
    st_source *under, *base;
    st_header *original;
    packed_tensor *tensors; /* the header's bytes are number 0, then those of the original in file order */
    size_t count;
    uint32_t *tensor_of; /* by block */
    uint64_t *at;        /* by block: its bytes in the packed file */
    size_t chunk_most;
    char *base_name;
} packed;

typedef struct scratch {
    st_coder *coder;
    char *in, *base;
} scratch;

static packed *of(st_source *s) { return (packed *)(void *)s; }

/* ---------------------------------------------------------------- one block */

static void free_scratch(void *p)
{
    scratch *s = p;
    st_coder_free(s->coder);
    st_free(s->in);
    st_free(s->base);
    st_free(s);
}

static void *new_scratch(st_blocks *b)
{
    const packed *p = (const packed *)(void *)b;
    scratch *s = st_calloc(1, sizeof *s);
    if (!s) return NULL;
    s->in = st_malloc(p->chunk_most);
    s->base = p->base ? st_malloc(p->chunk_most) : NULL;
    if (s->in && (s->base || !p->base) && st_coder_new(p->b.base.label, &s->coder, NULL) == ST_OK) return s;
    free_scratch(s);
    return NULL;
}

static const char *name_of(const packed *p, size_t tensor, size_t *len)
{
    st_info in = tensor ? st_header_info(p->original, tensor - 1)
                        : (st_info){.name = ST_PACK_HEADER, .name_len = sizeof ST_PACK_HEADER - 1};
    *len = in.name_len;
    return in.name;
}

static st_status fail_block(const packed *p, size_t block, const char *why, st_err *err)
{
    size_t tensor = p->tensor_of[block], len;
    const packed_tensor *t = &p->tensors[tensor];
    const char *name = name_of(p, tensor, &len);
    uint64_t from = (uint64_t)(block - t->first) << t->tail.chunk;
    return st_fail_named(err, ST_FORMAT, p->b.base.label, name, len, "bytes %llu to %llu of it are damaged: %s",
                         (unsigned long long)from, (unsigned long long)from + st_blocks_size(&p->b, block), why);
}

static st_status fail_no_base(const packed *p, size_t block, st_err *err)
{
    size_t len;
    const char *name = name_of(p, p->tensor_of[block], &len);
    return st_fail_named(err, ST_IO, p->b.base.label, name, len,
                         "it is packed as the difference to %s, which is not there: put that file beside this one, or "
                         "name it (--pack-base FILE)",
                         p->base_name ? p->base_name : "a base");
}

st_status st_pack_base_failed(st_status s, const st_err *why, const char *label, st_err *err)
{
    if (s == ST_OK || !err) return s == ST_FORMAT ? ST_IO : s;
    *err = *why;
    if (s != ST_FORMAT) return s;
    char shown[256];
    size_t n = strlen(err->message);
    st_escape(shown, sizeof shown, label, strlen(label));
    snprintf(err->message + n, sizeof err->message - n, "; it is the base of %s: download or copy it again", shown);
    return err->code = ST_IO;
}

static st_status read_base(const packed *p, void *buf, uint64_t off, size_t n, st_err *err)
{
    st_err why;
    st_status s = p->base->ops->read(p->base, buf, off, n, &why);
    return st_pack_base_failed(s, &why, p->b.base.label, err);
}

/* The XXH64 of the base's tensor is that of the one it was packed against. */
static st_status check_base(const packed *p, const packed_tensor *t, char *buf, bool *same, st_err *err)
{
    XXH64_state_t *x = XXH64_createState();
    if (!x) return st_fail_nomem(err, sizeof(void *));
    XXH64_reset(x, 0);
    st_status s = ST_OK;
    for (uint64_t at = 0; s == ST_OK && at < t->tail.length; at += p->chunk_most) {
        uint64_t left = t->tail.length - at;
        size_t n = left < p->chunk_most ? (size_t)left : p->chunk_most;
        s = read_base(p, buf, t->base_at + at, n, err);
        if (s == ST_OK) XXH64_update(x, buf, n);
    }
    *same = XXH64_digest(x) == t->tail.base_hash;
    XXH64_freeState(x);
    return s;
}

/* What was made is not what was packed: because of these bytes, or because of the base's. */
static st_status fail_check(const packed *p, size_t block, packed_tensor *t, scratch *s, st_err *err)
{
    bool same = true;
    size_t len;
    if (st_pack_needs_base(&t->tail) && t->base_is) {
        same = t->base_is == SAME;
    } else if (st_pack_needs_base(&t->tail)) {
        ST_TRY(check_base(p, t, s->base, &same, err));
        t->base_is = same ? SAME : OTHER;
    }
    if (same) return fail_block(p, block, "they do not have the checksum that belongs to them", err);
    const char *name = name_of(p, p->tensor_of[block], &len);
    return st_fail_named(err, ST_ARG, p->b.base.label, name, len,
                         "%s is not the base that this was packed against (%s is what that was called): its tensor has "
                         "other values",
                         p->base->label, p->base_name ? p->base_name : "nothing");
}

/* The bytes of chunk `k` of a tensor that has its own; *len is how many of them lie packed in s->in. */
static st_status make_chunk(const packed *p, const packed_tensor *t, uint32_t k, size_t block, void *out, scratch *s,
                            size_t *len, st_err *err)
{
    size_t n = st_pack_chunk_bytes(&t->tail, k), row = st_pack_row(&t->tail);
    bool needs_base = st_pack_needs_base(&t->tail), planes = t->tail.kind == ST_PACK_PLANES;
    const uint32_t *sizes = t->table + k * row + 1;
    const char *why = "they are no such frame";
    *len = 0;
    if (needs_base && !p->base) return fail_no_base(p, block, err);
    if (needs_base) ST_TRY(read_base(p, planes ? s->base : out, t->base_at + ((uint64_t)k << t->tail.chunk), n, err));
    if (!planes) return ST_OK;
    for (size_t i = 0; i + 1 < row; i++) *len += sizes[i]; /* each at most n >> lane: n in all */
    ST_TRY(p->under->ops->read(p->under, s->in, p->at[t->first + k], *len, err));
    st_status status = st_coder_unpack(s->coder, t->tail.transform, t->tail.lane, s->in, sizes,
                                       needs_base ? s->base : NULL, out, n, &why, err);
    return status == ST_FORMAT ? fail_block(p, block, why, err) : status;
}

static st_status make_block(st_blocks *b, size_t block, void *out, void *scratch_of_call, st_err *err)
{
    const packed *p = (const packed *)(void *)b;
    packed_tensor *t = &p->tensors[p->tensor_of[block]], *own = t;
    scratch *s = scratch_of_call;
    size_t len;
    uint32_t k = (uint32_t)(block - t->first);
    if (t->tail.kind == ST_PACK_AS_EARLIER) own = &p->tensors[t->tail.earlier + 1];
    ST_TRY(make_chunk(p, own, k, block, out, s, &len, err));
    if (own != t) len = 0;
    if (st_pack_check(out, st_blocks_size(b, block), s->in, len) == t->table[k * st_pack_row(&t->tail)]) return ST_OK;
    return fail_check(p, block, own, s, err);
}

/* ---------------------------------------------------------------- the source */

static void packed_advise(st_source *s, uint64_t off, uint64_t n)
{
    const packed *p = of(s);
    size_t first = st_blocks_at(&p->b, off), last = st_blocks_at(&p->b, off + (n ? n - 1 : 0));
    const packed_tensor *t = &p->tensors[p->tensor_of[last]];
    uint64_t end = last - t->first + 1 < t->tail.chunks ? p->at[last + 1] : t->at + t->payload;
    if (p->at[first] < end) st_source_advise(p->under, p->at[first], end - p->at[first]);
}

static st_status packed_check(st_source *s, st_err *err)
{
    const packed *p = of(s);
    if (p->base) ST_TRY(p->base->ops->check(p->base, err));
    return p->under->ops->check(p->under, err);
}

static bool packed_identity(st_source *s, uint64_t id[2])
{
    const packed *p = of(s);
    uint64_t both[4] = {0};
    if (!st_source_identity(p->under, both)) return false;
    if (p->base && !st_source_identity(p->base, both + 2)) return false;
    XXH128_hash_t h = XXH3_128bits(both, sizeof both);
    id[0] = h.low64;
    id[1] = h.high64;
    return true;
}

static st_status packed_settle(st_source *s, st_err *err)
{
    const packed *p = of(s);
    st_err why;
    if (p->base) ST_TRY(st_pack_base_failed(st_source_settle(p->base, &why), &why, s->label, err));
    return st_source_settle(p->under, err);
}

static void packed_close(st_source *s)
{
    packed *p = of(s);
    st_blocks_destroy(&p->b);
    for (size_t i = 0; i < p->count; i++) st_free(p->tensors[i].table);
    st_free(p->tensors);
    st_free(p->tensor_of);
    st_free(p->at);
    st_free(p->base_name);
    st_header_free(p->original);
    st_source_unref(p->base);
    st_source_unref(p->under);
    st_free(p);
}

/* ---------------------------------------------------------------- opening */

bool st_pack_is(const st_header *h)
{
    size_t n;
    return st_header_meta_find(h, ST_PACK_META, &n) != NULL;
}

const char *st_header_meta_find(const st_header *h, const char *key, size_t *len)
{
    for (size_t i = 0; i < st_header_meta_count(h); i++) {
        st_text k, v;
        st_header_meta(h, i, &k, &v);
        *len = v.len;
        if (k.len == strlen(key) && memcmp(k.ptr, key, k.len) == 0) return v.ptr;
    }
    return NULL;
}

typedef struct opener {
    packed *p;
    const st_header *h; /* of the packed file */
    const st_pack_base *base;
} opener;

static st_status fail_tensor(const opener *o, const char *name, size_t len, const char *why, st_err *err)
{
    return st_fail_named(err, ST_FORMAT, o->p->under->label, name, len, "it is damaged: %s", why);
}

/* Reads and checks what stands behind a tensor's chunks. */
static st_status read_end(const opener *o, const char *name, size_t len, packed_tensor *t, st_err *err)
{
    st_source *under = o->p->under;
    const char *why;
    char tail[ST_PACK_TAIL_BYTES];
    int64_t i = st_header_find(o->h, name, len);
    if (i < 0) return fail_tensor(o, name, len, "the file does not hold it", err);
    st_info in = st_header_info(o->h, (size_t)i);
    t->at = st_header_data_start(o->h) + in.begin;
    t->payload = in.end - in.begin;
    if (t->payload < sizeof tail) return fail_tensor(o, name, len, "it is too short for a packed tensor", err);
    ST_TRY(under->ops->read(under, tail, t->at + t->payload - sizeof tail, sizeof tail, err));
    if (!st_pack_get_tail(tail, t->payload, &t->tail, &why)) return fail_tensor(o, name, len, why, err);
    uint64_t end = st_pack_end_bytes(&t->tail);
    char *bytes = st_malloc((size_t)end);
    t->table = st_calloc((size_t)t->tail.chunks * st_pack_row(&t->tail) + 1, sizeof *t->table);
    st_status s = bytes && t->table ? under->ops->read(under, bytes, t->at + t->payload - end, (size_t)end, err)
                                    : st_fail_nomem(err, 2 * end);
    if (s == ST_OK && !st_pack_get_table(bytes, t->payload, &t->tail, t->table, &why))
        s = fail_tensor(o, name, len, why, err);
    st_free(bytes);
    return s;
}

/* Room for one more tensor's blocks: their places, and whose they are. */
static st_status add_blocks(packed *p, size_t tensor, uint64_t **starts, size_t *cap, st_err *err)
{
    packed_tensor *t = &p->tensors[tensor];
    size_t n = p->b.n, need = n + t->tail.chunks + 1, row = st_pack_row(&t->tail), caps[3] = {*cap, *cap, *cap};
    if (!st_grow((void **)starts, &caps[0], need, sizeof **starts) ||
        !st_grow((void **)&p->at, &caps[1], need, sizeof *p->at) ||
        !st_grow((void **)&p->tensor_of, &caps[2], need, sizeof *p->tensor_of))
        return st_fail_nomem(err, need * 20);
    *cap = caps[0];
    t->first = n;
    uint64_t at = t->at;
    for (uint32_t k = 0; k < t->tail.chunks; k++) {
        (*starts)[n + k + 1] = (*starts)[n + k] + st_pack_chunk_bytes(&t->tail, k);
        p->at[n + k] = at;
        p->tensor_of[n + k] = (uint32_t)tensor;
        for (size_t i = 1; i < row; i++) at += t->table[k * row + i];
    }
    p->b.n += t->tail.chunks;
    if (p->chunk_most < (size_t)1 << t->tail.chunk) p->chunk_most = (size_t)1 << t->tail.chunk;
    return ST_OK;
}

/* No bit of the packed file's own header may have changed either: it says where the rest is. */
static st_status check_own_header(const opener *o, uint64_t hash, st_err *err)
{
    st_source *under = o->p->under;
    size_t n = (size_t)st_header_data_start(o->h);
    char *text = st_malloc(n);
    if (!text) return st_fail_nomem(err, n);
    st_status s = under->ops->read(under, text, 0, n, err);
    if (s == ST_OK && XXH64(text, n, 0) != hash)
        s = st_fail(err, ST_FORMAT, under->label, NULL,
                    "it is damaged: its header does not have the checksum that belongs to it");
    st_free(text);
    return s;
}

/* The original header's bytes: its tensor needs neither base nor others. */
static st_status read_original(opener *o, st_err *err)
{
    packed *p = o->p;
    packed_tensor *t = &p->tensors[0];
    const char *name = ST_PACK_HEADER;
    size_t len = strlen(name), n, length;
    ST_TRY(read_end(o, name, len, t, err));
    if (t->tail.kind != ST_PACK_PLANES || st_pack_needs_base(&t->tail))
        return fail_tensor(o, name, len, "it may not depend on other bytes", err);
    ST_TRY(check_own_header(o, t->tail.base_hash, err));
    if (t->tail.length < 8 || t->tail.length - 8 > ST_HEADER_MAX || !st_pack_header_fits(t->tail.length, t->payload))
        return fail_tensor(o, name, len, "a header cannot have this length", err);
    n = (size_t)t->tail.length;
    char *text = st_malloc(n + 1);
    if (!text) return st_fail_nomem(err, n + 1);
    uint64_t *starts = st_calloc(1, sizeof *starts), size = 0;
    size_t cap = 1;
    st_status s = starts ? add_blocks(p, 0, &starts, &cap, err) : st_fail_nomem(err, sizeof *starts);
    scratch *work = s == ST_OK ? new_scratch(&p->b) : NULL;
    if (s == ST_OK && !work) s = st_fail_nomem(err, p->chunk_most);
    p->b.starts = starts;
    for (size_t i = 0; s == ST_OK && i < p->b.n; i++) s = make_block(&p->b, i, text + starts[i], work, err);
    if (work) free_scratch(work);
    if (s == ST_OK) s = st_header_length(p->under->label, text, n, n, &length, err);
    if (s == ST_OK && length != n - 8) s = fail_tensor(o, name, len, "its length is not what it says", err);
    size_t digits;
    const char *told = st_header_meta_find(o->h, ST_PACK_META_SIZE, &digits);
    for (size_t i = 0; told && i < digits && told[i] >= '0' && told[i] <= '9' && size < UINT64_MAX / 100; i++)
        size = size * 10 + (uint64_t)(told[i] - '0');
    if (s != ST_OK) {
        st_free(text);
        return s;
    }
    memmove(text, text + 8, n - 8);
    return st_header_adopt(p->under->label, text, n - 8, size, &p->original, err);
}

static st_status find_base(const opener *o, st_info in, packed_tensor *t, st_err *err)
{
    if (!o->base) return ST_OK;
    int64_t i = st_header_find(o->base->header, in.name, in.name_len);
    st_info b = {0};
    if (i >= 0) b = st_header_info(o->base->header, (size_t)i);
    if (i < 0 || b.end - b.begin != t->tail.length)
        return st_fail_named(
            err, ST_ARG, o->p->under->label, in.name, in.name_len,
            "%s is not the base that this was packed against: it has no tensor of this name and length",
            o->base->source->label);
    t->base_at = st_header_data_start(o->base->header) + b.begin;
    return ST_OK;
}

static st_status check_tensor(const opener *o, size_t number, st_info in, packed_tensor *t, st_err *err)
{
    if (t->tail.length != in.end - in.begin)
        return fail_tensor(o, in.name, in.name_len, "its length is not that of the original header", err);
    if (t->tail.kind == ST_PACK_AS_EARLIER) {
        const packed_tensor *e = t->tail.earlier < number ? &o->p->tensors[t->tail.earlier + 1] : NULL;
        if (!e || e->tail.kind == ST_PACK_AS_EARLIER || e->tail.length != t->tail.length ||
            e->tail.chunk != t->tail.chunk)
            return fail_tensor(o, in.name, in.name_len, "it refers to a tensor that cannot stand for it", err);
    }
    return st_pack_needs_base(&t->tail) ? find_base(o, in, t, err) : ST_OK;
}

static st_status open_tensors(opener *o, st_err *err)
{
    packed *p = o->p;
    size_t n = st_header_count(p->original), cap = p->b.n + 1;
    packed_tensor *all = st_realloc(p->tensors, (n + 1) * sizeof *all);
    if (!all) return st_fail_nomem(err, (n + 1) * sizeof *all);
    memset(all + 1, 0, n * sizeof *all);
    p->tensors = all;
    p->count = n + 1;
    if (st_header_count(o->h) != n + 1)
        return st_fail(err, ST_FORMAT, p->under->label, NULL,
                       "it is damaged: %zu packed tensors for the %zu of the original", st_header_count(o->h) - 1, n);
    for (size_t i = 0; i < n; i++) {
        st_info in = st_header_info(p->original, i);
        ST_TRY(read_end(o, in.name, in.name_len, &all[i + 1], err));
        ST_TRY(check_tensor(o, i, in, &all[i + 1], err));
        ST_TRY(add_blocks(p, i + 1, &p->b.starts, &cap, err));
    }
    return ST_OK;
}

static const st_block_ops block_ops = {make_block, new_scratch, free_scratch};
static const st_source_ops source_ops = {.read = st_blocks_read,
                                         .advise = packed_advise,
                                         .check = packed_check,
                                         .settle = packed_settle,
                                         .identity = packed_identity,
                                         .close = packed_close};

static st_status keep_base(packed *p, const opener *o, st_err *err)
{
    size_t len;
    const char *name = st_header_meta_find(o->h, ST_PACK_META_BASE, &len);
    if (name) {
        char shown[256];
        st_escape(shown, sizeof shown, name, len);
        p->base_name = st_strndup(shown, strlen(shown));
        if (!p->base_name) return st_fail_nomem(err, strlen(shown) + 1);
    }
    if (o->base) p->base = st_source_ref(o->base->source);
    return ST_OK;
}

static st_status open_packed(opener *o, st_err *err)
{
    packed *p = o->p;
    ST_TRY(keep_base(p, o, err));
    p->tensors = st_calloc(1, sizeof *p->tensors);
    p->count = p->tensors ? 1 : 0;
    if (!p->tensors) return st_fail_nomem(err, sizeof *p->tensors);
    ST_TRY(read_original(o, err));
    ST_TRY(open_tensors(o, err));
    uint64_t *starts = p->b.starts;
    p->b.starts = NULL;
    return st_blocks_init(&p->b, &block_ops, starts, p->b.n, err);
}

st_status st_pack_open(st_source *packed_file, const st_header *h, const st_pack_base *base, st_source **out,
                       st_err *err)
{
    *out = NULL;
    packed *p = st_calloc(1, sizeof *p);
    if (!p) return st_fail_nomem(err, sizeof *p);
    p->b.base.ops = &source_ops;
    p->b.base.refs = 1;
    p->b.base.label = packed_file->label;
    p->b.base.in_order = packed_file->in_order;
    p->under = st_source_ref(packed_file);
    opener o = {p, h, base};
    st_status s = open_packed(&o, err);
    if (s == ST_OK) {
        *out = &p->b.base;
        return ST_OK;
    }
    if (!p->b.ops) { /* not yet whole */
        st_free(p->b.starts);
        p->b.starts = NULL;
    }
    packed_close(&p->b.base);
    return s;
}

st_status st_pack_verify(st_source *s, st_ctx *ctx, st_damages *d, st_err *err)
{
    d->checked = true;
    return st_blocks_verify(&of(s)->b, ctx, d, err);
}
