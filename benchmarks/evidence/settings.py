"""Which settings find wrong labels? One setting changed at a time, from the product's defaults."""

import time
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.metrics import roc_auc_score

from benchmarks.evidence.probes import fitted, scores_of
from benchmarks.evidence.problems import Source, flipped, sources
from lsi.audit.through_noise import judge_labels
from lsi.laplace.scores.evaluate import size_of
from lsi.laplace.scores.structures import resolve

SIZES, COMPONENTS = (96, 224), (32, 64, 128, 512, 0)


def study(quick: bool, cache: Path) -> dict[str, Any]:
    """Return, for each dataset with human labels or a tenth of its labels flipped, figures by setting."""
    chosen = (s for s in sources(cache, 400 if quick else 3_000) if not quick or s.name == "digits")
    return {s.name: one(s, cache, quick) for s in chosen}


def one(source: Source, cache: Path, quick: bool) -> dict[str, Any]:
    given = flipped(source.clean, "symmetric", 0.1, 0) if source.human is None else source.human
    backbone = "pixels" if source.name == "digits" else "efficientnet_lite0"
    variants: dict[str, dict[str, Any]] = {"default": {}, "not standardised": {"standardise": False, "pca": 0}}
    variants |= {f"{c} components" if c else "no PCA": {"pca": c} for c in COMPONENTS if not quick or c == 32}
    if backbone != "pixels":
        variants |= {f"{size} px": {"image_size": size} for size in SIZES}
    rows = {name: _figures(source.with_backbone(cache, backbone=backbone, **how), given, source.clean)
            for name, how in variants.items()}  # fmt: skip
    features = source.with_backbone(cache, backbone=backbone)
    chosen = rows["default"]["prior_precision"]
    for name, prior in (("λ = 1", 1.0), ("λ × 0.1", chosen / 10), ("λ × 10", 10 * chosen)):
        rows[name] = _figures(features, given, source.clean, prior)
    rows["structure kron"] = _figures(features, given, source.clean, structure="kron")
    return {"noise": "symmetric 10%" if source.human is None else "human (CIFAR-10N)", "rows": rows}


def _figures(
    features: np.ndarray, given: np.ndarray, clean: np.ndarray, prior: float | None = None, structure: str = "auto"
) -> dict[str, float]:
    start = time.perf_counter()
    probe = fitted(features.astype(np.float32), given, int(clean.max()) + 1, prior)
    structure = resolve(structure, size_of(probe))
    scores = scores_of(probe, structure)
    label_probabilities = judge_labels(probe, given, scores.loo_probabilities, structure=structure).dense()
    spent = time.perf_counter() - start
    wrong = given != clean
    return {
        "label_score": float(roc_auc_score(wrong, -label_probabilities[np.arange(len(given)), given])),
        "lsi": float(roc_auc_score(wrong, scores.lsi)),
        "accuracy": float((scores.predicted_label == clean).mean()),
        "prior_precision": probe.objective.prior_precision,
        "seconds": spent,
    }
