"""Leave-one-out by refitting: the same problem solved to a tolerance, many models at once.

Each model starts from the Newton step and takes further steps with the curvature of P₋ᵢ at θ̂ (chord steps, two GEMMs
each). Where those do not halve the decrement, because the sample bends the others' curvature too much, the model goes
on with Newton steps by conjugate gradients on its own Hessian, preconditioned by the same P₋ᵢ⁻¹ and shortened until
its objective falls: a whole step can lead farther away. Gradients and predictions are computed in float64 whatever the
features' dtype; steps need not be.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from lsi.errors import ConvergenceError
from lsi.laplace.conjugate_gradients import conjugate_gradients
from lsi.laplace.loo.certificate import newton_step_and_decrement, solve_without
from lsi.laplace.loo.models import Models
from lsi.laplace.loo.newton_step import Removal, leave_one_out
from lsi.laplace.posterior import Full, Kron
from lsi.laplace.probe import Probe

BATCH = 16
MAX_STEPS = 40
MOST_HALVINGS = 30


@dataclass(frozen=True)
class Refit:
    """A batch of refitted probes.

    `weights` (b, m, D) is θ̂₋ᵢ, `decrement` (b,) the Newton decrement left, `means` (n, b, k) every model's predictions.
    """

    removal: Removal
    weights: Float[Tensor, "b m d"]
    delta: Float[Tensor, "b m d"]
    decrement: Float[Tensor, " b"]
    means: Float[Tensor, "n b k"]


def refit(probe: Probe, posterior: Full | Kron, samples: Int[Tensor, " s"]) -> Iterator[Refit]:
    """Yield the probe refitted without each of `samples`, batch by batch, in order.

    Args:
        probe: fitted on n samples.
        posterior: its posterior, which the steps are preconditioned by.
        samples: (s,) which samples are left out, each alone.

    Raises:
        ConvergenceError: a model has not met its tolerance, 1e-8 of the length of its Δ.
    """
    for removal in leave_one_out(probe, posterior, samples, with_delta=True, batch_size=BATCH):
        assert removal.delta is not None
        start = removal.delta.double()
        length = (2 * removal.closed.terms.mean_term).sqrt()
        tolerance = 1e-8 * length + 1e-10
        delta, decrement = _solve(probe, posterior, removal, start, tolerance)
        weights = probe.weights.to(delta) + delta
        means = Models(probe.objective, removal.samples).means(weights)
        yield Refit(removal, weights, delta, decrement, means)


def _solve(
    probe: Probe, posterior: Full | Kron, removal: Removal, start: Tensor, tolerance: Tensor
) -> tuple[Tensor, Tensor]:
    models = Models(probe.objective, removal.samples)
    origin = probe.weights.to(start)
    delta, previous = start.clone(), torch.full_like(tolerance, torch.inf)
    slow = torch.zeros_like(tolerance, dtype=torch.bool)
    decrement = previous
    for _ in range(MAX_STEPS):
        gradient = models.gradients(origin + delta)
        step, decrement = newton_step_and_decrement(posterior, removal, probe, gradient)
        unfinished = ~(decrement <= tolerance)  # NaN is never finished
        if not bool(unfinished.any()):
            return delta, decrement
        if not bool(torch.isfinite(decrement).all()):
            raise ConvergenceError(f"A refit (sample {int(removal.samples[0])} and after) met NaN or infinity.")
        slow |= unfinished & (decrement > 0.5 * previous)
        if bool(slow.any()):
            newton = _newton_step(posterior, removal, probe, origin + delta, gradient, slow)
            newton = _shortened(models, origin + delta, newton, gradient)
            step = torch.where(slow[:, None, None], newton, step)
        delta = delta + torch.where(unfinished[:, None, None], step, torch.zeros_like(step))
        previous = decrement
    raise ConvergenceError(
        f"{int((decrement > tolerance).sum())} of {len(decrement)} refits (sample {int(removal.samples[0])} and after) "
        f"did not converge in {MAX_STEPS} steps. Compute in float64, or raise the prior precision."
    )


def _newton_step(
    posterior: Full | Kron,
    removal: Removal,
    probe: Probe,
    weights: Float[Tensor, "b m d"],
    gradient: Float[Tensor, "b m d"],
    which: Bool[Tensor, " b"],
) -> Float[Tensor, "b m d"]:
    """Return the step to add, −(Hessian)⁻¹g at each model's own weights, of the models in `which` (others: 0)."""
    models, dtype = Models(probe.objective, removal.samples), probe.objective.design.dtype
    right = torch.where(which[:, None, None], -gradient, torch.zeros_like(gradient))
    solution = conjugate_gradients(
        lambda x: models.hessian_products(weights.to(dtype), x.to(dtype)).to(x),
        lambda x: solve_without(posterior, removal, probe, x),
        right,
        tolerance=1e-3,
        max_iterations=100,
    )
    if solution.outcome.is_breakdown:
        raise ConvergenceError(
            f"A refit (sample {int(removal.samples[0])} and after) has no Newton step: {solution.outcome.value}. "
            "Compute in float64, or raise the prior precision."
        )
    return solution.value  # where the iterations ran out it still descends, and the decrement is tested after it


def _shortened(
    models: Models, weights: Float[Tensor, "b m d"], step: Float[Tensor, "b m d"], gradient: Float[Tensor, "b m d"]
) -> Float[Tensor, "b m d"]:
    """Return steps halved until each objective falls enough (Armijo), and whole where its fall drowns in rounding."""
    slope = (gradient * step).sum(dim=(1, 2))
    here, length = models.losses(weights), torch.ones_like(slope)
    drowned = slope.abs() < 1e-10 * (1 + here.abs())
    for _ in range(MOST_HALVINGS):
        there = models.losses(weights + length[:, None, None] * step)
        enough = drowned | (there <= here + 1e-4 * length * slope)
        if bool(enough.all()):
            break
        length = torch.where(enough, length, length / 2)
    return length[:, None, None] * step
