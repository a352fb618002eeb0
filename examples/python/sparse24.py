"""libsparse24 from Python: one file, the standard library only. NumPy and torch are used when they are there, and nothing is copied.

    import numpy, sparse24
    gram = sparse24.Gram(w.shape[1])                 # w: outputs x inputs
    for x in batches:                                # x: rows x inputs
        gram.add(x)
    problem = sparse24.Problem(w, gram, "2:4")
    result = sparse24.Solver("alps", preset="fast").solve(problem)
    print(result.relative_loss)
    w[:] = result.weights                            # a view into the result

Data flows one way: activations -> Gram (and Cross) -> Problem -> Solver -> Result -> Packed or File; Model does whole language models. Each class is one
handle of the C interface, each method one function of it. A matrix is a NumPy array, a torch tensor, or anything with the buffer protocol or `__dlpack__`, of 1 dimension
(one row), 2, or more (all but the last are rows), with positive strides. What the library borrows is kept alive.

Every failure is a Sparse24Error: `status` (a number E_...), `name` ("S24_E_SHAPE") and a text that says what was wrong where. Handles close
in any order, by close(), by `with`, or by themselves; arrays that look into them keep them open. Exceptions in callbacks stop the
call and come out of it. Ctrl-C stops a solve. Calls release the interpreter's lock; an object is for one thread at a time, but for
Solver.cancel() and close().

The library is looked for at load(path), in the environment variable SPARSE24_LIBRARY, beside this file, where `meson install` has put it, then where the system
has it.
`python3 sparse24.py` prints which one was found, and what it can do.
"""
from __future__ import annotations

import array
import ctypes
import ctypes.util
import importlib
import json
import math
import operator
import os
import pathlib
import re
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Union

__all__ = ["Compressed", "Context", "Cross", "File", "Gram", "Group", "Loss", "Mat", "Model", "Option", "Packed", "Problem", "Product", "Raw", "Result", "Solver", "Sparse24Error",
           "Tokenizer", "build_info", "compress", "compress_options", "copy", "default_solver", "library", "load", "multiply", "permutation", "project_nm", "prox24", "prox_firm",
           "prox_nm", "solvers", "version"]

API_MAJOR, API_MINOR = 0, 2
_INSTALLED = "@LIBRARY@"  # the library from this file's folder, written by `meson install`

# Constants and functions of the headers, without const and S24_: python3 tests/python/prototypes.py --update
# begin
(OK, E_ARG, E_MEMORY, E_OPTION, E_SHAPE, E_DTYPE, E_NONFINITE, E_NUMERIC, E_STATE, E_CANCELLED, E_UNSUPPORTED, E_IO, E_FORMAT, E_BACKEND,
 E_INTERNAL, E_USER) = (0, -1, -2, -3, -4, -5, -6, -7, -8, -9, -10, -11, -12, -13, -14, -100)
(I8, I16, I32, I64, U8, U16, U32, F16, F32, F64, BF16, BOOL, E4M3FN, E5M2) = (0x0008, 0x0010, 0x0020, 0x0040, 0x0108, 0x0110, 0x0120,
 0x0210, 0x0220, 0x0240, 0x0410, 0x0608, 0x0A08, 0x0C08)
(CPU, CUDA, CUDA_HOST, CUDA_MANAGED) = (1, 2, 3, 13)
(OPT_INT, OPT_FLOAT, OPT_STR) = (1, 2, 3)
(RESULT_MATRIX, RESULT_INT, RESULT_FLOAT, RESULT_STR) = (1, 2, 3, 4)
(EXACT, FAST) = (0, 1)
(ALONG_INPUTS, ALONG_OUTPUTS, ALONG_BOTH) = (0, 1, 2)

PROTOTYPES = """
uint32 s24_api_version(); text s24_version(); text s24_build_info(text); text s24_status_name(status); text s24_last_error();
status s24_last_status(); status s24_fail(status, text); double s24_seconds(); status s24_mat_rowmajor(mat*, void*, int64, int64, int32);
status s24_mat_copy(ctx*, mat*, mat*); status s24_mat_multiply(ctx*, mat*, mat*, mat*); status s24_ctx_create(ctx**);
status s24_ctx_create_with(alloc_fn, free_fn, void*, ctx**); void s24_ctx_destroy(ctx*); status s24_ctx_set_int(ctx*, text, int64);
status s24_ctx_set_str(ctx*, text, text); status s24_ctx_get_int(ctx*, text, int64*); status s24_ctx_get_str(ctx*, text, text*);
status s24_ctx_set_parallel(ctx*, parallel_fn, void*, int32); status s24_ctx_parallel(ctx*, task_fn, void*, int64);
status s24_ctx_set_log(ctx*, log_fn, void*); status s24_ctx_memory(ctx*, uint64*, uint64*); status s24_gram_create(ctx*, int64, int32, gram**);
status s24_gram_add(gram*, mat*, mat*); status s24_gram_merge(gram*, gram*); status s24_gram_export(gram*, int32, mat*, double*);
status s24_gram_import(gram*, int32, mat*, double); status s24_gram_info(gram*, int64*, double*); status s24_gram_norms(gram*, mat*, double*);
void s24_gram_destroy(gram*); status s24_cross_create(gram*, int64, cross**); status s24_gram_add_targets(gram*, mat*, mat*, cross**, mat*, int32);
status s24_cross_derive(cross*, gram*, mat*, cross**); status s24_cross_merge(cross*, cross*);
status s24_cross_export(cross*, int32, mat*, double*, double*); status s24_cross_import(cross*, int32, mat*, double*, double);
void s24_cross_destroy(cross*); status s24_problem_create(ctx*, mat*, problem**); status s24_problem_set_gram(problem*, gram*);
status s24_problem_set_target(problem*, cross*, double); status s24_problem_set_pattern(problem*, int32, int32);
status s24_problem_set_sparsity(problem*, double, text); status s24_problem_set_grid(problem*, int32, int64, text);
status s24_problem_set_rank(problem*, int64); status s24_problem_set_importance(problem*, mat*);
status s24_problem_set_previous(problem*, mat*, double*, double*); status s24_problem_set_mask(problem*, mat*);
status s24_problem_parse(problem*, text); text s24_problem_constraints(problem*); text s24_problem_solver(problem*);
status s24_problem_loss(problem*, mat*, double*, double*); status s24_problem_target_loss(problem*, mat*, double*, double*);
status s24_problem_check(problem*, mat*); status s24_problem_check_result(problem*, result*); void s24_problem_destroy(problem*);
int32 s24_solver_count(); text s24_solver_name(int32); text s24_solver_fact(text, text); status s24_solver_create(ctx*, text, solver**);
void s24_solver_destroy(solver*); status s24_solver_set_int(solver*, text, int64); status s24_solver_set_float(solver*, text, double);
status s24_solver_set_str(solver*, text, text); status s24_solver_parse(solver*, text); status s24_solver_get_int(solver*, text, int64*);
status s24_solver_get_float(solver*, text, double*); status s24_solver_get_str(solver*, text, text*); status s24_solver_is_set(solver*, text, int32*);
status s24_solver_reset(solver*); int32 s24_solver_option_count(solver*);
status s24_solver_option_info(solver*, int32, text*, int32*, text*, text*, text*); status s24_solver_set_progress(solver*, progress_fn, void*);
void s24_solver_cancel(solver*); status s24_solver_memory(solver*, problem*, uint64*); status s24_solve(solver*, problem*, result**);
status s24_compress(ctx*, text, text, text, mat*, mat*, double*); status s24_result_matrix(result*, text, mat*);
status s24_result_int(result*, text, int64*); status s24_result_float(result*, text, double*); status s24_result_str(result*, text, text*);
text s24_result_name(result*, int32, int32*); void s24_result_destroy(result*); size s24_record_set_float(text, text, double, void*, size);
size s24_record_set_str(text, text, text, void*, size); status s24_record_float(text, text, double*); size s24_record_str(text, text, void*, size);
size s24_utf8_length(text, size); status s24_pack(ctx*, mat*, mat*, text, packed**); status s24_pack_result(ctx*, result*, text, packed**);
status s24_pack_codes(ctx*, text, mat*, mat*, mat*, text, packed**); status s24_packed_part(packed*, int32, text*, void**, size*);
status s24_packed_matrix(packed*, text, mat*); status s24_packed_shape(packed*, text, int64*, int32*);
status s24_packed_info(packed*, text*, int64*, int64*, int32*);
status s24_packed_wrap(ctx*, text, int64, int64, int32, void**, size*, int32, packed**); status s24_packed_convert(packed*, text, packed**);
status s24_unpack(packed*, mat*); status s24_packed_multiply(packed*, mat*, mat*); void s24_packed_destroy(packed*);
status s24_packed_prepare(packed*, int32, int32, int64, product*, product**); status s24_product_run(product*, mat*, mat*);
status s24_product_info(product*, text*, text*, int32*, int64*); void s24_product_destroy(product*); status s24_prox24(ctx*, mat*, double, mat*);
status s24_prox_nm(ctx*, mat*, int32, int32, double, mat*); status s24_prox_firm(ctx*, mat*, int32, int32, double, mat*);
status s24_project_nm(ctx*, mat*, int32, int32, mat*); status s24_permutation(ctx*, mat*, int32, int32, int64, int64*, double*);
status s24_nm_mask(ctx*, mat*, int32, int32, int32, mat*); status s24_nm_mask_tsenor(ctx*, mat*, int32, int32, double, int32, mat*);
status s24_mask_decay(ctx*, mat*, mat*, double, mat*); status s24_srste_add(ctx*, mat*, mat*, double, mat*);
status s24_mask_schedule(text, int32, int32, int64, int64, double*, int32*, double*);
status s24_nm_regrow(ctx*, mat*, mat*, int32, double, mat*, int64*); status s24_file_open(ctx*, text, file**); int64 s24_file_count(file*);
text s24_file_name(file*, int64); status s24_file_info(file*, text, int64*, int32*, text*); status s24_file_get(file*, text, mat*);
status s24_file_bytes(file*, text, void**, size*); status s24_file_read(file*, text, mat*); status s24_file_check_read(file*, text);
text s24_file_meta(file*, text); text s24_file_meta_key(file*, int64); status s24_file_check_source(file*);
status s24_file_create(ctx*, text, text, file**); status s24_file_put(file*, text, mat*, int64*, int32, text);
status s24_file_put_stored(file*, file*, text); status s24_file_put_packed(file*, text, packed*); status s24_file_packed(file*, text, packed**);
status s24_file_copy_meta(file*, file*); status s24_file_check_copy(file*, file*); status s24_file_set_meta(file*, text, text);
status s24_file_commit(file*); void s24_file_destroy(file*)
"""

MODEL_PROTOTYPES = """
status s24_model_open(ctx*, text, model**); void s24_model_destroy(model*); status s24_model_int(model*, text, int64*);
status s24_model_str(model*, text, text*); status s24_model_matrix(model*, int64, text*, text*, int64*, int64*, int64*);
status s24_model_evaluate(model*, mat*, text, text, double*); status s24_model_float(model*, text, double*); status s24_model_pack(model*, text);
status s24_model_packed(model*, int64, text*, text*, text*, int64*); status s24_model_generate(model*, mat*, text, text, mat*);
status s24_model_importance(model*, mat*, text, text, text, double*); status s24_model_set_progress(model*, progress_fn, void*);
void s24_model_cancel(model*); status s24_model_export(model*, text, text); status s24_model_soup(ctx*, text*, int32, text);
status s24_model_set_group(model*, group*); status s24_tokenizer_open(ctx*, text, tokenizer**); void s24_tokenizer_destroy(tokenizer*);
status s24_tokenizer_int(tokenizer*, text, int64*); status s24_tokenizer_piece(tokenizer*, int32, text*, size*);
status s24_tokenizer_find(tokenizer*, text, int64*); status s24_tokenizer_encode(tokenizer*, void*, size, text, int32**, int64*);
status s24_tokenizer_decode(tokenizer*, int32*, int64, text, text*, size*); status s24_model_tokenizer(model*, text, tokenizer**);
status s24_tokens_open(model*, text, text, tokens**); void s24_tokens_destroy(tokens*); status s24_tokens_get(tokens*, mat*, text*);
status s24_compression_create(model*, compression**); void s24_compression_destroy(compression*);
status s24_compression_set_int(compression*, text, int64); status s24_compression_set_float(compression*, text, double);
status s24_compression_set_str(compression*, text, text); status s24_compression_parse(compression*, text);
status s24_compression_get(compression*, text, text*); status s24_compression_option_info(int32, text*, text*, text*, text*);
status s24_compression_add_rule(compression*, text); status s24_compression_add_skip(compression*, text);
status s24_compression_set_calibration(compression*, mat*, text); status s24_compression_add_evaluation(compression*, mat*, text);
status s24_compression_set_progress(compression*, progress_fn, void*); status s24_compression_set_log(compression*, log_fn, void*);
status s24_compression_plan(compression*, uint64*, double*, uint64*); status s24_compression_estimate(compression*, text);
status s24_compression_run(compression*, text); status s24_compression_tune(compression*, model*, text); void s24_compression_cancel(compression*);
status s24_compression_number(compression*, text, int32, double*); status s24_compression_matrix_float(compression*, int32, text, double*);
status s24_compression_matrix_str(compression*, int32, text, text*); status s24_compression_epoch(compression*, int32, int32, double*, double*);
text s24_compression_source(compression*, int32)
"""
# end

