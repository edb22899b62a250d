/* pickle_node.h - how the nodes of a pickle lie in memory, for those who make them. Layer: io. */
#ifndef ST_PICKLE_NODE_H
#define ST_PICKLE_NODE_H

#include "arena.h"
#include "pickle.h"
#include "strmap.h"

/* 16 bytes, for a pickle may make one with every byte.
 *
 *   INT, BOOL      i
 *   FLOAT          f
 *   TEXT BYTES BIG a = length, s = where they lie, in the pickle or in the arena
 *   TUPLE          a = count, lo = first of its kids
 *   LIST DICT SET  a = first batch, lo = end of the last, hi = number of kids
 *   GLOBAL         a = module, lo = name, hi = first call
 *   CALL           a = callee, lo = arguments, hi = EXTRA or 0
 *   EXTRA          a = state, lo, hi = first batch, end of the last; flag: the items are pairs
 *   PERSISTENT     a = its id
 *
 * Kids are node numbers in one pool. A container that grows has batches of them: count, kids ..., next batch. */
typedef struct st_pcell {
    uint8_t kind, flag;
    uint32_t a;
    union {
        int64_t i;
        double f;
        const char *s;
        struct {
            uint32_t lo, hi;
        };
    };
} st_pcell;

enum { ST_PBLOCK = 4096 }; /* cells */

struct st_pickle {
    st_pcell **blocks;
    size_t nblocks, block_cap;
    uint32_t n;
    uint32_t *kids;
    size_t nkids, kid_cap;
    uint32_t *globals;
    size_t nglobals, global_cap;
    st_strmap names; /* "module\nname" -> node */
    st_arena text;
    st_pnode root;
};

/* The nodes that every pickle begins with. */
enum { ST_PN_NONE = 1, ST_PN_TRUE, ST_PN_FALSE, ST_PN_EMPTY, ST_PN_FIRST };

static inline st_pcell *st_pcell_at(const st_pickle *p, st_pnode n) { return &p->blocks[n / ST_PBLOCK][n % ST_PBLOCK]; }

/* Each is false without memory. */
bool st_pickle_start(st_pickle *p); /* makes the first nodes */
bool st_pickle_make(st_pickle *p, st_pcell cell, st_pnode *out);
bool st_pickle_make_text(st_pickle *p, st_pkind kind, const void *s, size_t n, st_pnode *out); /* lends `s` */
bool st_pickle_make_tuple(st_pickle *p, const uint32_t *kids, size_t n, st_pnode *out);
/* Adds kids to a LIST, DICT, SET or CALL. */
bool st_pickle_extend(st_pickle *p, st_pnode to, const uint32_t *kids, size_t n, bool pairs);
bool st_pickle_set_state(st_pickle *p, st_pnode call, st_pnode state);
/* `key` is "module\nname", lent. */
bool st_pickle_make_global(st_pickle *p, const char *key, size_t len, size_t module_len, st_pnode *out);
/* The text of a line (pickle_line.c), as UTF-8. `raw`: only \u and \U are escapes, else those of a literal are. */
bool st_pickle_unescape(st_arena *a, st_text line, bool raw, st_text *out);

#endif
