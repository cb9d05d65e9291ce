"""Which pixel values are read as black and white, where an image holds more than the 256 levels that are shown."""

import functools
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

Limits = tuple[float | int, float | int]
_FILLED = 0.9  # of the bits used: a range that fills so much of them is read as all of them
_DARKEST_WHITE = 0.25  # floats 0 … 1 of which none is brighter are stretched, as most levels would be lost


@dataclass(frozen=True)
class PixelRange:
    """Black and white of all images of a dataset that hold more than 8 bits; images of 8 bits are read as they are.

    Attributes:
        integers: (black, white) of images of integers; None where there are none, then 0 … 65535.
        floats: (black, white) of images of floats; None where there are none, then 0 … 1.
    """

    integers: Limits | None = None
    floats: Limits | None = None

    def of(self, image: Image.Image) -> Limits:
        """Return black and white of an image by its mode."""
        return (self.floats or (0.0, 1.0)) if image.mode == "F" else (self.integers or (0.0, 65535.0))

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, as a manifest keeps them."""
        return {k: None if v is None else list(v) for k, v in (("integers", self.integers), ("floats", self.floats))}

    @classmethod
    def from_dict(cls, values: dict[str, Any] | None) -> "PixelRange":
        """Return what `to_dict` gave; the default of each kind where there is nothing."""
        pairs = {k: (float(v[0]), float(v[1])) for k, v in (values or {}).items() if v is not None}
        return cls(pairs.get("integers"), pairs.get("floats"))


@dataclass(frozen=True)
class Extent:
    """What pixel values reach: the finite ones from `low` to `high`, which are infinite where there is none.

    Attributes:
        low: the lowest.
        high: the highest.
        is_whole: whether all are whole numbers.
        n_gaps: how many are NaN or infinite.
    """

    low: float | int = np.inf
    high: float | int = -np.inf
    is_whole: bool = True
    n_gaps: int = 0

    @property
    def is_empty(self) -> bool:
        """Whether no value is a finite number."""
        return self.low > self.high


def extent_of(values: np.ndarray) -> Extent:
    """Return what an array of integers or floats reaches."""
    if values.size == 0:
        return Extent()
    if values.dtype.kind != "f":
        return Extent(int(values.min()), int(values.max()))  # Python's own: no kind of integer is too wide
    low, high = values.min(), values.max()
    n_gaps = 0
    if not (np.isfinite(low) and np.isfinite(high)):  # NaN and infinity reach the extremes
        is_finite = np.isfinite(values)
        n_gaps = int(values.size - is_finite.sum())
        if n_gaps == values.size:
            return Extent(n_gaps=n_gaps)
        values = values[is_finite]
        low, high = values.min(), values.max()
    return Extent(float(low), float(high), bool((values == np.rint(values)).all()), n_gaps)


def joined(extents: Iterable[Extent]) -> Extent:
    """Return what several parts reach together."""
    found = list(extents)
    return Extent(
        min((e.low for e in found), default=np.inf),
        max((e.high for e in found), default=-np.inf),
        all(e.is_whole for e in found),
        sum(e.n_gaps for e in found),
    )


def limits_of(extent: Extent) -> Limits:
    """Return which values are black and white: what the data reach, or a rounder range where that costs few levels.

    Whole numbers: all values of the bits used (0 … 4095 for 12 bits) where the data fill nine tenths of them, or where
    the bits used are 8; else from the lowest to the highest value. Fractions: 0 … 1 where all lie in it and some are
    brighter than a quarter; else from the lowest to the highest value.
    """
    low, high = extent.low, extent.high
    if extent.is_empty:
        return (0.0, 1.0)
    if not extent.is_whole and low < high:
        return (0.0, 1.0) if low >= 0 and _DARKEST_WHITE < high <= 1 else (low, high)
    if not extent.is_whole and 0 <= low <= 1:  # one value throughout
        return (0.0, 1.0)
    black, white = _bits_used(int(np.floor(low)), int(np.ceil(high)))
    if white - black >= 2**64:  # floats that happen to be whole
        return (low, high) if low < high else (min(low, 0.0), max(high, 0.0))
    if low == high or (black, white) == (0, 255) or high - low >= _FILLED * (white - black):
        return (float(black), float(white))
    return (float(low), float(high))


def _bits_used(low: int, high: int) -> tuple[int, int]:
    if low >= 0:
        return 0, 2 ** max(high.bit_length(), 1) - 1
    bits = max((-low - 1).bit_length(), high.bit_length())
    return -(2**bits), 2**bits - 1


def to_bytes(values: np.ndarray, limits: Limits) -> np.ndarray:
    """Return uint8 values of the same shape: black at the lower limit, white at the upper; NaN and infinity are black.

    Args:
        values: booleans, integers or floats of any shape.
        limits: (black, white).
    """
    if values.dtype == np.uint16:
        return _table(limits)[values]
    return _scaled(values, limits)


@functools.lru_cache(8)
def _table(limits: Limits) -> np.ndarray:
    return _scaled(np.arange(65536), limits)


def _scaled(values: np.ndarray, limits: Limits) -> np.ndarray:
    unit = 1.0 if math.isfinite(limits[1] - limits[0]) else 0.5  # the width of the widest floats is no float
    low, high = limits[0] * unit, limits[1] * unit
    scaled = values.astype(np.float64)
    if values.dtype.kind == "f":
        scaled[~np.isfinite(scaled)] = limits[0]
    scaled *= unit
    scaled -= low
    scaled /= high - low
    np.clip(scaled, 0, 1, out=scaled)
    scaled *= 255
    return np.rint(scaled, out=scaled).astype(np.uint8)


def number(value: float | int) -> str:
    """Return a pixel value as text: whole ones in full, others with four digits."""
    return str(int(value)) if float(value).is_integer() and abs(value) < 1e15 else f"{value:.4g}"
