/* test_dtype.c - facts of dtypes, promotion, sizes and broadcasting. */
#include "dtype.h"
#include "shape.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* ---------------------------------------------------------------- dtypes */

static void names_parse(void **state)
{
    (void)state;
    st_dtype d;
    for (int i = 0; i < ST_DTYPE_COUNT; i++) {
        const char *name = st_dtype_name((st_dtype)i);
        assert_true(st_dtype_parse(name, strlen(name), false, &d));
        assert_int_equal(d, i);
        assert_false(st_dtype_parse(name, strlen(name) - 1, false, &d) && (int)d == i);
    }
    assert_true(st_dtype_parse("f8_e4m3Fnuz", 11, true, &d));
    assert_int_equal(d, ST_F8_E4M3FNUZ);
    assert_false(st_dtype_parse("bf16", 4, false, &d));
    assert_true(st_dtype_parse("bf16", 4, true, &d));
    assert_int_equal(d, ST_BF16);
    assert_false(st_dtype_parse("BF160", 5, true, &d));
    assert_false(st_dtype_parse("", 0, true, &d));
    assert_false(st_dtype_parse("F1\0", 3, true, &d));
}

static void facts(void **state)
{
    (void)state;
    static const struct {
        st_dtype d;
        unsigned bits;
        st_kind kind;
        st_reg reg;
    } some[] = {
        {ST_BOOL, 8, ST_KIND_BOOL, ST_R_B8},      {ST_F4, 4, ST_KIND_RAW, ST_R_NONE},
        {ST_F6_E2M3, 6, ST_KIND_RAW, ST_R_NONE},  {ST_F8_E8M0, 8, ST_KIND_RAW, ST_R_NONE},
        {ST_U8, 8, ST_KIND_UINT, ST_R_I64},       {ST_BF16, 16, ST_KIND_FLOAT, ST_R_F32},
        {ST_C64, 64, ST_KIND_COMPLEX, ST_R_NONE}, {ST_F64, 64, ST_KIND_FLOAT, ST_R_F64},
        {ST_U64, 64, ST_KIND_UINT, ST_R_U64},     {ST_I64, 64, ST_KIND_INT, ST_R_I64},
    };
    for (size_t i = 0; i < sizeof some / sizeof *some; i++) {
        assert_int_equal(st_dtype_bits(some[i].d), some[i].bits);
        assert_int_equal(st_dtype_kind(some[i].d), some[i].kind);
        assert_int_equal(st_dtype_reg(some[i].d), some[i].reg);
    }
    for (int r = 0; r < ST_REG_COUNT; r++) {
        assert_int_equal(st_dtype_reg(st_reg_dtype((st_reg)r)), r);
        assert_int_equal(st_dtype_bits(st_reg_dtype((st_reg)r)), 8 * st_reg_size((st_reg)r));
    }
    assert_int_equal(st_reg_size(ST_R_NONE), 0);
    assert_true(st_dtype_max(ST_F16) == 65504 && st_dtype_max(ST_F8_E4M3) == 448 &&
                st_dtype_max(ST_F8_E4M3FNUZ) == 240);
}

/* Every pair that torch.promote_types answers. */
static void promotes_as_torch(void **state)
{
    (void)state;
    FILE *f = fopen("tests/fixtures/cast/promote.txt", "r");
    assert_non_null(f);
    char name[3][16];
    int pairs = 0;
    while (fscanf(f, "%15s %15s %15s", name[0], name[1], name[2]) == 3) {
        st_dtype d[3], got;
        for (int i = 0; i < 3; i++) assert_true(st_dtype_parse(name[i], strlen(name[i]), false, &d[i]));
        assert_int_equal(st_dtype_promote(d[0], d[1], &got, NULL), ST_OK);
        if (got != d[2]) fail_msg("%s with %s: %s, torch %s", name[0], name[1], st_dtype_name(got), name[2]);
        pairs++;
    }
    fclose(f);
    assert_int_equal(pairs, 131);
}

static void promotes_beyond_torch(void **state)
{
    (void)state;
    static const st_dtype known[][3] = {
        {ST_F8_E4M3, ST_F32, ST_F32},     {ST_F8_E4M3, ST_BF16, ST_BF16},   {ST_F8_E5M2, ST_F16, ST_F16},
        {ST_F8_E4M3, ST_F8_E5M2, ST_F32}, {ST_F8_E4M3, ST_I64, ST_F8_E4M3}, {ST_F8_E4M3FNUZ, ST_BOOL, ST_F8_E4M3FNUZ},
        {ST_U16, ST_U8, ST_U16},          {ST_U16, ST_U32, ST_U32},         {ST_U64, ST_U32, ST_U64},
        {ST_U16, ST_I8, ST_I32},          {ST_U16, ST_I16, ST_I32},         {ST_U32, ST_I32, ST_I64},
        {ST_U32, ST_I64, ST_I64},         {ST_U64, ST_BOOL, ST_U64},        {ST_U64, ST_F64, ST_F64},
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        st_dtype got;
        for (int swap = 0; swap < 2; swap++) {
            assert_int_equal(st_dtype_promote(known[i][swap], known[i][!swap], &got, NULL), ST_OK);
            if (got != known[i][2])
                fail_msg("%s with %s: %s", st_dtype_name(known[i][swap]), st_dtype_name(known[i][!swap]),
                         st_dtype_name(got));
        }
    }
    static const st_dtype refused[][2] = {
        {ST_U64, ST_I8}, {ST_U64, ST_I64}, {ST_C64, ST_F32}, {ST_F4, ST_F4}, {ST_F32, ST_F8_E8M0}};
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        st_err err;
        st_dtype got;
        for (int swap = 0; swap < 2; swap++)
            assert_int_equal(st_dtype_promote(refused[i][swap], refused[i][!swap], &got, &err), ST_DTYPE);
    }
    st_err err;
    st_dtype got;
    st_dtype_promote(ST_I32, ST_U64, &got, &err);
    assert_string_equal(err.message, "no integer dtype holds both I32 and U64: cast one of them first");
    st_dtype_promote(ST_I32, ST_F4, &got, &err);
    assert_string_equal(err.message, "F4 can be stored and copied, but not computed on");
}

