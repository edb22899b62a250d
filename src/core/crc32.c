/* crc32.c - the checksum of zip files (ISO 3309, reflected 0xedb88320). Layer: core. */
#include "crc32.h"

enum { LONG = 16 << 10 }; /* bytes for which tables are worth making */

static uint32_t by_nibbles(uint32_t crc, const unsigned char *p, size_t n)
{
    static const uint32_t of_nibble[16] = {0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac, 0x76dc4190, 0x6b6b51f4,
                                           0x4db26158, 0x5005713c, 0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c,
                                           0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c};
    for (size_t i = 0; i < n; i++) {
        crc ^= p[i];
        crc = crc >> 4 ^ of_nibble[crc & 15];
        crc = crc >> 4 ^ of_nibble[crc & 15];
    }
    return crc;
}

static uint32_t le32(const unsigned char *p)
{
    return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

/* Eight bytes at a time: table k is of a byte with k zeros behind it. The tables are made for each call, which takes
 * microseconds, so that nothing has to be kept. */
static uint32_t by_eights(uint32_t crc, const unsigned char *p, size_t n)
{
    uint32_t t[8][256];
    for (unsigned b = 0; b < 256; b++) {
        const unsigned char byte = (unsigned char)b;
        t[0][b] = by_nibbles(0, &byte, 1);
    }
    for (unsigned k = 1; k < 8; k++)
        for (unsigned b = 0; b < 256; b++) t[k][b] = t[k - 1][b] >> 8 ^ t[0][t[k - 1][b] & 255];
    for (; n >= 8; n -= 8, p += 8) {
        uint32_t a = le32(p) ^ crc, c = le32(p + 4);
        crc = t[7][a & 255] ^ t[6][a >> 8 & 255] ^ t[5][a >> 16 & 255] ^ t[4][a >> 24] ^ t[3][c & 255] ^
              t[2][c >> 8 & 255] ^ t[1][c >> 16 & 255] ^ t[0][c >> 24];
    }
    return by_nibbles(crc, p, n);
}

uint32_t st_crc32(uint32_t crc, const void *bytes, size_t n)
{
    return ~(n < LONG ? by_nibbles(~crc, bytes, n) : by_eights(~crc, bytes, n));
}
