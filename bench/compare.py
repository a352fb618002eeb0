"""Published codes beside ours on the same arrays, in one run, with the same number of threads.

    python3 bench/compare.py --refs DIR [--library build/lib/libsparse24.so] [--threads 2] [--data FILE.safetensors]

DIR holds clones made by the user: sparsegpt (IST-DASLab/sparsegpt), wanda (locuslab/wanda), ALPS, 3BASiL and HASSLE-free (mazumder-lab) and
QuantEase (linkedin/QuantEase, whose GPTQ is taken too). Needs torch and numpy. Their classes run on the CPU, unchanged but for ALPS's device strings; errors are computed here in float64 for both. Prints a table and, with --json, one object a line. Times are the best
of --runs, the gram excluded on both sides, factorisation included; ours also checks its inputs and computes two losses.
"""
import argparse
import contextlib
import ctypes as c
import functools
import io
import json
import os
import pathlib
import struct
import sys
import time
import types

import numpy as np
import torch

CASES = [("wanda", "2:4", "preset=paper"), ("wanda", "row 50%", "preset=paper"), ("sparsegpt", "2:4", "preset=paper"),
         ("sparsegpt", "4:8", "preset=paper"), ("sparsegpt", "50%", "preset=paper"), ("alps", "2:4", "preset=paper"), ("alps", "2:4", ""),
         ("gptq", "int4", "preset=paper"), ("gptq", "int4", ""), ("quantease", "int4", "preset=paper"), ("quantease", "int4", ""), ("quantease", "int3", ""),
         ("3basil", "2:4+rank 64", "preset=3basil"), ("3basil", "2:4+rank 64", ""), ("hassle-free", "2:4+rank 64", "")]
OURS = {"3basil": "hassle", "hassle-free": "hassle"}
ROOT = pathlib.Path(__file__).resolve().parents[1]
F32 = 0x0220


class Mat(c.Structure):
    _fields_ = [("data", c.c_void_p), ("rows", c.c_int64), ("cols", c.c_int64), ("row_stride", c.c_int64), ("col_stride", c.c_int64),
                ("dtype", c.c_int32), ("device", c.c_int32), ("device_id", c.c_int32), ("flags", c.c_int32), ("reserved", c.c_uint64)]


class Library:
    """Just enough of the C interface for this program."""

    def __init__(self, path, threads):
        self.lib = c.CDLL(path)
        self.lib.s24_last_error.restype = c.c_char_p
        self.lib.s24_build_info.restype = c.c_char_p
        self.ctx = c.c_void_p()
        self.call("s24_ctx_create", c.byref(self.ctx))
        self.call("s24_ctx_set_int", self.ctx, b"threads", c.c_int64(threads))

    def call(self, name, *args):
        if getattr(self.lib, name)(*args):
            raise RuntimeError(f"{name}: {self.lib.s24_last_error().decode()}")

    def destroy(self, kind, handle):
        function = getattr(self.lib, f"s24_{kind}_destroy")
        function.restype, function.argtypes = None, [c.c_void_p]
        function(handle)

    def mat(self, array):
        assert array.dtype == np.float32 and array.flags.c_contiguous
        return Mat(array.ctypes.data, *array.shape, array.shape[1], 1, F32, 1, 0, 0, 0)

    def solve(self, w, x, constraints, solver, options, runs):
        """Weights and the best time of s24_solve(), each run on a new problem."""
        gram, best = c.c_void_p(), float("inf")
        wm, xm = self.mat(w), self.mat(x)
        self.call("s24_gram_create", self.ctx, c.c_int64(w.shape[1]), c.c_int32(F32), c.byref(gram))
        self.call("s24_gram_add", gram, c.byref(xm), None)
        handle = c.c_void_p()
        self.call("s24_solver_create", self.ctx, solver.encode(), c.byref(handle))
        self.call("s24_solver_parse", handle, options.encode())
        for _ in range(runs):
            problem, result, view = c.c_void_p(), c.c_void_p(), Mat()
            self.call("s24_problem_create", self.ctx, c.byref(wm), c.byref(problem))
            self.call("s24_problem_set_gram", problem, gram)
            self.call("s24_problem_parse", problem, constraints.encode())
            start = time.perf_counter()
            self.call("s24_solve", handle, problem, c.byref(result))
            best = min(best, time.perf_counter() - start)
            self.call("s24_result_matrix", result, b"weights", c.byref(view))
            flat = (c.c_float * (view.rows * view.cols)).from_address(view.data)
            v = np.array(np.frombuffer(flat, np.float32).reshape(view.rows, view.cols))
            self.destroy("result", result)
            self.destroy("problem", problem)
        self.destroy("solver", handle)
        self.destroy("gram", gram)
        return v, best


