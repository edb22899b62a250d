/* listed.h - tensors of files that are not safetensors. Layer: model. */
#ifndef ST_LISTED_H
#define ST_LISTED_H

#include "listing.h"
#include "tensor.h"

/* The tensor that a listing describes: a range of the file, or of what is made of it. `quant` as in st_tensor_range. */
st_status st_listed_tensor(st_source *src, const st_listed *t, const char *quant, st_tensor **out, st_err *err);

#endif
