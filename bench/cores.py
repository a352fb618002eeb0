"""How sums and solvers scale: times of bench_solvers on 1, 2, 4, 8, 16 threads over one another, as a table.
Usage: cores.py BUILD-FOLDER [DIM]. A quiet machine with as many cores is needed; NAMES says what is measured."""
import json
import os
import subprocess
import sys

THREADS = (1, 2, 4, 8, 16)
NAMES = ("gram", "cholesky", "sparsegpt", "quantease", "alps")


def measure(build, dim, threads, name):
    program = os.path.join(build, "bench", "bench_solvers")
    words = [program, "--only", name, str(dim), ",".join(map(str, threads))]
    lines = subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()
    return [json.loads(line) for line in lines]


def main(build, dim="4096"):
    threads = [t for t in THREADS if t <= len(os.sched_getaffinity(0))]
    rows, machine = {}, None
    for name in NAMES:
        for line in measure(build, dim, threads, name):
            if line["bench"] == "machine":
                machine = line
            elif line["bench"] != "sgemm" or name == NAMES[0]:
                rows.setdefault((line["bench"], line["what"]), []).append(line["seconds"])
    print(f"{dim} x {dim}, {machine['blas']}; seconds, and how many times as fast as one thread\n")
    print("| | " + " | ".join(map(str, threads)) + " |\n|---" + "|---" * len(threads) + "|")
    for (name, what), seconds in rows.items():
        cells = [f"{s:.3f} ({seconds[0] / s:.1f})" for s in seconds]
        print(f"| {name} {what} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3) or sys.argv[1].startswith("-"):
        sys.exit(__doc__)
    main(*sys.argv[1:])
