"""Many classes and many samples: truth, time, memory, and a run of ImageNet's shape.

    python -m benchmarks.bench_scale [truth] [time] [cifar100] [few] [memory] [engine] [imagenet]
        [--device cuda] [--cache DIR] [--sizes N …]

Each part is measured in a process of its own and written to `results/scale_<part>.json`, on CUDA to
`scale_<part>_cuda.json`. `cifar100` compares with an earlier version where its checkout is given by --before DIR.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.record import save
from benchmarks.scale_run import IMAGENET, Meter, labels_of, make_run, summary, write_features
from lsi.audit.label_issues import label_issues, self_confidence
from lsi.audit.summary import auroc
from lsi.audit.through_noise import judge_labels
from lsi.laplace.design_matrix import DesignMatrix, with_bias
from lsi.laplace.likelihood import Softmax
from lsi.laplace.loo.closed_form import closed_form
from lsi.laplace.objective import Objective
from lsi.laplace.posterior import Kron
from lsi.laplace.prior_precision import choose
from lsi.laplace.probe import Probe, fit
from lsi.laplace.scores import LeaveOneOut, Scores, evaluate
from lsi.memory import keep_freed_memory
from lsi.probabilities import Probabilities

PARTS = ("truth", "time", "cifar100", "few", "memory", "engine", "imagenet")
LONG = ("engine", "imagenet")
TRUTHS = {"k100": (100, 5_000, 256, 10.0, 5_000), "k1000": (1_000, 20_000, 256, 10.0, 200)}
TIMED = ((100, 20_000, 256), (1_000, 20_000, 256))
CIFAR100 = (50_000, 512, 100)
FEW = ((400, 800, 32), (1_000, 5_000, 64), (1_000, 5_000, 256))
GROWING = (50_000, 100_000, 200_000)
GROWING_ENGINE = (100_000, 200_000, 400_000, 800_000, IMAGENET[0])
PRIOR = 10.0


def objective(n: int, d: int, k: int, prior: float, *, device: str = "cpu", double: bool = False) -> Objective:
    right, given = labels_of(n, k)
    with tempfile.TemporaryDirectory() as folder:
        features = torch.from_numpy(np.array(write_features(Path(folder) / "x.npy", right, d, k)))
    design = DesignMatrix(with_bias((features.double() if double else features).to(device)))
    return Objective(Softmax(k), design, torch.from_numpy(given).to(device), prior)


def wait(device: str) -> float:
    if device != "cpu":
        torch.cuda.synchronize()
    return time.perf_counter()


def truth(device: str) -> dict[str, Any]:
    """Scores in the shared basis against the assembled k × k blocks, in float64."""
    return {name: _truth(device, *size) for name, size in TRUTHS.items()}


def _truth(device: str, k: int, n: int, d: int, prior: float, checked: int) -> dict[str, Any]:
    from scipy.stats import spearmanr

    probe = fit(objective(n, d, k, prior, device=device, double=True))
    kron, likelihood = Kron.fit(probe), probe.objective.likelihood
    scores = evaluate(probe, ("kron",), LeaveOneOut(certify=0), posterior=kron)[0]
    samples = torch.arange(0, n, n // checked, device=device)
    lsi, probabilities = [], []
    start = wait(device)
    for index in samples.split(max(1, 2_000_000 // k**2)):
        phi = probe.objective.design.take(index)
        logits = phi @ probe.logit_weights.T
        means = likelihood.predict(logits)
        residuals = likelihood.contract(likelihood.residuals(means, probe.objective.targets[index]))
        exact = closed_form(kron.leverages(phi), likelihood.curvatures(means), residuals, excludes_sample=True)
        lsi.append(exact.terms.lsi)
        probabilities.append(likelihood.predict(logits + likelihood.expand(exact.shift)).cpu())
    seconds = wait(device) - start
    rows = samples.cpu().numpy()
    expected, found = torch.cat(lsi).cpu().numpy(), scores.lsi[rows]
    error = np.abs(found - expected)
    moved = np.abs(scores.probabilities.rows(rows) - torch.cat(probabilities).numpy()).max()
    return {
        "n": n, "d": d, "k": k, "checked": len(rows), "seconds_of_blocks": seconds,
        "lsi_median_relative_error": float(np.median(error / expected)),
        "lsi_largest_relative_error": float((error / expected).max()),
        "spearman": float(np.asarray(spearmanr(found, expected))[0]),
        "largest_probability_error": float(moved),
        "share_covered_by_reported_error": float((error <= scores.covariance_error[rows]).mean()),
        "median_reported_relative_error": float(np.median(scores.covariance_error[rows] / found)),
    }  # fmt: skip


def timing(device: str) -> dict[str, Any]:
    """One pass of all terms and the fit, beside the time of their matrix products at the rate measured in this run."""
    return {f"k{k}": _timing(device, k, n, d) for k, n, d in TIMED}


def _timing(device: str, k: int, n: int, d: int) -> dict[str, Any]:
    problem = objective(n, d, k, PRIOR, device=device)
    _ = problem.design.gram_factor
    start = wait(device)
    probe = fit(problem)
    fitted = wait(device) - start
    kron, passes = Kron.fit(probe), []
    for _ in range(3):
        start = wait(device)
        evaluate(probe, ("kron",), LeaveOneOut(certify=0), posterior=kron)
        passes.append(wait(device) - start)
    point, vectors = problem.at(probe.weights), torch.randn(1, *problem.shape, dtype=torch.float64, device=device)
    problem.evaluate(probe.weights)
    problem.hessian_product(point, vectors)
    start = wait(device)
    for _ in range(3):
        problem.hessian_product(point, vectors)
    product = (wait(device) - start) / 3
    of_pass, of_product, of_evaluation = _products(device, n, d + 1, k)
    floor = probe.n_hessian_products * of_product + (probe.n_newton_steps + 1) * of_evaluation
    return {
        "n": n, "d": d, "k": k,
        "pass_seconds": min(passes), "pass_products_seconds": of_pass, "pass_ratio": min(passes) / of_pass,
        "fit_seconds": fitted, "fit_products_seconds": floor, "fit_ratio": fitted / floor,
        "hessian_product_seconds": product, "hessian_product_ratio": product / of_product,
        "newton_steps": probe.n_newton_steps, "hessian_products": probe.n_hessian_products,
    }  # fmt: skip


def _products(device: str, n: int, d: int, k: int) -> tuple[float, float, float]:
    """Return seconds of the matrix products of a pass, of a Hessian product and of an evaluation, for n samples.

    A pass: logits, rotated features (in the features' dtype), the spectrum, and four products with U, in float64.
    """
    rows = 1024
    phi32, phi = (torch.randn(rows, d, device=device, dtype=t) for t in (torch.float32, torch.float64))
    w32, w = (torch.randn(k, d, device=device, dtype=t) for t in (torch.float32, torch.float64))
    a, u, p = torch.randn(d, d, device=device), *(torch.randn(m, k, device=device).double() for m in (k, rows))
    p32 = p.float()
    sets = (
        [(phi, w.T), (phi32, a), (phi, w.T), (p, u), (p, u), (p, u), (p, u)],
        [(phi32, w32.T), (p32.T, phi32)],
        [(phi, w.T), (p.T, phi)],
    )

    def once(pairs: list[tuple[torch.Tensor, torch.Tensor]]) -> float:
        start = wait(device)
        for _ in range(10):
            for left, right in pairs:
                _ = left @ right
        return (wait(device) - start) / 10 * n / rows

    _ = [once(pairs) for pairs in sets]
    found = [min(once(pairs) for _ in range(3)) for pairs in sets]
    return found[0], found[1], found[2]


def cifar100(device: str, before: Path | None) -> dict[str, Any]:
    """Everything after features at CIFAR-100's shape: choosing λ, fit, scores, refit without suspects, label issues."""
    n, d, k = CIFAR100
    right, given = labels_of(n, k)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.npy"
        write_features(path, right, d, k)
        np.save(Path(folder) / "y.npy", given)
        row: dict[str, Any] = {"n": n, "d": d, "k": k, **after_features(np.load(path), given, device)}
        if before is not None:
            output = subprocess.run(
                [sys.executable, "-c", _BEFORE, folder], check=True, capture_output=True, text=True, cwd=before,
                env=os.environ | {"PYTHONPATH": str(before)},
            ).stdout  # fmt: skip
            row["before"] = json.loads(output.strip().splitlines()[-1])
            row["speedup"] = row["before"]["seconds"] / row["seconds"]
    return row


_BEFORE = """
import json, sys, time
import numpy as np, torch
from lsi.issues import label_issues
from lsi.memory import keep_freed_memory
from lsi.objective import with_bias
from lsi.scores import LeaveOneOut, Method, compute, second_look
from lsi.softmax import Softmax

keep_freed_memory()
features, given = np.load(sys.argv[1] + "/x.npy"), np.load(sys.argv[1] + "/y.npy")
start = time.perf_counter()
likelihood, targets = Softmax(int(given.max()) + 1), torch.from_numpy(given)
result = compute(likelihood, with_bias(torch.from_numpy(features)), targets, Method(loo=LeaveOneOut()))
scored = time.perf_counter()
looked = second_look(result.probe, label_issues(given, result.scores.loo_probabilities))
suspected = label_issues(given, looked)
done = time.perf_counter()
print(json.dumps({"seconds": done - start, "prior_fit_and_scores": scored - start,
                  "prior_precision": result.scores.prior_precision, "n_suspected": int(suspected.sum())}))
"""


def after_features(
    features: np.ndarray, given: np.ndarray, device: str, right: np.ndarray | None = None
) -> dict[str, Any]:
    start = wait(device)
    design, k = DesignMatrix(with_bias(torch.from_numpy(features).to(device))), int(given.max()) + 1
    targets, likelihood = torch.from_numpy(given).to(device), Softmax(k)
    choice = choose(likelihood, design, targets)
    chosen = wait(device)
    probe = fit(Objective(likelihood, design, targets, choice.prior_precision))
    fitted = wait(device)
    scores = evaluate(probe, ("kron",), LeaveOneOut())[0]
    scored = wait(device)
    again = judge_labels(probe, given, scores.probabilities)
    suspected = label_issues(given, again, "expected_errors")
    done = wait(device)
    return {
        "seconds": done - start, "choosing_prior": chosen - start, "fit": fitted - chosen, "scores": scored - fitted,
        "without_suspects_and_label_issues": done - scored, "prior_precision": choice.prior_precision,
        "n_suspected": int(suspected.sum()), "newton_decrement": probe.newton_decrement,
        "newton_steps": probe.n_newton_steps, "hessian_products": probe.n_hessian_products,
    } | ({} if right is None else found_flips(probe, given, right, scores, again))  # fmt: skip


def found_flips(
    probe: Probe, given: np.ndarray, right: np.ndarray, scores: Scores, again: Probabilities
) -> dict[str, Any]:
    """AUROC for the flipped labels: the score of a label as the product computes it, LSI, and what a fit alone says."""
    design, wrong = probe.objective.design, given != right
    fitted = [
        torch.softmax(design.take(rows).double() @ probe.logit_weights.T, 1)
        .gather(1, probe.objective.targets[rows, None])
        .cpu()
        for rows in torch.arange(len(given), device=probe.objective.targets.device).split(8_192)
    ]
    return {
        "n_wrong": int(wrong.sum()),
        "auroc_label_score": auroc(wrong, -self_confidence(given, again)),
        "auroc_leave_one_out": auroc(wrong, -scores.loo_p_given),
        "auroc_plain_confidence": auroc(wrong, -torch.cat(fitted)[:, 0].numpy()),
        "auroc_lsi": auroc(wrong, scores.lsi),
    }


def few(device: str) -> dict[str, Any]:
    """Many classes of few samples, everything after features."""
    found = {}
    for k, n, d in FEW:
        right, given = labels_of(n, k)
        with tempfile.TemporaryDirectory() as folder:
            features = np.array(write_features(Path(folder) / "x.npy", right, d, k))
        found[f"{k} classes × {n // k}, {d} features"] = after_features(features, given, device)
    return found


def memory(device: str) -> dict[str, Any]:
    """Peak of memory in a process of its own at each number of samples, features mapped from a file."""
    rows = []
    for n in GROWING:
        command = [sys.executable, "-m", "benchmarks.bench_scale", "--one-memory", str(n)]
        output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        rows.append(json.loads(output.strip().splitlines()[-1]))
        print(rows[-1], flush=True)
    return {"d": 128, "k": 500, "sizes": rows}


def one_memory(n: int) -> dict[str, Any]:
    (k, d), meter = (500, 128), Meter()
    right, given = labels_of(n, k)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.npy"
        write_features(path, right, d + 1, k)
        design = DesignMatrix(torch.from_numpy(np.load(path, mmap_mode="c")))
        with meter("fit"):
            probe = fit(Objective(Softmax(k), design, torch.from_numpy(given), PRIOR))
        with meter("scores"):
            evaluate(probe, ("kron",), LeaveOneOut(certify=0, folder=Path(folder) / "kept"))
    return {"n": n, "peak_gib_without_mapped_files": meter.peak_gib, "mapped_gib": n * (d + 1) * 4 / 2**30}


def engine(device: str, sizes: Sequence[int]) -> dict[str, Any]:
    """Everything after features with ImageNet's classes, up to its size; near duplicates and the map aside."""
    _, d, k = IMAGENET
    rows = []
    for size in sizes:
        right, given = labels_of(size, k)
        with tempfile.TemporaryDirectory() as folder:
            features = np.array(write_features(Path(folder) / "x.npy", right, d, k))
        meter = Meter()
        with meter("after features"):
            row = after_features(features, given, device, right)
        rows.append({"n": size, **row, "peak_gib": meter.peak_gib["after features"]})
        print(rows[-1], flush=True)
    return {"d": d, "k": k, "sizes": rows}


def imagenet(cache: Path) -> dict[str, Any]:
    """A run of ImageNet's shape, written as the app reads it."""
    n, d, k = IMAGENET
    return summary(*make_run(cache, n, d, k))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="part", help=", ".join(PARTS))
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--before", type=Path)
    parser.add_argument("--cache", type=Path)
    parser.add_argument("--sizes", nargs="*", type=int, help="samples, of the part engine")
    parser.add_argument("--one-memory", type=int)
    asked = parser.parse_args()
    keep_freed_memory()
    if asked.one_memory:
        print(json.dumps(one_memory(asked.one_memory)))
        return
    measures = {
        "truth": lambda: truth(asked.device),
        "time": lambda: timing(asked.device),
        "cifar100": lambda: cifar100(asked.device, asked.before),
        "few": lambda: few(asked.device),
        "memory": lambda: memory(asked.device),
        "engine": lambda: engine(asked.device, asked.sizes or GROWING_ENGINE),
    }
    for part in asked.parts or [p for p in PARTS if p not in LONG]:
        if part == "imagenet":
            with tempfile.TemporaryDirectory() as folder:
                result = imagenet(asked.cache or Path(folder))
        else:
            result = measures[part]()
        save(f"scale_{part}" + ("" if asked.device == "cpu" else "_cuda"), result)


if __name__ == "__main__":
    main()
