"""Are low-LSI images the typical ones, and is the LSI of a class or a dataset its difficulty?"""

from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import mannwhitneyu, spearmanr

from benchmarks.evidence.probes import fitted, scores_of
from benchmarks.evidence.problems import Source, sources
from lsi.audit.duplicates import neighbours
from lsi.laplace.scores import Scores

SHARE = 0.1  # of the samples, at either end of LSI


def study(quick: bool, cache: Path) -> dict[str, Any]:
    """Return, for each dataset, what goes with LSI, the tests between its two ends, and its classes."""
    return {source.name: one(source) for source in sources(cache, 400 if quick else 6_000)}


def one(source: Source) -> dict[str, Any]:
    x, y = source.features, source.clean
    probe = fitted(x, y, int(y.max()) + 1)
    scores = scores_of(probe)
    rows = {name: ends(values, scores.lsi) for name, values in measures(x, y, scores).items()}
    wrong = scores.predicted_label != y
    classes = np.unique(y)
    return {
        "n": len(y),
        "prior_precision": probe.objective.prior_precision,
        "measures": rows,
        "class_lsi": [float(scores.lsi[y == c].mean()) for c in classes],
        "class_error": [float(wrong[y == c].mean()) for c in classes],
        "classes": _correlation(
            np.array([scores.lsi[y == c].mean() for c in classes]), np.array([wrong[y == c].mean() for c in classes])
        ),
        "dataset_lsi": float(scores.lsi.sum()),
        "mean_lsi": float(scores.lsi.mean()),
        "dataset_error": float(wrong.mean()),
    }


def measures(x: np.ndarray, y: np.ndarray, scores: Scores) -> dict[str, np.ndarray]:
    """Return what might make an image atypical, each rising with atypicality."""
    centres = np.stack([x[y == c].mean(axis=0) for c in range(int(y.max()) + 1)])
    near = neighbours(x, 10)
    return {
        "distance to the class mean": np.linalg.norm(x - centres[y], axis=1),
        "mean cosine distance to 10 neighbours": near.distance.mean(axis=1),
        "neighbours of another class": (y[near.index] != y[:, None]).mean(axis=1),
        "negative leave-one-out margin": -scores.loo_margin,
        "length of the feature": np.linalg.norm(x, axis=1),
    }


def ends(values: np.ndarray, lsi: np.ndarray) -> dict[str, float]:
    """Return the correlation with LSI, and a two-sided rank test between the tenths of highest and lowest LSI.

    The effect size is the rank-biserial correlation: 1 where every high-LSI image has the larger value.
    """
    order, count = np.argsort(lsi), max(2, round(SHARE * len(lsi)))
    low, high = values[order[:count]], values[order[-count:]]
    test: Any = mannwhitneyu(high, low, alternative="two-sided")
    effect = 2 * float(test.statistic) / (len(high) * len(low)) - 1
    return _correlation(values, lsi) | {"effect": effect, "p_of_test": float(test.pvalue)}


def _correlation(a: np.ndarray, b: np.ndarray) -> dict[str, float]:
    found: Any = spearmanr(a, b)
    return {"spearman": float(found.statistic), "p": float(found.pvalue)}
