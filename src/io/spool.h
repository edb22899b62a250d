/* spool.h - a file without a name, for bytes that are needed again and do not fit into memory. Layer: io. */
#ifndef ST_SPOOL_H
#define ST_SPOOL_H

#include "status.h"

/* Makes one with room for `size` bytes: in $TMPDIR if that is set, else in the folder of `path`, else in /var/tmp.
 * SPACE names what is missing. */
st_status st_spool_open(const char *path, uint64_t size, int *fd, st_err *err);

#endif
