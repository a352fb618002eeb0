"""What the Python tests share: the module under test with a record of the C functions that were called, small layers, and a runner that prints one
"ok" or "not ok" line a test."""
import gc
import importlib.util
import os
import pathlib
import subprocess
import sys
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
MODULE = ROOT / "examples/python/sparse24.py"
LIBRARY = os.environ["SPARSE24_LIBRARY"]
MODEL_LIBRARY = os.environ.get("SPARSE24_MODEL_LIBRARY")
LAYERS = ROOT / "examples/data/smollm2-block10-small.safetensors"
sys.path.insert(0, str(MODULE.parent))

import sparse24  # noqa: E402

try:
    import numpy
except ImportError:
    numpy = None
try:
    import torch
except ImportError:
    torch = None

needs_numpy = unittest.skipUnless(numpy, "NumPy is not installed")
needs_torch = unittest.skipUnless(torch, "torch is not installed")
called = set()


def record(name, function):
    def recorded(*arguments):
        called.add(name)
        return function(*arguments)

    return recorded


def record_calls():
    lib = sparse24.model_library() if MODEL_LIBRARY else sparse24.library()
    for _, name, _ in functions():
        setattr(lib, name, record(name, getattr(lib, name)))


def functions():
    import prototypes

    return list(prototypes.functions()) + list(prototypes.functions(prototypes.model_header()) if MODEL_LIBRARY else [])


def fresh():
    """Another copy of the module, that has not loaded a library."""
    spec = importlib.util.spec_from_file_location("another_sparse24", MODULE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def python(script, *options, wait=True, **environment):
    """Run a script in a Python of its own that finds the module."""
    pipe = subprocess.PIPE
    script = f"import sys; sys.path[:0] = [{str(MODULE.parent)!r}]\n{script}"
    process = subprocess.Popen([sys.executable, *options, "-c", script], stdout=pipe, stderr=pipe, text=True, cwd=ROOT, env={**os.environ, **environment})
    if not wait:
        return process
    out, err = process.communicate()
    return process.returncode, out, err


class Case(unittest.TestCase):
    def fails(self, status, text, function, *arguments, **named):
        """The call raises this status, and its text holds `text`."""
        with self.assertRaises(sparse24.Sparse24Error) as caught:
            function(*arguments, **named)
        self.assertEqual(caught.exception.status, status, str(caught.exception))
        self.assertIn(text, str(caught.exception))
        return caught.exception


def layer(rows=32, cols=64, tokens=300, seed=1):
    """Weights and calibration rows."""
    random = numpy.random.default_rng(seed)
    mix = random.standard_normal((cols, cols))
    return random.standard_normal((rows, cols)).astype("f4"), (random.standard_normal((tokens, cols)) @ mix).astype("f4")


def problem(rows=32, cols=64, constraints="2:4", context=None, seed=1):
    w, x = layer(rows, cols, seed=seed)
    gram = sparse24.Gram(cols, context=context)
    gram.add(x)
    return sparse24.Problem(w, gram, constraints, context)


def long_solve():
    """A solver and a problem that keep each other busy for minutes."""
    return sparse24.Solver("alps", max_iter=100000, tol=0.0, damp_rule="relative"), problem(256, 512)


class Lines(unittest.TextTestResult):
    def addSuccess(self, test):
        super().addSuccess(test)
        print("ok", test.id())

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        print("# skip", test.id(), reason)

    def stopTest(self, test):
        super().stopTest(test)
        gc.collect()
        sys.stdout.flush()


def main(*modules):
    record_calls()
    suite = unittest.TestSuite(unittest.defaultTestLoader.loadTestsFromModule(module) for module in modules)
    done = unittest.TextTestRunner(resultclass=Lines, verbosity=0, warnings="error").run(suite)
    for test, _ in done.failures + done.errors:
        print("not ok", test.id())
    return len(done.failures + done.errors) > 0
