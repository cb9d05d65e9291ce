"""One scale for all images of a dataset: a look at the files for what is black and white, and reading by it."""

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from lsi.data import deep
from lsi.data.crops import CroppedImages
from lsi.data.decoding import deep_values, opened, to_rgb
from lsi.data.images import ChosenImages, Images, JoinedImages
from lsi.data.pixel_arrays import check_real, from_pixels, gap_lines
from lsi.data.pixel_range import Extent, Limits, PixelRange, extent_of, joined, limits_of, number
from lsi.errors import DataError, UnreachableError, is_of_surroundings, unreadable_passed_over
from lsi.hashing import Stamp
from lsi.progress import Progress
from lsi.regular import open_regular

__all__ = ["PixelRange", "PixelSurvey", "ScaledImages", "check_real", "from_pixels", "measure"]
_HEAD = 4096  # bytes: what says that a PNG is animated lies in them, or the file is opened
_THREADS = 8
_EVERY = 500  # headers between two reports
_LAYERS = ("PSD", "MPO", "ICO", "HEIF")  # hold one picture, whatever else is in them


@dataclass(frozen=True)
class PixelSurvey:
    """What the images of a dataset are, as far as it decides how they are read.

    Attributes:
        n_images: all of them.
        n_deep: those that hold more than 8 bits a channel and could be decoded.
        pixel_range: black and white of all deep images.
        bits: of integers, by the values: 16 or 32.
        n_frames: files of several frames or pages.
        n_gaps: images of which some pixels are NaN or infinite.
        n_empty: images of which all are; these cannot be read.
        n_clear: PNG without alpha that name a colour as transparent: truecolour, or grey of 16 bits.
    """

    n_images: int
    n_deep: int
    pixel_range: PixelRange
    bits: int = 16
    n_frames: int = 0
    n_gaps: int = 0
    n_empty: int = 0
    n_clear: int = 0

    @property
    def read_by(self) -> dict[str, Any]:
        """What pixels are made by, for keys: the range, and that colours called transparent are laid over white."""
        return self.pixel_range.to_dict() | ({"clear": "over white"} if self.n_clear else {})

    def lines(self) -> list[str]:
        """Return what a reader should know, one sentence each; nothing where all images are plain."""
        lines = []
        some = "" if self.n_deep == self.n_images else f", in {self.n_deep} of {self.n_images} images; others are 8-bit"
        for limits, kind in ((self.pixel_range.integers, f"{self.bits} bits"), (self.pixel_range.floats, "floats")):
            if limits is not None:
                lines.append(
                    f"pixel range {number(limits[0])} … {number(limits[1])} of {kind}, read as black … white{some}"
                )
        if self.n_frames:
            has = "file has" if self.n_frames == 1 else "files have"
            lines.append(f"{self.n_frames} {has} several frames or pages: the first is read")
        return lines + gap_lines(self.n_gaps, self.n_empty)


def measure(images: Images, progress: Progress | None = None) -> PixelSurvey:
    """Return how deep the images are, and which values are black and white in all that hold more than 8 bits.

    Of each image the first bytes are looked at; those that hold more than 8 bits are decoded, several at a time.
    Images that cannot be read are left for the reading itself to report.

    Args:
        images: of a dataset.
        progress: hears of it.

    Raises:
        UnreachableError: an image cannot be reached now: without it the range might be another.
    """
    progress = progress or Progress()
    images = _whole(images)
    deep_ones, n_frames, n_clear = [], 0, 0
    for index in range(len(images)):
        if index % _EVERY == 0:
            progress.report("pixel range", index, len(images), "headers")
        with unreadable_passed_over():  # reported where it is read
            is_deep, has_frames, has_clear = _header(images.source(index))
            n_frames, n_clear = n_frames + has_frames, n_clear + has_clear
            deep_ones += [index] if is_deep else []
    found: list[tuple[bool, Extent]] = []
    with ThreadPoolExecutor(_THREADS) as pool:
        for done, part in enumerate(pool.map(lambda index: _extent(images, index), deep_ones), 1):
            progress.report("pixel range", done, len(deep_ones), "images")
            found += [] if part is None else [part]
    return replace(_survey(len(images), n_frames, found), n_clear=n_clear)


def _whole(images: Images) -> Images:
    """Return the images that others are read from, each once: crops share the range of the whole images."""
    found: dict[int, tuple[Images, list[np.ndarray]]] = {}
    for part, rows in _read_from(images, np.arange(len(images))):
        found.setdefault(id(part), (part, []))[1].append(rows)
    return JoinedImages([ChosenImages(part, np.unique(np.concatenate(rows))) for part, rows in found.values()])


