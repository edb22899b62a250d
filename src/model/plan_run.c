/* plan_run.c - saving: opens the sinks, streams, syncs, commits; nothing is visible before the last byte is safe.
 * Layer: model. */
#include "plan.h"
#include "mem.h"
#include "strmap.h"
#include "tensor.h"

#include <string.h>

/* They are small: written before the shards, so that what is wrong with them is told before the long work. */
static st_status write_companion(plan_target *t, const st_companion *c, st_err *err)
{
    st_sink *k;
    ST_TRY(st_folder_file(t->folder, c->name, c->n, &k, err));
    st_status s = c->n > 0 ? k->ops->write(k, c->bytes, 0, c->n, err) : ST_OK;
    if (s == ST_OK) s = k->ops->sync(k, err);
    if (s == ST_OK) s = k->ops->commit(k, err);
    k->ops->free(k);
    return s;
}

/* Room for all of a folder at once; a single file's is looked for when it is opened. Both after dead saves' leftovers
 * were removed. */
static st_status open_folder(plan_target *t, const st_writer_opts *w, st_err *err)
{
    ST_TRY(st_folder_open(t->path, t->opts.force, w, &t->folder, err));
    uint64_t need = t->opts.compress ? 0 : plan_target_bytes(t), there = st_folder_there(t->folder);
    return st_writer_space(t->path, need > there ? need - there : 0, err);
}

/* Compressed, a file's size is known last. Several targets are not all written in the order of their bytes. */
static st_status open_unit(const st_plan *p, const plan_target *t, plan_unit *x, st_writer_opts w, st_err *err)
{
    bool packed = t->opts.compress;
    uint64_t size = packed ? st_zcuts_most(&x->cuts) : x->size;
    st_sink *k;
    w.open_ended = packed;
    if (!t->folder)
        ST_TRY(st_writer_open(t->path, size, &w, &k, err));
    else if (packed)
        ST_TRY(st_folder_open_ended(t->folder, x->name, size, &k, err));
    else
        ST_TRY(st_folder_file(t->folder, x->name, size, &k, err));
    if (packed) return st_zsink_new(k, &x->cuts, p->n == 1 ? p->ctx : NULL, &x->sink, err);
    x->sink = k;
    return ST_OK;
}

static st_status open_target(const st_plan *p, size_t number, st_err *err)
{
    plan_target *t = &p->targets[number];
    st_writer_opts w = {.no_sync = t->opts.no_sync,
                        .no_replace = t->opts.no_replace,
                        .ctx = p->ctx,
                        .partial = plan_number(p, number),
                        .found = p->resume.mark.bytes > 0};
    if (t->opts.max_shard) ST_TRY(open_folder(t, &w, err));
    for (size_t i = 0; t->folder && i < t->opts.ncompanions; i++)
        ST_TRY(write_companion(t, &t->opts.companions[i], err));
    for (size_t u = 0; u < t->nunits; u++) {
        plan_unit *x = &t->units[u];
        ST_TRY(open_unit(p, t, x, w, err));
        ST_TRY(x->sink->ops->write(x->sink, x->head, 0, x->head_len, err));
    }
    for (size_t i = 0; i < t->npieces; i++) t->pieces[i].sink = t->units[t->pieces[i].group].sink;
    return ST_OK;
}

/* What lies below the plan's outputs is what was opened, and what was `read` of it is right. */
static st_status check_sources(const st_plan *p, bool read, st_err *err)
{
    for (size_t i = 0; i < p->n; i++)
        for (size_t j = 0; j < p->targets[i].npieces; j++)
            ST_TRY(st_check_sources(p->targets[i].pieces[j].out.t, read, err));
    return ST_OK;
}

/* Pieces of several targets that bear the same name and have as many elements are computed together, so that a sweep
 * reads its inputs once. */
