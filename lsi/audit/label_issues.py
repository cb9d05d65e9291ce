"""Label issues from leave-one-out probabilities, with the filters and the column names of cleanlab.

Source: Northcutt, Jiang and Chuang, Confident Learning, JAIR 2021. cleanlab asks for out-of-fold probabilities from
cross-validation; those of leave-one-out take their place. The rules are written anew here and tested against the
package sample by sample. `expected_errors` is our own: on frozen features confident learning flags up to eight times as
many labels as are wrong where few are, and the noise model does not.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import get_args

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int

from lsi.audit.noise_model import fit_noise, wrong_at_one_rate
from lsi.config import IssueRule
from lsi.errors import UsageError
from lsi.probabilities import Probabilities

MOST_VALUES, MOST_PRODUCTS = 2e7, 2e9  # n·k that the noise model holds a few times, and n·k² of an iteration
_EPSILON = 1e-6


def label_issues(
    labels: Int[np.ndarray, " n"],
    probabilities: "Float[np.ndarray, 'n k'] | Probabilities",
    filter_by: str = "low_self_confidence",
    confirmed: Bool[np.ndarray, " n"] | None = None,
) -> Bool[np.ndarray, " n"]:
    """Return which labels are suspected.

    Where the likeliest classes alone are kept, a class that is not kept counts with its even part of the rest: it is
    never above its threshold while that is above the smallest probability kept, as in all data seen so far.

    Args:
        labels: given labels 0 … k − 1.
        probabilities: leave-one-out class probabilities.
        filter_by: the rule. `expected_errors` takes as many as the noise model expects to be wrong and a deviation of
            that number more, at most as many as `low_self_confidence`, from the worst end of self-confidence, where
            another class is likelier. `low_self_confidence` and `low_normalized_margin` take the number that confident
            learning estimates from the worst end of that score; `confident_learning` takes what lies off the diagonal
            of the confident joint; `predicted_neq_given` what is predicted as another class; the prune rules remove
            per class, per noise rate, or only what both agree on.
        confirmed: (n,) which labels are right for certain: they are neither suspected nor counted; None: none.

    Raises:
        UsageError: no filter has that name.
    """
    if filter_by not in get_args(IssueRule):
        raise UsageError(f"Expected a filter among {', '.join(get_args(IssueRule))}, got {filter_by!r}.")
    table = Probabilities.of(probabilities)
    seen = _read(labels, table)
    differs = seen.predicted != labels
    if confirmed is not None:
        differs &= ~confirmed
    if filter_by == "predicted_neq_given":
        return differs
    confident = _confident_class(table, _thresholds(labels, seen.of_given, table.n_classes))
    if confirmed is not None:
        confident[confirmed] = labels[confirmed]
    suspected = (confident >= 0) & (confident != labels) & differs
    if filter_by == "confident_learning":
        return suspected
    if filter_by == "expected_errors":
        count = min(_expected(labels, table, confirmed), int(suspected.sum()))
        return _worst(seen.of_given, count, confirmed) & differs
    if filter_by in ("low_self_confidence", "low_normalized_margin"):
        score = seen.of_given if filter_by == "low_self_confidence" else (seen.of_given - seen.of_other + 1) / 2
        return _worst(score, int(suspected.sum()), confirmed)
    of_given = seen.of_given if confirmed is None else np.where(confirmed, np.inf, seen.of_given)
    joint = calibrated_joint(labels, confident, table.n_classes)
    return _pruned(labels, table, of_given, joint, filter_by) & differs


def _expected(labels: np.ndarray, table: Probabilities, confirmed: np.ndarray | None) -> int:
    """Return how many labels the noise model expects to be wrong and a deviation of their number (Poisson) more.

    With one rate for all classes where that of each would take too long.
    """
    if has_rates_of_classes(len(labels), table.n_classes):
        wrong = fit_noise(table.dense(), labels, confirmed=confirmed).p_wrong
    else:
        wrong = wrong_at_one_rate(table, labels, confirmed)
    expected = float(wrong.sum())
    return round(expected + np.sqrt(expected))


def has_rates_of_classes(n_labels: int, n_classes: int) -> bool:
    """Say whether `expected_errors` fits a rate of errors to each class, which takes too long for large n·k or n·k²."""
    return n_labels * n_classes <= MOST_VALUES and n_labels * n_classes**2 <= MOST_PRODUCTS


@dataclass(frozen=True)
class _Seen:
    """What one pass over the probabilities gives, (n,): the likeliest class, p of the given and of the best other."""

    predicted: Int[np.ndarray, " n"]
    of_given: Float[np.ndarray, " n"]
    of_other: Float[np.ndarray, " n"]


def _read(labels: np.ndarray, table: Probabilities) -> _Seen:
    n = len(labels)
    predicted, of_given, of_other = np.empty(n, np.int64), np.empty(n), np.empty(n)
    for rows, block in table.blocks():
        own = (np.arange(len(block)), labels[rows])
        predicted[rows], of_given[rows] = block.argmax(axis=1), block[own]
        rest = block.copy()
        rest[own] = -1
        of_other[rows] = rest.max(axis=1)
    return _Seen(predicted, of_given, of_other)


def residual_issues(standardised_residual: Float[np.ndarray, " n"]) -> Bool[np.ndarray, " n"]:
    """Return whose residual is unusually long: more than 3.5 robust deviations above the median.

    Source: Iglewicz and Hoaglin, How to Detect and Handle Outliers, 1993. The deviation is 1.4826 times the median
    absolute one, so that the suspects don't decide what is usual.
    """
    middle = np.median(standardised_residual)
    deviation = 1.4826 * np.median(np.abs(standardised_residual - middle))
    return standardised_residual > middle + 3.5 * deviation


def self_confidence(
    labels: Int[np.ndarray, " n"], probabilities: "Float[np.ndarray, 'n k'] | Probabilities"
) -> Float[np.ndarray, " n"]:
    """Return `label_score`: the probability of the given label; low = suspect."""
    return Probabilities.of(probabilities).of_classes(labels)


def most_suspect_first(table: pd.DataFrame) -> Int[np.ndarray, " n"]:
    """Return the order of rows by `label_score`, the least first; of residuals too long for one, the longest first.

    Args:
        table: scores, with `standardised_residual` where there are no classes: it orders rows as `label_score` does,
            which is 0 for many of them.
    """
    if "standardised_residual" in table.columns:
        return np.argsort(-table["standardised_residual"].to_numpy(), kind="stable")
    return np.argsort(table["label_score"].to_numpy(), kind="stable")


def suggested_labels(probabilities: "Float[np.ndarray, 'n k'] | Probabilities") -> Int[np.ndarray, " n"]:
    """Return the likeliest class of each sample; a suspected label differs from it."""
    table = Probabilities.of(probabilities)
    return np.concatenate([block.argmax(axis=1) for _, block in table.blocks()] or [np.empty(0, np.int64)])


def class_thresholds(
    labels: Int[np.ndarray, " n"], probabilities: "Float[np.ndarray, 'n k'] | Probabilities"
) -> Float[np.ndarray, " k"]:
    """Return each class's mean self-confidence, what counts as confidently of that class; 1 for absent classes."""
    table = Probabilities.of(probabilities)
    return _thresholds(labels, table.of_classes(labels), table.n_classes)


