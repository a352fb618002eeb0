"""Several ranks at work on one model: class Group and Model.set_group(). The ranks are threads here; of mpi4py and torch.distributed what they are called
with is tested where they are not installed."""
import os
import subprocess
import sys
import tempfile
import threading
import types
import unittest

import sparse24
from support import MODEL_LIBRARY, Case, needs_numpy, numpy

MAKE_TINY = os.environ.get("MAKE_TINY")


class Threads(sparse24.Group):
    """Rank `rank` of as many threads as there are places in `shared`."""

    def __init__(self, shared, barrier, rank):
        self.shared, self.barrier, self.rank, self.size = shared, barrier, rank, len(shared)

    def all_of(self, data):
        self.shared[self.rank] = data
        self.barrier.wait()
        yield from enumerate(self.shared)
        self.barrier.wait()

    def exchange(self, send, receive):
        piece = len(send) // self.size
        for i, data in self.all_of(send):
            receive[i * piece:(i + 1) * piece] = data[self.rank * piece:(self.rank + 1) * piece]

    def gather(self, send, receive):
        for i, data in self.all_of(send):
            receive[i * len(send):(i + 1) * len(send)] = data

    def broadcast(self, data, root):
        for i, theirs in self.all_of(data):
            if i == root and root != self.rank:
                data[:] = theirs

    def abort(self, text):
        self.barrier.abort()


class Comm:
    """What is used of a communicator of mpi4py."""

    def __init__(self, group):
        self.group, self.aborted = group, False

    def Get_rank(self):  # noqa: N802
        return self.group.rank

    def Get_size(self):  # noqa: N802
        return self.group.size

    def Alltoall(self, send, receive):  # noqa: N802
        self.group.exchange(send[0], receive[0])

    def Allgather(self, send, receive):  # noqa: N802
        self.group.gather(send[0], receive[0])

    def Bcast(self, data, root):  # noqa: N802
        self.group.broadcast(data[0], root)

    def Abort(self, code):  # noqa: N802
        self.aborted = True
        self.group.abort("")


@needs_numpy
@unittest.skipUnless(MODEL_LIBRARY and MAKE_TINY, "built without libsparse24-model")
class Groups(Case):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path, self.tokens, self.out = (os.path.join(folder.name, name) for name in ("tiny.gguf", "tokens.safetensors", "out"))
        subprocess.run([MAKE_TINY, "llama-gguf", self.path, self.tokens], check=True)
        with sparse24.File(self.tokens) as file:
            self.rows = numpy.array(file["calib"])

    def ranks(self, size, wrap, work):
        """What work(model, rank) gives or raises in each rank."""
        shared, barrier, found = [None] * size, threading.Barrier(size), [None] * size

        def one(rank):
            try:
                with sparse24.Model(self.path, sparse24.Context()) as model:
                    model.set_group(wrap(Threads(shared, barrier, rank)))
                    found[rank] = work(model, rank)
            except Exception as error:
                found[rank] = error

        threads = [threading.Thread(target=one, args=(rank,)) for rank in range(size)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return found

    def compress(self, wrap):
        done = self.ranks(3, wrap, lambda model, rank: model.compress(self.out, "2:4", self.rows, {"rows": self.rows}, own="0"))
        for one in done:
            self.assertIsInstance(one, sparse24.Compressed)
            self.assertEqual(one.after, done[0].after)
        with sparse24.Model(os.path.join(self.out, "tiny.gguf")) as made:
            self.assertAlmostEqual(made.evaluate(self.rows) / done[0].after["rows"], 1, 5)

    def test_own_group(self):
        self.compress(lambda group: group)

    def test_communicator(self):
        sys.modules["mpi4py.MPI"], sys.modules["mpi4py"] = types.SimpleNamespace(BYTE="byte"), types.ModuleType("mpi4py")
        self.addCleanup(sys.modules.pop, "mpi4py.MPI")
        self.addCleanup(sys.modules.pop, "mpi4py")
        self.compress(Comm)

    def test_evaluate(self):
        with sparse24.Model(self.path) as model:
            alone = model.evaluate(self.rows)
            model.set_group(None)
            self.assertEqual(model.evaluate(self.rows), alone)
        for found in self.ranks(2, lambda group: group, lambda model, rank: model.evaluate(self.rows)):
            self.assertAlmostEqual(found / alone, 1, 5)

    def test_errors(self):
        found = self.ranks(2, lambda group: group, lambda model, rank: model.evaluate(self.rows[rank:]))
        for error in found:
            self.assertEqual(error.status, sparse24.E_STATE)
            self.assertIn("rank 1 of 2: the ranks do not do the same", str(error))
        with sparse24.Model(self.path) as model:
            wrong = Threads([None, None], threading.Barrier(1), 2)
            self.fails(sparse24.E_ARG, "rank 2 of a group of 2", model.set_group, wrong)

    def test_exceptions_come_out(self):
        def broken(group):
            def gather(send, receive):
                raise KeyError("the network")
            if group.rank == 1:
                group.gather = gather
            return group

        found = self.ranks(2, broken, lambda model, rank: model.evaluate(self.rows))
        self.assertIsInstance(found[1], KeyError)
        self.assertIsInstance(found[0], threading.BrokenBarrierError)
