/* pack.h - packed models: a safetensors file whose tensors are payloads of compressed planes of bytes. Layer: io.
 *
 * The payload of a tensor (U8), numbers little-endian:
 *   chunks    one behind the other; each is 2^chunk original bytes, the last may be shorter. A chunk is one plane per
 *             byte of a lane, the lowest first: a zstd frame, or the bytes as they are where that is not shorter.
 *   table     per chunk: u32 low half of the sum of the XXH3 (64 bits) of its original bytes and that of its packed
 *             ones (of none, where kind is not PLANES); u32 size of each plane (kind PLANES alone)
 *   tail      the 64 bytes of st_pack_tail, below
 * A payload describes itself: without the metadata the bytes can still be had. */
#ifndef ST_PACK_H
#define ST_PACK_H

#include "header.h"
#include "kern.h"
#include "verify.h"

#define ST_PACK_VERSION 1
#define ST_PACK_HEADER "__stlua__.header" /* the tensor that holds the original header, its 8 length bytes included */
#define ST_PACK_META "stlua.pack"         /* metadata: the version; and what follows */
#define ST_PACK_META_BASE "stlua.pack.base"
#define ST_PACK_META_BASE_SHA256 "stlua.pack.base_sha256"
#define ST_PACK_META_SIZE "stlua.pack.size"
enum { ST_PACK_TAIL_BYTES = 64, ST_PACK_CHUNK_LOG2 = 18, ST_PACK_CHUNK_LOG2_MIN = 12, ST_PACK_CHUNK_LOG2_MOST = 22 };

typedef enum st_pack_kind {
    ST_PACK_PLANES,
    ST_PACK_AS_BASE,    /* nothing but checks: the bytes are those of the base's tensor of that name */
    ST_PACK_AS_EARLIER, /* .. of an earlier tensor of this file */
    ST_PACK_KINDS
} st_pack_kind;

/*  0 u64 length        original bytes
 *  8 u64 hash          their XXH64
 * 16 u64 base_hash     of the base's tensor, whose length is the same; 0 where none is needed; in the tensor of the
 *                      original's header, of the packed file's own header, its 8 length bytes included
 * 24 u32 chunks
 * 28 u32 earlier       number of that tensor in file order of the original
 * 32 u8 version, u8 kind, u8 transform (st_planes), u8 log2 of the bytes of a lane, u8 log2 of the bytes of a chunk
 * 37 11 zero bytes
 * 48 u64 XXH64 of the table and the 48 bytes above
 * 56 "stlpack\n" */
typedef struct st_pack_tail {
    uint64_t length, hash, base_hash;
    uint32_t chunks, earlier;
    st_pack_kind kind;
    st_planes transform;
    unsigned lane, chunk; /* log2 of bytes */
} st_pack_tail;

static inline bool st_pack_needs_base(const st_pack_tail *t)
{
    return t->kind == ST_PACK_AS_BASE ||
           (t->kind == ST_PACK_PLANES && (t->transform == ST_PL_DELTA || t->transform == ST_PL_ORDERED));
}
/* Numbers per chunk in the table. */
static inline size_t st_pack_row(const st_pack_tail *t)
{
    return t->kind == ST_PACK_PLANES ? 1 + ((size_t)1 << t->lane) : 1;
}
static inline uint32_t st_pack_chunk_bytes(const st_pack_tail *t, uint32_t i)
{
    uint64_t left = t->length - ((uint64_t)i << t->chunk), most = (uint64_t)1 << t->chunk;
    return (uint32_t)(left < most ? left : most);
}
uint32_t st_pack_chunks(uint64_t length, unsigned chunk);

/* Whether a payload of so many bytes may hold a header of `length`: others would cost memory beyond what a file is. */
bool st_pack_header_fits(uint64_t length, uint64_t payload);

/* The table's numbers (host order) and the tail as `out`, of st_pack_end_bytes. */
uint64_t st_pack_end_bytes(const st_pack_tail *t);
void st_pack_put_end(const st_pack_tail *t, const uint32_t *table, void *out);
/* The tail that the last 64 bytes of a payload of `payload` bytes are, checked; *why says what is wrong. */
bool st_pack_get_tail(const void *bytes, uint64_t payload, st_pack_tail *t, const char **why);
/* The table from the end of the payload, `st_pack_end_bytes` of it, into `table` (chunks * st_pack_row numbers):
 * checked against its hash and the payload's length. */
bool st_pack_get_table(const void *end, uint64_t payload, const st_pack_tail *t, uint32_t *table, const char **why);

/* ---------------------------------------------------------------- chunks */

/* What one thread needs to pack and to unpack. `label`, lent, is the file's for messages. */
typedef struct st_coder st_coder;
st_status st_coder_new(const char *label, st_coder **c, st_err *err);
void st_coder_free(st_coder *c);
size_t st_coder_bound(size_t n); /* the most that a chunk of n bytes can take */
/* Packs n bytes; `base` has as many, or is NULL. sizes[] gets one size per plane. */
st_status st_coder_pack(st_coder *c, st_planes transform, unsigned lane, const void *src, const void *base, size_t n,
                        void *out, uint32_t sizes[ST_LANE_MOST], size_t *len, st_err *err);
/* The other way. FORMAT sets *why to half a sentence. */
st_status st_coder_unpack(st_coder *c, st_planes transform, unsigned lane, const void *packed,
                          const uint32_t sizes[ST_LANE_MOST], const void *base, void *dst, size_t n, const char **why,
                          st_err *err);
/* Of a chunk: its original bytes, and what they became, so that no bit of either can change unseen. */
uint32_t st_pack_check(const void *bytes, size_t n, const void *packed, size_t len);

/* ---------------------------------------------------------------- reading */

bool st_pack_is(const st_header *h);
/* The value of a metadata key; NULL: there is none. */
const char *st_header_meta_find(const st_header *h, const char *key, size_t *len);

/* What tensors packed as differences need. */
typedef struct st_pack_base {
    st_source *source;       /* a reference is taken */
    const st_header *header; /* lent for as long as the source lives */
} st_pack_base;

/* Passes on why a base could not be read. Its damage is IO: it is none of the packed file, whose damage is FORMAT. */
st_status st_pack_base_failed(st_status s, const st_err *why, const char *packed, st_err *err);

/* A packed file's original bytes as a source. `h`, the header of `packed`, is lent until this returns. Without `base`
 * (NULL) tensors that need it cannot be read: the message says what is missing. */
st_status st_pack_open(st_source *packed, const st_header *h, const st_pack_base *base, st_source **out, st_err *err);

/* Makes every chunk, and lists those that are damaged. A base that is missing or damaged is IO. */
st_status st_pack_verify(st_source *s, st_ctx *ctx, st_damages *d, st_err *err);

#endif
