"""Tables of samples: CSV and Parquet manifests with a path or a text in each row."""

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from lsi.data.encoding import encode_labels, no_labels, numbered, numbers, safe_name
from lsi.data.images import FileImages
from lsi.data.record import Dataset
from lsi.data.sources.splits import ALL, check_split, same_split
from lsi.errors import DataError


def from_csv(path: Path, split: str, targets: tuple[str, ...] = ()) -> Dataset:
    """Return a CSV manifest with columns path or text and, if there are any, label, split and numbers to predict.

    Args:
        path: the file; paths in it are relative to its folder.
        split: which values of the column split; "all" for every one.
        targets: names of columns of numbers to predict.

    Raises:
        DataError: the file is no CSV, or lacks the columns or the split.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            header = next(csv.reader(file), [])
        table = pd.read_csv(path, dtype=dict.fromkeys(header, str), keep_default_na=False)
        for name in set(targets) & set(header):
            table[name] = pd.to_numeric(table[name], errors="coerce")
    except (ValueError, OSError) as error:
        raise DataError(f"{path}: not readable as CSV ({error}).") from error
    return from_table(table, path, split, targets)


def from_table(table: pd.DataFrame, path: Path, split: str, targets: tuple[str, ...]) -> Dataset:
    """Return the samples of a table with a column path or text.

    Args:
        table: one row a sample.
        path: of the table's file or folder.
        split: which values of the column split; "all" for every one.
        targets: names of columns of numbers to predict.

    Raises:
        DataError: a column, a label or the split is missing.
    """
    if not {"path", "text"} & set(table.columns):
        raise DataError(f"{path}: expected a column path, image or text, got {', '.join(map(str, table.columns))}.")
    rows = rows_of_split(table["split"] if "split" in table.columns else None, split, path, len(table))
    table = table.iloc[rows]
    is_labelled = "label" in table.columns and "label" not in targets
    labels, names = no_labels(len(table))
    if is_labelled:
        if table["label"].isna().any() or (table["label"].astype(str) == "").any():
            raise DataError(f"{path}: expected a label in every row; some are empty.")
        labels, names = encode_labels(table["label"].tolist())
    features = next((c for c in ("features", "embedding") if c in table.columns), None)
    has_files = "path" in table.columns
    return Dataset(
        safe_name(path.stem),
        np.array([str(p) for p in table["path"]]) if has_files else numbered(len(table)),
        labels,
        names,
        FileImages([path.parent / str(p) for p in table["path"]]) if has_files else None,
        None if features is None else np.stack([np.asarray(v, dtype=np.float32) for v in table[features]]),
        split=table["split"].to_numpy().astype(str) if "split" in table.columns else None,
        text=table["text"].to_numpy() if "text" in table.columns else None,
        index=rows,
        targets=numbers({str(c): table[c] for c in table.columns}, targets, path),
        target_names=targets,
        is_labelled=is_labelled,
        files=(path,) if path.is_file() else tuple(sorted(path.rglob("*.parquet"))),
    )


def rows_of_split(column: Any, split: str, where: Path, count: int) -> np.ndarray:
    """Return the rows of a table that belong to a split, rising.

    Args:
        column: the split of each row, or None where there is none.
        split: the one asked for; "all" for every row.
        where: what a message names as the table's place.
        count: rows of the table.

    Raises:
        DataError: the column holds no such split.
    """
    if column is None or split == ALL:
        return np.arange(count)
    names = np.array([str(v) for v in column])
    if not any(name.strip() for name in names):
        return np.arange(count)
    check_split(split, set(names.tolist()), where)
    wanted = same_split(split)
    return np.flatnonzero([same_split(name) == wanted for name in names])
