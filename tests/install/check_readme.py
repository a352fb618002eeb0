"""README's programs and commands, as printed, against an installed prefix: check_readme.py PREFIX SCRATCH. One "ok" or "not ok" line each."""
import os
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
PREFIX, SCRATCH = (pathlib.Path(argument).resolve() for argument in sys.argv[1:])
TEXT = re.sub(r" \\\n +", " ", (ROOT / "README.md").read_text(encoding="utf-8")) # a line that goes on is one
bad = 0


def environment():
    """A shell in which only what README says was done."""
    found = {key: value for key, value in os.environ.items() if key not in ("LD_LIBRARY_PATH", "SPARSE24_LIBRARY", "PYTHONPATH")}
    found["PATH"] = f"{PREFIX / 'bin'}:{found['PATH']}"
    found["PKG_CONFIG_PATH"] = str(next(PREFIX.rglob("sparse24.pc")).parent)
    asked = ["pkg-config", "--variable=pythondir", "sparse24"]
    return {**found, "PYTHONPATH": subprocess.run(asked, env=found, capture_output=True, text=True, check=True).stdout.strip()}


def check(name, command, wanted):
    """Run a line of a shell; its output must match."""
    global bad
    done = subprocess.run(["sh", "-ec", command], cwd=SCRATCH, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    good = done.returncode == 0 and re.search(wanted, done.stdout)
    bad += not good
    print("ok" if good else "not ok", name)
    if not good:
        print("   ", done.stdout, done.stderr)


def block(language):
    return re.search(rf"^```{language}\n(.*?)^```", TEXT, re.M | re.S).group(1)


SCRATCH.mkdir(parents=True, exist_ok=True)
for name in ("layer.safetensors", "examples"):
    (SCRATCH / name).unlink(missing_ok=True)
(SCRATCH / "examples").symlink_to(ROOT / "examples")
ENVIRONMENT = environment()
(SCRATCH / "program.c").write_text(block("c"))
(SCRATCH / "program.py").write_text(block("python"))
check("README: the C program", "\n".join(re.findall(r"^    (cc program.c.*|./program)$", TEXT, re.M)), r"^relative output error 0\.\d+; the first group: ")
# Two Pythons: one with what is installed beside it, one with the standard library alone.
for options in ("", "-S"):
    check(f"README: the Python program {options}", f"python3 {options} program.py", r"^relative output error 0\.0\d+, on held-out rows 0\.0\d+$")
lines = [line for line in re.findall(r"^    ((?:sparse24|ln) .*)$", TEXT, re.M) if not re.search(r"\b[A-Z]{3,}\b", line)]
check("README: the commands", "\n".join(lines), r"(?s)magnitude .*written +o\.safetensors.*weights: obeys 2:4")
sys.exit(bad > 0)
