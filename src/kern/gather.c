/* gather.c - copying elements that lie apart. Layer: kern. One variant for all processors: it is bound by memory. */
#include "kern.h"

#include <string.h>

#define STRIDED(bytes) \
    for (size_t i = 0; i < n; i++, from += stride * (bytes)) memcpy(to + i * (bytes), from, (bytes))

void st_kern_gather(void *dst, const void *src, int64_t stride, size_t width, size_t n)
{
    char *to = dst;
    const char *from = src;
    if (stride == 1) {
        memcpy(to, from, n * width);
        return;
    }
    switch (width) { /* constant sizes become single moves */
    case 1: STRIDED(1); break;
    case 2: STRIDED(2); break;
    case 4: STRIDED(4); break;
    case 8: STRIDED(8); break;
    default: break; /* no dtype has another width */
    }
}
