/* pack_plan.h - how each tensor of a file is to be packed. Layer: io. */
#ifndef ST_PACK_PLAN_H
#define ST_PACK_PLAN_H

#include "file.h"
#include "pack.h"

#include <xxhash.h>

/* One payload: the header's bytes (number 0), or a tensor. */
typedef struct st_pack_unit {
    const char *name; /* lent by the file */
    size_t name_len;
    uint64_t at, length, base_at; /* bytes in the file; in the base */
    bool has_base;                /* which has such a tensor */
    st_pack_tail tail;
    size_t first;    /* its first chunk's number; its end has the number after its last */
    uint32_t left;   /* chunks that are not packed yet */
    uint64_t packed; /* bytes of payload so far */
    uint32_t *table; /* while it is being packed */
    XXH64_state_t *hash, *base_hash;
} st_pack_unit;

/* Reads what the decisions hang on: whether tensors equal those of the base (may be NULL) or earlier ones, and which
 * way a chunk of each becomes smaller. */
st_status st_pack_plan(st_ctx *ctx, st_file *f, st_file *base, st_pack_unit **units, size_t *count, st_err *err);
void st_pack_plan_free(st_pack_unit *units, size_t count);

/* The bytes of chunk k and, where they are needed, the base's. Chunk by chunk, in order: the tail's hashes follow. */
st_status st_pack_unit_read(st_pack_unit *u, uint32_t k, st_source *src, st_source *base, void *raw, void *base_raw,
                            st_err *err);

#endif