def _read_from(images: Images, rows: np.ndarray) -> Iterator[tuple[Images, np.ndarray]]:
    """Yield the images that some rows are chosen from, joined of or cropped out of, with the rows of these."""
    if isinstance(images, ChosenImages):
        yield from _read_from(images.images, images.index[rows])
    elif isinstance(images, CroppedImages):
        yield from _read_from(images.images, images.owner[rows])
    elif isinstance(images, JoinedImages):
        for part, end in zip(images.parts, images.ends, strict=True):
            start = end - len(part)
            yield from _read_from(part, rows[(rows >= start) & (rows < end)] - start)
    else:
        yield images, rows


def _survey(n_images: int, n_frames: int, found: list[tuple[bool, Extent]]) -> PixelSurvey:
    integers = joined(e for is_float, e in found if not is_float)
    floats = joined(e for is_float, e in found if is_float)
    kinds = Counter("empty" if e.is_empty else "gaps" if e.n_gaps else "" for _, e in found)
    limits: list[Limits | None] = [None if e.is_empty else limits_of(e) for e in (integers, floats)]
    fits_16_bits = integers.low >= -(2**15) and integers.high < (2**16 if integers.low >= 0 else 2**15)
    return PixelSurvey(
        n_images,
        len(found),
        PixelRange(*limits),
        bits=16 if fits_16_bits else 32,
        n_frames=n_frames,
        n_gaps=kinds["gaps"],
        n_empty=kinds["empty"],
    )


def _extent(images: Images, index: int) -> tuple[bool, Extent] | None:
    with unreadable_passed_over():
        image = images.native(index)
        values = deep_values(image)
        return None if values is None else (image.mode == "F", extent_of(values))
    return None


def _header(source: Path | bytes | None) -> tuple[bool, bool, bool]:
    """Return whether an image holds more than 8 bits a channel, several frames or pages, and a transparent colour."""
    if source is None:
        return False, False, False
    try:
        head = source[:_HEAD] if isinstance(source, bytes) else _first_bytes(source)
    except OSError as error:
        if is_of_surroundings(error):
            raise UnreachableError(f"{source}: cannot be read ({error.strerror}).") from error
        return False, False, False
    known = _by_first_bytes(head)
    if known is not None:
        return known
    with unreadable_passed_over(), opened(source, source.name if isinstance(source, Path) else "image") as image:
        has_frames = bool(getattr(image, "is_animated", False)) and image.format not in _LAYERS
        has_clear = image.format == "PNG" and image.mode in ("RGB", *deep.MODES) and "transparency" in image.info
        return deep.is_deep(image), has_frames, has_clear
    return False, False, False


def _first_bytes(path: Path) -> bytes:
    with open_regular(path) as file:
        return file.read(_HEAD)


def _by_first_bytes(head: bytes) -> tuple[bool, bool, bool] | None:
    """Return the same for the formats whose first bytes tell, None for others."""
    if head[:3] == b"\xff\xd8\xff" or head[:2] == b"BM":
        return False, False, False
    if head[:8] == b"\x89PNG\r\n\x1a\n" and b"IDAT" in head:
        before, is_deep = head[: head.index(b"IDAT")], head[24] == 16
        has_clear = b"tRNS" in before and (head[25] == 2 or (head[25] == 0 and is_deep))
        return is_deep, b"acTL" in before, has_clear
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return False, head[12:16] == b"VP8X" and bool(head[20] & 2), False
    return None


class ScaledImages:
    """Images of which the deep ones are read by one range of pixel values; those of 8 bits stay as they are."""

    def __init__(self, images: Images, pixel_range: PixelRange) -> None:
        self.images, self.pixel_range = images, pixel_range

    def __len__(self) -> int:
        """Return how many images there are."""
        return len(self.images)

    def read(self, index: int) -> Image.Image:
        """Return image `index` as RGB.

        Raises:
            DataError: it cannot be read, or every pixel is NaN or infinite.
        """
        image = self.images.native(index)
        try:
            return to_rgb(image, self.pixel_range)
        except DataError as error:
            source = self.images.source(index)
            raise DataError(f"{source if isinstance(source, Path) else f'image {index}'}: {error}") from None

    def native(self, index: int) -> Image.Image:
        """Return image `index` in its own mode."""
        return self.images.native(index)

    def source(self, index: int) -> Path | bytes | None:
        """Return where image `index` comes from."""
        return self.images.source(index)

    def checksum(self, index: int) -> str:
        """Return a hash of the content of image `index`."""
        return self.images.checksum(index)

    def stamp(self, index: int) -> Stamp | None:
        """Return where the content of image `index` lies."""
        return self.images.stamp(index)
