"""The evidence page about what scores hold on: own probabilities, many classes, and how stable ranks are."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from benchmarks.evidence.sections_models import AGREEMENT, agreement, datasets_with
from benchmarks.tables import table

OURS = "label_score"
WITHIN = 0.003, 0.01  # AUROC and average precision by which ours may be worse
AMONG = {"auroc": "AUROC", "average_precision": "average precision"}


def own_probabilities(r: dict[str, Any]) -> str:
    """Return AUROC and average precision by problem and network, and how often ours is at least as good."""
    rows = []
    for row in r["rows"]:
        cells = [f"{v['auroc']:.3f} / {v['average_precision']:.3f}" for v in row["scores"].values()]
        rows.append([row["dataset"], row["noise"], f"{row['n']:,}", row["network"], f"{row['accuracy']:.0%}", *cells])
    scores = list(r["rows"][0]["scores"])
    said = []
    for (measure, name), most in zip(AMONG.items(), WITHIN, strict=True):
        gains = np.array([row["scores"][OURS][measure] - _best(row["scores"], measure) for row in r["rows"]])
        said.append(
            f"- **{name}**: within {most} of the better of the model's own two, or above it, in "
            f"{(gains >= -most).sum()} of {len(gains)} rows; from {gains.min():+.3f} to {gains.max():+.3f}, "
            f"{gains.mean():+.3f} on the mean."
        )
    return (
        f"Each model's probabilities are out of fold ({r['folds']} folds), trained here on the noisy labels. Its own "
        "scores are the probability of the given label and the normalised margin, as cleanlab computes them; ours is "
        "what `--probabilities` gives: a probe on their logarithms, judged through the noise. AUROC / average "
        "precision for wrong labels.\n\n"
        + table(["dataset", "noise", "n", "model", "right", *scores], rows)
        + "\n\n"
        + "\n".join(said)
    )


def _best(scores: dict[str, dict[str, float]], measure: str) -> float:
    return max(v[measure] for name, v in scores.items() if name.startswith("the model's"))


_NO_TRUTH = "So many classes are too many here for the full posterior and for refits: kron was compared with neither."


def many_classes(r: dict[str, Any]) -> str:
    """Return what finds wrong labels among many classes, and how far the Kronecker posterior ranks alike."""
    parts = []
    for row in r["rows"]:
        detectors = [[name, f"{v['auroc']:.3f}", f"{v['average_precision']:.3f}"]
                     for name, v in row["detectors"].items()]  # fmt: skip
        ranks = [[name, *agreement(v), f"{v['probabilities']:.4f}" if "probabilities" in v else ""]
                 for name, v in row["agreement"].items()]  # fmt: skip
        parts.append(
            f"**{row['k']:,} classes**, n = {row['n']:,}, d = {row['d']}, {row['wrong']:,} labels wrong; leave-one-out "
            f"accuracy against the right labels {row['accuracy']:.1%}.\n\n"
            + table(["score", "AUROC", "average precision"], detectors)
            + "\n\n"
            + (table(["agreement of LSI", *AGREEMENT, "Spearman of probabilities"], ranks) if ranks else _NO_TRUTH)
        )
    return (
        "No set of so many classes was at hand: each class of CIFAR-10 is cut into clusters of its images' features, "
        "so that the classes have a hierarchy and real features. A tenth of the labels is wrong, half of these within "
        "the class that was cut.\n\n" + "\n\n".join(parts)
    )


def stability(r: dict[str, Any]) -> str:
    """Return agreement with the default by what is changed, and what two sets of features find together."""
    parts = []
    for dataset, one in datasets_with(r, "alone"):
        alone = [[name, *_figures(v), *_agreement(v.get("agreement"))] for name, v in one["alone"].items()]
        halves = {key: float(np.mean([h[key] for h in one["halves"]])) for key in one["halves"][0]}
        alone.append([f"half of the data (mean of {len(one['halves'])})", *[""] * 4, *_agreement(halves)])
        pairs = [[name, *_figures(v), f"{v['one_suspects']:,} ({v['precision_of_one']:.0%})"]
                 for name, v in one["pairs"].items()]  # fmt: skip
        head = ["features", "AUROC of label_score", "average precision", "AUROC of LSI", "suspects (right)"]
        parts.append(
            f"**{dataset}**, {one['noise']}, n = {one['n']:,}. Agreement is Spearman's correlation with the default "
            "and the share of the twentieth of highest LSI that both have.\n\n"
            + table([*head, "LSI", "label_score", "top"], alone)
            + "\n\nThe mean of two label_scores, the mean of two ranks of LSI, and the labels that both suspect, or "
            "only one:\n\n" + table([*head[:-1], "both suspect (right)", "one suspects (right)"], pairs)
        )
    return "\n\n".join(parts) + "\n\n" + _gain(r)


def _figures(v: dict[str, float]) -> list[str]:
    return [f"{v['auroc']:.3f}", f"{v['average_precision']:.3f}", f"{v['lsi_auroc']:.3f}",
            f"{v['suspects']:,} ({v['precision']:.0%})"]  # fmt: skip


def _agreement(v: dict[str, float] | None) -> list[str]:
    return [""] * 3 if v is None else [f"{v['lsi']:.2f}", f"{v['label_score']:.2f}", f"{v['top']:.0%}"]


def _gain(r: dict[str, Any]) -> str:
    """Return what the mean of two gains over the better one, and over the worse one."""
    better: list[float] = []
    worse: list[float] = []
    agreed: list[float] = []
    for _, one in datasets_with(r, "alone"):
        for name, v in one["pairs"].items():
            both = [one["alone"][part]["auroc"] for part in name.split(" and ")]
            better.append(v["auroc"] - max(both))
            worse.append(v["auroc"] - min(both))
            agreed.append(v["precision"] - v["precision_of_one"])
    return (
        f"Over all {len(better)} pairs the mean of two label_scores finds wrong labels with an AUROC {_span(better)} "
        f"against the better of the two and {_span(worse)} against the worse; where both suspect a label it is wrong "
        f"more often than where one does, by {np.mean(agreed):.0%} of the labels on the mean."
    )


def _span(values: Sequence[float]) -> str:
    return f"{min(values):+.3f} to {max(values):+.3f} (mean {np.mean(values):+.3f})"
