"""The certificate of a Newton step: how far θ̂ + Δᵢ still is from the true refit.

The gradient g of L on D∖{i} at θ̂ + Δᵢ in the P₋ᵢ⁻¹ norm is the Newton decrement that a second step would start with:
the distance to the refit in posterior standard deviations, to first order. Cost 4·n·d·k flops a sample.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from lsi.laplace.loo.models import Models
from lsi.laplace.loo.newton_step import Removal, remove
from lsi.laplace.posterior import Full, Kron
from lsi.laplace.probe import Probe

BATCH = 64


def certify(probe: Probe, posterior: Full | Kron, samples: Int[Tensor, " s"]) -> Float[Tensor, " s"]:
    """Return `loo_residual` of each of `samples`: the Newton decrement left after the step, ≥ 0; small is good."""
    found = []
    for removal in remove(probe, posterior, samples, with_delta=True, batch_size=BATCH):
        assert removal.delta is not None
        weights = probe.weights.to(removal.delta) + removal.delta
        gradient = Models(probe.objective, removal.samples).gradients(weights.to(probe.objective.design.values))
        _, decrement = newton_direction(posterior, removal, probe, gradient)
        found.append(decrement)
    return torch.cat(found) if found else probe.means.new_zeros(0)


def newton_direction(
    posterior: Full | Kron, removal: Removal, probe: Probe, gradient: Float[Tensor, "b m d"]
) -> tuple[Float[Tensor, "b m d"], Float[Tensor, " b"]]:
    """Return P₋ᵢ⁻¹g with the curvature at θ̂, and √(gᵀP₋ᵢ⁻¹g), for each removed sample."""
    direction = solve_others(posterior, removal, probe, gradient)
    decrement = (gradient.double() * direction.double()).sum(dim=(1, 2)).clamp_min(0).sqrt()
    return direction, decrement


def solve_others(
    posterior: Full | Kron, removal: Removal, probe: Probe, right: Float[Tensor, "b m d"]
) -> Float[Tensor, "b m d"]:
    """Return P₋ᵢ⁻¹ applied to each right-hand side, P₋ᵢ at θ̂, by Woodbury: P⁻¹x + P⁻¹((I + ΛS₋)Λφᵀ(P⁻¹x) ⊗ φ)."""
    solved = posterior.solve(right)
    if posterior.stands_for_others:
        return solved
    phi = probe.objective.design.values[removal.samples]
    own = torch.bmm(solved, phi[:, :, None].to(solved)).double()
    curvature = probe.objective.likelihood.curvatures(probe.means[removal.samples])
    bent = curvature @ own
    push = (bent + curvature @ (removal.closed.others @ bent))[:, :, 0]
    return solved + posterior.solve(push.to(phi)[:, :, None] * phi[:, None, :]).to(solved)
