"""quantised.py - quantised weights dequantised as the programs that wrote them would: comfy-kitchen's nvfp4, mxfp8 and
fp8, bitsandbytes' nf4 and fp4, plain and nested; formulas by torch for scales of rows and blocks; and scaled fp8 as it
is written."""
import json

import torch
from safetensors.torch import load_file, save_file

from tap import check, finish, scratch, skip, stlua

torch.manual_seed(3)
folder = scratch()
F8, F8_5 = torch.float8_e4m3fn, torch.float8_e5m2


def text(value):
    """A JSON text as a tensor."""
    return torch.tensor(list(json.dumps(value).encode()), dtype=torch.uint8)


def dequantised(tensors, *options, metadata=None):
    """What `stlua cast --dequantize` makes of a model of these tensors."""
    save_file({k: v.contiguous() for k, v in tensors.items()}, f"{folder}/in.safetensors", metadata=metadata)
    done = stlua("cast", f"{folder}/in.safetensors", "-o", f"{folder}/out.safetensors", "--dequantize", *options)
    if done.returncode:
        print("#", done.stderr)
        return {}
    return load_file(f"{folder}/out.safetensors")


def same(got, want):
    """The same bits, but for those of NaN."""
    if got is None or got.shape != want.shape or got.dtype != want.dtype:
        return False
    view = {4: torch.int32, 2: torch.int16}[want.element_size()]
    return bool(((got.view(view) == want.view(view)) | (got.isnan() & want.isnan())).all())


def compare(what, tensors, want, *options, left=1):
    got = dequantised(tensors, "--dtype", "F32", *options)
    w = got.get("x.weight")
    check(same(w, want) and len(got) == left, f"{what}: every value, and nothing else left",
          sorted(got), w, want)


# ---------------------------------------------------------------- scaled fp8 by formula
every = torch.arange(256, dtype=torch.uint8)
for dtype in F8, F8_5:
    w = every.view(dtype).repeat(16, 2)
    for scale in torch.tensor(0.0123), torch.tensor([3e-5]), torch.rand(16, 1), torch.rand(16):
        expand = scale.reshape(-1, 1) if scale.numel() > 1 else scale.reshape(())
        for name in "x.scale_weight", "x.weight_scale":
            compare(f"{dtype} times {name} {list(scale.shape)}", {"x.weight": w, name: scale}, w.float() * expand)
# sd-scripts: blocks of a row, [out, blocks, 1].
w, scale = torch.randn(24, 256).to(F8), torch.rand(24, 4, 1)
compare("sd-scripts' blocks", {"x.weight": w, "x.scale_weight": scale},
        (w.float().reshape(24, 4, 64) * scale).reshape(24, 256))
