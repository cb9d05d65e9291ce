"""Leave-one-out by one Newton step from θ̂ on D∖{i}, in closed form for every sample.

Source: Koh and Liang 2017 (influence functions) and Rad and Maleki 2020 (approximate leave-one-out), here with the
exact m×m Woodbury step instead of the first-order one.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from lsi.laplace.design_matrix import Memo, Shard, rows_of
from lsi.laplace.likelihood import Likelihood
from lsi.laplace.loo.closed_form import ClosedForm, closed_form
from lsi.laplace.loo.shared_basis import Spectra, closed_form_in_basis
from lsi.laplace.posterior import Full, Kron
from lsi.laplace.probe import Probe

_BATCH_BYTES, _BLOCK_BYTES = 96 * 2**20, 768 * 2**20
_FEWEST, _MOST = 16, 8192
_CACHED = 1024  # rows whose arrays stay in the processor's caches


@dataclass(frozen=True)
class Removal:
    """A batch of samples taken out, each by itself.

    `logits`, `means` (b, k): of sample i by the probe that has not seen i; `means_before`: by the one that has.
    `delta` (b, m, D): θ̂₋ᵢ − θ̂, where it was asked for.
    """

    samples: Int[Tensor, " b"]
    closed: ClosedForm
    logits: Float[Tensor, "b k"]
    means: Float[Tensor, "b k"]
    means_before: Float[Tensor, "b k"]
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
        batch_size: samples at a time; by default as `batch_rows`.

    Raises:
        NumericalError: a leverage block is further from what exact arithmetic gives than rounding explains.
    """
    objective = probe.objective
    size = batch_size or batch_rows(probe, posterior, with_delta=with_delta)
    arguments = (objective.likelihood, probe.logit_weights, posterior, with_delta)
    if samples is None:
        for _, removal in objective.design.map_shards(remove, objective.targets, *arguments, rows=size):
            yield removal
        return
    for index in samples.to(objective.design.device).split(size) if len(samples) else ():
        shard = Shard(objective.design.take(index), objective.targets[index], 0, Memo())
        yield replace(remove(shard, *arguments), samples=index)


def batch_rows(probe: Probe, posterior: Full | Kron, *, with_delta: bool) -> int:
    """Return how many samples are taken out at a time.

    With the full posterior their responses take near 100 MB: (b, m, D) numbers, or with Δ (b, m, m, D); about eight
    (b, m, m) blocks in float64 come on top, in near 800 MB. With kron a sample needs k numbers, or with Δ (m, D) as
    well.

    Args:
        probe: the fitted probe.
        posterior: its posterior.
        with_delta: Δ is asked for as well.
    """
    m, d = probe.objective.shape
    if isinstance(posterior, Kron) and not with_delta:
        device = probe.objective.design.device
        return rows_of(m + 1, device) if device.type == "cuda" else min(_CACHED, rows_of(m + 1))
    width = (m if isinstance(posterior, Full) and with_delta else 1) * m * d
    if isinstance(posterior, Kron):
        return max(1, min(_MOST, _BATCH_BYTES // (8 * width)))
    responses = _BATCH_BYTES // (width * posterior.covariance.element_size())
    blocks = _BLOCK_BYTES // (8 * 8 * m * m)
    return max(_FEWEST, min(_MOST, responses, blocks))


def remove(
    shard: Shard,
    likelihood: Likelihood,
    logit_weights: Float[Tensor, "k d"],
    posterior: Full | Kron,
    with_delta: bool = False,
) -> Removal:
    """Take each sample of a shard out by itself.

    Args:
        shard: the samples.
        likelihood: of the probe.
        logit_weights: W at the MAP, (k, D).
        posterior: of the probe.
        with_delta: also return Δ.

    Raises:
        NumericalError: a leverage block is further from what exact arithmetic gives than rounding explains.
    """
    phi = shard.features
    logits = phi.double() @ logit_weights.T
    means = likelihood.predict(logits)
    residuals = likelihood.residuals(means, shard.targets)
    columns = None
    if isinstance(posterior, Kron):
        spectra = Spectra(posterior.logit_basis, posterior.spectrum(phi))
        closed = closed_form_in_basis(likelihood, spectra, means, residuals)
    else:
        columns = posterior.columns(phi) if with_delta else None
        blocks = posterior.leverages(phi) if columns is None else columns @ phi[:, None, :, None].to(columns)
        blocks = blocks.reshape(len(phi), *posterior.leverage_shape)
        closed = closed_form(
            (blocks + blocks.transpose(1, 2)) / 2,
            likelihood.curvatures(means),
            likelihood.contract(residuals),
            excludes_sample=False,
        )
    delta = _delta(posterior, closed, phi, columns) if with_delta else None
    samples = torch.arange(shard.start, shard.start + len(shard), device=phi.device)
    moved = logits + likelihood.expand(closed.shift)
    return Removal(samples, closed, moved, likelihood.predict(moved), means, delta)


def leave_one_out_means(
    shard: Shard, likelihood: Likelihood, logit_weights: Float[Tensor, "k d"], posterior: Full | Kron
) -> Float[Tensor, "b k"]:
    """Return what the probe predicts for each sample of a shard that it has not seen, and nothing else.

    Args:
        shard: the samples.
        likelihood: of the probe.
        logit_weights: W at the MAP, (k, D).
        posterior: of the probe.
    """
    if not isinstance(posterior, Kron):
        return remove(shard, likelihood, logit_weights, posterior).means
    logits = shard.features.double() @ logit_weights.T
    residuals = likelihood.residuals(likelihood.predict(logits), shard.targets)
    weights = posterior.spectrum(shard.features).mul_(residuals @ posterior.logit_basis)
    return likelihood.predict(logits.addmm_(weights, posterior.logit_basis.T))


def _delta(posterior: Full | Kron, closed: ClosedForm, phi: Tensor, columns: Tensor | None) -> Tensor:
    """Return Δ = P⁻¹(a ⊗ φ), or P₋ᵢ⁻¹(r ⊗ φ) where the posterior stands for the others."""
    if columns is not None:
        dual_residual = closed.dual_residual.to(columns)[:, None, :]
        return torch.bmm(dual_residual, columns.flatten(2)).reshape(len(phi), *columns.shape[2:])
    return posterior.solve(closed.residuals[:, :, None] * phi.double()[:, None, :])
