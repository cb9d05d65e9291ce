"""The cleaned samples of the dataset that was audited, under their new labels.

    from subset import kept, cleaned_table

    train = kept(ImageFolder("photos/train"))            # or a datasets.Dataset, or any dataset with a length
    frame = cleaned_table(pandas.read_csv("photos.csv"))

Give the dataset that was audited: whole, unfiltered, in its own order. Its length is checked, and its ids where it
has some, before anything is returned. This file needs audit.csv and manifest.json beside it, and PyTorch; nothing
else.
"""

import csv
import json
import warnings
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

from torch.utils.data import Subset

HERE = Path(__file__).resolve().parent
_IMAGES = ("image", "img", "path", "image_path", "img_path", "file_path", "filepath", "file", "file_name", "filename")
_LABELS = ("label", "labels", "class", "class_name", "category", "target", "targets", "fine_label")


class Cleaned(Subset):
    """The kept samples of a dataset, in its own order, each with its new label.

    Attributes:
        dataset: the dataset that was given.
        indices: its items that are kept.
        ids: their ids, as the audit has them.
        labels: their labels in the dataset's own terms; None where the audit was not one of labels.
    """

    def __init__(self, dataset: Any, rows: list[dict], labels: list | None, label_column: str) -> None:
        super().__init__(dataset, [row["index"] for row in rows])
        self.ids, self.labels, self.label_column = [row["id"] for row in rows], labels, label_column

    def __getitem__(self, idx: Any) -> Any:
        """Return an item under its new label: the second of a tuple, a column of a dict, else (item, label)."""
        if isinstance(idx, list):
            return self.__getitems__(idx)
        item = self.dataset[self.indices[idx]]
        if self.labels is None:
            return item
        label = self.labels[idx]
        if isinstance(item, dict):
            return {**item, self.label_column: label}
        transform = _of_base(self.dataset, "target_transform")
        label = label if transform is None else transform(label)
        if isinstance(item, tuple | list):
            return (item[0], label, *item[2:])
        return item, label

    def __getitems__(self, indices: list[int]) -> list:
        """Return several items, as a DataLoader asks for them."""
        return [self[int(i)] for i in indices]


def kept(dataset: Any, label: str | None = None) -> Any:
    """Return the kept samples of the dataset that was audited, with their new labels.

    Labels are what the dataset itself has for a class: its `class_to_idx`, the names of a ClassLabel, its `targets`,
    the values of its label column. Where it has none of these, they are the class indices of the audit, for all items
    alike.

    Checked are: of a dataset with `samples` or `imgs`, such as ImageFolder, its length and that its paths end as the
    audit's do; of a `datasets.Dataset` its length, and its paths or ids and its texts where it has a column of them; of
    any other sequence its length, and that the samples which it labels alike have one label in the audit.

    Args:
        dataset: the whole dataset, in its own order. A pandas DataFrame is passed on to `cleaned_table`.
        label: name of the label column, where items are dicts and it has none of the usual names.

    Raises:
        ValueError: it is not the dataset that was audited; the message names the first sample that differs.
    """
    if hasattr(dataset, "iloc"):
        return cleaned_table(dataset, label)
    audit = _Audit()
    if audit.is_of_boxes and not _columns(dataset):
        raise ValueError("The audit is of boxes, and the items here are images: take the rows of cleaned.csv.")
    paths = _paths(dataset)
    unlisted = audit.leave_out_unlisted(dataset) if paths is not None else []
    audit.check_length(dataset, is_listing=bool(paths) and bool(_of_base(dataset, "extensions")))
    rows = audit.check_columns(dataset) if paths is None else audit.check_paths(paths)
    if unlisted:
        warnings.warn(f"{len(unlisted)} of the kept samples are left out, for this dataset lists no such files: "
                      f"{unlisted[0]['path']!r} is the first.", stacklevel=2)  # fmt: skip
    column = audit.label_column(dataset, label)
    return Cleaned(dataset, rows, audit.new_labels(dataset, rows, column), column or "label")


