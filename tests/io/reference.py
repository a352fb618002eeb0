#!/usr/bin/env python3
"""What libsparse24 decodes, against the packages that define it, on random bytes: every block type of GGUF and both byte orders (gguf),
folders of quantised models (make_quantised.py). Part of the nightly run.  reference.py LIBRARY [SEED]"""
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE), str(HERE.parents[1] / "examples/python")]
import packages

packages.need({"numpy": "numpy", "safetensors": "safetensors", "gguf": "gguf", "torch": "torch", "transformers": "transformers",
               "compressed_tensors": "compressed-tensors"})
os.environ["SPARSE24_LIBRARY"] = os.path.abspath(sys.argv[1])

import gguf
import numpy
import sparse24
from make_blocks import TYPES, random_blocks, values_of
from safetensors import safe_open
from safetensors.torch import save_file

failed = []


def tell(good, what):
    print("ok" if good else "not ok", what, flush=True)
    if not good:
        failed.append(what)


def same(ours, theirs):
    """Every bit, NaN apart."""
    ours, theirs = numpy.asarray(ours, "f4"), numpy.asarray(theirs, "f4")
    return ours.shape == theirs.shape and bool(((ours.view("u4") == theirs.view("u4")) | (numpy.isnan(ours) & numpy.isnan(theirs))).all())


def write_gguf(path, tensors):
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_array("names", ["a", "", "bc"])
    writer.add_float32("number", 0.1)
    for kind, blocks in tensors.items():
        writer.add_tensor(kind.name, blocks, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def blocks(folder, random):
    tensors = {kind: random_blocks(kind, random, 1024) for kind in TYPES}
    path = os.path.join(folder, "blocks.gguf")
    write_gguf(path, tensors)
    with sparse24.File(path) as file:
        for kind, raw in tensors.items():
            tell(same(file.read(kind.name), values_of(kind, raw)), f"{kind.name}: 262144 weights")


def byte_orders(folder, random):
    """The types that the package's own program turns."""
    from gguf.scripts import gguf_convert_endian

    kinds = [kind for kind in gguf_convert_endian.byteswap_tensors if kind in TYPES]
    little, big = os.path.join(folder, "little.gguf"), os.path.join(folder, "big.gguf")
    write_gguf(little, {kind: random_blocks(kind, random, 16) for kind in kinds})
    shutil.copy(little, big)
    subprocess.run([sys.executable, gguf_convert_endian.__file__, big, "big"], input=b"YES\n", check=True, capture_output=True)
    with sparse24.File(little) as ours, sparse24.File(big) as theirs:
        tell(ours.meta == theirs.meta, "big-endian: metadata")
        for kind in kinds:
            tell(same(ours.read(kind.name), theirs.read(kind.name)), f"big-endian: {kind.name}")


def quantised(folder, seed):
    vectors = os.path.join(folder, "quantised.safetensors")
    subprocess.run([sys.executable, str(HERE / "make_quantised.py"), vectors, str(seed)], check=True)
    with safe_open(vectors, "pt") as file:
        for case, config in file.metadata().items():
            model = os.path.join(folder, case)
            os.mkdir(model)
            names = [name for name in file.keys() if name.startswith((case + ":", case + "="))]
            save_file({name[len(case) + 1:]: file.get_tensor(name) for name in names if name[len(case)] == ":"},
                      os.path.join(model, "model.safetensors"))
            pathlib.Path(model, "config.json").write_text(config)
            with sparse24.File(model) as ours:
                wanted = {name[len(case) + 1:]: file.get_tensor(name).numpy() for name in names if name[len(case)] == "="}
                tell(wanted and all(same(ours.read(name), values) for name, values in wanted.items()), f"{case}: {', '.join(wanted)}")


def main():
    seed = int(sys.argv[2]) if len(sys.argv) > 2 and sys.argv[2].isdigit() else int(time.time())
    print(f"seed {seed}")
    random = numpy.random.default_rng(seed)
    with tempfile.TemporaryDirectory() as folder:
        blocks(folder, random)
        byte_orders(folder, random)
        quantised(folder, seed)
    return len(failed) > 0


if __name__ == "__main__":
    sys.exit(main())
