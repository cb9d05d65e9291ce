"""The certificate of a Newton step: how far θ̂ + Δᵢ still is from the true refit.

The gradient g of L on D∖{i} at θ̂ + Δᵢ in the P₋ᵢ⁻¹ norm is the Newton decrement that a second step would start with:
the distance to the refit in posterior standard deviations, to first order. Cost 4·n·d·k flops a sample.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from lsi.errors import NumericalError
from lsi.laplace.loo.models import Models
from lsi.laplace.loo.newton_step import Removal, leave_one_out
from lsi.laplace.posterior import Full, Kron
from lsi.laplace.probe import Probe

BATCH, BATCH_BYTES = 64, 64 * 2**20


def certify(probe: Probe, posterior: Full | Kron, samples: Int[Tensor, " s"]) -> Float[Tensor, " s"]:
    """Return `loo_residual` of each of `samples`: the Newton decrement left after the step, ≥ 0; small is good.

    Args:
        probe: the fitted probe.
        posterior: its posterior, full or kron.
        samples: indices (s,) of the samples to certify.

    Raises:
        NumericalError: a decrement is NaN or infinite.
    """
    decrements = []
    for removal in leave_one_out(
        probe,
        posterior,
        samples,
        with_delta=True,
        batch_size=max(1, min(BATCH, BATCH_BYTES // (8 * probe.weights.numel()))),
    ):
        assert removal.delta is not None
        weights = probe.weights.to(removal.delta) + removal.delta
        gradient = Models(probe.objective, removal.samples).gradients(weights.to(probe.objective.design.dtype))
        _, decrement = newton_step_and_decrement(posterior, removal, probe, gradient)
        if not bool(torch.isfinite(decrement).all()):
            sample = int(removal.samples[~torch.isfinite(decrement)][0])
            raise NumericalError(f"The certificate of sample {sample} is not finite. Compute in float64.")
        decrements.append(decrement)
    return torch.cat(decrements) if decrements else probe.weights.new_zeros(0)


def newton_step_and_decrement(
    posterior: Full | Kron, removal: Removal, probe: Probe, gradient: Float[Tensor, "b m d"]
) -> tuple[Float[Tensor, "b m d"], Float[Tensor, " b"]]:
    """Return the step to add, −P₋ᵢ⁻¹g with the curvature at θ̂, and √(gᵀP₋ᵢ⁻¹g), for each sample that is left out.

    Args:
        posterior: the posterior of all samples.
        removal: the samples that are left out, (b,).
        probe: the fitted probe.
        gradient: g of each problem without its sample, (b, m, D).
    """
    step = solve_without(posterior, removal, probe, -gradient)
    decrement = -(gradient.double() * step.double()).sum(dim=(1, 2)).clamp_max(0)
    return step, decrement.sqrt()


def solve_without(
    posterior: Full | Kron, removal: Removal, probe: Probe, right: Float[Tensor, "b m d"]
) -> Float[Tensor, "b m d"]:
    """Return P₋ᵢ⁻¹ applied to each right-hand side, P₋ᵢ at θ̂, by Woodbury: P⁻¹x + P⁻¹((I + ΛS₋)Λφᵀ(P⁻¹x) ⊗ φ).

    Args:
        posterior: the posterior of all samples.
        removal: the samples that are left out, (b,).
        probe: the fitted probe.
        right: x, one right-hand side per sample, (b, m, D).
    """
    solved = posterior.solve(right)
    if posterior.excludes_sample:
        return solved
    phi = probe.objective.design.take(removal.samples)
    logits = torch.bmm(solved, phi[:, :, None].to(solved)).double()
    curvature = probe.objective.likelihood.curvatures(removal.means_before)
    bent = curvature @ logits
    assert removal.closed.leverages_without is not None
    dual_residual = (bent + curvature @ (removal.closed.leverages_without @ bent))[:, :, 0]
    return solved + posterior.solve(dual_residual.to(phi)[:, :, None] * phi[:, None, :]).to(solved)
