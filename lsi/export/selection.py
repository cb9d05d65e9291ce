"""What is kept, removed and relabelled: by rule, by the decisions in force, or by a file of decisions."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from lsi.errors import DataError, UsageError
from lsi.runs.run import Run


@dataclass(frozen=True)
class Selection:
    """What is kept, removed and relabelled: positions (rows of the run's table) and new labels by position."""

    kept: np.ndarray
    removed: np.ndarray
    relabelled: dict[int, int]

    def within(self, positions: np.ndarray) -> "Selection":
        """Return the same with everything outside `positions` removed too."""
        kept = np.intersect1d(self.kept, positions)
        stays = set(kept.tolist())
        everything = np.union1d(self.kept, self.removed)
        relabelled = {i: c for i, c in self.relabelled.items() if i in stays}
        return Selection(kept, np.setdiff1d(everything, kept), relabelled)


def select(run: Run, *, drop_issues: bool = False, keep_top: int | None = None, keep_one: bool = False) -> Selection:
    """Return a selection by rule.

    Args:
        run: the run.
        drop_issues: remove the suspected label issues.
        keep_top: keep only this many samples, those of highest LSI among the rest.
        keep_one: keep one sample of each near-duplicate group, the one whose given label is likeliest.

    Raises:
        UsageError: `keep_top` is below 1.
    """
    table = run.scores
    kept = np.ones(len(table), dtype=bool)
    if drop_issues:
        kept &= ~table["is_label_issue"].to_numpy()
    if keep_one:
        kept[duplicates_to_drop(table)] = False
    if keep_top is not None:
        if keep_top < 1:
            raise UsageError(f"Expected keep_top ≥ 1, got {keep_top}.")
        ranked = table.index[kept][np.argsort(-table["lsi"].to_numpy()[kept], kind="stable")]
        kept[ranked[keep_top:]] = False
    return Selection(np.flatnonzero(kept), np.flatnonzero(~kept), {})


def selection_of(run: Run, decided: pd.DataFrame) -> Selection:
    """Return what decisions come to; `decided` is indexed by position, with columns action and label."""
    removed = np.zeros(len(run.scores), dtype=bool)
    removed[decided.index[decided["action"] == "exclude"].to_numpy(dtype=np.int64)] = True
    changed = decided[decided["action"] == "relabel"]
    relabelled = {int(i): int(c) for i, c in changed["label"].items()}  # type: ignore[call-overload]
    return Selection(np.flatnonzero(~removed), np.flatnonzero(removed), relabelled)


def decision_records(run: Run, decided: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the decisions as plain records, by source index and id."""
    rows = run.scores.loc[decided.index]
    columns = zip(rows["index"], rows["id"], decided["action"], decided["label"], decided["reviewer"], decided["time"],
               strict=True)  # fmt: skip
    return [
        {"index": int(index), "id": str(name), "action": str(action), "label": None if pd.isna(label) else int(label),
         "reviewer": str(reviewer), "time": str(when)}
        for index, name, action, label, reviewer, when in columns
    ]  # fmt: skip


def exclusion_records(run: Run, positions: np.ndarray, reviewer: str) -> list[dict[str, Any]]:
    """Return records that exclude these samples, for what a rule and no person leaves out.

    Args:
        run: the run.
        positions: (s,) rows of its table.
        reviewer: what stands in the place of a reviewer's name.
    """
    rows = run.scores.iloc[positions]
    about = {"action": "exclude", "label": None, "reviewer": reviewer, "time": ""}
    return [{"index": int(i), "id": str(name), **about} for i, name in zip(rows["index"], rows["id"], strict=True)]


def duplicates_to_drop(table: pd.DataFrame) -> np.ndarray:
    """Return all but one of each near-duplicate group: the likeliest given label stays, then the higher LSI."""
    grouped = table[table["near_duplicate_group"] >= 0]
    ordered = grouped.sort_values(["near_duplicate_group", "label_score", "lsi"], ascending=[True, False, False])
    return ordered.index[ordered.duplicated("near_duplicate_group")].to_numpy()


def selection_from_records(run: Run, records: list[dict[str, Any]]) -> Selection:
    """Return what a file of decisions comes to, as `decision_records` wrote it, on this run.

    Raises:
        DataError: a record names a sample, action or label that the run does not have.
    """
    positions = {int(index): i for i, index in enumerate(run.scores["index"])}
    ids, k = run.scores["id"].to_numpy(), len(run.class_names)
    removed, relabelled = np.zeros(len(ids), dtype=bool), {}
    for record in records:
        position = positions.get(record.get("index", -1))
        if position is None or ids[position] != record.get("id"):
            raise DataError(
                f"{run.name} holds no sample {record.get('index')} with id {record.get('id')!r}: "
                "these decisions belong to other data."
            )
        action, label = record.get("action"), record.get("label")
        if action not in ("keep", "relabel", "exclude", "unsure"):
            raise DataError(f"Sample {record['index']}: expected keep, relabel, exclude or unsure, got {action!r}.")
        removed[position] = action == "exclude"
        relabelled.pop(position, None)
        if action == "relabel":
            if not (isinstance(label, int) and 0 <= label < k):
                raise DataError(f"Sample {record['index']}: expected a label 0 … {k - 1}, got {label!r}.")
            relabelled[position] = label
    return Selection(np.flatnonzero(~removed), np.flatnonzero(removed), relabelled)
