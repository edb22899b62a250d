/* plan.c - saving: from models and paths to pieces, headers and sinks, with everything checked before the first byte is
 * written and nothing visible before the last one is safe. Layer: model. */
#include "file.h"
#include "index_write.h"
#include "mem.h"
#include "shape.h"
#include "stream.h"
#include "tensor.h"
#include "writer.h"

#include <stdio.h>
#include <string.h>

enum { MAX_SHARDS = 99999, LISTED = 20 };

/* One file to be written. */
typedef struct unit {
    char name[64]; /* in the folder; empty for a single file */
    char *head;    /* header bytes */
    size_t head_len;
    uint64_t size;
    size_t first, count; /* its pieces */
    st_sink *sink;
} unit;

typedef struct target {
    st_model *model;
    char *path;
    st_save_opts opts;
    unit *units;
    size_t nunits, unit_cap;
    char *index; /* of shards; NULL for one file */
    size_t index_len;
    st_sink *index_sink;
    st_folder *folder;
    st_piece *pieces;
    size_t npieces;
} target;

struct st_plan {
    st_ctx *ctx;
    target *targets;
    size_t n, cap;
};

st_status st_plan_new(st_ctx *ctx, st_plan **out, st_err *err)
{
    *out = st_calloc(1, sizeof **out);
    if (!*out) return st_fail_nomem(err, sizeof **out);
    (*out)->ctx = ctx;
    return ST_OK;
}

static void free_sink(st_sink **k)
{
    if (*k) (*k)->ops->free(*k);
    *k = NULL;
}

static void free_target(target *t)
{
    for (size_t i = 0; i < t->nunits; i++) {
        free_sink(&t->units[i].sink);
        st_free(t->units[i].head);
    }
    free_sink(&t->index_sink);
    st_folder_free(t->folder);
    for (size_t i = 0; i < t->npieces; i++) st_tensor_unref(t->pieces[i].out.t);
    st_free(t->pieces);
    st_free(t->units);
    st_free(t->index);
    st_free(t->path);
}

void st_plan_free(st_plan *p)
{
    if (!p) return;
    for (size_t i = 0; i < p->n; i++) free_target(&p->targets[i]);
    st_free(p->targets);
    st_free(p);
}

/* ---------------------------------------------------------------- pieces */

/* What one tensor becomes under the save's options. */
static st_status make_piece(target *t, size_t i, st_piece *out, st_err *err)
{
    st_tensor *x;
    ST_TRY(st_model_tensor(t->model, i, &x, err));
    st_dtype d = t->opts.has_dtype && st_dtype_is_float(x->dtype) ? t->opts.dtype : x->dtype;
    *out = (st_piece){.out = {.t = x, .dtype = d, .saturate = t->opts.saturate}, .raw = d == x->dtype && st_is_raw(x)};
    if (out->raw) {
        out->bytes = st_tensor_nbytes(x);
        return ST_OK;
    }
    st_tensor *cast; /* refuses what may not be cast */
    st_status s = st_cast(x, d, t->opts.saturate, &cast, err);
    if (s == ST_OK) out->bytes = st_tensor_nbytes(cast);
    st_tensor_unref(cast);
    return s;
}

/* Makes all pieces, and reports all tensors that cannot be saved as asked, not only the first. */
static st_status make_pieces(target *t, st_err *err)
{
    size_t n = st_model_count(t->model), failed = 0;
    st_status status = ST_OK;
    st_err one;
    t->pieces = st_calloc(n + 1, sizeof *t->pieces);
    if (!t->pieces) return st_fail_nomem(err, n * sizeof *t->pieces);
    for (size_t i = 0; i < n; i++) {
        st_status s = make_piece(t, i, &t->pieces[i], failed ? &one : err);
        t->npieces = i + 1;
        if (s == ST_OK) continue;
        if (s == ST_NOMEM) return s;
        if (failed++ == 0) status = s;
        if (failed > 1 && failed <= LISTED && err) {
            size_t len = strlen(err->message);
            snprintf(err->message + len, sizeof err->message - len, "%s\"%s\"", failed == 2 ? "; also " : ", ",
                     one.tensor);
        }
    }
    if (failed > LISTED && err) {
        size_t len = strlen(err->message);
        snprintf(err->message + len, sizeof err->message - len, " and %zu more", failed - LISTED);
    }
    return status;
}

