/* join.c - tensors that are put together: st_cat, and the counting that ranges are made of. Layer: exec.
 *
 * Parts that lie in files or memory in one dtype make a new source whose bytes are theirs, so that a join streams like
 * a file: nothing is held. Others are computed whole, one part after the other. */
#include "context.h"
#include "hold.h"
#include "key.h"
#include "mem.h"
#include "shape.h"

#include <string.h>

enum { SHORT_READ = 4096 }; /* bytes: a source of shorter pieces is slower than computing it whole */

/* ---------------------------------------------------------------- a source made of parts */

/* The bytes are rows; each row is `bytes[0]` of part 0, `bytes[1]` of part 1 ... */
typedef struct join_source {
    st_source base;
    uint64_t row;
    int n;
    struct {
        st_tensor *t;
        uint64_t bytes;
    } part[];
} join_source;

static join_source *of(st_source *s) { return (join_source *)(void *)s; }

static st_status read_part(const st_tensor *t, uint64_t off, void *buf, size_t n, st_err *err)
{
    if (t->node == ST_N_RANGE) return t->source->ops->read(t->source, buf, t->offset + off, n, err);
    memcpy(buf, (const char *)t->values + off, n);
    return ST_OK;
}

static st_status join_read(st_source *s, void *buf, uint64_t off, size_t n, st_err *err)
{
    const join_source *j = of(s);
    char *dst = buf;
    while (n) {
        uint64_t row = off / j->row, at = off % j->row;
        int i = 0;
        for (; at >= j->part[i].bytes; i++) at -= j->part[i].bytes;
        size_t take = j->part[i].bytes - at < n ? (size_t)(j->part[i].bytes - at) : n;
        ST_TRY(read_part(j->part[i].t, row * j->part[i].bytes + at, dst, take, err));
        dst += take;
        off += take;
        n -= take;
    }
    return ST_OK;
}

static st_status join_check(st_source *s, st_err *err)
{
    const join_source *j = of(s);
    for (int i = 0; i < j->n; i++) {
        st_source *src = j->part[i].t->source;
        if (src) ST_TRY(src->ops->check(src, err));
    }
    return ST_OK;
}

static st_status join_settle(st_source *s, st_err *err)
{
    const join_source *j = of(s);
    for (int i = 0; i < j->n; i++) {
        st_source *src = j->part[i].t->source;
        if (src) ST_TRY(st_source_settle(src, err));
    }
    return ST_OK;
}

static bool join_identity(st_source *s, uint64_t id[2])
{
    const join_source *j = of(s);
    st_key k = {0};
    st_key_add(&k, &j->row, sizeof j->row);
    st_key_add(&k, &s->size, sizeof s->size);
    for (int i = 0; i < j->n; i++)
        if (st_key_add_tensors(&k, &j->part[i].t, 1, NULL) != ST_OK) return false;
    memcpy(id, k.part, sizeof k.part);
    return true;
}

static void join_close(st_source *s)
{
    join_source *j = of(s);
    for (int i = 0; i < j->n; i++) st_tensor_unref(j->part[i].t);
    st_free(j);
}

static st_status join_raw(st_tensor *const *parts, int n, uint64_t rows, st_dtype dtype, int ndim, const int64_t *shape,
                          st_tensor **out, st_err *err)
{
    static const st_source_ops ops = {
        .read = join_read, .check = join_check, .settle = join_settle, .identity = join_identity, .close = join_close};
    size_t size = sizeof(join_source) + (size_t)n * sizeof(((join_source *)0)->part[0]);
    join_source *j = st_calloc(1, size);
    if (!j) return st_fail_nomem(err, size);
    j->base.ops = &ops;
    j->base.refs = 1;
    for (int i = 0; i < n; i++) {
        uint64_t bytes = st_tensor_nbytes(parts[i]) / rows;
        if (bytes == 0) continue;
        j->part[j->n].t = st_tensor_ref(parts[i]);
        j->part[j->n++].bytes = bytes;
        j->row += bytes;
    }
    j->base.size = j->row * rows;
    st_status s = st_tensor_range(&j->base, 0, dtype, ndim, shape, "cat", 3, NULL, out, err);
    st_source_unref(&j->base);
    return s;
}

/* ---------------------------------------------------------------- computed whole */

