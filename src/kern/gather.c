/* gather.c - copying elements that lie apart. Layer: kern. One variant for all processors: it is bound by memory. */
#include "kern.h"

#include <string.h>

/* Constant sizes become single moves; no dtype has another width. */
#define EACH_WIDTH(MOVE) \
    switch (width) {     \
    case 1: MOVE(1);     \
    case 2: MOVE(2);     \
    case 4: MOVE(4);     \
    case 8: MOVE(8);     \
    default: break;      \
    }
#define GATHER(bytes)                                                                                 \
    for (size_t i = 0; i < n; i++, from += stride * (bytes)) memcpy(to + i * (bytes), from, (bytes)); \
    break
#define SCATTER(bytes)                                                                              \
    for (size_t i = 0; i < n; i++, to += stride * (bytes)) memcpy(to, from + i * (bytes), (bytes)); \
    break

void st_kern_gather(void *dst, const void *src, int64_t stride, size_t width, size_t n)
{
    char *to = dst;
    const char *from = src;
    if (stride == 1) {
        memcpy(to, from, n * width);
        return;
    }
    EACH_WIDTH(GATHER)
}

/* The shorter of both runs is the outer loop. */
#define GATHER_ROWS(bytes)                                                                                           \
    if (n < rows)                                                                                                    \
        for (size_t i = 0; i < n; i++)                                                                               \
            for (size_t r = 0; r < rows; r++)                                                                        \
                memcpy(to + (r * n + i) * (bytes), from + ((int64_t)r * row_stride + (int64_t)i * stride) * (bytes), \
                       (bytes));                                                                                     \
    else                                                                                                             \
        for (size_t r = 0; r < rows; r++)                                                                            \
            for (size_t i = 0; i < n; i++)                                                                           \
                memcpy(to + (r * n + i) * (bytes), from + ((int64_t)r * row_stride + (int64_t)i * stride) * (bytes), \
                       (bytes));                                                                                     \
    break

void st_kern_gather_rows(void *dst, const void *src, int64_t row_stride, size_t rows, int64_t stride, size_t n,
                         size_t width)
{
    char *to = dst;
    const char *from = src;
    if (rows == 1 || (stride == 1 && n * width >= 64)) {
        for (size_t r = 0; r < rows; r++)
            st_kern_gather(to + r * n * width, from + (int64_t)r * row_stride * (int64_t)width, stride, width, n);
        return;
    }
    EACH_WIDTH(GATHER_ROWS)
}

void st_kern_scatter(void *dst, int64_t stride, const void *src, size_t width, size_t n)
{
    char *to = dst;
    const char *from = src;
    if (stride == 1) {
        memcpy(to, from, n * width);
        return;
    }
    EACH_WIDTH(SCATTER)
}

void st_kern_swap(const void *src, void *dst, size_t width, size_t n)
{
    const unsigned char *from = src;
    unsigned char *to = dst;
    for (size_t i = 0; i < n; i++, from += width, to += width)
        for (size_t b = 0; b < width; b++) to[b] = from[width - 1 - b];
}
