"""A hundred and a thousand classes: are wrong labels still found, and does the Kronecker posterior still rank right?

No set of so many classes is at hand: each class of CIFAR-10 is cut into clusters of its images' features, which makes a
hierarchy on real features. Half of the wrong labels lie within the class that was cut, half anywhere.
"""

import time
from pathlib import Path
from typing import Any

import numpy as np
from cleanlab.rank import get_label_quality_scores
from jaxtyping import Float, Int
from scipy.stats import spearmanr
from sklearn.cluster import MiniBatchKMeans
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, roc_auc_score
from sklearn.model_selection import cross_val_predict

from benchmarks.evidence.fidelity import agreement
from benchmarks.evidence.probes import fitted
from benchmarks.evidence.problems import Source, human_source, sources
from lsi.audit.duplicates import neighbours
from lsi.audit.label_issues import self_confidence
from lsi.audit.through_noise import judge_labels
from lsi.laplace.probe import Probe
from lsi.laplace.scores import LeaveOneOut, Scores, evaluate

WIDTH = 64  # principal components, so that the full posterior of 100 classes fits
FLIPPED = 0.1
REFITTED = 40
MOST_FOR_TRUTH = 100  # classes up to which the full posterior fits and refits take minutes


def study(quick: bool, cache: Path) -> dict[str, Any]:
    """Return, for each number of classes, what finds wrong labels, and how kron's ranks agree with more exact ones."""
    rows = []
    for n, parts in ((600, 3),) if quick else ((10_000, 10), (20_000, 100)):
        source = next(sources(cache, n)) if quick else human_source(cache, n)
        if source is not None:
            rows.append(one(source, parts, quick))
            print(rows[-1], flush=True)
    return {"rows": rows}


def one(source: Source, parts: int, quick: bool) -> dict[str, Any]:
    """Return the figures of one set whose classes are cut into parts.

    Args:
        source: features and right labels.
        parts: clusters a class.
        quick: fewer refits.
    """
    x = np.ascontiguousarray(source.features[:, :WIDTH])
    right, parents = clusters(source.features, source.clean, parts)
    given, k = flipped_nearby(right, parents, FLIPPED), len(parents)
    wrong, start = given != right, time.perf_counter()
    probe = fitted(x, given, k)
    full_fits = k <= MOST_FOR_TRUTH
    scores = {s: _scores(probe, s) for s in (("full", "kron") if full_fits else ("kron",))}
    judged = judge_labels(probe, given, scores["kron"].probabilities, structure="kron")
    seconds = time.perf_counter() - start
    found = {
        "label_score (kron)": self_confidence(given, judged),
        "leave-one-out self-confidence (kron)": scores["kron"].loo_p_given,
        **{f"LSI {name}": -one.lsi for name, one in scores.items()},
        **_peers(x, given, with_folds=full_fits),
    }
    figures = {name: {"auroc": float(roc_auc_score(wrong, -values)),
                      "average_precision": float(average_precision_score(wrong, -values))}
               for name, values in found.items()}  # fmt: skip
    accuracy = float((scores["kron"].predicted_label == right).mean())
    return {"dataset": source.name, "n": len(given), "k": k, "d": x.shape[1], "wrong": int(wrong.sum()),
            "accuracy": accuracy, "seconds": seconds, "detectors": figures,
            "agreement": _agreement(probe, scores, 10 if quick else REFITTED) if full_fits else {}}  # fmt: skip


def clusters(
    features: Float[np.ndarray, "n d"], labels: Int[np.ndarray, " n"], parts: int
) -> tuple[Int[np.ndarray, " n"], Int[np.ndarray, " k"]]:
    """Return a class for each cluster of each class's features that is not empty, and the class that each is cut from.

    Args:
        features: of the samples.
        labels: their classes.
        parts: clusters a class.
    """
    found = np.zeros(len(labels), np.int64)
    for c in np.unique(labels):
        rows = np.flatnonzero(labels == c)
        model = MiniBatchKMeans(parts, n_init="auto", random_state=0, batch_size=4_096)
        found[rows] = c * parts + model.fit_predict(features[rows])
    there, classes = np.unique(found, return_inverse=True)
    return classes.astype(np.int64), there // parts


def flipped_nearby(
    labels: Int[np.ndarray, " n"], parents: Int[np.ndarray, " k"], share: float
) -> Int[np.ndarray, " n"]:
    """Return labels of which a share is wrong: half another part of the class that was cut, half any other class.

    Args:
        labels: the right ones.
        parents: the class that each of them is cut from.
        share: of wrong labels.
    """
    rng, k = np.random.default_rng(0), len(parents)
    chosen = rng.choice(len(labels), round(share * len(labels)), replace=False)
    given = labels.copy()
    for i, row in enumerate(chosen):
        near = np.setdiff1d(np.flatnonzero(parents == parents[labels[row]]), labels[row])
        others = near if i % 2 == 0 and len(near) else np.setdiff1d(np.arange(k), labels[row])
        given[row] = rng.choice(others)
    return given


def _scores(probe: Probe, structure: str, refitted: tuple[int, ...] = ()) -> Scores:
    return evaluate(probe, (structure,), LeaveOneOut(certify=0, refit_samples=refitted))[0]  # type: ignore[arg-type]


def _peers(x: np.ndarray, given: np.ndarray, *, with_folds: bool) -> dict[str, np.ndarray]:
    """Return the quality of labels by neighbours and, where that takes no hours, by cross-validated probabilities."""
    near = neighbours(x, 50)
    found = {"50-neighbour agreement": (given[near.index] == given[:, None]).mean(axis=1)}
    if with_folds:
        model = LogisticRegression(max_iter=1_000)
        p = np.asarray(cross_val_predict(model, x, given, cv=5, method="predict_proba", n_jobs=-1))
        found["cleanlab self_confidence, C = 1"] = get_label_quality_scores(given, p)
    return found


def _agreement(probe: Probe, scores: dict[str, Scores], count: int) -> dict[str, dict[str, float]]:
    """Return how kron's LSI agrees with the full one, and with kron's after true refits of some samples."""
    kron = scores["kron"]
    rows = np.sort(np.random.default_rng(0).choice(len(kron.lsi), count, replace=False))
    refitted = _scores(probe, "kron", tuple(rows.tolist()))
    found = {
        f"Newton step against refit, kron, {count} samples": agreement(kron.lsi[rows], refitted.lsi[rows]),
        "kron against full": agreement(kron.lsi, scores["full"].lsi),
    }
    by: Any = spearmanr(kron.loo_p_given, scores["full"].loo_p_given)
    found["kron against full"]["probabilities"] = float(by.statistic)
    return found
