"""LSI of every sample and its three terms, as one frozen record."""

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int, Shaped

from lsi.config import Structure
from lsi.laplace.prior_precision import PriorChoice


@dataclass(frozen=True)
class Scores:
    """One row a sample, arrays of shape (n,) unless said otherwise.

    Attributes:
        lsi: Laplace Sample Information in nats, ≥ 0; larger = the posterior depends more on this sample.
        mean_term: how far the sample moves the decision, in nats, ≥ 0.
        trace_term: ½(tr(P₋ᵢP⁻¹) − p), in nats, ≤ 0 by a Newton step.
        logdet_term: ½(ln det P − ln det P₋ᵢ), in nats; trace + logdet ≥ 0 is what the
            sample adds to the precision of the posterior.
        leverage: effective parameters the probe spends on the sample, tr(ΛS).
        loo_probabilities: (n, k), what the probe that has not seen the sample predicts for it.
        given_label: the labels that came in, as indices 0 … k − 1 into `classes`.
        classes: (k,) the distinct labels that came in, in sorted order; `given_label` and `predicted_label` index it.
        loo_residual: Newton decrement left to the true refit, in posterior standard deviations; NaN: not checked.
        refitted: the row comes from a true refit, not from one Newton step.
        structure: full, kron or diag.
        prior_precision: λ on the summed loss.
        n_params: p = k(d + 1).
        converged: the probe met its tolerance (always true: an unconverged probe raises).
        newton_decrement: the proof, the probe's distance to its MAP in posterior standard deviations.
        prior_choice: how λ was chosen, if it was.
    """

    lsi: Float[np.ndarray, " n"]
    mean_term: Float[np.ndarray, " n"]
    trace_term: Float[np.ndarray, " n"]
    logdet_term: Float[np.ndarray, " n"]
    leverage: Float[np.ndarray, " n"]
    loo_probabilities: Float[np.ndarray, "n k"]
    given_label: Int[np.ndarray, " n"]
    classes: Shaped[np.ndarray, " k"]
    loo_residual: Float[np.ndarray, " n"]
    refitted: Bool[np.ndarray, " n"]
    structure: Structure
    prior_precision: float
    n_params: int
    converged: bool
    newton_decrement: float
    prior_choice: PriorChoice | None = None

    @property
    def predicted_label(self) -> Int[np.ndarray, " n"]:
        """The class with the highest leave-one-out probability, as an index into `classes`."""
        return self.loo_probabilities.argmax(axis=1)

    @property
    def loo_p_given(self) -> Float[np.ndarray, " n"]:
        """Leave-one-out self-confidence: the probability of the given label."""
        return self.loo_probabilities[np.arange(len(self.lsi)), self.given_label]

    @property
    def loo_margin(self) -> Float[np.ndarray, " n"]:
        """Probability of the given label less that of the likeliest other one, in [−1, 1]."""
        probabilities = self.loo_probabilities.copy()
        probabilities[np.arange(len(self.lsi)), self.given_label] = -np.inf
        return self.loo_p_given - probabilities.max(axis=1)

    def to_frame(self) -> pd.DataFrame:
        """Return one row a sample, in the order of the input, without the (n, k) probabilities."""
        frame = ranked(self)
        frame["predicted_label"] = self.predicted_label
        frame["loo_p_given"] = self.loo_p_given
        frame["loo_p_predicted"] = self.loo_probabilities.max(axis=1)
        frame["loo_margin"] = self.loo_margin
        return frame


def ranked(record: Any) -> pd.DataFrame:
    """Return the (n,) fields of a record of scores as columns, with the rank of LSI, 1 for the highest."""
    columns = {f.name: getattr(record, f.name) for f in fields(record) if f.name != "classes"}
    frame = pd.DataFrame({k: v for k, v in columns.items() if isinstance(v, np.ndarray) and v.ndim == 1})
    frame.insert(1, "lsi_rank", frame["lsi"].rank(method="first", ascending=False).astype(np.int64))
    return frame
