/* stream.c - moves a plan's bytes: raw runs are copied inside the kernel, the rest is computed tile by tile. Layer:
 * model.
 *
 * Work is a list of items handed out in chunks by one cursor under one lock: each worker reads, computes and writes its
 * chunk alone. A program is compiled when the cursor reaches its item and freed when its last chunk is written, so
 * that memory does not grow with the number of tensors. An item that needs something computed before (reductions, whole
 * tensors) is a run by itself: all threads prepare it, then all stream it, and its inputs are read once if they fit.
 *
 * Since chunks are handed out in order, all that lies before the first one which is not written yet is done: marks for
 * resuming are such places. */
#include "stream.h"
#include "hold.h"
#include "mem.h"
#include "sort.h"

enum {
    COPY_CHUNK = 4 << 20, /* bytes: copied between two looks at the cancel flag */
    AHEAD = 16 << 20,     /* bytes of read-ahead per source */
};

/* Either a run of raw bytes, or a group of pieces computed together. */
typedef struct item {
    st_piece **pieces; /* `n` of them; a raw run has the first only, and its total length */
    size_t n;
    uint64_t size; /* bytes of a raw run, elements of a group */
    uint64_t next; /* where the cursor stands */
    unsigned users;
    st_need need; /* what below is kept in memory for it */
    st_program *program;
} item;

typedef struct place {
    size_t item;
    uint64_t offset; /* as `next` */
} place;
static const place NOWHERE = {SIZE_MAX, 0};

typedef struct stream {
    st_ctx *ctx;
    item *items;
    size_t nitems, at, end; /* end of this run */
    uint64_t taken;         /* chunks */
    st_piece **order;
    st_held_files held;
    st_resume *resume;
    unsigned lanes;
    place *busy; /* by worker, of `lanes`: where the chunk begins that it has not written yet, or NOWHERE */
} stream;

typedef struct chunk {
    item *it;
    uint64_t start, count;
} chunk;

/* ---------------------------------------------------------------- handing out */

static st_status compile(const stream *s, item *it, st_err *err)
{
    st_output *outs = st_calloc(it->n, sizeof *outs);
    if (!outs) return st_fail_nomem(err, it->n * sizeof *outs);
    for (size_t i = 0; i < it->n; i++) outs[i] = it->pieces[i]->out;
    st_status status = st_program_new(s->ctx, outs, it->n, &it->program, err);
    st_free(outs);
    return status;
}

/* Frees what an item needed: its program, and the values that were kept for it. */
static void release(item *it)
{
    st_program_free(it->program);
    it->program = NULL;
    for (size_t i = 0; it->need && i < it->n; i++) st_unpin(it->pieces[i]->out.t);
    it->need = ST_NEED_NOTHING;
}

/* Pins every item's operands before the first is computed, so that values used twice are kept until the second use. */
static st_status pin_all(stream *s, st_err *err)
{
    for (size_t i = 0; i < s->nitems; i++) {
        item *it = &s->items[i];
        if (it->next >= it->size) continue; /* an earlier save did it */
        for (size_t j = 0; !it->pieces[0]->raw && j < it->n; j++) {
            st_need need;
            st_status status = st_pin(it->pieces[j]->out.t, &need, err);
            if (it->need < need) it->need = need;
            if (status != ST_OK) return status;
        }
    }
    return ST_OK;
}

/* The chunk is written. */
static void give_back(stream *s, unsigned worker, chunk *c)
{
    if (c->it && --c->it->users == 0 && c->it->next >= c->it->size) release(c->it);
    c->it = NULL;
    s->busy[worker] = NOWHERE;
}

/* The next chunk of work, or it = NULL when there is none. Gives back the one that was taken before. */
static st_status next_chunk(stream *s, unsigned worker, chunk *c, st_err *err)
{
    st_status status = ST_OK;
    st_ctx_lock(s->ctx);
    st_ctx_begun(s->ctx, worker, s->taken++);
    give_back(s, worker, c);
    while (s->at < s->end && s->items[s->at].next >= s->items[s->at].size) s->at++;
    if (s->at < s->end) {
        item *it = &s->items[s->at];
        bool raw = it->pieces[0]->raw;
        if (!raw && !it->program) status = compile(s, it, err);
        if (status == ST_OK) {
            uint64_t most = raw ? COPY_CHUNK : st_program_tile(it->program), left = it->size - it->next;
            *c = (chunk){it, it->next, left < most ? left : most};
            s->busy[worker] = (place){s->at, it->next};
            it->next += c->count;
            it->users++;
        }
    }
    st_ctx_unlock(s->ctx);
    return status;
}

