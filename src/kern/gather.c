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
