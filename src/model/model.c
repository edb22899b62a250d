/* model.c - ordered names -> tensors, opened from files or put together by a script. Layer: model. */
#include "st.h"
#include "file.h"
#include "jscan.h"
#include "listed.h"
#include "mem.h"
#include "quant.h"
#include "tensor.h"

#include <stdio.h>
#include <string.h>

typedef struct entry {
    const char *name; /* in the file's header, or owned (t is set and file is NO_FILE) */
    size_t len;
    st_tensor *t; /* NULL until asked for */
    uint32_t file, index;
} entry;

enum { NO_FILE = UINT32_MAX };

struct st_model {
    entry *entries;
    size_t count, cap;
    st_strmap map; /* empty while the model is one file, which has a map of its own */
    st_file **files;
    size_t nfiles;
    st_meta_pair *meta; /* owned strings */
    size_t nmeta, meta_cap;
};

st_status st_model_new(st_model **out, st_err *err)
{
    *out = st_calloc(1, sizeof **out);
    return *out ? ST_OK : st_fail_nomem(err, sizeof **out);
}

void st_model_free(st_model *m)
{
    if (!m) return;
    for (size_t i = 0; i < m->count; i++) {
        st_tensor_unref(m->entries[i].t);
        if (m->entries[i].file == NO_FILE) st_free((char *)m->entries[i].name);
    }
    for (size_t i = 0; i < m->nfiles; i++) st_file_close(m->files[i]);
    for (size_t i = 0; i < m->nmeta; i++) {
        st_free((char *)m->meta[i].key.ptr);
        st_free((char *)m->meta[i].value.ptr);
    }
    st_strmap_free(&m->map);
    st_free(m->entries);
    st_free(m->files);
    st_free(m->meta);
    st_free(m);
}

static const char *label_of(const st_model *m) { return m->nfiles ? st_file_path(m->files[0]) : NULL; }

static bool is_one_file(const st_model *m)
{
    return m->nfiles == 1 && m->count == st_file_count(m->files[0]) && !m->map.used;
}

/* Gives a model that outgrows its one file a map of its own. */
static st_status index_entries(st_model *m, st_err *err)
{
    int64_t old;
    while (m->map.used < m->count) {
        const entry *e = &m->entries[m->map.used];
        ST_TRY(st_strmap_add(&m->map, e->name, e->len, m->map.used, &old, err));
    }
    return ST_OK;
}

/* Appends without taking anything over; the caller frees on failure. */
static st_status append(st_model *m, entry e, st_err *err)
{
    int64_t old;
    if (!st_grow((void **)&m->entries, &m->cap, m->count + 1, sizeof e)) return st_fail_nomem(err, sizeof e);
    ST_TRY(index_entries(m, err));
    ST_TRY(st_strmap_add(&m->map, e.name, e.len, m->count, &old, err));
    if (old >= 0) {
        const entry *first = &m->entries[old];
        return st_fail_named(err, ST_NAME, e.file == NO_FILE ? NULL : st_file_path(m->files[e.file]), e.name, e.len,
                             "the name is there already%s%s", first->file == NO_FILE ? "" : ", in ",
                             first->file == NO_FILE ? "" : st_file_path(m->files[first->file]));
    }
    m->entries[m->count++] = e;
    return ST_OK;
}

st_status st_model_add(st_model *m, const char *name, size_t len, st_tensor *t, st_err *err)
{
    if (len > ST_NAME_MAX)
        return st_fail_named(err, ST_LIMIT, NULL, name, len, "a name of %zu bytes: at most %u are allowed", len,
                             ST_NAME_MAX);
    if (len == 12 && memcmp(name, "__metadata__", 12) == 0)
        return st_fail(err, ST_NAME, NULL, "__metadata__", "this name is reserved for the metadata; choose another");
    if (st_utf8_check(name, len) != len)
        return st_fail_named(err, ST_NAME, NULL, name, len, "a tensor's name must be UTF-8 text");
    char *own = st_strndup(name, len);
    if (!own) return st_fail_nomem(err, len + 1);
    st_status s = append(m, (entry){own, len, t, NO_FILE, 0}, err);
    if (s != ST_OK) {
        st_free(own);
        return s;
    }
    st_tensor_ref(t);
    return ST_OK;
}

st_status st_model_set(st_model *m, const char *name, size_t len, st_tensor *t, st_err *err)
{
    int64_t i = st_model_find(m, name, len);
    if (i < 0) return st_model_add(m, name, len, t, err);
    entry *e = &m->entries[i];
    if (e->file != NO_FILE) { /* no longer the file's; a map may go on using the header's name */
        char *own = st_strndup(name, len);
        if (!own) return st_fail_nomem(err, len + 1);
        e->name = own;
        e->file = NO_FILE;
    }
    st_tensor_ref(t);
    st_tensor_unref(e->t);
    e->t = t;
    return ST_OK;
}