/* ---------------------------------------------------------------- working */

typedef struct scratch {
    st_lane lane;
    char *buf; /* results, or bytes on their way */
    size_t size;
    void **outs;
    size_t nouts;
} scratch;

static st_status reserve(scratch *w, size_t bytes, size_t nouts, st_err *err)
{
    ST_TRY(st_make_room((void **)&w->buf, &w->size, bytes, 0, err));
    if (w->nouts < nouts) {
        st_free(w->outs);
        w->nouts = 0;
        w->outs = st_calloc(nouts, sizeof *w->outs);
        if (!w->outs) return st_fail_nomem(err, nouts * sizeof *w->outs);
        w->nouts = nouts;
    }
    return ST_OK;
}

static st_status copy_chunk(const chunk *c, scratch *w, st_err *err)
{
    const st_piece *p = c->it->pieces[0];
    const st_tensor *t = p->out.t;
    uint64_t to = p->offset + c->start;
    st_sink *k = p->sink;
    if (t->node == ST_N_VALUES) return k->ops->write(k, (const char *)t->values + c->start, to, c->count, err);
    uint64_t from = t->offset + c->start;
    st_source_advise(t->source, from + AHEAD, c->count);
    if (k->ops->copy) return k->ops->copy(k, t->source, from, to, c->count, err);
    ST_TRY(reserve(w, c->count, 0, err));
    ST_TRY(t->source->ops->read(t->source, w->buf, from, c->count, err));
    return k->ops->write(k, w->buf, to, c->count, err);
}

static st_status compute_chunk(const chunk *c, scratch *w, st_err *err)
{
    const item *it = c->it;
    size_t total = 0;
    for (size_t i = 0; i < it->n; i++)
        total += (c->count * (st_dtype_bits(it->pieces[i]->out.dtype) / 8) + 63) / 64 * 64;
    ST_TRY(reserve(w, total, it->n, err));
    char *at = w->buf;
    for (size_t i = 0; i < it->n; i++) {
        w->outs[i] = at;
        at += (c->count * (st_dtype_bits(it->pieces[i]->out.dtype) / 8) + 63) / 64 * 64;
    }
    st_program_advise(it->program, c->start, c->count, AHEAD);
    ST_TRY(st_program_run(it->program, &w->lane, c->start, c->count, w->outs, err));
    for (size_t i = 0; i < it->n; i++) {
        const st_piece *p = it->pieces[i];
        size_t width = st_dtype_bits(p->out.dtype) / 8;
        ST_TRY(p->sink->ops->write(p->sink, w->outs[i], p->offset + c->start * width, c->count * width, err));
    }
    return ST_OK;
}

static uint64_t bytes_of(const item *it, uint64_t count)
{
    if (it->pieces[0]->raw) return count;
    uint64_t n = 0;
    for (size_t i = 0; i < it->n; i++) n += count * (st_dtype_bits(it->pieces[i]->out.dtype) / 8);
    return n;
}

/* ---------------------------------------------------------------- marks */

/* Everything before it is written: the cursor, or the first chunk that is still being worked on. Under the lock. */
static st_mark watermark(const stream *s)
{
    place p = {s->at, s->at < s->nitems ? s->items[s->at].next : 0};
    for (unsigned i = 0; i < s->lanes; i++) {
        place b = s->busy[i];
        if (b.item < p.item || (b.item == p.item && b.offset < p.offset)) p = b;
    }
    if (p.item < s->nitems && p.offset >= s->items[p.item].size) p = (place){p.item + 1, 0};
    st_mark m = {.item = p.item, .offset = p.offset};
    for (size_t i = 0; i < p.item; i++) m.bytes += bytes_of(&s->items[i], s->items[i].size);
    if (p.offset) m.bytes += bytes_of(&s->items[p.item], p.offset);
    return m;
}

