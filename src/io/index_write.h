/* index_write.h - writing model.safetensors.index.json. Layer: io. */
#ifndef ST_INDEX_WRITE_H
#define ST_INDEX_WRITE_H

#include "status.h"

typedef struct st_index_row {
    st_text name;
    const char *shard;
} st_index_row;

/* As transformers writes it: indent 2, names sorted, a final newline. Sorts `rows`. *out is st_malloc'ed. */
st_status st_index_write(st_index_row *rows, size_t n, uint64_t total_size, char **out, size_t *len, st_err *err);

#endif
