"""The Gaussian head in closed form: ridge regression, its leave-one-out predictions and its LSI, all exact.

Conventions are those of `objective`, with targets t ∈ ℝᵐ and noise of variance σ²:

    L(W) = 1/(2σ²) Σⱼ ‖tⱼ − Wφⱼ‖² + ½λ‖W‖²        P = I_m ⊗ (Σφφᵀ/σ² + λI)

With c = σ²λ, Σφφᵀ = U diag(α) Uᵀ, hᵢ = φᵢᵀ(Σφφᵀ + cI)⁻¹φᵢ and eᵢ = tᵢ − Wφᵢ, leaving i out needs no step at all:

    residual without i   eᵢ/(1 − hᵢ)        its predictive variance   σ²/(1 − hᵢ)
    mean_term = ‖eᵢ‖² hᵢ/(2σ²(1 − hᵢ))      trace_term = −½ m hᵢ      logdet_term = −½ m ln(1 − hᵢ)

Everything runs in float64: the cost is that of a few (n × D)·(D × m) products. σ² and λ are chosen by the mean
leave-one-out log-likelihood; for a fixed c the best σ² is mean ‖eᵢ‖²/(m(1 − hᵢ)), so the search has one dimension.
"""

import logging
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from lsi.errors import NumericalError, UsageError
from lsi.laplace.posterior.terms import Terms, log_excess

log = logging.getLogger(__name__)

_DECADES = 9.0
_TOLERANCE = 1e-3


@dataclass(frozen=True)
class Ridge:
    """A fitted Gaussian head and what leaving each sample out does to it.

    `weights` W (m, D); `residuals` e (n, m); `leverage` h (n,), one a sample and output, in [0, 1). `rotated` ΦU (n, D)
    and `spectrum` α + c (D,) are the factor of (Σφφᵀ + cI)⁻¹ that explanations and groups go on from. `at_edge`: λσ²
    was chosen at the end of its grid, so that a better one may lie beyond.
    """

    weights: Float[Tensor, "m d"]
    residuals: Float[Tensor, "n m"]
    leverage: Float[Tensor, " n"]
    prior_precision: float
    noise_variance: float
    rotated: Float[Tensor, "n d"]
    spectrum: Float[Tensor, " d"]
    at_edge: bool = False

    @property
    def loo_residuals(self) -> Float[Tensor, "n m"]:
        """What is left of each target by the head that has not seen it: e/(1 − h)."""
        return self.residuals / (1 - self.leverage)[:, None]

    @property
    def standardised_residual(self) -> Float[Tensor, " n"]:
        """Length of the leave-one-out residual over that expected of it, √(m·variance): near 1 is usual."""
        m = self.residuals.shape[1]
        return (self.residuals.square().sum(dim=1) / (m * self.noise_variance * (1 - self.leverage))).sqrt()

    def terms(self) -> Terms:
        """Return the terms of each sample, in nats."""
        m, h = self.residuals.shape[1], self.leverage
        mean = self.residuals.square().sum(dim=1) * h / (2 * self.noise_variance * (1 - h))
        return Terms(mean, -0.5 * m * h, -0.5 * m * torch.log1p(-h), 0.5 * m * log_excess(-h))

    def group_lsi(self, group: Int[Tensor, " s"]) -> float:
        """Return the LSI of leaving these samples out together, in nats, from their block of the hat matrix."""
        q = self.rotated[group]
        hat = (q / self.spectrum) @ q.T
        values, vectors = torch.linalg.eigh((hat + hat.T) / 2)
        values = values.clamp(0, 1 - 1e-12)
        along = (vectors.T @ self.residuals[group]).square().sum(dim=1)
        m = self.residuals.shape[1]
        mean = (along * values / (1 - values)).sum() / (2 * self.noise_variance)
        return float(mean + 0.5 * m * log_excess(-values).sum())

    def support(self, sample: int) -> Float[Tensor, " n"]:
        """Return how far each other sample draws the prediction for `sample`, which it has not seen, to its target.

        In units of the targets, along the leave-one-out residual; positive: towards the target. Exact: what removing
        each other sample as well would take away. 0 for the sample itself.
        """
        h, e, i = self.leverage, self.residuals, sample
        across = self.rotated @ (self.rotated[i] / self.spectrum)  # h_ij
        own = 1 - h[i]
        residuals = e + (across / own)[:, None] * e[i]  # of the head without i
        leverage = h + across.square() / own
        direction = e[i] / e[i].norm().clamp_min(torch.finfo(e.dtype).tiny)
        drawn = (across / own) * (residuals @ direction) / (1 - leverage)
        drawn[i] = 0
        return drawn


