/* view.c - the same elements in another order: reshape, permute, narrow, expand. Layer: exec. Nothing is moved here; a
 * view is a start and a stride per dimension over its operand's row-major elements. */
#include "tensor.h"
#include "shape.h"

#include <string.h>

/* Strides of a shape in row-major order. */
static void compact(int ndim, const int64_t *shape, int64_t *strides)
{
    int64_t step = 1;
    for (int d = ndim; d-- > 0;) {
        strides[d] = step;
        step *= shape[d] ? shape[d] : 1;
    }
}

/* True if elements follow each other without gaps. Dimensions of size 1 never step. */
static bool is_compact(int ndim, const int64_t *shape, const int64_t *strides)
{
    int64_t step = 1;
    for (int d = ndim; d-- > 0;) {
        if (shape[d] != 1 && strides[d] != step) return false;
        step *= shape[d];
    }
    return true;
}

bool st_view_is_plain(const st_tensor *t)
{
    return t->node == ST_N_VIEW && t->start == 0 && t->numel == t->args[0]->numel &&
           is_compact(t->ndim, t->shape, t->strides);
}

/* A view's place in what it is a view of; of any other tensor, all of it. */
typedef struct place {
    st_tensor *base;
    int64_t start, strides[ST_MAX_DIMS];
} place;

static void place_of(st_tensor *t, place *p)
{
    p->base = t;
    p->start = 0;
    compact(t->ndim, t->shape, p->strides);
    if (t->node != ST_N_VIEW || t->forced) return;
    p->base = t->args[0];
    p->start = t->start;
    if (t->ndim) memcpy(p->strides, t->strides, (size_t)t->ndim * sizeof *t->strides);
}

static st_status new_view(const place *p, int ndim, const int64_t *shape, st_tensor **out, st_err *err)
{
    st_tensor *base = p->base;
    unsigned bits = st_dtype_bits(base->dtype);
    bool dense = is_compact(ndim, shape, p->strides);
    if (base->node == ST_N_RANGE && dense && bits % 8 == 0) /* still a range of the file */
        return st_tensor_range(base->source, base->offset + (uint64_t)p->start * (bits / 8), base->dtype, ndim, shape,
                               base->name, strlen(base->name), base->quant, out, err);
    if (bits % 8 != 0)
        return st_fail(err, ST_DTYPE, st_tensor_file(base), base->name,
                       "parts of %s values, which share bytes, cannot be taken", st_dtype_name(base->dtype));
    ST_TRY(st_node_new(ST_N_VIEW, base->dtype, ndim, shape, 1, &base, out, err));
    (*out)->start = p->start;
    (*out)->quant = base->quant;
    if (ndim) memcpy((*out)->strides, p->strides, (size_t)ndim * sizeof *p->strides);
    return ST_OK;
}

/* ---------------------------------------------------------------- the four views */

st_status st_expand(st_tensor *t, int ndim, const int64_t *shape, st_tensor **out, st_err *err)
{
    place p, q;
    char from[160], to[160];
    *out = NULL;
    place_of(t, &p);
    q = p;
    bool ok = ndim >= t->ndim && ndim <= ST_MAX_DIMS;
    for (int i = 1; ok && i <= ndim; i++) {
        int64_t size = i <= t->ndim ? t->shape[t->ndim - i] : 1;
        q.strides[ndim - i] = size == 1 ? 0 : p.strides[t->ndim - i];
        ok = size == 1 || size == shape[ndim - i];
    }
    if (ok) return new_view(&q, ndim, shape, out, err);
    st_shape_text(from, sizeof from, t->ndim, t->shape);
    st_shape_text(to, sizeof to, ndim, shape);
    return st_fail(err, ST_SHAPE, st_tensor_file(t), t->name, "expand: shape %s does not broadcast to %s", from, to);
}