static st_status group_pieces(const st_plan *p, st_piece *all, st_err *err)
{
    st_strmap names = {0};
    st_status s = ST_OK;
    size_t at = 0, groups = 0, files = 0;
    for (size_t i = 0; s == ST_OK && i < p->n; files += p->targets[i++].nunits)
        for (size_t j = 0; s == ST_OK && j < p->targets[i].npieces; j++, at++) {
            all[at] = p->targets[i].pieces[j];
            all[at].file = files + all[at].group; /* its unit until now */
            all[at].group = groups++;
            if (p->n == 1) continue;
            st_info in = st_model_info(p->targets[i].model, j);
            int64_t old;
            s = st_strmap_add(&names, in.name, in.name_len, at, &old, err);
            if (s == ST_OK && old >= 0 && !all[old].raw && all[old].out.t->numel == all[at].out.t->numel)
                all[at].group = all[old].group;
        }
    st_strmap_free(&names);
    return s;
}

static st_status write_pieces(st_plan *p, st_err *err)
{
    size_t n = 0;
    for (size_t i = 0; i < p->n; i++) n += p->targets[i].npieces;
    st_piece *all = st_calloc(n + 1, sizeof *all);
    if (!all) return st_fail_nomem(err, n * sizeof *all);
    st_status s = group_pieces(p, all, err);
    if (s == ST_OK) s = st_stream(p->ctx, all, n, p->resumes ? &p->resume : NULL, err);
    st_free(all);
    return s;
}

static st_status sync_target(st_plan *p, const plan_target *t, st_err *err)
{
    uint64_t rest = plan_target_bytes(t);
    for (size_t u = 0; u < t->nunits; u++) {
        const plan_unit *x = &t->units[u];
        ST_TRY(x->sink->ops->sync(x->sink, err));
        p->stored += t->opts.compress ? st_zsink_stored(x->sink) : x->size;
        rest -= x->size;
    }
    p->stored += rest;
    return ST_OK;
}

static st_status commit_sink(st_sink **k, st_err *err)
{
    ST_TRY((*k)->ops->commit(*k, err));
    plan_free_sink(k);
    return ST_OK;
}

static st_status commit_target(plan_target *t, st_err *err)
{
    for (size_t u = 0; u < t->nunits; u++) ST_TRY(commit_sink(&t->units[u].sink, err));
    if (t->index) { /* last, so that a folder with an index is whole */
        ST_TRY(st_folder_file(t->folder, "model.safetensors.index.json", t->index_len, &t->index_sink, err));
        ST_TRY(t->index_sink->ops->write(t->index_sink, t->index, 0, t->index_len, err));
        ST_TRY(t->index_sink->ops->sync(t->index_sink, err));
        ST_TRY(commit_sink(&t->index_sink, err));
    }
    return t->folder ? st_folder_commit(t->folder, err) : ST_OK;
}

static st_status write_all(st_plan *p, st_err *err)
{
    for (size_t i = 0; i < p->n; i++) ST_TRY(open_target(p, i, err));
    if (p->resumes) ST_TRY(plan_resume_sinks(p, err));
    st_progress_begin(p->ctx, "write", st_plan_bytes(p));
    ST_TRY(write_pieces(p, err));
    for (size_t i = 0; i < p->n; i++) ST_TRY(sync_target(p, &p->targets[i], err));
    ST_TRY(check_sources(p, true, err));
    if (st_ctx_cancelled(p->ctx)) return st_fail_cancelled(err);
    for (size_t i = 0; i < p->n; i++) ST_TRY(commit_target(&p->targets[i], err));
    return ST_OK;
}

st_status st_plan_run(st_plan *p, st_err *err)
{
    p->stored = 0;
    if (st_ctx_cancelled(p->ctx)) return st_fail_cancelled(err);
    ST_TRY(check_sources(p, false, err));
    if (p->resumes) ST_TRY(plan_resume_begin(p, err));
    st_status s = write_all(p, err);
    if (p->resumes)
        plan_resume_end(p, s, err);
    else
        plan_close(p);
    return s;
}
