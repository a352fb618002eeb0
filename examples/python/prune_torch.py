"""Prune or quantise a torch model in place, block by block: the inputs of each matrix are those of
the model as compressed so far.

    python3 prune_torch.py MODEL_FOLDER --text calibration.txt --out COMPRESSED_FOLDER

MODEL_FOLDER is anything that transformers loads as a causal language model. From a program,
compress_model() takes any torch model and any list of batches that it can be called with.

A layer here is a matrix that the model multiplies activations by, whatever module or function does
it: Linear, Conv1D, one expert of a parameter with three dimensions. The products are seen while the
model runs (TorchDispatchMode), so no kind of model needs to be known. What is not multiplied so, or
never, stays dense, and a warning names it.
"""

from __future__ import annotations

import argparse
import bisect
import contextlib
import copy
import itertools
import pathlib
import sys
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import torch
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import sparse24  # noqa: E402

# ---- Products by weights ----


def join(*names: str) -> str:
    return ".".join(filter(None, names))


class Layer(NamedTuple):
    """A matrix that is a parameter, or the part with this number of one that holds several."""

    parameter: str
    part: int | None
    outputs: int
    inputs: int
    transposed: bool

    @property
    def name(self) -> str:
        """As its module is called."""
        part = "" if self.part is None else str(self.part)
        return join(self.parameter.removesuffix(".weight"), part)

    @property
    def size(self) -> int:
        """Number of weights."""
        return self.outputs * self.inputs

    def weights(self, parameters: dict[str, torch.Tensor]) -> torch.Tensor:
        """(outputs, inputs), a view."""
        whole = parameters[self.parameter].detach()
        strides = (1, self.outputs) if self.transposed else (self.inputs, 1)
        begin = whole.storage_offset() + (self.part or 0) * self.size
        return whole.as_strided((self.outputs, self.inputs), strides, begin)


def storage(x: torch.Tensor) -> StorageWeakRef:
    """A key for the memory of a tensor; no other memory has it as long as the key exists."""
    return StorageWeakRef(x.untyped_storage())


class Watch(TorchDispatchMode):
    """While it is active, products by parameters are seen, whatever makes them."""

    def __init__(self, parameters: dict[str, torch.Tensor]) -> None:
        super().__init__()
        self.parameters = sorted(parameters.items(), key=lambda item: item[1].data_ptr())
        self.starts = [parameter.data_ptr() for _, parameter in self.parameters]

    def holder(self, w: torch.Tensor) -> tuple[str, torch.Tensor] | None:
        """The parameter in whose memory these weights begin."""
        index = bisect.bisect_right(self.starts, w.data_ptr()) - 1
        if index < 0 or not w.numel():
            return None
        name, whole = self.parameters[index]
        return (name, whole) if w.data_ptr() < self.starts[index] + whole.nbytes else None

    def layer(self, w: torch.Tensor) -> Layer | None:
        """The layer with weights w (outputs, inputs)."""
        name, whole = self.holder(w)
        plain, size = w.is_contiguous(), w.numel()
        part, left = divmod(w.data_ptr() - whole.data_ptr(), size * whole.element_size())
        if left or (part + 1) * size > whole.numel() or not (plain or w.T.is_contiguous()):
            return None
        return Layer(name, part if size < whole.numel() else None, *w.shape, not plain)

    def products(self, kind: str, arguments: tuple, named: dict) -> list[tuple]:
        """(layer, x, take) of each product x w^T of an operation; take(its result) gives it."""
        if kind.endswith(("grouped_mm", "grouped_mm_fallback")):
            found = self.grouped(*arguments, **named)
        elif kind in ("mm", "addmm", "bmm", "baddbmm") and not named:
            found = self.plain(*arguments)
        else:
            found = []
        return [product for product in found if product[0] and len(product[1])]

    def plain(self, *arguments: torch.Tensor) -> list[tuple]:
        """One product, or one for each matrix of a batch; first comes what is added."""
        *bias, x, w = arguments
        if not self.holder(w):
            return []
        if x.dim() == 2:
            return [(self.layer(w.T), x, lambda out: out - bias[0] if bias else out)]
        return [(self.layer(w[i].T), x[i], lambda out, i=i: (out - bias[0] if bias else out)[i])
                for i in range(len(x))]

    def grouped(self, x: torch.Tensor, w: torch.Tensor, offs: Any = None, *_: Any) -> list[tuple]:
        """One for each matrix of w, with the rows of x up to the next of offs."""
        if offs is None or x.dim() != 2 or w.dim() != 3 or not self.holder(w):
            return []
        parts = [slice(*ends) for ends in zip([0, *offs.tolist()], offs.tolist())]
        return [(self.layer(w[i].T), x[part], lambda out, part=part: out[part])
                for i, part in enumerate(parts)]


# ---- The blocks of a model ----


class Broken(Exception):
    """Why the blocks cannot be taken one after the other."""


