"""Synthetic layers with the traits that make pruning hard, as safetensors: w.NAME, x.NAME (calibration rows), x_test.NAME (others).

    python3 bench/layers.py OUT.safetensors [--names A,B] [--seed 1]

A: 512 outputs x 1024 inputs, eigenvalues of the inputs' covariance as 1 / i; B: 1024 x 1024, as i^-1.4. Both: a random basis, log-normal scales of
rows and of inputs, eight outlier inputs 20 times as large, a small mean, one dead input; weights with heavy tails (Student t, 5 degrees) plus a part of rank
32. 4096 calibration rows and as many others. The same seed gives the same bytes with the same numpy.
"""
import argparse
import json
import struct

import numpy as np

SHAPES = {"A": (512, 1024, 1.0), "B": (1024, 1024, 1.4)}
ROWS = 4096


def make(name, seed):
    outputs, inputs, decay = SHAPES[name]
    rng = np.random.default_rng([seed, ord(name)])
    basis = np.linalg.qr(rng.standard_normal((inputs, inputs)))[0]
    spectrum = np.arange(1, inputs + 1) ** (-decay / 2)
    scale = np.exp(0.5 * rng.standard_normal(inputs))
    scale[rng.choice(inputs, 8, replace=False)] *= 20
    scale[rng.integers(inputs)] = 0
    mean = 0.1 * rng.standard_normal(inputs) / inputs ** 0.5

    def rows():
        token = np.exp(0.5 * rng.standard_normal((ROWS, 1)))
        return ((rng.standard_normal((ROWS, inputs)) * spectrum @ basis.T + mean) * token * scale).astype(np.float32)

    w = rng.standard_t(5, (outputs, inputs)) / inputs ** 0.5
    w += rng.standard_normal((outputs, 32)) @ rng.standard_normal((32, inputs)) / (32 * inputs) ** 0.5
    return {f"w.{name}": w.astype(np.float32), f"x.{name}": rows(), f"x_test.{name}": rows()}


def write(path, tensors):
    header, at = {}, 0
    for name, values in tensors.items():
        header[name] = {"dtype": "F32", "shape": list(values.shape), "data_offsets": [at, at + values.nbytes]}
        at += values.nbytes
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for values in tensors.values():
            file.write(values.tobytes())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out")
    parser.add_argument("--names", default="A,B")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    tensors = {}
    for name in args.names.split(","):
        tensors.update(make(name, args.seed))
    write(args.out, tensors)


if __name__ == "__main__":
    main()
