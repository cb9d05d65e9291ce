"""What a run says of itself: the table with one row a sample, and the manifest with its figures."""

import platform
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import torch
from jaxtyping import Bool

from lsi.audit import summary
from lsi.audit.calibration import Calibration
from lsi.audit.duplicates import Duplicates
from lsi.audit.noise_model import DOUBT_EXPONENT
from lsi.config import Task
from lsi.data import Dataset
from lsi.data.labels import NO_CLASS
from lsi.data.naming import text_of_path
from lsi.runs.layout import BESIDE, SOMETIMES
from lsi.version import VERSION


def make_table(
    dataset: Dataset,
    columns: pd.DataFrame,
    corrupted: Bool[np.ndarray, " n"],
    groups: Duplicates,
    quality: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Return one row per sample: what it is, its scores, its near duplicates, its image's quality, what is known of it.

    Args:
        dataset: the n samples.
        columns: their scores, n rows.
        corrupted: (n,) which are known to have a wrong label or a noisy image.
        groups: their near duplicates.
        quality: of their images, n rows; None: they have none.
    """
    table = columns.copy()
    table.insert(0, "index", dataset.source_index)
    table.insert(1, "id", dataset.ids.astype(str))
    if dataset.split is not None:
        table["split"] = dataset.split
    if dataset.text is not None:
        table["text"] = [str(t) for t in dataset.text]
    if dataset.true_label is not None:
        table["true_label"] = dataset.true_label
    if corrupted.any():
        table["is_corrupted"] = corrupted
    table["near_duplicate_group"], table["nearest_distance"] = groups.group, groups.distance
    table = table if quality is None else pd.concat([table, quality], axis=1)
    return with_metadata(table, dataset.metadata)


def with_metadata(table: pd.DataFrame, metadata: pd.DataFrame | None) -> pd.DataFrame:
    """Return a table with the data's own columns at its end; names that are a run's own get "(data)" behind them.

    Args:
        table: n rows.
        metadata: n rows of all other columns of the data, or None.
    """
    if metadata is None:
        return table
    columns = {name: _storable(metadata[old]) for old, name in metadata_names(metadata, table).items()}
    return pd.concat([table, pd.DataFrame(columns, index=table.index)], axis=1)


def metadata_names(metadata: pd.DataFrame, table: pd.DataFrame) -> dict[Any, str]:
    """Return the name that each column of the data has in a table of scores.

    Args:
        metadata: columns of the data.
        table: the scores, without them.
    """
    names: dict[Any, str] = {}
    taken = {*map(str, table.columns), *SOMETIMES}
    for column in metadata.columns:
        name = str(column)
        while name in taken:
            name += BESIDE
        taken.add(name)
        names[column] = name
    return names


def _storable(column: pd.Series) -> np.ndarray | pd.api.extensions.ExtensionArray:
    """Return values that a Parquet column can hold: as they are where they are of one type, else their text."""
    if isinstance(column.dtype, pd.Int64Dtype | pd.UInt64Dtype):
        return column.array
    values = column.to_numpy()
    try:
        stored = pa.array(values, from_pandas=True)
        if pa.types.is_integer(stored.type) and stored.null_count:
            return pd.array(values, dtype="Int64")  # read as floats they would lose digits
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError, UnicodeEncodeError):
        missing = column.isna().to_numpy()
        texts = [None if gone else text_of_path(str(v)) for v, gone in zip(values, missing, strict=True)]
        return np.array(texts, dtype=object)
    return values


def _metadata_in(table: pd.DataFrame, dataset: Dataset) -> list[str]:
    """Return the names that the data's own columns have at the end of the table."""
    count = 0 if dataset.metadata is None else dataset.metadata.shape[1]
    return [] if count == 0 else [str(c) for c in table.columns[-count:]]


def make_manifest(
    dataset: Dataset, task: Task, table: pd.DataFrame, corrupted: Bool[np.ndarray, " n"], device: torch.device
) -> dict[str, Any]:
    """Return data, summaries and versions as plain values.

    Args:
        dataset: the n samples.
        task: what was learnt of them.
        table: as `make_table` gives it.
        corrupted: (n,) which are known to have a wrong label or a noisy image.
        device: where it was computed.
    """
    labelled = task == "classification"
    return {
        "name": dataset.name,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "task": task,
        "dataset": dataset_facts(dataset, task, table),
        "summary": summary.dataset_summary(table),
        "classes": summary.class_summary(table, dataset.class_names) if labelled else [],
        "detection": summary.detection_summary(corrupted, table) if labelled else None,
        "calibration": None,
        "versions": {
            "lsi": VERSION,
            "python": platform.python_version(),
            "torch": torch.__version__,
            "numpy": np.__version__,
        },
        "device": str(device),
        "threads": torch.get_num_threads(),
    }


def dataset_facts(dataset: Dataset, task: Task, table: pd.DataFrame) -> dict[str, Any]:
    """Return what the manifest says of the data, as plain values.

    Args:
        dataset: the n samples.
        task: what is learnt of them.
        table: one row a sample, the data's own columns at its end.
    """
    return {
        "name": dataset.name,
        "fingerprint": dataset.fingerprint,
        "n_samples": len(dataset),
        "class_names": list(dataset.class_names) if task == "classification" else list(NO_CLASS),
        "has_images": dataset.images is not None,
        "metadata": _metadata_in(table, dataset),
    }


def calibration_summary(calibration: Calibration | None, table: pd.DataFrame) -> dict[str, Any] | None:
    """Return what label scores are worth: wrong labels to expect, and precision and recall over cuts; None for none."""
    if calibration is None:
        return None
    return {
        "expected_wrong": float(calibration.p_wrong.sum()),
        "inverse_temperature": calibration.inverse_temperature,
        "doubt_exponent": DOUBT_EXPONENT,
        "n_planted": calibration.n_planted,
        "noise": calibration.noise.tolist(),
        "cuts": summary.precision_recall_at(table["label_score"].to_numpy(), calibration.p_wrong),
    }
