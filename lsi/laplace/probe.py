"""The MAP fit of the linear probe, with its proof of convergence.

Newton's method with conjugate gradients (Nocedal and Wright, algorithm 7.1), preconditioned by the Kronecker form of
the Hessian, or by a block for each class once the products spent would have paid for them. Large problems are solved
for larger λ first.

The proof is of the kind that scikit-learn's `_newton_solver` asks for: the gradient norm and the Newton decrement
√(gᵀP⁻¹g), which is the distance to the minimum in the posterior's own norm, in units of standard deviations. The
decrement counts only where the conjugate gradients behind it met their tolerance.
"""

import logging
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from jaxtyping import Float
from torch import Tensor

from lsi.errors import ConvergenceError
from lsi.laplace.class_blocks import ClassBlocks, class_blocks, price
from lsi.laplace.conjugate_gradients import Outcome, conjugate_gradients
from lsi.laplace.kronecker import Kronecker
from lsi.laplace.objective import Evaluation, Objective

log = logging.getLogger(__name__)

DECREMENT_TOLERANCE = 1e-8
# n·D·k beyond which the tolerance is wider: a decrement δ moves no logit by more than δ times the root of its variance,
# and with it no residual and no LSI by more than some δ of itself
LARGE, LARGE_TOLERANCE = 1e9, 1e-4
# factors of λ that a large problem is solved for first, each to a rough decrement, where one of the first solves takes
# more products than HARD: far from the optimum of a small λ the Hessian changes with every step
PATH, PATH_TOLERANCE, HARD = (300.0, 30.0, 3.0), 10.0, 12
MAX_NEWTON_STEPS = 60
MAX_CG_STEPS = 400
_NEAR, _SERVES = 30.0, 12  # decrement, and products of a solve, up to which a form is kept
_FAR, _CLOSER = 20.0, 3.0  # decrement from which on blocks are built, and its fall after which they are built anew
_WORTH = 0.8  # share of the form's products for the same residual that blocks may take
_LONG = 8  # products of a solve from which on blocks can pay
_AIM = 0.3  # of the tolerance
_SLACK = 10.0  # by which the Hessian's largest eigenvalue may exceed that of its Kronecker form, as a root


@dataclass(frozen=True)
class Probe:
    """A fitted probe and the proof that it is one.

    `weights` V is (m, D) in the likelihood's coordinates, float64. `newton_decrement` is √(gᵀP⁻¹g) at V: V lies that
    many posterior standard deviations from the MAP. Where `stalled`, rounding of the float64 sums kept it above the
    tolerance that was asked for, at a floor near 1e-7. `form` is the Kronecker form at
    one of the last steps, `blocks` preconditioned them where the form alone took too many products.
    """

    objective: Objective
    weights: Float[Tensor, "m d"]
    loss: float
    gradient_norm: float
    newton_decrement: float
    n_newton_steps: int
    n_hessian_products: int
    form: Kronecker
    blocks: ClassBlocks | None = None
    stalled: bool = False

    @property
    def logit_weights(self) -> Float[Tensor, "k d"]:
        """The usual weights W = QV, one row a class, the bias last."""
        return self.objective.logit_weights(self.weights)

    @cached_property
    def means(self) -> Float[Tensor, "n k"]:
        """The predictions for all samples in float64: for few samples or few classes."""
        return self.objective.means(self.weights)