class GptqDone(Exception):
    """Their combined class clears the cache between GPTQ and sweeps: this ends it there."""


def load_published(refs):
    """Their classes; what they import and do not need on this path is stubbed."""
    torch.cuda.synchronize = lambda *_: None
    for name in ("transformers",):
        sys.modules.setdefault(name, types.SimpleNamespace(Conv1D=type("Conv1D", (), {})))
    sys.path[:0] = [str(refs / "sparsegpt"), str(refs / "wanda" / "lib")]
    from layerwrapper import WrappedGPT
    from sparsegpt import SparseGPT
    alps = {"__name__": "alps"}
    exec(compile((refs / "ALPS" / "alps.py").read_text().replace("cuda:0", "cpu"), "alps.py", "exec"), alps)
    def stop():
        raise GptqDone
    torch.cuda.empty_cache = stop

    class Event:
        def __init__(self, **_): pass
        def record(self): pass
        def elapsed_time(self, _): return 0
    torch.cuda.Event = Event
    transformers = sys.modules["transformers"]
    transformers.pytorch_utils = transformers
    sys.path.insert(0, str(refs / "QuantEase"))
    from method.gptq_quantease import GPTQ_QuantEase
    from method.quantease import QuantEase
    sys.modules["peft"] = types.ModuleType("peft")
    sys.modules["peft.tuners"] = types.SimpleNamespace(lora=types.SimpleNamespace(LoraLayer=type("LoraLayer", (), {})))
    split = {}
    for name, path in (("3basil", "3BASiL/compress.py"), ("hassle-free", "HASSLE-free/src/compress.py")):
        split[name] = {"__name__": name}
        exec(compile((refs / path).read_text().replace("cuda:0", "cpu").replace("torch.cuda.synchronize()", "None"), path, "exec"), split[name])
    basil, free = split["3basil"]["LLM_Compressor"], split["hassle-free"]["LLM_AM_Compressor"]
    return {"3basil": (published_split, lambda layer: basil(layer, "layer").threebasil),
            "hassle-free": (published_split, lambda layer: functools.partial(free(layer, "layer").scale_alps_gd, n_iters=80, max_iter=50)),
            "sparsegpt": (published_sparsegpt, SparseGPT), "wanda": (published_wanda, WrappedGPT), "alps": (published_alps, alps["ALPS_prune"]),
            "gptq": (published_grid, lambda layer: GPTQ_QuantEase(layer, num_iter=0)), "quantease": (published_grid, QuantEase)}


def layer_of(w):
    layer = torch.nn.Linear(w.shape[1], w.shape[0], bias=False)
    layer.weight.data = torch.from_numpy(w.copy())
    return layer


def parse(constraints):
    """Fraction of zeros, and (zeros, group) for n:m as the published codes count."""
    if ":" in constraints:
        n, m = map(int, constraints.split(":"))
        return 1 - n / m, m - n, m
    return float(constraints.removeprefix("row ").rstrip("%")) / 100, 0, 0


