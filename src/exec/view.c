/* view.c - the same elements in another order: places, and the views reshape, permute, narrow, expand. Layer: exec.
 * Nothing is moved here; a view is a start and a stride per dimension over its operand's row-major elements. */
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

void st_place_of(const st_tensor *t, st_place *p)
{
    p->of = t;
    p->ndim = t->ndim;
    p->start = 0;
    if (t->ndim) memcpy(p->shape, t->shape, (size_t)t->ndim * sizeof *t->shape);
    compact(t->ndim, t->shape, p->strides);
}

bool st_place_is_all(const st_place *p, const st_tensor *t)
{
    uint64_t numel;
    return p->start == 0 && st_shape_numel(p->ndim, p->shape, &numel) && numel == t->numel &&
           is_compact(p->ndim, p->shape, p->strides);
}

/* What the elements of `t` are elements of, and where: of a view its operand, of any other tensor itself. */
static st_tensor *inner(st_tensor *t, st_place *p)
{
    st_place_of(t, p);
    if (t->node != ST_N_VIEW || t->forced) return t;
    p->start = t->start;
    if (t->ndim) memcpy(p->strides, t->strides, (size_t)t->ndim * sizeof *t->strides);
    return t->args[0];
}

static st_status new_view(st_tensor *base, const st_place *p, st_tensor **out, st_err *err)
{
    unsigned bits = st_dtype_bits(base->dtype);
    bool dense = is_compact(p->ndim, p->shape, p->strides);
    if (base->node == ST_N_RANGE && dense && bits % 8 == 0) /* still a range of the file */
        return st_tensor_range(base->source, base->offset + (uint64_t)p->start * (bits / 8), base->dtype, p->ndim,
                               p->shape, base->name, strlen(base->name), base->quant, out, err);
    if (bits % 8 != 0)
        return st_fail(err, ST_DTYPE, st_tensor_file(base), base->name,
                       "parts of %s values, which share bytes, cannot be taken", st_dtype_name(base->dtype));
    ST_TRY(st_node_new(ST_N_VIEW, base->dtype, p->ndim, p->shape, 1, &base, out, err));
    (*out)->start = p->start;
    (*out)->quant = base->quant;
    if (p->ndim) memcpy((*out)->strides, p->strides, (size_t)p->ndim * sizeof *p->strides);
    return ST_OK;
}

/* Every element of the place exists. */
static bool inside(const st_place *p, uint64_t numel)
{
    int64_t low = p->start, high = low;
    for (int d = 0; d < p->ndim; d++) {
        int64_t reach;
        if (p->shape[d] == 0) return true;
        if (__builtin_mul_overflow(p->shape[d] - 1, p->strides[d], &reach)) return false;
        if (__builtin_add_overflow(reach < 0 ? low : high, reach, reach < 0 ? &low : &high)) return false;
    }
    return low >= 0 && (uint64_t)high < numel;
}

st_status st_view(st_tensor *t, const st_place *place, st_tensor **out, st_err *err)
{
    st_place p = *place;
    *out = NULL;
    if (!inside(&p, t->numel)) return st_fail(err, ST_INTERNAL, NULL, t->name, "a view leaves its tensor");
    if (t->node != ST_N_VIEW || t->forced) return new_view(t, &p, out, err);
    /* Of a view: straight to its operand where the way is simple, as in parts of one, and in a number repeated. */
    bool steps = false;
    for (int d = 0; d < t->ndim; d++) steps = steps || (t->shape[d] != 1 && t->strides[d] != 0);
    if (steps && !is_compact(t->ndim, t->shape, t->strides)) return new_view(t, &p, out, err);
    p.start = steps ? p.start + t->start : t->start;
    for (int d = 0; !steps && d < p.ndim; d++) p.strides[d] = 0;
    return new_view(t->args[0], &p, out, err);
}

/* ---------------------------------------------------------------- the four ways to move a place */

st_status st_place_expand(st_place *p, int ndim, const int64_t *shape, st_err *err)
{
    char from[160], to[160];
    int64_t strides[ST_MAX_DIMS];
    bool ok = ndim >= p->ndim && ndim <= ST_MAX_DIMS;
    for (int i = 1; ok && i <= ndim; i++) {
        int64_t size = i <= p->ndim ? p->shape[p->ndim - i] : 1;
        strides[ndim - i] = size == 1 ? 0 : p->strides[p->ndim - i];
        ok = (size == 1 && shape[ndim - i] >= 0) || size == shape[ndim - i];
    }
    if (!ok) {
        st_shape_text(from, sizeof from, p->ndim, p->shape);
        st_shape_text(to, sizeof to, ndim, shape);
        return st_fail(err, ST_SHAPE, st_tensor_file(p->of), p->of->name, "expand: shape %s does not broadcast to %s",
                       from, to);
    }
    p->ndim = ndim;
    if (ndim) memcpy(p->shape, shape, (size_t)ndim * sizeof *shape);
    if (ndim) memcpy(p->strides, strides, (size_t)ndim * sizeof *strides);
    return ST_OK;
}

