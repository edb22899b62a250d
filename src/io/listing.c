/* listing.c - names, places and notes of a file that is no safetensors file. Layer: io; may touch memory only. */
#include "listing.h"
#include "header.h"
#include "jscan.h"
#include "mem.h"

#include <stdio.h>
#include <string.h>

enum { NOTES_MOST = 40 }; /* of one kind */

const char *st_note_name(st_note n)
{
    static const char *const names[] = {
#define X(id, name, what) name,
        ST_NOTES(X)
#undef X
    };
    return (unsigned)n < ST_NOTE_COUNT ? names[n] : "unknown";
}

static st_status check_name(const char *label, const st_listed *t, st_err *err)
{
    if (t->len > ST_NAME_MAX)
        return st_fail_named(err, ST_LIMIT, label, t->name, t->len, "a name of %u bytes: at most %u are allowed",
                             t->len, ST_NAME_MAX);
    if (t->len == 12 && memcmp(t->name, "__metadata__", 12) == 0)
        return st_fail(err, ST_NAME, label, "__metadata__", "this name is reserved for the metadata");
    if (st_utf8_check(t->name, t->len) != t->len)
        return st_fail_named(err, ST_FORMAT, label, t->name, t->len, "its name is not UTF-8 text");
    return ST_OK;
}

st_status st_listing_add(st_listing *l, const char *label, const st_listed *t, st_err *err)
{
    int64_t old;
    size_t dims = t->ndim * sizeof *t->shape;
    ST_TRY(check_name(label, t, err));
    if (l->count >= ST_TENSORS_MAX) return st_fail(err, ST_LIMIT, label, NULL, "more than %u tensors", ST_TENSORS_MAX);
    st_listed own = *t;
    own.name = st_arena_copy(&l->text, t->name, t->len);
    int64_t *shape = st_arena_take(&l->text, dims * (t->strides ? 2 : 1));
    if (!own.name || !shape || !st_grow((void **)&l->list, &l->cap, l->count + 1, sizeof *l->list))
        return st_fail_nomem(err, t->len + dims + sizeof own);
    if (dims) memcpy(shape, t->shape, dims);
    if (dims && t->strides) memcpy(shape + t->ndim, t->strides, dims);
    own.shape = shape;
    own.strides = t->strides ? shape + t->ndim : NULL;
    ST_TRY(st_strmap_add(&l->names, own.name, own.len, l->count, &old, err));
    if (old >= 0) return st_fail_named(err, ST_FORMAT, label, t->name, t->len, "the name is there twice");
    l->list[l->count++] = own;
    return ST_OK;
}

static st_status add_note(st_listing *l, st_note kind, const char *text, st_err *err)
{
    size_t n = strlen(text);
    char *own = st_arena_copy(&l->text, text, n);
    if (!own || !st_grow((void **)&l->notes, &l->note_cap, l->nnotes + 1, sizeof *l->notes))
        return st_fail_nomem(err, n);
    l->notes[l->nnotes++] = (struct st_note_text){kind, {own, n}};
    return ST_OK;
}

st_status st_listing_note(st_listing *l, st_note kind, st_err *err, const char *fmt, ...)
{
    char text[1024];
    va_list ap;
    if (l->per_note[kind]++ >= NOTES_MOST) return ST_OK;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    return add_note(l, kind, text, err);
}

st_status st_listing_close(st_listing *l, st_err *err)
{
    for (int k = 0; k < ST_NOTE_COUNT; k++) {
        char text[64];
        if (l->per_note[k] <= NOTES_MOST) continue;
        snprintf(text, sizeof text, "... and %zu more", l->per_note[k] - NOTES_MOST);
        ST_TRY(add_note(l, (st_note)k, text, err));
    }
    return ST_OK;
}

st_status st_listing_meta(st_listing *l, const char *label, st_text key, st_text value, st_err *err)
{
    int64_t old;
    if (st_utf8_check(key.ptr, key.len) != key.len || st_utf8_check(value.ptr, value.len) != value.len) return ST_OK;
    st_text own[2] = {{st_arena_copy(&l->text, key.ptr, key.len), key.len},
                      {st_arena_copy(&l->text, value.ptr, value.len), value.len}};
    if (!own[0].ptr || !own[1].ptr || !st_grow((void **)&l->meta, &l->meta_cap, l->nmeta + 1, sizeof *l->meta))
        return st_fail_nomem(err, key.len + value.len);
    ST_TRY(st_strmap_add(&l->keys, own[0].ptr, own[0].len, l->nmeta, &old, err));
    if (old >= 0) {
        char shown[120];
        st_escape(shown, sizeof shown, key.ptr, key.len);
        return st_fail(err, ST_FORMAT, label, NULL, "metadata key \"%s\" is given twice: which one counts is ambiguous",
                       shown);
    }
    memcpy(l->meta[l->nmeta++], own, sizeof own);
    return ST_OK;
}

/* All that tells which elements an entry is. */
static char *identity(const st_listed *t, st_arena *a, size_t *n)
{
    const uint64_t what[] = {t->offset, t->bytes, t->dtype, t->coding, t->ndim, t->strides != NULL};
    size_t dims = t->ndim * sizeof *t->shape;
    *n = sizeof what + dims * (t->strides ? 2 : 1);
    char *key = st_arena_take(a, *n);
    if (!key) return NULL;
    memcpy(key, what, sizeof what);
    if (dims) memcpy(key + sizeof what, t->shape, dims);
    if (dims && t->strides) memcpy(key + sizeof what + dims, t->strides, dims);
    return key;
}

st_status st_listing_tied(const st_listing *l, size_t *first, st_err *err)
{
    st_strmap known = {0};
    st_arena keys = {0};
    st_status s = ST_OK;
    for (size_t i = 0; s == ST_OK && i < l->count; i++) {
        int64_t old;
        size_t n;
        first[i] = i;
        if (l->list[i].bytes == 0) continue;
        char *key = identity(&l->list[i], &keys, &n);
        s = key ? st_strmap_add(&known, key, n, i, &old, err) : st_fail_nomem(err, 64);
        if (s == ST_OK && old >= 0) first[i] = (size_t)old;
    }
    st_strmap_free(&known);
    st_arena_free(&keys);
    return s;
}

void st_listing_free(st_listing *l)
{
    if (!l) return;
    st_strmap_free(&l->names);
    st_strmap_free(&l->keys);
    st_free(l->list);
    st_free(l->notes);
    st_free(l->meta);
    st_arena_free(&l->text);
    st_free(l);
}
