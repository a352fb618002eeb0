"""Files of tensors, and the Python in the documents."""
import array
import os
import re
import tempfile
import unittest

import sparse24
from support import LAYERS, ROOT, Case, needs_numpy, numpy, python


@needs_numpy
class Files(Case):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = os.path.join(folder.name, "out.safetensors")

    def test_reading(self):
        with sparse24.File(LAYERS) as file:
            self.assertEqual((len(file), "w.o" in file, "w" in file), (10, True, False))
            self.assertEqual(file.info("w.down"), ((576, 1536), "F16"))
            self.assertEqual((file.meta["input_of.k"], len(file.meta)), ("attn", 9))
            w = file["w.k"]
            for name in file.keys():
                self.assertEqual(file[name].shape, file.info(name)[0])
            numpy.testing.assert_array_equal(file.read("w.k"), w.astype("f4"))
            numpy.testing.assert_array_equal(file.read("w.k", numpy.zeros((192, 576))), w.astype("f8"))
            self.fails(sparse24.E_ARG, "w.k", lambda: file["w.kk"])
            self.fails(sparse24.E_STATE, "opened for reading", file.commit)
        self.assertFalse(w.flags.writeable)  # it lies in the mapped file
        self.assertGreater(float(abs(w).sum()), 0)  # which this view keeps open
        self.fails(sparse24.E_IO, "", sparse24.File, "/nowhere.safetensors")
        self.fails(sparse24.E_FORMAT, "", sparse24.File, ROOT / "README.md")

    def test_writing(self):
        a = numpy.arange(24, dtype="f4").reshape(2, 3, 4)
        with sparse24.File.create(self.path) as file:
            file.put("a", a)
            file.put("column", a[0].T)
            file.put("bf16", a, "BF16")
            file.put("bytes", array.array("B", [1, 2, 3]))
            file.set_meta("key", "värde")
            self.assertFalse(os.path.exists(self.path))
            self.fails(sparse24.E_STATE, "being written", file.info, "a")
        with sparse24.File(self.path) as file:
            numpy.testing.assert_array_equal(file["a"], a)
            numpy.testing.assert_array_equal(file["column"], a[0].T)
            numpy.testing.assert_array_equal(file.read("bf16"), a)
            self.assertEqual((file["bytes"].tolist(), file.info("bf16"), file.meta), ([1, 2, 3], ((2, 3, 4), "BF16"), {"key": "värde"}))
            try:
                import ml_dtypes
            except ImportError:
                self.fails(sparse24.E_DTYPE, "install ml_dtypes", lambda: file["bf16"])
            else:
                self.assertEqual(file["bf16"].dtype, ml_dtypes.bfloat16)

    def test_gguf(self):
        a = numpy.round(numpy.random.default_rng(1).standard_normal((4, 64)) * 8).astype("f4")
        with sparse24.File.create(self.path, "gguf") as file:
            file.put("a", a, "Q8_0")
            file.set_meta("general.name", "one")
        with sparse24.File(self.path) as source, sparse24.File.create(self.path + "2", "gguf") as file:
            file.check_copy(source)
            file.copy_meta(source)
            source.check_source()
            self.assertEqual(len(source.stored("a")), 4 * 2 * 34)
            source.check_read("a")
            self.fails(sparse24.E_ARG, "no tensor 'b'", lambda: source.check_read("b"))
            file.set_meta("general.name", "two")
            file.set_meta("gone", "x")
            file.set_meta("gone", None)
            self.assertEqual(len(source.stored("a")), 4 * 2 * 34)
            source.check_source()
            file.put_stored(source, "a")
            self.fails(sparse24.E_DTYPE, "", lambda: source["a"])
        with sparse24.File(self.path + "2") as file:
            self.assertEqual((file.info("a"), file.meta), (((4, 64), "Q8_0"), {"general.name": "two"}))
            numpy.testing.assert_allclose(file.read("a"), a, atol=0.2)

    def test_an_unfinished_file_never_appears(self):
        with self.assertRaises(ZeroDivisionError), sparse24.File.create(self.path) as file:
            file.put("a", numpy.ones(4, "f4"))
            1 / 0
        sparse24.File.create(self.path).close()
        self.assertFalse(os.listdir(os.path.dirname(self.path)))
        self.fails(sparse24.E_UNSUPPORTED, "format", sparse24.File.create, self.path, "zip")


class Documents(Case):
    def run_blocks(self, name, before=""):
        blocks = re.findall(r"^```python\n(.*?)^```", (ROOT / name).read_text(), re.S | re.M)
        self.assertTrue(blocks)
        code, out, err = python("\n".join([before, *blocks]))
        self.assertEqual(code, 0, err)
        return out

    def test_readme(self):
        self.assertRegex(self.run_blocks("README.md"), r"relative output error 0\.0\d+")
        self.assertRegex(self.run_blocks("README.md", "import sys; sys.modules['numpy'] = sys.modules['torch'] = None"), r"relative output error 0\.0\d+")

    @needs_numpy
    def test_python_md(self):
        self.run_blocks("docs/python.md")


if __name__ == "__main__":
    unittest.main()