def published_sparsegpt(cls, w, x, constraints, runs):
    sparsity, zeros, group = parse(constraints)
    best = float("inf")
    for _ in range(runs):
        solver = cls(layer_of(w))
        solver.add_batch(torch.from_numpy(x), None)
        start = time.perf_counter()
        with contextlib.redirect_stdout(io.StringIO()):
            solver.fasterprune(sparsity, prunen=zeros, prunem=group)
        best = min(best, time.perf_counter() - start)
    return solver.layer.weight.data.numpy(), best


def published_wanda(cls, w, x, constraints, runs):
    """The class gathers the norms; the mask is lib/prune.py's, whose function wants a whole model."""
    sparsity, zeros, group = parse(constraints)
    wrapped = cls(layer_of(w))
    wrapped.add_batch(torch.from_numpy(x), None)
    best = float("inf")
    for _ in range(runs):
        weight = torch.from_numpy(w.copy())
        start = time.perf_counter()
        metric = torch.abs(weight) * torch.sqrt(wrapped.scaler_row.reshape((1, -1)))
        mask = torch.zeros_like(metric) == 1
        if zeros:
            for i in range(0, metric.shape[1], group):
                part = metric[:, i:i + group].float()
                mask.scatter_(1, i + torch.topk(part, zeros, dim=1, largest=False)[1], True)
        else:
            order = torch.sort(metric, dim=-1, stable=True)
            mask.scatter_(1, order[1][:, :int(metric.shape[1] * sparsity)], True)
        weight[mask] = 0
        best = min(best, time.perf_counter() - start)
    return weight.numpy(), best


def published_alps(cls, w, x, constraints, runs):
    sparsity, zeros, group = parse(constraints)
    best = float("inf")
    for _ in range(runs):
        layer = layer_of(w)
        solver = cls(layer, 1, len(x))
        solver.add_batch(torch.from_numpy(x), layer(torch.from_numpy(x)))
        start = time.perf_counter()
        with contextlib.redirect_stdout(io.StringIO()), torch.no_grad():
            solver.ALPS_admm(sparsity, group - zeros if group else 0, group)
        best = min(best, time.perf_counter() - start)
    return layer.weight.data.numpy(), best


def published_grid(cls, w, x, constraints, runs):
    """Per row, asymmetric, ranges as they are. Their clocks are CUDA events, which the stubs below replace."""
    best = float("inf")
    for _ in range(runs):
        layer = layer_of(w)
        with contextlib.redirect_stdout(io.StringIO()), torch.no_grad():
            solver = cls(layer)
            solver.quantizer = sys.modules["method.quant"].Quantizer()
            solver.quantizer.configure(int(constraints.removeprefix("int")), perchannel=True, sym=False)
            solver.add_batch(torch.from_numpy(x), None)
            start = time.perf_counter()
            with contextlib.suppress(GptqDone):
                solver.fasterquant(group_size=-1, actorder=False)
        best = min(best, time.perf_counter() - start)
    return layer.weight.data.numpy(), best


def published_split(make, w, x, constraints, runs):
    """Sparse plus low rank, with the damping of their scripts; factors start as adapters do."""
    pattern, rank = constraints.split("+rank ")
    _, zeros, group = parse(pattern)
    best = float("inf")
    for _ in range(runs):
        torch.manual_seed(0)
        base = layer_of(w)
        a, b = torch.empty(int(rank), w.shape[1]), torch.zeros(w.shape[0], int(rank))
        torch.nn.init.kaiming_uniform_(a, a=5 ** 0.5)
        adapter = lambda t: types.SimpleNamespace(default=types.SimpleNamespace(weight=t))
        layer = types.SimpleNamespace(weight=base.weight, base_layer=base, lora_A=adapter(a), lora_B=adapter(b), scaling={"default": 1}, active_adapter=["default"])
        run = make(layer)
        owner = run.func.__self__ if isinstance(run, functools.partial) else run.__self__
        owner.H = torch.from_numpy(x).T @ torch.from_numpy(x) * (2 / len(x))
        start = time.perf_counter()
        with contextlib.redirect_stdout(io.StringIO()), torch.no_grad():
            run(prunen=group - zeros, prunem=group, percdamp=0.005, hess_diag=True, hess_percdamp=0.005)
        best = min(best, time.perf_counter() - start)
    return (base.weight.data + b @ a).numpy(), best