st_status st_place_permute(st_place *p, const int *order, st_err *err)
{
    st_place q = *p;
    bool seen[ST_MAX_DIMS] = {false};
    for (int d = 0; d < p->ndim; d++) {
        int from = order[d];
        if (from < 0 || from >= p->ndim || seen[from])
            return st_fail(err, ST_ARG, NULL, p->of->name,
                           "permute: the order must name each of the %d dimensions once", p->ndim);
        seen[from] = true;
        q.shape[d] = p->shape[from];
        q.strides[d] = p->strides[from];
    }
    *p = q;
    return ST_OK;
}

st_status st_place_narrow(st_place *p, int dim, int64_t start, int64_t count, int64_t step, st_err *err)
{
    int64_t last;
    if (dim < 0 || dim >= p->ndim)
        return st_fail(err, ST_ARG, NULL, p->of->name, "narrow: dimension %d of a tensor with %d", dim + 1, p->ndim);
    bool ok = count >= 0 && step != 0 && !__builtin_mul_overflow(count ? count - 1 : 0, step, &last) &&
              !__builtin_add_overflow(start, last, &last);
    int64_t size = p->shape[dim];
    ok = ok && (count == 0 ? start >= 0 && start <= size : start >= 0 && start < size && last >= 0 && last < size);
    if (!ok)
        return st_fail(err, ST_ARG, NULL, p->of->name,
                       "narrow: %lld elements from %lld by %lld do not lie in dimension %d of size %lld",
                       (long long)count, (long long)start + 1, (long long)step, dim + 1, (long long)size);
    p->shape[dim] = count;
    p->start += count ? start * p->strides[dim] : 0;
    p->strides[dim] *= count > 1 ? step : 1; /* else there is no step, and a large one might overflow */
    return ST_OK;
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

st_status st_place_reshape(st_place *p, int ndim, const int64_t *shape, const char *who, bool *fits, st_err *err)
{
    uint64_t numel, have;
    char from[160], to[160];
    int64_t strides[ST_MAX_DIMS];
    bool ok = st_shape_numel(p->ndim, p->shape, &have) && ndim <= ST_MAX_DIMS && st_shape_numel(ndim, shape, &numel);
    if (!ok || numel != have) {
        st_shape_text(from, sizeof from, p->ndim, p->shape);
        st_shape_text(to, sizeof to, ndim, shape);
        return st_fail(err, ST_SHAPE, st_tensor_file(p->of), p->of->name,
                       "%s: %s has %llu elements, which do not fit %s", who, from, (unsigned long long)have, to);
    }
    *fits = true;
    if (numel == 0)
        compact(ndim, shape, strides);
    else
        *fits = reshape_strides(p->ndim, p->shape, p->strides, ndim, shape, strides);
    if (!*fits) return ST_OK;
    p->ndim = ndim;
    if (ndim) memcpy(p->shape, shape, (size_t)ndim * sizeof *shape);
    if (ndim) memcpy(p->strides, strides, (size_t)ndim * sizeof *strides);
    return ST_OK;
}

/* ---------------------------------------------------------------- the four views */

st_status st_expand(st_tensor *t, int ndim, const int64_t *shape, st_tensor **out, st_err *err)
{
    st_place p;
    *out = NULL;
    st_tensor *base = inner(t, &p);
    ST_TRY(st_place_expand(&p, ndim, shape, err));
    return new_view(base, &p, out, err);
}

st_status st_permute(st_tensor *t, const int *order, st_tensor **out, st_err *err)
{
    st_place p;
    *out = NULL;
    st_tensor *base = inner(t, &p);
    ST_TRY(st_place_permute(&p, order, err));
    return new_view(base, &p, out, err);
}

st_status st_narrow(st_tensor *t, int dim, int64_t start, int64_t count, int64_t step, st_tensor **out, st_err *err)
{
    st_place p;
    *out = NULL;
    st_tensor *base = inner(t, &p);
    ST_TRY(st_place_narrow(&p, dim, start, count, step, err));
    return new_view(base, &p, out, err);
}

st_status st_reshape(st_tensor *t, int ndim, const int64_t *shape, st_tensor **out, st_err *err)
{
    st_place p;
    bool fits;
    *out = NULL;
    st_tensor *base = inner(t, &p);
    ST_TRY(st_place_reshape(&p, ndim, shape, "reshape", &fits, err));
    if (!fits) { /* a view of the view: its elements are put in order when it is computed */
        base = t;
        st_place_of(t, &p);
        ST_TRY(st_place_reshape(&p, ndim, shape, "reshape", &fits, err));
    }
    return new_view(base, &p, out, err);
}
