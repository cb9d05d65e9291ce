"""What a run says of itself: the table with one row a sample, and the manifest with its figures."""

import platform
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool, Float

import lsi
from lsi import issues, summary
from lsi.calibration import HESITATION, Calibration
from lsi.datasets import Dataset
from lsi.duplicates import Duplicates
from lsi.scores import Result, Scores


def make_table(
    dataset: Dataset,
    scores: Scores,
    looked: Float[np.ndarray, "n k"],
    corrupted: Bool[np.ndarray, " n"],
    groups: Duplicates,
    calibration: Calibration | None = None,
) -> pd.DataFrame:
    """Return one row a sample: scores, issues by the second look's probabilities, duplicates, what is known."""
    table = scores.to_frame()
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
    table["is_label_issue"] = issues.label_issues(scores.given_label, looked)
    table["label_score"] = issues.self_confidence(scores.given_label, looked)
    if calibration is not None:
        table["p_wrong"] = calibration.p_wrong
    table["near_duplicate_group"], table["nearest_distance"] = groups.group, groups.distance
    return table


def make_manifest(
    dataset: Dataset, result: Result, table: pd.DataFrame, corrupted: Bool[np.ndarray, " n"]
) -> dict[str, Any]:
    """Return data, probe, leave-one-out, summaries and versions as plain values."""
    scores, probe, choice = result.scores, result.probe, result.scores.prior_choice
    checked = scores.loo_residual[np.isfinite(scores.loo_residual)]
    return {
        "name": dataset.name,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "dataset": {
            "name": dataset.name,
            "fingerprint": dataset.fingerprint,
            "n_samples": len(dataset),
            "class_names": list(dataset.class_names),
            "has_images": dataset.images is not None,
        },
        "probe": {
            "prior_precision": scores.prior_precision,
            "n_params": scores.n_params,
            "converged": scores.converged,
            "newton_decrement": scores.newton_decrement,
            "gradient_norm": probe.gradient_norm,
            "newton_steps": probe.n_newton_steps,
            "loss": probe.loss,
        },
        "prior_choice": None
        if choice is None
        else {"grid": choice.grid, "loo_log_likelihood": choice.log_likelihood, "n_samples": choice.n_samples},
        "leave_one_out": {
            "structure": scores.structure,
            "n_refitted": int(scores.refitted.sum()),
            "n_certified": len(checked),
            "largest_residual": float(checked.max()) if len(checked) else None,
        },
        "summary": summary.dataset_summary(table),
        "classes": summary.class_summary(table, dataset.class_names),
        "detection": summary.detection_summary(corrupted, table),
        "versions": {
            "lsi": lsi.__version__,
            "python": platform.python_version(),
            "torch": torch.__version__,
            "numpy": np.__version__,
        },
        "device": str(probe.means.device),
        "threads": torch.get_num_threads(),
    }


def calibration_summary(calibration: Calibration, table: pd.DataFrame) -> dict[str, Any]:
    """Return what label scores are worth: wrong labels to expect, and precision and recall over cuts."""
    return {
        "expected_wrong": float(calibration.p_wrong.sum()),
        "sharpness": calibration.sharpness,
        "hesitation": HESITATION,
        "n_planted": calibration.n_planted,
        "noise": calibration.noise.tolist(),
        "cuts": summary.cuts(table["label_score"].to_numpy(), calibration.p_wrong),
    }
