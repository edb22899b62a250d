/* fold.c - joining partial results of reductions. Layer: kern. Compiled once: its bits are nobody's choice. */
#include "fold.h"

static bool is_float(st_reg r) { return r == ST_R_F32 || r == ST_R_F64; }

bool st_fold_replaces(st_fold fold, st_reg reg, const st_partial *a, const st_partial *b)
{
    bool least = fold == ST_F_MIN || fold == ST_F_MINABS || fold == ST_F_ARGMIN;
    if (b->n == 0 || a->n == 0) return a->n == 0;
    if (is_float(reg)) {
        if (a->f != a->f || b->f != b->f) return a->f == a->f;
        return least ? b->f < a->f : b->f > a->f;
    }
    if (reg == ST_R_U64) return least ? b->u < a->u : b->u > a->u;
    return least ? b->i < a->i : b->i > a->i;
}

/* Chan, Golub, LeVeque (1983): means and squares of two sets give those of their union. */
static void join_moments(st_partial *a, const st_partial *b)
{
    double na = (double)a->n, nb = (double)b->n, delta = b->f - a->f;
    if (a->n == 0) {
        *a = *b;
        return;
    }
    a->f += delta * (nb / (na + nb));
    a->squares += b->squares + delta * delta * (na * nb / (na + nb));
    a->n += b->n;
}

void st_fold_join(st_fold fold, st_reg reg, st_partial *a, const st_partial *b)
{
    uint64_t n = a->n + b->n;
    if (b->n == 0) return;
    switch (fold) {
    case ST_F_MOMENTS: join_moments(a, b); break;
    case ST_F_PROD:
        if (a->n == 0)
            *a = *b;
        else if (is_float(reg))
            a->f *= b->f;
        else
            a->u *= b->u;
        break;
    case ST_F_NONZERO: a->u += b->u; break;
    case ST_F_SUM:
    case ST_F_SUMABS:
    case ST_F_SUMSQ:
    case ST_F_DOT:
        if (is_float(reg))
            a->f += b->f;
        else
            a->u += b->u;
        break;
    default:
        if (st_fold_replaces(fold, reg, a, b)) *a = *b;
        break;
    }
    a->n = n;
}
