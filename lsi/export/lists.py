"""Index lists and tables out of a run, written where the person asks for them, never over the data."""

import json
import shutil
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from lsi.errors import UsageError
from lsi.export.leaks import has_splits, leak_table, why_no_duplicates
from lsi.export.selection import Selection
from lsi.export.tables import (
    as_pandas,
    audit_table,
    cleaned_table,
    final_labels,
    plan_of,
    relabelled,
    write_csv,
    write_spreadsheet,
)
from lsi.export.untouched import MANIFEST, check_folder, claim, earlier_export, refuse_sources
from lsi.files import atomic, read_json, remove_leftovers, save_array, write_json
from lsi.runs.labels import labels_in_data
from lsi.runs.records import exclusion_records, leaves_said
from lsi.runs.run import Run

Format = Literal["txt", "csv", "json", "npy", "parquet"]
LEFTOVER_SECONDS = 3600.0  # another export may be writing into the same folder
FORMATS: tuple[Format, ...] = ("txt", "csv", "json", "npy", "parquet")
_LISTS = [f"{name}_indices.{how}" for name in ("kept", "removed") for how in FORMATS]
_OF_TOOLS = ("label-studio.json", "label-studio.xml", "fiftyone.json", "fiftyone_dataset.py")
NAMES = (
    *_LISTS, *_OF_TOOLS, "cleaned.csv", "cleaned.parquet", "audit.csv", "relabel.csv", "leaks.csv", "issues.csv",
    "spreadsheet.csv", "subset.py", "decisions.json", MANIFEST,
)  # fmt: skip


def write_indices(path: Path, values: np.ndarray, how: Format) -> None:
    """Write source indices, one per line or as one array.

    Args:
        path: of the file.
        values: (s,) rows of the source.
        how: format of the file.
    """
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
    remarks: list[dict[str, Any]] | None = None,
) -> list[Path]:
    """Write a selection into `folder`, fit for whatever reads the source.

    `kept_indices.*` and `removed_indices.*` are rows of the source; `cleaned.csv` and `.parquet` the kept samples with
    their new labels, `audit.csv` all samples with what was decided, `relabel.csv` the new labels, `issues.csv`
    cleanlab's columns, `leaks.csv` near duplicates that lie in several splits; `subset.py` makes a PyTorch subset or a
    DataFrame of the source, `manifest.json` says what was computed. All of these hold ids and class names as they are.
    `spreadsheet.csv` alone is made to be opened in a spreadsheet: what begins like a formula gets an apostrophe there.

    Args:
        run: the run.
        selection: what is kept, removed and relabelled.
        folder: where to write.
        formats: of the index lists.
        decisions: the records that the selection was made from; None: it was made by rule.
        remarks: tags and notes on the samples, as `remark_records` gives them.

    Raises:
        UsageError: a format is unknown, the folder is the run's own or that of its data, or what was computed from, or
            what no export wrote, would be overwritten.
    """
    unknown = set(formats) - set(FORMATS)
    if unknown:
        raise UsageError(f"Expected formats among {', '.join(FORMATS)}, got {', '.join(sorted(unknown))}.")
    refuse_sources(run, [folder / name for name in NAMES])
    check_folder(run, folder, NAMES)
    claim(run, folder)
    remove_leftovers(folder, LEFTOVER_SECONDS)
    _remove_earlier(folder)
    index = run.scores["index"].to_numpy()
    before = [record["index"] for record in run.decided_before if record["action"] == "exclude"]
    removed = np.sort(np.concatenate([index[selection.removed], np.array(before, dtype=np.int64)]))
    written = []
    for how in formats:
        for name, rows in (("kept", index[selection.kept]), ("removed", removed)):
            path = folder / f"{name}_indices.{how}"
            write_indices(path, rows, how)
            written.append(path)
    audit = audit_table(run, selection, decisions, remarks)
    cleaned = cleaned_table(audit, selection)
    tables: dict[str, Any] = {"cleaned.csv": cleaned, "audit.csv": audit, "relabel.csv": relabel_table(run, selection)}
    if has_splits(run.scores) and not why_no_duplicates(run):
        tables["leaks.csv"] = leak_table(run.scores, run.class_names if run.task == "classification" else [])
    issues = issue_table(run) if run.has_scores else None
    tables |= {} if issues is None else {"issues.csv": issues}
    for name, table in tables.items():
        write_csv(folder / name, table)
    with atomic(folder / "cleaned.parquet") as temporary:
        pq.write_table(cleaned, temporary)
    write_spreadsheet(folder / "spreadsheet.csv", _for_people(audit, issues))
    facts = {"run": run_behind(run), **totals(run, selection), "images": _images_beside(folder),
             "source_length": plan_of(run).get("source_length") or None}  # fmt: skip
    write_json(folder / MANIFEST, run.manifest | {"export": facts})
    with atomic(folder / "subset.py") as temporary:
        shutil.copyfile(Path(__file__).with_name("subset.py"), temporary)
    written += [folder / name for name in (*tables, "cleaned.parquet", "spreadsheet.csv")]
    made = exclusion_records(run.subject, selection.removed, "rule") if decisions is None else decisions
    write_decisions(folder / "decisions.json", run, made, remarks)
    return [*written, folder / "decisions.json", folder / MANIFEST, folder / "subset.py"]


