"""Does curation help? A probe retrained on the curated set against same-size random removals, on held-out data."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from scipy.special import expit, logit, stdtrit
from torch import Tensor

from lsi.errors import UsageError
from lsi.laplace.design_matrix import DesignMatrix
from lsi.laplace.likelihood import Likelihood
from lsi.laplace.objective import Objective
from lsi.laplace.probe import fit

SEEDS = 5
HELD_OUT = 0.3
_ROWS = 1_024


@dataclass(frozen=True)
class WrongLeft:
    """How many undecided labels are wrong: the `expected` number with a 95 % interval `low` … `high`."""

    expected: float
    low: float
    high: float


def wrong_left(
    open_p: Float[np.ndarray, " o"], decided_p: Float[np.ndarray, " d"], decided_wrong: Bool[np.ndarray, " d"]
) -> WrongLeft:
    """Estimate how many of the undecided labels are wrong, from leave-one-out probabilities and the decisions so far.

    P(wrong) = σ(a + b·logit(1 − p)) with p the leave-one-out probability of the given label. Before any decision
    a = 0 and b = 1 take probabilities at their word, with priors a ~ N(0, 1.5²), b ~ N(1, 0.5²), since under label
    noise they are not certain enough; each decision moves them. The interval is of 2,000 draws from the Laplace
    posterior of (a, b), each with its coin tosses.

    Args:
        open_p: leave-one-out probability of the given label, of those not decided.
        decided_p: the same of those decided.
        decided_wrong: which of those were found wrong.
    """
    centre, precision = np.array([0.0, 1.0]), np.diag([1 / 1.5**2, 1 / 0.5**2])

    def design(p: np.ndarray) -> np.ndarray:
        return np.stack([np.ones(len(p)), -logit(np.clip(p, 1e-6, 1 - 1e-6))], axis=1)

    x, coefficients, hessian = design(decided_p), centre, precision
    for _ in range(50):  # Newton; the objective is convex and has two unknowns
        share = expit(x @ coefficients)
        gradient = x.T @ (share - decided_wrong) + precision @ (coefficients - centre)
        hessian = (x.T * (share * (1 - share))) @ x + precision
        step = np.linalg.solve(hessian, gradient)
        coefficients = coefficients - step
        if np.abs(step).max() < 1e-9:
            break
    rng = np.random.default_rng(0)
    draws = rng.multivariate_normal(coefficients, np.linalg.inv(hessian), size=2_000)
    mean, variance = np.zeros(len(draws)), np.zeros(len(draws))
    for start in range(0, len(open_p), _ROWS):
        shares = expit(design(open_p[start : start + _ROWS]) @ draws.T)
        mean += shares.sum(axis=0)
        variance += (shares * (1 - shares)).sum(axis=0)
    counts = mean + rng.normal(size=len(mean)) * np.sqrt(variance)
    low, high = np.clip(np.quantile(counts, [0.025, 0.975]), 0, len(open_p))
    return WrongLeft(float(mean.mean()), float(low), float(high))


@dataclass(frozen=True)
class CurationCheck:
    """Accuracy on held-out samples, an array entry a seed.

    `difference` is curated − random removal, with a 95 % interval `low` … `high` over seeds (Student's t).
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
    likelihood: Likelihood,
    phi: Float[Tensor, "n d"],
    given: Int[np.ndarray, " n"],
    new: Int[np.ndarray, " n"],
    kept: Bool[np.ndarray, " n"],
    prior_precision: float,
    seeds: int = SEEDS,
) -> CurationCheck:
    """Retrain on the curated, the original and randomly thinned training part, and compare on the held-out part.

    Each seed holds out a different 30 % of the samples; cleaning does not touch them: their labels stay as given.

    Args:
        likelihood: of the probe.
        phi: features, bias column included.
        given: labels before curation.
        new: labels after curation.
        kept: which samples curation keeps.
        prior_precision: λ.
        seeds: repetitions.

    Raises:
        UsageError: curation changes nothing, or leaves too little to train on.
    """
    if kept.all() and (given == new).all():
        raise UsageError("Nothing is excluded or relabelled yet: there is nothing to check.")
    rows = np.array([_once(likelihood, phi, given, new, kept, prior_precision, s) for s in range(seeds)])
    gain = rows[:, 1] - rows[:, 2]
    half = float(stdtrit(seeds - 1, 0.975) * gain.std(ddof=1) / np.sqrt(seeds))
    mean = float(gain.mean())
    held = round(HELD_OUT * len(given))
    return CurationCheck(rows[:, 0], rows[:, 1], rows[:, 2], mean, mean - half, mean + half, int((~kept).sum()), held)


def _once(likelihood, phi, given, new, kept, prior_precision: float, seed: int) -> tuple[float, float, float]:
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(given))
    cut = round(HELD_OUT * len(given))
    held, train = order[:cut], order[cut:]
    curated = train[kept[train]]
    if len(np.unique(new[curated])) < 2:
        raise UsageError("Curation leaves samples of fewer than two classes to train on.")
    thinned = rng.permutation(train)[: len(curated)]

    def accuracy(rows: np.ndarray, labels: np.ndarray) -> float:
        index = torch.from_numpy(np.sort(rows))
        probe = fit(Objective(likelihood, DesignMatrix(phi[index]), torch.from_numpy(labels)[index], prior_precision))
        predicted = (phi[torch.from_numpy(held)].double() @ probe.logit_weights.T).argmax(dim=1).numpy()
        return float((predicted == given[held]).mean())

    return accuracy(train, given), accuracy(curated, new), accuracy(thinned, given)
