"""The rules of docs/architecture.md that a compiler does not know: who may include and call what (arrows.py), sizes, widths, white
space, commit subjects. One "ok" or "not ok" line a rule."""
import pathlib
import re
import subprocess
import sys

import arrows

ROOT = pathlib.Path(__file__).resolve().parents[2]

# What only these places may use.
ONLY = {
    r"#include <(cblas|lapacke)\.h>": ["lib/ops/linear/blas.c"],
    r"#include <(immintrin|x86intrin|arm_neon)\.h>": ["lib/kernels/"],
    r"#include <pthread\.h>": ["lib/base/"],
    r"\b(malloc|calloc|realloc|free|aligned_alloc|posix_memalign)\(": ["lib/base/memory.c", "lib/model/"],
    r"\bgetenv\(": ["lib/api/context.c"],
    r"\b(printf|puts|putchar|abort|exit|signal|sigaction|setlocale|perror)\(": [],
    r"\b(stdout|stderr)\b": [],
}
MAX_LINES = 600
MAX_FUNCTION = 80
# Suffixes -> columns, and the folders that are wrapped. Tables in Markdown, and addresses, cannot be.
WIDTHS = {
    (".c", ".h", ".def", ".cpp", ".hpp"): (100, ("lib/", "tests/", "bench/")),
    (".md",): (120, ()),
}


def sources(*folders, suffixes=(".c", ".h")):
    for folder in folders:
        for path in sorted((ROOT / folder).rglob("*")):
            if path.suffix in suffixes:
                yield path


def places():
    for path in sources("lib"):
        name = str(path.relative_to(ROOT))
        text = arrows.code(path.read_text())
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


def widths():
    for suffixes, (most, folders) in WIDTHS.items():
        for path in tracked():
            name = str(path.relative_to(ROOT))
            if path.suffix not in suffixes or not name.startswith(folders):
                continue
            for number, line in enumerate(path.read_text().splitlines(), 1):
                if len(line) > most and not (path.suffix == ".md" and (line.startswith("|") or "://" in line)):
                    yield f"{name}:{number}: {len(line)} columns, {most} are allowed"


def purposes():
    for path in sources("lib", suffixes=(".h",)):
        if not path.read_text().startswith("/*"):
            yield f"{path.relative_to(ROOT)}: an internal header opens with one sentence on what it knows"
    for path in sources(*(f"tests/{layer}" for layer in arrows.LAYERS)):
        if not path.read_text().startswith("/*"):
            yield f"{path.relative_to(ROOT)}: a test opens with what it tests"


def formatting():
    for path in sources("lib", "include", "examples", "tests", "bench", suffixes=(".c", ".h", ".def", ".cpp", ".hpp")):
        name = path.with_suffix(".h") if path.suffix == ".def" else path # a table is C, whatever its name
        done = subprocess.run(["clang-format", "--dry-run", "-Werror", f"--assume-filename={name}"], capture_output=True, text=True,
                              input=path.read_text(), cwd=ROOT)
        if done.returncode:
            yield done.stderr.splitlines()[0].replace(str(ROOT) + "/", "")


def patience():
    for path in sources("tests"):
        if "tcase_set_timeout" in path.read_text():
            yield f"{path.relative_to(ROOT)}: no test ends by the clock (tests/patient.c)"


def documents():
    for made, maker in (("docs/api.md", "docs/make_api.py"), ("docs/architecture.svg", "docs/make_architecture.py")):
        if subprocess.run([sys.executable, ROOT / maker, "--check"]).returncode:
            yield f"{made} is not what {maker} makes of the tree: python3 {maker}"


def commits():
    log = subprocess.run(["git", "-C", ROOT, "log", "--no-merges", "--format=%h%x09%s%x09%b%x00"], capture_output=True, text=True).stdout
    for entry in filter(None, (part.strip("\n") for part in log.split("\0"))):
        commit, subject, _ = (entry.split("\t", 2) + ["", ""])[:3]
        if len(subject) > 72 or not re.match(r"[a-z0-9/,+ -]+: \S", subject) or subject.endswith("."):
            yield f"{commit}: '{subject}' is not 'area: imperative summary' of at most 72 characters"


def rules():
    yield from arrows.rules(ROOT)
    for rule in (places, sizes, widths, white_space, purposes, formatting, patience, documents, commits):
        yield rule.__name__.replace("_", " "), list(rule())


def main():
    bad = 0
    for rule, problems in rules():
        print(("not ok" if problems else "ok"), rule)
        for problem in problems:
            print("   ", problem)
        bad += bool(problems)
    return bad > 0


if __name__ == "__main__":
    sys.exit(main())
