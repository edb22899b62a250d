"""in_memory.py - what in_memory.lua does, with PyTorch on two threads: name and median seconds, a line each."""
import statistics
import time

import torch

SIZE, RUNS = 8192, 5

torch.set_num_threads(2)
x, y = torch.randn(SIZE, SIZE), torch.randn(SIZE, SIZE)
h, k = x.bfloat16(), y.bfloat16()

JOBS = [
    ("sum F32", lambda: x.sum().item()),
    ("sum BF16", lambda: h.sum().item()),
    ("norm F32", lambda: x.norm().item()),
    ("norm BF16", lambda: h.norm().item()),
    ("max F32", lambda: x.max().item()),
    ("sum down columns F32", lambda: x.sum(0)),
    ("x + y F32", lambda: x + y),
    ("lerp F32", lambda: torch.lerp(x, y, 0.3)),
    ("lerp BF16", lambda: torch.lerp(h, k, 0.3)),
    ("chain F32", lambda: ((x - y) * 0.3 + y).clamp(-1, 1).abs()),
    ("exp F32", lambda: x.exp()),
    ("sigmoid F32", lambda: x.sigmoid()),
    ("where F32", lambda: torch.where(x > 0, x, y)),
]

for name, run in JOBS:
    run()
    times = []
    for _ in range(RUNS):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    print(name, statistics.median(times), sep="\t")
