/* reduce_pass.h - what a streaming pass over the operands of reductions is, between reduce.c (what is computed
 * together) and reduce_rows.c and reduce_columns.c (how). Layer: exec. */
#ifndef ST_REDUCE_PASS_H
#define ST_REDUCE_PASS_H

#include "program.h"

enum { ST_REDUCE_TOGETHER = 32 }; /* reductions in one pass, at most */

typedef struct st_reducing {
    const st_tensor *t;
    st_fold fold;
    st_reg reg;                 /* in which the operands are taken */
    size_t x, y;                /* outputs of the program */
    st_fold_fn fn;              /* NULL: done by another's `joint` */
    st_fold_abreast_fn abreast; /* NULL: none */
    st_joint_fn joint;          /* not NULL: does these reductions, among them this one */
    size_t does[ST_JOINT_MOST], ndoes;
    size_t width; /* bytes of an element as it is folded */
    void *out;
} st_reducing;

/* Elements of the operands are numbered [group][row][inner]: each result is what `row` of them give, `inner` apart.
 * Rows are those with inner = 1. */
typedef struct st_pass {
    st_ctx *ctx;
    st_program *program;
    st_reducing *reds;
    size_t nreds, nouts;
    st_output *outs;
    uint64_t results, row, inner;
    uint64_t run; /* elements to compute in one go: whole blocks, at most a tile */
} st_pass;

/* Writes what was folded as result `i` of the node. */
void st_reduction_finish(const st_reducing *r, const st_partial *p, uint64_t i);

st_status st_reduce_rows(st_pass *p, st_err *err);
st_status st_reduce_columns(st_pass *p, st_err *err);

#endif
