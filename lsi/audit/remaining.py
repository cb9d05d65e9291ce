"""How many labels remain to be corrected, from their probabilities and the decisions so far.

NumPy alone: the first page shows it, and SciPy takes the server of the app half a second to load.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from lsi.errors import ConvergenceError

WEAK = 0.5  # leave-one-out accuracy below which a probe judges labels no better than they judge it
# suspects are judged by a probe that was fitted without them, which is sure of itself: on digits, clothes and the human
# labels of CIFAR-10 the best a lies between −2.5 and −5.2, the best b between 0.7 and 1.7
_PRIOR_MEAN = np.array([-3.0, 1.2])
_PRIOR_PRECISION = np.diag([1 / 1.6**2, 1 / 0.5**2])
_GRADIENT_TOLERANCE = 1e-10  # of the sum of the sizes of the gradient's terms
_NEWTON_STEPS = 100
_DRAWS = 2_000
_ROWS = 1_024


@dataclass(frozen=True)
class ErrorEstimate:
    """How many of the undecided labels are wrong.

    Attributes:
        expected: the expected number.
        low: lower end of the 95 % interval, ≥ 0.
        high: upper end of the 95 % interval, ≤ the number of undecided labels.
        intercept: a of P(wrong) = σ(a + b·logit(1 − p)), at the maximum of the posterior.
        slope: b of the same.
        gradient_norm: length of the gradient of the negative log-posterior at (a, b), which proves convergence.
    """

    expected: float
    low: float
    high: float
    intercept: float
    slope: float
    gradient_norm: float


def estimate_remaining_errors(
    undecided_p: Float[np.ndarray, " u"], decided_p: Float[np.ndarray, " d"], decided_wrong: Bool[np.ndarray, " d"]
) -> ErrorEstimate:
    """Estimate how many of the undecided labels are wrong, from probabilities of labels and the decisions so far.

    P(wrong) = σ(a + b·logit(1 − p)), where p is the probability of the given label by a probe that has not seen it.
    The priors are a ~ N(−3, 1.6²) and b ~ N(1.2, 0.5²): what is suspected is judged by a probe that has not seen it and
    is surer than right. Without decisions little can be said; each one narrows the interval. The interval is that of
    2,000 draws of (a, b) from the Laplace approximation at the maximum of the posterior, each with binomial noise.

    Args:
        undecided_p: probability of the given label, of the u labels that are not decided, 0 … 1.
        decided_p: the same of the d labels that are decided.
        decided_wrong: which of the decided labels were judged wrong, (d,).

    Raises:
        ConvergenceError: Newton's method with a line search did not reach a gradient of zero.
    """
    coefficients, hessian, gradient_norm = _logistic_map(_log_odds(decided_p), decided_wrong.astype(np.float64))
    rng = np.random.default_rng(0)
    lower = np.linalg.cholesky(hessian)
    draws = coefficients[:, None] + np.linalg.solve(lower.T, rng.normal(size=(2, _DRAWS)))
    mean, variance = np.zeros(_DRAWS), np.zeros(_DRAWS)
    for start in range(0, len(undecided_p), _ROWS):
        p_wrong = _sigmoid(_log_odds(undecided_p[start : start + _ROWS]) @ draws)
        mean += p_wrong.sum(axis=0)
        variance += (p_wrong * (1 - p_wrong)).sum(axis=0)
    counts = mean + rng.normal(size=_DRAWS) * np.sqrt(variance)
    low, high = np.clip(np.quantile(counts, [0.025, 0.975]), 0, len(undecided_p))
    a, b = coefficients.tolist()
    return ErrorEstimate(float(mean.mean()), float(low), float(high), a, b, gradient_norm)


def _log_odds(p: np.ndarray) -> np.ndarray:
    """Return the rows (1, logit(1 − p)) of the logistic model's design matrix."""
    p = np.clip(p, 1e-6, 1 - 1e-6)
    return np.stack([np.ones(len(p)), np.log1p(-p) - np.log(p)], axis=1)


def _sigmoid(x: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):  # far below 0 it is 0 all the same
        return 1 / (1 + np.exp(-x))


def _logistic_map(design: np.ndarray, wrong: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """Return the maximum of the posterior of (a, b), the Hessian there, and the length of the gradient.

    The negative log-posterior Σ log(1 + exp(xᵀc)) − y·xᵀc + ½(c − c₀)ᵀΛ(c − c₀) is strictly convex. Newton's method
    with backtracking (Armijo's rule) converges from every starting point; undamped, it can oscillate for ever.
    """

    def loss(c: np.ndarray) -> float:
        scores, offset = design @ c, c - _PRIOR_MEAN
        return float((np.logaddexp(0, scores) - wrong * scores).sum() + 0.5 * offset @ _PRIOR_PRECISION @ offset)

    tolerance = _GRADIENT_TOLERANCE * (1 + float(np.abs(design).sum()))
    c = _PRIOR_MEAN.copy()
    gradient_norm = np.inf
    for _ in range(_NEWTON_STEPS):
        share = _sigmoid(design @ c)
        gradient = design.T @ (share - wrong) + _PRIOR_PRECISION @ (c - _PRIOR_MEAN)
        hessian = (design.T * (share * (1 - share))) @ design + _PRIOR_PRECISION
        gradient_norm = float(np.linalg.norm(gradient))
        if gradient_norm <= tolerance:
            return c, hessian, gradient_norm
        if not np.isfinite(gradient_norm):
            break
        step = np.linalg.solve(hessian, gradient)
        before, size = loss(c), 1.0
        rounding = 1e-13 * (1 + abs(before))  # differences of the loss below this are noise
        while loss(c - size * step) > before - 1e-4 * size * float(gradient @ step) + rounding and size > 1e-10:
            size /= 2
        c = c - size * step
    raise ConvergenceError(
        f"The estimate of remaining label errors did not converge: its gradient is {gradient_norm:.2g} long, "
        f"expected at most {tolerance:.2g}, after up to {_NEWTON_STEPS} Newton steps. "
        "Check the label probabilities for NaN."
    )
