"""Leave-group-out by one Newton step: the information that a group of samples holds together.

Each of two equal samples has low leave-one-out LSI, because the other one carries the same information. The algebra is
that of one sample with the blocks of the group stacked: S_ij = (I⊗φᵢ)ᵀ P⁻¹ (I⊗φⱼ) makes an (sm × sm) matrix, the
curvatures lie on a diagonal, the residuals in one vector. With kron all S_ij are diagonal in one basis, and of many
classes the likeliest alone get a block of their own, as in `shared_basis`.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from lsi.errors import UsageError
from lsi.laplace.loo.closed_form import closed_form_from_root
from lsi.laplace.posterior import Full, Kron, Terms
from lsi.laplace.probe import Probe

MAX_GROUP = 4_096
MAX_KRON_GROUP = 256
_EXACT = 1_024  # rows of stacked blocks up to which a kron group is exact
_CLASSES = 8  # of each sample that get a block
_BLOCK_ROWS = 2_048


def leave_group_out(probe: Probe, posterior: Full | Kron, group: Int[Tensor, " s"]) -> Terms:
    """Return the terms of taking a whole group out, each of shape (1,).

    Args:
        probe: the fitted probe.
        posterior: its posterior, full or kron.
        group: indices of the samples, each once; s·m at most 4,096, or with kron 256 samples.

    Raises:
        UsageError: the group is empty or too large.
    """
    m, _ = probe.objective.shape
    size, is_kron = len(group) * m, isinstance(posterior, Kron)
    most = max(MAX_GROUP // m, MAX_KRON_GROUP) if is_kron else MAX_GROUP // m
    if not 0 < len(group) <= most:
        raise UsageError(f"Expected a group of 1 to {most} samples, got {len(group)}.")
    phi = probe.objective.design.take(group).double()
    likelihood = probe.objective.likelihood
    means = likelihood.predict(phi @ probe.logit_weights.T)
    residuals = likelihood.residuals(means, probe.objective.targets[group])
    if isinstance(posterior, Kron) and size > _EXACT:
        return _kron_terms(posterior, phi, means, residuals)
    identity = torch.eye(m, dtype=torch.float64, device=phi.device)
    sides = (identity[None, :, :, None] * phi[:, None, None, :]).reshape(size, *probe.objective.shape)
    leverages = (posterior.solve(sides) @ phi.T).transpose(1, 2).reshape(size, size)
    curvatures = torch.block_diag(*likelihood.curvatures(means).double())
    # equal samples make S singular: a root by eigenvectors takes that, one by Cholesky would not
    values, vectors = torch.linalg.eigh((leverages + leverages.T) / 2)
    root = vectors * values.clamp_min(0).sqrt()
    flat = likelihood.contract(residuals).reshape(1, size)
    return closed_form_from_root(root[None], curvatures[None], flat, excludes_sample=is_kron).terms


def _kron_terms(
    kron: Kron, phi: Float[Tensor, "s d"], means: Float[Tensor, "s k"], residuals: Float[Tensor, "s k"]
) -> Terms:
    """Return the terms of a group under kron; those of the covariance with blocks of the likeliest classes."""
    rotated = phi @ kron.form.feature_basis
    spectra = torch.einsum("id,cd,jd->cij", rotated, 1 / kron.form.values, rotated)  # S_ij in the shared basis
    weights = (residuals @ kron.logit_basis).T
    mean_term = 0.5 * torch.einsum("ci,cij,cj->", weights, spectra, weights)
    s, k = means.shape
    constant = spectra.mean(dim=0) / k
    count = max(1, min(_CLASSES * s, _BLOCK_ROWS // s, k))
    top = means.amax(dim=0).topk(count).indices  # classes that are likely for some sample
    rest = torch.ones(k, dtype=torch.bool, device=phi.device).index_fill_(0, top, False)
    root = means.sqrt()
    rows = kron.logit_basis[top]
    products = (rows[:, None, :] * rows[None, :, :]).reshape(count * count, -1)  # two factors at a time: little memory
    block = (products @ spectra.flatten(1)).reshape(count, count, s, s).permute(2, 0, 3, 1)
    block = block + constant[:, None, :, None]
    block = block * root[:, top, None, None] * root[None, None, :, top]
    diagonal = torch.einsum("kc,cij->kij", kron.logit_basis[rest].square(), spectra) + constant
    diagonal = diagonal * root.T[rest][:, :, None] * root.T[rest][:, None, :]
    v = torch.zeros(s, count, s, dtype=root.dtype, device=phi.device)
    v[torch.arange(s), :, torch.arange(s)] = root[:, top]
    parts = (
        _solved(block.reshape(1, s * count, -1), v.reshape(1, s * count, s)),
        _solved(diagonal, torch.diag_embed(root.T[rest])),
    )
    logdet, lost, a, c = (one + other for one, other in zip(*parts, strict=True))
    # the projection off √p of every sample, as in `shared_basis`
    share = lost - s + torch.linalg.solve(a, c).diagonal().sum()
    covariance = (0.5 * (logdet + torch.logdet(a) - share)).clamp_min(0)
    trace = -0.5 * share
    return Terms(*(t.reshape(1) for t in (mean_term, trace, covariance - trace, covariance)))


def _solved(k: Float[Tensor, "b r r"], v: Float[Tensor, "b r s"]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return ln det M, tr(I − M⁻¹), VᵀM⁻¹V and VᵀM⁻²V of M = I + K, summed over the blocks."""
    identity = torch.eye(k.shape[1], dtype=k.dtype, device=k.device)
    factor = torch.linalg.cholesky(identity + k)
    solved = torch.cholesky_solve(v, factor)
    lost = (identity - torch.cholesky_inverse(factor)).diagonal(dim1=1, dim2=2).sum()
    logdet = 2 * factor.diagonal(dim1=1, dim2=2).log().sum()
    return logdet, lost, (v.transpose(1, 2) @ solved).sum(dim=0), (solved.transpose(1, 2) @ solved).sum(dim=0)
