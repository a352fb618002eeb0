"""Prune or quantise a torch language model in place, block by block: the inputs of each layer are those of the model as compressed so far.

    python3 prune_torch.py MODEL_FOLDER --text calibration.txt --constraints 2:4 --solver alps --correct 0.5 --out COMPRESSED_FOLDER

MODEL_FOLDER is anything that transformers loads as a causal language model. From a program, compress_model() takes any model whose decoder blocks are
the modules of one ModuleList and hold Linear layers, and any list of batches that the model can be called with; transformers is not needed then.
"""
from __future__ import annotations

import argparse
import copy
import itertools
import pathlib
import sys
from collections.abc import Callable, Iterable
from typing import Any

import torch

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import sparse24  # noqa: E402


def find_blocks(model: torch.nn.Module) -> tuple[str, torch.nn.ModuleList]:
    """The decoder blocks: of all ModuleLists the one whose Linear layers hold the most weights, not counting lists inside of it."""
    lists = {name: module for name, module in model.named_modules() if isinstance(module, torch.nn.ModuleList)}
    sizes = {name: sum(weights(layer).numel() for block in module for layer in linears(block).values()) for name, module in lists.items()}
    if not any(sizes.values()):
        raise ValueError("the model has no ModuleList of blocks with Linear layers")
    name = max(sizes, key=lambda one: sizes[one])
    return name, lists[name]


def linears(block: torch.nn.Module) -> dict[str, torch.nn.Module]:
    """The layers to compress. transformers' Conv1D is a Linear with a transposed weight."""
    return {name: module for name, module in block.named_modules() if isinstance(module, torch.nn.Linear) or type(module).__name__ == "Conv1D"}


def weights(layer: torch.nn.Module) -> torch.Tensor:
    """(outputs, inputs), a view."""
    return layer.weight.detach() if isinstance(layer, torch.nn.Linear) else layer.weight.detach().T


class Stop(Exception):
    """Raised by a hook: the rest of this forward pass is not needed."""


class Stream:
    """The activations of one model, dense or compressed, between two of its blocks: one hidden state a batch."""

    def __init__(self, states: list[torch.Tensor]) -> None:
        self.states = states

    @torch.no_grad()
    def run(self, block: torch.nn.Module, batch: int, call: dict, watched: Iterable[str] = (), last: str = "") -> tuple[dict, dict, Any]:
        """Inputs and outputs of the watched layers, and the block's output (None when it ended after the layer `last`)."""
        layers, inputs, outputs = linears(block), {}, {}

        def hook(name: str) -> Callable:
            def keep(_: Any, arguments: tuple, output: torch.Tensor) -> None:
                inputs[name], outputs[name] = arguments[0], output
                if name == last:
                    raise Stop

            return keep

        handles = [layers[name].register_forward_hook(hook(name)) for name in watched]
        try:
            out = block(self.states[batch], *call["args"], **call["kwargs"])
            return inputs, outputs, out[0] if isinstance(out, tuple) else out
        except Stop:
            return inputs, outputs, None
        finally:
            for handle in handles:
                handle.remove()

    def advance(self, block: torch.nn.Module, calls: list[dict]) -> None:
        """Behind the block."""
        self.states = [self.run(block, batch, call)[2] for batch, call in enumerate(calls)]


@torch.no_grad()
def capture(model: torch.nn.Module, blocks: torch.nn.ModuleList, batches: list) -> tuple[list[torch.Tensor], list[list[dict]]]:
    """The first block's inputs, and what else each block is called with, for each batch."""
    states: list[torch.Tensor] = []
    calls: list[list[dict]] = [[] for _ in blocks]

    def hook(index: int) -> Callable:
        def keep(_: Any, arguments: tuple, named: dict) -> None:
            for key in [key for key, value in named.items() if ("cache" in key or "past" in key) and not torch.is_tensor(value)]:
                named[key] = False if isinstance(named[key], bool) else None  # a cache would grow with every pass
            state = arguments[0] if arguments else named.pop("hidden_states")
            calls[index].append({"args": arguments[1:], "kwargs": named})
            if index == 0:
                states.append(state)

        return keep

    handles = [block.register_forward_pre_hook(hook(index), with_kwargs=True) for index, block in enumerate(blocks)]
    try:
        for batch in batches:
            model(**batch) if isinstance(batch, dict) else model(batch)
    finally:
        for handle in handles:
            handle.remove()
    return states, calls


