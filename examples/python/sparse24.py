"""libsparse24 from Python: one file, the standard library only. NumPy and torch are used when they are there, and nothing is copied.

    import numpy, sparse24
    gram = sparse24.Gram(w.shape[1])                 # w: outputs x inputs
    for x in batches:                                # x: rows x inputs
        gram.add(x)
    problem = sparse24.Problem(w, gram, "2:4")
    result = sparse24.Solver("alps", preset="fast").solve(problem)
    print(result.relative_loss)
    w[:] = result.weights                            # a view into the result

Data flows one way: activations -> Gram (and Cross) -> Problem -> Solver -> Result -> File; each class is one handle of the C interface, each
method one function of it. A matrix is a NumPy array, a torch tensor, or anything with the buffer protocol or `__dlpack__`, of 1 dimension
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

import ctypes
import ctypes.util
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
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

__all__ = ["Context", "Cross", "File", "Gram", "Loss", "Mat", "Option", "Problem", "Raw", "Result", "Solver", "Sparse24Error", "build_info",
           "compress", "copy", "default_solver", "library", "load", "multiply", "project_nm", "prox24", "prox_firm", "prox_nm", "solvers", "version"]

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

PROTOTYPES = """
uint32 s24_api_version(); text s24_version(); text s24_build_info(text); text s24_status_name(status); text s24_last_error();
status s24_last_status(); status s24_fail(status, text); status s24_mat_rowmajor(mat*, void*, int64, int64, int32);
status s24_mat_copy(ctx*, mat*, mat*); status s24_mat_multiply(ctx*, mat*, mat*, mat*); status s24_ctx_create(ctx**);
status s24_ctx_create_with(alloc_fn, free_fn, void*, ctx**); void s24_ctx_destroy(ctx*); status s24_ctx_set_int(ctx*, text, int64);
status s24_ctx_set_str(ctx*, text, text); status s24_ctx_get_int(ctx*, text, int64*); status s24_ctx_get_str(ctx*, text, text*);
status s24_ctx_set_parallel(ctx*, parallel_fn, void*, int32); status s24_ctx_parallel(ctx*, task_fn, void*, int64);
status s24_ctx_set_log(ctx*, log_fn, void*); status s24_ctx_memory(ctx*, uint64*, uint64*); status s24_gram_create(ctx*, int64, int32, gram**);
status s24_gram_add(gram*, mat*, mat*); status s24_gram_merge(gram*, gram*); status s24_gram_export(gram*, int32, mat*, double*);
status s24_gram_import(gram*, int32, mat*, double); status s24_gram_info(gram*, int64*, double*); void s24_gram_destroy(gram*);
status s24_cross_create(gram*, int64, cross**); status s24_gram_add_targets(gram*, mat*, mat*, cross**, mat*, int32);
status s24_cross_merge(cross*, cross*); status s24_cross_export(cross*, int32, mat*, double*, double*);
status s24_cross_import(cross*, int32, mat*, double*, double); void s24_cross_destroy(cross*); status s24_problem_create(ctx*, mat*, problem**);
status s24_problem_set_gram(problem*, gram*); status s24_problem_set_target(problem*, cross*, double);
status s24_problem_set_pattern(problem*, int32, int32); status s24_problem_set_sparsity(problem*, double, text);
status s24_problem_set_grid(problem*, int32, int64, text); status s24_problem_set_rank(problem*, int64);
status s24_problem_set_importance(problem*, mat*); status s24_problem_set_mask(problem*, mat*); status s24_problem_parse(problem*, text);
text s24_problem_constraints(problem*); text s24_problem_solver(problem*); status s24_problem_loss(problem*, mat*, double*, double*);
status s24_problem_target_loss(problem*, mat*, double*, double*); status s24_problem_check(problem*, mat*);
status s24_problem_check_result(problem*, result*); void s24_problem_destroy(problem*); int32 s24_solver_count(); text s24_solver_name(int32);
text s24_solver_fact(text, text); status s24_solver_create(ctx*, text, solver**); void s24_solver_destroy(solver*);
status s24_solver_set_int(solver*, text, int64); status s24_solver_set_float(solver*, text, double); status s24_solver_set_str(solver*, text, text);
status s24_solver_parse(solver*, text); status s24_solver_get_int(solver*, text, int64*); status s24_solver_get_float(solver*, text, double*);
status s24_solver_get_str(solver*, text, text*); status s24_solver_is_set(solver*, text, int32*); status s24_solver_reset(solver*);
int32 s24_solver_option_count(solver*); status s24_solver_option_info(solver*, int32, text*, int32*, text*, text*, text*);
status s24_solver_set_progress(solver*, progress_fn, void*); void s24_solver_cancel(solver*); status s24_solver_memory(solver*, problem*, uint64*);
status s24_solve(solver*, problem*, result**); status s24_compress(ctx*, text, text, text, mat*, mat*, double*);
status s24_result_matrix(result*, text, mat*); status s24_result_int(result*, text, int64*); status s24_result_float(result*, text, double*);
status s24_result_str(result*, text, text*); text s24_result_name(result*, int32, int32*); void s24_result_destroy(result*);
status s24_pack(ctx*, mat*, mat*, text, packed**); status s24_pack_result(ctx*, result*, text, packed**);
status s24_pack_codes(ctx*, text, mat*, mat*, mat*, text, packed**); status s24_packed_part(packed*, int32, text*, void**, size*);
status s24_packed_matrix(packed*, text, mat*); status s24_packed_shape(packed*, text, int64*, int32*);
status s24_packed_info(packed*, text*, int64*, int64*, int32*);
status s24_packed_wrap(ctx*, text, int64, int64, int32, void**, size*, int32, packed**); status s24_unpack(packed*, mat*);
status s24_packed_multiply(packed*, mat*, mat*); void s24_packed_destroy(packed*); status s24_prox24(ctx*, mat*, double, mat*);
status s24_prox_nm(ctx*, mat*, int32, int32, double, mat*); status s24_prox_firm(ctx*, mat*, int32, int32, double, mat*);
status s24_project_nm(ctx*, mat*, int32, int32, mat*); status s24_file_open(ctx*, text, file**); int64 s24_file_count(file*);
text s24_file_name(file*, int64); status s24_file_info(file*, text, int64*, int32*, text*); status s24_file_get(file*, text, mat*);
status s24_file_bytes(file*, text, void**, size*); status s24_file_read(file*, text, mat*); text s24_file_meta(file*, text);
text s24_file_meta_key(file*, int64); status s24_file_check_source(file*); status s24_file_create(ctx*, text, text, file**);
status s24_file_put(file*, text, mat*, int64*, int32, text); status s24_file_put_stored(file*, file*, text); status s24_file_copy_meta(file*, file*);
status s24_file_check_copy(file*, file*); status s24_file_set_meta(file*, text, text); status s24_file_commit(file*); void s24_file_destroy(file*)
"""

MODEL_PROTOTYPES = """
status s24_model_open(ctx*, text, model**); void s24_model_destroy(model*); status s24_model_int(model*, text, int64*);
status s24_model_str(model*, text, text*); status s24_model_matrix(model*, int64, text*, text*, int64*, int64*, int64*);
status s24_model_evaluate(model*, mat*, text, text, double*); status s24_model_float(model*, text, double*);
status s24_model_set_progress(model*, progress_fn, void*); void s24_model_cancel(model*); status s24_compression_create(model*, compression**);
void s24_compression_destroy(compression*); status s24_compression_set_int(compression*, text, int64);
status s24_compression_set_float(compression*, text, double); status s24_compression_set_str(compression*, text, text);
status s24_compression_parse(compression*, text); status s24_compression_get(compression*, text, text*);
status s24_compression_option_info(int32, text*, text*, text*, text*); status s24_compression_add_rule(compression*, text);
status s24_compression_add_skip(compression*, text); status s24_compression_set_calibration(compression*, mat*, text);
status s24_compression_add_evaluation(compression*, mat*, text); status s24_compression_set_progress(compression*, progress_fn, void*);
status s24_compression_set_log(compression*, log_fn, void*); status s24_compression_plan(compression*, uint64*, double*, uint64*);
status s24_compression_estimate(compression*, text); status s24_compression_run(compression*, text); void s24_compression_cancel(compression*);
status s24_compression_number(compression*, text, int32, double*); status s24_compression_matrix_float(compression*, int32, text, double*);
status s24_compression_matrix_str(compression*, int32, text, text*); text s24_compression_source(compression*, int32)
"""
# end

# Element types: the name in NumPy, ml_dtypes and torch, the letter of the struct module.
_TYPES = {I8: ("int8", "b"), I16: ("int16", "h"), I32: ("int32", "i"), I64: ("int64", "q"), U8: ("uint8", "B"), U16: ("uint16", "H"),
          U32: ("uint32", "I"), F16: ("float16", "e"), F32: ("float32", "f"), F64: ("float64", "d"), BOOL: ("bool", "?"),
          BF16: ("bfloat16", ""), E4M3FN: ("float8_e4m3fn", ""), E5M2: ("float8_e5m2", "")}
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

# Words of the prototypes. A word that is not here is a handle ("gram*"), or the place for one ("gram**").
_WORDS = {"status": _int32, "int32": _int32, "int64": _int64, "double": _Float, "text": _Text, "void*": ctypes.c_void_p,
          "void**": ctypes.POINTER(ctypes.c_void_p), "size*": ctypes.POINTER(ctypes.c_size_t),
          "mat*": ctypes.POINTER(Mat), "int32*": ctypes.POINTER(ctypes.c_int32), "int64*": ctypes.POINTER(ctypes.c_int64),
          "uint64*": ctypes.POINTER(ctypes.c_uint64), "double*": ctypes.POINTER(ctypes.c_double), "text*": ctypes.POINTER(ctypes.c_char_p),
          "task_fn": _TASK, "progress_fn": _PROGRESS, "log_fn": _LOG,
          "alloc_fn": ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_size_t),
          "free_fn": ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t),
          "parallel_fn": ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p, _TASK, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int32)}
_RESULTS = {"void": None, "status": ctypes.c_int32, "int32": ctypes.c_int32, "int64": ctypes.c_int64, "uint32": ctypes.c_uint32,
            "text": ctypes.c_char_p}


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
    beside = sorted(str(path) for path in pathlib.Path(__file__).resolve().parent.glob("libsparse24*") if re.search(r"\.(so|dylib)\b", path.name))
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


def _torch_of(value: Any) -> Any:
    """The torch module if the value is one of its tensors."""
    torch = sys.modules.get("torch")
    return torch if torch is not None and isinstance(value, getattr(torch, "Tensor", ())) else None


def _check_place(device: Any, is_cpu: bool, what: str) -> None:
    if not is_cpu:
        raise Sparse24Error(E_UNSUPPORTED, f"{what} is on device {device}, but this library reads CPU memory only: copy it there first")


def _unknown_type(what: str, kind: str) -> Sparse24Error:
    return Sparse24Error(E_DTYPE, f"{what} holds {kind}, which the library does not know")


def _from_torch(value: Any, what: str) -> _Found:
    _check_place(value.device, value.device.type == "cpu", what)
    name = str(value.dtype).replace("torch.", "")
    if name not in _BY_NAME:
        raise _unknown_type(what, str(value.dtype))
    if str(value.layout) != "torch.strided" or value.is_neg():
        raise Sparse24Error(E_ARG, f"{what} is a tensor without plain memory (sparse, or lazily negated): densify or clone it")
    twin = value.detach()  # keeps the memory even when the caller gives the tensor other memory (tensor.data = ...)
    return _Found(twin.data_ptr(), tuple(twin.shape), twin.stride(), _BY_NAME[name], twin)


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
    _check_place(device, device[0] == CPU, what)
    try:
        capsule = value.__dlpack__()  # never consumed, so its own destructor tells the producer when it goes
        tensor = _DLTensor.from_address(_capsule_pointer(capsule, b"dltensor"))
    except Exception as error:
        raise Sparse24Error(E_DTYPE, f"{what} does not show its memory: {error}") from None
    shape, dtype = tuple(tensor.shape[: tensor.ndim]), tensor.code * 256 + tensor.bits
    if tensor.lanes != 1 or dtype not in _TYPES:
        raise _unknown_type(what, f"elements of DLPack type {tensor.code}, {tensor.bits} bits, {tensor.lanes} lanes")
    strides = tuple(tensor.strides[: tensor.ndim]) if tensor.strides else _contiguous(shape)
    return _Found((tensor.data or 0) + tensor.byte_offset, shape, strides, dtype, capsule)


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
    address, shape, strides, dtype, keep, readonly = _find(value, what)
    if write and readonly:
        raise Sparse24Error(E_ARG, f"{what} is read-only, but the result goes there")
    if not shape:
        raise Sparse24Error(E_SHAPE, f"{what} has no dimensions, expected a matrix")
    if address % ((dtype & 255) // 8):
        raise Sparse24Error(E_ARG, f"{what} does not lie at a multiple of its element size: copy it")
    if column and len(shape) == 1:
        shape, strides = (*shape, 1), (*strides, 1)
    rows, row_stride = _folded(shape[:-1], strides[:-1], what)
    mat = Mat(address, rows, shape[-1], row_stride, strides[-1], dtype, CPU)
    mat.keep = keep
    return mat


# ---- Arrays out ----


def _module(name: str) -> Any:
    try:
        return __import__(name)
    except ImportError:
        return None


def _kind(value: Any = None) -> str:
    """Whose arrays to answer with: those of the value, else the first that there is."""
    if _torch_of(value):
        return "torch"
    return "numpy" if _module("numpy") else "torch" if "torch" in sys.modules else "memoryview"


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


class Context(_Handle):
    """Threads, memory limit and log, by keywords: Context(threads=2, memory_limit=1 << 30, isa="avx2"). Everything uses default_context() when it is given no
    other. log(level, text) receives the library's messages."""

    _kind = "ctx"

    def __init__(self, log: Callable[[int, str], Any] | None = None, **options: int | str) -> None:
        self._create("s24_ctx_create")
        self.set(**options)
        self.set_log(log)

    def set(self, **options: int | str) -> None:
        """Set options: threads, isa, memory_limit, log_level, hold_blas."""
        for name, value in options.items():
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

    def solve(self, problem: Problem, progress: Callable[[str, int, int, float, float], Any] | None = None) -> Result:
        """Solve. progress(phase, step, total, objective, residual) is called now and then (total -1 and NaN: unknown); anything true that it returns stops the
        solve, an exception too, which comes out here. Result.stop says whether it was stopped; E_CANCELLED if nothing feasible existed yet."""
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


