"""What several studies ask of a probe on features: its LSI, and how right it is on data it has not seen."""

import numpy as np
import torch
from jaxtyping import Float, Int

from lsi.laplace.design_matrix import DesignMatrix, with_bias
from lsi.laplace.likelihood import Softmax
from lsi.laplace.objective import Objective
from lsi.laplace.prior_precision import choose
from lsi.laplace.probe import Probe, fit
from lsi.laplace.scores import LeaveOneOut, Scores, evaluate


def fitted(
    features: Float[np.ndarray, "n d"], labels: Int[np.ndarray, " n"], n_classes: int, prior: float | None = None
) -> Probe:
    """Return the probe at λ, by default the product's choice."""
    design, y = DesignMatrix(with_bias(torch.from_numpy(features))), torch.from_numpy(labels)
    likelihood = Softmax(n_classes)
    return fit(Objective(likelihood, design, y, prior or choose(likelihood, design, y).prior_precision))


def scores_of(probe: Probe, structure: str = "full") -> Scores:
    """Return LSI and leave-one-out probabilities by the closed form."""
    return evaluate(probe, (structure,), LeaveOneOut(certify=0))[0]  # type: ignore[arg-type]


def accuracy(probe: Probe, features: Float[np.ndarray, "n d"], labels: Int[np.ndarray, " n"]) -> float:
    """Return the share of right predictions."""
    logits = with_bias(torch.from_numpy(features)).double() @ probe.logit_weights.T
    return float((logits.argmax(dim=1).numpy() == labels).mean())
