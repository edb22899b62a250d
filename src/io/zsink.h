/* zsink.h - a sink that writes what it gets zstd-compressed: frames with a seek table behind them. Layer: io. */
#ifndef ST_ZSINK_H
#define ST_ZSINK_H

#include "header.h"

/* Where a file is cut into frames. */
typedef struct st_zcuts {
    uint64_t *starts; /* n + 1 */
    size_t n, cap;
    uint64_t frame; /* content that a frame may have */
    uint64_t end;   /* of what was added */
    uint64_t head;  /* bytes of the header, length included */
} st_zcuts;
/* For a file of `size` bytes with a header of `head` bytes, length included, which gets a frame of its own. */
st_status st_zcuts_begin(st_zcuts *c, uint64_t head, uint64_t size, const char *label, st_err *err);
/* The next tensor, in the order of the file. A large one is cut by itself; small neighbours share a frame. */
st_status st_zcuts_add(st_zcuts *c, uint64_t bytes, st_err *err);
/* That was the last one. */
st_status st_zcuts_done(st_zcuts *c, st_err *err);
void st_zcuts_free(st_zcuts *c);
/* The most bytes that the compressed file can have. */
uint64_t st_zcuts_most(const st_zcuts *c);

/* A sink for the plain bytes [0, end of the cuts), in any order. `inner` is open-ended and written from its beginning
 * on; takes it over, on failure too. With a context the bytes are written in its runs, and their writers begin in the
 * order of the file: see append.h. */
st_status st_zsink_new(st_sink *inner, const st_zcuts *cuts, st_ctx *ctx, st_sink **out, st_err *err);
/* Bytes from `off` to the end of its frame. */
uint64_t st_zsink_stretch(const st_sink *k, uint64_t off);
/* After sync: how many bytes the file has. */
uint64_t st_zsink_stored(const st_sink *k);

#endif
