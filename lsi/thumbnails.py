"""Small pictures for the screen: WebP, enlarged without blur where the original is tiny."""

import io

from PIL import Image

SIZES = (64, 128, 256, 512)


def thumbnail(image: Image.Image, size: int) -> bytes:
    """Return the image as WebP with its longer side at `size` px."""
    scale = size / max(image.size)
    shape = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    how = Image.Resampling.NEAREST if scale > 4 else Image.Resampling.LANCZOS
    buffer = io.BytesIO()
    image.resize(shape, how).save(buffer, "WEBP", quality=85, method=2)
    return buffer.getvalue()
