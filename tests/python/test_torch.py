"""torch tensors in and out, and examples/python/prune_torch.py on a small model. Skipped where torch is not installed."""
import contextlib
import copy
import gc
import io
import os
import tempfile
import types
import unittest
import warnings

import sparse24
from support import Case, needs_torch, torch

if torch:
    import prune_torch
    import train_nm

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


def layers(module):
    """All Linear layers by name."""
    return {name: one for name, one in module.named_modules() if isinstance(one, torch.nn.Linear)}


def most_kept(w):
    """Of four consecutive inputs of (outputs, inputs)."""
    return int((w.reshape(-1, 4) != 0).sum(1).max())


@needs_torch
class PruneTorch(Case):
    def setUp(self):
        torch.manual_seed(1)
        self.dense = Model().eval()
        self.batches = [torch.randint(0, 64, (2, 40)) for _ in range(8)]

    def error(self, model, batches=None):
        with torch.no_grad():
            return float(sum(((model(b) - self.dense(b)) ** 2).sum() for b in batches or self.batches))

    def compressed(self, **named):
        model = copy.deepcopy(self.dense)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "stay dense, outside of the blocks layers: heads.0.weight")
            return model, prune_torch.compress_model(model, self.batches, **named)

    def test_blocks_and_stages(self):
        self.assertIs(prune_torch.find_blocks(self.dense)[1], self.dense.layers)
        with self.assertWarnsRegex(UserWarning, "heads.0.weight"), prune_torch.evaluating(self.dense):
            survey = prune_torch.Survey(self.dense, self.batches)
            prune_torch.tell(survey.dense)
            block = survey.blocks[0]
            writing = prune_torch.writers(block, survey.states[0])
        self.assertEqual([layer.name for layer in writing], ["layers.0.o", "layers.0.down"])
        stages = prune_torch.stages(block, block.layers, writing)
        names = [[layer.name.removeprefix("layers.0.") for layer in stage] for stage in stages]
        self.assertEqual(names, [["q", "k", "v"], ["o"], ["gate", "up"], ["down"]])

    def test_every_layer_is_compressed_on_what_it_will_get(self):
        model, records = self.compressed()
        self.assertEqual(len(records), 21)
        self.assertEqual((records[0]["name"], records[-1]["layer"], records[0]["layers"]), ("layers.0.q", 21, 21))
        self.assertEqual({most_kept(layer.weight) for layer in layers(model.layers).values()}, {2})
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

    def test_defaults_are_those_of_the_program(self):
        model, records = self.compressed()
        record = records[0]
        self.assertEqual((record["solver"], record["damp_rule"]), ("alps", "transfer"))
        self.assertAlmostEqual(record["damp_used"], 0.1, places=6)
        self.assertGreater(record["target_relative_loss"], 0)
        model, records = self.compressed(constraints="int4 g16", skip=["gate", "up", "down"])
        self.assertEqual(records[0]["solver"], "quantease")
        self.assertAlmostEqual(records[0]["damp_used"], 0.2, places=6)
        self.assertLessEqual(len(model.layers[0].q.weight[0, :16].unique()), 16)
        _, records = self.compressed(solver="sparsegpt", damp="0.05", damp_rule="relative")
        self.assertAlmostEqual(records[0]["damp_used"], 0.05, places=6)

    def test_solvers_skip_and_correction(self):
        damping = {"damp": 0.01, "damp_rule": "relative", "solver": "sparsegpt"}
        plain, records = self.compressed(correct=0, **damping)
        self.assertIsNone(records[0]["target_relative_loss"])
        corrected, records = self.compressed(correct=0.5, **damping)
        self.assertLess(self.error(corrected), self.error(plain))
        self.assertTrue(all(record["target_relative_loss"] > 0 for record in records))
        model, records = self.compressed(skip=["down", "q"], constraints="row 50%", **damping)
        self.assertEqual(len(records), 15)
        self.assertTrue(torch.equal(model.layers[2].down.weight, self.dense.layers[2].down.weight))

    def test_types_are_kept(self):
        self.dense.to(torch.bfloat16)
        model, records = self.compressed()
        self.assertEqual({p.dtype for p in model.parameters()}, {torch.bfloat16})
        self.assertEqual({most_kept(layer.weight) for layer in layers(model.layers).values()}, {2})
        self.assertTrue(model.layers[0].q.weight.is_contiguous() and not model.training)

    def test_save(self):
        model, _ = self.compressed()
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "model.safetensors")
            prune_torch.save(model, path, {"constraints": "2:4"})
            with sparse24.File(path) as file:
                for name, tensor in model.state_dict().items():
                    self.assertTrue(torch.equal(file.read(name, torch.empty(tensor.shape)), tensor), name)


