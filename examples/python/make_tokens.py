#!/usr/bin/env python3
"""Make a token file for `--calib` and `--eval` from a text: safetensors with one I32 matrix, [sequences, length].

    make_tokens.py MODEL TEXT --out FILE [--length 512] [--rows N] [--skip TOKENS] [--with builtin|tokenizers|llama_cpp]

MODEL is a GGUF file or a Hugging Face folder with tokenizer.json. The whole text is one string; no special tokens are added; what is left
after the last full sequence is dropped. Byte-level BPE as GPT-2 and SmolLM have it is built in; for others the package `tokenizers`
(folders) or `llama_cpp` (GGUF) must be installed. No other package is needed."""
import argparse
import array
import json
import os
import struct
import sys
import unicodedata

CONTRACTIONS = ("'s", "'t", "'re", "'ve", "'m", "'ll", "'d")


class Unsupported(Exception):
    pass


def gguf_metadata(path):
    """Keys and values of a GGUF file of version 2 or 3."""
    plain = {0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<?", 10: "<Q", 11: "<q", 12: "<d"}
    with open(path, "rb") as file:
        def number(code):
            return struct.unpack(code, file.read(struct.calcsize(code)))[0]

        def value(kind):
            if kind == 8:
                return file.read(number("<Q")).decode("utf-8", "surrogateescape")
            if kind == 9:
                kind, count = number("<I"), number("<Q")
                return [value(kind) for _ in range(count)]
            return number(plain[kind])

        if file.read(4) != b"GGUF" or number("<I") not in (2, 3):
            raise Unsupported("not a GGUF file of version 2 or 3")
        number("<Q")
        return {value(8): value(number("<I")) for _ in range(number("<Q"))}


def byte_letters():
    """GPT-2's letter for each byte: printable ones stand for themselves, the others for 256, 257, ..."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [b for b in range(256) if b not in printable]
    return {**{b: chr(b) for b in printable}, **{b: chr(256 + i) for i, b in enumerate(others)}}


def kind_of(c):
    """A blank for white space (Unicode's, to which Python adds four), "L", "N", or "." for all else."""
    category = unicodedata.category(c)[0]
    return " " if c.isspace() and not "\x1c" <= c <= "\x1f" else category if category in "LN" else "."


def words(text):
    """GPT-2's words: 's|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+"""
    at = 0
    while at < len(text):
        end = next((at + len(c) for c in CONTRACTIONS if text.startswith(c, at)), 0)
        start = at + (text[at] == " " and at + 1 < len(text) and kind_of(text[at + 1]) != " ")
        if not end:
            end, kind = start, kind_of(text[start])
            while end < len(text) and kind_of(text[end]) == kind:
                end += 1
            if kind == " " and end < len(text) and end - at > 1:
                end -= 1  # the last blank belongs to the next word
        yield text[at:end]
        at = end


class ByteLevelBpe:
    def __init__(self, vocabulary, merges, single_digits):
        self.vocabulary, self.single_digits = vocabulary, single_digits
        self.rank = {tuple(m.split(" ")) if isinstance(m, str) else tuple(m): i for i, m in enumerate(merges)}
        self.letters, self.known = byte_letters(), {}

    def word(self, word):
        parts = [self.letters[b] for b in word.encode("utf-8", "surrogateescape")]
        while len(parts) > 1:
            best = min(zip(parts, parts[1:]), key=lambda pair: self.rank.get(pair, len(self.rank)))
            if best not in self.rank:
                break
            merged, i = [], 0
            while i < len(parts):
                step = 2 if tuple(parts[i:i + 2]) == best else 1
                merged.append("".join(parts[i:i + step]))
                i += step
            parts = merged
        return [self.vocabulary[part] for part in parts]

    def pieces(self, text):
        """Digits one by one, as SmolLM has it, and what lies between them."""
        start = 0
        for i, c in enumerate(text) if self.single_digits else ():
            if unicodedata.category(c)[0] == "N":
                yield from filter(None, (text[start:i], c))
                start = i + 1
        yield text[start:]

    def encode(self, text):
        ids = []
        for piece in self.pieces(text):
            for word in words(piece):
                if word not in self.known:
                    self.known[word] = self.word(word)
                ids += self.known[word]
        return ids


def builtin(model):
    if os.path.isdir(model):
        with open(os.path.join(model, "tokenizer.json"), encoding="utf-8") as file:
            t = json.load(file)
        steps = t.get("pre_tokenizer") or {}
        steps = steps.get("pretokenizers", [steps])
        kinds = [s.get("type") for s in steps]
        plain = all(s.get("individual_digits", True) and not s.get("add_prefix_space") and s.get("use_regex", True) for s in steps)
        if t["model"].get("type") != "BPE" or t.get("normalizer") or not plain or kinds not in (["ByteLevel"], ["Digits", "ByteLevel"]):
            raise Unsupported("its tokenizer is not the byte-level BPE that is built in")
        return ByteLevelBpe(t["model"]["vocab"], t["model"]["merges"], "Digits" in kinds).encode
    meta = gguf_metadata(model)
    pre = meta.get("tokenizer.ggml.pre")
    if meta.get("tokenizer.ggml.model") != "gpt2" or pre not in ("smollm", "gpt-2"):
        raise Unsupported(f"its tokenizer ({meta.get('tokenizer.ggml.model')}, {pre}) is not the byte-level BPE that is built in")
    vocabulary = {token: i for i, token in enumerate(meta["tokenizer.ggml.tokens"])}
    return ByteLevelBpe(vocabulary, meta["tokenizer.ggml.merges"], pre == "smollm").encode


def with_tokenizers(model):
    if not os.path.isdir(model):
        raise Unsupported("the package tokenizers reads folders, not GGUF")
    from tokenizers import Tokenizer
    tokenizer = Tokenizer.from_file(os.path.join(model, "tokenizer.json"))
    return lambda text: tokenizer.encode(text, add_special_tokens=False).ids


def with_llama_cpp(model):
    if os.path.isdir(model):
        raise Unsupported("llama_cpp reads GGUF, not folders")
    from llama_cpp import Llama
    llama = Llama(model, vocab_only=True, verbose=False)
    return lambda text: llama.tokenize(text.encode(), add_bos=False, special=False)


WAYS = {"builtin": builtin, "tokenizers": with_tokenizers, "llama_cpp": with_llama_cpp}


def encoder(model, wanted):
    """The first way that can, or all the reasons why none could."""
    reasons = []
    for name in [wanted] if wanted else WAYS:
        try:
            return WAYS[name](model)
        except Unsupported as reason:
            reasons.append(f"{name}: {reason}")
        except ImportError:
            reasons.append(f"{name}: the package is not installed")
        except Exception as reason:  # of a file that is no model, or of a package that cannot read it: `tokenizers` raises plain Exceptions
            reasons.append(f"{name}: {type(reason).__name__}: {reason}")
    sys.exit(f"make_tokens.py: {model}: cannot tokenise with " + "; ".join(reasons))


def write(path, ids, rows, length, source):
    header = json.dumps({"__metadata__": {"text": source}, "tokens": {"dtype": "I32", "shape": [rows, length], "data_offsets": [0, 4 * len(ids)]}})
    header = header.encode() + b" " * (-len(header.encode()) % 8)
    data = array.array("i", ids)
    if sys.byteorder == "big":
        data.byteswap()
    with open(path + ".tmp", "wb") as file:
        file.write(struct.pack("<Q", len(header)) + header + data.tobytes())
    os.replace(path + ".tmp", path)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("text")
    parser.add_argument("--out", required=True)
    parser.add_argument("--length", type=int, default=512, help="tokens in a sequence (512)")
    parser.add_argument("--rows", type=int, help="sequences at most (all)")
    parser.add_argument("--skip", type=int, default=0, help="tokens of the text to leave out first (0)")
    parser.add_argument("--with", dest="way", choices=WAYS, help="the first that can")
    a = parser.parse_args()
    if a.length < 1 or a.skip < 0 or (a.rows is not None and a.rows < 1):
        parser.error("--length and --rows must be at least 1, --skip at least 0")
    encode = encoder(a.model, a.way)
    try:
        with open(a.text, encoding="utf-8", newline="") as file:
            ids = encode(file.read())[a.skip:]
    except (OSError, UnicodeDecodeError) as reason:
        sys.exit(f"make_tokens.py: {a.text}: no text in UTF-8 can be read there: {reason}")
    rows = min(len(ids) // a.length, a.rows or len(ids))
    if not rows:
        sys.exit(f"make_tokens.py: {a.text}: {len(ids)} tokens are less than one sequence of {a.length}")
    try:
        write(a.out, ids[:rows * a.length], rows, a.length, os.path.basename(a.text))
    except OSError as reason:
        sys.exit(f"make_tokens.py: {a.out}: cannot be written: {reason}")
    print(f"{a.out}: {rows} sequences of {a.length} tokens")


if __name__ == "__main__":
    main()
