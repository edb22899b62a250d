/* eval.c - computing a tensor into memory with the fused evaluator, over all threads. Layer: exec. */
#include "eval.h"
#include "hold.h"
#include "mem.h"

#include <string.h>

st_status st_read_raw(const st_tensor *t, uint64_t off, void *buf, size_t n, st_err *err)
{
    if (n == 0) return ST_OK;
    if (t->node == ST_N_RANGE) return t->source->ops->read(t->source, buf, t->offset + off, n, err);
    memcpy(buf, (const char *)t->values + off, n);
    return ST_OK;
}

enum { PART = 1 << 20 }; /* bytes that a worker reads in one go */

typedef struct reading {
    st_ctx *ctx;
    const st_tensor *t;
    char *to;
    uint64_t off, bytes;
    _Atomic uint64_t next;
} reading;

static st_status read_worker(void *arg, unsigned worker, st_err *err)
{
    reading *r = arg;
    uint64_t at;
    (void)worker;
    while (!st_ctx_stopped(r->ctx) && (at = r->next++ * PART) < r->bytes)
        ST_TRY(st_read_raw(r->t, r->off + at, r->to + at, r->bytes - at < PART ? r->bytes - at : PART, err));
    return ST_OK;
}

st_status st_read_raw_spread(st_ctx *ctx, const st_tensor *t, uint64_t off, void *buf, uint64_t n, st_err *err)
{
    reading r = {.ctx = ctx, .t = t, .to = buf, .off = off, .bytes = n};
    uint64_t parts = t->node == ST_N_RANGE && t->source->in_order ? 1 : (n + PART - 1) / PART;
    return st_ctx_run(ctx, parts > 1024 ? 1024 : (unsigned)parts, read_worker, &r, err);
}

/* A range of elements spread over workers, tile by tile. */
typedef struct range_job {
    st_ctx *ctx;
    const st_program *program;
    uint64_t start, count, tile;
    _Atomic uint64_t next;
    char *out;
    size_t width;
} range_job;

static st_status range_worker(void *arg, unsigned worker, st_err *err)
{
    (void)worker;
    range_job *j = arg;
    st_lane lane = {0};
    st_status s = ST_OK;
    while (s == ST_OK && !st_ctx_stopped(j->ctx)) {
        uint64_t at = j->next++ * j->tile;
        if (at >= j->count) break;
        uint64_t n = j->count - at < j->tile ? j->count - at : j->tile;
        void *out = j->out + at * j->width;
        s = st_program_run(j->program, &lane, j->start + at, n, &out, err);
    }
    st_lane_free(&lane);
    return s;
}

static st_status run_range(st_ctx *ctx, const st_program *p, uint64_t start, uint64_t count, size_t width, void *out,
                           st_err *err)
{
    range_job j = {.ctx = ctx,
                   .program = p,
                   .start = start,
                   .count = count,
                   .tile = st_program_tile(p),
                   .out = out,
                   .width = width};
    uint64_t tiles = (count + j.tile - 1) / j.tile;
    return st_ctx_run(ctx, tiles > 1024 ? 1024 : (unsigned)tiles, range_worker, &j, err);
}

static st_status check_range(const st_tensor *t, uint64_t start, uint64_t count, st_err *err)
{
    if (start <= t->numel && count <= t->numel - start) return ST_OK;
    return st_fail(err, ST_ARG, NULL, t->name, "elements %llu to %llu were asked for, there are %llu",
                   (unsigned long long)start + 1, (unsigned long long)(start + count), (unsigned long long)t->numel);
}

enum { FEW = 16 };

/* A few elements of values in memory in their widest form, as a script asks for them one by one: no program for that.
 */
static bool export_few(const st_tensor *t, uint64_t start, uint64_t count, st_dtype dtype, void *out)
{
    const char *values = st_held(t);
    st_reg have = st_dtype_reg(t->dtype), want = st_dtype_reg(dtype);
    bool widens = have == want || (have == ST_R_F32 && want == ST_R_F64);
    if (!values || count > FEW || have == ST_R_NONE || !widens || dtype != st_reg_dtype(want) || t->quant) return false;
    uint64_t reg[FEW];
    st_dtype held = st_held_dtype(t);
    const void *src[3] = {values + start * (st_dtype_bits(held) / 8), NULL, NULL};
    st_kern()->load[held](reg, src, count);
    src[0] = reg;
    st_kern()->conv[have][want](out, src, count); /* registers of these classes are arrays of the dtype */
    return true;
}

st_status st_export(st_ctx *ctx, st_tensor *t, uint64_t start, uint64_t count, st_dtype dtype, void *out, st_err *err)
{
    ST_TRY(check_range(t, start, count, err));
    if (count == 0) return ST_OK;
    if (t->dtype == dtype && st_is_raw(t)) {
        uint64_t off, n, bits = st_dtype_bits(dtype);
        if (start * bits % 8 || count * bits % 8)
            return st_fail(err, ST_ARG, NULL, t->name, "a range of %s must begin and end on a byte",
                           st_dtype_name(dtype));
        off = start * bits / 8;
        n = count * bits / 8;
        return st_read_raw_spread(ctx, t, off, out, n, err);
    }
    if (export_few(t, start, count, dtype, out)) return ST_OK;
    st_tensor *cast = NULL; /* checks that the cast is allowed */
    ST_TRY(st_cast(t, dtype, false, &cast, err));
    st_tensor_unref(cast);
    bool done;
    ST_TRY(st_export_points(ctx, t, start, count, false, dtype, out, &done, err));
    if (done) return ST_OK;
    st_program *p;
    ST_TRY(st_program_new(ctx, &(st_output){.t = t, .dtype = dtype}, 1, &p, err));
    st_status s = run_range(ctx, p, start, count, st_dtype_bits(dtype) / 8, out, err);
    st_program_free(p);
    return s;
}
