"""Index lists and tables out of a run, written where the person asks for them, never over the data."""

import json
import re
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from lsi.errors import UsageError
from lsi.export.selection import Selection
from lsi.files import atomic, save_array, write_json
from lsi.runs.run import Run

Format = Literal["txt", "csv", "json", "npy", "parquet"]
FORMATS: tuple[Format, ...] = ("txt", "csv", "json", "npy", "parquet")
# characters with which spreadsheets begin a formula
_FORMULA = re.compile(r"^[=+\-@\t\r]")


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
    """Write kept and removed source indices, the relabel table, cleanlab's columns and the manifest into `folder`.

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
