"""Small pictures for the screen, as WebP."""

import io

from PIL import Image

SIZES = (64, 128, 256, 512)
_LOSSLESS_UP_TO = 64


def thumbnail(image: Image.Image, size: int, *, enlarge: bool = False) -> bytes:
    """Return the image as WebP with its longer side at `size` px; a smaller image stays as it is.

    Args:
        image: the image.
        size: of the longer side in pixels.
        enlarge: bring smaller images to that size too, without blur where they are tiny.
    """
    scale = size / max(image.size)
    if scale < 1 or enlarge:
        shape = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
        image = image.resize(shape, Image.Resampling.NEAREST if scale > 4 else Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    small = max(image.size) <= _LOSSLESS_UP_TO
    image.save(buffer, "WEBP", lossless=small, quality=85, method=0 if small else 2)
    return buffer.getvalue()
