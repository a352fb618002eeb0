"""Seconds and errors on a GPU, beside loops written after the published torch codes (SparseGPT, arXiv 2301.00774; ALPS,
2406.07831; GPTQ, 2210.17323; QuantEase, 2309.01885): python3 bench/gpu_ratios.py LIBRARY:INDEX ROWS COLS [TOKENS].
Weights and inputs lie on the GPU, both sides start from them and from the same sums; the better of two runs counts. Needs
torch with CUDA; SPARSE24_LIBRARY names libsparse24.so."""
import pathlib
import sys
import time

import torch

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "examples" / "python"))
import sparse24  # noqa: E402

BLOCK = 128


def inverse_factor(h, share):
    """Upper Cholesky factor of the inverse of the damped H."""
    h = h.clone()
    dead = torch.diag(h) == 0
    h[dead, dead] = 1
    h.diagonal().add_(share * torch.diag(h).mean())
    return torch.linalg.cholesky(torch.cholesky_inverse(torch.linalg.cholesky(h)), upper=True)


def column_sweep(w, h, decide):
    """The loop of SparseGPT and GPTQ: decide(i, column, rest of the block, its part of the factor) gives the new column."""
    w, inverse = w.clone(), inverse_factor(h, 0.01)
    for first in range(0, w.shape[1], BLOCK):
        last = min(first + BLOCK, w.shape[1])
        part, factor = w[:, first:last].clone(), inverse[first:last, first:last]
        made, errors = torch.zeros_like(part), torch.zeros_like(part)
        for i in range(last - first):
            column, d = part[:, i], factor[i, i]
            made[:, i] = decide(first + i, i, part, factor)
            errors[:, i] = (column - made[:, i]) / d
            part[:, i:] -= errors[:, i : i + 1] @ factor[i : i + 1, i:]
        w[:, first:last] = made
        w[:, last:] -= errors @ inverse[first:last, last:]
    return w


def sparsegpt(w, h):
    mask = torch.zeros_like(w, dtype=torch.bool)

    def decide(j, i, part, factor):
        if i % 4 == 0:
            score = part[:, i : i + 4] ** 2 / torch.diag(factor)[i : i + 4].reshape(1, -1) ** 2
            mask[:, j : j + 4].scatter_(1, torch.topk(score, 2, dim=1, largest=False)[1], True)
        return torch.where(mask[:, j], 0.0, part[:, i])

    return column_sweep(w, h, decide)


def grid(part, top=15):
    low, high = part.amin(1).clamp(max=0), part.amax(1).clamp(min=0)
    scale = (high - low) / top
    return scale, torch.round(-low / scale)


def nearest(x, scale, zero, top=15):
    return scale * (torch.clamp(torch.round(x / scale) + zero, 0, top) - zero)


def gptq(w, h, group=128):
    now = {}

    def decide(j, i, part, factor):
        if j % group == 0:
            now["grid"] = grid(part[:, i : i + group])
        return nearest(part[:, i], *now["grid"])

    return column_sweep(w, h, decide)


def keep_24(x):
    groups = x.reshape(-1, 4)
    mask = torch.zeros_like(groups, dtype=torch.bool)
    mask.scatter_(1, torch.topk(groups.abs(), 2, dim=1)[1], True)
    return mask.reshape(x.shape)


def alps(w, h, most=300):
    """ADMM with a penalty that follows the changes of the support, then conjugate gradients; coordinates as in the paper."""
    h = h.clone()
    h.diagonal().add_(0.01 * torch.diag(h).mean())
    root = torch.diag(h).sqrt() + 1e-8
    s, b = h / root / root.reshape(-1, 1), (w * root).T
    values, vectors = torch.linalg.eigh(s)
    wanted, rho = s @ b, 0.1
    d, v = b * keep_24((b.T).contiguous()).T, torch.zeros_like(b)
    old, kept, k = (d != 0), b.numel() // 2, 0
    inverse = vectors @ torch.diag(1 / (values + rho)) @ vectors.T
    grew = False
    for k in range(most):
        x = inverse @ (wanted - v + rho * d)
        d = (v + rho * x) / rho
        d = d * keep_24(d.T.contiguous()).T
        v = v + rho * (x - d)
        if (k + 1) % 3 == 0:
            support = d != 0
            change = int((support ^ old).sum())
            old = support
            if change > 0.1 * kept:
                rho *= 1.3
                grew = True
            elif change > 0.005 * kept:
                rho *= 1.2
                grew = True
            elif change > 0.5:
                if grew:
                    rho *= 1.1
                else:
                    rho /= 5
                    v = torch.zeros_like(v)
            elif grew:
                break
            else:
                rho /= 5
            if k > 30 and change < 3e-4 * kept:
                break
            inverse = vectors @ torch.diag(1 / (values + rho)) @ vectors.T
    mask = (d != 0).to(d.dtype)
    r = (wanted - s @ d) * mask
    p, rz = r.clone(), (r * r).sum(0)
    for _ in range(10):
        ap = s @ p
        step = rz / (p * ap).sum(0).clamp(min=1e-30)
        d = d + p * step
        r = (r - ap * step) * mask
        new = (r * r).sum(0)
        p = r + p * (new / rz.clamp(min=1e-30))
        rz = new
    return d.T / root


