/* resume.h - a save that can be gone on from after it was interrupted. Layer: model. */
#ifndef ST_RESUME_H
#define ST_RESUME_H

#include "iface.h"
#include "journal.h"

typedef struct st_resume {
    st_journal *journal;
    st_mark mark;    /* the last one that was written, by this process or an earlier one */
    st_sink **sinks; /* lent: what must be on the disk before a mark is written */
    size_t nsinks;
    bool noting; /* one worker is at it */
    double due;  /* when the next mark is worth its cost */
} st_resume;

/* The first mark is due some time from now. */
void st_resume_wait(st_resume *r);
/* True, once, when it is time for a mark. Under the context's lock; whoever gets it calls st_resume_note. */
bool st_resume_due(st_resume *r);
/* Brings what was written to the disk, then writes the mark, if it lies behind the last one. */
st_status st_resume_note(st_resume *r, const st_mark *mark, st_err *err);

#endif
