"""The module against the headers, the library it finds, and libraries of other versions."""
import ctypes
import os
import pydoc
import shutil
import tempfile
import unittest

import prototypes
import sparse24
from support import LIBRARY, MODULE, Case, fresh, python

# What ctypes must use for each word of the headers.
KINDS = {"void": None, "status": ctypes.c_int32, "int32": ctypes.c_int32, "int64": ctypes.c_int64, "uint32": ctypes.c_uint32, "uint64": ctypes.c_uint64,
         "double": ctypes.c_double, "text": ctypes.c_char_p, "void*": ctypes.c_void_p, "size": ctypes.c_size_t}
HANDLES = {"ctx*", "gram*", "cross*", "problem*", "solver*", "result*", "file*", "packed*", "product*"}


class Headers(Case):
    def test_generated_part_is_what_the_headers_say(self):
        text = MODULE.read_text()
        self.assertEqual(text, prototypes.update(text), "run python3 tests/python/prototypes.py --update")

    def assert_kind(self, found, word, where):
        if word.endswith("_fn"):
            result, words = next((result, words) for result, name, words in prototypes.callbacks() if name == word)
            self.assert_kind(found._restype_, result, where)
            self.assertEqual(len(found._argtypes_), len(words), where)
            for kind, part in zip(found._argtypes_, words):
                self.assert_kind(kind, part, where)
        elif word in HANDLES:
            self.assertTrue(issubclass(found, ctypes.c_void_p) and found.kind + "*" == word, where)
        elif word.endswith("*") and word != "void*":
            wanted = sparse24.Mat if word == "mat*" else ctypes.c_void_p if word[:-1] in HANDLES else KINDS[word[:-1]]
            self.assertIs(found, ctypes.POINTER(wanted), where)
        else:
            wanted = KINDS[word]
            self.assertTrue(found is wanted or issubclass(found, wanted), f"{where}: {found} is no {word}")

    def test_every_function_is_declared_with_its_types(self):
        handle = ctypes.CDLL(LIBRARY)  # a handle of its own, whose functions nobody declared
        sparse24._declare(handle, LIBRARY)
        functions = list(prototypes.functions())
        self.assertGreater(len(functions), 80)
        for result, name, words in functions:
            function = getattr(handle, name)
            self.assertEqual(len(function.argtypes), len(words), name)
            self.assert_kind(function.restype, result, name)
            for kind, word in zip(function.argtypes, words):
                self.assert_kind(kind, word, name)

    def test_texts_of_others(self):
        self.assertEqual(sparse24.library().s24_fail(sparse24.E_USER, b"mine"), sparse24.E_USER)
        self.assertEqual((sparse24._get("s24_last_status"), sparse24._get("s24_last_error")), (sparse24.E_USER, "mine"))

    def test_constants(self):
        pairs = [pair for pairs in prototypes.enums() for pair in pairs]
        self.assertGreater(len(pairs), 40)
        for name, value in pairs:
            self.assertEqual(getattr(sparse24, name), int(value, 0), name)
        for name, value in pairs:
            if name.startswith("E_"):
                self.assertEqual(sparse24.Sparse24Error(int(value), "").name, sparse24._get("s24_status_name", int(value)))

    def test_struct(self):
        self.assertEqual(ctypes.sizeof(sparse24.Mat), 64)
        offset = 0
        fields = list(prototypes.fields())
        self.assertEqual([name for _, name in fields], [name for name, _ in sparse24.Mat._fields_])
        for (word, name), (_, kind) in zip(fields, sparse24.Mat._fields_):
            self.assertIs(kind, KINDS[word])
            self.assertEqual(getattr(sparse24.Mat, name).offset, offset)
            offset += ctypes.sizeof(kind)

    def test_version(self):
        number = sparse24.library().s24_api_version()
        self.assertEqual((number >> 16, number >> 8 & 255), (sparse24.API_MAJOR, sparse24.API_MINOR))
        self.assertRegex(sparse24.version(), r"^\d+\.\d+\.\d+$")
        self.assertIsNone(sparse24.build_info("nothing"))


class Discovery(Case):
    def test_solvers_come_from_the_library(self):
        self.assertEqual(sorted(sparse24.solvers()), sorted(sparse24.build_info("solvers").split(",")))
        for name, kind in sparse24.solvers().items():
            solver = kind()
            self.assertIsInstance(solver, sparse24.Solver)
            text = pydoc.plain(pydoc.render_doc(kind))
            for option in solver.options().values():
                self.assertIn(f"{option.name} ({option.type.__name__}, {option.range}; default {option.default}): {option.help}", text, name)
                self.assertEqual(solver[option.name], option.type(option.default))

    def test_options(self):
        solver = sparse24.solvers()["sparsegpt"](damp=0.5, damp_rule="relative", max_iter=7)
        self.assertEqual((solver["damp"], solver["damp_rule"], solver["max_iter"]), (0.5, "relative", 7))
        self.assertEqual([solver.is_set(name) for name in ("damp", "tol")], [True, False])
        solver.parse("damp=1,max_iter=9")
        self.assertEqual((solver["damp"], solver["max_iter"]), (1.0, 9))
        solver.reset()
        self.assertEqual(solver["max_iter"], 60)
        self.fails(sparse24.E_OPTION, "nearest: damp", solver.set, dampp=1)
        self.fails(sparse24.E_OPTION, "nearest: damp", lambda: solver["dampp"])
        self.fails(sparse24.E_OPTION, "0 .. 100", solver.set, damp=float("nan"))
        self.fails(sparse24.E_OPTION, "max_iter", solver.set, max_iter=0.5)
        self.fails(sparse24.E_ARG, "64 bits", solver.set, max_iter=1 << 64)
        self.fails(sparse24.E_ARG, "expected a number", solver.set, damp=None)
        self.fails(sparse24.E_UNSUPPORTED, "nearest: alps", sparse24.Solver, "alsp")
        self.fails(sparse24.E_ARG, "expected a text", sparse24.Solver, 5)
        self.fails(sparse24.E_ARG, "NUL", sparse24.Solver, "al\0ps")

    def test_context_options(self):
        context = sparse24.Context(threads=2, isa="ref")
        self.assertEqual((context["threads"], context["isa"]), (2, "ref"))
        self.fails(sparse24.E_OPTION, "nearest: threads", context.set, thread=2)
        self.fails(sparse24.E_OPTION, "nearest: threads", lambda: context["thread"])


