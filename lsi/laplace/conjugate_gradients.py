"""Preconditioned conjugate gradients for several right-hand sides at once.

Source: Nocedal and Wright, Numerical Optimization, 2nd ed., algorithm 5.3. Each right-hand side has its own step
lengths; one that has converged, or broken down, stands still while the others go on. Every `REFRESH` iterations the
residual is computed anew from the solution, because the recursion drifts where the operator works in lower precision.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

import torch
from jaxtyping import Float
from torch import Tensor

Operator = Callable[[Tensor], Tensor]
REFRESH = 50


class Outcome(Enum):
    """How a solve ended; the value says why, as part of a sentence."""

    CONVERGED = "the residual met its tolerance"
    MAX_ITERATIONS = "the iterations ran out before the residual met its tolerance"
    NOT_POSITIVE_DEFINITE = "the operator or its preconditioner is not positive definite to rounding"
    NON_FINITE = "NaN or infinity came up"

    @property
    def is_breakdown(self) -> bool:
        """Whether the solve had to stop, so that more iterations would not help."""
        return self in (Outcome.NOT_POSITIVE_DEFINITE, Outcome.NON_FINITE)


@dataclass(frozen=True)
class Solution:
    """`value` after `n_iterations`; its residual has shrunk by the tolerance only where the outcome is CONVERGED.

    With several right-hand sides the `outcome` is that of the worst one.
    """

    value: Float[Tensor, "r m d"]
    outcome: Outcome
    n_iterations: int

    @property
    def converged(self) -> bool:
        """Whether every right-hand side met the tolerance."""
        return self.outcome is Outcome.CONVERGED


def conjugate_gradients(
    operator: Operator,
    preconditioner: Operator,
    right: Float[Tensor, "r m d"],
    *,
    tolerance: float,
    max_iterations: int,
) -> Solution:
    """Solve `operator`(x) = `right` for a symmetric positive definite operator on (r, m, d) tensors.

    Args:
        operator: applies the matrix to each of the r vectors.
        preconditioner: applies an approximation of the inverse, symmetric and positive definite.
        right: the right-hand sides (r, m, d).
        tolerance: stop when the residual in the preconditioner's norm has shrunk by this factor, for every side.
        max_iterations: stop at the latest after this many applications of the operator (refreshes not counted).
    """
    value, residual = torch.zeros_like(right), right.clone()
    direction = preconditioned = preconditioner(residual)
    power = _dot(residual, preconditioned)
    tiny = torch.finfo(power.dtype).tiny
    target = power * tolerance**2
    indefinite = power < 0
    non_finite = ~torch.isfinite(power)
    iterations = 0
    while iterations < max_iterations:
        going = (power > target) & ~indefinite & ~non_finite
        if not bool(going.any()):
            break
        image = operator(direction)
        curvature = _dot(direction, image)
        non_finite |= going & ~torch.isfinite(curvature)
        indefinite |= going & (curvature <= 0)
        going &= ~indefinite & ~non_finite
        step = torch.where(going, power / curvature.clamp_min(tiny), 0.0)
        value = value + _scale(step, direction)
        iterations += 1
        if iterations % REFRESH == 0:
            residual = torch.where(going[:, None, None], right - operator(value), residual)
        else:
            residual = residual - _scale(step, image)
        preconditioned = preconditioner(residual)
        power, previous = torch.where(going, _dot(residual, preconditioned), power), power
        non_finite |= ~torch.isfinite(power)
        indefinite |= power < 0
        growth = torch.where(going, power / previous.clamp_min(tiny), 0.0)
        direction = preconditioned + _scale(growth, direction)
    return Solution(value, _outcome(power > target, indefinite, non_finite), iterations)


def _outcome(unfinished: Tensor, indefinite: Tensor, non_finite: Tensor) -> Outcome:
    if bool(non_finite.any()):
        return Outcome.NON_FINITE
    if bool(indefinite.any()):
        return Outcome.NOT_POSITIVE_DEFINITE
    return Outcome.MAX_ITERATIONS if bool(unfinished.any()) else Outcome.CONVERGED


def _dot(a: Tensor, b: Tensor) -> Tensor:
    return (a * b).sum(dim=(-2, -1))


def _scale(factors: Tensor, vectors: Tensor) -> Tensor:
    """Return each vector times its factor; a factor of 0 gives 0 whatever the vector holds."""
    return torch.where(factors[:, None, None] == 0, 0.0, factors[:, None, None] * vectors)
