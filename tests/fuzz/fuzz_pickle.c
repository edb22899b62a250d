/* fuzz_pickle.c - fuzz target: a pickle, and the tensors of a checkpoint in it. Whatever the bytes, nothing but nodes
 * comes of them, and tensors stay inside their storages. Part of the tests. */
#include "foreign_file.h"
#include "mem.h"
#include "pickle.h"
#include "torch.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { HUGE_FILE = 1 << 30 };

/* Every storage is there. */
static st_status find(void *arg, const st_torch_storage *s, st_text tensor, uint64_t *offset, st_err *err)
{
    (void)arg;
    if (s->bytes > HUGE_FILE) return st_fail_named(err, ST_FORMAT, "fuzz", tensor.ptr, tensor.len, "too large");
    *offset = 0;
    return ST_OK;
}

static void walk(const st_pickle *p, size_t size, const st_open_opts *opts)
{
    st_err err = {0};
    st_listing *l = st_calloc(1, sizeof *l);
    HOLD(l);
    st_status s = st_torch_walk("fuzz", p, size, opts, &(st_torch_finder){find, NULL}, l, &err);
    HOLD(s == ST_OK || (err.code == s && err.message[0]));
    if (s == ST_OK) HOLD(st_listing_close(l, &err) == ST_OK);
    if (s == ST_OK) check_listing(l, HUGE_FILE);
    st_listing_free(l);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    st_pickle *p;
    st_err err = {0};
    size_t used;
    char shown[100];
    st_status s = st_pickle_read("fuzz", data, size, &p, &used, &err);
    if (s) {
        HOLD(!p && err.code == s && err.message[0] && used <= size + 1);
    } else {
        HOLD(used <= size);
        st_pickle_show(p, st_pickle_root(p), shown, sizeof shown);
        HOLD(strlen(shown) < sizeof shown);
        walk(p, used, NULL);
        walk(p, used, &(st_open_opts){.tensors_only = true, .skip = true, .key = ""});
        walk(p, used, &(st_open_opts){.tensors_only = true, .skip = true, .key = "a.b"});
        st_pickle_free(p);
    }
    check_memory(size);
    return 0;
}
