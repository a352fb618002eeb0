"""Small tokenizers of every kind that lib/model/tokenizer reads, and the ids that the package `tokenizers` (0.23.3) gives for some texts.
Usage: make_tokenizers.py FOLDER. Needs tokenizers, numpy, safetensors; run once, the files are kept. NAME.json are tokenizers that were
trained here on the texts below; expected.safetensors holds the texts (`bytes`, and where each ends, `ends`) and of each tokenizer its ids
(`NAME`), where those of each text end (`NAME.ends`), and what the ids of a text become again (`NAME.bytes`, `NAME.back`)."""
import base64
import json
import pathlib
import random
import struct
import sys

import numpy as np
from safetensors.numpy import save_file
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

ENDINGS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
SPACES = r"\s*[\r\n]+|\s+(?!\S)|\s+"
UPPER, LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
SIGNS = r" ?[^\s\p{L}\p{N}]+[\r\n]*|" + SPACES
SLASH = r" ?[^\s\p{L}\p{N}]+[\r\n/]*|" + SPACES
GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
BEFORE = r"[^\r\n\p{L}\p{N}]?"


def cased(end):
    return f"{BEFORE}{UPPER}*{LOWER}+{end}|{BEFORE}{UPPER}+{LOWER}*{end}"


# As the models' own files have them; the names are those of tokenizer.ggml.pre.
PATTERNS = {
    "gpt-2": [GPT2],
    "llama-bpe": [rf"{ENDINGS}|{BEFORE}\p{{L}}+|\p{{N}}{{1,3}}|{SIGNS}"],
    "qwen2": [rf"{ENDINGS}|{BEFORE}\p{{L}}+|\p{{N}}|{SIGNS}"],
    "qwen35": [rf"{ENDINGS}|{BEFORE}[\p{{L}}\p{{M}}]+|\p{{N}}| ?[^\s\p{{L}}\p{{M}}\p{{N}}]+[\r\n]*|{SPACES}"],
    "gpt-4o": [cased(ENDINGS + "?") + rf"|\p{{N}}{{1,3}}|{SLASH}"],
    "tekken": [cased("") + rf"|\p{{N}}|{SLASH}"],
    "deepseek-v3": [r"\p{N}{1,3}", "[一-龥぀-ゟ゠-ヿ]+",
                    r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|" + SPACES],
    "bloom": [" ?[^(\\s|.,!?…。，、।۔،)]+"],
}
WHOLE = {"llama-bpe", "tekken"}

ENGLISH = """The quick brown fox doesn't jump over the lazy dog; it's sleeping, they're resting and we'll wait. In 1984, 12345 people read
"The Art of Computer Programming" (volumes 1-3).  I'd say THEY'VE seen 3.14159 of it: 100% of nothing. Mixed CaseWords, snake_case_names,
camelCaseNames and HTTPServer's URLs like https://example.org/a/b?c=d#e are cut elsewhere than plain words are.

    for (int i = 0; i < n; i++) { sum += a[i] * b[i]; }   // the loop
\tdef f(x):\r\n\t\treturn x ** 2 if x else None\n\n\n"""
OTHERS = """Größe, naïve façade, Ωμέγα, Ёлка, ﬁne ﬂour, ½ + ¾ = 1¼, x² + y³, Ⅷ, ①②, ｆｕｌｌ　ｗｉｄｔｈ
中文字符，日本語のテキスト、한국어 문장。 हिन्दी में, தமிழ், ไทยไม่เว้นวรรค, עִבְרִית, العَرَبِيَّة، فارسی ۱۲۳
e\u0301 a\u0308\u0323 n\u0303 \u1112\u1161\u11ab \u212b \u2126 \u0340\u0341 \ufb01 \u1e9b\u0323 \u0958 \u2adc
\U0001fae8 \U0001fadc \U0001e290 \U00016d63 \U0001ccf0 \U0001e5d0 new; 👩‍👩‍👧‍👦 🏳️‍🌈 🇩🇪🇯🇵 👍🏽 ❤️ 𝒳𝔜𝕫 \U0001d15e \u180e \u200b\u200d\ufeff\u00ad \u00a0\u1680\u2003\u2028\u2029\u202f\u3000\x85
'S 'T 'RE 'ſ K's \u0000 \u0001 \x7f \ufffd \ufffe \U0010fffd <|endoftext|> <s> </s> <0x0A> ▁ ▁▁ #comment [MASK]
"""


def random_texts(count):
    """Of characters that tokenizers stumble over, some of them newer than Unicode 14, which PCRE2 need not know."""
    draw = random.Random(24)
    nasty = sorted(set(OTHERS) | set("'sStTdDlLrReEvVmM0123456789!?.,;:-_/\\#$%&()[]{}<>|`~^+=*@\"\n\r\t   "))
    pieces = ["<|endoftext|>", "<s>", "</s>", "\r\n", "  ", "\n\n", "'LL", "the ", " The", "中文", "12345", "▁", "e\u0301", "\u180e"]
    for _ in range(count):
        yield "".join(draw.choice(pieces if draw.random() < .2 else nasty) for _ in range(draw.randrange(1, 24)))


TEXTS = [ENGLISH, OTHERS, "", " ", "a", "\n", "  two  blanks  ", "x" * 100, " " * 70 + "y", "ab" * 50, *random_texts(60)]


def byte_level(patterns, normalizer=None, whole=False):
    tokenizer = Tokenizer(models.BPE(ignore_merges=whole))
    tokenizer.normalizer = normalizer
    steps = [pre_tokenizers.Split(Regex(pattern), "isolated") for pattern in patterns]
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([*steps, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    tokenizer.decoder = decoders.ByteLevel()
    return train(tokenizer, 400, ["<|endoftext|>"], pre_tokenizers.ByteLevel.alphabet())


def train(tokenizer, size, special, alphabet=()):
    trainer = trainers.BpeTrainer(vocab_size=size, special_tokens=special, initial_alphabet=list(alphabet), show_progress=False)
    tokenizer.train_from_iterator([ENGLISH, OTHERS, ENGLISH], trainer)
    return tokenizer


def falcon():
    """Steps of other types, one of them behind the letters of bytes."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Punctuation("contiguous"), pre_tokenizers.ByteLevel(add_prefix_space=False), pre_tokenizers.Digits(individual_digits=False),
        pre_tokenizers.Split(Regex("[0-9][0-9][0-9]"), "isolated")])
    tokenizer.decoder = decoders.ByteLevel()
    train(tokenizer, 400, ["<|endoftext|>"], pre_tokenizers.ByteLevel.alphabet())
    tokenizer.add_tokens([AddedToken("[MASK]", lstrip=True), AddedToken("names", single_word=True, normalized=False), AddedToken("#", rstrip=True)])
    return tokenizer


def behaviours():
    """Every behaviour of Split, strings and inverted patterns."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(",", "merged_with_previous"), pre_tokenizers.Split(Regex(r"\s"), "merged_with_next"),
        pre_tokenizers.Split(Regex(r"[0-9]"), "contiguous"), pre_tokenizers.Split(Regex(r"[^;]+"), "removed", invert=True),
        pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=True, use_regex=True)])
    tokenizer.decoder = decoders.ByteLevel()
    return train(tokenizer, 380, ["<|endoftext|>"], pre_tokenizers.ByteLevel.alphabet())


