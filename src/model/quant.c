/* quant.c - which tensors are codes or scales of a quantised layout. Layer: model.
 *
 * Such files keep a weight's codes under one name and its scales under names beside it. Neither may be averaged or
 * cast. One row per pair: where both names exist under the same stem, both belong to the layout. */
#include "quant.h"

#include <string.h>

static const struct {
    const char *layout, *codes, *companion;
} layouts[] = {
    {"scaled fp8", ".weight", ".scale_weight"},
    {"scaled fp8", ".weight", ".scale_input"},
    {"comfy_quant", ".weight", ".comfy_quant"},
    {"scaled weight", ".weight", ".weight_scale"},
    {"scaled weight", ".weight", ".weight_scale_inv"},
    {"scaled weight", ".weight", ".weight_scale_2"},
    {"scaled weight", ".weight", ".input_scale"},
    {"scaled weight", ".weight", ".pre_quant_scale"},
    {"compressed-tensors", ".weight_packed", ".weight_scale"},
    {"compressed-tensors", ".weight_packed", ".weight_zero_point"},
    {"compressed-tensors", ".weight_packed", ".weight_shape"},
    {"compressed-tensors", ".weight_packed", ".weight_global_scale"},
    {"bitsandbytes 4-bit", ".weight", ".weight.absmax"},
    {"bitsandbytes 4-bit", ".weight", ".weight.quant_map"},
    {"bitsandbytes 4-bit", ".weight", ".weight.nested_absmax"},
    {"bitsandbytes 4-bit", ".weight", ".weight.nested_quant_map"},
    {"bitsandbytes 4-bit", ".weight", ".weight.quant_state.bitsandbytes__nf4"},
    {"bitsandbytes 4-bit", ".weight", ".weight.quant_state.bitsandbytes__fp4"},
    {"bitsandbytes int8", ".weight", ".SCB"},
    {"bitsandbytes int8", ".weight", ".weight_format"},
    {"GPTQ or AWQ", ".qweight", ".scales"},
    {"GPTQ or AWQ", ".qweight", ".qzeros"},
    {"GPTQ or AWQ", ".qweight", ".g_idx"},
    {"MXFP4", "_blocks", "_scales"},
    {"quanto", ".weight._data", ".weight._scale"},
    {"HQQ", ".W_q", ".scale"},
    {"HQQ", ".W_q", ".zero"},
};

enum { LAYOUTS = sizeof layouts / sizeof *layouts };

static bool ends_with(const char *name, size_t len, const char *suffix)
{
    size_t n = strlen(suffix);
    return len >= n && name[len - 1] == suffix[n - 1] && memcmp(name + len - n, suffix, n) == 0;
}

/* Where stem + `other` is, if `name` is stem + `suffix`; else -1. */
static int64_t partner(const st_model *m, const char *name, size_t len, const char *suffix, const char *other)
{
    char key[1024];
    size_t ns = strlen(suffix), no = strlen(other);
    if (!ends_with(name, len, suffix) || len - ns + no > sizeof key) return -1;
    memcpy(key, name, len - ns);
    memcpy(key + len - ns, other, no);
    return st_model_find(m, key, len - ns + no);
}

const char *st_quant_layout(const st_model *m, const char *name, size_t len)
{
    for (int i = 0; i < LAYOUTS; i++)
        if (partner(m, name, len, layouts[i].codes, layouts[i].companion) >= 0 ||
            partner(m, name, len, layouts[i].companion, layouts[i].codes) >= 0)
            return layouts[i].layout;
    return NULL;
}

/* Where the codes are whose first companion, in the table's order, this tensor is; else -1. So each weight is met once,
 * whatever else stands beside it. */
static int64_t codes_of(const st_model *m, int row, const st_info *info)
{
    int64_t i = partner(m, info->name, info->name_len, layouts[row].companion, layouts[row].codes);
    if (i < 0) return -1;
    st_info codes = st_model_info(m, (size_t)i);
    for (int r = 0; r < row; r++)
        if (partner(m, codes.name, codes.name_len, layouts[r].codes, layouts[r].companion) >= 0) return -1;
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
    for (size_t i = 0, count = st_model_count(m); i < count; i++) {
        st_info info = st_model_info(m, i);
        for (int row = 0; row < LAYOUTS; row++) {
            int64_t at = codes_of(m, row, &info);
            if (at < 0) continue;
            st_quant_use use = {layouts[row].layout, st_model_info(m, (size_t)at).dtype, info.dtype, 1, (size_t)at, i};
            count_use(list, cap, &n, &use);
            break;
        }
    }
    return n;
}
