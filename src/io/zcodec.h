/* zcodec.h - libzstd for blocks of memory, one frame each, and for streams. zcodec.c is the only file that knows the
 * library. Layer: io. */
#ifndef ST_ZCODEC_H
#define ST_ZCODEC_H

#include "status.h"

/* IO when the library is not installed. What follows calls it, too. */
st_status st_zstd_load(st_err *err);

/* What one thread needs: a compressor and a decompressor, each made when first used. `label`, lent, is the
 * file's for messages. */
typedef struct st_zstd st_zstd;
st_status st_zstd_new(const char *label, st_zstd **z, st_err *err);
void st_zstd_free(st_zstd *z);

typedef enum st_zstd_mode {
    ST_ZSTD_LITERALS, /* the entropy of single bytes, no matches: right for dense weights, and by far the fastest */
    ST_ZSTD_FAST,     /* level 1: for what is equal mostly */
    ST_ZSTD_WORDS,    /* its way with a larger table: words that occur again, such as those of floats of few bits */
    ST_ZSTD_LEVEL3,   /* what `zstd` does unasked */
} st_zstd_mode;

/* The most bytes that a frame of n bytes takes. */
size_t st_zstd_bound(size_t n);
/* One frame, with its content's size in its head and, if `checksum` is set, the low half of its XXH64 as its last 4
 * bytes. The same bytes give the same frame, whatever was compressed before. `cap` is at least st_zstd_bound(n). */
st_status st_zstd_compress(st_zstd *z, st_zstd_mode mode, bool checksum, const void *src, size_t n, void *dst,
                           size_t cap, size_t *out, st_err *err);
/* The same in the mode that suits the bytes. Where matches cannot pay, that is found out at little cost. */
st_status st_zstd_compress_best(st_zstd *z, bool checksum, const void *src, size_t n, void *dst, size_t cap,
                                size_t *out, st_err *err);
/* Whether words occur again so often that matches may pay. */
bool st_zstd_repeats(const void *src, size_t n);

/* The one frame in src[0, n), whose content must be exactly `size` bytes. FORMAT sets *why, and not `err`, to half a
 * sentence for a message that names file and place: "its checksum does not match". */
st_status st_zstd_decompress(st_zstd *z, const void *src, size_t n, void *dst, size_t size, const char **why,
                             st_err *err);

/* ---------------------------------------------------------------- heads of frames */

#define ST_ZSTD_MAGIC 0xfd2fb528u
#define ST_ZSTD_SKIPPABLE 0x184d2a50u /* to ...5f */
#define ST_ZSTD_UNKNOWN UINT64_MAX
enum { ST_ZSTD_HEAD_MOST = 18 }; /* bytes */

typedef struct st_zstd_head {
    bool skippable, checksum, dictionary;
    unsigned variant; /* of a skippable frame: 0 to 15 */
    size_t bytes;     /* of the head; the blocks, or what is skipped, follow */
    uint64_t content; /* bytes, if it tells; of a skippable frame those that are skipped */
    uint64_t window;  /* bytes that a decoder must keep */
} st_zstd_head;

/* The head at p, of which n bytes are there. NULL, or why it is none, as above. */
const char *st_zstd_parse_head(const void *p, size_t n, st_zstd_head *h);

/* ---------------------------------------------------------------- streams */

/* Decodes frames, one behind the other, none of them skippable. */
typedef struct st_zstd_stream st_zstd_stream;
/* `window`: the most that a frame may ask for. */
st_status st_zstd_stream_new(uint64_t window, st_zstd_stream **s, st_err *err);
void st_zstd_stream_free(st_zstd_stream *s);
/* Takes from src[*used, n) and makes dst[*made, cap), as far as either goes. *ended: that was the last of a frame.
 * FORMAT as st_zstd_decompress. */
st_status st_zstd_stream_run(st_zstd_stream *s, const void *src, size_t n, size_t *used, void *dst, size_t cap,
                             size_t *made, bool *ended, const char **why, st_err *err);

#endif
