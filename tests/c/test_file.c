/* test_file.c - opening files: what is no regular file, links, ranges, changes under the reader, faults of the system,
 * failing allocations, and the time that large headers take. */
#include "support.h"

#include "digest.h"
#include "file.h"
#include "mem.h"
#include "sys.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

static st_err err;
static char *dir;

static int setup(void **state)
{
    (void)state;
    dir = scratch_new();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    st_mem_fail_at(0, false);
    for (int c = 0; c < SYS_CALL_COUNT; c++) sys_fault((sys_call)c, 0, 0);
    scratch_free(dir);
    return st_memory_used() != 0;
}

static int open_descriptors(void) { return count_entries("/proc/self/fd"); }

/* Writes a model: "w", eight bytes 0..7, one metadata entry. */
static const char *model(const char *name)
{
    static const char text[] =
        "{\"__metadata__\":{\"k\":\"v\"},\"w\":{\"dtype\":\"U8\",\"shape\":[8],\"data_offsets\":[0,8]}}";
    char f[8 + sizeof text - 1 + 8] = {(char)(sizeof text - 1)};
    memcpy(f + 8, text, sizeof text - 1);
    for (int i = 0; i < 8; i++) f[sizeof f - 8 + (size_t)i] = (char)i;
    const char *path = in_dir(dir, name);
    spill(path, f, sizeof f);
    return path;
}

static st_status refuse(const char *path, const char *want)
{
    st_file *f = (st_file *)1;
    int before = open_descriptors();
    st_status s = st_file_open(path, &f, &err);
    assert_true(s != ST_OK);
    assert_null(f);
    assert_int_equal(open_descriptors(), before);
    if (!strstr(err.message, want)) fail_msg("`%s` is not in: %s", want, err.message);
    assert_non_null(strstr(err.message, path));
    return s;
}

/* ---------------------------------------------------------------- opening and reading */

static void test_open(void **state)
{
    (void)state;
    const char *path = model("a.safetensors");
    int before = open_descriptors();
    st_file *f;
    st_text key, value;
    char buf[8];
    assert_ok(st_file_open(path, &f, &err));
    assert_int_equal(open_descriptors(), before + 1);
    assert_string_equal(st_file_path(f), path);
    assert_int_equal(st_file_count(f), 1);
    assert_int_equal(st_file_find(f, "w", 1), 0);
    assert_int_equal(st_file_find(f, "v", 1), -1);
    assert_int_equal(st_file_size(f), st_file_data_start(f) + 8);
    assert_int_equal(st_file_meta_count(f), 1);
    st_file_meta(f, 0, &key, &value);
    assert_string_equal(key.ptr, "k");
    st_info t = st_file_info(f, 0);
    st_source *s = st_file_source(f);
    assert_ok(s->ops->read(s, buf, st_file_data_start(f) + t.begin + 2, 3, &err));
    assert_memory_equal(buf, "\2\3\4", 3);
    assert_ok(s->ops->read(s, buf, s->size, 0, &err));
    assert_int_equal(s->ops->read(s, buf, s->size - 2, 3, &err), ST_INTERNAL);
    assert_int_equal(s->ops->read(s, buf, UINT64_MAX - 1, 3, &err), ST_INTERNAL);
    assert_ok(s->ops->check(s, &err));

    /* The source outlives the file while somebody holds it. */
    st_source_ref(s);
    st_file_close(st_file_ref(f));
    assert_int_equal(st_file_count(f), 1);
    st_file_close(f);
    assert_ok(s->ops->read(s, buf, s->size - 1, 1, &err));
    st_source_unref(s);
    assert_int_equal(open_descriptors(), before);
    st_file_close(NULL);
}

