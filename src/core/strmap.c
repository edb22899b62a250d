/* strmap.c - a hash map from counted strings to indices. Layer: core; may touch memory only. */
#include "strmap.h"

#include "mem.h"
#include "sys.h"

#include <stdatomic.h>
#include <string.h>
#include <xxhash.h>

/* Open addressing with linear probing, at most 3/4 full. A slot keeps half the hash, so that a probe follows `key` only
 * when the strings are almost surely equal, and growing never reads the keys again. key == NULL: free. */
typedef struct st_strmap_slot {
    const char *key;
    size_t value;
    uint32_t len, hash;
} slot;

/* One seed per process, drawn at first use. Two threads may both draw; the first to store wins. */
static uint64_t seed(void)
{
    static _Atomic uint64_t drawn;
    uint64_t s = drawn;
    if (s) return s;
    uint64_t mine = sys_random() | 1;
    return atomic_compare_exchange_strong(&drawn, &s, mine) ? mine : s;
}

static uint32_t hash_of(const char *key, size_t len) { return (uint32_t)XXH3_64bits_withSeed(key, len, seed()); }

/* The slot that holds the key, or the free one where it belongs. */
static slot *place(const st_strmap *m, const char *key, size_t len, uint32_t hash)
{
    for (size_t i = hash & m->mask;; i = (i + 1) & m->mask) {
        slot *s = &m->slots[i];
        if (!s->key) return s;
        if (s->hash == hash && s->len == len && memcmp(s->key, key, len) == 0) return s;
    }
}

void st_strmap_free(st_strmap *m)
{
    st_free(m->slots);
    *m = (st_strmap){0};
}

st_status st_strmap_reserve(st_strmap *m, size_t n, st_err *err)
{
    size_t cap = 8;
    if (n > UINT32_MAX / 2)
        return st_fail(err, ST_LIMIT, NULL, NULL, "a map of %zu names: the limit is %u", n, UINT32_MAX / 2);
    while (cap / 4 * 3 < n) cap *= 2;
    if (m->slots && cap <= m->mask + 1) return ST_OK;

    slot *fresh = st_calloc(cap, sizeof *fresh);
    if (!fresh) return st_fail_nomem(err, (uint64_t)cap * sizeof *fresh);
    for (size_t i = 0; m->slots && i <= m->mask; i++) {
        if (!m->slots[i].key) continue;
        size_t j = m->slots[i].hash & (cap - 1);
        while (fresh[j].key) j = (j + 1) & (cap - 1);
        fresh[j] = m->slots[i];
    }
    st_free(m->slots);
    m->slots = fresh;
    m->mask = cap - 1;
    return ST_OK;
}

st_status st_strmap_add(st_strmap *m, const char *key, size_t len, size_t value, int64_t *old, st_err *err)
{
    if (len > UINT32_MAX)
        return st_fail(err, ST_LIMIT, NULL, NULL, "a name of %zu bytes: the limit is %u", len, UINT32_MAX);
    if (!m->slots || m->used >= (m->mask + 1) / 4 * 3) ST_TRY(st_strmap_reserve(m, m->used + 1, err));
    uint32_t hash = hash_of(key, len);
    slot *s = place(m, key, len, hash);
    if (s->key) {
        *old = (int64_t)s->value;
        return ST_OK;
    }
    *s = (slot){.key = key, .value = value, .len = (uint32_t)len, .hash = hash};
    m->used++;
    *old = -1;
    return ST_OK;
}

int64_t st_strmap_find(const st_strmap *m, const char *key, size_t len)
{
    if (m->used == 0 || len > UINT32_MAX) return -1;
    const slot *s = place(m, key, len, hash_of(key, len));
    return s->key ? (int64_t)s->value : -1;
}
