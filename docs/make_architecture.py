"""Draws docs/architecture.svg from the #include lines of the tree: python3 docs/make_architecture.py [--check].

Rooms and their places are listed below, arrows are found. An arrow that follows from others is left out; a circle, an arrow upwards
or a folder without a place is an error."""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]

# Room: left, top, width, height, what it holds. Rooms of folders that do not exist are not drawn.
ROOMS = {
    "examples/cli": (40, 20, 290, 56, "the program sparse24"),
    "examples/python": (355, 20, 290, 56, "a module over ctypes, torch, GGUF"),
    "examples": (670, 20, 290, 56, "numbered programs, C++, an engine"),
    "lib/model": (40, 120, 420, 56, "libsparse24-model: whole language models"),
    "examples/llama": (40, 120, 290, 56, "a forward pass, stage by stage"),
    "include/sparse24": (40, 220, 920, 56, "the public interface: handles, string options, one transparent struct"),
    "lib/api": (60, 310, 880, 56, "handles, checks of arguments, texts; no arithmetic on matrices"),
    "lib/solvers": (60, 410, 430, 56, "one method a file, written in operations"),
    "lib/ops": (60, 510, 430, 56, "ops.h, ops.def: one row an operation, the device seam"),
    "lib/ops/steps": (60, 610, 130, 72, "what a method\nrepeats"),
    "lib/ops/sets": (210, 610, 130, 72, "one constraint\na file"),
    "lib/ops/linear": (360, 610, 130, 72, "products, sums,\nfactors, losses"),
    "lib/cuda": (510, 510, 130, 56, "the seam on a GPU"),
    "lib/pack": (510, 610, 200, 72, "one packed layout\na file"),
    "lib/io": (740, 610, 200, 72, "safetensors, GGUF,\nfolders"),
    "lib/kernels": (60, 726, 650, 56, "flat inner loops: ref, lanes, avx2, avx512 return equal bits"),
    "lib/base": (60, 826, 880, 56, "errors, memory, threads, options, text; knows nothing above it"),
}
# Folders and files that are drawn with another room.
WITH = {"examples/compress": "examples/cli", "lib/ops/run.h": "lib/ops/linear", "include/sparse24/model.h": "lib/model"}
OUTSIDE = ("examples", "lib/model", "include")
CORE = (40, 220, 920, 682)


def room_of(name):
    """The room of a path relative to the root, or None."""
    for path in (pathlib.PurePosixPath(name), *pathlib.PurePosixPath(name).parents):
        found = WITH.get(str(path), str(path))
        if found in ROOMS:
            return found
        if path.parent == pathlib.PurePosixPath("lib") and "/" in name[4:]:
            sys.exit(f"{name}: give {path} a place in docs/make_architecture.py")
    return None


def target(path, line):
    """The room that an #include names, or None for system headers."""
    kind, name = line
    if name.startswith("sparse24/"):
        return room_of("include/" + name)
    if kind == "<":
        return None
    for base in (path.parent, ROOT / "lib", *(ROOT / room for room in [*WITH, *ROOMS])):
        found = (base / name).resolve()
        if found.is_file():
            return room_of(found.relative_to(ROOT).as_posix())
    return None


def found_arrows():
    arrows = set()
    for path in sorted([*(ROOT / "lib").rglob("*"), *(ROOT / "examples").rglob("*")]):
        if path.suffix not in (".c", ".h", ".cpp", ".hpp", ".def", ".py"):
            continue
        source, text = room_of(path.relative_to(ROOT).as_posix()), path.read_text(encoding="utf-8")
        for line in re.findall(r'^\s*#include ([<"])([^>"]+)', text, re.M):
            arrows.add((source, target(path, line)))
        if path.suffix == ".py":  # loads the libraries by name
            arrows |= {(source, room) for room, so in (("include/sparse24", "libsparse24.so"), ("lib/model", "libsparse24-model")) if so in text}
    # The interface is the core's upper edge: all of the core sees its types, its handles are api's.
    arrows = {(a, b) for a, b in arrows if a and b and a != b and not (b == "include/sparse24" and not a.startswith(OUTSIDE))}
    return arrows | {("include/sparse24", "lib/api")}