def cleaned_table(frame: Any, label: str | None = None) -> Any:
    """Return the kept rows of the pandas DataFrame that was audited, with their new labels in its label column.

    Args:
        frame: all rows of the file, in its order, whichever split was audited.
        label: name of the label column, where it has none of the usual names.

    Raises:
        ValueError: it is not the table that was audited, or has no label column; the message names the first row that
            differs.
    """
    audit = _Audit()
    audit.check_length(frame)
    rows = audit.check_columns(frame)
    column = audit.label_column(frame, label)
    if audit.class_names and column is None:
        raise ValueError(f"Expected a column of labels; name it by label=…: there are {', '.join(_columns(frame))}.")
    cleaned = frame.iloc[[row["index"] for row in rows]].copy()
    labels = audit.new_labels(frame, rows, column)
    if labels is not None and labels != cleaned[column].tolist():
        before = cleaned[column].dtype
        cleaned[column] = labels
        if cleaned[column].isin(frame[column]).all():  # no value that the column's own type might lack
            cleaned[column] = cleaned[column].astype(before)
    return cleaned


class _Audit:
    """What the audit says of its samples, and the checks of a dataset against it."""

    def __init__(self) -> None:
        manifest = json.loads((HERE / "manifest.json").read_text(encoding="utf-8"))
        self.length = manifest["export"].get("source_length")
        self.class_names = manifest["dataset"]["class_names"] if manifest["task"] == "classification" else []
        plan = manifest["dataset"].get("plan") or {}
        self.columns, self.split = plan.get("columns") or {}, plan.get("split") or ""
        self.is_of_boxes = plan.get("noun") == "boxes"
        asked, noise = manifest["settings"].get("data") or {}, manifest["settings"].get("noise") or {}
        self.has_own_labels = not (asked.get("labels") or noise.get("corrupt_label") or noise.get("human_label_noise")
                                   or manifest.get("decided"))  # fmt: skip
        self.is_compared = False  # sample by sample
        before = csv.field_size_limit(2**31 - 1)
        try:
            with (HERE / "audit.csv").open(newline="", encoding="utf-8") as file:
                self.rows: list[dict[str, Any]] = list(csv.DictReader(file))
        finally:
            csv.field_size_limit(before)
        for row in self.rows:
            row["index"], row["is_kept"] = int(row["index"]), row["is_kept"] == "True"

    def leave_out_unlisted(self, dataset: Any) -> list[dict]:
        """Leave out the files that a dataset of files does not list, such as .gif for ImageFolder; return those kept.

        Their numbers come after those of all files that are listed.
        """
        suffixes = tuple(_of_base(dataset, "extensions") or ("",))
        is_there = [row["index"] < len(dataset) or row.get("path", "").lower().endswith(suffixes) for row in self.rows]
        unlisted = [row for row, there in zip(self.rows, is_there, strict=True) if not there and row["is_kept"]]
        self.rows = [row for row, there in zip(self.rows, is_there, strict=True) if there]
        return unlisted

    def check_length(self, dataset: Any, is_listing: bool = False) -> None:
        """Compare lengths; a dataset that lists files of some suffixes may be shorter, for its paths tell more."""
        split = "" if self.split in ("", "all") else f" of split {self.split}"
        whole = f"Give the whole dataset{split}, unfiltered and in its order."
        if isinstance(dataset, dict):
            raise ValueError(f"Expected one dataset, got several: {', '.join(map(str, dataset))}. {whole}")
        try:
            n = len(dataset)
        except TypeError:
            raise ValueError(f"Expected a dataset with a length, got {type(dataset).__name__}. {whole}") from None
        last = max(self.rows, key=lambda row: row["index"], default=None)
        if last is not None and last["index"] >= n:
            raise ValueError(f"Expected sample {last['index']}, {last['id']!r}, got a dataset of {n} samples. {whole}")
        if self.length and (n > self.length or (n < self.length and not is_listing)):
            raise ValueError(f"Expected the {self.length} samples of the source, got {n}. {whole}")

    def check_paths(self, paths: list[str]) -> list[dict]:
        """Return the kept rows after comparing the paths of all with those of a dataset of files."""
        self.is_compared = bool(self.rows) and "path" in self.rows[0]
        for row in self.rows:
            if "path" in row and not _is_same(paths[row["index"]], row["path"]):
                raise ValueError(f"Expected {row['path']!r} as sample {row['index']}, got {paths[row['index']]!r}: "
                                 "this is not the dataset that was audited, or not in its order.")  # fmt: skip
        return [row for row in self.rows if row["is_kept"]]

    def check_columns(self, dataset: Any) -> list[dict]:
        """Return the kept rows after comparing all ids, or else paths, and texts with columns that hold them."""
        own = self.columns.get("id")
        column = _find(dataset, own or self.columns.get("image"), _IMAGES if own is None else ())
        self.compare(dataset, "path" if own is None else "id", column)
        self.compare(dataset, "annotation_id", _find(dataset, "id", ()) if self.is_of_boxes else None)
        self.compare(dataset, "text", _find(dataset, self.columns.get("text"), ("text",)))
        return [row for row in self.rows if row["is_kept"]]

    def compare(self, dataset: Any, key: str, column: str | None) -> None:
        """Raise where a column of a table differs from one of the audit; a text that was read as none may be any."""
        values = [] if column is None or not self.rows or key not in self.rows[0] else _values(dataset, column)
        for row in self.rows if any(isinstance(value, str | int) for value in values) else ():
            found, self.is_compared = values[row["index"]], True
            is_gap = key == "text" and not isinstance(found, str | int)
            if not is_gap and not _is_same(str(found), row[key]):
                raise ValueError(f"Expected {row[key]!r} in row {row['index']}, column {column}, got {str(found)!r}: "
                                 "this is not the table that was audited, or not in its order.")  # fmt: skip

    def label_column(self, dataset: Any, asked: str | None) -> str | None:
        if asked is not None and _columns(dataset) and asked not in _columns(dataset):
            raise ValueError(f"Expected a column {asked!r}; there are {', '.join(_columns(dataset))}.")
        return asked or _find(dataset, self.columns.get("label"), _LABELS)

    def is_audited(self, column: str | None) -> bool:
        """Say whether labels of this column, or of the dataset where None is named, are those that were audited."""
        audited = self.columns.get("label") or column or ""
        return self.has_own_labels and (column or audited).strip().casefold() == audited.strip().casefold()

    def check_labelling(self, own: list) -> None:
        """Raise where the audit tells apart what the dataset labels alike: in another order, or changed since."""
        counts: dict[Any, Counter] = defaultdict(Counter)
        for row in self.rows:
            counts[own[row["index"]]][row["given_label"]] += 1
        for row in self.rows:
            found = own[row["index"]]
            usual = counts[found].most_common(1)[0][0]
            is_settled = self.is_compared and (not row["is_kept"] or row["label"] == usual)
            if found is not None and row["given_label"] != usual and not is_settled:
                end = ("it was changed since the audit: compute the run again." if self.is_compared else
                       "this is not the dataset that was audited, or not in its order.")  # fmt: skip
                raise ValueError(f"Expected the label {row['given_label']!r} for sample {row['index']}, {row['id']!r}, "
                                 f"which is labelled like those of {usual!r} here: {end}")  # fmt: skip

    def new_labels(self, dataset: Any, rows: list[dict], column: str | None) -> list | None:
        """Return the final label of each row as the dataset itself writes that class."""
        if not self.class_names:
            return None
        own = _own_labels(dataset, column) or []
        if own and self.is_audited(column):
            self.check_labelling(own)
        seen: dict[str, Counter] = defaultdict(Counter)  # what the dataset writes for each class
        classes: dict[Any, set] = defaultdict(set)
        for row in self.rows if own else ():
            if own[row["index"]] is not None:
                seen[row["given_label"]][own[row["index"]]] += 1
                classes[own[row["index"]]].add(row["given_label"])
        if not self.is_audited(column) and any(len(c) > 1 for c in classes.values()):
            seen.clear()  # only names tell what the dataset calls a class
        numbers, terms = _class_numbers(dataset, column), {}
        for number, name in enumerate(self.class_names):
            if name in numbers:
                terms[name] = numbers[name]
            elif name in seen:
                terms[name] = name if name in seen[name] else seen[name].most_common(1)[0][0]
            else:
                terms[name] = _by_name(name, number, own)
        if len(set(terms.values())) < len(terms):
            raise ValueError("Expected a label of its own for each class of the audit; this dataset has another "
                             f"labelling: {terms}.")  # fmt: skip
        return [terms[row["label"]] for row in rows]