def _thresholds(labels: np.ndarray, of_given: np.ndarray, k: int) -> np.ndarray:
    counts = np.bincount(labels, minlength=k)
    sums = np.bincount(labels, weights=of_given, minlength=k)
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
    joint = np.zeros((n_classes, n_classes), dtype=np.int64, order="F")  # sums round as in cleanlab
    np.add.at(joint, (labels[kept], confident[kept]), 1)
    joint[np.diag_indices(n_classes)] = np.maximum(joint.diagonal(), 1)
    counts = np.bincount(labels, minlength=n_classes)
    scaled = (joint.T / joint.sum(axis=1) * counts).T
    return _round_rows(scaled / scaled.sum() * counts.sum())


def _confident_class(table: Probabilities, thresholds: np.ndarray) -> np.ndarray:
    """Return the class above its threshold, the likeliest of all classes where several are, −1 where none is."""
    confident = np.empty(len(table), dtype=np.int64)
    for rows, block in table.blocks():
        above = block >= thresholds - _EPSILON
        count = above.sum(axis=1)
        best = np.where(count > 1, block.argmax(axis=1), above.argmax(axis=1))
        confident[rows] = np.where(count > 0, best, -1)
    return confident


def _worst(scores: np.ndarray, count: int, confirmed: np.ndarray | None) -> np.ndarray:
    is_issue = np.zeros(len(scores), dtype=bool)
    if confirmed is not None:
        scores = np.where(confirmed, np.inf, scores)
    is_issue[np.argsort(scores)[:count]] = True
    return is_issue


