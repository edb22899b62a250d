/* iface.h - the two interfaces at which io, exec and model meet: st_source (read a range) and st_sink (take bytes).
 * Layer: core. */
#ifndef ST_IFACE_H
#define ST_IFACE_H

#include "status.h"

typedef struct st_source st_source;
typedef struct st_source_ops {
    /* Exactly n bytes at `off`, from any thread. */
    st_status (*read)(st_source *s, void *buf, uint64_t off, size_t n, st_err *err);
    /* A hint that the range is wanted soon; may be NULL. */
    void (*advise)(st_source *s, uint64_t off, uint64_t n);
    /* CHANGED when what lies behind is no longer what was opened. */
    st_status (*check)(st_source *s, st_err *err);
    /* What was read is right, as far as checksums tell that lie behind it; may be NULL: it was when it was read. Asked
     * before a save replaces anything. */
    st_status (*settle)(st_source *s, st_err *err);
    /* A descriptor whose offsets are the source's own, for copies inside the kernel; may be NULL: there is none. */
    int (*fd)(st_source *s);
    /* 128 bits that stay the same, from one process to the next, as long as the bytes do. False, or NULL: there is no
     * such thing. */
    bool (*identity)(st_source *s, uint64_t id[2]);
    void (*close)(st_source *s); /* frees `s`: the last reference is gone */
} st_source_ops;

struct st_source {
    const st_source_ops *ops;
    _Atomic unsigned refs;
    uint64_t size;
    const char *label; /* for messages: the path */
    bool in_order;     /* made from the beginning on: who reads far ahead of others makes them read it anew */
};

static inline st_source *st_source_ref(st_source *s)
{
    s->refs++;
    return s;
}
static inline void st_source_unref(st_source *s)
{
    if (s && --s->refs == 0) s->ops->close(s);
}

/* Clipped to the source; does nothing where there is no hint to give. */
static inline void st_source_advise(st_source *s, uint64_t off, uint64_t n)
{
    if (!s->ops->advise || off >= s->size) return;
    s->ops->advise(s, off, n < s->size - off ? n : s->size - off);
}

static inline int st_source_fd(st_source *s) { return s->ops->fd ? s->ops->fd(s) : -1; }

static inline bool st_source_identity(st_source *s, uint64_t id[2])
{
    return s->ops->identity && s->ops->identity(s, id);
}

static inline st_status st_source_settle(st_source *s, st_err *err)
{
    return s->ops->settle ? s->ops->settle(s, err) : ST_OK;
}

/* A sink takes one file's bytes. Life: write and copy in any order and from any thread (offsets are absolute, every
 * byte of [0, size) exactly once), then sync, then commit, then free. Free before commit leaves the target as it was
 * and, unless `keep` is set, removes whatever was written. A sink with `ordered` set wants ascending offsets from one
 * thread at a time: whoever streams to it keeps a bounded window. */
typedef struct st_sink st_sink;
typedef struct st_sink_ops {
    st_status (*write)(st_sink *k, const void *buf, uint64_t off, size_t n, st_err *err);
    /* n bytes of `src` at soff go to doff; may be NULL: then read and write. */
    st_status (*copy)(st_sink *k, st_source *src, uint64_t soff, uint64_t doff, uint64_t n, st_err *err);
    /* The file ends at `size`: what it was opened with was the most it might have. Before sync, after all writes. */
    st_status (*end)(st_sink *k, uint64_t size, st_err *err);
    /* What has been written so far is safe on the disk, and more may follow; sync: that was all of it. Without syncs
     * they only tell whether everything went well until now. */
    st_status (*flush)(st_sink *k, st_err *err);
    st_status (*sync)(st_sink *k, st_err *err);
    /* The target is this, atomically. */
    st_status (*commit)(st_sink *k, st_err *err);
    void (*free)(st_sink *k);
} st_sink_ops;

struct st_sink {
    const st_sink_ops *ops;
    uint64_t size;
    bool ordered;
    bool keep; /* free before commit leaves what was written, under its own name, for a later save to go on from */
    const char *label;
};

#endif