class Call(NamedTuple):
    """How a block is called for one batch, but for the activations."""

    arguments: tuple
    named: dict
    keyword: str = ""  # of the activations; "": they come first

    def run(self, module: torch.nn.Module, state: torch.Tensor | None) -> Any:
        """What the block returns first. A whole model has no state: its batches are arguments."""
        if state is None:
            return first(module(*self.arguments, **self.named))
        state = state.clone()  # some blocks add to it in place
        if self.keyword:
            return first(module(*self.arguments, **self.named, **{self.keyword: state}))
        return first(module(state, *self.arguments, **self.named))


def first(out: Any) -> Any:
    return out[0] if isinstance(out, (tuple, list)) else out


def whole_call(batch: Any) -> Call:
    return Call((), dict(batch)) if isinstance(batch, Mapping) else Call((batch,), {})


def without_cache(name: str, value: Any) -> Any:
    """A cache would grow with every pass."""
    known = ("cache" in name or "past" in name) and not torch.is_tensor(value)
    return None if known or type(value).__name__.endswith("Cache") else value


def split_call(arguments: tuple, named: dict) -> tuple[torch.Tensor, Call]:
    """The activations, and how to call the block with others."""
    named = {name: without_cache(name, value) for name, value in named.items()}
    rest = tuple(without_cache("", value) for value in arguments[1:])
    names = [name for name in ("hidden_states", *named) if is_float(named.get(name))]
    if arguments and is_float(arguments[0]):
        return arguments[0], Call(rest, named)
    if arguments or not names:
        raise Broken("a block is called without activations")
    return named.pop(names[0]), Call((), named, names[0])


def is_float(value: Any) -> bool:
    return torch.is_tensor(value) and value.is_floating_point()


class Seen:
    """What the dense model's run shows of a layer."""

    def __init__(self, level: int) -> None:
        self.level = level  # how many layers its input has been through
        self.inputs: list[Layer] = []  # of each call: the first layer with the same input
        self.leader: Layer | None = None  # the first layer with the same input in all calls
        self.routed = False  # it gets some of the rows, as an expert does


class Block:
    """A module that turns activations into activations, and the layers in it."""

    def __init__(self, module: torch.nn.Module, name: str, names: list[str]) -> None:
        self.module, self.name, self.names = module, name, names
        self.calls: list[Call] = []
        self.layers: dict[Layer, Seen] = {}

    def parameters(self, module: torch.nn.Module) -> dict[str, torch.Tensor]:
        """Those of this block, or of a copy of it, by their names in the model."""
        own = dict(module.named_parameters(prefix=self.name))
        return {name: own[name] for name in self.names}

    def add_experts(self) -> None:
        """Where one matrix of a parameter with three dimensions is used, all of them may be."""
        for layer, seen in [*self.layers.items()]:
            whole = self.parameters(self.module)[layer.parameter]
            if layer.part is None or whole.dim() != 3 or layer.size != whole[0].numel():
                continue
            for other in (layer._replace(part=i) for i in range(len(whole))):
                self.layers.setdefault(other, Seen(seen.level)).routed |= seen.routed

    def find_leaders(self) -> None:
        """Layers that share all inputs share their sums."""
        leaders: dict[Any, Layer] = {}
        for layer, seen in self.layers.items():
            seen.leader = leaders.setdefault(tuple(seen.inputs) or layer, layer)


