"""Gradients of the tiny models of make_families.py by torch's autograd (2.x on the CPU, double precision) through `transformers` (5.24.0):
of the sum of dy * (what the last block gives) with respect to all tensors of all blocks and to what enters the first one.
Usage: make_family_gradients.py FOLDER family_gradients.safetensors, FOLDER as make_families.py leaves it. Of each model one array, whose
rows are the input and then its tensors in the order of their names, which are metadata: entries spread over the tensor, then its norm."""
import os
import sys
import tempfile
import warnings

import numpy as np
import torch
import transformers
from safetensors import safe_open
from safetensors.numpy import save_file


import make_families as families

ENTRIES, LENGTH = 8, families.LENGTH
warnings.simplefilter("ignore")


def sample(tensor):
    flat = tensor.reshape(-1).double()
    places = np.arange(ENTRIES) * flat.numel() // ENTRIES
    return np.concatenate([flat[places].numpy(), [flat.norm().item()]]).astype("f4")


def blocks_of(net):
    lists = [m for m in net.modules() if isinstance(m, torch.nn.ModuleList) and len(m) == net.config.num_hidden_layers]
    return max(lists, key=lambda m: sum(p.numel() for p in m.parameters()))


def first(value):
    return value if torch.is_tensor(value) else value[0]


def gradients(name, folder):
    options = dict(dtype=torch.float64, attn_implementation=families.ATTENTION.get(name, "eager"))
    kind = families.ENCODERS.get(name, transformers.AutoModelForCausalLM)
    if name not in families.ENCODERS:
        options["experts_implementation"] = "eager"
    net = kind.from_pretrained(folder, **options).eval()
    blocks, seen = blocks_of(net), {}

    def enter(_, values, words):
        x = values[0] if values else words["hidden_states"]
        seen["x"] = x.detach().requires_grad_(True)
        return ((seen["x"],) + values[1:], words) if values else (values, {**words, "hidden_states": seen["x"]})

    blocks[0].register_forward_pre_hook(enter, with_kwargs=True)
    blocks[-1].register_forward_hook(lambda _, values, out: seen.update(y=first(out)))
    ids = torch.tensor([[(7 * t * t + 3 * t + 5) % families.VOCAB for t in range(LENGTH)]])
    net(families.pixels(net.config) if net.config.model_type == "vit" else ids)
    dy = torch.from_numpy(families.values("output", tuple(seen["y"].shape))).double()
    (seen["y"] * dy).sum().backward()
    with torch.no_grad():
        for parameter in net.parameters():  # whose names and shapes in files are not those of modules
            parameter.data = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad.contiguous()
    out = tempfile.mkdtemp()
    net.save_pretrained(out)
    with safe_open(os.path.join(out, "model.safetensors"), "pt") as file:
        names = sorted(n for n in file.keys() if any(part.isdigit() for part in n.split(".")))
        rows = [sample(seen["x"].grad)] + [sample(file.get_tensor(n)) for n in names]
    assert names
    return np.stack(rows), names


def main():
    folder, out = sys.argv[1:]
    golden, notes = {}, {}
    for name in families.MODELS:
        try:
            golden[name], names = gradients(name, os.path.join(folder, name))
        except Exception as e:
            print(f"{name}: {type(e).__name__}: {str(e)[:300]}", file=sys.stderr)
            continue
        notes[name] = ";".join(names)
        print(f"{name}: {len(names)} tensors, norm of the input's {golden[name][0][-1]:.4g}", flush=True)
    save_file(golden, out, notes)


main()
