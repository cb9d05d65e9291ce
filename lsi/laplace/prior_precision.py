"""Choosing λ: the prior precision with the highest mean log-likelihood of labels that the probe has not seen.

Every point of a log grid is one fit and the closed form of `loo.newton_step` with the full posterior. Beyond 2,500
weights that gets expensive, and kron's leave-one-out is no substitute: with about as many weights as samples it takes
the probe's memory for knowledge and prefers λ → 0. There every point is a five-fold cross-validation, each fold from
its solution at the nearest λ. On large sets a stratified subsample decides, of 5,000 samples or 20 a class, whichever
is more; λ acts on the summed loss, so it is a property of the prior and not of how many samples it is chosen on.
"""

import logging
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from lsi.data.sampling import stratified
from lsi.errors import ConvergenceError, NumericalError
from lsi.laplace.design_matrix import Design, Shard
from lsi.laplace.likelihood import Likelihood
from lsi.laplace.loo import leave_one_out
from lsi.laplace.objective import Objective
from lsi.laplace.posterior import Full
from lsi.laplace.probe import Probe, fit

log = logging.getLogger(__name__)

MAX_SAMPLES, SAMPLES_A_CLASS = 5_000, 20
STEP = 10**0.5
FULL_LIMIT = 2_500
FOLDS = 5
LOWEST, HIGHEST = -8, 14  # exponents of the grid, in steps of √10 from the mean squared feature
# Newton decrement δ of a fold, at least and by √n: the loss then lies ½δ² above its minimum, 1e-6 nats a sample
FOLD_TOLERANCE, TOLERANCE_BY_ROOT = 1e-2, 1.4e-3


_AT_EDGE = (
    "The chosen prior precision %.4g lies at the edge of the values that could be tried; a better one may lie beyond. "
    "Check the scale of the features."
)


@dataclass(frozen=True)
class PriorChoice:
    """The chosen λ and how it was chosen.

    `grid` and `log_likelihood` hold the points tried, in rising order of λ, and the mean log-likelihood of labels not
    seen in nats a sample, leave-one-out or (`folds` > 0) in as many folds. `n_samples` is the size of the subsample.
    `at_edge`: the best λ lies at the end of the points that were allowed or could be computed, so that a better one may
    lie beyond. `n_failed` points could not be computed and are not in the grid.
    """

    prior_precision: float
    grid: tuple[float, ...]
    log_likelihood: tuple[float, ...]
    n_samples: int
    folds: int = 0
    at_edge: bool = False
    n_failed: int = 0


def choose(
    likelihood: Likelihood,
    design: Design,
    targets: Tensor,
    *,
    seed: int = 0,
    max_samples: int | None = None,
) -> PriorChoice:
    """Choose λ for a probe on a design matrix.

    The search starts at λ = ten times the mean squared feature and walks √10 at a time in the direction that gains,
    until two points in a row have lost; the likelihood is smooth and has one maximum in all data seen so far. A point
    at which the probe or its leave-one-out cannot be computed counts as −∞. A λ at the edge of the grid is logged as a
    warning.

    Args:
        likelihood: of the targets.
        design: Φ (n, D), bias column included.
        targets: (n,) class indices, or what else the likelihood takes.
        seed: of the subsample and of the folds.
        max_samples: size of the subsample that decides; by default 5,000, or 20 for each output if that is more.

    Raises:
        ConvergenceError: no point of the grid could be computed.
    """
    max_samples = max_samples or max(MAX_SAMPLES, SAMPLES_A_CLASS * likelihood.n_outputs)
    index = stratified(targets.cpu().numpy(), max_samples, seed) if targets.ndim == 1 else None
    if index is None:
        index = np.sort(np.random.default_rng(seed).permutation(len(design))[:max_samples])
    chosen = torch.from_numpy(index).to(design.device)
    chosen_design = design.rows(chosen)
    scale = _mean_square(chosen_design)
    curve: dict[int, float] = {}
    whole = Objective(likelihood, chosen_design, targets[chosen], scale)
    folds = [] if math.prod(whole.shape) <= FULL_LIMIT else _folds(whole, seed)
    solutions: dict[int, list[Probe]] = {}

    def gain(exponent: int) -> float:
        if exponent not in curve:
            nearest = min(solutions, key=lambda e: abs(e - exponent), default=None)
            prior, start = scale * STEP**exponent, [] if nearest is None else solutions[nearest]
            point = _try(folds, whole.with_prior_precision(prior), start)
            curve[exponent] = -math.inf if point is None else point[0]
            if point is not None:
                solutions[exponent] = point[1]
        return curve[exponent]

    best = _climb(gain, start=2)
    exponents = sorted(solutions)
    if not exponents:
        raise ConvergenceError(
            f"No prior precision could be chosen: the probe could be computed at none of {len(curve)} values from "
            f"{scale * STEP ** min(curve):.2g} to {scale * STEP ** max(curve):.2g}. Standardise the features, "
            "compute in float64, or give prior_precision as a number."
        )
    at_edge = best in (LOWEST, HIGHEST) or any(curve.get(best + side) == -math.inf for side in (-1, 1))
    if at_edge:
        log.warning(_AT_EDGE, scale * STEP**best)
    return PriorChoice(
        prior_precision=scale * STEP**best,
        grid=tuple(scale * STEP**e for e in exponents),
        log_likelihood=tuple(curve[e] for e in exponents),
        n_samples=len(chosen_design),
        folds=len(folds),
        at_edge=at_edge,
        n_failed=len(curve) - len(exponents),
    )


