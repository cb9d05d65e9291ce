"""Every source of data, one function each; `load` picks the one that fits the path."""

import csv
import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from lsi.data.encoding import encode_labels, no_labels, numbered, numbers, safe_name
from lsi.data.images import SUFFIXES, ArrayImages, EncodedImages, FileImages, Images, to_rgb
from lsi.data.record import Dataset
from lsi.errors import DataError
from lsi.hashing import file_checksum, fingerprint

log = logging.getLogger(__name__)

LABEL_COLUMNS = ("label", "labels", "fine_label", "target")
SPLITS = ("train", "training", "val", "valid", "validation", "test", "testing")


def digits() -> Dataset:
    """Return the embedded default: scikit-learn's 1,797 scans of handwritten digits, 8 × 8 pixels."""
    from sklearn.datasets import load_digits

    source: Any = load_digits()
    pixels = np.rint(source.images * (255 / 16)).astype(np.uint8)
    labels = source.target.astype(np.int64)
    names = tuple(str(c) for c in range(10))
    return Dataset("digits", numbered(len(labels)), labels, names, fingerprint(pixels, labels), ArrayImages(pixels))


def from_torchvision(name: str, root: Path, split: str) -> Dataset:
    """Return a torchvision dataset by name, downloaded on first use.

    Raises:
        DataError: no dataset has that name, or it is not there and cannot be downloaded.
    """
    import torchvision.datasets as zoo

    known = {n.lower(): n for n in zoo.__all__ if isinstance(getattr(zoo, n), type)}
    if name.lower() not in known:
        close = ", ".join(sorted(n for n in known if n[:3] == name.lower()[:3])) or "cifar10, mnist, svhn"
        raise DataError(f"No dataset is called {name!r}: give digits, a torchvision name (such as {close}), or --data.")
    build = getattr(zoo, known[name.lower()])
    source = None
    errors: list[str] = []
    for options in ({"train": split != "test"}, {"split": split}, {}):
        for download in ({}, {"download": True}):
            try:
                source = build(root=str(root), **options, **download)
                break
            except TypeError:
                break
            except Exception as error:  # missing files and failed downloads come as many types
                errors.append(f"{type(error).__name__}: {error}".splitlines()[0])
        if source is not None:
            break
    if source is None:
        reason = errors[-1] if errors else "it needs arguments of its own"
        raise DataError(f"{name} is not in {root} and could not be downloaded ({reason}). Put its files there.")
    return _wrap_torchvision(name.lower(), source)


class _TorchvisionImages:
    """Reads through the dataset's own indexing."""

    def __init__(self, dataset) -> None:
        self.dataset = dataset

    def __len__(self) -> int:
        return len(self.dataset)

    def read(self, index: int) -> Image.Image:
        return to_rgb(self.dataset[index][0])

    def source(self, index: int) -> None:
        return None


def _wrap_torchvision(name: str, source: Any) -> Dataset:
    labels = getattr(source, "targets", None)
    labels = getattr(source, "labels", None) if labels is None else labels
    labels = getattr(source, "_labels", None) if labels is None else labels
    if labels is None:
        labels = [source[i][1] for i in range(len(source))]
    labels = np.asarray(labels).astype(np.int64)
    names = getattr(source, "classes", None) or [str(c) for c in range(int(labels.max()) + 1)]
    values = getattr(source, "data", None)
    if values is not None:
        values = np.asarray(values)
        if values.ndim == 4 and values.shape[1] == 3:  # svhn, stl10: channels first
            values = values.transpose(0, 2, 3, 1)
        images: Images = ArrayImages(values)
        mark = fingerprint(values, labels)
    else:
        images = _TorchvisionImages(source)
        mark = fingerprint(*(np.asarray(images.read(i)) for i in range(len(source))), labels)
    class_names = tuple(n if isinstance(n, str) else ", ".join(n) for n in names)
    return Dataset(name, numbered(len(labels)), labels, class_names, mark, images)


def from_folder(root: Path, split: str) -> Dataset:
    """Return a folder with one subfolder per class, with splits above them (train/cat/1.jpg), or of images alone."""
    top = sorted(p for p in root.iterdir() if p.is_dir() and not p.name.startswith("."))
    split_folders = [p for p in top if p.name.lower() in SPLITS]
    has_splits = bool(split_folders) and len(split_folders) == len(top)
    rows: list[tuple[Path, str, str]] = []
    for folder in split_folders if has_splits else [root]:
        if has_splits and split not in ("all", folder.name.lower()):
            continue
        for group in sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith(".")):
            files = sorted(f for f in group.rglob("*") if f.is_file() and f.suffix.lower() in SUFFIXES)
            rows += [(f, group.name, folder.name if has_splits else "") for f in files]
    is_labelled = bool(rows)
    if not rows:
        rows = [(f, "", "") for f in sorted(root.iterdir()) if f.is_file() and f.suffix.lower() in SUFFIXES]
    if not rows:
        raise DataError(f"{root}: expected image files, or one subfolder per class with image files in it, found none.")
    paths = [r[0] for r in rows]
    labels, names = encode_labels([r[1] for r in rows]) if is_labelled else no_labels(len(rows))
    ids = np.array([str(p.relative_to(root)) for p in paths])
    mark = fingerprint(*(file_checksum(p) for p in paths), *ids.tolist())
    splits = np.array([r[2] for r in rows]) if has_splits else None
    return Dataset(safe_name(root.name), ids, labels, names, mark, FileImages(paths), split=splits,
                   is_labelled=is_labelled)  # fmt: skip


