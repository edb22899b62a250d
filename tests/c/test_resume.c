/* test_resume.c - saves that go on after kill -9, a cancel or a fault: the same bytes as without, work skipped, nothing
 * trusted that does not belong to them. */
#include "crash.h"
#include "key.h"
#include "mem.h"
#include "target.h"
#include "tensor.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static char *dir;
static st_err err;

enum { TENSORS = 6, ELEMENTS = 100000 };

/* What is saved. */
typedef struct job {
    unsigned threads;
    uint64_t shard;  /* a folder of shards of this size */
    bool two;        /* two targets in one plan */
    bool reductions; /* tensors that need others computed before */
    bool no_sync;
    bool without;     /* without resume */
    uint64_t kill_at; /* system calls */
    double weight;    /* 0: a half */
    const char *name; /* NULL: out */
    uint64_t read;    /* out: bytes of files that were read */
    bool cancel;      /* after some progress */
    uint64_t fail_at; /* allocations in the plan's run */
    bool failed;      /* out: there were as many */
} job;

static st_tensor *get(st_model *m, size_t i)
{
    st_tensor *t = NULL;
    return st_model_tensor(m, i, &t, &err) == ST_OK ? t : NULL;
}

static st_tensor *apply(st_op op, st_tensor *a, st_tensor *b)
{
    st_tensor *t = NULL;
    st_status s = st_apply(op, (st_tensor *[]){a, b}, &t, &err);
    st_tensor_unref(a);
    st_tensor_unref(b);
    return s == ST_OK ? t : NULL;
}

/* x / norm(x) + noise */
static st_tensor *scaled(st_tensor *x, int number)
{
    st_tensor *norm = NULL, *noise = NULL;
    int64_t shape[1] = {(int64_t)x->numel};
    if (st_reduce(ST_RED_NORM, x, NULL, &norm, &err) != ST_OK) return NULL;
    st_randn(ST_F32, 1, shape, &(st_seed){.seed = 5, .stream = (uint64_t)number}, &noise, &err);
    return apply(ST_OP_ADD, apply(ST_OP_DIV, st_tensor_ref(x), norm), noise);
}

/* Tensors 0, 3 are copied, the others mixed, some in a way that needs a pass before; one is in memory. */
static st_model *make(const job *j, double weight)
{
    st_model *a = NULL, *b = NULL, *m = NULL;
    char name[16];
    if (st_model_open_file(in_dir(dir, "a"), &a, &err) != ST_OK) return NULL;
    if (st_model_open_file(in_dir(dir, "b"), &b, &err) != ST_OK) return st_model_free(a), NULL;
    st_model_new(&m, &err);
    for (int i = 0; i < TENSORS; i++) {
        st_tensor *x = get(a, (size_t)i), *w = NULL, *y = NULL;
        if (i % 3) {
            st_number(weight, &w, &err);
            y = apply(ST_OP_ADD, st_tensor_ref(x), apply(ST_OP_MUL, get(b, (size_t)i), w));
            if (j->reductions && i != 2) {
                st_tensor *z = scaled(y, i);
                st_tensor_unref(y);
                y = z;
            }
        } else {
            y = st_tensor_ref(x);
        }
        snprintf(name, sizeof name, "t%d", i);
        st_model_add(m, name, strlen(name), y, &err);
        st_tensor_unref(x);
        st_tensor_unref(y);
    }
    int64_t three = 3, ids[3] = {1, 2, 3};
    st_tensor *t = NULL;
    st_tensor_new(ST_I64, 1, &three, ids, sizeof ids, &t, &err);
    st_model_add(m, "ids", 3, t, &err);
    st_tensor_unref(t);
    st_model_free(a);
    st_model_free(b);
    return m;
}

static bool stop_half_way(void *user, const st_progress *p)
{
    (void)user;
    return p->done * 2 < p->total;
}

