/* identical.c - whether two tensors hold the same bytes. Layer: exec. */
#include "eval.h"
#include "mem.h"
#include "shape.h"

#include <string.h>

enum {
    PIECE = 1 << 18,      /* elements of what must be computed */
    RAW_PIECE = 256 << 10 /* bytes of what lies in files or memory: of both tensors they stay in the cache */
};

/* Pieces of two tensors that exist as bytes, compared by all threads until one finds a difference. */
typedef struct same_job {
    st_ctx *ctx;
    const st_tensor *a, *b;
    uint64_t bytes;
    _Atomic uint64_t next;
    _Atomic bool differ;
} same_job;

static st_status same_worker(void *arg, unsigned worker, st_err *err)
{
    same_job *j = arg;
    char *buf = st_malloc(2 * RAW_PIECE);
    st_status s = buf ? ST_OK : st_fail_nomem(err, 2 * RAW_PIECE);
    (void)worker;
    while (s == ST_OK && !j->differ && !st_ctx_stopped(j->ctx)) {
        uint64_t at = j->next++ * RAW_PIECE;
        if (at >= j->bytes) break;
        size_t n = j->bytes - at < RAW_PIECE ? (size_t)(j->bytes - at) : RAW_PIECE;
        s = st_read_raw(j->a, at, buf, n, err);
        if (s == ST_OK) s = st_read_raw(j->b, at, buf + RAW_PIECE, n, err);
        if (s == ST_OK && memcmp(buf, buf + RAW_PIECE, n) != 0) j->differ = true;
    }
    st_free(buf);
    return s;
}

static st_status same_bytes(st_ctx *ctx, const st_tensor *a, const st_tensor *b, bool *out, st_err *err)
{
    same_job j = {.ctx = ctx, .a = a, .b = b, .bytes = st_tensor_nbytes(a)};
    uint64_t pieces = (j.bytes + RAW_PIECE - 1) / RAW_PIECE;
    ST_TRY(st_ctx_run(ctx, pieces > 1024 ? 1024 : (unsigned)pieces, same_worker, &j, err));
    *out = !j.differ;
    return ST_OK;
}

/* What has to be computed, piece by piece. */
static st_status same_values(st_ctx *ctx, st_tensor *a, st_tensor *b, bool *out, st_err *err)
{
    size_t bits = st_dtype_bits(a->dtype), bytes = PIECE * bits / 8;
    char *buf = st_malloc(2 * bytes);
    if (!buf) return st_fail_nomem(err, 2 * bytes);
    st_status s = ST_OK;
    for (uint64_t at = 0; s == ST_OK && *out && at < a->numel; at += PIECE) {
        uint64_t n = a->numel - at < PIECE ? a->numel - at : PIECE;
        if (st_ctx_cancelled(ctx)) s = st_fail_cancelled(err);
        if (s == ST_OK) s = st_export(ctx, a, at, n, a->dtype, buf, err);
        if (s == ST_OK) s = st_export(ctx, b, at, n, b->dtype, buf + bytes, err);
        if (s == ST_OK) *out = memcmp(buf, buf + bytes, n * bits / 8) == 0;
    }
    st_free(buf);
    return s;
}

st_status st_tensor_identical(st_ctx *ctx, st_tensor *a, st_tensor *b, bool *out, st_err *err)
{
    *out = a->dtype == b->dtype && st_shape_equal(a->ndim, a->shape, b->ndim, b->shape);
    if (!*out || a == b || a->numel == 0) return ST_OK;
    return st_is_raw(a) && st_is_raw(b) ? same_bytes(ctx, a, b, out, err) : same_values(ctx, a, b, out, err);
}
