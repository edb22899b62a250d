/* test_planes.c - lanes into planes and back: every level alike, and as the definition says. */
#include "support.h"

#include "kern.h"
#include "mem.h"

#include <string.h>

enum { LANES = 1000, BYTES = LANES * 8 };

static unsigned char source[BYTES + 8], base[BYTES + 8];

static int setup(void **state)
{
    (void)state;
    uint64_t x = 88172645463325252u;
    for (size_t i = 0; i < sizeof source; i++) {
        x ^= x << 13, x ^= x >> 7, x ^= x << 17;
        source[i] = (unsigned char)(x >> 20);
        base[i] = i % 3 ? source[i] : (unsigned char)(x >> 30);
    }
    return 0;
}

static uint64_t lane(const unsigned char *p, size_t i, unsigned width)
{
    uint64_t v = 0;
    memcpy(&v, p + i * width, width);
    return v;
}

static uint64_t mask(unsigned width) { return width == 8 ? UINT64_MAX : ((uint64_t)1 << 8 * width) - 1; }
static uint64_t key(uint64_t u, unsigned width)
{
    uint64_t sign = (mask(width) >> 1) + 1;
    return (u & sign ? ~u : u ^ sign) & mask(width);
}

/* The definition, a lane at a time. */
static uint64_t transformed(st_planes t, uint64_t u, uint64_t b, unsigned width)
{
    uint64_t top = 8 * width - 1, m = mask(width), d = u;
    if (t == ST_PL_PLAIN) return u;
    if (t == ST_PL_ROTATE) return (u << 1 | u >> top) & m;
    d = t == ST_PL_DELTA ? (u - b) & m : (key(u, width) - key(b, width)) & m;
    return (d >> top ? ~(d << 1) : d << 1) & m;
}

static void check(const st_kernels *k, int log2, st_planes t, const unsigned char *src, const unsigned char *other,
                  size_t n)
{
    static unsigned char planes[8][LANES + 1], back[BYTES + 8];
    uint8_t *list[8];
    unsigned width = 1u << log2;
    for (int p = 0; p < 8; p++) {
        list[p] = planes[p];
        planes[p][n] = 0x5a;
    }
    k->split[log2][t](list, src, other, n);
    for (size_t i = 0; i < n; i++) {
        uint64_t want = transformed(t, lane(src, i, width), lane(other, i, width), width);
        for (unsigned p = 0; p < width; p++) assert_int_equal(planes[p][i], want >> 8 * p & 255);
    }
    for (unsigned p = 0; p < 8; p++) assert_int_equal(planes[p][n], 0x5a);
    back[n * width] = 0x5a;
    k->join[log2][t](back, (const uint8_t *const *)list, other, n);
    assert_memory_equal(back, src, n * width);
    assert_int_equal(back[n * width], 0x5a);
}

static void test_all(void **state)
{
    (void)state;
    for (unsigned level = 0; st_kern_level(level); level++)
        for (int log2 = 0; log2 < ST_LANES; log2++)
            for (st_planes t = 0; t < ST_PL_COUNT; t++)
                for (size_t n = 0; n <= LANES; n = n < 70 ? n + 1 : n * 2 + 3) {
                    check(st_kern_level(level), log2, t, source, base, n);
                    check(st_kern_level(level), log2, t, source + 1, base + 3, n);
                }
}

/* Every 16-bit value against some bases, edges among them. */
static void test_every_half(void **state)
{
    (void)state;
    static const uint16_t bases[] = {0, 1, 0x7fff, 0x8000, 0x8001, 0xffff, 0x3f80, 0x7f80, 0x7fc0, 0xff80, 0x1234};
    enum { ALL = 1 << 16 };
    uint16_t *u = st_malloc(3 * ALL * sizeof *u), *b = u + ALL, *back = b + ALL;
    uint8_t *p = st_malloc(2 * ALL), *planes[2] = {p, p + ALL};
    for (size_t i = 0; i < ALL; i++) u[i] = (uint16_t)i;
    for (size_t k = 0; k < sizeof bases / sizeof *bases; k++)
        for (st_planes t = 0; t < ST_PL_COUNT; t++) {
            for (size_t i = 0; i < ALL; i++) b[i] = bases[k];
            st_kern()->split[1][t](planes, u, b, ALL);
            st_kern()->join[1][t](back, (const uint8_t *const *)planes, b, ALL);
            assert_memory_equal(back, u, ALL * sizeof *u);
        }
    st_free(u);
    st_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_all), cmocka_unit_test(test_every_half)};
    return cmocka_run_group_tests(tests, setup, NULL);
}
