/* fuzz_meta_undo.c - fuzz target: files that may be what an interrupted edit of metadata left. Whatever the end of a
 * file says, the way back only cuts it off and writes within the header; a file that was brought back is one no more.
 * Part of the tests. */
#include "st.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define HOLD(condition) \
    if (!(condition)) abort()

static const char *scratch(void)
{
    static char path[64];
    if (!path[0]) snprintf(path, sizeof path, "/tmp/stlua-fuzz-meta-undo.%ld", (long)getpid());
    return path;
}

static uint64_t read_back(unsigned char *out, size_t cap)
{
    FILE *f = fopen(scratch(), "rb");
    HOLD(f);
    size_t n = fread(out, 1, cap, f);
    fclose(f);
    return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    st_err err;
    bool did, again;
    FILE *f = fopen(scratch(), "wb");
    HOLD(f);
    HOLD(fwrite(data, 1, size, f) == size);
    fclose(f);
    HOLD(st_meta_undo(scratch(), &did, &err) == ST_OK);
    unsigned char *now = malloc(size + 1);
    uint64_t n = read_back(now, size + 1);
    HOLD(did ? n < size : n == size);
    uint64_t header = 0;
    for (int i = 7; did && i >= 0; i--) header = header << 8 | data[i];
    if (did) {
        HOLD(n >= 8 + header);
        HOLD(memcmp(now, data, 8) == 0);
        HOLD(memcmp(now + 8 + header, data + 8 + header, n - 8 - header) == 0);
        HOLD(st_meta_undo(scratch(), &again, &err) == ST_OK);
    } else {
        HOLD(memcmp(now, data, size) == 0);
    }
    free(now);
    st_file *file;
    if (st_file_open(scratch(), &file, &err) == ST_OK) st_file_close(file);
    unlink(scratch());
    HOLD(st_memory_used() == 0);
    return 0;
}
