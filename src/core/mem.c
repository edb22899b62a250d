/* mem.c - counted allocation. Layer: core. */
#include "mem.h"
#include "sys.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

/* Every block is 64-byte aligned behind a header of the same size that remembers its length: one kind of block, one
 * free. */
enum {
    ALIGN = 64,
    HUGE = 2 << 20, /* large blocks ask for pages of this size: the first touch of small ones is what they cost */
    LARGE = 2 * HUGE,
    SHELF_LEAST = 128 << 10, /* blocks as workers take them for a moment, again and again */
    SHELF_MOST = 2 << 20,
    SHELF_STEP = 64 << 10,
    SHELF = 16,
};
typedef struct block {
    size_t size, room; /* asked for; of the whole block */
} block;

static _Atomic uint64_t used, peak, allowed;

#ifdef ST_FAULTS
static _Atomic uint64_t calls, fail_at;
static _Atomic bool fail_onwards;

void st_mem_fail_at(uint64_t n, bool onwards)
{
    calls = 0;
    fail_at = n;
    fail_onwards = onwards;
}
uint64_t st_mem_calls(void) { return calls; }

static bool injected(void)
{
    uint64_t c = ++calls, at = fail_at;
    return at && (c == at || (fail_onwards && c > at));
}
#else
static bool injected(void) { return false; }
#endif

static void count(uint64_t plus, uint64_t minus)
{
    uint64_t now = atomic_fetch_add(&used, plus - minus) + plus - minus;
    uint64_t top = peak;
    while (now > top && !atomic_compare_exchange_weak(&peak, &top, now)) {
    }
}

uint64_t st_memory_used(void) { return used; }
uint64_t st_memory_peak(void) { return peak; }
void st_memory_allow(uint64_t bytes) { allowed = bytes; }
uint64_t st_memory_allowed(void) { return allowed; }

/* Freed blocks of workers, for the next ones who want such. Given back to the heap each would leave a hole that a small
 * allocation spoils for the next, and thousands of short runs would make a large heap of holes. Sanitizers are to see
 * what is freed. */
#if defined(__SANITIZE_ADDRESS__)
#define HAVE_SHELF 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define HAVE_SHELF 0
#endif
#endif
#ifndef HAVE_SHELF
#define HAVE_SHELF 1
#endif

static _Atomic(block *) shelf[SHELF];

static bool fits_shelf(size_t room) { return HAVE_SHELF && room >= SHELF_LEAST && room <= SHELF_MOST; }

static bool shelve(block *b)
{
    for (int i = 0; i < SHELF; i++) {
        block *none = NULL;
        if (atomic_compare_exchange_strong(&shelf[i], &none, b)) return true;
    }
    return false;
}

/* A block with room for `room` bytes, and not for twice as many; NULL where there is none. */
static block *from_shelf(size_t room)
{
    for (int i = 0; i < SHELF; i++) {
        block *b = atomic_exchange(&shelf[i], NULL);
        if (!b) continue;
        if (b->room >= room && b->room < 2 * room) return b;
        if (!shelve(b)) free(b);
    }
    return NULL;
}

static block *head(void *p) { return (block *)((char *)p - ALIGN); }

void *st_malloc(size_t n)
{
    if (injected() || n > SIZE_MAX / 2) return NULL;
    size_t align = n < LARGE ? ALIGN : HUGE, unit = fits_shelf(n + ALIGN) ? SHELF_STEP : align;
    size_t total = (n + ALIGN + unit - 1) / unit * unit;
    block *b = fits_shelf(total) ? from_shelf(total) : NULL;
    if (!b) {
        b = aligned_alloc(align, total);
        if (!b) return NULL;
        if (align == HUGE) sys_huge_pages(b, total);
        b->room = total;
    }
    b->size = n;
    count(n, 0);
    return (char *)b + ALIGN;
}

void *st_calloc(size_t n, size_t size)
{
    size_t bytes;
    if (__builtin_mul_overflow(n, size, &bytes)) return NULL;
    void *p = st_malloc(bytes);
    if (p) memset(p, 0, bytes);
    return p;
}

void *st_realloc(void *p, size_t n)
{
    void *q = st_malloc(n);
    if (!q) return NULL;
    if (p) {
        size_t old = head(p)->size;
        memcpy(q, p, old < n ? old : n);
        st_free(p);
    }
    return q;
}

void st_free(void *p)
{
    if (!p) return;
    block *b = head(p);
    count(0, b->size);
    if (!fits_shelf(b->room) || !shelve(b)) free(b);
}

char *st_strndup(const char *s, size_t n)
{
    char *d = st_malloc(n + 1);
    if (!d) return NULL;
    memcpy(d, s, n);
    d[n] = '\0';
    return d;
}

bool st_grow(void **items, size_t *cap, size_t need, size_t item_size)
{
    if (need <= *cap) return true;
    size_t want = *cap ? *cap : 8, bytes;
    while (want < need)
        if (__builtin_mul_overflow(want, (size_t)2, &want)) return false;
    if (__builtin_mul_overflow(want, item_size, &bytes)) return false;
    void *p = st_realloc(*items, bytes);
    if (!p) return false;
    *items = p;
    *cap = want;
    return true;
}

st_status st_make_room(void **p, size_t *cap, size_t n, size_t least, st_err *err)
{
    if (*cap >= n) return ST_OK;
    size_t room = HAVE_SHELF && least > n ? least : n; /* sanitizers watch the end of what was asked for */
    st_free(*p);
    *cap = 0;
    *p = st_malloc(room);
    if (!*p) return st_fail_nomem(err, room);
    *cap = room;
    return ST_OK;
}

st_status st_fail_nomem(st_err *err, uint64_t bytes)
{
    return st_fail(err, ST_NOMEM, NULL, NULL, "out of memory: %llu bytes were refused", (unsigned long long)bytes);
}
