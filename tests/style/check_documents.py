"""What documents show works: each block of C compiles without a warning and runs if it has a main; each indented line that calls the
program succeeds, in order, where layer.safetensors is the shipped layers.
check_documents.py CC LIBRARY.so PROGRAM LAYERS.safetensors. One "ok" or "not ok" line a document."""
import os
import pathlib
import re
import shlex
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
CC, LIBRARY, PROGRAM, LAYERS = sys.argv[1:]
WARNINGS = ["-std=c11", "-Wall", "-Wextra", "-Werror", "-I", ROOT / "include"]


def run(command, folder):
    environment = dict(os.environ, LD_LIBRARY_PATH=str(pathlib.Path(LIBRARY).resolve().parent),
                       PATH=f"{pathlib.Path(PROGRAM).resolve().parent}:{os.environ['PATH']}")
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    if done.returncode:
        yield f"{shlex.join(map(str, command))}: {(done.stderr or done.stdout).strip()}"


def blocks(text, folder):
    for number, block in enumerate(re.findall(r"^```c\n(.*?)^```", text, re.M | re.S)):
        source, program = folder / f"{number}.c", folder / f"{number}"
        if "#include <sparse24" not in block:
            block = "#include <sparse24/sparse24.h>\n" + block
        source.write_text(block)
        if "main(" in block:
            problems = list(run([CC, *WARNINGS, source, "-o", program, pathlib.Path(LIBRARY).resolve()], folder))
            yield from problems or run([program], folder)
        else:
            yield from run([CC, *WARNINGS, "-fsyntax-only", source], folder)


def shell(text, folder):
    (folder / "layer.safetensors").symlink_to(pathlib.Path(LAYERS).resolve())
    for line in re.findall(r"^    (sparse24 [a-z].*)$", re.sub(r" \\\n +", " ", text), re.M): # a line that goes on is one
        if not re.search(r"\b[A-Z]{3,}\b|\[", line): # a synopsis
            yield from run(shlex.split(line, comments=True), folder)


bad = 0
for path in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]:
    content = path.read_text()
    if path.name == "api.md" or not re.search(r"^```c$|^    sparse24 ", content, re.M): # api.md repeats the headers
        continue
    with tempfile.TemporaryDirectory() as name:
        failures = [*blocks(content, pathlib.Path(name)), *shell(content, pathlib.Path(name))]
    print("not ok" if failures else "ok", "what", path.relative_to(ROOT), "shows works")
    for failure in failures:
        print("   ", failure)
    bad += bool(failures)
sys.exit(bad > 0)