def _left_out(objective: Objective, start: list[Probe]) -> tuple[float, list[Probe]]:
    """Return the mean leave-one-out log-likelihood in nats a sample, and the solution."""
    probe = fit(objective, start[0] if start else None)
    return loo_log_likelihood(probe), [probe]


def _try(
    folds: list[tuple[Objective, Objective]], objective: Objective, start: list[Probe]
) -> tuple[float, list[Probe]] | None:
    """Return the mean log-likelihood of unseen labels at the objective's λ and the solutions, or None if it fails."""
    prior = objective.prior_precision
    try:
        point = _held_out(folds, prior, start) if folds else _left_out(objective, start)
    except (ConvergenceError, NumericalError) as error:
        log.info("prior precision %.4g: could not be computed (%s)", prior, error)
        return None
    log.info("prior precision %.4g: log-likelihood %.5f", prior, point[0])
    return point if math.isfinite(point[0]) else None


def _folds(whole: Objective, seed: int) -> list[tuple[Objective, Objective]]:
    """Return each fold's training part and the fold, every class spread evenly over the folds."""
    n = len(whole.design)
    order = np.random.default_rng(seed).permutation(n)
    if whole.targets.ndim == 1:
        order = order[np.argsort(whole.targets.cpu().numpy()[order], kind="stable")]
    number = np.empty(n, dtype=np.int64)
    count = min(FOLDS, n)
    number[order] = np.arange(n) % count
    fold = torch.from_numpy(number).to(whole.design.device)
    return [(whole.rows(fold != i), whole.rows(fold == i)) for i in range(count)]


def _held_out(
    folds: list[tuple[Objective, Objective]], prior_precision: float, start: list[Probe]
) -> tuple[float, list[Probe]]:
    """Return the mean log-likelihood of the folds in turn left out, in nats a sample, and their solutions."""
    total, n, solutions = 0.0, 0, []
    for i, (training, unseen) in enumerate(folds):
        tolerance = max(FOLD_TOLERANCE, TOLERANCE_BY_ROOT * len(training.design) ** 0.5)
        probe = fit(training.with_prior_precision(prior_precision), start[i] if start else None, tolerance)
        total -= unseen.with_prior_precision(0.0).evaluate(probe.weights).loss
        n += len(unseen.design)
        solutions.append(probe)
    return total / n, solutions


def loo_log_likelihood(probe: Probe) -> float:
    """Return the mean leave-one-out log-likelihood in nats a sample, by the closed form with the full posterior."""
    likelihood, total = probe.objective.likelihood, 0.0
    for removal in leave_one_out(probe, Full.fit(probe)):
        logits = removal.logits
        total -= float(likelihood.losses(logits, removal.means, probe.objective.targets[removal.samples]).sum())
    return total / len(probe.objective.design)


def _mean_square(design: Design) -> float:
    """Return the mean squared feature, the bias left out."""
    (total,) = design.sum_shards(_squares, torch.empty(len(design), 0))
    n, d = design.shape
    return max(float(total) / (n * max(1, d - 1)), 1e-12)


def _squares(shard: Shard) -> tuple[Tensor, ...]:
    return (shard.features[:, :-1].double().square().sum(),)


def _climb(gain: Callable[[int], float], start: int) -> int:
    """Return the exponent with the highest gain, walking from the best so far until two points in a row are worse.

    Points that failed (−∞) are passed over until one has been computed.
    """
    best = start
    for direction in (1, -1):
        worse, at = 0, best
        while worse < 2 and LOWEST < at < HIGHEST:
            at += direction
            if gain(at) > gain(best):
                best, worse = at, 0
            elif gain(best) > -math.inf:
                worse += 1
    return best
