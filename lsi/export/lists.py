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
from lsi.export.selection import Selection, exclusion_records
from lsi.export.tables import as_pandas, audit_table, cleaned_table, plan_of, write_csv, write_spreadsheet
from lsi.files import atomic, save_array, write_json
from lsi.runs.run import Run

Format = Literal["txt", "csv", "json", "npy", "parquet"]
FORMATS: tuple[Format, ...] = ("txt", "csv", "json", "npy", "parquet")


def check_folder(run: Run, folder: Path) -> None:
    """Raise where `folder` is the run's own.

    Raises:
        UsageError: it is.
    """
    if folder.resolve() == run.folder.resolve():
        raise UsageError("Export into a folder of its own: this one holds the run.")


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
) -> list[Path]:
    """Write a selection into `folder`, fit for whatever reads the source.

    `kept_indices.*` and `removed_indices.*` are rows of the source; `cleaned.csv` and `.parquet` the kept samples with
    their new labels, `audit.csv` all samples with what was decided, `relabel.csv` the new labels, `issues.csv`
    cleanlab's columns; `subset.py` makes a PyTorch subset or a DataFrame of the source, `manifest.json` says what was
    computed. All of these hold ids and class names as they are. `spreadsheet.csv` alone is made to be opened in a
    spreadsheet: what begins like a formula gets an apostrophe there.

    Args:
        run: the run.
        selection: what is kept, removed and relabelled.
        folder: where to write.
        formats: of the index lists.
        decisions: the records that the selection was made from; None: it was made by rule.

    Raises:
        UsageError: a format is unknown, or the folder is the run's own.
    """
    unknown = set(formats) - set(FORMATS)
    if unknown:
        raise UsageError(f"Expected formats among {', '.join(FORMATS)}, got {', '.join(sorted(unknown))}.")
    check_folder(run, folder)
    index = run.scores["index"].to_numpy()
    written = []
    for how in formats:
        for name, positions in (("kept", selection.kept), ("removed", selection.removed)):
            path = folder / f"{name}_indices.{how}"
            write_indices(path, index[positions], how)
            written.append(path)
    audit, issues = audit_table(run, selection, decisions), issue_table(run)
    cleaned = cleaned_table(audit, selection)
    tables = {"cleaned.csv": cleaned, "audit.csv": audit, "issues.csv": issues,
              "relabel.csv": relabel_table(run, selection)}  # fmt: skip
    for name, table in tables.items():
        write_csv(folder / name, table)
    with atomic(folder / "cleaned.parquet") as temporary:
        pq.write_table(cleaned, temporary)
    write_spreadsheet(folder / "spreadsheet.csv", _for_people(audit, issues))
    write_json(folder / "manifest.json", run.manifest | {"export": _facts(run, selection)})
    with atomic(folder / "subset.py") as temporary:
        shutil.copyfile(Path(__file__).with_name("subset.py"), temporary)
    written += [folder / name for name in (*tables, "cleaned.parquet", "spreadsheet.csv")]
    made = exclusion_records(run, selection.removed, "rule") if decisions is None else decisions
    write_decisions(folder / "decisions.json", run, made)
    return [*written, folder / "decisions.json", folder / "manifest.json", folder / "subset.py"]


def write_decisions(path: Path, run: Run, records: list[dict[str, Any]]) -> None:
    """Write decisions about a run's samples so that any run on the same data can take them.

    Args:
        path: of the file.
        run: the run.
        records: as `decision_records` gives them.
    """
    write_json(path, {"run": run.name, "dataset": run.subject.dataset, "decisions": records})


def issue_table(run: Run) -> pd.DataFrame:
    """Return cleanlab's columns is_label_issue, label_score, given_label, predicted_label, with names and ids.

    Where there are no classes, residuals and targets stand in the place of the labels.
    """
    names = np.array(run.class_names)
    table = run.scores[["index", "id", "is_label_issue", "label_score", "given_label", "predicted_label"]].copy()
    if run.task != "classification":  # no labels, but what a regression was to predict
        shown = [c for c in run.scores.columns if c.startswith(("target ", "loo_prediction "))]
        numbers = run.scores[["loo_residual_norm", "standardised_residual", *shown]]
        return pd.concat([table.drop(columns=["given_label", "predicted_label"]), numbers], axis=1)
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


def _for_people(audit: pa.Table, issues: pd.DataFrame) -> pd.DataFrame:
    """Return every sample with what was decided and why it was suspected, in one table."""
    table = as_pandas(audit)
    reasons = issues.drop(columns=["index", "id", "given_label", "given_name", "predicted_label"], errors="ignore")
    reasons = reasons.rename(columns={"predicted_name": "suggested_label"})
    return pd.concat([table, reasons[[c for c in reasons.columns if c not in table.columns]]], axis=1)


def _facts(run: Run, selection: Selection) -> dict[str, Any]:
    return {
        "run": run.name,
        "n_kept": len(selection.kept),
        "n_removed": len(selection.removed),
        "n_relabelled": len(selection.relabelled),
        "source_length": plan_of(run).get("source_length") or None,
    }
