"""KL(teacher || student) of the small models of tiny.h and its gradients by torch's autograd (2.x on the CPU, double precision) through
`transformers` (5.24.0). The student is the teacher without every third weight of the blocks' matrices; the mean is over all tokens.
Usage: make_divergence.py divergence.safetensors. Needs torch, transformers, numpy, safetensors; run once, the file is kept. Of each
tensor 16 entries are stored, spread over it, and its norm."""
import sys

import numpy as np
import torch
from safetensors.numpy import save_file
import make_golden

LENGTH, SEQUENCES, ENTRIES, VOCABULARY = 24, 2, 16, 96
golden = {}
for name in ("llama", "qwen3"):
    config, model, options = make_golden.MODELS[name]
    teacher, student = [model(config(**{**make_golden.SIZES, **options})).double().eval() for _ in range(2)]
    with torch.no_grad():
        for net in (teacher, student):
            for key, parameter in net.named_parameters():
                parameter.copy_(make_golden.values(key, tuple(parameter.shape)))
                if net is student and "proj" in key and key.endswith("weight"):
                    parameter.reshape(-1)[::3] = 0
    sequence, position = np.mgrid[:SEQUENCES, :LENGTH]
    ids = torch.tensor((7 * position * position + 3 * position + 5 + 11 * sequence) % VOCABULARY)
    with torch.no_grad():
        wanted = teacher(ids).logits.log_softmax(-1)
    loss = (wanted.exp() * (wanted - student(ids).logits.log_softmax(-1))).sum(-1).mean()
    # A tied embedding would get the gradient of both its uses: it is not trained.
    loss.backward()
    golden[f"{name}.loss"] = np.array([loss.item()], "f8").astype("f4")
    for key, tensor in student.named_parameters():
        if "embed" in key or "lm_head" in key:
            continue
        flat = tensor.grad.reshape(-1)
        places = np.arange(ENTRIES) * (flat.numel() // ENTRIES)
        golden[f"{name}.{key}"] = np.concatenate([flat[places].numpy(), [flat.norm().item()]]).astype("f4")
save_file(golden, sys.argv[1])
