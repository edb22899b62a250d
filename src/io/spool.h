/* spool.h - a file without a name, for bytes that are needed again and do not fit into memory. Layer: io. */
#ifndef ST_SPOOL_H
#define ST_SPOOL_H

#include "status.h"

/* What it is for, as messages tell it, and what to do instead where there is no room. */
typedef struct st_spool_use {
    const char *why, *instead;
} st_spool_use;

/* Makes one with room for `size` bytes: in $TMPDIR if that is set, else in the folder of `path`, else in /var/tmp.
 * SPACE names what is missing. */
st_status st_spool_open(const char *path, uint64_t size, const st_spool_use *use, int *fd, st_err *err);
st_status st_spool_write(int fd, const char *path, const void *buf, uint64_t off, size_t n, st_err *err);
st_status st_spool_read(int fd, const char *path, void *buf, uint64_t off, size_t n, st_err *err);

#endif
