"""Are low-LSI images the typical ones, is the LSI of a class its difficulty, and do people hesitate there?"""

from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import entropy, mannwhitneyu, spearmanr
from sklearn.metrics import roc_auc_score

from benchmarks.evidence.probes import fitted, scores_of
from benchmarks.evidence.problems import CIFAR, Source, human_source, sources
from lsi.audit.duplicates import neighbours
from lsi.audit.label_issues import self_confidence
from lsi.audit.through_noise import judge_labels
from lsi.laplace.scores import Scores

VOTES = CIFAR / "cifar10n_votes.npz"
SHARE = 0.1  # of the samples, at either end of LSI


def study(quick: bool, cache: Path) -> dict[str, Any]:
    """Return, for each dataset, what goes with LSI, the tests between its two ends, and its classes."""
    found = {source.name: one(source) for source in sources(cache, 400 if quick else 6_000)}
    people = human_source(cache, 400 if quick else 12_000)
    return found if people is None else found | {"votes": votes(people)}


def votes(source: Source) -> dict[str, Any]:
    """Return how scores on right and on human labels go with the entropy of three annotators' votes (CIFAR-10N)."""
    assert source.human is not None
    counts = np.stack([np.bincount(v, minlength=10) for v in np.load(VOTES)["votes"][source.dataset.index]]) / 3
    hesitation = np.asarray(entropy(counts, axis=1))
    found = {}
    for name, labels in (("right labels", source.clean), ("human labels", source.human)):
        probe = fitted(source.features, labels, 10)
        scores = scores_of(probe)
        near = neighbours(source.features, 10)
        seen = scores.loo_probabilities
        rows = {
            "LSI": scores.lsi,
            "leave-one-out self-confidence": 1 - scores.loo_p_given,
            "entropy of the leave-one-out probabilities": np.asarray(entropy(seen, axis=1)),
            "label_score": 1 - self_confidence(labels, judge_labels(probe, labels, seen)),
            "neighbours of another class": (labels[near.index] != labels[:, None]).mean(axis=1),
            "mean cosine distance to 10 neighbours": near.distance.mean(axis=1),
        }
        found[name] = {score: _correlation(values, hesitation) | {"auroc": float(roc_auc_score(hesitation > 0, values))}
                       for score, values in rows.items()}  # fmt: skip
    return {"n": len(hesitation), "disagree": float((hesitation > 0).mean()), "labels": found}


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