@dataclass
class _Preconditioner:
    """The Kronecker form and, where they pay, the blocks.

    Blocks are built, and built anew closer to the optimum, once the products spent since the last exceed their price.
    """

    objective: Objective
    kept: Kronecker | None = None
    blocks: ClassBlocks | None = None
    taken_at: float = math.inf  # decrement where the blocks were built
    spent: int = 0  # products since then
    last: int = 0  # products of the last solve
    rate: float = math.inf  # products by which the form makes the residual e times smaller
    are_worse: bool = False  # whether blocks were tried and took as many

    @classmethod
    def after(cls, objective: Objective, probe: Probe | None) -> "_Preconditioner":
        """Return that of the probe of a problem nearby."""
        if probe is None:
            return cls(objective)
        same = probe.objective.prior_precision == objective.prior_precision
        form = replace(probe.form, prior_precision=objective.prior_precision)
        if same and probe.blocks is not None:
            return cls(objective, form, probe.blocks)
        return cls(objective, form)

    @property
    def form(self) -> Kronecker:
        """The Kronecker form, once prepared."""
        assert self.kept is not None
        return self.kept

    def prepare(self, here: Evaluation, decrement: float) -> None:
        """Build what is missing or has ceased to serve.

        Args:
            here: the point.
            decrement: what is expected there.
        """
        if self.kept is None:
            self.kept = self.objective.kronecker(here.point, sparse=True)
        is_closer = decrement < min(_FAR, self.taken_at / _CLOSER)
        if is_closer and not self.are_worse and self.last >= _LONG and self.spent > price(self.objective):
            self.blocks, self.taken_at, self.spent = class_blocks(self.objective, here.point), decrement, 0

    def served(self, newton: "_NewtonStep", forcing: float) -> None:
        """Count the products of a step; drop blocks that need no fewer, and the form where it no longer serves.

        Args:
            newton: the step.
            forcing: residual that it was solved to.
        """
        rate = newton.n_products / -math.log(forcing)
        if self.blocks is None:
            self.rate = rate
        elif rate > _WORTH * self.rate:
            self.blocks, self.are_worse = None, True
        self.spent, self.last = self.spent + newton.n_products, newton.n_products
        # another form costs k³: far from the optimum it changes much, near it only the solves tell
        if self.blocks is None and (newton.decrement >= _NEAR or newton.n_products > _SERVES):
            self.kept = None

    def solver(self, like: Tensor) -> Callable[[Tensor], Tensor]:
        """Return what approximates P⁻¹, in the dtype of `like`."""
        if self.blocks is not None:
            return self.blocks.solve
        cast = self.form.to(like)
        return lambda x: cast.solve(x.to(like)).to(x)


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
        tolerance: of the Newton decrement, in posterior standard deviations; by default 1e-8, of large problems 1e-4.

    Raises:
        ConvergenceError: the last step does not meet the tolerance, the Hessian is not positive definite to
            rounding, or NaN or infinity came up.
    """
    large = is_large(objective)
    if tolerance is None:
        tolerance = LARGE_TOLERANCE if large else DECREMENT_TOLERANCE
    if start is not None:
        return _newton(objective, start, tolerance)
    zero = torch.zeros(objective.shape, dtype=torch.float64, device=objective.design.device)
    try:
        return _newton(objective, zero, tolerance, HARD if large else MAX_CG_STEPS)
    except _HardError:
        above = _along_path(objective)
        return _with_counts_of(above, _newton(objective, above, tolerance))


def is_large(objective: Objective) -> bool:
    """Say whether n·D·m is so large that a fit is proven to 1e-4 posterior standard deviations and not to 1e-8."""
    return len(objective.design) * float(math.prod(objective.shape)) > LARGE


class _HardError(Exception):
    """One of the first solves takes more products than it may."""


def _newton(
    objective: Objective, start: Float[Tensor, "m d"] | Probe, tolerance: float, most: int = MAX_CG_STEPS
) -> Probe:
    """Return the minimum that Newton's method finds from a start, with at most `most` products in the first solves."""
    preconditioner = _Preconditioner.after(objective, start if isinstance(start, Probe) else None)
    weights = start.weights if isinstance(start, Probe) else start.double()
    here = objective.evaluate(weights)
    products = 0
    best = expected = float("inf")
    for iteration in range(MAX_NEWTON_STEPS):
        forcing = _forcing(expected, tolerance)
        if not (math.isfinite(here.loss) and bool(torch.isfinite(here.gradient).all())):
            raise _no_step(objective, Outcome.NON_FINITE)
        preconditioner.prepare(here, expected)
        newton = _newton_step(objective, here, preconditioner, (forcing, most if iteration < 3 else MAX_CG_STEPS))
        products += newton.n_products
        decrement, norm = newton.decrement, float(here.gradient.norm())
        log.debug("step %d: loss %.6f, decrement %.3e, %d products", iteration, here.loss, decrement, newton.n_products)
        proven = newton.outcome is Outcome.CONVERGED
        met = decrement <= tolerance and norm <= _SLACK * tolerance * newton.largest_curvature**0.5
        stalled = not met and decrement < _floor(here.loss, len(objective.design)) and decrement > 0.5 * best
        if proven and (met or stalled):
            form, blocks = preconditioner.form, preconditioner.blocks
            return Probe(objective, weights, here.loss, norm, decrement, iteration, products, form, blocks, stalled)
        if proven:
            best = min(best, decrement)
        elif newton.n_products == most < MAX_CG_STEPS and iteration < 3:
            raise _HardError
        expected = max(forcing * decrement, 1e-300)
        preconditioner.served(newton, forcing)
        weights, here = _line_search(objective, weights, here, newton.step, decrement)
    raise ConvergenceError(
        f"The probe did not converge in {MAX_NEWTON_STEPS} Newton steps: decrement {best:.1e}, expected at most "
        f"{tolerance:.0e}. Raise the prior precision (now {objective.prior_precision:g}), standardise the "
        "features, or compute in float64."
    )


