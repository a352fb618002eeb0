"""Writes docs/api.md from the comments and prototypes of the public headers: python3 docs/make_api.py [--check]."""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
HEADERS = ["types", "context", "problem", "operators", "training", "solver", "result", "record", "packed", "tensorfile", "model"]


def text(comment):
    """The comment as Markdown: paragraphs and lists as they are, lines that begin with two blanks as code."""
    out, open_block = [], None
    for line in comment.removeprefix("/**").removesuffix("*/").strip().splitlines():
        line = re.sub(r"^\s*\* ?", "", line.rstrip())
        kind = "" if not line else "list" if line.startswith("- ") else "code" if line.startswith("  ") else "text"
        if kind == "code" and open_block == "list":
            kind = "more"
        if kind and kind != open_block and kind != "more":
            out.append("")
        out.append("    " + line.strip() if kind == "code" else line)
        open_block = open_block if kind == "more" else kind
    return re.sub(r"\n{3,}", "\n\n", "\n".join(out)).strip()


def entries(source):
    """(comment, code) pairs: each documentation comment with the declarations up to the next blank line or comment."""
    for match in re.finditer(r"/\*\*(?!<)(?:(?!\*/).)*\*/\n((?:(?!\n\n|/\*\*(?!<)).)*)", source, re.S):
        code = match.group(1).strip()
        comment = match.group()[: match.start(1) - match.start()].strip()
        if not code.startswith(("#ifdef", "#include")):
            yield text(comment), code.replace("S24_API ", "")


def document():
    out = ["# Interface", "", "Made from the public headers by `docs/make_api.py`: do not edit.",
           "`#include <sparse24/sparse24.h>` brings all of them but model.h.", ""]
    for path in filter(pathlib.Path.is_file, (ROOT / "include/sparse24" / f"{name}.h" for name in HEADERS)):
        out += [f"## {path.name}", ""]
        for comment, code in entries(path.read_text()):
            out += ["```c", code, "```", ""] if code else []
            out += [comment, ""]
    return "\n".join(out).rstrip() + "\n"


target = ROOT / "docs/api.md"
if "--check" in sys.argv:
    sys.exit(target.read_text() != document())
target.write_text(document())
