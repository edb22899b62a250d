/* ztable.h - where the frames of a zstd-compressed file lie: the seek table at its end (zstd's "seekable format").
 * Layer: io. */
#ifndef ST_ZTABLE_H
#define ST_ZTABLE_H

#include "iface.h"

#define ST_ZTABLE_MOST (2u << 20) /* frames: 20 bytes each are kept */

typedef struct st_ztable {
    size_t n;
    uint64_t *starts; /* n + 1 offsets in the plain file, from 0 */
    uint64_t *at;     /* n + 1 offsets in the compressed file, the last one that of the table */
    uint32_t *sums;   /* of each frame's content, the low half of XXH64; NULL: the table has none */
    bool large;       /* a frame is too large to be made at once */
} st_ztable;
void st_ztable_free(st_ztable *t);

/* The table at the end of `raw`, checked against the file's size. *found is false where there is none; FORMAT when
 * there is one that cannot be right. */
st_status st_ztable_read(st_source *raw, st_ztable *t, bool *found, st_err *err);
/* The same of a small file without one, by going from frame to frame. *broken: the file's end is not a frame's. */
st_status st_ztable_walk(st_source *raw, st_ztable *t, bool *found, bool *broken, st_err *err);
/* Where the frame at `at` ends, by the heads of its blocks: nothing is decompressed. FORMAT sets *why, as in zcodec.h.
 */
st_status st_ztable_frame_end(st_source *raw, uint64_t at, uint64_t *end, const char **why, st_err *err);

/* A skippable frame that looks like a seek table, as much of one as a flipped bit leaves: whether it is one. */
st_status st_ztable_check(st_source *raw, uint64_t at, uint64_t end, const char **why, st_err *err);

/* The table for n frames of these compressed sizes and checksums, written to `out` at `at`; *end is where it ends. */
st_status st_ztable_write(st_sink *out, uint64_t at, const uint64_t *starts, const uint32_t *sizes,
                          const uint32_t *sums, size_t n, uint64_t *end, st_err *err);
/* Its size. */
uint64_t st_ztable_bytes(size_t n);

#endif