class Census(Watch):
    """The dense model's run: which layers there are, how they follow each other, and the calls of
    its blocks."""

    def __init__(self, blocks: list[Block]) -> None:
        tables = [block.parameters(block.module) for block in blocks]
        super().__init__({name: value for table in tables for name, value in table.items()})
        self.blocks = blocks
        self.owner = {name: block for block in blocks for name in block.names}
        self.states: list[torch.Tensor | None] = []
        self.order: list[Block] = []
        self.used: set[str] = set()  # parameters

    def __torch_dispatch__(self, op: Any, _: Any, arguments: tuple = (),
                           named: dict | None = None) -> Any:
        named, kind = named or {}, op.overloadpacket.__name__
        found = self.products(kind, arguments, named)
        given = [x for x in tree_leaves((arguments, named)) if torch.is_tensor(x)]
        level = max(map(self.level, given), default=0)
        self.used.update(holder[0] for holder in map(self.holder, given) if holder)
        out = op(*arguments, **named)
        for layer, x, _ in found:
            self.note(layer, x, level)
        for x in filter(torch.is_tensor, tree_leaves(out)):
            self.levels[storage(x)] = level + bool(found)
        return out

    def level(self, x: Any) -> int:
        """How many layers a value has been through, one after the other."""
        return self.levels.get(storage(x), 0) if torch.is_tensor(x) else 0

    def note(self, layer: Layer, x: torch.Tensor, level: int) -> None:
        same = storage(x), x.storage_offset(), x.shape, x.stride(), x._version, level
        seen = self.owner[layer.parameter].layers.setdefault(layer, Seen(level))
        seen.inputs.append(self.inputs.setdefault(same, layer))
        self.rows.append((seen, len(x)))

    def run(self, model: torch.nn.Module, batch: Any) -> None:
        """One batch through the model."""
        self.levels: dict[StorageWeakRef, int] = {}
        self.inputs: dict[tuple, Layer] = {}
        self.rows: list[tuple[Seen, int]] = []
        self.previous: Any = None
        before, self.order = self.order, []
        with self:
            whole_call(batch).run(model, None)
        if before and before != self.order:
            raise Broken("batches go through different blocks")
        most = max((rows for _, rows in self.rows), default=0)
        for seen, rows in self.rows:
            seen.routed |= rows != most

    def enter(self, block: Block, arguments: tuple, named: dict) -> None:
        """A block is about to run."""
        state, call = split_call(arguments, named)
        if block in self.order:
            raise Broken(f"{block.name} is called more than once")
        if self.order and not (state is self.previous or torch.equal(state, self.previous)):
            raise Broken(f"{block.name} does not get what the block before it returns")
        if any(map(self.level, tree_leaves((call.arguments, call.named)))):
            raise Broken(f"{block.name} gets more from other blocks than activations")
        if not self.order:
            self.states.append(state.clone())
        self.order.append(block)
        block.calls.append(call)

    def leave(self, out: Any) -> None:
        """A block has run."""
        self.previous = first(out)

    @contextlib.contextmanager
    def at_blocks(self) -> Iterator[None]:
        """While this holds, blocks report their calls."""
        handles = []
        for block in self.blocks:
            module, enter = block.module, lambda _, *given, block=block: self.enter(block, *given)
            handles.append(module.register_forward_pre_hook(enter, with_kwargs=True))
            handles.append(module.register_forward_hook(lambda _, __, out: self.leave(out)))
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()


def find_blocks(model: torch.nn.Module) -> tuple[str, torch.nn.Module]:
    """The modules that follow each other: of all ModuleLists, else of all Sequentials, the one with
    the most weights. A model with neither is one block."""
    for kind in (torch.nn.ModuleList, torch.nn.Sequential):
        sizes = {name: sum(p.numel() for p in module.parameters() if p.dim() > 1)
                 for name, module in model.named_modules() if isinstance(module, kind)}
        if any(sizes.values()):
            name = max(sizes, key=lambda one: sizes[one])
            return name, model.get_submodule(name)
    return "", model


def split(name: str, container: torch.nn.Module, names: dict[str, list[str]]) -> list[Block]:
    """The blocks of a container, each with its parameters among `names` (and their other names)."""
    if not isinstance(container, (torch.nn.ModuleList, torch.nn.Sequential)):
        return [Block(container, name, [*names])]
    blocks = []
    for child, module in container.named_children():
        prefix = join(name, child)
        own = [one for one in names if one.startswith(prefix + ".")]
        for other in itertools.chain(*(names[one] for one in own)):
            if not other.startswith(prefix + "."):
                raise Broken(f"{other} is used in {prefix}, too")
        blocks.append(Block(module, prefix, own))
    return blocks


class Survey:
    """What there is to do: the blocks in the order of their calls, and the first one's inputs."""

    def __init__(self, model: torch.nn.Module, batches: list) -> None:
        self.dense: dict[str, list[str]] = {}  # why parameters of the blocks stay as they are
        name, container = find_blocks(model)
        names = self.shared(model, name and name + ".")
        try:
            self.walk(model, batches, split(name, container, names))
        except Broken as reason:
            warnings.warn(f"{reason}: the model is taken as one block, which is slow", stacklevel=4)
            self.walk(model, batches, [Block(model, "", [*names])])
        for block in self.blocks:
            self.sort_out(block)

    def shared(self, model: torch.nn.Module, prefix: str) -> dict[str, list[str]]:
        """The matrices inside the blocks, with all of their names. Shared ones stay dense."""
        every: dict[int, list[str]] = {}
        for name, value in model.named_parameters(remove_duplicate=False):
            if value.dim() > 1 and value.numel() and not name.endswith("bias"):
                every.setdefault(value.data_ptr(), []).append(name)
        found = {}
        for names in every.values():
            inside = [name for name in names if name.startswith(prefix)]
            others = [name for name in names if name not in inside]
            owners = [model.get_submodule(name.rpartition(".")[0]) for name in names]
            if any(isinstance(owner, torch.nn.Embedding) for owner in owners):
                others = ["an embedding"] if inside else []
            if inside and others:
                self.stay(f"shared with {others[0]}", inside[0])
            elif inside:
                found[inside[0]] = inside
            elif any(name.startswith(one) for one in self.lists(model, prefix) for name in others):
                self.stay(f"outside of the blocks {prefix[:-1]}", others[0])
        return found

    @staticmethod
    def lists(model: torch.nn.Module, prefix: str) -> list[str]:
        """Other lists of modules than the blocks and what they are in."""
        kinds = (torch.nn.ModuleList, torch.nn.Sequential)
        names = [name + "." for name, module in model.named_modules() if isinstance(module, kinds)]
        return [name for name in names if not prefix.startswith(name) and name != "."]

    def stay(self, why: str, *names: str) -> None:
        """These stay as they are."""
        self.dense.setdefault(why, []).extend(names)

    def walk(self, model: torch.nn.Module, batches: list, blocks: list[Block]) -> None:
        """The dense model's run. A block that is the model itself needs no activations."""
        census = Census(blocks)
        whole = blocks[0].module is model
        with contextlib.nullcontext() if whole else census.at_blocks():
            for batch in batches:
                census.run(model, batch)
        if whole:
            census.states = [None] * len(batches)
            blocks[0].calls = [whole_call(batch) for batch in batches]
        self.states, self.used = census.states, census.used
        self.blocks = blocks if whole else census.order
        for block in blocks:
            if block not in self.blocks:
                self.stay("never used with these batches", *block.names)

    def sort_out(self, block: Block) -> None:
        """Keep the layers of parameters that are covered by them once, name the others."""
        block.add_experts()
        for name, value in block.parameters(block.module).items():
            layers = [layer for layer in block.layers if layer.parameter == name]
            covered = sum(layer.size for layer in layers) / value.numel()
            if covered < 1:
                why = "not multiplied by activations" + (", or in part" if covered else "")
                self.stay(why if name in self.used else "never used with these batches", name)
            if covered > 1:
                self.stay("multiplied by in several ways", name)
                for layer in layers:
                    del block.layers[layer]
        block.find_leaders()