def sentencepiece(unknown_bytes):
    """As Llama 2's: no steps, blanks are U+2581, unknown characters their bytes."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=unknown_bytes))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    special = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256) if unknown_bytes)]
    trainer = trainers.BpeTrainer(vocab_size=520, special_tokens=special, limit_alphabet=90, show_progress=False)
    normal = tokenizer.normalizer.normalize_str(ENGLISH)
    # Without a pre-tokenizer a text is one word of which nothing is learnt.
    tokenizer.pre_tokenizer = pre_tokenizers.Split("▁", "merged_with_next")
    tokenizer.train_from_iterator([normal, normal, normal], trainer)
    values = json.loads(tokenizer.to_str())
    values["pre_tokenizer"] = None
    values["added_tokens"] = [token for token in values["added_tokens"] if not token["content"].startswith("<0x")]
    # As the converters of models do: all pairs whose whole is a piece, by its rank.
    pieces = values["model"]["vocab"]
    rank = {piece: id for piece, id in pieces.items() if not (piece.startswith("<") and piece.endswith(">"))}
    pairs = [(rank[piece], piece[:i], piece[i:]) for piece in rank for i in range(1, len(piece)) if piece[:i] in rank and piece[i:] in rank]
    values["model"]["merges"] = [[a, b] for _, a, b in sorted(pairs)]
    values["post_processor"] = {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}},
                                                                         {"Sequence": {"id": "A", "type_id": 0}}],
                                "pair": [], "special_tokens": {"<s>": {"id": "<s>", "ids": [1], "tokens": ["<s>"]}}}
    return Tokenizer.from_str(json.dumps(values))


def charsmap(changes):
    """The table of SentencePiece: a double array (Darts-clone's units) whose leaves say where in a string of texts each change begins."""
    texts, starts = b"", {}
    for key, text in sorted(changes.items()):
        starts[key.encode()] = len(texts)
        texts += text.encode() + b"\0"
    units, taken = {0: 0}, {0}

    def place(prefix, node):
        after = sorted({key[len(prefix)] for key in starts if key.startswith(prefix) and len(key) > len(prefix)})
        leaf = prefix in starts
        codes = ([0] if leaf else []) + after
        base = next(base for base in range(1, 1 << 20) if all((base ^ code) not in taken for code in codes))
        units[node] = units.get(node, 0) | (base ^ node) << 10 | (256 if leaf else 0)
        taken.update(base ^ code for code in codes)
        if leaf:
            units[base] = starts[prefix] | 1 << 31
        for code in after:
            units[base ^ code] = code
        for code in after:
            place(prefix + bytes([code]), base ^ code)

    place(b"", 0)
    array = [units.get(i, 0) for i in range((max(units) | 255) + 1)]
    return struct.pack(f"<I{len(array)}I", 4 * len(array), *array) + texts


def unigram(normalizer, pre_tokenizer, **options):
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer, tokenizer.pre_tokenizer = normalizer, pre_tokenizer
    tokenizer.decoder = decoders.Metaspace(prepend_scheme="always")
    trainer = trainers.UnigramTrainer(vocab_size=300, special_tokens=["<unk>", "<s>", "</s>"], unk_token="<unk>", show_progress=False)
    tokenizer.train_from_iterator([ENGLISH] * 3 + [OTHERS], trainer)
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 2)])
    return tokenizer