static st_status save(job *j)
{
    st_ctx *ctx;
    st_plan *p = NULL;
    st_model *m[2] = {NULL, NULL};
    const char *name = j->name ? j->name : "out";
    char second[64];
    double w = j->weight == 0 ? 0.5 : j->weight;
    st_companion file = {"config.json", "{}", 2};
    st_save_opts o = {.max_shard = j->shard, .no_sync = j->no_sync, .resume = !j->without, .force = true};
    if (j->shard) o.companions = &file, o.ncompanions = 1;
    if (st_ctx_new(&ctx, &err) != ST_OK) return ST_NOMEM;
    st_ctx_set_threads(ctx, j->threads ? j->threads : 1);
    if (j->cancel) st_ctx_set_progress(ctx, stop_half_way, NULL);
    m[0] = make(j, w);
    if (j->two) m[1] = make(j, w / 2);
    snprintf(second, sizeof second, "%s-2", name);
    st_status s = m[0] && (m[1] || !j->two) ? st_plan_new(ctx, &p, &err) : ST_INTERNAL;
    if (s == ST_OK) s = st_plan_add(p, m[0], in_dir(dir, name), &o, &err);
    if (s == ST_OK && j->two) s = st_plan_add(p, m[1], in_dir(dir, second), &o, &err);
    uint64_t before = st_bytes_read();
    sys_hasten(60); /* a mark after each chunk */
    sys_kill_at(j->kill_at);
    st_mem_fail_at(j->fail_at, false);
    if (s == ST_OK) s = st_plan_run(p, &err);
    j->failed = j->fail_at && st_mem_calls() >= j->fail_at;
    st_mem_fail_at(0, false);
    sys_kill_at(0);
    sys_hasten(0);
    j->read = st_bytes_read() - before;
    st_plan_free(p);
    st_model_free(m[0]);
    st_model_free(m[1]);
    st_ctx_free(ctx);
    return s;
}

static int save_in_child(void *arg) { return save(arg) == ST_OK ? 0 : 1; }

/* An input: the first bytes decide its values. */
static void write_input(const char *name, float first)
{
    st_ctx *ctx;
    st_plan *p;
    st_model *m;
    float *v = malloc(ELEMENTS * sizeof *v);
    assert_ok(st_ctx_new(&ctx, &err));
    assert_ok(st_model_new(&m, &err));
    for (int i = 0; i < TENSORS; i++) {
        st_tensor *t;
        char key[16];
        int64_t n = ELEMENTS - 1000 * i;
        for (int e = 0; e < n; e++) v[e] = first + (float)(e % 1013) * 0.01f + (float)i;
        snprintf(key, sizeof key, "t%d", i);
        assert_ok(st_tensor_new(ST_F32, 1, &n, v, (uint64_t)n * 4, &t, &err));
        assert_ok(st_model_add(m, key, strlen(key), t, &err));
        st_tensor_unref(t);
    }
    assert_ok(st_plan_new(ctx, &p, &err));
    assert_ok(st_plan_add(p, m, in_dir(dir, name), NULL, &err));
    assert_ok(st_plan_run(p, &err));
    st_plan_free(p);
    st_model_free(m);
    st_ctx_free(ctx);
    free(v);
}

/* ---------------------------------------------------------------- what is there */

static void check_same(const char *a, const char *b)
{
    size_t na = 0, nb = 0;
    unsigned char *x = slurp(in_dir(dir, a), &na), *y = slurp(in_dir(dir, b), &nb);
    assert_true(x && y);
    assert_int_equal(na, nb);
    assert_memory_equal(x, y, na);
    free(x);
    free(y);
}

static int check_entry(void *user, const char *name)
{
    const char *const *two = user;
    char a[300], b[300];
    snprintf(a, sizeof a, "%s/%s", two[0], name);
    snprintf(b, sizeof b, "%s/%s", two[1], name);
    check_same(a, b);
    return 0;
}

