#!/usr/bin/env python3
"""Sparse plus low rank on real layers, beside figures of the published codes where the folder has them.

  python3 bench/lowrank.py FOLDER [--solvers "hassle;hassle[preset=3basil]"] [--program build/examples/cli/sparse24]
  python3 bench/lowrank.py FOLDER --curve FILE:MATRIX OUT.svg     held-out error against time, each point a solve of its own

FOLDER as for quantised.py. Prints held-out relative errors, the median and the worst ratio to 3BASiL's, and seconds.
"""
import argparse, math, pathlib, statistics

from quantised import matrices, run

CASES = ["2:4+rank 64", "2:4+rank 16", "2:8+rank 64"]
CURVES = {"default": ("hassle[max_iter=%d]", [8, 16, 32, 64, 128, 256], "#1b6ca8"), "3basil": ("hassle[preset=3basil,max_iter=%d]", [10, 30, 100, 200, 400, 800], "#c2571a"),
          "paper, SparseGPT": ("hassle[preset=paper,max_iter=%d]", [1, 3, 10, 30, 80], "#4a8f3c"), "paper, ALPS": ("hassle[preset=paper,sparse=alps,max_iter=%d]", [1, 3, 10, 30, 80], "#7a4fa0")}


def table(args):
    for case in CASES:
        ratios = {}
        for path, name, published in matrices(args.folder):
            figure = published.get("3basil " + case.replace("+", " + "))
            if not figure:
                continue
            solvers = args.solvers.split(";")
            for title, line in zip(solvers, run(args.program, path, name, case, solvers, args.threads)):
                ratios.setdefault(title, []).append((line["test_relative_loss"] / figure["test"], line["relative_loss"] / figure["train"], line["seconds"]))
                print(f"{path.stem:24} {name:5} {case:12} {title:28} {line['test_relative_loss']:.5f}  3BASiL {figure['test']:.5f}  {line['seconds']:.2f} s", flush=True)
        for title, r in ratios.items():
            print(f"{case} {title}: held out {statistics.median(x[0] for x in r):.3f} in the median, {max(x[0] for x in r):.3f} at worst; "
                  f"calibration {statistics.median(x[1] for x in r):.3f}, {max(x[1] for x in r):.3f}; {sum(x[2] for x in r):.1f} s")


def curve(args):
    stem, name = args.curve[0].split(":")
    path = args.folder / f"{stem}.safetensors"
    points = {}
    for title, (solver, counts, _) in CURVES.items():
        points[title] = [(line["seconds"], line["test_relative_loss"]) for count in counts for line in run(args.program, path, name, CASES[0], [solver % count], args.threads)]
        print(title, points[title], flush=True)
    pathlib.Path(args.curve[1]).write_text(draw(points, f"{stem}, {name}, {CASES[0]}"))


def draw(points, title):
    """Both axes logarithmic."""
    flat = [p for line in points.values() for p in line]
    low_x, high_x = math.log10(min(p[0] for p in flat)), math.log10(max(p[0] for p in flat))
    low_y, high_y = math.log10(min(p[1] for p in flat)), math.log10(max(p[1] for p in flat))
    width, height, left, top = 640, 400, 70, 40
    x = lambda v: left + (math.log10(v) - low_x) / (high_x - low_x) * (width - left - 20)
    y = lambda v: height - 50 - (math.log10(v) - low_y) / (high_y - low_y) * (height - top - 50)
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="12">', f'<rect width="{width}" height="{height}" fill="white"/>',
           f'<text x="{left}" y="22" font-size="14">{title}: held-out relative error against seconds</text>']
    steps = [m * 10.0 ** e for e in range(-5, 4) for m in (1, 2, 5)]
    for v in steps:
        if low_x <= math.log10(v) <= high_x:
            out.append(f'<path d="M{x(v):.1f} {top}V{height - 50}" stroke="#ddd"/><text x="{x(v):.1f}" y="{height - 32}" text-anchor="middle">{v:g}</text>')
        if low_y <= math.log10(v) <= high_y:
            out.append(f'<path d="M{left} {y(v):.1f}H{width - 20}" stroke="#ddd"/><text x="{left - 6}" y="{y(v) + 4:.1f}" text-anchor="end">{v:g}</text>')
    out.append(f'<text x="{(left + width) / 2:.0f}" y="{height - 12}" text-anchor="middle">seconds</text>')
    for k, (name, line) in enumerate(points.items()):
        colour = CURVES[name][2]
        out.append(f'<path d="M{" L".join(f"{x(a):.1f} {y(b):.1f}" for a, b in line)}" fill="none" stroke="{colour}" stroke-width="2"/>')
        out += [f'<circle cx="{x(a):.1f}" cy="{y(b):.1f}" r="3" fill="{colour}"/>' for a, b in line]
        out.append(f'<text x="{width - 150}" y="{top + 20 + 18 * k}" fill="{colour}">{name}</text>')
    return "\n".join(out + ["</svg>\n"])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--solvers", default="hassle;hassle[preset=3basil]")
    parser.add_argument("--program", default="build/examples/cli/sparse24")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--curve", nargs=2)
    args = parser.parse_args()
    curve(args) if args.curve else table(args)


if __name__ == "__main__":
    main()
