"""Label issues from leave-one-out probabilities, with the filters and the column names of cleanlab.

Source: Northcutt, Jiang and Chuang, Confident Learning, JAIR 2021. cleanlab asks for out-of-fold probabilities from
cross-validation; those of leave-one-out take their place. The rules are written anew here and tested against the
package sample by sample.
"""

from typing import get_args

import numpy as np
from jaxtyping import Bool, Float, Int

from lsi.config import IssueRule
from lsi.errors import UsageError

_EPSILON = 1e-6


def label_issues(
    labels: Int[np.ndarray, " n"], probabilities: Float[np.ndarray, "n k"], filter_by: str = "low_self_confidence"
) -> Bool[np.ndarray, " n"]:
    """Return which labels are suspected.

    Args:
        labels: given labels 0 … k − 1.
        probabilities: leave-one-out class probabilities.
        filter_by: the rule. `low_self_confidence` and `low_normalized_margin` take the estimated number of wrong labels
            from the worst end of that score; `confident_learning` takes what lies off the diagonal of the confident
            joint; `predicted_neq_given` what is predicted as another class; the prune rules remove per class, per noise
            rate, or only what both agree on.

    Raises:
        UsageError: no filter has that name.
    """
    if filter_by not in get_args(IssueRule):
        raise UsageError(f"Expected a filter among {', '.join(get_args(IssueRule))}, got {filter_by!r}.")
    differs = probabilities.argmax(axis=1) != labels
    if filter_by == "predicted_neq_given":
        return differs
    thresholds = class_thresholds(labels, probabilities)
    confident = _confident_class(probabilities, thresholds)
    if filter_by == "confident_learning":
        return (confident >= 0) & (confident != labels) & differs
    joint = calibrated_joint(labels, confident, probabilities.shape[1])
    if filter_by in ("low_self_confidence", "low_normalized_margin"):
        counted = (confident >= 0) & (confident != labels) & differs
        return _worst(_scores(labels, probabilities, filter_by), int(counted.sum()))
    rules = {"prune_by_class": _prune_by_class, "prune_by_noise_rate": _prune_by_noise_rate}
    chosen = list(rules) if filter_by == "both" else [filter_by]
    found = np.logical_and.reduce([rules[r](labels, probabilities, joint) for r in chosen])
    return found & differs


def residual_issues(standardised_residual: Float[np.ndarray, " n"]) -> Bool[np.ndarray, " n"]:
    """Return whose residual is unusually long: more than 3.5 robust deviations above the median.

    Source: Iglewicz and Hoaglin, How to Detect and Handle Outliers, 1993. The deviation is 1.4826 times the median
    absolute one, so that the suspects don't decide what is usual.
    """
    middle = np.median(standardised_residual)
    deviation = 1.4826 * np.median(np.abs(standardised_residual - middle))
    return standardised_residual > middle + 3.5 * deviation


def self_confidence(labels: Int[np.ndarray, " n"], probabilities: Float[np.ndarray, "n k"]) -> Float[np.ndarray, " n"]:
    """Return `label_score`: the probability of the given label; low = suspect."""
    return probabilities[np.arange(len(labels)), labels]


def class_thresholds(labels: Int[np.ndarray, " n"], probabilities: Float[np.ndarray, "n k"]) -> Float[np.ndarray, " k"]:
    """Return each class's mean self-confidence, what counts as confidently of that class; 1 for absent classes."""
    k = probabilities.shape[1]
    counts = np.bincount(labels, minlength=k)
    sums = np.bincount(labels, weights=self_confidence(labels, probabilities), minlength=k)
    thresholds = np.where(counts > 0, sums / np.maximum(counts, 1), 1.0)
    return np.maximum(thresholds, 2 * _EPSILON)


