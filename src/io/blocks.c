/* blocks.c - reading ranges of what is made block by block: a cache for parts of blocks, scratch per call. Layer: io;
 * may touch memory. */
#include "blocks.h"
#include "context.h"
#include "mem.h"
#include "shape.h"

#include <string.h>

enum { CACHE_BYTES = 8 << 20 }; /* a source may keep, unless more threads than that read at once */

st_status st_blocks_init(st_blocks *b, const st_block_ops *ops, uint64_t *starts, size_t n, st_err *err)
{
    b->ops = ops;
    b->starts = starts;
    b->n = n;
    b->base.size = starts[n];
    for (size_t i = 0; i < ST_BLOCK_SLOTS; i++) b->slots[i].block = SIZE_MAX;
    if (pthread_mutex_init(&b->lock, NULL) == 0) {
        if (pthread_cond_init(&b->changed, NULL) == 0) return ST_OK;
        pthread_mutex_destroy(&b->lock);
    }
    st_free(starts);
    b->starts = NULL;
    return st_fail_nomem(err, sizeof *b);
}

void st_blocks_destroy(st_blocks *b)
{
    if (!b->starts) return;
    for (size_t i = 0; i < ST_BLOCK_SLOTS; i++) {
        st_free(b->slots[i].bytes);
        if (b->scratch[i]) b->ops->free_scratch(b->scratch[i]);
    }
    st_free(b->starts);
    b->starts = NULL;
    pthread_cond_destroy(&b->changed);
    pthread_mutex_destroy(&b->lock);
}

size_t st_blocks_at(const st_blocks *b, uint64_t off)
{
    size_t low = 0, high = b->n; /* starts[low] <= off < starts[high] */
    while (high - low > 1) {
        size_t mid = low + (high - low) / 2;
        if (b->starts[mid] <= off)
            low = mid;
        else
            high = mid;
    }
    return low;
}

/* ---------------------------------------------------------------- making */

static void *take_scratch(st_blocks *b)
{
    void *s = NULL;
    pthread_mutex_lock(&b->lock);
    for (size_t i = 0; !s && i < ST_BLOCK_SLOTS; i++) {
        s = b->scratch[i];
        b->scratch[i] = NULL;
    }
    pthread_mutex_unlock(&b->lock);
    return s ? s : b->ops->new_scratch(b);
}

static void give_scratch(st_blocks *b, void *s)
{
    pthread_mutex_lock(&b->lock);
    for (size_t i = 0; s && i < ST_BLOCK_SLOTS; i++)
        if (!b->scratch[i]) {
            b->scratch[i] = s;
            s = NULL;
        }
    pthread_mutex_unlock(&b->lock);
    if (s) b->ops->free_scratch(s);
}

static st_status make(st_blocks *b, size_t i, void *out, st_err *err)
{
    void *scratch = take_scratch(b);
    if (!scratch) return st_fail_nomem(err, st_blocks_size(b, i));
    st_status s = b->ops->make(b, i, out, scratch, err);
    give_scratch(b, scratch);
    return s;
}

/* ---------------------------------------------------------------- the cache */

static st_block_slot *find_slot(st_blocks *b, size_t i)
{
    for (size_t k = 0; k < ST_BLOCK_SLOTS; k++)
        if (b->slots[k].block == i) return &b->slots[k];
    return NULL;
}

/* A slot that nobody uses: one that was read to its end, an empty one while there is room, else the one that was used
 * longest ago. NULL: all are in use. */
static st_block_slot *free_slot(const st_blocks *b, size_t size)
{
    const st_block_slot *empty = NULL, *oldest = NULL;
    for (size_t k = 0; k < ST_BLOCK_SLOTS; k++) {
        const st_block_slot *s = &b->slots[k];
        if (s->cap && s->block == SIZE_MAX && !s->users) return (st_block_slot *)s;
        if (!s->cap)
            empty = empty ? empty : s;
        else if (!s->users && (!oldest || s->used < oldest->used))
            oldest = s;
    }
    bool room = b->cached + size <= CACHE_BYTES;
    return (st_block_slot *)(empty && (room || !oldest) ? empty : oldest);
}

