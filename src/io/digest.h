/* digest.h - SHA-256 (libcrypto). Layer: io. */
#ifndef ST_DIGEST_H
#define ST_DIGEST_H

#include "iface.h"

st_status st_sha256_hex(const void *data, size_t n, char out[65], st_err *err);
/* Of n bytes of `src` from `off`, read in pieces; stops when `ctx` (may be NULL) says so. */
st_status st_sha256_source(const st_ctx *ctx, st_source *src, uint64_t off, uint64_t n, char out[65], st_err *err);

/* One that is fed piece by piece. */
typedef struct st_digest st_digest;
st_status st_digest_new(st_digest **out, st_err *err);
st_status st_digest_add(st_digest *d, const void *p, size_t n, st_err *err);
st_status st_digest_end(st_digest *d, char out[65], st_err *err); /* once */
void st_digest_free(st_digest *d);                                /* d may be NULL */

#endif
