/* writer.h - the save protocol: files and folders of shards that appear whole or not at all. Layer: io. */
#ifndef ST_WRITER_H
#define ST_WRITER_H

#include "iface.h"

typedef struct st_writer_opts {
    bool no_sync, no_replace;
} st_writer_opts;

/* A sink for one file of exactly `size` bytes (DESIGN's save protocol): a temporary in the target's folder (without a name where the
 * system can: O_TMPFILE), room reserved, the mode of the replaced file or 0666 & ~umask, a symlink followed, commit =
 * (sync was called before) rename and fsync of the folder. write may be called from several threads. */
st_status st_writer_open(const char *path, uint64_t size, const st_writer_opts *o, st_sink **out, st_err *err);

/* A folder of shards: built as a hidden sibling, then exchanged with the target. Files are opened by st_folder_file with
 * plain names inside it; all must be committed before st_folder_commit. */
typedef struct st_folder st_folder;
/* `keep`: called for each entry of an existing target; true = not part of a model (config.json, tokenizer), carried over
 * into the new folder by hard link. EXISTS when the target holds a model and `force` is not set. */
st_status st_folder_open(const char *path, bool force, const st_writer_opts *o, st_folder **out, st_err *err);
st_status st_folder_file(st_folder *d, const char *name, uint64_t size, st_sink **out, st_err *err);
st_status st_folder_commit(st_folder *d, st_err *err);
void st_folder_free(st_folder *d); /* before commit: removes everything */

/* SPACE when the file system of `path`'s folder has fewer than `need` bytes free, with both numbers. */
st_status st_writer_space(const char *path, uint64_t need, st_err *err);

#endif
