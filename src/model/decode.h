/* decode.h - tensors that lie in a file in another form than their elements have. Layer: model. */
#ifndef ST_DECODE_H
#define ST_DECODE_H

#include "listing.h"

/* A source of the elements of `t`, which is coded: big-endian numbers, ggml's quantised blocks. They are made
 * as they are read; nothing is kept. Takes its own reference of `below`. */
st_status st_decode_open(st_source *below, const st_listed *t, st_source **out, st_err *err);

#endif
