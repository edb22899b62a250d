/* crc32.h - the checksum of zip files. Layer: core. */
#ifndef ST_CRC32_H
#define ST_CRC32_H

#include <stddef.h>
#include <stdint.h>

/* Of what came before (0 at first) and n more bytes. */
uint32_t st_crc32(uint32_t crc, const void *bytes, size_t n);

#endif