if torch:

    class Transposed(torch.nn.Module):
        """As transformers' Conv1D."""

        def __init__(self, inputs, outputs):
            super().__init__()
            self.weight = torch.nn.Parameter(torch.randn(inputs, outputs) / inputs**0.5)
            self.bias = torch.nn.Parameter(torch.randn(outputs))

        def forward(self, x):
            return torch.addmm(self.bias, x.reshape(-1, x.shape[-1]), self.weight).view(*x.shape[:-1], -1)

    class Cache:
        """One that grows with each call."""

        def __init__(self):
            self.calls = 0

    class OldBlock(torch.nn.Module):
        """A cache by position, transposed weights, a list as output: as GPT-2's and OpenAI GPT's."""

        def __init__(self, dim):
            super().__init__()
            self.up, self.down, self.spare = Transposed(dim, 2 * dim), Transposed(2 * dim, dim), torch.nn.Linear(dim, dim)

        def forward(self, hidden_states, layer_past=None):
            if layer_past is not None:
                layer_past.calls += 1
                hidden_states = hidden_states + layer_past.calls
            return [hidden_states + self.down(torch.nn.functional.gelu(self.up(hidden_states)))]

    class Experts(torch.nn.Module):
        """A mixture with parameters of three dimensions, by one of the ways to multiply by them."""

        def __init__(self, dim, way, count=4, hit=4):
            super().__init__()
            self.way, self.hit = way, hit
            self.router = torch.nn.Parameter(torch.randn(count, dim))
            self.up = torch.nn.Parameter(torch.randn(count, 2 * dim, dim) / dim**0.5)
            self.down = torch.nn.Parameter(torch.randn(count, 2 * dim, dim) / dim**0.5)  # (inputs, outputs)

        def forward(self, hidden_states):
            x = hidden_states.flatten(0, 1)
            scores, chosen = torch.nn.functional.linear(x, self.router[: self.hit]).softmax(-1).topk(2)
            return (hidden_states + getattr(self, self.way)(x, scores, chosen).view_as(hidden_states),)

        def loop(self, x, scores, chosen):
            y = torch.zeros_like(x)
            for expert in chosen.unique():
                row, place = torch.where(chosen == expert)
                made = torch.relu(torch.nn.functional.linear(x[row], self.up[expert])) @ self.down[expert]
                y.index_add_(0, row, made * scores[row, place, None])
            return y

        def batched(self, x, scores, chosen):
            share = torch.zeros(len(x), len(self.up)).scatter(1, chosen, scores).T[:, :, None]
            made = torch.bmm(torch.bmm(x * (share > 0), self.up.transpose(1, 2)).relu(), self.down)
            return (made * share).sum(0)

    class Chain(torch.nn.Module):
        """Blocks one after the other; given is what each gets besides."""

        def __init__(self, blocks, dim=16, given=()):
            super().__init__()
            self.embed = torch.nn.Embedding(64, dim)
            self.blocks = torch.nn.ModuleList(blocks)
            self.given = given

        def forward(self, tokens):
            x = self.embed(tokens)
            for block in self.blocks:
                x = block(x, *(one() for one in self.given))[0]
            return x


