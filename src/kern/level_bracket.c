/* level_bracket.c - one look at many magnitudes: how many lie above a bracket, on its edges, and which lie inside.
 * Compiled once per SIMD level. Layer: kern. */
#include "level.h"

#include <string.h>

enum { CHUNK = 2048 };

/* Marks what lies inside, counts the rest. Keys are magnitudes as integers: below 2^31, NaN above infinity. */
static void look(const st_bracket *b, const int32_t *x, size_t n, st_bracket_seen *seen, uint8_t *inside)
{
    const int32_t low = (int32_t)b->low, high = (int32_t)b->high;
    uint32_t above = 0, at_high = 0, at_low = 0;
    for (size_t i = 0; i < n; i++) {
        const int32_t k = x[i] & INT32_MAX;
        above += k > high;
        at_high += k == high;
        at_low += k == low;
    }
    ST_EACH
    {
        const int32_t k = x[i] & INT32_MAX;
        inside[i] = (k > low) & (k < high);
    }
    seen->above += above;
    seen->at_high += at_high;
    seen->at_low += at_low;
}

static size_t bracket(const st_bracket *b, const float *values, size_t n, st_bracket_seen *seen, st_candidate *found)
{
    uint8_t inside[CHUNK + 8];
    int32_t x[CHUNK + 8];
    size_t count = 0;
    for (size_t at = 0; at < n; at += CHUNK) {
        size_t m = n - at < CHUNK ? n - at : CHUNK;
        memcpy(x, values + at, m * sizeof *x);
        look(b, x, m, seen, inside);
        memset(inside + m, 0, 8);
        memset(x + m, 0, 8 * sizeof *x);
        for (size_t i = 0; i < m; i += 8) {
            uint64_t any;
            memcpy(&any, inside + i, 8);
            if (!any) continue;
            for (size_t j = i; j < i + 8; j++) { /* no branch: who is not inside is overwritten */
                found[count] = (st_candidate){(uint32_t)x[j] & INT32_MAX, (uint32_t)(at + j)};
                count += inside[j];
            }
        }
    }
    return count;
}

const st_bracket_fn ST_LEVELED(st_kern_bracket) = bracket;
