"""The tables of an export: every sample with what was decided on it, and the columns that came with the data."""

import csv
import json
import re
from collections.abc import Iterable
from pathlib import Path, PurePath
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from lsi.data.sources.splits import same_split
from lsi.export.selection import Selection
from lsi.files import atomic
from lsi.runs.labels import labels_in_data, still_wrong
from lsi.runs.layout import BESIDE, SAMPLES, SCORES, SOMETIMES
from lsi.runs.records import Kind, find, states_label, texts_by_sample
from lsi.runs.run import Run

_OWN = ("index", "id", "path", "given_label", "label", "decision", "is_kept", "split", "text")
_SAID: dict[Kind, str] = {"tag": "tags", "note": "notes"}  # columns for what people said of a sample
_ARCHIVES = (".zip", ".tar", ".tgz", ".gz", ".bz2", ".xz")
_ADDRESS = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]+:/")
_NUMBERED = re.compile(r"\d{6,}(/.*)?", re.DOTALL)  # rows of a table, and a name that is not unique
# characters with which spreadsheets begin a formula, their wide forms among them
_FORMULA = re.compile(r"^[=+\-@\t\r\n＝＋－＠]")


def final_labels(run: Run, selection: Selection) -> np.ndarray:
    """Return the class index of each sample after relabelling, (n,) int64.

    A new label that the run started from counts as long as a decision among `decided_before` says it; where none does,
    the label is that of the data, if the run still has its class.
    """
    labels = run.scores["given_label"].to_numpy().astype(np.int64)
    number, in_data = {name: i for i, name in enumerate(run.class_names)}, labels_in_data(run)
    for position in _taken_back(run).tolist():
        labels[position] = number.get(str(in_data[position]), labels[position])
    labels[list(selection.relabelled)] = list(selection.relabelled.values())
    return labels


def n_without_class(run: Run, selection: Selection) -> int:
    """Return how many kept samples keep a new label that was taken back, as the run lacks the class of their own."""
    in_data, kept = labels_in_data(run), set(selection.kept.tolist()) - selection.relabelled.keys()
    return sum(i in kept and in_data[i] not in run.class_names for i in _taken_back(run).tolist())


def planted_labels(run: Run, selection: Selection) -> int:
    """Return how many of the kept samples still have a label that was corrupted on purpose for the run.

    None is counted where there is a second labelling too: the run does not know which labels are of which.
    """
    noise = run.asked("noise")
    if not (noise.get("corrupt_label") or noise.get("human_label_noise")) or run.asked("data").get("labels"):
        return 0
    return int(still_wrong(run, final_labels(run, selection))[selection.kept].sum())


def relabelled(run: Run, selection: Selection) -> np.ndarray:
    """Return the positions of the kept samples whose label is another one than the data's own."""
    if run.task != "classification":
        return np.array([], dtype=np.int64)
    new = np.array(run.class_names, dtype=object)[final_labels(run, selection)]
    return selection.kept[new[selection.kept] != labels_in_data(run)[selection.kept]]


def audit_table(
    run: Run,
    selection: Selection,
    records: list[dict[str, Any]] | None = None,
    remarks: list[dict[str, Any]] | None = None,
) -> pa.Table:
    """Return one row for each sample of a run, kept or not.

    Columns: index, id, path (where images have names of their own), given_label and label (class names; a
    classification only), decision, is_kept, then split, text, numbers to predict and all columns that came with the
    data, in their own types; last tags and notes, lists of texts, where there are any.

    Args:
        run: the run.
        selection: what is kept, removed and relabelled.
        records: the decisions that it was made from; None: it was made by rule.
        remarks: tags and notes, as `remark_records` gives them.
    """
    n = len(run.scores)
    columns: dict[str, Any] = {"index": run.scores["index"].to_numpy().astype(np.int64), "id": list(run.scores["id"])}
    paths = image_paths(run)
    if paths is not None:
        columns["path"] = paths
    if run.task == "classification":
        names = np.array(run.class_names, dtype=object)
        columns["given_label"] = labels_in_data(run)
        columns["label"] = names[final_labels(run, selection)]
    columns["decision"] = _decisions(run, selection, [*run.decided_before, *(records or ())])
    columns["is_kept"] = np.isin(np.arange(n), selection.kept)
    texts = {"id", "path", "given_label", "label", "decision"}
    table = pa.table({k: pa.array(v, pa.string()) if k in texts else pa.array(v) for k, v in columns.items()})
    beside = source_columns(run, _OWN if not remarks else (*_OWN, *_SAID.values()))
    for name in beside.column_names:
        table = table.append_column(name, beside[name])
    for kind, name in _SAID.items() if remarks else ():
        texts_of = texts_by_sample(run.subject, remarks or [], kind)
        table = table.append_column(name, pa.array(texts_of, pa.list_(pa.string())))
    return table