/* ---------------------------------------------------------------- shapes */

static void products_are_checked(void **state)
{
    (void)state;
    uint64_t n;
    assert_true(st_shape_numel(0, NULL, &n) && n == 1);
    assert_true(st_shape_numel(3, (const int64_t[]){2, 3, 4}, &n) && n == 24);
    assert_true(st_shape_numel(2, (const int64_t[]){0, INT64_MAX}, &n) && n == 0);
    assert_false(st_shape_numel(1, (const int64_t[]){-1}, &n));
    assert_true(st_shape_numel(2, (const int64_t[]){INT64_MAX, 2}, &n) && n == UINT64_MAX - 1);
    assert_false(st_shape_numel(2, (const int64_t[]){INT64_MAX, 3}, &n));
    assert_false(st_shape_numel(3, (const int64_t[]){INT64_MAX, 3, 0}, &n));
    assert_true(st_shape_numel(3, (const int64_t[]){0, INT64_MAX, 3}, &n) && n == 0);

    assert_true(st_dtype_bytes(ST_F32, 3, &n) && n == 12);
    assert_true(st_dtype_bytes(ST_F4, 6, &n) && n == 3);
    assert_false(st_dtype_bytes(ST_F4, 5, &n));
    assert_true(st_dtype_bytes(ST_F6_E2M3, 4, &n) && n == 3);
    assert_false(st_dtype_bytes(ST_F6_E3M2, 2, &n));
    assert_true(st_dtype_bytes(ST_F64, UINT64_MAX / 64, &n) && n == UINT64_MAX / 64 * 8);
    assert_false(st_dtype_bytes(ST_F64, UINT64_MAX / 64 + 1, &n));
}

static void broadcasts_as_numpy(void **state)
{
    (void)state;
    static const struct {
        int na, nb, nout; /* nout -1: refused */
        int64_t a[4], b[4], out[4];
    } cases[] = {
        {0, 0, 0, {0}, {0}, {0}},       {2, 0, 2, {2, 3}, {0}, {2, 3}},
        {2, 1, 2, {2, 3}, {3}, {2, 3}}, {3, 2, 3, {4, 1, 5}, {6, 1}, {4, 6, 5}},
        {1, 1, 1, {0}, {1}, {0}},       {2, 2, 2, {1, 0}, {7, 1}, {7, 0}},
        {1, 1, -1, {0}, {2}, {0}},      {2, 1, -1, {2, 3}, {2}, {0}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int64_t out[ST_MAX_DIMS];
        int nout = -2;
        for (int swap = 0; swap < 2; swap++) {
            st_status s = swap ? st_shape_broadcast(cases[i].nb, cases[i].b, cases[i].na, cases[i].a, &nout, out, NULL)
                               : st_shape_broadcast(cases[i].na, cases[i].a, cases[i].nb, cases[i].b, &nout, out, NULL);
            assert_int_equal(s, cases[i].nout < 0 ? ST_SHAPE : ST_OK);
            if (s == ST_OK) assert_true(st_shape_equal(nout, out, cases[i].nout, cases[i].out));
        }
    }
    st_err err;
    int nout;
    int64_t out[ST_MAX_DIMS];
    assert_int_equal(st_shape_broadcast(2, (const int64_t[]){2, 3}, 1, (const int64_t[]){4}, &nout, out, &err),
                     ST_SHAPE);
    assert_string_equal(err.message, "shapes [2, 3] and [4] do not fit each other: sizes 3 and 4 in dimension -1");
    assert_false(st_shape_equal(1, (const int64_t[]){2}, 1, (const int64_t[]){3}));
    assert_false(st_shape_equal(1, (const int64_t[]){1}, 0, NULL));
}

static void shapes_as_text(void **state)
{
    (void)state;
    char text[64];
    st_shape_text(text, sizeof text, 0, NULL);
    assert_string_equal(text, "[]");
    st_shape_text(text, sizeof text, 2, (const int64_t[]){32000, 4096});
    assert_string_equal(text, "[32000, 4096]");
    int64_t many[ST_MAX_DIMS];
    for (int i = 0; i < ST_MAX_DIMS; i++) many[i] = 1000000 + i;
    for (size_t cap = 16; cap <= sizeof text; cap++) { /* cut, closed, and inside the buffer */
        memset(text, 'x', sizeof text);
        st_shape_text(text, cap, ST_MAX_DIMS, many);
        size_t len = strlen(text);
        assert_true(len < cap);
        assert_string_equal(text + len - 4, "...]");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_parse),          cmocka_unit_test(facts),
        cmocka_unit_test(promotes_as_torch),    cmocka_unit_test(promotes_beyond_torch),
        cmocka_unit_test(products_are_checked), cmocka_unit_test(broadcasts_as_numpy),
        cmocka_unit_test(shapes_as_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
