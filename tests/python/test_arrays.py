"""What may be a matrix: every kind of array without a copy, every wrong one an error that names it."""
import array
import ctypes
import gc
import tracemalloc
import unittest

import sparse24
from support import Case, layer, needs_numpy, numpy, problem, python


class OnlyDLPack:
    """An array known by DLPack alone, on whatever device it claims."""

    def __init__(self, values, device=(1, 0)):
        self.values, self.device = values, device

    def __dlpack_device__(self):
        return self.device

    def __dlpack__(self, **_):
        return self.values.__dlpack__()


def view(value, **named):
    return sparse24._matrix(value, "x", **named)


def described(mat):
    return (mat.rows, mat.cols, mat.row_stride, mat.col_stride, mat.dtype)


@needs_numpy
class In(Case):
    def test_numpy_types(self):
        for name, code in (("i1", "I8"), ("i2", "I16"), ("i4", "I32"), ("i8", "I64"), ("u1", "U8"), ("u2", "U16"), ("u4", "U32"), ("f2", "F16"),
                           ("f4", "F32"), ("f8", "F64"), ("?", "BOOL"), ("longlong", "I64"), ("<f4", "F32")):
            a = numpy.zeros((3, 5), name)
            mat = view(a)
            self.assertEqual(described(mat), (3, 5, 5, 1, getattr(sparse24, code)), name)
            self.assertEqual(mat.data, a.ctypes.data)

    def test_shapes_and_strides(self):
        a = numpy.zeros((4, 6, 8), "f4")
        for value, wanted in ((a, (24, 8, 8, 1)), (a[:, 0], (4, 8, 48, 1)), (a[0].T, (8, 6, 1, 8)), (a[0, 0], (1, 8, 0, 1)), (a[1:2, 1:3], (2, 8, 8, 1)),
                              (a[0, ::2, ::2], (3, 4, 16, 2)), (a[:, 2:3, 1:], (4, 7, 48, 1)), (a[:0], (0, 8)), (numpy.asfortranarray(a[0]), (6, 8, 1, 6))):
            mat = view(value)
            self.assertEqual(described(mat)[: len(wanted)], wanted)
            self.assertEqual(mat.data, value.ctypes.data)
        self.assertEqual(described(view(a[0, 0], column=True))[:3], (8, 1, 1))
        self.fails(sparse24.E_SHAPE, "fold into rows without a copy", view, a[:, :5])
        self.fails(sparse24.E_SHAPE, "no dimensions", view, a[0, 0, :1].reshape(()))

    def test_other_strides_give_the_same_sums(self):
        _, x = layer()
        wanted = numpy.zeros((64, 64))
        for part in (1, 2):
            gram = sparse24.Gram(64)
            gram.add(x)
            wanted += gram.export_half(part)[0]
        for same in (numpy.asfortranarray(x), numpy.repeat(x, 2, 0)[::2], numpy.repeat(x, 3, 1)[:, ::3], x.reshape(3, 100, 64), OnlyDLPack(x), memoryview(x)):
            gram = sparse24.Gram(64)
            gram.add(same)
            numpy.testing.assert_array_equal(gram.export_half(1)[0] + gram.export_half(2)[0], wanted)
        numpy.testing.assert_allclose(wanted, x.T.astype("f8") @ x, rtol=1e-4, atol=1e-3)

    def test_buffers_without_numpy(self):
        for value, dtype in ((array.array("f", [1, 2, 3, 4]), "F32"), (memoryview(array.array("d", range(4))), "F64"), (bytearray(4), "U8"), (bytes(4), "U8"),
                             ((ctypes.c_float * 4)(1, 2, 3, 4), "F32"), ((ctypes.c_int64 * 4)(), "I64"), ((ctypes.c_bool * 4)(), "BOOL")):
            mat = view(value)
            self.assertEqual((mat.rows, mat.cols, mat.dtype), (1, 4, getattr(sparse24, dtype)))
        self.assertEqual(described(view(((ctypes.c_double * 3) * 2)()))[:3], (2, 3, 3))

    def test_dlpack(self):
        a = numpy.arange(24, dtype="f4").reshape(4, 6)
        for value in (a, a[1:, ::2], a.T):
            mat = view(OnlyDLPack(value))
            self.assertEqual(mat.data, value.ctypes.data)
            self.assertEqual(described(mat)[:4], (*value.shape, *(stride // 4 for stride in value.strides)))
        for device in ((2, 0), (3, 0), (13, 1), (8, 0)):
            self.fails(sparse24.E_UNSUPPORTED, f"x is on device {device}", view, OnlyDLPack(a, device))
        self.fails(sparse24.E_DTYPE, "DLPack type 5, 128 bits", view, OnlyDLPack(a.astype(complex)))
        gram = sparse24.Gram(6)
        self.fails(sparse24.E_UNSUPPORTED, "x is on device (2, 0)", gram.add, OnlyDLPack(a, (2, 0)))
        a.flags.writeable = False
        self.fails(sparse24.E_DTYPE, "does not show its memory", view, OnlyDLPack(a))  # NumPy's own refusal

    def test_dlpack_keeps_the_memory(self):
        mat = view(OnlyDLPack(numpy.full((100, 64), 7, "f4")))
        gc.collect()
        numpy.full((100, 64), 3, "f4")
        self.assertEqual(set((ctypes.c_float * 6400).from_address(mat.data)), {7.0})

    def test_ml_dtypes(self):
        try:
            import ml_dtypes
        except ImportError:
            self.skipTest("ml_dtypes is not installed")
        a = numpy.arange(32).reshape(4, 8).astype(ml_dtypes.bfloat16)
        mat = view(a[:, ::2])
        self.assertEqual((described(mat), mat.data), ((4, 4, 8, 2, sparse24.BF16), a.ctypes.data))
        out = sparse24.copy(a, numpy.zeros((4, 8), "f4"))
        numpy.testing.assert_array_equal(out, a.astype("f4"))
        self.assertEqual(sparse24.project_nm(a, 2, 4).sum(), 16)
        self.assertEqual(view(a.astype(ml_dtypes.float8_e4m3fn)).dtype, sparse24.E4M3FN)

    def test_wrong_ones(self):
        a = numpy.zeros((8, 8), "f4")
        records = numpy.zeros((4, 4), [("a", "f4"), ("b", "u1")])
        for status, text, value in (
                (sparse24.E_DTYPE, "byte order of other machines", a.astype(">f4")), (sparse24.E_DTYPE, "Python objects", a.astype(object)),
                (sparse24.E_DTYPE, "complex numbers", a.astype("c8")), (sparse24.E_DTYPE, "complex numbers", a.astype("c16")),
                (sparse24.E_DTYPE, "the library does not know", a.astype("u8")), (sparse24.E_DTYPE, "the library does not know", a.astype("g")),
                (sparse24.E_DTYPE, "the library does not know", a.astype("U3")), (sparse24.E_DTYPE, "show its memory", a.astype("M8[s]")),
                (sparse24.E_DTYPE, "the library does not know", records), (sparse24.E_SHAPE, "no multiples", records["a"]),
                (sparse24.E_ARG, "multiple of its element size", numpy.zeros(33, "u1")[1:].view("f4")), (sparse24.E_ARG, "must be an array", [[1.0, 2.0]]),
                (sparse24.E_ARG, "a masked array", numpy.ma.masked_array(a, a > 1)), (sparse24.E_ARG, "a masked array", numpy.ma.masked_array(a)),
                (sparse24.E_ARG, "must be an array", "2:4"), (sparse24.E_ARG, "must be an array", 3.0), (sparse24.E_ARG, "must be an array", object())):
            self.fails(status, text, view, value)
        gram = sparse24.Gram(8)
        for status, text, value in ((sparse24.E_SHAPE, "strides 8 and -1", a[:, ::-1]), (sparse24.E_SHAPE, "strides -8 and 1", a[::-1]),
                                    (sparse24.E_SHAPE, "must be positive", numpy.broadcast_to(a[0], (8, 8))), (sparse24.E_DTYPE, "S24_I32", a.astype("i4")),
                                    (sparse24.E_SHAPE, "must be 8 x 8", a[:, :4]), (sparse24.E_ARG, "x is NULL", None)):
            self.fails(status, text, gram.add, value)
        a[3, 5] = numpy.nan
        self.assertEqual(self.fails(sparse24.E_NONFINITE, "row 3, column 5", gram.add, a).name, "S24_E_NONFINITE")
        self.assertEqual(gram.rows, 0)

    def test_read_only_output(self):
        z = numpy.ones((4, 8), "f4")
        fixed = z.copy()
        fixed.flags.writeable = False
        self.fails(sparse24.E_ARG, "out is read-only", sparse24.prox24, z, 1.0, fixed)
        self.fails(sparse24.E_ARG, "out is read-only", sparse24.copy, z, bytes(128))
        self.fails(sparse24.E_ARG, "w is read-only", sparse24.compress, fixed, "2:4", solver="magnitude")
        sparse24.prox24(fixed, 1.0)  # as input it is fine
        self.assertTrue((fixed == 1).all())


@needs_numpy
class NoCopies(Case):
    def test_temporaries_stay_alive(self):
        w, x = layer()
        wanted = sparse24.Solver("sparsegpt").solve(problem()).weights
        gram = sparse24.Gram(64)
        gram.add(x.copy())
        temporary = sparse24.Problem(w.copy(), gram, "2:4")
        temporary.set_importance(numpy.ones_like(w))
        temporary.set_importance(abs(w))
        del gram
        gc.collect()
        junk = [numpy.full_like(w, numpy.nan) for _ in range(100)]
        numpy.testing.assert_array_equal(sparse24.Solver("sparsegpt").solve(temporary).weights, wanted)
        numpy.testing.assert_array_equal(sparse24.Solver("wanda", score="importance").solve(temporary).mask, sparse24.project_nm(w, 2, 4))
        del junk
        masked = sparse24.Problem(w)
        masked.set_mask(sparse24.project_nm(w, 2, 4))
        gc.collect()
        self.assertEqual(sparse24.Solver("refit").solve(masked).nnz, w.size // 2)

    def test_a_borrowed_buffer_cannot_move(self):
        store = bytearray(256)
        borrowed = sparse24.Problem(memoryview(store).cast("f", (8, 8)))
        with self.assertRaises(BufferError):
            store.extend(bytes(1000000))
        borrowed.close()
        store.extend(bytes(10))

    def test_bytes_of_the_context_and_of_python(self):
        context = sparse24.Context(threads=1)
        w, x = numpy.ones((2000, 1024), "f2"), numpy.ones((32768, 64), "f4")
        before = context.memory()[0]
        with sparse24.Problem(w, context=context):
            self.assertLess(context.memory()[1] - before, 4096)  # w has 4 MB
        with sparse24.Gram(64, context=context) as gram:
            tracemalloc.start()
            gram.add(x)  # 8 MB
            python_peak = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
            self.assertLess(context.memory()[1] - before, 8 * 64 * 64 + 4 * 16384 * 64)
        self.assertLess(python_peak, 65536)
        self.assertEqual(context.memory()[0], before)

    def test_results_are_views_that_live(self):
        result = sparse24.Solver("magnitude").solve(problem())
        weights, again = result.weights, result["weights"]
        self.assertEqual((weights.dtype, weights.shape, weights.ctypes.data), (numpy.float32, (32, 64), again.ctypes.data))
        kept = weights.copy()
        part = weights[3:5, ::2]
        result.close()
        del result, weights, again
        gc.collect()
        junk = [numpy.full((32, 64), 9, "f4") for _ in range(50)]
        numpy.testing.assert_array_equal(part, kept[3:5, ::2])
        del junk


class WithoutNumpy(Case):
    def test_standard_library_alone(self):
        code, out, err = python("""
import array, gc, random, sparse24
random.seed(1)
w = memoryview(array.array("f", [random.gauss(0, 1) for _ in range(128)])).cast("B").cast("f", (8, 16))
x = memoryview(array.array("d", [random.gauss(0, 1) for _ in range(1600)])).cast("B").cast("d", (100, 16))
gram = sparse24.Gram(16)
gram.add(x)
result = sparse24.Solver("sparsegpt").solve(sparse24.Problem(w, gram, "2:4"))
v, mask = result.weights, result.mask
del result, gram
gc.collect()
assert "numpy" not in sys.modules and isinstance(v, memoryview)
assert (v.shape, v.format, mask.shape, mask.format) == ((8, 16), "f", (8, 16), "B")
assert sum(value != 0 for row in v.tolist() for value in row) == 64 == sum(map(sum, mask.tolist()))
assert sparse24.prox24(w, float("inf")).shape == (8, 16)
with sparse24.File("examples/data/smollm2-block10-small.safetensors") as file:
    assert file["w.k"].readonly and len(file["w.k"]) == 192 and file.read("w.k").format == "f"
print(sparse24.compress(w, "2:4", x) < 1)
""", "-S")
        self.assertEqual((code, out), (0, "True\n"), err)

    def test_types_that_memoryview_does_not_know(self):
        """F16 and BF16 go from a file through the library into a file as what they are."""
        code, out, err = python("""
import os, sparse24, tempfile
layers = sparse24.File("examples/data/smollm2-block10-small.safetensors")
w, x = layers["w.k"], layers["x.attn"]
assert (w.dtype, w.shape, len(w), repr(w)) == ("float16", (192, 576), 192, "<sparse24.Raw float16 192 x 576>")
gram = sparse24.Gram(w.shape[1])
gram.add(x)
result = sparse24.Solver("magnitude").solve(sparse24.Problem(w, gram, "2:4"))
assert abs(result.relative_loss - 0.0516) < 0.001, result.relative_loss
path = os.path.join(tempfile.mkdtemp(), "f.safetensors")
with sparse24.File.create(path) as file:
    file.put("half", w)
    file.put("brain", w, "BF16")
with sparse24.File(path) as file:
    assert file.info("half") == ((192, 576), "F16") and bytes(file["half"].view) == bytes(w.view)
    assert file["brain"].dtype == "bfloat16"
    assert file["half"].tolist() == w.tolist() == layers.read("w.k").tolist()
    assert abs(file["brain"].tolist()[3][5] - w.tolist()[3][5]) < 0.01
try:
    sparse24.prox24(w, 1.0, out=w)
except sparse24.Sparse24Error as error:
    print(error)
""", "-S")
        self.assertEqual((code, out), (0, "out is read-only, but the result goes there\n"), err)


if __name__ == "__main__":
    unittest.main()