# ---- One block ----


class Stop(Exception):
    """The rest of this forward pass is not needed."""


class Pass(Watch):
    """One run of a block for one batch, as far as needed: inputs and products of some layers."""

    def __init__(self, parameters: dict[str, torch.Tensor], inputs: Iterable[Layer],
                 products: Iterable[Layer], early: bool,
                 routes: Iterable[torch.Tensor] = ()) -> None:
        super().__init__(parameters)
        self.inputs: dict[Layer, list[torch.Tensor]] = {layer: [] for layer in inputs}
        self.made: dict[Layer, list[torch.Tensor]] = {layer: [] for layer in products}
        self.early = early  # each layer comes once, so the last one is the end
        self.given = iter(routes)  # another run's choice of experts, which this one takes over
        self.routes: list[torch.Tensor] = []

    def __torch_dispatch__(self, op: Any, _: Any, arguments: tuple = (),
                           named: dict | None = None) -> Any:
        named, kind = named or {}, op.overloadpacket.__name__
        found = self.products(kind, arguments, named)
        for layer, x, _ in found:
            self.keep(self.inputs, layer, x)
        out = op(*arguments, **named)
        for layer, _, take in found:
            if layer in self.made:
                self.keep(self.made, layer, take(out))
        return self.route(out, *arguments, **named) if kind == "topk" else out

    def keep(self, kept: dict[Layer, list[torch.Tensor]], layer: Layer, x: torch.Tensor) -> None:
        if layer in kept:
            kept[layer].append(x)
        if self.early and all(self.inputs.values()) and all(self.made.values()):
            raise Stop

    def route(self, out: Any, x: torch.Tensor, k: int, dim: int = -1, *_: Any, **__: Any) -> Any:
        """So that the same rows go to the same experts in both runs."""
        chosen = next(self.given, None)
        if chosen is not None and chosen.shape == out[1].shape:
            out = x.gather(dim, chosen), chosen
        self.routes.append(out[1])
        return out

    def run(self, call: Call, module: torch.nn.Module, state: torch.Tensor | None) -> Any:
        with contextlib.suppress(Stop), self:
            return call.run(module, state)
        return None


def rows(x: torch.Tensor) -> torch.Tensor:
    return x.flatten(0, -2).float()


def writers(block: Block, state: torch.Tensor | None) -> list[Layer]:
    """The layers that write to the residual stream: the one, two or three whose products, added to
    the block's input, are its output but for a bias. Empty when none fit."""
    if state is None or state.dim() < 2:
        return []
    seen = Pass(block.parameters(block.module), (), block.layers, False)
    out = seen.run(block.calls[0], block.module, state)
    if not is_float(out) or out.shape != state.shape or len(rows(out)) < 2:
        return []
    change, total = rows(out) - rows(state), float(rows(out).norm())
    fitting = {layer: made[0].float() for layer, made in seen.made.items()
               if len(made) == 1 and made[0].shape == change.shape}

    def misfit(names: tuple[Layer, ...]) -> float:
        left = change - sum(fitting[name] for name in names)
        return float((left - left.mean(0)).norm())

    tries = [names for count in (1, 2, 3) for names in itertools.combinations(fitting, count)]
    best = min(tries, key=misfit, default=())
    most = 0.02 * float(change.norm()) + torch.finfo(state.dtype).eps * total
    return [*best] if best and misfit(best) <= most else []


