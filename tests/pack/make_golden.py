"""Writes golden.h: what the published code makes of small matrices. Needs torch and compressed-tensors < 0.15; run once, by hand:
python3 make_golden.py. matrix() is repeated in test_pack.c, so that the header holds only what others computed."""
import pathlib

import torch
from compressed_tensors.compressors.sparse_compressors.sparse_24_bitmask import sparse24_bitmask_compress
from torch.sparse._semi_structured_conversions import sparse_semi_structured_from_dense_cutlass

PAIRS = {4: [(0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3)], 2: [(0,), (1,)]}


def matrix(rows, cols, width, fill):
    """Small integers, exact in every type. fill: one group in eight keeps one weight less, or none."""
    state = rows * 1000 + cols * 10 + width
    w = torch.zeros(rows, cols)
    for row in range(rows):
        for group in range(0, cols, width):
            state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
            places = PAIRS[width][(state >> 40) % len(PAIRS[width])]
            if fill and (state >> 50) % 8 == 0:
                places = places[: (state >> 55) % len(places)]
            for k, place in enumerate(places):
                value = (state >> (8 * k)) % 127 + 1
                w[row, group + place] = -value if (state >> (35 + k)) % 2 else value
    return w


def array(name, kind, values, width):
    words = [str(int(v)) if kind[0] == "i" else f"0x{int(v) & (1 << width) - 1:0{width // 4}x}" for v in values]
    lines = [", ".join(words[i : i + 12]) for i in range(0, len(words), 12)]
    return f"static const {kind} {name}[] = {{\n    " + ",\n    ".join(lines) + "};\n"


def main():
    out = ["/* Made by make_golden.py from the published code; matrices by the test's matrix(). */\n#include <stdint.h>\n"]
    for name, dtype, rows, cols, fill in [("f16", torch.float16, 32, 64, False), ("bf16_fill", torch.bfloat16, 64, 64, True),
                                          ("i8_fill", torch.int8, 16, 128, True), ("f32_fill", torch.float32, 32, 32, True)]:
        w = matrix(rows, cols, 2 if dtype == torch.float32 else 4, fill).to(dtype)
        values, meta = sparse_semi_structured_from_dense_cutlass(w)
        bits = 32 if dtype == torch.int8 else 16
        out.append(array(f"cutlass_{name}_meta", f"uint{bits}_t", meta.flatten().tolist(), bits))
        if dtype == torch.float32:
            out.append(array(f"cutlass_{name}_values", "int8_t", values.flatten().tolist(), 8))
    values, mask = sparse24_bitmask_compress(matrix(6, 20, 4, False))
    out.append(array("bitmask_mask", "uint8_t", mask.flatten().tolist(), 8))
    out.append(array("bitmask_values", "int8_t", values.to(torch.int32).flatten().tolist(), 8))
    pathlib.Path(__file__).with_name("golden.h").write_text("\n".join(out))


main()
