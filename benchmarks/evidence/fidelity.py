"""What do the approximations cost? Newton step, structures, PCA, λ and precision, each against the more exact one."""

import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.stats import spearmanr

import lsi
from benchmarks.evidence.problems import flipped, sources
from lsi.features import fit_standardisation
from lsi.laplace.design_matrix import DesignMatrix, with_bias
from lsi.laplace.likelihood import Softmax
from lsi.laplace.objective import Objective
from lsi.laplace.prior_precision import choose
from lsi.laplace.probe import fit
from lsi.laplace.scores import LeaveOneOut, Scores, evaluate

REFITTED = 60


def study(quick: bool, cache: Path) -> dict[str, Any]:
    """Return, for each dataset, agreement and seconds of every approximation; a twentieth of the labels is flipped."""
    return {s.name: one(s.features, flipped(s.clean, "symmetric", 0.05, 0), quick)
            for s in sources(cache, 400 if quick else 3_000)}  # fmt: skip


def one(features: np.ndarray, labels: np.ndarray, quick: bool) -> dict[str, Any]:
    design, y = DesignMatrix(with_bias(torch.from_numpy(features))), torch.from_numpy(labels)
    softmax = Softmax(int(labels.max()) + 1)
    prior = choose(softmax, design, y).prior_precision
    count = 20 if quick else REFITTED
    samples = np.sort(np.random.default_rng(0).choice(len(labels), count, replace=False))

    def scored(values: np.ndarray, structure: str, precision: float, refit: bool = False) -> tuple[Scores, float]:
        start = time.perf_counter()
        loo = LeaveOneOut(certify=0, refit_samples=tuple(samples.tolist()) if refit else ())
        probe = fit(Objective(softmax, DesignMatrix(with_bias(torch.from_numpy(values))), y, precision))
        return evaluate(probe, (structure,), loo)[0], time.perf_counter() - start  # type: ignore[arg-type]

    full, seconds = scored(features, "full", prior)
    rows: dict[str, dict[str, float]] = {}
    for structure in ("full", "diag", "kron"):
        truth, refit_seconds = scored(features, structure, prior, refit=True)
        step, step_seconds = scored(features, structure, prior)
        row = agreement(step.lsi[samples], truth.lsi[samples])
        rows[f"Newton step against refit, {structure}"] = row | {"seconds": step_seconds, "against": refit_seconds}
    for structure in ("diag", "kron"):
        other, spent = scored(features, structure, prior)
        rows[f"{structure} against full"] = agreement(other.lsi, full.lsi) | {"seconds": spent, "against": seconds}
    for d in (16, 64, 128):
        if d < features.shape[1]:
            small = fit_standardisation(features, d).apply(features)
            other, spent = scored(small, "full", prior)
            rows[f"{d} principal components against {features.shape[1]}"] = agreement(other.lsi, full.lsi) | {
                "seconds": spent, "against": seconds}  # fmt: skip
    for factor in (0.01, 0.1, 10.0, 100.0):
        other, spent = scored(features, "full", prior * factor)
        rows[f"λ × {factor:g}"] = agreement(other.lsi, full.lsi) | {
            "seconds": spent, "against": seconds, "mean_term": float(other.mean_term.mean())}  # fmt: skip
    double, spent = scored(features.astype(np.float64), "full", prior)
    rows["float32 against float64"] = agreement(full.lsi, double.lsi) | {"seconds": seconds, "against": spent}
    paper = lsi.score(features, labels, preset="paper")
    rows["paper's preset against full at the chosen λ"] = agreement(paper.lsi, full.lsi)
    return {"n": len(labels), "d": features.shape[1], "prior_precision": prior,
            "mean_term": float(full.mean_term.mean()), "rows": rows}  # fmt: skip


def agreement(a: np.ndarray, b: np.ndarray) -> dict[str, float]:
    top = min(100, len(a) // 4)
    overlap = len(np.intersect1d(np.argsort(-a)[:top], np.argsort(-b)[:top])) / top
    found: Any = spearmanr(a, b)
    return {"spearman": float(found.statistic), "top_overlap": overlap, "top": top,
            "median_relative_error": float(np.median(np.abs(a / np.maximum(b, 1e-300) - 1)))}  # fmt: skip
