"""clang's static analyser over every source of the library, as build/compile_commands.json compiles it. Any report fails.
analyze.py BUILD"""
import concurrent.futures
import json
import pathlib
import re
import shlex
import subprocess
import sys

BUILD = pathlib.Path(sys.argv[1])
commands = {}
for entry in json.loads((BUILD / "compile_commands.json").read_text()):
    if re.search(r"\blib/\w+/.*\.c$", entry["file"]):
        commands[entry["file"]] = entry # once, though tests may compile it too


def analyze(entry):
    kept = [word for word in shlex.split(entry["command"])[1:] if re.match(r"-(I|D|std|m|isystem)", word)]
    done = subprocess.run(["clang", "--analyze", "-Xclang", "-analyzer-output=text", "-Xclang", "-analyzer-werror", *kept, entry["file"]],
                          cwd=entry["directory"], capture_output=True, text=True)
    return done.stderr if done.returncode or "warning:" in done.stderr else ""


with concurrent.futures.ThreadPoolExecutor(2) as pool:
    reports = [report for report in pool.map(analyze, commands.values()) if report]
for report in reports:
    print(report)
print("not ok" if reports else "ok", f"- {len(commands)} files analysed, {len(reports)} with reports")
sys.exit(bool(reports) or not commands)
