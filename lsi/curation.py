"""Does curation help? A probe retrained on the curated set against same-size random removals, on held-out data."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from scipy.stats import beta
from scipy.stats import t as student
from torch import Tensor

from lsi.errors import UsageError
from lsi.objective import Objective
from lsi.probe import fit
from lsi.types import Likelihood

SEEDS = 5
HELD_OUT = 0.3


def wrong_among_open(n_open: int, n_wrong: int, n_right: int) -> tuple[float, float, float]:
    """Return how many of `n_open` undecided labels are wrong if they are like the decided ones, with a 95 % interval.

    The share follows Jeffreys' posterior Beta(½ + wrong, ½ + right). Reviewed worst first, the rest is rather better.
    """
    share = beta(0.5 + n_wrong, 0.5 + n_right)
    return n_open * float(share.mean()), n_open * float(share.ppf(0.025)), n_open * float(share.ppf(0.975))


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
    half = float(student.ppf(0.975, seeds - 1) * gain.std(ddof=1) / np.sqrt(seeds))
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
        probe = fit(Objective(likelihood, phi[index], torch.from_numpy(labels)[index], prior_precision))
        predicted = (phi[torch.from_numpy(held)].double() @ probe.logit_weights.T).argmax(dim=1).numpy()
        return float((predicted == given[held]).mean())

    return accuracy(train, given), accuracy(curated, new), accuracy(thinned, given)
