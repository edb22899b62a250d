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
};
typedef struct block {
    size_t size;
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

static block *head(void *p) { return (block *)((char *)p - ALIGN); }

void *st_malloc(size_t n)
{
    if (injected() || n > SIZE_MAX / 2) return NULL;
    size_t unit = n < LARGE ? ALIGN : HUGE, total = (n + ALIGN + unit - 1) / unit * unit;
    char *raw = aligned_alloc(unit, total);
    if (!raw) return NULL;
    if (unit == HUGE) sys_huge_pages(raw, total);
    ((block *)(void *)raw)->size = n;
    count(n, 0);
    return raw + ALIGN;
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
    count(0, head(p)->size);
    free(head(p));
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

st_status st_fail_nomem(st_err *err, uint64_t bytes)
{
    return st_fail(err, ST_NOMEM, NULL, NULL, "out of memory: %llu bytes were refused", (unsigned long long)bytes);
}
