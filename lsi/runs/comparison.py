"""Two runs on the same data side by side: what decisions, another backbone, seed or prior, or new samples changed.

Samples are matched by id and content, classes by name; noise that was added to an image makes it no other.
"""

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Bool

from lsi.audit.remaining import WEAK, estimate_remaining_errors
from lsi.errors import UsageError
from lsi.runs.reading import knows_duplicates
from lsi.runs.run import Run
from lsi.runs.subject import without_noise


@dataclass(frozen=True)
class Comparison:
    """What differs between two runs.

    Attributes:
        figures: name, before, after: headline figures; NaN where a run has none.
        classes: class, samples_before, samples_after, suspected_before, suspected_after, and lsi_before and lsi_after
            (mean LSI in nats); empty where either has no classes.
        shared: one row for each sample of both: id, before and after (positions), given_before and given_after (class
            names, or nothing), rank_before and rank_after (share of the run's samples with at most its LSI, 0 … 1),
            lsi_before and lsi_after (nats), suspected_before and suspected_after.
        added: positions in the second run of samples that the first one lacks.
        removed: positions in the first run of samples that the second one lacks.
    """

    figures: pd.DataFrame
    classes: pd.DataFrame
    shared: pd.DataFrame
    added: np.ndarray
    removed: np.ndarray

    @cached_property
    def rank_agreement(self) -> float:
        """Spearman's correlation of LSI over the samples of both runs; NaN for fewer than three."""
        if len(self.shared) < 3:
            return math.nan
        return float(self.shared["lsi_before"].corr(self.shared["lsi_after"], method="spearman"))

    @property
    def has_labels(self) -> bool:
        """Whether both runs are of class labels, which can be compared."""
        return bool((self.shared["given_before"] != "").any() and (self.shared["given_after"] != "").any())

    def relabelled(self) -> pd.DataFrame:
        """Return the rows of `shared` whose labels differ; none where one of the runs knows no classes."""
        before, after = self.shared["given_before"], self.shared["given_after"]
        return self.shared[(before != after) & (before != "") & (after != "")]

    def moved(self, count: int = 20) -> pd.DataFrame:
        """Return the rows of `shared` whose rank moved most, the furthest first."""
        distance = (self.shared["rank_after"] - self.shared["rank_before"]).abs()
        return self.shared.loc[distance.sort_values(ascending=False, kind="stable").index[:count]]

    def to_dict(self, count: int = 20) -> dict[str, Any]:
        """Return plain values, as JSON holds them; of the samples that moved the first `count`."""
        kept = ["id", "given_before", "given_after", "rank_before", "rank_after", "lsi_before", "lsi_after"]
        return {
            "figures": plain_records(self.figures),
            "classes": plain_records(self.classes),
            "n_shared": len(self.shared),
            "n_added": len(self.added),
            "n_removed": len(self.removed),
            "rank_agreement": None if math.isnan(self.rank_agreement) else self.rank_agreement,
            "relabelled": plain_records(self.relabelled()[["id", "given_before", "given_after"]]),
            "moved": plain_records(self.moved(count)[kept]),
        }


def compare(before: Run, after: Run) -> Comparison:
    """Return what differs between two runs that share samples.

    Raises:
        UsageError: no sample of one is in the other.
    """
    found = _found(before, after)
    there = np.flatnonzero(found >= 0)
    here = found[there]
    if not len(there):
        raise UsageError(f"{before.name} and {after.name} share no sample: compare runs on the same data.")
    columns: dict[str, Any] = {"id": np.asarray(after.subject.ids, dtype=object)[there]}
    for name, run, rows in (("before", before, here), ("after", after, there)):
        table = run.scores
        columns[name], columns[f"given_{name}"] = rows, _given(run)[rows]
        columns[f"rank_{name}"] = (table["lsi"].rank(method="max") / len(table)).to_numpy()[rows]
        columns[f"lsi_{name}"] = table["lsi"].to_numpy()[rows]
        columns[f"suspected_{name}"] = table["is_label_issue"].to_numpy()[rows]
    is_left = np.ones(len(before.scores), dtype=bool)
    is_left[here] = False
    return Comparison(
        _figures(before, after),
        _classes(before, after),
        pd.DataFrame(columns),
        np.flatnonzero(found < 0),
        np.flatnonzero(is_left),
    )


