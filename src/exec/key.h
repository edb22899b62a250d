/* key.h - a number for what an expression's values are, the same in every process. Layer: exec; may include core. */
#ifndef ST_KEY_H
#define ST_KEY_H

#include "tensor.h"

/* 128 bits of XXH3 over whatever was added, in order. A zeroed one is valid. */
typedef struct st_key {
    uint64_t part[2];
} st_key;

void st_key_add(st_key *k, const void *bytes, size_t n);
/* Everything that determines the values of `roots`: the operations below them, numbers, bytes in memory, and which
 * files, with the identity that they had when they were opened. What happens to be computed already makes no
 * difference. ARG for bytes of which nobody can tell whether they are still the same. */
st_status st_key_add_tensors(st_key *k, st_tensor *const *roots, size_t n, st_err *err);

#endif
