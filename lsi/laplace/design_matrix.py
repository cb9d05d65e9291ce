"""The design matrix Φ of all samples: read shard by shard, as sums and maps, so that no product of n by k is held.

Whatever is computed over the samples is a function of one `Shard`, and is either summed over the shards or mapped over
them. `Design` is that interface; `DesignMatrix` is the one on this machine.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor

from lsi.memory import budget_bytes, shard_bytes

GRAM_VERSION = 2  # rises when the same Φ gets another factor of ΦᵀΦ
MOST_ROWS, FEWEST_ROWS = 4096, 256
MOST_CUDA_ROWS = 16_384
LEAST_MEMO_BYTES, MEMO_SHARE, CUDA_MEMO_BYTES = 256 * 2**20, 0.25, 8 * 2**30
GATHER_BYTES = 256 * 2**20


def with_bias(features: Float[Tensor, "n d"]) -> Float[Tensor, "n d1"]:
    """Return Φ: the features with a constant 1 appended as the last column."""
    return torch.cat([features, features.new_ones(len(features), 1)], dim=1)


def shards(n_samples: int, size: int = MOST_ROWS) -> Iterator[slice]:
    """Yield slices that cut `n_samples` rows into pieces of at most `size`."""
    for start in range(0, n_samples, size):
        yield slice(start, min(start + size, n_samples))


def rows_of(width: int, device: torch.device | None = None) -> int:
    """Return how many samples a shard has where each needs `width` numbers in float64.

    On CUDA an array of a shard takes a 64th of the memory that is free, here what `lsi.memory` says.
    """
    if device is not None and device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return max(FEWEST_ROWS, min(MOST_CUDA_ROWS, free // 64 // (8 * max(1, width))))
    return max(FEWEST_ROWS, min(MOST_ROWS, shard_bytes() // (8 * max(1, width))))


@dataclass(frozen=True)
class GramFactor:
    """The eigendecomposition ΦᵀΦ = U α Uᵀ in float64: `values` α ≥ 0 (D,) in rising order, `vectors` U (D, D)."""

    values: Float[Tensor, " d"]
    vectors: Float[Tensor, "d d"]

    @classmethod
    def of(cls, gram: Float[Tensor, "d d"]) -> "GramFactor":
        """Factor ΦᵀΦ."""
        values, vectors = torch.linalg.eigh(gram.double())
        return cls(values.clamp_min(0), vectors)


@dataclass
class Memo:
    """Predictions at the latest point, kept for the products that follow, as far as they fit into a share of memory."""

    mark: int = -1
    kept: dict[int, Tensor] = field(default_factory=dict)
    size: int = 0
    room: int | None = None

    def remember(self, mark: int, start: int, values: Tensor) -> None:
        """Keep values of a shard, unless the room is used up.

        Args:
            mark: of the point.
            start: position of the shard's first sample.
            values: what is predicted for it.
        """
        if mark != self.mark:
            self.mark, self.size = mark, 0
            self.kept.clear()
        if self.room is None:
            self.room = _room(values.device)
        size = values.numel() * values.element_size()
        if start not in self.kept and self.size + size <= self.room:
            self.kept[start], self.size = values, self.size + size

    def recall(self, mark: int, start: int, count: int) -> Tensor | None:
        """Return what was kept of a shard, if it was.

        Args:
            mark: of the point.
            start: position of the shard's first sample.
            count: number of its samples.
        """
        kept = self.kept.get(start) if mark == self.mark else None
        return kept if kept is not None and len(kept) == count else None


def _room(device: torch.device) -> int:
    if device.type == "cuda":
        return CUDA_MEMO_BYTES
    return max(LEAST_MEMO_BYTES, int(MEMO_SHARE * budget_bytes()))


@dataclass(frozen=True)
class Shard:
    """Some consecutive samples.

    Attributes:
        features: Φ (b, D) of them.
        targets: (b, …) of them.
        start: position of the first.
        memo: predictions kept from call to call.
    """

    features: Float[Tensor, "b d"]
    targets: Shaped[Tensor, "b ..."]
    start: int
    memo: Memo

    def __len__(self) -> int:
        return len(self.features)


ShardSum = Callable[..., tuple[Tensor, ...]]


class Design(ABC):
    """Φ (n, D) of all samples, wherever it lies."""

    @property
    @abstractmethod
    def shape(self) -> tuple[int, int]:
        """The number of samples n and the number of columns D."""

    @property
    @abstractmethod
    def dtype(self) -> torch.dtype:
        """The dtype of Φ."""

    @property
    @abstractmethod
    def device(self) -> torch.device:
        """The device that results lie on."""

    @cached_property
    def gram_factor(self) -> GramFactor:
        """The eigendecomposition of ΦᵀΦ: summed and factored in float64."""
        (gram,) = self.sum_shards(gram_of, torch.empty(len(self), 0))
        return GramFactor.of(gram)

    def __len__(self) -> int:
        return self.shape[0]

    @abstractmethod
    def rows(self, chosen: Shaped[Tensor, " s"]) -> "Design":
        """Return the design of some of the samples, by mask or by rising index."""

    @abstractmethod
    def take(self, index: "Int[Tensor, ' b'] | slice") -> Float[Tensor, "b d"]:
        """Return Φ of a few samples, by index or slice."""

    @abstractmethod
    def sum_shards(
        self, function: ShardSum, targets: Tensor, *arguments: Any, rows: int = MOST_ROWS
    ) -> tuple[Tensor, ...]:
        """Return the sums over all shards of what `function(shard, *arguments)` returns.

        Args:
            function: of a module, so that it can be sent to another process; returns a tuple of tensors.
            targets: (n, …) of all samples.
            *arguments: the same for every shard.
            rows: how many samples a shard has.
        """

    @abstractmethod
    def map_shards(
        self, function: Callable[..., Any], targets: Tensor, *arguments: Any, rows: int = MOST_ROWS
    ) -> Iterator[tuple[slice, Any]]:
        """Yield slices of the samples, in any order, and what the function returns for each.

        Args:
            function: of a module, so that it can be sent to another process.
            targets: (n, …) of all samples.
            *arguments: the same for every shard.
            rows: how many samples a shard has.
        """

    def gather_shards(
        self, function: Callable[..., Tensor], targets: Tensor, *arguments: Any, rows: int = MOST_ROWS
    ) -> Tensor:
        """Return what `function(shard, *arguments)` returns for all shards, one after the other.

        Args:
            function: of a module, so that it can be sent to another process.
            targets: (n, …) of all samples.
            *arguments: the same for every shard.
            rows: how many samples a shard has.
        """
        parts = self.map_shards(function, targets, *arguments, rows=rows)
        return torch.cat([part for _, part in sorted(parts, key=lambda pair: pair[0].start)])


@dataclass(frozen=True, init=False, eq=False)
class DesignMatrix(Design):
    """Φ of all samples on this machine, with the factor of ΦᵀΦ, computed when first asked for unless it was given.

    Attributes:
        values: Φ (n, D), one row per sample, the constant 1 last; may be memory-mapped.
        kept: (s,) which of its rows are the samples; None: all.
        offset: position of the first sample, where these are a part of more.
    """

    values: Float[Tensor, "n d"]
    kept: Int[Tensor, " s"] | None
    offset: int

    def __init__(
        self,
        values: Float[Tensor, "n d"],
        gram_factor: GramFactor | None = None,
        kept: Int[Tensor, " s"] | None = None,
        offset: int = 0,
    ) -> None:
        object.__setattr__(self, "values", values)
        object.__setattr__(self, "kept", kept)
        object.__setattr__(self, "offset", offset)
        if gram_factor is not None:
            vars(self)["gram_factor"] = gram_factor
        object.__setattr__(self, "_memo", Memo())

    @staticmethod
    def stored(
        values: Float[np.ndarray, "n d"],
        gram_values: Float[np.ndarray, " d"],
        gram_vectors: Float[np.ndarray, "d d"],
        device: torch.device | None = None,
    ) -> "DesignMatrix":
        """Return a design matrix from the arrays that a file holds: Φ, and the factor of ΦᵀΦ.

        Args:
            values: Φ (n, D).
            gram_values: α (D,).
            gram_vectors: U (D, D).
            device: where it is computed with; None: the processor.
        """
        phi, alpha, u = (torch.from_numpy(array).to(device) for array in (values, gram_values, gram_vectors))
        return DesignMatrix(phi, GramFactor(alpha, u))

    def rows(self, chosen: Shaped[Tensor, " s"]) -> "DesignMatrix":
        """Return the design matrix of some of the samples, by mask or by index; small ones are copied."""
        index = chosen.nonzero()[:, 0] if chosen.dtype == torch.bool else chosen
        index = index if self.kept is None else self.kept[index]
        if len(index) * self.values.shape[1] * self.values.element_size() <= GATHER_BYTES:
            return DesignMatrix(self.values[index])
        return DesignMatrix(self.values, None, index)

    def take(self, index: "Int[Tensor, ' b'] | slice") -> Float[Tensor, "b d"]:
        """Return Φ of a few samples, by index or slice."""
        return self.values[index if self.kept is None else self.kept[index]]

    def sum_shards(
        self, function: ShardSum, targets: Tensor, *arguments: Any, rows: int = MOST_ROWS
    ) -> tuple[Tensor, ...]:
        """Return the sums over all shards of what `function(shard, *arguments)` returns, added in order.

        Args:
            function: returns a tuple of tensors.
            targets: (n, …) of all samples.
            *arguments: the same for every shard.
            rows: how many samples a shard has.
        """
        total: list[Tensor] = []
        for _, parts in self.map_shards(function, targets, *arguments, rows=rows):
            if total:
                for whole, part in zip(total, parts, strict=True):
                    whole += part
            else:
                total = list(parts)
        return tuple(total)

    def map_shards(
        self, function: Callable[..., Any], targets: Tensor, *arguments: Any, rows: int = MOST_ROWS
    ) -> Iterator[tuple[slice, Any]]:
        """Yield slices of the samples, in order, and what `function(shard, *arguments)` returns.

        Args:
            function: of a module, so that it can be sent to another process.
            targets: (n, …) of all samples.
            *arguments: the same for every shard.
            rows: how many samples a shard has.
        """
        memo: Memo = vars(self)["_memo"]
        for s in shards(len(self), rows):
            where = slice(s.start + self.offset, s.stop + self.offset)
            yield where, function(Shard(self.take(s), targets[s], where.start, memo), *arguments)

    @property
    def shape(self) -> tuple[int, int]:
        """The number of samples n and the number of columns D."""
        return len(self.values if self.kept is None else self.kept), self.values.shape[1]

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of Φ."""
        return self.values.dtype

    @property
    def device(self) -> torch.device:
        """The device of Φ."""
        return self.values.device


def gram_of(shard: Shard) -> tuple[Tensor, ...]:
    """Return ΦᵀΦ of a shard, in float64: features far from zero lose the digits of what tells them apart in float32."""
    features = shard.features.double()
    return (features.T @ features,)