/* The worker that finds a mark due writes it, while the others go on. Its own chunk is done. */
static st_status note(stream *s, unsigned worker, chunk *c, st_err *err)
{
    st_mark m;
    if (!s->resume) return ST_OK;
    st_ctx_lock(s->ctx);
    give_back(s, worker, c);
    bool due = st_resume_due(s->resume);
    if (due) m = watermark(s);
    st_ctx_unlock(s->ctx);
    if (!due) return ST_OK;
    st_status status = st_resume_note(s->resume, &m, err);
    st_ctx_lock(s->ctx);
    s->resume->noting = false;
    st_ctx_unlock(s->ctx);
    return status;
}

/* The last mark of this process, when all workers are gone. A failure counts only where nothing else has failed. */
static st_status last_note(stream *s, st_status status, st_err *err)
{
    st_err own;
    st_mark m = watermark(s);
    st_status noted = st_resume_note(s->resume, &m, status == ST_OK ? err : &own);
    return status == ST_OK ? noted : status;
}

/* Sets the cursor where an earlier save was; at the beginning if that is no place of this work. */
static void go_on(stream *s)
{
    st_mark *m = &s->resume->mark;
    bool fits = m->item < s->nitems ? m->offset < s->items[m->item].size : m->item == s->nitems && m->offset == 0;
    for (size_t i = 0; fits && i < m->item; i++) s->items[i].next = s->items[i].size;
    if (fits && m->item < s->nitems) s->items[m->item].next = m->offset;
    s->at = fits ? m->item : 0;
    if (!fits || watermark(s).bytes != m->bytes) {
        for (size_t i = 0; i < s->nitems; i++) s->items[i].next = 0;
        s->at = 0;
        *m = (st_mark){0};
    }
    if (m->bytes) st_progress_there(s->ctx, m->bytes);
}

static st_status worker(void *arg, unsigned number, st_err *err)
{
    stream *s = arg;
    scratch w = {0};
    chunk c = {0};
    st_status status = ST_OK;
    while (status == ST_OK && !st_ctx_stopped(s->ctx)) {
        status = next_chunk(s, number, &c, err);
        if (status != ST_OK || !c.it) break;
        status = c.it->pieces[0]->raw ? copy_chunk(&c, &w, err) : compute_chunk(&c, &w, err);
        st_progress_add(s->ctx, bytes_of(c.it, c.count));
        if (number == 0) st_progress_tick(s->ctx, false);
        if (status == ST_OK) status = note(s, number, &c, err);
    }
    if (status == ST_OK) { /* of a chunk that failed nobody knows how far it came */
        st_ctx_lock(s->ctx);
        give_back(s, number, &c);
        st_ctx_unlock(s->ctx);
    }
    st_lane_free(&w.lane);
    st_free(w.buf);
    st_free(w.outs);
    return status;
}

/* ---------------------------------------------------------------- items */

static int by_place(const void *a, const void *b, const void *arg)
{
    (void)arg;
    const st_piece *x = *(st_piece *const *)a, *y = *(st_piece *const *)b;
    if (x->file != y->file) return x->file < y->file ? -1 : 1;
    if (x->offset != y->offset) return x->offset < y->offset ? -1 : 1;
    return 0;
}

/* True when y's bytes follow x's in the source and in the sink, so that one copy does both. */
static bool continues(const item *it, const st_piece *y)
{
    const st_piece *x = it->pieces[0];
    return x->raw && y->raw && x->sink == y->sink && x->out.t->node == ST_N_RANGE && y->out.t->node == ST_N_RANGE &&
           x->out.t->source == y->out.t->source && x->out.t->offset + it->size == y->out.t->offset &&
           x->offset + it->size == y->offset;
}

