"""Names: of samples that have none, and names that are fit for a folder."""

import numpy as np


def numbered(n: int) -> np.ndarray:
    """Return n ids that count from zero."""
    return np.array([f"{i:06d}" for i in range(n)])


def safe_name(name: str) -> str:
    """Return a name that is fit for a folder."""
    kept = "".join(c if c.isascii() and (c.isalnum() or c in "._-") else "-" for c in name)
    return kept.strip("-.")[:60] or "data"


def text_of_path(name: str) -> str:
    r"""Return a file's name as text that any file can hold: bytes that are no UTF-8 are written as \\xNN."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
