/* file.h - an open file of tensors (st_file of st.h) for the layers above. Layer: io. */
#ifndef ST_FILE_H
#define ST_FILE_H

#include "header.h"
#include "listing.h"

/* Ranges of it: offsets of the source are offsets in the file (add st_file_data_start). */
st_source *st_file_source(st_file *f);
const st_header *st_file_header(const st_file *f);

/* Where a tensor's bytes are, of a file that is no safetensors file; NULL for one that is. */
const st_listed *st_file_listed(const st_file *f, size_t i);

/* ARG when it is no safetensors file: `doing` ("compressing it") is for those alone. */
st_status st_file_want_safetensors(const st_file *f, const char *doing, st_err *err);

/* ARG when `to` is a name of the base that a packed file is read with. */
st_status st_file_spare_base(const st_file *f, const char *to, st_err *err);

/* Opens a regular file as a source: follows symlinks, refuses directories, FIFOs, devices; one descriptor, O_CLOEXEC.
 */
st_status st_source_open(const char *path, st_source **out, st_err *err);

/* The header of a safetensors file; `packed`: the source is a zsource.h's, which is told. */
st_status st_read_header(st_source *src, bool packed, st_header **h, st_err *err);

#endif
