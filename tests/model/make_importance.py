"""Norms over rows of the gradients of the small models of tiny.h by torch's autograd (2.x on the CPU, double precision) through
`transformers` (5.24.0): of the mean of -log p over a row's tokens, "l1" = sum |g| and "fisher" = mean of g^2.
Usage: make_importance.py importance.safetensors. Needs torch, transformers, numpy, safetensors; run once, the file is kept. Of each
matrix 16 entries are stored, spread over it, and the sum of all; "<model>.loss" is the mean over all rows."""
import sys

import numpy as np
import torch
from safetensors.numpy import save_file
import make_golden

LENGTH, ROWS, ENTRIES, VOCABULARY = 24, 3, 16, 96
golden = {}
for name in ("llama", "qwen3"):
    config, model, options = make_golden.MODELS[name]
    net = model(config(**{**make_golden.SIZES, **options})).double().eval()
    with torch.no_grad():
        for key, parameter in net.named_parameters():
            parameter.copy_(make_golden.values(key, tuple(parameter.shape)))
    sequence, position = np.mgrid[:ROWS, :LENGTH]
    ids = torch.tensor((7 * position * position + 3 * position + 5 + 11 * sequence) % VOCABULARY)
    matrices = {key: tensor for key, tensor in net.named_parameters() if key.endswith("proj.weight")}
    norms = {key: [0, 0] for key in matrices}
    losses = []
    for row in ids:
        net.zero_grad()
        loss = torch.nn.functional.cross_entropy(net(row[None]).logits[0, :-1], row[1:])
        loss.backward()
        losses.append(loss.item())
        for key, tensor in matrices.items():
            norms[key] = [norms[key][0] + tensor.grad.abs(), norms[key][1] + tensor.grad ** 2 / ROWS]
    golden[f"{name}.loss"] = np.array([np.mean(losses)], "f4")
    for key, (l1, fisher) in norms.items():
        for norm, tensor in (("l1", l1), ("fisher", fisher)):
            flat = tensor.reshape(-1)
            places = np.arange(ENTRIES) * (flat.numel() // ENTRIES)
            golden[f"{name}.{key}.{norm}"] = np.concatenate([flat[places].numpy(), [flat.sum().item()]]).astype("f4")
save_file(golden, sys.argv[1])
