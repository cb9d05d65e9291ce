"""The full structure: P = Σ Λⱼ ⊗ φⱼφⱼᵀ + λI as it is, (mD)² numbers.

P is summed in the features' dtype shard by shard into float64 and factored in float64. The blocks of P⁻¹ are needed
one by one (Sᵢ[c,e] = φᵢᵀ (P⁻¹)[c,e] φᵢ for all samples as GEMMs), which is the one place where an inverse is cheaper
than solves: n·p² flops against n·k·p². They are taken in the features' dtype too, unless that is seen to lose them:
with fewer samples than columns and a weak prior, φᵀP⁻¹φ is a small rest of terms near ‖φ‖²/λ.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor

from lsi.errors import NumericalError
from lsi.laplace.design_matrix import Shard
from lsi.laplace.likelihood import Likelihood
from lsi.laplace.objective import Objective
from lsi.laplace.posterior.terms import Terms
from lsi.laplace.probe import Probe

_ASSEMBLY_SHARD = 8192
_STRIPS = 4
_LEVERAGE_STRIPS = 8
_NARROWEST = 32
_LOOKED_AT, _MOST_OFF = 64, 1e-4  # samples that rounding is measured on; how much of 1 − μ it may be


@dataclass(frozen=True)
class Full:
    """The posterior with its whole precision matrix.

    `covariance` is P⁻¹ as (m, D, m, D) in the features' dtype, or in float64 where that would lose leverages;
    `log_determinant` is ln det P in the likelihood's
    coordinates (the directions it does not see have precision λ before and after, and cancel).
    """

    likelihood: Likelihood
    covariance: Float[Tensor, "m d m d"]
    log_determinant: float

    excludes_sample = False

    @classmethod
    def fit(cls, probe: Probe, *, exact: bool = False) -> "Full":
        """Assemble and factor P at the probe's MAP.

        Args:
            probe: the fitted probe.
            exact: multiply in float64 whatever the features' dtype: what refits are compared with.
        """
        objective = probe.objective
        m, d = objective.shape
        factor = _cholesky(precision(objective, probe.weights, exact=exact), objective.prior_precision)
        log_determinant = 2 * float(factor.diagonal().log().sum())
        inverse = torch.cholesky_inverse(factor, out=factor)
        full = cls(objective.likelihood, inverse.reshape(m, d, m, d), log_determinant)
        if exact or objective.design.dtype == inverse.dtype:
            return full
        rounded = replace(full, covariance=full.covariance.to(objective.design.dtype))
        if not _loses_leverages(full, rounded, probe):
            return rounded
        del full, rounded, inverse, factor  # or P would be in memory twice
        return cls.fit(probe, exact=True)

    @property
    def shape(self) -> tuple[int, int]:
        """The shape (m, D) of the weights."""
        m, d = self.covariance.shape[:2]
        return m, d

    @property
    def leverage_shape(self) -> tuple[int, int]:
        """The shape (m, m) of a sample's leverage block."""
        return self.shape[0], self.shape[0]

    def solve(self, matrices: Float[Tensor, "b m d"]) -> Float[Tensor, "b m d"]:
        """Return P⁻¹ applied to each matrix."""
        p = math.prod(self.shape)
        flat = matrices.reshape(-1, p).to(self.covariance)
        return (flat @ self.covariance.reshape(p, p)).reshape(matrices.shape).to(matrices)

    @cached_property
    def _by_feature(self) -> Float[Tensor, "d mmd"]:
        m, d = self.shape
        return self.covariance.permute(1, 0, 2, 3).reshape(d, m * m * d)

    def columns(
        self, features: Float[Tensor, "b d"], out: Float[Tensor, "b mmd"] | None = None
    ) -> Float[Tensor, "b m m d"]:
        """Return T[i, c] = P⁻¹(e_c ⊗ φᵢ), the response of all weights to each logit of each sample."""
        m, d = self.shape
        return torch.mm(features.to(self.covariance), self._by_feature, out=out).reshape(len(features), m, m, d)

    def leverages(self, features: Float[Tensor, "b d"]) -> Float[Tensor, "b m m"]:
        """Return the blocks Sᵢ = (I⊗φᵢ)ᵀ P⁻¹ (I⊗φᵢ).

        φᵀMφ needs M + Mᵀ above the diagonal alone: strips of columns take 9/16 of the flops.
        """
        m, d = self.shape
        features = features.to(self.covariance)
        blocks = features.new_zeros(len(features), m, m)
        for c in range(m):
            for low, high in _strips(d, _LEVERAGE_STRIPS):
                right = self.covariance[c, :high, c:, low:high].clone()
                right[:low] += self.covariance[c:, :low, c, low:high].transpose(0, 1)
                rows = (features[:, :high] @ right.flatten(1)).reshape(len(features), m - c, high - low)
                blocks[:, c, c:] += rows.mul_(features[:, None, low:high]).sum(dim=2)
            blocks[:, c + 1 :, c] = blocks[:, c, c + 1 :]
        return blocks

    def refit_terms(self, probe: Probe, sample: int, delta: Float[Tensor, "m d"], means: Float[Tensor, "n k"]) -> Terms:
        """Return the terms of an exact P, with P₋ᵢ assembled in float64 at the predictions of the refitted probe.

        Args:
            probe: the fitted probe.
            sample: i.
            delta: θ̂₋ᵢ − θ̂ in the likelihood's coordinates, (m, D).
            means: predictions of the refitted probe for all samples, (n, k); read off its weights here.

        Raises:
            NumericalError: P₋ᵢ is not positive definite to rounding.
        """
        objective, p = probe.objective, math.prod(self.shape)
        without = precision(objective, probe.weights + delta.double(), left_out=sample, exact=True)
        factor = _cholesky(without, objective.prior_precision)
        flat = delta.double().reshape(p)
        mean = 0.5 * flat @ without @ flat
        trace = 0.5 * ((without * self.covariance.reshape(p, p)).sum() - p)
        logdet = 0.5 * self.log_determinant - factor.diagonal().log().sum()
        # ≥ 0 but for the rounding of two sums that nearly cancel
        covariance_term = (trace + logdet).clamp_min(0)
        return Terms(*(t.reshape(1) for t in (mean, trace, logdet, covariance_term)))


