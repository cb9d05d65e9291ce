"""Seconds and memory of fit, full and diag against the floor of their matrix products, and against retraining.

    python -m benchmarks.bench_engine [--quick]

Each size runs in a process of its own, which measures its own matrix-product rate before and after. The floor is that
of docs/notation.md: the flops that the algorithm in use needs, at the measured rate.
"""

import json
import resource
import subprocess
import sys
import time
from typing import Any

import numpy as np
import torch

from benchmarks.record import save
from lsi.laplace.design_matrix import DesignMatrix, with_bias
from lsi.laplace.likelihood import Softmax
from lsi.laplace.objective import Objective
from lsi.laplace.probe import fit
from lsi.laplace.scores import LeaveOneOut, evaluate

D, K = 512, 10
SIZES = (10_000, 50_000, 100_000, 200_000)
PRIOR_PRECISION = 10.0


def problem(n: int) -> tuple[torch.Tensor, torch.Tensor]:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, K, n)
    features = rng.normal(size=(n, D)).astype(np.float32)
    features += (0.12 * rng.normal(size=(K, D)))[labels].astype(np.float32)
    flipped = rng.random(n) < 0.05
    labels[flipped] = rng.integers(0, K, flipped.sum())
    return torch.from_numpy(features), torch.from_numpy(labels)


def product_rate(device: str) -> float:
    """Return float32 flops a second of a 4096³ matrix product."""
    a, b = (torch.randn(4096, 4096, device=device) for _ in range(2))
    _ = a @ b
    _synchronise(device)
    start = time.perf_counter()
    for _ in range(4):
        _ = a @ b
    _synchronise(device)
    return 4 * 2 * 4096**3 / (time.perf_counter() - start)


def needed_flops(n: int) -> float:
    """Return the flops of the matrix products in m = k − 1 contrasts, symmetric halves saved as the engine saves them.

    Assemble P: m(m + 1)/2 blocks of 2·n·D² flops, 5/8 of each. Factor and invert it: p³ with p = mD. The responses
    P⁻¹(e_c ⊗ φ) that the leverage blocks and diag's Δ are read from: m² products of 2·n·D² flops.
    """
    m, d = K - 1, D + 1
    return n * d**2 * (m * (m + 1) / 2 * 2 * 5 / 8 + 2 * m**2) + float(m * d) ** 3


def measure(n: int) -> dict[str, Any]:
    device = "cuda" if torch.cuda.is_available() else "cpu"
    x, y = problem(n)
    rate = product_rate(device)
    start = time.perf_counter()
    design = DesignMatrix(with_bias(x.to(device)))
    probe = fit(Objective(Softmax(K), design, y.to(device), PRIOR_PRECISION))
    fitted = time.perf_counter()
    full, diag = evaluate(probe, ("full", "diag"), LeaveOneOut(certify=0))
    total = time.perf_counter() - start
    rate = (rate + product_rate(device)) / 2
    floor = needed_flops(n) / rate
    return {
        "n": n,
        "device": device,
        "product_gflops": rate / 1e9,
        "fit_seconds": fitted - start,
        "seconds": total,
        "floor_seconds": floor,
        "ratio_to_floor": total / floor,
        "peak_gib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
        "newton_decrement": probe.newton_decrement,
        "lsi_min": float(min(full.lsi.min(), diag.lsi.min())),
    }


def retrain_once(n: int, epochs: int) -> dict[str, Any]:
    """Time one honest leave-one-out of the research protocol: SGD from scratch, then laplace-torch's diagonal."""
    from laplace import Laplace
    from torch.utils.data import DataLoader, TensorDataset

    x, y = problem(n)
    x, y = x[1:], y[1:]
    probe = torch.nn.Linear(D, K)
    optimiser = torch.optim.SGD(probe.parameters(), lr=0.004, momentum=0.9, nesterov=True, weight_decay=1e-4)
    start = time.perf_counter()
    for _ in range(epochs):
        optimiser.zero_grad()
        torch.nn.functional.cross_entropy(probe(x), y).backward()
        optimiser.step()
    trained = time.perf_counter()
    posterior = Laplace(probe, "classification", subset_of_weights="all", hessian_structure="diag")
    posterior.fit(DataLoader(TensorDataset(x, y), batch_size=500))
    done = time.perf_counter()
    return {"n": n, "epochs": epochs, "train_seconds": trained - start, "posterior_seconds": done - trained,
            "seconds_per_sample": done - start}  # fmt: skip


def main() -> None:
    if "--one" in sys.argv:
        print(json.dumps(measure(int(sys.argv[-1]))))
        return
    if "--retrain" in sys.argv:
        print(json.dumps(retrain_once(int(sys.argv[-2]), int(sys.argv[-1]))))
        return
    quick = "--quick" in sys.argv
    sizes = (2_000, 4_000) if quick else SIZES
    rows = [_run("--one", str(n)) for n in sizes]
    peer = _run("--retrain", *(("2000", "20") if quick else ("50000", "1000")))
    n, seconds = (np.array([r[c] for r in rows]) for c in ("n", "seconds"))
    slope, intercept = np.polyfit(n, seconds, 1, w=1 / seconds)
    ours = next(r for r in rows if r["n"] == (2_000 if quick else 50_000))
    save(
        "engine_quick" if quick else "engine",
        {
            "d": D,
            "k": K,
            "sizes": rows,
            "linear_fit": {
                "seconds_per_sample": slope,
                "constant_seconds": intercept,
                "largest_deviation": float(np.abs(seconds / (slope * n + intercept) - 1).max()),
            },
            "retraining": peer,
            "speedup_per_sample": peer["seconds_per_sample"] / (ours["seconds"] / ours["n"]),
        },
    )


def _run(*arguments: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.bench_engine", *arguments]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    row = json.loads(output.strip().splitlines()[-1])
    print(row, file=sys.stderr, flush=True)
    return row


def _synchronise(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


if __name__ == "__main__":
    main()
