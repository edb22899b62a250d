/* arena.c - memory that is taken in small pieces and given back as a whole. Layer: core; may touch memory only. */
#include "arena.h"
#include "mem.h"

#include <string.h>

enum { FIRST = 4 << 10, MOST = 256 << 10 }; /* bytes of a block: small inputs cost little, large ones few blocks */

typedef struct st_arena_block {
    struct st_arena_block *before;
    uint64_t size;
} block;

void *st_arena_take(st_arena *a, size_t n)
{
    if (n > SIZE_MAX / 4) return NULL;
    n = (n + 7) / 8 * 8;
    if (n > a->left) {
        size_t next = a->last ? (size_t)a->last->size * 2 : FIRST;
        if (next > MOST) next = MOST;
        if (next < n) next = n;
        block *b = st_malloc(sizeof *b + next);
        if (!b) return NULL;
        *b = (block){a->last, next};
        a->last = b;
        a->left = next;
        a->held += next;
    }
    char *p = (char *)(a->last + 1) + (a->last->size - a->left);
    a->left -= n;
    return p;
}

char *st_arena_copy(st_arena *a, const void *bytes, size_t n)
{
    char *p = st_arena_take(a, n + 1);
    if (!p) return NULL;
    if (n) memcpy(p, bytes, n);
    p[n] = '\0';
    return p;
}

void st_arena_free(st_arena *a)
{
    while (a->last) {
        block *b = a->last;
        a->last = b->before;
        st_free(b);
    }
    *a = (st_arena){0};
}