# Element types: the name in NumPy, ml_dtypes and torch, the letter of the struct module.
_TYPES = {I8: ("int8", "b"), I16: ("int16", "h"), I32: ("int32", "i"), I64: ("int64", "q"), U8: ("uint8", "B"), U16: ("uint16", "H"),
          U32: ("uint32", "I"), F16: ("float16", "e"), F32: ("float32", "f"), F64: ("float64", "d"), BOOL: ("bool", "?"),
          BF16: ("bfloat16", ""), E4M3FN: ("float8_e4m3fn", ""), E5M2: ("float8_e5m2", "")}
Progress = Union[Callable[[str, int, int, float, float], Any], bool, None]
_BY_NAME = {name: code for code, (name, _) in _TYPES.items()}


class Sparse24Error(Exception):
    """A call failed. `status` is one of the numbers E_..., `name` its identifier in C, the text is for people."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status

    @property
    def name(self) -> str:
        return next((f"S24_{name}" for name, value in globals().items() if name[:2] == "E_" and value == self.status), "S24_E_?")

    def __reduce__(self) -> tuple:
        return type(self), (self.status, str(self))


# ---- Types of the C interface ----


class Mat(ctypes.Structure):
    """s24_mat: a view of a matrix, with what keeps its data alive."""

    _fields_ = [("data", ctypes.c_void_p), ("rows", ctypes.c_int64), ("cols", ctypes.c_int64), ("row_stride", ctypes.c_int64),
                ("col_stride", ctypes.c_int64), ("dtype", ctypes.c_int32), ("device", ctypes.c_int32), ("device_id", ctypes.c_int32),
                ("flags", ctypes.c_int32), ("reserved", ctypes.c_uint64)]
    keep: Any = None


def _integer(base: type, bits: int) -> type:
    """An argument type that refuses what does not fit, where ctypes cuts bits off."""

    def from_param(value: Any) -> Any:
        number = operator.index(value)
        if not -(1 << (bits - 1)) <= number < 1 << (bits - 1):
            raise TypeError(f"{number} does not fit into {bits} bits")
        return base(number)

    return type(f"int{bits}", (base,), {"from_param": staticmethod(from_param)})


class _Float(ctypes.c_double):
    @staticmethod
    def from_param(value: Any) -> Any:
        if not hasattr(type(value), "__float__"):
            raise TypeError(f"expected a number, not {type(value).__name__}")
        return ctypes.c_double(float(value))


class _Text(ctypes.c_char_p):
    @staticmethod
    def from_param(value: Any) -> Any:
        if isinstance(value, (str, os.PathLike)):
            value = os.fsencode(value)
        if not isinstance(value, (bytes, type(None))):
            raise TypeError(f"expected a text, not {type(value).__name__}")
        if value and b"\0" in value:
            raise TypeError("a text may not hold a NUL character")
        return ctypes.c_char_p(value)


class _Owned(ctypes.c_void_p):
    """A handle of the library, destroyed with the last reference to this object: the Python object's own, those of calls that run, of arrays that look
    into it, of younger handles. So whatever is closed in whatever order or thread, nothing is used afterwards."""

    kind = ""
    destroy: Any = None
    keep: Any = None  # what must outlive the handle

    @classmethod
    def from_param(cls, value: Any) -> Any:
        own = value.own() if isinstance(value, _Handle) else value
        if not isinstance(own, (_Owned, type(None))):
            raise TypeError(f"expected a {cls.kind}, not {type(value).__name__}")
        return own  # of the right kind? The library knows, and says so.

    def __del__(self) -> None:
        if self.value and self.destroy:  # neither at the interpreter's end nor of a library that lacks it
            self.destroy(self.value)


_int32, _int64 = _integer(ctypes.c_int32, 32), _integer(ctypes.c_int64, 64)
_TASK = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int32)
_PROGRESS = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int64, ctypes.c_int64, ctypes.c_double, ctypes.c_double)
_DESTROY = ctypes.CFUNCTYPE(None, ctypes.c_void_p)
_LOG = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int32, ctypes.c_char_p)

_Exchange = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t)


class _Table(ctypes.Structure):
    """s24_group."""

    _fields_ = [("user", ctypes.c_void_p), ("rank", ctypes.c_int32), ("size", ctypes.c_int32), ("exchange", _Exchange), ("gather", _Exchange),
                ("broadcast", ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int32)),
                ("abort", ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_char_p))]


# Words of the prototypes. A word that is not here is a handle ("gram*"), or the place for one ("gram**").
_WORDS = {"status": _int32, "int32": _int32, "int64": _int64, "double": _Float, "text": _Text, "void*": ctypes.c_void_p,
          "void**": ctypes.POINTER(ctypes.c_void_p), "size": ctypes.c_size_t, "size*": ctypes.POINTER(ctypes.c_size_t),
          "int32**": ctypes.POINTER(ctypes.POINTER(ctypes.c_int32)),
          "mat*": ctypes.POINTER(Mat), "int32*": ctypes.POINTER(ctypes.c_int32), "int64*": ctypes.POINTER(ctypes.c_int64),
          "uint64*": ctypes.POINTER(ctypes.c_uint64), "double*": ctypes.POINTER(ctypes.c_double), "text*": ctypes.POINTER(ctypes.c_char_p),
          "group*": ctypes.POINTER(_Table), "task_fn": _TASK, "progress_fn": _PROGRESS, "log_fn": _LOG,
          "alloc_fn": ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_size_t),
          "free_fn": ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t),
          "parallel_fn": ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p, _TASK, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int32)}
_RESULTS = {"void": None, "status": ctypes.c_int32, "int32": ctypes.c_int32, "int64": ctypes.c_int64, "uint32": ctypes.c_uint32,
            "text": ctypes.c_char_p, "double": ctypes.c_double, "size": ctypes.c_size_t}


def _word(word: str) -> Any:
    if word not in _WORDS:
        kind = word.rstrip("*")
        _WORDS.update({kind + "*": type(kind, (_Owned,), {"kind": kind}), kind + "**": ctypes.POINTER(ctypes.c_void_p)})
    return _WORDS[word]


# ---- Finding and loading the library ----

_loaded: Any = None
_path = ""
_loading = threading.RLock()
_raised = threading.local()  # .error: an exception of a callback, until the call that ran it returns
_default: Context | None = None


def _candidates() -> list[str]:
    """Where the library may be, best first."""
    if os.environ.get("SPARSE24_LIBRARY"):
        return [os.environ["SPARSE24_LIBRARY"]]
    beside = sorted(str(path) for path in pathlib.Path(__file__).resolve().parent.glob("libsparse24.*") if re.search(r"\.(so|dylib)\b", path.name))
    installed = [] if _INSTALLED[0] == "@" else [str(pathlib.Path(__file__).resolve().parent / _INSTALLED)]
    beside += [path for path in installed if os.path.exists(path)]
    return [*beside, ctypes.util.find_library("sparse24") or "libsparse24.so.0.1"]


def _choose_blas_core(path: str) -> None:
    """OpenBLAS picks its kernels when it is loaded, and releases older than the processor pick slow ones (docs/threads.md). Only a process that has loaded it
    knows, so ask one, and do what the library's log says there."""
    if "OPENBLAS_CORETYPE" in os.environ or not re.match("python|pypy", os.path.basename(sys.executable or "")):
        return
    try:
        if "libopenblas" in pathlib.Path("/proc/self/maps").read_text():
            return  # too late: NumPy or the program brought it
        done = subprocess.run([sys.executable, "-I", "-S", __file__, path], capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.SubprocessError):
        return
    core = re.search(r"OPENBLAS_CORETYPE=(\w+)", done.stdout)
    if core:
        os.environ["OPENBLAS_CORETYPE"] = core.group(1)


def load(path: str | os.PathLike | None = None, choose_blas_core: bool = True) -> Any:
    """Load the library, from `path` or where it is found, and return it. The first use of anything here does it without a path. If OpenBLAS would run slower
    kernels than the processor can, and the user has not set OPENBLAS_CORETYPE, it is set first; finding out takes one short process, and
    `choose_blas_core=False` leaves it."""
    global _loaded, _path
    with _loading:
        if _loaded is not None:
            if path is not None and os.path.realpath(path) != os.path.realpath(_path):
                raise Sparse24Error(E_STATE, f"{_path} is loaded already: load({os.fspath(path)!r}) must come before anything else")
            return _loaded
        candidates = [os.fspath(path)] if path is not None else _candidates()
        found = next((os.path.abspath(one) for one in candidates if os.path.exists(one)), candidates[-1])
        if choose_blas_core:
            _choose_blas_core(found)
        try:
            handle = ctypes.CDLL(found)
        except OSError as error:
            raise Sparse24Error(E_BACKEND, f"cannot load {found}: {error}; set SPARSE24_LIBRARY or call sparse24.load(path)") from None
        _declare(handle, found)
        _loaded, _path = handle, found
        return handle


def model_library() -> Any:
    """The same with the functions of libsparse24-model, the library of whole models, which is looked for at SPARSE24_MODEL_LIBRARY, then beside the first."""
    handle = library()
    with _loading:
        if not hasattr(handle, "model"):
            folder = os.path.dirname(os.path.realpath(_path))
            beside = sorted(str(path) for path in pathlib.Path(folder).glob("libsparse24-model.so*") if path.is_file())
            found = os.environ.get("SPARSE24_MODEL_LIBRARY") or (beside or [ctypes.util.find_library("sparse24-model") or "libsparse24-model.so"])[0]
            try:
                model = ctypes.CDLL(found)
            except OSError as error:
                raise Sparse24Error(E_BACKEND, f"cannot load {found}: {error}; set SPARSE24_MODEL_LIBRARY") from None
            _declare(model, found, MODEL_PROTOTYPES)
            for name in re.findall(r"s24_\w+", MODEL_PROTOTYPES):
                setattr(handle, name, getattr(model, name))
            handle.model = model
        return handle


def _declare(handle: Any, path: str, prototypes: str = PROTOTYPES) -> None:
    """Give every function its types; one that this library does not have becomes one that says so."""
    number = handle.s24_api_version() if hasattr(handle, "s24_api_version") else -1
    if number >> 16 != API_MAJOR:
        has = f"has interface version {number >> 16}.{number >> 8 & 255}" if number >= 0 else "has no s24_api_version"
        raise Sparse24Error(E_BACKEND, f"{path} {has}, but {__file__} is made for version {API_MAJOR}.{API_MINOR}: take both from one release")
    for result, name, words in re.findall(r"(\w+) (s24_\w+)\((.*?)\)", prototypes):
        types = [_word(word) for word in filter(None, words.split(", "))]
        if hasattr(handle, name):
            function = getattr(handle, name)
            function.restype, function.argtypes = _RESULTS[result], types
        else:
            setattr(handle, name, _missing(f"{path} has no {name}: it is older than {__file__}"))


def _missing(text: str) -> Callable:
    def missing(*_: Any) -> None:
        raise Sparse24Error(E_UNSUPPORTED, text)

    return missing


def library() -> Any:
    """The loaded library with every function of the C interface declared, for what has no class here."""
    return _loaded or load()


# ---- Calling ----


def _get(name: str, *arguments: Any) -> Any:
    """Call a function of the library; texts are decoded."""
    try:
        value = getattr(_loaded or load(), name)(*arguments)
    except ctypes.ArgumentError as error:
        raise Sparse24Error(E_ARG, f"{name}: " + re.sub(r"<class '[\w.]+'>: |\b\w+Error: ", "", str(error))) from None
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def _call(name: str, *arguments: Any) -> None:
    """Call a function that returns a status; raise what it says, or what one of our callbacks raised inside."""
    status = _get(name, *arguments)
    if _raised.__dict__:
        raise _raised.__dict__.pop("error")
    if status:
        raise Sparse24Error(status, _get("s24_last_error"))


def _guarded(function: Callable, failed: Any) -> Callable:
    """For callbacks, whose exceptions ctypes drops: the first is kept for _call(), and `failed` returned."""

    def guarded(*arguments: Any) -> Any:
        try:
            return function(*arguments)
        except BaseException as error:
            _raised.__dict__.setdefault("error", error)
            return failed

    return guarded


class _Handle:
    """What all handles have: close(), `with`, and an end of their own."""

    _kind = ""
    _own: _Owned | None = None

    def _create(self, function: str, *arguments: Any, arrays: str = "") -> None:
        """Call function(arguments, &handle). The first argument, a handle itself, lives as long as the new one."""
        own = _word(self._kind + "*")()
        own.keep = {"of": getattr(arguments[0], "_own", None) if arguments else None}
        try:
            _call(function, *arguments, ctypes.byref(own))
        finally:
            if own.value:
                own.destroy = _DESTROY((f"s24_{self._kind}_destroy", _loaded if f"s24_{self._kind}_destroy" in PROTOTYPES else _loaded.model))
        self._own, self._arrays = own, arrays

    def own(self) -> _Owned:
        """The C handle; an error after close()."""
        own = self._own
        if own is None:
            raise Sparse24Error(E_ARG, f"the {self._kind} has been closed")
        return own

    @property
    def closed(self) -> bool:
        """Has close() been called?"""
        return self._own is None

    def _say(self) -> str:
        """What a print shows beside the name."""
        return ""

    def __repr__(self) -> str:
        try:
            text = "closed" if self.closed else self._say()
        except Sparse24Error as error:
            text = str(error)
        return f"<sparse24.{type(self).__name__.lstrip('_')}{' ' if text else ''}{text}>"

    def close(self) -> None:
        """Give the handle back. It lives on for as long as running calls, arrays and other handles need it. Closing twice is nothing."""
        self._own = None

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()


