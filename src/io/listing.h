/* listing.h - what is in a file of tensors that is no safetensors file: PyTorch checkpoints, .npz, GGUF. Layer: io.
 *
 * Whoever reads such a format makes a listing: names, dtypes, shapes, and where the bytes lie; and notes on what he
 * saw. Nothing in it refers to values. */
#ifndef ST_LISTING_H
#define ST_LISTING_H

#include "arena.h"
#include "iface.h"
#include "strmap.h"

/* X(enumerator): what lies in the file in place of the elements, which are made of it when they are read
 * (model/decode.c). Those of ggml are F32 then. */
#define ST_CODINGS(X)           \
    X(SWAPPED) /* big-endian */ \
    X(Q4_0)                     \
    X(Q4_1)                     \
    X(Q5_0)                     \
    X(Q5_1)                     \
    X(Q8_0)                     \
    X(Q4_K)                     \
    X(Q5_K)                     \
    X(Q6_K)

typedef enum st_coding {
    ST_CODED_NOT,
#define X(id) ST_CODED_##id,
    ST_CODINGS(X)
#undef X
        ST_CODING_COUNT
} st_coding;

typedef struct st_listed {
    const char *name; /* also NUL-terminated */
    const int64_t *shape;
    const int64_t *strides; /* in elements; NULL: row-major without gaps */
    uint64_t offset, bytes; /* in the file, from the first to the last element */
    uint32_t len;
    uint8_t dtype, ndim;
    uint8_t coding; /* an st_coding */
} st_listed;

typedef struct st_listing {
    const char *format; /* for people: "PyTorch checkpoint", a constant */
    st_listed *list;
    size_t count, cap;
    st_strmap names;
    struct st_note_text {
        st_note kind;
        st_text text;
    } * notes;
    size_t nnotes, note_cap, per_note[ST_NOTE_COUNT];
    st_text (*meta)[2];
    size_t nmeta, meta_cap;
    st_strmap keys;
    uint64_t head, head_bytes; /* what of the file was read to know all this: its identity */
    st_arena text;
} st_listing;

/* Copies name and sizes. FORMAT when the name is there already or is none that safetensors can have. `strides` may be
 * NULL. The caller has checked everything else. */
st_status st_listing_add(st_listing *l, const char *label, const st_listed *t, st_err *err);
/* A line for people, escaped here. After some of a kind others are only counted. */
st_status st_listing_note(st_listing *l, st_note kind, st_err *err, const char *fmt, ...) ST_PRINTF(4, 5);
/* Ends the notes: says how many of each kind were left out. */
st_status st_listing_close(st_listing *l, st_err *err);
/* Copies; what is no UTF-8 is left out. FORMAT when the key is there already. */
st_status st_listing_meta(st_listing *l, const char *label, st_text key, st_text value, st_err *err);
/* As st_file_tied. */
st_status st_listing_tied(const st_listing *l, size_t *first, st_err *err);
void st_listing_free(st_listing *l);

#endif