class _Watch:
    """Progress and Ctrl-C of one solve. Python runs no handler before C code returns or calls back, and what a handler raises then may be dropped by ctypes. So
    while the solve runs, a thread waits for the signal's number (signal.set_wakeup_fd) and cancels, our handler only notes, and the former one has its turn
    when the solve has stopped, or at once while the caller's own function runs."""

    def __init__(self, solver: _Owned, progress: Callable | None) -> None:
        self.solver, self.progress = solver, progress  # or a model, or a compression
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


class _Compression(_Handle):
    """What is to be done with a model, for one call."""

    _kind = "compression"

    def __init__(self, model: Model, options: dict[str, Any]) -> None:
        self._create("s24_compression_create", model)
        for name, value in options.items():
            if isinstance(value, dict):
                value = ",".join(f"{key}={one}" for key, one in value.items())
            kind = "str" if isinstance(value, str) else "int" if hasattr(type(value), "__index__") else "float"
            _call(f"s24_compression_set_{kind}", self, name, value)

    def add(self, calibration: Any, test: dict[str, Any], rules: dict[str, str], skip: Any) -> None:
        for pattern, text in rules.items():
            _call("s24_compression_add_rule", self, f"{pattern}={text}")
        for pattern in [skip] if isinstance(skip, str) else skip:
            _call("s24_compression_add_skip", self, pattern)
        _call("s24_compression_set_calibration", self, _matrix(calibration, "calibration"), "calibration")
        for name, ids in test.items():
            _call("s24_compression_add_evaluation", self, _matrix(ids, name), name)

    def number(self, name: str, index: int = 0) -> float:
        value = ctypes.c_double()
        _call("s24_compression_number", self, name, index, ctypes.byref(value))
        return value.value

    def matrix(self, index: int) -> dict[str, Any]:
        text = ctypes.c_char_p()
        _call("s24_compression_matrix_str", self, index, "json", ctypes.byref(text))
        return json.loads(text.value)


