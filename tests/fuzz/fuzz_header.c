/* fuzz_header.c - fuzz target: the header of a safetensors file. Whatever the bytes, parsing ends with a status, and
 * what was accepted keeps the promises that the layers above rely on. Part of the tests. */
#include "header.h"
#include "mem.h"

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
    HOLD((__extension__(unsigned __int128) count) * st_dtype_bits(t->dtype) ==
         (__extension__(unsigned __int128)(t->end - t->begin)) * 8);
}

/* What was read can be written canonically, and reads back as the same tensors and metadata. */
static void check_rewrite(const st_header *h, uint64_t data_size)
{
    size_t n = st_header_count(h), m = st_header_meta_count(h), len;
    st_header_entry *e = calloc(n + 1, sizeof *e);
    st_meta_pair *meta = calloc(m + 1, sizeof *meta);
    HOLD(e && meta);
    bool long_name = false;
    for (size_t i = 0; i < n; i++) {
        st_info t = st_header_info(h, i);
        e[i] = (st_header_entry){
            .name = t.name, .name_len = t.name_len, .dtype = t.dtype, .ndim = t.ndim, .shape = t.shape};
        long_name |= t.name_len > ST_NAME_MAX;
    }
    for (size_t i = 0; i < m; i++) st_header_meta(h, i, &meta[i].key, &meta[i].value);
    uint64_t size = 0;
    st_status s = st_header_layout(e, n, "fuzz", &size, NULL);
    HOLD(long_name ? s == ST_NAME : s == ST_OK && size == data_size);
    if (s == ST_OK) {
        char *text;
        st_header *again;
        HOLD(st_header_write(e, n, meta, m, 0, "fuzz", &text, &len, NULL) == ST_OK && len % 8 == 0);
        HOLD(st_header_parse("fuzz", text, len, len + size, &again, NULL) == ST_OK);
        HOLD(st_header_count(again) == n && st_header_meta_count(again) == m);
        for (size_t i = 0; i < n; i++) {
            st_info a = st_header_info(h, i);
            int64_t at = st_header_find(again, a.name, a.name_len);
            HOLD(at >= 0);
            st_info b = st_header_info(again, (size_t)at);
            HOLD(a.dtype == b.dtype && a.ndim == b.ndim && a.end - a.begin == b.end - b.begin);
            HOLD(a.ndim == 0 || memcmp(a.shape, b.shape, (size_t)a.ndim * sizeof *a.shape) == 0);
        }
        st_header_free(again);
        st_free(text);
    }
    free(e);
    free(meta);
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
    st_err err = {0};
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
        HOLD(st_header_find(h, t.name, t.name_len) == (int64_t)i);
        at = t.end;
    }
    HOLD(at == file_size - 8 - n);
    for (size_t i = 0; i < st_header_meta_count(h); i++) {
        st_text key, value;
        st_header_meta(h, i, &key, &value);
        HOLD(key.ptr[key.len] == '\0' && value.ptr[value.len] == '\0');
    }
    check_rewrite(h, at);
    st_header_free(h);
    HOLD(st_memory_used() == 0);
    return 0;
}
