"""Sums, problems, solves, operators; progress, callbacks that misbehave, signals, threads."""
import ctypes
import json
import os
import pathlib
import signal
import tempfile
import threading
import time
import unittest

import sparse24
from support import Case, layer, long_solve, needs_numpy, numpy, problem, python


@needs_numpy
class Sums(Case):
    def test_gram(self):
        _, x = layer()
        gram, other = sparse24.Gram(64, sparse24.F64), sparse24.Gram(64, sparse24.F64)
        gram.add(x[:100])
        other.add(x[100:], numpy.ones(200, "f4"))
        gram.merge(other)
        self.assertEqual((gram.dim, gram.rows, other.rows), (64, 300, 200))
        halves = [gram.export_half(part) for part in (1, 2)]
        numpy.testing.assert_allclose(halves[0][0] + halves[1][0], x.T.astype("f8") @ x, rtol=1e-6, atol=1e-6)
        copy = sparse24.Gram(64, sparse24.F64)
        for part, (h, rows) in enumerate(halves, 1):
            copy.import_half(part, h, rows)
        self.assertEqual(copy.rows, 300)
        numpy.testing.assert_array_equal(copy.export_half(2, numpy.zeros((64, 64), "f4"))[0], halves[1][0].astype("f4"))
        self.fails(sparse24.E_ARG, "half", gram.export_half, 3)
        self.fails(sparse24.E_ARG, "src is a problem", gram.merge, problem())
        self.fails(sparse24.E_SHAPE, "row_weight", gram.add, x, numpy.ones(7, "f4"))
        self.fails(sparse24.E_ARG, "argument 2", sparse24.Gram, "many")
        gram.add(numpy.full((4, 64), numpy.nan, "f4"), numpy.zeros(4, "f4"))  # padding

    def test_previous(self):
        w, x = layer()
        before = numpy.random.default_rng(3).standard_normal((64, 20)).astype("f4")
        gram = sparse24.Gram(64, sparse24.F64)
        gram.add(x)
        numpy.testing.assert_allclose(gram.norms(), numpy.linalg.norm(x.astype("f8"), axis=0), rtol=1e-6)
        numpy.testing.assert_allclose(gram.norms(w), numpy.linalg.norm(x.astype("f8") @ w.T, axis=0), rtol=1e-6)
        p = sparse24.Problem(w, gram, "columns 50%")
        p.set_previous(before, numpy.arange(20.0), gram.norms())
        scores = sparse24.Solver("mlprank", score="mpr").solve(p).matrix("scores")
        wanted = (numpy.abs(before).astype("f8") @ numpy.arange(20)) * gram.norms()
        numpy.testing.assert_allclose(numpy.ravel(scores), wanted / wanted.sum(), rtol=1e-6)
        self.fails(sparse24.E_SHAPE, "scores has 3 numbers, but must have 20", p.set_previous, before, [1.0] * 3)
        self.fails(sparse24.E_SHAPE, "w is 20 x 64, but must be 64 x 64", p.set_previous, before.T)

    def derived(self, w, x):
        gram, dense = sparse24.Gram(64), sparse24.Gram(64)
        inputs = sparse24.Cross(gram, 64)
        gram.add(x, targets={inputs: x})
        self.fails(sparse24.E_STATE, "dense 0", inputs.derive, dense, w)
        dense.add(x)
        self.fails(sparse24.E_SHAPE, "w is 32 x 63, but must be 32 x 64", inputs.derive, dense, w[:, 1:])
        made = inputs.derive(dense, w)
        self.assertEqual(made.shape, (32, 64))
        self.fails(sparse24.E_ARG, "crosses[0] was derived", gram.add, x, targets={made: x @ w.T})
        return made

    def test_cross(self):
        w, x = layer()
        t = (x @ w.T).astype("f4")
        grams = [sparse24.Gram(64) for _ in range(4)]
        cross, other, copy, whole = crosses = [sparse24.Cross(gram, 32) for gram in grams]
        self.assertEqual([one.shape for one in crosses], [(32, 64)] * 4)
        grams[0].add(x[:100], targets={cross: t[:100]})
        grams[1].add(x[100:], numpy.ones((200, 1), "f8"), {other: t[100:]})
        self.fails(sparse24.E_STATE, "1 of the 1 crosses", grams[0].add, x)
        self.fails(sparse24.E_ARG, "crosses[0] hangs on another gram", grams[0].add, x, targets={other: t})
        self.fails(sparse24.E_SHAPE, "targets[0]", grams[0].add, x, targets={cross: t[1:]})
        cross.merge(other)
        halves = [cross.export_half(part) for part in (1, 2)]
        numpy.testing.assert_allclose(halves[0][0] + halves[1][0], t.T.astype("f8") @ x, rtol=1e-3, atol=1e-1)
        numpy.testing.assert_allclose(numpy.add(halves[0][1], halves[1][1]), (t.astype("f8") ** 2).sum(0), rtol=1e-5)
        for part, (c, norms, rows) in enumerate(halves, 1):
            copy.import_half(part, c, norms, rows)
        self.assertEqual(copy.export_half(1)[1:], halves[0][1:])
        self.fails(sparse24.E_SHAPE, "must have 32", copy.import_half, 1, halves[0][0], [1.0], 2)
        grams[3].add(x, targets={whole: t})
        derived = self.derived(w, x)
        for part in (1, 2):
            numpy.testing.assert_allclose(derived.export_half(part)[0], whole.export_half(part)[0], rtol=1e-3, atol=1e-1)
            numpy.testing.assert_allclose(derived.export_half(part)[1], whole.export_half(part)[1], rtol=1e-4)
        aimed = problem()
        aimed.set_gram(grams[3])
        aimed.set_target(whole, 0.5)
        result = sparse24.Solver("sparsegpt").solve(aimed)
        self.assertIn("target_relative_loss", result)
        self.assertAlmostEqual(aimed.target_loss(result.weights).relative, result.target_relative_loss)
        aimed.set_target(None)
        self.fails(sparse24.E_STATE, "target", aimed.target_loss, result.weights)


