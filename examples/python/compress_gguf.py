"""Compress a GGUF model for llama.cpp: calibrate it with llama.cpp's own Python package, write a GGUF that llama.cpp loads.

    pip install llama-cpp-python
    python3 compress_gguf.py MODEL.gguf --text calibration.txt --constraints 2:4 --solver alps --type Q8_0 --out OUT.gguf

The activations are those of the model as it is (one pass, not layer after layer). Tensors of blocks that are matrices in float types, Q4_0, Q4_1, Q5_0, Q5_1 or
Q8_0 are compressed; everything else is copied byte for byte. A type that cannot hold the result would change it: F16, BF16, F32 and Q8_0 keep zeros.
"""
from __future__ import annotations

import argparse
import ctypes
import math
import pathlib
import re
import sys
from typing import Any

try:
    import llama_cpp
    import numpy
except ImportError as missing:
    if {"-h", "--help"} & {*sys.argv}:
        print(__doc__)
    sys.exit(f"compress_gguf.py: {missing}: pip install llama-cpp-python numpy")

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import sparse24  # noqa: E402

FILE_TYPES = {"F32": "0", "F16": "1", "Q8_0": "7", "BF16": "32"}  # llama.cpp's numbers, general.file_type


class Tensor(ctypes.Structure):
    """ggml_tensor. No function tells sources and strides, so the layout is ours to know; check() finds out when it is another one."""


Tensor._fields_ = [("type", ctypes.c_int32), ("buffer", ctypes.c_void_p), ("ne", ctypes.c_int64 * 4), ("nb", ctypes.c_size_t * 4), ("op", ctypes.c_int32),
                   ("op_params", ctypes.c_int32 * 16), ("flags", ctypes.c_int32), ("src", ctypes.POINTER(Tensor) * 10), ("view_src", ctypes.c_void_p),
                   ("view_offs", ctypes.c_size_t), ("data", ctypes.c_void_p), ("name", ctypes.c_char * 64)]

ggml = llama_cpp.llama_cpp._lib
ggml.ggml_get_name.argtypes, ggml.ggml_get_name.restype = [ctypes.c_void_p], ctypes.c_char_p
ggml.ggml_get_data.argtypes, ggml.ggml_get_data.restype = [ctypes.c_void_p], ctypes.c_void_p
ggml.ggml_op_desc.argtypes, ggml.ggml_op_desc.restype = [ctypes.c_void_p], ctypes.c_char_p


def check(address: int, tensor: Tensor) -> None:
    if ggml.ggml_get_name(address) != tensor.name or ggml.ggml_get_data(address) != tensor.data:
        raise RuntimeError("this version of llama-cpp-python lays ggml_tensor out in another way than compress_gguf.py knows (0.3.36)")


