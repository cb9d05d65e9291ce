"""Small pictures for the screen, as WebP."""

import io

from PIL import Image, ImageDraw, ImageFont

SIZES = (64, 128, 256, 512)
_LOSSLESS_UP_TO = 64
_TINY = 20  # px; smaller images keep their pixels as squares when they are enlarged, larger ones are smooth
MISSING, CHANGED = "is no longer there", "has changed since this run"  # what an error says of an image
UNRECORDED = "kept no record of its images"  # and of a run


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
        squares = scale > 1 and max(image.size) < _TINY
        image = image.resize(shape, Image.Resampling.NEAREST if squares else Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    small = max(image.size) <= _LOSSLESS_UP_TO
    image.save(buffer, "WEBP", lossless=small, quality=85, method=0 if small else 2)
    return buffer.getvalue()


def placeholder(reason: str, size: int) -> bytes:
    """Return a grey square that says why there is no image, as WebP.

    Args:
        reason: what an error says; how it ends decides on what is drawn: by default that the image cannot be read.
        size: of a side in pixels.
    """
    known = {CHANGED: "changed\nsince this run", MISSING: "no longer\nthere", UNRECORDED: "not recorded\nby this run"}
    words = next((text for end, text in known.items() if reason.rstrip(".").endswith(end)), "cannot be\nread")
    image = Image.new("RGB", (size, size), (222, 226, 230))
    draw = ImageDraw.Draw(image)
    font = ImageFont.load_default(max(8, size // 9))
    draw.rectangle((0, 0, size - 1, size - 1), outline=(150, 156, 162))
    draw.multiline_text((size / 2, size / 2), words, fill=(40, 46, 52), font=font, anchor="mm", align="center")
    buffer = io.BytesIO()
    image.save(buffer, "WEBP", quality=85)
    return buffer.getvalue()
