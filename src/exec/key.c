/* key.c - a number for what an expression's values are. Layer: exec. Computes nothing, reads bytes in memory only. */
#include "key.h"
#include "mem.h"
#include "strmap.h"

#include <string.h>
#include <xxhash.h>

void st_key_add(st_key *k, const void *bytes, size_t n)
{
    XXH128_hash_t h = XXH3_128bits(bytes, n);
    const uint64_t chain[] = {k->part[0], k->part[1], h.low64, h.high64, n};
    h = XXH3_128bits(chain, sizeof chain);
    k->part[0] = h.low64;
    k->part[1] = h.high64;
}

static void add_text(st_key *k, const char *s) { st_key_add(k, s, strlen(s)); }

/* Operands by their place in the list: they stand before their users. */
static void add_operands(st_key *k, const st_tensor *t, const st_strmap *places)
{
    for (int i = 0; i < t->nargs; i++) {
        int64_t at = st_strmap_find(places, (const char *)&t->args[i], sizeof t->args[i]);
        st_key_add(k, &at, sizeof at);
    }
}

static st_status add_source(st_key *k, const st_tensor *t, st_err *err)
{
    uint64_t id[2];
    if (!st_source_identity(t->source, id))
        return st_fail(err, ST_ARG, t->source->label, t->name,
                       "nobody can tell later whether these bytes are still the same: save without resume");
    st_key_add(k, id, sizeof id);
    st_key_add(k, &t->offset, sizeof t->offset);
    return ST_OK;
}

/* All fields that a node's kind uses; those it does not are zero. */
static st_status add_node(st_key *k, const st_tensor *t, const st_strmap *places, st_err *err)
{
    const int64_t fields[] = {t->node,
                              t->dtype,
                              t->ndim,
                              t->nargs,
                              t->op,
                              t->operands,
                              t->saturate,
                              t->start,
                              t->param[0],
                              t->param[1],
                              t->param[2],
                              t->param[3],
                              t->gen,
                              (int64_t)t->key.seed,
                              (int64_t)t->key.stream,
                              t->key.low,
                              (int64_t)t->key.span,
                              t->i};
    st_key_add(k, fields, sizeof fields);
    st_key_add(k, t->real, sizeof t->real);
    st_key_add(k, &t->f, sizeof t->f);
    st_key_add(k, t->shape, (size_t)t->ndim * sizeof *t->shape);
    if (t->node == ST_N_VIEW) st_key_add(k, t->strides, (size_t)t->ndim * sizeof *t->strides);
    if (t->whole) add_text(k, t->whole->name);
    if (t->node == ST_N_VALUES) st_key_add(k, t->values, st_tensor_nbytes(t));
    add_operands(k, t, places);
    if (t->node == ST_N_RANGE) return add_source(k, t, err);
    return ST_OK;
}

st_status st_key_add_tensors(st_key *k, st_tensor *const *roots, size_t n, st_err *err)
{
    st_tensor **list;
    size_t count;
    st_strmap places = {0};
    ST_TRY(st_topological(roots, n, ST_BELOW_ALL, &list, &count, err));
    st_status s = st_strmap_reserve(&places, count, err);
    for (size_t i = 0; s == ST_OK && i < count; i++) {
        int64_t old;
        s = st_strmap_add(&places, (const char *)&list[i], sizeof list[i], i, &old, err);
        if (s == ST_OK) s = add_node(k, list[i], &places, err);
    }
    for (size_t i = 0; s == ST_OK && i < n; i++) {
        int64_t at = st_strmap_find(&places, (const char *)&roots[i], sizeof roots[i]);
        st_key_add(k, &at, sizeof at);
    }
    st_strmap_free(&places);
    st_free(list);
    return s;
}