/* param[0]: rows, as above. */
static st_status join_compute(st_ctx *ctx, const st_tensor *t, void *out, st_err *err)
{
    st_dtype held = st_held_dtype(t);
    size_t width = st_dtype_bits(held) / 8;
    uint64_t rows = (uint64_t)t->param[0], row = t->numel / rows * width;
    char *column = out, *buf = NULL;
    st_status s = ST_OK;
    for (int i = 0; s == ST_OK && i < t->nargs; i++) {
        st_tensor *part = t->args[i];
        size_t piece = part->numel / rows * width;
        if (rows > 1) {
            st_free(buf);
            buf = st_malloc(part->numel * width);
            if (!buf) return st_fail_nomem(err, part->numel * width);
        }
        s = st_export(ctx, part, 0, part->numel, held, rows > 1 ? buf : column, err);
        for (uint64_t r = 0; s == ST_OK && rows > 1 && r < rows; r++) memcpy(column + r * row, buf + r * piece, piece);
        column += piece;
    }
    st_free(buf);
    return s;
}

static const st_whole join_whole = {"cat", join_compute};

/* ---------------------------------------------------------------- st_cat */

static st_status check_part(const st_tensor *first, const st_tensor *t, int dim, int number, st_err *err)
{
    ST_TRY(st_check_computable(t, "cat", err));
    bool ok = t->ndim == first->ndim;
    for (int d = 0; ok && d < t->ndim; d++) ok = d == dim || t->shape[d] == first->shape[d];
    if (ok) return ST_OK;
    char a[160], b[160];
    st_shape_text(a, sizeof a, first->ndim, first->shape);
    st_shape_text(b, sizeof b, t->ndim, t->shape);
    return st_fail(err, ST_SHAPE, st_tensor_file(t), t->name,
                   "cat: tensor %d has shape %s, the first %s; they must agree in all dimensions but %d", number, b, a,
                   dim + 1);
}

st_status st_cat(st_tensor *const *parts, int n, int dim, st_tensor **out, st_err *err)
{
    *out = NULL;
    if (n < 1) return st_fail(err, ST_ARG, NULL, NULL, "cat: give at least one tensor");
    const st_tensor *first = parts[0];
    if (dim < 0 || dim >= first->ndim)
        return st_fail(err, ST_ARG, NULL, first->name, "cat: dimension %d of a tensor with %d", dim + 1, first->ndim);
    int64_t shape[ST_MAX_DIMS], total = 0;
    st_dtype dtype;
    bool raw = true;
    for (int i = 0; i < n; i++) {
        ST_TRY(check_part(first, parts[i], dim, i + 1, err));
        if (__builtin_add_overflow(total, parts[i]->shape[dim], &total))
            return st_fail(err, ST_SHAPE, NULL, NULL, "cat: the result is too large");
        raw = raw && st_is_raw(parts[i]) && parts[i]->dtype == first->dtype;
    }
    ST_TRY(st_result_dtype(parts, n, &dtype, err));
    memcpy(shape, first->shape, (size_t)first->ndim * sizeof *shape);
    shape[dim] = total;
    uint64_t rows = 1;
    for (int d = 0; d < dim; d++) rows *= (uint64_t)shape[d];
    st_tensor *t;
    ST_TRY(st_node_new(ST_N_WHOLE, dtype, first->ndim, shape, n, parts, &t, err));
    uint64_t row = rows ? st_tensor_nbytes(t) / rows : 0;
    if (raw && t->numel && (rows == 1 || row / (unsigned)n >= SHORT_READ)) {
        st_tensor_unref(t);
        return join_raw(parts, n, rows, dtype, first->ndim, shape, out, err);
    }
    t->whole = &join_whole;
    t->param[0] = (int64_t)rows;
    *out = t;
    return ST_OK;
}

/* ---------------------------------------------------------------- counting */

static st_status iota_compute(st_ctx *ctx, const st_tensor *t, void *out, st_err *err)
{
    int64_t *d = out;
    (void)ctx;
    (void)err;
    for (uint64_t i = 0; i < t->numel; i++) d[i] = (int64_t)i;
    return ST_OK;
}

st_status st_iota(int64_t count, st_tensor **out, st_err *err)
{
    static const st_whole whole = {"iota", iota_compute};
    ST_TRY(st_node_new(ST_N_WHOLE, ST_I64, 1, &count, 0, NULL, out, err));
    (*out)->whole = &whole;
    return ST_OK;
}
