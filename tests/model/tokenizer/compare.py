"""Ids against the package `tokenizers` on random strings, special tokens as text and as such: compare.py [--strings N] [FILE.json ...]
Needs tokenizers, SPARSE24_LIBRARY and SPARSE24_MODEL_LIBRARY; without the package it ends with status 77. One "ok" or "not ok" line a file."""
import argparse
import pathlib
import random
import sys
import unicodedata

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[2] / "examples/python"))

import sparse24  # noqa: E402

try:
    import tokenizers
except ImportError:
    print("the package tokenizers is not installed")
    sys.exit(77)

from make_tokenizers import ENGLISH, OTHERS  # noqa: E402

NASTY = sorted(set(OTHERS) | set("'sStTdDlLrReEvVmM0123456789!?.,;:-_/\\#$%&()[]{}<>|`~^+=*@\"\n\r\t   "))
PIECES = ["<|endoftext|>", "<s>", "</s>", "<unk>", "<0x0A>", "▁", "  ", "\n\n", "\r\n", "'LL", "'ſ", "x" * 20, "12345", "[MASK]", "names", "#"]
ASSIGNED = [c for c in range(0x110000) if unicodedata.category(chr(c)) not in ("Cn", "Cs")]


def strings(count, seed):
    draw = random.Random(seed)
    for i in range(count):
        size, kind = draw.randrange(1, 60), i % 6
        if kind == 0:
            yield "".join(draw.choices(NASTY, k=size))
        elif kind == 1:
            yield "".join(map(chr, draw.choices(ASSIGNED, k=size)))
        elif kind == 2:
            at = draw.randrange(len(ENGLISH))
            yield ENGLISH[at:at + 3 * size]
        elif kind == 3:
            yield "".join(draw.choice([draw.choice(NASTY), chr(draw.choice(ASSIGNED)), chr(draw.randrange(32, 127)), " ", "the "]) for _ in range(size))
        elif kind == 4:
            yield "".join(chr(draw.randrange(32, 127)) for _ in range(size))
        else:
            yield "".join(draw.choices(PIECES, k=size // 4 + 1))


def differences(path, texts):
    reference, ours = tokenizers.Tokenizer.from_file(str(path)), sparse24.Tokenizer(path)
    for special in (False, True):
        reference.encode_special_tokens = not special
        for text in texts:
            ids = reference.encode(text).ids
            if ours.encode(text, special=special) != ids:
                yield f"special={special} {text!r}: {ours.encode(text, special=special)} instead of {ids}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--strings", type=int, default=10000)
    parser.add_argument("--seed", type=int, default=24)
    parser.add_argument("files", nargs="*", type=pathlib.Path)
    options = parser.parse_args()
    texts, bad = list(strings(options.strings, options.seed)), False
    for path in options.files or sorted(HERE.glob("*.json")):
        found = list(differences(path, texts))
        print("not ok" if found else "ok", f"{path.name}: {len(found)} of {2 * len(texts)} differ")
        for text in found[:5]:
            print("   ", text)
        bad |= bool(found)
    return bad


if __name__ == "__main__":
    sys.exit(main())
