/* header.h - parsing and writing the JSON header of safetensors. Layer: io: may include core and its siblings in io. */
#ifndef ST_HEADER_H
#define ST_HEADER_H

#include "iface.h"
#include "strmap.h"

#define ST_HEADER_MAX 100000000u /* the reference library's limit */
#define ST_TENSORS_MAX (1u << 24)
#define ST_NAME_MAX 65536u
#define ST_ALIGN_MAX 1048576u

/* As st_header_parse of st.h, but takes over `text` (st_malloc'ed, len bytes of JSON, one spare byte at the end): names
 * are unescaped in place and point into it. `text` is freed on failure too. */
st_status st_header_adopt(const char *label, char *text, size_t len, uint64_t file_size, st_header **out, st_err *err);

/* The header's length from the first `n` bytes of a file, checked against the limit and the file's size; what cannot be
 * a safetensors file is named as what it is (the more of the head is given, the better). Never zero. */
st_status st_header_length(const char *label, const void *head, size_t n, uint64_t file_size, size_t *length,
                           st_err *err);

#define ST_SIZE_UNKNOWN UINT64_MAX /* as a file's size: its header alone tells it */

int64_t st_header_find(const st_header *h, const char *name, size_t len);
/* One more owner, who calls st_header_free. */
st_header *st_header_ref(st_header *h);
uint64_t st_header_data_start(const st_header *h); /* in the file: 8 + the header's length */
uint64_t st_header_file_size(const st_header *h);  /* where the last tensor ends in it */
/* The first tensor that has bytes behind place `off` of the file, or the number of tensors. */
size_t st_header_at(const st_header *h, uint64_t off);
/* FORMAT for bytes [begin, end) of the file: names the tensors that they belong to. `h` may be NULL. */
st_status st_header_fail_place(const st_header *h, const char *label, uint64_t begin, uint64_t end, st_err *err,
                               const char *fmt, ...) ST_PRINTF(6, 7);

/* Canonical writing: what the reference library's own save writes for these tensors. */
typedef struct st_header_entry {
    const char *name;
    size_t name_len;
    st_dtype dtype;
    int ndim;
    const int64_t *shape;
    uint64_t begin, end; /* set by st_header_layout */
    size_t tag;          /* the caller's own, carried along when entries are sorted */
} st_header_entry;

/* Sorts the entries canonically (dtype rank descending, then name) and gives each its offsets. LIMIT on overflow, NAME
 * on duplicates or "__metadata__". *data_size = end of the last. */
st_status st_header_layout(st_header_entry *e, size_t n, const char *label, uint64_t *data_size, st_err *err);

typedef struct st_meta_pair {
    st_text key, value;
} st_meta_pair;

/* The 8 length bytes and the JSON, padded with spaces so that 8 + N is a multiple of `align` (a multiple of 8;
 * 0 or 8: canonical).
 * Metadata keys are written in byte order; no `__metadata__` when nmeta is 0. *out is st_malloc'ed. LIMIT above
 * ST_HEADER_MAX. */
st_status st_header_write(const st_header_entry *e, size_t n, const st_meta_pair *meta, size_t nmeta, uint32_t align,
                          const char *label, char **out, size_t *len, st_err *err);

/* The header of `h` with other metadata: the tensors in the order of the file, at their places. */
st_status st_header_rewrite(const st_header *h, const st_meta_change *c, uint32_t align, const char *label, char **out,
                            size_t *len, st_err *err);

#endif
