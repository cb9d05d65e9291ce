"""The MAP fit of the linear probe, with its proof of convergence.

Newton's method with conjugate gradients (Nocedal and Wright, algorithm 7.1), preconditioned by the Kronecker form of
the Hessian. The proof is of the kind that scikit-learn's `_newton_solver` asks for: the gradient norm and the Newton
decrement √(gᵀP⁻¹g), which is the distance to the minimum in the posterior's own norm, in units of standard deviations.
The decrement counts only where the conjugate gradients behind it met their tolerance.
"""

import logging
import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from lsi.errors import ConvergenceError
from lsi.laplace.conjugate_gradients import Outcome, conjugate_gradients
from lsi.laplace.objective import Evaluation, Objective

log = logging.getLogger(__name__)

DECREMENT_TOLERANCE = 1e-8
MAX_NEWTON_STEPS = 60
MAX_CG_STEPS = 400
_AIM = 0.03  # of the tolerance
_SLACK = 10.0  # by which the Hessian's largest eigenvalue may exceed that of its Kronecker form, as a root


@dataclass(frozen=True)
class Probe:
    """A fitted probe and the proof that it is one.

    `weights` V is (m, D) in the likelihood's coordinates, `means` (n, k) the predictions at it, both float64.
    `newton_decrement` is √(gᵀP⁻¹g) at V: V lies that many posterior standard deviations from the MAP. Where `stalled`,
    rounding of the float64 sums kept it above the tolerance that was asked for, at a floor near 1e-7.
    """

    objective: Objective
    weights: Float[Tensor, "m d"]
    means: Float[Tensor, "n k"]
    loss: float
    gradient_norm: float
    newton_decrement: float
    n_newton_steps: int
    n_hessian_products: int
    stalled: bool = False

    @property
    def logit_weights(self) -> Float[Tensor, "k d"]:
        """The usual weights W = QV, one row a class, the bias last."""
        return self.objective.basis @ self.weights


@dataclass(frozen=True)
class _NewtonStep:
    """The step to add, and what it says of the place it starts from."""

    step: Float[Tensor, "m d"]
    decrement: float
    outcome: Outcome
    n_products: int
    largest_curvature: float


def fit(
    objective: Objective, start: Float[Tensor, "m d"] | None = None, tolerance: float = DECREMENT_TOLERANCE
) -> Probe:
    """Minimise the objective until the Newton decrement and the gradient norm both say that V is its minimum.

    The decrement must be at most `tolerance` by a solve that converged, and ‖g‖ at most ten times `tolerance` √μ, with
    μ the largest eigenvalue of the Hessian's Kronecker form: a decrement of `tolerance` implies about that. Where the
    decrement has stopped to fall at the floor that rounding sets (1e-7, more for losses beyond 1e10), the probe is
    returned as well, with `stalled` set.

    Args:
        objective: what to minimise.
        start: V to start from, (m, D); by default zero weights.
        tolerance: of the Newton decrement, in posterior standard deviations.

    Raises:
        ConvergenceError: the last step does not meet the tolerance, the Hessian is not positive definite to
            rounding, or NaN or infinity came up.
    """
    weights = (
        torch.zeros(objective.shape, dtype=torch.float64, device=objective.design.device)
        if start is None
        else start.double()
    )
    here = objective.evaluate(weights)
    products = 0
    best = expected = float("inf")
    for iteration in range(MAX_NEWTON_STEPS):
        # near the end as tight as the tolerance asks for, within bounds; far from it, and for the proof, loose
        forcing = 0.1 if expected > 1e-2 else min(0.1, max(1e-3, _AIM * tolerance / expected))
        newton = _newton_step(objective, here, forcing)
        products += newton.n_products
        decrement, norm = newton.decrement, float(here.gradient.norm())
        log.debug("step %d: loss %.6f, decrement %.3e, %d products", iteration, here.loss, decrement, newton.n_products)
        proven = newton.outcome is Outcome.CONVERGED
        met = decrement <= tolerance and norm <= _SLACK * tolerance * newton.largest_curvature**0.5
        stalled = not met and decrement < _floor(here) and decrement > 0.5 * best
        if proven and (met or stalled):
            return Probe(objective, weights, here.means, here.loss, norm, decrement, iteration, products, stalled)
        if proven:
            best = min(best, decrement)
        expected = max(forcing * decrement, 1e-300)
        weights, here = _line_search(objective, weights, here, newton.step, decrement)
    raise ConvergenceError(
        f"The probe did not converge in {MAX_NEWTON_STEPS} Newton steps: decrement {best:.1e}, expected at most "
        f"{tolerance:.0e}. Raise the prior precision (now {objective.prior_precision:g}), standardise the "
        "features, or compute in float64."
    )


def _newton_step(objective: Objective, here: Evaluation, forcing: float) -> _NewtonStep:
    """Return the step −P⁻¹g, to be added to the weights, solved to a relative residual of `forcing`."""
    if not (math.isfinite(here.loss) and bool(torch.isfinite(here.gradient).all())):
        raise _no_step(objective, Outcome.NON_FINITE)
    kronecker = objective.kronecker(here.means)
    means = here.means.to(objective.design.values)
    solution = conjugate_gradients(
        lambda x: objective.hessian_product(means, x),
        kronecker.solve,
        -here.gradient[None],
        tolerance=forcing,
        max_iterations=MAX_CG_STEPS,
    )
    step = solution.value[0]
    decrement = float((here.gradient * -step).sum().clamp_min(0).sqrt())
    if solution.outcome.is_breakdown:
        raise _no_step(objective, solution.outcome)
    return _NewtonStep(step, decrement, solution.outcome, solution.n_iterations, float(kronecker.values.max()))


def _no_step(objective: Objective, cause: Outcome) -> ConvergenceError:
    return ConvergenceError(
        f"The probe has no Newton step at prior precision {objective.prior_precision:g}: {cause.value}. "
        "Standardise the features, compute in float64, or raise the prior precision."
    )


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
        drowned = decrement**2 < 1e-10 * (1 + abs(here.loss)) and math.isfinite(there.loss)
        if there.loss <= enough or drowned:
            return moved, there
        length /= 2
    raise ConvergenceError(
        "The probe's loss did not fall along a Newton direction: the features may hold huge or infinite values. "
        "Standardise them, or compute in float64."
    )
