"""Index lists and tables out of a run, written where the person asks for them, never over the data."""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from lsi.errors import UsageError
from lsi.runs import Run
from lsi.store import atomic, save_array, write_json

Format = Literal["txt", "csv", "json", "npy", "parquet"]
FORMATS: tuple[Format, ...] = ("txt", "csv", "json", "npy", "parquet")
# characters with which spreadsheets begin a formula
_FORMULA = re.compile(r"^[=+\-@\t\r]")


@dataclass(frozen=True)
class Selection:
    """What is kept, removed and relabelled: positions (rows of the run's table) and new labels by position."""

    kept: np.ndarray
    removed: np.ndarray
    relabelled: dict[int, int]


def select(run: Run, *, drop_issues: bool = False, keep_top: int | None = None, keep_one: bool = False) -> Selection:
    """Return a selection by rule.

    Args:
        run: the run.
        drop_issues: remove the suspected label issues.
        keep_top: keep only this many samples, those of highest LSI among the rest.
        keep_one: keep one sample of each near-duplicate group, the one whose given label is likeliest.
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
    rows = run.scores.loc[decided.index, ["index", "id"]].reset_index(drop=True)
    told = decided.reset_index(drop=True)
    told["time"] = told["time"].astype(str)
    told["label"] = [None if pd.isna(v) else int(v) for v in told["label"]]
    table = pd.concat([rows, told[["action", "label", "reviewer", "time"]]], axis=1)
    return table.astype(object).where(table.notna(), None).to_dict("records")  # type: ignore[return-value]


def duplicates_to_drop(table: pd.DataFrame) -> np.ndarray:
    """Return all but one of each near-duplicate group: the likeliest given label stays, then the higher LSI."""
    grouped = table[table["near_duplicate_group"] >= 0]
    ordered = grouped.sort_values(["near_duplicate_group", "loo_p_given", "lsi"], ascending=[True, False, False])
    return ordered.index[ordered.duplicated("near_duplicate_group")].to_numpy()


def write_indices(path: Path, values: np.ndarray, how: Format) -> None:
    """Write source indices, one a line or one array."""
    values = np.asarray(values, dtype=np.int64)
    with atomic(path) as temporary:
        if how == "txt":
            temporary.write_text("".join(f"{v}\n" for v in values))
        elif how == "csv":
            pd.DataFrame({"index": values}).to_csv(temporary, index=False)
        elif how == "json":
            temporary.write_text(json.dumps(values.tolist()) + "\n")
        elif how == "parquet":
            pd.DataFrame({"index": values}).to_parquet(temporary, index=False)
    if how == "npy":
        save_array(path, values)


def export(
    run: Run,
    selection: Selection,
    folder: Path,
    formats: tuple[Format, ...] = FORMATS,
    decisions: list[dict[str, Any]] | None = None,
) -> list[Path]:
    """Write kept and removed source indices, the relabel table, cleanlab's columns and the manifest into `folder`.

    Raises:
        UsageError: a format is unknown, or the folder is the run's own.
    """
    unknown = set(formats) - set(FORMATS)
    if unknown:
        raise UsageError(f"Expected formats among {', '.join(FORMATS)}, got {', '.join(sorted(unknown))}.")
    if folder.resolve() == run.folder.resolve():
        raise UsageError("Export into a folder of its own: this one holds the run.")
    index = run.scores["index"].to_numpy()
    written = []
    for how in formats:
        for name, positions in (("kept", selection.kept), ("removed", selection.removed)):
            path = folder / f"{name}_indices.{how}"
            write_indices(path, index[positions], how)
            written.append(path)
    tables = {"issues.csv": issue_table(run), "relabel.csv": relabel_table(run, selection)}
    for name, table in tables.items():
        with atomic(folder / name) as temporary:
            spreadsheet_safe(table).to_csv(temporary, index=False)
        written.append(folder / name)
    write_json(folder / "manifest.json", run.manifest | {"export": _facts(run, selection)})
    snippet = folder / "subset.py"
    with atomic(snippet) as temporary:
        temporary.write_text(_SNIPPET)
    if decisions is not None:
        write_json(folder / "decisions.json", {"run": run.name, "decisions": decisions})
        written.append(folder / "decisions.json")
    return [*written, folder / "manifest.json", snippet]


def issue_table(run: Run) -> pd.DataFrame:
    """Return cleanlab's columns: is_label_issue, label_score, given_label, predicted_label, with names and ids."""
    names = np.array(run.class_names)
    table = run.scores[["index", "id", "is_label_issue", "label_score", "given_label", "predicted_label"]].copy()
    table["given_name"], table["predicted_name"] = names[table["given_label"]], names[table["predicted_label"]]
    return table


def relabel_table(run: Run, selection: Selection) -> pd.DataFrame:
    """Return one row a relabelled sample."""
    positions = np.array(sorted(selection.relabelled), dtype=np.int64)
    names = np.array(run.class_names)
    rows = run.scores.loc[positions, ["index", "id", "given_label"]].copy()
    rows["new_label"] = np.array([selection.relabelled[int(i)] for i in positions], dtype=np.int64)
    rows["given_name"], rows["new_name"] = names[rows["given_label"]], names[rows["new_label"]]
    return rows


def spreadsheet_safe(table: pd.DataFrame) -> pd.DataFrame:
    """Return the table with an apostrophe before text that a spreadsheet would run as a formula."""
    safe = table.copy()
    for column in safe.columns:
        if not pd.api.types.is_numeric_dtype(safe[column]):
            safe[column] = [f"'{v}" if isinstance(v, str) and _FORMULA.match(v) else v for v in safe[column]]
    return safe


def _facts(run: Run, selection: Selection) -> dict[str, Any]:
    return {
        "run": run.name,
        "n_kept": len(selection.kept),
        "n_removed": len(selection.removed),
        "n_relabelled": len(selection.relabelled),
    }


_SNIPPET = '''"""The kept samples as a PyTorch subset: `cleaned = kept(dataset)`, with the dataset that was audited."""

import csv
from pathlib import Path

from torch.utils.data import Subset

HERE = Path(__file__).parent


def kept(dataset):
    """Return the kept samples of the dataset, in its own order."""
    with (HERE / "kept_indices.csv").open() as file:
        return Subset(dataset, [int(row["index"]) for row in csv.DictReader(file)])
'''