static void check_results(const job *j, const char *a, const char *b)
{
    const char *two[] = {a, b};
    if (!j->shard) {
        check_same(a, b);
        return;
    }
    assert_int_equal(count_entries(in_dir(dir, a)), count_entries(in_dir(dir, b)));
    assert_int_equal(sys_listdir(in_dir(dir, b), check_entry, two), 0);
}

typedef struct found {
    const char *suffix;
    char name[300];
    int count;
} found;

static int find_entry(void *user, const char *name)
{
    found *f = user;
    size_t n = strlen(name), m = strlen(f->suffix);
    if (n < m || strcmp(name + n - m, f->suffix) != 0) return 0;
    snprintf(f->name, sizeof f->name, "%s", name);
    f->count++;
    return 0;
}

/* The hidden file with this suffix; how many there are in *count. */
static const char *hidden(const char *suffix, int *count)
{
    static found f;
    f = (found){.suffix = suffix};
    assert_int_equal(sys_listdir(dir, find_entry, &f), 0);
    if (count) *count = f.count;
    return f.name;
}

static int partials(void)
{
    int n;
    hidden(ST_PARTIAL_SUFFIX, &n);
    return n;
}

static int journals(void)
{
    int n;
    hidden(ST_JOURNAL_SUFFIX, &n);
    return n;
}

static void remove_all(const char *name)
{
    char second[64];
    scratch_free(strdup(in_dir(dir, name)));
    snprintf(second, sizeof second, "%s-2", name);
    scratch_free(strdup(in_dir(dir, second)));
}

/* ---------------------------------------------------------------- kills */

/* Killed again and again, each time some calls further on, until it comes through. */
static void kill_until_done(job j, unsigned step)
{
    job plain = j;
    plain.without = true;
    plain.name = "plain";
    remove_all("plain");
    assert_ok(save(&plain));
    unsigned kills = 0, calls = step;
    for (;;) {
        j.kill_at = calls;
        int status = in_child(save_in_child, &j);
        if (status == 0) break;
        assert_int_equal(status, 128 + SIGKILL);
        if (!j.shard && access(in_dir(dir, "out"), F_OK) == 0) check_same("out", "plain"); /* killed at the very end */
        kills++;
        if (kills % 4 == 0) calls += step; /* some saves need more calls to begin than to work */
    }
    assert_true(kills > 3);
    check_results(&j, "out", "plain");
    if (j.two) check_results(&j, "out-2", "plain-2");
    assert_int_equal(partials() + journals(), 0);
    remove_all("out");
}

static void test_killed_file(void **state)
{
    (void)state;
    kill_until_done((job){.threads = 3}, 37);
    kill_until_done((job){.no_sync = true}, 31);
}
static void test_killed_shards(void **state)
{
    (void)state;
    kill_until_done((job){.shard = 850000, .no_sync = true}, 60);
    kill_until_done((job){.shard = 850000, .threads = 2, .no_sync = true}, 60);
}
static void test_killed_sweep(void **state)
{
    (void)state;
    kill_until_done((job){.two = true, .no_sync = true}, 60);
    kill_until_done((job){.two = true, .threads = 2, .shard = 850000, .no_sync = true}, 90);
}
static void test_killed_reductions(void **state)
{
    (void)state;
    kill_until_done((job){.reductions = true, .no_sync = true}, 25);
    kill_until_done((job){.reductions = true, .threads = 3, .two = true, .no_sync = true}, 30);
}

/* Killed just before each call: the second run gives the right bytes whatever the first one left, and leaves nothing.
 */