# DeepSeek: blocks of 128 x 128, the last ones cut.
for rows, columns in (256, 384), (200, 300):
    w, scale = torch.randn(rows, columns).to(F8), torch.rand(-(-rows // 128), -(-columns // 128))
    wide = scale.repeat_interleave(128, 0).repeat_interleave(128, 1)[:rows, :columns]
    compare(f"blocks of 128 of {rows} x {columns}", {"x.weight": w, "x.weight_scale_inv": scale}, w.float() * wide)
w, scale = torch.randint(-128, 128, (32, 40), dtype=torch.int8), torch.rand(32, 1)
compare("int8 by rows", {"x.weight": w, "x.weight_scale": scale, "x.comfy_quant": text({"format": "int8_tensorwise"})},
        w.float() * scale)
# A convolution, markers, and what else stands beside a weight.
w = torch.randn(8, 4, 3, 3).to(F8)
got = dequantised({"m.x.weight": w, "m.x.scale_weight": torch.tensor(0.5), "m.x.scale_input": torch.tensor(2.0),
                   "m.x.bias": torch.ones(8, dtype=torch.float16), "m.scaled_fp8": torch.zeros(2).to(F8),
                   "m.n.weight": torch.ones(4, dtype=torch.float16)},
                  metadata={"_quantization_metadata": "{}", "a": "b"})
check(sorted(got) == ["m.n.weight", "m.x.bias", "m.x.weight"], "markers and scales go", sorted(got))
check(same(got.get("m.x.weight"), (w.float() * 0.5).half()), "the dtype is that of the other tensors")
from safetensors import safe_open  # noqa: E402
with safe_open(f"{folder}/out.safetensors", "pt") as f:
    check(f.metadata() == {"a": "b"}, "the description of the layout goes", f.metadata())

# ---------------------------------------------------------------- comfy-kitchen
try:
    from comfy_kitchen.backends.eager import quantization as kitchen
except ImportError as e:
    skip(f"comfy-kitchen: {e}")
else:
    for rows, columns in (128, 64), (200, 96), (1, 16), (300, 1024), (129, 80):
        x = torch.randn(rows, columns) * torch.rand(rows, 1) * 10
        second = x.abs().amax() / (448 * 6)
        codes, scales = kitchen.quantize_nvfp4(x, second)
        want = kitchen.dequantize_nvfp4(codes, second, scales, torch.float32)
        beside = {"x.weight": codes, "x.weight_scale": scales, "x.weight_scale_2": second}
        if scales.shape != (rows, columns // 16):       # else they might be ModelOpt's
            compare(f"nvfp4 {rows} x {columns}", beside, want)
        compare(f"nvfp4 {rows} x {columns}, as ComfyUI writes it",
                {**beside, "x.comfy_quant": text({"format": "nvfp4"}), "x.input_scale": torch.tensor(1.0)}, want)
    codes = torch.arange(256, dtype=torch.uint8).reshape(16, 16)
    scales = torch.rand(128, 4).to(F8)
    compare("nvfp4, all bytes", {"x.weight": codes, "x.weight_scale": scales, "x.weight_scale_2": torch.tensor(0.37)},
            kitchen.dequantize_nvfp4(codes, torch.tensor(0.37), scales, torch.float32))
    for rows, columns in (128, 128), (200, 96), (1, 32), (300, 1024):
        x = torch.randn(rows, columns) * torch.logspace(-20, 20, rows).reshape(-1, 1)
        codes, scales = kitchen.quantize_mxfp8(x)
        want = kitchen.dequantize_mxfp8(codes, scales, torch.float32)
        if scales.shape != (rows, columns // 32):
            compare(f"mxfp8 {rows} x {columns}", {"x.weight": codes, "x.weight_scale": scales.view(torch.uint8)}, want)
        compare(f"mxfp8 {rows} x {columns}, scales as F8_E8M0",
                {"x.weight": codes, "x.weight_scale": scales, "x.comfy_quant": text({"format": "mxfp8"})}, want)
    # Every scale, of codes that neither overflow nor vanish beside it.
    codes, scales = torch.ones(256, 32).to(F8), torch.zeros(256, 4, dtype=torch.uint8)
    scales[:, 0] = every
    want = torch.ldexp(torch.ones(256, dtype=torch.float64), torch.arange(256) - 127).float()
    want[255] = torch.nan
    compare("mxfp8, all scales", {"x.weight": codes, "x.weight_scale": kitchen.to_blocked(scales, flatten=False)},
            want.reshape(-1, 1).repeat(1, 32))
    w = torch.randn(64, 64).to(F8)
    compare("fp8 by tensor", {"x.weight": w, "x.weight_scale": torch.tensor(0.2),
                              "x.comfy_quant": text({"format": "float8_e4m3fn"})},
            kitchen.dequantize_per_tensor_fp8(w, torch.tensor(0.2), torch.float32))

# ---------------------------------------------------------------- bitsandbytes
try:
    import bitsandbytes.functional as bnb
except ImportError as e:
    skip(f"bitsandbytes: {e}")
else:
    for kind in "nf4", "fp4":
        for shape in (64, 64), (48, 100), (3, 7), (256, 512):
            for blocksize in 64, 128:
                for nested in False, True:
                    x = torch.randn(shape)
                    codes, state = bnb.quantize_4bit(x, blocksize=blocksize, quant_type=kind,
                                                     compress_statistics=nested)
                    want = bnb.dequantize_4bit(codes, state)
                    if kind == "fp4":  # its kernel has a -0 that the table in the file has not
                        want = want + 0.0
                    beside = {f"x.weight.{k}": v for k, v in state.as_dict(packed=True).items()}
                    compare(f"{kind} {list(shape)} in blocks of {blocksize}{', nested' if nested else ''}",
                            {"x.weight": codes, **beside}, want)
    for dtype in torch.float16, torch.bfloat16:
        codes, state = bnb.quantize_4bit(torch.randn(64, 128, dtype=dtype), quant_type="nf4")
        got = dequantised({"x.weight": codes, **{f"x.weight.{k}": v for k, v in state.as_dict(packed=True).items()}})
        check(same(got.get("x.weight"), bnb.dequantize_4bit(codes, state)), f"nf4 of {dtype} becomes that again")

# ---------------------------------------------------------------- writing
x = {"model.diffusion_model.blocks.0.a.weight": torch.randn(64, 80).half(),
     "model.diffusion_model.blocks.0.zero.weight": torch.zeros(4, 8), "b.1.large.weight": torch.randn(40, 40) * 1e6,
     "b.1.norm.weight": torch.ones(8), "first.weight": torch.randn(8, 8), "b.1.a.bias": torch.ones(3)}
save_file(x, f"{folder}/w.safetensors")
done = stlua("cast", f"{folder}/w.safetensors", "-o", f"{folder}/f8.safetensors", "--dtype", "F8_E4M3", "--scaled")
check(done.returncode == 0, "scaled fp8 is written", done.stderr)
got = load_file(f"{folder}/f8.safetensors")
for name in list(x)[:3]:
    w = x[name].float()
    amax = w.abs().amax()
    scale = amax / 448 if amax > 0 else torch.tensor(1.0)
    codes = (w / scale).clamp(-448, 448).to(F8)
    stem = name[:-len(".weight")]
    check(torch.equal(got[name].view(torch.uint8), codes.view(torch.uint8)), f"{name}: codes")
    check(torch.equal(got[stem + ".scale_weight"], scale), f"{name}: its scale", got[stem + ".scale_weight"], scale)
check(all(got[k].dtype == x[k].dtype for k in list(x)[3:]), "norms, biases and first layers stay")
check(sorted(k for k in got if k.endswith("scaled_fp8")) == ["model.diffusion_model.scaled_fp8", "scaled_fp8"],
      "markers", sorted(got))
done = stlua("cast", f"{folder}/f8.safetensors", "-o", f"{folder}/back.safetensors", "--dequantize", "--dtype", "F32")
back = load_file(f"{folder}/back.safetensors") if done.returncode == 0 else {}
check(sorted(back) == sorted(x), "there and back", sorted(back), done.stderr)
for name in list(x)[:3]:
    w = x[name].float()
    error = (back[name] - w).abs().amax() / max(w.abs().amax(), 1e-9)
    check(error < 0.04, f"{name}: within the precision of fp8", error)

finish()
