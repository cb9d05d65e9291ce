"""Class probabilities by a probe that was fitted without the suspected labels.

Wrong labels pull the probe towards themselves and support one another. Without the suspects the remaining labels are
cleaner, and a suspect is judged by a probe that has seen no suspect.
"""

from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from lsi.laplace.design_matrix import Shard, rows_of
from lsi.laplace.likelihood import Likelihood
from lsi.laplace.loo import ByClass, batch_rows, leave_one_out_means, means_by_class
from lsi.laplace.objective import Objective
from lsi.laplace.posterior import Full, Kron
from lsi.laplace.probe import Probe, fit, is_large
from lsi.laplace.scores.evaluate import posterior_of
from lsi.laplace.scores.predictions import kept_probabilities
from lsi.probabilities import Probabilities

# of the decrement of large refits: a fifth faster, and scores of 100,000 labels of 1,000 classes moved by 2e-4 at most
LARGE_TOLERANCE = 1e-2


def probabilities_without_suspects(
    probe: Probe, suspects: Bool[np.ndarray, " n"], folder: Path | None = None, structure: str = "auto"
) -> Probabilities:
    """Refit without `suspects` and return out-of-sample class probabilities.

    They are leave-one-out for the kept samples, by one Newton step each, and held-out for the suspects.

    Args:
        probe: fitted on n samples.
        suspects: (n,) which labels are suspected; where none or all are, nothing is left out for good.
        structure: of the posterior that leave-one-out takes: full, kron or auto.
        folder: where the likeliest classes of many samples lie; None: in memory.

    Raises:
        ConvergenceError: the probe without the suspects did not converge.
    """
    if not suspects.any() or suspects.all():
        suspects = np.zeros(len(suspects), dtype=bool)
    objective = probe.objective
    result = Probabilities.allocate(len(suspects), objective.n_outputs, folder=folder)
    keep = torch.from_numpy(~suspects).to(probe.weights.device)
    kept = objective.rows(keep)
    refitted = fit(kept, probe, LARGE_TOLERANCE if is_large(kept) else None)
    _fill(result, np.flatnonzero(~suspects), refitted, refitted.objective, posterior_of(refitted, structure))
    if suspects.any():
        _fill(result, np.flatnonzero(suspects), refitted, objective.rows(~keep), None)
    return result


def leave_one_out_probabilities(probe: Probe, structure: str = "auto") -> Probabilities:
    """Return the leave-one-out probabilities of all samples by one Newton step each, and nothing else.

    Args:
        probe: fitted on n samples.
        structure: of its posterior: full, kron or auto.
    """
    n = len(probe.objective.design)
    result = Probabilities.allocate(n, probe.objective.n_outputs)
    _fill(result, np.arange(n), probe, probe.objective, posterior_of(probe, structure))
    return result


def _fill(
    result: Probabilities,
    positions: Int[np.ndarray, " s"],
    probe: Probe,
    samples: Objective,
    posterior: Full | Kron | None,
) -> None:
    """Put the probabilities of some samples into the result, leave-one-out unless there is no posterior."""
    rows = rows_of(samples.n_outputs, samples.design.device)
    by_class = ByClass.fit(probe) if isinstance(posterior, Kron) else None
    if posterior is not None and by_class is None:
        rows = batch_rows(probe, posterior, with_delta=False)
    how = (samples.likelihood, probe.logit_weights, by_class or posterior, result.n_kept)
    for chosen, part in samples.design.map_shards(_judge, samples.targets, *how, rows=rows):
        result.put_part(positions[chosen], part)


def _judge(
    shard: Shard,
    likelihood: Likelihood,
    logit_weights: Float[Tensor, "k d"],
    posterior: Full | Kron | ByClass | None,
    n_kept: int | None,
) -> Probabilities:
    """Return leave-one-out probabilities of a shard, or plain ones where the probe has not seen it (no posterior)."""
    if posterior is None:
        means = likelihood.predict(shard.features.to(logit_weights) @ logit_weights.T)
    elif isinstance(posterior, ByClass):
        means = means_by_class(shard, likelihood, logit_weights, posterior)
    else:
        means = leave_one_out_means(shard, likelihood, logit_weights, posterior)
    return kept_probabilities(means, shard.targets, n_kept)
