/* strided.h - elements that lie scattered in a file, as a source of them in their order. Layer: model. */
#ifndef ST_STRIDED_H
#define ST_STRIDED_H

#include "iface.h"

/* The elements of a tensor of whole bytes, the first at byte `offset` of `below`, the others by strides (in elements,
 * not negative). No more than 2^40 bytes. Nothing is held but a few MiB while it is read. Takes its own reference of
 * `below`. */
st_status st_strided_open(st_source *below, uint64_t offset, st_dtype dtype, int ndim, const int64_t *shape,
                          const int64_t *strides, st_source **out, st_err *err);

#endif
