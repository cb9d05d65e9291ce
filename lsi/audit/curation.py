"""Whether curation helps, by retraining on held-out data."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from scipy.special import stdtrit

from lsi.errors import UsageError
from lsi.laplace.objective import Objective
from lsi.laplace.probe import fit

SEEDS = 5
HELD_OUT = 0.3


@dataclass(frozen=True)
class ResampledDifference:
    """The `mean` of a difference over random splits, with a 95 % interval `low` … `high`, in the difference's unit."""

    mean: float
    low: float
    high: float


def resampled_difference(differences: Float[np.ndarray, " s"], n_held_out: int, n_trained: int) -> ResampledDifference:
    """Return the corrected resampled t interval of a difference in accuracy over random splits.

    The splits overlap, so their differences are not independent. Their mean has the variance

        (1/J + n_test/n_train)·σ²,      J splits, σ² the sample variance of the differences,

    and the half width is its root times the 0.975 quantile of Student's t with J − 1 degrees of freedom.

    Source: Nadeau and Bengio, Inference for the Generalization Error, Machine Learning 52, 2003.

    Args:
        differences: one difference per split, (J,) with J ≥ 2.
        n_held_out: samples that each split tests on.
        n_trained: samples that each split leaves to train on.

    Raises:
        UsageError: there are fewer than two splits.
    """
    n_splits = len(differences)
    if n_splits < 2:
        raise UsageError(f"Expected at least two splits to compare, got {n_splits}.")
    variance = (1 / n_splits + n_held_out / n_trained) * float(differences.var(ddof=1))
    half = float(stdtrit(n_splits - 1, 0.975)) * variance**0.5
    mean = float(differences.mean())
    return ResampledDifference(mean, mean - half, mean + half)


@dataclass(frozen=True)
class CurationCheck:
    """Accuracy on held-out samples, 0 … 1, one array entry per split.

    Attributes:
        original: trained on the whole training part, under the given labels, (s,).
        curated: trained on what curation keeps, under the new labels, (s,).
        random: trained on as many samples as curation keeps, drawn at random, under the given labels, (s,).
        difference: mean of curated − random.
        low: lower end of its 95 % interval, see `resampled_difference`.
        high: upper end of the same.
        n_removed: samples that curation removes.
        n_held_out: samples held out by each split.
    """

    original: Float[np.ndarray, " s"]
    curated: Float[np.ndarray, " s"]
    random: Float[np.ndarray, " s"]
    difference: float
    low: float
    high: float
    n_removed: int
    n_held_out: int

    @property
    def verdict(self) -> str:
        """What the interval says, in words."""
        if self.low > 0:
            return "curation helps"
        return "curation hurts" if self.high < 0 else "no measurable gain"

    @property
    def sentence(self) -> str:
        """The accuracies and the verdict in one sentence."""
        return (
            f"Curated {self.curated.mean():.2%}, original {self.original.mean():.2%}, random removal "
            f"{self.random.mean():.2%}. Curated against random: {100 * self.difference:+.2f} points "
            f"({100 * self.low:+.2f} to {100 * self.high:+.2f}): {self.verdict}."
        )


def check_curation(
    objective: Objective, new: Int[np.ndarray, " n"], kept: Bool[np.ndarray, " n"], seeds: int = SEEDS
) -> CurationCheck:
    """Retrain on the curated, the original and a randomly thinned training part, and compare on the held-out part.

    Each split holds out a different 30 % of the samples. Cleaning does not touch the held-out samples: they are judged
    by their given labels, which may be wrong.

    Args:
        objective: the probe's, over n samples with their given labels as targets.
        new: labels after curation, 0 … k − 1, (n,).
        kept: which samples curation keeps, (n,).
        seeds: number of splits, at least 2.

    Raises:
        UsageError: curation changes nothing, or leaves too little to train on, or there are fewer than two splits.
    """
    given = objective.targets.cpu().numpy()
    if kept.all() and (given == new).all():
        raise UsageError("Nothing is excluded or relabelled yet: there is nothing to check.")
    splits = [_retrain(objective, new, kept, seed) for seed in range(seeds)]
    original, curated, random = (np.array([getattr(s, f) for s in splits]) for f in ("original", "curated", "random"))
    held_out = round(HELD_OUT * len(given))
    gain = resampled_difference(curated - random, held_out, len(given) - held_out)
    return CurationCheck(
        original, curated, random, gain.mean, gain.low, gain.high, n_removed=int((~kept).sum()), n_held_out=held_out
    )


@dataclass(frozen=True)
class _Accuracies:
    """Accuracy on the held-out part of one split, by what the probe was trained on."""

    original: float
    curated: float
    random: float


def _retrain(objective: Objective, new: np.ndarray, kept: np.ndarray, seed: int) -> _Accuracies:
    """Return the held-out accuracies of one split.

    Args:
        objective: over all samples, with their given labels.
        new: labels after curation, (n,).
        kept: which samples curation keeps, (n,).
        seed: of the split and of the random removal.
    """
    given = objective.targets.cpu().numpy()
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(given))
    cut = round(HELD_OUT * len(given))
    held_out, train = order[:cut], order[cut:]
    curated = train[kept[train]]
    if len(np.unique(new[curated])) < 2:
        raise UsageError("Curation leaves samples of fewer than two classes to train on.")
    thinned = rng.permutation(train)[: len(curated)]
    device = objective.targets.device
    test = objective.rows(torch.from_numpy(held_out).to(device))

    def accuracy(rows: np.ndarray, labels: np.ndarray) -> float:
        rows = np.sort(rows)
        part = objective.rows(torch.from_numpy(rows).to(device))
        probe = fit(part.with_targets(torch.from_numpy(labels[rows]).to(device)))
        return float((test.logits(probe.weights).argmax(dim=1) == test.targets).double().mean())

    return _Accuracies(accuracy(train, given), accuracy(curated, new), accuracy(thinned, given))