def _along_path(objective: Objective) -> Probe:
    """Return a probe of a prior precision somewhat above that of the objective, reached from larger ones."""
    probe: Probe | None = None
    for factor in PATH:
        above = objective.with_prior_precision(factor * objective.prior_precision)
        start = torch.zeros(above.shape, dtype=torch.float64, device=above.design.device) if probe is None else probe
        found = _newton(above, start, PATH_TOLERANCE)
        log.debug("prior precision %.3g: %d products", above.prior_precision, found.n_hessian_products)
        probe = found if probe is None else _with_counts_of(probe, found)
    assert probe is not None
    return probe


def _with_counts_of(before: Probe, probe: Probe) -> Probe:
    """Return a probe that counts the steps and products which led to its start as well."""
    steps, products = before.n_newton_steps, before.n_hessian_products
    return replace(
        probe, n_newton_steps=steps + probe.n_newton_steps, n_hessian_products=products + probe.n_hessian_products
    )


def _newton_step(
    objective: Objective, here: Evaluation, preconditioner: _Preconditioner, limits: tuple[float, int]
) -> _NewtonStep:
    """Return the step −P⁻¹g, to be added to the weights, solved to a relative residual or a number of products."""
    forcing, most = limits
    like = torch.empty(0, dtype=objective.design.dtype, device=here.gradient.device)
    solution = conjugate_gradients(
        lambda x: objective.hessian_product(here.point, x),
        preconditioner.solver(like),
        -here.gradient[None],
        tolerance=forcing,
        max_iterations=most,
    )
    step = solution.value[0]
    decrement = float((here.gradient * -step).sum().clamp_min(0).sqrt())
    if solution.outcome.is_breakdown:
        raise _no_step(objective, solution.outcome)
    return _NewtonStep(
        step, decrement, solution.outcome, solution.n_iterations, float(preconditioner.form.values.max())
    )


def _no_step(objective: Objective, cause: Outcome) -> ConvergenceError:
    return ConvergenceError(
        f"The probe has no Newton step at prior precision {objective.prior_precision:g}: {cause.value}. "
        "Standardise the features, compute in float64, or raise the prior precision."
    )


def _forcing(expected: float, tolerance: float) -> float:
    """Return what residual to solve to: near the end as tight as is asked for, far and for the proof loose."""
    if expected > 1e-2:
        return 0.3 if expected > 1 else 0.1
    return min(0.1, max(1e-3, _AIM * tolerance / expected))


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
