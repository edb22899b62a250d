/* fuzz_npy.c - fuzz target: a .npy file. Part of the tests. */
#include "foreign_file.h"
#include "npy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    check_reader(st_npy_read, data, size);
    return 0;
}
