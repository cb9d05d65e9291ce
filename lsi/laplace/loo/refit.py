"""Leave-one-out by refitting: the same problem solved to a tolerance, many models at once.

Each model starts from the Newton step and takes further steps with the curvature of P₋ᵢ at θ̂ (chord steps, two GEMMs
each). Where those do not halve the decrement, because the sample bends the others' curvature too much, the model goes
on with Newton steps by conjugate gradients on its own Hessian, preconditioned by the same P₋ᵢ⁻¹.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from lsi.errors import ConvergenceError
from lsi.laplace.conjugate_gradients import conjugate_gradients
from lsi.laplace.loo.certificate import newton_direction, solve_others
from lsi.laplace.loo.models import Models
from lsi.laplace.loo.newton_step import Removal, remove
from lsi.laplace.posterior import Full, Kron
from lsi.laplace.probe import Probe

BATCH = 16
MAX_STEPS = 40


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

    Raises:
        ConvergenceError: where a model has not met its tolerance, 1e-8 (float32: 1e-4) of the length of its Δ.
    """
    single = probe.objective.design.dtype == torch.float32
    for removal in remove(probe, posterior, samples, with_delta=True, batch_size=BATCH):
        assert removal.delta is not None
        start = removal.delta.to(probe.objective.design.values)
        length = (2 * removal.closed.terms.mean_term).sqrt()
        tolerance = 1e-4 * length + 1e-5 if single else 1e-8 * length + 1e-10
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
        step, decrement = newton_direction(posterior, removal, probe, gradient)
        open_ = decrement > tolerance
        if not bool(open_.any()):
            return delta, decrement
        slow |= open_ & (decrement > 0.5 * previous)
        if bool(slow.any()):
            step = torch.where(
                slow[:, None, None], _newton(posterior, removal, probe, origin + delta, gradient, slow), step
            )
        delta = delta - torch.where(open_[:, None, None], step, torch.zeros_like(step))
        previous = decrement
    raise ConvergenceError(
        f"{int((decrement > tolerance).sum())} of {len(decrement)} refits (sample {int(removal.samples[0])} and after) "
        f"did not converge in {MAX_STEPS} steps. Compute in float64, or raise the prior precision."
    )


def _newton(
    posterior: Full | Kron,
    removal: Removal,
    probe: Probe,
    weights: Float[Tensor, "b m d"],
    gradient: Float[Tensor, "b m d"],
    which: Bool[Tensor, " b"],
) -> Float[Tensor, "b m d"]:
    """Return the true Newton step of the models in `which` (others: 0)."""
    models = Models(probe.objective, removal.samples)
    right = torch.where(which[:, None, None], gradient, torch.zeros_like(gradient))
    return conjugate_gradients(
        lambda x: models.hessian_products(weights, x),
        lambda x: solve_others(posterior, removal, probe, x),
        right,
        tolerance=1e-3,
        max_iterations=100,
    ).value
