/* eval.h - computing tensors: the fused evaluator on whole ranges, and the plain one. Layer: exec; may include core and
 * kern. The public functions (st_export, st_force, st_export_plain, st_tensor_identical) are declared in st.h. */
#ifndef ST_EVAL_H
#define ST_EVAL_H

#include "program.h"

/* Raw bytes of a leaf, unchanged: elements are not looked at, so any dtype will do. `off` and `n` are in bytes. */
st_status st_read_raw(const st_tensor *t, uint64_t off, void *buf, size_t n, st_err *err);

#endif
