/* reduce_rows.c - reductions over elements that lie behind one another. Layer: exec.
 *
 * A row is cut into segments by index; a segment is folded block after block by one worker, segments are joined in
 * order at the end. Short rows are one segment, and a worker takes many of them. What is in memory is a few blocks of
 * each operand. */
#include "mem.h"
#include "reduce_pass.h"

#include <string.h>

enum {
    SEGMENT = 64 * ST_FOLD_BLOCK, /* elements; doubled while a row has more than MOST of them */
    MOST = 4096,
    APART = 4, /* blocks between those that are folded abreast: further than processors look ahead */
    GROUP = ST_FOLD_ABREAST * APART,
};

typedef struct rows {
    st_pass *p;
    uint64_t segment, per_row; /* per_row: segments */
    uint64_t units, rows_per_unit;
    st_partial *partials; /* [reduction][row][segment], where rows have several */
    _Atomic uint64_t next;
} rows;

typedef struct hand {
    rows *w;
    st_lane lane;
    const void *blocks[2 * ST_REDUCE_TOGETHER];
    uint64_t base;                      /* the element that the program began with */
    st_partial acc[ST_REDUCE_TOGETHER]; /* of the row, or the segment, that is being folded */
} hand;

/* As many of n elements from x on as make whole groups: how many. Blocks are joined in their order, as if they had been
 * folded one after another. */
static size_t fold_groups(const st_reducing *red, st_partial *acc, const char *x, size_t n)
{
    const size_t group = GROUP * ST_FOLD_BLOCK;
    st_partial part[GROUP];
    size_t done = 0;
    for (; n - done >= group; done += group) {
        for (size_t k = 0; k < APART; k++) red->abreast(part + k, x + (done + k * ST_FOLD_BLOCK) * red->width, APART);
        for (size_t k = 0; k < GROUP; k++) st_fold_join(red->fold, red->reg, acc, &part[k]);
    }
    return done;
}

/* n elements of one block, the first of them the `skip`-th of what is there. */
static void fold_block(hand *h, size_t skip, size_t n, uint64_t in_row)
{
    const st_pass *p = h->w->p;
    for (size_t r = 0; r < p->nreds; r++) {
        const st_reducing *red = &p->reds[r];
        const char *x = (const char *)h->blocks[red->x] + skip * red->width;
        const char *y = (const char *)h->blocks[red->y] + skip * red->width;
        if (red->joint) {
            st_partial *to[ST_JOINT_MOST];
            for (size_t k = 0; k < red->ndoes; k++) to[k] = &h->acc[red->does[k]];
            red->joint(to, x, y, n);
        } else if (red->fn)
            red->fn(&h->acc[r], x, y, n, in_row);
    }
}

/* n elements of one row, the first of them the `skip`-th of what is there; `in_row` is where a block begins. */
static void fold_part(hand *h, uint64_t in_row, size_t skip, size_t n)
{
    const st_pass *p = h->w->p;
    const st_reducing *only = p->nreds == 1 ? p->reds : NULL; /* several share a block while it is in the cache */
    size_t b = 0;
    if (only && only->abreast) b = fold_groups(only, h->acc, (const char *)h->blocks[only->x] + skip * only->width, n);
    for (; b < n; b += ST_FOLD_BLOCK)
        fold_block(h, skip + b, n - b < ST_FOLD_BLOCK ? n - b : ST_FOLD_BLOCK, in_row + b);
}

/* A block of a row that has several segments. */
static void fold_long(void *arg, uint64_t at, size_t n)
{
    hand *h = arg;
    fold_part(h, (h->base + at) % h->w->p->row, 0, n);
}

/* A block of whole rows, or of one of them. */
static void fold_short(void *arg, uint64_t at, size_t n)
{
    hand *h = arg;
    const st_pass *p = h->w->p;
    for (size_t done = 0; done < n;) {
        uint64_t pos = h->base + at + done, in_row = pos % p->row, left = p->row - in_row;
        size_t count = left < n - done ? (size_t)left : n - done;
        if (in_row == 0) memset(h->acc, 0, p->nreds * sizeof *h->acc);
        fold_part(h, in_row, done, count);
        for (size_t r = 0; count == left && r < p->nreds; r++)
            st_reduction_finish(&p->reds[r], &h->acc[r], pos / p->row);
        done += count;
    }
}