def cleaned_table(audit: pa.Table, selection: Selection) -> pa.Table:
    """Return the rows of an audit's table that are kept."""
    return audit.take(pa.array(selection.kept, pa.int64())).drop_columns(["is_kept"])


def source_columns(run: Run, taken: Iterable[str]) -> pa.Table:
    """Return what came with the data beside images and labels, in its own types: split, text, targets, metadata.

    Args:
        run: the run.
        taken: names that the export uses itself: metadata of such a name come as `source_<name>`.
    """
    stored = pq.read_table(run.folder / SCORES)
    metadata = [name for name in run.manifest["dataset"].get("metadata", []) if name in stored.column_names]
    names = {name: name for name in ("split", "text") if name in stored.column_names and name not in metadata}
    used = {name.casefold() for name in taken}
    targets = {f"target {name}": name for name in run.target_names if name not in metadata}
    for column, name in (targets | {name: _own_name(name, stored.column_names) for name in metadata}).items():
        while name.casefold() in used:
            name = f"source_{name}"
        used.add(name.casefold())
        names[column] = name
    return stored.select(list(names)).rename_columns(list(names.values()))


def image_paths(run: Run) -> list[str] | None:
    """Return the path of each image as the data name it, None where images have no names of their own.

    They are relative to the data's root, or as a table has them; ids are these paths, unless ids of the data's own
    were asked for.
    """
    if not (run.folder / SAMPLES).is_file() or plan_of(run).get("noun") == "boxes":  # whose names are of parts
        return None
    ids, files = list(run.scores["id"]), _files(run)
    has_ids = "id" in plan_of(run).get("columns", {})
    if not any(files):
        return ids if not has_ids and _lie_elsewhere(run, str(run.asked("data").get("data")), ids) else None
    if not has_ids and not all(map(_NUMBERED.fullmatch, ids)):
        return ids
    root = _root(run)
    return [_relative(name, root) if name else id_ for name, id_ in zip(files, ids, strict=True)]


def file_paths(run: Run) -> list[str] | None:
    """Return the path of each image's file below the data's root, whatever a table calls the image.

    A file that lies elsewhere has its whole path; where an image has no file, or none that text can name, the path is
    that of `image_paths`. None where images have neither files nor names.
    """
    paths, root = image_paths(run), _root(run)
    if paths is None or root is None:
        return paths
    named = zip(_files(run), paths, strict=True)
    return [_relative(name, root) if name and not name.startswith("fs:") else path for name, path in named]


def plan_of(run: Run) -> dict[str, Any]:
    """Return how the data of a run were read; nothing for runs of versions that did not say."""
    return run.manifest["dataset"].get("plan") or {}


def splits_of(run: Run) -> list[str]:
    """Return the split of each sample as the data call it; spellings of one split become the first of them."""
    if "split" not in run.scores.columns:
        return [""] * len(run.scores)
    spelled: dict[str, str] = {}
    return [spelled.setdefault(same_split(str(name)), str(name)) for name in run.scores["split"]]


def write_csv(path: Path, table: pa.Table | pd.DataFrame, encoding: str = "utf-8") -> None:
    """Write a table as CSV that reads back to the letter, text always in quotes.

    Cells are what they are, also where a spreadsheet would run them as a formula: names must join.

    Args:
        path: of the file.
        table: to write; nested values become JSON.
        encoding: of the file.
    """
    frame = as_pandas(table) if isinstance(table, pa.Table) else table
    with atomic(path) as temporary:
        frame.to_csv(temporary, index=False, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n", encoding=encoding,
                     errors="backslashreplace")  # fmt: skip


