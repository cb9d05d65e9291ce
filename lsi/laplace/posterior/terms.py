"""The three terms of LSI, KL(N(θ̂, P⁻¹) ‖ N(θ̂₋ᵢ, P₋ᵢ⁻¹)), for a batch of samples."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True)
class Terms:
    """Terms in nats, each (b,), float64.

    `mean_term` = ½ ΔᵀP₋ᵢΔ ≥ 0; `trace_term` = ½(tr(P₋ᵢP⁻¹) − p); `logdet_term` = ½(ln det P − ln det P₋ᵢ);
    `covariance_term` = trace_term + logdet_term ≥ 0, kept apart because the two nearly cancel.
    """

    mean_term: Float[Tensor, " b"]
    trace_term: Float[Tensor, " b"]
    logdet_term: Float[Tensor, " b"]
    covariance_term: Float[Tensor, " b"]

    @property
    def lsi(self) -> Float[Tensor, " b"]:
        """LSI in nats, ≥ 0."""
        return self.mean_term + self.covariance_term


def log_excess(x: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Return x − ln(1 + x) ≥ 0 for x > −1, with all its digits where x is small (a series below 1e-2)."""
    series = torch.full_like(x, -1 / 9)
    for j in range(8, 1, -1):
        series.mul_(x).add_((-1) ** j / j)
    series.mul_(x).mul_(x)
    large = x.abs() >= 1e-2
    return torch.where(large, x - torch.log1p(x), series) if bool(large.any()) else series
