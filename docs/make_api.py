"""Writes docs/api.md from the comments and prototypes of the public headers: python3 docs/make_api.py [--check]."""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
HEADERS = ["types", "context", "problem", "operators", "solver", "result", "packed", "tensorfile", "model"]


def text(comment):
    lines = [re.sub(r"^\s*\*? ?", "", line) for line in comment.strip("/* \n").replace("/**", "").replace("*/", "").splitlines()]
    return re.sub(r"\s+", " ", " ".join(lines)).strip()


def entries(source):
    """(comment, code) pairs: each documentation comment with the declarations up to the next blank line or comment."""
    for match in re.finditer(r"/\*\*(?!<)(.*?)\*/\n((?:(?!\n\n|/\*\*(?!<)).)*)", source, re.S):
        code = match.group(2).strip()
        if code and not code.startswith("#ifdef"):
            yield text(match.group(1)), code.replace("S24_API ", "")


def document():
    out = ["# Interface", "", "Made from the public headers by `docs/make_api.py`: do not edit. `#include <sparse24/sparse24.h>` brings all of them but model.h.", ""]
    for name in HEADERS:
        out += [f"## {name}.h", ""]
        for comment, code in entries((ROOT / "include/sparse24" / f"{name}.h").read_text()):
            out += ["```c", code, "```", "", comment, ""]
    return "\n".join(out).rstrip() + "\n"


target = ROOT / "docs/api.md"
if "--check" in sys.argv:
    sys.exit(target.read_text() != document())
target.write_text(document())
