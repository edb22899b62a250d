/* rows.c - work on whole rows in memory, one row per worker at a time. Layer: exec. */
#include "rows.h"
#include "mem.h"

st_status st_read_span(st_ctx *ctx, const st_program *p, st_lane *lane, size_t width, uint64_t start, uint64_t count,
                       void *buf, st_err *err)
{
    uint64_t tile = st_program_tile(p);
    for (uint64_t at = 0; at < count; at += tile) {
        uint64_t n = count - at < tile ? count - at : tile;
        void *out = (char *)buf + at * width;
        if (st_ctx_stopped(ctx)) return st_fail_cancelled(err);
        ST_TRY(st_program_run(p, lane, start + at, n, &out, err));
    }
    return ST_OK;
}

typedef struct crew {
    st_ctx *ctx;
    st_rows *job;
    st_program *program[2];
    size_t width[2], bytes[2];
    _Atomic uint64_t next;
} crew;

static st_status one_row(const crew *c, st_lane *lane, char *buf, uint64_t r, st_err *err)
{
    void *in[2] = {buf, buf + c->bytes[0]};
    for (int i = 0; i < 2; i++)
        if (c->program[i])
            ST_TRY(
                st_read_span(c->ctx, c->program[i], lane, c->width[i], r * c->job->row[i], c->job->row[i], in[i], err));
    return c->job->fn(c->job, in, buf + c->bytes[0] + c->bytes[1], r, err);
}

static st_status crew_worker(void *arg, unsigned worker, st_err *err)
{
    crew *c = arg;
    st_lane lane = {0};
    size_t bytes = c->bytes[0] + c->bytes[1] + c->job->scratch;
    char *buf = st_malloc(bytes);
    st_status s = buf ? ST_OK : st_fail_nomem(err, bytes);
    (void)worker;
    while (s == ST_OK && !st_ctx_stopped(c->ctx)) {
        uint64_t r = c->next++;
        if (r >= c->job->rows) break;
        s = one_row(c, &lane, buf, r, err);
    }
    st_lane_free(&lane);
    st_free(buf);
    return s;
}

st_status st_each_row(st_ctx *ctx, st_rows *job, const char *what, st_err *err)
{
    crew c = {.ctx = ctx, .job = job};
    job->ctx = ctx;
    uint64_t need = job->scratch, workers = st_ctx_threads(ctx);
    for (int i = 0; i < 2 && job->in[i]; i++) {
        c.width[i] = st_dtype_bits(job->as[i]) / 8;
        c.bytes[i] = (job->row[i] * c.width[i] + 63) / 64 * 64;
        need += c.bytes[i];
    }
    if (need > st_ctx_memory(ctx))
        return st_fail(
            err, ST_LIMIT, NULL, job->in[0]->name,
            "%s works on rows in memory; one takes %llu bytes here, the limit is %llu (raise it with --memory)", what,
            (unsigned long long)need, (unsigned long long)st_ctx_memory(ctx));
    if (workers > st_ctx_memory(ctx) / (need + 1)) workers = st_ctx_memory(ctx) / (need + 1);
    if (workers > job->rows) workers = job->rows;
    st_status s = ST_OK;
    for (int i = 0; s == ST_OK && i < 2 && job->in[i]; i++)
        s = st_program_new(ctx, &(st_output){.t = job->in[i], .dtype = job->as[i]}, 1, &c.program[i], err);
    if (s == ST_OK) s = st_ctx_run(ctx, workers ? (unsigned)workers : 1, crew_worker, &c, err);
    for (int i = 0; i < 2; i++) st_program_free(c.program[i]);
    return s;
}
