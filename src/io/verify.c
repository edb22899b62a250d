/* verify.c - the list of what a check has found, and the check of one file. Layer: io; may touch files through
 * sources, read only. */
#include "verify.h"
#include "file.h"
#include "mem.h"
#include "pack.h"
#include "zsource.h"

#include <stdio.h>
#include <string.h>

st_status st_damages_init(st_damages *d, st_err *err)
{
    *d = (st_damages){0};
    return pthread_mutex_init(&d->lock, NULL) == 0 ? ST_OK : st_fail_nomem(err, sizeof *d);
}

void st_damages_free(st_damages *d)
{
    st_free(d->list);
    pthread_mutex_destroy(&d->lock);
}

/* Room in the list at its place, from which others move on; the last one of a full list goes. NULL: none. */
static st_damage *place_for(st_damages *d, uint64_t begin)
{
    size_t i = d->n;
    while (i > 0 && d->list[i - 1].begin > begin) i--;
    if (i == ST_DAMAGES_MOST) return NULL;
    if (d->n < ST_DAMAGES_MOST) {
        d->failed |= !st_grow((void **)&d->list, &d->cap, d->n + 1, sizeof *d->list);
        if (d->failed) return NULL;
        d->n++;
    }
    memmove(&d->list[i + 1], &d->list[i], (d->n - 1 - i) * sizeof *d->list);
    return &d->list[i];
}

void st_damages_add(st_damages *d, uint64_t begin, uint64_t end, const st_err *why)
{
    pthread_mutex_lock(&d->lock);
    d->total++;
    st_damage *x = place_for(d, begin);
    if (x) {
        *x = (st_damage){.begin = begin, .end = end};
        snprintf(x->tensor, sizeof x->tensor, "%s", why->tensor);
        snprintf(x->message, sizeof x->message, "%.*s", (int)sizeof x->message - 1, why->message);
    }
    pthread_mutex_unlock(&d->lock);
}

st_status st_damages_done(const st_damages *d, st_err *err)
{
    return d->failed ? st_fail_nomem(err, sizeof *d->list) : ST_OK;
}

/* ---------------------------------------------------------------- one file */

/* A compressed file that cannot be opened may still have frames that are whole. */
static st_status check_damaged(const char *path, st_ctx *ctx, st_damages *d, const st_err *opening, st_err *err)
{
    st_source *raw, *src;
    st_header *h = NULL;
    st_err why;
    ST_TRY(st_source_open(path, &raw, err));
    st_status s = st_zsource_open(st_source_ref(raw), &src, &why);
    if (s == ST_FORMAT) { /* the seek table is damaged */
        s = st_zstream_new(st_source_ref(raw), false, &src, &why);
        if (s != ST_OK) st_source_unref(raw);
    }
    st_source_unref(raw);
    if (s != ST_OK) {
        if (err) *err = why;
        return s;
    }
    s = st_read_header(src, true, &h, &why);
    s = st_zsource_verify(src, ctx, d, err);
    st_header_free(h);
    st_source_unref(src);
    if (s == ST_OK && (d->n == 0 || d->list[0].begin > 0)) st_damages_add(d, 0, 0, opening);
    return s;
}

/* Four bytes tell a compressed file, whatever else is wrong with it. */
static st_status look(const char *path, bool *packed, st_err *err)
{
    char magic[4];
    st_source *raw;
    ST_TRY(st_source_open(path, &raw, err));
    size_t n = raw->size < sizeof magic ? (size_t)raw->size : sizeof magic;
    st_status s = raw->ops->read(raw, magic, 0, n, err);
    *packed = s == ST_OK && st_zsource_is(magic, n);
    st_source_unref(raw);
    return s;
}

static st_status verify(st_ctx *ctx, const char *path, const st_open_opts *o, st_damages *d, st_err *err)
{
    st_file *f;
    st_err why;
    bool zstd, damaged = false;
    ST_TRY(look(path, &zstd, err));
    d->compression = zstd ? "zstd" : NULL;
    st_status s = st_file_open_with(path, o, &f, &why);
    if (s == ST_OK) {
        d->compression = st_file_compression(f);
        if (st_file_packed(f, &(st_pack_info){0}))
            s = st_pack_verify(st_file_source(f), ctx, d, &why);
        else if (zstd)
            s = st_zsource_verify(st_file_source(f), ctx, d, &why);
        else
            damaged = (s = st_file_check(f, &d->checked, &why)) == ST_FORMAT; /* zip archives have checksums */
        st_file_close(f);
    } else if (s == ST_FORMAT && zstd) {
        return check_damaged(path, ctx, d, &why, err);
    } else {
        damaged = s == ST_FORMAT;
    }
    if (damaged) {
        st_damages_add(d, 0, 0, &why);
        return st_damages_done(d, err);
    }
    if (s != ST_OK && err) *err = why;
    return s;
}

st_status st_file_verify(st_ctx *ctx, const char *path, const st_open_opts *o, st_verdict *v, st_err *err)
{
    st_damages d;
    *v = (st_verdict){0};
    ST_TRY(st_damages_init(&d, err));
    st_status s = verify(ctx, path, o, &d, err);
    if (s == ST_OK) {
        *v = (st_verdict){.list = d.list, .n = d.n, .total = d.total, .checked = d.checked};
        v->compression = d.compression;
        d.list = NULL;
    }
    st_damages_free(&d);
    return s;
}

void st_verdict_free(st_verdict *v)
{
    st_free(v->list);
    *v = (st_verdict){0};
}
