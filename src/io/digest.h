/* digest.h - SHA-256 (libcrypto). Layer: io. */
#ifndef ST_DIGEST_H
#define ST_DIGEST_H

#include "iface.h"

st_status st_sha256_hex(const void *data, size_t n, char out[65], st_err *err);
/* Of n bytes of `src` from `off`, read in pieces; stops when `ctx` (may be NULL) says so. */
st_status st_sha256_source(const st_ctx *ctx, st_source *src, uint64_t off, uint64_t n, char out[65], st_err *err);

#endif