def from_parquet(path: Path, split: str, targets: tuple[str, ...] = ()) -> Dataset:
    """Return a Parquet file or folder: Hugging Face layout (`image`, `label`), or a manifest (`path`, `label`)."""
    files = [path] if path.is_file() else sorted(path.rglob("*.parquet"))
    files = [f for f in files if not f.name.startswith(".")]
    chosen = [f for f in files if split == "all" or f.name.lower().startswith(split)] or files
    try:
        table = pa.concat_tables([pq.read_table(f, memory_map=True) for f in chosen], promote_options="permissive")
    except (pa.ArrowInvalid, OSError) as error:
        raise DataError(f"{path}: not readable as Parquet ({error}).") from error
    if "image" not in table.column_names:
        return _from_table(table.to_pandas(), path, split, targets)
    label_column = next((c for c in LABEL_COLUMNS if c in table.column_names and c not in targets), None)
    labels, names = no_labels(table.num_rows)
    if label_column is not None:
        labels, names = encode_labels(table[label_column].to_pylist(), _feature_names(table.schema, label_column))
    column: Any = table["image"].combine_chunks()
    if isinstance(column, pa.ChunkedArray):
        column = column.chunk(0)
    has_paths = pa.types.is_struct(column.type) and column.type.get_field_index("path") >= 0
    given: list[Any] = column.field("path").to_pylist() if has_paths else [None] * len(column)
    content = column.field("bytes") if pa.types.is_struct(column.type) else column
    ids = np.array([f"{i:06d}" + (f"/{p}" if p else "") for i, p in enumerate(given)])
    mark = fingerprint(*(file_checksum(f) for f in chosen))
    text = np.array(table["text"].to_pylist(), dtype=object) if "text" in table.column_names else None
    images: Images = EncodedImages(content, ids.tolist())
    if content.null_count == len(content) and has_paths:
        images = FileImages([(path if path.is_dir() else path.parent) / p for p in given])
    name = safe_name(path.parent.name + "-" + path.stem if path.stem in SPLITS else path.stem)
    numeric = numbers({c: table[c].to_pylist() for c in table.column_names if c in targets}, targets, path)
    return Dataset(name, ids, labels, names, mark, images, text=text, targets=numeric, target_names=targets,
                   is_labelled=label_column is not None)  # fmt: skip


def from_manifest(path: Path, split: str, targets: tuple[str, ...] = ()) -> Dataset:
    """Return a CSV manifest with columns path or text and, if there are any, label, split and numbers to predict."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            header = next(csv.reader(file), [])
        table = pd.read_csv(path, dtype={c: str for c in header if c != "label"}, keep_default_na=False)
        for name in set(targets) & set(header):
            table[name] = pd.to_numeric(table[name], errors="coerce")
    except (ValueError, OSError) as error:
        raise DataError(f"{path}: not readable as CSV ({error}).") from error
    return _from_table(table, path, split, targets)


def _from_table(table: Any, path: Path, split: str, targets: tuple[str, ...]) -> Dataset:
    if not {"path", "text"} & set(table.columns):
        raise DataError(f"{path}: expected a column path, image or text, got {', '.join(map(str, table.columns))}.")
    if "split" in table.columns and split != "all" and (table["split"] == split).any():
        table = table[table["split"] == split]
    is_labelled = "label" in table.columns and "label" not in targets
    labels, names = no_labels(len(table))
    if is_labelled:
        if table["label"].isna().any() or (table["label"].astype(str) == "").any():
            raise DataError(f"{path}: expected a label in every row; some are empty.")
        labels, names = encode_labels(table["label"].tolist())
    has_files = "path" in table.columns
    files = [path.parent / str(p) for p in table["path"]] if has_files else []
    source = path.read_bytes() if path.is_file() else table.to_csv(index=False).encode()
    mark = fingerprint(source, *(file_checksum(f) if f.is_file() else "missing" for f in files))
    features = next((c for c in ("features", "embedding") if c in table.columns), None)
    return Dataset(
        safe_name(path.stem),
        np.array([str(p) for p in table["path"]]) if has_files else numbered(len(table)),
        labels,
        names,
        mark,
        FileImages(files) if has_files else None,
        None if features is None else np.stack([np.asarray(v, dtype=np.float32) for v in table[features]]),
        split=table["split"].to_numpy().astype(str) if "split" in table.columns else None,
        text=table["text"].to_numpy() if "text" in table.columns else None,
        targets=numbers({c: table[c] for c in table.columns}, targets, path),
        target_names=targets,
        is_labelled=is_labelled,
    )


def _feature_names(schema: pa.Schema, column: str) -> list[str] | None:
    """Return the class names that Hugging Face's metadata give a label column."""
    raw = (schema.metadata or {}).get(b"huggingface")
    if raw is None:
        return None
    try:
        return json.loads(raw)["info"]["features"][column].get("names")
    except (ValueError, KeyError, AttributeError):
        return None
