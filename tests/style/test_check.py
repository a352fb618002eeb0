"""The rules of check.py and arrows.py see what they forbid: each is broken once, on purpose, in a copy of the library."""
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

import arrows
import check

ROOT = pathlib.Path(__file__).resolve().parents[2]
LONG = "void s24i_long(int a, int b, int c, int d, int e, int f, int g, int h, int i);"

# name: (rule, file that is changed, what is put at its end, what the problem must name)
BROKEN = {
    "base sees ops": ("layers", "lib/base/half.c", '#include "ops/run.h"', "ops/run.h"),
    "kernels see ops": ("layers", "lib/kernels/ref/dots.c", '#include "ops/run.h"', "kernels may include"),
    "ops see solvers": ("layers", "lib/ops/linear/mat.c", '#include "solvers/solver.h"', "ops may include"),
    "pack sees ops": ("layers", "lib/pack/codes.c", '#include "ops/ops.h"', "pack may include"),
    "io sees api": ("layers", "lib/io/names.c", '#include "api/api.h"', "io may include"),
    "api sees kernels": ("layers", "lib/api/solve.c", '#include "kernels/kernels.h"', "api may include"),
    "the core sees cuda": ("layers", "lib/ops/operations.c", '#include "cuda/cuda.h"', "ops may include"),
    "the core sees the model": ("layers", "lib/api/file.c", "#include <sparse24/model.h>", "whole models"),
    "cuda sees a room": ("layers", "lib/cuda/cuda.c", '#include "ops/sets/sets.h"', "cuda may include"),
    "cuda sees kernels": ("layers", "lib/cuda/cuda.c", '#include "kernels/kernels.h"', "cuda may include"),
    "a solver sees a room": ("layers", "lib/solvers/wanda.c", '#include "ops/sets/sets.h"', "of ops"),
    "a solver sees the run": ("layers", "lib/solvers/hassle/joint.c", '#include "ops/run.h"', "of ops"),
    "linear sees sets": ("rooms", "lib/ops/linear/loss.c", '#include "ops/sets/sets.h"', "linear may include"),
    "linear sees steps": ("rooms", "lib/ops/linear/loss.c", '#include "ops/steps/steps.h"', "linear may include"),
    "sets see steps": ("rooms", "lib/ops/sets/fit.c", '#include "ops/steps/steps.h"', "sets may include"),
    "a room sees all of ops": ("rooms", "lib/ops/steps/cg.c", '#include "ops/ops.h"', "steps may include"),
    "a program sees the library": ("clients", "examples/cli/main.c", '#include "base/json.h"', "private"),
    "a program goes round by a path": ("clients", "examples/cli/main.c", '#include "../../lib/base/json.h"', "private"),
    "a program calls the library": ("clients", "examples/cli/main.c", "int x = s24i_cores();", "s24i_cores"),
    "the model sees the library": ("clients", "lib/model/model.c", '#include "base/json.h"', "private"),
    "the model calls it": ("clients", "lib/model/model.c", "int x = s24i_cores();", "s24i_cores"),
    "a solver calls a product": ("solver calls", "lib/solvers/rtn.c", "int f(void) { return s24i_times(1, 1, a, b, c); }", "s24i_times"),
    "a solver calls the CPU": ("solver calls", "lib/solvers/rtn.c", "int f(void) { return s24i_cpu_sweep(run, t, v, m); }", "s24i_cpu_sweep"),
    "a solver calls a kernel": ("solver calls", "lib/solvers/rtn.c", "int f(void) { return job->run->device->kernels->dot(a, b, 1); }", "kernels"),
    "api calls a kernel": ("kernel calls", "lib/api/mat.c", "int f(void) { return ctx->kernels.dot(a, b, 1); }", "kernels.dot"),
    "api chooses kernels": ("kernel calls", "lib/api/mat.c", 'int f(void) { return s24i_kernels_dispatch(k, "ref"); }', "s24i_kernels_dispatch"),
    "headers include each other": ("include circles", "lib/ops/linear/linear.h", '#include "ops/linear/rows.h"', "rows.h"),
    "files call each other": ("call circles", "lib/io/reader.c", "int f(void) { return s24i_reader_open(m, p, o); }", "lib/io/open.c"),
    "operations call each other": ("call circles", "lib/ops/steps/cg.c", "int f(void) { return s24i_refit(run, t, l, v); }", "refit.c"),
    "nine parameters": ("parameters", "lib/base/sort.h", LONG, "s24i_long"),
    "a wide line": ("widths", "lib/base/sort.h", "/* " + 100 * "x" + " */", "106 columns"),
}
MORE = {"lib/cuda/cuda.c": "", "lib/cuda/cuda.h": "/* A header. */\n", "lib/model/model.c": ""}


class Rules(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.root = pathlib.Path(cls.folder.name) / "tree"
        for name in ("lib", "examples/cli"):
            shutil.copytree(ROOT / name, cls.root / name)
        for name, text in MORE.items():
            (cls.root / name).parent.mkdir(exist_ok=True)
            if not (cls.root / name).exists():
                (cls.root / name).write_text(text)
        subprocess.run(["git", "-C", cls.root, "init", "-q"], check=True)
        subprocess.run(["git", "-C", cls.root, "add", "-A"], check=True)
        check.ROOT = cls.root

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def problems(self):
        found = dict(arrows.rules(self.root))
        found["widths"] = list(check.widths())
        return {rule: problems for rule, problems in found.items() if problems}

    def test_the_library_breaks_none(self):
        self.assertEqual(self.problems(), {})

    def test_each_is_seen(self):
        for name, (rule, file, text, told) in BROKEN.items():
            with self.subTest(name):
                path = self.root / file
                before = path.read_text()
                path.write_text(before + text + "\n")
                found = self.problems()
                path.write_text(before)
                self.assertIn(rule, found)
                self.assertTrue(any(file in problem and told in problem for problem in found[rule]), found)

    def test_comments_and_strings_are_no_calls(self):
        path = self.root / "lib/api/mat.c"
        before = path.read_text()
        path.write_text(before + '/* s24i_kernels_dispatch(k, "ref") */\nconst char *f = "kernels.dot(a)";\n')
        found = self.problems()
        path.write_text(before)
        self.assertEqual(found, {})


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
