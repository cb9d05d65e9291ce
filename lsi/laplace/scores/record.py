"""LSI of every sample and its three terms, as one frozen record."""

from copy import deepcopy
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int, Shaped

from lsi.config import Structure
from lsi.laplace.prior_precision import PriorChoice
from lsi.laplace.scores.predictions import Predictions
from lsi.probabilities import Probabilities


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
        covariance_error: estimate of the error of trace + logdet, in nats; 0 where they are exact. It covers the true
            one in 99 % of the samples of the problems it was measured on.
        predictions: what the probe that has not seen a sample predicts for it.
        given_label: the labels that came in, as indices 0 … k − 1 into `classes`.
        classes: (k,) the distinct labels that came in, in sorted order; `given_label` and `predicted_label` index it.
        loo_residual: Newton decrement left to the true refit, in posterior standard deviations; NaN: not checked.
        refitted: the row comes from a true refit, not from one Newton step.
        structure: full, kron or diag.
        prior_precision: λ on the summed loss.
        n_params: p = k(d + 1).
        converged: the probe met its tolerance, or rounding let it come no nearer (else it raises).
        newton_decrement: the proof, the probe's distance to its MAP in posterior standard deviations.
        prior_choice: how λ was chosen, if it was.
        index: of the features or labels that came in as pandas.
    """

    lsi: Float[np.ndarray, " n"]
    mean_term: Float[np.ndarray, " n"]
    trace_term: Float[np.ndarray, " n"]
    logdet_term: Float[np.ndarray, " n"]
    leverage: Float[np.ndarray, " n"]
    covariance_error: Float[np.ndarray, " n"]
    predictions: Predictions
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
    index: pd.Index | None = None

    @property
    def probabilities(self) -> Probabilities:
        """Leave-one-out class probabilities, of all classes or of the likeliest where n·k is large."""
        return self.predictions.probabilities

    @property
    def loo_probabilities(self) -> Float[np.ndarray, "n k"]:
        """Leave-one-out class probabilities of all classes, (n, k): for few samples or few classes."""
        return self.probabilities.dense()

    @property
    def predicted_label(self) -> Int[np.ndarray, " n"]:
        """The class with the highest leave-one-out probability, as an index into `classes`."""
        return self.predictions.predicted_label

    @property
    def loo_p_given(self) -> Float[np.ndarray, " n"]:
        """Leave-one-out self-confidence: the probability of the given label."""
        return self.predictions.p_given

    @property
    def loo_margin(self) -> Float[np.ndarray, " n"]:
        """Probability of the given label less that of the likeliest other one, in [−1, 1]."""
        return self.predictions.margin

    def predictions_copy(self) -> Predictions:
        """Return the predictions with arrays of their own."""
        return deepcopy(self.predictions)

    def to_frame(self) -> pd.DataFrame:
        """Return one row a sample, in the order of the input and with its pandas index, without the probabilities."""
        frame = ranked(self)
        frame["predicted_label"] = self.predicted_label
        frame["loo_p_given"] = self.loo_p_given
        frame["loo_p_predicted"] = self.predictions.p_predicted
        frame["loo_margin"] = self.loo_margin
        return frame


def ranked(record: Any) -> pd.DataFrame:
    """Return the (n,) fields of a record of scores as columns, with the rank of LSI, 1 for the highest."""
    columns = {f.name: getattr(record, f.name) for f in fields(record) if f.name != "classes"}
    frame = pd.DataFrame(
        {k: v for k, v in columns.items() if isinstance(v, np.ndarray) and v.ndim == 1}, index=record.index
    )
    frame.insert(1, "lsi_rank", frame["lsi"].rank(method="first", ascending=False).astype(np.int64))
    return frame
