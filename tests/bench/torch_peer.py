"""torch_peer.py - the plain, careful PyTorch script that `make bench` compares with: streams its inputs tensor by
tensor, computes in F32, holds the output until it is saved, as the reference library wants it.

    torch_peer.py average A B OUT
    torch_peer.py cast IN OUT DTYPE
    torch_peer.py info FILE
    torch_peer.py checkpoint IN OUT          what torch.save makes of it
    torch_peer.py convert IN OUT             torch.load and save_file
    torch_peer.py extract BASE TUNED OUT     adapters of rank 32 by torch.svd_lowrank, each matrix but embeddings
"""
import sys

from safetensors import safe_open


def average(path_a, path_b, out):
    from safetensors.torch import save_file
    tensors = {}
    with safe_open(path_a, "pt") as a, safe_open(path_b, "pt") as b:
        metadata = a.metadata()
        for name in a.keys():
            x = a.get_tensor(name)
            if x.is_floating_point():
                tensors[name] = x.float().lerp_(b.get_tensor(name).float(), 0.5).to(x.dtype)
            else:
                tensors[name] = x
    save_file(tensors, out, metadata)


def cast(path, out, dtype):
    import torch
    from safetensors.torch import save_file
    to = {"F16": torch.float16, "BF16": torch.bfloat16, "F8_E4M3": torch.float8_e4m3fn}[dtype]
    with safe_open(path, "pt") as f:
        tensors = {name: f.get_tensor(name).to(to) for name in f.keys()}
        save_file(tensors, out, f.metadata())


def extract(path_a, path_b, out):
    import torch
    from safetensors.torch import save_file
    tensors = {}
    with safe_open(path_a, "pt") as a, safe_open(path_b, "pt") as b:
        for name in a.keys():
            x = a.get_tensor(name)
            if x.dim() != 2 or "embed" in name or "lm_head" in name:
                continue
            d = b.get_tensor(name).float() - x.float()
            u, s, v = torch.svd_lowrank(d, q=40, niter=2)
            root = s[:32].sqrt()
            tensors[name[:-7] + ".lora_B.weight"] = (u[:, :32] * root).to(x.dtype).contiguous()
            tensors[name[:-7] + ".lora_A.weight"] = (v[:, :32] * root).T.to(x.dtype).contiguous()
    save_file(tensors, out)


def checkpoint(path, out):
    import torch
    from safetensors.torch import load_file
    torch.save({"state_dict": load_file(path)}, out)


def convert(path, out):
    import torch
    from safetensors.torch import save_file
    save_file(torch.load(path, weights_only=True)["state_dict"], out)


def info(path):
    with safe_open(path, "np") as f:
        for name in f.keys():
            t = f.get_slice(name)
            print(name, t.get_dtype(), t.get_shape())


jobs = {"average": average, "cast": cast, "info": info, "extract": extract, "checkpoint": checkpoint,
        "convert": convert}
jobs[sys.argv[1]](*sys.argv[2:])
