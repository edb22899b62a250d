/* journal.h - how far a save came, for a later one to go on from there. Layer: io. */
#ifndef ST_JOURNAL_H
#define ST_JOURNAL_H

#include "status.h"

/* A place in a save's work: everything before it is written. */
typedef struct st_mark {
    uint64_t item, offset;
    uint64_t bytes; /* of output that lie before it */
} st_mark;

typedef struct st_journal st_journal;

/* The journal of the save to `path` that `key` stands for: a file .BASE.NUMBER.stlua-journal beside it, locked while
 * it is open. *mark is what an earlier process wrote last, or the beginning when there is nothing that can be trusted.
 * IO when a living process has it. */
st_status st_journal_open(const char *path, const uint64_t key[2], bool no_sync, st_journal **out, st_mark *mark,
                          st_err *err);
/* What lies before the mark must be on the disk already. The mark before the last one survives a torn write. */
st_status st_journal_write(st_journal *j, const st_mark *mark, st_err *err);
/* Forgets all marks. Before anything that they rely on is made anew. */
st_status st_journal_reset(st_journal *j, st_err *err);
void st_journal_close(st_journal *j, bool keep); /* j may be NULL */

#endif
