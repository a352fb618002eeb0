"""Makes unicode_tables.inc: python3 make_unicode.py > unicode_tables.inc; and newer.inc: python3 make_unicode.py newer > newer.inc

Decompositions, lower case and marks are asked of the reference, the package tokenizers (0.23.3 was taken), character by character, so that they
are of its Unicode version; combining classes and categories are those of the package unicodedata2 (18.0.0). newer.inc holds
the characters that the reference knows and Unicode 14 does not, by category; it needs Python 3.11, whose unicodedata is that version."""
import sys
import unicodedata

import unicodedata2 as ucd
from tokenizers import Regex, normalizers

POINTS = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000 and not 0xAC00 <= c < 0xAC00 + 11172]
POINTS_SET = set(POINTS)
NFD, NFKD, NFC, LOWER, STRIP = normalizers.NFD(), normalizers.NFKD(), normalizers.NFC(), normalizers.Lowercase(), normalizers.StripAccents()
WORD = {"Nd", "Nl", "Pc"}
CIRCLED = [(0x24B6, 0x24E9), (0x1F130, 0x1F149), (0x1F150, 0x1F169), (0x1F170, 0x1F189)]


def numbers(kind, name, values):
    print(f"static const {kind} {name}[] = {{")
    line = "   "
    for value in values:
        word = f" {value:#x}," if value > 9 else f" {value},"
        if len(line) + len(word) > 100:
            print(line)
            line = "   "
        line += word
    print(line)
    print("};")


def ranges(test):
    found = []
    for c in range(0x110000):
        if not test(c):
            continue
        if found and found[-1][1] == c - 1:
            found[-1][1] = c
        else:
            found.append([c, c])
    return [edge for pair in found for edge in pair]


def expansions(name, change):
    """Sorted characters, where the texts that they become begin, and those texts."""
    keys, starts, texts = [], [0], []
    for c in POINTS:
        text = change(c)
        if text is not None:
            keys.append(c)
            texts += map(ord, text)
            starts.append(len(texts))
    numbers("uint32_t", name + "_keys", keys)
    numbers("uint16_t", name + "_starts", starts)
    numbers("uint32_t", name + "_texts", texts)


def changed(normalizer, unless=None):
    def change(c):
        text = normalizer.normalize_str(chr(c))
        return None if text == chr(c) or (unless and text == unless.normalize_str(chr(c))) else text
    return change


def pairs():
    """Pairs that are composed: the first character, the second, the whole."""
    found = []
    for c in POINTS:
        text = ucd.decomposition(chr(c))
        parts = [int(part, 16) for part in text.split()] if text and text[0] != "<" else []
        if len(parts) == 2 and NFC.normalize_str("".join(map(chr, parts))) == chr(c):
            found.append((*parts, c))
    return [value for triple in sorted(found) for value in triple]


def newer():
    """For each category, and group of them, what a class of a regular expression needs beside it."""
    assert unicodedata.unidata_version == "14.0.0"
    text = "".join(map(chr, (c for c in range(0x110000) if unicodedata.category(chr(c)) == "Cn")))
    known = {}
    for name in "Lu Ll Lt Lm Lo Mn Mc Me Nd Nl No Pc Pd Ps Pe Pi Pf Po Sm Sc Sk So".split():
        known[name] = set(map(ord, normalizers.Replace(Regex(rf"[^\p{{{name}}}]+"), "").normalize_str(text)))
    for group in "LMNPS":
        known[group] = set().union(*(found for name, found in known.items() if name[0] == group))
    print("/* Made by make_unicode.py: what the package tokenizers knows beyond Unicode 14. */")
    print("static const struct {\n    const char *name, *ranges;\n} newer[] = {")
    for name, found in sorted(known.items()):
        edges = ranges(found.__contains__)
        words = [f"\\\\x{{{a:x}}}" + (f"-\\\\x{{{b:x}}}" if b > a else "") for a, b in zip(edges[::2], edges[1::2])]
        if words:
            lines = ["".join(words[i:i + 4]) for i in range(0, len(words), 4)]
            print(f'    {{"{name}",\n     ' + "\n     ".join(f'"{line}"' for line in lines) + "},")
    print("};")
    return 0


def main():
    if sys.argv[1:] == ["newer"]:
        return newer()
    print(f"/* Made by make_unicode.py: {ucd.unidata_version} and the package tokenizers. */")
    expansions("canonical", changed(NFD))
    expansions("compatible", changed(NFKD, NFD))
    expansions("lower", changed(LOWER))
    numbers("uint32_t", "composed", pairs())
    classes = [(c, ucd.combining(chr(c))) for c in POINTS if ucd.combining(chr(c))]
    runs = []
    for c, value in classes:
        if runs and runs[-1][1] == c - 1 and runs[-1][2] == value:
            runs[-1][1] = c
        else:
            runs.append([c, c, value])
    numbers("uint32_t", "combining", [value for run in runs for value in run])
    category = [ucd.category(chr(c)) for c in range(0x110000)]
    numbers("uint32_t", "marks", ranges(lambda c: c in POINTS_SET and not STRIP.normalize_str(chr(c))))
    numbers("uint32_t", "word", ranges(lambda c: category[c][0] in "LM" or category[c] in WORD or any(a <= c <= b for a, b in CIRCLED)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
