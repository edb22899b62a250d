/* lazy.h - libraries that few runs need, loaded at their first use: loading libcrypto or OpenBLAS takes longer than all
 * that `stlua info` does. Layer: core. */
#ifndef ST_LAZY_H
#define ST_LAZY_H

#include "status.h"

typedef struct st_lazy {
    const char *what;           /* for messages */
    const char *const *files;   /* shared objects to try in order, ending in NULL */
    const char *const *symbols; /* functions wanted, ending in NULL */
    void **functions;           /* where they go, in that order */
    _Atomic bool loaded;
} st_lazy;

/* Loads once, from any thread; IO when the library is not installed or lacks a function. */
st_status st_lazy_load(st_lazy *l, st_err *err);

#ifdef __APPLE__
#define ST_LAZY_FILES(name, v1, v2)                                                       \
    {                                                                                     \
        "lib" name "." v1 ".dylib", "lib" name "." v2 ".dylib", "lib" name ".dylib", NULL \
    }
#else
#define ST_LAZY_FILES(name, v1, v2)                                        \
    {                                                                      \
        "lib" name ".so." v1, "lib" name ".so." v2, "lib" name ".so", NULL \
    }
#endif

/* Declares `var` for an X-macro of functions whose header is included: call var_fn.FUNCTION after
 * ST_TRY(st_lazy_load(&var)). */
#define ST_LAZY(var, text, name, v1, v2, LIST)                            \
    static struct {                                                       \
        LIST(ST_LAZY_POINTER)                                             \
    } var##_fn;                                                           \
    static const char *const var##_files[] = ST_LAZY_FILES(name, v1, v2); \
    static const char *const var##_symbols[] = {LIST(ST_LAZY_NAME) NULL}; \
    static st_lazy var = {text, var##_files, var##_symbols, (void **)(void *)&var##_fn, false}
#define ST_LAZY_POINTER(f) __typeof__(f) *f;
#define ST_LAZY_NAME(f) #f,

#endif
