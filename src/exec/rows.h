/* rows.h - work on whole rows in memory, one row per worker at a time. Layer: exec. */
#ifndef ST_ROWS_H
#define ST_ROWS_H

#include "program.h"

/* Elements [start, start + count) of a program's only output, tile by tile. */
st_status st_read_span(st_ctx *ctx, const st_program *p, st_lane *lane, size_t width, uint64_t start, uint64_t count,
                       void *buf, st_err *err);

typedef struct st_rows {
    const void *arg;
    st_ctx *ctx; /* set by st_each_row: long work polls st_ctx_stopped, and stops anywhere */
    uint64_t rows;
    st_tensor *in[2]; /* operands, each of `rows` rows; the second may be NULL */
    st_dtype as[2];   /* what they are read as: storage of a register class */
    uint64_t row[2];  /* length of a row */
    size_t scratch;   /* bytes a worker needs besides */
    /* Does its work on row `r`: `in` holds its elements. */
    st_status (*fn)(const struct st_rows *j, void *const in[2], void *scratch, uint64_t r, st_err *err);
    void *out;
} st_rows;

/* LIMIT when rows do not fit the context's memory; `what` is for that message. */
st_status st_each_row(st_ctx *ctx, st_rows *job, const char *what, st_err *err);

#endif