@needs_numpy
class Solves(Case):
    def test_a_layer(self):
        p = problem()
        solver = sparse24.Solver("alps")
        predicted = solver.memory(p)
        result = solver.solve(p)
        self.assertEqual((result.rows, result.cols, result.nnz, result.stop, result.constraints), (32, 64, 1024, result["stop"], "2:4"))
        self.assertLessEqual(result.peak_bytes, predicted)
        self.assertEqual(p.loss(result.weights), (result.loss, result.relative_loss))
        numpy.testing.assert_array_equal(result.mask != 0, result.weights != 0)
        p.check(result)
        p.check(result.weights)
        self.fails(sparse24.E_STATE, "row 0", p.check, numpy.ones((32, 64), "f4"))
        self.assertEqual(result.record, json.loads(sparse24._read("s24_result", result, "record", str)))
        self.assertEqual(result.record["loss"], result.loss)
        # Everything that the library says is there can be read, and nothing is listed by hand.
        self.assertEqual(len(result), len(result.keys()))
        for name in result.keys():
            self.assertIn(name, dir(result))
            value = result[name]
            self.assertIsInstance(value, (int, float, str, dict, numpy.ndarray))
            if not isinstance(value, numpy.ndarray) and value == value:
                self.assertEqual(getattr(result, name), value)
        self.assertIsInstance(result.matrix("mask", "memoryview"), memoryview)
        self.fails(sparse24.E_UNSUPPORTED, "nearest: weights", lambda: result["weight"])
        with self.assertRaisesRegex(AttributeError, "no weight"):
            result.weight
        self.fails(sparse24.E_ARG, "not a matrix", result.matrix, "loss")

    def test_constraints(self):
        p = problem(constraints=None)
        solver = sparse24.Solver("magnitude")
        self.fails(sparse24.E_STATE, "constraint", solver.solve, p)
        p.set_pattern(1, 4)
        self.assertEqual(solver.solve(p).nnz, 512)
        p.parse("row 75%")
        self.assertEqual(solver.solve(p).zeros, 1536)
        p.parse(None)
        p.set_sparsity(0.5)
        self.assertEqual(solver.solve(p).zeros, 1024)
        self.fails(sparse24.E_SHAPE, "multiple", p.set_pattern, 2, 5)
        self.fails(sparse24.E_ARG, "32 bits", p.set_pattern, (1 << 32) + 2, 4)
        self.fails(sparse24.E_OPTION, "2:4:8", p.parse, "2:4:8")
        p.set_gram(None)
        self.fails(sparse24.E_STATE, "", sparse24.Solver("sparsegpt").solve, problem(constraints=None))

    def test_compress(self):
        w, x = layer()
        half = w.astype("f2")
        loss = sparse24.compress(half, "2:4", x, "sparsegpt", damp=0.1, damp_rule="relative")
        self.assertEqual(numpy.count_nonzero(half), w.size // 2)
        twin, value = w.astype("f2"), ctypes.c_double()
        sparse24._call("s24_compress", sparse24.default_context(), "sparsegpt", "damp=0.1,damp_rule=relative", "2:4", sparse24._matrix(x, "x"),
                       sparse24._matrix(twin, "w"), ctypes.byref(value))
        numpy.testing.assert_array_equal(twin, half)
        self.assertEqual(loss, value.value)
        for constraints, solver in (("2:4", "alps"), ("int4", "quantease"), ("2:4+int4", "quantease"), ("rank 2", "hassle")):
            self.assertEqual(sparse24.default_solver(problem(constraints=constraints)), solver)
        default, alps = w.copy(), w.copy()
        self.assertEqual(sparse24.compress(default, "2:4", x), sparse24.compress(alps, "2:4", x, "alps"))
        self.assertLess(sparse24.compress(w.copy(), "int4", x), 0.1)
        self.fails(sparse24.E_SHAPE, "", sparse24.compress, w, "2:4", x[:, :60])
        self.assertTrue((w == layer()[0]).all())

    def test_masks_in_training(self):
        w, g = layer(16, 16)[0], layer(16, 16)[1][:16].copy()
        for along, sides in ((sparse24.ALONG_INPUTS, (1,)), (sparse24.ALONG_OUTPUTS, (0,)), (sparse24.ALONG_BOTH, (0, 1))):
            mask = sparse24.nm_mask(w, 2, 4, along)
            for side in sides:
                counts = (mask if side else mask.T).reshape(-1, 4).sum(1)
                self.assertTrue((counts == 2).all())
        best = (w * w)[mask].sum()
        self.assertLessEqual((w * w)[sparse24.nm_mask_tsenor(w, 2, 4)].sum(), best * (1 + 1e-6))
        numpy.testing.assert_array_equal(sparse24.mask_decay(w, mask, 0), numpy.where(mask, w, 0))
        numpy.testing.assert_allclose(sparse24.mask_decay(w, mask, 0.25), numpy.where(mask, w, 0.25 * w))
        grad = g.copy()
        self.assertIs(sparse24.srste_add(w, mask, 2e-4, grad), grad)
        numpy.testing.assert_allclose(grad, g + 2e-4 * numpy.where(mask, 0, w), rtol=1e-6)
        self.assertEqual(sparse24.mask_schedule("linear", 2, 4, 45, 100), (2, 4, 0.5))
        self.fails(sparse24.E_ARG, "kind", sparse24.mask_schedule, "soon", 2, 4, 0, 10)
        mask = sparse24.nm_mask(w, 2, 4)
        before = mask.copy()
        changed = sparse24.nm_regrow(w, g, 4, 0.5, mask)
        self.assertEqual(changed, int((mask & ~before).sum()))
        self.assertTrue((mask.reshape(-1, 4).sum(1) == 2).all())

    def test_operators(self):
        z = layer(8, 8)[0]
        brute = numpy.where(sparse24.project_nm(z, 2, 4), z, 0)
        numpy.testing.assert_array_equal(sparse24.prox24(z, float("inf")), brute)
        numpy.testing.assert_array_equal(sparse24.prox24(z, 0), z)
        numpy.testing.assert_array_equal(sparse24.prox_firm(z, 2, 4, 1), brute)
        self.assertEqual(numpy.count_nonzero(sparse24.prox_nm(z, 1, 4, 1.0)), 16)
        order, kept = sparse24.permutation(z * z, 2, 4)
        self.assertEqual(sorted(order), list(range(8)))
        self.assertGreaterEqual(kept[1], kept[0])
        self.fails(sparse24.E_ARG, "score: row 0", sparse24.permutation, -abs(z), 2, 4)
        out = z.astype("f8")
        self.assertIs(sparse24.prox24(out, numpy.float32(0.5), out), out)
        numpy.testing.assert_allclose(out, sparse24.prox24(z, 0.5), atol=1e-5)
        self.fails(sparse24.E_ARG, "lambda", sparse24.prox24, z, -1.0)
        self.fails(sparse24.E_ARG, "expected a number", sparse24.prox24, z, "1")
        numpy.testing.assert_allclose(sparse24.multiply(z, z, numpy.zeros((8, 8))), z @ z.T, rtol=1e-4, atol=1e-5)
        numpy.testing.assert_array_equal(sparse24.copy(z.T, numpy.zeros((8, 8), "f8")), z.T)

    def test_functions_without_a_class(self):
        lib, context, tasks = sparse24.library(), sparse24.Context(), []
        mat, data = sparse24.Mat(), (ctypes.c_float * 6)()
        self.assertEqual(lib.s24_mat_rowmajor(ctypes.byref(mat), data, 2, 3, sparse24.F32), 0)
        self.assertEqual((mat.rows, mat.cols, mat.row_stride), (2, 3, 3))
        task = sparse24._TASK(lambda _, index, worker: tasks.append(index))
        self.assertEqual(lib.s24_ctx_parallel(context, task, None, 5), 0)
        self.assertEqual(sorted(tasks), list(range(5)))

        def run(_, task, argument, count, workers):
            for index in range(count):
                task(argument, index, 0)
            return 0

        plain = problem(context=context, constraints="")
        self.assertEqual(lib.s24_problem_set_grid(plain, 4, 0, b"sym"), 0)
        self.assertEqual(lib.s24_problem_set_rank(plain, 8), 0)
        runner = sparse24._word("parallel_fn")(run)
        self.assertEqual(lib.s24_ctx_set_parallel(context, runner, None, 2), 0)
        self.assertEqual(sparse24.Solver("sparsegpt", context).solve(problem(context=context)).nnz, 1024)
        self.assertEqual(lib.s24_ctx_set_parallel(context, sparse24._word("parallel_fn")(), None, 1), 0)
        blocks, libc = {}, ctypes.CDLL(None)
        libc.aligned_alloc.restype, libc.aligned_alloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t] * 2
        libc.free.restype, libc.free.argtypes = None, [ctypes.c_void_p]

        def allocate(_, size, align):
            block = libc.aligned_alloc(align, -(-size // align) * align)
            blocks[block] = size
            return block

        def release(_, block, size):
            self.assertEqual(blocks.pop(block), size)
            libc.free(block)

        functions = sparse24._word("alloc_fn")(allocate), sparse24._word("free_fn")(release)
        own = ctypes.c_void_p()
        self.assertEqual(lib.s24_ctx_create_with(*functions, None, ctypes.byref(own)), 0)
        self.assertTrue(blocks)
        sparse24._DESTROY(("s24_ctx_destroy", lib))(own.value)
        self.assertFalse(blocks)


@needs_numpy
class Callbacks(Case):
    def test_progress(self):
        calls = []
        result = sparse24.Solver("alps").solve(problem(), lambda *arguments: calls.append(arguments))
        self.assertEqual(result.stop, "converged")
        self.assertIn("admm", {phase for phase, *_ in calls})
        for phase, step, total, objective, residual in calls:
            self.assertTrue(isinstance(phase, str) and (total == -1 or 0 <= step <= total) and isinstance(objective, float) and isinstance(residual, float))

    def test_stop(self):
        solver, p = long_solve()
        result = solver.solve(p, lambda phase, step, *_: phase == "admm" and step > 0)
        self.assertEqual(result.stop, "cancelled")
        p.check(result)

    def test_exceptions_come_out(self):
        class Mine(BaseException):
            pass

        for kind in (ValueError, KeyboardInterrupt, SystemExit, Mine):
            raised = []

            def progress(*_):
                raised.append(kind("mine"))
                raise raised[-1]

            solver = sparse24.Solver("alps")
            with self.assertRaises(kind) as caught:
                solver.solve(problem(), progress)
            self.assertIs(caught.exception, raised[0])
            self.assertEqual(len(raised), 1)  # it is not called again
            self.assertEqual(solver.solve(problem()).stop, "converged")  # and nothing is left of it

    def test_a_callback_that_sleeps(self):
        wanted = sparse24.Solver("alps").solve(problem())
        slow = sparse24.Solver("alps").solve(problem(), lambda *_: time.sleep(0.002))
        numpy.testing.assert_array_equal(slow.weights, wanted.weights)

    def test_a_callback_that_calls_back(self):
        p, seen = problem(), []

        def progress(*_):
            if seen:
                return
            for function in (lambda: solver.set(damp=1.0), solver.reset, lambda: solver.solve(p), lambda: solver.parse("damp=1"), lambda: p.set_pattern(1, 4),
                             lambda: p.set_gram(None)):
                seen.append(self.fails(sparse24.E_STATE, "solve", function))
            seen.append(sparse24.Solver("magnitude").solve(problem()).nnz)  # another solver is free to run
            seen.append(solver["damp"])

        solver = sparse24.Solver("alps")
        self.assertEqual(solver.solve(p, progress).stop, "converged")
        self.assertEqual(seen[-2:], [1024, 0.01])

    def test_an_error_of_the_library_in_a_callback_comes_out(self):
        solver = sparse24.Solver("alps")
        self.fails(sparse24.E_STATE, "a solve is running", solver.solve, problem(), lambda *_: solver.set(damp=1.0))

    def test_a_callback_that_cancels_and_closes(self):
        solver, p = long_solve()
        self.assertEqual(solver.solve(p, lambda phase, *_: phase == "admm" and solver.cancel()).stop, "cancelled")

        def close(*_):
            for handle in (solver, p):
                handle.close()

        solver, p = sparse24.Solver("alps"), problem()
        self.assertEqual(solver.solve(p, close).nnz, 1024)
        self.fails(sparse24.E_ARG, "the solver has been closed", solver.solve, problem())

    def test_log(self):
        lines = []
        context = sparse24.Context(log=lambda level, text: lines.append((level, text)), log_level=2)
        sparse24.Solver("magnitude", context).solve(problem(context=context))
        self.assertTrue(any(level == 2 and text.startswith("magnitude 2:4 on 32 x 64") for level, text in lines))
        context.set_log(lambda *_: 1 / 0)
        with self.assertRaises(ZeroDivisionError):
            sparse24.Solver("magnitude", context).solve(problem(context=context))
        context.set_log(None)
        sparse24.Solver("magnitude", context).solve(problem(context=context))

    def test_memory_limit(self):
        context = sparse24.Context()
        p, solver = problem(context=context), sparse24.Solver("alps", context)
        context.set(memory_limit=context.memory()[0] + 1000)
        self.fails(sparse24.E_MEMORY, "limit", solver.solve, p)


SLEEPY = """
import numpy, signal, sparse24, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may have told us to ignore it
random = numpy.random.default_rng(1)
gram = sparse24.Gram(512)
gram.add(random.standard_normal((600, 512)).astype("f4"))
p = sparse24.Problem(random.standard_normal((256, 512)), gram, "2:4")
solver = sparse24.Solver("alps", max_iter=100000, tol=0.0, damp_rule="relative")


def ready():
    print("ready", flush=True)


def solve(*arguments):
    try:
        return solver.solve(p, *arguments).stop
    except sparse24.Sparse24Error as error:  # nothing feasible yet
        assert error.status == sparse24.E_CANCELLED
        return "cancelled"


"""


def computed(process):
    """Seconds of its processor time."""
    fields = pathlib.Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@needs_numpy
class Interrupts(Case):
    def interrupted(self, script, signals=1):
        """A signal after each "ready", when the process has computed for a while since: it is inside a solve then, however busy the machine."""
        process = python(SLEEPY + script, wait=False)
        said = ""
        try:
            for _ in range(signals):
                while (line := process.stdout.readline()) != "ready\n":
                    self.assertTrue(line, said)
                    said += line
                enough = computed(process) + 0.3
                while process.poll() is None and computed(process) < enough:
                    time.sleep(0.01)
                process.send_signal(signal.SIGINT)
            out, err = process.communicate()  # the solves would take many minutes
        finally:
            process.kill()
        return process.returncode, said + out, err

    def test_ctrl_c(self):
        code, _, err = self.interrupted("ready(); solve()")
        self.assertEqual(code, -signal.SIGINT, err)
        self.assertTrue(err.endswith("\nKeyboardInterrupt\n"), err)

    def test_ctrl_c_with_progress_and_again(self):
        code, out, err = self.interrupted("""
for function in (lambda *_: None, None):
    try:
        ready()
        solve(function)
    except KeyboardInterrupt:
        print("stopped", flush=True)
assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
solver.set(max_iter=3)
print(solver.solve(sparse24.Problem(numpy.ones((4, 512)), gram, "2:4")).nnz)
try:
    ready()
    while True:
        pass
except KeyboardInterrupt:
    print("late")
""", signals=3)
        self.assertEqual((code, out), (0, "stopped\nstopped\n1024\nlate\n"), err)

    def test_ctrl_c_in_a_callback_that_takes_long(self):
        code, out, err = self.interrupted("""
def forever(*_):
    ready()
    while True:
        pass


try:
    solve(forever)
except KeyboardInterrupt:
    print("stopped")
""")
        self.assertEqual((code, out), (0, "stopped\n"), err)

    def test_a_handler_of_the_program_has_its_turn(self):
        code, out, err = self.interrupted("""
signal.signal(signal.SIGINT, lambda *_: print("handled"))
ready()
print(solve())
""")
        self.assertEqual((code, out), (0, "handled\ncancelled\n"), err)


def tell(started):
    """Progress that sets the event once there is something feasible."""
    return lambda phase, step, *_: phase == "admm" and step > 0 and started.set()


@needs_numpy
class Threads(Case):
    def run_all(self, *functions):
        answers = [None] * len(functions)

        def run(index):
            answers[index] = functions[index]()

        threads = [threading.Thread(target=run, args=(index,)) for index in range(len(functions))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return answers

    def test_two_contexts_at_once_give_the_same_bits(self):
        def solve(name, seed):
            with sparse24.Context(threads=2) as context:
                result = sparse24.Solver(name, context).solve(problem(96, 256, context=context, seed=seed))
                return result.weights.copy()

        jobs = [("alps", 1), ("sparsegpt", 2), ("prox24", 3)]
        alone = [solve(*job) for job in jobs]
        for _ in range(3):
            for one, wanted in zip(self.run_all(*(lambda job=job: solve(*job) for job in jobs)), alone):
                numpy.testing.assert_array_equal(one, wanted)

    def test_cancel_from_another_thread(self):
        """The interpreter runs meanwhile: without that the other thread would wait for the end, many minutes away."""
        solver, p = long_solve()
        ended = threading.Event()

        def solve():
            try:
                return solver.solve(p).stop
            except sparse24.Sparse24Error as error:  # nothing feasible yet
                return error.status
            finally:
                ended.set()

        def cancel():
            while not ended.wait(0.2):  # too early it does nothing
                solver.cancel()

        stop, _ = self.run_all(solve, cancel)
        self.assertIn(stop, ("cancelled", sparse24.E_CANCELLED))

    def test_one_solver_in_two_threads(self):
        solver, p = long_solve()
        started = threading.Event()

        def other():
            started.wait()
            try:
                self.fails(sparse24.E_STATE, "a solve is running on this solver", solver.solve, p)
                self.fails(sparse24.E_STATE, "a solve is running", solver.set, damp=1.0)
            finally:
                solver.cancel()

        self.run_all(lambda: solver.solve(p, tell(started)), other)
        self.assertTrue(started.is_set())

    def test_closed_while_it_solves(self):
        solver, p = long_solve()
        started = threading.Event()

        def close():
            started.wait()
            p.close()
            solver.cancel()
            solver.close()

        result, _ = self.run_all(lambda: solver.solve(p, tell(started)), close)
        self.assertEqual(result.stop, "cancelled")


if __name__ == "__main__":
    unittest.main()
