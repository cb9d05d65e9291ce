"""What is kept, removed and relabelled: by rule, by the decisions in force, or by a file of decisions."""

from dataclasses import dataclass
from datetime import UTC, datetime
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
    """Return the decisions as plain records: of which sample, by source index, id and content, and the class by name.

    Args:
        run: the run.
        decided: decisions in force, indexed by position, with columns action, label, reviewer and time.
    """
    about, table = run.subject, run.scores
    columns = zip(decided.index, decided["action"], decided["label"], decided["reviewer"], decided["time"], strict=True)
    records = []
    for position, action, label, reviewer, when in columns:
        number = None if pd.isna(label) else int(label)
        given = None if about.given is None else int(about.given[position])
        records.append({
            "index": int(table["index"].iloc[position]), "id": str(about.ids[position]),
            "content": str(about.contents[position]), "action": str(action), "label": number,
            "label_name": about.name(number), "given_name": about.name(given), "reviewer": str(reviewer),
            "time": str(when),
        })  # fmt: skip
    return records


def exclusion_records(run: Run, positions: np.ndarray, reviewer: str) -> list[dict[str, Any]]:
    """Return records that exclude these samples, for what a rule and no person leaves out.

    Args:
        run: the run.
        positions: (s,) rows of its table.
        reviewer: what stands in the place of a reviewer's name.
    """
    decided = {"action": "exclude", "label": np.nan, "reviewer": reviewer, "time": ""}
    return decision_records(run, pd.DataFrame(decided, index=np.asarray(positions, dtype=np.int64)))


def records_to_add(content: Any, run: Run | None = None) -> tuple[str, list[dict[str, Any]]]:
    """Return the dataset's name and the decisions of a file as `Reviews.add` takes them.

    Args:
        content: what `decisions.json` holds.
        run: on the same data; needed for files of versions that named samples by index and id alone.

    Raises:
        DataError: it is no such file, a record is none, or a sample or class cannot be told without its run.
    """
    records = content.get("decisions") if isinstance(content, dict) else None
    if not isinstance(records, list) or not all(isinstance(record, dict) for record in records):
        raise DataError("Expected the decisions.json that an export wrote.")
    dataset = content.get("dataset") or (None if run is None else run.subject.dataset)
    if not all("content" in record for record in records) or not isinstance(dataset, str):
        if run is None:
            raise DataError("These decisions are of a version that kept no content: name a run on the same data.")
        selection_from_records(run, records)  # refuses other data
    return str(dataset), [_to_add(record, run) for record in records]


def _to_add(record: dict[str, Any], run: Run | None) -> dict[str, Any]:
    _check_action(record)
    content, name, given = (record.get(part) for part in ("content", "label_name", "given_name"))
    if content is None:
        assert run is not None
        about, position = run.subject, int(np.flatnonzero(run.scores["index"] == record["index"])[0])
        content, name = about.contents[position], about.name(record.get("label"))
        given = None if about.given is None else about.name(int(about.given[position]))
    if record["action"] == "relabel" and not isinstance(name, str):
        raise DataError(f"Sample {record.get('index')}: expected the new label's name, got {name!r}.")
    return {"sample_id": str(record["id"]), "content": str(content), "action": record["action"],
            "label": record.get("label"), "label_name": name, "given_name": given,
            "reviewer": str(record.get("reviewer", "")), "time": _time(record)}  # fmt: skip


def _time(record: dict[str, Any]) -> datetime | None:
    """Return when it was decided, aware; None for what a rule decided."""
    if not record.get("time"):
        return None
    try:
        when = datetime.fromisoformat(str(record["time"]))
    except ValueError as error:
        raise DataError(f"Sample {record.get('index')}: expected a time, got {record['time']!r}.") from error
    return when if when.tzinfo else when.replace(tzinfo=UTC)


def _check_action(record: dict[str, Any]) -> None:
    if record.get("action") not in ("keep", "relabel", "exclude", "unsure"):
        raise DataError(
            f"Sample {record.get('index')}: expected keep, relabel, exclude or unsure, got {record.get('action')!r}."
        )


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
        if isinstance(record.get("content"), str):  # another run may have other rows
            found = int(run.subject.find([str(record.get("id"))], [record["content"]])[0])
            position = found if found >= 0 else None
        if position is None or ids[position] != record.get("id"):
            raise DataError(
                f"{run.name} holds no sample {record.get('index')} with id {record.get('id')!r}: "
                "these decisions belong to other data."
            )
        _check_action(record)
        action, label = record["action"], record.get("label")
        if isinstance(record.get("label_name"), str):
            label = run.subject.label(record["label_name"])
            if label is None:
                raise DataError(f"Sample {record.get('index')}: {run.name} has no class {record['label_name']!r}.")
        removed[position] = action == "exclude"
        relabelled.pop(position, None)
        if action == "relabel":
            if not (isinstance(label, int) and 0 <= label < k):
                raise DataError(f"Sample {record['index']}: expected a label 0 … {k - 1}, got {label!r}.")
            relabelled[position] = label
    return Selection(np.flatnonzero(~removed), np.flatnonzero(removed), relabelled)
