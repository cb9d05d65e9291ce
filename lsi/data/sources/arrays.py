"""Data that lie in NumPy's files: images, ready-made features, and other labellings."""

from pathlib import Path

import numpy as np
import pandas as pd

from lsi.data.encoding import encode_labels, no_labels, numbered, numbers, safe_name
from lsi.data.images import ArrayImages
from lsi.data.record import Dataset
from lsi.errors import DataError


def from_arrays(path: Path, targets: tuple[str, ...] = ()) -> Dataset:
    """Return arrays: an .npz with `images` or `features`, and optionally `labels`, `text`, `class_names`, `targets`.

    An .npy holds images or features alone; its labels lie beside it as `<name>_labels.npy`, or come with --labels.

    Raises:
        DataError: the file holds no such arrays, or they do not fit each other.
    """
    arrays = _load_arrays(path)
    values = next((arrays[k] for k in ("images", "features", "x", "X", "data") if k in arrays), None)
    labels = next((arrays[k] for k in ("labels", "y", "label") if k in arrays), None)
    if labels is None and "targets" in arrays and not targets:
        labels = arrays["targets"]
    if values is None:
        raise DataError(f"{path}: expected an array called images or features, got {', '.join(arrays)}.")
    beside = path.with_name(path.stem + "_labels.npy")
    if labels is None and beside.exists():
        labels = _load_arrays(beside)["data"]
    class_names = [str(c) for c in arrays["class_names"]] if "class_names" in arrays else None
    encoded, names = no_labels(len(values)) if labels is None else encode_labels(labels.tolist(), class_names)
    features, images = None, None
    if values.ndim == 2:
        features = np.asarray(values, dtype=np.float64 if values.dtype == np.float64 else np.float32)
        bad = np.flatnonzero(~np.isfinite(features).all(axis=1))
        if len(bad):
            raise DataError(f"{path}: {len(bad)} rows of features hold NaN or infinity, such as {bad[:5].tolist()}.")
    elif values.ndim == 3 or (values.ndim == 4 and values.shape[3] in (1, 3)):
        images = ArrayImages(_as_bytes(values[..., 0] if values.shape[-1] == 1 and values.ndim == 4 else values))
    else:
        raise DataError(
            f"{path}: expected features (n, d) or images (n, height, width[, 1 or 3]), got shape {values.shape}."
        )
    return Dataset(
        safe_name(path.stem),
        numbered(len(values)),
        encoded,
        names,
        images,
        features,
        text=arrays.get("text"),
        targets=numbers(arrays, targets, path),
        target_names=targets,
        is_labelled=labels is not None,
        files=(path,),
    )


def as_labels(values: np.ndarray, class_names: tuple[str, ...]) -> np.ndarray:
    """Return another labelling as class indices: by class name, or else by class index.

    Raises:
        DataError: a value is neither.
    """
    positions = {c: i for i, c in enumerate(class_names)}
    unknown = sorted({str(v) for v in values} - set(positions))
    if unknown and values.dtype.kind in "iu" and values.min() >= 0 and values.max() < len(class_names):
        return values.astype(np.int64)  # the classes' numbers
    if unknown:
        raise DataError(
            f"--labels: expected class names {', '.join(class_names[:5])}, …, got {', '.join(unknown[:3])}."
        )
    return np.array([positions[str(v)] for v in values], dtype=np.int64)


def read_array(specification: str, option: str, usual: tuple[str, ...]) -> np.ndarray:
    """Return an array from PATH[:KEY] of a .npy, .npz or .csv file; without KEY the only one, or one called as `usual`.

    Args:
        specification: PATH or PATH:KEY.
        option: what a message names.
        usual: names of arrays to look for where no KEY is given.

    Raises:
        DataError: there is no such file or array, or there are several.
    """
    path_text, _, name = specification.partition(":") if not Path(specification).exists() else (specification, "", "")
    path = Path(path_text)
    if not path.is_file():
        raise DataError(f"{option}: no such file: {path}.")
    if path.suffix == ".csv":
        table = pd.read_csv(path)
        arrays = {str(c): table[c].to_numpy() for c in table.columns}
    else:
        arrays = _load_arrays(path)
    if not name and len(arrays) > 1 and not set(usual) & set(arrays):
        raise DataError(f"{option}: {path} holds {', '.join(arrays)}: say which with {path}:NAME.")
    name = name or next((k for k in usual if k in arrays), next(iter(arrays)))
    if name not in arrays:
        raise DataError(f"{option}: {path} holds {', '.join(arrays)}, not {name!r}.")
    return arrays[name]


def _load_arrays(path: Path) -> dict[str, np.ndarray]:
    try:
        loaded = np.load(path, allow_pickle=False, mmap_mode="r" if path.suffix == ".npy" else None)
        return {k: loaded[k] for k in loaded.files} if hasattr(loaded, "files") else {"data": loaded}
    except Exception as error:
        raise DataError(f"{path}: not readable as arrays without pickles ({error}).") from error


def _as_bytes(values: np.ndarray) -> np.ndarray:
    if values.dtype == np.uint8:
        return values
    top = float(values.max(initial=0))
    return np.clip(np.rint(values * (255.0 if top <= 1 else 1.0 if top <= 255 else 255 / 65535)), 0, 255).astype(
        np.uint8
    )