def stages(block: Block, layers: Iterable[Layer], writing: list[Layer]) -> list[list[Layer]]:
    """Layers in the order of their calls, those that do not depend on each other together; but of
    those that write to the residual stream one at a time: they must not repair the same error."""
    found: dict[tuple[int, int], list[Layer]] = {}
    for layer in layers:
        level = block.layers[layer].level
        before = writing[:writing.index(layer)] if layer in writing else []
        rank = sum(block.layers[one].level == level for one in before)
        found.setdefault((level, rank), []).append(layer)
    return [found[key] for key in sorted(found)]


def host(x: torch.Tensor) -> torch.Tensor:
    return x.detach().cpu()


def near(x: torch.Tensor) -> torch.Tensor:
    """Where the library works: as it is on the context's GPU, else on the host."""
    on_gpu = x.is_cuda and sparse24.default_context()["device"] != "cpu"
    return x.detach() if on_gpu else host(x)


@contextlib.contextmanager
def at(name: str) -> Iterator[None]:
    """Errors of the library name the layer."""
    try:
        yield
    except sparse24.Sparse24Error as error:
        raise sparse24.Sparse24Error(error.status, f"{name}: {error}") from None


class Work(NamedTuple):
    """What was asked of every layer."""

    constraints: str
    solver: str
    correct: float
    options: str

    def solver_for(self, problem: sparse24.Problem) -> sparse24.Solver:
        """As `sparse24 compress` has it: the first solver that can do it unless one is asked for,
        and damping that carries to other texts unless the options say otherwise."""
        solver = sparse24.Solver(self.solver or self.best(problem))
        solver.parse(self.options)
        options = solver.options()
        given = any(name in options and solver.is_set(name) for name in ("damp_rule", "damp"))
        published = "preset" in options and solver["preset"] == "paper"
        if "damp_rule" in options and not given and not published:
            solver.set(damp_rule="transfer")
        return solver

    @staticmethod
    def best(problem: sparse24.Problem) -> str:
        for name in ("alps", "quantease", "hassle"):
            try:
                sparse24.Solver(name).memory(problem)
                return name
            except sparse24.Sparse24Error as error:
                if error.status != sparse24.E_UNSUPPORTED:
                    return name
        return "alps"  # it says itself what it cannot do

    def check(self, layer: Layer, w: torch.Tensor) -> None:
        """Can this be done at all? Asked before the work."""
        with at(f"{layer.name} (skip leaves it dense)"):
            problem = sparse24.Problem(w, None, self.constraints)
            self.solver_for(problem).memory(problem)

    def check_done(self, layer: Layer, w: torch.Tensor) -> None:
        """Do these weights obey the constraints? Under a rank only a whole result tells."""
        if "rank" not in self.constraints:
            with at(layer.name):
                sparse24.Problem(w, None, self.constraints).check(w)


class Inputs:
    """What the layers with one input learn of it."""

    def __init__(self, count: int) -> None:
        self.gram = sparse24.Gram(count)
        self.alive = torch.zeros(count, dtype=torch.bool)

    def add(self, x: torch.Tensor, targets: dict) -> None:
        """Rows of a batch, with what each layer should give for them."""
        self.gram.add(x, targets=targets)
        self.alive |= host((x != 0).any(0))


