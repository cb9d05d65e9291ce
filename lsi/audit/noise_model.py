"""How labels come to be wrong: a noise-adaptive Dawid-Skene model over class probabilities.

The model of a given label y, with z the hidden right label and q the class probabilities under a temperature:

    P(y | x) = Σ_z q_z(x) N(y | z, x),      q ∝ (label probability)^inverse_temperature,
    N(y | z, x) = 1 − ε_z  for y = z,       ε_z C_zy q_y^h / Σ_{y' ≠ z} C_zy' q_y'^h  else.

Expectation-maximisation over z gives the rates ε and the confusions C, as in Dawid and Skene (1979); the exponent h
lets annotators err where the model doubts as well. P(wrong) of a label is the posterior probability that z ≠ y.

C is set to the share of what moved, as without q_y^h, which is not the exact maximiser beside it: the likelihood may
stop short of its maximum. The counts behind suspects and calibration were measured with this step.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.sparse import csr_array

from lsi.probabilities import Probabilities

DOUBT_EXPONENT = 0.25  # h; 0: errors do not depend on the image, 1: they are in proportion to the model's own doubt
_ITERATIONS = 40
_LEAST = 1e-15  # probability of a class


@dataclass(frozen=True)
class NoiseFit:
    """A fitted noise model.

    Attributes:
        p_wrong: (n,) probability that each given label is wrong.
        noise: (k, k) probability of each given label (columns) by the right one (rows).
        log_likelihood: mean over the labels, in nats.
    """

    p_wrong: Float[np.ndarray, " n"]
    noise: Float[np.ndarray, "k k"]
    log_likelihood: float


def temper(probabilities: Float[np.ndarray, "n k"], inverse_temperature: float) -> Float[np.ndarray, "n k"]:
    """Return probabilities (n, k) raised to a power and scaled to a sum of one."""
    logs = inverse_temperature * np.log(np.maximum(probabilities, _LEAST))
    raised = np.exp(logs - logs.max(axis=1, keepdims=True))
    return raised / raised.sum(axis=1, keepdims=True)


def fit_noise(
    q: Float[np.ndarray, "n k"],
    labels: Int[np.ndarray, " n"],
    share: float | None = None,
    confirmed: Bool[np.ndarray, " n"] | None = None,
) -> NoiseFit:
    """Fit rates and confusions of the noise by expectation-maximisation.

    Args:
        q: (n, k) probabilities of the right label.
        labels: (n,) given labels 0 … k − 1.
        share: of wrong labels to hold the rates to; by default they are free.
        confirmed: (n,) which labels are right for certain; None: none.
    """
    n, k = q.shape
    q = np.maximum(q, _LEAST)  # float32 ends at 0, where nothing would say that the label is wrong
    by_label = csr_array((np.ones(n), labels, np.arange(n + 1)), shape=(n, k)).T.tocsr()  # (k, n): sums by given label
    of_given, doubt = q[np.arange(n), labels], q**DOUBT_EXPONENT
    of_given_doubt = doubt[np.arange(n), labels]
    rate, confusion = np.full(k, 0.1), (1 - np.eye(k)) / max(k - 1, 1)
    wrong, likelihood = np.zeros(n), 0.0
    for _ in range(_ITERATIONS):
        joint = (rate[:, None] * confusion).T[labels]  # of z and y, for z ≠ y
        joint *= q
        joint *= of_given_doubt[:, None]
        joint /= doubt @ confusion.T + 1e-300
        if confirmed is not None:
            joint[confirmed] = 0
        right = (1 - rate[labels]) * of_given
        total = joint.sum(axis=1) + right + 1e-300
        wrong, likelihood = joint.sum(axis=1) / total, float(np.log(total).mean())
        joint /= total[:, None]
        moved = (by_label @ joint).T
        stayed = np.bincount(labels, right / total, minlength=k)
        departed, overall = moved.sum(axis=1), moved.sum() / n
        # small classes stay near the rest: ten samples of the overall rate each, a tenth of the moves spread evenly
        rate = (departed + 10 * overall) / (departed + stayed + 10)
        if share is not None:
            rate = np.minimum(rate * share / max((rate * (departed + stayed)).sum() / n, 1e-9), 0.95)
        confusion = moved + 0.1 * (departed[:, None] / max(k - 1, 1) + 0.01)
        confusion[np.diag_indices(k)] = 0
        confusion /= np.maximum(confusion.sum(axis=1, keepdims=True), 1e-300)
    noise = rate[:, None] * confusion
    noise[np.diag_indices(k)] = 1 - rate
    return NoiseFit(wrong, noise, likelihood)


def wrong_at_one_rate(
    q: Probabilities, labels: Int[np.ndarray, " n"], confirmed: Bool[np.ndarray, " n"] | None = None
) -> Float[np.ndarray, " n"]:
    """Return the probability that each given label is wrong, (n,), where all classes err alike: ε_z = ε, C even.

    A pass over the probabilities, and n numbers an iteration: for more samples and classes than `fit_noise` can take.

    Args:
        q: (n, k) probabilities of the right label.
        labels: (n,) given labels 0 … k − 1.
        confirmed: (n,) which labels are right for certain; None: none.
    """
    right, other = np.empty(len(labels)), np.empty(len(labels))  # P(y | x) of a label that is right, and of a wrong one
    for rows, block in q.blocks():
        p = np.maximum(block.astype(np.float64), _LEAST)
        doubt, own = p**DOUBT_EXPONENT, (np.arange(len(p)), labels[rows])
        share = p / (doubt.sum(axis=1, keepdims=True) - doubt)
        right[rows], other[rows] = p[own], doubt[own] * (share.sum(axis=1) - share[own])
    unknown = np.ones(len(labels), bool) if confirmed is None else ~confirmed
    rate, wrong = 0.1, np.zeros(len(labels))
    for _ in range(_ITERATIONS):
        joint = rate * other[unknown]
        wrong[unknown] = joint / (joint + (1 - rate) * right[unknown])
        rate = float(wrong.mean())
    return wrong
