/* zip.h - the directory of a zip archive: .npz, PyTorch checkpoints. Layer: io.
 *
 * Several readers find several archives in one file where its records contradict each other. Here they must agree: the
 * directory with the header before each entry, lengths with the file, entries with each other. */
#ifndef ST_ZIP_H
#define ST_ZIP_H

#include "iface.h"
#include "strmap.h"

typedef struct st_zip_entry {
    const char *name; /* in the directory, not NUL-terminated */
    uint32_t len, crc;
    uint64_t offset, size; /* its bytes in the file */
    uint64_t header;       /* where what comes before them begins */
    uint32_t method;       /* 0: they are its contents; else they are compressed */
} st_zip_entry;

/* A zeroed one may be freed. */
typedef struct st_zip {
    st_zip_entry *entries; /* in the order of the directory */
    size_t count;
    st_strmap names;
    char *directory;
    uint64_t at, bytes; /* of the directory in the file */
} st_zip;

/* Reads the directory and every header, not the entries. FORMAT for broken archives, LIMIT for encrypted entries. */
st_status st_zip_read(st_source *src, st_zip *z, st_err *err);
void st_zip_free(st_zip *z);
const st_zip_entry *st_zip_find(const st_zip *z, const char *name, size_t len); /* or NULL */
/* LIMIT when an entry is compressed. */
st_status st_zip_stored(st_source *src, const st_zip_entry *e, st_err *err);
/* Reads an entry and holds it against its checksum. */
st_status st_zip_check(st_source *src, const st_zip_entry *e, st_err *err);

#endif
