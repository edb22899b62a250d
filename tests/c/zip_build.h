/* zip_build.h - zip archives for tests, with every record open to lies. */
#ifndef ZIP_BUILD_H
#define ZIP_BUILD_H

#include "crc32.h"
#include "support.h"

#include <string.h>

enum { ZIP_ROOM = 1 << 16, ZIP_ENTRIES = 8 };

typedef struct zip_build {
    unsigned char bytes[ZIP_ROOM], directory[ZIP_ROOM];
    size_t n, directory_len, count;
    size_t local[ZIP_ENTRIES], central[ZIP_ENTRIES]; /* where records are: in `bytes`, in `directory` */
    size_t end;                                      /* the last record, after zip_end */
} zip_build;

static inline void zip_put(unsigned char *at, uint64_t v, int bytes)
{
    for (int i = 0; i < bytes; i++) at[i] = (unsigned char)(v >> (8 * i));
}

static inline void zip_add_raw(zip_build *z, const void *p, size_t n)
{
    memcpy(z->bytes + z->n, p, n);
    z->n += n;
}

/* A stored entry. */
static inline void zip_add(zip_build *z, const char *name, const void *data, size_t n)
{
    unsigned char h[46] = {0};
    size_t len = strlen(name);
    uint32_t crc = st_crc32(0, data, n);
    z->local[z->count] = z->n;
    z->central[z->count++] = z->directory_len;
    zip_put(h, 0x04034b50, 4);
    zip_put(h + 14, crc, 4);
    zip_put(h + 18, n, 4);
    zip_put(h + 22, n, 4);
    zip_put(h + 26, len, 2);
    size_t at = z->n;
    zip_add_raw(z, h, 30);
    zip_add_raw(z, name, len);
    zip_add_raw(z, data, n);
    memset(h, 0, sizeof h);
    zip_put(h, 0x02014b50, 4);
    zip_put(h + 16, crc, 4);
    zip_put(h + 20, n, 4);
    zip_put(h + 24, n, 4);
    zip_put(h + 28, len, 2);
    zip_put(h + 42, at, 4);
    memcpy(z->directory + z->directory_len, h, 46);
    memcpy(z->directory + z->directory_len + 46, name, len);
    z->directory_len += 46 + len;
}

static inline void zip_end(zip_build *z)
{
    unsigned char h[22] = {0};
    size_t at = z->n;
    zip_add_raw(z, z->directory, z->directory_len);
    z->end = z->n;
    zip_put(h, 0x06054b50, 4);
    zip_put(h + 8, z->count, 2);
    zip_put(h + 10, z->count, 2);
    zip_put(h + 12, z->directory_len, 4);
    zip_put(h + 16, at, 4);
    zip_add_raw(z, h, sizeof h);
}

/* The place of entry i's record in the finished archive. */
static inline unsigned char *zip_central(zip_build *z, size_t i)
{
    return z->bytes + (z->end - z->directory_len) + z->central[i];
}

#endif
