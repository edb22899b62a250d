/* quant.c - which tensors are codes or scales of a quantised layout. Layer: model.
 *
 * Such files keep a weight's codes under one name and its scales under names beside it. Neither may be averaged or
 * cast. One row per pair: where both names exist under the same stem, both belong to the layout. */
#include "quant.h"

#include <string.h>

static const struct {
    const char *layout, *codes, *companion;
    size_t codes_len, companion_len;
} layouts[] = {
#define ROW(layout, codes, companion)                                    \
    {                                                                    \
        layout, codes, companion, sizeof codes - 1, sizeof companion - 1 \
    }
    ROW("scaled fp8", ".weight", ".scale_weight"),
    ROW("scaled fp8", ".weight", ".scale_input"),
    ROW("comfy_quant", ".weight", ".comfy_quant"),
    ROW("scaled weight", ".weight", ".weight_scale"),
    ROW("scaled weight", ".weight", ".weight_scale_inv"),
    ROW("scaled weight", ".weight", ".weight_scale_2"),
    ROW("scaled weight", ".weight", ".input_scale"),
    ROW("scaled weight", ".weight", ".pre_quant_scale"),
    ROW("compressed-tensors", ".weight_packed", ".weight_scale"),
    ROW("compressed-tensors", ".weight_packed", ".weight_zero_point"),
    ROW("compressed-tensors", ".weight_packed", ".weight_shape"),
    ROW("compressed-tensors", ".weight_packed", ".weight_global_scale"),
    ROW("bitsandbytes 4-bit", ".weight", ".weight.absmax"),
    ROW("bitsandbytes 4-bit", ".weight", ".weight.quant_map"),
    ROW("bitsandbytes 4-bit", ".weight", ".weight.nested_absmax"),
    ROW("bitsandbytes 4-bit", ".weight", ".weight.nested_quant_map"),
    ROW("bitsandbytes 4-bit", ".weight", ".weight.quant_state.bitsandbytes__nf4"),
    ROW("bitsandbytes 4-bit", ".weight", ".weight.quant_state.bitsandbytes__fp4"),
    ROW("bitsandbytes int8", ".weight", ".SCB"),
    ROW("bitsandbytes int8", ".weight", ".weight_format"),
    ROW("GPTQ or AWQ", ".qweight", ".scales"),
    ROW("GPTQ or AWQ", ".qweight", ".qzeros"),
    ROW("GPTQ or AWQ", ".qweight", ".g_idx"),
    ROW("MXFP4", "_blocks", "_scales"),
    ROW("quanto", ".weight._data", ".weight._scale"),
    ROW("HQQ", ".W_q", ".scale"),
    ROW("HQQ", ".W_q", ".zero"),
#undef ROW
};

enum { LAYOUTS = sizeof layouts / sizeof *layouts };
_Static_assert(LAYOUTS <= 64, "a set of rows is one word");

typedef struct suffix {
    const char *text;
    size_t len;
} suffix;
static suffix codes_of_row(int row) { return (suffix){layouts[row].codes, layouts[row].codes_len}; }
static suffix companion_of_row(int row) { return (suffix){layouts[row].companion, layouts[row].companion_len}; }

/* First and last byte tell most of them apart. */
static bool ends_with(const char *name, size_t len, suffix s)
{
    return len >= s.len && name[len - 1] == s.text[s.len - 1] && name[len - s.len] == s.text[0] &&
           memcmp(name + len - s.len, s.text, s.len) == 0;
}

/* Where stem + `other` is, if `name` is stem + `own`; else -1. */
static int64_t partner(const st_model *m, const char *name, size_t len, suffix own, suffix other)
{
    char key[1024];
    if (!ends_with(name, len, own) || len - own.len + other.len > sizeof key) return -1;
    memcpy(key, name, len - own.len);
    memcpy(key + len - own.len, other.text, other.len);
    return st_model_find(m, key, len - own.len + other.len);
}

const char *st_quant_layout(const st_model *m, const char *name, size_t len)
{
    for (int i = 0; i < LAYOUTS; i++)
        if (partner(m, name, len, codes_of_row(i), companion_of_row(i)) >= 0 ||
            partner(m, name, len, companion_of_row(i), codes_of_row(i)) >= 0)
            return layouts[i].layout;
    return NULL;
}

/* Where the codes are whose first companion, in the table's order, this tensor is; else -1. So each weight is met once,
 * whatever else stands beside it. */
static int64_t codes_of(const st_model *m, int row, const st_info *info)
{
    int64_t i = partner(m, info->name, info->name_len, companion_of_row(row), codes_of_row(row));
    if (i < 0) return -1;
    st_info codes = st_model_info(m, (size_t)i);
    for (int r = 0; r < row; r++)
        if (partner(m, codes.name, codes.name_len, codes_of_row(r), companion_of_row(r)) >= 0) return -1;
    return i;
}

static void count_use(st_quant_use *list, size_t cap, size_t *n, const st_quant_use *use)
{
    for (size_t i = 0; i < *n; i++)
        if (list[i].layout == use->layout && list[i].codes == use->codes && list[i].scales == use->scales) {
            list[i].weights++;
            return;
        }
    if (*n < cap) list[(*n)++] = *use;
}

size_t st_model_quants(const st_model *m, st_quant_use *list, size_t cap)
{
    size_t n = 0;
    uint64_t rows[256] = {0}; /* of companions that end in this byte */
    for (int row = 0; row < LAYOUTS; row++)
        rows[(uint8_t)layouts[row].companion[layouts[row].companion_len - 1]] |= UINT64_C(1) << row;
    for (size_t i = 0, count = st_model_count(m); i < count; i++) {
        st_info info = st_model_info(m, i);
        uint64_t left = info.name_len > 0 ? rows[(uint8_t)info.name[info.name_len - 1]] : 0;
        for (; left; left &= left - 1) {
            int row = __builtin_ctzll(left);
            int64_t at = codes_of(m, row, &info);
            if (at < 0) continue;
            st_quant_use use = {layouts[row].layout, st_model_info(m, (size_t)at).dtype, info.dtype, 1, (size_t)at, i};
            count_use(list, cap, &n, &use);
            break;
        }
    }
    return n;
}
