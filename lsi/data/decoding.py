"""Decoding images: one function turns any supported file into RGB, and says what is wrong with the rest."""

import errno
import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from lsi.data import deep
from lsi.data.formats import HEAD, formats_of, named_content, sniff
from lsi.data.pixel_range import PixelRange, to_bytes
from lsi.errors import DataError, UnreachableError, is_of_surroundings, of_reading
from lsi.regular import open_regular

MAX_PIXELS = 64_000_000
# Pillow warns of damaged metadata; images are read in several threads, where warnings cannot be caught one by one
warnings.filterwarnings("ignore", module=r"PIL\..*")


def decode(data: bytes | Path, name: str = "image", pixel_range: PixelRange | None = None) -> Image.Image:
    """Return an encoded image as RGB, upright, its transparency laid over white, deeper values scaled to 8 bits.

    Args:
        data: the content, or the file.
        name: what a message calls it; its suffix tells formats that the content does not.
        pixel_range: black and white of images deeper than 8 bits; by default those of `to_rgb`.

    Raises:
        DataError: with the reason, where the data are empty, broken, too large or not an image.
        UnreachableError: the disk or the memory failed, not the image.
    """
    image = _native(data, name, with_low_bytes=pixel_range is not None)
    try:
        return to_rgb(image, pixel_range)
    except DataError as error:
        raise of_reading(f"{name}: {error}", error) from None


def decode_native(data: bytes | Path, name: str = "image") -> Image.Image:
    """Return the first frame of an encoded image, upright and in its own mode.

    16-bit colours come as 8-bit RGB or RGBA of their upper bytes, with an image of their lower bytes as
    `info["low bytes"]`, since Pillow has no mode for them.

    Args:
        data: the content, or the file.
        name: what a message calls it; its suffix tells formats that the content does not.

    Raises:
        DataError: with the reason, where the data are empty, broken, too large or not an image.
        UnreachableError: the disk or the memory failed, not the image.
    """
    return _native(data, name, with_low_bytes=True)


def _native(data: bytes | Path, name: str, *, with_low_bytes: bool) -> Image.Image:
    with opened(data, name) as image:
        kind, tags, low = image.format, deep.tags_of(image), None
        if with_low_bytes and deep.has_grey_with_alpha(image):
            image, low = deep.grey_with_alpha(lambda: _again(data, kind))
        else:
            deep.mend_tiles(image)
            is_needed = with_low_bytes or "transparency" in image.info  # a colour is told by all of its bits
            low = deep.low_bytes(image, lambda: _again(data, kind)) if is_needed else None
            image.load()
        upright = ImageOps.exif_transpose(deep.true_values(image, kind, tags))
        if low is not None:
            upright.info[deep.LOW_BYTES] = ImageOps.exif_transpose(low)
        return upright


@contextmanager
def opened(data: bytes | Path, name: str) -> Iterator[Image.Image]:
    """Open an encoded image by its header; whatever goes wrong inside is told by a DataError.

    Args:
        data: the content, or the file.
        name: what a message calls it; its suffix tells formats that the content does not.

    Raises:
        DataError: with the reason, where the data are empty, broken, too large or not an image.
        UnreachableError: the disk or the memory failed, not the image.
    """
    head = b""
    try:
        with io.BytesIO(data) if isinstance(data, bytes) else open_regular(data) as file:
            head = file.read(HEAD)
            if not head:
                raise DataError("the file is empty")
            file.seek(0)
            suffix_from = str(data) if isinstance(data, Path) else name
            with Image.open(file, formats=formats_of(head, suffix_from)) as image:
                if image.width * image.height > MAX_PIXELS:
                    raise DataError(f"{image.width} × {image.height} pixels are more than {MAX_PIXELS:,}")
                yield image
    except DataError as error:
        raise of_reading(f"{name}: {error}", error) from None
    except UnidentifiedImageError:
        raise DataError(f"{name}: {_no_image(head)}") from None
    except FileNotFoundError:
        raise DataError(f"{name}: no such file") from None
    except OSError as error:
        is_said = error.errno in (errno.EINVAL, errno.EACCES, errno.EISDIR) or is_of_surroundings(error)
        what = error.strerror if is_said else None
        raise of_reading(f"{name}: {what or f'broken image ({type(error).__name__}: {error})'}", error) from error
    except MemoryError as error:
        raise UnreachableError(f"{name}: there is too little memory to read it: free some, or remove it") from error
    except Image.DecompressionBombError:
        raise DataError(f"{name}: more than {MAX_PIXELS:,} pixels") from None
    except Exception as error:  # Pillow's plugins raise anything on damaged files
        raise DataError(f"{name}: broken image ({type(error).__name__}: {error})") from error


