/* blocks.h - a source whose bytes are made block by block when they are read: decompressed, or put together from
 * planes. Layer: io. */
#ifndef ST_BLOCKS_H
#define ST_BLOCKS_H

#include "iface.h"
#include "verify.h"

#define ST_BLOCK_MOST (4u << 20) /* bytes: larger ones would make small reads, and the cache, too expensive */

typedef struct st_blocks st_blocks;
typedef struct st_block_ops {
    /* Makes block `i` in `out`, all of it, and checks it. Called from several threads, each with a scratch of its own.
     */
    st_status (*make)(st_blocks *b, size_t i, void *out, void *scratch, st_err *err);
    void *(*new_scratch)(st_blocks *b); /* NULL without memory */
    void (*free_scratch)(void *scratch);
} st_block_ops;

enum { ST_BLOCK_SLOTS = 32 };

typedef struct st_block_slot {
    void *bytes;
    size_t cap, block; /* SIZE_MAX: none */
    size_t given;      /* bytes of it that were read */
    unsigned users;
    bool making; /* by one of them, the others wait */
    uint64_t used;
} st_block_slot;

/* The first member of whatever makes the blocks. Its st_source_ops have st_blocks_read as `read`. */
struct st_blocks {
    st_source base;
    const st_block_ops *ops;
    uint64_t *starts; /* n + 1 offsets, ascending, from 0 to base.size; owned */
    size_t n;
    pthread_mutex_t lock; /* of what follows */
    pthread_cond_t changed;
    st_block_slot slots[ST_BLOCK_SLOTS];
    void *scratch[ST_BLOCK_SLOTS];
    size_t cached; /* bytes of the slots */
    uint64_t clock;
    uint64_t given; /* bytes that were read since all was dropped */
    unsigned readers;
};

/* Takes over `starts` (st_malloc'ed, no block longer than ST_BLOCK_MOST), on failure too; sets base.size. The rest of
 * `base` is the caller's. */
st_status st_blocks_init(st_blocks *b, const st_block_ops *ops, uint64_t *starts, size_t n, st_err *err);
void st_blocks_destroy(st_blocks *b);

/* st_source_ops.read. Blocks that are wanted whole are made where they are wanted, others in a cache of some MiB. When
 * as many bytes were read as there are, nothing is kept: the next shard's turn has come. */
st_status st_blocks_read(st_source *s, void *buf, uint64_t off, size_t n, st_err *err);
/* The block that holds byte `off`, which is below base.size. */
size_t st_blocks_at(const st_blocks *b, uint64_t off);
/* Makes every block, empty ones too, on all threads, and lists those that cannot be made. Anything else than FORMAT is
 * a failure of its own. */
st_status st_blocks_verify(st_blocks *b, st_ctx *ctx, st_damages *d, st_err *err);
static inline size_t st_blocks_size(const st_blocks *b, size_t i) { return (size_t)(b->starts[i + 1] - b->starts[i]); }

#endif
