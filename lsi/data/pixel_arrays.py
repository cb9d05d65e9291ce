"""Images in arrays of any kind of number: their layout, and one scale for the whole array."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from lsi.data.decoding import to_rgb
from lsi.data.pixel_range import Extent, Limits, extent_of, joined, limits_of, number, to_bytes
from lsi.errors import DataError
from lsi.hashing import Stamp, fingerprint, stamp_of

_CHANNELS = (1, 3, 4)
OPAQUE: Limits = (0.0, 255.0)  # transparent and opaque of bytes
_CHUNK = 2**24  # values that are looked at together


class ArrayImages:
    """Images that lie in an array of shape (n, height, width) or (n, height, width, 1, 3 or 4), scaled when read."""

    def __init__(
        self,
        values: np.ndarray,
        limits: Limits | None = None,
        *,
        alpha: Limits = OPAQUE,
        name: str = "array",
        file: Path | None = None,
    ) -> None:
        """Keep the array as it is, mapped from its file or in memory; `from_pixels` looks for the limits.

        Args:
            values: grey, RGB or RGBA.
            limits: the values that are black and white; None for uint8, which stays as it is.
            alpha: the values of the fourth channel that are transparent and opaque.
            name: of the array, in messages and in the stamp.
            file: that the array lies in, if any.
        """
        self.values, self.limits, self.alpha, self.name = values, limits, alpha, name
        self.is_as_it_is = limits is None and alpha == OPAQUE
        self._stamp = None if file is None else stamp_of(file, name)  # as it was when the array was read

    def __len__(self) -> int:
        """Return how many images there are."""
        return len(self.values)

    def read(self, index: int) -> Image.Image:
        """Return image `index` as RGB.

        Raises:
            DataError: every pixel is NaN or infinite.
        """
        return to_rgb(self.native(index))

    def native(self, index: int) -> Image.Image:
        """Return image `index` as 8-bit grey, RGB or RGBA: Pillow has no mode for every kind of number.

        Raises:
            DataError: every pixel is NaN or infinite.
        """
        pixels = np.asarray(self.values[index])
        pixels = pixels[..., 0] if pixels.ndim == 3 and pixels.shape[2] == 1 else pixels
        if self.is_as_it_is:
            return Image.fromarray(np.ascontiguousarray(pixels))
        colours = pixels[..., :3] if pixels.ndim == 3 else pixels
        if colours.dtype.kind == "f" and not np.isfinite(colours).any():
            raise DataError(f"{self.name}, image {index}: every pixel is NaN or infinite")
        scaled = colours if self.limits is None else to_bytes(colours, self.limits)
        if pixels.ndim == 3 and pixels.shape[2] == 4:
            scaled = np.dstack([scaled, to_bytes(pixels[..., 3], self.alpha)])
        return Image.fromarray(np.ascontiguousarray(scaled))

    def source(self, index: int) -> None:
        """Return None: pixels in memory have no encoding."""

    def checksum(self, index: int) -> str:
        """Return a hash of the pixels of image `index`."""
        return fingerprint(self.values[index])

    def stamp(self, index: int) -> Stamp | None:
        """Return file, name of the array and row with size and time of change, None without a file."""
        return None if self._stamp is None else (f"{self._stamp[0]}#{index}", *self._stamp[1:])


def from_pixels(
    values: np.ndarray, name: str, file: Path | None = None, beside: Sequence[np.ndarray] = ()
) -> tuple[ArrayImages, tuple[str, ...]]:
    """Return the images of an array, and what a reader should know of it, one sentence each.

    The array is neither copied nor changed: values become 8 bits when an image is read. It is looked at once, in
    chunks, for the values that are black and white in all of its images.

    Args:
        values: (n, h, w), (n, h, w, c) or (n, c, h, w) booleans, integers or floats, with c = 1, 3 or 4 (RGBA).
        name: of the array, for messages; different for each array of a file.
        file: that the array lies in, if any, row i of the array being row i of the file.
        beside: other arrays of images of the same data, whose values count for what is black and white.

    Raises:
        DataError: the shape or the kind of number is not that of images.
    """
    check_real(values, name)
    if values.dtype.kind not in "biuf":
        raise DataError(f"{name}: expected numbers as pixels, got {values.dtype}.")
    given = values
    values, sentences = _channels_last(values, name)
    if values.size == 0:
        raise DataError(f"{name}: expected images, got shape {values.shape}, which holds no pixel.")
    has_alpha = values.ndim == 4 and values.shape[3] == 4
    extent, n_gaps, n_empty = _look(values[..., :3] if has_alpha else values)
    others = [_colours(other, name) for other in beside if other is not given and other.dtype == values.dtype]
    limits = _limits(values.dtype, joined([extent, *(_look(other)[0] for other in others if other.size)]))
    if limits is not None:
        kind = "booleans" if values.dtype.kind == "b" else str(values.dtype)
        sentences.append(f"pixel range {number(limits[0])} … {number(limits[1])} of {kind}, read as black … white")
    sentences += gap_lines(n_gaps, n_empty)
    alpha = OPAQUE
    if has_alpha:
        alpha = _limits(values.dtype, _look(values[..., 3:])[0]) or alpha
        sentences.append("the fourth channel is read as transparency and laid over white")
    return ArrayImages(values, limits, alpha=alpha, name=name, file=file), tuple(sentences)


def _colours(values: np.ndarray, name: str) -> np.ndarray:
    """Return an array of images without its transparency."""
    values = _channels_last(values, name)[0]
    return values[..., :3] if values.ndim == 4 and values.shape[3] == 4 else values


def check_real(values: np.ndarray, where: str) -> None:
    """Raise where an array holds complex numbers.

    Raises:
        DataError: it does.
    """
    if values.dtype.kind == "c":
        raise DataError(f"{where}: expected real numbers, got {values.dtype}: save their magnitude, or both parts.")


def gap_lines(n_gaps: int, n_empty: int) -> list[str]:
    """Return what is said of NaN and infinity: in how many images some pixels are, and in how many all."""
    lines = []
    if n_gaps:
        holds = "image holds" if n_gaps == 1 else "images hold"
        lines.append(f"{n_gaps} {holds} NaN or infinite pixels: these are read as black")
    if n_empty:
        holds = "image holds" if n_empty == 1 else "images hold"
        lines.append(f"{n_empty} {holds} nothing but NaN or infinite pixels and cannot be read")
    return lines


def _channels_last(values: np.ndarray, name: str) -> tuple[np.ndarray, list[str]]:
    """Return a view of shape (n, h, w) or (n, h, w, c), and what was decided."""
    shape = values.shape
    if values.ndim == 3:
        return values, []
    if values.ndim == 4 and shape[3] in _CHANNELS:
        is_ambiguous = shape[1] in _CHANNELS and shape[1:3] != (1, 1)
        line = f"the last axis of shape {shape} is read as channels, though axis 1 could hold them as well"
        return values, [line] if is_ambiguous else []
    if values.ndim == 4 and shape[1] in _CHANNELS:
        return values.transpose(0, 2, 3, 1), [f"shape {shape}: axis 1 is read as the {shape[1]} channels"]
    raise DataError(
        f"{name}: expected images of shape (n, height, width), (n, height, width, channels) or "
        f"(n, channels, height, width) with 1, 3 or 4 channels, got {shape}."
    )


def _look(values: np.ndarray) -> tuple[Extent, int, int]:
    """Return what the values reach, and how many images hold some and nothing but NaN or infinity."""
    n_gaps, n_empty, extents = 0, 0, []
    step = max(1, _CHUNK // max(1, values[0].size))
    for start in range(0, len(values), step):
        chunk = values[start : start + step]
        extents.append(extent_of(chunk))
        if extents[-1].n_gaps:
            counts = (~np.isfinite(chunk)).reshape(len(chunk), -1).sum(1)
            n_empty += int((counts == values[0].size).sum())
            n_gaps += int(((counts > 0) & (counts < values[0].size)).sum())
    return joined(extents), n_gaps, n_empty


def _limits(kind: np.dtype, extent: Extent) -> Limits | None:
    """Return what is black and white, None where bytes are read as they are: all but those that are only 0 and 1."""
    if kind.kind == "b":
        return (0.0, 1.0)
    if kind == np.uint8 and extent.high != 1:
        return None
    return limits_of(extent)
