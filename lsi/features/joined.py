"""Ready vectors joined to the samples that they belong to, and probabilities turned into features."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from lsi.data.naming import ANNOTATION, counts_rows, is_index, rows_by_name
from lsi.errors import DataError
from lsi.features.class_probabilities import are_no_probabilities, logarithms
from lsi.features.vector_files import VectorFile, read_vectors

EMBEDDINGS = ("embeddings", "embedding", "features", "feature", "vectors", "vector", "x", "data")
PROBABILITIES = ("probabilities", "probability", "probs", "pred_probs", "proba", "p", "data")
_SHOWN = 3


@dataclass(frozen=True)
class Joined:
    """Vectors in the order of the samples.

    Attributes:
        values: (n, d); rows of samples without a vector are zero.
        has_vector: (n,) which samples have one.
        notes: sentences on how they were joined and what was left over.
    """

    values: Float[np.ndarray, "n d"]
    has_vector: Bool[np.ndarray, " n"]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Source:
    """Where samples stand in their source, for files that name no samples.

    Attributes:
        rows: (n,) of the samples that are wanted, in the source.
        length: rows of the source; 0 where that is not known.
        is_apart: the samples are those without a label, which a file of the others' vectors does not hold.
        other_ids: of the part of the data that is not joined, which a file may name as well.
    """

    rows: Int[np.ndarray, " n"]
    length: int = 0
    is_apart: bool = False
    other_ids: np.ndarray | None = None


def join_embeddings(
    specification: str, ids: np.ndarray, chosen: Int[np.ndarray, " n"], source: Source | None = None
) -> Joined:
    """Return the vectors of some samples, joined by id or path, or by order where the file names no samples.

    Args:
        specification: PATH[:KEY].
        ids: (N,) of all samples of the data.
        chosen: (n,) positions of the samples that are wanted.
        source: where these stand in the source; None: all samples are its rows.

    Raises:
        DataError: the file cannot be read, fits none of the samples, or a vector is not finite.
    """
    file = read_vectors(specification, "embeddings", EMBEDDINGS)
    joined = _joined(file, ids, chosen, "embedding", source)
    if len(file.columns) > 1:
        joined = _with_notes(joined, f"the {len(file.columns)} columns {file.columns[0]} … {file.columns[-1]} of "
                             f"{file.path.name} are the vectors" + _ignored(file))  # fmt: skip
    return joined


def join_probabilities(
    specification: str,
    ids: np.ndarray,
    chosen: Int[np.ndarray, " n"],
    class_names: Sequence[str],
    source: Source | None = None,
    kept: Sequence[str] | None = None,
) -> Joined:
    """Return the logarithm of the class probabilities of some samples, clipped from below at `FLOOR`.

    Args:
        specification: PATH[:KEY].
        ids: (N,) of all samples of the data.
        chosen: (n,) positions of the samples that are wanted.
        class_names: k names, in the order of the data's classes; columns that are called so are put in this order.
        source: where the samples that are wanted stand in the source; None: all samples are its rows.
        kept: names of the classes that still have samples, in their order; a file of these alone will do. A row is
            divided by what it gives them together, and says nothing of them where it gives them nothing. None: all.

    Raises:
        DataError: the file cannot be read, fits none of the samples, or its rows are no probabilities of these classes.
    """
    kept = class_names if kept is None else kept
    file, order, class_names = _of_classes(specification, class_names, kept)
    joined = _joined(file, ids, chosen, "probabilities", source)
    values = joined.values[:, order].astype(np.float64)
    _check_probabilities(file, values, joined.has_vector, ids[chosen])
    values = values[:, [class_names.index(name) for name in kept]]
    features = np.where(joined.has_vector[:, None], logarithms(values), 0)
    gone = [name for name in class_names if name not in kept]
    notes = [f"the columns of classes without samples are left out: {_some(gone)}"] if gone else []
    return _with_notes(Joined(features, joined.has_vector, joined.notes), _said_of_order(file, class_names), *notes)


def _of_classes(
    specification: str, class_names: Sequence[str], kept: Sequence[str]
) -> tuple[VectorFile, list[int], Sequence[str]]:
    """Return the probabilities in a file, which of its columns is which class, and these: all, or those kept alone.

    Raises:
        DataError: it fits neither; the message is about all classes.
    """
    problems: list[DataError] = []
    for names in dict.fromkeys((tuple(class_names), tuple(kept))):
        try:
            file = read_vectors(specification, "probabilities", PROBABILITIES, names)
            return file, _class_order(file, names), names
        except DataError as problem:
            problems.append(problem)
    raise problems[0]


def _joined(file: VectorFile, ids: np.ndarray, chosen: np.ndarray, what: str, source: Source | None) -> Joined:
    name, ids, notes = file.path.name, np.array([str(i) for i in ids], dtype=object), []
    is_apart = source is not None and source.is_apart
    match = _best_match(file, ids, source)
    if match is None:
        index = [*file.passed_over, *filter(is_index, file.keys)]
        picked, note = _in_order(file, len(ids), chosen, source)
        notes += [f"the index {column} of {name} does not name each sample and is passed over" for column in index]
        notes.append(note)
    else:
        picked, notes = match.rows[chosen], match.notes(file)
    has_vector = picked >= 0
    if not has_vector.any() and not is_apart:
        keys = [] if match is None else [repr(k) for k in match.keys[:_SHOWN]]
        raise DataError(f"{file.path}: none of its ids is one of the data's: it has {', '.join(keys)}, the data "
                        f"{', '.join(repr(i) for i in ids[:_SHOWN])}.")  # fmt: skip
    lacking = ids[chosen][~has_vector]
    if len(lacking):
        notes.append(f"{len(lacking):,} of {len(picked):,} samples have no {what} in {name} and are left out: "
                     + _some(lacking))  # fmt: skip
    dtype = np.float64 if file.values.dtype == np.float64 else np.float32
    values = np.zeros((len(picked), file.values.shape[1]), dtype)
    values[has_vector] = file.values[picked[has_vector]]
    bad = np.flatnonzero(~np.isfinite(values).all(axis=1))
    if len(bad):
        row, one = picked[bad[0]] + 1, ids[chosen][bad[0]]
        raise DataError(f"{file.path}, row {row}: expected finite numbers for {one}, got NaN, infinity or nothing: "
                        "leave such rows out of the file.")  # fmt: skip
    return Joined(values, has_vector, tuple(notes))


def _in_order(
    file: VectorFile, n_samples: int, chosen: np.ndarray, source: Source | None
) -> tuple[Int[np.ndarray, " n"], str]:
    """Return the row of each wanted sample in a file that names none, −1 where it holds none of them, and a note.

    Raises:
        DataError: it has as many rows as neither the samples nor their source.
    """
    name, length = file.path.name, len(file.values)
    if ANNOTATION in file.ignored:
        raise DataError(f"{file.path}: it names boxes by {ANNOTATION}: give their ids as the data have them, such as "
                        "photo.jpg#0, in a column called id.")  # fmt: skip
    is_apart = source is not None and source.is_apart
    is_loaded_order = length == n_samples and source is not None and np.array_equal(source.rows, chosen)
    if source is not None and _counts_in_source(source, length) and (is_apart or not is_loaded_order):
        return source.rows, f"{name} names no samples: its {length:,} rows are taken in the order of the source's rows"
    if is_apart:
        return np.full(len(chosen), -1), f"{name} names no samples: its {length:,} rows are those with a label"
    if length != n_samples:
        raise DataError(
            f"{file.path}: it names no samples and holds {length:,} rows, and the data hold {n_samples:,} "
            "samples: give their ids beside the vectors, as an array or a column called id."
        )
    return chosen, f"{name} names no samples: its {length:,} rows are taken in the order of the data"


def _counts_in_source(source: Source, length: int) -> bool:
    """Say whether a file of so many rows holds one for each of the source, whose rows the samples know."""
    return length == source.length and bool((source.rows < length).all())


@dataclass(frozen=True)
class _Match:
    """What one column of keys leads to: its texts, the row of each id, −1 for none, and how many by which rule.

    `others` are the rows of the part of the data that is not joined.
    """

    column: str
    keys: np.ndarray
    rows: np.ndarray
    counts: Mapping[str, int]
    others: np.ndarray

    def notes(self, file: VectorFile) -> list[str]:
        """Return what there is to say of it."""
        name, others = file.path.name, [column for column in file.keys if column != self.column]
        notes = [f"{count:,} rows of {name} were joined by {rule}" for rule, count in self.counts.items()]
        if others:
            notes.insert(0, f"{name} is joined by its column {self.column}, not by {' or '.join(others)}")
        surplus = np.setdiff1d(np.arange(len(self.keys)), np.concatenate([self.rows, self.others]))
        if len(surplus):
            notes.append(f"{len(surplus):,} of {len(self.keys):,} rows of {name} belong to no sample: "
                         + _some(self.keys[surplus]))  # fmt: skip
        return notes


def _best_match(file: VectorFile, ids: np.ndarray, source: Source | None) -> _Match | None:
    """Return what the column of keys that names most samples leads to, the surest of equals; None for the file's order.

    An index that names none is passed over, and so is a column without a usual name that names less than half. One
    that counts its own rows names samples only where the numbers in their names say the same order.

    Raises:
        DataError: it gives the numbers in the samples' names in another order.
    """
    best: _Match | None = None
    others = [] if source is None or source.other_ids is None else [str(i) for i in source.other_ids]
    for column, keys in file.keys.items():
        every, counts = rows_by_name(keys, [*ids, *others])
        if (every >= 0).sum() < (min(len(every), len(keys)) / 2 if column in file.guessed else is_index(column)):
            continue
        rows = every[: len(ids)]
        match, n_found = _Match(column, keys, rows, counts, every[len(ids) :]), int((rows >= 0).sum())
        if counts_rows(keys) and (counts or not n_found):
            if n_found < len(ids) and _has_their_order(file, len(ids), source):
                continue
            _check_order(file, match, ids)
        if best is None or n_found > (best.rows >= 0).sum():
            best = match
        if n_found == len(ids):
            break
    return best


def _has_their_order(file: VectorFile, n_samples: int, source: Source | None) -> bool:
    """Say whether a file has as many rows as the samples or their source, so that it may be read in their order."""
    return len(file.values) in (n_samples, 0 if source is None else source.length)


def _check_order(file: VectorFile, match: _Match, ids: np.ndarray) -> None:
    found = np.flatnonzero(match.rows >= 0)
    back = np.flatnonzero(np.diff(match.rows[found]) < 0)
    if len(back):
        sample = found[back[0] + 1]
        raise DataError(
            f"{file.path}: its column {match.column} counts its own rows and also gives the numbers in the samples' "
            f"names, in another order ({ids[sample]} is row {match.rows[sample] + 1:,}): write the samples' ids or "
            "paths into a column, or leave it out where the rows are in the order of the data."
        )


def _class_order(file: VectorFile, class_names: Sequence[str]) -> list[int]:
    """Return which column belongs to each class."""
    k, names = len(class_names), [c.strip() for c in file.columns]
    missing = [c for c in class_names if c not in names]
    if not missing:
        return [names.index(c) for c in class_names]
    if len(missing) < k and not all(n.isdigit() for n in names):
        raise DataError(f"{file.path}: expected a column for each of the {k} classes, got none for {_some(missing)}.")
    if file.values.shape[1] != k:
        raise DataError(
            f"{file.path}: expected {k} columns of probabilities, one for each class of the data, got "
            f"{file.values.shape[1]}."
        )
    return list(range(k))


def _said_of_order(file: VectorFile, class_names: Sequence[str]) -> str:
    """Return a sentence on how columns were joined to classes."""
    if set(class_names) <= {c.strip() for c in file.columns}:
        return f"the columns of {file.path.name} are joined to the classes by name"
    return f"the columns of {file.path.name} are taken in the order of the classes: " + _some(class_names)


def _check_probabilities(file: VectorFile, values: np.ndarray, has_vector: np.ndarray, ids: np.ndarray) -> None:
    out = has_vector & are_no_probabilities(values)
    if not out.any():
        return
    i = int(np.flatnonzero(out)[0])
    raise DataError(
        f"{file.path}: expected probabilities from 0 to 1 that sum to 1, got a row from {values[i].min():.4g} to "
        f"{values[i].max():.4g} with sum {values[i].sum():.4g} for {ids[i]}: if these are logits, give their softmax"
        + _ignored(file)
        + "."
    )


def _ignored(file: VectorFile) -> str:
    return f"; numbers left out: {_some(file.ignored)}" if file.ignored else ""


def _with_notes(joined: Joined, *notes: str) -> Joined:
    return Joined(joined.values, joined.has_vector, (*joined.notes, *notes))


def _some(names: Sequence[str] | np.ndarray) -> str:
    """Return the first names, and a sign where there are more."""
    shown = ", ".join(str(n) for n in names[:_SHOWN])
    return shown + (", …" if len(names) > _SHOWN else "")