def _again(data: bytes | Path, kind: str | None) -> Image.Image:
    return Image.open(io.BytesIO(data) if isinstance(data, bytes) else data, formats=(str(kind),))


def _no_image(head: bytes) -> str:
    kind = sniff(head)
    if kind == "HEIF" and not formats_of(head, ""):
        return "a HEIC image: install lsi-lens[heic]"
    if kind is not None:
        return f"a {kind} image that is damaged, or of a kind that cannot be read: save it as a PNG of 8 or 16 bits"
    content = named_content(head)
    return f"not an image but {content}" if content else "not an image"


def to_rgb(image: Image.Image, pixel_range: PixelRange | None = None) -> Image.Image:
    """Return the image as RGB, whatever its mode; transparency is laid over white.

    Values deeper than 8 bits lie between a black and a white that do not depend on the image: those of the range,
    or 0 … 65535 for integers and 0 … 1 for floats. NaN and infinity are black.

    Raises:
        DataError: every value is NaN or infinite.
    """
    clear = _clear(image)
    if clear is None:
        return _without_clear(image, pixel_range)
    pixels = np.array(_without_clear(image, pixel_range))
    pixels[clear] = 255
    return Image.fromarray(pixels)


def _clear(image: Image.Image) -> np.ndarray | None:
    """Return where an image without alpha has the one colour that its file calls transparent, None where it has none.

    Pillow turns that of all other modes into alpha.
    """
    colour = image.info.get("transparency")
    if image.mode == "RGB" and isinstance(colour, tuple):
        values = deep_values(image)
        return ((np.asarray(image) if values is None else values) == np.array(colour)).all(axis=2)
    if image.mode in deep.MODES and isinstance(colour, int):
        return np.asarray(image) == colour
    return None


def _without_clear(image: Image.Image, pixel_range: PixelRange | None) -> Image.Image:
    if image.mode in deep.MODES:
        values = np.asarray(image)
        if image.mode == "F" and not np.isfinite(values).any():
            raise DataError("every pixel is NaN or infinite")
        return Image.fromarray(to_bytes(values, (pixel_range or PixelRange()).of(image))).convert("RGB")
    if pixel_range is not None and deep.LOW_BYTES in image.info:
        image = Image.merge(image.mode, _scaled_colours(image, pixel_range))
    if image.mode == "RGB":
        return image
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        image = (image.convert("LA") if image.mode == "La" else image).convert("RGBA")
        white = Image.new("RGBA", image.size, (255, 255, 255, 255))
        return Image.alpha_composite(white, image).convert("RGB")
    return image.convert("RGB")


def deep_values(image: Image.Image) -> np.ndarray | None:
    """Return the values of an image deeper than 8 bits, of shape (h, w), or (h, w, 3) for colours; None for others."""
    if image.mode in deep.MODES:
        return np.asarray(image)
    low = image.info.get(deep.LOW_BYTES)
    if low is None:
        return None
    upper, lower = (np.asarray(i)[..., :3].astype(np.uint16) for i in (image, low))
    return upper << 8 | lower


def _scaled_colours(image: Image.Image, pixel_range: PixelRange) -> list[Image.Image]:
    values = deep_values(image)
    assert values is not None
    scaled = to_bytes(values, pixel_range.of(image))
    bands = [Image.fromarray(np.ascontiguousarray(scaled[..., i])) for i in range(3)]
    return [*bands, image.getchannel("A")] if image.mode == "RGBA" else bands
