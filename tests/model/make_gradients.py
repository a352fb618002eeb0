"""Gradients of the small models of tiny.h by torch's autograd (2.x on the CPU, double precision) through `transformers` (5.24.0): of
sum of dy * block(x) for block 0, x and dy from a formula.
Usage: make_gradients.py gradients.safetensors. Needs torch, transformers, numpy, safetensors; run once, the file is kept. Of each
tensor 16 entries are stored, spread over it, and its norm."""
import sys

import numpy as np
import torch
from safetensors.numpy import save_file
import make_golden

LENGTH, SEQUENCES, ENTRIES = 24, 2, 16
golden = {}
for name, (config, model, options) in make_golden.MODELS.items():
    net = model(config(**{**make_golden.SIZES, **options})).double().eval()
    with torch.no_grad():
        for key, parameter in net.named_parameters():
            parameter.copy_(make_golden.values(key, tuple(parameter.shape)))
    x = make_golden.values("input", (SEQUENCES, LENGTH, 64)).requires_grad_(True)
    dy = make_golden.values("output", (SEQUENCES, LENGTH, 64))
    # All of the model runs, for its masks and angles; its first block's input and output are taken.
    block, seen = net.model.layers[0], {}
    block.register_forward_hook(lambda _, arguments, output: seen.update(y=output if torch.is_tensor(output) else output[0]))
    net.model(inputs_embeds=x)
    (seen["y"] * dy).sum().backward()
    tensors = {"input": x, **{f"model.layers.0.{key}": parameter for key, parameter in block.named_parameters()}}
    for key, tensor in tensors.items():
        flat = tensor.grad.reshape(-1)
        places = np.arange(ENTRIES) * (flat.numel() // ENTRIES)
        golden[f"{name}.{key}"] = np.concatenate([flat[places].numpy(), [flat.norm().item()]]).astype("f4")
save_file(golden, sys.argv[1])
