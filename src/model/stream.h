/* stream.h - bytes from sources to sinks over all threads: the one loop that moves models. Layer: model. */
#ifndef ST_STREAM_H
#define ST_STREAM_H

#include "context.h"
#include "program.h"
#include "resume.h"

/* One tensor of one target. `sink` is borrowed. */
typedef struct st_piece {
    st_output out;
    st_sink *sink;
    size_t file;            /* number of the sink: gives the order */
    uint64_t offset, bytes; /* in the sink */
    bool raw;               /* copied as it is: out.t is a leaf and no cast is wanted */
    size_t group;           /* pieces with the same group have equal element counts and are computed together */
} st_piece;

/* Writes all pieces. They are sorted here: by file and offset, groups where their first piece stands. With `r`
 * (may be NULL) what lies before its mark is there already, and new marks are written as the work goes on. */
st_status st_stream(st_ctx *ctx, st_piece *pieces, size_t n, st_resume *r, st_err *err);

#endif
