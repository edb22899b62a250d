/* pack_layout.c - the bytes behind a packed tensor's chunks: table and tail. Layer: io; touches memory alone. */
#include "pack.h"
#include "shape.h"

#include <string.h>
#include <xxhash.h>

enum { HASHED = 48, MAGIC_AT = 56 };
static const char MAGIC[8] = "stlpack\n";

static void put(unsigned char *p, uint64_t v, int n)
{
    for (int i = 0; i < n; i++) p[i] = (unsigned char)(v >> 8 * i);
}

static uint64_t get(const unsigned char *p, int n)
{
    uint64_t v = 0;
    for (int i = 0; i < n; i++) v |= (uint64_t)p[i] << 8 * i;
    return v;
}

uint32_t st_pack_chunks(uint64_t length, unsigned chunk)
{
    return (uint32_t)((length >> chunk) + ((length & (((uint64_t)1 << chunk) - 1)) != 0));
}

static uint64_t table_bytes(const st_pack_tail *t) { return (uint64_t)t->chunks * st_pack_row(t) * 4; }
uint64_t st_pack_end_bytes(const st_pack_tail *t) { return table_bytes(t) + ST_PACK_TAIL_BYTES; }

void st_pack_put_end(const st_pack_tail *t, const uint32_t *table, void *out)
{
    unsigned char *p = out, *tail = p + table_bytes(t);
    for (size_t i = 0; i < (size_t)t->chunks * st_pack_row(t); i++) put(p + 4 * i, table[i], 4);
    memset(tail, 0, ST_PACK_TAIL_BYTES);
    put(tail, t->length, 8);
    put(tail + 8, t->hash, 8);
    put(tail + 16, t->base_hash, 8);
    put(tail + 24, t->chunks, 4);
    put(tail + 28, t->earlier, 4);
    tail[32] = ST_PACK_VERSION;
    tail[33] = (unsigned char)t->kind;
    tail[34] = (unsigned char)t->transform;
    tail[35] = (unsigned char)t->lane;
    tail[36] = (unsigned char)t->chunk;
    put(tail + HASHED, XXH64(p, (size_t)table_bytes(t) + HASHED, 0), 8);
    memcpy(tail + MAGIC_AT, MAGIC, sizeof MAGIC);
}

bool st_pack_get_tail(const void *bytes, uint64_t payload, st_pack_tail *t, const char **why)
{
    const unsigned char *p = bytes;
    *t = (st_pack_tail){.length = get(p, 8),
                        .hash = get(p + 8, 8),
                        .base_hash = get(p + 16, 8),
                        .chunks = (uint32_t)get(p + 24, 4),
                        .earlier = (uint32_t)get(p + 28, 4),
                        .lane = p[35],
                        .chunk = p[36]};
    if (memcmp(p + MAGIC_AT, MAGIC, sizeof MAGIC) != 0) return *why = "its end is not that of a packed tensor", false;
    if (p[32] != ST_PACK_VERSION) return *why = "it was packed by a newer program", false;
    if (p[33] >= ST_PACK_KINDS || p[34] >= ST_PL_COUNT || t->lane >= ST_LANES)
        return *why = "its end names a way of packing that there is not", false;
    t->kind = (st_pack_kind)p[33];
    t->transform = (st_planes)p[34];
    if (t->chunk < ST_PACK_CHUNK_LOG2_MIN || t->chunk > ST_PACK_CHUNK_LOG2_MOST)
        return *why = "its end gives an impossible size of chunks", false;
    if (t->length & (((uint64_t)1 << t->lane) - 1)) return *why = "its length does not fit its elements", false;
    if (t->length >> t->chunk >= UINT32_MAX || t->chunks != st_pack_chunks(t->length, t->chunk) ||
        payload < ST_PACK_TAIL_BYTES || table_bytes(t) > payload - ST_PACK_TAIL_BYTES)
        return *why = "its length and its number of chunks disagree", false;
    return true;
}

bool st_pack_header_fits(uint64_t length, uint64_t payload)
{
    enum { LARGE = 4 << 20, RATIO = 256 };
    return length <= LARGE || (length - LARGE) / RATIO <= payload;
}

bool st_pack_get_table(const void *end, uint64_t payload, const st_pack_tail *t, uint32_t *table, const char **why)
{
    const unsigned char *p = end, *tail = p + table_bytes(t);
    size_t row = st_pack_row(t);
    uint64_t total = 0;
    if (XXH64(p, (size_t)table_bytes(t) + HASHED, 0) != get(tail + HASHED, 8))
        return *why = "its table does not have the checksum that belongs to it", false;
    for (size_t i = 0; i < (size_t)t->chunks * row; i++) table[i] = (uint32_t)get(p + 4 * i, 4);
    for (uint32_t c = 0; c < t->chunks; c++)
        for (size_t k = 1; k < row; k++) {
            uint32_t n = table[c * row + k];
            if (n > st_pack_chunk_bytes(t, c) >> t->lane) return *why = "a plane is larger than what it holds", false;
            total += n;
        }
    if (total != payload - st_pack_end_bytes(t)) return *why = "the sizes of its planes do not add up", false;
    return true;
}
