#!/usr/bin/env python3
"""The solvers on a grid on real layers, beside figures of the published codes where the folder has them.

  python3 bench/quantised.py FOLDER [--matrices k,o] [--cases "int3,int4 g128"] [--program build/examples/cli/sparse24]

FOLDER holds safetensors files with w.NAME, x.INPUT and x_test.INPUT, and perhaps baselines*.json: file -> matrix -> method -> {train, test}.
Prints held-out relative errors, and the median and the worst ratio to each published figure.
"""
import argparse, json, pathlib, statistics, subprocess, sys

INPUT_OF = {"q": "attn", "k": "attn", "v": "attn", "o": "o", "gate": "mlp", "up": "mlp", "down": "down"}
BITS = [f"int{b}{g}" for b in (4, 3) for g in ("", " g128")]
# constraint -> solvers of ours; (solver, constraint) -> the published method that it is held against, and on which rows
OURS = {case: ["rtn", "gptq", "quantease"] for case in BITS} | {"2:4+int4": ["sparsegpt[preset=paper]", "sparsegpt", "quantease"]}
for b in (4, 3):
    OURS[f"int{b}"] += ["rtn[preset=paper]", "gptq[preset=paper]", "gptq[preset=paper,order=diagonal]", "quantease[preset=paper]"]
PARITY, BETTER = [], []
for b in (4, 3):
    PARITY += [(f"rtn[preset=paper]", f"int{b}", f"rtn {b} bit"), (f"gptq[preset=paper]", f"int{b}", f"gptq {b} bit"),
               (f"gptq[preset=paper,order=diagonal]", f"int{b}", f"gptq {b} bit act-order"), (f"quantease[preset=paper]", f"int{b}", f"quantease {b} bit")]
    for solver in ("gptq", "quantease"):
        BETTER += [(solver, f"int{b}", f"gptq {b} bit act-order"), (solver, f"int{b}", f"quantease {b} bit"),
                   (solver, f"int{b} g128", f"gptq {b} bit g128 act-order mse-grid")]
PARITY += [("sparsegpt[preset=paper]", "2:4+int4", "sparsegpt 2:4 + 4 bit")]
BETTER += [(solver, "2:4+int4", "sparsegpt 2:4 + 4 bit") for solver in ("sparsegpt", "quantease")]


def matrices(folder):
    published = {}
    for path in sorted(folder.glob("baselines*.json")):
        published |= json.loads(path.read_text())
    for path in sorted(folder.glob("*.safetensors")):
        header = path.open("rb")
        tensors = json.loads(header.read(int.from_bytes(header.read(8), "little")))
        for name in sorted(t[2:] for t in tensors if t.startswith("w.") and t[2:] in INPUT_OF):
            if f"x_test.{INPUT_OF[name]}" in tensors:
                yield path, name, published.get(path.stem, {}).get(name, {}).get("methods", {})


def run(program, path, name, case, solvers, threads):
    rows = INPUT_OF[name]
    command = [program, "compare", "--weights", f"{path}:w.{name}", "--calib", f"{path}:x.{rows}", "--test", f"{path}:x_test.{rows}", "--constraints", case,
               "--solvers", ",".join(solvers), "--threads", str(threads), "--json"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(command)}\n{done.stderr}")
    return [json.loads(line) for line in done.stdout.splitlines()]


def report(title, held, ours, figure):
    print(f"\n{title}\n{'ours':36} {'constraints':12} {'published':36} {'matrices':>8} {'median':>7} {'worst':>7}")
    for solver, case, method in held:
        ratios = [mine[figure] / theirs[method][{"relative_loss": "train", "test_relative_loss": "test"}[figure]]
                  for mine, theirs in ours.get((solver, case), []) if method in theirs]
        if ratios:
            print(f"{solver:36} {case:12} {method:36} {len(ratios):8} {statistics.median(ratios):7.4f} {max(ratios):7.4f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--matrices", help="names, separated by commas; default: all")
    parser.add_argument("--cases", default=",".join(OURS))
    parser.add_argument("--solvers", help="in place of the usual ones, separated by ';'")
    parser.add_argument("--program", default=str(pathlib.Path(__file__).parents[1] / "build/examples/cli/sparse24"))
    parser.add_argument("--threads", type=int, default=0)
    args = parser.parse_args()
    ours = {}
    for path, name, published in matrices(args.folder):
        if args.matrices and name not in args.matrices.split(","):
            continue
        for case in args.cases.split(","):
            solvers = args.solvers.split(";") if args.solvers else OURS[case]
            for solver, row in zip(solvers, run(args.program, path, name, case, solvers, args.threads)):
                ours.setdefault((solver, case), []).append((row, published))
                print(f"{path.stem:24} {name:5} {case:12} {solver:36} train {row['relative_loss']:.6f}  test {row['test_relative_loss']:.6f}  {row['seconds']:.3f} s", flush=True)
    report("Calibration rows: presets that are to equal the published code", PARITY, ours, "relative_loss")
    better = BETTER if not args.solvers else [(s, c, m) for s in args.solvers.split(";") for c, m in {(c, m) for _, c, m in BETTER}]
    report("Held-out rows", better, ours, "test_relative_loss")


if __name__ == "__main__":
    main()