def fit_ridge(
    features: Float[Tensor, "n d"],
    targets: Float[Tensor, "n m"],
    prior_precision: float | None = None,
    noise_variance: float | None = None,
    chosen_on: Int[Tensor, " s"] | None = None,
) -> Ridge:
    """Fit the Gaussian head on Φ (bias column included); what is not given is chosen by leave-one-out likelihood.

    Args:
        features: Φ.
        targets: what to predict.
        prior_precision: λ > 0.
        noise_variance: σ² > 0.
        chosen_on: samples that the choice is made on; all if not given.

    Raises:
        UsageError: λ or σ² is not positive.
        NumericalError: the features carry the targets without any residual, so that no σ² can be told.
    """
    if not all(v is None or v > 0 for v in (prior_precision, noise_variance)):
        raise UsageError(f"Expected λ and σ² above 0, got {prior_precision} and {noise_variance}.")
    phi, t, at_edge = features.double(), targets.double(), False
    if prior_precision is None or noise_variance is None:
        rows = slice(None) if chosen_on is None else chosen_on
        prior_precision, noise_variance, at_edge = _choose(phi[rows], t[rows], prior_precision, noise_variance)
    values, basis = torch.linalg.eigh(phi.T @ phi)
    rotated = phi @ basis
    spectrum = values.clamp_min(0) + noise_variance * prior_precision
    in_basis = (rotated.T @ t) / spectrum[:, None]
    leverage = (rotated.square() / spectrum).sum(dim=1)
    if not bool((leverage < 1).all()):
        raise NumericalError("A sample's leverage reached 1 in rounding. Raise the prior precision.")
    weights, residuals = (basis @ in_basis).T, t - rotated @ in_basis
    return Ridge(weights, residuals, leverage, prior_precision, noise_variance, rotated, spectrum, at_edge)


def _choose(phi: Tensor, t: Tensor, prior: float | None, noise: float | None) -> tuple[float, float, bool]:
    """Return λ and σ² with the highest mean leave-one-out log-likelihood, and whether λσ² lies at the grid's edge."""
    from scipy.optimize import minimize_scalar  # half a second to import, and only regression needs it

    values, basis = torch.linalg.eigh(phi.T @ phi)
    values, rotated = values.clamp_min(0), phi @ basis
    projected, m = rotated.T @ t, t.shape[1]

    def left(c: float) -> tuple[Tensor, Tensor]:
        """Return ‖e‖² and 1 − h of every sample."""
        spectrum = values + c
        own = 1 - (rotated.square() / spectrum).sum(dim=1)
        return (t - rotated @ (projected / spectrum[:, None])).square().sum(dim=1), own.clamp_min(1e-12)

    def noise_of(c: float, squares: Tensor, own: Tensor) -> float:
        """Return σ²: given, c/λ where λ is, or the best for this c."""
        if noise is not None:
            return noise
        return c / prior if prior is not None else float((squares / own).mean() / m)

    def badness(log_c: float) -> float:
        c = math.exp(log_c)
        squares, own = left(c)
        sigma = noise_of(c, squares, own)
        if not sigma > 0:
            raise NumericalError("The features carry the targets without any residual: give noise_variance.")
        return float((m * math.log(sigma) - m * own.log() + squares / (own * sigma)).mean())

    centre = math.log(max(float(values.mean()), 1e-12) / len(phi) + 1e-12)
    grid = centre + np.linspace(-_DECADES, _DECADES, 19) * math.log(10) / 2
    found = [badness(x) for x in grid]
    best = int(np.argmin(found))
    at_edge = best in (0, len(grid) - 1)
    if at_edge:
        log.warning("the best λσ² lies at the edge of its grid, %.3g: the features may say nothing of the targets, or "
                    "everything", math.exp(grid[best]))  # fmt: skip
    bounds = (grid[max(best - 1, 0)], grid[min(best + 1, len(grid) - 1)])
    refined: Any = minimize_scalar(badness, bounds=bounds, method="bounded", options={"xatol": _TOLERANCE})
    c = math.exp(float(refined.x))
    sigma = noise_of(c, *left(c))
    return (c / sigma if prior is None else prior), sigma, at_edge
