/* jscan.h - a strict JSON scanner for large text from strangers (header, index): one pass, no tree, strings unescaped
 * in place, depth bounded. The rules are serde_json's, as the reference library uses it (reference verdicts are tested
 * against that package). Layer: io. */
#ifndef ST_JSCAN_H
#define ST_JSCAN_H

#include "status.h"

#define ST_JSCAN_DEPTH 127 /* levels that serde_json opens */

typedef struct st_jscan {
    char *base, *p, *end; /* the text; strings are unescaped inside it. *end may be written (one spare byte) */
    const char *label;    /* file, for messages */
    uint64_t offset;      /* of base in the file, for messages */
    int depth;            /* levels that may still be opened */
    st_err *err;
} st_jscan;

/* `max_depth` is at most ST_JSCAN_DEPTH. The text must be UTF-8: check it first by st_jscan_utf8. */
void st_jscan_init(st_jscan *s, char *text, size_t len, const char *label, uint64_t offset, int max_depth, st_err *err);
/* Fails with FORMAT and the byte offset if the text is not strict UTF-8. */
st_status st_jscan_utf8(st_jscan *s);

/* Each consumes leading white space and what it names, or fails with FORMAT and the byte offset. */
typedef enum st_jtype { ST_J_OBJECT, ST_J_ARRAY, ST_J_STRING, ST_J_NUMBER, ST_J_TRUE, ST_J_FALSE, ST_J_NULL } st_jtype;
st_status st_jscan_peek(st_jscan *s, st_jtype *type); /* what comes next, not consumed */
st_status st_jscan_open(st_jscan *s, st_jtype object_or_array,
                        bool *empty); /* `{` or `[`; when empty the close is consumed too */
st_status st_jscan_next(st_jscan *s, st_jtype object_or_array,
                        bool *more);                       /* `,` (more) or the closing bracket (not) */
st_status st_jscan_key(st_jscan *s, st_text *key);         /* string and `:` */
st_status st_jscan_string(st_jscan *s, st_text *out);      /* NUL-terminated in place; may hold NULs */
st_status st_jscan_u64(st_jscan *s, uint64_t *out);        /* a plain non-negative integer up to 2^64-1 */
st_status st_jscan_literal(st_jscan *s, const char *word); /* "null", "true", "false" */
st_status st_jscan_skip(st_jscan *s);                      /* any value, checked in full */
st_status st_jscan_finish(st_jscan *s);                    /* only white space remains */
/* Fails at the current place. */
st_status st_jscan_fail(st_jscan *s, const char *fmt, ...) ST_PRINTF(2, 3);

/* Strict UTF-8 (no overlong forms, no surrogates): offset of the first bad byte, or len. */
size_t st_utf8_check(const char *p, size_t len);

#endif