def write_spreadsheet(path: Path, table: pd.DataFrame) -> None:
    """Write a table for people to open in a spreadsheet: no cell runs as a formula, and letters come out right.

    Cells that begin like a formula get an apostrophe in front, so that they no longer join with anything: use `index`.
    """
    write_csv(path, spreadsheet_safe(table), encoding="utf-8-sig")  # Excel takes text without a mark for its own code


def spreadsheet_safe(table: pd.DataFrame) -> pd.DataFrame:
    """Return the table with an apostrophe before text that a spreadsheet would run as a formula."""
    safe = table.copy()
    for column in safe.columns:
        if not pd.api.types.is_numeric_dtype(safe[column]):
            safe[column] = [_safe(v) for v in safe[column].astype(object)]
    return safe.rename(columns=_safe)


def as_pandas(table: pa.Table) -> pd.DataFrame:
    """Return a table whose whole numbers stay whole where some are missing, and whose nested values are JSON."""
    for number, field in enumerate(table.schema):
        if pa.types.is_nested(field.type):
            texts = [None if v is None else json.dumps(v, default=str, ensure_ascii=False)
                     for v in table[number].to_pylist()]  # fmt: skip
            table = table.set_column(number, field.name, pa.array(texts, pa.string()))
    return table.to_pandas(types_mapper=pd.ArrowDtype)


def _taken_back(run: Run) -> np.ndarray:
    """Return the positions of samples that the run has under a new label which no decision says any more."""
    names = np.array(run.class_names, dtype=object)
    other = np.flatnonzero(names[run.scores["given_label"]] != labels_in_data(run))
    if not len(other):
        return other
    positions = find(run.subject, run.decided_before).tolist()
    said = dict(zip(positions, run.decided_before, strict=True))
    given = run.scores["given_label"].to_numpy()
    return np.array(
        [p for p in other.tolist() if p not in said or not _says(run, said[p], int(given[p]))], dtype=np.int64
    )


def _says(run: Run, record: dict[str, Any], label: int) -> bool:
    """Say whether a record says that the label is this one; a keep of before records named labels says so."""
    if not states_label(record):
        return False
    name = record["label_name"] if record["action"] == "relabel" else record.get("given_name")
    return name is None or run.subject.label(str(name)) == label


def _safe(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and _FORMULA.match(value) else value


def _own_name(column: str, others: Iterable[str]) -> str:
    """Return what the data call a column that has the name of one of a run's own."""
    own = {*others, *SOMETIMES}
    while column.endswith(BESIDE) and column.removesuffix(BESIDE) in own:
        column = column.removesuffix(BESIDE)
    return column


def _decisions(run: Run, selection: Selection, records: list[dict[str, Any]]) -> list[str]:
    """Return for each sample keep, relabel, exclude or unsure by a person; removed or kept by rule or by nobody."""
    removed = set(selection.removed.tolist())
    words = ["removed" if position in removed else "kept" for position in range(len(run.scores))]
    for position, record in zip(find(run.subject, records).tolist(), records, strict=True):
        if position < 0:
            continue
        if position not in removed:
            words[position] = record["action"]
        elif record["action"] == "exclude" and record.get("time") != "":
            words[position] = "exclude"  # by a person: what a filter left out has no time
    for position in relabelled(run, selection):
        words[position] = "relabel"
    return words


def _files(run: Run) -> list[str]:
    """Return the file of each of a run's scored images, "" where it has none of its own."""
    return list(pd.read_parquet(run.folder / SAMPLES, columns=["file"])["file"].iloc[: len(run.scores)])


def _root(run: Run) -> Path | None:
    """Return the folder that the data lie in, None where they come with a package."""
    data = run.asked("data").get("data")
    root = None if data is None else Path(data).resolve()
    return root.parent if root is not None and root.is_file() else root


def _lie_elsewhere(run: Run, data: str, ids: list[str]) -> bool:
    """Say whether images have names in an archive, or at an address, rather than numbers."""
    shared = [str(facts["path"]) for facts in run.manifest.get("images", {}).get("files", ())]
    if shared:
        return all(name.casefold().endswith(_ARCHIVES) for name in shared)
    return bool(_ADDRESS.match(data)) and not all(_NUMBERED.fullmatch(name) for name in ids)


def _relative(name: str, root: PurePath | None) -> str:
    path = Path(name)
    return path.relative_to(root).as_posix() if root is not None and path.is_relative_to(root) else path.as_posix()
