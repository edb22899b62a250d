/* eval.h - computing tensors: the fused evaluator on whole ranges, and the plain one. Layer: exec; may include core and
 * kern. The public functions (st_export, st_force, st_export_plain) are declared in st.h. */
#ifndef ST_EVAL_H
#define ST_EVAL_H

#include "program.h"

/* Raw bytes of a leaf, unchanged: elements are not looked at, so any dtype will do. `off` and `n` are in bytes. */
st_status st_read_raw(const st_tensor *t, uint64_t off, void *buf, size_t n, st_err *err);
/* The same by all threads, where the source may be read in any order. */
st_status st_read_raw_spread(st_ctx *ctx, const st_tensor *t, uint64_t off, void *buf, uint64_t n, st_err *err);

/* Elements [start, start + count) as st_export gives them, computed alone: for a few of them below a view, whose
 * operand need not be held then (points.c). *done is false where that is no gain (or impossible); `always` tries in any
 * case. */
st_status st_export_points(st_ctx *ctx, st_tensor *t, uint64_t start, uint64_t count, bool always, st_dtype dtype,
                           void *out, bool *done, st_err *err);

#endif
