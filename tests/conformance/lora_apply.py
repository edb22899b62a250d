"""Adapters merged into models: st.lora.apply against PEFT 0.21's merge_and_unload on a small Llama (F32: 1e-6 of the
largest magnitude), and against the published formulas, computed with torch, for kohya's and LyCORIS' forms."""
import copy
import os
import shutil
import warnings

import peft.tuners.boft.layer as boft_layer
import torch
from peft import BOFTConfig, IA3Config, LoHaConfig, LoKrConfig, LoraConfig, OFTConfig, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM
from transformers.utils.logging import disable_progress_bar

from tap import check, covers, finish, scratch, script

warnings.filterwarnings("ignore")
disable_progress_bar()
torch.manual_seed(5)
TIGHT = 1e-6
FOLDER = scratch()


def path_of(name):
    return os.path.join(FOLDER, name)


def apply(model, adapters, out, options="nil"):
    listed = ", ".join('{ "%s", %s }' % (path, strength) for path, strength in adapters)
    text = 'st.lora.apply(st.open("%s"), { %s }, 1, %s):save("%s", { sync = false })' % (
        model, listed, options, out)
    result = script(text)
    if result.returncode:
        print("#", result.stderr.strip())
    return result


def close(want, got, bound):
    largest = max(want.abs().max().item(), 1e-30)
    return want.shape == got.shape and (want.double() - got.double()).abs().max().item() <= bound * largest


def compare(name, want, got, bound=TIGHT):
    wrong = [k for k in want if k not in got or not close(want[k], got[k], bound)]
    check(not wrong and want.keys() == got.keys(), name, ", ".join(sorted(wrong)[:4]))


# ---------------------------------------------------------------- PEFT

LLAMA = LlamaConfig(vocab_size=97, hidden_size=32, intermediate_size=56, num_hidden_layers=2, num_attention_heads=4,
                    num_key_value_heads=2, tie_word_embeddings=False, attention_bias=True)
