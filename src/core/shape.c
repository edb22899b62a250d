/* shape.c - sizes of tensors, all checked, and broadcasting. Layer: core. */
#include "shape.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

bool st_shape_numel(int ndim, const int64_t *shape, uint64_t *numel)
{
    uint64_t n = 1;
    for (int i = 0; i < ndim; i++)
        if (shape[i] < 0 || !st_mul_u64(n, (uint64_t)shape[i], &n)) return false;
    *numel = n;
    return true;
}

bool st_dtype_bytes(st_dtype d, uint64_t numel, uint64_t *bytes)
{
    /* The reference library checks the product in bits: a count that only fits in bytes is refused there too. */
    uint64_t bits;
    if (!st_mul_u64(numel, st_dtype_bits(d), &bits) || bits % 8 != 0) return false;
    *bytes = bits / 8;
    return true;
}

bool st_shape_equal(int na, const int64_t *a, int nb, const int64_t *b)
{
    return na == nb && (na == 0 || memcmp(a, b, (size_t)na * sizeof *a) == 0);
}

st_status st_shape_broadcast(int na, const int64_t *a, int nb, const int64_t *b, int *nout, int64_t out[ST_MAX_DIMS],
                             st_err *err)
{
    int n = na > nb ? na : nb;
    for (int i = 1; i <= n; i++) { /* from the last dimension backwards */
        int64_t x = i <= na ? a[na - i] : 1, y = i <= nb ? b[nb - i] : 1;
        if (x != y && x != 1 && y != 1) {
            char ta[256], tb[256];
            st_shape_text(ta, sizeof ta, na, a);
            st_shape_text(tb, sizeof tb, nb, b);
            return st_fail(err, ST_SHAPE, NULL, NULL,
                           "shapes %s and %s do not fit each other: sizes %" PRId64 " and %" PRId64 " in dimension %d",
                           ta, tb, x, y, -i);
        }
        out[n - i] = x == 1 ? y : x;
    }
    *nout = n;
    return ST_OK;
}

void st_shape_text(char *dst, size_t cap, int ndim, const int64_t *shape)
{
    static const char cut[] = ", ...]"; /* always left room for */
    size_t o = (size_t)snprintf(dst, cap, "[");
    for (int i = 0; i < ndim; i++) {
        char item[32];
        size_t w = (size_t)snprintf(item, sizeof item, "%s%" PRId64, i ? ", " : "", shape[i]);
        if (o + w + sizeof cut > cap) {
            snprintf(dst + o, cap - o, "%s", cut);
            return;
        }
        memcpy(dst + o, item, w);
        o += w;
    }
    snprintf(dst + o, cap - o, "]");
}