static bool resize_slot(st_blocks *b, st_block_slot *s, size_t size)
{
    if (s->cap >= size) return true;
    st_free(s->bytes);
    b->cached -= s->cap;
    s->cap = 0;
    s->bytes = st_malloc(size);
    if (!s->bytes) return false;
    s->cap = size;
    b->cached += size;
    return true;
}

/* A free slot becomes block `i`'s, which the caller makes. Under the lock; false without memory. */
static bool begin(st_blocks *b, st_block_slot *s, size_t i)
{
    s->block = SIZE_MAX;
    if (!resize_slot(b, s, st_blocks_size(b, i))) return false;
    s->block = i;
    s->given = 0;
    s->users = 1;
    s->making = true;
    return true;
}

/* n bytes of it were read. */
static void release(st_blocks *b, st_block_slot *s, size_t n, bool failed)
{
    pthread_mutex_lock(&b->lock);
    s->users--;
    s->given += n;
    s->used = ++b->clock;
    if (failed || (s->users == 0 && s->given >= st_blocks_size(b, s->block)))
        s->block = SIZE_MAX; /* whoever waits for it meets a failure himself */
    s->making = false;
    pthread_cond_broadcast(&b->changed);
    pthread_mutex_unlock(&b->lock);
}

/* Most reads go forward: who would wait for a block makes the one behind it. */
static void make_ahead(st_blocks *b, size_t i)
{
    pthread_mutex_lock(&b->lock);
    st_block_slot *s = i < b->n && !find_slot(b, i) ? free_slot(b, st_blocks_size(b, i)) : NULL;
    if (s && (st_blocks_size(b, i) == 0 || !begin(b, s, i))) s = NULL;
    pthread_mutex_unlock(&b->lock);
    if (s) release(b, s, 0, make(b, i, s->bytes, NULL) != ST_OK);
}

/* A slot for block `i` that the caller now uses: made, or his to make. NULL without memory. */
static st_block_slot *claim(st_blocks *b, size_t i, bool *mine)
{
    bool ahead = false;
    st_block_slot *s;
    pthread_mutex_lock(&b->lock);
    for (;;) {
        s = find_slot(b, i);
        *mine = !s;
        if (s && !s->making) {
            s->users++;
            break;
        }
        if (!s && (s = free_slot(b, st_blocks_size(b, i)))) {
            if (!begin(b, s, i)) s = NULL;
            break;
        }
        if (!*mine && !ahead) {
            pthread_mutex_unlock(&b->lock);
            make_ahead(b, i + 1);
            ahead = true;
            pthread_mutex_lock(&b->lock);
            continue;
        }
        pthread_cond_wait(&b->changed, &b->lock);
    }
    pthread_mutex_unlock(&b->lock);
    return s;
}

static void is_made(st_blocks *b, st_block_slot *s)
{
    pthread_mutex_lock(&b->lock);
    s->making = false;
    pthread_cond_broadcast(&b->changed);
    pthread_mutex_unlock(&b->lock);
}

static st_status read_part(st_blocks *b, size_t i, void *buf, size_t from, size_t n, st_err *err)
{
    bool mine;
    st_block_slot *s = claim(b, i, &mine);
    if (!s) return st_fail_nomem(err, st_blocks_size(b, i));
    st_status status = mine ? make(b, i, s->bytes, err) : ST_OK;
    if (mine && status == ST_OK) is_made(b, s);
    if (status == ST_OK) memcpy(buf, (const char *)s->bytes + from, n);
    release(b, s, n, status != ST_OK);
    return status;
}

/* Whether it lies in the cache, or soon will. */
static bool is_cached(st_blocks *b, size_t i)
{
    pthread_mutex_lock(&b->lock);
    bool found = find_slot(b, i) != NULL;
    pthread_mutex_unlock(&b->lock);
    return found;
}

