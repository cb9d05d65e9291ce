"""Names: of samples that have none, and names that are fit for a folder."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int


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


def rows_by_name(keys: Sequence[str], names: Sequence[str]) -> Int[np.ndarray, " n"]:
    """Return the row of each name among the keys: the same text, or the same file where one path ends in the other.

    Args:
        keys: m texts.
        names: n texts.

    Returns:
        (n,) rows, −1 where no key or several fit.
    """
    exact: dict[str, int] = {}
    by_file: dict[str, list[int]] = {}
    for row, key in enumerate(keys):
        exact[key] = -1 if key in exact else row
        by_file.setdefault(key.rpartition("/")[2], []).append(row)
    rows = [exact.get(name, _row_of_tail(keys, by_file, name)) for name in names]
    return np.array(rows, dtype=np.int64)


def _row_of_tail(keys: Sequence[str], by_file: dict[str, list[int]], name: str) -> int:
    near = by_file.get(name.rpartition("/")[2], [])[:1_000]
    fitting = [row for row in near if f"/{name}".endswith(f"/{keys[row]}") or f"/{keys[row]}".endswith(f"/{name}")]
    return fitting[0] if len(fitting) == 1 else -1