def quantease(w, h, sweeps=2):
    """`sweeps` of the paper's 30, over all columns."""
    scale, zero = grid(w)
    s = h / torch.diag(h)
    p = w @ s
    v = w.clone()
    for _ in range(sweeps):
        product = v @ s
        for j in range(w.shape[1]):
            target = p[:, j] - product[:, j] + v[:, j]
            new = nearest(target, scale, zero)
            product += (new - v[:, j])[:, None] * s[j][None, :]
            v[:, j] = new
    return v


def timed(work, runs=2):
    best = float("inf")
    for _ in range(runs):
        torch.cuda.synchronize()
        began = time.perf_counter()
        out = work()
        torch.cuda.synchronize()
        best = min(best, time.perf_counter() - began)
    return best, out


def loss(w, v, h):
    e, h = (w - v).double(), h.double()
    return float(((e @ h) * e).sum() / ((w.double() @ h) * w.double()).sum())


def product_rate():
    a = torch.randn(8192, 8192, device="cuda", dtype=torch.bfloat16)
    for _ in range(3):
        a @ a
    seconds, _ = timed(lambda: [a @ a for _ in range(10)][0])
    return 10 * 2 * 8192**3 / seconds


def gram_rate(context, cols, tokens):
    x = torch.randn(tokens, cols, device="cuda", dtype=torch.bfloat16)
    gram = sparse24.Gram(cols, context=context)
    gram.add(x)
    began = time.perf_counter()
    for _ in range(4):
        gram.add(x)
    seconds = time.perf_counter() - began
    return 4 * 2 * tokens * cols**2 / seconds


def main():
    device, rows, cols = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    tokens = int(sys.argv[4]) if len(sys.argv) > 4 else 2 * cols
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.manual_seed(0)
    print(torch.cuda.get_device_name(), "torch", torch.__version__, flush=True)
    context = sparse24.Context(device=device)
    rate = product_rate()
    mine = gram_rate(context, cols, 32768)
    print(f"bf16 product {rate / 1e12:.0f} TFLOP/s, gram {mine / 1e12:.0f} counting the whole square: {mine / rate:.2f}", flush=True)
    x = torch.randn(tokens, cols, device="cuda")
    for shift in (1, 2):  # neighbours are correlated
        x = x + 0.5 * x.roll(shift, 1)
    w = torch.randn(rows, cols, device="cuda") * 0.02
    gram = sparse24.Gram(cols, context=context)
    gram.add(x)
    h = x.T @ x
    print(f"{rows} x {cols}, {tokens} rows")
    print("| method | published code, s | error | ours, s | error | ratio |\n|---|---|---|---|---|---|", flush=True)
    cases = [("sparsegpt", sparsegpt, "2:4", 1), ("alps", alps, "2:4", 1), ("gptq", gptq, "int4 g128", 1)]
    if cols <= 4096:
        cases.append(("quantease", quantease, "int4", 15))
    for name, published, constraints, times in cases:
        problem = sparse24.Problem(w, gram, constraints, context=context)
        solver = sparse24.Solver(name, context=context)
        ours, result = timed(lambda: solver.solve(problem), 3)
        theirs, v = timed(lambda: published(w, h), 1 if times > 1 or cols > 4096 else 2)
        own = torch.as_tensor(result.weights).cuda()
        print(f"| {name} {constraints}{' (2 of 30 sweeps, times 15)' if times > 1 else ''} | {theirs * times:.3f} | {loss(w, v, h):.5f} "
              f"| {ours:.3f} | {loss(w, own, h):.5f} | {theirs * times / ours:.1f} |", flush=True)


if __name__ == "__main__":
    main()
