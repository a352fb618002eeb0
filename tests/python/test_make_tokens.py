"""examples/python/make_tokens.py on a tokenizer small enough to check by hand, as folder and as GGUF. Usage: test_make_tokens.py SCRIPT"""
import importlib.util
import json
import os
import struct
import subprocess
import sys
import tempfile

script = sys.argv[1]
spec = importlib.util.spec_from_file_location("make_tokens", script)
make_tokens = importlib.util.module_from_spec(spec)
spec.loader.exec_module(make_tokens)

# GPT-2's words of texts, by its published expression.
WORDS = {
    "Hello world": ["Hello", " world"],
    "it's we'll I'd": ["it", "'s", " we", "'ll", " I", "'d"],
    "a  b   c ": ["a", " ", " b", "  ", " c", " "],
    "x\n\n  y\t": ["x", "\n\n ", " y", "\t"],
    "\n y": ["\n", " y"],
    "\ny": ["\n", "y"],
    "12 34a": ["12", " 34", "a"],
    "a--b, ...": ["a", "--", "b", ",", " ..."],
    "\u00e9t\u00e9 \u00b2 \U0001f600": ["\u00e9t\u00e9", " \u00b2", " \U0001f600"],
    "\x1c\u00a0\u00a0z": ["\x1c", "\u00a0", "\u00a0", "z"],
}
for text, expected in WORDS.items():
    got = list(make_tokens.words(text))
    assert got == expected, (text, got, expected)

# Bytes 0 .. 255 in the order of the letters' code points, then what the merges make.
LETTERS = sorted(make_tokens.byte_letters().values())
MERGES = ["a b", "\u0120 ab", "ab c", "c c", "b c"]
VOCABULARY = LETTERS + [m.replace(" ", "") for m in MERGES]


def folder(path, digits):
    steps = [{"type": "Digits", "individual_digits": True}] if digits else []
    steps.append({"type": "ByteLevel", "add_prefix_space": False, "use_regex": True})
    tokenizer = {"pre_tokenizer": {"type": "Sequence", "pretokenizers": steps},
                 "model": {"type": "BPE", "vocab": {t: i for i, t in enumerate(VOCABULARY)}, "merges": MERGES}}
    with open(os.path.join(path, "tokenizer.json"), "w", encoding="utf-8") as file:
        json.dump(tokenizer, file)
    return path


def string(text):
    return struct.pack("<Q", len(text.encode())) + text.encode()


def gguf(path, pre):
    def strings(key, values):
        return string(key) + struct.pack("<IIQ", 9, 8, len(values)) + b"".join(map(string, values))

    items = [string("tokenizer.ggml.model") + struct.pack("<I", 8) + string("gpt2"), string("n") + struct.pack("<IQ", 10, 7),
             string("tokenizer.ggml.pre") + struct.pack("<I", 8) + string(pre),
             strings("tokenizer.ggml.tokens", VOCABULARY), strings("tokenizer.ggml.merges", MERGES)]
    with open(path, "wb") as file:
        file.write(b"GGUF" + struct.pack("<IQQ", 3, 0, len(items)) + b"".join(items))
    return path


def ids(*tokens):
    return [VOCABULARY.index(t) for t in tokens]


def run(*arguments):
    return subprocess.run([sys.executable, script, *arguments], capture_output=True, text=True)


with tempfile.TemporaryDirectory() as scratch:
    text, out = os.path.join(scratch, "text.txt"), os.path.join(scratch, "out.safetensors")
    for model in (folder(scratch, True), gguf(os.path.join(scratch, "m.gguf"), "smollm")):
        encode = make_tokens.builtin(model)
        assert encode("abc abcc 12") == ids("abc", "\u0120ab", "cc", "\u0120", "1", "2"), encode("abc abcc 12")
        assert encode("\u00e9") == ids("\u00c3", "\u00a9")
        assert encode("") == []
        with open(text, "w", encoding="utf-8") as file:
            file.write("abc abcc 12")
        done = run(model, text, "--out", out, "--length", "2", "--skip", "1", "--rows", "2", "--with", "builtin")
        assert done.returncode == 0, done.stderr
        with open(out, "rb") as file:
            size = struct.unpack("<Q", file.read(8))[0]
            header, data = json.loads(file.read(size)), file.read()
        assert header["tokens"] == {"dtype": "I32", "shape": [2, 2], "data_offsets": [0, 16]}, header
        assert list(struct.unpack("<4i", data)) == ids("\u0120ab", "cc", "\u0120", "1")
    assert make_tokens.builtin(folder(scratch, False))("a12") == ids("a", "1", "2")
    done = run(model, text, "--out", out, "--length", "7")
    assert done.returncode == 1 and "6 tokens are less than one sequence of 7" in done.stderr, done.stderr
    done = run(gguf(os.path.join(scratch, "m.gguf"), "llama-bpe"), text, "--out", out, "--with", "builtin")
    assert done.returncode == 1 and "(gpt2, llama-bpe) is not the byte-level BPE" in done.stderr, done.stderr
    done = run(text, text, "--out", out, "--with", "builtin")
    assert done.returncode == 1 and "not a GGUF file" in done.stderr, done.stderr
    # Mistakes are one line, not a traceback.
    empty, latin = os.path.join(scratch, "empty"), os.path.join(scratch, "latin.txt")
    os.mkdir(empty)
    with open(latin, "wb") as file:
        file.write(b"caf\xe9")
    model = folder(scratch, True)
    for arguments, told in (([empty, text, "--out", out], "tokenizer.json"), ([model, empty, "--out", out], "no text in UTF-8"),
                            ([model, latin, "--out", out], "no text in UTF-8"), ([model, os.path.join(scratch, "none"), "--out", out], "no text in UTF-8"),
                            ([model, text, "--out", os.path.join(scratch, "no", "out"), "--length", "2"], "cannot be written")):
        done = run(*arguments)
        assert done.returncode == 1 and told in done.stderr and done.stderr.count("\n") == 1, done.stderr
    compress_gguf = os.path.join(os.path.dirname(script), "compress_gguf.py")
    done = subprocess.run([sys.executable, "-S", compress_gguf, "--help"], capture_output=True, text=True)
    assert done.returncode == 1 and "MODEL.gguf --text" in done.stdout, done.stdout
    assert "pip install" in done.stderr and done.stderr.count("\n") == 1, done.stderr
print("ok")
