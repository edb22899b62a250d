/* index_write.c - writing model.safetensors.index.json. Layer: io. */
#include "index_write.h"
#include "jput.h"
#include "mem.h"
#include "sort.h"

#include <string.h>

static int by_name(const void *a, const void *b, const void *arg)
{
    (void)arg;
    const st_text *x = &((const st_index_row *)a)->name, *y = &((const st_index_row *)b)->name;
    int c = memcmp(x->ptr, y->ptr, x->len < y->len ? x->len : y->len);
    return c ? c : x->len < y->len ? -1 : x->len > y->len;
}

st_status st_index_write(st_index_row *rows, size_t n, uint64_t total_size, char **out, size_t *len, st_err *err)
{
    st_jput j = {0};
    st_sort(rows, n, sizeof *rows, by_name, NULL);
    st_jput_text(&j, "{\n  \"metadata\": {\n    \"total_size\": ");
    st_jput_u64(&j, total_size);
    st_jput_text(&j, "\n  },\n  \"weight_map\": {");
    for (size_t i = 0; i < n; i++) {
        st_jput_text(&j, i ? ",\n    " : "\n    ");
        st_jput_string(&j, rows[i].name.ptr, rows[i].name.len);
        st_jput_text(&j, ": ");
        st_jput_string(&j, rows[i].shard, strlen(rows[i].shard));
    }
    st_jput_text(&j, n ? "\n  }\n}\n" : "}\n}\n");
    if (j.failed) {
        st_free(j.buf);
        return st_fail_nomem(err, j.len);
    }
    *out = j.buf;
    *len = j.len;
    return ST_OK;
}
