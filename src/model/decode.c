/* decode.c - sources whose bytes are made of others: swapped, or dequantised. Layer: model; reads the source below it.
 */
#include "decode.h"
#include "kern.h"
#include "mem.h"
#include "shape.h"

#include <string.h>
#include <xxhash.h>

enum { PIECE = 32 << 10, UNIT = 1024 }; /* bytes below that are read at once; the most a unit becomes */

/* The bytes below are units of `in` bytes, each of which becomes `out` bytes. */
typedef struct decoded {
    st_source base;
    st_source *below;
    uint64_t offset;
    size_t in, out;
    st_coding coding;
    st_q type;
} decoded;

static decoded *of(st_source *s) { return (decoded *)(void *)s; }

/* The type of a coding, where it is one of ggml's. */
static const struct {
    bool is;
    st_q type;
} quantised[ST_CODING_COUNT] = {
#define X(id, elements, bytes, fn) [ST_CODED_##id] = {true, ST_Q_##id},
    ST_QUANTISED(X)
#undef X
};

/* n units from number `first` on; `to` is aligned as their elements are. */
static st_status make(const decoded *d, uint64_t first, size_t n, void *to, st_err *err)
{
    char coded[PIECE];
    ST_TRY(d->below->ops->read(d->below, coded, d->offset + first * d->in, n * d->in, err));
    if (d->coding == ST_CODED_SWAPPED)
        st_kern_swap(coded, to, d->in, n);
    else
        st_kern_dequantise(d->type, coded, n, to);
    return ST_OK;
}

/* Whole units go where they are wanted, parts of one by way of a buffer. */
static st_status decoded_read(st_source *s, void *buf, uint64_t off, size_t n, st_err *err)
{
    const decoded *d = of(s);
    char *to = buf;
    uint64_t end;
    if (!st_add_u64(off, n, &end) || end > s->size)
        return st_fail(err, ST_INTERNAL, s->label, NULL, "a read of %zu bytes at %llu leaves the %llu bytes there are",
                       n, (unsigned long long)off, (unsigned long long)s->size);
    while (n) {
        uint64_t unit = off / d->out;
        size_t skip = (size_t)(off % d->out), whole = n / d->out, take;
        if (skip == 0 && whole > 0 && (uintptr_t)to % sizeof(float) == 0) {
            take = (whole < PIECE / d->in ? whole : PIECE / d->in) * d->out;
            ST_TRY(make(d, unit, take / d->out, to, err));
        } else {
            float one[UNIT / sizeof(float)];
            take = d->out - skip < n ? d->out - skip : n;
            ST_TRY(make(d, unit, 1, one, err));
            memcpy(to, (const char *)one + skip, take);
        }
        to += take;
        off += take;
        n -= take;
    }
    return ST_OK;
}

static void advise(st_source *s, uint64_t off, uint64_t n)
{
    const decoded *d = of(s);
    st_source_advise(d->below, d->offset + off / d->out * d->in, n / d->out * d->in);
}

static st_status settle(st_source *s, st_err *err) { return st_source_settle(of(s)->below, err); }
static st_status check(st_source *s, st_err *err) { return of(s)->below->ops->check(of(s)->below, err); }

static bool identity(st_source *s, uint64_t id[2])
{
    const decoded *d = of(s);
    uint64_t below[2];
    if (!st_source_identity(d->below, below)) return false;
    const uint64_t what[] = {below[0], below[1], d->offset, s->size, d->coding, d->in};
    XXH128_hash_t h = XXH3_128bits(what, sizeof what);
    id[0] = h.low64;
    id[1] = h.high64;
    return true;
}

static void close_decoded(st_source *s)
{
    st_source_unref(of(s)->below);
    st_free(s);
}

static const st_source_ops source_ops = {.read = decoded_read,
                                         .advise = advise,
                                         .check = check,
                                         .settle = settle,
                                         .identity = identity,
                                         .close = close_decoded};

st_status st_decode_open(st_source *below, const st_listed *t, st_source **out, st_err *err)
{
    decoded *d = st_calloc(1, sizeof *d);
    *out = NULL;
    if (!d) return st_fail_nomem(err, sizeof *d);
    d->coding = (st_coding)t->coding;
    d->type = quantised[t->coding].type;
    const st_quantised *q = &st_kern_quantised[d->type];
    size_t width = st_dtype_bits((st_dtype)t->dtype) / 8;
    if (quantised[t->coding].is) {
        d->in = q->bytes;
        d->out = q->elements * sizeof(float);
    } else {
        d->in = d->out = st_dtype_kind((st_dtype)t->dtype) == ST_KIND_COMPLEX ? width / 2 : width;
    }
    d->offset = t->offset;
    d->base.ops = &source_ops;
    d->base.refs = 1;
    d->base.label = below->label;
    d->base.in_order = below->in_order;
    d->base.size = t->bytes / d->in * d->out;
    d->below = st_source_ref(below);
    *out = &d->base;
    return ST_OK;
}
