"""The MAP fit of the linear probe, with its proof of convergence.

Newton's method with conjugate gradients (Nocedal and Wright, algorithm 7.1), preconditioned by the Kronecker form of
the Hessian. The proof is of the kind that scikit-learn's `_newton_solver` asks for: the gradient norm and the Newton
decrement √(gᵀP⁻¹g), which is the distance to the minimum in the posterior's own norm, in units of standard deviations.
The decrement counts only where the conjugate gradients behind it met their tolerance.
"""

import logging
import math
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from jaxtyping import Float
from torch import Tensor

from lsi.errors import ConvergenceError
from lsi.laplace.conjugate_gradients import Outcome, conjugate_gradients
from lsi.laplace.kronecker import Kronecker
from lsi.laplace.objective import Evaluation, Objective

log = logging.getLogger(__name__)

DECREMENT_TOLERANCE = 1e-8
# n·D·k beyond which the tolerance is wider: a decrement δ moves no logit by more than δ times the root of its variance
LARGE, LARGE_TOLERANCE = 1e9, 1e-5
MAX_NEWTON_STEPS = 60
MAX_CG_STEPS = 400
_NEAR, _SERVES = 30.0, 12  # decrement, and products of a solve, up to which a form is kept
_AIM = 0.03  # of the tolerance
_SLACK = 10.0  # by which the Hessian's largest eigenvalue may exceed that of its Kronecker form, as a root


@dataclass(frozen=True)
class Probe:
    """A fitted probe and the proof that it is one.

    `weights` V is (m, D) in the likelihood's coordinates, float64. `newton_decrement` is √(gᵀP⁻¹g) at V: V lies that
    many posterior standard deviations from the MAP. Where `stalled`, rounding of the float64 sums kept it above the
    tolerance that was asked for, at a floor near 1e-7. `form` is the Kronecker form that preconditioned the last step.
    """

    objective: Objective
    weights: Float[Tensor, "m d"]
    loss: float
    gradient_norm: float
    newton_decrement: float
    n_newton_steps: int
    n_hessian_products: int
    form: Kronecker
    stalled: bool = False

    @property
    def logit_weights(self) -> Float[Tensor, "k d"]:
        """The usual weights W = QV, one row a class, the bias last."""
        return self.objective.logit_weights(self.weights)

    @cached_property
    def means(self) -> Float[Tensor, "n k"]:
        """The predictions for all samples in float64: for few samples or few classes."""
        return self.objective.means(self.weights)


@dataclass(frozen=True)
class _NewtonStep:
    """The step to add, and what it says of the place it starts from."""

    step: Float[Tensor, "m d"]
    decrement: float
    outcome: Outcome
    n_products: int
    largest_curvature: float


def fit(
    objective: Objective, start: "Float[Tensor, 'm d'] | Probe | None" = None, tolerance: float | None = None
) -> Probe:
    """Minimise the objective until the Newton decrement and the gradient norm both say that V is its minimum.

    The decrement must be at most `tolerance` by a solve that converged, and ‖g‖ at most ten times `tolerance` √μ, with
    μ the largest eigenvalue of the Hessian's Kronecker form: a decrement of `tolerance` implies about that. Where the
    decrement has stopped to fall at the floor that rounding sets (1e-7, more for losses beyond 1e10), the probe is
    returned as well, with `stalled` set.

    Args:
        objective: what to minimise.
        start: V to start from, (m, D), or the probe of a problem nearby, whose form is used as long as it serves; by
            default zero weights.
        tolerance: of the Newton decrement, in posterior standard deviations; by default 1e-8, of large problems 1e-5.

    Raises:
        ConvergenceError: the last step does not meet the tolerance, the Hessian is not positive definite to
            rounding, or NaN or infinity came up.
    """
    if tolerance is None:
        size = len(objective.design) * float(math.prod(objective.shape))
        tolerance = DECREMENT_TOLERANCE if size <= LARGE else LARGE_TOLERANCE
    form = replace(start.form, prior_precision=objective.prior_precision) if isinstance(start, Probe) else None
    if start is None:
        start = torch.zeros(objective.shape, dtype=torch.float64, device=objective.design.device)
    weights = start.weights if isinstance(start, Probe) else start.double()
    here = objective.evaluate(weights)
    products = 0
    best = expected = float("inf")
    for iteration in range(MAX_NEWTON_STEPS):
        # near the end as tight as the tolerance asks for, within bounds; far from it, and for the proof, loose
        forcing = 0.3 if expected > 1 else 0.1
        forcing = forcing if expected > 1e-2 else min(0.1, max(1e-3, _AIM * tolerance / expected))
        if not (math.isfinite(here.loss) and bool(torch.isfinite(here.gradient).all())):
            raise _no_step(objective, Outcome.NON_FINITE)
        form = objective.kronecker(here.point, sparse=True) if form is None else form
        newton = _newton_step(objective, here, form, forcing)
        products += newton.n_products
        decrement, norm = newton.decrement, float(here.gradient.norm())
        log.debug("step %d: loss %.6f, decrement %.3e, %d products", iteration, here.loss, decrement, newton.n_products)
        proven = newton.outcome is Outcome.CONVERGED
        met = decrement <= tolerance and norm <= _SLACK * tolerance * newton.largest_curvature**0.5
        stalled = not met and decrement < _floor(here.loss, len(objective.design)) and decrement > 0.5 * best
        if proven and (met or stalled):
            return Probe(objective, weights, here.loss, norm, decrement, iteration, products, form, stalled)
        if proven:
            best = min(best, decrement)
        expected = max(forcing * decrement, 1e-300)
        # another form costs k³: far from the optimum it changes much, near it only the solves tell
        form = form if decrement < _NEAR and newton.n_products <= _SERVES else None
        weights, here = _line_search(objective, weights, here, newton.step, decrement)
    raise ConvergenceError(
        f"The probe did not converge in {MAX_NEWTON_STEPS} Newton steps: decrement {best:.1e}, expected at most "
        f"{tolerance:.0e}. Raise the prior precision (now {objective.prior_precision:g}), standardise the "
        "features, or compute in float64."
    )


def _newton_step(objective: Objective, here: Evaluation, form: Kronecker, forcing: float) -> _NewtonStep:
    """Return the step −P⁻¹g, to be added to the weights, solved to a relative residual of `forcing`."""
    like = torch.empty(0, dtype=objective.design.dtype, device=here.gradient.device)
    cast = form.to(like)
    solution = conjugate_gradients(
        lambda x: objective.hessian_product(here.point, x),
        lambda x: cast.solve(x.to(like)).to(x),
        -here.gradient[None],
        tolerance=forcing,
        max_iterations=MAX_CG_STEPS,
    )
    step = solution.value[0]
    decrement = float((here.gradient * -step).sum().clamp_min(0).sqrt())
    if solution.outcome.is_breakdown:
        raise _no_step(objective, solution.outcome)
    return _NewtonStep(step, decrement, solution.outcome, solution.n_iterations, float(form.values.max()))


def _no_step(objective: Objective, cause: Outcome) -> ConvergenceError:
    return ConvergenceError(
        f"The probe has no Newton step at prior precision {objective.prior_precision:g}: {cause.value}. "
        "Standardise the features, compute in float64, or raise the prior precision."
    )


def _floor(loss: float, n_samples: int) -> float:
    """Return the decrement that rounding of the float64 sums may leave."""
    return 1e-13 * (1 + abs(loss)) ** 0.5 * n_samples**0.5 + 1e-7


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
