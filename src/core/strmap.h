/* strmap.h - a hash map from counted strings to indices. Layer: core. Keys are lent, not copied. Seeded by XXH3 with
 * a random seed per process, so that crafted names cannot make it slow. */
#ifndef ST_STRMAP_H
#define ST_STRMAP_H

#include "status.h"

typedef struct st_strmap {
    struct st_strmap_slot *slots;
    struct st_strmap_entry *entries;
    size_t mask, used, cap;
} st_strmap;

/* A zeroed map is empty and valid. */
void st_strmap_free(st_strmap *m);
/* Room for `n` keys without further allocation. */
st_status st_strmap_reserve(st_strmap *m, size_t n, st_err *err);
/* Adds key -> value. When the key is there already *old is its value and nothing changes; otherwise *old is -1. */
st_status st_strmap_add(st_strmap *m, const char *key, size_t len, size_t value, int64_t *old, st_err *err);
int64_t st_strmap_find(const st_strmap *m, const char *key, size_t len); /* -1: absent */

#endif
