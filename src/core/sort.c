/* sort.c - heapsort. Layer: core; may touch the given array only. */
#include "sort.h"

#include <string.h>

enum { ITEM_MAX = 128 };

typedef struct sorter {
    char *base;
    size_t size;
    int (*cmp)(const void *, const void *, const void *);
    const void *arg;
} sorter;

static char *at(const sorter *s, size_t i) { return s->base + i * s->size; }

/* Lets `item` sink from the hole at `i` of a heap of `n`: larger children move up until it fits. */
static void sink(const sorter *s, size_t i, size_t n, const char *item)
{
    for (size_t kid; (kid = 2 * i + 1) < n; i = kid) {
        if (kid + 1 < n && s->cmp(at(s, kid + 1), at(s, kid), s->arg) > 0) kid++;
        if (s->cmp(at(s, kid), item, s->arg) <= 0) break;
        memcpy(at(s, i), at(s, kid), s->size);
    }
    memcpy(at(s, i), item, s->size);
}

void st_sort(void *items, size_t n, size_t size, int (*cmp)(const void *a, const void *b, const void *arg),
             const void *arg)
{
    sorter s = {items, size, cmp, arg};
    char item[ITEM_MAX];
    size_t run = 1;
    while (run < n && cmp(at(&s, run - 1), at(&s, run), arg) <= 0) run++;
    if (run >= n) return;

    for (size_t i = n / 2; i-- > 0;) {
        memcpy(item, at(&s, i), size);
        sink(&s, i, n, item);
    }
    for (size_t end = n - 1; end > 0; end--) {
        memcpy(item, at(&s, end), size);
        memcpy(at(&s, end), at(&s, 0), size);
        sink(&s, 0, end, item);
    }
}