class Sums:
    """Of one stage of a block, over all batches: the inputs of its layers and their targets."""

    def __init__(self, block: Block, stage: list[Layer], writing: list[Layer],
                 original: Any) -> None:
        self.block, self.original = block, original
        self.seen = {layer: block.layers[layer] for layer in stage}
        self.parameters = block.parameters(block.module)
        self.inputs = {seen.leader: Inputs(layer.inputs) for layer, seen in self.seen.items()}
        self.crosses = {layer: sparse24.Cross(self.inputs[seen.leader].gram, layer.outputs)
                        for layer, seen in self.seen.items() if original}
        self.writer = next((layer for layer in stage if layer in writing), None)
        self.before = writing[:writing.index(self.writer)] if self.writer else []
        self.early = not any(seen.routed or len(seen.inputs) > len(block.calls)
                             for seen in self.seen.values())

    def add(self, call: Call, state: torch.Tensor | None, dense: torch.Tensor | None) -> None:
        """One batch."""
        now = Pass(self.parameters, self.seen, self.before, self.early)
        now.run(call, self.block.module, state)
        wanted = {}
        if self.original:
            products = [*self.before, *self.seen]
            then = Pass(self.block.parameters(self.original), (), products, self.early, now.routes)
            then.run(call, self.original, dense)
            wanted = {layer: self.targets(layer, now, then) for layer in self.crosses}
        if self.writer in wanted:
            change = self.change(state, dense, now, then)
            wanted[self.writer] = [t + change for t in wanted[self.writer]]
        for leader, inputs in self.inputs.items():
            layers = [layer for layer, seen in self.seen.items() if seen.leader == leader]
            with at(layers[0].name):
                for place, x in enumerate(now.inputs[layers[0]]):
                    inputs.add(near(x), {self.crosses[layer]: near(wanted[layer][place])
                                         for layer in layers if wanted})

    def change(self, state: Any, dense: Any, now: Pass, then: Pass) -> torch.Tensor:
        """What takes the residual stream before the writer to the dense model's."""
        made = (then.made[one][0].float() - now.made[one][0].float() for one in self.before)
        return sum(made, rows(dense) - rows(state))

    def targets(self, layer: Layer, now: Pass, then: Pass) -> list[torch.Tensor]:
        """The dense model's outputs; if it took other rows, those of the dense weights."""
        mine, wanted = now.inputs[layer], then.made[layer]
        same = [len(x) for x in mine] == [len(t) for t in wanted]
        if same and (now.routes or not self.seen[layer].routed):
            return [t.float() for t in wanted]
        return [x.float() @ layer.weights(self.parameters).float().T for x in mine]

    def solve(self, layer: Layer, work: Work) -> dict:
        """Compress one layer in place; the record tells what is stored."""
        live = layer.weights(self.parameters)
        gram = self.inputs[self.seen[layer].leader].gram
        problem = sparse24.Problem(near(live).clone(), gram, work.constraints)
        if self.original:
            problem.set_target(self.crosses[layer], work.correct)
        result = work.solver_for(problem).solve(problem)
        problem.check(result)
        live.copy_(result.weights)
        stored = near(live)
        if not torch.isfinite(stored).all():
            raise ValueError(f"{layer.name}: a weight does not fit {live.dtype}")
        record = {"name": layer.name, **result.record}
        record["loss"], record["relative_loss"] = problem.loss(stored)
        if self.original:
            record["target_relative_loss"] = problem.target_loss(stored).relative
        return record


# ---- The model ----


class Job:
    """The way through all blocks, with two streams of activations: the compressed model's and,
    where it is aimed at, the dense one's."""

    def __init__(self, work: Work, survey: Survey, layers: dict[Block, list[Layer]]) -> None:
        self.work, self.survey, self.layers = work, survey, layers
        self.states = survey.states
        self.dense = list(survey.states) if work.correct else None
        self.notes: dict[str, list[str]] = {}
        self.done: list[tuple[Block, Layer]] = []

    def run(self) -> Iterator[dict | None]:
        """A record for each layer, None where it was left alone."""
        for block in self.survey.blocks:
            yield from self.compress(block, self.layers[block])

    def compress(self, block: Block, layers: list[Layer]) -> Iterator[dict | None]:
        original = copy.deepcopy(block.module) if self.dense else None
        writing = writers(block, self.states[0]) if self.dense else []
        for stage in stages(block, layers, writing):
            sums = Sums(block, stage, writing, original)
            for index, call in enumerate(block.calls):
                sums.add(call, self.states[index], self.dense[index] if self.dense else None)
            for layer in stage:
                yield self.solve(sums, layer)
        if block is not self.survey.blocks[-1]:
            self.advance(block, block.module, self.states)
            self.advance(block, original, self.dense or [])

    @staticmethod
    def advance(block: Block, module: Any, states: list) -> None:
        """Behind the block."""
        for index in range(len(states)):
            states[index] = block.calls[index].run(module, states[index])

    def solve(self, sums: Sums, layer: Layer) -> dict | None:
        """Look at what reaches the layer, then compress it."""
        seen = sums.seen[layer]
        alive, count = sums.inputs[seen.leader].alive, sums.inputs[seen.leader].gram.rows
        if not alive.any() and not seen.routed:
            raise ValueError(f"{layer.name}: its inputs are 0 in all batches: take other batches, "
                             "or skip it")
        if not alive.any():
            self.note("stay dense, no calibration row reaches them", layer.name)
            return None
        if not alive.all():
            dead = f"{layer.name} ({int((~alive).sum())} of {layer.inputs})"
            self.note("inputs that are 0 in all batches", dead)
        if count < layer.inputs:
            few = f"{layer.name} ({count:.0f} of {layer.inputs})"
            self.note("fewer rows than inputs", few)
        self.done.append((sums.block, layer))
        with at(layer.name):
            return sums.solve(layer, self.work)

    def note(self, what: str, name: str) -> None:
        self.notes.setdefault(what, []).append(name)

    def check_done(self) -> None:
        """What was written, once more."""
        for block, layer in self.done:
            self.work.check_done(layer, host(layer.weights(block.parameters(block.module))))


