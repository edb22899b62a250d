/* bind_jcheck.h - is a text strict JSON that cJSON will read faithfully? Layer: bind. Knows neither Lua nor cJSON. */
#ifndef BIND_JCHECK_H
#define BIND_JCHECK_H

#include <stdbool.h>
#include <stddef.h>

/* Named limits of st.json. */
#define JSON_MAX_BYTES ((size_t)64 << 20)
#define JSON_MAX_DEPTH 64
#define JSON_MAX_VALUES 4000000             /* cJSON takes 64 bytes and more for each */
#define JSON_MAX_DIGITS 60                  /* cJSON cuts numbers at 63 characters */
#define JSON_MAX_INTEGER 9007199254740991LL /* 2^53 - 1: what a double holds exactly, with its neighbours */

typedef struct jcheck {
    const char *what; /* what is wrong, NULL if nothing is */
    size_t at;        /* offset of the offending byte */
    bool limit;       /* one of the limits, not the grammar */
} jcheck;

/* The whole text must be one JSON value: RFC 8259 without a byte order mark, valid UTF-8, no NUL and no U+0000, no lone
 * surrogates, integers within 2^53, floats that are finite. Duplicate keys are left to the reader. */
jcheck json_check(const char *text, size_t len);
/* Length of the valid UTF-8 sequence at text, of n > 0 bytes; 0 if there is none. */
size_t json_utf8(const char *text, size_t n);

#endif
