/* zfile.c - compressing a file as it is, and the way back. Layer: io. Touches the target's folder, by io/writer.c. */
#include "context.h"
#include "file.h"
#include "mem.h"
#include "writer.h"
#include "zsink.h"
#include "zsource.h"

enum {
    AHEAD = 16 << 20, /* bytes of read-ahead */
    PIECE = 1 << 20,  /* .. of a packed file at a time */
};

/* What the threads of one copy share. */
typedef struct job {
    st_ctx *ctx;
    st_source *src;
    st_sink *out;
    bool packs;  /* a stretch is a frame of the sink, else what the source likes to give */
    bool frames; /* which is a zsource */
    uint64_t at; /* of the next one */
} job;

static uint64_t stretch(const job *j)
{
    uint64_t left = j->src->size - j->at;
    if (j->packs) return st_zsink_stretch(j->out, j->at);
    return j->frames ? st_zsource_stretch(j->src, j->at) : left < PIECE ? left : PIECE;
}

static bool next(job *j, uint64_t *off, uint64_t *n)
{
    st_ctx_lock(j->ctx);
    *off = j->at;
    *n = j->at >= j->src->size ? 0 : stretch(j);
    j->at += *n;
    st_ctx_unlock(j->ctx);
    return *n > 0;
}

static st_status move(const job *j, uint64_t off, size_t n, char **buf, size_t *cap, st_err *err)
{
    st_source_advise(j->src, off + AHEAD, n);
    if (j->packs) return j->out->ops->copy(j->out, j->src, off, off, n, err);
    ST_TRY(st_make_room((void **)buf, cap, n, PIECE, err));
    ST_TRY(j->src->ops->read(j->src, *buf, off, n, err));
    return j->out->ops->write(j->out, *buf, off, n, err);
}

static st_status work(void *arg, unsigned worker, st_err *err)
{
    job *j = arg;
    char *buf = NULL;
    size_t cap = 0;
    uint64_t off, n;
    st_status s = ST_OK;
    while (s == ST_OK && !st_ctx_stopped(j->ctx) && next(j, &off, &n)) {
        st_ctx_begun(j->ctx, worker, off);
        s = move(j, off, (size_t)n, &buf, &cap, err);
        st_progress_add(j->ctx, n);
        if (worker == 0) st_progress_tick(j->ctx, false);
    }
    st_free(buf);
    return s;
}

/* All bytes, then what makes them the target. */
static st_status copy(st_ctx *ctx, st_file *f, st_sink *out, bool packs, st_err *err)
{
    st_source *src = st_file_source(f);
    bool packed = st_file_packed(f, &(st_pack_info){0});
    job j = {.ctx = ctx, .src = src, .out = out, .packs = packs, .frames = st_file_compression(f) && !packed};
    st_progress_begin(ctx, packs ? "compress" : "decompress", src->size);
    ST_TRY(st_ctx_run(ctx, st_ctx_threads(ctx), work, &j, err));
    st_progress_tick(ctx, true);
    if (st_ctx_cancelled(ctx)) return st_fail_cancelled(err);
    ST_TRY(out->ops->sync(out, err));
    ST_TRY(st_source_settle(src, err));
    ST_TRY(src->ops->check(src, err));
    return out->ops->commit(out, err);
}

static st_writer_opts writer_opts(st_ctx *ctx, const st_copy_opts *o)
{
    return (st_writer_opts){.no_sync = o && o->no_sync, .no_replace = o && o->no_replace, .ctx = ctx};
}

/* ---------------------------------------------------------------- compressing */

static st_status make_cuts(const st_file *f, st_zcuts *c, st_err *err)
{
    ST_TRY(st_zcuts_begin(c, st_file_data_start(f), st_file_size(f), st_file_path(f), err));
    for (size_t i = 0; i < st_file_count(f); i++) {
        st_info t = st_file_info(f, i);
        ST_TRY(st_zcuts_add(c, t.end - t.begin, err));
    }
    return st_zcuts_done(c, err);
}

static st_status open_packed(st_ctx *ctx, const st_file *f, const char *to, const st_copy_opts *o, st_sink **out,
                             st_err *err)
{
    st_zcuts cuts = {0};
    st_sink *inner;
    st_writer_opts w = writer_opts(ctx, o);
    w.open_ended = true;
    st_status s = make_cuts(f, &cuts, err);
    if (s == ST_OK) s = st_writer_open(to, st_zcuts_most(&cuts), &w, &inner, err);
    if (s == ST_OK) s = st_zsink_new(inner, &cuts, ctx, out, err);
    st_zcuts_free(&cuts);
    return s;
}

/* What has no seek table may be written anew with one. */
static st_status compress(st_ctx *ctx, st_file *f, const char *to, const st_copy_opts *o, uint64_t *bytes, st_err *err)
{
    st_sink *out;
    if (st_file_compression(f) && st_file_seeks(f))
        return st_fail(err, ST_ARG, st_file_path(f), NULL, "it is compressed already (%s)", st_file_compression(f));
    ST_TRY(st_file_want_safetensors(f, "compressing", err));
    ST_TRY(open_packed(ctx, f, to, o, &out, err));
    st_status s = copy(ctx, f, out, true, err);
    if (s == ST_OK) *bytes = st_zsink_stored(out);
    out->ops->free(out);
    return s;
}

st_status st_file_compress(st_ctx *ctx, const char *path, const char *to, const st_copy_opts *opts, uint64_t *bytes,
                           st_err *err)
{
    st_file *f;
    ST_TRY(st_file_open(path, &f, err));
    st_status s = compress(ctx, f, to, opts, bytes, err);
    st_file_close(f);
    return s;
}

/* ---------------------------------------------------------------- and back */

static st_status decompress(st_ctx *ctx, st_file *f, const char *to, const st_copy_opts *o, uint64_t *bytes,
                            st_err *err)
{
    st_sink *out;
    st_writer_opts w = writer_opts(ctx, o);
    if (!st_file_compression(f)) return st_fail(err, ST_ARG, st_file_path(f), NULL, "it is not compressed");
    ST_TRY(st_file_spare_base(f, to, err));
    ST_TRY(st_writer_open(to, st_file_size(f), &w, &out, err));
    st_status s = copy(ctx, f, out, false, err);
    if (s == ST_OK) *bytes = st_file_size(f);
    out->ops->free(out);
    return s;
}

st_status st_file_decompress(st_ctx *ctx, const char *path, const char *to, const st_copy_opts *opts, uint64_t *bytes,
                             st_err *err)
{
    st_file *f;
    st_open_opts o = {.base = opts ? opts->base : NULL};
    ST_TRY(st_file_open_with(path, &o, &f, err));
    st_status s = decompress(ctx, f, to, opts, bytes, err);
    st_file_close(f);
    return s;
}
