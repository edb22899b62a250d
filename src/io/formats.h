/* formats.h - the formats besides safetensors, told apart by what is in a file. Layer: io. */
#ifndef ST_FORMATS_H
#define ST_FORMATS_H

#include "listing.h"

/* Reads a file that begins with the `n` bytes of `head`. *out stays NULL when it is safetensors, or nothing that is
 * known here. */
st_status st_format_read(st_source *src, const void *head, size_t n, const st_open_opts *opts, st_listing **out,
                         st_err *err);
/* As st_file_check. */
st_status st_format_check(st_source *src, bool *all, st_err *err);

#endif
