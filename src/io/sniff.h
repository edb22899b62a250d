/* sniff.h - what a file that is no safetensors really is. Layer: io. */
#ifndef ST_SNIFF_H
#define ST_SNIFF_H

#include <stddef.h>
#include <stdint.h>

#define ST_SNIFF_BYTES 512 /* a head of this many bytes is enough */

/* A sentence that names it and says what to do ("a git-LFS pointer: ..."), or NULL. `head` holds the file's first `n`
 * bytes. Called only to explain, after validation has failed: magic bytes never decide what a file is. */
const char *st_sniff(const void *head, size_t n, uint64_t file_size);

#endif