/* ---------------------------------------------------------------- shards */

static st_status new_unit(target *t, st_err *err)
{
    if (t->nunits == MAX_SHARDS)
        return st_fail(err, ST_LIMIT, t->path, NULL, "more than %d shards; choose a larger shard size", MAX_SHARDS);
    if (!st_grow((void **)&t->units, &t->unit_cap, t->nunits + 1, sizeof *t->units))
        return st_fail_nomem(err, sizeof *t->units);
    t->units[t->nunits++] = (unit){0};
    return ST_OK;
}

/* Which unit each piece goes to: greedy in model order, as huggingface_hub splits. A tensor above the limit gets a
 * shard of its own at once, before the one still open. */
static st_status split(target *t, size_t *unit_of, st_err *err)
{
    uint64_t limit = t->opts.max_shard ? t->opts.max_shard : UINT64_MAX, size = 0;
    size_t open = SIZE_MAX; /* numbers are given when a shard is closed or filled at once */
    size_t *late = unit_of; /* pieces of the open shard are marked SIZE_MAX until then */
    for (size_t i = 0; i < t->npieces; i++) {
        uint64_t bytes = t->pieces[i].bytes;
        if (bytes > limit) {
            unit_of[i] = t->nunits;
            ST_TRY(new_unit(t, err));
            continue;
        }
        if (open != SIZE_MAX && bytes > limit - size) {
            for (size_t j = open; j < i; j++)
                if (late[j] == SIZE_MAX) late[j] = t->nunits;
            ST_TRY(new_unit(t, err));
            open = SIZE_MAX;
        }
        if (open == SIZE_MAX) {
            open = i;
            size = 0;
        }
        unit_of[i] = SIZE_MAX;
        size += bytes;
    }
    if (open != SIZE_MAX || t->nunits == 0) {
        for (size_t j = open; j < t->npieces; j++)
            if (late[j] == SIZE_MAX) late[j] = t->nunits;
        ST_TRY(new_unit(t, err));
    }
    return ST_OK;
}

static void name_units(target *t)
{
    if (!t->opts.max_shard) return;
    for (size_t u = 0; u < t->nunits; u++)
        if (t->nunits == 1)
            snprintf(t->units[u].name, sizeof t->units[u].name, "%s",
                     t->opts.file_name ? t->opts.file_name : "model.safetensors");
        else
            snprintf(t->units[u].name, sizeof t->units[u].name, "model-%05zu-of-%05zu.safetensors", u + 1, t->nunits);
}

/* ---------------------------------------------------------------- headers */

static st_header_entry header_entry(const target *t, size_t i)
{
    st_info in = st_model_info(t->model, i);
    return (st_header_entry){.name = in.name,
                             .name_len = in.name_len,
                             .dtype = t->pieces[i].out.dtype,
                             .ndim = in.ndim,
                             .shape = in.shape,
                             .tag = i};
}

/* Lays one unit out: its pieces' offsets, its header. `e` has room for all entries. */
static st_status lay_out(target *t, size_t u, const size_t *unit_of, st_header_entry *e, st_err *err)
{
    unit *x = &t->units[u];
    size_t n = 0;
    uint64_t data;
    for (size_t i = 0; i < t->npieces; i++)
        if (unit_of[i] == u) e[n++] = header_entry(t, i);
    ST_TRY(st_header_layout(e, n, t->path, &data, err));
    size_t nmeta = st_model_meta_count(t->model);
    st_meta_pair *meta = st_calloc(nmeta + 1, sizeof *meta);
    if (!meta) return st_fail_nomem(err, nmeta * sizeof *meta);
    for (size_t i = 0; i < nmeta; i++) st_model_meta(t->model, i, &meta[i].key, &meta[i].value);
    st_status s = st_header_write(e, n, meta, nmeta, t->opts.align, t->path, &x->head, &x->head_len, err);
    st_free(meta);
    if (s != ST_OK) return s;
    if (!st_add_u64(data, x->head_len, &x->size) || x->size > INT64_MAX)
        return st_fail(err, ST_LIMIT, t->path, NULL, "the file would be larger than any file can be");
    for (size_t i = 0; i < n; i++) t->pieces[e[i].tag].offset = x->head_len + e[i].begin;
    return ST_OK;
}

