/* foreign_file.h - what fuzz targets share: a source over bytes in memory, and what must hold of a reader of foreign
 * formats and of every listing that it accepted. Part of the tests. */
#ifndef FOREIGN_FILE_H
#define FOREIGN_FILE_H

#include "listing.h"
#include "mem.h"
#include "shape.h"

#include <stdlib.h>
#include <string.h>

#define HOLD(condition) \
    if (!(condition)) abort()

typedef struct bytes_source {
    st_source base;
    const uint8_t *bytes;
} bytes_source;

static st_status bytes_read(st_source *s, void *buf, uint64_t off, size_t n, st_err *err)
{
    (void)err;
    HOLD(off <= s->size && n <= s->size - off);
    if (n) memcpy(buf, ((bytes_source *)(void *)s)->bytes + off, n);
    return ST_OK;
}

static st_status bytes_check(st_source *s, st_err *err)
{
    (void)s, (void)err;
    return ST_OK;
}

static void bytes_close(st_source *s) { (void)s; }

static const st_source_ops bytes_ops = {.read = bytes_read, .check = bytes_check, .close = bytes_close};

static inline bytes_source bytes_of(const uint8_t *data, size_t size)
{
    return (bytes_source){{.ops = &bytes_ops, .refs = 1, .size = size, .label = "fuzz"}, data};
}

/* Names are text, sizes fit, and no element lies outside of the file. */
static inline void check_listing(const st_listing *l, uint64_t file_size)
{
    for (size_t i = 0; i < l->count; i++) {
        const st_listed *t = &l->list[i];
        uint64_t numel, bytes, last = 0;
        HOLD(t->name[t->len] == '\0' && st_strmap_find(&l->names, t->name, t->len) == (int64_t)i);
        HOLD(t->dtype < ST_DTYPE_COUNT && t->ndim <= ST_MAX_DIMS && t->coding < ST_CODING_COUNT);
        HOLD(st_shape_numel(t->ndim, t->shape, &numel));
        HOLD(t->offset <= file_size && t->bytes <= file_size - t->offset);
        if (t->coding > ST_CODED_SWAPPED || numel == 0) continue;
        for (int d = 0; t->strides && d < t->ndim; d++) {
            HOLD(t->strides[d] >= 0);
            last += (uint64_t)(t->shape[d] - 1) * (uint64_t)t->strides[d];
        }
        HOLD(st_dtype_bytes((st_dtype)t->dtype, t->strides ? last + 1 : numel, &bytes) && bytes == t->bytes);
    }
    for (size_t i = 0; i < l->nnotes; i++) HOLD(strlen(l->notes[i].text.ptr) == l->notes[i].text.len);
}

/* Memory is given back, and was never much more than the input. */
static inline void check_memory(size_t size)
{
    HOLD(st_memory_used() == 0);
    HOLD(st_memory_peak() <= (4u << 20) + 64 * (uint64_t)(size > 65536 ? size : 65536));
}

/* A reader's whole test: it accepts or says why, whether asked for all or for part of it. */
static inline void check_reader(st_status (*read)(st_source *, const st_open_opts *, st_listing *, st_err *),
                                const uint8_t *data, size_t size)
{
    bytes_source src = bytes_of(data, size);
    const st_open_opts opts[2] = {{0}, {.skip = true, .has_dtype = true, .dtype = ST_BF16}};
    for (int i = 0; i < 2; i++) {
        st_err err = {0};
        st_listing *l = st_calloc(1, sizeof *l);
        HOLD(l);
        st_status s = read(&src.base, &opts[i], l, &err);
        HOLD(s == ST_OK || (err.code == s && err.message[0]));
        if (s == ST_OK) check_listing(l, size);
        st_listing_free(l);
    }
    check_memory(size);
}

#endif