BOTH = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
CONFIGS = {
    "plain": LoraConfig(r=8, lora_alpha=16, target_modules=BOTH),
    "alpha below rank": LoraConfig(r=8, lora_alpha=3, target_modules=["q_proj"]),
    "rslora": LoraConfig(r=8, lora_alpha=16, use_rslora=True, target_modules=BOTH),
    "DoRA": LoraConfig(r=4, lora_alpha=8, use_dora=True, target_modules=BOTH),
    "rank and alpha patterns": LoraConfig(
        r=8, lora_alpha=16, target_modules=BOTH,
        rank_pattern={"model.layers.0.self_attn.q_proj": 3, r"layers\.\d+\.mlp.*": 5},
        alpha_pattern={"model.layers.0.self_attn.q_proj": 7, r"^model.layers.1.*": 4}),
    "rslora with patterns": LoraConfig(r=8, lora_alpha=16, use_rslora=True, target_modules=["q_proj", "v_proj"],
                                       rank_pattern={"q_proj": 2}),
    "embeddings": LoraConfig(r=4, lora_alpha=8, target_modules=["embed_tokens", "q_proj"]),
    "lm_head": LoraConfig(r=4, lora_alpha=8, target_modules=["lm_head", "q_proj"]),
    "modules_to_save": LoraConfig(r=4, lora_alpha=8, target_modules=["q_proj"], modules_to_save=["lm_head", "norm"]),
    "bias of the factors": LoraConfig(r=4, lora_alpha=8, target_modules=["q_proj", "v_proj"], lora_bias=True),
    "bias of the modules": LoraConfig(r=4, lora_alpha=8, target_modules=["q_proj", "v_proj"], bias="lora_only"),
    "all biases": LoraConfig(r=4, lora_alpha=8, target_modules=["q_proj", "v_proj"], bias="all"),
    "rank above the matrix": LoraConfig(r=80, lora_alpha=16, target_modules=["k_proj"]),
    "LoHa": LoHaConfig(r=4, alpha=6, target_modules=BOTH, rank_pattern={"q_proj": 3}, alpha_pattern={"k_proj": 2}),
    "LoKr": LoKrConfig(r=3, alpha=6, target_modules=BOTH),
    "LoKr of factors": LoKrConfig(r=2, alpha=5, decompose_both=True, decompose_factor=4, target_modules=BOTH),
    "LoKr of whole matrices": LoKrConfig(r=30, alpha=10, target_modules=BOTH, rank_pattern={"q_proj": 40}),
    "IA3": IA3Config(target_modules=["k_proj", "v_proj", "down_proj"], feedforward_modules=["down_proj"]),
    "OFT": OFTConfig(oft_block_size=8, use_cayley_neumann=False, target_modules=BOTH),
    "OFT by the number of blocks": OFTConfig(r=4, oft_block_size=0, use_cayley_neumann=False, target_modules=BOTH),
    "OFT, one block for all": OFTConfig(oft_block_size=8, block_share=True, use_cayley_neumann=False,
                                        target_modules=BOTH),
    "OFT, one block alone": OFTConfig(oft_block_size=32, use_cayley_neumann=False, target_modules=["q_proj"]),
    "COFT": OFTConfig(oft_block_size=8, coft=True, eps=0.2, use_cayley_neumann=False, target_modules=BOTH),
    "OFT of embeddings": OFTConfig(oft_block_size=8, use_cayley_neumann=False,
                                   target_modules=["embed_tokens", "q_proj"]),
    "OFT with a module saved": OFTConfig(oft_block_size=8, target_modules=["q_proj"], modules_to_save=["norm"]),
    "OFT with biases": OFTConfig(oft_block_size=8, target_modules=["q_proj"], bias="oft_only"),
    "BOFT": BOFTConfig(boft_block_size=8, target_modules=BOTH),
    "BOFT by the number of blocks": BOFTConfig(boft_block_size=0, boft_block_num=4, target_modules=BOTH),
    "BOFT, odd blocks": BOFTConfig(boft_block_size=7, target_modules=["down_proj"]),
    "BOFT of two stages": BOFTConfig(boft_block_size=8, boft_n_butterfly_factor=2, target_modules=["q_proj"]),
    "BOFT of four stages": BOFTConfig(boft_block_size=4, boft_n_butterfly_factor=4, target_modules=["q_proj"]),
}
for terms in range(1, 8):
    CONFIGS["OFT by a series of %d" % terms] = OFTConfig(oft_block_size=8, num_cayley_neumann_terms=terms,
                                                         target_modules=["q_proj", "down_proj"])
GPT2 = {
    "GPT-2": LoraConfig(r=4, lora_alpha=8, target_modules=["c_attn", "c_proj", "c_fc", "wte"], fan_in_fan_out=True),
    "GPT-2, DoRA": LoraConfig(r=4, lora_alpha=8, target_modules=["c_attn", "c_proj"], fan_in_fan_out=True,
                              use_dora=True),
}
CONV = ["wide", "square", "point", "linear"]
CONVOLUTIONS = {
    "LoRA": LoraConfig(r=4, lora_alpha=8, target_modules=CONV, rank_pattern={"wide": 2}),
    "DoRA": LoraConfig(r=4, lora_alpha=8, target_modules=CONV, use_dora=True),
    "LoHa": LoHaConfig(r=4, alpha=6, target_modules=CONV),
    "LoHa with tucker": LoHaConfig(r=4, alpha=6, target_modules=CONV, use_effective_conv2d=True),
    "LoKr": LoKrConfig(r=2, alpha=6, target_modules=CONV),
    "LoKr with tucker": LoKrConfig(r=2, alpha=6, target_modules=CONV, use_effective_conv2d=True),
    "IA3": IA3Config(target_modules=CONV, feedforward_modules=["linear", "square"]),
    "IA3 by a pattern": IA3Config(target_modules=CONV, feedforward_modules="(wi.e|point)"),
    "OFT": OFTConfig(oft_block_size=4, target_modules=CONV),
    "OFT by Cayley's transform": OFTConfig(oft_block_size=4, use_cayley_neumann=False, target_modules=CONV),
    "BOFT": BOFTConfig(boft_block_size=4, target_modules=CONV),
    "BOFT of two stages": BOFTConfig(boft_block_size=4, boft_n_butterfly_factor=2, target_modules=["wide"]),
}