class Loading(Case):
    def test_explicit_path(self):
        module = fresh()
        self.assertEqual(module.load(LIBRARY)._name, os.path.abspath(LIBRARY))
        self.assertIs(module.load(), module.load(LIBRARY))
        with self.assertRaisesRegex(module.Sparse24Error, "loaded already"):
            module.load("/nowhere/libsparse24.so")

    def test_environment(self):
        code, out, _ = python("import sparse24; sparse24.load(); print(sparse24._path)", SPARSE24_LIBRARY=LIBRARY)
        self.assertEqual((code, out.strip()), (0, os.path.abspath(LIBRARY)))
        _, _, err = python("import sparse24; sparse24.load()", SPARSE24_LIBRARY="/nowhere/at_all.so")
        self.assertIn("Sparse24Error: cannot load /nowhere/at_all.so", err)

    def test_beside_the_module(self):
        with tempfile.TemporaryDirectory() as folder:
            shutil.copy(MODULE, folder)
            os.symlink(os.path.abspath(LIBRARY), f"{folder}/libsparse24.so.0.1")
            code, out, err = python(f"sys.path[0] = {folder!r}\nimport sparse24; print(sparse24.version(), sparse24._path)", SPARSE24_LIBRARY="")
            self.assertEqual((code, out.split()), (0, [sparse24.version(), os.path.realpath(folder) + "/libsparse24.so.0.1"]), err)

    def test_no_library_at_all(self):
        with tempfile.TemporaryDirectory() as folder:
            shutil.copy(MODULE, folder)
            path = f"{folder}/libsparse24.so"
            with open(path, "w", encoding="ascii") as file:
                file.write("no library")
            _, _, err = python(f"sys.path[0] = {folder!r}\nimport sparse24; sparse24.Gram(4)", SPARSE24_LIBRARY="")
            self.assertRegex(err, "Sparse24Error: cannot load .*set SPARSE24_LIBRARY")

    def test_another_version(self):
        module = fresh()
        with self.assertRaisesRegex(module.Sparse24Error, r"interface version 9\.3, but .* is made for version 0\.\d+") as caught:
            module.load(os.environ["OTHER_LIBRARY"], choose_blas_core=False)
        self.assertEqual(caught.exception.status, module.E_BACKEND)
        with self.assertRaisesRegex(module.Sparse24Error, "has no s24_api_version"):
            module.load(ctypes.util.find_library("m"), choose_blas_core=False)

    def test_older_library_lacks_functions(self):
        module = fresh()
        module.load(os.environ["OLDER_LIBRARY"], choose_blas_core=False)
        self.assertEqual(module.version(), "older")
        with self.assertRaisesRegex(module.Sparse24Error, "has no s24_ctx_create: it is older") as caught:
            module.Gram(4)
        self.assertEqual(caught.exception.status, module.E_UNSUPPORTED)

    def test_blas_core_is_asked_for(self):
        # OpenBLAS would choose Prescott; the other process says what is better; a user's choice stays.
        script = """
import subprocess, types, os, sparse24
if answer:
    subprocess.run = lambda *a, **k: types.SimpleNamespace(stdout="warning: start with OPENBLAS_CORETYPE=Nehalem in its environment")
sparse24.load()
print(os.environ.get("OPENBLAS_CORETYPE"))
"""
        code, out, err = python("import os; os.environ.pop('OPENBLAS_CORETYPE', None); answer = 1" + script, "-S")
        self.assertEqual((code, out.strip()), (0, "Nehalem"), err)
        code, out, err = python("answer = 1" + script, "-S", OPENBLAS_CORETYPE="Haswell")
        self.assertEqual((code, out.strip()), (0, "Haswell"), err)
        code, out, err = python("import os; os.environ.pop('OPENBLAS_CORETYPE', None); answer = 0" + script, "-S")
        self.assertEqual(code, 0, err)

    def test_the_file_as_a_program(self):
        code, out, err = python(f"sys.argv = ['sparse24.py', {LIBRARY!r}]; import runpy; runpy.run_path({str(MODULE)!r}, run_name='__main__')", "-S")
        self.assertEqual(code, 0, err)
        self.assertRegex(out, rf"libsparse24 {sparse24.version()} from .*\n.*blas: ")


if __name__ == "__main__":
    unittest.main()