def precision(
    objective: Objective, weights: Float[Tensor, "m d"], left_out: int | None = None, exact: bool = False
) -> Float[Tensor, "p p"]:
    """Return P = Σ Λⱼ ⊗ φⱼφⱼᵀ + λI at V, in float64.

    Args:
        objective: features, likelihood and λ.
        weights: V (m, D) that the curvatures Λ are taken at.
        left_out: a sample to leave out of the sum.
        exact: multiply in float64 too; otherwise in the features' dtype.
    """
    m, d = objective.shape
    total = torch.zeros(m, m, d, d, dtype=torch.float64, device=objective.design.device)
    parts = objective.design.map_shards(
        _curvatures, objective.targets, objective.likelihood, objective.logit_weights(weights), rows=_ASSEMBLY_SHARD
    )
    weighted = None
    for s, (features, blocks) in parts:
        phi = features.double() if exact else features
        if left_out is not None and s.start <= left_out < s.stop:
            blocks[left_out - s.start] = 0
        blocks = blocks.to(phi)
        weighted = phi.new_empty(phi.shape) if weighted is None or len(weighted) != len(phi) else weighted
        for c in range(m):
            for e in range(c, m):
                torch.mul(phi, blocks[:, c, e, None], out=weighted)
                _add_upper(total[c, e], phi, weighted)
    _mirror(total)
    matrix = total.permute(0, 2, 1, 3).reshape(m * d, m * d)
    matrix.diagonal().add_(objective.prior_precision)
    return matrix


def _curvatures(
    shard: Shard, likelihood: Likelihood, logit_weights: Float[Tensor, "k d"]
) -> tuple[Float[Tensor, "b d"], Float[Tensor, "b m m"]]:
    means = likelihood.predict(shard.features.to(logit_weights) @ logit_weights.T)
    return shard.features, likelihood.curvatures(means)


def _loses_leverages(full: Full, rounded: Full, probe: Probe) -> bool:
    """Say whether rounding P⁻¹ to the features' dtype moves an eigenvalue μ of ΛS by much of its distance from 1.

    Leave-one-out divides by 1 − μ. It is looked at where it is likeliest: where tr(Λ)‖φ‖² is largest.
    """
    objective = probe.objective
    how = (objective.likelihood, objective.logit_weights(probe.weights))
    exposure = objective.design.gather_shards(_exposure, objective.targets, *how, rows=_ASSEMBLY_SHARD)
    chosen = exposure.topk(min(_LOOKED_AT, len(exposure))).indices
    phi = objective.design.take(chosen)
    curvatures = objective.likelihood.curvatures(objective.likelihood.predict(phi.double() @ how[1].T)).double()
    exact = full.leverages(phi)
    root, _ = torch.linalg.cholesky_ex(exact)
    left = 1 - torch.linalg.eigvalsh(root.transpose(1, 2) @ curvatures @ root)[:, -1]
    off = torch.linalg.matrix_norm(curvatures @ (exact - rounded.leverages(phi)))
    return not bool((off <= _MOST_OFF * left).all())


def _exposure(shard: Shard, likelihood: Likelihood, logit_weights: Float[Tensor, "k d"]) -> Float[Tensor, " b"]:
    phi, curvatures = _curvatures(shard, likelihood, logit_weights)
    return curvatures.diagonal(dim1=1, dim2=2).sum(dim=1) * phi.double().square().sum(dim=1)


def _add_upper(block: Tensor, phi: Tensor, weighted: Tensor) -> None:
    """Add the upper triangle of the symmetric product φᵀ(wφ), by strips of columns: 5/8 of the flops."""
    for low, high in _strips(len(block), _STRIPS):
        block[:high, low:high] += phi[:, :high].T @ weighted[:, low:high]


def _strips(width: int, most: int) -> Iterator[tuple[int, int]]:
    """Yield the edges of at most so many strips of columns, none too narrow to multiply well."""
    count = max(1, min(most, width // _NARROWEST))
    return pairwise([width * j // count for j in range(count + 1)])


def _mirror(total: Float[Tensor, "m m d d"]) -> None:
    """Fill the lower triangles: each block is symmetric, and block (e, c) equals block (c, e)."""
    for c in range(len(total)):
        for e in range(c, len(total)):
            upper = total[c, e].triu()
            total[c, e] = upper + upper.triu(1).T
            total[e, c] = total[c, e]


def _cholesky(matrix: Float[Tensor, "p p"], prior_precision: float) -> Float[Tensor, "p p"]:
    factor, info = torch.linalg.cholesky_ex(matrix)
    if int(info) != 0:
        raise NumericalError(
            f"The posterior precision is not positive definite to rounding at prior precision {prior_precision:g}. "
            "Compute in float64, raise the prior precision, or standardise the features."
        )
    return factor
