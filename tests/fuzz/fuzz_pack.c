/* fuzz_pack.c - fuzz target: a packed file. Whatever the bytes, opening and reading end with a status, and what can be
 * read is as long as the original header says. Part of the tests. */
#include "foreign_file.h"
#include "header.h"
#include "pack.h"

#include <xxhash.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { READ_MOST = 1 << 22, PIECE = 70000 };

static void read_original(st_source *s)
{
    char *buf = malloc(PIECE);
    HOLD(buf);
    for (uint64_t at = 0; at < s->size && at < READ_MOST; at += PIECE) {
        size_t n = s->size - at < PIECE ? (size_t)(s->size - at) : PIECE;
        st_source_advise(s, at, n);
        s->ops->read(s, buf, at, n, NULL);
    }
    free(buf);
}

/* The file is its own base, too: of tensors packed as differences the bytes are then others, but as many. */
static void open_packed(st_source *src, const st_header *h, bool based)
{
    st_source *original;
    st_pack_base base = {src, h};
    if (st_pack_open(src, h, based ? &base : NULL, &original, NULL) != ST_OK) return;
    read_original(original);
    st_source_unref(original);
}

/* Gives every payload the checksum of its end, which chance would not find. */
static void mend(uint8_t *bytes, const st_header *h)
{
    uint64_t start = st_header_data_start(h);
    for (size_t i = 0; i < st_header_count(h); i++) {
        st_info in = st_header_info(h, i);
        uint8_t *end = bytes + start + in.end;
        st_pack_tail t;
        const char *why;
        if (in.end - in.begin < ST_PACK_TAIL_BYTES) continue;
        if (!st_pack_get_tail(end - ST_PACK_TAIL_BYTES, in.end - in.begin, &t, &why)) continue;
        uint64_t n = st_pack_end_bytes(&t), hash = XXH64(end - n, (size_t)n - 16, 0);
        memcpy(end - 16, &hash, 8);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    st_header *h;
    uint64_t before = st_memory_used();
    if (st_header_parse("fuzz", data, size, size, &h, NULL) != ST_OK) return 0;
    uint8_t *copy = malloc(size);
    HOLD(copy);
    memcpy(copy, data, size);
    mend(copy, h);
    bytes_source file = bytes_of(copy, size);
    open_packed(&file.base, h, false);
    open_packed(&file.base, h, true);
    st_header_free(h);
    free(copy);
    HOLD(st_memory_used() == before && file.base.refs == 1);
    return 0;
}
