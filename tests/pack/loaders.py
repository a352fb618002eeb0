"""What sparse24 writes, read by the programs it is written for: safetensors, gguf and compressed-tensors from the package index. Part of
the nightly run: what is not installed goes into a virtual environment.  loaders.py SPARSE24 LIBRARY [ENVIRONMENT]"""
import json
import os
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))
import packages

packages.need({"numpy": "numpy", "safetensors": "safetensors", "gguf": "gguf", "torch": "torch", "compressed_tensors": "compressed-tensors"},
              sys.argv[3] if len(sys.argv) > 3 else None)

import gguf
import numpy
import torch
from compressed_tensors.compressors import BaseCompressor
from compressed_tensors.quantization import QuantizationArgs, QuantizationScheme
from safetensors import safe_open
from safetensors.numpy import load_file

os.environ["SPARSE24_LIBRARY"] = os.path.abspath(sys.argv[2])
sys.path.insert(0, str(ROOT / "examples/python"))
import sparse24

PROGRAM = os.path.abspath(sys.argv[1])
LAYER = ROOT / "examples/data/smollm2-block10-small.safetensors"
failed = 0


def check(name, good):
    global failed
    print("ok -" if good else "not ok -", name)
    failed += not good


def run(*words):
    subprocess.run([PROGRAM, *map(str, words)], check=True, stdout=subprocess.DEVNULL)


def solve(out, constraints):
    run("solve", "--weights", f"{LAYER}:w.k", "--calib", f"{LAYER}:x.attn", "--constraints", constraints, "--solver", "rtn", "--options",
        "scales=f16", "--out", out)
    return load_file(out)


def packed(out, constraints, layout):
    """Our weights, and the parts of the layout as safetensors' own library reads them."""
    ours = solve(out / "o.safetensors", constraints)["weights"]
    run("pack", f"{out}/o.safetensors:weights", "--layout", layout, "--out", out / "p.safetensors")
    return ours, load_file(out / "p.safetensors")


def pack_quantized(out, constraints, bits, symmetric, group):
    ours, parts = packed(out, constraints, "pack-quantized")
    check(f"pack-quantized {constraints}: weight_shape has one extent", parts["weight_shape"].tolist() == list(ours.shape))
    scheme = QuantizationScheme(targets=["Linear"], weights=QuantizationArgs(
        num_bits=bits, symmetric=symmetric, strategy="group" if group else "channel", group_size=group))
    state = {name: torch.from_numpy(part) for name, part in parts.items()}
    state["weight_scale"] = state["weight_scale"].float()  # theirs works in the type of the scales
    theirs = BaseCompressor.get_value_from_registry("pack-quantized").decompress(state, scheme)["weight"].numpy()
    check(f"pack-quantized {constraints}: compressed-tensors gives our weights", numpy.array_equal(theirs, ours))


def blocks(out, constraints, layout):
    ours, parts = packed(out, constraints, layout)
    theirs = gguf.quants.dequantize(parts["blocks"], gguf.GGMLQuantizationType[layout.upper()])
    check(f"{layout}: gguf gives our weights", numpy.array_equal(theirs, ours))


def gptq(out, constraints, bits, group):
    """As GPTQ's loaders declare their buffers."""
    ours, parts = packed(out, constraints, "gptq-v2")
    rows, cols = ours.shape
    groups, each = cols // group, 32 // bits
    want = {"qweight": ("int32", (cols // each, rows)), "qzeros": ("int32", (groups, rows // each)), "scales": ("float16", (groups, rows)),
            "g_idx": ("int32", (cols,))}
    check(f"gptq-v2 {constraints}: buffers", {name: (str(part.dtype), part.shape) for name, part in parts.items()} == want)
    shifts = numpy.arange(0, 32, bits, dtype=numpy.int32)
    codes = (parts["qweight"][:, None, :] >> shifts[:, None] & (1 << bits) - 1).reshape(cols, rows)
    zeros = (parts["qzeros"][:, :, None] >> shifts & (1 << bits) - 1).reshape(groups, rows)
    theirs = parts["scales"].astype("f4")[parts["g_idx"]] * (codes - zeros[parts["g_idx"]])
    check(f"gptq-v2 {constraints}: their formula gives our weights", numpy.array_equal(theirs.T.astype("f4"), ours))


def files(out):
    a = numpy.arange(256, dtype="f4").reshape(8, 32) / 64
    with sparse24.File.create(str(out / "a.gguf"), "gguf") as file:
        file.set_meta("general.architecture", "llama")
        file.put("f32", a)
        file.put("half", a, "F16")
        file.put("blocks", a, "Q8_0")
        file.put("vector", a[0])
    reader = gguf.GGUFReader(out / "a.gguf")
    tensors = {t.name: t for t in reader.tensors}
    check("GGUF: names, types and shapes", [(t.name, t.tensor_type.name, t.shape.tolist()) for t in reader.tensors] ==
          [("f32", "F32", [32, 8]), ("half", "F16", [32, 8]), ("blocks", "Q8_0", [32, 8]), ("vector", "F32", [32])])
    check("GGUF: values", numpy.array_equal(tensors["f32"].data, a) and numpy.array_equal(tensors["half"].data, a.astype("f2")))
    with sparse24.File.create(str(out / "folder"), "folder[shard_bytes=600]") as folder:
        folder.put("a", a)
        folder.put("b", a[:2], "BF16")
    index = json.loads((out / "folder/model.safetensors.index.json").read_text())["weight_map"]
    found = {}
    for name in sorted(set(index.values())):
        with safe_open(out / "folder" / name, "pt") as shard:
            check(f"folder: {name} says format pt", shard.metadata()["format"] == "pt")
            found |= {key: shard.get_tensor(key) for key in shard.keys()}
    check("folder: values", set(found) == set(index) and numpy.array_equal(found["a"].numpy(), a) and found["b"].dtype == torch.bfloat16)


def split(out):
    """Their writer's parts, any of them ours to open; what we write from them is theirs again, as one file."""
    writer = gguf.GGUFWriter(out / "s.gguf", "llama", split_max_tensors=2)
    for i in range(5):
        writer.add_tensor(f"t{i}", numpy.full((2, 32), i, "f4"))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    parts = sorted(out.glob("s-*.gguf"))
    for part in parts:
        with sparse24.File(str(part)) as file:
            check(f"split GGUF by {part.name}", [float(file.read(f"t{i}")[0][0]) for i in range(5)] == [0, 1, 2, 3, 4])
            whole = out / "whole.gguf"
            with sparse24.File.create(str(whole), "gguf") as copy:
                copy.copy_meta(file)
                for name in file:
                    copy.put_stored(file, name)
    reader = gguf.GGUFReader(whole)
    check("split GGUF: copied as one", len(parts) == 3 and len(reader.tensors) == 5 and "split.count" not in reader.fields)


with tempfile.TemporaryDirectory() as folder:
    out = pathlib.Path(folder)
    pack_quantized(out, "int4 sym g32", 4, True, 32)
    pack_quantized(out, "int4 g64", 4, False, 64)
    pack_quantized(out, "int8 g576", 8, False, 576)
    for constraints, layout in (("int4 sym g32", "q4_0"), ("int8 sym g32", "q8_0"), ("int4 real g32", "q4_1")):
        blocks(out, constraints, layout)
    gptq(out, "int4 g64", 4, 64)
    gptq(out, "int8 g576", 8, 576)
    files(out)
    split(out)
sys.exit(failed > 0)
