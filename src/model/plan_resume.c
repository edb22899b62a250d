/* plan_resume.c - saving with `resume`: what a plan is recognised by, whether an earlier run of it can be gone on from,
 * and what stays when it is interrupted. Layer: model. */
#include "plan.h"
#include "mem.h"
#include "sys.h"

#include <stdio.h>
#include <string.h>

static void add_number(st_key *k, uint64_t n) { st_key_add(k, &n, sizeof n); }
static void add_text(st_key *k, const char *s) { st_key_add(k, s, strlen(s)); }

static void add_files(st_key *k, const plan_target *t)
{
    add_number(k, t->nunits);
    for (size_t u = 0; u < t->nunits; u++) {
        const plan_unit *x = &t->units[u];
        add_text(k, x->name);
        st_key_add(k, x->head, x->head_len);
        add_number(k, x->size);
    }
    st_key_add(k, t->index, t->index_len);
    add_number(k, t->opts.ncompanions);
    for (size_t i = 0; i < t->opts.ncompanions; i++) {
        add_text(k, t->opts.companions[i].name);
        st_key_add(k, t->opts.companions[i].bytes, t->opts.companions[i].n);
    }
}

/* Where a piece goes and how it is stored; what it is comes from the expressions. */
static void add_pieces(st_key *k, const plan_target *t)
{
    for (size_t i = 0; i < t->npieces; i++) {
        const st_piece *p = &t->pieces[i];
        const uint64_t where[] = {p->group, p->offset, p->bytes, p->out.dtype, p->out.saturate};
        st_key_add(k, where, sizeof where);
    }
}

static st_status add_expressions(const st_plan *p, st_key *k, st_err *err)
{
    size_t n = 0;
    for (size_t i = 0; i < p->n; i++) n += p->targets[i].npieces;
    st_tensor **roots = st_calloc(n + 1, sizeof *roots);
    if (!roots) return st_fail_nomem(err, n * sizeof *roots);
    n = 0;
    for (size_t i = 0; i < p->n; i++)
        for (size_t j = 0; j < p->targets[i].npieces; j++) roots[n++] = p->targets[i].pieces[j].out.t;
    st_status s = st_key_add_tensors(k, roots, n, err);
    st_free(roots);
    return s;
}

/* What was not synced may be lost when the machine stops: then only processes of one start recognise each other. */
static bool has_syncs(const st_plan *p)
{
    for (size_t i = 0; i < p->n; i++)
        if (p->targets[i].opts.no_sync) return false;
    return true;
}

static st_status make_key(st_plan *p, st_err *err)
{
    char boot[64];
    st_key k = {0};
    add_text(&k, "resume 1, stlua " ST_VERSION);
    if (!has_syncs(p)) {
        sys_boot(boot);
        add_text(&k, boot);
    }
    add_number(&k, p->n);
    for (size_t i = 0; i < p->n; i++) {
        add_files(&k, &p->targets[i]);
        add_pieces(&k, &p->targets[i]);
    }
    ST_TRY(add_expressions(p, &k, err));
    k.part[0] |= 1; /* see plan_number */
    p->key = k;
    return ST_OK;
}

/* Odd, so never 0; each target its own, for long names are cut. The first one's is also the journal's. */
uint64_t plan_number(const st_plan *p, size_t i) { return p->resumes ? p->key.part[0] + 2 * i : 0; }

static st_status all_found(const st_plan *p, bool *all, st_err *err)
{
    *all = true;
    for (size_t i = 0; i < p->n; i++) {
        const plan_target *t = &p->targets[i];
        for (size_t u = 0; *all && u < t->nunits; u++)
            ST_TRY(st_writer_find(t->path, plan_number(p, i), t->opts.max_shard ? t->units[u].name : NULL,
                                  t->units[u].size, all, err));
    }
    return ST_OK;
}

/* The journal is locked from here to the end, so that one process alone is at this plan. A mark that relies on a file
 * which is gone must itself be gone before that file is made anew. */
static st_status find_mark(st_plan *p, st_err *err)
{
    st_resume *r = &p->resume;
    bool all = true;
    ST_TRY(st_journal_open(p->targets[0].path, p->key.part, !has_syncs(p), &r->journal, &r->mark, err));
    if (r->mark.bytes == 0) return ST_OK;
    ST_TRY(all_found(p, &all, err));
    if (all) return ST_OK;
    r->mark = (st_mark){0};
    return st_journal_reset(r->journal, err);
}

st_status plan_resume_begin(st_plan *p, st_err *err)
{
    if (p->n == 0) return p->resumes = false, ST_OK;
    st_free(p->resume.sinks);
    p->resume = (st_resume){0};
    ST_TRY(make_key(p, err));
    st_status s = find_mark(p, err);
    if (s == ST_OK) return ST_OK;
    st_journal_close(p->resume.journal, true);
    p->resume.journal = NULL;
    return s;
}

st_status plan_resume_sinks(st_plan *p, st_err *err)
{
    st_resume *r = &p->resume;
    size_t n = 0;
    for (size_t i = 0; i < p->n; i++) n += p->targets[i].nunits;
    r->sinks = st_calloc(n, sizeof *r->sinks);
    if (!r->sinks) return st_fail_nomem(err, n * sizeof *r->sinks);
    for (size_t i = 0; i < p->n; i++)
        for (size_t u = 0; u < p->targets[i].nunits; u++) r->sinks[r->nsinks++] = p->targets[i].units[u].sink;
    st_resume_wait(r);
    return ST_OK;
}

static void keep_all(st_plan *p, bool keep)
{
    for (size_t i = 0; i < p->n; i++) {
        plan_target *t = &p->targets[i];
        for (size_t u = 0; u < t->nunits; u++)
            if (t->units[u].sink) t->units[u].sink->keep = keep;
        if (t->index_sink) t->index_sink->keep = keep;
        if (t->folder) st_folder_keep(t->folder, keep);
    }
}

void plan_resume_end(st_plan *p, st_status s, st_err *err)
{
    st_resume *r = &p->resume;
    /* After a change of an input nobody would recognise it. */
    bool keep = s != ST_OK && s != ST_CHANGED && r->mark.bytes > 0;
    keep_all(p, keep);
    plan_close(p);
    /* Of several targets some may be in place already. */
    if (keep && all_found(p, &keep, NULL) != ST_OK) keep = false;
    st_journal_close(r->journal, keep);
    r->journal = NULL;
    if (!keep || !err) return;
    size_t len = strlen(err->message);
    snprintf(err->message + len, sizeof err->message - len,
             "; %d %% are done and kept: run the same again, with resume, to go on from there",
             (int)(100 * (double)r->mark.bytes / (double)st_plan_bytes(p)));
}
