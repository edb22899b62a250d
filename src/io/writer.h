/* writer.h - the save protocol: files and folders of shards that appear whole or not at all. Layer: io. */
#ifndef ST_WRITER_H
#define ST_WRITER_H

#include "iface.h"

typedef struct st_writer_opts {
    bool no_sync, no_replace;
    bool no_folder_sync; /* whoever opened it syncs the folder once for many files */
    unsigned mode;       /* of a new file; 0 = 0666 & ~umask */
    st_ctx *ctx;         /* whose cancel need not wait until the bytes written so far are dropped; may be NULL */
} st_writer_opts;

/* A sink for one file of exactly `size` bytes (DESIGN's save protocol): a temporary in the target's folder (without a
 * name where the system can: O_TMPFILE), room reserved, the mode of the replaced file or 0666 & ~umask, a symlink
 * followed, commit = sync (if it was not called), rename and fsync of the folder. write and copy may be called from
 * several threads. A failed write or sync is final: commit refuses after it. Hard links of the replaced file keep the
 * old bytes. `o` may be NULL. */
st_status st_writer_open(const char *path, uint64_t size, const st_writer_opts *o, st_sink **out, st_err *err);

/* A folder of shards: built as a hidden sibling, then exchanged with the target. Files are opened by st_folder_file
 * with plain names inside it; all must be committed and freed before st_folder_commit or st_folder_free. What an
 * existing target holds besides *.safetensors and *.safetensors.index.json (config.json, tokenizer, subfolders) is
 * carried over at commit, by hard link where that works, else as a copy. EXISTS when the target holds a model and
 * `force` is not set, or when it is there at all and o->no_replace is. Without force an empty folder or one without a
 * model is filled. */
typedef struct st_folder st_folder;
st_status st_folder_open(const char *path, bool force, const st_writer_opts *o, st_folder **out, st_err *err);
st_status st_folder_file(st_folder *d, const char *name, uint64_t size, st_sink **out, st_err *err);
st_status st_folder_commit(st_folder *d, st_err *err);
void st_folder_free(st_folder *d); /* before commit: removes everything */

/* SPACE when the file system of `path`'s folder has fewer than `need` bytes free, with both numbers. */
st_status st_writer_space(const char *path, uint64_t need, st_err *err);

#endif