/* `model.safetensors.index.json` as transformers writes it: indent 2, sorted names. */
static st_status write_index(target *t, const size_t *unit_of, st_err *err)
{
    st_index_row *e = st_calloc(t->npieces + 1, sizeof *e);
    if (!e) return st_fail_nomem(err, t->npieces * sizeof *e);
    uint64_t total = 0;
    for (size_t i = 0; i < t->npieces; i++) {
        st_info in = st_model_info(t->model, i);
        e[i] = (st_index_row){{in.name, in.name_len}, t->units[unit_of[i]].name};
        total += t->pieces[i].bytes;
    }
    st_status s = st_index_write(e, t->npieces, total, &t->index, &t->index_len, err);
    st_free(e);
    return s;
}

static st_status prepare(target *t, st_err *err)
{
    ST_TRY(make_pieces(t, err));
    size_t *unit_of = st_calloc(t->npieces + 1, sizeof *unit_of);
    st_header_entry *e = st_calloc(t->npieces + 1, sizeof *e);
    st_status s = unit_of && e ? split(t, unit_of, err) : st_fail_nomem(err, t->npieces * sizeof *e);
    if (s == ST_OK) name_units(t);
    for (size_t u = 0; s == ST_OK && u < t->nunits; u++) s = lay_out(t, u, unit_of, e, err);
    if (s == ST_OK && t->nunits > 1) s = write_index(t, unit_of, err);
    /* The sinks are not open yet: until then a piece remembers its unit as its group. */
    for (size_t i = 0; s == ST_OK && i < t->npieces; i++) t->pieces[i].group = unit_of[i];
    st_free(unit_of);
    st_free(e);
    return s;
}

st_status st_plan_add(st_plan *p, st_model *m, const char *path, const st_save_opts *opts, st_err *err)
{
    for (size_t i = 0; i < p->n; i++)
        if (strcmp(p->targets[i].path, path) == 0)
            return st_fail(err, ST_ARG, path, NULL, "two outputs have the same name; give each its own");
    if (!st_grow((void **)&p->targets, &p->cap, p->n + 1, sizeof *p->targets))
        return st_fail_nomem(err, sizeof *p->targets);
    target *t = &p->targets[p->n];
    *t = (target){.model = m, .path = st_strndup(path, strlen(path))};
    if (opts) t->opts = *opts;
    st_status s = t->path ? ST_OK : st_fail_nomem(err, strlen(path));
    if (s == ST_OK && t->opts.ncompanions && !t->opts.max_shard)
        s = st_fail(err, ST_ARG, path, NULL, "other files go with a folder of shards, not with a single file");
    if (s == ST_OK) s = prepare(t, err);
    if (s != ST_OK)
        free_target(t);
    else
        p->n++;
    return s;
}

static uint64_t target_bytes(const target *t)
{
    uint64_t n = t->index_len;
    for (size_t i = 0; i < t->opts.ncompanions; i++) n += t->opts.companions[i].n;
    for (size_t u = 0; u < t->nunits; u++) n += t->units[u].size;
    return n;
}

uint64_t st_plan_bytes(const st_plan *p)
{
    uint64_t n = 0;
    for (size_t i = 0; i < p->n; i++) n += target_bytes(&p->targets[i]);
    return n;
}

/* ---------------------------------------------------------------- running */

/* They are small: written before the shards, so that what is wrong with them is told before the long work. */
static st_status write_companion(target *t, const st_companion *c, st_err *err)
{
    st_sink *k;
    ST_TRY(st_folder_file(t->folder, c->name, c->n, &k, err));
    st_status s = c->n > 0 ? k->ops->write(k, c->bytes, 0, c->n, err) : ST_OK;
    if (s == ST_OK) s = k->ops->sync(k, err);
    if (s == ST_OK) s = k->ops->commit(k, err);
    k->ops->free(k);
    return s;
}

