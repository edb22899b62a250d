/* pack_coder.c - one chunk into compressed planes and back. Layer: io; touches memory alone. */
#include "mem.h"
#include "pack.h"
#include "pack_gaps.h"
#include "zcodec.h"

#include <math.h>
#include <string.h>
#include <xxhash.h>

enum {
    SAMPLE = 8192, /* bytes */
    STEP = 2,      /* of its words every second: those of rows that come again meet after two rows at the latest */
    SLOTS = 4096,
    COUNTED = 4096,  /* of its bytes */
    GAIN_LEAST = 24, /* one part in so many is what compressing must save */
};
#define REPEATED_MOST 0.25

struct st_coder {
    st_zstd *z;
    uint8_t *planes;
    size_t cap;
    uint8_t *room, *gaps; /* where planes of zeros are packed */
    size_t room_cap;      /* bytes of a plane */
};

st_status st_coder_new(const char *label, st_coder **c, st_err *err)
{
    *c = st_calloc(1, sizeof **c);
    if (!*c) return st_fail_nomem(err, sizeof **c);
    st_status s = st_zstd_new(label, &(*c)->z, err);
    if (s == ST_OK) return ST_OK;
    st_coder_free(*c);
    *c = NULL;
    return s;
}

void st_coder_free(st_coder *c)
{
    if (!c) return;
    st_zstd_free(c->z);
    st_free(c->planes);
    st_free(c->room);
    st_free(c);
}

/* The same by the widest registers there are, where the library was built to look for them. */
extern XXH64_hash_t XXH3_64bits_dispatch(const void *input, size_t n) __attribute__((weak));

static uint64_t hash_of(const void *p, size_t n)
{
    return XXH3_64bits_dispatch ? XXH3_64bits_dispatch(p, n) : XXH3_64bits(p, n);
}

uint32_t st_pack_check(const void *bytes, size_t n, const void *packed, size_t len)
{
    return (uint32_t)(hash_of(bytes, n) + hash_of(packed, len));
}

size_t st_coder_bound(size_t n) { return n + st_zstd_bound(n); }

/* Room for n bytes of planes; planes[p] are those of a lane of `width` bytes. */
static st_status make_room(st_coder *c, size_t n, size_t width, uint8_t *planes[ST_LANE_MOST], st_err *err)
{
    ST_TRY(st_make_room((void **)&c->planes, &c->cap, n, 0, err));
    for (size_t p = 0; p < ST_LANE_MOST; p++) planes[p] = p < width ? c->planes + p * (n / width) : NULL;
    return ST_OK;
}

/* Room to pack a plane of n bytes as gaps, or to unpack it. */
static st_status make_gaps_room(st_coder *c, size_t n, st_err *err)
{
    if (c->room && c->room_cap >= n) return ST_OK;
    st_free(c->room);
    c->room_cap = 0;
    c->room = st_malloc(st_gaps_room(n) + st_gaps_bound(n));
    if (!c->room) return st_fail_nomem(err, st_gaps_room(n) + st_gaps_bound(n));
    c->gaps = c->room + st_gaps_room(n);
    c->room_cap = n;
    return ST_OK;
}

typedef enum verdict { AS_IT_IS, BY_FREQUENCY, BY_MATCHES } verdict;

static uint32_t hash8(const uint8_t *p)
{
    uint64_t w;
    memcpy(&w, p, sizeof w);
    return (uint32_t)(w * 0x9e3779b97f4a7c15u >> 32);
}

/* How many of a sample's words of 8 bytes were there before, in parts of all. Shorter ones come again by chance where
 * a plane has few different bytes, and a match of such a one saves nothing. */
static double repeated(const uint8_t *p)
{
    uint32_t slots[SLOTS] = {0}, again = 0;
    for (size_t i = 0; i + 8 <= SAMPLE; i += STEP) {
        uint32_t h = hash8(p + i), *slot = &slots[h % SLOTS];
        again += *slot == h;
        *slot = h;
    }
    return (double)again * STEP / SAMPLE;
}

/* How often each byte comes. In four tables: what comes twice in a row need not wait for itself. */
static void count_bytes(const uint8_t *p, size_t n, uint32_t count[256])
{
    uint32_t part[4][256] = {0};
    for (size_t i = 0; i + 4 <= n; i += 4)
        for (size_t j = 0; j < 4; j++) part[j][p[i + j]]++;
    for (size_t i = 0; i < 256; i++) count[i] = part[0][i] + part[1][i] + part[2][i] + part[3][i];
}

