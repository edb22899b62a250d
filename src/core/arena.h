/* arena.h - memory that is taken in small pieces and given back as a whole. Layer: core. */
#ifndef ST_ARENA_H
#define ST_ARENA_H

#include "status.h"

/* A zeroed one is empty and valid. */
typedef struct st_arena {
    struct st_arena_block *last;
    size_t left;   /* bytes of the last block */
    uint64_t held; /* bytes of all blocks */
} st_arena;

/* n bytes, aligned to 8, that stay where they are; NULL without memory. */
void *st_arena_take(st_arena *a, size_t n);
/* A copy with a NUL behind it. */
char *st_arena_copy(st_arena *a, const void *bytes, size_t n);
void st_arena_free(st_arena *a);

#endif