def error(w, v, x):
    x = x.astype(np.float64)
    return float((((w - v).astype(np.float64) @ x.T) ** 2).sum() / ((w.astype(np.float64) @ x.T) ** 2).sum())


def read_safetensors(path):
    data = pathlib.Path(path).read_bytes()
    size = struct.unpack("<Q", data[:8])[0]
    kinds = {"F32": np.float32, "F16": np.float16}
    return {name: np.frombuffer(data, kinds[t["dtype"]], offset=8 + size + t["data_offsets"][0],
                                count=int(np.prod(t["shape"]))).reshape(t["shape"]).astype(np.float32)
            for name, t in json.loads(data[8:8 + size]).items() if name != "__metadata__" and t["dtype"] in kinds}


def arrays(args):
    """(name, weights, calibration rows)"""
    tensors = read_safetensors(args.data)
    for name, rows in (("k", "attn"), ("o", "o"), ("down", "down"), ("A", "A"), ("B", "B")):
        if f"w.{name}" not in tensors:
            continue
        yield name, np.ascontiguousarray(tensors[f"w.{name}"]), np.ascontiguousarray(tensors[f"x.{rows}"])
    for n in args.dims:
        rng = np.random.default_rng(n)
        mix = (rng.standard_normal((n, n)) / n ** 0.5).astype(np.float32)
        yield f"random {n}", rng.standard_normal((n, n)).astype(np.float32), rng.standard_normal((2 * n, n)).astype(np.float32) @ mix


def cases(args):
    chosen = [case for case in CASES if case[0] in args.methods.split(",")]
    if not args.constraints:
        return chosen
    return dict.fromkeys((method, args.constraints, options) for method, _, options in chosen)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--refs", type=pathlib.Path, required=True)
    parser.add_argument("--library", default=str(ROOT / "build/lib/libsparse24.so"))
    parser.add_argument("--data", default=str(ROOT / "examples/data/smollm2-block10-small.safetensors"))
    parser.add_argument("--dims", type=int, nargs="*", default=[2048])
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--methods", default="wanda,sparsegpt,alps,gptq,quantease")
    parser.add_argument("--constraints", help="only these, for instance 90%%, instead of each method's usual ones")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    published = load_published(args.refs)
    ours = Library(args.library, args.threads)
    if not args.json:
        print(f"{args.threads} threads, torch {torch.__version__}, {ours.lib.s24_build_info(b'blas').decode()}")
        print(f"{'matrix':12} {'method':10} {'ours is':8} {'pattern':8} {'published':>10} {'ours':>10} {'published s':>12} {'ours s':>9} {'ratio':>7}")
    for name, w, x in arrays(args):
        for method, constraints, options in cases(args):
            run, cls = published[method]
            theirs, their_time = run(cls, w, x, constraints, args.runs)
            v, our_time = ours.solve(w, x, constraints, OURS.get(method, method), options, args.runs)
            row = {"bench": "compare", "matrix": name, "method": method, "options": options, "constraints": constraints, "published_error": error(w, theirs, x),
                   "error": error(w, v, x), "published_seconds": their_time, "seconds": our_time, "ratio": their_time / our_time}
            if args.json:
                print(json.dumps(row))
            else:
                print(f"{name:12} {method:10} {options.removeprefix('preset=') or 'default':8} {constraints:8} {row['published_error']:10.6f} {row['error']:10.6f} "
                      f"{their_time:12.4f} {our_time:9.4f} {row['ratio']:6.1f}x", flush=True)


if __name__ == "__main__":
    main()
