"""The MAP fit of the linear probe, with its proof of convergence.

Newton's method with conjugate gradients (Nocedal and Wright, algorithm 7.1), preconditioned by the Kronecker form of
the Hessian. The proof is the one of scikit-learn's `_newton_solver`: the gradient norm and the Newton decrement
√(gᵀP⁻¹g), which is the distance to the minimum in the posterior's own norm, in units of standard deviations.
"""

import logging
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from lsi.errors import ConvergenceError
from lsi.laplace.conjugate_gradients import conjugate_gradients
from lsi.laplace.objective import Evaluation, Objective

log = logging.getLogger(__name__)

DECREMENT_TOLERANCE = 1e-8
MAX_NEWTON_STEPS = 60
MAX_CG_STEPS = 400
_AIM = 0.03  # of the tolerance


@dataclass(frozen=True)
class Probe:
    """A fitted probe and the proof that it is one.

    `weights` V is (m, D) in the likelihood's coordinates, `means` (n, k) the predictions at it, both float64.
    `newton_decrement` is √(gᵀP⁻¹g) at V: V lies that many posterior standard deviations from the MAP.
    """

    objective: Objective
    weights: Float[Tensor, "m d"]
    means: Float[Tensor, "n k"]
    loss: float
    gradient_norm: float
    newton_decrement: float
    n_newton_steps: int
    n_hessian_products: int

    @property
    def logit_weights(self) -> Float[Tensor, "k d"]:
        """The usual weights W = QV, one row a class, the bias last."""
        return self.objective.basis @ self.weights


def fit(
    objective: Objective, start: Float[Tensor, "m d"] | None = None, tolerance: float = DECREMENT_TOLERANCE
) -> Probe:
    """Minimise the objective from `start` (default: zero weights), until the Newton decrement is below `tolerance`.

    Raises:
        ConvergenceError: when the Newton decrement is not below its tolerance after the last step.
    """
    device = objective.design.device
    weights = torch.zeros(objective.shape, dtype=torch.float64, device=device) if start is None else start.double()
    here = objective.evaluate(weights)
    products = 0
    best = expected = float("inf")
    for newton_step in range(MAX_NEWTON_STEPS):
        # near the end as tight as the tolerance asks for, within bounds; far from it, and for the proof, loose
        forcing = 0.1 if expected > 1e-2 else min(0.1, max(1e-3, _AIM * tolerance / expected))
        step, used = _newton_direction(objective, here, forcing)
        products += used
        decrement = float((here.gradient * -step).sum().clamp_min(0).sqrt())
        log.debug("newton step %d: loss %.6f, decrement %.3e, %d products", newton_step, here.loss, decrement, used)
        stalled = decrement < _floor(here) and decrement > 0.5 * best
        if decrement <= tolerance or stalled:
            norm = float(here.gradient.norm())
            return Probe(objective, weights, here.means, here.loss, norm, decrement, newton_step, products)
        best, expected = min(best, decrement), forcing * decrement
        weights, here = _line_search(objective, weights, here, step, decrement)
    raise ConvergenceError(
        f"The probe did not converge in {MAX_NEWTON_STEPS} Newton steps: decrement {best:.1e}, expected at most "
        f"{tolerance:.0e}. Raise the prior precision (now {objective.prior_precision:g}), standardise the "
        "features, or compute in float64."
    )


def _newton_direction(objective: Objective, here: Evaluation, forcing: float) -> tuple[Tensor, int]:
    kronecker = objective.kronecker(here.means)
    means = here.means.to(objective.design.values)
    solution = conjugate_gradients(
        lambda x: objective.hessian_product(means, x),
        kronecker.solve,
        -here.gradient[None],
        tolerance=forcing,
        max_iterations=MAX_CG_STEPS,
    )
    return solution.value[0], solution.n_iterations


def _floor(here: Evaluation) -> float:
    """Return the decrement that rounding of the float64 sums may leave."""
    return 1e-13 * (1 + abs(here.loss)) ** 0.5 * len(here.means) ** 0.5 + 1e-7


def _line_search(
    objective: Objective, weights: Tensor, here: Evaluation, step: Tensor, decrement: float
) -> tuple[Tensor, Evaluation]:
    """Halve the step until the loss falls enough (Armijo); near the end, where it drowns in rounding, take it whole."""
    length = 1.0
    for _ in range(30):
        moved = weights + length * step
        there = objective.evaluate(moved)
        enough = here.loss - 1e-4 * length * decrement**2
        if there.loss <= enough or decrement**2 < 1e-10 * (1 + abs(here.loss)):
            return moved, there
        length /= 2
    raise ConvergenceError(
        "The probe's loss did not fall along a Newton direction: the features may hold huge or infinite values. "
        "Standardise them, or compute in float64."
    )
