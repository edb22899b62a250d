/* pickle.h - a Python pickle as inert nodes. Layer: io.
 *
 * A pickle is a program for a machine with a stack, and Python's machine imports and calls whatever the program names.
 * This one only takes notes: a name that would be imported is a node that holds two texts, a call is a node that holds
 * what would be called and with what. Nothing here can call anything. */
#ifndef ST_PICKLE_H
#define ST_PICKLE_H

#include "status.h"

#define ST_PICKLE_MAX (64u << 20)   /* bytes */
#define ST_PICKLE_OPS_MAX 10000000u /* operations */
#define ST_PICKLE_DEPTH 1000        /* levels that those who walk through nodes go down */

typedef enum st_pkind {
    ST_P_NONE,
    ST_P_BOOL,
    ST_P_INT, /* what fits into 64 bits */
    ST_P_BIG, /* an integer that does not: little-endian two's complement, or decimal digits */
    ST_P_FLOAT,
    ST_P_TEXT, /* not checked to be UTF-8 */
    ST_P_BYTES,
    ST_P_TUPLE,
    ST_P_LIST,
    ST_P_DICT,
    ST_P_SET,
    ST_P_GLOBAL,     /* a name to import */
    ST_P_CALL,       /* an object that a call would make, with the state and the items it would be given */
    ST_P_PERSISTENT, /* something outside of the pickle: a storage */
    ST_P_EXTRA       /* the library's own */
} st_pkind;

typedef uint32_t st_pnode; /* 0: none. Nodes are shared, and lists may hold themselves */

typedef struct st_pickle st_pickle;

/* Reads one pickle, protocol 0 to 5, from the start of `bytes`, which are lent until st_pickle_free. *used is its
 * length; more than `len` if reading failed because the bytes end too early. Memory is at most some 30 bytes for each
 * byte read, time is linear. */
st_status st_pickle_read(const char *label, const void *bytes, size_t len, st_pickle **out, size_t *used, st_err *err);
void st_pickle_free(st_pickle *p);
st_pnode st_pickle_root(const st_pickle *p);
size_t st_pickle_nodes(const st_pickle *p); /* node numbers are below it */

st_pkind st_pickle_kind(const st_pickle *p, st_pnode n);
int64_t st_pickle_int(const st_pickle *p, st_pnode n);  /* INT, BOOL */
double st_pickle_float(const st_pickle *p, st_pnode n); /* FLOAT */
st_text st_pickle_text(const st_pickle *p, st_pnode n); /* TEXT, BYTES, BIG; without a NUL; empty for others */
bool st_pickle_is_text(const st_pickle *p, st_pnode n, const char *word);
size_t st_pickle_count(const st_pickle *p, st_pnode n);                /* elements, pairs */
st_pnode st_pickle_item(const st_pickle *p, st_pnode tuple, size_t i); /* 0 beyond its end, or for others */
st_pnode st_pickle_id(const st_pickle *p, st_pnode persistent);
st_pnode st_pickle_get(const st_pickle *p, st_pnode dict, const char *key, size_t len); /* the last value, or 0 */

/* "module" and "name" of a GLOBAL; empty for others. */
void st_pickle_name(const st_pickle *p, st_pnode n, st_text *module, st_text *name);
bool st_pickle_is_global(const st_pickle *p, st_pnode n, const char *module, const char *name);
st_pnode st_pickle_callee(const st_pickle *p, st_pnode call);
st_pnode st_pickle_args(const st_pickle *p, st_pnode call);
st_pnode st_pickle_state(const st_pickle *p, st_pnode call); /* what the object is built with, or 0 */

/* The distinct GLOBALs in the order of their first mention, also those that nothing refers to in the end. */
size_t st_pickle_globals(const st_pickle *p);
st_pnode st_pickle_global(const st_pickle *p, size_t i);
/* The first call of it, else the first that it is handed to, which may call it; 0: none. */
st_pnode st_pickle_first_call(const st_pickle *p, st_pnode global);

/* The elements of a TUPLE, LIST or SET, the pairs of a DICT, and the items that a CALL's object is given. */
typedef struct st_pitems {
    const st_pickle *p;
    uint32_t batch, i, end;
    bool pairs, tuple;
} st_pitems;
st_pitems st_pickle_items(const st_pickle *p, st_pnode n);
bool st_pickle_next(st_pitems *it, st_pnode *key, st_pnode *value); /* *key is 0 where there are no keys */

/* A node as Python would print it, for messages: escaped and cut to fit `cap`, which is above 8. */
void st_pickle_show(const st_pickle *p, st_pnode n, char *dst, size_t cap);

#endif
