/* writer.h - the save protocol: files and folders of shards that appear whole or not at all. Layer: io. */
#ifndef ST_WRITER_H
#define ST_WRITER_H

#include "iface.h"

typedef struct st_writer_opts {
    bool no_sync, no_replace;
    bool no_folder_sync; /* whoever opened it syncs the folder once for many files */
    unsigned mode;       /* of a new file; 0 = 0666 & ~umask */
    st_ctx *ctx;         /* whose cancel need not wait until the bytes written so far are dropped; may be NULL */
    uint64_t partial;    /* the number of this save, so that what it leaves can be found again; 0: it leaves nothing */
    bool found;          /* what an earlier save left was seen there, and is needed: CHANGED when it is gone */
    bool open_ended;     /* the size is the most it may have: nothing is reserved, and `end` tells the real one */
    bool in_place;       /* written under its own name: it lies in a folder that nobody knows of yet */
} st_writer_opts;

/* A sink for one file of exactly `size` bytes (DESIGN's save protocol): a temporary in the target's folder (without a
 * name where the system can: O_TMPFILE), room reserved, the mode of the replaced file or 0666 & ~umask, a symlink
 * followed, commit = sync (if it was not called), rename and fsync of the folder. write and copy may be called from
 * several threads. A failed write or sync is final: commit refuses after it. Hard links of the replaced file keep the
 * old bytes. `o` may be NULL.
 *
 * With o->partial the temporary has the name .BASE.NUMBER.stlua-partial, and is what an earlier save with this number
 * left if that has the right size: its bytes are then still there. It stays if the process is killed, or if the sink's
 * `keep` is set when it is freed. IO when a living process holds it. */
st_status st_writer_open(const char *path, uint64_t size, const st_writer_opts *o, st_sink **out, st_err *err);

/* A folder of shards: built as a hidden sibling, then exchanged with the target. Files are opened by st_folder_file
 * with plain names inside it; all must be committed and freed before st_folder_commit or st_folder_free. What an
 * existing target holds besides *.safetensors, their .zst and *.safetensors.index.json (config.json, tokenizer, ...) is
 * carried over at commit, by hard link where that works, else as a copy. EXISTS when the target holds a model and
 * `force` is not set, or when it is there at all and o->no_replace is. Without force an empty folder or one without a
 * model is filled. */
typedef struct st_folder st_folder;
st_status st_folder_open(const char *path, bool force, const st_writer_opts *o, st_folder **out, st_err *err);
st_status st_folder_file(st_folder *d, const char *name, uint64_t size, st_sink **out, st_err *err);
/* The same for a file that is open-ended. */
st_status st_folder_open_ended(st_folder *d, const char *name, uint64_t most, st_sink **out, st_err *err);
st_status st_folder_commit(st_folder *d, st_err *err);
void st_folder_keep(st_folder *d, bool keep); /* as a sink's `keep`; files inside are kept by their own */
uint64_t st_folder_there(const st_folder *d); /* bytes of disk that an earlier save's files take */
void st_folder_free(st_folder *d);            /* before commit: removes everything, unless it is kept */

/* Whether an earlier save with this number left the whole of a file, `inside` a folder unless that is NULL. */
st_status st_writer_find(const char *path, uint64_t number, const char *inside, uint64_t size, bool *found,
                         st_err *err);

/* SPACE when the file system of `path`'s folder has fewer than `need` bytes free, with both numbers. */
st_status st_writer_space(const char *path, uint64_t need, st_err *err);

#endif
