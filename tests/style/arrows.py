"""Who may include and call whom in lib (docs/architecture.md): between folders, between rooms of ops, between single files.
rules(root) yields (name, problems)."""
import collections
import posixpath
import re

# Layer -> what its files may include, besides their own folder, libc and <sparse24/...>.
LAYERS = {
    "base": {"base"},
    "kernels": {"base", "kernels"},
    "ops": {"base", "kernels", "ops"},
    "solvers": {"base", "ops", "solvers"},
    "pack": {"base", "kernels", "pack"},
    "io": {"base", "io"},
    "api": {"base", "ops", "solvers", "pack", "io", "api"},
    "cuda": {"base", "ops", "cuda"},
    "model": {"model"},
}
# Room of ops -> the rooms it may include.
ROOMS = {"linear": {"linear"}, "sets": {"linear", "sets"}, "steps": {"linear", "sets", "steps"}}
RUN = "lib/ops/run.h" # below all rooms
# What solvers and devices may include of ops: operations, not what they are made of.
FRONT = {"solvers": {"ops/ops.h"}, "cuda": {"ops/ops.h", "ops/ops.def", "ops/backend.h"}}
# What a solver may call of ops that is no operation: numbers from numbers, and arrays from the arena.
HELPERS = """view counting has_support over_layer tied_rows dtype_size exponent grid_groups penalty_unit penalty_grows
    admm_take admm_published split_take""".split()
# Programs and libraries on top.
CLIENTS = ("lib/model/", "examples/")


def code(text):
    """Without comments and strings."""
    text = re.sub(r"/\*.*?\*/", lambda m: re.sub(r"[^\n]", " ", m.group()), text, flags=re.S)
    text = re.sub(r"//[^\n]*", "", text)
    return re.sub(r'"(\\.|[^"\\\n])*"', '""', text)


class Tree:
    def __init__(self, root):
        self.root = root
        self.text = {}
        for folder in ("lib", "examples"):
            for path in sorted((root / folder).rglob("*")):
                if path.suffix in (".c", ".h", ".def", ".cpp", ".hpp", ".in"):
                    self.text[str(path.relative_to(root))] = path.read_text()
        self.code = {name: code(text) for name, text in self.text.items()}

    def includes(self, name):
        """(as written, the file of lib that it is or None)"""
        folder = name.rsplit("/", 1)[0]
        for written in re.findall(r'^#include [<"]([^>"]+)[>"]', self.text[name], re.M):
            places = (posixpath.normpath(f"{folder}/{written}"), f"lib/{written}")
            yield written, next((path for path in places if path in self.text), None)


def layer_of(name):
    return name.split("/")[1] if name.startswith("lib/") and name.count("/") > 1 else None


def room_of(name):
    part = name.split("/")
    return part[2] if part[:2] == ["lib", "ops"] and len(part) > 3 else None


def layers(tree):
    for name in tree.text:
        layer = layer_of(name)
        for written, path in tree.includes(name) if layer else ():
            target = layer_of(path) if path else None
            if target and target not in LAYERS[layer]:
                yield f"{name}: {written}: {layer} may include {sorted(LAYERS[layer])}"
            elif target == "ops" and layer in FRONT and path[4:] not in FRONT[layer]:
                yield f"{name}: {written}: {layer} may include {sorted(FRONT[layer])} of ops"
            elif written == "sparse24/model.h" and layer != "model":
                yield f"{name}: {written}: the core knows nothing of whole models"


def rooms(tree):
    for name in tree.text:
        for written, path in tree.includes(name) if room_of(name) else ():
            if path and layer_of(path) == "ops" and path != RUN and room_of(path) not in ROOMS[room_of(name)]:
                yield f"{name}: {written}: {room_of(name)} may include {sorted(ROOMS[room_of(name)])} of ops"


def clients(tree):
    """They know <sparse24/...> and what lies beside them."""
    for name in tree.text:
        if not name.startswith(CLIENTS):
            continue
        for written, path in tree.includes(name):
            private = path and path.startswith("lib/") and layer_of(path) != layer_of(name)
            if private or written.split("/")[0] in LAYERS.keys() - {"model"} or written.startswith("lib/"):
                yield f"{name}: {written} is private"
        for word in sorted(set(re.findall(r"\bs24i_\w+", tree.code[name]))):
            yield f"{name}: {word} is private"


def operations(tree):
    return {word for name, text in tree.code.items() if name.endswith(".def")
            for word in re.findall(r"\bS24I_OPERATION\(\d, (\w+)", text)}


