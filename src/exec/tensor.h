/* tensor.h - what a tensor is inside: a node of an expression. Layer: exec; may include core and kern. */
#ifndef ST_TENSOR_H
#define ST_TENSOR_H

#include "iface.h"
#include "kern.h"

typedef enum st_node {
    ST_N_RANGE,  /* bytes of a source */
    ST_N_VALUES, /* bytes in memory */
    ST_N_NUMBER, /* a number written in a script: 0-d, and weak when result dtypes are found */
    ST_N_OP,     /* an operation of ST_OPS */
    ST_N_CAST,   /* an explicit cast */
    ST_N_EXPAND, /* args[0] broadcast to this shape */
} st_node;

struct st_tensor {
    _Atomic unsigned refs;
    st_node node;
    st_dtype dtype; /* declared: what a save writes unless told otherwise */
    int ndim;
    uint64_t numel;

    int nargs;
    st_tensor *args[3];
    st_op op;
    st_reg operands; /* OP: the class in which operands are taken (WHERE: of the second and third) */
    bool saturate;   /* CAST */

    st_source *source; /* RANGE */
    uint64_t offset;
    char *name;
    const char *quant; /* a constant string */

    void *values;    /* VALUES: numel elements of `dtype` */
    double f;        /* NUMBER of dtype F64 */
    int64_t i;       /* NUMBER of dtype I64 */

    /* Computed once and kept: numel registers of class st_dtype_reg(dtype). Set by compare-and-swap. */
    void *_Atomic forced;

    st_tensor *next_dead; /* links nodes being freed: expressions may be deeper than the stack */
    int64_t shape[];
};

/* A node of the given shape and no content; one reference. */
st_status st_node_new(st_node node, st_dtype dtype, int ndim, const int64_t *shape, st_tensor **out, st_err *err);
/* A range of a source; `quant` is NULL or a constant string. Takes its own reference of the source, copies the name. */
st_status st_tensor_range(st_source *src, uint64_t offset, st_dtype dtype, int ndim, const int64_t *shape, const char *name,
                          size_t name_len, const char *quant, st_tensor **out, st_err *err);
/* The dtype that a result has, as torch.result_type: tensors with dimensions count before 0-d ones, those before numbers. */
st_status st_result_dtype(st_tensor *const *args, int n, st_dtype *out, st_err *err);

/* All nodes below and including `roots`, operands before users, each once. *list is st_malloc'ed. Nodes already forced
 * have no operands here. */
st_status st_topological(st_tensor *const *roots, size_t nroots, st_tensor ***list, size_t *n, st_err *err);

#endif
