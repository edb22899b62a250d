/* zsource.h - a zstd-compressed safetensors file as a source of its plain bytes. With a seek table its frames are
 * blocks, made by any thread when they are wanted (zframes.c); else it is decoded from its beginning on (zstream.c).
 * Layer: io. */
#ifndef ST_ZSOURCE_H
#define ST_ZSOURCE_H

#include "header.h"
#include "verify.h"

/* Whether a file that begins so is zstd-compressed. Four bytes are enough. */
bool st_zsource_is(const void *head, size_t n);
/* Takes over `raw`, on failure too. The source's size may be ST_SIZE_UNKNOWN until it is told the header. */
st_status st_zsource_open(st_source *raw, st_source **out, st_err *err);
/* Up to n bytes from the beginning, 8 at least if there are so many: no more frames are made than for these. */
st_status st_zsource_peek(st_source *s, void *buf, size_t n, size_t *got, st_err *err);
/* Whether a compressed file of `stored` bytes may hold a header of `len`: a few bytes can claim any length. */
bool st_zsource_header_fits(uint64_t len, uint64_t stored);
/* From now on errors name tensors, and the size is known. Keeps a reference. */
st_status st_zsource_set_header(st_source *s, st_header *h, st_err *err);
/* Bytes of the compressed file; whether any place of the plain one can be read without what lies before it. */
uint64_t st_zsource_stored(const st_source *s);
bool st_zsource_seeks(const st_source *s);
/* Whether its end is no frame's, or the seek table is missing that others of such frames have: as far as it is known
 * without decoding. */
bool st_zsource_cut(const st_source *s);
/* From `off` on, as much as is best read at once: up to the end of a block, at least some hundred KiB. */
uint64_t st_zsource_stretch(const st_source *s, uint64_t off);
/* Checks every frame, and lists what is damaged. */
st_status st_zsource_verify(st_source *s, st_ctx *ctx, st_damages *d, st_err *err);

/* ---------------------------------------------------------------- for the two kinds alone */

extern const st_source_ops st_zframes_ops;
/* *out is NULL, and `raw` still the caller's, where there is no table to be used; *broken as st_ztable_walk tells. */
st_status st_zframes_new(st_source *raw, st_source **out, bool *broken, st_err *err);
void st_zframes_set_header(st_source *s, st_header *h);
uint64_t st_zframes_stored(const st_source *s);
bool st_zframes_blind(const st_source *s); /* a frame without a checksum was met */

st_status st_zstream_new(st_source *raw, bool broken, st_source **out, st_err *err);
bool st_zstream_cut(const st_source *s);
st_status st_zstream_peek(st_source *s, void *buf, size_t n, size_t *got, st_err *err);
st_status st_zstream_set_header(st_source *s, st_header *h, st_err *err);
uint64_t st_zstream_stored(const st_source *s);
st_status st_zstream_verify(st_source *s, st_ctx *ctx, st_damages *d, st_err *err);

#endif
