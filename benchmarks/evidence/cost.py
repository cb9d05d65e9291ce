"""How does it grow, where does the time go, and how long does it take beside five-fold cross-validation?"""

import multiprocessing
import resource
import tempfile
import time
import warnings
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_predict

from benchmarks.evidence.problems import human_source
from lsi.laplace.design_matrix import DesignMatrix, with_bias
from lsi.laplace.likelihood import Softmax
from lsi.laplace.objective import Objective
from lsi.laplace.posterior import Full, Kron
from lsi.laplace.prior_precision import choose
from lsi.laplace.probe import fit
from lsi.laplace.scores import LeaveOneOut, evaluate
from lsi.memory import keep_freed_memory

BASE = {"n": 10_000, "d": 256, "k": 10}
GRID = {"n": (5_000, 10_000, 20_000, 40_000), "d": (64, 128, 256, 512), "k": (3, 5, 10, 20)}


def problem(n: int, d: int, k: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, k, n)
    features = rng.normal(size=(n, d)) + 3 / np.sqrt(d) * rng.normal(size=(k, d))[labels]
    wrong = rng.random(n) < 0.05
    labels[wrong] = rng.integers(0, k, wrong.sum())
    return features.astype(np.float32), labels


def ours(features: np.ndarray, labels: np.ndarray, structure: str) -> dict[str, float]:
    """Return seconds of the choice of λ, the fit, the posterior, and leave-one-out with all terms."""
    design, y = DesignMatrix(with_bias(torch.from_numpy(features))), torch.from_numpy(labels)
    softmax = Softmax(int(labels.max()) + 1)
    start = time.perf_counter()
    prior = choose(softmax, design, y).prior_precision
    chosen = time.perf_counter()
    probe = fit(Objective(softmax, design, y, prior))
    fitted = time.perf_counter()
    evaluate(probe, (structure,), LeaveOneOut(certify=0))  # type: ignore[arg-type]
    done = time.perf_counter()
    (Full if structure == "full" else Kron).fit(probe)  # once more, by itself
    posterior = time.perf_counter() - done
    return {"choice": chosen - start, "fit": fitted - chosen, "posterior": posterior,
            "loo": done - fitted - posterior, "all": done - start}  # fmt: skip


def alone(size: dict[str, int], structure: str) -> dict[str, float]:
    """Return the same with the peak memory in GiB, measured in a process of its own."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(_measured, size, structure).result()


def _measured(size: dict[str, int], structure: str) -> dict[str, float]:
    keep_freed_memory()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found = ours(*problem(**size), structure)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return found | {"peak_gib": peak / 2**20, "before_gib": before / 2**20}


def study(quick: bool, cache: Path) -> dict[str, Any]:
    """Return seconds over n, d and k with their exponents, and ours beside cross-validation at n = 50,000, d = 512."""
    base = {"n": 400, "d": 16, "k": 3} if quick else BASE
    grid = {"n": (400,)} if quick else GRID
    growth = {}
    for structure in ("full", "kron"):
        for name, values in grid.items():
            rows = [(_measured if quick else alone)(base | {name: v}, structure) for v in values]
            seconds = [row["posterior"] + row["loo"] for row in rows]
            slope = float(np.polyfit(np.log(values[1:]), np.log(seconds[1:]), 1)[0]) if len(values) > 2 else None
            growth[f"{structure} over {name}"] = {"values": values, "seconds": seconds, "exponent": slope, "rows": rows}
    n, d = (400, 16) if quick else (50_000, 512)
    sides = {"synthetic": both_sides(*problem(n, d, 10))}
    real = None if quick else cifar(cache, n, d)
    if real is not None:
        sides["CIFAR-10, human labels"] = both_sides(*real) | {"features": extraction(n, d)}
    return {"base": base, "growth": growth, "n": n, "d": d, "sides": sides}


def extraction(n: int, d: int, some: int = 3_000) -> dict[str, float]:
    """Return seconds of the features of some images, and of n at that rate."""
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        cifar(Path(folder), some, d)
    spent = time.perf_counter() - start
    return {"images": some, "seconds": spent, "at_that_rate": spent * n / some}


def both_sides(features: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
    """Return seconds of ours, end to end, and of 5-fold cross-validation at scikit-learn's default C, the best of two.

    Cross-validation runs as it comes, and with its folds in parallel processes, which is the faster way.
    """
    mine, theirs, parallel = [], [], []
    for _ in range(2):
        mine.append(ours(features, labels, "full"))
        theirs.append(_cross_validation(features, labels, None))
        parallel.append(_cross_validation(features, labels, -1))
    best = min(mine, key=lambda seconds: seconds["all"])
    return {"ours": best, "cross_validation": min(theirs), "cross_validation_parallel": min(parallel)}


def _cross_validation(features: np.ndarray, labels: np.ndarray, n_jobs: int | None) -> float:
    start = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = LogisticRegression(max_iter=1_000)
        cross_val_predict(model, features, labels, cv=5, method="predict_proba", n_jobs=n_jobs)
    return time.perf_counter() - start


def cifar(cache: Path, n: int, d: int) -> tuple[np.ndarray, np.ndarray] | None:
    """Return d principal components of the features of CIFAR-10, and its human labels, where it is at hand."""
    source = human_source(cache, n, d)
    return None if source is None or source.human is None else (source.features, source.human)
