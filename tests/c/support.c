/* support.c - see support.h. */
#include "support.h"

#include <dirent.h>
#include <ftw.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

uint64_t rng_next(rng *r)
{
    uint64_t z = r->s += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

uint64_t rng_below(rng *r, uint64_t n) { return rng_next(r) % n; }

/* ---------------------------------------------------------------- a source in memory */

static st_status mem_read(st_source *s, void *buf, uint64_t off, size_t n, st_err *err)
{
    mem_source *m = (mem_source *)s;
    m->reads++;
    if (m->broken) return st_fail(err, ST_IO, s->label, NULL, "broken on purpose");
    if (off > s->size || n > s->size - off) return st_fail(err, ST_IO, s->label, NULL, "a read past the end");
    memcpy(buf, m->bytes + off, n);
    return ST_OK;
}
static st_status mem_check(st_source *s, st_err *err)
{
    return ((mem_source *)s)->changed ? st_fail(err, ST_CHANGED, s->label, NULL, "changed on purpose") : ST_OK;
}
static void mem_close(st_source *s) { free(s); }

mem_source *mem_source_new(const void *bytes, size_t n)
{
    static const st_source_ops ops = {.read = mem_read, .check = mem_check, .close = mem_close};
    mem_source *m = calloc(1, sizeof *m + n);
    m->base = (st_source){.ops = &ops, .refs = 1, .size = n, .label = "memory"};
    if (n) memcpy(m->bytes, bytes, n);
    return m;
}

/* ---------------------------------------------------------------- files */

char *scratch_new(void)
{
    const char *tmp = getenv("TMPDIR");
    char path[512];
    snprintf(path, sizeof path, "%s/stlua-test-XXXXXX", tmp && *tmp ? tmp : "/tmp");
    return strdup(mkdtemp(path));
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *f)
{
    (void)st, (void)type, (void)f;
    return remove(path);
}

void scratch_free(char *dir)
{
    if (dir) nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    free(dir);
}

const char *in_dir(const char *dir, const char *name)
{
    static char paths[4][1024];
    static unsigned turn;
    char *p = paths[turn++ % 4];
    snprintf(p, sizeof paths[0], "%s/%s", dir, name);
    return p;
}

unsigned char *slurp(const char *path, size_t *n)
{
    FILE *f = fopen(path, "rb");
    *n = 0;
    if (!f) return NULL;
    fseek(f, 0, SEEK_END);
    long size = ftell(f);
    rewind(f);
    unsigned char *b = malloc((size_t)size + 1);
    *n = fread(b, 1, (size_t)size, f);
    fclose(f);
    return b;
}

void spill(const char *path, const void *bytes, size_t n)
{
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, n, f), n);
    fclose(f);
}

int count_entries(const char *dir)
{
    DIR *d = opendir(dir);
    int n = 0;
    for (struct dirent *e; d && (e = readdir(d));)
        if (strcmp(e->d_name, ".") && strcmp(e->d_name, "..")) n++;
    if (d) closedir(d);
    return n;
}
