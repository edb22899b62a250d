/* cut.h - where a tensor's largest magnitudes end (cut.c). Layer: exec. */
#ifndef ST_CUT_H
#define ST_CUT_H

#include "tensor.h"

/* Elements [start, start + n) of a STEP: values[0] before element number values[2], values[1] from there on. */
void st_step_fill(const st_tensor *t, const double values[3], uint64_t start, size_t n, void *dst);

#endif