class Calibration:
    """One gram for each input that products with the wanted weights have, fed by llama.cpp's evaluation callback."""

    def __init__(self, wanted: set[str]) -> None:
        self.wanted = wanted
        self.grams: dict[str, sparse24.Gram] = {}  # by weight; layers with the same input share one
        self.shared: dict[int, str] = {}  # input tensor of the first graph -> the weight whose gram it feeds
        self.leaders: set[str] = set()
        self.error: BaseException | None = None
        self.callback = llama_cpp.ggml_backend_sched_eval_callback(self.on_tensor)

    def on_tensor(self, address: int, asked: bool, _: Any) -> bool:
        """llama.cpp asks before whether a tensor is of interest, and shows it after. False then stops it."""
        try:
            if ggml.ggml_op_desc(address) != b"MUL_MAT":
                return not asked
            tensor = Tensor.from_address(address)
            weight, x = (tensor.src[index].contents for index in (0, 1))
            name = weight.name.decode()
            if name not in self.wanted:
                return not asked
            if not asked:
                check(address, tensor)
                self.add(name, x)
            return True
        except BaseException as error:  # ctypes would drop it
            self.error = error
            return False

    def add(self, name: str, x: Tensor) -> None:
        if name not in self.grams:
            leader = self.shared.setdefault(ctypes.addressof(x), name)
            if leader == name:
                self.leaders.add(name)
                self.grams[name] = sparse24.Gram(x.ne[0])
            self.grams[name] = self.grams[leader]
        if name in self.leaders:
            rows = x.ne[1] * x.ne[2] * x.ne[3]
            self.grams[name].add(sparse24.Mat(x.data, rows, x.ne[0], x.nb[1] // 4, 1, sparse24.F32, sparse24.CPU))


def calibrate(path: str, tokens: list[int], length: int, wanted: set[str], threads: int) -> dict[str, sparse24.Gram]:
    """Run the model over sequences of `length` tokens; the gram of each wanted weight that was used."""
    calibration = Calibration(wanted)
    model = llama_cpp.llama_model_load_from_file(path.encode(), llama_cpp.llama_model_default_params())
    if not model:
        raise RuntimeError(f"llama.cpp cannot load {path}")
    parameters = llama_cpp.llama_context_default_params()
    parameters.n_ctx = parameters.n_batch = parameters.n_ubatch = length
    parameters.n_threads = parameters.n_threads_batch = threads
    parameters.cb_eval = calibration.callback
    context = llama_cpp.llama_init_from_model(model, parameters)
    try:
        for start in range(0, len(tokens) - length + 1, length):
            llama_cpp.llama_memory_clear(llama_cpp.llama_get_memory(context), True)
            part = (llama_cpp.llama_token * length)(*tokens[start : start + length])
            status = llama_cpp.llama_decode(context, llama_cpp.llama_batch_get_one(part, length))
            if calibration.error:
                raise calibration.error
            if status:
                raise RuntimeError(f"llama_decode answered {status}")
            print(f"\rcalibrating: {start + length} of {len(tokens)} tokens", end="", file=sys.stderr, flush=True)
    finally:
        print(file=sys.stderr)
        llama_cpp.llama_free(context)
        llama_cpp.llama_model_free(model)
    return calibration.grams


def tokenise(path: str, text: str) -> list[int]:
    model = llama_cpp.Llama(path, vocab_only=True, verbose=False)
    return model.tokenize(pathlib.Path(text).read_bytes(), add_bos=False)


def perplexity(path: str, tokens: list[int], length: int) -> float:
    """Of llama.cpp with this model, over sequences of `length` tokens."""
    model = llama_cpp.Llama(path, n_ctx=length, n_batch=length, logits_all=True, verbose=False)
    total, count = 0.0, 0
    for start in range(0, len(tokens) - length + 1, length):
        part = tokens[start : start + length]
        model.reset()
        model.eval(part)
        logits = model.scores[: length - 1].astype("f8")
        logits -= logits.max(axis=1, keepdims=True)
        total += float((numpy.log(numpy.exp(logits).sum(axis=1)) - logits[numpy.arange(length - 1), part[1:]]).sum())
        count += length - 1
    return math.exp(total / count)


def candidates(file: sparse24.File, skip: list[str]) -> set[str]:
    """Names of the blocks' matrices."""
    pattern = re.compile(r"blk\.\d+\..*\.weight")
    return {name for name in file.keys() if pattern.fullmatch(name) and len(file.info(name)[0]) == 2 and not any(word in name for word in skip)}


def compress(source: sparse24.File, grams: dict[str, sparse24.Gram], out: str, kind: str, constraints: str, solver: str, options: str) -> list[float]:
    """Write the new file; the relative loss of each layer, before its type rounds it."""
    losses = []
    with sparse24.File.create(out, "gguf") as file:
        file.copy_meta(source)
        if kind in FILE_TYPES and "general.file_type" in source.meta:
            file.set_meta("general.file_type", FILE_TYPES[kind])
        for name in source.keys():
            if name not in grams:
                file.put_stored(source, name)
                continue
            w = source.read(name)
            with sparse24.Problem(w, grams[name], constraints) as problem, sparse24.Solver(solver) as method:
                method.parse(options)
                with method.solve(problem) as result:
                    file.put(name, result.weights, kind)
                    losses.append(result.relative_loss)
                    print(f"{name}: relative loss {result.relative_loss:.4f}, {result.seconds:.2f} s", flush=True)
    return losses


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--text", required=True, help="calibration text")
    parser.add_argument("--eval", help="text for the perplexity before and after")
    parser.add_argument("--out", required=True)
    parser.add_argument("--constraints", default="2:4")
    parser.add_argument("--solver", default="sparsegpt", help=", ".join(sparse24.solvers()))
    parser.add_argument("--options", default="", help="of the solver: preset=fast,damp=0.1")
    parser.add_argument("--type", default="F16", help="how compressed tensors are stored")
    parser.add_argument("--tokens", type=int, default=65536, help="of the calibration text, and of the other, at most")
    parser.add_argument("--length", type=int, default=512)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--skip", default="", help="words, comma-separated: tensors with one in their name are copied")
    arguments = parser.parse_args()

    tokens = tokenise(arguments.model, arguments.text)[: arguments.tokens]
    if len(tokens) < arguments.length:
        parser.error(f"{arguments.text} has {len(tokens)} tokens, but one sequence has {arguments.length}")
    with sparse24.File(arguments.model) as source:
        wanted = candidates(source, list(filter(None, arguments.skip.split(","))))
        grams = calibrate(arguments.model, tokens, arguments.length, wanted, arguments.threads)
        losses = compress(source, grams, arguments.out, arguments.type, arguments.constraints, arguments.solver, arguments.options)
    print(f"{len(losses)} tensors, mean relative loss {sum(losses) / max(len(losses), 1):.4f}: {arguments.out}")
    if arguments.eval:
        held_out = tokenise(arguments.model, arguments.eval)[: arguments.tokens]
        for path in (arguments.model, arguments.out):
            print(f"perplexity {perplexity(path, held_out, arguments.length):.3f} {path}")


if __name__ == "__main__":
    try:
        main()
    except (sparse24.Sparse24Error, OSError, RuntimeError) as failure:
        sys.exit(f"compress_gguf.py: {failure}")
