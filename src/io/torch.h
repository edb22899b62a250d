/* torch.h - PyTorch checkpoints as listings, and what the parts of that share. Layer: io. */
#ifndef ST_TORCH_H
#define ST_TORCH_H

#include "listing.h"
#include "pickle.h"
#include "zip.h"

/* A zip file of a pickle and storages (PyTorch 1.6 and later, TorchScript); and what came before it: pickles with the
 * storages behind them, or any other pickle, which has no tensors. */
st_status st_torch_zip(st_source *src, const st_zip *zip, const st_open_opts *opts, st_listing *l, st_err *err);
st_status st_torch_legacy(st_source *src, const st_open_opts *opts, st_listing *l, st_err *err);

/* The data.pkl of such an archive, or NULL: exactly one, in a folder of whatever name. */
const st_zip_entry *st_torch_find_pickle(const st_zip *zip);

/* ---------------------------------------------------------------- storages (torch_tensor.c) */

/* What a persistent id says. */
typedef struct st_torch_storage {
    st_text key;
    int dtype;      /* of its elements; -1: bytes (untyped), or none that safetensors has */
    unsigned width; /* bytes of an element */
    st_text type;   /* "float32" */
    uint64_t count, bytes;
    uint64_t skip; /* elements of the storage before it, which is `whole` long: a view, of old files */
    uint64_t whole;
} st_torch_storage;

/* FORMAT for what is no storage. `tensor` is for messages, as in st_fail_named. */
st_status st_torch_storage_of(const char *label, const st_pickle *p, st_pnode persistent, st_text tensor,
                              st_torch_storage *out, st_err *err);

/* ---------------------------------------------------------------- tensors (torch_tensor.c) */

typedef struct st_torch_tensor {
    st_torch_storage storage;
    st_dtype dtype;
    int ndim;
    int64_t *shape, *strides; /* strides NULL: row-major */
    uint64_t offset, bytes;   /* from the start of the storage: where its first element is, and how far it reaches */
    const char *why;          /* it cannot be had: the reason, which `what` begins */
    st_text what;
} st_torch_tensor;

/* True for a node that makes a tensor, of whatever kind. */
bool st_torch_is_tensor(const st_pickle *p, st_pnode n);
/* Reads it, as data; shape and strides lie in `sizes`. */
st_status st_torch_tensor_of(const char *label, const st_pickle *p, st_pnode n, st_text name,
                             int64_t sizes[2 * ST_MAX_DIMS], st_torch_tensor *out, st_err *err);

/* ---------------------------------------------------------------- names (torch_walk.c) */

/* Where a storage's bytes are in the file. FORMAT when they are not `bytes` many, or not there. */
typedef struct st_torch_finder {
    st_status (*find)(void *arg, const st_torch_storage *s, st_text tensor, uint64_t *offset, st_err *err);
    void *arg;
} st_torch_finder;

/* Names the tensors below the root of a pickle of `bytes` bytes, and notes the rest. UNSAFE and DTYPE as st_open_opts
 * says. */
st_status st_torch_walk(const char *label, const st_pickle *p, size_t bytes, const st_open_opts *opts,
                        const st_torch_finder *f, st_listing *l, st_err *err);

#endif