def check_model(model: torch.nn.Module) -> None:
    """Refuse by name what cannot be compressed in place."""
    packed = ("qweight", "weight_packed", "weight_scale", "weight_scale_inv", "absmax", "SCB")
    for name, value in itertools.chain(model.named_parameters(), model.named_buffers()):
        kind = type(model.get_submodule(name.rpartition(".")[0])).__name__
        matrix = isinstance(value, torch.nn.Parameter) and (lazy(value) or value.dim() > 1)
        if name.rpartition(".")[2] in packed or (matrix and not is_plain(value)):
            raise ValueError(f"{name} ({kind}, {value.dtype}) is quantised or not plain: load "
                             "the model in bfloat16, float16 or float32")
        if matrix and lazy(value):
            raise ValueError(f"{name} ({kind}) has no shape yet: call the model once before")
        if matrix and value.device.type == "meta":
            raise ValueError(f"{name} ({kind}) is on device meta: load the model whole")


def lazy(value: torch.Tensor) -> bool:
    return torch.nn.parameter.is_lazy(value)


def is_plain(value: torch.Tensor) -> bool:
    number = value.is_complex() or (value.is_floating_point() and value.dtype.itemsize > 1)
    return number and (lazy(value) or type(value.data) is torch.Tensor)


def check_batches(batches: list) -> None:
    """Refuse what would count wrongly, warn of what teaches nothing."""
    if not batches:
        raise ValueError("there are no batches: a layer is compressed for its inputs")
    for index, batch in enumerate(batches):
        mask = batch.get("attention_mask") if isinstance(batch, Mapping) else None
        if mask is not None and not mask.all():
            raise ValueError(f"batch {index} has padding (zeros in attention_mask), which would "
                             "count as text: cut all sequences to one length")
    ids = [batch.get("input_ids") if isinstance(batch, Mapping) else batch for batch in batches]
    if all(torch.is_tensor(x) and not is_float(x) for x in ids):
        if len(torch.cat([x.flatten() for x in ids]).unique()) == 1:
            warnings.warn("the batches are one token repeated: they teach little", stacklevel=3)


@contextlib.contextmanager
def evaluating(model: torch.nn.Module) -> Iterator[None]:
    """Without dropout, caches, gradients, and kernels in which no product can be seen."""
    training = [module for module in model.modules() if module.training]
    fast = torch.backends.mha.get_fastpath_enabled()
    config = getattr(model, "config", None)
    cache = getattr(config, "use_cache", None)
    experts = getattr(config, "_experts_implementation", None) or "eager"
    hidden = experts not in ("eager", "grouped_mm")
    try:
        model.eval()
        torch.backends.mha.set_fastpath_enabled(False)
        if cache:
            config.use_cache = False
        if hidden:
            model.set_experts_implementation("eager")
        with torch.no_grad():
            yield
    finally:
        for module in training:
            module.training = True
        torch.backends.mha.set_fastpath_enabled(fast)
        if cache:
            config.use_cache = cache
        if hidden:
            model.set_experts_implementation(experts)


def tell(notes: dict[str, list[str]]) -> None:
    """One warning a kind."""
    for what, names in notes.items():
        more = f" and {len(names) - 20} more" if len(names) > 20 else ""
        warnings.warn(f"{what}: {', '.join(names[:20])}{more}", stacklevel=3)


def compress_model(model: torch.nn.Module, batches: Iterable, constraints: str = "2:4",
                   solver: str = "", correct: float = 0.5, skip: Iterable[str] = (),
                   report: Callable[[dict], None] | None = None,
                   **options: float | str) -> list[dict]:
    """Compress every layer of the model's blocks in place; those with a word of `skip` in their
    name inside the block stay. `batches` (no padding): tensors or dicts that the model is called
    with. solver "": the best that can do the constraints. correct > 0: aim at that share of the
    dense model's outputs, so that layers repair what those before them broke; 0 needs no copy of a
    block. The options are the solver's.

    Returns one record a layer: name, relative_loss and everything else in Result.record, of the
    weights as stored. report(record) is called for each as it is done, "layer" of "layers". What
    stays dense, or saw too little, is named by warnings."""
    batches, skip = list(batches), tuple(skip)
    if not 0 <= correct <= 1:
        raise ValueError(f"correct is a share, 0 to 1, not {correct}")
    check_model(model)
    check_batches(batches)
    given = ",".join(f"{name}={value}" for name, value in options.items())
    work = Work(constraints, solver, correct, given)
    if solver:
        sparse24.Solver(solver)  # a wrong name is told before all else
    with evaluating(model):
        survey = Survey(model, batches)
        layers = {block: [layer for layer in block.layers if not any(
            word in layer.name[len(block.name):] for word in skip)] for block in survey.blocks}
        tell({"stay dense, " + why: names for why, names in survey.dense.items()})
        return run_job(Job(work, survey, layers), report)