def is_new(before: Run, after: Run) -> Bool[np.ndarray, " n"]:
    """Return which samples of a run the one before it lacks, by id and content, (n,); none where it lacks them all.

    Nothing is new for noise that was added to its image, nor for having been left out of the run before by a decision.

    Args:
        before: a run on a dataset of the same name.
        after: the run whose samples are asked for.
    """
    ids, contents = [str(i) for i in after.subject.ids], without_noise(after.subject.contents).tolist()
    lacks = _found(before, after) < 0
    if lacks.all():  # nothing in common: other data of the same name
        return ~lacks
    decided = {(str(record.get("id")), str(record.get("content"))) for record in before.decided_before}
    return lacks & np.array([sample not in decided for sample in zip(ids, contents, strict=True)], dtype=bool)


def _found(before: Run, after: Run) -> np.ndarray:
    """Return the position in the first run of each sample of the second, −1 for none, (n,)."""
    known = replace(before.subject, contents=without_noise(before.subject.contents))
    return known.find([str(i) for i in after.subject.ids], without_noise(after.subject.contents).tolist())


def _given(run: Run) -> np.ndarray:
    """Return the name of each sample's given class, "" where there are no classes."""
    if run.task != "classification":
        return np.full(len(run.scores), "", dtype=object)
    return np.array(run.class_names, dtype=object)[run.scores["given_label"]]


def _figures(before: Run, after: Run) -> pd.DataFrame:
    sides = [_figures_of(before), _figures_of(after)]
    return pd.DataFrame(
        [{"figure": name, "before": sides[0].get(name, np.nan), "after": sides[1].get(name, np.nan)}
         for name in dict.fromkeys([*sides[0], *sides[1]])]
    )  # fmt: skip


def _figures_of(run: Run) -> dict[str, float]:
    """Return the headline figures of a run by their names; counts and shares, LSI in nats."""
    summary, table = run.manifest["summary"], run.scores
    figures = {"samples": float(len(table)), "mean LSI (nats)": summary["lsi_mean"]}
    if run.task == "classification":
        figures["leave-one-out accuracy"] = summary["loo_accuracy"]
        figures["suspected labels"] = float(summary["n_label_issues"])
        if summary["loo_accuracy"] >= WEAK:  # below, the app gives no number either
            p = table["label_score"].to_numpy()[table["is_label_issue"].to_numpy()]
            estimate = estimate_remaining_errors(p, np.array([]), np.array([], dtype=bool))
            figures["of these expected wrong, at least"] = float(np.floor(estimate.low))
            figures["of these expected wrong, at most"] = float(np.ceil(estimate.high))
        if run.manifest.get("calibration"):
            figures["expected wrong by planted flips"] = run.manifest["calibration"]["expected_wrong"]
    else:
        figures["leave-one-out R²"] = run.manifest["targets"]["loo_r2"]
        if run.task == "regression":
            figures["suspected targets"] = float(summary["n_label_issues"])
    if knows_duplicates(run.manifest):
        figures["near duplicates"] = float(summary["n_near_duplicates"])
    return figures


def _classes(before: Run, after: Run) -> pd.DataFrame:
    if before.task != "classification" or after.task != "classification":
        return pd.DataFrame()
    names = {"n_samples": "samples", "n_label_issues": "suspected", "lsi_mean": "lsi"}
    sides = []
    for word, run in (("before", before), ("after", after)):
        table = pd.DataFrame(run.manifest["classes"]).set_index("class")[list(names)]
        sides.append(table.rename(columns={old: f"{new}_{word}" for old, new in names.items()}))
    joined = sides[0].join(sides[1], how="outer", sort=False)
    order = [f"{new}_{word}" for new in names.values() for word in ("before", "after")]
    counts = [c for c in order if not c.startswith("lsi")]
    return joined[order].fillna(dict.fromkeys(counts, 0)).astype(dict.fromkeys(counts, int)).reset_index()


def plain_records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the rows of a table as JSON can hold them, numbers with all of their digits; None for no finite number."""
    plain = table.astype(object).where(table.notna() & ~table.isin([np.inf, -np.inf]), None)
    return [{str(k): v.item() if isinstance(v, np.generic) else v for k, v in row.items()}
            for row in plain.to_dict("records")]  # fmt: skip
