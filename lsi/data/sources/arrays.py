"""Data that lie in NumPy's files: images, ready-made features, and other labellings."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from lsi.data.labels import LabelRules, label_texts
from lsi.data.naming import numbered, safe_name, text_of_path
from lsi.data.npz import read_npz
from lsi.data.pixels import check_real, from_pixels
from lsi.data.plan import counted
from lsi.data.sources.columns import ALIASES, key_columns, refuse_columns
from lsi.data.sources.samples import DEFAULT_SPLIT, Options, Samples, joined
from lsi.data.sources.splits import ALL, rows_asked, same_split, split_of
from lsi.data.sources.tables import numbers
from lsi.errors import DataError

ARRAYS = (".npz", ".npy")
_VALUES = ("images", "features", "embeddings", "embedding", "image", "x", "data", "pixels", "arr_0")
_LABELS = ("labels", "label", "y", "targets", "target", "classes", "class", "fine_labels", *ALIASES["label"], "arr_1")
_SPLITS = ("split", "splits")
_IDS = ("ids", "id", "keys", "filenames", "paths")  # before all other names: decisions are kept by them
_NAMES = ("class_names", "label_names", "classes_names", "names")


def from_arrays(path: Path, options: Options) -> Samples:
    """Return arrays: an .npz with `images` or `features`, and optionally `labels`, `text`, `class_names`, targets.

    The arrays of splits may stand side by side, as x_train, y_train, x_test, y_test or train_images, train_labels. An
    .npy holds images or features alone; its labels lie beside it as `<name>_labels.npy`, or come with --labels.

    Args:
        path: of the file.
        options: which split, which targets.

    Raises:
        DataError: the file holds no such arrays, or they do not fit each other.
    """
    arrays = load_arrays(path)
    where = text_of_path(str(path))
    refuse_columns(options.columns, f"{where}: it holds arrays")
    parts = _by_split(arrays, where)
    if not parts:
        return _samples(path, arrays, options, where)
    shared = {k: v for k, v in arrays.items() if k.casefold() in _NAMES}
    samples = _of_splits(path, {split: part | shared for split, part in parts.items()}, options, where)
    used = {id(array) for part in parts.values() for array in part.values()} | set(map(id, shared.values()))
    return replace(samples, ignored=Counter(samples.ignored) + Counter(_counted(arrays, used)))


def _by_split(arrays: dict[str, np.ndarray], where: str) -> dict[str, dict[str, np.ndarray]]:
    """Return the arrays of each split that has samples, under their names without it; none where no name says a split.

    Samples that stand beside those of other splits and name none are those to train with.

    Raises:
        DataError: there are samples to train with by name as well.
    """
    parts: dict[str, dict[str, np.ndarray]] = {}
    for name, values in arrays.items():
        first, _, rest = name.partition("_")
        begin, _, last = name.rpartition("_")
        if rest and split_of(first):
            parts.setdefault(first, {})[rest] = values
        elif begin and split_of(last):
            parts.setdefault(last, {})[begin] = values
        else:
            parts.setdefault("", {})[name] = values
    plain = parts.pop("", {})
    holding = {s: p for s, p in parts.items() if _first(p, _VALUES) is not None}
    own = _first(plain, _VALUES)
    if not holding or own is None or own.ndim < 2:
        return holding
    train = next((split for split in holding if same_split(split) == DEFAULT_SPLIT), None)
    if train is not None:
        name = next(name for name, array in plain.items() if array is own)
        raise DataError(
            f"{where}: it holds samples as {name} and those of the split {train} as well: save it without the array "
            "that is not meant, or each split in a file of its own."
        )
    return {DEFAULT_SPLIT: plain, **holding}


def _of_splits(path: Path, parts: dict[str, dict[str, np.ndarray]], options: Options, where: str) -> Samples:
    every = [values for part in parts.values() if (values := _first(part, _VALUES)) is not None and values.ndim > 2]
    if options.split == ALL:
        return joined({s: _samples(path, part, options, where, s, every) for s, part in parts.items()})
    chosen = next((split for split in parts if same_split(split) == same_split(options.split)), None)
    name = chosen or next(iter(parts))
    sizes = {s: len(_first(part, _VALUES)) for s, part in parts.items() if s != name}  # type: ignore[arg-type]
    samples = _samples(path, parts[name], options, where, name, every)
    found = [label_texts(values) for part in parts.values() if (values := _first(part, _LABELS)) is not None]
    rules = replace(samples.rules, others=frozenset[str]().union(*found))
    return replace(samples, rules=rules, splits=[name] * len(samples.ids), other_splits=sizes)


def _samples(
    path: Path,
    arrays: dict[str, np.ndarray],
    options: Options,
    where: str,
    split: str = "",
    every: Sequence[np.ndarray] = (),
) -> Samples:
    """Return the samples of some arrays.

    Args:
        path: of the file.
        arrays: by their names, without that of the split.
        options: which targets.
        where: what messages name.
        split: whose arrays they are, of a file that holds those of several.
        every: the arrays of images of all splits, which share one range of pixel values.
    """
    values = _samples_in(arrays, where)
    labels, notes = _labels_of(path, arrays, options, len(values), where)
    n, features, images = len(values), None, None
    if values.ndim == 2:
        features = _features(values, where)
    else:
        images, said = from_pixels(values, f"{where}, {split}" if split else where, path, every)
        notes = (*notes, *said)
    splits = _first(arrays, _SPLITS)
    if splits is not None and (splits.shape != (n,) or splits.dtype.kind not in "US"):
        splits = None
    ids, class_names = _names(arrays, labels, n)
    used = {id(a) for a in (values, labels, class_names, splits, arrays.get("text")) if a is not None}
    return Samples(
        safe_name(path.stem),
        where,
        "arrays",
        ids,
        images,
        labels,
        LabelRules(f"{where}, labels", None if class_names is None else [str(c) for c in class_names]),
        None if splits is None else splits.astype(str).tolist(),
        np.arange(n),
        {"": n},
        text=None if "text" not in arrays else [str(t) for t in arrays["text"]],
        features=features,
        targets=numbers(arrays, options.targets, path, rows_asked(splits, options.split, n)),
        target_names=options.targets,
        metadata=_metadata(arrays, used, n),
        files=(path,),
        ignored=_unused(arrays, used, options, n),
        notes=notes,
    )


def _samples_in(arrays: dict[str, np.ndarray], where: str) -> np.ndarray:
    """Return the array of features or images.

    Raises:
        DataError: there is none, or it has another shape.
    """
    values = _first(arrays, _VALUES)
    if values is None:
        values = _only_candidate(arrays)
    if values is None:
        shapes = ", ".join(f"{name} {array.shape}" for name, array in arrays.items())
        raise DataError(f"{where}: expected an array called images or features, got {shapes}.")
    if values.ndim < 2:
        raise DataError(f"{where}: expected features (n, d) or images (n, height, width[, channels]), got shape "
                        f"{values.shape}.")  # fmt: skip
    return values


def _labels_of(
    path: Path, arrays: dict[str, np.ndarray], options: Options, n: int, where: str
) -> tuple[np.ndarray | None, tuple[str, ...]]:
    """Return the labels of n samples, from the file or the one beside it, which a sentence says; None for none.

    Raises:
        DataError: there are fewer or more of them.
    """
    labels = _first(arrays, _LABELS)
    if labels is not None and labels is arrays.get("targets") and "targets" in options.targets:
        labels = None
    beside = next((p for p in _labels_beside(path) if p.is_file()), None) if labels is None else None
    if beside is not None:
        labels = load_arrays(beside)["data"]
    if labels is not None and not labels.ndim:
        raise DataError(f"{where}: expected {n:,} labels, one for each row of the samples, got a single value.")
    if labels is not None and len(labels) != n:
        raise DataError(f"{where}: expected {n:,} labels, one for each row of the samples, got {len(labels):,}.")
    return labels, () if beside is None else (
        f"The labels are those of {text_of_path(beside.name)}, which lies beside.",
    )


def _names(arrays: dict[str, np.ndarray], labels: np.ndarray | None, n: int) -> tuple[np.ndarray, np.ndarray | None]:
    """Return the ids of the n samples, and the names of the classes where the file has some.

    An array called names holds one for each class, or one for each sample where there are as many and fewer classes.
    """
    class_names, own = _first(arrays, _NAMES), arrays.get("names")
    others = {name: array for name, array in arrays.items() if array is not class_names}
    if own is not None and own is class_names and own.shape == (n,) and (labels is None or len(np.unique(labels)) < n):
        return _ids(others | {"paths": own}, n), None
    return _ids(others, n), class_names


def _labels_beside(path: Path) -> list[Path]:
    """Return where the labels of an .npy may lie: NAME_labels.npy, or y_train.npy beside X_train.npy."""
    names = [path.stem + "_labels.npy"]
    if path.stem[:1] in ("x", "X") and path.stem[1:2] in ("", "_"):
        names += [f"{letter}{path.stem[1:]}.npy" for letter in ("y", "Y")]
    return [path.with_name(name) for name in names] if path.suffix.lower() == ".npy" else []


def _first(arrays: dict[str, np.ndarray], names: tuple[str, ...]) -> np.ndarray | None:
    folded = {name.casefold(): array for name, array in arrays.items()}
    return next((folded[name] for name in names if name in folded), None)


def _only_candidate(arrays: dict[str, np.ndarray]) -> np.ndarray | None:
    """Return the only array that could be samples, whatever it is called."""
    candidates = [a for a in arrays.values() if a.ndim >= 2 and a.dtype.kind in "fiub" and a.shape[1] > 1]
    return candidates[0] if len(candidates) == 1 else None


def _ids(arrays: dict[str, np.ndarray], n: int) -> np.ndarray:
    """Return the first array whose name says that it names samples, and that does; else numbers."""
    folded = {name.casefold(): array for name, array in arrays.items()}
    names = [name for name in _IDS if name in folded]
    for ids in (*map(folded.__getitem__, names), *(arrays[name] for name, _ in key_columns(list(arrays)))):
        if ids.shape == (n,) and len(np.unique(ids)) == n:
            return ids.astype(str)
    return numbered(n)


def _metadata(arrays: dict[str, np.ndarray], used: set[int], n: int) -> pd.DataFrame | None:
    columns = {name: array for name, array in arrays.items() if id(array) not in used and _is_column(array, n)}
    return pd.DataFrame(columns) if columns else None


def _unused(arrays: dict[str, np.ndarray], used: set[int], options: Options, n: int) -> dict[str, int]:
    beside = {id(array) for name, array in arrays.items() if name in options.targets or _is_column(array, n)}
    return _counted(arrays, used | beside)


def _is_column(array: np.ndarray, n: int) -> bool:
    return array.shape == (n,) and array.dtype.kind in "fiubUSM"


def _counted(arrays: dict[str, np.ndarray], used: set[int]) -> dict[str, int]:
    """Return how many arrays are not used, under what they are called."""
    names = [f"{name} {array.shape}" for name, array in arrays.items() if id(array) not in used]
    return {f"arrays ({', '.join(names)})": len(names)} if names else {}


def _features(values: np.ndarray, where: str) -> np.ndarray:
    check_real(values, where)
    features = np.asarray(values, dtype=np.float64 if values.dtype == np.float64 else np.float32)
    bad = np.flatnonzero(~np.isfinite(features).all(axis=1))
    if len(bad):
        raise DataError(f"{where}: {counted(len(bad), 'row')} of features hold NaN or infinity, such as "
                        f"{bad[:5].tolist()}.")  # fmt: skip
    return features


def load_arrays(path: Path) -> dict[str, np.ndarray]:
    """Return the arrays of an .npz by name, or that of an .npy, memory-mapped, as `data`.

    Raises:
        DataError: the file is no such file, needs more memory than there is, holds pickles, or texts that are none.
    """
    found = read_npz(path)
    return {"data": found} if isinstance(found, np.ndarray) else found
