"""The public headers as Python sees them: their functions, callbacks, constants and struct, in the words of sparse24.PROTOTYPES.

python3 tests/python/prototypes.py --update     writes what is made from them in examples/python/sparse24.py
"""
import pathlib
import re
import sys
import textwrap

ROOT = pathlib.Path(__file__).resolve().parents[2]
MODULE = ROOT / "examples/python/sparse24.py"


def headers():
    """All public headers without comments, in the order of sparse24.h."""
    folder = ROOT / "include/sparse24"
    names = re.findall(r'^#include "(\w+\.h)"', (folder / "sparse24.h").read_text(), re.M)
    return re.sub(r"/\*.*?\*/", "", "\n".join((folder / name).read_text() for name in names), flags=re.S)


def model_header():
    """That of the second library, which sparse24.h does not bring."""
    return re.sub(r"/\*.*?\*/", "", (ROOT / "include/sparse24/model.h").read_text(), flags=re.S)


def word(declaration):
    """ "const s24_mat *dst" -> "mat*", "int64_t rows" -> "int64", "const char **name" -> "text*", "char *out" -> "void*"."""
    base, stars = re.match(r"(\w+)\s*(\**)", declaration.replace("const ", "").strip()).groups()
    base = re.sub(r"^s24_|_t$", "", base)
    if base == "char" and "const" not in declaration:
        return "void" + stars  # room that is written to
    return "text" + stars[1:] if base == "char" else base + stars


def arguments(text):
    text = re.sub(r"\s+", " ", text).strip()
    return [] if text == "void" else [word(argument) for argument in text.split(",")]


def functions(text=None):
    """(result, name, arguments) of every exported function."""
    for result, name, text in re.findall(r"^S24_API ([\w ]+?[ *]+)(s24_\w+)\(([^;]*)\);", text or headers(), re.M):
        yield word(result), name, arguments(text)


def callbacks():
    """(result, name, arguments) of every function type."""
    for result, name, text in re.findall(r"typedef ([\w ]+?[ *]+)\(\*s24_(\w+_fn)\)\(([^;]*)\);", headers()):
        yield word(result), name, arguments(text)


def enums():
    """For each enum the (name, value) pairs as text, without S24_."""
    for body in re.findall(r"enum \{(.*?)\}", headers(), re.S):
        yield re.findall(r"S24_(\w+) = (-?\w+)", body)


def fields():
    """(type word, name) of each field of s24_mat."""
    body = re.search(r"typedef struct s24_mat \{(.*?)\}", headers(), re.S).group(1)
    for kind, names in re.findall(r"(void \*|\w+ )([^;]+);", body):
        for name in names.split(","):
            yield word(kind), name.strip()


def generated():
    """What sparse24.py holds between its two marks."""
    lines = []
    for pairs in enums():
        names, values = (", ".join(part) for part in zip(*pairs))
        lines += textwrap.wrap(f"({names}) = ({values})", 140, subsequent_indent=" ")
    for title, text in ("PROTOTYPES", headers()), ("MODEL_PROTOTYPES", model_header()):
        table = "; ".join(f"{result} {name}({', '.join(words)})".replace(" ", "~") for result, name, words in functions(text))
        prototypes = [line.replace("~", " ") for line in textwrap.wrap(table, 150)]  # broken between functions only
        lines += ["", f'{title} = """', *prototypes, '"""']
    return "\n".join(["# begin", *lines, "# end"])


def update(text):
    return re.sub(r"# begin\n.*?# end$", lambda _: generated(), text, flags=re.S | re.M)


if __name__ == "__main__":
    if sys.argv[1:] != ["--update"]:
        sys.exit(__doc__)
    MODULE.write_text(update(MODULE.read_text()))