def _by_class(labels: np.ndarray, k: int) -> Iterator[tuple[int, np.ndarray]]:
    """Yield the classes of several samples, and the rows of each in rising order."""
    counts = np.bincount(labels, minlength=k)
    groups = np.split(np.argsort(labels, kind="stable"), np.cumsum(counts)[:-1])
    for c in np.flatnonzero(counts > 1):
        yield int(c), groups[c]


def _pruned(
    labels: np.ndarray, table: Probabilities, of_given: np.ndarray, joint: np.ndarray, filter_by: str
) -> np.ndarray:
    """Return what a prune rule takes; `of_given` is infinite for labels that are right for certain."""
    counts = _keep_at_least_one(joint.T)
    pruned = np.isfinite(of_given)
    if filter_by in ("prune_by_class", "both"):
        pruned &= _prune_by_class(labels, of_given, counts)
    if filter_by in ("prune_by_noise_rate", "both"):
        pruned &= _prune_by_noise_rate(labels, table, of_given, counts)
    return pruned


def _prune_by_class(labels: np.ndarray, of_given: np.ndarray, counts: np.ndarray) -> np.ndarray:
    is_issue = np.zeros(len(labels), dtype=bool)
    for c, rows in _by_class(labels, len(counts)):
        number = max(0, len(rows) - counts[c, c])
        is_issue[rows[np.argsort(of_given[rows])[:number]]] = True
    return is_issue


def _prune_by_noise_rate(
    labels: np.ndarray, table: Probabilities, of_given: np.ndarray, counts: np.ndarray
) -> np.ndarray:
    is_issue = np.zeros(len(labels), dtype=bool)
    for given, rows in _by_class(labels, len(counts)):
        others = np.flatnonzero(counts[:, given] > 0)
        others = others[others != given]
        if not len(others):
            continue
        margins = table.rows(rows)[:, others] - of_given[rows, None]
        for number, margin in zip(counts[others, given], margins.T, strict=True):
            is_issue[rows[np.argsort(-margin)[:number]]] = True
    return is_issue


def _keep_at_least_one(counts: np.ndarray) -> np.ndarray:
    """Return the counts (true, given) with a diagonal of at least 1, taken evenly from what else a column counts.

    Rounded down, as in cleanlab.
    """
    kept = np.maximum(counts.diagonal(), 1)
    excess = kept - counts.diagonal()
    new = counts - excess / np.maximum(np.count_nonzero(counts, axis=0) - 1, 1)
    np.fill_diagonal(new, kept)
    return np.maximum(new, 0).astype(np.int64)


def _round_rows(values: np.ndarray) -> np.ndarray:
    """Round each row to integers that keep its sum, moving what rounding changed most.

    Of equals the last goes up and the first goes down, as in cleanlab.
    """
    rounded = np.rint(values)
    for row, exact in zip(rounded, values, strict=True):
        missing = int(np.rint(exact.sum()) - row.sum())
        order = np.argsort(exact - row)
        row[order[len(row) - missing :] if missing > 0 else order[:-missing]] += np.sign(missing)
    return rounded.astype(np.int64)