def stages(inputs: dict[str, torch.Tensor]) -> list[list[str]]:
    """Layers in the order of their calls, those with the same input together: q k v, o, gate up, down."""
    groups: dict[int, list[str]] = {}
    for name, x in inputs.items():
        groups.setdefault(id(x), []).append(name)
    return list(groups.values())


def writers(state: torch.Tensor, outputs: dict[str, torch.Tensor], out: torch.Tensor) -> list[str]:
    """The layers that write to the residual stream: those whose outputs, added to the block's input, are the block's output. Empty when no one or two do."""
    fitting = [name for name, y in outputs.items() if y.shape == out.shape]
    for count in (1, 2):
        for names in itertools.combinations(fitting, count):
            if torch.allclose(state + sum(outputs[name] for name in names), out, rtol=1e-2, atol=1e-2 * float(out.abs().mean())):
                return list(names)
    return []


def residual(state: torch.Tensor, outputs: dict[str, torch.Tensor], name: str, writing: list[str]) -> torch.Tensor | float:
    """What the layer's output is added to; 0 for one that does not write to the residual stream."""
    if name not in writing:
        return 0.0
    return state + sum(outputs[other] for other in writing[: writing.index(name)])


def host(x: torch.Tensor) -> torch.Tensor:
    return x.detach().cpu()


def compress_model(model: torch.nn.Module, batches: list, constraints: str = "2:4", solver: str = "sparsegpt", correct: float = 0.0,
                   skip: Iterable[str] = (), report: Callable[[dict], None] | None = None, **options: int | float | str) -> list[dict]:
    """Compress every Linear layer of the model's blocks in place; layers with a word of `skip` in their name stay. `batches` (no padding): tensors or dicts that the
    model is called with. correct > 0: aim at that share of the dense model's outputs, so that layers repair what those before them broke.
    Returns one record a layer: name, relative_loss and everything else in Result.record; report(record) is called for each as it is done."""
    prefix, blocks = find_blocks(model)
    training = model.training
    model.eval()
    states, calls = capture(model, blocks, batches)
    compressed, dense = Stream(states), Stream(list(states)) if correct else None
    records = []
    for index, block in enumerate(blocks):
        original = copy.deepcopy(block) if dense else None
        names = [name for name in linears(block) if not any(word in name for word in skip)]
        inputs, outputs, out = compressed.run(block, 0, calls[index][0], linears(block))
        writing = writers(compressed.states[0], outputs, out) if dense else []
        inputs = {name: x for name, x in inputs.items() if name in names}
        for stage in stages(inputs):
            sums = Sums(block, stage, compressed, dense, original, writing, calls[index])
            for name in stage:
                record = {"name": f"{prefix}.{index}.{name}", **sums.solve(name, constraints, solver, correct, options)}
                records.append(record)
                if report:
                    report(record)
        compressed.advance(block, calls[index])
        if dense:
            dense.advance(original, calls[index])
    model.train(training)
    return records


