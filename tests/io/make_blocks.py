#!/usr/bin/env python3
"""Blocks of every type that the gguf package decodes, and what it decodes them to (0.19; needed: numpy, safetensors).

    python3 make_blocks.py blocks.safetensors     two times 256 weights a type: finite values; whatever random bytes are"""
import sys

import numpy as np
from gguf import GGMLQuantizationType, quants
from gguf.constants import GGML_QUANT_SIZES
from safetensors.numpy import save_file

WEIGHTS = 256
TYPES = [kind for kind in GGMLQuantizationType if kind in quants._type_traits and kind.name != "BF16"]


def random_blocks(kind, rng, rows):
    weights, size = GGML_QUANT_SIZES[kind]
    return rng.integers(0, 256, (rows, WEIGHTS // weights * size), dtype=np.uint8)


def values_of(kind, blocks):
    with np.errstate(all="ignore"):
        return quants.dequantize(blocks, kind).astype(np.float32)


def write(path):
    rng, tensors = np.random.default_rng(24), {}
    for kind in TYPES:
        finite = random_blocks(kind, rng, 1)
        while not np.isfinite(values_of(kind, finite)).all():
            finite = random_blocks(kind, rng, 1)
        blocks = np.concatenate([finite, random_blocks(kind, rng, 1)])
        tensors[f"{kind.name}.blocks"] = blocks
        tensors[f"{kind.name}.values"] = values_of(kind, blocks)
    save_file(tensors, path)


if __name__ == "__main__":
    write(sys.argv[1])
