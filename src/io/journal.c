/* journal.c - how far a save came: two slots in a small file, written in turns. Layer: io. Touches that file only. */
#include "journal.h"
#include "mem.h"
#include "sys.h"
#include "target.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <xxhash.h>

enum { TRIES = 100 };

typedef struct slot {
    char magic[8];
    uint64_t key[2];
    st_mark mark;
    uint64_t serial;
    uint64_t sum; /* of all before it */
} slot;
_Static_assert(sizeof(slot) == 64, "a slot lies in one sector");

static const char MAGIC[8] = {'s', 't', 'l', 'u', 'a', 'j', '1', '\n'};

struct st_journal {
    char *path, *label;
    int fd;
    uint64_t key[2], serial;
    bool no_sync;
};

static uint64_t sum_of(const slot *s) { return XXH64(s, offsetof(slot, sum), 0); }

/* The younger of the slots that are whole and belong to this save. */
static void read_slots(st_journal *j, st_mark *mark)
{
    slot s[2];
    int64_t n = sys_pread(j->fd, s, sizeof s, 0);
    for (int i = 0; i < 2; i++) {
        if (n < (int64_t)sizeof *s * (i + 1)) return;
        bool good = memcmp(s[i].magic, MAGIC, sizeof MAGIC) == 0 && memcmp(s[i].key, j->key, sizeof j->key) == 0 &&
                    s[i].sum == sum_of(&s[i]) && s[i].serial > j->serial;
        if (!good) continue;
        j->serial = s[i].serial;
        *mark = s[i].mark;
    }
}

static st_status open_file(st_journal *j, st_err *err)
{
    struct stat st;
    int fd = -EEXIST;
    for (int i = 0; i < TRIES && fd == -EEXIST; i++) {
        fd = st_target_adopt(j->path, S_IFREG, &st);
        if (fd != -ENOENT) continue;
        fd = sys_open(j->path, O_RDWR | O_CREAT | O_EXCL, 0600);
        if (fd < 0 || st_target_hold(fd, j->path)) continue;
        sys_close(fd);
        fd = -EEXIST;
    }
    if (fd >= 0) return j->fd = fd, ST_OK;
    if (fd == -EWOULDBLOCK)
        return st_fail(err, ST_IO, j->label, NULL,
                       "another process is at this very save just now: wait for its end, or stop it");
    return st_fail_errno(err, -fd, j->label, "opening the journal of an interrupted save");
}

static st_status open_journal(st_journal *j, const char *path, st_err *err)
{
    st_target t;
    ST_TRY(st_target_find(path, &t, err));
    j->label = st_strndup(path, strlen(path));
    j->path = st_target_numbered(&t, j->key[0], ST_JOURNAL_SUFFIX);
    st_target_free(&t);
    return j->label && j->path ? open_file(j, err) : st_fail_nomem(err, strlen(path));
}

st_status st_journal_open(const char *path, const uint64_t key[2], bool no_sync, st_journal **out, st_mark *mark,
                          st_err *err)
{
    *out = NULL;
    *mark = (st_mark){0};
    st_journal *j = st_calloc(1, sizeof *j);
    if (!j) return st_fail_nomem(err, sizeof *j);
    *j = (st_journal){.fd = -1, .key = {key[0], key[1]}, .no_sync = no_sync};
    st_status s = open_journal(j, path, err);
    if (s != ST_OK) {
        st_journal_close(j, true);
        return s;
    }
    read_slots(j, mark);
    *out = j;
    return ST_OK;
}

static st_status synced(st_journal *j, int r, st_err *err)
{
    if (r == 0 && !j->no_sync) r = sys_datasync(j->fd);
    return r < 0 ? st_fail_errno(err, -r, j->label, "writing the journal for a later save to go on") : ST_OK;
}

st_status st_journal_write(st_journal *j, const st_mark *mark, st_err *err)
{
    slot s = {.key = {j->key[0], j->key[1]}, .mark = *mark, .serial = ++j->serial};
    memcpy(s.magic, MAGIC, sizeof MAGIC);
    s.sum = sum_of(&s);
    return synced(j, sys_pwrite(j->fd, &s, sizeof s, (s.serial & 1) * sizeof s), err);
}

st_status st_journal_reset(st_journal *j, st_err *err) { return synced(j, sys_truncate(j->fd, 0), err); }

void st_journal_close(st_journal *j, bool keep)
{
    if (!j) return;
    if (j->fd >= 0 && !keep) sys_unlink(j->path); /* before the lock goes */
    if (j->fd >= 0) sys_close(j->fd);
    st_free(j->path);
    st_free(j->label);
    st_free(j);
}
