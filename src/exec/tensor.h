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
    ST_N_VIEW,   /* elements of args[0] in another order: start, strides */
    ST_N_RANDOM, /* random numbers: made when they are needed, never kept */
    ST_N_STEP,   /* one value up to some element, another from there on: args[0] holds both and the place (cut.c) */
    ST_N_WHOLE,  /* computed whole, by a function of its own */
} st_node;

/* An operation that needs its operands whole: computes all of `t` into `out`, t->numel registers of its class. */
typedef struct st_whole {
    const char *name;
    st_status (*compute)(st_ctx *ctx, const st_tensor *t, void *out, st_err *err);
} st_whole;

struct st_tensor {
    _Atomic unsigned refs;
    st_node node;
    st_dtype dtype; /* declared: what a save writes unless told otherwise */
    int ndim;
    uint64_t numel;

    int nargs;
    st_tensor **args; /* behind the shape, in the same block */
    st_op op;
    st_reg operands; /* OP: the class in which operands are taken (WHERE: of the second and third) */
    bool saturate;   /* CAST */

    int64_t start, *strides; /* VIEW: in elements of args[0], row-major; strides lie behind the shape */
    const st_whole *whole;   /* WHOLE */
    int64_t param[4];        /* WHOLE: its own */
    double real[2];

    st_gen gen; /* RANDOM */
    st_random_key key;

    st_source *source; /* RANGE */
    uint64_t offset;
    char *name;
    const char *quant; /* a constant string */

    void *values; /* VALUES: numel elements of `dtype` */
    double f;     /* NUMBER of dtype F64 */
    int64_t i;    /* NUMBER of dtype I64 */

    /* Computed once and kept: numel elements of st_held_dtype. Set by compare-and-swap. */
    void *_Atomic forced;
    _Atomic unsigned pins; /* uses that a running plan still has for `forced`; 0: kept for good */
    uint32_t origin;       /* OP, WHOLE: see st_tensor_set_origin */

    st_tensor *next_dead; /* links nodes being freed: expressions may be deeper than the stack */
    int64_t shape[];
};

/* A node of the given shape with references to its operands; the caller fills in the rest. One reference. */
st_status st_node_new(st_node node, st_dtype dtype, int ndim, const int64_t *shape, int nargs, st_tensor *const *args,
                      st_tensor **out, st_err *err);
/* True for a leaf whose bytes exist as they are: it can be copied without a look at the values. */
bool st_is_raw(const st_tensor *t);
/* What `t` is a view, or a cast, of. */
const st_tensor *st_tensor_operation(const st_tensor *t);
/* True when a view is its operand's elements in their order: only the shape differs. */
bool st_view_is_plain(const st_tensor *t);
/* True when a place is all elements of `t` in their order. */
bool st_place_is_all(const st_place *p, const st_tensor *t);
/* Refuses what cannot be computed on: quantised layouts, raw dtypes. */
st_status st_check_computable(const st_tensor *t, const char *doing, st_err *err);
/* A range of a source; `quant` is NULL or a constant string. Takes its own reference of the source, copies the name. */
st_status st_tensor_range(st_source *src, uint64_t offset, st_dtype dtype, int ndim, const int64_t *shape,
                          const char *name, size_t name_len, const char *quant, st_tensor **out, st_err *err);
/* The dtype that a result has, as torch.result_type: tensors with dimensions count before 0-d ones, those before
 * numbers. */
st_status st_result_dtype(st_tensor *const *args, int n, st_dtype *out, st_err *err);

/* How far down a walk goes. */
typedef enum st_below {
    ST_BELOW_FUSED,  /* not below what is computed apart: WHOLE, and views that are not plain; nor below what is forced
                      */
    ST_BELOW_NEEDED, /* below everything but what is forced */
    ST_BELOW_ALL,
} st_below;
/* All nodes below and including `roots`, operands before users, each once. *list is st_malloc'ed. */
st_status st_topological(st_tensor *const *roots, size_t nroots, st_below below, st_tensor ***list, size_t *n,
                         st_err *err);
/* CHANGED when a file below `root` is no longer what was opened; with `read` also what is wrong with what was read of
 * it. */
st_status st_check_sources(st_tensor *root, bool read, st_err *err);

#endif