class Model(_Handle):
    """A language model in its files (docs/model.md says which): Model("model.gguf").compress("out", "2:4", tokens). Needs libsparse24-model."""

    _kind = "model"

    def __init__(self, path: str | os.PathLike, context: Context | None = None) -> None:
        model_library()
        self._create("s24_model_open", context or default_context(), path)

    def __getitem__(self, name: str) -> int | str:
        """A fact: "layers", "hidden", "vocab", "context", "parameters", "architecture", ... (model.h lists them)."""
        return _read("s24_model", self, name, str if name in ("architecture", "format", "path") else int)

    def matrices(self) -> list[str]:
        """The names of the linear layers' weights, in the order of the forward pass."""
        name, names = ctypes.c_char_p(), []
        for index in range(int(self["matrices"])):
            _call("s24_model_matrix", self, index, ctypes.byref(name), None, None, None, None)
            names.append(name.value.decode())
        return names

    def evaluate(self, tokens: Any, memory_limit: int = 0, progress: Callable[[str, int, int, float, float], Any] | None = None) -> float:
        """The perplexity on rows of token ids, (rows, length)."""
        value = ctypes.c_double()
        with _Watch(self.own(), progress):
            _call("s24_model_evaluate", self, _matrix(tokens, "tokens"), "tokens", f"memory_limit={memory_limit}", ctypes.byref(value))
        return math.exp(value.value)

    def __call__(self, name: str) -> float:
        """A number of the last evaluation: "perplexity", "nll", "seconds", "flops", "rate"."""
        return _read("s24_model", self, name, float)

    def plan(self, constraints: str, calibration: Any, test: Any = None, rules: dict[str, str] | None = None, skip: Any = (), **options: Any) -> dict[str, float]:
        """What compress() with the same arguments will take: "memory" and "written" in bytes, "flops". What can be wrong is told now."""
        memory, flops, written = ctypes.c_uint64(), ctypes.c_double(), ctypes.c_uint64()
        with _Compression(self, {"constraints": constraints, **options}) as work:
            work.add(calibration, _named(test), rules or {}, skip)
            _call("s24_compression_plan", work, ctypes.byref(memory), ctypes.byref(flops), ctypes.byref(written))
        return {"memory": memory.value, "flops": flops.value, "written": written.value}

    def compress(self, out: str | os.PathLike, constraints: str, calibration: Any, test: Any = None, rules: dict[str, str] | None = None, skip: Any = (),
                 progress: Callable[[str, int, int, float, float], Any] | None = None, log: Callable[[int, str], Any] | None = None,
                 **options: Any) -> Compressed:
        """Compress every matrix of the blocks into the new folder `out`. calibration: rows of token ids; test: rows whose perplexity is measured before and
        after, or several by name; rules: other constraints by pattern of name; skip: patterns of what is left alone; log(level, text) receives warnings (1)
        and a line a block (2). compress_options() lists the rest; resume=True goes on with a run that was stopped, by progress, Ctrl-C or the machine."""
        test = _named(test)
        callback = _LOG(_guarded(lambda _, level, text: log(level, text.decode("utf-8", "replace")), None)) if log else _LOG()
        with _Compression(self, {"constraints": constraints, **options}) as work:
            work.add(calibration, test, rules or {}, skip)
            _call("s24_compression_set_log", work, callback, None)
            with _Watch(work.own(), progress):
                _call("s24_compression_run", work, out)
            both = ({name: work.number(f"perplexity_{when}", i) for i, name in enumerate(test)} for when in ("before", "after"))
            return Compressed(*both, [work.matrix(i) for i in range(int(work.number("matrices")))], work.number("seconds"), work.number("complete") > 0)


def _named(test: Any) -> dict[str, Any]:
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


def copy(source: Any, out: Any, context: Context | None = None) -> Any:
    """Copy a matrix, converting layout and float type."""
    _call("s24_mat_copy", context or default_context(), _matrix(source, "source"), _matrix(out, "out", write=True))
    return out


def multiply(x: Any, w: Any, out: Any, context: Context | None = None) -> Any:
    """out = x w^T, any float types."""
    _call("s24_mat_multiply", context or default_context(), _matrix(x, "x"), _matrix(w, "w"), _matrix(out, "out", write=True))
    return out


def default_solver(problem: Problem, context: Context | None = None) -> str:
    """The solver to take when nobody chose one, the program's choice too: alps, for grids quantease, for ranks hassle."""
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
