"""Lines of the library that the suites ran, from a build with -Db_coverage=true: one row a folder, then what was not run.
coverage.py BUILD; exit status 1 when base, api or io have less than 95 %, or all less than 85 %."""
import collections
import gzip
import json
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[1]
LEAST = {"base": 95, "api": 95, "io": 95}
LEAST_OF_ALL = 85

runs = collections.defaultdict(lambda: collections.defaultdict(int)) # file -> line -> executions
with tempfile.TemporaryDirectory() as folder:
    notes = [str(path.resolve()) for path in pathlib.Path(sys.argv[1]).rglob("lib/**/*.gcno")]
    subprocess.run(["gcov", "--json-format", "--preserve-paths", *notes], cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    for path in pathlib.Path(folder).glob("*.gcov.json.gz"):
        document = json.loads(gzip.open(path).read())
        directory = pathlib.Path(document["current_working_directory"])
        for file in document["files"]:
            source = (directory / file["file"]).resolve()
            if source.is_relative_to(ROOT / "lib"):
                for line in file["lines"]:
                    runs[source.relative_to(ROOT / "lib")][line["line_number"]] += line["count"]

totals = collections.defaultdict(lambda: [0, 0])
for file, lines in runs.items():
    for name in (file.parts[0], "all"):
        totals[name][0] += sum(count > 0 for count in lines.values())
        totals[name][1] += len(lines)
bad = not runs
for name, (covered, count) in sorted(totals.items()):
    share, least = 100 * covered / count, LEAST_OF_ALL if name == "all" else LEAST.get(name, 0)
    bad |= share < least
    print(f"{'not ok' if share < least else 'ok'} - {name:8} {covered:5} of {count:5} lines, {share:5.1f} %")
print("\nnot run:")
for file, lines in sorted(runs.items()):
    text = (ROOT / "lib" / file).read_text().splitlines()
    for number, count in sorted(lines.items()):
        if not count:
            print(f"lib/{file}:{number}: {text[number - 1].strip()}")
sys.exit(bad)