def all_tokenizers():
    normal = {"qwen2": normalizers.NFC(), "qwen35": normalizers.NFC(), "gpt-4o": normalizers.Sequence([normalizers.NFKD(), normalizers.StripAccents(),
                                                                                                      normalizers.Lowercase()])}
    for name, patterns in PATTERNS.items():
        yield name, byte_level(patterns, normal.get(name), name in WHOLE)
    yield "falcon", falcon()
    yield "behaviours", behaviours()
    yield "sentencepiece", sentencepiece(True)
    yield "unknown", sentencepiece(False)
    yield "unigram", unigram(normalizers.NFKC(), pre_tokenizers.Metaspace())
    table = charsmap({"ｆ": "f", "ｕ": "u", "e\u0301": "é", "½": "1/2", "\u3000": " ", "\n": " ", "ﬁ": "fi", "\u200b": "", "👍": "ok"})
    yield "charsmap", unigram(normalizers.Sequence([normalizers.Precompiled(table), normalizers.Strip(left=False, right=True), normalizers.Replace(Regex(" {2,}"), "▁")]),
                              pre_tokenizers.Metaspace(prepend_scheme="first"))


def joined(parts, dtype):
    return np.array([x for part in parts for x in part], dtype), np.cumsum([len(part) for part in parts]).astype(np.int32)


def main(folder):
    folder = pathlib.Path(folder)
    arrays = {}
    arrays["bytes"], arrays["ends"] = joined([text.encode() for text in TEXTS], np.uint8)
    for name, tokenizer in all_tokenizers():
        text = json.dumps(json.loads(tokenizer.to_str()), ensure_ascii=False, separators=(",", ":"))
        (folder / f"{name}.json").write_text(text + "\n", encoding="utf-8")
        tokenizer = Tokenizer.from_str(text)
        for special in (False, True):
            tokenizer.encode_special_tokens = not special
            ids = [tokenizer.encode(one).ids for one in TEXTS]
            suffix = ".special" if special else ""
            arrays[name + suffix], arrays[name + suffix + ".ends"] = joined(ids, np.int16)
        back = [tokenizer.decode(one, skip_special_tokens=False).encode() for one in ids]
        arrays[name + ".bytes"], arrays[name + ".back"] = joined(back, np.uint8)
    save_file(arrays, folder / "expected.safetensors")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
