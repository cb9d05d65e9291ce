"""Leave-one-out by one Newton step from θ̂ on D∖{i}, in closed form for every sample.

Source: Koh and Liang 2017 (influence functions) and Rad and Maleki 2020 (approximate leave-one-out), here with the
exact m×m Woodbury step instead of the first-order one.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from lsi.laplace.loo.closed_form import ClosedForm, closed_form
from lsi.laplace.posterior import Full, Kron
from lsi.laplace.probe import Probe

_BATCH_BYTES = 96 * 2**20


@dataclass(frozen=True)
class Removal:
    """A batch of samples taken out, each by itself.

    `means` (b, k): the prediction for sample i of the probe that has not seen i. `delta` (b, m, D): θ̂₋ᵢ − θ̂, where
    it was asked for.
    """

    samples: Int[Tensor, " b"]
    closed: ClosedForm
    means: Float[Tensor, "b k"]
    delta: Float[Tensor, "b m d"] | None


def leave_one_out(
    probe: Probe,
    posterior: Full | Kron,
    samples: Int[Tensor, " s"] | None = None,
    *,
    with_delta: bool = False,
    batch_size: int | None = None,
) -> Iterator[Removal]:
    """Yield the removal of each of `samples` (default: all), batch by batch, in order.

    Args:
        probe: the fitted probe.
        posterior: its posterior, full or kron.
        samples: indices; all samples if not given.
        with_delta: also return Δ, one p×p product more.
        batch_size: samples at a time; by default what keeps the responses near 100 MB: (b, m, D) numbers, or with Δ
            (b, m, m, D). About eight (b, m, m) blocks in float64 come on top, which weigh more where m is large.

    Raises:
        NumericalError: a leverage block is further from what exact arithmetic gives than rounding explains.
    """
    objective = probe.objective
    m, d = objective.shape
    device = objective.design.device
    chosen = torch.arange(len(probe.means), device=device) if samples is None else samples.to(device)
    width = m * m * d if with_delta else m * d
    size = batch_size or max(16, min(8192, _BATCH_BYTES // (width * objective.design.values.element_size())))
    work = None
    for start in range(0, len(chosen), size):
        index = chosen[start : start + size]
        phi = objective.design.values[index]
        columns = None
        if with_delta and isinstance(posterior, Full):
            if work is None or len(work) != len(index):
                work = phi.new_empty(len(index), width)
            columns = posterior.columns(phi, out=work)
            leverages = (columns.reshape(len(index), m * m, d) @ phi[:, :, None]).reshape(-1, m, m)
        else:
            leverages = posterior.leverages(phi)
        means = probe.means[index]
        likelihood = objective.likelihood
        closed = closed_form(
            (leverages + leverages.transpose(1, 2)) / 2,
            likelihood.curvatures(means),
            likelihood.residuals(means, objective.targets[index]),
            excludes_sample=posterior.excludes_sample,
        )
        logits = (phi.double() @ probe.weights.T + closed.shift) @ objective.basis.T
        delta = _delta(posterior, closed, phi, columns) if with_delta else None
        yield Removal(index, closed, likelihood.predict(logits), delta)


def _delta(posterior: Full | Kron, closed: ClosedForm, phi: Tensor, columns: Tensor | None) -> Tensor:
    """Return Δ = P⁻¹(a ⊗ φ), or P₋ᵢ⁻¹(r ⊗ φ) where the posterior stands for the others."""
    if columns is not None:
        dual_residual = closed.dual_residual.to(phi)[:, None, :]
        return torch.bmm(dual_residual, columns.flatten(2)).reshape(len(phi), *columns.shape[2:])
    if isinstance(posterior, Full):
        return posterior.solve(closed.dual_residual.to(phi)[:, :, None] * phi[:, None, :])
    return posterior.solve(closed.residuals[:, :, None] * phi.double()[:, None, :])
