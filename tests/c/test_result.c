/* test_result.c - result dtypes are torch.result_type's, for tensors with dimensions, 0-d tensors and numbers. */
#include "support.h"

#include "tensor.h"

#include <stdio.h>
#include <string.h>

static st_tensor *make(const char *kind, const char *dtype)
{
    st_tensor *t = NULL;
    st_err err;
    int64_t two = 2;
    char zeros[16] = {0};
    st_dtype d;
    assert_true(st_dtype_parse(dtype, strlen(dtype), false, &d));
    bool dims = strcmp(kind, "dims") == 0;
    if (strcmp(kind, "number") == 0 && d == ST_I64)
        assert_ok(st_integer(1, &t, &err));
    else if (strcmp(kind, "number") == 0)
        assert_ok(st_number(1.5, &t, &err));
    else
        assert_ok(st_tensor_new(d, dims, &two, zeros, st_dtype_bits(d) / 8 * (dims ? 2 : 1), &t, &err));
    return t;
}

static void test_result_types(void **state)
{
    (void)state;
    FILE *f = fopen("tests/fixtures/result_types.txt", "r");
    char ka[8], da[8], kb[8], db[8], want[8];
    int lines = 0;
    assert_non_null(f);
    while (fscanf(f, "%7s %7s %7s %7s %7s", ka, da, kb, db, want) == 5) {
        st_tensor *args[2] = {make(ka, da), make(kb, db)};
        st_dtype got;
        st_err err;
        assert_ok(st_result_dtype(args, 2, &got, &err));
        if (strcmp(st_dtype_name(got), want))
            fail_msg("%s %s with %s %s: got %s, torch says %s", ka, da, kb, db, st_dtype_name(got), want);
        st_tensor_unref(args[0]);
        st_tensor_unref(args[1]);
        lines++;
    }
    fclose(f);
    assert_int_equal(lines, 690);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_result_types)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