static st_status append_meta(st_model *m, st_text key, st_text value, st_err *err)
{
    char *k = st_strndup(key.ptr, key.len), *v = st_strndup(value.ptr, value.len);
    if (!k || !v || !st_grow((void **)&m->meta, &m->meta_cap, m->nmeta + 1, sizeof *m->meta)) {
        st_free(k);
        st_free(v);
        return st_fail_nomem(err, key.len + value.len);
    }
    m->meta[m->nmeta++] = (st_meta_pair){{k, key.len}, {v, value.len}};
    return ST_OK;
}

/* ---------------------------------------------------------------- opening */

/* Takes over `f` in every case. */
static st_status adopt_file(st_model *m, st_file *f, st_err *err)
{
    st_file **files = st_realloc(m->files, (m->nfiles + 1) * sizeof *files);
    size_t n = st_file_count(f);
    if (!files) {
        st_file_close(f);
        return st_fail_nomem(err, (m->nfiles + 1) * sizeof *files);
    }
    m->files = files;
    m->files[m->nfiles++] = f;
    if (!st_grow((void **)&m->entries, &m->cap, m->count + n, sizeof *m->entries))
        return st_fail_nomem(err, n * sizeof *m->entries);
    bool first = m->count == 0 && m->nfiles == 1; /* its names are known to differ */
    if (!first) ST_TRY(st_strmap_reserve(&m->map, m->count + n, err));
    for (size_t i = 0; i < n; i++) {
        st_info info = st_file_info(f, i);
        entry e = {info.name, info.name_len, NULL, (uint32_t)(m->nfiles - 1), (uint32_t)i};
        if (first)
            m->entries[m->count++] = e;
        else
            ST_TRY(append(m, e, err));
    }
    return ST_OK;
}

/* A header holds no key twice, so nothing is searched: hostile files may bring very many. */
static st_status adopt_metadata(st_model *m, const st_file *f, st_err *err)
{
    for (size_t i = 0; i < st_file_meta_count(f); i++) {
        st_text key, value;
        st_file_meta(f, i, &key, &value);
        ST_TRY(append_meta(m, key, value, err));
    }
    return ST_OK;
}

static st_status open_into(st_model *m, const char *path, const st_open_opts *o, st_err *err)
{
    st_file *f;
    ST_TRY(st_file_open_with(path, o, &f, err));
    ST_TRY(adopt_file(m, f, err));
    return m->nfiles == 1 ? adopt_metadata(m, f, err) : ST_OK;
}

st_status st_model_open_file(const char *path, st_model **out, st_err *err)
{
    return st_model_open_with(path, NULL, out, err);
}

st_status st_model_open_with(const char *path, const st_open_opts *o, st_model **out, st_err *err)
{
    ST_TRY(st_model_new(out, err));
    st_status s = open_into(*out, path, o, err);
    if (s != ST_OK) {
        st_model_free(*out);
        *out = NULL;
    }
    return s;
}

/* Every mapped tensor must be where the index says. A shard's unmapped tensors are left out by other readers; here they
 * are an error, because silently losing or silently adding weights are both wrong. */
static st_status check_index(const st_model *m, const st_index *x, const char *path, st_err *err)
{
    for (size_t i = 0; i < st_index_count(x); i++) {
        st_text name;
        size_t shard;
        st_index_entry(x, i, &name, &shard);
        int64_t at = st_model_find(m, name.ptr, name.len);
        if (at < 0)
            return st_fail_named(err, ST_FORMAT, path, name.ptr, name.len,
                                 "the index maps it to %s, which does not hold it", st_index_shard(x, shard));
        if (m->entries[at].file != shard)
            return st_fail_named(err, ST_FORMAT, path, name.ptr, name.len, "the index maps it to %s, but it is in %s",
                                 st_index_shard(x, shard), st_file_path(m->files[m->entries[at].file]));
    }
    for (size_t i = 0; i < m->count; i++)
        if (st_index_find(x, m->entries[i].name, m->entries[i].len) < 0)
            return st_fail_named(err, ST_FORMAT, path, m->entries[i].name, m->entries[i].len,
                                 "it is in %s but not in the index; open that file by itself, or repair the index",
                                 st_file_path(m->files[m->entries[i].file]));
    return ST_OK;
}

