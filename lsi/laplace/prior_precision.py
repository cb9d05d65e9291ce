"""Choosing λ: the prior precision with the highest mean log-likelihood of labels that the probe has not seen.

Every point of a log grid is one fit and the closed form of `loo.newton_step` with the full posterior. Beyond 2,500
weights that gets expensive, and kron's leave-one-out is no substitute: with about as many weights as samples it takes
the probe's memory for knowledge and prefers λ → 0. There every point is a five-fold cross-validation, each fold from
its solution at the nearest λ. On large sets a stratified subsample decides; λ acts on the summed loss, so it is a
property of the prior and not of how many samples it is chosen on.
"""

import logging
import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from lsi.data.sampling import stratified
from lsi.laplace.design_matrix import DesignMatrix
from lsi.laplace.likelihood import Likelihood
from lsi.laplace.loo import remove
from lsi.laplace.objective import Objective
from lsi.laplace.posterior import Full
from lsi.laplace.probe import Probe, fit

log = logging.getLogger(__name__)

MAX_SAMPLES = 5_000
STEP = 10**0.5
FULL_LIMIT = 2_500
FOLDS = 5
FOLD_TOLERANCE = 1e-2  # Newton decrement, in posterior standard deviations: far below what moves a likelihood


@dataclass(frozen=True)
class PriorChoice:
    """The chosen λ and how it was chosen.

    `grid` and `log_likelihood` hold the points tried, in rising order of λ, and the mean log-likelihood of labels not
    seen in nats a sample, leave-one-out or (`folds` > 0) in as many folds. `n_samples` is the size of the subsample.
    """

    prior_precision: float
    grid: tuple[float, ...]
    log_likelihood: tuple[float, ...]
    n_samples: int
    folds: int = 0


def choose(
    likelihood: Likelihood,
    design: DesignMatrix,
    targets: Tensor,
    *,
    seed: int = 0,
    max_samples: int = MAX_SAMPLES,
) -> PriorChoice:
    """Choose λ for a probe on a design matrix.

    The search starts at λ = the mean squared feature and walks √10 at a time in the direction that gains, until two
    points in a row have lost; the likelihood is smooth and has one maximum in all data seen so far.
    """
    index = stratified(targets.cpu().numpy(), max_samples, seed) if targets.ndim == 1 else None
    if index is None:
        order = np.random.default_rng(seed).permutation(len(design))[:max_samples]
        index = np.sort(order)
    chosen = torch.from_numpy(index).to(design.device)
    chosen_design = design.rows(chosen)
    scale = float(chosen_design.values[:, :-1].double().square().mean().clamp_min(1e-12))
    curve: dict[int, float] = {}
    whole = Objective(likelihood, chosen_design, targets[chosen], scale)
    folds = [] if math.prod(whole.shape) <= FULL_LIMIT else _folds(whole)
    solutions: dict[int, list[Tensor]] = {}

    def gain(exponent: int) -> float:
        if exponent not in curve:
            near = min(solutions, key=lambda e: abs(e - exponent), default=None)
            prior, start = scale * STEP**exponent, [] if near is None else solutions[near]
            found = _held_out(folds, prior, start) if folds else _left_out(whole.with_prior_precision(prior), start)
            curve[exponent], solutions[exponent] = found
            log.info("prior precision %.4g: log-likelihood %.5f", prior, curve[exponent])
        return curve[exponent]

    best = _climb(gain, start=2)
    exponents = sorted(curve)
    return PriorChoice(
        prior_precision=scale * STEP**best,
        grid=tuple(scale * STEP**e for e in exponents),
        log_likelihood=tuple(curve[e] for e in exponents),
        n_samples=len(chosen_design),
        folds=len(folds),
    )


def _left_out(objective: Objective, start: list[Tensor]) -> tuple[float, list[Tensor]]:
    """Return the mean leave-one-out log-likelihood in nats a sample, and the solution."""
    probe = fit(objective, start[0] if start else None)
    return loo_log_likelihood(probe), [probe.weights]


def _folds(whole: Objective) -> list[tuple[Objective, Objective]]:
    """Return each fold's others, and the fold."""
    n = len(whole.design)
    fold = torch.from_numpy(np.random.default_rng(0).permutation(n) % FOLDS).to(whole.design.device)
    return [(whole.rows(fold != i), whole.rows(fold == i)) for i in range(FOLDS)]


def _held_out(
    folds: list[tuple[Objective, Objective]], prior_precision: float, start: list[Tensor]
) -> tuple[float, list[Tensor]]:
    """Return the mean log-likelihood of the folds in turn left out, in nats a sample, and their solutions."""
    total, n, solutions = 0.0, 0, []
    for i, (others, unseen) in enumerate(folds):
        probe = fit(others.with_prior_precision(prior_precision), start[i] if start else None, FOLD_TOLERANCE)
        total -= float(unseen.likelihood.losses(unseen.logits(probe.weights), unseen.targets).sum())
        n += len(unseen.design)
        solutions.append(probe.weights)
    return total / n, solutions


def loo_log_likelihood(probe: Probe) -> float:
    """Return the mean leave-one-out log-likelihood in nats a sample, by the closed form with the full posterior."""
    likelihood, total = probe.objective.likelihood, 0.0
    for removal in remove(probe, Full.fit(probe)):
        shift = removal.closed.shift
        phi = probe.objective.design.values[removal.samples].double()
        logits = (phi @ probe.weights.T + shift) @ probe.objective.basis.T
        total -= float(likelihood.losses(logits, probe.objective.targets[removal.samples]).sum())
    return total / len(probe.means)


def _climb(gain, start: int, low: int = -8, high: int = 14) -> int:
    """Return the exponent with the highest gain, walking from the best so far until two points in a row are worse."""
    best = start
    for direction in (1, -1):
        worse, at = 0, best
        while worse < 2 and low < at < high:
            at += direction
            if gain(at) > gain(best):
                best, worse = at, 0
            else:
                worse += 1
    return best
