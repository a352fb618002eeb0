"""What `sparse24 check` calls weights, on files that no writer of this project makes: python3 test_check.py PROGRAM. The standard library only."""
import json
import os
import struct
import subprocess
import sys
import tempfile
import unittest

PROGRAM = ""
SPARSE, DENSE = [1.0, 0.0, 2.0, 0.0], [1.0, 2.0, 3.0, 4.0]  # a group of four that obeys 2:4, and one that does not


def rows(count, width, dense=()):
    """Values of `count` rows, 2:4 but for the rows in `dense`."""
    return [value for row in range(count) for value in (DENSE if row in dense else SPARSE) * (width // 4)]


def turned(values, width):
    """The transpose of a matrix with rows of that width."""
    return [value for column in range(width) for value in values[column::width]]


class Files(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)

    def path(self, name):
        return os.path.join(self.folder.name, name)

    def safetensors(self, tensors, name="m.safetensors"):
        """tensors: name -> (shape, values) as F32, or (shape, values, type) with the bytes as values."""
        header, data = {}, b""
        for key, (shape, values, *kind) in tensors.items():
            part = values if kind else struct.pack(f"<{len(values)}f", *values)
            header[key] = {"dtype": kind[0] if kind else "F32", "shape": shape, "data_offsets": [len(data), len(data) + len(part)]}
            data += part
        text = json.dumps(header).encode()
        text += b" " * (-len(text) % 8)
        with open(self.path(name), "wb") as file:
            file.write(struct.pack("<Q", len(text)) + text + data)
        return self.path(name)

    def model(self, tensors, **config):
        os.mkdir(self.path("model"))
        self.safetensors(tensors, "model/model.safetensors")
        with open(self.path("model/config.json"), "w", encoding="utf-8") as file:
            json.dump(config, file)
        return self.path("model")

    def gguf(self, tensors):
        """tensors: name -> (shape, values) as F32; the contiguous extent last, as everywhere here."""
        head, data = struct.pack("<4sIQQ", b"GGUF", 3, len(tensors), 1), b""
        text = lambda word: struct.pack("<Q", len(word)) + word.encode()
        head += text("general.architecture") + struct.pack("<I", 8) + text("llama")
        for name, (shape, values) in tensors.items():
            head += text(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *reversed(shape), 0, len(data))
            data += struct.pack(f"<{len(values)}f", *values)
            data += bytes(-len(data) % 32)
        with open(self.path("m.gguf"), "wb") as file:
            file.write(head + bytes(-len(head) % 32) + data)
        return self.path("m.gguf")

    def check(self, path, constraints="2:4"):
        done = subprocess.run([PROGRAM, "check", path, "--constraints", constraints], capture_output=True, check=False)
        return done.returncode, done.stdout.decode(), done.stderr.decode()

    def passes(self, path, *texts):
        status, out, err = self.check(path)
        self.assertEqual((status, err), (0, ""))
        for text in texts:
            self.assertIn(text, out)
        return out

    def fails(self, path, *texts):
        status, out, err = self.check(path)
        self.assertEqual(status, 1, out)
        self.assertEqual(err.count("\n"), 1)
        self.assertTrue(err.startswith("sparse24: "))
        for text in texts:
            self.assertIn(text, err)
        return out


Q = "model.layers.0.self_attn.q_proj.weight"
UP = "model.layers.0.mlp.experts.gate_up_proj"


class Experts(Files):
    def test_obey(self):
        path = self.safetensors({Q: ([4, 8], rows(4, 8)), UP: ([3, 4, 8], rows(12, 8))})
        self.passes(path, f"{UP}: 3 matrices obey 2:4", "all 4 matrices of its blocks obey 2:4")

    def test_one_dense_expert(self):
        path = self.safetensors({Q: ([4, 8], rows(4, 8)), UP: ([3, 4, 8], rows(12, 8, dense=[6]))})
        self.fails(path, UP, "matrix 1", "row 2, columns 0 to 3 hold 4 nonzeros")
        self.fails(f"{path}:{UP}", "matrix 1", "row 2")

    def test_dense_experts_alone(self):
        self.fails(self.safetensors({UP: ([2, 4, 8], rows(8, 8, dense=range(8)))}), UP)

    def test_without_a_model(self):
        self.fails(self.safetensors({"w": ([2, 4, 8], rows(8, 8, dense=[7]))}), "w, matrix 1", "row 3")

    def test_none(self):
        empty = {f"model.layers.{i}.mlp.experts.gate_up_proj": (shape, []) for i, shape in enumerate(([0, 4, 8], [2, 0, 8]))}
        out = self.passes(self.safetensors({Q: ([4, 8], rows(4, 8)), "model.layers.2.x.weight": ([0, 8], []), **empty}))
        self.assertNotIn("gate_up_proj", out)
        self.assertIn("3 biases, norms and the like", out)

    def test_of_gguf(self):
        name = "blk.0.ffn_up_exps.weight"
        self.passes(self.gguf({name: ([2, 4, 8], rows(8, 8))}), f"{name}: 2 matrices obey 2:4")
        self.fails(self.gguf({name: ([2, 4, 8], rows(8, 8, dense=[4]))}), name, "matrix 1", "row 0")

    def test_inputs_first(self):
        """Llama 4 and gpt-oss multiply by inputs x outputs."""
        values = turned(rows(4, 8), 8) + turned(rows(4, 8, dense=[3]), 8)
        for kind in ("gpt_oss", "llama4_text"):
            with self.subTest(kind):
                path = self.model({UP: ([2, 8, 4], values)}, model_type=kind)
                self.fails(path, UP, "matrix 1 (inputs x outputs, transposed)", "row 3")
                os.rename(path, self.path(kind))

    def test_nested_configuration(self):
        path = self.model({UP: ([1, 8, 4], turned(rows(4, 8), 8))}, model_type="x", text_config={"model_type": "llama4_text"})
        self.passes(path)

    def test_a_grid(self):
        path = self.safetensors({UP: ([2, 1, 4], [0.0, 1.0, 2.0, 3.0, 0.0, 1.0, 2.0, 0.1])})
        status, _, err = self.check(path, "int2")
        self.assertEqual(status, 1)
        self.assertIn("matrix 1", err)


class Conv1d(Files):
    def gpt2(self, attention, mlp, prefix="h.0."):
        """Layers of GPT-2 with 8 inputs, given outputs x inputs."""
        return {f"{prefix}attn.c_attn.weight": ([8, 24], turned(attention, 8)), f"{prefix}attn.c_attn.bias": ([24], [0.5] * 24),
                f"{prefix}attn.bias": ([1, 1, 4, 4], DENSE * 4), f"{prefix}mlp.c_proj.weight": ([8, 8], turned(mlp, 8)),
                "wte.weight": ([4, 8], rows(4, 8, dense=range(4)))}

    def test_transposed(self):
        out = self.passes(self.safetensors(self.gpt2(rows(24, 8), rows(8, 8))), "c_attn.weight (inputs x outputs, transposed): obeys 2:4",
                          "all 2 matrices of its blocks obey 2:4")
        self.assertNotIn("attn.bias", out)

    def test_dense(self):
        self.fails(self.safetensors(self.gpt2(rows(24, 8, dense=[20]), rows(8, 8))), "c_attn.weight", "row 20, columns 0 to 3")
        self.fails(self.safetensors(self.gpt2(rows(24, 8), rows(8, 8, dense=[1]))), "c_proj.weight", "row 1")

    def test_along_the_wrong_side(self):
        tensors = self.gpt2(rows(24, 8), rows(8, 8))
        tensors["h.0.attn.c_attn.weight"] = ([8, 24], rows(8, 24))
        self.fails(self.safetensors(tensors), "c_attn.weight", "columns 0 to 3")

    def test_by_model_type(self):
        """A square matrix alone does not show how it lies."""
        tensors = {"h.0.mlp.c_proj.weight": ([8, 8], turned(rows(8, 8), 8))}
        self.passes(self.model(tensors, model_type="gpt2"), "transposed")
        self.fails(self.safetensors(tensors), "c_proj")

    def test_others_with_these_names(self):
        """GPTBigCode and Qwen: outputs x inputs."""
        tensors = {"transformer.h.0.attn.c_attn.weight": ([24, 8], rows(24, 8)), "transformer.h.0.attn.c_proj.weight": ([8, 8], rows(8, 8))}
        out = self.passes(self.model(tensors, model_type="gpt_bigcode"))
        self.assertNotIn("transposed", out)


class NoWeights(Files):
    def test_biases_and_norms(self):
        path = self.safetensors({Q: ([4, 8], rows(4, 8)), "model.layers.0.mlp.experts.gate_up_proj_bias": ([2, 4], DENSE * 2),
                                 "model.layers.0.self_attn.q_norm.weight": ([2, 4], DENSE * 2), "model.layers.0.input_layernorm.weight": ([4], DENSE),
                                 "model.embed_tokens.weight": ([2, 4], DENSE * 2), "lm_head.weight": ([2, 4], DENSE * 2)})
        self.passes(path, "all 1 matrices of its blocks obey 2:4",
                    "not checked: 2 outside the blocks (embeddings, head), 3 biases, norms and the like")

    def test_router(self):
        gate = "model.layers.0.mlp.gate.weight"
        path = self.safetensors({UP: ([2, 4, 8], rows(8, 8)), gate: ([2, 8], DENSE * 4)})
        self.passes(path, f"{gate}: not checked: a router", "all 2 matrices of its blocks")

    def test_router_inside_a_module(self):
        gate = "model.layers.0.block_sparse_moe.router.layer.weight"
        path = self.safetensors({"model.layers.0.block_sparse_moe.input_linear.weight": ([2, 4, 8], rows(8, 8)), gate: ([2, 8], DENSE * 4)})
        self.passes(path, f"{gate}: not checked: a router", "all 2 matrices of its blocks")

    def test_experts_outside_the_blocks(self):
        self.fails(self.safetensors({Q: ([4, 8], rows(4, 8)), "model.shared.experts.w1": ([2, 4, 8], DENSE * 16)}), "experts.w1")

    def test_gate_without_experts(self):
        gate = "model.layers.0.mlp.gate.weight"
        self.fails(self.safetensors({Q: ([4, 8], rows(4, 8)), gate: ([2, 8], DENSE * 4)}), gate)

    def test_convolution(self):
        conv, inside = "model.layers.0.conv.conv.weight", "model.layers.0.conv.in_proj.weight"
        tensors = {conv: ([4, 1, 4], DENSE * 4), inside: ([4, 8], rows(4, 8))}
        self.passes(self.safetensors(tensors), f"{conv}: not checked: a convolution", "all 1 matrices")
        tensors[inside] = ([4, 8], rows(4, 8, dense=[3]))
        self.fails(self.safetensors(tensors), inside)


class Closed(Files):
    """Weights that cannot be read are no weights that obey."""

    def closed(self, name, shape, kind, size):
        path = self.safetensors({Q: ([4, 8], rows(4, 8)), name: (shape, bytes(size), kind)})
        out = self.fails(path, "1 matrices obey 2:4, but 1 tensors of weights were not checked", name)
        self.assertIn(f"{name}: not checked: weights of type {kind}", out)

    def test_fp8(self):
        self.closed("model.layers.0.mlp.up_proj.weight", [4, 8], "F8_E4M3", 32)

    def test_gptq(self):
        self.closed("model.layers.0.mlp.up_proj.qweight", [1, 8], "I32", 32)

    def test_compressed_tensors(self):
        self.closed("model.layers.0.mlp.up_proj.weight_packed", [4, 1], "I32", 16)

    def test_mxfp4(self):
        self.closed("model.layers.0.mlp.experts.gate_up_proj_blocks", [2, 4, 1, 16], "U8", 128)

    def test_masks_are_none(self):
        self.passes(self.safetensors({Q: ([4, 8], rows(4, 8)), "model.layers.0.attn.mask": ([2, 4], bytes(8), "BOOL")}))


class Texts(Files):
    def test_names_are_clean(self):
        name = "\x1b]0;x\x07\x1b[2Jw\nall 210 matrices obey 2:4\u202e\x9b31m"
        path = self.safetensors({name: ([4, 8], rows(4, 8))})
        out = self.passes(path, r"\x1b]0;x\x07\x1b[2Jw\nall 210 matrices obey 2:4\xe2\x80\xae\xc2\x9b31m: obeys 2:4")
        self.assertFalse(set(out) & set("\x1b\x07\u202e\x9b"))
        self.assertEqual(out.count("\n"), 2)
        err = self.check(self.safetensors({name: ([4, 8], rows(4, 8, dense=[0]))}))[2]
        self.assertFalse(set(err) & set("\x1b\x07\u202e\x9b"))
        out = subprocess.run([PROGRAM, "info", path], capture_output=True, check=True).stdout.decode()
        self.assertEqual(out.count("\n"), 2)  # the tensor, and the sum
        self.assertFalse(set(out) & set("\x1b\x07\u202e\x9b"))

    def test_info_cuts_long_texts(self):
        template = "{% if é %}\n" * 100
        path = self.model({Q: ([4, 8], rows(4, 8))}, chat_template=template, eos=[12345] * 100, short="one\ntwo")
        out = subprocess.run([PROGRAM, "info", path], capture_output=True, check=True).stdout.decode()
        self.assertIn("config.short: one\\ntwo\n", out)
        self.assertRegex(out, r"config\.chat_template: \{% if é %\}\\n.{150,250} \.\.\. \(1200 bytes, --all prints them\)\n")
        self.assertRegex(out, r"config\.eos: \[12345.*12345,? \.\.\. \(\d+ bytes, --all prints them\)\n")
        out = subprocess.run([PROGRAM, "info", path, "--all"], capture_output=True, check=True).stdout.decode()
        self.assertIn("config.chat_template: " + template.replace("\n", "\\n") + "\n", out)

    def test_paths_that_are_not_utf8(self):
        self.safetensors({"w": ([4, 8], rows(4, 8)), "x": ([9, 8], [1.5 * i % 7 for i in range(72)])})
        out = os.fsencode(self.path("")) + b"o\xff\xc3.safetensors"
        arguments = [PROGRAM, "solve", "--weights", self.path("m.safetensors:w"), "--calib", self.path("m.safetensors:x"),
                     "--constraints", "2:4", "--solver", "magnitude", "--json", "--out", out]
        done = subprocess.run(arguments, capture_output=True, check=True)
        self.assertEqual(os.fsencode(json.loads(done.stdout.decode("utf-8"))["out"]), out)


class Outputs(Files):
    def solve(self, out, weights):
        return subprocess.run([PROGRAM, "solve", "--weights", weights, "--calib", self.path("x.safetensors"), "--constraints", "2:4",
                               "--solver", "magnitude", "--out", out], capture_output=True, check=False)

    def refused(self, out, text, weights):
        with open(out, "rb") as file:
            before = file.read()
        done = self.solve(out, weights)
        self.assertEqual(done.returncode, 1)
        self.assertIn(text, done.stderr.decode())
        with open(out, "rb") as file:
            self.assertEqual(before, file.read())

    def test_inputs_stay(self):
        folder = self.model({Q: ([4, 8], rows(4, 8))}, model_type="llama")
        self.safetensors({"x": ([9, 8], [1.5 * i % 7 for i in range(72)])}, "x.safetensors")
        self.refused(self.path("model/model.safetensors"), "is an input file", f"{folder}:{Q}")
        self.refused(self.path("model/config.json"), "is an input file", f"{folder}:{Q}")
        gguf = self.gguf({"blk.0.attn_q.weight": ([4, 8], rows(4, 8))})
        self.refused(gguf, "is an input file", gguf)
        os.rename(gguf, self.path("old.safetensors"))
        self.refused(self.path("old.safetensors"), "is there and is no safetensors file", f"{folder}:{Q}")

    def test_endings_of_others(self):
        self.safetensors({"x": ([9, 8], [1.5 * i % 7 for i in range(72)])}, "x.safetensors")
        weights = self.safetensors({"w": ([4, 8], rows(4, 8))})
        for ending in (".pt", ".PTH", ".bin", ".npy", ".gguf"):
            done = self.solve(self.path("o" + ending), weights)
            self.assertEqual(done.returncode, 1)
            self.assertIn("o.safetensors", done.stderr.decode())
            self.assertFalse(os.path.exists(self.path("o" + ending)))
        self.assertEqual(self.solve(self.path("o"), weights).returncode, 0)
        self.assertEqual(self.solve(self.path("o"), weights).returncode, 0)


if __name__ == "__main__":
    PROGRAM = sys.argv.pop(1)
    unittest.main()
