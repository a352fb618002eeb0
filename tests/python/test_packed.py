"""Class Packed: from weights, results and codes, by parts, through files; without NumPy too."""
import array
import os
import subprocess
import sys
import tempfile
import unittest

import sparse24
from support import MODULE, Case, needs_numpy, numpy, problem

CODES = [*range(16), *range(16)] * 8


def weights():
    """8 x 32 floats with two of four kept."""
    values = array.array("f", [float(1 + i) if i % 4 < 2 else 0.0 for i in range(256)])
    return memoryview(values).cast("B").cast("f", (8, 32))


def bytes_of(numbers, shape, letter="B"):
    return memoryview(array.array(letter, numbers)).cast("B").cast(letter, shape)


class Packing(Case):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = os.path.join(folder.name, "packed.safetensors")

    def test_weights(self):
        w = weights()
        packed = sparse24.Packed(w, "nibble")
        self.assertEqual((packed.layout, packed.shape, packed.dtype, packed.keys()), ("nibble", (8, 32), "float32", ["values", "meta"]))
        self.assertEqual(packed["meta"].shape, (8, 4))
        self.assertEqual(packed.nbytes, 8 * 16 * 4 + 8 * 4)
        self.assertEqual(repr(packed), "<sparse24.Packed nibble, 8 x 32 float32 in 544 bytes>")
        self.assertEqual(packed.unpack().tolist(), w.tolist())
        x = memoryview(array.array("f", [0, 0, 1] + 29 * [0] + [1] + 31 * [0])).cast("B").cast("f", (2, 32))
        y = packed.multiply(x)
        self.assertEqual(y.tolist(), [[row[2] for row in w.tolist()], [row[0] for row in w.tolist()]])
        self.fails(sparse24.E_STATE, "row 0", sparse24.Packed, memoryview(array.array("f", 256 * [1])).cast("B").cast("f", (8, 32)), "nibble")
        self.fails(sparse24.E_UNSUPPORTED, "nibblet", sparse24.Packed, w, "nibblet")
        self.fails(sparse24.E_UNSUPPORTED, "", lambda: packed["colour"])

    def test_mask(self):
        w, mask = weights(), bytes_of([1, 0, 0, 0] * 64, (8, 32))
        dense = sparse24.Packed(w, "nibble:f32", mask).unpack().tolist()
        self.assertEqual(dense[0][:4], [1, 0, 0, 0])

    def test_parts_outlive_the_handle(self):
        packed = sparse24.Packed(weights(), "nibble")
        values = packed["values"]
        packed.close()
        self.assertEqual(values.tolist()[0][:2], [1, 2])
        self.assertEqual(repr(packed), "<sparse24.Packed closed>")
        with self.assertRaises((TypeError, ValueError)):
            values[0, 0] = 3

    def test_wrap(self):
        packed = sparse24.Packed(weights(), "nibble")
        parts = [packed[name] for name in packed]
        again = sparse24.Packed.wrap("nibble", (8, 32), "float32", parts)
        packed.close()
        del parts
        self.assertEqual(again.unpack().tolist(), weights().tolist())
        self.fails(sparse24.E_DTYPE, "float32", sparse24.Packed.wrap, "nibble", (8, 32), "F32", [])
        self.fails(sparse24.E_SHAPE, "", sparse24.Packed.wrap, "nibble", (8, 28), "float32", [again[name] for name in again])

    def test_codes(self):
        parts = bytes_of(CODES, (8, 32)), sparse24.Raw(bytes_of(8 * [0x3C00], (8, 1), "H"), sparse24.F16), bytes_of(8 * [8], (8, 1))
        packed = sparse24.Packed.of_codes("int4 g32", *parts, "q4_0")
        self.assertEqual(packed.unpack().tolist()[0][:4], [-8, -7, -6, -5])
        self.fails(sparse24.E_UNSUPPORTED, "codes", sparse24.Packed.of_codes, "int4 g32", *parts, "nibble")

    def test_products(self):
        packed = sparse24.Packed(weights(), "nibble")
        fast = packed.convert("ri16x32")
        self.assertEqual((fast.layout, fast.unpack().tolist()), ("ri16x32", weights().tolist()))
        x = memoryview(array.array("f", [1] + 31 * [0])).cast("B").cast("f", (1, 32))
        first = [[row[0] for row in weights().tolist()]]
        product = fast.prepare()
        fast.close()
        self.assertEqual((product.kernel, product.activations, product(x).tolist()), ("sparse_f32", "float32", first))
        self.assertRegex(repr(product), r"^<sparse24\.Product sparse_f32 of \w+, activations float32, \d+ bytes of scratch>$")
        exact = packed.prepare(fast=False, tokens=4, share=product)
        product.close()
        out = memoryview(array.array("f", 8 * [0])).cast("B").cast("f", (1, 8))
        self.assertIs(exact(x, out), out)
        self.assertEqual(out.tolist(), first)
        self.fails(sparse24.E_UNSUPPORTED, "nibble", packed.prepare)
        self.fails(sparse24.E_DTYPE, "activations is F32", packed.prepare, activations="F32")
        self.fails(sparse24.E_UNSUPPORTED, "nibblet", packed.convert, "nibblet")

    def test_parts_in_files(self):
        with sparse24.File.create(self.path) as file:
            file.put_packed("w", sparse24.Packed(weights(), "nibble"))
            self.fails(sparse24.E_ARG, "", file.put_packed, "w", sparse24.Packed(weights(), "nibble"))
        with sparse24.File(self.path) as file:
            self.assertEqual(sorted(file), ["w.meta", "w.values"])
            packed = file.packed("w")
            self.fails(sparse24.E_ARG, "colour", file.packed, "colour")
        self.assertEqual(packed.unpack().tolist(), weights().tolist())

    def test_files(self):
        packed = sparse24.Packed(weights(), "nibble:f16")
        packed.save(self.path)
        again = sparse24.Packed.load(self.path)
        self.assertEqual((again.layout, again.shape, again.dtype, again.keys()), (packed.layout, packed.shape, "float16", packed.keys()))
        out = memoryview(array.array("f", 256 * [0])).cast("B").cast("f", (8, 32))
        self.assertEqual(again.unpack(out).tolist(), weights().tolist())
        with sparse24.File.create(self.path + "2") as file:
            file.put("weights", weights())
        self.fails(sparse24.E_FORMAT, "no packed matrix", sparse24.Packed.load, self.path + "2")

    def test_without_numpy(self):
        code = "import sys; sys.modules['numpy'] = sys.modules['torch'] = None; import unittest, test_packed; unittest.main(test_packed, argv=['x', 'Packing', '-k', '%s'])"
        for name in ("test_weights", "test_codes", "test_products", "test_parts_in_files", "test_files", "test_wrap"):
            path = os.pathsep.join([os.path.dirname(__file__), str(MODULE.parent)])
            done = subprocess.run([sys.executable, "-c", code % name], env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True)
            self.assertEqual(done.returncode, 0, done.stderr)


@needs_numpy
class OfResults(Case):
    def test_results(self):
        result = sparse24.Solver("magnitude").solve(problem())
        packed = sparse24.Packed(result, "nibble")
        numpy.testing.assert_array_equal(packed.unpack(), result.weights)
        x = numpy.random.default_rng(0).standard_normal((3, packed.shape[1])).astype("f4")
        numpy.testing.assert_allclose(packed.multiply(x), x @ result.weights.T, rtol=1e-4, atol=1e-5)
        self.fails(sparse24.E_ARG, "mask of its own", sparse24.Packed, result, "nibble", numpy.ones(packed.shape, "u1"))
        self.fails(sparse24.E_UNSUPPORTED, "codes", sparse24.Packed, result, "q4_0")
        self.assertRegex(repr(result), r"^<sparse24\.Result magnitude, 2:4, relative loss 0\.\d+>$")


if __name__ == "__main__":
    unittest.main()
