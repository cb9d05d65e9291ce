"""What is kept, removed and relabelled: by rule, by the decisions in force, or by a file of decisions."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from lsi.audit.condense import condense
from lsi.data.sources.splits import held_out
from lsi.errors import UsageError
from lsi.export.leaks import leaks_to_drop, why_no_duplicates
from lsi.runs.records import check_found, find, in_force, records_of
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


def select(
    run: Run,
    *,
    drop_issues: bool = False,
    keep_top: int | None = None,
    keep_one: bool = False,
    drop_leaks: bool = False,
    keep_share: float | None = None,
) -> Selection:
    """Return a selection by rule.

    Args:
        run: the run.
        drop_issues: remove the suspected label issues; the rules below look at what that leaves.
        keep_top: keep only this many samples, those of highest LSI among the rest.
        keep_one: keep one sample of each near-duplicate group: of the split that is held out most, and of these the
            one whose given label is likeliest.
        drop_leaks: remove near duplicates of what is held out from the other splits.
        keep_share: keep this share of the run's samples, spread over the LSI of each class, and no suspect.

    Raises:
        UsageError: `keep_top` is below 1, `keep_share` not within 0 … 1, or both are asked for; or near duplicates were
            not looked for.
    """
    table = run.scores
    if (drop_leaks or keep_one) and (why := why_no_duplicates(run)):
        raise UsageError(f"{run.name}: {why} Leave --keep-one and --drop-leaks out.")
    kept = np.ones(len(table), dtype=bool)
    if drop_issues or keep_share is not None:
        kept &= ~table["is_label_issue"].to_numpy()
    if drop_leaks:
        kept[leaks_to_drop(table[kept])] = False
    if keep_one:
        kept[duplicates_to_drop(table[kept])] = False
    if keep_share is not None:
        if keep_top is not None:
            raise UsageError("Give keep_top or keep_share, not both.")
        if not 0 < keep_share <= 1:
            raise UsageError(f"Expected 0 < keep_share ≤ 1, got {keep_share:g}.")
        count = max(1, round(keep_share * len(table)))
        chosen = spread(run, np.flatnonzero(kept), count)
        kept = np.isin(np.arange(len(table)), chosen)
    if keep_top is not None:
        if keep_top < 1:
            raise UsageError(f"Expected keep_top ≥ 1, got {keep_top}.")
        ranked = table.index[kept][np.argsort(-table["lsi"].to_numpy()[kept], kind="stable")]
        kept[ranked[keep_top:]] = False
    return Selection(np.flatnonzero(kept), np.flatnonzero(~kept), {})


def spread(run: Run, positions: np.ndarray, count: int) -> np.ndarray:
    """Return which of these positions stay where `count` may, spread over the LSI of each class; no suspect does.

    Args:
        run: the run.
        positions: (s,) rows of its table.
        count: how many may stay, at least 1.
    """
    rows = run.scores.iloc[positions]
    labelled = run.task == "classification"
    strata = rows["given_label"].to_numpy() if labelled else np.zeros(len(rows), np.int64)
    return positions[condense(rows["lsi"].to_numpy(), strata, ~rows["is_label_issue"].to_numpy(dtype=bool), count)]


def selection_of(run: Run, decided: pd.DataFrame) -> Selection:
    """Return what decisions come to; `decided` is indexed by position, with columns action and label."""
    removed = np.zeros(len(run.scores), dtype=bool)
    removed[decided.index[decided["action"] == "exclude"].to_numpy(dtype=np.int64)] = True
    changed = decided[decided["action"] == "relabel"]
    relabelled = {int(i): int(c) for i, c in changed["label"].items()}  # type: ignore[call-overload]
    return Selection(np.flatnonzero(~removed), np.flatnonzero(removed), relabelled)


def duplicates_to_drop(table: pd.DataFrame) -> np.ndarray:
    """Return all but one of each near-duplicate group: what is held out stays, then the likeliest label, then LSI."""
    grouped = table[table["near_duplicate_group"] >= 0]
    rank = grouped["split"].astype(str).map(held_out) if "split" in grouped.columns else 0
    order = ["near_duplicate_group", "held_out", "label_score", "lsi"]
    ordered = grouped.assign(held_out=rank).sort_values(order, ascending=[True, False, False, False])
    return ordered.index[ordered.duplicated("near_duplicate_group")].to_numpy()


def selection_from_records(run: Run, records: list[dict[str, Any]]) -> Selection:
    """Return what a file of decisions comes to, as `decision_records` wrote it, on this run.

    Records of samples that the run does not have change nothing.

    Raises:
        DataError: none of the records is about a sample of the run, or one names an action or label that is none.
    """
    records = records_of({"decisions": records})
    fitting, lost = _fitting(run, records)
    if lost and len(lost) == len(records):
        check_found(run.subject, lost)
    return selection_of(run, in_force(run.subject, fitting))


def n_without_sample(run: Run, records: list[dict[str, Any]]) -> int:
    """Return how many records of a file are about samples that a run neither has nor was started without."""
    return len(_fitting(run, records)[1])


def _fitting(run: Run, records: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return the records about samples of the run, and those about samples that it does not know."""
    left = {(r["id"], r["content"]) for r in run.decided_before if r["action"] == "exclude"}
    present = [r for r in records if (r.get("id"), r.get("content")) not in left]
    is_there = (find(run.subject, present) >= 0).tolist()
    fitting = [r for r, there in zip(present, is_there, strict=True) if there]
    return fitting, [r for r, there in zip(present, is_there, strict=True) if not there]
