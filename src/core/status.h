/* status.h - composing errors. Layer: core. */
#ifndef ST_STATUS_H
#define ST_STATUS_H

#include "st.h"

#include <stdarg.h>

/* Fills `err` (may be NULL) and returns `code`. The message reads `file: tensor "name": text`; file and tensor may be
 * NULL. Whoever detects a fault writes its one message; those above only pass the status on. */
st_status st_fail(st_err *err, st_status code, const char *file, const char *tensor, const char *fmt, ...)
    ST_PRINTF(5, 6);
/* The same for a counted name from a file, which is escaped and shortened for printing. */
st_status st_fail_named(st_err *err, st_status code, const char *file, const char *name, size_t len, const char *fmt,
                        ...) ST_PRINTF(6, 7);
/* "..: No such file or directory" with errno's text, and where it helps a hint. Status IO, or SPACE, NOMEM, CANCELLED.
 */
st_status st_fail_errno(st_err *err, int errnum, const char *file, const char *doing);

/* Passes a failure on. */
#define ST_TRY(call)                                        \
    do {                                                    \
        st_status st_try_status_ = (call);                  \
        if (st_try_status_ != ST_OK) return st_try_status_; \
    } while (0)

#endif
