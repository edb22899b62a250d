/* plan.c - saving, before the first byte is written: from models and paths to pieces and headers, with everything
 * checked. Layer: model. */
#include "plan.h"
#include "file.h"
#include "index_write.h"
#include "mem.h"
#include "shape.h"
#include "tensor.h"

#include <stdio.h>
#include <string.h>

enum { MAX_SHARDS = 99999, LISTED = 20 };

st_status st_plan_new(st_ctx *ctx, st_plan **out, st_err *err)
{
    *out = st_calloc(1, sizeof **out);
    if (!*out) return st_fail_nomem(err, sizeof **out);
    (*out)->ctx = ctx;
    return ST_OK;
}

void plan_free_sink(st_sink **k)
{
    if (*k) (*k)->ops->free(*k);
    *k = NULL;
}

static void close_target(plan_target *t)
{
    for (size_t i = 0; i < t->nunits; i++) plan_free_sink(&t->units[i].sink);
    plan_free_sink(&t->index_sink);
    st_folder_free(t->folder);
    t->folder = NULL;
}

void plan_close(st_plan *p)
{
    for (size_t i = 0; i < p->n; i++) close_target(&p->targets[i]);
}

static void free_target(plan_target *t)
{
    close_target(t);
    for (size_t i = 0; i < t->nunits; i++) {
        st_free(t->units[i].head);
        st_zcuts_free(&t->units[i].cuts);
    }
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
    st_free(p->resume.sinks);
    st_free(p->targets);
    st_free(p);
}

/* ---------------------------------------------------------------- pieces */

/* What one tensor becomes under the save's options. */
static st_status make_piece(plan_target *t, size_t i, st_piece *out, st_err *err)
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
static st_status make_pieces(plan_target *t, st_err *err)
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

static st_status new_unit(plan_target *t, st_err *err)
{
    if (t->nunits == MAX_SHARDS)
        return st_fail(err, ST_LIMIT, t->path, NULL, "more than %d shards; choose a larger shard size", MAX_SHARDS);
    if (!st_grow((void **)&t->units, &t->unit_cap, t->nunits + 1, sizeof *t->units))
        return st_fail_nomem(err, sizeof *t->units);
    t->units[t->nunits++] = (plan_unit){0};
    return ST_OK;
}

/* Which unit each piece goes to: greedy in model order, as huggingface_hub splits. A tensor above the limit gets a
 * shard of its own at once, before the one still open. */
static st_status split(plan_target *t, size_t *unit_of, st_err *err)
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

static void name_units(plan_target *t)
{
    const char *ending = t->opts.compress ? ".zst" : "";
    if (!t->opts.max_shard) return;
    for (size_t u = 0; u < t->nunits; u++)
        if (t->nunits == 1)
            snprintf(t->units[u].name, sizeof t->units[u].name, "%s%s",
                     t->opts.only_file ? t->opts.only_file : "model.safetensors", ending);
        else
            snprintf(t->units[u].name, sizeof t->units[u].name, "model-%05zu-of-%05zu.safetensors%s", u + 1, t->nunits,
                     ending);
}

/* ---------------------------------------------------------------- headers */

static st_header_entry header_entry(const plan_target *t, size_t i)
{
    st_info in = st_model_info(t->model, i);
    return (st_header_entry){.name = in.name,
                             .name_len = in.name_len,
                             .dtype = t->pieces[i].out.dtype,
                             .ndim = in.ndim,
                             .shape = in.shape,
                             .tag = i};
}

/* Entries are in the order of the file. */
static st_status cut_up(const plan_target *t, plan_unit *x, const st_header_entry *e, size_t n, st_err *err)
{
    if (!t->opts.compress) return ST_OK;
    ST_TRY(st_zcuts_begin(&x->cuts, x->head_len, x->size, t->path, err));
    for (size_t i = 0; i < n; i++) ST_TRY(st_zcuts_add(&x->cuts, e[i].end - e[i].begin, err));
    return st_zcuts_done(&x->cuts, err);
}

/* Lays one unit out: its pieces' offsets, its header. `e` has room for all entries. */
static st_status lay_out(plan_target *t, size_t u, const size_t *unit_of, st_header_entry *e, st_err *err)
{
    plan_unit *x = &t->units[u];
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
    return cut_up(t, x, e, n, err);
}

/* `model.safetensors.index.json` as transformers writes it: indent 2, sorted names. */
static st_status write_index(plan_target *t, const size_t *unit_of, st_err *err)
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

static st_status prepare(plan_target *t, st_err *err)
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

/* The target behind the last one counts, too. */
static st_status check_resume(const st_plan *p, st_err *err)
{
    const plan_target *packed = NULL;
    bool resumes = p->resumes;
    for (size_t i = 0; i <= p->n; i++) {
        resumes |= p->targets[i].opts.resume;
        if (p->targets[i].opts.compress) packed = &p->targets[i];
    }
    if (!resumes || !packed) return ST_OK;
    return st_fail(
        err, ST_ARG, packed->path, NULL,
        "a compressed save cannot be resumed: leave out resume, or save it plain and compress it afterwards");
}

st_status st_plan_add(st_plan *p, st_model *m, const char *path, const st_save_opts *opts, st_err *err)
{
    for (size_t i = 0; i < p->n; i++)
        if (strcmp(p->targets[i].path, path) == 0)
            return st_fail(err, ST_ARG, path, NULL, "two outputs have the same name; give each its own");
    if (!st_grow((void **)&p->targets, &p->cap, p->n + 1, sizeof *p->targets))
        return st_fail_nomem(err, sizeof *p->targets);
    plan_target *t = &p->targets[p->n];
    *t = (plan_target){.model = m, .path = st_strndup(path, strlen(path))};
    if (opts) t->opts = *opts;
    st_status s = t->path ? ST_OK : st_fail_nomem(err, strlen(path));
    if (s == ST_OK && t->opts.ncompanions && !t->opts.max_shard)
        s = st_fail(err, ST_ARG, path, NULL, "other files go with a folder of shards, not with a single file");
    if (s == ST_OK) s = check_resume(p, err);
    if (s == ST_OK) s = prepare(t, err);
    if (s != ST_OK)
        free_target(t);
    else
        p->n++;
    if (s == ST_OK) p->resumes |= t->opts.resume;
    return s;
}

uint64_t plan_target_bytes(const plan_target *t)
{
    uint64_t n = t->index_len;
    for (size_t i = 0; i < t->opts.ncompanions; i++) n += t->opts.companions[i].n;
    for (size_t u = 0; u < t->nunits; u++) n += t->units[u].size;
    return n;
}

uint64_t st_plan_bytes(const st_plan *p)
{
    uint64_t n = 0;
    for (size_t i = 0; i < p->n; i++) n += plan_target_bytes(&p->targets[i]);
    return n;
}

uint64_t st_plan_stored(const st_plan *p) { return p->stored; }