def note_written(folder: Path, files: list[Path]) -> list[str]:
    """Note in the manifest of an export which Parquet files of images lie beside it, and return those of before.

    Args:
        folder: of the export.
        files: of Parquet that were written now.
    """
    names = [file.relative_to(folder).as_posix() for file in files]
    before = [name for name in _images_beside(folder) if name not in names]
    manifest = read_json(folder / MANIFEST) or {}
    write_json(folder / MANIFEST, manifest | {"export": manifest.get("export", {}) | {"images": [*before, *names]}})
    return before


def _images_beside(folder: Path) -> list[str]:
    """Return the Parquet files of images that earlier exports into a folder wrote and that still lie there."""
    found = earlier_export(folder) or {}
    return [name for name in found.get("images", ()) if (folder / str(name)).is_file()]


def _remove_earlier(folder: Path) -> None:
    """Remove the lists and tables of an earlier export into the same folder, so that none contradicts the new ones."""
    if earlier_export(folder) is None:
        return
    for name in (*_LISTS, "leaks.csv", "issues.csv", *_OF_TOOLS):  # all others are written by every export
        (folder / name).unlink(missing_ok=True)


def write_decisions(
    path: Path, run: Run, records: list[dict[str, Any]], remarks: list[dict[str, Any]] | None = None
) -> int:
    """Write decisions about a run's samples so that any run on the same data can take them, and return how many.

    Those that the run started from come first: what was decided since on the same sample counts.

    Args:
        path: of the file.
        run: the run.
        records: as `decision_records` gives them.
        remarks: tags and notes, as `remark_records` gives them.
    """
    again = {(record["id"], record.get("content")): record for record in records if record.get("time") != ""}
    before = [record for record in run.decided_before if not _is_replaced(record, again)]
    content = {"run": run_behind(run), "dataset": run.subject.dataset, "decisions": [*before, *records]}
    write_json(path, content | ({"remarks": remarks} if remarks else {}))
    return len(before) + len(records)


def run_behind(run: Run) -> str | None:
    """Return the name of the run; of data that were only read, of the one that the decisions were made on, if any."""
    return run.name if run.has_scores else run.manifest.get("run")


def _is_replaced(record: dict[str, Any], again: dict[tuple[str, str | None], dict[str, Any]]) -> bool:
    """Say whether a record of before a run is replaced by one since: not the label, where that says nothing of it."""
    since = again.get((record["id"], record["content"]))
    return since is not None and not leaves_said(since, record)


def issue_table(run: Run) -> pd.DataFrame:
    """Return cleanlab's columns is_label_issue, label_score, given_label, predicted_label, with names and ids.

    As in cleanlab the predicted label is the likeliest by the probabilities that the scores come from.

    Where there are no classes, residuals and targets stand in the place of the labels.
    """
    names = np.array(run.class_names, dtype=object)
    table = run.scores[["index", "id", "is_label_issue", "label_score", "given_label", "suggested_label"]].copy()
    table = table.rename(columns={"suggested_label": "predicted_label"})
    if run.task != "classification":  # no labels, but what a regression was to predict
        shown = [f"{what} {name}" for name in run.target_names for what in ("target", "loo_prediction")]
        numbers = run.scores[["loo_residual_norm", "standardised_residual", *shown]]
        return pd.concat([table.drop(columns=["given_label", "predicted_label"]), numbers], axis=1)
    table["given_name"], table["predicted_name"] = names[table["given_label"]], names[table["predicted_label"]]
    return table


def relabel_table(run: Run, selection: Selection) -> pd.DataFrame:
    """Return one row a relabelled sample; a class that no sample has any more has the number −1."""
    names, number = np.array(run.class_names, dtype=object), {name: i for i, name in enumerate(run.class_names)}
    given, new, chosen = labels_in_data(run), final_labels(run, selection), relabelled(run, selection)
    rows = run.scores.loc[chosen, ["index", "id"]].copy()
    rows["given_label"] = np.array([number.get(name, -1) for name in given[chosen]], dtype=np.int64)
    rows["new_label"], rows["given_name"], rows["new_name"] = new[chosen], given[chosen], names[new[chosen]]
    return rows


def _for_people(audit: pa.Table, issues: pd.DataFrame | None) -> pd.DataFrame:
    """Return every sample with what was decided and why it was suspected, in one table.

    A column of the data that has the name of a reason comes as `source_<name>`.
    """
    table = as_pandas(audit)
    if issues is None:
        return table
    reasons = issues.drop(columns=["index", "id", "given_label", "given_name", "predicted_label"], errors="ignore")
    reasons = reasons.rename(columns={"predicted_name": "suggested_label"})
    used, names = {*table.columns, *reasons.columns}, {}
    for column in table.columns.intersection(reasons.columns):
        name = column
        while name in used:
            name = f"source_{name}"
        used.add(name)
        names[column] = name
    return pd.concat([table.rename(columns=names), reasons], axis=1)


def excluded_before(run: Run) -> int:
    """Return how many samples the decisions that a run started from left out."""
    return sum(record["action"] == "exclude" for record in run.decided_before)


def totals(run: Run, selection: Selection) -> dict[str, int]:
    """Return how many of the data's samples are kept, removed and relabelled, before the run or since."""
    before = excluded_before(run)
    return {"n_kept": len(selection.kept), "n_removed": len(selection.removed) + before,
            "n_relabelled": len(relabelled(run, selection))}  # fmt: skip
