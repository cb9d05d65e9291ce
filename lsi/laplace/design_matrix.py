"""The design matrix Φ of all samples, with the eigendecomposition of ΦᵀΦ that every objective on it shares."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

SHARD = 4096


def with_bias(features: Float[Tensor, "n d"]) -> Float[Tensor, "n d1"]:
    """Return Φ: the features with a constant 1 appended as the last column."""
    return torch.cat([features, features.new_ones(len(features), 1)], dim=1)


def shards(n_samples: int, size: int = SHARD) -> Iterator[slice]:
    """Yield slices that cut `n_samples` rows into pieces of at most `size`."""
    for start in range(0, n_samples, size):
        yield slice(start, min(start + size, n_samples))


@dataclass(frozen=True)
class GramFactor:
    """The eigendecomposition ΦᵀΦ = U α Uᵀ in float64: `values` α ≥ 0 (D,) in rising order, `vectors` U (D, D)."""

    values: Float[Tensor, " d"]
    vectors: Float[Tensor, "d d"]


@dataclass(frozen=True, init=False, eq=False)
class DesignMatrix:
    """Φ of all samples, and the factor of ΦᵀΦ, computed when it is first asked for unless it was given.

    Attributes:
        values: Φ (n, D), one row per sample, the constant 1 last; may be memory-mapped.
    """

    values: Float[Tensor, "n d"]

    def __init__(self, values: Float[Tensor, "n d"], gram_factor: GramFactor | None = None) -> None:
        object.__setattr__(self, "values", values)
        object.__setattr__(self, "_given_factor", gram_factor)

    @cached_property
    def gram_factor(self) -> GramFactor:
        """The eigendecomposition of ΦᵀΦ: products in the dtype of Φ by shard, the sum and the factor in float64."""
        given: GramFactor | None = vars(self)["_given_factor"]
        if given is not None:
            return given
        gram = sum((self.values[s].T @ self.values[s]).double() for s in shards(len(self)))
        assert isinstance(gram, Tensor)
        values, vectors = torch.linalg.eigh(gram)
        return GramFactor(values.clamp_min(0), vectors)

    def rows(self, chosen: Shaped[Tensor, " s"]) -> "DesignMatrix":
        """Return the design matrix of some of the samples, chosen by a mask or by indices."""
        return DesignMatrix(self.values[chosen])

    def __len__(self) -> int:
        return len(self.values)

    @property
    def shape(self) -> tuple[int, int]:
        """The number of samples n and the number of columns D."""
        n, d = self.values.shape
        return n, d

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of Φ."""
        return self.values.dtype

    @property
    def device(self) -> torch.device:
        """The device of Φ."""
        return self.values.device
