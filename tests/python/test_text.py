"""Text: class Tokenizer."""
import json
import os
import subprocess
import tempfile
import unittest

import sparse24
from support import MODEL_LIBRARY, Case, needs_numpy, numpy

MAKE_TINY = os.environ.get("MAKE_TINY")

# Byte-level, with one merge and one special token: letters are those of GPT-2.
LETTERS = [chr(c) for c in [*range(33, 127), *range(161, 173), *range(174, 256)]] + [chr(256 + i) for i in range(68)]
VOCABULARY = {letter: i for i, letter in enumerate(LETTERS)}
SMALL = {"model": {"type": "BPE", "vocab": {**VOCABULARY, "th": 256}, "merges": ["t h"]},
         "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False}, "decoder": {"type": "ByteLevel"},
         "added_tokens": [{"id": 257, "content": "<s>", "special": True}],
         "post_processor": {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "<s>"}}, {"Sequence": {"id": "A"}}]}}


@unittest.skipUnless(MODEL_LIBRARY, "built without libsparse24-model")
class Text(Case):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def open(self, **changes):
        path = os.path.join(self.folder, "tokenizer.json")
        with open(path, "w") as file:
            json.dump({**SMALL, **changes}, file)
        return sparse24.Tokenizer(path)

    def test_both_ways(self):
        tokenizer = self.open()
        self.assertEqual(tokenizer.encode("th<s>"), [257, 256, *(VOCABULARY[c] for c in "<s>")])
        self.assertEqual(tokenizer.encode("th<s>", bos="no", special=True), [256, 257])
        for text in ("the\u00e9\n", "", "\U0001f600 a\0b"):
            self.assertEqual(tokenizer.decode(tokenizer.encode(text)), text.encode())
        self.assertEqual(tokenizer.decode(tokenizer.encode(b"a\xff\xc3b")), b"a\xff\xc3b")
        self.assertEqual(tokenizer.decode([257, 256], special=True, first=False), b"<s>th")

    def test_facts(self):
        tokenizer = self.open()
        self.assertEqual((len(tokenizer), tokenizer["bos"], tokenizer["eos"], tokenizer["prefix"]), (258, 257, -1, 1))
        self.assertEqual((tokenizer.find("th"), tokenizer.find("tx"), tokenizer.piece(256)), (256, -1, "th"))

    def test_errors(self):
        tokenizer = self.open()
        self.fails(sparse24.E_ARG, "258", tokenizer.decode, [1, 258])
        self.fails(sparse24.E_ARG, "no piece", tokenizer.piece, -1)
        self.fails(sparse24.E_ARG, "no fact", lambda: tokenizer["colour"])
        self.fails(sparse24.E_OPTION, "auto, yes or no", tokenizer.encode, "a", bos="maybe")
        self.fails(sparse24.E_IO, "", sparse24.Tokenizer, "/nowhere.json")
        self.fails(sparse24.E_UNSUPPORTED, "WordPiece", self.open, model={"type": "WordPiece", "vocab": {}})

    @needs_numpy
    @unittest.skipUnless(MAKE_TINY, "no tiny model")
    def test_of_a_model(self):
        path, tokens, text = (os.path.join(self.folder, name) for name in ("tiny", "tokens.safetensors", "a.txt"))
        subprocess.run([MAKE_TINY, "llama", path, tokens], check=True)
        model = sparse24.Model(path)
        numpy.save(text + ".npy", numpy.arange(90, dtype="i8") % 96)
        self.fails(sparse24.E_IO, "", model.tokens, text)
        rows = model.tokens(text + ".npy", context=30, rows=2)
        self.assertEqual(rows.tolist(), [list(range(30)), list(range(30, 60))])
        self.assertEqual(model.evaluate(f"{tokens}:calib"), model.evaluate(model.tokens(f"{tokens}:calib")))
        # 96 pieces, as many as the model has rows: the printable letters and two merges.
        small = {letter: i for i, letter in enumerate([*LETTERS[:93], LETTERS[-68 + 32]])}
        model_json = {"type": "BPE", "vocab": {**small, "th": 94, "the": 95}, "merges": ["t h", "th e"]}
        self.open(model=model_json, added_tokens=[], post_processor=None)
        with open(text, "w") as file:
            file.write("the tree " * 30)
        tokenizer = model.tokenizer(os.path.join(self.folder, "tokenizer.json"))
        rows = model.tokens(text, context=20)
        self.assertEqual([i for row in rows.tolist() for i in row], tokenizer.encode("the tree " * 30)[:rows.size])
        self.fails(sparse24.E_SHAPE, "no row of 512", model.tokens, text)


if __name__ == "__main__":
    unittest.main()
