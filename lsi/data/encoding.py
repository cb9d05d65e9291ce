"""How labels become class indices, and names become fit for a folder."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from lsi.errors import DataError

_INTEGER = re.compile(r"-?(0|[1-9]\d*)")


def encode_labels(values: list, class_names: list[str] | None = None) -> tuple[np.ndarray, tuple[str, ...]]:
    """Return class indices (n,) and the names of the classes.

    With `class_names` integers are their positions and text is one of them. Otherwise the distinct values are the
    classes and keep their text, integers in rising order, anything else by alphabet.

    Raises:
        DataError: a label is missing, or is none of the class names.
    """
    if any(v is None for v in values):
        raise DataError("Expected a label for every sample; some are missing.")
    are_integers = all(isinstance(v, int | np.integer) for v in values)
    if class_names is not None and are_integers:
        labels = np.asarray(values, dtype=np.int64)
        if len(labels) and (labels.min() < 0 or labels.max() >= len(class_names)):
            raise DataError(
                f"Expected labels 0 … {len(class_names) - 1} for {len(class_names)} class names, "
                f"got {labels.min()} … {labels.max()}."
            )
        return labels, tuple(class_names)
    texts = [str(v) for v in values]
    distinct = sorted(set(texts))
    if class_names is None and all(_INTEGER.fullmatch(v) for v in distinct):
        distinct.sort(key=int)
    names = distinct if class_names is None else class_names
    positions = {c: i for i, c in enumerate(names)}
    unknown = [v for v in distinct if v not in positions]
    if unknown:
        raise DataError(f"Expected labels among {', '.join(names[:5])}, …, got {', '.join(unknown[:3])}.")
    return np.array([positions[v] for v in texts], dtype=np.int64), tuple(names)


NO_CLASS = ("all",)  # the class of samples without labels


def no_labels(n: int) -> tuple[np.ndarray, tuple[str, ...]]:
    """Return what stands for the labels of n samples that have none."""
    return np.zeros(n, dtype=np.int64), NO_CLASS


def numbers(table: Mapping[str, Any], names: tuple[str, ...], path: Path) -> np.ndarray | None:
    """Return columns of numbers as one array (n, m), or None where no names are given.

    Args:
        table: columns by name.
        names: of the columns to take.
        path: what a message names.

    Raises:
        DataError: a column is missing or holds something else than numbers.
    """
    if not names:
        return None
    missing = [c for c in names if c not in table]
    if missing:
        raise DataError(f"{path}: no column {', '.join(missing)} to predict; there are {', '.join(map(str, table))}.")
    columns = []
    for name in names:
        try:
            values = np.asarray(table[name], dtype=np.float64)
        except (TypeError, ValueError):
            raise DataError(f"{path}: expected numbers in column {name}, got text.") from None
        columns.append(values.reshape(len(values), -1))
    return np.concatenate(columns, axis=1)


def numbered(n: int) -> np.ndarray:
    """Return n ids that count from zero."""
    return np.array([f"{i:06d}" for i in range(n)])


def safe_name(name: str) -> str:
    """Return a name that is fit for a folder."""
    kept = "".join(c if c.isascii() and (c.isalnum() or c in "._-") else "-" for c in name)
    return kept.strip("-.")[:60] or "data"
