/* gguf.h - GGUF files (llama.cpp) as listings. Layer: io. */
#ifndef ST_GGUF_H
#define ST_GGUF_H

#include "listing.h"

/* Versions 2 and 3, little-endian. Text and numbers of its metadata become metadata; long arrays are left out, and
 * told. Quantised types that st_coding knows are listed as F32, others are DTYPE or skipped. */
st_status st_gguf_read(st_source *src, const st_open_opts *opts, st_listing *l, st_err *err);

#endif
