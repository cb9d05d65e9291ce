"""Small trees of files on disk, for tests of what lies where."""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from PIL import Image

TWO = [f"{c}/{i}.png" for c in ("cat", "dog") for i in range(3)]


def write_image(path: Path, value: int = 0) -> None:
    """Write a small picture that shows `value`; a name without a known suffix gets a PNG."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.new("RGB", (3, 2), (value % 256, value // 256 % 256, 7))
    known = path.suffix.lower() in Image.registered_extensions()
    image.save(path, None if known else "PNG")


def shown(image: Image.Image) -> int:
    """Return the value that a picture of `write_image` shows."""
    red, green, _ = image.getpixel((0, 0))
    return red + 256 * green


def plant(root: Path, images: Iterable[str], texts: Mapping[str, str | bytes] | None = None) -> Path:
    """Write pictures, each with its position as value, and other files; return the folder."""
    root.mkdir(parents=True, exist_ok=True)
    for value, name in enumerate(images):
        write_image(root / name, value)
    for name, content in (texts or {}).items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return root


def as_bytes_name(name: bytes) -> str:
    """Return a file's name whose bytes need not be UTF-8."""
    return os.fsdecode(name)
