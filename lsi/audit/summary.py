"""Headline figures of a run: per class, over the dataset, and how well known corruption is found."""

from typing import Any

import numpy as np
import pandas as pd


def dataset_summary(table: pd.DataFrame) -> dict[str, Any]:
    """Return the figures of the whole dataset; LSI in nats."""
    lsi = table["lsi"].to_numpy()
    order = np.sort(lsi)[::-1]
    figures = {}
    if "loo_p_given" in table.columns:
        figures["loo_accuracy"] = float((table["predicted_label"] == table["given_label"]).mean())
        figures["loo_log_likelihood"] = float(np.log(np.maximum(table["loo_p_given"], 1e-300)).mean())
    return figures | {
        "n_samples": len(table),
        "lsi_sum": float(lsi.sum()),
        "lsi_mean": float(lsi.mean()),
        "lsi_median": float(np.median(lsi)),
        "share_of_top_tenth": float(order[: max(1, len(order) // 10)].sum() / max(lsi.sum(), 1e-300)),
        "effective_parameters": float(table["leverage"].sum()),
        "n_label_issues": int(table["is_label_issue"].sum()),
        "n_near_duplicate_groups": int(table["near_duplicate_group"].max() + 1) if len(table) else 0,
        "n_near_duplicates": int((table["near_duplicate_group"] >= 0).sum()),
    }


def class_summary(table: pd.DataFrame, class_names: tuple[str, ...]) -> list[dict[str, Any]]:
    """Return one record a class, in the order of the classes."""
    total = max(float(table["lsi"].sum()), 1e-300)
    records = []
    for c, name in enumerate(class_names):
        rows = table[table["given_label"] == c]
        n = len(rows)
        records.append(
            {
                "class": name,
                "n_samples": n,
                "lsi_mean": float(rows["lsi"].mean()) if n else None,
                "lsi_median": float(rows["lsi"].median()) if n else None,
                "lsi_share": float(rows["lsi"].sum() / total),
                "loo_accuracy": float((rows["predicted_label"] == c).mean()) if n else None,
                "n_label_issues": int(rows["is_label_issue"].sum()),
                "n_near_duplicates": int((rows["near_duplicate_group"] >= 0).sum()),
            }
        )
    return records


def detection_summary(corrupted: np.ndarray, table: pd.DataFrame) -> dict[str, Any] | None:
    """Return how well each score finds the samples that are known to be corrupted, where any are."""
    found = int(corrupted.sum())
    if found in (0, len(corrupted)):
        return None
    from sklearn.metrics import average_precision_score, roc_auc_score  # two seconds to import, and rarely needed

    columns = {"label_score": -table["label_score"], "self_confidence": -table["loo_p_given"], "lsi": table["lsi"]}
    scores = {name: column.to_numpy() for name, column in columns.items()}
    methods = {}
    for name, score in scores.items():
        top = np.argsort(-score, kind="stable")[:found]
        methods[name] = {
            "auroc": float(roc_auc_score(corrupted, score)),
            "average_precision": float(average_precision_score(corrupted, score)),
            "precision_at_noise_rate": float(corrupted[top].mean()),
        }
    return {"n_corrupted": found, "noise_rate": found / len(corrupted), **methods}


def precision_recall_at(
    label_score: np.ndarray, p_wrong: np.ndarray, counts: tuple[int, ...] | None = None
) -> list[dict[str, float | int]]:
    """Return what taking the worst labels would give: predicted precision, and recall of all that are wrong.

    Args:
        label_score: probability of each given label, (n,).
        p_wrong: predicted probability that it is wrong, (n,).
        counts: how many labels to take; by default thirty steps on a log scale.
    """
    n = len(label_score)
    if counts is None:
        counts = tuple(np.unique(np.geomspace(min(10, n), n, 30).round().astype(int)).tolist())
    order = np.argsort(label_score, kind="stable")
    found = np.cumsum(p_wrong[order])
    return [
        {
            "n": c,
            "label_score": float(label_score[order[c - 1]]),
            "precision": float(found[c - 1] / c),
            "recall": float(found[c - 1] / max(found[-1], 1e-300)),
        }
        for c in counts
    ]
