/* fuzz_index.c - fuzz target: model.safetensors.index.json. An accepted index names only shards inside its folder. Part
 * of the tests. */
#include "st.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define HOLD(condition) \
    if (!(condition)) abort()

static bool ends_with(const char *s, const char *tail)
{
    size_t n = strlen(s), t = strlen(tail);
    return n >= t && strcmp(s + n - t, tail) == 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    st_index *x;
    st_err err = {0};
    st_status s = st_index_parse("fuzz", data, size, &x, &err);
    if (s) {
        HOLD(!x && err.code == s && err.message[0]);
        return 0;
    }
    for (size_t i = 0; i < st_index_shards(x); i++) {
        const char *shard = st_index_shard(x, i);
        HOLD(shard[0] != '/' && !strpbrk(shard, "\\:"));
        HOLD(ends_with(shard, ".safetensors") || ends_with(shard, ".safetensors.zst") || ends_with(shard, ".bin") ||
             ends_with(shard, ".pt") || ends_with(shard, ".pth"));
        HOLD(strcmp(shard, "..") && strncmp(shard, "../", 3) && !strstr(shard, "/../"));
    }
    for (size_t i = 0; i < st_index_count(x); i++) {
        st_text name;
        size_t shard;
        st_index_entry(x, i, &name, &shard);
        HOLD(name.ptr[name.len] == '\0' && shard < st_index_shards(x));
        HOLD(st_index_find(x, name.ptr, name.len) == (int64_t)i);
    }
    st_index_free(x);
    HOLD(st_memory_used() == 0);
    return 0;
}
