"""What label scores are worth: the probability that each label is wrong, by the noise model of `noise_model`.

Probabilities of a probe fitted to partly wrong labels are underconfident, and those of its suspects overconfident,
because the labels that contradicted it were left out. So labels are flipped on purpose and the scores computed anew;
the labels from before the flips are then held against probabilities that were not fitted to them, and the inverse
temperature is the one that makes them likeliest. Labels alone do not tell noise from hard images: by likelihood too
much of human noise passes for hard images, and confident learning's count without suspects takes too many hard images
for noise. The expected share of wrong labels is held to the mean of both.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int

from lsi.audit.label_issues import label_issues
from lsi.audit.noise_model import fit_noise, temper
from lsi.audit.through_noise import judge_labels
from lsi.audit.without_suspects import leave_one_out_probabilities
from lsi.errors import UsageError
from lsi.laplace.probe import Probe, fit
from lsi.probabilities import Probabilities

MOST_PRODUCTS = 2e10  # n·k² of an iteration of the noise model: about a second on two cores
PLANTED = 0.1  # share of the labels flipped in a round
PLANTED_IN_ALL = 4_000
REPEATS = (3, 12)  # rounds, at least and at most
_INVERSE_TEMPERATURES = (0.5, 4.0)


@dataclass(frozen=True)
class Calibration:
    """What label scores are worth.

    Attributes:
        p_wrong: (n,) probability that each given label is wrong.
        noise: (k, k) probability of each given label (columns) by the right one (rows), averaged over samples.
        inverse_temperature: the power that the probabilities were raised to.
        n_planted: number of planted flips.
    """

    p_wrong: Float[np.ndarray, " n"]
    noise: Float[np.ndarray, "k k"]
    inverse_temperature: float
    n_planted: int


def calibrate(
    probe: Probe,
    labels: Int[np.ndarray, " n"],
    label_probabilities: "Float[np.ndarray, 'n k'] | Probabilities",
    seed: int = 0,
    structure: str = "auto",
    confirmed: Bool[np.ndarray, " n"] | None = None,
) -> Calibration:
    """Plant flips, score again, and return the probability that each label is wrong.

    Args:
        probe: fitted on the given labels.
        labels: given labels 0 … k − 1.
        label_probabilities: (n, k) class probabilities that labels are judged by, those behind `label_score`.
        seed: of the planted flips.
        structure: of the posteriors that leave-one-out takes: full, kron or auto.
        confirmed: (n,) which labels are right for certain; None: none.

    Raises:
        UsageError: n·k² is too large, as `check_calibrates` says.
    """
    n = len(labels)
    check_calibrates(n, probe.objective.n_outputs)
    label_probabilities = Probabilities.of(label_probabilities).dense()
    repeats = int(np.clip(np.ceil(PLANTED_IN_ALL / (PLANTED * len(labels))), *REPEATS))
    confirmed = np.zeros(n, bool) if confirmed is None else confirmed
    rounds = [_planted(probe, labels, np.random.default_rng([seed, i]), structure, confirmed) for i in range(repeats)]
    unseen, before = (np.concatenate([getattr(r, name) for r in rounds]) for name in ("probabilities", "before"))
    tempered = temper(label_probabilities, _inverse_temperature(unseen, before))
    free = fit_noise(tempered, labels, confirmed=confirmed).p_wrong.mean()
    share = float(free + label_issues(labels, label_probabilities, confirmed=confirmed).mean()) / 2
    inverse_temperature = _inverse_temperature(unseen, before, share)
    model = fit_noise(temper(label_probabilities, inverse_temperature), labels, share, confirmed)
    return Calibration(model.p_wrong, model.noise, inverse_temperature, len(before))


def check_calibrates(n_labels: int, n_classes: int) -> None:
    """Raise where a calibration would take too long: each of some hundred iterations takes n·k² products.

    Args:
        n_labels: n.
        n_classes: k.

    Raises:
        UsageError: it would.
    """
    products = n_labels * n_classes**2
    if products > MOST_PRODUCTS:
        raise UsageError(
            f"Calibrating {n_labels:,} labels of {n_classes:,} classes takes {products:.0e} products an iteration, "
            f"more than {MOST_PRODUCTS:.0e}: compute without --calibrate, or calibrate a subset of the samples."
        )


@dataclass(frozen=True)
class _Planted:
    """Flipped samples: class `probabilities` without suspects (s, k), and their labels `before` the flip (s,)."""

    probabilities: np.ndarray
    before: np.ndarray


def _planted(
    probe: Probe, labels: np.ndarray, rng: np.random.Generator, structure: str, confirmed: np.ndarray
) -> _Planted:
    """Flip labels, score them anew, and return what the scores say of the flipped samples."""
    objective, n, k = probe.objective, len(labels), probe.objective.n_outputs
    chosen = np.sort(rng.choice(n, max(1, round(PLANTED * n)), replace=False))
    flipped = labels.copy()
    flipped[chosen] = (labels[chosen] + rng.integers(1, k, len(chosen))) % k
    refitted = fit(objective.with_targets(torch.from_numpy(flipped).to(probe.weights.device)), probe.weights)
    seen = leave_one_out_probabilities(refitted, structure)
    judged = judge_labels(refitted, flipped, seen, confirmed & (flipped == labels), structure)
    return _Planted(judged.rows(chosen), labels[chosen])


def _inverse_temperature(unseen: np.ndarray, before: np.ndarray, share: float | None = None) -> float:
    """Return the power under which labels from before the flips are likeliest."""
    from scipy.optimize import minimize_scalar  # half a second to import, and only a calibration needs it

    optimum = minimize_scalar(
        lambda s: -fit_noise(temper(unseen, np.exp(s)), before, share).log_likelihood,
        bounds=np.log(_INVERSE_TEMPERATURES),
        method="bounded",
        options={"xatol": 0.02},
    )
    return float(np.exp(optimum.x))
