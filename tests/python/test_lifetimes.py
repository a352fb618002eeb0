"""Handles that go in any order, are used after their end, or come and go a thousand times."""
import gc
import itertools
import os
import pathlib
import unittest

import sparse24
from support import LAYERS, Case, layer, needs_numpy, numpy, problem


def resident():
    pages = int(pathlib.Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


@needs_numpy
class Lifetimes(Case):
    def all_handles(self):
        context = sparse24.Context()
        w, x = layer()
        gram = sparse24.Gram(64, context=context)
        cross = sparse24.Cross(gram, 32)
        gram.add(x, targets={cross: x @ w.T})
        p = sparse24.Problem(w, gram, "2:4", context)
        p.set_target(cross)
        solver = sparse24.Solver("magnitude", context)
        return [context, gram, cross, p, solver, solver.solve(p), sparse24.File(LAYERS, context)]

    def test_closed_in_any_order(self):
        wanted = self.all_handles()[5].weights.copy()
        for order in itertools.islice(itertools.permutations(range(7)), 0, 5040, 37):
            handles = self.all_handles()
            weights = handles[5].weights
            for index in order:
                self.assertFalse(handles[index].closed)
                handles[index].close()
                handles[index].close()
            numpy.testing.assert_array_equal(weights, wanted)

    def test_children_work_after_the_context_is_closed(self):
        context, gram, _, p, solver, _, file = self.all_handles()
        context.close()
        gram.close()
        self.assertEqual(solver.solve(p).nnz, 1024)
        self.assertEqual(file["w.k"].shape, (192, 576))

    def test_collected_in_cycles(self):
        for _ in range(20):
            handles = self.all_handles()
            handles.append(handles)
            for handle in handles[:-1]:
                handle.friends = handles
        del handles, handle
        gc.collect()

    def test_use_after_close(self):
        w, x = layer()
        context, gram, cross, p, solver, result, file = handles = self.all_handles()
        other = problem()
        for handle in handles:
            handle.close()
        calls = [lambda: context["threads"], lambda: context.set(threads=1), context.memory, lambda: context.set_log(print),
                 lambda: sparse24.Gram(4, context=context), lambda: sparse24.prox24(w, 1.0, context=context), lambda: gram.add(x), lambda: gram.rows,
                 lambda: gram.dim, lambda: gram.merge(gram), lambda: gram.export_half(1, numpy.zeros((64, 64))), lambda: gram.import_half(1, numpy.eye(64), 1),
                 lambda: sparse24.Cross(gram, 4), lambda: sparse24.Gram(64).add(x, targets={cross: x}), lambda: p.constraints, lambda: cross.merge(cross), lambda: cross.derive(gram, w), lambda: cross.export_half(1), lambda: p.loss(w), lambda: p.check(w),
                 lambda: p.check(result), lambda: p.parse("2:4"), lambda: p.set_mask(w != 0), lambda: p.set_gram(gram), lambda: p.set_target(cross),
                 lambda: other.set_gram(gram), lambda: other.set_target(cross), lambda: other.check(result), lambda: solver.solve(other),
                 lambda: sparse24.Solver("magnitude").solve(p), lambda: solver.memory(other), lambda: solver.set(max_iter=1), solver.options, solver.cancel,
                 solver.reset, lambda: solver["damp"], lambda: result.weights, lambda: result["loss"], result.keys, lambda: result.matrix("mask"),
                 file.keys, lambda: file["w.k"], lambda: file.read("w.k"), lambda: file.info("w.k"), lambda: file.meta, file.commit]
        for number, call in enumerate(calls):
            with self.subTest(number):
                self.fails(sparse24.E_ARG, "has been closed", call)
        dir(result)

    def test_with(self):
        with sparse24.Context() as context, sparse24.Gram(64, context=context) as gram:
            gram.add(layer()[1])
        self.assertTrue(context.closed and gram.closed)

    def test_a_failed_constructor_leaves_nothing(self):
        context = sparse24.Context()
        before = context.memory()[0]
        w, x = layer()
        for make in (lambda: sparse24.Problem(w, None, "3:2", context), lambda: sparse24.Solver("alps", context, rhoo=1), lambda: sparse24.Gram(-1, context=context),
                     lambda: sparse24.File("/nowhere", context), lambda: sparse24.Problem(w, sparse24.Gram(8, context=context), "2:4", context)):
            with self.assertRaises(sparse24.Sparse24Error):
                make()
        gc.collect()
        self.assertEqual(context.memory()[0], before)

    def test_a_callback_that_raises_leaves_nothing(self):
        context = sparse24.Context()
        p = problem(context=context)
        solver = sparse24.Solver("alps", context)
        solver.solve(p).close()
        before = context.memory()[0]
        for _ in range(5):
            with self.assertRaises(ZeroDivisionError):
                solver.solve(p, lambda phase, step, *_: phase == "admm" and step > 0 and 1 / 0)
        self.assertEqual(context.memory()[0], before)

    def test_a_thousand_cycles(self):
        w, x = layer(16, 32)

        def cycle():
            with sparse24.Context(threads=2, log=lambda *_: None) as context:
                gram = sparse24.Gram(32, context=context)
                gram.add(x[:, :32])
                p = sparse24.Problem(w, gram, "2:4", context)
                result = sparse24.Solver("sparsegpt", context, damp_rule="relative").solve(p, lambda *_: None)
                return result.weights

        for _ in range(200):
            cycle()
        before = resident()
        for _ in range(1000):
            cycle()
        self.assertLess(resident() - before, 4 << 20)


if __name__ == "__main__":
    unittest.main()