class Sums:
    """Gram, and cross where there is a target, of one stage of a block, over all batches."""

    def __init__(self, block: torch.nn.Module, stage: list[str], compressed: Stream, dense: Stream | None, original: torch.nn.Module | None,
                 writing: list[str], calls: list[dict]) -> None:
        self.layers = {name: linears(block)[name] for name in stage}
        first = weights(self.layers[stage[0]])
        self.gram = sparse24.Gram(first.shape[1])
        self.crosses = {name: sparse24.Cross(*weights(layer).shape) for name, layer in self.layers.items()} if dense else {}
        watched, last = [*writing, *(name for name in stage if name not in writing)], stage[-1]
        for batch, call in enumerate(calls):
            inputs, outputs, _ = compressed.run(block, batch, call, watched, last)
            x = host(inputs[stage[0]])
            self.gram.add(x)
            if not dense:
                continue
            _, wanted, _ = dense.run(original, batch, call, watched, last)
            for name, cross in self.crosses.items():
                t = wanted[name] + residual(dense.states[batch], wanted, name, writing) - residual(compressed.states[batch], outputs, name, writing)
                bias = self.layers[name].bias
                cross.add(x, host(t if bias is None else t - bias))

    def solve(self, name: str, constraints: str, solver: str, correct: float, options: dict) -> dict:
        """Compress one layer of the stage in place."""
        live = weights(self.layers[name])
        problem = sparse24.Problem(host(live), self.gram, constraints)
        if self.crosses:
            problem.set_target(self.crosses[name], correct)
        result = sparse24.Solver(solver, **options).solve(problem)
        live.copy_(result.weights)
        return result.record


def save(model: torch.nn.Module, path: str, meta: dict[str, str]) -> None:
    """All tensors of a model as one safetensors file; tied ones once."""
    seen = set()
    with sparse24.File.create(path) as file:
        for name, tensor in model.state_dict().items():
            if tensor.data_ptr() not in seen:
                file.put(name, host(tensor).contiguous())
            seen.add(tensor.data_ptr())
        for key, value in meta.items():
            file.set_meta(key, value)


def read_batches(tokenizer: Any, path: str, rows: int, length: int) -> list[torch.Tensor]:
    """The first rows * length tokens of a text."""
    tokens = tokenizer(pathlib.Path(path).read_text(encoding="utf-8"), return_tensors="pt", add_special_tokens=False).input_ids[0]
    rows = min(rows, len(tokens) // length)
    if rows == 0:
        raise ValueError(f"{path} has {len(tokens)} tokens, but one sequence has {length}")
    return list(tokens[: rows * length].reshape(rows, 1, length))


def bar() -> Callable[[dict], None]:
    """A progress bar if tqdm is there, else a line a layer."""
    try:
        import tqdm
    except ImportError:
        return lambda record: print(f"{record['name']}: relative loss {record['relative_loss']:.4f}, {record['seconds']:.2f} s", flush=True)
    shown = tqdm.tqdm(unit="layer")

    def report(record: dict) -> None:
        shown.set_postfix_str(f"{record['name']} {record['relative_loss']:.4f}")
        shown.update()

    return report


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="folder of a causal language model")
    parser.add_argument("--text", required=True, help="calibration text")
    parser.add_argument("--out", required=True, help="folder for the compressed model")
    parser.add_argument("--constraints", default="2:4")
    parser.add_argument("--solver", default="sparsegpt", help=", ".join(sparse24.solvers()))
    parser.add_argument("--options", default="", help="of the solver: preset=fast,damp=0.1")
    parser.add_argument("--correct", type=float, default=0.0, help="share of the dense model's outputs in the target; 0.5 is good")
    parser.add_argument("--sequences", type=int, default=128)
    parser.add_argument("--length", type=int, default=512)
    parser.add_argument("--skip", default="", help="words, comma-separated: layers with one in their name stay")
    arguments = parser.parse_args()

    import transformers

    tokenizer = transformers.AutoTokenizer.from_pretrained(arguments.model)
    model = transformers.AutoModelForCausalLM.from_pretrained(arguments.model, torch_dtype="auto")
    batches = read_batches(tokenizer, arguments.text, arguments.sequences, arguments.length)
    options = dict(pair.split("=", 1) for pair in filter(None, arguments.options.split(",")))
    records = compress_model(model, batches, arguments.constraints, arguments.solver, arguments.correct, list(filter(None, arguments.skip.split(","))),
                             bar(), **options)
    model.save_pretrained(arguments.out)
    tokenizer.save_pretrained(arguments.out)
    print(f"{len(records)} layers, mean relative loss {sum(record['relative_loss'] for record in records) / len(records):.4f}: {arguments.out}")


if __name__ == "__main__":
    main()
