"""torch tensors in and out, and examples/python/prune_torch.py on a small model. Skipped where torch is not installed."""
import copy
import gc
import os
import tempfile
import unittest

import sparse24
from support import Case, needs_torch, torch

if torch:
    import prune_torch

    torch.set_num_threads(1)  # small products: threads cost more than they bring

    class Block(torch.nn.Module):
        def __init__(self, dim):
            super().__init__()
            self.norm1, self.norm2 = torch.nn.LayerNorm(dim), torch.nn.LayerNorm(dim)
            self.q, self.k, self.v, self.o = (torch.nn.Linear(dim, dim, bias=index == 3) for index in range(4))
            self.gate, self.up, self.down = torch.nn.Linear(dim, 2 * dim), torch.nn.Linear(dim, 2 * dim, bias=False), torch.nn.Linear(2 * dim, dim, bias=False)

        def forward(self, hidden_states, scale=1.0):
            x = self.norm1(hidden_states)
            y = torch.nn.functional.scaled_dot_product_attention(self.q(x) * scale, self.k(x), self.v(x), is_causal=True)
            hidden_states = hidden_states + self.o(y)
            x = self.norm2(hidden_states)
            return (hidden_states + self.down(torch.nn.functional.silu(self.gate(x)) * self.up(x)),)

    class Model(torch.nn.Module):
        def __init__(self, dim=32, depth=3):
            super().__init__()
            self.embed = torch.nn.Embedding(64, dim)
            self.layers = torch.nn.ModuleList(Block(dim) for _ in range(depth))
            self.heads = torch.nn.ModuleList([torch.nn.Linear(dim, 4)])  # not the blocks

        def forward(self, tokens):
            x = self.embed(tokens)
            for layer in self.layers:
                x = layer(x, scale=0.5)[0]
            return x


def random(*shape, dtype=None):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1)).to(dtype or torch.float32)


@needs_torch
class Tensors(Case):
    def test_types_addresses_and_strides(self):
        for name, code in sparse24._BY_NAME.items():
            a = torch.zeros(6, 8).to(getattr(torch, name))
            for value in (a, a[1:, ::2], a.T, a.view(2, 3, 8)):
                mat = sparse24._matrix(value, "x")
                self.assertEqual((mat.data, mat.dtype, mat.cols), (value.data_ptr(), code, value.shape[-1]))
                self.assertEqual((mat.row_stride, mat.col_stride), value.stride()[-2:])

    def test_bfloat16_through_a_solve(self):
        w, x = random(16, 32, dtype=torch.bfloat16), random(200, 32, dtype=torch.bfloat16)
        gram = sparse24.Gram(32)
        gram.add(x)
        result = sparse24.Solver("sparsegpt").solve(sparse24.Problem(w, gram, "2:4"))
        v = result.weights
        self.assertIsInstance(v, torch.Tensor)
        self.assertEqual((v.dtype, v.shape, result.mask.dtype), (torch.float32, w.shape, torch.uint8))
        kept = v.clone()
        result.close()
        del result
        gc.collect()
        junk = [torch.zeros(16, 32) for _ in range(50)]
        self.assertTrue(torch.equal(v, kept))
        del junk
        self.assertEqual(sparse24.prox24(w.float(), 0.5).dtype, torch.float32)
        self.assertEqual(sparse24.project_nm(w, 2, 4).dtype, torch.bool)
        loss = sparse24.compress(w, "2:4", x)
        self.assertTrue(0 < loss < 1 and int((w != 0).sum()) == 256)

    def test_parameters_and_memory_that_moves(self):
        layer = torch.nn.Linear(32, 16)
        problem = sparse24.Problem(layer.weight, None, "2:4")
        before = sparse24.Solver("magnitude").solve(problem).weights.clone()
        layer.weight.data = torch.full((16, 32), float("nan"))  # the old memory must stay
        gc.collect()
        self.assertTrue(torch.equal(sparse24.Solver("magnitude").solve(problem).weights, before))

    def test_wrong_ones(self):
        gram = sparse24.Gram(8)
        for status, text, value in ((sparse24.E_UNSUPPORTED, "x is on device meta", torch.zeros(4, 8, device="meta")),
                                    (sparse24.E_DTYPE, "complex64", torch.zeros(4, 8, dtype=torch.complex64)),
                                    (sparse24.E_ARG, "without plain memory", torch.eye(8).to_sparse()),
                                    (sparse24.E_ARG, "without plain memory", torch.ones(8, 8, dtype=torch.complex64).conj().imag),
                                    (sparse24.E_SHAPE, "must be positive", torch.zeros(1, 8).expand(4, 8)),
                                    (sparse24.E_DTYPE, "S24_I64", torch.zeros(4, 8, dtype=torch.int64))):
            self.fails(status, text, gram.add, value)
        gram.add(torch.zeros(4, 8, requires_grad=True))

    def test_files(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "a.safetensors")
            a = random(3, 4, 8, dtype=torch.bfloat16)
            with sparse24.File.create(path) as file:
                file.put("a", a)
            with sparse24.File(path) as file:
                self.assertTrue(torch.equal(file.read("a", torch.empty_like(a)), a))


