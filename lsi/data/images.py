"""Images that are read one by one: from files, from arrays, chosen and joined."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from PIL import Image

from lsi.data.decoding import decode, decode_native, opened, to_rgb
from lsi.data.formats import HEIC_SUFFIXES, SUFFIXES, sniff, usual_suffix
from lsi.data.pixel_arrays import ArrayImages
from lsi.data.pixel_range import Limits
from lsi.errors import UnreachableError, is_of_surroundings
from lsi.hashing import Stamp, file_checksum, stamp_of

__all__ = [
    "BEHIND",
    "HEIC_SUFFIXES",
    "SUFFIXES",
    "ArrayImages",
    "ChosenImages",
    "FileImages",
    "Images",
    "JoinedImages",
    "decode",
    "encoded",
    "pixel_limits",
    "sniff",
    "to_rgb",
]

BEHIND = "\n"  # in the place of a stamp, between those of two files that the content lies in


@runtime_checkable
class Images(Protocol):
    """A sequence of images that are read one by one."""

    def __len__(self) -> int:
        """Return how many images there are."""
        ...

    def read(self, index: int) -> Image.Image:
        """Return image `index` as RGB.

        Raises:
            DataError: the file is missing, broken or no image.
        """
        ...

    def native(self, index: int) -> Image.Image:
        """Return image `index` upright and in its own mode, such as "I;16"; see `decode_native`.

        Raises:
            DataError: the file is missing, broken or no image.
        """
        ...

    def source(self, index: int) -> Path | bytes | None:
        """Return where image `index` comes from: its file, its encoded bytes, or None where it has neither."""
        ...

    def checksum(self, index: int) -> str:
        """Return a hash of the content of image `index`, "" where there is nothing to read."""
        ...

    def stamp(self, index: int) -> Stamp | None:
        """Return where the content lies, with size and time of change of that file; None where it has no file.

        Content whose stamp is the same has the same checksum, as far as a file system can tell.
        """
        ...


class FileImages:
    """Images that lie in files."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self.paths = paths
        self._checksums: dict[int, str] = {}  # a file is read once for it, however often the samples are chosen anew

    def __len__(self) -> int:
        """Return how many images there are."""
        return len(self.paths)

    def read(self, index: int) -> Image.Image:
        """Return image `index` as RGB."""
        return decode(self.paths[index], str(self.paths[index]))

    def native(self, index: int) -> Image.Image:
        """Return image `index` in its own mode."""
        return decode_native(self.paths[index], str(self.paths[index]))

    def source(self, index: int) -> Path:
        """Return the file of image `index`."""
        return self.paths[index]

    def checksum(self, index: int) -> str:
        """Return a hash of the file's content, "" where it cannot be read.

        Raises:
            UnreachableError: the disk or the system refuses, whatever the file is.
        """
        if index not in self._checksums:
            try:
                self._checksums[index] = file_checksum(self.paths[index])
            except OSError as error:
                if is_of_surroundings(error):
                    raise UnreachableError(f"{self.paths[index]}: cannot be read ({error.strerror}).") from error
                self._checksums[index] = ""
        return self._checksums[index]

    def stamp(self, index: int) -> Stamp | None:
        """Return the file with its size and time of change, None where it is not there."""
        return stamp_of(self.paths[index])


class ChosenImages:
    """Some of the images, in a new order."""

    def __init__(self, images: Images, index: np.ndarray) -> None:
        self.images, self.index = images, index

    def __len__(self) -> int:
        """Return how many images there are."""
        return len(self.index)

    def read(self, index: int) -> Image.Image:
        """Return image `index` as RGB."""
        return self.images.read(int(self.index[index]))

    def native(self, index: int) -> Image.Image:
        """Return image `index` in its own mode."""
        return self.images.native(int(self.index[index]))

    def source(self, index: int) -> Path | bytes | None:
        """Return where image `index` comes from."""
        return self.images.source(int(self.index[index]))

    def checksum(self, index: int) -> str:
        """Return a hash of the content of image `index`."""
        return self.images.checksum(int(self.index[index]))

    def stamp(self, index: int) -> Stamp | None:
        """Return where the content of image `index` lies."""
        return self.images.stamp(int(self.index[index]))


class JoinedImages:
    """The images of several sources, one after the other."""

    def __init__(self, parts: Sequence[Images]) -> None:
        self.parts = parts
        self.ends = np.cumsum([len(part) for part in parts])

    def __len__(self) -> int:
        """Return how many images there are."""
        return int(self.ends[-1])

    def read(self, index: int) -> Image.Image:
        """Return image `index` as RGB."""
        part, within = self._place(index)
        return part.read(within)

    def native(self, index: int) -> Image.Image:
        """Return image `index` in its own mode."""
        part, within = self._place(index)
        return part.native(within)

    def source(self, index: int) -> Path | bytes | None:
        """Return where image `index` comes from."""
        part, within = self._place(index)
        return part.source(within)

    def checksum(self, index: int) -> str:
        """Return a hash of the content of image `index`."""
        part, within = self._place(index)
        return part.checksum(within)

    def stamp(self, index: int) -> Stamp | None:
        """Return where the content of image `index` lies."""
        part, within = self._place(index)
        return part.stamp(within)

    def _place(self, index: int) -> tuple[Images, int]:
        number = int(np.searchsorted(self.ends, index, side="right"))
        return self.parts[number], index - (int(self.ends[number - 1]) if number else 0)


def pixel_limits(images: Images | None) -> list[tuple[Limits | None, Limits]]:
    """Return what is black and white, and transparent and opaque, in the arrays that images are read from, if any.

    Arrays that are read as they are are left out; None stands for colours that are.
    """
    if isinstance(images, ArrayImages):
        return [] if images.is_as_it_is else [(images.limits, images.alpha)]
    if isinstance(images, JoinedImages):
        return [limits for part in images.parts for limits in pixel_limits(part)]
    return pixel_limits(getattr(images, "images", None)) if images is not None else []


def encoded(images: Images, index: int) -> tuple[bytes, str]:
    """Return image `index` as a file's content, byte for byte where it has one, else as PNG; and the file's suffix.

    Raises:
        DataError: the image cannot be read.
    """
    image, source = images.read(index), images.source(index)
    if isinstance(source, Path):
        return source.read_bytes(), source.suffix
    if source is not None:
        with opened(source, f"image {index}") as found:
            return source, usual_suffix(found.format or "PNG")
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue(), ".png"
