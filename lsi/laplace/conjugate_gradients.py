"""Preconditioned conjugate gradients for several right-hand sides at once.

Source: Nocedal and Wright, Numerical Optimization, 2nd ed., algorithm 5.3. Each right-hand side has its own step
lengths; one that has converged stands still while the others go on.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

Operator = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Solution:
    """`value` solves the system to a residual of at most `tolerance` times the start's, where `converged`."""

    value: Float[Tensor, "r m d"]
    converged: bool
    n_iterations: int


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
        right: the right-hand sides.
        tolerance: stop when the residual in the preconditioner's norm has shrunk by this factor, for every side.
        max_iterations: stop at the latest after this many applications of the operator.
    """
    value, residual = torch.zeros_like(right), right.clone()
    direction = preconditioned = preconditioner(residual)
    power = _dot(residual, preconditioned)
    target = power * tolerance**2
    iterations = 0
    while iterations < max_iterations and bool((power > target).any()):
        image = operator(direction)
        active = (power > target).to(power)
        step = active * power / _dot(direction, image).clamp_min(torch.finfo(power.dtype).tiny)
        value = value + _scale(step, direction)
        residual = residual - _scale(step, image)
        preconditioned = preconditioner(residual)
        power, previous = torch.where(active > 0, _dot(residual, preconditioned), power), power
        growth = active * power / previous.clamp_min(torch.finfo(power.dtype).tiny)
        direction = preconditioned + _scale(growth, direction)
        iterations += 1
    return Solution(value, not bool((power > target).any()), iterations)


def _dot(a: Tensor, b: Tensor) -> Tensor:
    return (a * b).sum(dim=(-2, -1))


def _scale(factors: Tensor, vectors: Tensor) -> Tensor:
    return factors[:, None, None] * vectors
