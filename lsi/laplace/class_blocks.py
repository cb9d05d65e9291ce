"""A preconditioner for many samples: one D × D block of the Hessian for each logit, from a few hundred samples each.

The Kronecker form gives every output the same feature matrix. The samples that bend the loss of one class are those of
that class and of its neighbours, so the block of logit c, Σᵢ Λᵢ[c, c] φᵢφᵢᵀ + λI, comes much closer: solves need about
a third of the products. It is summed over samples drawn in proportion to Λᵢ[c, c] (systematic sampling, Madow 1949),
those of the largest Λᵢ[c, c] for sure; what couples different logits is left out. The number of products depends on
these blocks, their result does not.
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from lsi.laplace.design_matrix import Shard, rows_of
from lsi.laplace.likelihood import Likelihood
from lsi.laplace.objective import Objective, Point, means_at

SAMPLES = 768  # of each block, about
MOST_BYTES = 512 * 2**20
_BINS = 32
_AT_ONCE = 16  # blocks that are summed and factored together


@dataclass(frozen=True)
class ClassBlocks:
    """The inverse Cholesky factors L⁻¹ (k, D, D) of the blocks LLᵀ, one for each logit, in the features' dtype."""

    likelihood: Likelihood
    inverse_factors: Float[Tensor, "k d d"]

    def solve(self, matrices: Float[Tensor, "r m d"]) -> Float[Tensor, "r m d"]:
        """Return Qᵀ(LLᵀ)⁻¹Q applied to each matrix: positive definite whatever the rounding."""
        factors = self.inverse_factors
        columns = self.likelihood.expand(matrices.to(factors).permute(2, 0, 1)).permute(2, 0, 1)  # (k, D, r)
        solved = factors.mT @ (factors @ columns)
        return self.likelihood.contract(solved.permute(1, 2, 0)).permute(1, 2, 0).to(matrices)


def price(objective: Objective) -> float:
    """Return what the blocks cost in products with the Hessian, infinity where they would not fit."""
    n, (_, d), k = len(objective.design), objective.shape, objective.n_outputs
    if k * d * d * objective.design.dtype.itemsize > MOST_BYTES:
        return math.inf
    return 2 + (SAMPLES * d + 4 * d * d) / (2 * n)  # passes to draw the samples, their sum, and its factor in float64


def class_blocks(objective: Objective, point: Point, samples: int | None = None) -> ClassBlocks:
    """Return the blocks of the Hessian at a point.

    Args:
        objective: of the probe.
        point: where.
        samples: of each block, about; by default as a preconditioner needs them.
    """
    design, k = objective.design, objective.n_outputs
    rows, where = rows_of(k, design.device), (objective.logit_weights(point.weights), point.mark)
    (counts,) = design.sum_shards(_counts, objective.targets, objective.likelihood, where, rows=rows)
    spacing = _spacing(counts, samples or SAMPLES)
    drawn = [d for _, d in design.map_shards(_draw, objective.targets, objective.likelihood, where, spacing, rows=rows)]
    chosen, logits, weights = (torch.cat(parts) for parts in zip(*drawn, strict=True))
    order = logits.argsort(stable=True)
    chosen, weights = chosen[order], weights[order].sqrt()
    ends = torch.bincount(logits, minlength=k).cumsum(0).tolist()
    return ClassBlocks(objective.likelihood, _factors(objective, chosen, weights, [0, *ends]))


def _factors(objective: Objective, samples: Tensor, weights: Tensor, ends: list[int]) -> Float[Tensor, "k d d"]:
    """Return L⁻¹ of each block, summed over the samples between two ends."""
    design, (_, d) = objective.design, objective.shape
    eye = torch.eye(d, dtype=torch.float64, device=design.device)
    factors = torch.empty(len(ends) - 1, d, d, dtype=design.dtype, device=design.device)
    for first in range(0, len(factors), _AT_ONCE):
        last = min(first + _AT_ONCE, len(factors))
        part = slice(ends[first], ends[last])
        phi = design.take(samples[part]) * weights[part, None].to(design.dtype)
        pieces = phi.split([ends[c + 1] - ends[c] for c in range(first, last)])
        blocks = torch.stack([piece.T @ piece for piece in pieces]).double() + objective.prior_precision * eye
        factors[first:last] = torch.linalg.solve_triangular(torch.linalg.cholesky(blocks), eye, upper=False)
    return factors


def _counts(shard: Shard, likelihood: Likelihood, where: tuple[Tensor, int]) -> tuple[Tensor, ...]:
    """Return how many samples of a shard have Λ[c, c] in (2⁻ʲ⁻¹, 2⁻ʲ], for each logit and j < 32, (k, 32)."""
    curvature = likelihood.curvature_diagonal(means_at(shard, likelihood, where))
    bins = curvature.frexp().exponent.neg().clamp_(0, _BINS - 1) + _BINS * torch.arange(
        curvature.shape[1], device=curvature.device
    )
    return (bins.flatten().bincount(minlength=_BINS * curvature.shape[1]).reshape(-1, _BINS),)


def _spacing(counts: Int[Tensor, "k b"], samples: int) -> Float[Tensor, " k"]:
    """Return the least power of two s for each logit with Σᵢ min(1, Λᵢ[c, c]/s) ≤ samples, from the counts in bins."""
    of_bins = 2.0 ** -torch.arange(_BINS, dtype=torch.float64, device=counts.device)
    candidates = 2.0 ** torch.arange(_BINS, -_BINS, -1, dtype=torch.float64, device=counts.device)
    share = (of_bins / candidates[:, None]).clamp_max(1)  # (s, b)
    allowed = counts.double() @ share.T <= samples
    return candidates[allowed.sum(dim=1) - 1]


def _draw(
    shard: Shard, likelihood: Likelihood, where: tuple[Tensor, int], spacing: Float[Tensor, " k"]
) -> tuple[Tensor, Tensor, Tensor]:
    """Return positions of samples, the logits they were drawn for, and their weights.

    A sample is drawn for sure where its Λ[c, c] exceeds the spacing, then with that weight, and otherwise in proportion
    to it, then with the spacing as its weight.
    """
    curvature = likelihood.curvature_diagonal(means_at(shard, likelihood, where))
    start = torch.rand(len(spacing), generator=torch.Generator().manual_seed(shard.start), dtype=curvature.dtype)
    passed = (curvature.div(spacing).cumsum(dim=0) + start.to(curvature)).floor_()
    samples, logits = passed.diff(dim=0, prepend=torch.zeros_like(passed[:1])).nonzero(as_tuple=True)
    weights = torch.maximum(curvature[samples, logits], spacing[logits].to(curvature))
    return samples + shard.start, logits, weights