/* A look at a sample: dense weights are most of what there is, and most of the time goes into trying more. Mantissas
 * are as good as random; exponents differ in frequency alone. */
static verdict judge(const uint8_t *p, size_t n)
{
    uint32_t count[256];
    if (n < 2 * SAMPLE) return BY_MATCHES;
    p += n / 2;
    count_bytes(p, COUNTED, count);
    double bits = 0;
    for (int i = 0; i < 256; i++)
        if (count[i]) bits -= count[i] * log2((double)count[i] / COUNTED);
    if (repeated(p) > REPEATED_MOST) return BY_MATCHES;
    return bits > COUNTED * (8.0 - 8.0 / GAIN_LEAST) ? AS_IT_IS : BY_FREQUENCY;
}

/* Takes the way by gaps where it is shorter than the *len bytes in `out`. */
static st_status try_gaps(st_coder *c, const uint8_t *plane, size_t n, uint8_t *out, size_t *len, st_err *err)
{
    size_t other;
    ST_TRY(make_gaps_room(c, n, err));
    ST_TRY(st_gaps_pack(c->z, plane, n, c->room, c->gaps, &other, err));
    if (other >= *len) return ST_OK;
    memcpy(out, c->gaps, other);
    *len = other;
    return ST_OK;
}

static st_status pack_plane(st_coder *c, const uint8_t *plane, size_t n, uint8_t *out, uint32_t *size, st_err *err)
{
    size_t len = n, cap = st_zstd_bound(n);
    verdict v = n ? judge(plane, n) : AS_IT_IS;
    if (v == BY_FREQUENCY) ST_TRY(st_zstd_compress(c->z, ST_ZSTD_LITERALS, false, plane, n, out, cap, &len, err));
    if (v == BY_MATCHES) ST_TRY(st_zstd_compress_best(c->z, false, plane, n, out, cap, &len, err));
    if (v != AS_IT_IS && st_gaps_suit(plane, n)) ST_TRY(try_gaps(c, plane, n, out, &len, err));
    if (len >= n) {
        if (n) memcpy(out, plane, n);
        len = n;
    }
    *size = (uint32_t)len;
    return ST_OK;
}

st_status st_coder_pack(st_coder *c, st_planes transform, unsigned lane, const void *src, const void *base, size_t n,
                        void *out, uint32_t sizes[ST_LANE_MOST], size_t *len, st_err *err)
{
    size_t width = (size_t)1 << lane, lanes = n >> lane;
    uint8_t *planes[ST_LANE_MOST], *at = out;
    ST_TRY(make_room(c, n, width, planes, err));
    st_kern()->split[lane][transform](planes, src, base, lanes);
    for (size_t p = 0; p < width; p++) {
        ST_TRY(pack_plane(c, planes[p], lanes, at, &sizes[p], err));
        at += sizes[p];
    }
    *len = (size_t)(at - (uint8_t *)out);
    return ST_OK;
}

static st_status unpack_plane(st_coder *c, const uint8_t *packed, size_t len, uint8_t *plane, size_t n,
                              const char **why, st_err *err)
{
    if (!st_gaps_are(packed, len)) return st_zstd_decompress(c->z, packed, len, plane, n, why, err);
    ST_TRY(make_gaps_room(c, n, err));
    return st_gaps_unpack(c->z, packed, len, c->room, plane, n, why, err);
}

st_status st_coder_unpack(st_coder *c, st_planes transform, unsigned lane, const void *packed,
                          const uint32_t sizes[ST_LANE_MOST], const void *base, void *dst, size_t n, const char **why,
                          st_err *err)
{
    size_t width = (size_t)1 << lane, lanes = n >> lane;
    uint8_t *room[ST_LANE_MOST];
    const uint8_t *planes[ST_LANE_MOST], *at = packed;
    ST_TRY(make_room(c, n, width, room, err));
    for (size_t p = 0; p < width; p++) {
        bool stored = sizes[p] == lanes;
        if (!stored) ST_TRY(unpack_plane(c, at, sizes[p], room[p], lanes, why, err));
        planes[p] = stored ? at : room[p];
        at += sizes[p];
    }
    st_kern()->join[lane][transform](dst, planes, base, lanes);
    return ST_OK;
}