st_status st_permute(st_tensor *t, const int *order, st_tensor **out, st_err *err)
{
    place p, q;
    int64_t shape[ST_MAX_DIMS];
    bool seen[ST_MAX_DIMS] = {false};
    *out = NULL;
    place_of(t, &p);
    q = p;
    for (int d = 0; d < t->ndim; d++) {
        int from = order[d];
        if (from < 0 || from >= t->ndim || seen[from])
            return st_fail(err, ST_ARG, NULL, t->name, "permute: the order must name each of the %d dimensions once",
                           t->ndim);
        seen[from] = true;
        shape[d] = t->shape[from];
        q.strides[d] = p.strides[from];
    }
    return new_view(&q, t->ndim, shape, out, err);
}

st_status st_narrow(st_tensor *t, int dim, int64_t start, int64_t count, int64_t step, st_tensor **out, st_err *err)
{
    place p;
    int64_t shape[ST_MAX_DIMS], last;
    *out = NULL;
    if (dim < 0 || dim >= t->ndim)
        return st_fail(err, ST_ARG, NULL, t->name, "narrow: dimension %d of a tensor with %d", dim + 1, t->ndim);
    bool ok = count >= 0 && step != 0 && !__builtin_mul_overflow(count ? count - 1 : 0, step, &last) &&
              !__builtin_add_overflow(start, last, &last);
    int64_t size = t->shape[dim];
    ok = ok && (count == 0 ? start >= 0 && start <= size : start >= 0 && start < size && last >= 0 && last < size);
    if (!ok)
        return st_fail(err, ST_ARG, NULL, t->name,
                       "narrow: %lld elements from %lld by %lld do not lie in dimension %d of size %lld",
                       (long long)count, (long long)start + 1, (long long)step, dim + 1, (long long)size);
    place_of(t, &p);
    if (t->ndim) memcpy(shape, t->shape, (size_t)t->ndim * sizeof *shape);
    shape[dim] = count;
    p.start += count ? start * p.strides[dim] : 0;
    p.strides[dim] *= step;
    return new_view(&p, t->ndim, shape, out, err);
}

/* Strides that a new shape has over old ones, where it can be had without moving anything: runs of old dimensions that
 * lie behind one another are cut anew. */
static bool reshape_strides(int n, const int64_t *shape, const int64_t *strides, int m, const int64_t *want,
                            int64_t *out)
{
    int i = 0, j = 0;
    while (i < n || j < m) {
        int64_t old = 1, new = 1;
        int i0 = i, j0 = j;
        if (i < n) old = shape[i++];
        if (j < m) new = want[j++];
        while (old != new)
            if (old < new) {
                if (i == n) return false;
                old *= shape[i++];
            } else {
                if (j == m) return false;
                new *= want[j++];
            }
        /* The old run must step as one: each dimension where the one behind it ends. */
        int64_t step = 1, end = 0;
        bool any = false;
        for (int d = i; d-- > i0;) {
            if (shape[d] == 1) continue;
            if (any && strides[d] != end) return false;
            if (!any) step = strides[d];
            any = true;
            end = strides[d] * shape[d];
        }
        for (int d = j; d-- > j0;) {
            out[d] = step;
            step *= want[d];
        }
    }
    return true;
}

st_status st_reshape(st_tensor *t, int ndim, const int64_t *shape, st_tensor **out, st_err *err)
{
    place p, q;
    uint64_t numel;
    char from[160], to[160];
    *out = NULL;
    if (ndim > ST_MAX_DIMS || !st_shape_numel(ndim, shape, &numel) || numel != t->numel) {
        st_shape_text(from, sizeof from, t->ndim, t->shape);
        st_shape_text(to, sizeof to, ndim, shape);
        return st_fail(err, ST_SHAPE, st_tensor_file(t), t->name, "reshape: %s has %llu elements, which do not fit %s",
                       from, (unsigned long long)t->numel, to);
    }
    place_of(t, &p);
    q = p;
    if (numel == 0) {
        compact(ndim, shape, q.strides);
    } else if (!reshape_strides(t->ndim, t->shape, p.strides, ndim, shape, q.strides)) {
        q.base = t; /* a view of the view: its elements are put in order when it is computed */
        q.start = 0;
        compact(ndim, shape, q.strides);
    }
    return new_view(&q, ndim, shape, out, err);
}
