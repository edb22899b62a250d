/* pack_gaps.h - planes that are zero mostly. Layer: io. */
#ifndef ST_PACK_GAPS_H
#define ST_PACK_GAPS_H

#include "zcodec.h"

size_t st_gaps_room(size_t n);  /* bytes that packing and unpacking a plane of n bytes need to work in */
size_t st_gaps_bound(size_t n); /* the most bytes that such a plane becomes */
/* Whether at most half of the plane, and some of it, is not zero. */
bool st_gaps_suit(const uint8_t *plane, size_t n);
/* Packs a plane that suits. */
st_status st_gaps_pack(st_zstd *z, const uint8_t *plane, size_t n, uint8_t *room, uint8_t *out, size_t *len,
                       st_err *err);
/* Whether packed bytes, which are fewer than the plane's, are gaps or else a frame of zstd. */
bool st_gaps_are(const uint8_t *packed, size_t len);
/* FORMAT sets *why, and not `err`, as st_zstd_decompress. */
st_status st_gaps_unpack(st_zstd *z, const uint8_t *packed, size_t len, uint8_t *room, uint8_t *plane, size_t n,
                         const char **why, st_err *err);

#endif
