/* fuzz_zsource.c - fuzz target: a zstd-compressed safetensors file. Whatever the bytes, opening, reading and checking
 * end with a status; what is read twice is the same; nothing is kept. Part of the tests. */
#include "context.h"
#include "file.h"
#include "foreign_file.h"
#include "zsource.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { PIECE = 100000, MOST = 1 << 20 };

/* Some ranges, forwards, and then the first again. */
static void read_ranges(st_source *src)
{
    static uint8_t first[PIECE], buf[PIECE];
    size_t n = src->size < PIECE ? (size_t)src->size : PIECE;
    st_err err;
    st_status begin = src->ops->read(src, first, 0, n, &err);
    HOLD(begin == ST_OK || err.message[0]);
    for (uint64_t off = 1; off < src->size && off < MOST; off += PIECE - 1) {
        size_t part = src->size - off < PIECE ? (size_t)(src->size - off) : PIECE;
        if (src->ops->read(src, buf, off, part, &err) != ST_OK) break;
    }
    if (src->size > 0) src->ops->read(src, buf, src->size - 1, 1, &err);
    if (begin == ST_OK && st_zsource_seeks(src) && src->ops->read(src, buf, 0, n, &err) == ST_OK)
        HOLD(memcmp(first, buf, n) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    bytes_source file = bytes_of(data, size);
    st_source *src;
    st_header *h = NULL;
    st_err err = {0};
    st_ctx *ctx;
    st_damages d;
    if (!st_zsource_is(data, size)) return 0;
    HOLD(st_ctx_new(&ctx, &err) == ST_OK);
    st_ctx_set_threads(ctx, 1);
    st_status s = st_zsource_open(&file.base, &src, &err);
    HOLD(s == ST_OK || (!src && err.message[0]));
    if (s == ST_OK) {
        s = st_read_header(src, true, &h, &err);
        HOLD(s == ST_OK || (!h && err.message[0]));
        if (s == ST_OK) HOLD(src->size == st_header_file_size(h));
        if (s == ST_OK && src->size < 64 << 20) read_ranges(src);
        HOLD(st_damages_init(&d, &err) == ST_OK);
        if (src->size < 64 << 20 || src->size == ST_SIZE_UNKNOWN) st_zsource_verify(src, ctx, &d, &err);
        for (size_t i = 0; i < d.n; i++) HOLD(d.list[i].message[0] && d.list[i].begin <= d.list[i].end);
        st_damages_free(&d);
        st_header_free(h);
        st_source_unref(src);
    }
    st_ctx_free(ctx);
    HOLD(st_memory_used() == 0 && file.base.refs == 0);
    return 0;
}
