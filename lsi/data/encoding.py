"""How labels become class indices, and names become fit for a folder."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from lsi.errors import DataError


def encode_labels(values: list, class_names: list[str] | None = None) -> tuple[np.ndarray, tuple[str, ...]]:
    """Return class indices and names; integers with names keep their meaning, anything else is sorted."""
    if any(v is None for v in values):
        raise DataError("Expected a label for every sample; some are missing.")
    if all(isinstance(v, int | np.integer) for v in values):
        labels = np.asarray(values, dtype=np.int64)
        if class_names is not None:
            return labels, tuple(class_names)
        if len(labels) and (labels.min() < 0 or labels.max() > 10 * len(labels)):
            raise DataError(f"Expected integer labels 0 … k − 1, got {labels.min()} … {labels.max()}.")
        return labels, tuple(str(c) for c in range(int(labels.max(initial=0)) + 1))
    names = class_names or sorted({str(v) for v in values})
    positions = {c: i for i, c in enumerate(names)}
    return np.array([positions[str(v)] for v in values], dtype=np.int64), tuple(names)


NO_CLASS = ("all",)  # the class of samples without labels


def no_labels(n: int) -> tuple[np.ndarray, tuple[str, ...]]:
    """Return what stands for the labels of n samples that have none."""
    return np.zeros(n, dtype=np.int64), NO_CLASS


def numbers(table: Mapping[str, Any], names: tuple[str, ...], path: Path) -> np.ndarray | None:
    """Return columns of numbers as one array (n, m), or None where no names are given.

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