def reduced(arrows):
    """Without what follows from others."""
    def reach(start, without):
        seen, todo = set(), [start]
        while todo:
            at = todo.pop()
            for a, b in arrows:
                if a == at and (a, b) != without and b not in seen:
                    seen.add(b)
                    todo.append(b)
        return seen

    for a, b in arrows:
        if a in reach(b, None):
            sys.exit(f"docs/architecture.svg: a circle of includes through {a} and {b}")
    return sorted((a, b) for a, b in arrows if b not in reach(a, (a, b)))


def line_of(a, b, taken):
    """Points of an arrow: straight down where the rooms overlap, else sideways."""
    (ax, ay, aw, ah), (bx, by, bw, bh) = ROOMS[a][:4], ROOMS[b][:4]
    if ay == by:
        return [(ax + aw, ay + ah / 2), (bx, by + bh / 2)] if ax < bx else [(ax, ay + ah / 2), (bx + bw, by + bh / 2)]
    if ay > by:
        sys.exit(f"docs/architecture.svg: an arrow upwards, {a} includes {b}")
    left, right = max(ax, bx), min(ax + aw, bx + bw)
    x = (left + right) / 2
    if left >= right:
        return [(ax + aw / 2, ay + ah), (bx + bw / 2, by)]
    for room, (rx, ry, rw, rh, _) in ROOMS.items():  # nothing may lie in the way
        if room in taken and room not in (a, b) and ay + ah <= ry < by and rx <= x <= rx + rw:
            x = right - 15 if rx + rw < right else left + 15
    return [(x, ay + ah), (x, by)]


def drawing():
    arrows = found_arrows()
    rooms = [room for room in ROOMS if room in {end for arrow in arrows for end in arrow}]
    out = ['<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1000 940" font-family="Helvetica, Arial, sans-serif">',
           "<title>Rooms of libsparse24 and what includes what</title>",
           '<defs><marker id="tip" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="8" markerHeight="8" orient="auto">'
           '<path d="M0 1 L9 5 L0 9 z" fill="#5b6b7c"/></marker></defs>',
           '<rect width="1000" height="940" fill="#ffffff"/>',
           '<rect x="{}" y="{}" width="{}" height="{}" rx="8" fill="#f6f8fa" stroke="#b6c2cf" stroke-dasharray="6 4"/>'.format(*CORE),
           '<text x="940" y="295" font-size="14" fill="#5b6b7c" text-anchor="end">libsparse24</text>']
    for a, b in reduced(arrows):
        points = " ".join(f"{x:g},{y:g}" for x, y in line_of(a, b, rooms))
        out.append(f'<polyline points="{points}" fill="none" stroke="#5b6b7c" stroke-width="1.5" marker-end="url(#tip)"/>')
    for room in rooms:
        x, y, width, height, holds = ROOMS[room]
        fill = "#fff8e6" if room.startswith("examples") else "#e9f2e6" if room in ("lib/model", "include/sparse24") else "#e8f0fa"
        out.append(f'<rect x="{x}" y="{y}" width="{width}" height="{height}" rx="5" fill="{fill}" stroke="#8fa1b3"/>')
        out.append(f'<text x="{x + width / 2:g}" y="{y + 23}" font-size="16" font-weight="bold" fill="#1f2d3a" text-anchor="middle">{room}</text>')
        for row, words in enumerate(holds.split("\n")):
            out.append(f'<text x="{x + width / 2:g}" y="{y + 43 + 17 * row}" font-size="13.5" fill="#3b4a59" text-anchor="middle">{words}</text>')
    out.append('<text x="40" y="928" font-size="13.5" fill="#5b6b7c">An arrow: includes. Made from the #include lines by '
               "docs/make_architecture.py; what follows from other arrows is left out.</text>")
    return "\n".join([*out, "</svg>"]) + "\n"


svg = ROOT / "docs/architecture.svg"
if "--check" in sys.argv:
    sys.exit(not svg.is_file() or svg.read_text(encoding="utf-8") != drawing())
svg.write_text(drawing(), encoding="utf-8")
