"""Reading images: one function turns any supported file into RGB, and says what is wrong with the rest."""

import io
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from lsi.errors import DataError
from lsi.hashing import file_checksum, fingerprint

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM")
SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".ppm", ".pgm"})
MAX_PIXELS = 64_000_000
# Pillow warns of damaged metadata; images are read in several threads, where warnings cannot be caught one by one
warnings.filterwarnings("ignore", module=r"PIL\..*")


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

    def source(self, index: int) -> Path | bytes | None:
        """Return where image `index` comes from: its file, its encoded bytes, or None where it has neither."""
        ...

    def checksum(self, index: int) -> str:
        """Return a hash of the content of image `index`, "" where there is nothing to read."""
        ...


def decode(data: bytes | Path, name: str = "image") -> Image.Image:
    """Return an encoded image as RGB, upright, its transparency laid over white, 16 bits scaled to 8.

    Raises:
        DataError: with the reason, where the data are empty, broken, too large or not an image.
    """
    if isinstance(data, bytes) and not data:
        raise DataError(f"{name}: the file is empty")
    try:
        source = io.BytesIO(data) if isinstance(data, bytes) else data
        with Image.open(source, formats=FORMATS) as image:
            if image.width * image.height > MAX_PIXELS:
                raise DataError(f"{name}: {image.width} × {image.height} pixels are more than {MAX_PIXELS:,}")
            image.load()
            return to_rgb(ImageOps.exif_transpose(image))
    except DataError:
        raise
    except UnidentifiedImageError:
        empty = isinstance(data, Path) and data.stat().st_size == 0
        raise DataError(f"{name}: the file is empty" if empty else f"{name}: not an image") from None
    except FileNotFoundError:
        raise DataError(f"{name}: no such file") from None
    except Image.DecompressionBombError:
        raise DataError(f"{name}: more than {MAX_PIXELS:,} pixels") from None
    except Exception as error:  # Pillow's plugins raise anything on damaged files
        raise DataError(f"{name}: broken image ({type(error).__name__}: {error})") from error


def to_rgb(image: Image.Image) -> Image.Image:
    """Return the image as RGB, whatever its mode."""
    if image.mode == "RGB":
        return image
    if image.mode in ("I;16", "I;16L", "I;16B", "I;16N", "I", "F"):
        return _from_deep(np.asarray(image))
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, (255, 255, 255, 255))
        return Image.alpha_composite(white, image).convert("RGB")
    return image.convert("RGB")


def _from_deep(values: np.ndarray) -> Image.Image:
    """Return 16-bit or float grey values as 8-bit RGB: 0 … 65535 and 0 … 1 keep their meaning."""
    values = values.astype(np.float64)
    top = values.max(initial=0.0)
    scale = 255.0 if top <= 1 else 1.0 if top <= 255 else 255.0 / 65535.0
    return Image.fromarray(np.clip(np.rint(values * scale), 0, 255).astype(np.uint8)).convert("RGB")


class ArrayImages:
    """Images that lie in memory: uint8 of shape (n, height, width) or (n, height, width, 3)."""

    def __init__(self, values: np.ndarray) -> None:
        self.values = values

    def __len__(self) -> int:
        """Return how many images there are."""
        return len(self.values)

    def read(self, index: int) -> Image.Image:
        """Return image `index` as RGB."""
        return to_rgb(Image.fromarray(np.ascontiguousarray(self.values[index])))

    def source(self, index: int) -> None:
        """Return None: pixels in memory have no encoding."""

    def checksum(self, index: int) -> str:
        """Return a hash of the pixels of image `index`."""
        return fingerprint(self.values[index])


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

    def source(self, index: int) -> Path:
        """Return the file of image `index`."""
        return self.paths[index]

    def checksum(self, index: int) -> str:
        """Return a hash of the file's content, "" where it cannot be read."""
        if index not in self._checksums:
            try:
                self._checksums[index] = file_checksum(self.paths[index])
            except OSError:
                self._checksums[index] = ""
        return self._checksums[index]


class EncodedImages:
    """Images whose encoded bytes lie in a column (an Arrow array, memory-mapped where the file allows)."""

    def __init__(self, column, names: list[str]) -> None:
        self.column, self.names = column, names

    def __len__(self) -> int:
        """Return how many images there are."""
        return len(self.names)

    def read(self, index: int) -> Image.Image:
        """Return image `index` as RGB.

        Raises:
            DataError: the row holds no bytes, or no image.
        """
        data = self.column[index].as_py()
        if data is None:
            raise DataError(f"{self.names[index]}: no image bytes")
        return decode(data, self.names[index])

    def source(self, index: int) -> bytes | None:
        """Return the encoded bytes of image `index`."""
        return self.column[index].as_py()

    def checksum(self, index: int) -> str:
        """Return a hash of the encoded bytes of image `index`."""
        data = self.column[index].as_py()
        return "" if data is None else fingerprint(data)


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

    def source(self, index: int) -> Path | bytes | None:
        """Return where image `index` comes from."""
        return self.images.source(int(self.index[index]))

    def checksum(self, index: int) -> str:
        """Return a hash of the content of image `index`."""
        return self.images.checksum(int(self.index[index]))


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

    def source(self, index: int) -> Path | bytes | None:
        """Return where image `index` comes from."""
        part, within = self._place(index)
        return part.source(within)

    def checksum(self, index: int) -> str:
        """Return a hash of the content of image `index`."""
        part, within = self._place(index)
        return part.checksum(within)

    def _place(self, index: int) -> tuple[Images, int]:
        number = int(np.searchsorted(self.ends, index, side="right"))
        return self.parts[number], index - (int(self.ends[number - 1]) if number else 0)


def encoded(images: Images, index: int) -> tuple[bytes, str]:
    """Return image `index` as a file's content, byte for byte where it has one, else as PNG; and the file's suffix.

    Raises:
        DataError: the image cannot be read.
    """
    image, source = images.read(index), images.source(index)
    if isinstance(source, Path):
        return source.read_bytes(), source.suffix
    if source is not None:
        with Image.open(io.BytesIO(source), formats=FORMATS) as opened:
            return source, f".{(opened.format or 'png').lower()}"
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue(), ".png"
