/* meta_write.c - a file with other metadata, written anew by the save protocol: a new header, then the data as one
 * copy. Layer: io. */
#include "context.h"
#include "file.h"
#include "mem.h"
#include "writer.h"

enum { PIECE = 64 << 20 };

st_status st_header_rewrite(const st_header *h, const st_meta_change *c, uint32_t align, const char *label, char **out,
                            size_t *len, st_err *err)
{
    size_t n = st_header_count(h);
    st_header_entry *e = st_calloc(n + 1, sizeof *e);
    st_meta_pair *meta = st_calloc(c->n + 1, sizeof *meta);
    for (size_t i = 0; e && i < n; i++) {
        st_info in = st_header_info(h, i);
        e[i] = (st_header_entry){.name = in.name,
                                 .name_len = in.name_len,
                                 .dtype = in.dtype,
                                 .ndim = in.ndim,
                                 .shape = in.shape,
                                 .begin = in.begin,
                                 .end = in.end};
    }
    for (size_t i = 0; meta && i < c->n; i++) meta[i] = (st_meta_pair){c->keys[i], c->values[i]};
    st_status s =
        e && meta ? st_header_write(e, n, meta, c->n, align, label, out, len, err) : st_fail_nomem(err, n * sizeof *e);
    st_free(e);
    st_free(meta);
    return s;
}

/* In pieces, so that a cancel is seen and progress told. */
static st_status copy_data(st_ctx *ctx, st_source *src, uint64_t from, st_sink *k, uint64_t to, st_err *err)
{
    for (uint64_t done = 0, all = src->size - from, n; done < all; done += n) {
        n = all - done < PIECE ? all - done : PIECE;
        if (st_ctx_cancelled(ctx)) return st_fail_cancelled(err);
        ST_TRY(k->ops->copy(k, src, from + done, to + done, n, err));
        st_progress_add(ctx, n);
        st_progress_tick(ctx, false);
    }
    return ST_OK;
}

static st_status write_all(st_ctx *ctx, st_file *f, const char *head, size_t len, st_sink *k, st_err *err)
{
    st_source *src = st_file_source(f);
    ST_TRY(k->ops->write(k, head, 0, len, err));
    ST_TRY(copy_data(ctx, src, st_file_data_start(f), k, len, err));
    st_progress_tick(ctx, true);
    ST_TRY(src->ops->check(src, err));
    ST_TRY(k->ops->sync(k, err));
    return k->ops->commit(k, err);
}

st_status st_meta_write(st_ctx *ctx, st_file *f, const st_meta_change *c, const char *path, st_err *err)
{
    char *head;
    size_t len;
    st_sink *k;
    uint64_t data = st_file_size(f) - st_file_data_start(f);
    st_writer_opts o = {.no_sync = c->no_sync, .no_replace = c->no_replace, .ctx = ctx};
    ST_TRY(st_header_rewrite(st_file_header(f), c, c->align, path, &head, &len, err));
    st_status s = st_writer_open(path, len + data, &o, &k, err);
    if (s == ST_OK) {
        st_progress_begin(ctx, "write", data);
        s = write_all(ctx, f, head, len, k, err);
        k->ops->free(k);
    }
    st_free(head);
    return s;
}
