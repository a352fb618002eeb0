"""Whole models: class Model, and the ten lines of examples/python/compress_model.py."""
import os
import subprocess
import sys
import tempfile
import unittest

import sparse24
from support import MODEL_LIBRARY, MODULE, Case, needs_numpy, numpy

MAKE_TINY = os.environ.get("MAKE_TINY")


@needs_numpy
@unittest.skipUnless(MODEL_LIBRARY and MAKE_TINY, "built without libsparse24-model")
class Models(Case):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        self.path, self.tokens, self.out = (os.path.join(folder.name, name) for name in ("tiny.gguf", "tokens.safetensors", "out"))
        subprocess.run([MAKE_TINY, "llama-gguf", self.path, self.tokens], check=True)
        with sparse24.File(self.tokens) as file:
            self.rows = numpy.array(file["calib"])
        self.model = sparse24.Model(self.path)

    def test_facts(self):
        self.assertEqual((self.model["layers"], self.model["vocab"], self.model["architecture"], self.model["format"]), (2, 96, "llama", "gguf"))
        self.assertEqual(self.model.matrices()[:2], ["blk.0.attn_q.weight", "blk.0.attn_k.weight"])
        self.assertEqual(len(self.model.matrices()), 14)
        self.fails(sparse24.E_ARG, "colour", lambda: self.model["colour"])
        self.fails(sparse24.E_IO, "", sparse24.Model, "/nowhere.gguf")

    def test_evaluate(self):
        perplexity = self.model.evaluate(self.rows)
        self.assertAlmostEqual(self.model("perplexity") / perplexity, 1)
        self.assertGreater(self.model("seconds"), 0)
        self.assertEqual(self.model.evaluate(self.rows.astype("i8")), perplexity)
        self.fails(sparse24.E_CANCELLED, "", self.model.evaluate, self.rows, progress=lambda *_: 1)
        self.fails(sparse24.E_ARG, "row 1, column 3", self.model.evaluate, self.wrong())
        self.fails(sparse24.E_DTYPE, "integers", self.model.evaluate, self.rows.astype("f4"))

    def test_pack(self):
        rows = self.rows[:, :3]
        self.fails(sparse24.E_STATE, "not packed", self.model.packed_matrices)
        before, whole = self.model.evaluate(self.rows), self.model.generate(rows, 12, temperature=0)
        self.model.pack("f32", tokens=16)
        self.assertAlmostEqual(self.model.evaluate(self.rows) / before, 1, places=4)
        self.assertTrue((self.model.generate(rows, 12, temperature=0) == whole).all())
        self.assertEqual(self.model("decode_tokens"), 8 * len(rows))
        matrices = self.model.packed_matrices()
        self.assertEqual({m["layout"] for m in matrices}, {"ri16"})
        self.assertEqual(self.model["packed_bytes"], sum(m["bytes"] for m in matrices))
        self.fails(sparse24.E_OPTION, "int5", self.model.pack, "int5")

    def test_generate(self):
        made = self.model.generate(self.rows[:, :3], 12, seed=5, top_k=50)
        self.assertEqual((made.shape, made.dtype.name), ((len(self.rows), 12), "int32"))
        self.assertTrue((made[:, :3] == self.rows[:, :3]).all() and (made >= 0).all())
        self.assertTrue((self.model.generate(self.rows[:, :3], 12, seed=5, top_k=50) == made).all())
        stop = int(made[0, 5])
        stopped = self.model.generate(self.rows[:, :3], 12, seed=5, top_k=50, stop=[stop, 95])
        self.assertTrue((stopped[0, 6:] == -1).all())
        self.fails(sparse24.E_OPTION, "colour", self.model.generate, self.rows, 30, colour=1)
        self.fails(sparse24.E_CANCELLED, "", self.model.generate, self.rows, 30, progress=lambda *_: 1)

    def wrong(self):
        rows = self.rows.copy()
        rows[1, 3] = 96
        return rows

    def test_compress(self):
        plan = self.model.plan("2:4", self.rows, self.rows)
        self.assertTrue(plan["memory"] > plan["written"] > 0 and plan["flops"] > 0)
        lines, phases = [], set()
        done = self.model.compress(self.out, "2:4", self.rows, {"rows": self.rows}, rules={"*.down_proj": "1:4"}, skip="*.k_proj", solver="magnitude",
                                   correct=0.25, heldout=2, log=lambda level, text: lines.append((level, text)), progress=lambda phase, *_: phases.add(phase))
        self.assertEqual(len(done.matrices), 12)
        self.assertEqual({m["constraints"] for m in done.matrices}, {"2:4", "1:4"})
        self.assertTrue(any(level == 2 and text.startswith("block 2 of 2") for level, text in lines))
        self.assertIn("block 1 of 2: inputs of q, k, v", phases)
        with sparse24.Model(os.path.join(self.out, "tiny.gguf")) as made:
            self.assertAlmostEqual(made.evaluate(self.rows) / done.after["rows"], 1)
        self.assertAlmostEqual(self.model.evaluate(self.rows) / done.before["rows"], 1)
        self.fails(sparse24.E_IO, "exists already", self.model.compress, self.out, "2:4", self.rows)

    def test_tune(self):
        self.model.compress(self.out, "2:4", self.rows, solver="magnitude", own="0")
        with sparse24.Model(os.path.join(self.out, "tiny.gguf")) as pruned:
            lines = []
            made = pruned.tune(self.out + "-tuned", self.model, self.rows, {"rows": self.rows}, own="0", tune_epochs=4, tune_rate=0.01,
                               log=lambda level, text: lines.append(text))
            self.assertLess(made["divergence"][1], made["divergence"][0])
            self.assertEqual(len(made["curve"]), 5)
            self.assertEqual(made["curve"][0][1], made["divergence"][0])
            self.assertTrue(any(text.startswith("tuning: epoch 4 of 4") for text in lines))
            self.assertAlmostEqual(made["before"]["rows"] / pruned.evaluate(self.rows), 1)
            self.fails(sparse24.E_IO, "exists already", pruned.tune, self.out + "-tuned", self.model, self.rows, own="0")
            self.fails(sparse24.E_ARG, "dense one itself", pruned.tune, self.out + "-2", pruned, self.rows, own="0")
        with sparse24.Model(os.path.join(self.out + "-tuned", "tiny.gguf")) as tuned:
            self.assertAlmostEqual(made["after"]["rows"] / tuned.evaluate(self.rows), 1)

    def test_importance(self):
        path = self.out + "-scores.safetensors"
        found = self.model.importance(self.rows, path, ("l2", "fisher"), activations="disk")
        self.assertAlmostEqual(found / self.model.evaluate(self.rows), 1, 5)
        with sparse24.File(path) as file:
            self.assertEqual(set(file), {f"{name}.{norm}" for name in self.model.matrices() for norm in ("l2", "fisher")})
        done = self.model.compress(self.out, "2:4", self.rows, solver="wanda", options="score=gblm", own="0", importance=path)
        self.assertEqual(len(done.matrices), 14)
        self.fails(sparse24.E_OPTION, "l1, l2, fisher", self.model.importance, self.rows, path, "l7")
        self.fails(sparse24.E_CANCELLED, "", self.model.importance, self.rows, path, progress=lambda *_: 1)

    def test_effort(self):
        done = self.model.compress(self.out, "2:4", self.rows, solver="wanda", own="0", refine="block", refine_epochs=2, effort="best")
        self.assertEqual([len(curve) for curve in done.curves], [3, 3, 0])

    def test_own_text(self):
        lines = []
        self.model.compress(self.out, "2:4", None, own="8", own_length=24, open_start="3", log=lambda level, text: lines.append(text))
        self.assertTrue(any("model's own text" in text for text in lines))
        self.fails(sparse24.E_STATE, "no tokens", self.model.compress, self.out + "2", "2:4", None)
    def test_estimate(self):
        found = self.model.estimate("2:4", self.rows, self.rows, rules={"*.down_proj": "int4"}, skip="*.k_proj", out=self.out)
        self.assertTrue(found["seconds"] > found["solve_seconds"] + found["eval_seconds"] > 0 and found["pass_seconds"] > 0)
        self.assertTrue(found["disk"] > found["written"] > 0 and found["disk_free"] > 0 and found["memory"] > 0 and found["flops"] > 0)
        self.assertEqual(len(found["matrices"]), 12)
        self.assertEqual({(one["constraints"], one["solver"]) for one in found["matrices"]}, {("2:4", "alps"), ("int4", "quantease")})
        self.assertAlmostEqual(sum(one["seconds"] for one in found["matrices"]) / found["solve_seconds"], 1)
        self.assertEqual({one["warning"] for one in found["matrices"]}, {None})
        few = self.model.estimate("2:4", self.rows[:1], own="0")
        self.assertTrue(all("24 different rows" in one["warning"] for one in few["matrices"]) and few["disk_free"] != few["disk_free"])
        self.assertFalse(os.path.exists(self.out))
        self.fails(sparse24.E_CANCELLED, "", self.model.estimate, "2:4", self.rows, progress=lambda *_: 1)
        self.assertRegex(repr(self.model), r"^<sparse24\.Model llama, 2 blocks, 0\.0\d+ million parameters>$")

    def test_numpy_files(self):
        for dtype in ("<i4", "<u2", "<i8"):
            path = os.path.join(self.folder, "ids.npy")
            numpy.save(path, self.rows.astype(dtype))
            self.assertEqual(self.model.evaluate(path), self.model.evaluate(self.rows))
        numpy.save(path, self.rows.reshape(-1))
        self.assertEqual(self.model.evaluate(self.model.tokens(path, context=24)), self.model.evaluate(self.rows))

    def test_stopped_and_gone_on_with(self):
        self.fails(sparse24.E_CANCELLED, "interrupted", self.model.compress, self.out, "2:4", self.rows, progress=lambda phase, *_: phase.startswith("block 2"))
        self.fails(sparse24.E_STATE, "unfinished", self.model.compress, self.out, "2:4", self.rows)
        self.assertFalse(self.model.compress(self.out, "2:4", self.rows, resume=True).complete)
        again = self.model.compress(self.out, "2:4", self.rows, self.rows, resume=True)
        self.assertTrue(again.complete and again.after["test"] > 1)
        self.assertNotEqual(again.hidden_error["test"], again.hidden_error["test"])  # NaN: of encoders

        def fail(*_):
            raise KeyError("mine")

        with self.assertRaises(KeyError):
            self.model.compress(self.out + "2", "2:4", self.rows, log=fail)

    def test_soup(self):
        mats = [numpy.arange(16.0).reshape(4, 4).astype("f4") * (k + 1) * (numpy.arange(4) % 2) for k in range(3)]
        paths = [os.path.join(self.folder, f"one{k}.safetensors") for k in range(3)]
        out = os.path.join(self.folder, "soup.safetensors")
        for path, mat in zip(paths, mats):
            with sparse24.File.create(path) as file:
                file.put("w", mat)
                file.put("ids", numpy.arange(3, dtype="i4"))
        sparse24.soup(paths, out)
        with sparse24.File(out) as file:
            numpy.testing.assert_array_equal(file["w"], mats[1])
            numpy.testing.assert_array_equal(numpy.ravel(file["ids"]), numpy.arange(3))
        os.remove(out)
        mats[2][1, 2] = 5
        with sparse24.File.create(paths[2]) as file:
            file.put("w", mats[2])
            file.put("ids", numpy.arange(3, dtype="i4"))
        self.fails(sparse24.E_STATE, "row 1, column 2 is not 0, but in", sparse24.soup, paths, out)
        self.fails(sparse24.E_ARG, "1 models: a soup is made of 2", sparse24.soup, paths[:1], out)
        self.assertFalse(os.path.exists(out))

    def test_export(self):
        done = self.model.compress(self.out, "int4 sym g32", self.rows, {"rows": self.rows}, options={"scales": "f16"}, solver="rtn", heldout=0)
        with sparse24.Model(os.path.join(self.out, "tiny.gguf")) as made:
            made.export(self.out + "2", store="q4_0")
            self.fails(sparse24.E_UNSUPPORTED, "no Hugging Face folder", made.export, self.out + "3", "gptq")
        with sparse24.Model(os.path.join(self.out + "2", "tiny.gguf")) as small:
            self.assertEqual(small.evaluate(self.rows), done.after["rows"])
        with sparse24.File(os.path.join(self.out + "2", "tiny.gguf")) as file:
            self.assertEqual(file.info("blk.0.attn_q.weight")[1], "Q4_0")

    def test_errors(self):
        for text, arguments in {"from 0 to 1": {"correct": 2}, "ram, half or disk": {"activations": "tape"}, "alpz": {"solver": "alpz"}, "colour": {"colour": 1},
                                "matches no matrix": {"skip": ["*.x"]}, "memory-limit": {"memory_limit": 1000}}.items():
            with self.assertRaisesRegex(sparse24.Sparse24Error, text):
                self.model.compress(self.out, "2:4", self.rows, **arguments)
        self.assertEqual(sparse24.compress_options()["correct"][1], "0.5")
        self.fails(sparse24.E_ARG, "column 3 is 96", self.model.compress, self.out, "2:4", self.wrong())

    def test_every_function(self):
        """Those that no class calls."""
        handle = sparse24._Compression(self.model, {"options": {"swaps": 0}})
        lib, text, number = sparse24.model_library(), sparse24.ctypes.c_char_p(), sparse24.ctypes.c_double()
        sparse24._call("s24_compression_parse", handle, "constraints=2:4")
        sparse24._call("s24_compression_get", handle, "options", sparse24.ctypes.byref(text))
        self.assertEqual(text.value, b"swaps=0")
        self.assertTrue(os.path.samefile(lib.s24_compression_source(handle, 0), self.path))
        self.assertEqual(lib.s24_compression_matrix_float(handle, 0, "zeros", sparse24.ctypes.byref(number)), sparse24.E_ARG)
        lib.s24_compression_cancel(handle)
        lib.s24_model_cancel(self.model)
        self.fails(sparse24.E_CANCELLED, "", self.model.evaluate, self.rows)

    def test_ten_lines(self):
        script = MODULE.parent / "compress_model.py"
        self.assertLessEqual(len([line for line in script.read_text().splitlines() if line.strip() and not line.startswith('"""')]), 10)
        env = {**os.environ, "PYTHONPATH": str(MODULE.parent)}
        done = subprocess.run([sys.executable, script, self.path, self.tokens, self.out], env=env, capture_output=True, text=True, check=True)
        self.assertRegex(done.stdout, r"^perplexity [\d.]+ before, [\d.]+ after$")


