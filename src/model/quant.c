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

/* True if `name` is stem + `suffix` and stem + `other` exists too. */
static bool paired(const st_model *m, const char *name, size_t len, const char *suffix, const char *other)
{
    char key[1024];
    size_t ns = strlen(suffix), no = strlen(other);
    if (len < ns || memcmp(name + len - ns, suffix, ns) != 0 || len - ns + no > sizeof key) return false;
    memcpy(key, name, len - ns);
    memcpy(key + len - ns, other, no);
    return st_model_find(m, key, len - ns + no) >= 0;
}

const char *st_quant_layout(const st_model *m, const char *name, size_t len)
{
    for (size_t i = 0; i < sizeof layouts / sizeof *layouts; i++)
        if (paired(m, name, len, layouts[i].codes, layouts[i].companion) ||
            paired(m, name, len, layouts[i].companion, layouts[i].codes))
            return layouts[i].layout;
    return NULL;
}