static void test_killed_at_every_call(void **state)
{
    (void)state;
    for (int way = 0; way < 3; way++) {
        job j = {.shard = way == 1 ? 850000 : 0, .two = way == 2, .no_sync = true}, plain = j;
        int status = 1;
        unsigned went_on = 0;
        plain.without = true;
        plain.name = "plain";
        remove_all("plain");
        assert_ok(save(&plain));
        for (j.kill_at = 1; status != 0; j.kill_at++) {
            job again = j;
            remove_all("out");
            status = in_child(save_in_child, &j);
            assert_true(status == 0 || status == 128 + SIGKILL);
            again.kill_at = 0;
            assert_ok(save(&again));
            went_on += again.read < plain.read;
            check_results(&j, "out", "plain");
            if (j.two) check_results(&j, "out-2", "plain-2");
            assert_int_equal(partials() + journals(), 0);
        }
        assert_in_range(went_on, 15, 1000);
        remove_all("out");
    }
}

/* ---------------------------------------------------------------- what is skipped */

static void interrupt(job j)
{
    j.cancel = true;
    assert_int_equal(save(&j), ST_CANCELLED);
    assert_int_not_equal(access(in_dir(dir, "out"), F_OK), 0);
    assert_true(partials() > 0);
    assert_int_equal(journals(), 1);
}

static void test_cancel(void **state)
{
    (void)state;
    job j = {0}, plain = {.without = true, .name = "plain"};
    assert_ok(save(&plain));
    interrupt(j);
    assert_non_null(strstr(err.message, "% are done and kept"));
    assert_ok(save(&j));
    assert_true(j.read > plain.read / 3 && j.read < plain.read * 2 / 3);
    check_same("out", "plain");
    assert_int_equal(partials() + journals(), 0);
}

/* It must really be its own half that is kept: bytes that somebody put there come out again. */
static void test_what_is_done_is_not_written_again(void **state)
{
    (void)state;
    job j = {0}, plain = {.without = true, .name = "plain"};
    size_t n;
    assert_ok(save(&plain));
    interrupt(j);
    int fd = open(in_dir(dir, hidden(ST_PARTIAL_SUFFIX, NULL)), O_WRONLY);
    assert_int_equal(pwrite(fd, "marked", 6, 5000), 6);
    close(fd);
    assert_ok(save(&j));
    unsigned char *b = slurp(in_dir(dir, "out"), &n);
    assert_memory_equal(b + 5000, "marked", 6);
    free(b);
}

/* ---------------------------------------------------------------- what is not trusted */

/* Goes on, or begins anew: both must give the right bytes. */
static void begins_anew(job j)
{
    job plain = j;
    plain.without = true;
    plain.name = "plain";
    remove_all("plain");
    assert_ok(save(&plain));
    assert_ok(save(&j));
    assert_in_range(j.read, plain.read, plain.read + 128); /* the journal, too */
    check_results(&j, "out", "plain");
    assert_int_equal(partials() + journals(), 0);
    remove_all("out");
}

static void test_changed_input(void **state)
{
    (void)state;
    interrupt((job){0});
    write_input("b", 9);
    begins_anew((job){0});
    interrupt((job){0});
    assert_int_equal(utimensat(AT_FDCWD, in_dir(dir, "a"), NULL, 0), 0);
    begins_anew((job){0});
    interrupt((job){0});
    begins_anew((job){.weight = 0.25}); /* another expression */
    interrupt((job){0});
    begins_anew((job){.no_sync = true});
    interrupt((job){.reductions = true});
    begins_anew((job){0});
}

static void test_spoilt_journal(void **state)
{
    (void)state;
    for (int way = 0; way < 6; way++) {
        char path[600];
        interrupt((job){.two = way == 5});
        snprintf(path, sizeof path, "%s", in_dir(dir, hidden(way < 3 ? ST_JOURNAL_SUFFIX : ST_PARTIAL_SUFFIX, NULL)));
        if (way == 0) assert_int_equal(truncate(path, 0), 0);
        if (way == 1) { /* one bit of each slot */
            size_t n;
            unsigned char *b = slurp(path, &n);
            b[40] ^= 1;
            b[104] ^= 1;
            spill(path, b, n);
            free(b);
        }
        if (way == 2) assert_int_equal(unlink(path), 0);
        if (way == 3) assert_int_equal(truncate(path, 100000), 0);
        if (way >= 4) assert_int_equal(unlink(path), 0); /* of two: the second is still there */
        begins_anew((job){.two = way == 5});
    }
}

