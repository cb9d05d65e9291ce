"""A second look at the labels: what a probe says that was fitted without the strongest suspects.

Wrong labels pull the probe towards themselves and vouch for one another. Without the suspects of the first look the
rest is cleaner; a suspect is then judged by a probe that has seen none of them.
"""

import numpy as np
import torch
from jaxtyping import Bool, Float

from lsi.laplace.loo import leave_one_out
from lsi.laplace.probe import Probe, fit
from lsi.laplace.scores.evaluate import posterior_of


def second_look(probe: Probe, suspects: Bool[np.ndarray, " n"]) -> Float[np.ndarray, "n k"]:
    """Return class probabilities (n, k) by a probe refitted without the suspects.

    Everybody else is left out in turn, by one Newton step; a suspect is left out already.
    """
    if not suspects.any() or suspects.all():  # nobody to do without, or nobody left
        suspects = np.zeros(len(suspects), dtype=bool)
    objective = probe.objective
    keep = torch.from_numpy(~suspects).to(probe.means.device)
    rest = objective.rows(keep)
    again = fit(rest, probe.weights)
    found = objective.likelihood.predict(objective.logits(again.weights))
    found[keep] = torch.cat([removal.means for removal in leave_one_out(again, posterior_of(again))])
    return found.cpu().numpy()
