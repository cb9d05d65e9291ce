"""Pixels of files deeper than 8 bits: what Pillow drops of them or reads wrong is put right here."""

from collections.abc import Callable

import numpy as np
from PIL import Image

from lsi.errors import DataError

LOW_BYTES = "low bytes"  # in an image's `info`: a picture of the lower bytes of 16-bit colours, where Pillow drops them
MODES = frozenset({"I;16", "I;16L", "I;16B", "I;16N", "I", "F"})
_PHOTOMETRIC, _PLANAR, _BITS, _SAMPLE_FORMAT = 262, 284, 258, 339  # tags of TIFF
_BIG = "B" if np.little_endian else "L"  # the order of bytes that is not this machine's
# Pillow keeps the first or second byte of each 16-bit colour; with the order swapped it keeps the other one
_SWAPPED = {f"{c};16L": f"{c};16B" for c in ("RGB", "RGBA", "RGBX", "R", "G", "B", "A")}
_SWAPPED |= {v: k for k, v in _SWAPPED.items()} | {f"{c};16N": f"{c};16{_BIG}" for c in ("RGB", "RGBA", "RGBX")}
# libtiff gives values in the machine's order, whatever the file's
_NATIVE = {"I;16BS": "I;16NS", "I;32BS": "I;32NS", "F;32BF": "F;32NF"}
_NATIVE |= {"I;16S": "I;16NS", "I;32S": "I;32NS", "F;32F": "F;32NF"}


def is_deep(image: Image.Image) -> bool:
    """Return whether an opened image holds more than 8 bits a channel, by its header."""
    return image.mode in MODES or _raw_mode(image) in _SWAPPED or _raw_mode(image) == "LA;16B" or _is_signed(image)


def mend_tiles(image: Image.Image) -> None:
    """Change how an opened TIFF will be decoded, where Pillow would take its bytes in the wrong order or width."""
    if image.format != "TIFF":
        return
    tags = image.tag_v2  # type: ignore[attr-defined]
    is_planar_16 = tags.get(_PLANAR) == 2 and set(tags.get(_BITS, ())) == {16}

    def mended(raw: str, codec: str) -> str:
        if codec == "libtiff":
            return _NATIVE.get(raw, raw)
        return f"{raw};16{'L' if tags.prefix == b'II' else 'B'}" if is_planar_16 and len(raw) == 1 else raw

    _change_tiles(image, mended)


def low_bytes(image: Image.Image, reopen: Callable[[], Image.Image]) -> Image.Image | None:
    """Return the lower bytes of an opened image of 16-bit colours, None where it has none or Pillow cannot reach them.

    Args:
        image: opened, not yet decoded.
        reopen: opens it once more.
    """
    raw = _raw_mode(image)
    is_planar = image.format == "TIFF" and image.tag_v2.get(_PLANAR) == 2  # type: ignore[attr-defined]
    if raw not in _SWAPPED or (is_planar and image.tile[0].codec_name == "libtiff"):  # type: ignore[attr-defined]
        return None
    with reopen() as again:
        mend_tiles(again)
        _change_tiles(again, lambda raw, _: _SWAPPED[raw])
        again.load()
        return again


def grey_with_alpha(reopen: Callable[[], Image.Image]) -> tuple[Image.Image, Image.Image]:
    """Return the upper and the lower bytes of a PNG of 16-bit grey values and transparency, both as RGBA.

    Args:
        reopen: opens it.
    """
    with reopen() as image:
        _change_tiles(image, lambda *_: "RGBA")  # four bytes a pixel, as they lie in the file
        image.load()
        grey, grey_low, alpha, alpha_low = image.split()
    upper = Image.merge("RGBA", (grey, grey, grey, alpha))
    lower = Image.merge("RGBA", (grey_low, grey_low, grey_low, alpha_low))
    for part in (upper, lower):
        part.info = dict(image.info)  # how the camera was held
    return upper, lower


def has_grey_with_alpha(image: Image.Image) -> bool:
    """Return whether an opened image is a PNG of 16-bit grey values and transparency."""
    return _raw_mode(image) == "LA;16B"


def true_values(image: Image.Image, kind: str | None, tags: dict[int, object]) -> Image.Image:
    """Return a decoded image whose values mean what the file says: signed numbers, and white where zero is white.

    Args:
        image: decoded.
        kind: format of the file.
        tags: of a TIFF, else none.

    Raises:
        DataError: the values do not fit Pillow's integers.
    """
    if kind == "FITS" and image.mode.startswith("I;16"):  # signed by definition, or offset by half their range
        return Image.fromarray(np.asarray(image).astype(np.uint16).view(np.int16).astype(np.int32))
    if _sample_format(tags) == 2 and image.mode == "L":
        return Image.fromarray(np.asarray(image).view(np.int8).astype(np.int32))
    if kind == "TIFF" and image.mode == "I" and _sample_format(tags) == 1 and np.asarray(image).min(initial=0) < 0:
        raise DataError("values of 2,147,483,648 and more do not fit: scale them to 16 bits")
    if tags.get(_PHOTOMETRIC) == 0 and image.mode in MODES:
        values = np.asarray(image)
        return Image.fromarray(65535 - values.astype(np.uint16) if image.mode.startswith("I;16") else -values)
    return image


def tags_of(image: Image.Image) -> dict[int, object]:
    """Return the tags of an opened TIFF that say what its values mean; none for other formats."""
    tags = image.tag_v2 if image.format == "TIFF" else {}  # type: ignore[attr-defined]
    return {k: tags[k] for k in (_PHOTOMETRIC, _SAMPLE_FORMAT) if k in tags}


def _sample_format(tags: dict[int, object]) -> object:
    values = tags.get(_SAMPLE_FORMAT, (1,))
    return values[0] if isinstance(values, tuple) and values else values


def _is_signed(image: Image.Image) -> bool:
    return image.mode == "L" and image.format == "TIFF" and _sample_format(tags_of(image)) == 2


def _raw_mode(image: Image.Image) -> str:
    """Return how the bytes of an opened image are laid out, in Pillow's words, "" where it does not say."""
    tiles = getattr(image, "tile", None)
    arguments = tiles[0].args if tiles else ""
    first = arguments[0] if isinstance(arguments, tuple) and arguments else arguments
    return first if isinstance(first, str) else ""


def _change_tiles(image: Image.Image, change: Callable[[str, str], str]) -> None:
    tiles = []
    for tile in image.tile:  # type: ignore[attr-defined]
        arguments = tile.args
        if isinstance(arguments, str):
            arguments = change(arguments, tile.codec_name)
        elif arguments and isinstance(arguments[0], str):
            arguments = (change(arguments[0], tile.codec_name), *arguments[1:])
        tiles.append(tile._replace(args=arguments))
    image.tile = tiles  # type: ignore[attr-defined]
