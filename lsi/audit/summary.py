"""Headline figures of a run: per class, over the dataset, and how well known corruption is found."""

from typing import Any

import numpy as np
import pandas as pd
from scipy.special import stdtrit


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
    figures = class_figures(table, len(class_names))
    records: list[dict[str, Any]] = figures.replace({np.nan: None}).to_dict("records")  # type: ignore[assignment]
    return [{"class": name, **record} for name, record in zip(class_names, records, strict=True)]


def class_figures(table: pd.DataFrame, n_classes: int) -> pd.DataFrame:
    """Return the figures of each class, one row a class, NaN where a class has no samples; LSI in nats.

    `lsi_low` and `lsi_high` are the ends of the 95 % t-interval of the mean, of three samples or more that differ; no
    LSI lies below 0, so neither does an end.

    Args:
        table: scores, one row a sample.
        n_classes: number of classes k.
    """
    label, lsi = table["given_label"].to_numpy(), table["lsi"].to_numpy()
    counts = np.bincount(label, minlength=n_classes)

    def total(values: np.ndarray) -> np.ndarray:
        return np.bincount(label, weights=values, minlength=n_classes)

    with np.errstate(divide="ignore", invalid="ignore"):
        mean = total(lsi) / counts
        deviation = np.sqrt(total((lsi - mean[label]) ** 2) / (counts - 1))
        reach = stdtrit(np.maximum(counts - 1, 1), 0.975) * deviation / np.sqrt(counts)
        reach = np.where((counts >= 3) & (deviation > 0), reach, np.nan)
        accuracy = total((table["predicted_label"] == table["given_label"]).to_numpy()) / counts
    medians = table.groupby("given_label")["lsi"].median().reindex(range(n_classes))
    return pd.DataFrame(
        {
            "n_samples": counts,
            "lsi_mean": mean,
            "lsi_low": np.maximum(mean - reach, 0.0),
            "lsi_high": mean + reach,
            "lsi_median": medians.to_numpy(),
            "lsi_share": total(lsi) / max(float(lsi.sum()), 1e-300),
            "loo_accuracy": accuracy,
            "n_label_issues": total(table["is_label_issue"].to_numpy()).astype(int),
            "n_near_duplicates": total((table["near_duplicate_group"] >= 0).to_numpy()).astype(int),
        }
    )


def detection_summary(corrupted: np.ndarray, table: pd.DataFrame) -> dict[str, Any] | None:
    """Return how well each score finds the samples that are known to be corrupted, where any are."""
    found = int(corrupted.sum())
    if found in (0, len(corrupted)):
        return None
    columns = {"label_score": -table["label_score"], "self_confidence": -table["loo_p_given"], "lsi": table["lsi"]}
    scores = {name: column.to_numpy() for name, column in columns.items()}
    methods = {}
    for name, score in scores.items():
        top = np.argsort(-score, kind="stable")[:found]
        methods[name] = {
            "auroc": auroc(corrupted, score),
            "average_precision": average_precision(corrupted, score),
            "precision_at_noise_rate": float(corrupted[top].mean()),
        }
    return {"n_corrupted": found, "noise_rate": found / len(corrupted), **methods}


def auroc(positive: np.ndarray, score: np.ndarray) -> float:
    """Return the share of pairs of a positive and a negative that the score ranks right, a tie counting one half.

    Written here since scikit-learn takes a second to import, in which a newcomer would wait for the first images.

    Args:
        positive: (n,) bool, some of them true and some false.
        score: (n,).
    """
    count = int(positive.sum())
    above = pd.Series(score).rank().to_numpy()[positive].sum() - count * (count + 1) / 2
    return float(above / (count * (len(positive) - count)))


def average_precision(positive: np.ndarray, score: np.ndarray) -> float:
    """Return the precision at each score, the highest first, weighed by the recall that it adds.

    Args:
        positive: (n,) bool, some of them true.
        score: (n,).
    """
    order = np.argsort(-score, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(score[order])), len(score) - 1)  # equal scores are taken together
    found = np.cumsum(positive[order])[ends]
    return float((np.diff(found, prepend=0) / found[-1] * found / (ends + 1)).sum())


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