static st_status open_target(st_ctx *ctx, target *t, st_err *err)
{
    st_writer_opts w = {.no_sync = t->opts.no_sync, .no_replace = t->opts.no_replace, .ctx = ctx};
    ST_TRY(st_writer_space(t->path, target_bytes(t), err));
    if (t->opts.max_shard) ST_TRY(st_folder_open(t->path, t->opts.force, &w, &t->folder, err));
    for (size_t i = 0; t->folder && i < t->opts.ncompanions; i++)
        ST_TRY(write_companion(t, &t->opts.companions[i], err));
    for (size_t u = 0; u < t->nunits; u++) {
        unit *x = &t->units[u];
        if (t->folder)
            ST_TRY(st_folder_file(t->folder, x->name, x->size, &x->sink, err));
        else
            ST_TRY(st_writer_open(t->path, x->size, &w, &x->sink, err));
        ST_TRY(x->sink->ops->write(x->sink, x->head, 0, x->head_len, err));
    }
    for (size_t i = 0; i < t->npieces; i++) t->pieces[i].sink = t->units[t->pieces[i].group].sink;
    return ST_OK;
}

/* Calls check on the source of every leaf below the plan's outputs. */
static st_status check_sources(const st_plan *p, st_err *err)
{
    for (size_t i = 0; i < p->n; i++)
        for (size_t j = 0; j < p->targets[i].npieces; j++) {
            st_tensor **list, *root = p->targets[i].pieces[j].out.t;
            size_t n;
            const st_source *last = NULL;
            ST_TRY(st_topological(&root, 1, true, &list, &n, err));
            st_status s = ST_OK;
            for (size_t k = 0; s == ST_OK && k < n; k++) {
                st_source *src = list[k]->source;
                if (src && src != last) s = src->ops->check(src, err);
                last = src;
            }
            st_free(list);
            if (s != ST_OK) return s;
        }
    return ST_OK;
}

/* Pieces of several targets that bear the same name and have as many elements are computed together, so that a sweep
 * reads its inputs once. */
static st_status group_pieces(const st_plan *p, st_piece *all, st_err *err)
{
    st_strmap names = {0};
    st_status s = ST_OK;
    size_t at = 0, groups = 0;
    for (size_t i = 0; s == ST_OK && i < p->n; i++)
        for (size_t j = 0; s == ST_OK && j < p->targets[i].npieces; j++, at++) {
            all[at] = p->targets[i].pieces[j];
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
    if (s == ST_OK) s = st_stream(p->ctx, all, n, err);
    st_free(all);
    return s;
}

static st_status sync_target(const target *t, st_err *err)
{
    for (size_t u = 0; u < t->nunits; u++) ST_TRY(t->units[u].sink->ops->sync(t->units[u].sink, err));
    return ST_OK;
}

static st_status commit_sink(st_sink **k, st_err *err)
{
    ST_TRY((*k)->ops->commit(*k, err));
    free_sink(k);
    return ST_OK;
}

static st_status commit_target(target *t, st_err *err)
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

st_status st_plan_run(st_plan *p, st_err *err)
{
    if (st_ctx_cancelled(p->ctx)) return st_fail_cancelled(err);
    ST_TRY(check_sources(p, err));
    for (size_t i = 0; i < p->n; i++) ST_TRY(open_target(p->ctx, &p->targets[i], err));
    st_progress_begin(p->ctx, "write", st_plan_bytes(p));
    ST_TRY(write_pieces(p, err));
    for (size_t i = 0; i < p->n; i++) ST_TRY(sync_target(&p->targets[i], err));
    ST_TRY(check_sources(p, err));
    if (st_ctx_cancelled(p->ctx)) return st_fail_cancelled(err);
    for (size_t i = 0; i < p->n; i++) ST_TRY(commit_target(&p->targets[i], err));
    return ST_OK;
}
