/* target.h - where a save goes: the real place of a path, its temporary names, and what killed saves left. Layer: io.
 */
#ifndef ST_TARGET_H
#define ST_TARGET_H

#include "status.h"

#include <sys/stat.h>

typedef struct st_target {
    char *path;       /* symlinks followed, without trailing slashes */
    char *dir;        /* the folder it lies in, which exists */
    const char *base; /* its name there, inside `path` */
    bool exists;
    struct stat st; /* if it exists */
} st_target;

/* The last part of a path may be missing (also what a symlink points at), its folder may not. */
st_status st_target_find(const char *given, st_target *t, st_err *err);
void st_target_free(st_target *t);

/* Marks a temporary file or folder, and an old folder on its way out. */
#define ST_TEMP_SUFFIX ".stlua-tmp"
#define ST_OLD_SUFFIX ".stlua-old"
/* Marks what an interrupted save leaves to go on from, and what remembers how far it came. */
#define ST_PARTIAL_SUFFIX ".stlua-partial"
#define ST_JOURNAL_SUFFIX ".stlua-journal"
/* dir/.base.NUMBER.suffix, base cut so that the name fits; NULL without memory. */
char *st_target_numbered(const st_target *t, uint64_t number, const char *suffix);
char *st_target_sibling(const st_target *t, const char *suffix); /* of a random number */
/* Locks what was just created at `path`. False when a sweep took it: create another. */
bool st_target_hold(int fd, const char *path);
/* Opens and locks what an earlier save of this user left under a name; `type` is S_IFREG or S_IFDIR. -ENOENT: nothing,
 * or it was something else and is removed. -EWOULDBLOCK: its owner lives. */
int st_target_adopt(const char *path, mode_t type, struct stat *st);
/* The failure that an answer of it means, or one of making what was not there. */
st_status st_target_fail_adopt(int answer, const char *label, st_err *err);
/* Removes what dead saves to this target left beside it: what has a sibling's name and no living owner. What has the
 * number `spare` and can be gone on from stays; 0: none. */
void st_target_sweep(const st_target *t, uint64_t spare);
/* After a kill between the two renames of a folder: the old one goes back. */
void st_target_restore(st_target *t);

/* Removes a file, or a folder with all it holds; 0 or -errno. Needs no memory. */
int st_remove_tree(const char *path);
/* fsync of a folder; file systems that have no such thing are forgiven. 0 or -errno. */
int st_sync_folder(int fd);

#endif
