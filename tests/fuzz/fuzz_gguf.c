/* fuzz_gguf.c - fuzz target: the header of a GGUF file. Part of the tests. */
#include "foreign_file.h"
#include "gguf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    check_reader(st_gguf_read, data, size);
    return 0;
}
