"""Trains a small network with n:m masks: SR-STE, then decayed masks, then 2:4 along both sides. python3 train_nm.py [steps]

PyTorch trains; the library makes the masks, decays weights and adds SR-STE's term, on torch's own memory (sparse24.py). The last table shows the test loss of
each way and that its weights obey 2:4; docs/training.md has a run of it."""
import sys

import torch

import sparse24

ALONE = sparse24.Context(threads=1)


class Masked(torch.autograd.Function):
    """Forward with mask * w + beta (1 - mask) * w; the gradient goes to all weights."""

    @staticmethod
    def forward(_, w, mask, beta):
        return sparse24.mask_decay(w.detach(), mask, beta, context=ALONE)

    @staticmethod
    def backward(_, grad):
        return grad, None, None


def train(x, y, test, steps, kind, lam, along):
    """The test losses on the way of one network, and its weights as they are used at the end."""
    torch.manual_seed(0)
    layers = [torch.nn.Linear(32, 64), torch.nn.Linear(64, 64), torch.nn.Linear(64, 8)]
    optimiser = torch.optim.AdamW([p for layer in layers for p in layer.parameters()], lr=3e-3, weight_decay=0)
    losses, used = [], []

    def run(rows, n, m, beta):
        used.clear()
        for layer in layers:
            w = layer.weight
            mask = None if n == m else sparse24.nm_mask(w.detach(), n, m, along, context=ALONE)
            used.append((w if mask is None else Masked.apply(w, mask, beta), mask))
            rows = torch.nn.functional.linear(torch.relu(rows) if layer is not layers[0] else rows, used[-1][0], layer.bias)
        return rows

    for step in range(steps):
        now = (4, 4, 1.0) if kind is None else sparse24.mask_schedule(kind, 2, 4, step, steps)
        optimiser.zero_grad()
        torch.nn.functional.mse_loss(run(x, *now), y).backward()
        for layer, (_, mask) in zip(layers, used):
            if mask is not None and lam:
                sparse24.srste_add(layer.weight.detach(), mask, lam, layer.weight.grad, ALONE)
        optimiser.step()
        if step % (steps // 10) == 0 or step == steps - 1:
            with torch.no_grad():
                losses.append(torch.nn.functional.mse_loss(run(test[0], *now), test[1]).item())
    return losses, [w.detach() for w, _ in used]


def main(steps):
    torch.set_num_threads(1)  # the network is small
    torch.manual_seed(1)
    teacher = torch.nn.Sequential(torch.nn.Linear(32, 48), torch.nn.Tanh(), torch.nn.Linear(48, 8))
    x = torch.randn(1280, 32)
    y = teacher(x).detach()
    for name, kind, lam, along in (("dense", None, 0, 0), ("straight through", "step", 0, 0), ("SR-STE", "step", 2e-4, 0), ("linear decay", "linear", 0, 0),
                                   ("2:4t, SR-STE", "step", 2e-4, sparse24.ALONG_BOTH), ("2:4t, linear decay", "linear", 0, sparse24.ALONG_BOTH)):
        losses, weights = train(x[:1024], y[:1024], (x[1024:], y[1024:]), steps, kind, lam, along)
        kept = max(int((w.reshape(-1, 4) != 0).sum(1).max()) for w in weights)
        print(f"{name:20s} {' '.join(f'{loss:.4f}' for loss in losses)}  at most {kept} of 4 inputs")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 2000)