def butterflies_without_cuda():
    """PEFT makes block diagonal matrices of BOFT with CUDA, and without it lowers the number of stages to 1."""
    boft_layer.get_fbd_cuda = lambda: True
    boft_layer.FastBlockDiag.apply = staticmethod(
        lambda blocks: torch.stack([torch.block_diag(*stage.unbind()) for stage in blocks]))


def randomise(model, config):
    """Adapters begin as zeros: give them values."""
    bias = getattr(config, "bias", "none")
    for name, p in model.named_parameters():
        if "boft_s" in name or "magnitude" in name or "ia3_" in name:
            p.data = p.data * (1 + 0.1 * torch.rand_like(p))
        elif "oft_" in name:
            p.data = torch.randn_like(p) * 0.2
        elif "lora_" in name or "hada_" in name or "lokr_" in name or "modules_to_save" in name:
            p.data = torch.randn_like(p) * 0.1
        elif name.endswith(".bias") and (bias == "all" or bias != "none" and "base_layer" in name):
            p.data = p.data + torch.randn_like(p) * 0.1


def peft_case(title, config, base, load, dtype=torch.float32):
    """A random adapter that PEFT saves and merges, against the same folder applied here."""
    folder = path_of("peft")
    shutil.rmtree(folder, ignore_errors=True)
    model = get_peft_model(load(), copy.deepcopy(config))
    randomise(model, config)
    model.save_pretrained(folder)
    merged = model.merge_and_unload().state_dict()
    out = path_of("out.safetensors")
    if apply(base, [(folder, 1)], out).returncode:
        return check(False, title)
    got = load_file(out)
    want = {k: v for k, v in merged.items() if k in got}
    if dtype == torch.float32:
        compare(title, want, got)
    else:      # PEFT's sum in F32 is the judge: the result is that, rounded once
        wrong = [k for k in want if not rounded(want[k], got[k])]
        check(not wrong, title, ", ".join(wrong[:4]))


def rounded(want, got):
    """Whether BF16 is F32 rounded once: not more than a step beside it, but where F32 itself cancels to that."""
    def ordered(t):
        i = t.contiguous().view(torch.int16).int()
        return torch.where(i < 0, -32768 - i, i)
    steps = (ordered(want.bfloat16()) - ordered(got)).abs()
    tiny = (want.double() - got.double()).abs() <= TIGHT * want.abs().max()
    return bool(((steps <= 1) | tiny).all())