def _paths(dataset: Any) -> list[str] | None:
    """Return the files of a dataset that has `samples` or `imgs` of (path, class), None for any other."""
    for name in ("samples", "imgs"):
        pairs = _items(dataset, name)
        if pairs and isinstance(pairs[0], tuple | list):
            return [str(pair[0]) for pair in pairs]
    return None


def _items(dataset: Any, name: str) -> list | None:
    """Return a list that a dataset has of its items, those of a Subset by the dataset that it is cut from."""
    if isinstance(dataset, Subset):
        values = _items(dataset.dataset, name)
        return None if values is None else [values[i] for i in dataset.indices]
    values: Any = getattr(dataset, name, None)
    tensors = getattr(dataset, "tensors", ())
    if name == "targets" and values is None and len(tensors) > 1 and not tensors[1].is_floating_point():
        values = tensors[1]  # of a TensorDataset
    shape: tuple[int, ...] = (len(values),) if isinstance(values, list) else tuple(getattr(values, "shape", ()))
    if not hasattr(dataset, "__len__") or shape[:1] != (len(dataset),):
        return None
    as_list = getattr(values, "tolist", None)
    if as_list is not None and name in ("targets", "labels") and shape[1:] in ((), (1,)):
        return as_list()
    return values if isinstance(values, list) else None