def run_job(job: Job, report: Callable[[dict], None] | None) -> list[dict]:
    """Check all layers, compress them, check them again."""
    todo = [(layer, block) for block, layers in job.layers.items() for layer in layers]
    if not todo:
        raise ValueError("the model has no layer to compress")
    for layer, block in todo:
        job.work.check(layer, host(layer.weights(block.parameters(block.module))))
    records = []
    for index, record in enumerate(job.run()):
        if record:
            records.append({**record, "layer": index + 1, "layers": len(todo)})
        if record and report:
            report(records[-1])
    job.check_done()
    tell(job.notes)
    return records


# ---- Files and the command ----


def save(model: torch.nn.Module, path: str, meta: dict[str, str]) -> None:
    """All tensors of a model as one safetensors file; tied ones once."""
    seen = set()
    with sparse24.File.create(path) as file:
        for name, tensor in model.state_dict().items():
            place = tensor.data_ptr(), tensor.shape, tensor.stride()
            if place not in seen or not tensor.numel():
                file.put(name, host(tensor).contiguous())
            seen.add(place)
        for key, value in meta.items():
            file.set_meta(key, value)


def read_batches(tokenizer: Any, path: str, rows: int, length: int) -> list[torch.Tensor]:
    """The first rows * length tokens of a text."""
    text = pathlib.Path(path).read_text(encoding="utf-8")
    tokens = tokenizer(text, return_tensors="pt", add_special_tokens=False).input_ids[0]
    if rows < 1 or length < 1:
        raise ValueError(f"{rows} sequences of {length} tokens: both must be at least 1")
    rows = min(rows, len(tokens) // length)
    if rows == 0:
        raise ValueError(f"{path} has {len(tokens)} tokens, but one sequence has {length}")
    return list(tokens[:rows * length].reshape(rows, 1, length))


def progress() -> Callable[[dict], None]:
    """A progress bar if tqdm is there, else a line a layer."""
    began = time.monotonic()
    try:
        import tqdm
    except ImportError:
        tqdm = None
    bar = tqdm.tqdm(unit="layer") if tqdm else None

    def report(record: dict) -> None:
        what = f"{record['name']} {record['relative_loss']:.4f}"
        done, total = record["layer"], record["layers"]
        if bar is None:
            left = (time.monotonic() - began) * (total - done) / done
            print(f"{done} of {total}, {left:.0f} s left: {what}", flush=True)
        else:
            bar.total = total
            bar.set_postfix_str(what)
            bar.update(done - bar.n)

    return report


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="folder of a causal language model")
    parser.add_argument("--text", required=True, help="calibration text")
    parser.add_argument("--out", required=True, help="folder for the compressed model; a new one")
    parser.add_argument("--constraints", default="2:4")
    parser.add_argument("--solver", default="",
                        help="default: alps, for grids quantease, for ranks hassle")
    parser.add_argument("--options", default="", help="of the solver: preset=fast,damp=0.1")
    parser.add_argument("--correct", type=float, default=0.5,
                        help="share of the dense model's outputs in the target (default 0.5)")
    parser.add_argument("--sequences", type=int, default=128)
    parser.add_argument("--length", type=int, default=512)
    parser.add_argument("--skip", default="",
                        help="words, comma-separated: layers with one in their name stay")
    parser.add_argument("--device", default="cpu",
                        help="cuda:0: model, sums and solvers on that GPU (docs/gpu.md)")
    arguments = parser.parse_args()
    if pathlib.Path(arguments.out).exists():
        parser.error(f"--out {arguments.out} exists: name a new folder")
    pairs = [pair.partition("=")[::2] for pair in filter(None, arguments.options.split(","))]
    if not all(value for _, value in pairs):
        parser.error(f"--options {arguments.options}: expected name=value, separated by commas")
    try:
        run(arguments, dict(pairs))
    except (ValueError, OSError, sparse24.Sparse24Error) as error:
        sys.exit(f"prune_torch: {error}")


def run(arguments: argparse.Namespace, options: dict[str, str]) -> None:
    """From folder to folder."""
    import transformers

    tokenizer = transformers.AutoTokenizer.from_pretrained(arguments.model)
    model = transformers.AutoModelForCausalLM.from_pretrained(arguments.model, torch_dtype="auto")
    if arguments.device != "cpu":
        sparse24.default_context().set(device=arguments.device)
        model = model.to(arguments.device)
    context = getattr(model.config, "max_position_embeddings", None) or arguments.length
    if arguments.length > context:
        raise ValueError(f"--length {arguments.length}: the model's context is {context}")
    batches = [batch.to(model.device) for batch in
               read_batches(tokenizer, arguments.text, arguments.sequences, arguments.length)]
    skip = list(filter(None, arguments.skip.split(",")))
    records = compress_model(model, batches, arguments.constraints, arguments.solver,
                             arguments.correct, skip, progress(), **options)
    model.save_pretrained(arguments.out)
    tokenizer.save_pretrained(arguments.out)
    loss = sum(record["relative_loss"] for record in records) / len(records)
    print(f"{len(records)} layers, mean relative loss {loss:.4f}: {arguments.out}")


if __name__ == "__main__":
    main()
