"""Nanoseconds of processor time a weight of masks, on one thread: python3 bench/masks.py (library as sparse24.py finds it)."""
import pathlib
import sys
import time

import numpy

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "examples" / "python"))
import sparse24  # noqa: E402

CASES = [(2, 4, 0), (4, 8, 0), (2, 4, 1), (2, 4, 2), (4, 8, 2), (8, 16, 2)]


def main():
    context = sparse24.Context(threads=1)
    for n, m, along in CASES:
        side = 2048 if along < 2 or m == 4 else 512
        w = numpy.random.default_rng(0).standard_normal((side, side)).astype("f4")
        mask, best = numpy.empty(w.shape, bool), float("inf")
        for _ in range(7):
            began = time.process_time()
            sparse24.nm_mask(w, n, m, along, mask, context)
            best = min(best, time.process_time() - began)
        print(f"{n}:{m} along {('inputs', 'outputs', 'both')[along]:8s} {best / w.size * 1e9:8.2f} ns a weight {4e-9 * w.size / best:6.2f} GB/s")


if __name__ == "__main__":
    main()
