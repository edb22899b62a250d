/* pack_gaps.c - planes that are zero mostly, as the gaps between what is not. Layer: io; touches memory alone.
 *
 * zstd spends a bit on each byte, or a match of several bytes on each run of zeros; where one byte in fifty differs,
 * the lengths of the runs hold half as much. A plane, numbers little-endian: u32 gaps, u32 values, u32 bytes of the
 * first frame a frame of `gaps` bytes: so many zeros, then a value; 255: so many zeros and no value yet a frame of the
 * values Zeros follow the last value. The first number tells it from a plane that is one zstd frame. */
#include "pack_gaps.h"
#include "mem.h"

#include <string.h>

enum { HEAD = 12, LONG = 255, PART = 4096 };

size_t st_gaps_room(size_t n) { return n + n / LONG + 1; } /* values, and as many gaps: at most half of n each */

size_t st_gaps_bound(size_t n) { return HEAD + st_zstd_bound(n / 2 + n / LONG + 1) + st_zstd_bound(n / 2); }

bool st_gaps_suit(const uint8_t *plane, size_t n)
{
    size_t count = 0;
    for (size_t at = 0; at < n && count <= n / 2; at += PART) {
        size_t end = n - at < PART ? n : at + PART;
        uint16_t part = 0; /* narrow: many at a time */
        for (size_t i = at; i < end; i++) part = (uint16_t)(part + (plane[i] != 0));
        count += part;
    }
    return count > 0 && count <= n / 2;
}

static void put32(uint8_t *p, size_t v)
{
    for (int i = 0; i < 4; i++) p[i] = (uint8_t)(v >> 8 * i);
}

static size_t get32(const uint8_t *p)
{
    return (size_t)p[0] | (size_t)p[1] << 8 | (size_t)p[2] << 16 | (size_t)p[3] << 24;
}

/* The first place from i on that is not zero, or n. */
static size_t skip_zeros(const uint8_t *p, size_t i, size_t n)
{
    for (uint64_t w; i + sizeof w <= n; i += sizeof w) {
        memcpy(&w, p + i, sizeof w);
        if (w != 0) break;
    }
    while (i < n && p[i] == 0) i++;
    return i;
}

st_status st_gaps_pack(st_zstd *z, const uint8_t *plane, size_t n, uint8_t *room, uint8_t *out, size_t *len,
                       st_err *err)
{
    size_t v = 0, g = 0, first, second;
    uint8_t *gaps = room + n / 2; /* behind as many values as may be */
    for (size_t from = 0, i; (i = skip_zeros(plane, from, n)) < n; from = i + 1) {
        size_t gap = i - from;
        for (; gap >= LONG; gap -= LONG) gaps[g++] = LONG;
        gaps[g++] = (uint8_t)gap;
        room[v++] = plane[i];
    }
    ST_TRY(st_zstd_compress(z, ST_ZSTD_LITERALS, false, gaps, g, out + HEAD, st_zstd_bound(g), &first, err));
    ST_TRY(st_zstd_compress(z, ST_ZSTD_LITERALS, false, room, v, out + HEAD + first, st_zstd_bound(v), &second, err));
    put32(out, g);
    put32(out + 4, v);
    put32(out + 8, first);
    *len = HEAD + first + second;
    return ST_OK;
}

bool st_gaps_are(const uint8_t *packed, size_t len) { return len < 4 || get32(packed) != ST_ZSTD_MAGIC; }

/* Sets the values in their places. False: they are not all within the plane. */
static bool spread(const uint8_t *gaps, size_t g, const uint8_t *values, size_t v, uint8_t *plane, size_t n)
{
    size_t at = 0, used = 0;
    memset(plane, 0, n);
    for (size_t i = 0; i < g; i++) {
        at += gaps[i];
        if (gaps[i] == LONG) continue;
        if (at >= n || used == v) return false;
        plane[at++] = values[used++];
    }
    return used == v;
}

st_status st_gaps_unpack(st_zstd *z, const uint8_t *packed, size_t len, uint8_t *room, uint8_t *plane, size_t n,
                         const char **why, st_err *err)
{
    *why = "its gaps are cut off";
    if (len < HEAD) return ST_FORMAT;
    size_t g = get32(packed), v = get32(packed + 4), first = get32(packed + 8);
    *why = "its gaps do not fit the plane";
    if (v > n / 2 || g < v || g > v + n / LONG + 1 || first > len - HEAD) return ST_FORMAT;
    ST_TRY(st_zstd_decompress(z, packed + HEAD, first, room + v, g, why, err));
    ST_TRY(st_zstd_decompress(z, packed + HEAD + first, len - HEAD - first, room, v, why, err));
    *why = "its gaps do not fit the plane";
    return spread(room + v, g, room, v, plane, n) ? ST_OK : ST_FORMAT;
}