static void enter(st_blocks *b)
{
    pthread_mutex_lock(&b->lock);
    b->readers++;
    pthread_mutex_unlock(&b->lock);
}

/* Under the lock, when nobody reads. */
static void drop_all(st_blocks *b)
{
    for (size_t i = 0; i < ST_BLOCK_SLOTS; i++) {
        st_free(b->slots[i].bytes);
        b->slots[i] = (st_block_slot){.block = SIZE_MAX};
        if (b->scratch[i]) b->ops->free_scratch(b->scratch[i]);
        b->scratch[i] = NULL;
    }
    b->cached = 0;
}

static void leave(st_blocks *b, size_t n)
{
    pthread_mutex_lock(&b->lock);
    b->given += n;
    if (--b->readers == 0 && b->given >= b->base.size) {
        drop_all(b);
        b->given = 0;
    }
    pthread_mutex_unlock(&b->lock);
}

static st_status read_range(st_blocks *b, char *dst, uint64_t off, size_t n, st_err *err)
{
    for (size_t i = n ? st_blocks_at(b, off) : 0; n; i++) {
        size_t size = st_blocks_size(b, i), from = (size_t)(off - b->starts[i]);
        size_t take = size - from < n ? size - from : n;
        if (take && take == size && !is_cached(b, i))
            ST_TRY(make(b, i, dst, err));
        else if (take)
            ST_TRY(read_part(b, i, dst, from, take, err));
        dst += take;
        off += take;
        n -= take;
    }
    return ST_OK;
}

st_status st_blocks_read(st_source *s, void *buf, uint64_t off, size_t n, st_err *err)
{
    st_blocks *b = (st_blocks *)(void *)s;
    uint64_t end;
    if (!st_add_u64(off, n, &end) || end > s->size)
        return st_fail(err, ST_INTERNAL, s->label, NULL, "a read of %zu bytes at %llu leaves the %llu bytes there are",
                       n, (unsigned long long)off, (unsigned long long)s->size);
    enter(b);
    st_status status = read_range(b, buf, off, n, err);
    leave(b, n);
    return status;
}

/* ---------------------------------------------------------------- checking */

typedef struct check {
    st_blocks *b;
    st_ctx *ctx;
    st_damages *found;
    _Atomic size_t next;
} check;

/* The next blocks, as long as there are any, into `buf`. */
static st_status check_some(check *c, unsigned worker, void *buf, st_err *err)
{
    st_blocks *b = c->b;
    st_err why;
    for (size_t i; !st_ctx_stopped(c->ctx) && (i = c->next++) < b->n;) {
        st_ctx_begun(c->ctx, worker, i);
        st_status s = make(b, i, buf, &why);
        if (s == ST_FORMAT) {
            st_damages_add(c->found, b->starts[i], b->starts[i + 1], &why);
        } else if (s != ST_OK) {
            if (err) *err = why;
            return s;
        }
        st_progress_add(c->ctx, st_blocks_size(b, i));
        if (worker == 0) st_progress_tick(c->ctx, false);
    }
    return ST_OK;
}

static st_status check_blocks(void *arg, unsigned worker, st_err *err)
{
    check *c = arg;
    size_t most = 1;
    for (size_t i = 0; i < c->b->n; i++)
        if (st_blocks_size(c->b, i) > most) most = st_blocks_size(c->b, i);
    void *buf = st_malloc(most);
    if (!buf) return st_fail_nomem(err, most);
    st_status s = check_some(c, worker, buf, err);
    st_free(buf);
    return s;
}

st_status st_blocks_verify(st_blocks *b, st_ctx *ctx, st_damages *d, st_err *err)
{
    check c = {.b = b, .ctx = ctx, .found = d};
    st_progress_begin(ctx, "verify", b->base.size);
    ST_TRY(st_ctx_run(ctx, st_ctx_threads(ctx), check_blocks, &c, err));
    st_progress_tick(ctx, true);
    if (st_ctx_cancelled(ctx)) return st_fail_cancelled(err);
    return st_damages_done(d, err);
}
