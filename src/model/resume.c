/* resume.c - marks in a running save: when they are due, and what must be safe before one is written. Layer: model. */
#include "resume.h"
#include "sys.h"

/* Between two marks lies twenty times what the last one took, so that they cost a twentieth at most. */
static const double SOONEST = 0.25, LATEST = 30, TIMES = 20;

void st_resume_wait(st_resume *r) { r->due = sys_seconds() + SOONEST; }

bool st_resume_due(st_resume *r)
{
    if (r->noting || sys_seconds() < r->due) return false;
    return r->noting = true;
}

/* The order is all that matters here: a mark must never be on the disk before the bytes that it vouches for. */
static st_status write_mark(st_resume *r, const st_mark *mark, st_err *err)
{
    for (size_t i = 0; i < r->nsinks; i++) ST_TRY(r->sinks[i]->ops->flush(r->sinks[i], err));
    ST_TRY(st_journal_write(r->journal, mark, err));
    r->mark = *mark;
    return ST_OK;
}

st_status st_resume_note(st_resume *r, const st_mark *mark, st_err *err)
{
    double began = sys_seconds();
    st_status s = mark->bytes > r->mark.bytes ? write_mark(r, mark, err) : ST_OK;
    double now = sys_seconds(), wait = TIMES * (now - began);
    r->due = now + (wait < SOONEST ? SOONEST : wait > LATEST ? LATEST : wait);
    return s;
}