def _of_base(dataset: Any, name: str) -> Any:
    """Return what a dataset, or the one that a Subset is cut from, has by a name; None where it has none."""
    return _of_base(dataset.dataset, name) if isinstance(dataset, Subset) else getattr(dataset, name, None)


def _is_same(found: str, expected: str) -> bool:
    """Say whether a path, an id or a text is the one of the audit, where a path may begin further down."""
    found, expected = _plain(found), _plain(expected)
    if found.isdecimal() and expected.isdecimal():  # a table read without dtype=str
        return int(found) == int(expected)
    return found.strip() == expected.strip() or found.endswith(f"/{expected}")


def _plain(path: str) -> str:
    """Return a path with / between folders, a text with plain line ends, and what is no UTF-8 as in the audit."""
    text = path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return text.replace("\\", "/").replace("\r\n", "\n")


def _columns(dataset: Any) -> list[str]:
    """Return the columns of a DataFrame or a `datasets.Dataset`, none for any other."""
    names = dataset.columns if hasattr(dataset, "iloc") else getattr(dataset, "column_names", None)
    return [str(name) for name in names] if names is not None and not isinstance(names, dict) else []


def _find(dataset: Any, name: str | None, usual: tuple[str, ...]) -> str | None:
    """Return the column of that name, or the first with a usual one; case and blanks around it do not count."""
    columns = {column.strip().strip("\ufeff").casefold(): column for column in reversed(_columns(dataset))}
    wanted = [*([] if name is None else [name.strip().casefold()]), *usual]
    return next((columns[one] for one in wanted if one in columns), None)


def _values(dataset: Any, column: str) -> list:
    """Return a column as plain values; of images their paths, without decoding them."""
    if hasattr(dataset, "iloc"):
        return dataset[column].tolist()
    if hasattr(dataset.features[column], "decode"):
        chunks = dataset.with_format("arrow").select_columns([column])[:][column].chunks
        return [path for chunk in chunks for path in chunk.field("path").to_pylist()]
    return list(dataset.with_format(None)[column])


def _own_labels(dataset: Any, column: str | None) -> list | None:
    """Return what the dataset itself has as labels, each None where it has none.

    All of it is None where the dataset does not say without reading every item.
    """
    found: list[Any]
    if _columns(dataset):
        found = [] if column is None else [_values(dataset, column)]
    else:
        found = [_items(dataset, name) for name in ("targets", "labels")]
    for values in found:
        if isinstance(values, list) and len(values) == len(dataset):
            plain = [value[0] if isinstance(value, list) and len(value) == 1 else value for value in values]
            plain = [value.item() if hasattr(value, "item") else value for value in plain]
            plain = [None if type(value).__name__ == "NAType" or value != value else value for value in plain]
            if all(isinstance(value, str | int | float | None) for value in plain):
                return plain
    return None


def _class_numbers(dataset: Any, column: str | None) -> dict[str, int]:
    """Return the number that the dataset gives to each class name, nothing where it has no such table."""
    if _columns(dataset):
        names = None if hasattr(dataset, "iloc") or column is None else getattr(dataset.features[column], "names", None)
        return {name: number for number, name in enumerate(names or ())}
    classes = _of_base(dataset, "classes") or ()
    joined = {c if isinstance(c, str) else ", ".join(c): number for number, c in enumerate(classes)}  # synonyms
    return joined | dict(_of_base(dataset, "class_to_idx") or {})


def _by_name(name: str, number: int, own: list) -> Any:
    """Return what a dataset with such labels calls a class that none of its samples shows."""
    own = [value for value in own if value is not None]
    if own and all(isinstance(value, str) for value in own):
        return name
    return int(name) if own and name.lstrip("-").isdecimal() else number
