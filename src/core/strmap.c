/* strmap.c - a hash map from counted strings to indices. Layer: core; may touch memory only. */
#include "strmap.h"

#include "mem.h"
#include "sys.h"

#include <stdatomic.h>
#include <string.h>
#include <xxhash.h>

/* Open addressing with linear probing, at most 3/4 full. Slots are small, so that they stay in the cache: half the
 * hash, and the entry, which is looked at only when the strings are almost surely equal. Entries stand in the order
 * they came. */
typedef struct st_strmap_slot {
    uint32_t hash, entry; /* entry 0: free; else number + 1 */
} slot;

typedef struct st_strmap_entry {
    const char *key;
    size_t len, value;
} entry;

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
        if (!s->entry) return s;
        if (s->hash != hash) continue;
        const entry *e = &m->entries[s->entry - 1];
        if (e->len == len && memcmp(e->key, key, len) == 0) return s;
    }
}

void st_strmap_free(st_strmap *m)
{
    st_free(m->slots);
    st_free(m->entries);
    *m = (st_strmap){0};
}

static st_status rehash(st_strmap *m, size_t cap, st_err *err)
{
    slot *fresh = st_calloc(cap, sizeof *fresh);
    if (!fresh) return st_fail_nomem(err, (uint64_t)cap * sizeof *fresh);
    for (size_t i = 0; m->slots && i <= m->mask; i++) {
        if (!m->slots[i].entry) continue;
        size_t j = m->slots[i].hash & (cap - 1);
        while (fresh[j].entry) j = (j + 1) & (cap - 1);
        fresh[j] = m->slots[i];
    }
    st_free(m->slots);
    m->slots = fresh;
    m->mask = cap - 1;
    return ST_OK;
}

st_status st_strmap_reserve(st_strmap *m, size_t n, st_err *err)
{
    size_t cap = 8;
    if (n > UINT32_MAX / 2)
        return st_fail(err, ST_LIMIT, NULL, NULL, "a map of %zu names: the limit is %u", n, UINT32_MAX / 2);
    while (cap / 4 * 3 < n) cap *= 2;
    if (!st_grow((void **)&m->entries, &m->cap, n, sizeof *m->entries))
        return st_fail_nomem(err, n * sizeof *m->entries);
    return m->slots && cap <= m->mask + 1 ? ST_OK : rehash(m, cap, err);
}

st_status st_strmap_add(st_strmap *m, const char *key, size_t len, size_t value, int64_t *old, st_err *err)
{
    ST_TRY(st_strmap_reserve(m, m->used + 1, err));
    uint32_t hash = hash_of(key, len);
    slot *s = place(m, key, len, hash);
    *old = s->entry ? (int64_t)m->entries[s->entry - 1].value : -1;
    if (s->entry) return ST_OK;
    m->entries[m->used++] = (entry){key, len, value};
    *s = (slot){hash, (uint32_t)m->used};
    return ST_OK;
}

int64_t st_strmap_find(const st_strmap *m, const char *key, size_t len)
{
    if (m->used == 0) return -1;
    const slot *s = place(m, key, len, hash_of(key, len));
    return s->entry ? (int64_t)m->entries[s->entry - 1].value : -1;
}
