/* product.c - products of matrices whose inner size is small, as in W + B A. Layer: exec.
 *
 * Such a product is much larger than its operands. So these are held, in F32 or F64, and elements are made when they
 * are wanted, any range of them, without a call of OpenBLAS: where sums are short, its copying of operands costs more
 * than it gains. An element is the same wherever a range begins, on every processor (kern/level_product.c). */
#include "product.h"
#include "hold.h"
#include "linalg.h"
#include "mem.h"

#include <string.h>

enum {
    INNER = 512,       /* at most */
    LEAST = 1 << 12,   /* elements that are worth it */
    BLOCK_ROWS = 96,   /* that go through the kernel together, at most; fewer where they are long: */
    BLOCK_SIZE = 6144, /* elements of the left operand that stay in the first-level cache */
    FEW_ROWS = 12,     /* what a kernel has registers for */
    PIECE = 1 << 18,   /* elements of the whole that a worker makes between two looks at the cancel flag */
};

struct st_product {
    uint64_t m, n, k;
    size_t width;        /* bytes of an element */
    uint64_t across;     /* elements of a strip's row */
    uint64_t block_rows; /* of one call */
    st_product_fn fn;
    char *a; /* m rows of k */
    char *b; /* strips, each of k rows; what lies behind the last column is 0 */
};

/* ---------------------------------------------------------------- operands */

st_tensor *st_product_operand(const st_tensor *t, int i)
{
    st_tensor *x = t->args[i];
    bool scattered = x->node == ST_N_VIEW && !x->forced && !st_view_is_plain(x);
    return scattered && x->args[0]->numel <= x->numel ? x->args[0] : x;
}

/* An operand's values, with the steps from row to row and from column to column. */
typedef struct operand {
    const char *first;
    int64_t down, right; /* in bytes */
    void *own;
} operand;

static st_status load(st_ctx *ctx, const st_tensor *t, int i, size_t width, operand *o, st_err *err)
{
    st_tensor *view = t->args[i], *x = st_product_operand(t, i);
    st_dtype as = st_reg_dtype(st_dtype_reg(t->dtype));
    *o = (operand){.first = st_held(x), .down = view->shape[1], .right = 1};
    if (!o->first || st_held_dtype(x) != as) {
        ST_TRY(linalg_alloc(ctx, "matmul", x, x->numel, width, &o->own, err));
        o->first = o->own;
        ST_TRY(st_export(ctx, x, 0, x->numel, as, o->own, err));
    }
    if (x != view) {
        o->first += view->start * (int64_t)width;
        o->down = view->strides[0];
        o->right = view->strides[1];
    }
    o->down *= (int64_t)width;
    o->right *= (int64_t)width;
    return ST_OK;
}

/* `count` neighbours of a row, one behind the other. */
static void copy_row(const operand *o, uint64_t row, uint64_t column, uint64_t count, size_t width, char *to)
{
    const char *from = o->first + (int64_t)row * o->down + (int64_t)column * o->right;
    st_kern_gather(to, from, o->right / (int64_t)width, width, count);
}

static void lay_out(const st_product *p, const operand *a, const operand *b)
{
    for (uint64_t i = 0; i < p->m; i++) copy_row(a, i, 0, p->k, p->width, p->a + i * p->k * p->width);
    char *to = p->b;
    for (uint64_t column = 0; column < p->n; column += p->across)
        for (uint64_t i = 0; i < p->k; i++, to += ST_STRIP_BYTES) {
            uint64_t count = p->n - column < p->across ? p->n - column : p->across;
            memset(to, 0, ST_STRIP_BYTES);
            copy_row(b, i, column, count, p->width, to);
        }
}

static st_status fill_operands(st_ctx *ctx, const st_tensor *t, st_product *p, st_err *err)
{
    operand a = {0}, b = {0};
    st_status s = load(ctx, t, 0, p->width, &a, err);
    if (s == ST_OK) s = load(ctx, t, 1, p->width, &b, err);
    if (s == ST_OK) lay_out(p, &a, &b);
    st_free(a.own);
    st_free(b.own);
    return s;
}

st_status st_product_new(st_ctx *ctx, const st_tensor *t, st_product **out, st_err *err)
{
    void *room;
    st_reg class = st_dtype_reg(t->dtype);
    *out = NULL;
    st_product *p = st_calloc(1, sizeof *p);
    if (!p) return st_fail_nomem(err, sizeof *p);
    p->m = (uint64_t)t->shape[0];
    p->n = (uint64_t)t->shape[1];
    p->k = (uint64_t)t->args[0]->shape[1];
    p->width = st_reg_size(class);
    p->across = ST_STRIP_BYTES / p->width;
    p->block_rows = BLOCK_SIZE / p->k / FEW_ROWS * FEW_ROWS;
    if (p->block_rows < FEW_ROWS) p->block_rows = FEW_ROWS;
    if (p->block_rows > BLOCK_ROWS) p->block_rows = BLOCK_ROWS;
    p->fn = st_kern()->product[class];
    uint64_t columns = (p->n + p->across - 1) / p->across * p->across;
    st_status s = linalg_alloc(ctx, "matmul", t, (columns + p->m) * p->k, p->width, &room, err);
    if (s == ST_OK) {
        p->b = room; /* first: strips are aligned */
        p->a = p->b + columns * p->k * p->width;
        s = fill_operands(ctx, t, p, err);
    }
    if (s == ST_OK) return *out = p, ST_OK;
    if (err && !err->origin) err->origin = t->origin;
    st_product_free(p);
    return s;
}

