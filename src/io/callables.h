/* callables.h - what is known of the names that a pickle would import. Layer: io. */
#ifndef ST_CALLABLES_H
#define ST_CALLABLES_H

#include "status.h"

typedef enum st_callable {
    ST_CALLABLE_KNOWN,   /* checkpoints are made of it: data, and classes that hold data */
    ST_CALLABLE_UNKNOWN, /* a class of somebody's program */
    ST_CALLABLE_SUSPECT, /* not known to be harmless: of Python or its libraries and called, or found by attributes */
    ST_CALLABLE_DANGER,  /* runs commands or code, opens files or connections, or finds such things */
} st_callable;

/* `called`: it is called, or handed to what is and may call it. */
st_callable st_callable_of(st_text module, st_text name, bool called);

#endif