/* One slot is torn: the other one counts. */
static void test_torn_slot(void **state)
{
    (void)state;
    for (int slot = 0; slot < 2; slot++) {
        job j = {0}, plain = {.without = true, .name = "plain"};
        size_t n;
        char path[600];
        assert_ok(save(&plain));
        interrupt(j);
        snprintf(path, sizeof path, "%s", in_dir(dir, hidden(ST_JOURNAL_SUFFIX, NULL)));
        unsigned char *b = slurp(path, &n);
        assert_int_equal(n, 128);
        memset(b + 64 * slot + 20, 0, 44);
        spill(path, b, n);
        free(b);
        assert_ok(save(&j));
        assert_true(j.read < plain.read * 2 / 3);
        check_same("out", "plain");
        remove_all("out");
    }
}

/* A name that can be foretold may be a trap. */
static void test_planted_names(void **state)
{
    (void)state;
    char partial[600];
    for (int way = 0; way < 3; way++) {
        interrupt((job){0});
        snprintf(partial, sizeof partial, "%s", in_dir(dir, hidden(ST_PARTIAL_SUFFIX, NULL)));
        if (way == 0) { /* a second name of the same bytes */
            assert_int_equal(link(partial, in_dir(dir, "twin")), 0);
        } else { /* a link to somebody's file */
            assert_int_equal(rename(partial, in_dir(dir, "twin")), 0);
            if (way == 1) assert_int_equal(symlink("twin", partial), 0);
            if (way == 2) assert_int_equal(mkdir(partial, 0700), 0);
        }
        size_t n, n2;
        unsigned char *before = slurp(in_dir(dir, "twin"), &n);
        job j = {0};
        st_status s = save(&j);
        if (s == ST_CHANGED) s = save(&j); /* "run the same again" */
        assert_int_equal(s, ST_OK);
        unsigned char *after = slurp(in_dir(dir, "twin"), &n2);
        assert_int_equal(n, n2);
        assert_memory_equal(before, after, n);
        free(before);
        free(after);
        unlink(in_dir(dir, "twin"));
        begins_anew((job){0});
    }
}

/* ---------------------------------------------------------------- company */

static void test_living_owner(void **state)
{
    (void)state;
    static const char *const suffixes[] = {ST_JOURNAL_SUFFIX, ST_PARTIAL_SUFFIX};
    for (int shards = 0; shards < 2; shards++)
        for (int i = 0; i < 2; i++) {
            job j = {.shard = shards ? 850000 : 0};
            interrupt(j);
            int fd = open(in_dir(dir, hidden(suffixes[i], NULL)), O_RDONLY);
            assert_int_equal(sys_lock(fd), 0);
            assert_int_equal(save(&j), ST_IO);
            assert_non_null(strstr(err.message, "wait for its end, or stop it"));
            assert_int_equal(journals(), 1);
            assert_int_equal(partials(), 1);
            close(fd);
            j.read = 0;
            assert_ok(save(&j)); /* and nothing was lost */
            assert_true(j.read < 4 * 6 * ELEMENTS);
            remove_all("out");
        }
}

/* What nobody will go on from is removed by the next save to the target, with or without resume. */
static void test_stale(void **state)
{
    (void)state;
    for (int without = 0; without < 2; without++)
        for (int shards = 0; shards < 2; shards++) {
            interrupt((job){.shard = shards ? 850000 : 0});
            begins_anew((job){.shard = shards ? 850000 : 0, .weight = 0.3, .without = without});
        }
    interrupt((job){0});
    assert_ok(save(&(job){.name = "other"})); /* to another target */
    assert_int_equal(partials(), 1);
    begins_anew((job){.without = true});
}

/* ---------------------------------------------------------------- failures */