static void add_item(stream *s, st_piece **p, item **of_group)
{
    st_piece *x = *p;
    item *last = s->nitems ? &s->items[s->nitems - 1] : NULL;
    if (x->bytes == 0) return;
    if (x->raw && last && last->pieces && continues(last, x)) { /* groups get their pieces later */
        last->size += x->bytes;
    } else if (x->raw) {
        s->items[s->nitems++] = (item){.pieces = p, .n = 1, .size = x->bytes};
    } else if (!of_group[x->group]) {
        of_group[x->group] = &s->items[s->nitems];
        s->items[s->nitems++] = (item){.n = 1, .size = x->out.t->numel};
    } else {
        of_group[x->group]->n++;
    }
}

/* Gives every group its pieces: consecutive places in a second array. */
static void fill_groups(stream *s, st_piece **sorted, size_t n, st_piece **members, item **of_group)
{
    for (size_t i = 0; i < s->nitems; i++) {
        item *it = &s->items[i];
        if (it->pieces) continue;
        it->pieces = members;
        members += it->n;
        it->n = 0;
    }
    for (size_t i = 0; i < n; i++) {
        item *it = sorted[i]->raw || sorted[i]->bytes == 0 ? NULL : of_group[sorted[i]->group];
        if (it) it->pieces[it->n++] = sorted[i];
    }
}

static st_status run(stream *s, size_t first, size_t end, st_err *err)
{
    s->at = first;
    s->end = end;
    return st_ctx_run(s->ctx, s->lanes, worker, s, err);
}

enum { SHARE = 8 }; /* part of the memory limit for inputs that are needed several times */

static st_status run_prepared(stream *s, size_t i, st_err *err)
{
    item *it = &s->items[i];
    st_tensor **roots = st_calloc(it->n, sizeof *roots);
    if (!roots) return st_fail_nomem(err, it->n * sizeof *roots);
    for (size_t j = 0; j < it->n; j++) roots[j] = it->pieces[j]->out.t;
    st_status status = st_hold_files(s->ctx, roots, it->n, st_ctx_memory(s->ctx) / SHARE, &s->held, err);
    if (status == ST_OK) status = compile(s, it, err);
    if (status == ST_OK) status = run(s, i, i + 1, err);
    release(it);
    st_drop_files(&s->held);
    st_free(roots);
    return status;
}

static st_status run_all(stream *s, st_err *err)
{
    st_status status = ST_OK;
    for (size_t i = 0, first = 0; status == ST_OK && i <= s->nitems; i++) {
        if (i < s->nitems && s->items[i].need != ST_NEED_APART) continue;
        if (i > first) status = run(s, first, i, err);
        if (status == ST_OK && i < s->nitems) status = run_prepared(s, i, err);
        first = i + 1;
    }
    return status;
}

st_status st_stream(st_ctx *ctx, st_piece *pieces, size_t n, st_resume *r, st_err *err)
{
    stream s = {.ctx = ctx, .resume = r, .lanes = st_ctx_threads(ctx)};
    size_t groups = 0;
    for (size_t i = 0; i < n; i++)
        if (pieces[i].group >= groups) groups = pieces[i].group + 1;
    s.order = st_calloc(2 * n + 1, sizeof *s.order);
    s.items = st_calloc(n + 1, sizeof *s.items);
    s.busy = st_calloc(s.lanes, sizeof *s.busy);
    item **of_group = st_calloc(groups + 1, sizeof *of_group);
    st_status status = s.order && s.items && s.busy && of_group ? ST_OK : st_fail_nomem(err, n * sizeof *s.items);
    if (status == ST_OK) {
        for (size_t i = 0; i < n; i++) s.order[i] = &pieces[i];
        st_sort(s.order, n, sizeof *s.order, by_place, NULL);
        for (size_t i = 0; i < n; i++) add_item(&s, &s.order[i], of_group);
        fill_groups(&s, s.order, n, s.order + n, of_group);
        for (unsigned i = 0; i < s.lanes; i++) s.busy[i] = NOWHERE;
        if (r) go_on(&s);
        status = pin_all(&s, err);
    }
    if (status == ST_OK) {
        status = run_all(&s, err);
        st_progress_tick(ctx, true);
        if (r) status = last_note(&s, status, err);
    }
    for (size_t i = 0; s.items && i < s.nitems; i++) release(&s.items[i]);
    st_free(s.held.block);
    st_free(of_group);
    st_free(s.busy);
    st_free(s.items);
    st_free(s.order);
    return status;
}