class Convolutions(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.wide = torch.nn.Conv2d(8, 12, 3)
        self.square = torch.nn.Conv2d(12, 12, 3)
        self.point = torch.nn.Conv2d(12, 16, 1)
        self.linear = torch.nn.Linear(16, 8)


def peft_cases():
    butterflies_without_cuda()
    for dtype in (torch.float32, torch.bfloat16):
        base = path_of("base-%s" % str(dtype)[6:])
        model = LlamaForCausalLM(LLAMA)
        for layer in model.model.layers:      # which begin as zeros
            for bias in (p for n, p in layer.named_parameters() if n.endswith("bias")):
                bias.data = torch.randn_like(bias) * 0.1
        model.to(dtype).save_pretrained(base)
        for name, config in CONFIGS.items():
            peft_case("PEFT%s: %s" % (", BF16" if dtype == torch.bfloat16 else "", name), config, base,
                      lambda: LlamaForCausalLM.from_pretrained(base, dtype=torch.float32), dtype)
    base = path_of("gpt2")
    GPT2LMHeadModel(GPT2Config(vocab_size=61, n_positions=16, n_embd=32, n_layer=2, n_head=4, bos_token_id=0,
                               eos_token_id=0)).save_pretrained(base)
    for name, config in GPT2.items():
        peft_case("PEFT: " + name, config, base, lambda: GPT2LMHeadModel.from_pretrained(base, dtype=torch.float32))
    base, model = path_of("convolutions.safetensors"), Convolutions()
    save_file(model.state_dict(), base)
    for name, config in CONVOLUTIONS.items():
        peft_case("PEFT, convolutions: " + name, config, base, lambda: copy.deepcopy(model))


# ---------------------------------------------------------------- kohya and LyCORIS, by their formulas

LINEAR = ("model.diffusion_model.input_blocks.1.1.transformer_blocks.0.attn1.to_q",
          "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q")
KERNEL = ("model.diffusion_model.input_blocks.1.0.in_layers.2", "lora_unet_down_blocks_0_resnets_0_conv1")
POINT = ("model.diffusion_model.input_blocks.1.1.proj_in", "lora_unet_down_blocks_0_attentions_0_proj_in")
NORM = ("model.diffusion_model.input_blocks.1.1.norm", "lora_unet_down_blocks_0_attentions_0_norm")


def r(*shape):
    return torch.randn(shape, dtype=torch.float64) * 0.2


def checkpoint():
    w = {"model.diffusion_model.input_blocks.0.0.weight": r(8, 4, 3, 3), LINEAR[0] + ".weight": r(24, 16),
         LINEAR[0] + ".bias": r(24), KERNEL[0] + ".weight": r(12, 8, 3, 3), KERNEL[0] + ".bias": r(12),
         POINT[0] + ".weight": r(16, 8, 1, 1), NORM[0] + ".weight": r(8), NORM[0] + ".bias": r(8)}
    return {k: v.float() for k, v in w.items()}


def tucker(t, a, b):
    """a (r, out), b (r, in)"""
    return torch.einsum("ijkl,ip,jq->pqkl", t, a, b).contiguous()


def turned(w, blocks, limit, scale=1.0):
    q = blocks - blocks.transpose(-1, -2)
    if limit > 0 and torch.norm(q) + 1e-8 > limit:
        q = q * limit / (torch.norm(q) + 1e-8)
    eye = torch.eye(blocks.shape[-1], dtype=blocks.dtype)
    turn = (eye + q) @ torch.linalg.inv(eye - q)
    if blocks.ndim == 3:
        n, b, _ = blocks.shape
        return torch.einsum("knm,kn...->km...", turn, w.reshape(n, b, *w.shape[1:])).reshape(w.shape)
    for i in range(blocks.shape[0]):
        g, k, b = 2, 2 ** i * (blocks.shape[-1] // 2), blocks.shape[-1]
        stage = turn[i] * scale + (1 - scale) * eye
        w = w.unflatten(0, (-1, g, k)).transpose(1, 2).flatten(0, 2).unflatten(0, (-1, b))
        w = torch.einsum("bij,bj...->bi...", stage, w)
        w = w.flatten(0, 1).unflatten(0, (-1, k, g)).transpose(1, 2).flatten(0, 2)
    return w


def series(v, transposed):
    """I + 2 Q + 2 Q^2 + 2 Q^3 + Q^4 of the skew-symmetric Q above whose diagonals the rows of v stand."""
    b = 8
    q = torch.zeros(len(v), b, b, dtype=v.dtype)
    rows, columns = torch.triu_indices(b, b, 1)
    q[:, rows, columns] = v
    q = q - q.transpose(1, 2)
    out = torch.eye(b, dtype=v.dtype) + 2 * q + 2 * q @ q + 2 * q @ q @ q + q @ q @ q @ q
    return out.transpose(1, 2) if transposed else out


def lycoris_cases(w, m):
    """name, tensors of the adapter (without the module's name), module, the new weight (and bias) from the old."""
    lin, conv, point = (w[x[0] + ".weight"].double() for x in (LINEAR, KERNEL, POINT))
    down, up = r(4, 16), r(24, 4)
    yield "LoRA, linear", {"lora_down.weight": down, "lora_up.weight": up, "alpha": torch.tensor(2.0)}, LINEAR, \
        lin + m * 0.5 * up @ down
    yield "LoRA without alpha", {"lora_down.weight": down, "lora_up.weight": up}, LINEAR, lin + m * up @ down
    d, u = r(3, 8, 1, 1), r(16, 3, 1, 1)
    yield "LoRA, 1x1", {"lora_down.weight": d, "lora_up.weight": u, "alpha": torch.tensor(6.0)}, POINT, \
        point + m * 2 * (u.flatten(1) @ d.flatten(1)).reshape_as(point)
    d, u = r(3, 8, 3, 3), r(12, 3, 1, 1)
    yield "LoCon, 3x3", {"lora_down.weight": d, "lora_up.weight": u, "alpha": torch.tensor(1.5)}, KERNEL, \
        conv + m * 0.5 * (u.flatten(1) @ d.flatten(1)).reshape_as(conv)
    d, u, mid = r(3, 8, 1, 1), r(12, 3, 1, 1), r(3, 3, 3, 3)
    yield "LoCon with mid", {"lora_down.weight": d, "lora_up.weight": u, "lora_mid.weight": mid,
                             "alpha": torch.tensor(1.0)}, KERNEL, \
        conv + m / 3 * tucker(mid, u.flatten(1).T, d.flatten(1))
    a = [r(24, 4), r(4, 16), r(24, 4), r(4, 16)]
    yield "LoHa", {"hada_w1_a": a[0], "hada_w1_b": a[1], "hada_w2_a": a[2], "hada_w2_b": a[3],
                   "alpha": torch.tensor(3.0)}, LINEAR, lin + m * 0.75 * (a[0] @ a[1]) * (a[2] @ a[3])
    a, t = [r(4, 12), r(4, 8), r(4, 12), r(4, 8)], [r(4, 4, 3, 3), r(4, 4, 3, 3)]
    yield "LoHa with tucker", {"hada_w1_a": a[0], "hada_w1_b": a[1], "hada_t1": t[0], "hada_w2_a": a[2],
                               "hada_w2_b": a[3], "hada_t2": t[1], "alpha": torch.tensor(2.0)}, KERNEL, \
        conv + m * 0.5 * tucker(t[0], a[0], a[1]) * tucker(t[1], a[2], a[3])
    one, two = r(6, 4), r(4, 4)
    yield "LoKr, both whole", {"lokr_w1": one, "lokr_w2": two, "alpha": torch.tensor(9.0)}, LINEAR, \
        lin + m * torch.kron(one, two)
    fa, fb = r(4, 2), r(2, 4)
    yield "LoKr, second of factors", {"lokr_w1": one, "lokr_w2_a": fa, "lokr_w2_b": fb, "alpha": torch.tensor(1.0)}, \
        LINEAR, lin + m * 0.5 * torch.kron(one, fa @ fb)
    ga, gb = r(6, 3), r(3, 4)
    yield "LoKr, both of factors", {"lokr_w1_a": ga, "lokr_w1_b": gb, "lokr_w2_a": fa, "lokr_w2_b": fb,
                                    "alpha": torch.tensor(1.0)}, LINEAR, lin + m * 0.5 * torch.kron(ga @ gb, fa @ fb)
    one, t2, fa, fb = r(3, 2), r(2, 2, 3, 3), r(2, 4), r(2, 4)
    yield "LoKr with tucker", {"lokr_w1": one, "lokr_t2": t2, "lokr_w2_a": fa, "lokr_w2_b": fb,
                               "alpha": torch.tensor(1.0)}, KERNEL, \
        conv + m * 0.5 * torch.kron(one[:, :, None, None], tucker(t2, fa, fb))
    v = r(24)
    yield "IA3, rows", {"weight": v, "on_input": torch.tensor(0.0)}, LINEAR, lin * (1 + m * v[:, None])
    v = r(16)
    yield "IA3, columns", {"weight": v, "on_input": torch.tensor(1.0)}, LINEAR, lin * (1 + m * v[None])
    v = r(1, 12, 1, 1)
    yield "IA3, convolution", {"weight": v, "on_input": torch.tensor(0.0)}, KERNEL, \
        conv * (1 + m * v.reshape(12, 1, 1, 1))
    yield "difference", {"diff": r(24, 16), "diff_b": r(24)}, LINEAR, None
    yield "norm", {"w_norm": r(8), "b_norm": r(8)}, NORM, None
    a1, a2, b1, b2 = r(16, 4), r(4, 16), r(24, 4), r(4, 16)
    yield "GLoRA", {"a1.weight": a1, "a2.weight": a2, "b1.weight": b1, "b2.weight": b2, "alpha": torch.tensor(2.0)}, \
        LINEAR, lin + m * 0.5 * (b1 @ b2 + lin @ a1 @ a2)
    a1, a2, b1, b2 = r(4, 16), r(16, 4), r(4, 16), r(24, 4)
    yield "GLoRA, old", {"a1.weight": a1, "a2.weight": a2, "b1.weight": b1, "b2.weight": b2,
                         "alpha": torch.tensor(2.0)}, LINEAR, lin + m * 0.5 * (b2 @ b1 + lin @ a2 @ a1)
    a1, a2, b1, b2 = r(8, 4, 1, 1), r(4, 8, 1, 1), r(12, 4, 1, 1), r(4, 8, 3, 3)
    mixed = torch.einsum("oikl,ij,jn->onkl", conv, a1.flatten(1), a2.flatten(1))
    yield "GLoRA, 3x3", {"a1.weight": a1, "a2.weight": a2, "b1.weight": b1, "b2.weight": b2,
                         "alpha": torch.tensor(2.0)}, KERNEL, \
        conv + m * 0.5 * ((b1.flatten(1) @ b2.flatten(1)).reshape_as(conv) + mixed)
    b2, bm = r(4, 8, 1, 1), r(4, 4, 3, 3)
    yield "GLoRA, 3x3 with mid", {"a1.weight": a1, "a2.weight": a2, "b1.weight": b1, "b2.weight": b2,
                                  "bm.weight": bm}, KERNEL, \
        conv + m * (tucker(bm, b1.flatten(1).T, b2.flatten(1)) + mixed)
    b1 = r(16, 4, 1, 1)
    yield "GLoRA, 1x1", {"a1.weight": a1, "a2.weight": a2, "b1.weight": b1, "b2.weight": b2}, POINT, \
        point + m * ((b1.flatten(1) @ b2.flatten(1)).reshape_as(point)
                     + torch.einsum("oikl,ij,jn->onkl", point, a1.flatten(1), a2.flatten(1)))
    a1, a2, b1, b2 = r(4, 8, 1, 1), r(8, 4, 1, 1), r(4, 8, 1, 1), r(16, 4, 1, 1)
    yield "GLoRA, 1x1, old", {"a1.weight": a1, "a2.weight": a2, "b1.weight": b1, "b2.weight": b2}, POINT, \
        point + m * (b2.flatten(1) @ b1.flatten(1)
                     + point.flatten(1) @ a2.flatten(1) @ a1.flatten(1)).reshape_as(point)
    for scaled in (False, True):
        for module, w0 in ((LINEAR, lin), (KERNEL, conv)):
            v = r(w0[0].numel() // 8, 28)
            t = series(v / (2 * 7 ** 0.5) if scaled else v, module is LINEAR)
            new = torch.einsum("onk,nkc->onc", w0.reshape(len(w0), -1, 8), t).reshape_as(w0)
            parts = {"oft_R.weight": v}
            if scaled:
                parts["oft_R.scaled_oft"] = torch.tensor(1.0)
            yield "OneTrainer's OFT%s, %s" % (", scaled" if scaled else "", "linear" if module is LINEAR else "3x3"), \
                parts, module, w0 + m * (new - w0)
    blocks = r(6, 4, 4)
    yield "OFT", {"oft_blocks": blocks, "alpha": torch.tensor(0.0)}, LINEAR, lin + m * (turned(lin, blocks, 0) - lin)
    yield "OFT with a limit", {"oft_blocks": blocks, "alpha": torch.tensor(0.05)}, LINEAR, \
        lin + m * (turned(lin, blocks, 0.05 * 24) - lin)
    blocks, scale = r(3, 4, 4), 1 + r(12, 1, 1, 1)
    yield "OFT, convolution, rescaled", {"oft_blocks": blocks, "rescale": scale, "alpha": torch.tensor(0.0)}, KERNEL, \
        conv + m * (scale * turned(conv, blocks, 0) - conv)
    blocks = r(2, 4, 4, 4)
    yield "BOFT", {"oft_blocks": blocks, "alpha": torch.tensor(0.0)}, POINT, turned(point, blocks, 0, m)
    magnitude = 1 + r(24, 1)
    full = lin + 0.5 * up @ down
    new = full * magnitude / full.norm(dim=1, keepdim=True)
    yield "DoRA, rows", {"lora_down.weight": down, "lora_up.weight": up, "alpha": torch.tensor(2.0),
                         "dora_scale": magnitude}, LINEAR, lin + m * (new - lin)
    magnitude = 1 + r(1, 16)
    new = full * magnitude / full.norm(dim=0, keepdim=True)
    yield "DoRA, columns", {"lora_down.weight": down, "lora_up.weight": up, "alpha": torch.tensor(2.0),
                            "dora_scale": magnitude}, LINEAR, lin + m * (new - lin)
    d, u, magnitude = r(3, 8, 3, 3), r(12, 3, 1, 1), 1 + r(12, 1, 1, 1)
    full = conv + (u.flatten(1) @ d.flatten(1)).reshape_as(conv)
    new = full * magnitude / full.flatten(1).norm(dim=1).view(-1, 1, 1, 1)
    yield "DoRA, convolution", {"lora_down.weight": d, "lora_up.weight": u, "dora_scale": magnitude}, KERNEL, \
        conv + m * (new - conv)
    yield "whole tensor", {"set_weight": r(24, 16)}, LINEAR, None


def formulas():
    w = checkpoint()
    base, out = path_of("sd.safetensors"), path_of("sd-out.safetensors")
    save_file(w, base)
    for m in (1.0, 0.6):
        for name, parts, module, new in lycoris_cases(w, m):
            parts = {k: v.float().contiguous() for k, v in parts.items()}
            path = path_of("adapter.safetensors")
            save_file({module[1] + "." + k: v for k, v in parts.items()}, path)
            apply(base, [(path, m)], out)
            want = dict(w)
            weight, bias = w[module[0] + ".weight"], w.get(module[0] + ".bias")
            if name in ("difference", "norm"):
                new = weight + m * (parts.get("diff", parts.get("w_norm")))
                want[module[0] + ".bias"] = bias + m * parts.get("diff_b", parts.get("b_norm"))
            elif name == "whole tensor":
                new = weight + m * (parts["set_weight"] - weight)
            want[module[0] + ".weight"] = new.float()
            compare("%s, strength %g" % (name, m), want, load_file(out), TIGHT)


peft_cases()
formulas()
covers("lora.apply(")
finish()
