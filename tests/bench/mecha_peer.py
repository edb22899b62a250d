"""mecha_peer.py - sd-mecha's average of two Stable Diffusion checkpoints, as its documentation shows it; for
`make bench`."""
import sys

import sd_mecha
import torch

a, b = (sd_mecha.model(path) for path in sys.argv[1:3])
sd_mecha.merge(sd_mecha.weighted_sum(a, b, alpha=0.5), output=sys.argv[3], merge_device="cpu",
               merge_dtype=torch.float32, output_dtype=torch.float16)
