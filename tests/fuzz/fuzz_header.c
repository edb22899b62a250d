/* fuzz_header.c - fuzz target: the header of a safetensors file. Whatever the bytes, parsing ends with a status, and what was
 * accepted keeps the promises that the layers above rely on. Part of the tests. */
#include "st.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define HOLD(condition) \
    if (!(condition)) abort()

static void check_tensor(const st_info *t, uint64_t data_size)
{
    HOLD(t->name && t->name[t->name_len] == '\0');
    HOLD(t->dtype < ST_DTYPE_COUNT && t->ndim >= 0 && t->ndim <= ST_MAX_DIMS);
    HOLD(t->begin <= t->end && t->end <= data_size);
    uint64_t count = 1;
    for (int i = 0; i < t->ndim; i++) {
        HOLD(t->shape[i] >= 0);
        HOLD(!__builtin_mul_overflow(count, (uint64_t)t->shape[i], &count) || count == 0);
    }
    HOLD((__extension__(unsigned __int128) count) * st_dtype_bits(t->dtype) == (__extension__(unsigned __int128)(t->end - t->begin)) * 8);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    /* The first two bytes choose how much data follows the header: the file's size is part of the verdict. */
    if (size < 2) return 0;
    uint64_t extra = (uint64_t)data[0] | (uint64_t)data[1] << 8;
    data += 2;
    size -= 2;
    uint64_t n = 0;
    if (size >= 8)
        for (int i = 7; i >= 0; i--) n = n << 8 | data[i];
    uint64_t file_size = n < size ? 8 + n + extra : size;
    if (file_size < size) file_size = size;

    st_header *h;
    st_err err = { 0 };
    st_status s = st_header_parse("fuzz", data, size, file_size, &h, &err);
    if (s) {
        HOLD(!h && err.code == s && err.message[0]);
        return 0;
    }
    uint64_t at = 0;
    for (size_t i = 0; i < st_header_count(h); i++) {
        st_info t = st_header_info(h, i);
        check_tensor(&t, file_size - 8 - n);
        HOLD(t.begin == at);
        at = t.end;
    }
    HOLD(at == file_size - 8 - n);
    for (size_t i = 0; i < st_header_meta_count(h); i++) {
        st_text key, value;
        st_header_meta(h, i, &key, &value);
        HOLD(key.ptr[key.len] == '\0' && value.ptr[value.len] == '\0');
    }
    st_header_free(h);
    return 0;
}
