/* fuzz_npy.c - fuzz target: a .npy file. Part of the tests. */
#include "foreign_file.h"
#include "npy.h"
#include "mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    bytes_source src = bytes_of(data, size);
    const st_open_opts opts[2] = {{0}, {.skip = true, .has_dtype = true, .dtype = ST_BF16}};
    for (int i = 0; i < 2; i++) {
        st_err err = {0};
        st_listing *l = st_calloc(1, sizeof *l);
        HOLD(l);
        st_status s = st_npy_read(&src.base, &opts[i], l, &err);
        HOLD(s == ST_OK || (err.code == s && err.message[0]));
        if (s == ST_OK) check_listing(l, size);
        st_listing_free(l);
    }
    check_memory(size);
    return 0;
}
