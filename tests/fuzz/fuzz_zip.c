/* fuzz_zip.c - fuzz target: whole files, told apart by their contents: PyTorch's zip files, .npz, old checkpoints. Part
 * of the tests. */
#include "foreign_file.h"
#include "formats.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    bytes_source src = bytes_of(data, size);
    const st_open_opts opts = {.tensors_only = true, .skip = true};
    for (int i = 0; i < 2; i++) {
        st_listing *l;
        st_err err = {0};
        st_status s = st_format_read(&src.base, data, size < 512 ? size : 512, i ? &opts : NULL, &l, &err);
        HOLD(s == ST_OK || (!l && err.code == s && err.message[0]));
        if (l) check_listing(l, size);
        st_listing_free(l);
    }
    st_err err;
    bool all;
    st_format_check(&src.base, &all, &err);
    check_memory(size);
    return 0;
}
