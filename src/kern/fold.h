/* fold.h - reducing arrays to one value: what one block gives, and how two results become one. Layer: kern.
 *
 * Same bits everywhere: a row is cut into blocks of ST_FOLD_BLOCK elements by index, a block into ST_FOLD_LANES lanes
 * by index; lanes are joined as a tree, blocks in order. Floats are accumulated in double. */
#ifndef ST_FOLD_H
#define ST_FOLD_H

#include "dtype.h"

enum { ST_FOLD_BLOCK = 2048, ST_FOLD_LANES = 16, ST_FOLD_ABREAST = 4 };

/* X(enumerator, of what): each over x; DOT over x * y. */
#define ST_FOLDS(X)                                       \
    X(SUM, "x")                                           \
    X(SUMABS, "|x|; floats")                              \
    X(SUMSQ, "x * x; floats")                             \
    X(PROD, "x")                                          \
    X(MOMENTS, "mean, and squares around it; floats")     \
    X(MIN, "x, NaN where there is one")                   \
    X(MAX, "x, NaN where there is one")                   \
    X(MINABS, "|x|; floats")                              \
    X(MAXABS, "|x|; floats")                              \
    X(ARGMIN, "place of the first minimum, or first NaN") \
    X(ARGMAX, "place of the first maximum, or first NaN") \
    X(NONZERO, "how many are not 0")                      \
    X(DOT, "x * y")

typedef enum st_fold {
#define X(id, what) ST_F_##id,
    ST_FOLDS(X)
#undef X
        ST_FOLD_COUNT
} st_fold;

/* What is known of the elements seen so far; all zero before the first. */
typedef struct st_partial {
    union {
        double f; /* float classes */
        int64_t i;
        uint64_t u;
    };
    double squares; /* MOMENTS: around the mean `f` */
    uint64_t n;     /* elements seen */
    uint64_t at;    /* ARGMIN, ARGMAX: where */
} st_partial;

/* Folds a block of n elements, 1 to ST_FOLD_BLOCK, that stand at `at` in their row, into *p. y is for DOT. */
typedef void (*st_fold_fn)(st_partial *p, const void *x, const void *y, size_t n, uint64_t at);

/* Folds ST_FOLD_ABREAST whole blocks side by side, which begin `apart` blocks from one another, the k-th into
 * p[k * apart], which it overwrites. Memory serves several places at once faster than one. */
typedef void (*st_fold_abreast_fn)(st_partial *p, const void *x, size_t apart);

/* Several folds of a block in one, each with the bits that it gives by itself: elements are widened once, operands read
 * once. Into to[]: `gram` SUMSQ of x, SUMSQ of y, DOT of both; `summary` SUM, SUMSQ, MIN, MAX of x. */
enum { ST_JOINT_MOST = 4 };
typedef void (*st_joint_fn)(st_partial *const *to, const void *x, const void *y, size_t n);

/* What is known of columns, of each the rows so far: `value` is st_partial's number, of its eight bytes. */
typedef struct st_columns {
    uint64_t *value;
    double *squares; /* MOMENTS */
    uint64_t *at;    /* ARGMIN, ARGMAX: the row */
} st_columns;

/* Folds a row's n elements into the columns from `column` on, which have `seen` rows already. Not for DOT. */
typedef void (*st_fold_columns_fn)(const st_columns *c, size_t column, const void *x, size_t n, uint64_t seen);

/* Joins `b`, which stands behind `a` in the row, into `a`. */
void st_fold_join(st_fold fold, st_reg reg, st_partial *a, const st_partial *b);
/* MIN, MAX and their like: whether `b`, which stands behind, replaces `a`. */
bool st_fold_replaces(st_fold fold, st_reg reg, const st_partial *a, const st_partial *b);

#endif
