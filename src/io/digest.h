/* digest.h - SHA-256 (libcrypto). Layer: io. */
#ifndef ST_DIGEST_H
#define ST_DIGEST_H

#include "status.h"

st_status st_sha256_hex(const void *data, size_t n, char out[65], st_err *err);

#endif
