/* jput.h - writing JSON text: a growing buffer that is checked once, at the end. Layer: io. */
#ifndef ST_JPUT_H
#define ST_JPUT_H

#include "status.h"

typedef struct st_jput {
    char *buf; /* st_malloc'ed; the caller frees */
    size_t len, cap;
    bool failed; /* out of memory: what follows is dropped */
} st_jput;

void st_jput_bytes(st_jput *j, const char *p, size_t n);
void st_jput_text(st_jput *j, const char *s);
void st_jput_u64(st_jput *j, uint64_t v);
/* In quotes, escaped as the reference library does: \" \\ \b \t \n \f \r, other bytes below 0x20 as \u00xx; the rest
 * raw. */
void st_jput_string(st_jput *j, const char *p, size_t n);

#endif
