"""Is a sparsity better spread over the parts of a model unevenly? Measured with whole compressions by `sparse24 compress`.

    python3 bench/allocate.py --program sparse24 --model M.gguf --calib TEXT --eval TEXT --eval OTHER --rows 8 --budget 50 --out FOLDER

1. The model is compressed to each of --levels, the same sparsity everywhere; the records give each matrix's error at each level.
2. A unit is the attention or the MLP of a block. Its curve is the sum of its matrices' relative errors over the weights that it loses. On the lower
   convex hull of each curve the cheapest step is taken, again and again, until the budget is met (greedy is optimal on convex curves). No unit leaves
   --least .. --most, which may be told for each kind: --most mlp=60,attention=70.
3. The model is compressed with these sparsities as rules, in FOLDER/recipe.txt, and uniformly, and both are measured on every text.

What is allocated wins only if it does on all texts. Each run is a new folder; finished ones are kept in FOLDER/runs.json and not run again."""
import argparse
import json
import os
import subprocess
import sys
import tempfile

ATTENTION = ("q_proj", "k_proj", "v_proj", "qkv_proj", "o_proj")


def compress(a, constraints, rules):
    command = [a.program, "compress", a.model, "--calib", a.calib, "--rows", str(a.rows), "--constraints", constraints, "--heldout", "0", "--json", "--eval-rows", str(a.eval_rows),
               "--threads", str(a.threads), *a.more.split()]
    for rule in rules:
        command += ["--rule", rule]
    for text in a.eval:
        command += ["--eval", text]
    with tempfile.TemporaryDirectory(dir=a.scratch) as folder:
        said = subprocess.run([*command, "--out", os.path.join(folder, "out")], stdout=subprocess.PIPE, text=True)
    if said.returncode:
        sys.exit(f"allocate: {' '.join(command)} failed")
    *matrices, last = map(json.loads, said.stdout.splitlines())
    keys = ["" if i == 0 else f"_{i + 1}" for i in range(len(a.eval))]
    return {"matrices": [{key: one[key] for key in ("matrix", "layer", "size", "zeros", "relative_loss")} for one in matrices],
            "zeros": last["zeros"], "size": last["size"], "dense": [last["perplexity_before" + key] for key in keys],
            "perplexity": [last["perplexity_after" + key] for key in keys]}


class Runs:
    def __init__(self, a):
        self.a, self.path = a, os.path.join(a.out, "runs.json")
        os.makedirs(a.out, exist_ok=True)
        self.done = json.load(open(self.path, encoding="utf-8")) if os.path.exists(self.path) else {}

    def get(self, constraints, rules=()):
        key = " ".join([constraints, *rules])
        if key not in self.done:
            self.done[key] = compress(self.a, constraints, rules)
            with open(self.path, "w", encoding="utf-8") as file:
                json.dump(self.done, file)
        return self.done[key]


def unit_of(one):
    return int(one["layer"]), "attention" if one["matrix"] in ATTENTION else "mlp"


def hull(points):
    """The lower convex hull of points with rising first coordinates."""
    kept = []
    for x, y, level in points:
        while len(kept) > 1 and (kept[-1][1] - kept[-2][1]) * (x - kept[-1][0]) >= (y - kept[-1][1]) * (kept[-1][0] - kept[-2][0]):
            kept.pop()
        kept.append((x, y, level))
    return kept


def limits(text, fallback):
    found = {"attention": fallback, "mlp": fallback}
    for word in filter(None, text.split(",")):
        kind, _, value = word.rpartition("=")
        for name in [kind] if kind else found:
            found[name] = float(value)
    return found


def allocate(a, runs):
    """The level of each unit."""
    least, most, curves, size = limits(a.least, 0), limits(a.most, 100), {}, 0
    for level in a.levels:
        run, sums = runs.get(f"{level:g}%"), {}
        size = run["size"]
        for one in run["matrices"]:
            unit = sums.setdefault(unit_of(one), [0, 0])
            unit[0] += one["zeros"]
            unit[1] += one["relative_loss"]
        for unit, (zeros, loss) in sums.items():
            if least[unit[1]] <= level <= most[unit[1]]:
                curves.setdefault(unit, []).append((zeros, loss, level))
    curves = {unit: hull(points) for unit, points in curves.items()}
    at = dict.fromkeys(curves, 0)
    zeros, wanted = sum(points[0][0] for points in curves.values()), a.budget / 100 * size
    while zeros < wanted:
        steps = [((p[at[u] + 1][1] - p[at[u]][1]) / (p[at[u] + 1][0] - p[at[u]][0]), u) for u, p in curves.items() if at[u] + 1 < len(p)]
        if not steps:
            sys.exit("allocate: the limits leave no room for the budget")
        unit = min(steps)[1]
        before, after = curves[unit][at[unit]], curves[unit][at[unit] + 1]
        share = min(1, (wanted - zeros) / (after[0] - before[0]))  # the last step may be a part of one
        zeros += share * (after[0] - before[0])
        if share < 1:
            curves[unit][at[unit] + 1] = (before[0] + share * (after[0] - before[0]), after[1], before[2] + share * (after[2] - before[2]))
        at[unit] += 1
    return {unit: points[at[unit]][2] for unit, points in curves.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, fallback in (("program", "sparse24"), ("model", None), ("calib", None), ("least", ""), ("most", ""), ("more", "--solver sparsegpt --no-self"),
                           ("levels", "30,40,50,60,70"), ("scratch", None), ("out", None)):
        parser.add_argument("--" + name, default=fallback, required=name in ("model", "calib", "out"))
    for name, fallback in (("rows", 8), ("eval-rows", 0), ("threads", 0)):
        parser.add_argument("--" + name, type=int, default=fallback)
    parser.add_argument("--budget", type=float, default=50)
    parser.add_argument("--eval", action="append", required=True)
    a = parser.parse_args()
    a.levels = sorted(float(level) for level in a.levels.split(","))
    runs = Runs(a)
    levels = allocate(a, runs)
    words = {"attention": "self_attn", "mlp": "mlp"}
    rules = [f"model.layers.{layer}.{words[kind]}.*={level:.4g}%" for (layer, kind), level in sorted(levels.items())]
    with open(os.path.join(a.out, "recipe.txt"), "w", encoding="utf-8") as file:
        file.write("".join(f"rule {rule}\n" for rule in rules))
    uniform, made = runs.get(f"{a.budget:g}%"), runs.get(f"{a.budget:g}%", rules)
    print(f"{'text':22}{'dense':>12}{'uniform':>12}{'allocated':>12}")
    for text, *values in zip(a.eval, uniform["dense"], uniform["perplexity"], made["perplexity"]):
        print(f"{os.path.basename(text)[-22:]:22}" + "".join(f"{value:12.3f}" for value in values))
    print(f"zeros: {uniform['zeros'] / uniform['size']:.4f} uniform, {made['zeros'] / made['size']:.4f} allocated")
    wins = all(new < old for new, old in zip(made["perplexity"], uniform["perplexity"]))
    print("allocation wins on every text" if wins else "allocation does not win on every text: leave it")


main()