static st_status open_shards(st_model *m, const st_index *x, const char *path, const st_open_opts *o, st_err *err)
{
    const char *slash = strrchr(path, '/');
    size_t folder = slash ? (size_t)(slash - path) + 1 : 0;
    for (size_t i = 0; i < st_index_shards(x); i++) {
        const char *name = st_index_shard(x, i);
        size_t n = folder + strlen(name) + 1;
        char *full = st_malloc(n);
        if (!full) return st_fail_nomem(err, n);
        memcpy(full, path, folder);
        memcpy(full + folder, name, n - folder);
        st_status s = open_into(m, full, o, err);
        st_free(full);
        if (s != ST_OK) return s;
    }
    return check_index(m, x, path, err);
}

st_status st_model_open_index(const char *path, st_model **out, st_err *err)
{
    return st_model_open_index_with(path, NULL, out, err);
}

st_status st_model_open_index_with(const char *path, const st_open_opts *o, st_model **out, st_err *err)
{
    st_index *x;
    *out = NULL;
    ST_TRY(st_index_open(path, &x, err));
    st_status s = st_model_new(out, err);
    st_open_opts each = o ? *o : (st_open_opts){0};
    each.base = NULL; /* of one file, not of each shard */
    if (s == ST_OK) s = open_shards(*out, x, path, &each, err);
    st_index_free(x);
    if (s != ST_OK) {
        st_model_free(*out);
        *out = NULL;
    }
    return s;
}

/* ---------------------------------------------------------------- looking */

size_t st_model_count(const st_model *m) { return m->count; }
size_t st_model_files(const st_model *m) { return m->nfiles; }
st_file *st_model_file(const st_model *m, size_t i) { return i < m->nfiles ? m->files[i] : NULL; }
int64_t st_model_find(const st_model *m, const char *name, size_t len)
{
    return is_one_file(m) ? st_file_find(m->files[0], name, len) : st_strmap_find(&m->map, name, len);
}

st_info st_model_info(const st_model *m, size_t i)
{
    const entry *e = &m->entries[i];
    if (e->file != NO_FILE) return st_file_info(m->files[e->file], e->index);
    return (st_info){e->name, e->len, e->t->dtype, e->t->ndim, e->t->shape, 0, 0};
}

st_status st_model_tensor(st_model *m, size_t i, st_tensor **out, st_err *err)
{
    *out = NULL;
    if (i >= m->count)
        return st_fail(err, ST_ARG, label_of(m), NULL, "tensor %zu was asked for, there are %zu", i + 1, m->count);
    entry *e = &m->entries[i];
    if (!e->t) {
        st_file *f = m->files[e->file];
        st_info in = st_file_info(f, e->index);
        const st_listed *l = st_file_listed(f, e->index);
        const char *quant = st_quant_layout(m, in.name, in.name_len);
        ST_TRY(l ? st_listed_tensor(st_file_source(f), l, quant, &e->t, err)
                 : st_tensor_range(st_file_source(f), st_file_data_start(f) + in.begin, in.dtype, in.ndim, in.shape,
                                   in.name, in.name_len, quant, &e->t, err));
    }
    *out = st_tensor_ref(e->t);
    return ST_OK;
}

/* ---------------------------------------------------------------- metadata */

size_t st_model_meta_count(const st_model *m) { return m->nmeta; }
void st_model_meta(const st_model *m, size_t i, st_text *key, st_text *value)
{
    *key = m->meta[i].key;
    *value = m->meta[i].value;
}

static void remove_meta(st_model *m, size_t i)
{
    st_free((char *)m->meta[i].key.ptr);
    st_free((char *)m->meta[i].value.ptr);
    memmove(&m->meta[i], &m->meta[i + 1], (m->nmeta - i - 1) * sizeof *m->meta);
    m->nmeta--;
}

st_status st_model_set_meta(st_model *m, const char *key, size_t klen, const char *value, size_t vlen, st_err *err)
{
    size_t at = 0;
    while (at < m->nmeta && !(m->meta[at].key.len == klen && memcmp(m->meta[at].key.ptr, key, klen) == 0)) at++;
    if (!value) {
        if (at < m->nmeta) remove_meta(m, at);
        return ST_OK;
    }
    if (st_utf8_check(key, klen) != klen || st_utf8_check(value, vlen) != vlen)
        return st_fail_named(err, ST_ARG, NULL, key, klen, "metadata must be UTF-8 text");
    if (at == m->nmeta) return append_meta(m, (st_text){key, klen}, (st_text){value, vlen}, err);
    char *v = st_strndup(value, vlen);
    if (!v) return st_fail_nomem(err, vlen + 1);
    st_free((char *)m->meta[at].value.ptr);
    m->meta[at].value = (st_text){v, vlen};
    return ST_OK;
}
