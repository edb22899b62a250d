/* zmodel.h - for tests of compressed files: plain files in memory, and what makes damaged ones of them. */
#ifndef ZMODEL_H
#define ZMODEL_H

#include "support.h"

/* A plain safetensors file of tensors t0, t1, ... malloc'ed: `kinds` has a letter for the bytes of each (n noise,
 * w BF16 weights, z zeros, r rows that come again, f F32 that holds BF16, N F32 NaN), sizes[] its bytes. */
unsigned char *zmodel_make(const char *kinds, const size_t *sizes, size_t *n);
/* One with every dtype, empty tensors, tensors without dimensions, and many that are small. */
unsigned char *zmodel_zoo(size_t *n);
/* bytes -> the frames of `zstd`, here by st_zstd_compress: `frame` bytes of content each; checksums if asked for. */
unsigned char *zmodel_frames(const unsigned char *p, size_t n, size_t frame, bool checksum, size_t *made);
/* The same with a seek table behind them, as others write it: with checksums in it or without. */
unsigned char *zmodel_seekable(const unsigned char *p, size_t n, size_t frame, bool checksum, bool sums, size_t *made);
/* Runs the program zstd on files: false when it is not installed. */
bool have_zstd(void);
int run_zstd(const char *arguments);

#endif
