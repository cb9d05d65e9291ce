"""Leave-group-out by one Newton step: the information that a group of samples holds together.

Each of two equal samples has low leave-one-out LSI, because the other one carries the same information. The algebra is
that of one sample with the blocks of the group stacked: S_ij = (I⊗φᵢ)ᵀ P⁻¹ (I⊗φⱼ) makes an (sm × sm) matrix, the
curvatures lie on a diagonal, the residuals in one vector.
"""

import torch
from jaxtyping import Int
from torch import Tensor

from lsi.errors import UsageError
from lsi.laplace.loo.closed_form import ClosedForm, closed_form_from_root
from lsi.laplace.posterior import Full, Kron
from lsi.laplace.probe import Probe

MAX_GROUP = 4_096


def leave_group_out(probe: Probe, posterior: Full | Kron, group: Int[Tensor, " s"]) -> ClosedForm:
    """Return what follows from taking a whole group out; its terms have shape (1,).

    Args:
        probe: the fitted probe.
        posterior: its posterior, full or kron.
        group: indices of the samples, each once, s·m at most 4,096.

    Raises:
        UsageError: the group is empty or too large.
    """
    m, d = probe.objective.shape
    size = len(group) * m
    if not 0 < size <= MAX_GROUP:
        raise UsageError(f"Expected a group of 1 to {MAX_GROUP // m} samples, got {len(group)}.")
    phi = probe.objective.design.values[group].double()
    identity = torch.eye(m, dtype=torch.float64, device=phi.device)
    sides = (identity[None, :, :, None] * phi[:, None, None, :]).reshape(size, m, d)
    leverages = (posterior.solve(sides) @ phi.T).transpose(1, 2).reshape(size, size)
    likelihood, means = probe.objective.likelihood, probe.means[group]
    curvatures = torch.block_diag(*likelihood.curvatures(means).double())
    residuals = likelihood.residuals(means, probe.objective.targets[group]).double().reshape(1, size)
    # equal samples make S singular: a root by eigenvectors takes that, one by Cholesky would not
    values, vectors = torch.linalg.eigh((leverages + leverages.T) / 2)
    root = vectors * values.clamp_min(0).sqrt()
    return closed_form_from_root(root[None], curvatures[None], residuals, excludes_sample=posterior.excludes_sample)
