/* plan.h - what a save consists of: targets, their files, their pieces. Layer: model, between plan.c (makes it) and
 * plan_run.c (carries it out). */
#ifndef ST_PLAN_H
#define ST_PLAN_H

#include "key.h"
#include "stream.h"
#include "writer.h"
#include "zsink.h"

/* One file to be written. */
typedef struct plan_unit {
    char name[128]; /* in the folder; empty for a single file */
    char *head;     /* header bytes */
    size_t head_len;
    uint64_t size;
    size_t first, count; /* its pieces */
    st_zcuts cuts;       /* of what is compressed */
    st_sink *sink;
} plan_unit;

typedef struct plan_target {
    st_model *model;
    char *path;
    st_save_opts opts;
    plan_unit *units;
    size_t nunits, unit_cap;
    char *index; /* of shards; NULL for one file */
    size_t index_len;
    st_sink *index_sink;
    st_folder *folder;
    st_piece *pieces;
    size_t npieces;
} plan_target;

struct st_plan {
    st_ctx *ctx;
    plan_target *targets;
    size_t n, cap;
    uint64_t stored; /* bytes on the disk of all units, since they are there */
    bool resumes;    /* some target wants it */
    st_key key;      /* then: what this plan writes, as a number */
    st_resume resume;
};

void plan_free_sink(st_sink **k); /* and forgets it */
void plan_close(st_plan *p);      /* all sinks and folders */
uint64_t plan_target_bytes(const plan_target *t);
/* The number under which target `i` leaves its files for a later save; 0: it leaves none. */
uint64_t plan_number(const st_plan *p, size_t i);
/* Finds out whether an earlier run of the same plan can be gone on from: p->resume.mark. */
st_status plan_resume_begin(st_plan *p, st_err *err);
/* The sinks are open: marks may be written. */
st_status plan_resume_sinks(st_plan *p, st_err *err);
/* Closes all. Keeps what is done, and says so in the message, if there is something and `s` allows it. */
void plan_resume_end(st_plan *p, st_status s, st_err *err);

#endif
