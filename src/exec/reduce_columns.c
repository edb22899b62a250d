/* reduce_columns.c - reductions over elements that lie apart, as down the columns of a matrix. Layer: exec.
 *
 * A worker keeps what is known of many columns, and takes the elements in the order in which they lie, row after row:
 * nothing is gathered. Wide rows are cut into tiles of columns. Of narrow ones several make one, so that the kernels
 * have something to do; their columns are joined at the end. A group of rows is cut into segments where there would
 * be too little to share out. All cuts are by shape alone. */
#include "mem.h"
#include "reduce_pass.h"

enum {
    WIDE = 8192, /* columns of a tile */
    NARROW = ST_FOLD_BLOCK / 2,
    UNITS = 16, /* to share out, if there is enough of it */
    SEGMENT = 64 * ST_FOLD_BLOCK,
};

typedef struct columns {
    st_pass *p;
    uint64_t groups, tiles, segments;
    uint64_t rows;        /* of a segment */
    uint64_t tile, width; /* columns of a tile; of what is kept: several rows side by side where they are narrow */
    st_partial *partials; /* [reduction][group][segment][inner], where there are several segments */
    _Atomic uint64_t next;
} columns;

typedef struct hand {
    columns *w;
    st_lane lane;
    const void *blocks[2 * ST_REDUCE_TOGETHER];
    st_columns acc[ST_REDUCE_TOGETHER];
    uint64_t seen; /* elements of the unit before the first that is being computed */
} hand;

/* One unit: columns [first, first + count) of some rows of a group. */
typedef struct unit {
    uint64_t group, segment, first, count;
    uint64_t row, rows;
} unit;

static unit unit_of(const columns *w, uint64_t number)
{
    const st_pass *p = w->p;
    unit u = {.segment = number % w->segments};
    number /= w->segments;
    u.group = number / w->tiles;
    u.first = number % w->tiles * w->tile;
    u.count = p->inner - u.first < w->tile ? p->inner - u.first : w->tile;
    u.row = u.segment * w->rows;
    u.rows = p->row - u.row < w->rows ? p->row - u.row : w->rows;
    return u;
}

/* A block: elements of the unit that lie behind one another. */
static void fold_block(void *arg, uint64_t at, size_t n)
{
    hand *h = arg;
    const columns *w = h->w;
    const st_pass *p = w->p;
    for (size_t done = 0; done < n;) {
        uint64_t pos = h->seen + at + done, column = pos % w->width, left = w->width - column;
        size_t count = left < n - done ? (size_t)left : n - done;
        for (size_t r = 0; r < p->nreds; r++) {
            const st_reducing *red = &p->reds[r];
            const char *x = h->blocks[red->x];
            st_kern()->fold_columns[red->fold][red->reg](&h->acc[r], (size_t)column, x + done * st_reg_size(red->reg),
                                                         count, pos / w->width);
        }
        done += count;
    }
}

/* Elements [start, start + n), of which the first is the unit's `seen`-th. */
static st_status fold_span(hand *h, uint64_t start, uint64_t n, uint64_t seen, st_err *err)
{
    const st_pass *p = h->w->p;
    for (uint64_t done = 0; done < n; done += p->run) {
        uint64_t count = n - done < p->run ? n - done : p->run;
        h->seen = seen + done;
        if (st_ctx_stopped(p->ctx)) return st_fail_cancelled(err);
        ST_TRY(st_program_each(p->program, &h->lane, start + done, count, UINT64_MAX, h->blocks, fold_block, h, err));
    }
    return ST_OK;
}

static void add_rows(st_partial *p, st_fold fold, const st_columns *c, uint64_t column, uint64_t seen, uint64_t row)
{
    bool moments = fold == ST_F_MOMENTS, place = fold == ST_F_ARGMIN || fold == ST_F_ARGMAX;
    p->u = c->value[column];
    p->squares = moments ? c->squares[column] : 0;
    p->at = place ? row + c->at[column] : 0;
    p->n = seen;
}

/* One column of the unit: the rows that lie side by side are joined. */
static st_partial whole_column(const columns *w, const unit *u, st_fold fold, st_reg reg, const st_columns *acc,
                               uint64_t column)
{
    uint64_t elements = u->rows * u->count, side_by_side = w->width / w->tile;
    st_partial sum, part;
    add_rows(&sum, fold, acc, column, (u->rows + side_by_side - 1) / side_by_side, u->row);
    for (uint64_t k = column + u->count; side_by_side > 1 && k < w->width && k < elements; k += u->count) {
        add_rows(&part, fold, acc, k, (elements - k + w->width - 1) / w->width, u->row);
        st_fold_join(fold, reg, &sum, &part);
    }
    return sum;
}