def calibrated_joint(
    labels: Int[np.ndarray, " n"], confident: Int[np.ndarray, " n"], n_classes: int
) -> Int[np.ndarray, "k k"]:
    """Return the confident joint: counts of (given, confident class), scaled to the given labels' counts.

    Args:
        labels: (n,) given labels 0 … k − 1.
        confident: (n,) the class each sample is confidently of, −1 for none.
        n_classes: k.
    """
    kept = confident >= 0
    joint = np.zeros((n_classes, n_classes), dtype=np.int64)
    np.add.at(joint, (labels[kept], confident[kept]), 1)
    joint[np.diag_indices(n_classes)] = np.maximum(joint.diagonal(), 1)
    counts = np.bincount(labels, minlength=n_classes)
    scaled = (joint.T / joint.sum(axis=1) * counts).T
    return _round_rows(scaled / scaled.sum() * counts.sum())


def _confident_class(probabilities: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    """Return the class above its threshold, the likeliest of all classes where several are, −1 where none is."""
    above = probabilities >= thresholds - _EPSILON
    several = above.sum(axis=1) > 1
    best = np.where(several, probabilities.argmax(axis=1), above.argmax(axis=1))
    return np.where(above.any(axis=1), best, -1)


def _scores(labels: np.ndarray, probabilities: np.ndarray, filter_by: str) -> np.ndarray:
    own = self_confidence(labels, probabilities)
    if filter_by == "low_self_confidence":
        return own
    others = probabilities.copy()
    others[np.arange(len(labels)), labels] = -1
    return (own - others.max(axis=1) + 1) / 2


def _worst(scores: np.ndarray, count: int) -> np.ndarray:
    found = np.zeros(len(scores), dtype=bool)
    found[np.argsort(scores)[:count]] = True
    return found


def _prune_by_class(labels: np.ndarray, probabilities: np.ndarray, joint: np.ndarray) -> np.ndarray:
    found = np.zeros(len(labels), dtype=bool)
    counts = np.bincount(labels, minlength=len(joint))
    own = self_confidence(labels, probabilities)
    for c in np.flatnonzero(counts > _MIN_PER_CLASS):
        number = int(np.floor(counts[c] - joint[c, c]))
        rows = np.flatnonzero(labels == c)
        if number > 0:
            limit = np.partition(own[rows], number)[number]
            found[rows] = own[rows] < limit
    return found


def _prune_by_noise_rate(labels: np.ndarray, probabilities: np.ndarray, joint: np.ndarray) -> np.ndarray:
    found = np.zeros(len(labels), dtype=bool)
    counts = np.bincount(labels, minlength=len(joint))
    own = self_confidence(labels, probabilities)
    pruned = _keep_at_least(joint.T, _MIN_PER_CLASS)
    for given in np.flatnonzero(counts > _MIN_PER_CLASS):
        rows = np.flatnonzero(labels == given)
        for other in range(len(joint)):
            number = int(pruned[other, given])
            if other != given and number > 0:
                margin = probabilities[rows, other] - own[rows]
                limit = -np.partition(-margin, number - 1)[number - 1]
                found[rows] |= margin >= limit
    return found


_MIN_PER_CLASS = 5


def _keep_at_least(counts: np.ndarray, least: int) -> np.ndarray:
    """Return the counts (true, given) with a diagonal of at least `least`, taken evenly from off the diagonal."""
    k = len(counts)
    kept = np.maximum(counts.diagonal(), least)
    excess = kept - counts.diagonal()
    new = counts - excess / max(1, k - 1)
    new[np.diag_indices(k)] = kept
    new = np.maximum(new, 0)
    return _round_rows(new.T).T.astype(np.int64)


def _round_rows(values: np.ndarray) -> np.ndarray:
    """Round each row to integers that keep its sum, moving what rounding changed most.

    Of equals the last goes up and the first goes down, as in cleanlab.
    """
    rounded = np.rint(values)
    for row, exact in zip(rounded, values, strict=True):
        missing = int(np.rint(exact.sum() - row.sum()))
        order = np.argsort(exact - row)
        row[order[len(row) - missing :] if missing > 0 else order[:-missing]] += np.sign(missing)
    return rounded.astype(np.int64)