@unittest.skipUnless(MODEL_LIBRARY and MAKE_TINY, "built without libsparse24-model")
class Alone(Case):
    """Lists, files and bars, with the standard library only."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        path, self.file = (os.path.join(folder.name, name) for name in ("tiny.gguf", "tokens.safetensors"))
        subprocess.run([MAKE_TINY, "llama-gguf", path, self.file], check=True)
        self.model = sparse24.Model(path)
        self.ids = [[(7 * i + 3 * j * j) % 96 for j in range(24)] for i in range(6)]

    def test_lists(self):
        value = self.model.evaluate(self.ids)
        self.assertEqual(self.model.evaluate(tuple(map(tuple, self.ids))), value)
        self.assertEqual(self.model.evaluate([self.ids[0]]), self.model.evaluate(self.ids[0]))
        self.fails(sparse24.E_SHAPE, "one length, but have [23, 24] ids", self.model.evaluate, [self.ids[0], self.ids[1][1:]])
        self.fails(sparse24.E_SHAPE, "", self.model.evaluate, [])
        self.fails(sparse24.E_DTYPE, "whole numbers", self.model.evaluate, [1.5, 2])
        self.fails(sparse24.E_DTYPE, "whole numbers", self.model.evaluate, [1, 1 << 40])
        self.fails(sparse24.E_ARG, "column 1 is 96", self.model.evaluate, [1, 96])

    def test_files(self):
        rows = self.model.evaluate(self.file + ":calib")
        done = self.model.compress(os.path.join(self.folder, "out"), "2:4", self.file + ":calib", test=[self.file + ":calib"], solver="magnitude")
        self.assertAlmostEqual(done.before["tokens.safetensors:calib"] / rows, 1)

    def run_with_bar(self, tqdm):
        out = os.path.join(self.folder, "bar")
        code = f"""
import sys, types
if {tqdm!r}:
    class tqdm:
        def __init__(self, total, bar_format): self.n, self.total = 0, total
        def reset(self): self.n = 0
        def set_description_str(self, text, refresh): print(text)
        def update(self, n): assert n >= 0; self.n += n; assert self.n <= self.total
        def close(self): print("closed")
    sys.modules["tqdm"], sys.modules["tqdm.auto"] = types.ModuleType("tqdm"), types.SimpleNamespace(tqdm=tqdm)
else:
    sys.modules["tqdm"] = sys.modules["tqdm.auto"] = None
import sparse24
model = sparse24.Model({self.model["path"]!r})
model.compress({out!r}, "2:4", {self.ids!r}, test={self.ids!r}, progress=True, solver="magnitude")
"""
        return subprocess.run([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": str(MODULE.parent)}, capture_output=True, text=True)

    def test_bars(self):
        done = self.run_with_bar(True)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertIn("block 2 of 2: inputs of q, k, v", done.stdout)
        self.assertTrue(done.stdout.endswith("closed\n"))

    def test_no_bar(self):
        done = self.run_with_bar(False)  # no terminal, so nothing
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "", ""))