/* Every call fails once; then it is run again and must give the right bytes. */
static void faults(job j, sys_call c, int errnum, uint64_t step)
{
    for (uint64_t k = 1;; k += step) {
        int fds = open_fds();
        uint64_t used = st_memory_used();
        remove_all("out");
        sys_fault(c, k, errnum);
        st_status s = save(&j);
        bool met = !sys_fault_pending(c);
        sys_fault(SYS_CALL_COUNT, 0, 0);
        assert_int_equal(open_fds(), fds);
        assert_int_equal(st_memory_used(), used);
        if (s != ST_OK && harmless(c, errnum)) fail_msg("%s %d: %s", call_name(c), errnum, err.message);
        if (s != ST_OK && !strstr(err.message, "in place,")) {
            if (!!strstr(err.message, "kept") != (journals() == 1))
                fail_msg("%s %d at %d: %s, and %d journals", call_name(c), errnum, (int)k, err.message, journals());
            job again = j;
            if (save(&again) != ST_OK) fail_msg("%s %d at %d, again: %s", call_name(c), errnum, (int)k, err.message);
        }
        check_results(&j, "out", "plain");
        if (c != SYS_unlink && partials() + journals() != 0)
            fail_msg("%s %d at %d: something is left", call_name(c), errnum, (int)k);
        if (!met) break;
    }
    remove_all("out");
}

static void test_faults(void **state)
{
    (void)state;
    for (int shards = 0; shards < 2; shards++) {
        job j = {.shard = shards ? 850000 : 0}, plain = j;
        plain.without = true;
        plain.name = "plain";
        remove_all("plain");
        assert_ok(save(&plain));
        for (sys_call c = 0; c < SYS_CALL_COUNT; c++)
            for (int e = 0; e < fault_error_count; e += c == SYS_fsync || shards ? 4 : 3) {
                j.no_sync = c != SYS_fsync;
                faults(j, c, fault_errors[e], c == SYS_pread || c == SYS_pwrite || c == SYS_fstat ? 7 : 3);
            }
    }
}

static void test_no_memory(void **state)
{
    (void)state;
    job plain = {.without = true, .name = "plain", .no_sync = true};
    assert_ok(save(&plain));
    for (uint64_t k = 1;; k += 3) {
        job j = {.no_sync = true};
        uint64_t used = st_memory_used();
        remove_all("out");
        j.fail_at = k;
        st_status s = save(&j);
        j.fail_at = 0;
        assert_int_equal(st_memory_used(), used);
        bool failed = j.failed;
        if (s != ST_OK) assert_ok(save(&j));
        check_same("out", "plain");
        assert_int_equal(partials() + journals(), 0);
        if (!failed) break;
        assert_true(k < 2000);
    }
}

static int fill_disk(void *arg)
{
    (void)arg;
    write_input("a", 1);
    write_input("b", 2);
    job j = {.cancel = true}, k = {0};
    static char rest[2300000];
    if (save(&j) != ST_CANCELLED || partials() != 1) return 1;
    /* All of the room is taken already: what is free does not matter. */
    spill(in_dir(dir, "rest"), rest, sizeof rest);
    if (save(&k) != ST_OK || k.read > 4 * 7 * ELEMENTS) return 2;
    unlink(in_dir(dir, "out"));
    unlink(in_dir(dir, "rest"));
    /* What is in the way, and of no use, makes room. */
    if (save(&j) != ST_CANCELLED || partials() != 1) return 3;
    spill(in_dir(dir, "rest"), rest, sizeof rest);
    if (save(&(job){.weight = 0.3, .without = true}) != ST_OK || partials() != 0) return 4;
    /* No room at all. */
    if (save(&(job){.name = "more"}) != ST_SPACE || partials() + journals() != 0) return 5;
    return 0;
}

static void test_full_disk(void **state)
{
    (void)state;
    int r = in_small_disk(dir, 9600, fill_disk, NULL);
    if (r < 0)
        skipped("a full disk: mounting a small tmpfs needs privileges");
    else
        assert_int_equal(r, 0);
}