class _Named(_Handle):
    """A handle with named parts, iterated as names."""

    def __iter__(self) -> Iterator[str]:
        raise NotImplementedError

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __contains__(self, name: object) -> bool:
        return any(name == one for one in self)

    def keys(self) -> list[str]:
        """All names."""
        return [*iter(self)]


# ---- Matrices in ----


class _Buffer(ctypes.Structure):
    """Python's Py_buffer, part of its stable interface: the address of a buffer whether or not it is writable or contiguous."""

    _fields_ = [("buf", ctypes.c_void_p), ("obj", ctypes.c_void_p), ("len", ctypes.c_ssize_t), ("itemsize", ctypes.c_ssize_t),
                ("readonly", ctypes.c_int), ("ndim", ctypes.c_int), ("format", ctypes.c_char_p), ("shape", ctypes.POINTER(ctypes.c_ssize_t)),
                ("strides", ctypes.POINTER(ctypes.c_ssize_t)), ("suboffsets", ctypes.POINTER(ctypes.c_ssize_t)), ("internal", ctypes.c_void_p)]

    def __init__(self, value: Any) -> None:
        super().__init__()
        _get_buffer(value, self, 0x18 | 0x04)  # with strides and format

    def __del__(self) -> None:
        if self.obj:
            self.release(self)


def _python(name: str, result: Any, *arguments: Any) -> Any:
    """A function of Python's own C interface; ours alone, because the types of ctypes.pythonapi's are everybody's."""
    return ctypes.PYFUNCTYPE(result, *arguments)((name, ctypes.pythonapi))


_get_buffer = _python("PyObject_GetBuffer", ctypes.c_int, ctypes.py_object, ctypes.POINTER(_Buffer), ctypes.c_int)
_has_buffer = _python("PyObject_CheckBuffer", ctypes.c_int, ctypes.py_object)
_capsule_pointer = _python("PyCapsule_GetPointer", ctypes.c_void_p, ctypes.py_object, ctypes.c_char_p)
_Buffer.release = staticmethod(_python("PyBuffer_Release", None, ctypes.POINTER(_Buffer)))  # at hand even when the interpreter ends


class _DLTensor(ctypes.Structure):
    """The head of DLPack's DLManagedTensor."""

    _fields_ = [("data", ctypes.c_void_p), ("device", ctypes.c_int32), ("device_id", ctypes.c_int32), ("ndim", ctypes.c_int32),
                ("code", ctypes.c_uint8), ("bits", ctypes.c_uint8), ("lanes", ctypes.c_uint16), ("shape", ctypes.POINTER(ctypes.c_int64)),
                ("strides", ctypes.POINTER(ctypes.c_int64)), ("byte_offset", ctypes.c_uint64)]


class _Found(NamedTuple):
    """What an array says of itself; strides in elements."""

    address: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    dtype: int
    keep: Any
    readonly: bool = False
    device: tuple[int, int] = (CPU, 0)


def _torch_of(value: Any) -> Any:
    """The torch module if the value is one of its tensors."""
    torch = sys.modules.get("torch")
    return torch if torch is not None and isinstance(value, getattr(torch, "Tensor", ())) else None


def _check_place(device: Any, known: bool, what: str) -> None:
    if not known:
        raise Sparse24Error(E_UNSUPPORTED, f"{what} is on device {device}, but this library reads memory of the CPU, and of CUDA where the context has a "
                            "device: copy it there first")


def _unknown_type(what: str, kind: str) -> Sparse24Error:
    return Sparse24Error(E_DTYPE, f"{what} holds {kind}, which the library does not know")


def _from_torch(value: Any, what: str) -> _Found:
    gpu = value.device.type == "cuda" and not getattr(_torch_of(value).version, "hip", None)
    _check_place(value.device, value.device.type == "cpu" or gpu, what)
    name = str(value.dtype).replace("torch.", "")
    if name not in _BY_NAME:
        raise _unknown_type(what, str(value.dtype))
    if str(value.layout) != "torch.strided" or value.is_neg():
        raise Sparse24Error(E_ARG, f"{what} is a tensor without plain memory (sparse, or lazily negated): densify or clone it")
    twin = value.detach()  # keeps the memory even when the caller gives the tensor other memory (tensor.data = ...)
    if not gpu:
        return _Found(twin.data_ptr(), tuple(twin.shape), twin.stride(), _BY_NAME[name], twin)
    _torch_of(value).cuda.current_stream(value.device).synchronize()  # the library has a stream of its own
    return _Found(twin.data_ptr(), tuple(twin.shape), twin.stride(), _BY_NAME[name], twin, device=(CUDA, value.device.index or 0))


def _buffer_type(view: _Buffer, what: str) -> int:
    form = (view.format or b"B").decode()
    letter = form.lstrip("@=<>!")
    if form[0] in ">!" and view.itemsize > 1:
        raise Sparse24Error(E_DTYPE, f"{what} has the byte order of other machines (format {form}): convert it first")
    kind = 6 if letter == "?" else 2 if letter in ("e", "f", "d") else 0 if letter in tuple("bhilqn") else 1 if letter in tuple("BHILQN") else -1
    code = kind * 256 + 8 * view.itemsize
    if code not in _TYPES:
        raise _unknown_type(what, {"O": "Python objects", "Zf": "complex numbers", "Zd": "complex numbers"}.get(letter, f"elements of format {form}"))
    return code


