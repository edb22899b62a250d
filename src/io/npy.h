/* npy.h - NumPy's files as listings: .npy, and .npz as a zip archive of them. Layer: io. */
#ifndef ST_NPY_H
#define ST_NPY_H

#include "listing.h"
#include "zip.h"

st_status st_npy_read(st_source *src, const st_open_opts *opts, st_listing *l, st_err *err);
bool st_npz_is(const st_zip *zip); /* every entry's name ends in .npy */
st_status st_npz_read(st_source *src, const st_zip *zip, const st_open_opts *opts, st_listing *l, st_err *err);

/* The text in front of an array, parsed strictly: a dict of three entries in any order. */
typedef struct st_npy_about {
    char order, kind; /* '<', '>', '|', '='; 'f', 'i', 'u', 'b', 'c', 'V', ... */
    unsigned width;   /* bytes of an element */
    st_text descr;    /* "<f4", in the text */
    bool fortran;
    int ndim;
    int64_t shape[ST_MAX_DIMS];
} st_npy_about;
/* `label` and `name` (may be empty) are for messages. DTYPE for types that are no plain numbers, with `descr` set
 * where there is one. */
st_status st_npy_parse(const char *label, st_text name, const char *text, size_t len, st_npy_about *h, st_err *err);

#endif