static void test_digest(void **state)
{
    (void)state;
    char hex[65], again[65];
    assert_ok(st_sha256_hex("abc", 3, hex, &err));
    assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    assert_ok(st_sha256_hex("", 0, hex, &err));
    assert_string_equal(hex, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");

    const char *path = model("a.safetensors");
    size_t n;
    unsigned char *bytes = slurp(path, &n);
    st_file *f;
    assert_ok(st_file_open(path, &f, &err));
    assert_ok(st_sha256_hex(bytes, n - 8, hex, &err));
    assert_ok(st_file_header_sha256(f, again, &err));
    assert_string_equal(hex, again);
    st_file_close(f);
    free(bytes);

    /* In pieces as at once. */
    size_t big = 1000000;
    bytes = malloc(big);
    for (size_t i = 0; i < big; i++) bytes[i] = (unsigned char)(i * 31 >> 3);
    mem_source *m = mem_source_new(bytes, big);
    assert_ok(st_sha256_hex(bytes + 1, big - 1, hex, &err));
    assert_ok(st_sha256_source(NULL, &m->base, 1, big - 1, again, &err));
    assert_string_equal(hex, again);
    m->broken = true;
    assert_int_equal(st_sha256_source(NULL, &m->base, 1, big - 1, again, &err), ST_IO);
    st_source_unref(&m->base);
    free(bytes);
}

/* Only regular files are opened, and nothing hangs. */
static void test_not_regular(void **state)
{
    (void)state;
    const char *fifo = in_dir(dir, "fifo"), *sock = in_dir(dir, "sock");
    assert_int_equal(refuse(dir, "a folder"), ST_IO);
    assert_int_equal(mkfifo(fifo, 0600), 0);
    alarm(10);
    assert_int_equal(refuse(fifo, "a pipe"), ST_IO);
    assert_int_equal(refuse("/dev/zero", "a device"), ST_IO);
    assert_int_equal(refuse("/dev/null", "a device"), ST_IO);
    assert_int_equal(refuse("/proc/self/status", "empty"), ST_FORMAT);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    if (strlen(sock) < sizeof at.sun_path) {
        strcpy(at.sun_path, sock);
        assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
        assert_int_equal(refuse(sock, "a socket"), ST_IO);
    }
    close(fd);
    alarm(0);
    assert_int_equal(refuse(in_dir(dir, "none"), "No such file or directory"), ST_IO);
    const char *path = model("secret.safetensors");
    if (geteuid() != 0) {
        chmod(path, 0);
        assert_int_equal(refuse(path, "Permission denied"), ST_IO);
    }
    assert_int_equal(refuse("", "No such file or directory"), ST_IO);
}

/* The cache of the Hub is made of links. */
static void test_links(void **state)
{
    (void)state;
    st_file *f;
    model("blob");
    mkdir(in_dir(dir, "snapshots"), 0700);
    const char *link = in_dir(dir, "snapshots/model.safetensors"), *loop = in_dir(dir, "loop");
    assert_int_equal(symlink("../blob", link), 0);
    assert_ok(st_file_open(link, &f, &err));
    assert_string_equal(st_file_path(f), link);
    st_file_close(f);
    assert_int_equal(symlink("loop", loop), 0);
    refuse(loop, "symbolic links");
    unlink(in_dir(dir, "blob"));
    refuse(link, "No such file");
}

/* ---------------------------------------------------------------- changes under the reader */

static void test_truncated_while_reading(void **state)
{
    (void)state;
    const char *path = model("a.safetensors");
    st_file *f;
    char buf[8];
    assert_ok(st_file_open(path, &f, &err));
    st_source *s = st_file_source(f);
    assert_int_equal(truncate(path, (off_t)s->size - 3), 0);
    assert_int_equal(s->ops->read(s, buf, s->size - 8, 8, &err), ST_CHANGED);
    char want[64];
    snprintf(want, sizeof want, "now ends at %llu (it had %llu", (unsigned long long)s->size - 3,
             (unsigned long long)s->size);
    assert_non_null(strstr(err.message, "truncated while reading"));
    assert_non_null(strstr(err.message, want));
    assert_int_equal(s->ops->check(s, &err), ST_CHANGED);
    assert_non_null(strstr(err.message, path));
    st_file_close(f);
}

static st_status check_after(const char *path, void (*change)(const char *))
{
    st_file *f;
    assert_ok(st_file_open(path, &f, &err));
    change(path);
    st_status s = st_file_source(f)->ops->check(st_file_source(f), &err);
    st_file_close(f);
    return s;
}

static void do_nothing(const char *path) { (void)path; }
static void do_append(const char *path)
{
    FILE *f = fopen(path, "ab");
    fputc(0, f);
    fclose(f);
}
/* The size stays, and the time of modification is put back: only ctime tells. */
static void do_forge(const char *path)
{
    struct stat st;
    stat(path, &st);
    struct timespec pause = {0, 20000000}, times[2] = {st.st_atim, st.st_mtim};
    nanosleep(&pause, NULL);
    FILE *f = fopen(path, "r+b");
    fseek(f, -1, SEEK_END);
    fputc(99, f);
    fclose(f);
    utimensat(AT_FDCWD, path, times, 0);
}
static void do_touch(const char *path)
{
    struct timespec times[2] = {{1, 2}, {1, 3}};
    utimensat(AT_FDCWD, path, times, 0);
}
static void do_replace(const char *path)
{
    char other[512];
    snprintf(other, sizeof other, "%s.new", path);
    spill(other, "x", 1);
    rename(other, path);
}

static void test_check(void **state)
{
    (void)state;
    assert_int_equal(check_after(model("a"), do_nothing), ST_OK);
    assert_int_equal(check_after(model("b"), do_append), ST_CHANGED);
    assert_non_null(strstr(err.message, "bytes, now"));
    assert_int_equal(check_after(model("c"), do_touch), ST_CHANGED);
    assert_non_null(strstr(err.message, "written to"));
    assert_int_equal(check_after(model("d"), do_forge), ST_CHANGED);
    assert_non_null(strstr(err.message, "attributes changed"));
    assert_string_equal(err.file, in_dir(dir, "d"));
}

/* A file that takes the path's place does not matter: the descriptor keeps the old bytes, and losing its name is no
 * change of them, though ctime moves. */
static void test_replaced(void **state)
{
    (void)state;
    const char *path = model("a.safetensors");
    st_file *f;
    char buf[8];
    assert_ok(st_file_open(path, &f, &err));
    do_replace(path);
    st_source *s = st_file_source(f);
    assert_ok(s->ops->read(s, buf, s->size - 8, 8, &err));
    assert_memory_equal(buf, "\0\1\2\3\4\5\6\7", 8);
    assert_ok(s->ops->check(s, &err));
    st_file_close(f);
}

/* ---------------------------------------------------------------- faults */

/* Each call that opening makes, failing in each way, gives an error that names the file; nothing stays open. */
static void test_system_faults(void **state)
{
    (void)state;
    static const sys_call calls[] = {SYS_open, SYS_fstat, SYS_pread};
    static const int errors[] = {EIO, EACCES, EMFILE, ESTALE, ENOMEM};
    const char *path = model("a.safetensors");
    int before = open_descriptors(), met = 0;
    for (size_t c = 0; c < 3; c++) {
        for (size_t e = 0; e < sizeof errors / sizeof *errors; e++) {
            for (uint64_t k = 1; k < 10; k++) {
                st_file *f = (st_file *)1;
                sys_fault(calls[c], k, errors[e]);
                st_status s = st_file_open(path, &f, &err);
                sys_fault(calls[c], 0, 0);
                if (s == ST_OK) {
                    st_file_close(f);
                    break;
                }
                met++;
                assert_null(f);
                assert_int_equal(s, errors[e] == ENOMEM ? ST_NOMEM : ST_IO);
                assert_string_equal(err.file, path);
                assert_non_null(strstr(err.message, strerror(errors[e])));
                assert_int_equal(open_descriptors(), before);
                assert_int_equal(st_memory_used(), 0);
            }
        }
    }
    assert_true(met >= 20);
    for (uint64_t k = 1; k < 4; k++) { /* a short read is read on */
        st_file *f;
        sys_fault(SYS_pread, k, 0);
        assert_ok(st_file_open(path, &f, &err));
        sys_fault(SYS_pread, 0, 0);
        assert_int_equal(st_file_count(f), 1);
        st_file_close(f);
    }
}

static void test_no_memory(void **state)
{
    (void)state;
    const char *path = model("a.safetensors");
    int before = open_descriptors();
    for (int onwards = 0; onwards < 2; onwards++) {
        for (uint64_t k = 1;; k++) {
            st_file *f = (st_file *)1;
            char hex[65];
            st_mem_fail_at(k, onwards);
            st_status s = st_file_open(path, &f, &err);
            bool opened = s == ST_OK;
            if (opened) s = st_file_header_sha256(f, hex, &err);
            st_mem_fail_at(0, false);
            if (opened) st_file_close(f);
            assert_int_equal(open_descriptors(), before);
            assert_int_equal(st_memory_used(), 0);
            if (s == ST_OK) {
                assert_true(k > 6);
                break;
            }
            assert_int_equal(s, ST_NOMEM);
        }
    }
}

/* ---------------------------------------------------------------- size */

/* 100,000 tensors: the bar is 40 ms on a quiet machine, here with room for a busy one and sanitizers; memory is 2.5
 * times the header. The data is a hole. */
static void test_large_header(void **state)
{
    (void)state;
    enum { N = 100000 };
    char *text = malloc(N * 120), *w = text + 8;
    for (unsigned i = 0; i < N; i++)
        w += sprintf(w, "%c\"model.layers.%u.weight\":{\"dtype\":\"BF16\",\"shape\":[4,2],\"data_offsets\":[%u,%u]}",
                     i ? ',' : '{', i, i * 16, i * 16 + 16);
    *w++ = '}';
    size_t n = (size_t)(w - text);
    for (int i = 0; i < 8; i++) text[i] = (char)((n - 8) >> (8 * i));
    const char *path = in_dir(dir, "large.safetensors");
    spill(path, text, n);
    assert_int_equal(truncate(path, (off_t)(n + N * 16)), 0);
    free(text);

    st_file *f;
    struct timespec a, b;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &a);
    assert_ok(st_file_open(path, &f, &err));
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &b);
    double seconds = (double)(b.tv_sec - a.tv_sec) + (double)(b.tv_nsec - a.tv_nsec) * 1e-9;
    print_message("# 100,000 tensors, %zu header bytes: %.1f ms, %llu bytes\n", n, seconds * 1e3,
                  (unsigned long long)st_memory_used());
#ifdef __SANITIZE_THREAD__
    assert_true(seconds < 5);
#else
    assert_true(seconds < 0.5);
#endif
    assert_true(st_memory_used() < 5 * (uint64_t)n / 2);
    assert_int_equal(st_file_count(f), N);
    assert_int_equal(st_file_find(f, "model.layers.99999.weight", 25), N - 1);
    st_file_close(f);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_open),  T(test_digest),   T(test_not_regular),   T(test_links),     T(test_truncated_while_reading),
        T(test_check), T(test_replaced), T(test_system_faults), T(test_no_memory), T(test_large_header),
    };
    return cmocka_run_group_tests_name("file", tests, NULL, NULL);
}
