/* assign.c - writing into a tensor's values, and copies that can be written to. Layer: exec.
 *
 * Nodes never change while anybody can look: st_assign writes in place only where its caller holds the one reference.
 */
#include "hold.h"
#include "mem.h"
#include "shape.h"

#include <string.h>

static st_status check_room(st_ctx *ctx, const st_tensor *t, uint64_t bytes, st_err *err)
{
    if (bytes <= st_ctx_memory(ctx)) return ST_OK;
    return st_fail(err, ST_LIMIT, st_tensor_file(t), t->name,
                   "a copy in memory takes %llu bytes; the limit is %llu (raise it with --memory)",
                   (unsigned long long)bytes, (unsigned long long)st_ctx_memory(ctx));
}

/* All elements of `values` as `dtype`. A number repeated is computed once. */
static st_status compute(st_ctx *ctx, st_tensor *values, st_dtype dtype, char *out, st_err *err)
{
    st_tensor *one = values->node == ST_N_VIEW ? values->args[0] : values;
    bool number = one->node == ST_N_CAST && one->args[0]->node == ST_N_NUMBER && one->dtype == dtype;
    if (!number) return st_export(ctx, values, 0, values->numel, dtype, out, err);
    size_t width = st_dtype_bits(dtype) / 8, done = width, bytes = values->numel * width;
    ST_TRY(st_export_plain(ctx, one, out, err));
    for (; done < bytes; done *= 2) memcpy(out + done, out, done < bytes - done ? done : bytes - done);
    return ST_OK;
}

/* A leaf of the dtype and shape of `like`, holding the elements of `values` (as many, in any shape) cast to it. */
static st_status new_values(st_ctx *ctx, const st_tensor *like, st_tensor *values, st_tensor **out, st_err *err)
{
    st_tensor *t;
    *out = NULL;
    uint64_t bytes = st_tensor_nbytes(like);
    ST_TRY(check_room(ctx, like, bytes, err));
    ST_TRY(st_node_new(ST_N_VALUES, like->dtype, like->ndim, like->shape, 0, NULL, &t, err));
    t->quant = like->quant;
    t->values = st_malloc(bytes);
    st_status s = t->values ? compute(ctx, values, t->dtype, t->values, err) : st_fail_nomem(err, bytes);
    if (s != ST_OK) {
        st_tensor_unref(t);
        return s;
    }
    *out = t;
    return ST_OK;
}

st_status st_clone(st_ctx *ctx, st_tensor *t, st_tensor **out, st_err *err) { return new_values(ctx, t, t, out, err); }

/* ---------------------------------------------------------------- checks */

static bool is_a_files(const st_tensor *t)
{
    while (t->node == ST_N_VIEW) t = t->args[0];
    return t->node == ST_N_RANGE && t->source->label;
}

static st_status check_target(const st_tensor *t, const st_place *where, st_err *err)
{
    if (is_a_files(t))
        return st_fail(err, ST_ARG, st_tensor_file(t), t->name,
                       "a tensor of a file is read-only: assign to a copy of it (t:clone())");
    ST_TRY(st_check_computable(t, "an assignment", err));
    for (int d = 0; d < where->ndim; d++)
        if (where->strides[d] == 0 && where->shape[d] > 1)
            return st_fail(
                err, ST_ARG, NULL, t->name,
                "several elements of an expanded tensor are one in memory: assign to a copy of it (t:clone())");
    return ST_OK;
}

/* The value as the place wants it: cast, without dimensions of size 1 that it has too many in front, broadcast. */
static st_status fitted(st_tensor *value, st_dtype dtype, const st_place *where, st_tensor **out, st_err *err)
{
    st_tensor *cast, *flat = NULL;
    int extra = 0;
    *out = NULL;
    ST_TRY(st_cast(value, dtype, false, &cast, err));
    while (cast->ndim - extra > where->ndim && cast->shape[extra] == 1) extra++;
    st_status s = ST_OK;
    if (extra) {
        s = st_reshape(cast, cast->ndim - extra, cast->shape + extra, &flat, err);
        st_tensor_unref(cast);
        cast = flat;
    }
    if (s == ST_OK && st_shape_equal(cast->ndim, cast->shape, where->ndim, where->shape)) return *out = cast, ST_OK;
    if (s == ST_OK) s = st_expand(cast, where->ndim, where->shape, out, err);
    if (s == ST_SHAPE) {
        char from[160], to[160];
        st_shape_text(from, sizeof from, value->ndim, value->shape);
        st_shape_text(to, sizeof to, where->ndim, where->shape);
        s = st_fail(err, ST_SHAPE, NULL, value->name,
                    "a value of shape %s does not fit what it is assigned to, of shape %s", from, to);
    }
    st_tensor_unref(cast);
    return s;
}

/* ---------------------------------------------------------------- writing */

/* Row-major `src` to the elements of a place, by runs along the last dimension. */
static void scatter(char *values, size_t width, const st_place *p, const char *src)
{
    int64_t at[ST_MAX_DIMS] = {0}, to = p->start;
    int last = p->ndim - 1;
    int64_t run = last < 0 ? 1 : p->shape[last];
    for (;;) {
        st_kern_scatter(values + to * (int64_t)width, last < 0 ? 1 : p->strides[last], src, width, (size_t)run);
        src += (size_t)run * width;
        int d = last - 1;
        for (; d >= 0; d--) { /* the next row */
            to += p->strides[d];
            if (++at[d] < p->shape[d]) break;
            to -= at[d] * p->strides[d];
            at[d] = 0;
        }
        if (d < 0) return;
    }
}

/* The value is complete before anything is written: a failure leaves the tensor as it was. */
static st_status write_part(st_ctx *ctx, st_tensor **t, const st_place *where, st_tensor *value, st_err *err)
{
    size_t width = st_dtype_bits((*t)->dtype) / 8;
    uint64_t bytes = value->numel * width;
    ST_TRY(check_room(ctx, *t, bytes, err));
    char *buf = st_malloc(bytes);
    if (!buf) return st_fail_nomem(err, bytes);
    st_tensor *own = *t;
    st_status s = compute(ctx, value, own->dtype, buf, err);
    bool alone = own->node == ST_N_VALUES && own->refs == 1;
    if (s == ST_OK && !alone) s = st_clone(ctx, *t, &own, err);
    if (s == ST_OK) scatter(own->values, width, where, buf);
    if (s == ST_OK && own != *t) {
        st_tensor_unref(*t);
        *t = own;
    }
    st_free(buf);
    return s;
}

st_status st_assign(st_ctx *ctx, st_tensor **t, const st_place *where, st_tensor *value, st_err *err)
{
    st_tensor *wide, *fresh;
    ST_TRY(check_target(*t, where, err));
    ST_TRY(fitted(value, (*t)->dtype, where, &wide, err));
    st_status s = ST_OK;
    if (wide->numel && st_place_is_all(where, *t)) {
        s = new_values(ctx, *t, wide, &fresh, err);
        if (s == ST_OK) {
            st_tensor_unref(*t);
            *t = fresh;
        }
    } else if (wide->numel) {
        s = write_part(ctx, t, where, wide, err);
    }
    st_tensor_unref(wide);
    return s;
}