@needs_torch
class PruneTorch(Case):
    def setUp(self):
        torch.manual_seed(1)
        self.dense = Model().eval()
        self.batches = [torch.randint(0, 64, (2, 40)) for _ in range(8)]

    def error(self, model):
        with torch.no_grad():
            return float(sum(((model(b) - self.dense(b)) ** 2).sum() for b in self.batches))

    def compressed(self, **named):
        model = copy.deepcopy(self.dense)
        return model, prune_torch.compress_model(model, self.batches, damp=0.01, damp_rule="relative", **named)

    def test_blocks_and_stages(self):
        self.assertIs(prune_torch.find_blocks(self.dense)[1], self.dense.layers)
        block = self.dense.layers[0]
        x = random(2, 5, 32)
        inputs, outputs, out = prune_torch.Stream([x]).run(block, 0, {"args": (), "kwargs": {}}, prune_torch.linears(block))
        self.assertEqual(prune_torch.stages(inputs), [["q", "k", "v"], ["o"], ["gate", "up"], ["down"]])
        self.assertEqual(prune_torch.writers(x, outputs, out), ["o", "down"])

    def test_every_layer_is_compressed_on_what_it_will_get(self):
        model, records = self.compressed()
        self.assertEqual(len(records), 21)
        self.assertEqual(records[0]["name"], "layers.0.q")
        for layer in (layer for block in model.layers for layer in prune_torch.linears(block).values()):
            groups = layer.weight.reshape(-1, 4)
            self.assertLessEqual(int((groups != 0).sum(1).max()), 2)
        # The loss that is told is the one on the inputs that the layer gets in the compressed model.
        seen = []
        name, layer, original = "layers.1.down", model.layers[1].down, self.dense.layers[1].down
        handle = layer.register_forward_pre_hook(lambda _, arguments: seen.append(arguments[0]))
        self.error(model)
        handle.remove()
        gram = sparse24.Gram(64)
        for x in seen:
            gram.add(x)
        told = next(record["relative_loss"] for record in records if record["name"] == name)
        self.assertAlmostEqual(sparse24.Problem(original.weight, gram).loss(layer.weight).relative, told, places=5)

    def test_solvers_skip_and_correction(self):
        plain, _ = self.compressed()
        corrected, records = self.compressed(correct=0.5)
        self.assertLess(self.error(corrected), self.error(plain))
        self.assertTrue(all(record["target_relative_loss"] > 0 for record in records))
        model, records = self.compressed(skip=["down", "q"], constraints="row 50%")
        self.assertEqual(len(records), 15)
        self.assertTrue(torch.equal(model.layers[2].down.weight, self.dense.layers[2].down.weight))

    def test_save(self):
        model, _ = self.compressed()
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "model.safetensors")
            prune_torch.save(model, path, {"constraints": "2:4"})
            with sparse24.File(path) as file:
                for name, tensor in model.state_dict().items():
                    self.assertTrue(torch.equal(file.read(name, torch.empty(tensor.shape)), tensor), name)


if __name__ == "__main__":
    unittest.main()
