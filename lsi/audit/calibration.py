"""How precise is a cut of `label_score`? Flips planted in the user's own data say what the probabilities are worth.

A probe fitted to partly wrong labels is too timid, and its suspects too sure of themselves: nobody who was left out for
contradicting the model can contradict it. So labels are flipped on purpose, the scores computed anew, and the labels
that stood there before are held against probabilities that no one fitted to them. Their likelihood,

    P(y | x) = Σ_z q_z(x) N(y | z, x),      q ∝ (label probability)^sharpness,
    N(y | z, x) = 1 − ε_z  for y = z,       ε_z C_zy q_y^h / Σ_{y' ≠ z} C_zy' q_y'^h  else,

gives the sharpness; expectation-maximisation over the hidden right labels z gives the rates ε and confusions C, as in
Dawid and Skene (1979), with h for annotators that hesitate where the model does. P(wrong) of a label is then the
posterior probability that z ≠ y. How much of the doubt is noise and how much is hard images can't be told from labels
alone: by likelihood too much of human noise passes for hard images, and confident learning's count at the second look
takes too many hard images for noise. The expected share of wrong labels is held to the mean of both.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from scipy.optimize import minimize_scalar

from lsi.audit.label_issues import label_issues
from lsi.audit.without_suspects import second_look
from lsi.laplace.loo import leave_one_out
from lsi.laplace.probe import Probe, fit
from lsi.laplace.scores import posterior_of

HESITATION = 0.25  # 0: who mislabels doesn't look at the image; 1: in proportion to the model's own doubt
PLANTED = 0.1  # share of the labels flipped in a round
PLANTED_IN_ALL = 4_000
REPEATS = (3, 12)  # rounds, at least and at most
_SHARPNESS = (0.5, 4.0)
_ITERATIONS = 40


@dataclass(frozen=True)
class Calibration:
    """What label scores are worth.

    `p_wrong` (n,) is the probability that a given label is wrong, `noise` (k, k) the probability of each given label
    (columns) by the right one (rows), averaged over samples, `sharpness` the power that the probabilities were raised
    to, `n_planted` the number of planted flips.
    """

    p_wrong: Float[np.ndarray, " n"]
    noise: Float[np.ndarray, "k k"]
    sharpness: float
    n_planted: int


def calibrate(
    probe: Probe, labels: Int[np.ndarray, " n"], looked: Float[np.ndarray, "n k"], seed: int = 0
) -> Calibration:
    """Plant flips, look again, and return the probability that each label is wrong.

    Args:
        probe: fitted on the given labels.
        labels: given labels 0 … k − 1.
        looked: class probabilities at the second look, those behind `label_score`.
        seed: of the planted flips.
    """
    repeats = int(np.clip(np.ceil(PLANTED_IN_ALL / (PLANTED * len(labels))), *REPEATS))
    rounds = [_planted(probe, labels, np.random.default_rng([seed, i])) for i in range(repeats)]
    unseen, before = np.concatenate([r[0] for r in rounds]), np.concatenate([r[1] for r in rounds])
    free = fit_noise(sharpen(looked, _sharpness(unseen, before)), labels)[0].mean()
    share = float(free + label_issues(labels, looked).mean()) / 2
    sharpness = _sharpness(unseen, before, share)
    p_wrong, noise, _ = fit_noise(sharpen(looked, sharpness), labels, share)
    return Calibration(p_wrong, noise, sharpness, len(before))


def sharpen(probabilities: Float[np.ndarray, "n k"], sharpness: float) -> Float[np.ndarray, "n k"]:
    """Return probabilities raised to a power and scaled to a sum of one."""
    logs = sharpness * np.log(np.maximum(probabilities, 1e-15))
    raised = np.exp(logs - logs.max(axis=1, keepdims=True))
    return raised / raised.sum(axis=1, keepdims=True)


def fit_noise(
    q: Float[np.ndarray, "n k"], labels: Int[np.ndarray, " n"], share: float | None = None
) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, "k k"], float]:
    """Return P(wrong) of each label, the noise N (right × given), and the mean log-likelihood of the labels.

    Args:
        q: probabilities of the right label.
        labels: given labels.
        share: of wrong labels to hold the rates to; by default they are free.
    """
    n, k = q.shape
    own, doubt = q[np.arange(n), labels], q**HESITATION
    rate, confusion = np.full(k, 0.1), (1 - np.eye(k)) / max(k - 1, 1)
    wrong, likelihood = np.zeros(n), 0.0
    for _ in range(_ITERATIONS):
        given = confusion[:, labels].T * (doubt[np.arange(n), labels][:, None] / (doubt @ confusion.T + 1e-300))
        joint = q * rate * given  # of z and y, for z ≠ y
        right = (1 - rate[labels]) * own
        total = joint.sum(axis=1) + right + 1e-300
        wrong, likelihood = joint.sum(axis=1) / total, float(np.log(total).mean())
        moved = np.zeros((k, k))
        np.add.at(moved.T, labels, joint / total[:, None])
        stayed = np.bincount(labels, right / total, minlength=k)
        left, overall = moved.sum(axis=1), moved.sum() / n
        # ten samples of the overall rate for each class, a tenth of its moves spread evenly: small classes stay sane
        rate = (left + 10 * overall) / (left + stayed + 10)
        if share is not None:
            rate = np.minimum(rate * share / max((rate * (left + stayed)).sum() / n, 1e-9), 0.95)
        confusion = moved + 0.1 * (left[:, None] / max(k - 1, 1) + 0.01)
        confusion[np.diag_indices(k)] = 0
        confusion /= np.maximum(confusion.sum(axis=1, keepdims=True), 1e-300)
    noise = rate[:, None] * confusion
    noise[np.diag_indices(k)] = 1 - rate
    return wrong, noise, likelihood


def _planted(probe: Probe, labels: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return the probabilities that a second look gives to flipped samples, and their labels before."""
    objective, n, k = probe.objective, len(labels), probe.means.shape[1]
    chosen = np.sort(rng.choice(n, max(1, round(PLANTED * n)), replace=False))
    flipped = labels.copy()
    flipped[chosen] = (labels[chosen] + rng.integers(1, k, len(chosen))) % k
    again = fit(objective.with_targets(torch.from_numpy(flipped).to(probe.means.device)), probe.weights)
    first = torch.cat([removal.means for removal in leave_one_out(again, posterior_of(again))]).cpu().numpy()
    return second_look(again, label_issues(flipped, first))[chosen], labels[chosen]


def _sharpness(unseen: np.ndarray, before: np.ndarray, share: float | None = None) -> float:
    """Return the power under which labels from before the flips are likeliest."""
    found = minimize_scalar(
        lambda s: -fit_noise(sharpen(unseen, np.exp(s)), before, share)[2],
        bounds=np.log(_SHARPNESS),
        method="bounded",
        options={"xatol": 0.02},
    )
    return float(np.exp(found.x))
