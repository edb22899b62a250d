/* sort.h - sorting in place, without allocation and without a bad case. Layer: core. */
#ifndef ST_SORT_H
#define ST_SORT_H

#include <stddef.h>

/* Sorts `n` items of `size` bytes (at most 128) by `cmp`, which gets `arg`. Not stable: give `cmp` a tie-break. Input
 * that is sorted already is only read. (The C library's qsort may allocate behind our back, or be quadratic.) */
void st_sort(void *items, size_t n, size_t size, int (*cmp)(const void *a, const void *b, const void *arg),
             const void *arg);

#endif
