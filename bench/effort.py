"""Perplexity against minutes for each level of `sparse24 compress --effort`, as one SVG figure.

    python3 bench/effort.py --program build/examples/cli/sparse24 --model M.gguf --calib TEXT --eval TEXT [--eval TEXT] --rows 64 --out effort.svg
    python3 bench/effort.py --from effort.json --out effort.svg

Each level is one run in a new folder; what it says in JSON is kept beside the figure (effort.json), so that the figure can be drawn again and
levels that are there already are not run again. Minutes are those of the whole run, evaluations included, on --threads threads; processor minutes
stand in the file too. `--more` hands further options to every run, such as "--more=--tune-epochs 2". Needs nothing but Python."""
import argparse
import json
import os
import resource
import shlex
import subprocess
import sys
import tempfile
import time

LEVELS = ("fast", "default", "best")
WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 640, 360, 64, 150, 40, 48
COLOURS = ("#1c7ed6", "#e8590c", "#2f9e44", "#9c36b5")


def processor_seconds():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def run(a, level):
    with tempfile.TemporaryDirectory(dir=a.scratch) as folder:
        command = [a.program, "compress", a.model, "--constraints", a.constraints, "--effort", level, "--rows", str(a.rows), "--eval-rows", str(a.eval_rows),
                   "--threads", str(a.threads), "--heldout", "0", "--json", "--out", os.path.join(folder, "out"), "--calib", a.calib]
        for text in a.eval:
            command += ["--eval", text]
        command += shlex.split(a.more)
        began, before = time.time(), processor_seconds()
        said = subprocess.run(command, stdout=subprocess.PIPE, text=True)
        if said.returncode:
            sys.exit(f"effort: {shlex.join(command)} failed")
        last = json.loads(said.stdout.splitlines()[-1])
        keys = ["" if i == 0 else f"_{i + 1}" for i in range(len(a.eval))]
        return {"level": level, "minutes": (time.time() - began) / 60, "processor_minutes": (processor_seconds() - before) / 60,
                "dense": [last["perplexity_before" + key] for key in keys], "perplexity": [last["perplexity_after" + key] for key in keys]}


def nice(low, high, count=5):
    """Round steps between two numbers."""
    raw = (high - low) / count
    power = 10.0 ** len(str(int(1 / raw))) ** -1 if raw < 1 else 10.0 ** (len(str(int(raw))) - 1)
    power = min((10.0 ** e for e in range(-3, 6)), key=lambda p: abs(raw / p - 2))
    step = min((power * f for f in (0.5, 1, 2, 5)), key=lambda s: abs(s - raw))
    first = int(low / step)
    return [i * step for i in range(first, int(high / step) + 2) if low <= i * step <= high]


def draw(found, out):
    runs, names = found["runs"], found["eval"]
    most = 1.05 * max(one["minutes"] for one in runs)
    values = [v for one in runs for v in one["perplexity"] + one["dense"]]
    low, high = 0.95 * min(values), 1.05 * max(values)

    def x(minutes):
        return LEFT + (WIDTH - LEFT - RIGHT) * minutes / most

    def y(value):
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * (value - low) / (high - low)

    lines = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="12">',
             f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>',
             f'<text x="{LEFT}" y="20" font-size="14">{found["title"]}</text>']
    for value in nice(low, high):
        lines.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y(value):.1f}" y2="{y(value):.1f}" stroke="#dee2e6"/>'
                     f'<text x="{LEFT - 6}" y="{y(value) + 4:.1f}" text-anchor="end">{value:g}</text>')
    for minutes in nice(0, most):
        lines.append(f'<line x1="{x(minutes):.1f}" x2="{x(minutes):.1f}" y1="{TOP}" y2="{HEIGHT - BOTTOM}" stroke="#dee2e6"/>'
                     f'<text x="{x(minutes):.1f}" y="{HEIGHT - BOTTOM + 16}" text-anchor="middle">{minutes:g}</text>')
    lines.append(f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 8}" text-anchor="middle">minutes on {found["threads"]} threads</text>')
    lines.append(f'<text transform="translate(16 {(TOP + HEIGHT - BOTTOM) / 2}) rotate(-90)" text-anchor="middle">perplexity</text>')
    for i, name in enumerate(names):
        colour = COLOURS[i % len(COLOURS)]
        points = " ".join(f"{x(one['minutes']):.1f},{y(one['perplexity'][i]):.1f}" for one in runs)
        dense = runs[0]["dense"][i]
        lines.append(f'<polyline fill="none" stroke="{colour}" points="{points}"/>')
        lines.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y(dense):.1f}" y2="{y(dense):.1f}" stroke="{colour}" stroke-dasharray="4 4"/>')
        for one in runs:
            lines.append(f'<circle cx="{x(one["minutes"]):.1f}" cy="{y(one["perplexity"][i]):.1f}" r="3" fill="{colour}"/>')
            lines.append(f'<text x="{x(one["minutes"]) + 6:.1f}" y="{y(one["perplexity"][i]) - 6:.1f}">{one["level"]} {one["perplexity"][i]:.1f}</text>')
        lines.append(f'<rect x="{WIDTH - RIGHT + 12}" y="{TOP + 18 * i}" width="12" height="12" fill="{colour}"/>'
                     f'<text x="{WIDTH - RIGHT + 30}" y="{TOP + 10 + 18 * i}">{name}</text>')
    lines.append(f'<text x="{WIDTH - RIGHT + 12}" y="{TOP + 18 * len(names) + 12}" fill="#868e96">dashed: dense</text></svg>')
    with open(out, "w", encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, fallback in (("program", "sparse24"), ("model", None), ("calib", None), ("constraints", "2:4"), ("more", ""), ("scratch", None), ("from", None)):
        parser.add_argument("--" + name, default=fallback)
    for name, fallback in (("rows", 64), ("eval-rows", 0), ("threads", 2)):
        parser.add_argument("--" + name, type=int, default=fallback)
    parser.add_argument("--eval", action="append", default=[])
    parser.add_argument("--levels", default=",".join(LEVELS))
    parser.add_argument("--out", required=True)
    a = parser.parse_args()
    kept = getattr(a, "from") or os.path.splitext(a.out)[0] + ".json"
    found = {"runs": []}
    if os.path.exists(kept):
        with open(kept, encoding="utf-8") as file:
            found = json.load(file)
    if not getattr(a, "from"):
        if not (a.model and a.calib and a.eval):
            parser.error("--model, --calib and --eval are needed")
        title = f"{os.path.basename(a.model)}, {a.constraints}, {a.rows} rows"
        if found.get("title", title) != title:
            parser.error(f"{kept} is of {found['title']}: give another --out")
        found.update(title=title, threads=a.threads, eval=[os.path.basename(text) for text in a.eval])
        for level in a.levels.split(","):
            if level in [one["level"] for one in found["runs"]]:
                continue
            found["runs"].append(run(a, level))
            with open(kept, "w", encoding="utf-8") as file:
                json.dump(found, file, indent=1)
            print(json.dumps(found["runs"][-1]), flush=True)
    draw(found, a.out)


main()