def _from_buffer(value: Any, what: str) -> _Found:
    name = ""
    try:
        view = _Buffer(value)
    except (BufferError, ValueError, TypeError) as error:
        name = str(getattr(value, "dtype", ""))  # of ml_dtypes: NumPy cannot describe them in a buffer
        if name not in ("bfloat16", "float8_e4m3fn", "float8_e5m2"):
            raise Sparse24Error(E_DTYPE, f"{what} does not show its memory: {error}") from None
        view = _Buffer(value.view("u2" if name == "bfloat16" else "u1"))
    shape = tuple(view.shape[: view.ndim])
    strides = view.strides[: view.ndim] if view.strides else [view.itemsize * stride for stride in _contiguous(shape)]
    dtype = _BY_NAME[name] if name else _buffer_type(view, what)
    if any(stride % view.itemsize for stride in strides):
        raise Sparse24Error(E_SHAPE, f"{what} has strides of {strides} bytes, no multiples of its elements' {view.itemsize}")
    return _Found(view.buf or 0, shape, tuple(stride // view.itemsize for stride in strides), dtype, view, bool(view.readonly))


def _contiguous(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(math.prod(shape[i + 1 :]) for i in range(len(shape)))


def _from_dlpack(value: Any, what: str) -> _Found:
    device = tuple(value.__dlpack_device__())
    _check_place(device, device[0] in (CPU, CUDA, CUDA_MANAGED), what)
    try:
        capsule = value.__dlpack__()  # never consumed, so its own destructor tells the producer when it goes
        tensor = _DLTensor.from_address(_capsule_pointer(capsule, b"dltensor"))
    except Exception as error:
        raise Sparse24Error(E_DTYPE, f"{what} does not show its memory: {error}") from None
    shape, dtype = tuple(tensor.shape[: tensor.ndim]), tensor.code * 256 + tensor.bits
    if tensor.lanes != 1 or dtype not in _TYPES:
        raise _unknown_type(what, f"elements of DLPack type {tensor.code}, {tensor.bits} bits, {tensor.lanes} lanes")
    strides = tuple(tensor.strides[: tensor.ndim]) if tensor.strides else _contiguous(shape)
    if (tensor.device, tensor.device_id) != device:
        raise Sparse24Error(E_UNSUPPORTED, f"{what} is on device {device}, but shows memory of device {(tensor.device, tensor.device_id)}")
    return _Found((tensor.data or 0) + tensor.byte_offset, shape, strides, dtype, capsule, device=(tensor.device, tensor.device_id))


def _find(value: Any, what: str) -> _Found:
    if type(value).__name__ in ("MaskedArray", "MaskedTensor"):
        raise Sparse24Error(E_ARG, f"{what} is a masked array, and the library would not see its mask: fill it first, x.filled(0)")
    if isinstance(value, Raw):
        return _from_buffer(value.view, what)._replace(dtype=value.code)
    if _torch_of(value):
        return _from_torch(value, what)
    if _has_buffer(value):
        return _from_buffer(value, what)
    if hasattr(value, "__dlpack_device__"):
        return _from_dlpack(value, what)
    raise Sparse24Error(E_ARG, f"{what} is of type {type(value).__name__}, but must be an array: NumPy's, torch's, or anything with the "
                        "buffer protocol or __dlpack__")


def _folded(shape: tuple[int, ...], strides: tuple[int, ...], what: str) -> tuple[int, int]:
    """Number and stride of the rows that all these dimensions make."""
    count, step = 1, 0
    for extent, stride in zip(reversed(shape), reversed(strides)):
        if extent != 1 and count != 1 and stride != step * count:
            raise Sparse24Error(E_SHAPE, f"{what} has dimensions that do not fold into rows without a copy: make it contiguous")
        step = stride if extent != 1 and count == 1 else step
        count *= extent
    return count, step


def _matrix(value: Any, what: str, write: bool = False, column: bool = False) -> Mat | None:
    """The view of an array that the library takes, without a copy. `column`: one dimension is a column, not a row."""
    if value is None or isinstance(value, Mat):
        return value
    address, shape, strides, dtype, keep, readonly, device = _find(value, what)
    if write and readonly:
        raise Sparse24Error(E_ARG, f"{what} is read-only, but the result goes there")
    if not shape:
        raise Sparse24Error(E_SHAPE, f"{what} has no dimensions, expected a matrix")
    if address % ((dtype & 255) // 8):
        raise Sparse24Error(E_ARG, f"{what} does not lie at a multiple of its element size: copy it")
    if column and len(shape) == 1:
        shape, strides = (*shape, 1), (*strides, 1)
    rows, row_stride = _folded(shape[:-1], strides[:-1], what)
    mat = Mat(address, rows, shape[-1], row_stride, strides[-1], dtype, *device)
    mat.keep = keep
    return mat


# ---- Arrays out ----


def _module(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


def _kind(value: Any = None) -> str:
    """Whose arrays to answer with: those of the value, else the first that there is."""
    if _torch_of(value):
        return "torch"
    return "numpy" if _module("numpy") else "torch" if sys.modules.get("torch") else "memoryview"


def _numpy_type(dtype: int) -> Any:
    name, letter = _TYPES[dtype]
    module = _module("numpy" if letter else "ml_dtypes")
    if module is None:
        raise Sparse24Error(E_DTYPE, f"NumPy has no {name}: install ml_dtypes, or read into an array of another float type")
    return _module("numpy").dtype(name if letter else getattr(module, name))


class Raw:
    """Elements of a type that memoryview does not know (float16, bfloat16, floats of 8 bits), where neither NumPy nor torch is there. Every function here takes it as
    a matrix of that type; `dtype` is its name, `view` the raw elements, tolist() gives numbers."""

    def __init__(self, view: memoryview, code: int) -> None:
        self.view, self.code = view, code

    def __repr__(self) -> str:
        return f"<sparse24.Raw {self.dtype} {' x '.join(map(str, self.shape))}>"

    def __len__(self) -> int:
        return len(self.view)

    @property
    def dtype(self) -> str:
        """The name of the type."""
        return _TYPES[self.code][0]

    @property
    def shape(self) -> tuple[int, ...]:
        """The extents, as of an array."""
        return self.view.shape

    @property
    def readonly(self) -> bool:
        """Does it look into a file?"""
        return self.view.readonly

    def tolist(self) -> list:
        """The elements as lists of numbers."""
        return copy(self, _new(self.shape, F32, "memoryview")).tolist()


def _array(raw: Any, shape: tuple[int, ...], dtype: int, kind: str) -> Any:
    """The bytes of `raw`, which has the buffer protocol, as an array that keeps it alive."""
    name, letter = _TYPES[dtype]
    if kind == "numpy":
        return _module("numpy").frombuffer(raw, _numpy_type(dtype)).reshape(shape)
    if kind == "torch":
        torch = _module("torch")
        return torch.frombuffer(raw, dtype=getattr(torch, name)).reshape(shape)
    if letter in ("", "e"):
        return Raw(memoryview(raw).cast("B").cast("B" if dtype & 255 == 8 else "H", shape), dtype)
    return memoryview(raw).cast("B").cast(letter, shape)


def _new(shape: tuple[int, ...], dtype: int, kind: str) -> Any:
    """An array of the caller's own."""
    if kind == "numpy":
        return _module("numpy").empty(shape, _numpy_type(dtype))
    if kind == "torch":
        torch = _module("torch")
        return torch.empty(shape, dtype=getattr(torch, _TYPES[dtype][0]))
    return _array((ctypes.c_uint8 * ((dtype & 255) // 8 * math.prod(shape)))(), shape, dtype, kind)


def _view(mat: Mat, own: Any, kind: str, shape: tuple[int, ...] | None = None, readonly: bool = False) -> Any:
    """The library's own memory as an array; `own` stays alive with it."""
    shape = shape or (mat.rows, mat.cols)
    plain = (mat.rows <= 1 or mat.row_stride == mat.cols) and (mat.cols <= 1 or mat.col_stride == 1)
    count = mat.rows * mat.cols * (mat.dtype & 255) // 8
    if not plain or not count or (readonly and kind == "torch"):  # torch has no read-only tensors
        return copy(mat, _new(shape, mat.dtype, kind))
    raw = (ctypes.c_uint8 * count).from_address(mat.data)
    raw.own = own
    return _array(memoryview(raw).toreadonly() if readonly else raw, shape, mat.dtype, kind)


# ---- Context ----


def _beside(name: str) -> str:
    """The path of a file in the folder of the library itself."""
    return str(pathlib.Path(_library_path()).resolve().parent / name)


class Context(_Handle):
    """Threads, memory limit and log, by keywords: Context(threads=2, memory_limit=1 << 30, isa="avx2"). Everything uses default_context() when it is given no
    other. log(level, text) receives the library's messages."""

    _kind = "ctx"

    def __init__(self, log: Callable[[int, str], Any] | None = None, **options: int | str) -> None:
        self._create("s24_ctx_create")
        self.set(**options)
        self.set_log(log)

    def set(self, **options: int | str) -> None:
        """Set options: threads, isa, memory_limit, log_level, hold_blas, and device: "cpu", PATH:INDEX, or "cuda:0" for the library of that name beside
        this one (docs/gpu.md). Arrays on that device are read without a copy by Gram.add() and Problem()."""
        for name, value in options.items():
            if name == "device" and str(value).startswith("cuda:"):
                value = _beside(f"libsparse24-{str(value).replace(':', '.so:')}")
            _call("s24_ctx_set_str" if isinstance(value, str) else "s24_ctx_set_int", self, name, value)

    def __getitem__(self, name: str) -> int | str:
        """The value of an option."""
        number, text = ctypes.c_int64(), ctypes.c_char_p()
        try:
            _call("s24_ctx_get_int", self, name, ctypes.byref(number))
            return number.value
        except Sparse24Error as error:
            if error.status != E_OPTION:
                raise
        _call("s24_ctx_get_str", self, name, ctypes.byref(text))
        return text.value.decode()

    def set_log(self, log: Callable[[int, str], Any] | None) -> None:
        """Receive log lines as log(level, text), 0 error, 1 warning, 2 information, 3 debugging; None drops them."""
        callback = _LOG(_guarded(lambda _, level, text: log(level, text.decode("utf-8", "replace")), None)) if log else _LOG()
        self.own().keep.setdefault("logs", []).append(callback)  # all of them: a call that fails leaves the former one in force
        _call("s24_ctx_set_log", self, callback, None)

    def memory(self) -> tuple[int, int]:
        """Bytes now, and at the peak, over everything made from this context."""
        current, peak = ctypes.c_uint64(), ctypes.c_uint64()
        _call("s24_ctx_memory", self, ctypes.byref(current), ctypes.byref(peak))
        return current.value, peak.value


def default_context() -> Context:
    """The context of everything that is given no other."""
    global _default
    with _loading:
        if _default is None or _default.closed:
            _default = Context()
        return _default


# ---- Calibration sums ----


class Gram(_Handle):
    """H = sum of x x^T over calibration rows x, in two halves; in single (F32) or double (F64) precision."""

    _kind = "gram"

    def __init__(self, dim: int, accumulator: int = F32, context: Context | None = None) -> None:
        self._create("s24_gram_create", context or default_context(), dim, accumulator)

    def add(self, x: Any, row_weight: Any = None, targets: Mapping[Cross, Any] | None = None) -> None:
        """Add rows x (..., dim) of any float type; row_weight, one number a row, 0 for padding. `targets` has, for each cross that hangs on this gram, the
        outputs (..., out_dim) wanted for these rows."""
        rows, weights = _matrix(x, "x"), _matrix(row_weight, "row_weight", column=True)
        if not targets:
            _call("s24_gram_add", self, rows, weights)
            return
        kept = [(cross.own(), _matrix(wanted, "targets")) for cross, wanted in targets.items()]
        crosses = (ctypes.c_void_p * len(kept))(*(own.value for own, _ in kept))
        _call("s24_gram_add_targets", self, rows, weights, crosses, (Mat * len(kept))(*(wanted for _, wanted in kept)), len(kept))

    def norms(self, weights: Any = None) -> list[float]:
        """Norms over the rows so far: of each output of these weights (out, dim), or without weights of each input."""
        mat = _matrix(weights, "weights")
        out = (ctypes.c_double * (mat.rows if mat else self.dim))()
        _call("s24_gram_norms", self, mat, out)
        return list(out)

    def merge(self, other: Gram) -> None:
        """Add the sums of another gram."""
        _call("s24_gram_merge", self, other)

    def export_half(self, half: int, out: Any = None) -> tuple[Any, float]:
        """One half (1 or 2) of H as an array, and its weight sum."""
        rows = ctypes.c_double()
        out = _new((self.dim, self.dim), F64, _kind()) if out is None else out
        _call("s24_gram_export", self, half, _matrix(out, "out", write=True), ctypes.byref(rows))
        return out, rows.value

    def import_half(self, half: int, h: Any, rows: float) -> None:
        """Replace one half by what export_half() gave, perhaps in another process."""
        _call("s24_gram_import", self, half, _matrix(h, "h"), rows)

    def _say(self) -> str:
        return f"of {self.dim} inputs, {self.rows:g} rows"

    @property
    def dim(self) -> int:
        """Number of inputs."""
        dim = ctypes.c_int64()
        _call("s24_gram_info", self, ctypes.byref(dim), None)
        return dim.value

    @property
    def rows(self) -> float:
        """Rows so far (sum of weights)."""
        rows = ctypes.c_double()
        _call("s24_gram_info", self, None, ctypes.byref(rows))
        return rows.value


class Cross(_Handle):
    """C = sum of t x^T over the rows of a gram, which it hangs on: t the outputs wanted from the layer, x the inputs it will really get. Rows come with
    gram.add(x, targets={cross: t})."""

    _kind = "cross"

    def __init__(self, gram: Gram, out_dim: int) -> None:
        self._create("s24_cross_create", gram, out_dim)
        self.shape = (out_dim, gram.dim)

    def derive(self, dense: Gram, weights: Any) -> Cross:
        """The cross of the outputs y W^T, where this one has targets y and `dense` is a gram of the same rows y: one cross serves all matrices (outputs,
        inputs) that see y (q, k, v). It takes no targets: rows that come later are not in it."""
        matrix = _matrix(weights, "weights")
        made = Cross.__new__(Cross)
        made._create("s24_cross_derive", self, dense, matrix)
        made.shape = (int(matrix.rows), self.shape[1])
        return made

    def merge(self, other: Cross) -> None:
        """Add the sums of another cross."""
        _call("s24_cross_merge", self, other)

    def export_half(self, half: int, out: Any = None) -> tuple[Any, list[float], float]:
        """One half of C as an array, the squared norm of each wanted output, the weight sum."""
        rows, norms = ctypes.c_double(), (ctypes.c_double * self.shape[0])()
        out = _new(self.shape, F64, _kind()) if out is None else out
        _call("s24_cross_export", self, half, _matrix(out, "out", write=True), norms, ctypes.byref(rows))
        return out, list(norms), rows.value

    def import_half(self, half: int, c: Any, norms: Any, rows: float) -> None:
        """Replace one half by what export_half() gave."""
        values = [float(norm) for norm in norms]
        if len(values) != self.shape[0]:
            raise Sparse24Error(E_SHAPE, f"norms has {len(values)} numbers, but must have {self.shape[0]}, one an output")
        _call("s24_cross_import", self, half, _matrix(c, "c"), (ctypes.c_double * len(values))(*values), rows)


# ---- Problem ----


class Loss(NamedTuple):
    """A loss, and what it is relative to the loss of all zeros (for a target: to the target's squared norm)."""

    loss: float
    relative: float


class Problem(_Handle):
    """A layer to compress: minimise ||(W - V) X^T||^2 over V that obeys the constraints. `weights` (outputs, inputs) is borrowed, not copied: leave it
    unchanged until the problem is closed. `constraints`: "2:4", "50%", "row 50%", ..., joined by "+"."""

    _kind = "problem"

    def __init__(self, weights: Any, gram: Gram | None = None, constraints: str | None = None, context: Context | None = None) -> None:
        mat = _matrix(weights, "weights")
        self._create("s24_problem_create", context or default_context(), mat, arrays=_kind(weights))
        self.own().keep["weights"] = mat
        self.set_gram(gram)
        self.parse(constraints)

    def _say(self) -> str:
        mat = self.own().keep["weights"]
        return f"{mat.rows} x {mat.cols}, {self.constraints or 'no constraints'}"

    def set_gram(self, gram: Gram | None) -> None:
        """Use this gram, None for none (H = identity)."""
        _call("s24_problem_set_gram", self, gram)

    def set_target(self, cross: Cross | None, blend: float = 1.0) -> None:
        """Aim at (1 - blend) X W^T + blend T. None removes it."""
        _call("s24_problem_set_target", self, cross, blend)

    @property
    def constraints(self) -> str:
        """The constraints in force, as text: "2:4+int4 sym g64"."""
        return _get("s24_problem_constraints", self)

    def set_pattern(self, n: int, m: int) -> None:
        """Keep at most n of each m consecutive inputs."""
        _call("s24_problem_set_pattern", self, n, m)

    def set_sparsity(self, sparsity: float, scope: str = "layer") -> None:
        """Make that share of the weights zero, over the whole "layer" or in each "row"."""
        _call("s24_problem_set_sparsity", self, sparsity, scope)

    def _borrow(self, what: str, value: Any) -> None:
        mat, own = _matrix(value, what), self.own()
        _call(f"s24_problem_set_{what}", self, mat)
        own.keep[what] = mat

    def set_importance(self, importance: Any) -> None:
        """Scores for solvers that take the caller's (wanda with score=importance). Borrowed."""
        self._borrow("importance", importance)

    def set_previous(self, weights: Any, scores: Any = None, norms: Any = None) -> None:
        """The matrix whose outputs are these inputs, the scores of its inputs and norms of its outputs: what mlprank ranks columns by. Borrowed; None
        forgets it."""
        mat, own = _matrix(weights, "weights"), self.own()
        given = [None if v is None else (ctypes.c_double * len(v))(*v) for v in (scores, norms)]
        for v, count, what in ((given[0], mat and mat.cols, "scores"), (given[1], mat and mat.rows, "norms")):
            if v is not None and len(v) != count:
                raise Sparse24Error(E_SHAPE, f"{what} has {len(v)} numbers, but must have {count}")
        _call("s24_problem_set_previous", self, mat, *given)
        own.keep["previous"] = (mat, given)

    def set_mask(self, mask: Any) -> None:
        """Keep exactly this support (bytes or bools, 1 = keep). Borrowed."""
        self._borrow("mask", mask)

    def parse(self, constraints: str | None) -> None:
        """Replace all constraints by a text."""
        _call("s24_problem_parse", self, constraints)

    def _loss(self, function: str, candidate: Any) -> Loss:
        loss, relative = ctypes.c_double(), ctypes.c_double()
        _call(function, self, _matrix(candidate, "candidate"), ctypes.byref(loss), ctypes.byref(relative))
        return Loss(loss.value, relative.value)

    def loss(self, candidate: Any) -> Loss:
        """The loss of these weights, accumulated in double, independent of any solver."""
        return self._loss("s24_problem_loss", candidate)

    def target_loss(self, candidate: Any) -> Loss:
        """The same against the target."""
        return self._loss("s24_problem_target_loss", candidate)

    def check(self, candidate: Any) -> None:
        """Raise with the first offending place unless these weights, or everything in a Result, obey the constraints."""
        if isinstance(candidate, Result):
            _call("s24_problem_check_result", self, candidate)
        else:
            _call("s24_problem_check", self, _matrix(candidate, "candidate"))


# ---- Solver ----


class Option(NamedTuple):
    """What the library says of an option. `type` is int, float or str."""

    name: str
    type: type
    range: str
    default: str
    help: str


class Solver(_Handle):
    """An algorithm and its options: Solver("alps", preset="fast", max_iter=100). solvers() lists the algorithms, options() what each takes."""

    _kind = "solver"

    def __init__(self, name: str, context: Context | None = None, **options: int | float | str) -> None:
        self._create("s24_solver_create", context or default_context(), name)
        self.name = name
        self._running = threading.Lock()
        self.set(**options)

    def _say(self) -> str:
        return self.name

    def set(self, **options: int | float | str) -> None:
        """Set options; they persist."""
        for name, value in options.items():
            kind = "str" if isinstance(value, str) else "int" if hasattr(type(value), "__index__") else "float"
            _call(f"s24_solver_set_{kind}", self, name, value)

    def parse(self, assignments: str) -> None:
        """Set options from text: "rho=0.1,max_iter=200". All or nothing."""
        _call("s24_solver_parse", self, assignments)

    def reset(self) -> None:
        """Back to the defaults."""
        _call("s24_solver_reset", self)

    def options(self) -> dict[str, Option]:
        """Every option by name: type, range, default, meaning."""
        rows = [self._option(index) for index in range(_get("s24_solver_option_count", self))]
        return {row.name: row for row in rows}

    def _option(self, index: int) -> Option:
        texts, kind = [ctypes.c_char_p() for _ in range(4)], ctypes.c_int32()
        name, span, default, text = map(ctypes.byref, texts)
        _call("s24_solver_option_info", self, index, name, ctypes.byref(kind), span, default, text)
        name, span, default, text = (one.value.decode() for one in texts)
        return Option(name, {OPT_INT: int, OPT_FLOAT: float}.get(kind.value, str), span, default, text)

    def __getitem__(self, name: str) -> int | float | str:
        """The value of an option in force."""
        return _read("s24_solver_get", self, name, self.options()[name].type if name in self.options() else str)

    def is_set(self, name: str) -> bool:
        """Was this option given, rather than left to a default or a preset?"""
        value = ctypes.c_int32()
        _call("s24_solver_is_set", self, name, ctypes.byref(value))
        return bool(value.value)

    def memory(self, problem: Problem) -> int:
        """Bytes that solve() will allocate at most: an upper bound, and a close one."""
        value = ctypes.c_uint64()
        _call("s24_solver_memory", self, problem, ctypes.byref(value))
        return value.value

    def cancel(self) -> None:
        """Ask a running solve to stop. Any thread."""
        _get("s24_solver_cancel", self)

    def solve(self, problem: Problem, progress: Progress = None) -> Result:
        """Solve. progress=True shows a bar. progress(phase, step, total, objective, residual) is called now and then (total -1 and NaN: unknown); anything true
        that it returns stops the solve, an exception too, which comes out here. Result.stop says whether it was stopped; E_CANCELLED if nothing feasible existed yet."""
        if not self._running.acquire(blocking=False):
            raise Sparse24Error(E_STATE, "s24_solve: a solve is running on this solver: use another one beside it")
        try:
            with _Watch(self.own(), progress):
                return Result(self, problem)
        finally:
            self._running.release()


def _read(function: str, handle: _Handle, name: str, kind: type) -> Any:
    """One named value through function_int, _float or _str."""
    word, value = {int: ("int", ctypes.c_int64()), float: ("float", ctypes.c_double())}.get(kind, ("str", ctypes.c_char_p()))
    _call(f"{function}_{word}", handle, name, ctypes.byref(value))
    return value.value.decode("utf-8", "replace") if word == "str" else value.value


class _Bar:
    """progress=True: the bar of tqdm, in a notebook its widget, if tqdm is installed; else a line that is drawn again, on a terminal only."""

    def __init__(self) -> None:
        self.tqdm = getattr(_module("tqdm.auto"), "tqdm", None)
        self.bar, self.drawn = None, 0.0

    def __call__(self, phase: str, step: int, total: int, *_: float) -> None:
        percent = min(100.0, 100 * step / total) if total > 0 else 0.0
        if self.tqdm:
            self.bar = self.bar or self.tqdm(total=100, bar_format="{desc}: {percentage:3.0f} %|{bar}| {elapsed}<{remaining}")
            if percent < self.bar.n:
                self.bar.reset()
            self.bar.set_description_str(phase, refresh=False)
            self.bar.update(percent - self.bar.n)
        elif sys.stderr and sys.stderr.isatty() and time.monotonic() - self.drawn > 0.2:
            self.drawn = time.monotonic()
            print(f"\r{phase} {percent:3.0f} %\033[K", end="", file=sys.stderr, flush=True)

    def close(self) -> None:
        if self.bar:
            self.bar.close()
        elif self.drawn:
            print("\r\033[K", end="", file=sys.stderr, flush=True)


class _Watch:
    """Progress and Ctrl-C of one solve. Python runs no handler before C code returns or calls back, and what a handler raises then may be dropped by ctypes. So
    while the solve runs, a thread waits for the signal's number (signal.set_wakeup_fd) and cancels, our handler only notes, and the former one has its turn
    when the solve has stopped, or at once while the caller's own function runs."""

    def __init__(self, solver: _Owned, progress: Callable | None) -> None:
        self.solver, self.progress = solver, _Bar() if progress is True else progress  # or a model, or a compression
        self.kind = solver.kind.rstrip("*")
        self.inside, self.other = False, -1
        self.former: Any = None
        self.noted: tuple | None = None

    def __enter__(self) -> None:
        self.callback = _PROGRESS(_guarded(self.on_progress, 1)) if self.progress else _PROGRESS()
        _call(f"s24_{self.kind}_set_progress", self.solver, self.callback, None)
        if threading.current_thread() is threading.main_thread() and callable(signal.getsignal(signal.SIGINT)):
            self.numbers, self.wakeup = os.pipe()
            os.set_blocking(self.wakeup, False)
            self.thread = threading.Thread(target=self.wait, daemon=True)
            self.thread.start()
            self.former = signal.signal(signal.SIGINT, self.on_signal)
            self.other = signal.set_wakeup_fd(self.wakeup, warn_on_full_buffer=False)

    def __exit__(self, *_: Any) -> None:
        _get(f"s24_{self.kind}_set_progress", self.solver, _PROGRESS(), None)
        if isinstance(self.progress, _Bar):
            self.progress.close()
        if self.former:
            signal.set_wakeup_fd(self.other)
            os.close(self.wakeup)
            self.thread.join()
            os.close(self.numbers)
            signal.signal(signal.SIGINT, self.former)
        if self.noted:
            self.former(*self.noted)

    def wait(self) -> None:
        stop = False
        while True:
            if select.select([self.numbers], [], [], 0.05 if stop else None)[0]:
                number = os.read(self.numbers, 1)
                if not number:
                    return
                if self.other >= 0:
                    os.write(self.other, number)  # to whom it went before us
                stop = stop or number[0] == signal.SIGINT
            if stop:  # again and again: the solve may not have begun
                _get(f"s24_{self.kind}_cancel", self.solver)
            if stop and self.kind != "solver":
                return  # the others keep it in mind

    def on_signal(self, *arguments: Any) -> None:
        if self.inside:
            self.former(*arguments)  # may raise: inside _guarded()
        else:
            self.noted = arguments

    def on_progress(self, _: Any, phase: bytes, step: int, total: int, objective: float, residual: float) -> int:
        try:
            self.inside = True
            return 1 if self.progress(phase.decode(), step, total, objective, residual) else 0
        finally:
            self.inside = False


def solvers() -> dict[str, type[Solver]]:
    """A class for each solver of the library, by name: solvers()["alps"](rho=0.1) is Solver("alps", rho=0.1), and help() of it shows the options."""
    names = [_get("s24_solver_name", i) for i in range(_get("s24_solver_count"))]
    return {name: _solver_class(name) for name in names}


def _solver_class(name: str) -> type[Solver]:
    rows = Solver(name).options().values()
    lines = [_get("s24_solver_fact", name, "title") or name, ""]
    lines += [f"{key}: {text}" for key in ("constraints", "cost", "paper") for text in [_get("s24_solver_fact", name, key)] if text]
    lines += ["", "Options:", *(f"    {row.name} ({row.type.__name__}, {row.range}; default {row.default}): {row.help}" for row in rows)]

    def __init__(self: Solver, context: Context | None = None, **options: int | float | str) -> None:
        Solver.__init__(self, name, context, **options)

    return type(name, (Solver,), {"__doc__": "\n".join(lines), "__init__": __init__, "__module__": __name__})


# ---- Result ----


class Result(_Named):
    """What a solver produced. Parts by name, as items or attributes: result["weights"], result.relative_loss; keys() names them. Matrices are views (of the
    library that the weights came from) that keep the result alive. `record` holds all numbers and texts."""

    _kind = "result"

    def __init__(self, solver: Solver, problem: Problem) -> None:
        self._create("s24_solve", solver, problem, arrays=getattr(problem, "_arrays", ""))

    def _say(self) -> str:
        return f"{self['solver']}, {self['constraints']}, relative loss {self['relative_loss']:.4g}"

    def _parts(self) -> Iterator[tuple[str, int]]:
        kind, index = ctypes.c_int32(), 0
        while (name := _get("s24_result_name", self, index, ctypes.byref(kind))) is not None:
            yield name, kind.value
            index += 1

    def __iter__(self) -> Iterator[str]:
        return (name for name, _ in self._parts())

    def matrix(self, name: str, arrays: str | None = None) -> Any:
        """A matrix as a view: "numpy", "torch" or "memoryview"; None: as the weights were given."""
        mat, own = Mat(), self.own()
        _call("s24_result_matrix", self, name, ctypes.byref(mat))
        return _view(mat, own, arrays or self._arrays)

    def __getitem__(self, name: str) -> Any:
        kind = dict(self._parts()).get(name)  # of an unknown part the library says what is near
        if kind == RESULT_MATRIX:
            return self.matrix(name)
        value = _read("s24_result", self, name, {RESULT_INT: int, RESULT_FLOAT: float}.get(kind, str))
        return json.loads(value) if name == "record" else value

    def __getattr__(self, name: str) -> Any:
        if name[0] == "_" or name not in self:
            raise AttributeError(f"a result has no {name}")
        return self[name]

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *([] if self.closed else self)]


# ---- Packed ----


class Packed(_Named):
    """A matrix in the bytes of a layout (docs/formats.md, build_info("layouts")): Packed(result, "nibble:f16"), or of weights that obey a pattern already,
    Packed(w, "ri16x32"), perhaps with the mask of what is kept. Of a result on a grid its own codes and scales are taken. Parts by name, as items: read-only
    views that keep the handle alive."""

    _kind = "packed"

    def __init__(self, matrix: Any, layout: str, mask: Any = None, context: Context | None = None) -> None:
        context = context or default_context()
        if not isinstance(matrix, Result):
            self._create("s24_pack", context, _matrix(matrix, "matrix"), _matrix(mask, "mask"), layout, arrays=_kind(matrix))
        elif mask is not None:
            raise Sparse24Error(E_ARG, "a result has a mask of its own: leave mask out")
        else:
            self._create("s24_pack_result", context, matrix, layout, arrays=matrix._arrays)

    @classmethod
    def of_codes(cls, grid: str, codes: Any, scales: Any, zeros: Any, layout: str, context: Context | None = None) -> Packed:
        """From codes (bytes), scales (float16) and zeros made elsewhere; `grid` says how to read them: "int4 sym g128"."""
        packed = cls.__new__(cls)
        parts = [_matrix(value, what) for value, what in ((codes, "codes"), (scales, "scales"), (zeros, "zeros"))]
        packed._create("s24_pack_codes", context or default_context(), grid, *parts, layout, arrays=_kind(codes))
        return packed

    @classmethod
    def wrap(cls, layout: str, shape: tuple[int, int], dtype: str, parts: Any, context: Context | None = None) -> Packed:
        """Borrow parts that were made elsewhere, in the layout's order, of a dense matrix of this shape and type ("float16"). All bytes are checked."""
        if dtype not in _BY_NAME:
            raise Sparse24Error(E_DTYPE, f"dtype is {dtype}, but must be one of {', '.join(_BY_NAME)}")
        packed, found = cls.__new__(cls), [_find(part, "parts") for part in parts]
        if any(one.strides != _contiguous(one.shape) for one in found if math.prod(one.shape) > 1):
            raise Sparse24Error(E_SHAPE, "parts must be contiguous")
        sizes = [math.prod(one.shape) * (one.dtype & 255) // 8 for one in found]
        places, count = (ctypes.c_void_p * len(found))(*(one.address for one in found)), len(found)
        packed._create("s24_packed_wrap", context or default_context(), layout, *shape, _BY_NAME[dtype], places, (ctypes.c_size_t * count)(*sizes), count,
                       arrays=_kind())
        packed.own().keep["parts"] = found
        return packed

    @classmethod
    def load(cls, path: str | os.PathLike, context: Context | None = None) -> Packed:
        """What `sparse24 pack` or save() has written; its bytes stay in the file."""
        file = File(path, context)
        meta = {key[9:]: value for key, value in file.meta.items() if key.startswith("sparse24.")}
        try:
            shape, code, names = (int(meta["rows"]), int(meta["cols"])), _STORED[meta["dtype"]], meta["parts"].split(",")
            return cls.wrap(meta["layout"], shape, _TYPES[code][0], [file.stored(name) for name in names], context)
        except (KeyError, ValueError) as error:
            raise Sparse24Error(E_FORMAT, f"{os.fspath(path)} holds no packed matrix: its metadata lack sparse24.layout, rows, cols, dtype or parts "
                                f"({error})") from None

    def save(self, path: str | os.PathLike) -> None:
        """Write the parts as tensors, as `sparse24 pack` does."""
        with File.create(path) as file:
            facts = {"layout": self.layout, "rows": self.shape[0], "cols": self.shape[1], "dtype": _stored_name(_BY_NAME[self.dtype]), "parts": ",".join(self)}
            for key, value in facts.items():
                file.set_meta(f"sparse24.{key}", str(value))
            for name in self:
                mat, shape, rank = self._part(name)
                _call("s24_file_put", file, name, mat, shape, rank, None)

    def _part(self, name: str) -> tuple[Mat, Any, int]:
        mat, shape, rank = Mat(), (ctypes.c_int64 * 8)(), ctypes.c_int32()
        _call("s24_packed_matrix", self, name, ctypes.byref(mat))
        _call("s24_packed_shape", self, name, shape, ctypes.byref(rank))
        return mat, shape, rank.value

    def __iter__(self) -> Iterator[str]:
        name, index = ctypes.c_char_p(), 0
        while True:
            _call("s24_packed_part", self, index, ctypes.byref(name), None, None)
            if name.value is None:
                return
            yield name.value.decode()
            index += 1

    def __getitem__(self, name: str) -> Any:
        own = self.own()
        mat, shape, rank = self._part(name)
        return _view(mat, own, self._arrays, tuple(shape[:rank]), readonly=True)

    def _info(self) -> tuple[str, int, int, int]:
        layout, rows, cols, dtype = ctypes.c_char_p(), ctypes.c_int64(), ctypes.c_int64(), ctypes.c_int32()
        _call("s24_packed_info", self, *map(ctypes.byref, (layout, rows, cols, dtype)))
        return layout.value.decode(), rows.value, cols.value, dtype.value

    def _say(self) -> str:
        return f"{self.layout}, {self.shape[0]} x {self.shape[1]} {self.dtype} in {self.nbytes} bytes"

    @property
    def layout(self) -> str:
        """The name of the layout."""
        return self._info()[0]

    @property
    def shape(self) -> tuple[int, int]:
        """The extents of the dense matrix."""
        return self._info()[1:3]

    @property
    def dtype(self) -> str:
        """The type of its elements: "float16"."""
        return _TYPES[self._info()[3]][0]

    @property
    def nbytes(self) -> int:
        """Bytes of all parts."""
        size, sizes = ctypes.c_size_t(), []
        for index in range(len(self)):
            _call("s24_packed_part", self, index, ctypes.byref(ctypes.c_char_p()), None, ctypes.byref(size))
            sizes.append(size.value)
        return sum(sizes)

    def convert(self, layout: str) -> Packed:
        """The same matrix in another layout; between layouts of codes these stay what they are."""
        packed = Packed.__new__(Packed)
        packed._create("s24_packed_convert", self, layout, arrays=self._arrays)
        return packed

    def prepare(self, fast: bool = True, activations: str | None = None, tokens: int = 1, share: Product | None = None) -> Product:
        """Ready for products with up to `tokens` rows at a time. fast: at the speed of memory, for layouts ri16...; False: as multiply(). activations: the type
        that x is rounded to ("float32", "bfloat16", "int8"), None for the one that suits; share: a product whose scratch is used too."""
        if activations is not None and activations not in _BY_NAME:
            raise Sparse24Error(E_DTYPE, f"activations is {activations}, but must be one of {', '.join(_BY_NAME)}")
        return Product(self, FAST if fast else EXACT, _BY_NAME[activations] if activations else 0, tokens, share)

    def unpack(self, out: Any = None) -> Any:
        """The dense matrix, into `out` or a new array."""
        _, rows, cols, dtype = self._info()
        out = _new((rows, cols), dtype, self._arrays) if out is None else out
        _call("s24_unpack", self, _matrix(out, "out", write=True))
        return out

    def multiply(self, x: Any, out: Any = None) -> Any:
        """x W^T, of any float types, into `out` or a new float32 array. Equal bits for every layout and number of threads."""
        shape = _find(x, "x").shape
        out = _new((*shape[:-1], self.shape[0]), F32, _kind(x)) if out is None else out
        _call("s24_packed_multiply", self, _matrix(x, "x"), _matrix(out, "out", write=True))
        return out


class Product(_Handle):
    """A packed matrix ready for products, by Packed.prepare(): product(x) is x W^T."""

    _kind = "product"

    def __init__(self, packed: Packed, promise: int, activations: int, tokens: int, share: Product | None) -> None:
        self._create("s24_packed_prepare", packed, promise, activations, tokens, share, arrays=packed._arrays)
        self.own().keep["share"], self._outputs = getattr(share, "_own", None), packed.shape[0]

    def _info(self) -> tuple[str, str, str, int]:
        kernel, isa, activations, scratch = ctypes.c_char_p(), ctypes.c_char_p(), ctypes.c_int32(), ctypes.c_int64()
        _call("s24_product_info", self, *map(ctypes.byref, (kernel, isa, activations, scratch)))
        return kernel.value.decode(), isa.value.decode(), _TYPES[activations.value][0], scratch.value

    def _say(self) -> str:
        return "{} of {}, activations {}, {} bytes of scratch".format(*self._info())

    @property
    def kernel(self) -> str:
        """The row of the kernel table that runs."""
        return self._info()[0]

    @property
    def activations(self) -> str:
        """The type that activations are rounded to."""
        return self._info()[2]

    def __call__(self, x: Any, out: Any = None) -> Any:
        """x W^T, into `out` or a new float32 array."""
        shape = _find(x, "x").shape
        out = _new((*shape[:-1], self._outputs), F32, _kind(x)) if out is None else out
        _call("s24_product_run", self, _matrix(x, "x"), _matrix(out, "out", write=True))
        return out


# Element types as safetensors files call them.
_STORED = {"I8": I8, "I16": I16, "I32": I32, "I64": I64, "U8": U8, "U16": U16, "U32": U32, "F16": F16, "F32": F32, "F64": F64, "BF16": BF16}


def _stored_name(code: int) -> str:
    return next(name for name, value in _STORED.items() if value == code)


# ---- Files ----


class File(_Named):
    """A file of tensors (safetensors, GGUF, a Hugging Face folder), read-only views by name: `with File("layers.safetensors") as f: w = f["w.o"]`; keys() names
    them. File.create() starts a new one, which appears when commit() succeeds or the `with` block ends well."""

    _kind = "file"
    _writing = False

    def __init__(self, path: str | os.PathLike, context: Context | None = None) -> None:
        self._create("s24_file_open", context or default_context(), path)

    @classmethod
    def create(cls, path: str | os.PathLike, format: str = "safetensors", context: Context | None = None) -> File:
        """Start a new file."""
        file = cls.__new__(cls)
        file._create("s24_file_create", context or default_context(), path, format)
        file._writing = True
        return file

    def _say(self) -> str:
        return "being written" if self._writing else f"of {len(self)} tensors"

    def __iter__(self) -> Iterator[str]:
        return (_get("s24_file_name", self, index) for index in range(_get("s24_file_count", self)))

    def info(self, name: str) -> tuple[tuple[int, ...], str]:
        """Shape and stored type ("F32", "BF16", ...) of a tensor."""
        shape, rank, kind = (ctypes.c_int64 * 8)(), ctypes.c_int32(), ctypes.c_char_p()
        _call("s24_file_info", self, name, shape, ctypes.byref(rank), ctypes.byref(kind))
        return tuple(shape[: rank.value]), kind.value.decode()

    def __getitem__(self, name: str) -> Any:
        """A tensor where it lies, read-only. NumPy needs ml_dtypes for bfloat16; read() does not."""
        mat, own = Mat(), self.own()
        _call("s24_file_get", self, name, ctypes.byref(mat))
        return _view(mat, own, _kind(), self.info(name)[0], readonly=True)

    def read(self, name: str, out: Any = None) -> Any:
        """Copy a tensor out, converted to the float type of `out` (None: a new float32 array)."""
        out = _new(self.info(name)[0] or (1,), F32, _kind()) if out is None else out
        _call("s24_file_read", self, name, _matrix(out, "out", write=True))
        return out

    def check_read(self, name: str) -> None:
        """Fail if a tensor is not of floats, nor decoded to them: the error says why."""
        _call("s24_file_check_read", self, name)

    def stored(self, name: str) -> memoryview:
        """The bytes of a tensor as they are stored, whatever its type, read-only."""
        data, size, own = ctypes.c_void_p(), ctypes.c_size_t(), self.own()
        _call("s24_file_bytes", self, name, ctypes.byref(data), ctypes.byref(size))
        raw = (ctypes.c_uint8 * size.value).from_address(data.value or 0) if size.value else (ctypes.c_uint8 * 0)()
        raw.own = own
        return memoryview(raw).toreadonly()

    def check_source(self) -> None:
        """Fail if a file that was read has changed since it was opened."""
        _call("s24_file_check_source", self)

    def check_copy(self, source: File) -> None:
        """Fail if not all of an open file could be carried over into this new one."""
        _call("s24_file_check_copy", self, source)

    @property
    def meta(self) -> dict[str, str]:
        """All metadata."""
        found: dict[str, str] = {}
        while (key := _get("s24_file_meta_key", self, len(found))) is not None:
            found[key] = _get("s24_file_meta", self, key)
        return found

    def put(self, name: str, array: Any, type: str | None = None) -> None:
        """Write a tensor now, stored as `type` (None: as it is)."""
        shape = _find(array, "array").shape
        _call("s24_file_put", self, name, _matrix(array, "array"), (ctypes.c_int64 * len(shape))(*shape), len(shape), type)

    def put_stored(self, source: File, name: str) -> None:
        """Write a tensor of an open file as it is stored there, whatever its type."""
        _call("s24_file_put_stored", self, source, name)

    def put_packed(self, name: str, packed: Packed) -> None:
        """Write a packed matrix now: in GGUF a tensor of its type, else a tensor for each part."""
        _call("s24_file_put_packed", self, name, packed)

    def packed(self, name: str) -> Packed:
        """The packed matrix of that name, where it lies in the file."""
        packed = Packed.__new__(Packed)
        packed._create("s24_file_packed", self, name, arrays=_kind())
        return packed

    def copy_meta(self, source: File) -> None:
        """Take over all metadata of an open file of the same format."""
        _call("s24_file_copy_meta", self, source)

    def set_meta(self, key: str, value: str | None) -> None:
        """Set one key; None removes it."""
        _call("s24_file_set_meta", self, key, value)

    def commit(self) -> None:
        """Make the new file appear, complete."""
        _call("s24_file_commit", self)
        self._writing = False

    def __exit__(self, failed: Any, *_: Any) -> None:
        try:
            if self._writing and failed is None and not self.closed:
                self.commit()
        finally:
            self.close()


# ---- Whole models ----


class Compressed(NamedTuple):
    """What came of Model.compress(): the perplexities of each text that was given, and the record of each matrix."""

    before: dict[str, float]
    after: dict[str, float]
    matrices: list[dict[str, Any]]
    seconds: float
    complete: bool  # an earlier run had done all but the evaluation
    hidden_error: dict[str, float] = {}  # of an encoder, which has no perplexity: how far its last hidden states moved
    # Of each block that was refined, and last of the whole if it was tuned: per epoch the loss of rows while they were trained on (NaN before), and of rows
    # kept back. Empty for what was not trained.
    curves: list[list[tuple[float, float]]] = []


class _Tokens(_Handle):
    """Rows of ids that a file held."""

    _kind = "tokens"

    def __init__(self, model: Model, path: str | os.PathLike, options: str) -> None:
        self._create("s24_tokens_open", model, path, options)

    def ids(self) -> Any:
        mat, own = Mat(), self.own()
        _call("s24_tokens_get", self, ctypes.byref(mat), None)
        return _view(mat, own, _kind(), readonly=True)


class _Compression(_Handle):
    """What is to be done with a model, for one call."""

    _kind = "compression"

    def __init__(self, model: Model, options: dict[str, Any]) -> None:
        self._create("s24_compression_create", model)
        for name, value in sorted(options.items(), key=lambda option: option[0] != "effort"):  # what is set after it wins
            if isinstance(value, dict):
                value = ",".join(f"{key}={one}" for key, one in value.items())
            kind = "str" if isinstance(value, str) else "int" if hasattr(type(value), "__index__") else "float"
            _call(f"s24_compression_set_{kind}", self, name, value)

    def add(self, model: Model, calibration: Any, test: dict[str, Any], rules: dict[str, str], skip: Any) -> None:
        calibration, test = model.rows(calibration), {name: model.rows(ids) for name, ids in test.items()}
        for pattern, text in rules.items():
            _call("s24_compression_add_rule", self, f"{pattern}={text}")
        for pattern in [skip] if isinstance(skip, str) else skip:
            _call("s24_compression_add_skip", self, pattern)
        if calibration is not None:
            _call("s24_compression_set_calibration", self, _matrix(calibration, "calibration"), "calibration")
        for name, ids in test.items():
            _call("s24_compression_add_evaluation", self, _matrix(ids, name), name)

    def number(self, name: str, index: int = 0) -> float:
        value = ctypes.c_double()
        _call("s24_compression_number", self, name, index, ctypes.byref(value))
        return value.value

    def curve(self, block: int) -> list[tuple[float, float]]:
        training, kept, found = ctypes.c_double(), ctypes.c_double(), []
        while _get("s24_compression_epoch", self, block, len(found), ctypes.byref(training), ctypes.byref(kept)) == OK:
            found.append((training.value, kept.value))
        return found

    def text(self, index: int, name: str) -> str | None:
        text = ctypes.c_char_p()
        _call("s24_compression_matrix_str", self, index, name, ctypes.byref(text))
        return text.value.decode("utf-8", "surrogateescape") if text.value is not None else None

    def expected(self, index: int) -> dict[str, Any]:
        seconds = ctypes.c_double()
        _call("s24_compression_matrix_float", self, index, "seconds", ctypes.byref(seconds))
        return {**{name: self.text(index, name) for name in ("tensor", "constraints", "solver", "stored", "warning")}, "seconds": seconds.value}


class Tokenizer(_Handle):
    """Text to ids and back (docs/text.md): Tokenizer("tokenizer.json").encode("A text"). A GGUF file, a tokenizer.json or .model, or a model's folder."""

    _kind = "tokenizer"

    def __init__(self, path: str | os.PathLike, context: Context | None = None) -> None:
        model_library()
        self._create("s24_tokenizer_open", context or default_context(), path)

    def __getitem__(self, name: str) -> int:
        """A fact: "vocab", "bos", "eos", "eot", "unk", "pad" (-1: there is none), "prefix", "suffix"."""
        return _read("s24_tokenizer", self, name, int)

    def __len__(self) -> int:
        return self["vocab"]

    def encode(self, text: str | bytes, bos: str = "auto", special: bool = False) -> list[int]:
        """The ids of a text, with what the file wants around it (bos="auto"), a token for its begin ("yes") or nothing ("no"); special: special tokens in the
        text are taken as such."""
        text = text.encode("utf-8", "surrogateescape") if isinstance(text, str) else text
        ids, count = ctypes.POINTER(ctypes.c_int32)(), ctypes.c_int64()
        _call("s24_tokenizer_encode", self, text, len(text), f"bos={bos},special={int(special)}", ctypes.byref(ids), ctypes.byref(count))
        return ids[:count.value]

    def decode(self, ids: Iterable[int], special: bool = False, first: bool = True) -> bytes:
        """The bytes of ids, which need not end with a whole character; special: special tokens are shown; first=False: they go on from others."""
        ids = list(ids)
        text, size = ctypes.c_char_p(), ctypes.c_size_t()
        array = (ctypes.c_int32 * len(ids))(*map(operator.index, ids))
        _call("s24_tokenizer_decode", self, array, len(ids), f"special={int(special)},first={int(first)}", ctypes.byref(text), ctypes.byref(size))
        return ctypes.string_at(text, size.value)

    def piece(self, id: int) -> str:
        """How the vocabulary spells an id."""
        text = ctypes.c_char_p()
        _call("s24_tokenizer_piece", self, id, ctypes.byref(text), None)
        return text.value.decode()

    def find(self, piece: str) -> int:
        """The id of a piece as the vocabulary spells it, "<|im_end|>"; -1: it has none."""
        value = ctypes.c_int64()
        _call("s24_tokenizer_find", self, piece, ctypes.byref(value))
        return value.value


def _listed(ids: Any) -> Any:
    """Token ids in a list, or in lists of equal length, as an array."""
    if not isinstance(ids, (list, tuple)):
        return ids
    lists = ids if ids and not hasattr(type(ids[0]), "__index__") else [ids]
    try:
        lists = [[*one] for one in lists]
        numbers = array.array("i", [operator.index(number) for one in lists for number in one])
    except (TypeError, OverflowError) as error:
        raise Sparse24Error(E_DTYPE, f"tokens must be whole numbers of 32 bits, in a list or in lists of lists: {error}") from None
    if not numbers or any(len(one) != len(lists[0]) for one in lists):
        raise Sparse24Error(E_SHAPE, f"tokens: rows must be of one length, but have {sorted({len(one) for one in lists})} ids: cut or join them")
    return memoryview(numbers).cast("B").cast("i", (len(lists), len(lists[0])))


class Group:
    """The processes of a job, its ranks, for Model.set_group(). One's own has attributes `rank` and `size` and three methods on buffers of bytes, which every
    rank calls in the same order: exchange(send, receive) gives piece i of `send` to rank i, which finds it as piece `rank` of `receive`; gather(send, receive)
    puts what all ranks send into `receive`, in their order; broadcast(data, root) gives all the bytes of rank `root`. abort(text), if there is such a
    method, ends all ranks. Group.of() makes one of an MPI communicator or of torch.distributed."""

    rank, size = 0, 1

    @staticmethod
    def of(group: Any) -> Any:
        """Of a communicator of mpi4py; of torch.distributed itself, or a process group of it; or what has the methods already."""
        if hasattr(group, "Alltoall"):
            return _MpiGroup(group)
        torch = sys.modules.get("torch.distributed")
        if torch is not None and (group is torch or isinstance(group, torch.ProcessGroup)):
            return _TorchGroup(torch, None if group is torch else group)
        return group


class _MpiGroup(Group):
    def __init__(self, comm: Any) -> None:
        self.comm, self.byte = comm, importlib.import_module("mpi4py.MPI").BYTE
        self.rank, self.size = comm.Get_rank(), comm.Get_size()

    def exchange(self, send: memoryview, receive: memoryview) -> None:
        self.comm.Alltoall([send, self.byte], [receive, self.byte])

    def gather(self, send: memoryview, receive: memoryview) -> None:
        self.comm.Allgather([send, self.byte], [receive, self.byte])

    def broadcast(self, data: memoryview, root: int) -> None:
        for at in range(0, len(data), 1 << 30):
            self.comm.Bcast([data[at:at + (1 << 30)], self.byte], root)

    def abort(self, text: str) -> None:
        print(f"sparse24: {text}", file=sys.stderr, flush=True)
        self.comm.Abort(1)


class _TorchGroup(Group):
    """With a back end for tensors of the CPU: gloo or MPI."""

    def __init__(self, distributed: Any, group: Any) -> None:
        self.calls, self.group, self.torch = distributed, group, importlib.import_module("torch")
        self.rank, self.size = distributed.get_rank(group), distributed.get_world_size(group)

    def _tensor(self, data: memoryview) -> Any:
        return self.torch.frombuffer(data, dtype=self.torch.uint8)

    def exchange(self, send: memoryview, receive: memoryview) -> None:
        self.calls.all_to_all_single(self._tensor(receive), self._tensor(send), group=self.group)

    def gather(self, send: memoryview, receive: memoryview) -> None:
        self.calls.all_gather(list(self._tensor(receive).chunk(self.size)), self._tensor(send), group=self.group)

    def broadcast(self, data: memoryview, root: int) -> None:
        source = root if self.group is None else self.calls.get_global_rank(self.group, root)
        self.calls.broadcast(self._tensor(data), source, group=self.group)


def _bytes(address: int | None, size: int) -> memoryview:
    return memoryview((ctypes.c_char * size).from_address(address)).cast("B") if size else memoryview(b"")


def _table(group: Any) -> _Table:
    """The functions of a group as C calls them. An exception in one ends the call of the library, and comes out of it."""
    def exchange(_: Any, send: int, receive: int, size: int) -> int:
        group.exchange(_bytes(send, size * group.size), _bytes(receive, size * group.size))
        return 0

    def gather(_: Any, send: int, receive: int, size: int) -> int:
        group.gather(_bytes(send, size), _bytes(receive, size * group.size))
        return 0

    def broadcast(_: Any, data: int, size: int, root: int) -> int:
        if size:
            group.broadcast(_bytes(data, size), root)
        return 0

    def abort(_: Any, text: bytes) -> None:
        if hasattr(group, "abort"):
            group.abort(text.decode())

    kinds = dict(_Table._fields_)
    functions = [kinds[f.__name__](_guarded(f, failed)) for f, failed in ((exchange, 1), (gather, 1), (broadcast, 1), (abort, None))]
    return _Table(None, group.rank, group.size, *functions)


class Model(_Handle):
    """A language model in its files (docs/model.md says which): Model("model.gguf").compress("out", "2:4", tokens). Needs libsparse24-model."""

    _kind = "model"

    def __init__(self, path: str | os.PathLike, context: Context | None = None) -> None:
        model_library()
        self._create("s24_model_open", context or default_context(), path)

    def set_group(self, group: Any) -> None:
        """Let evaluate() and compress() be the work of several processes, of which each makes the same calls: a communicator of mpi4py, torch.distributed
        once it is initialised, or a Group of one's own; None ends that. docs/distributed.md."""
        table = None if group is None else _table(Group.of(group))
        _call("s24_model_set_group", self, None if table is None else ctypes.byref(table))
        self.own().keep["group"] = table

    def __getitem__(self, name: str) -> int | str:
        """A fact: "layers", "hidden", "vocab", "context", "parameters", "architecture", ... (model.h lists them)."""
        return _read("s24_model", self, name, str if name in ("architecture", "format", "path") else int)

    def _say(self) -> str:
        return f"{self['architecture']}, {self['layers']} blocks, {1e-6 * self['parameters']:.4g} million parameters"

    def matrices(self) -> list[str]:
        """The names of the linear layers' weights, in the order of the forward pass."""
        name, names = ctypes.c_char_p(), []
        for index in range(int(self["matrices"])):
            _call("s24_model_matrix", self, index, ctypes.byref(name), None, None, None, None)
            names.append(name.value.decode())
        return names

    def tokenizer(self, path: str | os.PathLike | None = None) -> Tokenizer:
        """A tokenizer of one's own: that of the model's files, or of `path`, which tokens() takes from now on too."""
        _call("s24_model_tokenizer", self, path, None)
        return Tokenizer(self["path"] if path is None else path)

    def tokens(self, path: str | os.PathLike, rows: int = 0, context: int = 0, field: str = "text", bos: str = "auto") -> Any:
        """Rows of token ids of a text, a .jsonl (the member `field`), a .npy, or a safetensors FILE[:TENSOR]: the first `rows` (0: all) of `context` ids
        (0: 512 for texts, else as the file has them). bos: each row begins with the token for the begin of a text, "auto", "yes" or "no"."""
        return _Tokens(self, path, f"rows={rows},context={context},field=[{field}],bos={bos}").ids()

    def rows(self, tokens: Any) -> Any:
        """The ids that evaluate() and compress() take: an array as it is; a list of ids, or of lists of equal length; of a path tokens(path)."""
        return self.tokens(tokens) if isinstance(tokens, (str, os.PathLike)) else _listed(tokens)

    def evaluate(self, tokens: Any, memory_limit: int = 0, progress: Progress = None) -> float:
        """The perplexity on rows of token ids, (rows, length), or whatever rows() takes. progress: as of Solver.solve()."""
        value, tokens = ctypes.c_double(), self.rows(tokens)
        with _Watch(self.own(), progress):
            _call("s24_model_evaluate", self, _matrix(tokens, "tokens"), "tokens", f"memory_limit={memory_limit}", ctypes.byref(value))
        return math.exp(value.value)

    def pack(self, weights: str = "stored", head: str = "stored", tokens: int = 128, progress: Progress = None) -> None:
        """Keep the weights packed: from now on evaluate() and generate() run at the speed of memory. weights: "stored" (types as in the files), "f32", "bf16",
        "f16", "int8", "int4"; head: the same of the output head; tokens: of a product, at most. See packed_matrices() and int facts "packed_bytes" and "token_bytes"."""
        with _Watch(self.own(), progress):
            _call("s24_model_pack", self, f"weights=[{weights}],head=[{head}],tokens={tokens}")

    def packed_matrices(self) -> list[dict[str, Any]]:
        """What became of each matrix, and at last of the output head: "layout", "kernel", "isa" and "bytes"."""
        out, count = [], _read("s24_model", self, "matrices", int)
        for index in range(count + 1):
            texts, size = [ctypes.c_char_p() for _ in range(3)], ctypes.c_int64()
            _call("s24_model_packed", self, index, *map(ctypes.byref, texts), ctypes.byref(size))
            out.append({**{key: text.value.decode() for key, text in zip(("layout", "kernel", "isa"), texts)}, "bytes": size.value})
        return out

    def generate(self, prompts: Any, length: int, progress: Progress = None, **options: Any) -> Any:
        """Rows of `length` ids that go on from `prompts`, (rows, given), or whatever rows() takes: temperature, top_k, top_p, seed, first_row, stop (an id or
        several), memory_limit as s24_model_generate() takes them. Behind a stop token a row holds -1."""
        prompts = self.rows(prompts)
        shape = _find(prompts, "prompts").shape
        if isinstance(options.get("stop"), (list, tuple)):
            options["stop"] = "[" + ",".join(map(str, options["stop"])) + "]"
        out = _new((shape[0], length), I32, _kind(prompts))
        with _Watch(self.own(), progress):
            _call("s24_model_generate", self, _matrix(prompts, "prompts"), "prompts", ",".join(f"{k}={v}" for k, v in options.items()),
                  _matrix(out, "out", write=True))
        return out

    def importance(self, tokens: Any, out: str | os.PathLike, norms: Any = ("l1", "l2", "fisher"), progress: Progress = None, **options: Any) -> float:
        """Write norms of the gradients of all matrices on rows of token ids, (rows, length), or whatever rows() takes, to the safetensors file `out`, as
        tensors "<matrix>.l2"; the perplexity. activations, memory_limit as s24_model_importance() takes them."""
        value, tokens = ctypes.c_double(), self.rows(tokens)
        norms = norms if isinstance(norms, str) else ",".join(norms)
        text = ",".join([f"norms=[{norms}]", *(f"{k}={v}" for k, v in options.items())])
        with _Watch(self.own(), progress):
            _call("s24_model_importance", self, _matrix(tokens, "tokens"), "tokens", text, out, ctypes.byref(value))
        return math.exp(value.value)

    def export(self, out: str | os.PathLike, format: str | None = None, store: str | None = None,
               progress: Progress = None) -> None:
        """Write a model that compress() made in another form into the new folder `out`: format="gptq", store="q4_0" ... (docs/outputs.md)."""
        options = ",".join(f"{key}={value}" for key, value in (("format", format), ("store", store)) if value)
        with _Watch(self.own(), progress):
            _call("s24_model_export", self, options, out)

    def __call__(self, name: str) -> float:
        """A number of the last evaluation: "perplexity", "nll", "seconds", "flops"; of the last generation: "prompt_seconds", "prompt_tokens",
        "decode_seconds", "decode_tokens"; measured now: "rate" (operations a second) and "read_rate" (bytes a second from memory)."""
        return _read("s24_model", self, name, float)

    def plan(self, constraints: str, calibration: Any, test: Any = None, rules: dict[str, str] | None = None, skip: Any = (), **options: Any) -> dict[str, float]:
        """What compress() with the same arguments will take: "memory" and "written" in bytes, "flops". What can be wrong is told now."""
        memory, flops, written = ctypes.c_uint64(), ctypes.c_double(), ctypes.c_uint64()
        with _Compression(self, {"constraints": constraints, **options}) as work:
            work.add(self, calibration, _named(test), rules or {}, skip)
            _call("s24_compression_plan", work, ctypes.byref(memory), ctypes.byref(flops), ctypes.byref(written))
        return {"memory": memory.value, "flops": flops.value, "written": written.value}

    def estimate(self, constraints: str, calibration: Any, test: Any = None, rules: dict[str, str] | None = None, skip: Any = (),
                 out: str | os.PathLike | None = None, progress: Progress = None, **options: Any) -> dict[str, Any]:
        """As plan(), and how long compress() will take on this machine, measured on a few rows of each shape of matrix: "seconds", of which "pass_seconds",
        "solve_seconds", "refine_seconds", "own_seconds" (rows that the model writes) and "eval_seconds"; "disk" (bytes at most while it works), "disk_free" where `out` goes; "matrices": a dict for each, with warnings that can be told now."""
        with _Compression(self, {"constraints": constraints, **options}) as work:
            work.add(self, calibration, _named(test), rules or {}, skip)
            with _Watch(work.own(), progress):
                _call("s24_compression_estimate", work, out)
            names = {"seconds": "expected_seconds", **{f"{part}_seconds": f"expected_{part}_seconds" for part in ("pass", "solve", "refine", "own", "eval")},
                     **{name: name for name in ("memory", "flops", "written", "disk", "disk_free")}}
            return {**{name: work.number(key) for name, key in names.items()}, "matrices": [work.expected(i) for i in range(int(work.number("matrices")))]}

    def compress(self, out: str | os.PathLike, constraints: str, calibration: Any, test: Any = None, rules: dict[str, str] | None = None, skip: Any = (),
                 progress: Progress = None, log: Callable[[int, str], Any] | None = None,
                 **options: Any) -> Compressed:
        """Compress every matrix of the blocks into the new folder `out`. calibration: rows of token ids, whatever rows() takes, or None: rows that the
        model writes alone (own="128"); test: rows whose perplexity
        is measured before and after, or several by name; rules: other constraints by pattern of name; skip: patterns of what is left alone; progress: True for
        a bar, or a function as of Solver.solve(); log(level, text) receives warnings (1) and a line a block (2). compress_options() lists the rest;
        resume=True goes on with a run that was stopped, by progress, Ctrl-C or the machine."""
        test = _named(test)
        callback = _LOG(_guarded(lambda _, level, text: log(level, text.decode("utf-8", "replace")), None)) if log else _LOG()
        with _Compression(self, {"constraints": constraints, **options}) as work:
            work.add(self, calibration, test, rules or {}, skip)
            _call("s24_compression_set_log", work, callback, None)
            with _Watch(work.own(), progress):
                _call("s24_compression_run", work, out)
            both = ({name: work.number(f"perplexity_{when}", i) for i, name in enumerate(test)} for when in ("before", "after"))
            records = [json.loads(work.text(i, "json")) for i in range(int(work.number("matrices")))]
            moved = {name: work.number("hidden_error", i) for i, name in enumerate(test)}
            curves = [work.curve(block) for block in range(int(self["layers"]) + 1)]
            return Compressed(*both, records, work.number("seconds"), work.number("complete") > 0, moved, curves)

    def tune(self, out: str | os.PathLike, dense: Model, calibration: Any, test: Any = None, progress: Progress = None,
             log: Callable[[int, str], Any] | None = None, **options: Any) -> dict[str, Any]:
        """Train this compressed model as a whole towards the `dense` one that it was made from, into the new folder `out`: kept weights, norms and biases; zeros
        stay 0. calibration, test, progress, log and options as of compress(): tune_rate, tune_epochs, own, seed, activations, memory_limit, resume. Returns
        "before" and "after", perplexities by name of test, "divergence", a pair of the mean KL on rows that were kept back, "curve", as of Compressed.curves, and "seconds"."""
        test = _named(test)
        callback = _LOG(_guarded(lambda _, level, text: log(level, text.decode("utf-8", "replace")), None)) if log else _LOG()
        with _Compression(dense, options) as work:
            work.add(dense, calibration, test, {}, ())
            _call("s24_compression_set_log", work, callback, None)
            with _Watch(work.own(), progress):
                _call("s24_compression_tune", work, self, out)
            both = {when: {name: work.number(f"perplexity_{when}", i) for i, name in enumerate(test)} for when in ("before", "after")}
            return {**both, "divergence": (work.number("divergence_before"), work.number("divergence_after")), "curve": work.curve(int(dense["layers"])),
                    "seconds": work.number("seconds")}


def _named(test: Any) -> dict[str, Any]:
    paths = [test] if isinstance(test, (str, os.PathLike)) else test
    if isinstance(paths, (list, tuple)) and paths and isinstance(paths[0], (str, os.PathLike)):
        return {os.path.basename(os.fspath(path)): path for path in paths}
    return {} if test is None else test if isinstance(test, dict) else {"test": test}


def compress_options() -> dict[str, tuple[str, str, str]]:
    """Every option of Model.compress() by name: range, default, meaning."""
    model_library()
    texts, found = [ctypes.c_char_p() for _ in range(4)], {}
    while _get("s24_compression_option_info", len(found), *map(ctypes.byref, texts)) == OK:
        name, *rest = (one.value.decode() for one in texts)
        found[name] = tuple(rest)
    return found


# ---- Operators, and the rest ----


def _operator(function: str, context: Context | None, z: Any, out: Any, *numbers: Any, dtype: int | None = None) -> Any:
    mat = _matrix(z, "z")
    if out is None and mat is not None:
        out = _new(_find(z, "z").shape, dtype or mat.dtype, _kind(z))
    _call(function, context or default_context(), mat, *numbers, _matrix(out, "out", write=True))
    return out


def prox24(z: Any, lam: float, out: Any = None, context: Context | None = None) -> Any:
    """The proximal operator of the 2:4 regulariser, exact, on every group of 4 along the last dimension. `out` may be z."""
    return _operator("s24_prox24", context, z, out, lam)


def prox_nm(z: Any, n: int, m: int, lam: float, out: Any = None, context: Context | None = None) -> Any:
    """The same for n = 1 or 2 of m."""
    return _operator("s24_prox_nm", context, z, out, n, m, lam)


def prox_firm(z: Any, n: int, m: int, strength: float, out: Any = None, context: Context | None = None) -> Any:
    """Firm threshold for any n of m, strength 0 (nothing) to 1 (keep the n largest)."""
    return _operator("s24_prox_firm", context, z, out, n, m, strength)


def project_nm(z: Any, n: int, m: int, out: Any = None, context: Context | None = None) -> Any:
    """The mask (bools) of the n largest magnitudes of each group of m."""
    return _operator("s24_project_nm", context, z, out, n, m, dtype=BOOL)


def permutation(score: Any, n: int, m: int, block: int = 0, context: Context | None = None) -> tuple[list[int], tuple[float, float]]:
    """The order of columns in which n:m keeps the most of a score, and the shares that it keeps before and after: w[:, order]."""
    mat = _matrix(score, "score")
    order, kept = (ctypes.c_int64 * (mat.cols if mat is not None else 1))(), (ctypes.c_double * 2)()
    _call("s24_permutation", context or default_context(), mat, n, m, block, order, kept)
    return list(order), (kept[0], kept[1])


def soup(paths: Sequence[str], out: str, context: Context | None = None) -> None:
    """Write the average of models that share a mask to `out`."""
    model_library()
    names = (ctypes.c_char_p * len(paths))(*(os.fspath(path).encode() for path in paths))
    _call("s24_model_soup", context or default_context(), names, len(paths), out)


def nm_mask(w: Any, n: int, m: int, along: int = ALONG_INPUTS, out: Any = None, context: Context | None = None) -> Any:
    """The mask (bools) of the n largest magnitudes of each m inputs, outputs (ALONG_OUTPUTS), or of the tiles of both (ALONG_BOTH)."""
    return _operator("s24_nm_mask", context, w, out, n, m, along, dtype=BOOL)


def nm_mask_tsenor(w: Any, n: int, m: int, tau: float = 200, rounds: int = 300, out: Any = None, context: Context | None = None) -> Any:
    """The same along both sides by TSENOR, an approximation to compare with."""
    return _operator("s24_nm_mask_tsenor", context, w, out, n, m, tau, rounds, dtype=BOOL)


def mask_decay(w: Any, mask: Any, beta: float, out: Any = None, context: Context | None = None) -> Any:
    """w where the mask keeps, beta w elsewhere. `out` may be w."""
    return _operator("s24_mask_decay", context, w, out, _matrix(mask, "mask"), beta)


def srste_add(w: Any, mask: Any, lam: float, grad: Any, context: Context | None = None) -> Any:
    """grad += lam w where the mask does not keep."""
    return _operator("s24_srste_add", context, w, grad, _matrix(mask, "mask"), lam)


def mask_schedule(kind: str, n: int, m: int, step: int, steps: int, dense: float = 0.1, last: float = 0.2) -> tuple[int, int, float]:
    """n, m and beta at a step: "step", "linear", "exponential", "structure" or "geometry"; the first and last share of steps are dense and n:m."""
    pattern, beta = (ctypes.c_int32 * 2)(), ctypes.c_double()
    _call("s24_mask_schedule", kind, n, m, step, steps, (ctypes.c_double * 2)(dense, last), pattern, ctypes.byref(beta))
    return pattern[0], pattern[1], beta.value


def nm_regrow(w: Any, g: Any, m: int, share: float, mask: Any, context: Context | None = None) -> int:
    """Drop that share of kept weights, the least |w|; each group takes as many back, by |g|. `mask` changes; how many are new."""
    changed = ctypes.c_int64()
    _call("s24_nm_regrow", context or default_context(), _matrix(w, "w"), _matrix(g, "g"), m, share, _matrix(mask, "mask", write=True), ctypes.byref(changed))
    return changed.value


def copy(source: Any, out: Any, context: Context | None = None) -> Any:
    """Copy a matrix, converting layout and float type."""
    _call("s24_mat_copy", context or default_context(), _matrix(source, "source"), _matrix(out, "out", write=True))
    return out


def multiply(x: Any, w: Any, out: Any, context: Context | None = None) -> Any:
    """out = x w^T, any float types."""
    _call("s24_mat_multiply", context or default_context(), _matrix(x, "x"), _matrix(w, "w"), _matrix(out, "out", write=True))
    return out


def default_solver(problem: Problem, context: Context | None = None) -> str:
    """The solver to take when nobody chose one, the program's choice too: alps, for grids quantease, for ranks hassle, for whole columns osscar."""
    return _get("s24_problem_solver", problem)


def compress(w: Any, constraints: str, x: Any = None, solver: str | None = None, progress: Callable | None = None, context: Context | None = None,
             **options: int | float | str) -> float:
    """For the common case: compress `w` in place, given calibration rows x. Returns the relative loss of the weights as rounded to w's type.
    solver None: default_solver()."""
    context = context or default_context()
    mat = _matrix(w, "w", write=True)
    gram = None
    if x is not None:
        gram = Gram(_find(x, "x").shape[-1], context=context)
        gram.add(x)
    problem = Problem(mat, gram, constraints, context)
    values = Solver(solver or default_solver(problem, context), context, **options).solve(problem, progress).matrix("weights", _kind())
    rounded = copy(values, _new(values.shape, mat.dtype, _kind(w)), context)
    loss = problem.loss(rounded).relative
    copy(rounded, mat, context)
    return loss


def version() -> str:
    """The library's package version."""
    return _get("s24_version")


def build_info(key: str) -> str | None:
    """A fact about the build: "blas", "compiler", "kernels", "solvers"; None if unknown."""
    return _get("s24_build_info", key)


def _main() -> None:
    load(sys.argv[1] if len(sys.argv) > 1 else None, choose_blas_core=False)
    print(f"libsparse24 {version()} from {_path}")
    for key in ("blas", "compiler", "kernels", "solvers"):
        print(f"{key}: {build_info(key)}")
    Context(log=lambda level, text: print(f"warning: {text}"))


if __name__ == "__main__":
    _main()