/* What a unit found for its columns: results, or partial ones. */
static void give(const hand *h, const unit *u)
{
    const columns *w = h->w;
    const st_pass *p = w->p;
    for (size_t r = 0; r < p->nreds; r++)
        for (uint64_t c = 0; c < u->count; c++) {
            const st_reducing *red = &p->reds[r];
            st_partial sum = whole_column(w, u, red->fold, red->reg, &h->acc[r], c);
            if (w->segments == 1)
                st_reduction_finish(red, &sum, u->group * p->inner + u->first + c);
            else
                w->partials[((r * w->groups + u->group) * w->segments + u->segment) * p->inner + u->first + c] = sum;
        }
}

static st_status fold_unit(hand *h, uint64_t number, st_err *err)
{
    const columns *w = h->w;
    const st_pass *p = w->p;
    unit u = unit_of(w, number);
    uint64_t start = (u.group * p->row + u.row) * p->inner + u.first;
    if (w->tiles == 1)
        ST_TRY(fold_span(h, start, u.rows * p->inner, 0, err));
    else
        for (uint64_t row = 0; row < u.rows; row++)
            ST_TRY(fold_span(h, start + row * p->inner, u.count, row * w->width, err));
    give(h, &u);
    return ST_OK;
}

/* Room for what is kept of the columns: values of eight bytes, and what else a fold wants. */
static char *columns_room(hand *h, st_err *err)
{
    const columns *w = h->w;
    size_t bytes = 0, each = w->width * 8;
    for (size_t r = 0; r < w->p->nreds; r++) bytes += 2 * each;
    char *buf = st_malloc(bytes), *at = buf;
    if (!buf) st_fail_nomem(err, bytes);
    for (size_t r = 0; buf && r < w->p->nreds; r++, at += 2 * each) {
        void *more = at + each;
        h->acc[r] = (st_columns){.value = (void *)at, .squares = more, .at = more};
    }
    return buf;
}

static st_status columns_worker(void *arg, unsigned worker, st_err *err)
{
    columns *w = arg;
    hand h = {.w = w};
    char *buf = columns_room(&h, err);
    st_status s = buf ? ST_OK : ST_NOMEM;
    uint64_t units = w->groups * w->tiles * w->segments;
    (void)worker;
    while (s == ST_OK && !st_ctx_stopped(w->p->ctx)) {
        uint64_t number = w->next++;
        if (number >= units) break;
        s = fold_unit(&h, number, err);
    }
    st_lane_free(&h.lane);
    st_free(buf);
    return s;
}

/* Joins segments in order. */
static void join_segments(const columns *w)
{
    const st_pass *p = w->p;
    for (size_t r = 0; r < p->nreds; r++)
        for (uint64_t i = 0; i < p->results; i++) {
            const st_reducing *red = &p->reds[r];
            uint64_t group = i / p->inner;
            st_partial *s = w->partials + (r * w->groups + group) * w->segments * p->inner + i % p->inner;
            for (uint64_t k = 1; k < w->segments; k++) st_fold_join(red->fold, red->reg, s, s + k * p->inner);
            st_reduction_finish(red, s, i);
        }
}

static void cut(columns *w)
{
    const st_pass *p = w->p;
    bool places = false; /* of rows side by side the first could not be told */
    for (size_t r = 0; r < p->nreds; r++) places |= p->reds[r].fold == ST_F_ARGMIN || p->reds[r].fold == ST_F_ARGMAX;
    uint64_t side_by_side = places || p->inner > NARROW ? 1 : ST_FOLD_BLOCK / p->inner;
    w->groups = p->results / p->inner;
    w->tile = p->inner < WIDE ? p->inner : WIDE;
    w->tiles = (p->inner + w->tile - 1) / w->tile;
    w->width = w->tile * side_by_side;
    uint64_t wanted = UNITS / (w->groups * w->tiles), enough = p->row * p->inner / SEGMENT;
    w->segments = wanted < enough ? wanted : enough;
    if (w->segments == 0) w->segments = 1;
    w->rows = (p->row + w->segments - 1) / w->segments;
    w->segments = (p->row + w->rows - 1) / w->rows;
}

st_status st_reduce_columns(st_pass *p, st_err *err)
{
    columns w = {.p = p};
    cut(&w);
    if (w.segments > 1) {
        uint64_t n = p->nreds * p->results * w.segments;
        w.partials = st_calloc(n, sizeof *w.partials);
        if (!w.partials) return st_fail_nomem(err, n * sizeof *w.partials);
    }
    uint64_t units = w.groups * w.tiles * w.segments;
    st_status s = st_ctx_run(p->ctx, units > 1024 ? 1024 : (unsigned)units, columns_worker, &w, err);
    if (s == ST_OK && w.segments > 1) join_segments(&w);
    st_free(w.partials);
    return s;
}