/* ---------------------------------------------------------------- keys */

static st_key key_of(st_tensor *t)
{
    st_key k = {0};
    assert_ok(st_key_add_tensors(&k, &t, 1, &err));
    return k;
}

static bool same_key(st_tensor *a, st_tensor *b)
{
    st_key x = key_of(a), y = key_of(b);
    return x.part[0] == y.part[0] && x.part[1] == y.part[1];
}

/* What is computed already, by a print for example, makes no difference. */
static void test_key_of_forced_nodes(void **state)
{
    (void)state;
    job j = {.reductions = true};
    st_ctx *ctx;
    assert_ok(st_ctx_new(&ctx, &err));
    st_model *m = make(&j, 0.5), *n = make(&j, 0.5), *o = make(&j, 0.25);
    for (size_t i = 0; i < TENSORS; i++) {
        st_tensor *x = get(m, i), *y = get(n, i), *z = get(o, i);
        assert_true(same_key(x, y));
        assert_true(same_key(x, z) == (i % 3 == 0));
        st_key before = key_of(x);
        assert_ok(st_force(ctx, x, &err));
        st_key after = key_of(x);
        assert_memory_equal(&before, &after, sizeof before);
        assert_true(same_key(x, y));
        st_tensor_unref(x);
        st_tensor_unref(y);
        st_tensor_unref(z);
    }
    st_model_free(m);
    st_model_free(n);
    st_model_free(o);
    st_ctx_free(ctx);
}

/* Joined files have an identity, bytes of nowhere have none. */
static void test_identities(void **state)
{
    (void)state;
    st_model *a;
    st_tensor *joined[2] = {NULL, NULL}, *t = NULL;
    float v[2000] = {1};
    int64_t n = 2000;
    st_key k = {0};
    assert_ok(st_model_open_file(in_dir(dir, "a"), &a, &err));
    st_tensor *x = get(a, 0), *y = get(a, 1);
    assert_ok(st_cat((st_tensor *[]){x, y}, 2, 0, &joined[0], &err));
    assert_ok(st_cat((st_tensor *[]){y, x}, 2, 0, &joined[1], &err));
    assert_true(joined[0]->node == ST_N_RANGE);
    assert_true(same_key(joined[0], joined[0]));
    assert_false(same_key(joined[0], joined[1]));
    mem_source *src = mem_source_new(v, sizeof v);
    assert_ok(st_tensor_range(&src->base, 0, ST_F32, 1, &n, "x", 1, NULL, &t, &err));
    assert_int_equal(st_key_add_tensors(&k, &t, 1, &err), ST_ARG);
    assert_non_null(strstr(err.message, "without resume"));
    st_tensor *all[] = {x, y, t, joined[0], joined[1]};
    for (size_t i = 0; i < 5; i++) st_tensor_unref(all[i]);
    st_source_unref(&src->base);
    st_model_free(a);
}

static int setup(void **state)
{
    (void)state;
    dir = scratch_new();
    sys_fault(SYS_CALL_COUNT, 0, 0);
    if (!dir) return -1;
    write_input("a", 1);
    write_input("b", 2);
    return 0;
}
static int teardown(void **state)
{
    (void)state;
    scratch_free(dir);
    return 0;
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_killed_file),
        TEST(test_killed_shards),
        TEST(test_killed_sweep),
        TEST(test_killed_reductions),
        TEST(test_killed_at_every_call),
        TEST(test_cancel),
        TEST(test_what_is_done_is_not_written_again),
        TEST(test_changed_input),
        TEST(test_spoilt_journal),
        TEST(test_torn_slot),
        TEST(test_planted_names),
        TEST(test_living_owner),
        TEST(test_stale),
        TEST(test_faults),
        TEST(test_no_memory),
        TEST(test_full_disk),
        TEST(test_key_of_forced_nodes),
        TEST(test_identities),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
