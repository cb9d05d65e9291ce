"""Data from wherever it lies, as one record that checks itself."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from lsi.config import DataSettings
from lsi.data.images import Images, decode, to_rgb
from lsi.data.labels import UNLABELLED, LabelRules, class_positions, encode_labels
from lsi.data.naming import ANNOTATION, BY_END, counts_rows, is_index, is_missing, may_name, rows_by_name
from lsi.data.plan import Plan, counted
from lsi.data.record import Dataset
from lsi.data.sources import open_source
from lsi.data.sources.columns import key_columns
from lsi.data.sources.named import read_named
from lsi.data.sources.tables import SEPARATED, as_numbers
from lsi.errors import DataError

__all__ = ["Dataset", "Images", "Plan", "decode", "inspect", "load", "to_rgb"]


def inspect(settings: DataSettings, data_root: Path) -> Plan:
    """Return how the data that the settings name would be read; no pixel is read.

    Args:
        settings: which data.
        data_root: where torchvision's datasets lie.

    Raises:
        DataError: nothing readable lies there, or it can be understood in several ways.
    """
    plan = load(settings, data_root).plan
    assert plan is not None
    return plan


def load(settings: DataSettings, data_root: Path, download: bool = True) -> Dataset:
    """Return the dataset that the settings name, with the labelling they name.

    Args:
        settings: which data.
        data_root: where torchvision's datasets lie.
        download: one of these that does not lie there.

    Raises:
        DataError: nothing readable lies there, or the labels do not fit.
    """
    from_file = settings.targets is not None and Path(settings.targets.partition(":")[0]).is_file()
    columns = () if from_file or not settings.targets else tuple(c.strip() for c in settings.targets.split(","))
    dataset = open_source(settings, data_root, columns, download)
    if from_file and settings.targets is not None:
        dataset = _with_targets(dataset, settings.targets)
    return dataset if settings.labels is None else _with_labels(dataset, settings)


def _with_labels(dataset: Dataset, settings: DataSettings) -> Dataset:
    """Return the dataset with another labelling: by name where its file has names, else in the order of the data."""
    assert settings.labels is not None
    where = f"--labels {settings.labels}"
    name, arrays = read_named(settings.labels, "--labels", ("label", "labels"))
    rows, how = _rows_of(dataset, {k: v for k, v in arrays.items() if k != name}, len(arrays[name]), where)
    values, notes = arrays[name][rows], [f"{where}: {how}."]
    if dataset.is_labelled:
        labels = class_positions(values, dataset.class_names, where, rows)
        notes += _said_of_numbers(values, dataset.class_names, where)
    else:
        labels = encode_labels(values, LabelRules(where, merge=settings.merge_classes, rows=rows))
    notes += labels.notes
    missing, positions = labels.values == UNLABELLED, np.maximum(labels.values, 0)
    if dataset.is_labelled:
        labelled = dataset.relabel(positions)
    else:
        labelled = replace(dataset, labels=positions, class_names=labels.names, is_labelled=True)
    if dataset.unlabelled is not None:
        more = counted(len(dataset.unlabelled), "sample")
        notes.append(f"{more} without a label in the data: another labelling is only of those that have one.")
    if missing.any():
        labelled = replace(labelled.take(np.flatnonzero(~missing)), unlabelled=_apart(dataset, missing))
    plan = _planned(labelled)
    return replace(labelled, plan=None if plan is None else replace(plan, notes=(*plan.notes, *notes)))


def _said_of_numbers(values: np.ndarray, class_names: tuple[str, ...], where: str) -> list[str]:
    """Return a sentence where all values are numbers that are names of classes and would be others as positions."""
    if values.dtype.kind in "OU":
        values = as_numbers(values[[not is_missing(value) and str(value).strip() != "" for value in values.tolist()]])
        if np.isnan(values).any():
            return []
    if values.dtype.kind not in "iuf":
        return []
    numbers = [int(value) for value in np.unique(values[np.isfinite(values)])]
    if not all(number in range(len(class_names)) and str(number) in class_names for number in numbers):
        return []
    for order, which in ((class_names, ""), (sorted(class_names), ", in ImageFolder's order of their text,")):
        other = next((number for number in numbers if order[number] != str(number)), None)
        if other is not None:
            return [
                f"{where}: numbers are read as names of classes, not as positions: as a position{which} {other} would "
                f"be the class {order[other]}."
            ]
    return []


def _apart(dataset: Dataset, missing: np.ndarray) -> Dataset:
    """Return the samples that another labelling (n,) gives no label, behind those that have none in the data."""
    more = dataset.take(np.flatnonzero(missing))
    more = replace(more, labels=np.zeros(len(more), np.int64), is_labelled=False, unlabelled=None)
    return more if dataset.unlabelled is None else dataset.unlabelled.followed_by(more)


def _rows_of(
    dataset: Dataset, others: dict[str, np.ndarray], length: int, where: str, what: str = "labels"
) -> tuple[np.ndarray, str]:
    """Return which row of a file of labels or targets belongs to each sample, and how that is known.

    Args:
        dataset: n samples.
        others: all columns of the file but those that are wanted.
        length: of the file.
        where: what messages name.
        what: its rows are.

    Raises:
        DataError: its names are not those of the samples, or it has no names and another length.
    """
    if (rows := _by_annotation(dataset, others, where)) is not None:
        return rows, f"its {what} were joined by {ANNOTATION}"
    return _by_names(dataset, others, length, where, what)


def _by_names(
    dataset: Dataset, others: dict[str, np.ndarray], length: int, where: str, what: str
) -> tuple[np.ndarray, str]:
    """Do as `_rows_of` where no column is known to name the samples."""
    reason, ids = "it has no names", [str(i) for i in dataset.ids]
    naming = _naming_columns(others, dataset)
    for name, is_image in naming:
        values = others[name]
        if values.ndim != 1 or len(values) != length:
            continue
        keys = [str(v) for v in values]
        rows, counts = rows_by_name(keys, ids)
        is_count = counts_rows(values)
        if (rows >= 0).all():
            if is_count and counts and (rows != np.arange(len(rows))).any():
                raise DataError(
                    f"{where}: its column {name} counts its own rows and also gives the numbers in the samples' names, "
                    f"in another order ({dataset.ids[0]} is row {rows[0]:,}): write the samples' ids into the column, "
                    "or leave it out where the rows are in the order of the data."
                )
            return rows, _said_of_join(what, name, counts)
        if is_count:
            continue
        if is_index(name) and not _tells_apart(values, rows):
            reason = f"its index {name} does not name each sample"
            continue
        if is_image or (rows >= 0).any() or len(set(keys)) == len(keys):
            raise _lacking(where, name, rows, ids)
    rest = {n: v for n, v in others.items() if n not in dict(naming) and v.shape == (length,)}
    found = _by_content(rest, ids, where)
    if found is not None:
        name, rows, counts = found
        said = _said_of_join(what, name, counts)
        if length == len(ids) and (rows != np.arange(length)).any():
            said += ", which names all samples, so they are not taken in the order of the rows"
        return rows, said
    return _in_order(dataset, length, where, what, reason)


def _by_annotation(dataset: Dataset, others: dict[str, np.ndarray], where: str) -> np.ndarray | None:
    """Return the row of each box by the id that its annotation has, None where the data or the file have none.

    Raises:
        DataError: the file lacks one of the boxes, or has one twice.
    """
    if ANNOTATION not in others or dataset.metadata is None or ANNOTATION not in dataset.metadata:
        return None
    keys, wanted = (pd.Index([str(v) for v in values]) for values in (others[ANNOTATION], dataset.metadata[ANNOTATION]))
    if not keys.is_unique or not wanted.is_unique or (rows := keys.get_indexer(wanted)).min(initial=0) < 0:
        raise DataError(f"{where}: expected each box once by its {ANNOTATION}, such as {wanted[0]}.")
    return rows


def _in_order(dataset: Dataset, length: int, where: str, what: str, reason: str) -> tuple[np.ndarray, str]:
    total = dataset.plan.source_length if dataset.plan is not None else len(dataset)
    index = dataset.source_index
    if length == total and (index < length).all() and not np.array_equal(index, np.arange(length)):
        return index, f"{reason}, so its rows are taken in the order of the data's rows"
    if length != len(dataset):
        is_short = length + 1 in (total, len(dataset)) and where.partition(":")[0].lower().endswith(SEPARATED)
        header = " Its first line is taken for names of columns: put these above it." if is_short else ""
        raise DataError(f"{where}: expected {len(dataset)} {what}, one a sample of the data, got {length}.{header}")
    return np.arange(length), f"{reason}, so its rows are taken in the order of the samples"


def _by_content(
    columns: dict[str, np.ndarray], ids: list[str], where: str
) -> tuple[str, np.ndarray, dict[str, int]] | None:
    """Return the column of texts that names all samples, whatever it is called, with their rows; None for none.

    Raises:
        DataError: none names all and one at least half of them, or several name all, in different orders.
    """
    found: list[tuple[str, np.ndarray, dict[str, int]]] = []
    problems: list[DataError] = []
    for name, values in columns.items():
        if not may_name(values, ids):
            continue
        rows, counts = rows_by_name([str(v) for v in values], ids)
        if (rows >= 0).all():
            found.append((name, rows, counts))
        elif 2 * (rows >= 0).sum() >= len(ids):
            problems.append(_lacking(where, name, rows, ids))
    if problems and not found:
        raise problems[0]
    other = next((name for name, rows, _ in found if not np.array_equal(rows, found[0][1])), None)
    if other is not None:
        raise DataError(
            f"{where}: its columns {found[0][0]} and {other} name the samples in different orders: call the one that "
            "its rows belong to path or id."
        )
    return found[0] if found else None


def _lacking(where: str, name: str, rows: np.ndarray, ids: list[str]) -> DataError:
    return DataError(
        f"{where}: its column {name} names {int((rows >= 0).sum()):,} of the {len(ids):,} samples, and not "
        f"{ids[int(np.flatnonzero(rows < 0)[0])]} (or names it twice): give every sample a row, with an empty label "
        "for none."
    )


def _said_of_join(what: str, name: str, counts: dict[str, int]) -> str:
    by = "".join(f", {count:,} of them by {rule}" for rule, count in counts.items() if rule != BY_END)
    return f"{what} are joined by the column {name}{by}"


def _tells_apart(values: np.ndarray, rows: np.ndarray) -> bool:
    """Say whether an index names some sample, and neither repeats nor has blanks: rows by sample, −1 for none."""
    texts = pd.Series(values).dropna().astype(str).str.strip()
    return bool((rows >= 0).any() and len(texts) == len(values) and texts.ne("").all() and texts.is_unique)


def _naming_columns(columns: dict[str, np.ndarray], dataset: Dataset) -> list[tuple[str, bool]]:
    """Return which columns may name samples, and whether they name images: an index that holds text is the last."""
    roles = {} if dataset.plan is None else dict(dataset.plan.columns)
    own = [roles[role] for role in ("id", "image") if role in roles]
    texts = [n for n, v in columns.items() if is_index(n) and v.ndim == 1 and v.dtype.kind in "OU"
             and np.isnan(as_numbers(v)).any()]  # fmt: skip
    return [*key_columns(list(columns), own), *((name, False) for name in texts)]


def _planned(dataset: Dataset) -> Plan | None:
    """Return the plan with the classes of the labelling in force."""
    if dataset.plan is None:
        return None
    counts = np.bincount(dataset.labels, minlength=len(dataset.class_names))
    n_unlabelled = 0 if dataset.unlabelled is None else len(dataset.unlabelled)
    classes = tuple(zip(dataset.class_names, map(int, counts), strict=True))
    return replace(dataset.plan, n_samples=len(dataset), classes=classes, n_unlabelled=n_unlabelled)


def _numbers(values: np.ndarray) -> np.ndarray:
    """Return a column of text or objects as numbers, NaN where a value is none; as it is where no value is one."""
    if values.ndim != 1 or values.dtype.kind not in "OU":
        return values
    found = as_numbers(values)
    return values if np.isnan(found).all() else found


def _with_targets(dataset: Dataset, specification: str) -> Dataset:
    name, arrays = read_named(specification, "--targets", ("targets", "embeddings", "data"))
    values = _numbers(arrays[name])
    where = f"--targets {specification}"
    if values.ndim not in (1, 2) or values.dtype.kind not in "fiu":
        raise DataError(
            f"{where}: expected numbers of shape ({len(dataset)},) or ({len(dataset)}, m), one row a sample of the "
            f"data, got {values.dtype} of shape {values.shape}."
        )
    rows, how = _rows_of(dataset, {k: v for k, v in arrays.items() if k != name}, len(values), where, "targets")
    values = values[rows]
    if dataset.plan is not None:
        dataset = replace(dataset, plan=replace(dataset.plan, notes=(*dataset.plan.notes, f"{where}: {how}.")))
    values = values.reshape(len(values), -1).astype(np.float64)
    return dataset.with_targets(values, tuple(f"target {i}" for i in range(values.shape[1])))