@needs_torch
class PruneTorchModels(Case):
    """Kinds of models."""

    def setUp(self):
        torch.manual_seed(1)
        self.batches = [torch.randint(0, 64, (2, 40)) for _ in range(8)]

    def warned(self, model, *texts, batches=None, **named):
        """Records; the warnings are these and no more."""
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            records = prune_torch.compress_model(model, batches or self.batches, solver="sparsegpt", **named)
        self.assertEqual(len(caught), len(texts), [str(one.message) for one in caught])
        for text, one in zip(texts, caught):
            self.assertIn(text, str(one.message))
        return records

    def test_transposed_weights_caches_lists_and_unused_modules(self):
        model = Chain([OldBlock(16), OldBlock(16)], given=[Cache]).eval()
        spare = model.blocks[1].spare.weight.clone()
        text = "stay dense, never used with these batches: blocks.0.spare.weight, blocks.1.spare.weight"
        records = self.warned(model, text)
        self.assertEqual([(one["name"], one["rows"], one["cols"]) for one in records[2:]],
                         [("blocks.1.up", 32, 16), ("blocks.1.down", 16, 32)])
        for block in model.blocks:
            self.assertEqual([most_kept(one.weight.T) for one in (block.up, block.down)], [2, 2])
        self.assertTrue(torch.equal(model.blocks[1].spare.weight, spare))

    def test_experts(self):
        found = {}
        for way in ("loop", "batched"):
            torch.manual_seed(2)
            model = Chain([Experts(16, way), Experts(16, way)]).eval()
            dense = copy.deepcopy(model)
            records = self.warned(model)
            self.assertEqual(len(records), 18)
            self.assertEqual(sum(one["rows"] * one["cols"] for one in records),
                             sum(p.numel() for p in model.blocks.parameters()))
            for block in model.blocks:
                self.assertEqual(most_kept(block.up), 2)
                self.assertEqual(most_kept(block.down.transpose(1, 2)), 2)
            # Its own rows: the loss that is told is that on the tokens that are sent to the expert.
            x = dense.embed(torch.cat(self.batches).flatten())
            layer, compressed = dense.blocks[0], model.blocks[0]
            rows = (x @ compressed.router.T).topk(2).indices
            gram = sparse24.Gram(16)
            gram.add(x[(rows == 3).any(1)])
            told = {one["name"]: one["relative_loss"] for one in records}["blocks.0.up.3"]
            self.assertAlmostEqual(sparse24.Problem(layer.up[3], gram).loss(compressed.up[3]).relative, told, places=5)
            found[way] = model
        for one, other in zip(found["loop"].parameters(), found["batched"].parameters()):
            self.assertTrue(torch.allclose(one, other, atol=1e-3))

    def test_experts_without_rows_stay_dense_by_name(self):
        model = Chain([Experts(16, "loop", hit=3)]).eval()
        before = model.blocks[0].up[3].clone()
        records = self.warned(model, "not multiplied by activations, or in part: blocks.0.router",
                              "stay dense, no calibration row reaches them: blocks.0.up.3, blocks.0.down.3")
        self.assertEqual(len(records), 7)
        self.assertTrue(torch.equal(model.blocks[0].up[3], before))
        self.assertEqual(most_kept(model.blocks[0].up[2]), 2)

    def test_models_without_a_list_of_blocks(self):
        linear, relu = torch.nn.Linear, torch.nn.GELU
        model = torch.nn.Sequential(linear(16, 32), relu(), linear(32, 32), relu(), linear(32, 4)).eval()
        x = [random(300, 16)]
        self.assertEqual([one["name"] for one in self.warned(model, batches=x)], ["0", "2", "4"])

        class Plain(torch.nn.Module):
            def __init__(self):
                super().__init__()
                self.one, self.conv, self.two = linear(16, 32), torch.nn.Conv2d(1, 1, 3, padding=1), linear(32, 16)

            def forward(self, x):
                return self.two(self.conv(self.one(x).relu()[None])[0])

        text = "stay dense, not multiplied by activations: conv.weight"
        self.assertEqual([one["name"] for one in self.warned(Plain(), text, batches=x)], ["one", "two"])

    def test_blocks_that_do_not_follow_each_other(self):
        block = Block(16)
        model = Chain([block, block]).eval()
        self.assertEqual(len(self.warned(model, "blocks.1.q.weight is used in blocks.0, too: the model is taken as")), 7)

        class Looping(Chain):
            def forward(self, tokens):
                return self.blocks[0](self.blocks[0](self.embed(tokens))[0])[0]

        text = "blocks.0 is called more than once: the model is taken as one block"
        self.assertEqual(len(self.warned(Looping([Block(16)]).eval(), text)), 7)

        model = Chain([Block(16), Block(16)]).eval()
        model.blocks[1].up.weight = model.blocks[0].up.weight
        names = [one["name"] for one in self.warned(model, "blocks.1.up.weight is used in blocks.0, too")]
        self.assertEqual(sum("up" in name for name in names), 1)
        self.assertEqual({most_kept(one.weight) for one in layers(model.blocks).values()}, {2})

        class Skipping(Chain):
            def forward(self, tokens):
                x = self.embed(tokens)
                return self.blocks[1](self.blocks[0](x)[0] + x)[0]

        model = Skipping([Block(16), Block(16)]).eval()
        text = "blocks.1 does not get what the block before it returns: the model is taken as one block"
        self.assertEqual(len(self.warned(model, text)), 14)

    def test_shared_with_others_stays_dense(self):
        model = Chain([Block(16)]).eval()
        model.blocks[0].q.weight = model.embed.weight = torch.nn.Parameter(torch.randn(16, 16))
        tokens = [torch.randint(0, 16, (2, 40)) for _ in range(4)]
        records = self.warned(model, "stay dense, shared with an embedding: blocks.0.q.weight", batches=tokens)
        self.assertEqual(len(records), 6)

    def test_too_little_calibration(self):
        model = Chain([Block(16)]).eval()
        self.warned(model, "fewer rows than inputs: blocks.0.down (20 of 32)", batches=[torch.arange(20)[None]])
        self.warned(copy.deepcopy(model), "one token repeated", batches=[torch.ones(2, 40, dtype=torch.long)])

    def test_kernels_of_experts_are_chosen_and_put_back(self):
        class Chosen(Chain):
            def set_experts_implementation(self, name):
                self.config._experts_implementation = name
                for block in self.blocks:
                    block.way = {"eager": "loop", "batched_mm": "copied"}[name]

        model = Chosen([Experts(16, "loop")]).eval()
        model.config = types.SimpleNamespace(use_cache=True)
        model.set_experts_implementation("batched_mm")
        self.assertEqual(len(self.warned(model)), 9)
        self.assertEqual((model.config._experts_implementation, model.config.use_cache), ("batched_mm", True))

    def test_refused_by_name(self):
        def refused(text, change, batches=None, error=ValueError, **named):
            model = Chain([Block(16), Block(16)]).eval()
            change(model)
            with self.assertRaisesRegex(error, text):
                prune_torch.compress_model(model, self.batches if batches is None else batches, solver="sparsegpt", **named)

        def nothing(model):
            pass

        def nan(model):
            with torch.no_grad():
                model.blocks[1].norm2.bias[3] = float("nan")

        def dead(model):
            with torch.no_grad():
                model.blocks[1].norm2.weight.zero_()
                model.blocks[1].norm2.bias.zero_()

        def bytes_(model):
            model.blocks[1].up.weight = torch.nn.Parameter(torch.zeros(128, 1, dtype=torch.uint8), requires_grad=False)

        def codes(model):
            model.blocks[1].up.register_buffer("qweight", torch.zeros(2, 2, dtype=torch.int32))

        def small(model):
            model.half()
            with torch.no_grad():
                model.blocks[0].q.weight.fill_(6e4)

        refused(r"blocks\.1\.gate: .*x: row 0, column 3 is nan", nan, error=sparse24.Sparse24Error)
        refused(r"blocks\.1\.gate: its inputs are 0 in all batches", dead)
        refused(r"blocks\.1\.up\.weight \(Linear, torch\.uint8\) is quantised", bytes_)
        refused(r"blocks\.1\.up\.qweight \(Linear, torch\.int32\) is quantised", codes)
        refused(r"blocks\.1\.o\.weight \(Linear\) is on device meta", lambda model: model.blocks[1].o.to("meta"))
        refused("there are no batches", nothing, batches=[])
        refused("correct is a share", nothing, correct=-0.5)
        mask = torch.tensor([[1] * 30 + [0] * 10])
        refused("batch 0 has padding", nothing, batches=[{"tokens": self.batches[0][:1], "attention_mask": mask}])
        refused(r"blocks\.0\.q \(skip leaves it dense\): .*16 columns", nothing, error=sparse24.Sparse24Error, constraints="2:24")
        refused("no layer to compress", nothing, skip=["weight", ""])

    def test_train_nm(self):
        told = io.StringIO()
        with contextlib.redirect_stdout(told):
            train_nm.main(20)
        lines = told.getvalue().splitlines()
        self.assertEqual([line.split("at most")[1] for line in lines], [" 4 of 4 inputs"] + [" 2 of 4 inputs"] * 5)
        for line in lines:
            losses = [float(word) for word in line[20:].split("at most")[0].split()]
            self.assertLess(losses[-1], losses[0])


if __name__ == "__main__":
    unittest.main()