void st_product_free(st_product *p)
{
    if (p) st_free(p->b);
    st_free(p);
}

uint64_t st_product_width(const st_product *p) { return p->n; }

/* ---------------------------------------------------------------- elements */

/* A part of the result, whose rows lie `cols` elements apart in `out`. */
typedef struct part {
    uint64_t row, rows, col, cols;
    char *out;
} part;

/* What a strip gives of it; of those at its edges only some columns. */
static void fill_strip(const st_product *p, const part *x, uint64_t strip)
{
    uint64_t first = strip * p->across, end = first + p->across;
    uint64_t from = first > x->col ? first : x->col, to = end < x->col + x->cols ? end : x->col + x->cols;
    const char *a = p->a + x->row * p->k * p->width, *b = p->b + strip * p->k * ST_STRIP_BYTES;
    char *out = x->out + (from - x->col) * p->width, all[BLOCK_ROWS * ST_STRIP_BYTES];
    if (from == first && to == end) {
        p->fn(a, b, p->k, x->rows, out, x->cols);
        return;
    }
    p->fn(a, b, p->k, x->rows, all, p->across);
    for (uint64_t r = 0; r < x->rows; r++)
        memcpy(out + r * x->cols * p->width, all + r * ST_STRIP_BYTES + (from - first) * p->width,
               (to - from) * p->width);
}

static void fill_part(const st_product *p, part x)
{
    for (uint64_t left = x.rows; left; left -= x.rows) {
        x.rows = left < p->block_rows ? left : p->block_rows;
        for (uint64_t s = x.col / p->across; s * p->across < x.col + x.cols; s++) fill_strip(p, &x, s);
        x.row += x.rows;
        x.out += x.rows * x.cols * p->width;
    }
}

void st_product_fill(const st_product *p, uint64_t start, uint64_t count, void *out)
{
    part x = {.row = start / p->n, .col = start % p->n, .out = out};
    while (count) { /* the end of a row, whole rows, the begin of one */
        bool whole = x.col == 0 && count >= p->n;
        uint64_t left = p->n - x.col;
        x.rows = whole ? count / p->n : 1;
        x.cols = left < count ? left : count;
        fill_part(p, x);
        count -= x.rows * x.cols;
        x.out += x.rows * x.cols * p->width;
        x.row += x.rows;
        x.col = 0;
    }
}

/* ---------------------------------------------------------------- all of it */

typedef struct job {
    st_ctx *ctx;
    const st_product *p;
    uint64_t numel, piece;
    _Atomic uint64_t next;
    char *out;
} job;

static st_status worker(void *arg, unsigned number, st_err *err)
{
    job *j = arg;
    (void)number;
    (void)err;
    for (uint64_t at; !st_ctx_stopped(j->ctx) && (at = j->next++ * j->piece) < j->numel;)
        st_product_fill(j->p, at, j->numel - at < j->piece ? j->numel - at : j->piece, j->out + at * j->p->width);
    return ST_OK;
}

static st_status compute(st_ctx *ctx, const st_tensor *t, void *out, st_err *err)
{
    st_product *p;
    ST_TRY(st_product_new(ctx, t, &p, err));
    job j = {.ctx = ctx, .p = p, .numel = t->numel, .out = out};
    j.piece = p->n < PIECE ? PIECE / p->n * p->n : p->n;
    uint64_t pieces = (j.numel + j.piece - 1) / j.piece;
    st_status s = st_ctx_run(ctx, pieces > 1024 ? 1024 : (unsigned)pieces, worker, &j, err);
    st_product_free(p);
    return s;
}

/* ---------------------------------------------------------------- nodes */

static const st_whole whole_product = {"matmul", compute};

bool st_product_take(st_tensor *t)
{
    if (t->ndim != 2 || t->numel < LEAST) return false;
    int64_t m = t->shape[0], n = t->shape[1], k = t->args[0]->shape[1];
    if (k < 1 || k > INNER || k > m / 4 || k > n / 4) return false;
    t->whole = &whole_product;
    return true;
}

bool st_is_product(const st_tensor *t) { return t->node == ST_N_WHOLE && t->whole == &whole_product; }
bool st_is_ranged(const st_tensor *t) { return st_is_product(t) && !t->forced; }
