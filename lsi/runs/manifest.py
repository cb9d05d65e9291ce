"""What a run says of itself: the table with one row a sample, and the manifest with its figures."""

import platform
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool

from lsi.audit import summary
from lsi.audit.calibration import DOUBT_EXPONENT, Calibration
from lsi.audit.duplicates import Duplicates
from lsi.config import Task
from lsi.data import Dataset
from lsi.data.encoding import NO_CLASS
from lsi.version import VERSION


def make_table(
    dataset: Dataset, columns: pd.DataFrame, corrupted: Bool[np.ndarray, " n"], groups: Duplicates
) -> pd.DataFrame:
    """Return one row per sample: what it is, its scores, its near duplicates, what is known of it.

    Args:
        dataset: the n samples.
        columns: their scores, n rows.
        corrupted: (n,) which are known to have a wrong label or a noisy image.
        groups: their near duplicates.
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
    return table


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
        "dataset": {
            "name": dataset.name,
            "fingerprint": dataset.fingerprint,
            "n_samples": len(dataset),
            "class_names": list(dataset.class_names) if labelled else list(NO_CLASS),
            "has_images": dataset.images is not None,
        },
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


def calibration_summary(calibration: Calibration, table: pd.DataFrame) -> dict[str, Any]:
    """Return what label scores are worth: wrong labels to expect, and precision and recall over cuts."""
    return {
        "expected_wrong": float(calibration.p_wrong.sum()),
        "inverse_temperature": calibration.inverse_temperature,
        "doubt_exponent": DOUBT_EXPONENT,
        "n_planted": calibration.n_planted,
        "noise": calibration.noise.tolist(),
        "cuts": summary.precision_recall_at(table["label_score"].to_numpy(), calibration.p_wrong),
    }
