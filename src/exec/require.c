/* require.c - a number that must fulfil a condition which is known only when it is computed. Layer: exec. */
#include "tensor.h"

#include <string.h>

/* args: value, condition, message as bytes. */
static st_status compute_required(st_ctx *ctx, const st_tensor *t, void *out, st_err *err)
{
    uint8_t holds;
    ST_TRY(st_export(ctx, t->args[1], 0, 1, ST_BOOL, &holds, err));
    if (!holds) return st_fail(err, ST_ARG, NULL, NULL, "%s", (const char *)t->args[2]->values);
    return st_export(ctx, t->args[0], 0, 1, st_reg_dtype(st_dtype_reg(t->dtype)), out, err);
}

static const st_whole whole_required = {"a requirement", compute_required};

st_status st_require(st_tensor *value, st_tensor *holds, const char *message, st_tensor **out, st_err *err)
{
    st_tensor *text;
    int64_t n = (int64_t)strlen(message) + 1;
    *out = NULL;
    ST_TRY(st_check_computable(value, "require", err));
    if (value->numel != 1 || holds->numel != 1)
        return st_fail(err, ST_SHAPE, NULL, value->name,
                       "require: the value and the condition must be one number each");
    ST_TRY(st_tensor_new(ST_U8, 1, &n, message, (uint64_t)n, &text, err));
    st_status s = st_node_new(ST_N_WHOLE, value->dtype, 0, NULL, 3, (st_tensor *[]){value, holds, text}, out, err);
    st_tensor_unref(text);
    if (s == ST_OK) (*out)->whole = &whole_required;
    return s;
}