def declared(tree, *folders):
    """Names that headers of these folders declare or define as functions."""
    return {word for name, text in tree.code.items() if name.startswith(folders) and name.endswith(".h")
            for word in re.findall(r"^[a-z][\w \*]*?\b(s24i_\w+)\(", text, re.M)}


def solver_calls(tree):
    """A solver calls operations, functions of base and of its own folder, and few helpers."""
    allowed = {f"s24i_{name}" for name in operations(tree).union(HELPERS)}
    allowed |= declared(tree, "lib/base/", "lib/solvers/") - declared(tree, "lib/ops/")
    of_ops = declared(tree, "lib/ops/")
    for name, text in tree.code.items():
        if name.startswith("lib/solvers/"):
            for word in sorted(set(re.findall(r"\b(s24i_\w+)\(", text))):
                if word not in allowed and (word in of_ops or word.startswith("s24i_cpu_")):
                    yield f"{name}: {word}() is no operation (lib/ops/*/*.def)"
            if re.search(r"->kernels\b|->threads\b", text):
                yield f"{name}: kernels and threads are the device's"


def kernel_calls(tree):
    """api reaches kernels through ops alone."""
    for name, text in tree.code.items():
        if name.startswith("lib/api/"):
            for word in re.findall(r"\bs24i_kernels_\w+\(|\bkernels(?:->|\.)\w+\(", text):
                yield f"{name}: {word[:-1]}: api calls no kernel"


def circles(graph):
    """Tarjan's strongly connected components of more than one node."""
    index, low, stack, found = {}, {}, [], []

    def visit(node):
        index[node] = low[node] = len(index)
        stack.append(node)
        for other in sorted(graph[node]):
            if other not in index:
                visit(other)
                low[node] = min(low[node], low[other])
            elif other in stack:
                low[node] = min(low[node], index[other])
        if low[node] == index[node]:
            part = stack[stack.index(node):]
            del stack[stack.index(node):]
            if len(part) > 1 or node in graph[node]:
                found.append(part)

    for node in sorted(graph):
        if node not in index:
            visit(node)
    return found


def include_circles(tree):
    graph = {name: {path for _, path in tree.includes(name) if path} for name in tree.text}
    for part in circles(graph):
        yield f"include each other: {', '.join(sorted(part))}"


def call_circles(tree):
    """Between source files of lib; a call through a pointer is none."""
    home = {}
    for name, text in tree.code.items():
        if name.startswith("lib/") and name.endswith(".c"):
            for match in re.finditer(r"^[a-z][\w \*]*?\b(s24i?_\w+)\([^;{}]*\)\s*\n\{", text, re.M):
                if not match.group().startswith("static"):
                    home.setdefault(match.group(1), name)
    # An operation is called by its own name; its definition is the CPU's.
    home.update({f"s24i_{word}": home[f"s24i_cpu_{word}"] for word in operations(tree)
                 if f"s24i_cpu_{word}" in home})
    graph, calls = collections.defaultdict(set), collections.defaultdict(set)
    for name, text in tree.code.items():
        if name.startswith("lib/") and name.endswith(".c"):
            graph[name] = set()
            for word in set(re.findall(r"\b(s24i?_\w+)\b", text)) & home.keys():
                if home[word] != name:
                    graph[name].add(home[word])
                    calls[name, home[word]].add(word)
    for part in circles(graph):
        arrows = [f"{a} -> {b} ({', '.join(sorted(calls[a, b]))})" for a in part for b in part if (a, b) in calls]
        yield f"call each other: {'; '.join(sorted(arrows))}"


MOST_PARAMETERS = 8
LONG = {"s24_packed_wrap"} # public, before the rule
LAUNCHES = "lib/cuda/kernels/launch.h" # take what a kernel takes: flat arrays and their extents


def parameters(tree):
    pattern = re.compile(r"^(?:static |inline |S24\w+ )*[a-z][\w \*]*?\b(\w+)\(([^;{}()]*(?:\([^()]*\)[^;{}()]*)*)\)\s*[;{]", re.M)
    for name, text in tree.code.items():
        for match in pattern.finditer(text) if name.startswith("lib/") and name != LAUNCHES else ():
            count = 1 + re.sub(r"\([^()]*\)", "", match.group(2)).count(",")
            if count > MOST_PARAMETERS and match.group(1) not in LONG:
                yield f"{name}: {match.group(1)}() has {count} parameters, {MOST_PARAMETERS} are allowed"


def rules(root):
    tree = Tree(root)
    for rule in (layers, rooms, clients, solver_calls, kernel_calls, include_circles, call_circles, parameters):
        yield rule.__name__.replace("_", " "), list(rule(tree))