/* Elements [start, start + n), piece by piece; pieces begin where blocks do. */
static st_status fold_span(hand *h, uint64_t start, uint64_t n, st_block_fn fn, st_err *err)
{
    const st_pass *p = h->w->p;
    for (uint64_t done = 0; done < n; done += p->run) {
        h->base = start + done;
        if (st_ctx_stopped(p->ctx)) return st_fail_cancelled(err);
        ST_TRY(st_program_each(p->program, &h->lane, h->base, n - done < p->run ? n - done : p->run, p->row, h->blocks,
                               fn, h, err));
    }
    return ST_OK;
}

/* Rows of one segment: as many in one go as fit. */
static st_status fold_rows(hand *h, uint64_t row, uint64_t n, st_err *err)
{
    const st_pass *p = h->w->p;
    uint64_t most = p->row <= p->run ? p->run / p->row : 1;
    for (uint64_t i = 0; i < n; i += most)
        ST_TRY(fold_span(h, (row + i) * p->row, (n - i < most ? n - i : most) * p->row, fold_short, err));
    return ST_OK;
}

static st_status fold_unit(hand *h, uint64_t unit, st_err *err)
{
    const rows *w = h->w;
    const st_pass *p = w->p;
    if (w->per_row == 1) {
        uint64_t row = unit * w->rows_per_unit, left = p->results - row;
        return fold_rows(h, row, left < w->rows_per_unit ? left : w->rows_per_unit, err);
    }
    uint64_t at = unit % w->per_row * w->segment, left = p->row - at;
    memset(h->acc, 0, p->nreds * sizeof *h->acc);
    ST_TRY(fold_span(h, unit / w->per_row * p->row + at, left < w->segment ? left : w->segment, fold_long, err));
    for (size_t r = 0; r < p->nreds; r++) w->partials[r * w->units + unit] = h->acc[r];
    return ST_OK;
}

static st_status rows_worker(void *arg, unsigned worker, st_err *err)
{
    rows *w = arg;
    hand h = {.w = w};
    st_status s = ST_OK;
    (void)worker;
    while (s == ST_OK && !st_ctx_stopped(w->p->ctx)) {
        uint64_t unit = w->next++;
        if (unit >= w->units) break;
        s = fold_unit(&h, unit, err);
    }
    st_lane_free(&h.lane);
    return s;
}

/* Joins the segments of a row as a tree: neighbours, then neighbours of those. */
static void join_segments(const rows *w)
{
    const st_pass *p = w->p;
    for (size_t r = 0; r < p->nreds; r++)
        for (uint64_t row = 0; row < p->results; row++) {
            st_partial *s = w->partials + r * w->units + row * w->per_row;
            for (uint64_t step = 1; step < w->per_row; step *= 2)
                for (uint64_t i = 0; i + step < w->per_row; i += 2 * step)
                    st_fold_join(p->reds[r].fold, p->reds[r].reg, &s[i], &s[i + step]);
            st_reduction_finish(&p->reds[r], &s[0], row);
        }
}

st_status st_reduce_rows(st_pass *p, st_err *err)
{
    rows w = {.p = p, .segment = SEGMENT};
    while (p->row / w.segment >= MOST) w.segment *= 2;
    w.per_row = (p->row + w.segment - 1) / w.segment;
    w.rows_per_unit = p->row < SEGMENT ? SEGMENT / p->row : 1;
    w.units = w.per_row > 1 ? p->results * w.per_row : (p->results + w.rows_per_unit - 1) / w.rows_per_unit;
    if (w.per_row > 1) {
        w.partials = st_calloc(p->nreds * w.units, sizeof *w.partials);
        if (!w.partials) return st_fail_nomem(err, p->nreds * w.units * sizeof *w.partials);
    }
    st_status s = st_ctx_run(p->ctx, w.units > 1024 ? 1024 : (unsigned)w.units, rows_worker, &w, err);
    if (s == ST_OK && w.per_row > 1) join_segments(&w);
    st_free(w.partials);
    return s;
}
