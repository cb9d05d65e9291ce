"""Class probabilities by a probe that was fitted without the suspected labels.

Wrong labels pull the probe towards themselves and support one another. Without the suspects the remaining labels are
cleaner, and a suspect is judged by a probe that has seen no suspect.
"""

import numpy as np
import torch
from jaxtyping import Bool, Float

from lsi.laplace.loo import leave_one_out
from lsi.laplace.probe import Probe, fit
from lsi.laplace.scores.evaluate import posterior_of


def probabilities_without_suspects(probe: Probe, suspects: Bool[np.ndarray, " n"]) -> Float[np.ndarray, "n k"]:
    """Refit without `suspects` and return out-of-sample class probabilities.

    They are leave-one-out for the kept samples, by one Newton step each, and held-out for the suspects.

    Args:
        probe: fitted on n samples.
        suspects: (n,) which labels are suspected; where none or all are, nothing is left out for good.

    Returns:
        Class probabilities (n, k), float64.

    Raises:
        ConvergenceError: the probe without the suspects did not converge.
    """
    if not suspects.any() or suspects.all():
        suspects = np.zeros(len(suspects), dtype=bool)
    objective = probe.objective
    keep = torch.from_numpy(~suspects).to(probe.means.device)
    refitted = fit(objective.rows(keep), probe.weights)
    probabilities = objective.likelihood.predict(objective.logits(refitted.weights))
    removals = leave_one_out(refitted, posterior_of(refitted))
    probabilities[keep] = torch.cat([removal.means for removal in removals])
    return probabilities.cpu().numpy()
