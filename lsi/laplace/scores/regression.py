"""LSI of every sample under the Gaussian likelihood, as one frozen record."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Int
from scipy.special import gammaincc
from torch import Tensor

from lsi.laplace.ridge import Ridge, fit_ridge
from lsi.laplace.scores.record import ranked

MAX_CHOICE = 5_000


@dataclass(frozen=True)
class RegressionScores:
    """One row a sample, arrays of shape (n,) unless said otherwise; everything is exact, nothing a Newton step.

    Attributes:
        lsi: Laplace Sample Information in nats, ≥ 0; larger = the posterior depends more on this sample.
        mean_term: how far the sample moves the prediction, in nats, ≥ 0.
        trace_term: ½(tr(P₋ᵢP⁻¹) − p), in nats, ≤ 0.
        logdet_term: ½(ln det P − ln det P₋ᵢ), in nats; trace + logdet ≥ 0 is what the
            sample adds to the precision of the posterior.
        leverage: effective parameters the head spends on the sample, m·h.
        targets: (n, m), what came in.
        loo_predictions: (n, m), what the head that has not seen the sample predicts for it.
        loo_residual_norm: length of target − leave-one-out prediction, in units of the targets.
        standardised_residual: that length over what is expected of it; near 1 is usual.
        label_score: probability of a residual as long as this or longer, if the noise is Gaussian; low = suspect.
        prior_precision: λ on the summed loss.
        noise_variance: σ² of the targets.
        n_params: p = m(d + 1).
        at_edge: λσ² was chosen at the end of its grid, so that a better one may lie beyond.
        index: of the features or targets that came in as pandas.
    """

    lsi: Float[np.ndarray, " n"]
    mean_term: Float[np.ndarray, " n"]
    trace_term: Float[np.ndarray, " n"]
    logdet_term: Float[np.ndarray, " n"]
    leverage: Float[np.ndarray, " n"]
    targets: Float[np.ndarray, "n m"]
    loo_predictions: Float[np.ndarray, "n m"]
    loo_residual_norm: Float[np.ndarray, " n"]
    standardised_residual: Float[np.ndarray, " n"]
    label_score: Float[np.ndarray, " n"]
    prior_precision: float
    noise_variance: float
    n_params: int
    at_edge: bool = False
    index: pd.Index | None = None

    def to_frame(self) -> pd.DataFrame:
        """Return one row a sample, in the order of the input and with its pandas index, without the (n, m) arrays."""
        return ranked(self)


@dataclass(frozen=True)
class RegressionResult:
    """The scores, and the fitted head they belong to."""

    scores: RegressionScores
    head: Ridge


def score_ridge(
    features: Float[Tensor, "n d"],
    targets: Float[Tensor, "n m"],
    prior_precision: float | None = None,
    noise_variance: float | None = None,
    seed: int = 0,
) -> RegressionResult:
    """Fit the Gaussian head on Φ (bias column included) and score every sample; what is None is chosen.

    The choice is made on at most 5,000 samples.

    Args:
        features: Φ (n, D).
        targets: (n, m).
        prior_precision: λ > 0 on the summed loss.
        noise_variance: σ² > 0 of the targets.
        seed: of the samples that the choice is made on.

    Raises:
        UsageError: λ or σ² is not positive.
        NumericalError: the features carry the targets without any residual.
    """
    rows: Int[Tensor, " s"] | None = None
    if len(features) > MAX_CHOICE:
        order = np.random.default_rng(seed).permutation(len(features))[:MAX_CHOICE]
        rows = torch.from_numpy(np.sort(order)).to(features.device)
    head = fit_ridge(features, targets, prior_precision, noise_variance, rows)
    terms = head.terms()
    residuals, standard = head.loo_residuals, head.standardised_residual
    m = targets.shape[1]

    def plain(values: Tensor) -> np.ndarray:
        return values.cpu().numpy()

    scores = RegressionScores(
        lsi=plain(terms.lsi),
        mean_term=plain(terms.mean_term),
        trace_term=plain(terms.trace_term),
        logdet_term=plain(terms.logdet_term),
        leverage=m * plain(head.leverage),
        targets=plain(targets.double()),
        loo_predictions=plain(targets.double() - residuals),
        loo_residual_norm=plain(residuals.norm(dim=1)),
        standardised_residual=plain(standard),
        label_score=gammaincc(m / 2, m * plain(standard) ** 2 / 2),  # what lies beyond in χ² of m degrees
        prior_precision=head.prior_precision,
        noise_variance=head.noise_variance,
        n_params=m * features.shape[1],
        at_edge=head.at_edge,
    )
    return RegressionResult(scores, head)
