"""The rules of docs/architecture.md that a compiler does not know: layers, who may call what, sizes, white space, commit subjects.
One "ok" or "not ok" line a rule."""
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]

# Layer -> what its files may include, besides their own folder, libc and <sparse24/...>.
LAYERS = {
    "base": {"base"},
    "kernels": {"base", "kernels"},
    "ops": {"base", "kernels", "ops"},
    "solvers": {"base", "ops", "solvers"},
    "pack": {"base", "kernels", "pack"},
    "io": {"base", "io"},
    "api": {"base", "kernels", "ops", "solvers", "pack", "io", "api"},
    "model": {"model"},
}
# What only these places may use.
ONLY = {
    r"#include <(cblas|lapacke)\.h>": ["lib/ops/blas.c"],
    r"#include <(immintrin|x86intrin|arm_neon)\.h>": ["lib/kernels/"],
    r"#include <pthread\.h>": ["lib/base/"],
    r"\b(malloc|calloc|realloc|free|aligned_alloc|posix_memalign)\(": ["lib/base/memory.c", "lib/model/"],
    r"\bgetenv\(": ["lib/api/context.c"],
    r"\b(printf|puts|putchar|abort|exit|signal|sigaction|setlocale|perror)\(": [],
    r"\b(stdout|stderr)\b": [],
}
MAX_LINES = 600
MAX_FUNCTION = 80


def sources(*folders, suffixes=(".c", ".h")):
    for folder in folders:
        for path in sorted((ROOT / folder).rglob("*")):
            if path.suffix in suffixes:
                yield path


def code(text):
    """Without comments and strings."""
    text = re.sub(r"/\*.*?\*/", lambda m: re.sub(r"[^\n]", " ", m.group()), text, flags=re.S)
    text = re.sub(r"//[^\n]*", "", text)
    return re.sub(r'"(\\.|[^"\\\n])*"', '""', text)


def layers():
    for path in sources("lib"):
        layer = path.relative_to(ROOT / "lib").parts[0]
        for line, name in re.findall(r'^(#include "([^"]+)")', path.read_text(), re.M):
            target = name.split("/")[0] if "/" in name and not (path.parent / name).exists() else layer
            if target not in LAYERS[layer]:
                yield f"{path.relative_to(ROOT)}: {line}: {layer} may include {sorted(LAYERS[layer])}"
        if layer != "model" and re.search(r"#include <sparse24/model\.h>", path.read_text()):
            yield f"{path.relative_to(ROOT)}: the core knows nothing of whole models"
    for path in sources("examples", suffixes=(".c", ".h", ".cpp", ".hpp")):
        for name in re.findall(r"^#include [<\"]([^>\"]+)[>\"]", path.read_text(), re.M):
            if name.startswith(("base/", "ops/", "kernels/", "api/", "solvers/", "pack/", "io/", "model/", "lib/")):
                yield f"{path.relative_to(ROOT)}: {name} is private"


def places():
    for path in sources("lib"):
        name = str(path.relative_to(ROOT))
        text = code(path.read_text())
        raw = path.read_text()
        for pattern, allowed in ONLY.items():
            found = re.search(pattern, raw if "include" in pattern else text)
            # A field called free or alloc is a call through a pointer, not the C library's.
            if found and not re.search(r"(->|\.)$", text[: found.start()]) and not name.startswith(tuple(allowed) or "\0"):
                yield f"{name}: {found.group()}"


def sizes():
    for path in sources("lib", "examples", "tests", "bench", suffixes=(".c", ".h", ".cpp", ".hpp")):
        lines = path.read_text().splitlines()
        if len(lines) > MAX_LINES:
            yield f"{path.relative_to(ROOT)}: {len(lines)} lines, {MAX_LINES} are allowed"
        start = 0
        for number, line in enumerate(lines, 1):
            if line == "{":
                start = number
            elif line == "}" and start and number - start > MAX_FUNCTION:
                yield f"{path.relative_to(ROOT)}:{start}: a function of {number - start} lines, {MAX_FUNCTION} are allowed"


def tracked():
    listed = subprocess.run(["git", "-C", ROOT, "ls-files"], capture_output=True, text=True).stdout.split()
    return [ROOT / name for name in listed if (ROOT / name).is_file()]


def white_space():
    for path in tracked():
        if path.suffix in (".safetensors", ".png") or path.is_relative_to(ROOT / "tests/fuzz/corpus"):
            continue
        text = path.read_text(encoding="utf-8")
        name = path.relative_to(ROOT)
        if re.search(r"[ \t]+$", text, re.M):
            yield f"{name}: trailing blanks"
        if "\t" in text and path.suffix in (".c", ".h", ".py", ".build", ".md"):
            yield f"{name}: tabs"
        if text and not text.endswith("\n"):
            yield f"{name}: no newline at the end"


def purposes():
    for path in sources("lib", suffixes=(".h",)):
        if not path.read_text().startswith("/*"):
            yield f"{path.relative_to(ROOT)}: an internal header opens with one sentence on what it knows"


def formatting():
    for path in sources("lib", "include", "examples", "tests", "bench", suffixes=(".c", ".h", ".cpp", ".hpp")):
        done = subprocess.run(["clang-format", "--dry-run", "-Werror", path], capture_output=True, text=True, cwd=ROOT)
        if done.returncode:
            yield done.stderr.splitlines()[0].replace(str(ROOT) + "/", "")


def patience():
    for path in sources("tests"):
        if "tcase_set_timeout" in path.read_text():
            yield f"{path.relative_to(ROOT)}: no test ends by the clock (tests/patient.c)"


def documents():
    if subprocess.run([sys.executable, ROOT / "docs/make_api.py", "--check"]).returncode:
        yield "docs/api.md is not what the headers say: python3 docs/make_api.py"


def commits():
    log = subprocess.run(["git", "-C", ROOT, "log", "--no-merges", "--format=%h%x09%s%x09%b%x00"], capture_output=True, text=True).stdout
    for entry in filter(None, (part.strip("\n") for part in log.split("\0"))):
        commit, subject, _ = (entry.split("\t", 2) + ["", ""])[:3]
        if len(subject) > 72 or not re.match(r"[a-z0-9/,+ -]+: \S", subject) or subject.endswith("."):
            yield f"{commit}: '{subject}' is not 'area: imperative summary' of at most 72 characters"


RULES = [layers, places, sizes, white_space, purposes, formatting, patience, documents, commits]
bad = 0
for rule in RULES:
    problems = list(rule())
    print(("not ok" if problems else "ok"), rule.__name__.replace("_", " "))
    for problem in problems:
        print("   ", problem)
    bad += bool(problems)
sys.exit(bad > 0)
