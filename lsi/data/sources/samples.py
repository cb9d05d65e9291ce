"""What a source says of its rows, and the one function that makes a data set of it."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from lsi.data.images import ChosenImages, Images, JoinedImages
from lsi.data.labels import UNLABELLED, LabelRules, Labels, encode_labels, label_texts, no_labels
from lsi.data.plan import Plan
from lsi.data.record import Dataset
from lsi.data.sources.columns import Roles, Wanted
from lsi.data.sources.splits import ALL, NO_SPLIT, check_split, same_split

DEFAULT_SPLIT = "train"
_PLAIN_TEXTS = 100_000  # above, an array of fixed width would be large


@dataclass(frozen=True)
class Options:
    """What someone asked for when the data are read.

    Attributes:
        split: which split; "all" for every one.
        columns: the columns that were named.
        merge_classes: "case" joins class names that differ by case or blanks alone.
        targets: names of columns of numbers to predict.
        needs_labels: whether the labels are what is learnt, so that rows without one cannot be used.
        boxes: whether each annotated box is a sample.
        download: whether data that are not here may be downloaded.
        within: whether images are looked for in no folder beside the one that was given, which holds some.
    """

    split: str = DEFAULT_SPLIT
    columns: Wanted = field(default_factory=Wanted)
    merge_classes: str = "none"
    targets: tuple[str, ...] = ()
    needs_labels: bool = True
    boxes: bool = False
    download: bool = True
    within: bool = False

    def beside(self, columns: Sequence[str], roles: Roles) -> list[str]:
        """Return the columns of a table that stay beside the samples as they are.

        A column that is predicted is among them, and one of labels where these are not what is learnt.

        Args:
            columns: all of the table, in order.
            roles: which of them are what.
        """
        taken = {column for role, column in roles.named().items() if role != "label" or self.needs_labels}
        return [column for column in columns if column not in taken]


@dataclass(frozen=True)
class Samples:
    """Every row that a source has, as it stands there, before a split is chosen and labels are encoded.

    Attributes:
        name: short, for a folder's name.
        place: the path or address that was given, for messages.
        kind: what lies there, for the plan.
        ids: n texts, unique.
        images: n images, or None.
        labels: n values, or None where nothing says what the samples are.
        rules: how the label values are understood.
        splits: n texts, or None where there are no splits.
        index: (n,) row in the source, counted within the split where each split is a source of its own.
        source_lengths: rows of the source that `index` counts in, by split; under "" where there are no such.
        other_splits: splits that are there and not among the rows, with their numbers of samples.
        text: n texts shown instead of an image, or None.
        features: (n, d) ready-made features, or None.
        targets: (n, m) numbers to predict, or None.
        metadata: n rows of all other columns, or None.
        paths: names of the images' files in the tree, where a table names them.
        columns: what each column was taken for, by role.
        files: files that hold several samples each.
        ignored: what lies there and is no sample, with its number.
        notes: sentences for the plan.
        noun: what the samples are, in the plural; "": by what they have.
        split_folders: splits by the names of folders by which they may be asked for as well.
    """

    name: str
    place: str
    kind: str
    ids: Sequence[str] | np.ndarray
    images: Images | None = None
    labels: Sequence[Any] | np.ndarray | None = None
    rules: LabelRules = field(default_factory=lambda: LabelRules("the labels"))
    splits: Sequence[str] | None = None
    index: np.ndarray | None = None
    source_lengths: Mapping[str, int] = field(default_factory=dict)
    other_splits: Mapping[str, int] = field(default_factory=dict)
    text: Sequence[str] | None = None
    features: np.ndarray | None = None
    targets: np.ndarray | None = None
    target_names: tuple[str, ...] = ()
    metadata: pd.DataFrame | None = None
    paths: Sequence[str] = ()
    columns: Mapping[str, str] = field(default_factory=dict)
    files: tuple[Path, ...] = ()
    ignored: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    noun: str = ""
    split_folders: Mapping[str, str] = field(default_factory=dict)


def assemble(samples: Samples, options: Options) -> Dataset:
    """Return the data set of a split: labels encoded, rows without a label apart, the plan written.

    Args:
        samples: every row of the source.
        options: which split, and how labels are understood.

    Raises:
        DataError: there is no such split, or labels, ids or shapes do not fit.
    """
    rows, sizes, split = _chosen_rows(samples, options.split)
    labels, is_labelled = _labels(samples, rows, options)
    missing = np.flatnonzero(labels.values == UNLABELLED)
    dataset = _dataset(samples, rows, replace(labels, values=np.maximum(labels.values, 0)), is_labelled)
    if len(missing):
        unlabelled = replace(dataset.take(missing), is_labelled=False)
        dataset = replace(dataset.take(np.flatnonzero(labels.values != UNLABELLED)), unlabelled=unlabelled)
    plan = Plan(
        samples.place,
        samples.kind,
        _noun(samples),
        len(dataset),
        _class_counts(dataset) if is_labelled else (),
        tuple(sizes.items()),
        split,
        tuple(samples.columns.items()),
        () if samples.metadata is None else tuple(map(str, samples.metadata.columns)),
        0 if dataset.unlabelled is None else len(dataset.unlabelled),
        _ignored(samples.ignored),
        (*samples.notes, *labels.notes),
        _source_length(samples, split, len(rows)),
    )
    return replace(dataset, plan=plan)


def _chosen_rows(samples: Samples, asked: str) -> tuple[np.ndarray, dict[str, int], str]:
    """Return the rows of the split that is asked for, the sizes of all splits, and the split's name as it stands."""
    everything = np.arange(len(samples.ids))
    if samples.splits is None and not samples.other_splits:
        if asked not in (ALL, DEFAULT_SPLIT):
            check_split(asked, (), samples.place)
        return everything, {}, ""
    names = np.asarray([str(name) for name in samples.splits or [""] * len(samples.ids)])
    sizes = dict(Counter(names.tolist())) | dict(samples.other_splits)
    if asked == ALL:
        return everything, sizes, ALL
    if asked == DEFAULT_SPLIT and sizes and all(name.strip().lstrip("-").isdigit() for name in sizes):
        return everything, sizes, ALL  # folds by number: none of them is called train
    asked = samples.split_folders.get(asked, asked)
    check_split(asked, sizes, samples.place, [what for what in samples.ignored if what.endswith(NO_SPLIT)])
    wanted = same_split(asked)
    found = sorted({name for name in sizes if same_split(name) == wanted})
    return np.flatnonzero(np.isin(names, found)), sizes, " and ".join(found)


def _labels(samples: Samples, rows: np.ndarray, options: Options) -> tuple[Labels, bool]:
    """Return the labels of the chosen rows, and whether they say anything."""
    if samples.labels is None:
        return no_labels(len(rows)), False
    values = samples.labels
    chosen = [values[i] for i in rows.tolist()] if len(rows) < len(values) else values
    places = rows if samples.index is None else samples.index[rows]
    others = samples.rules.others
    if samples.rules.class_names is not None and len(chosen) < len(values):
        others |= label_texts(values)
    rules = replace(samples.rules, merge=options.merge_classes, rows=places, others=others)
    labels = encode_labels(chosen, rules)
    n_missing = int((labels.values == UNLABELLED).sum())
    if n_missing == len(rows) or (n_missing and not options.needs_labels):
        note = "No sample has a label." if n_missing == len(rows) else f"{n_missing:,} samples have no label."
        nothing = no_labels(len(rows))
        return replace(nothing, notes=(*labels.notes, f"{note} The data are taken as data without labels.")), False
    return labels, True


def _dataset(samples: Samples, rows: np.ndarray, labels: Labels, is_labelled: bool) -> Dataset:
    everything = len(rows) == len(samples.ids)

    def pick(values: Any) -> Any:
        return None if values is None else values if everything else values[rows]

    images = samples.images
    index = rows if samples.index is None else samples.index[rows]
    if len(np.unique(index)) < len(index):  # rows of several sources, one after the other
        index = np.arange(len(rows))
    return Dataset(
        samples.name,
        pick(np.asarray(samples.ids, dtype=object if len(samples.ids) > _PLAIN_TEXTS else None)),
        labels.values,
        labels.names,
        images if images is None or everything else ChosenImages(images, rows),
        pick(samples.features),
        pick(None if samples.splits is None else np.asarray(samples.splits)),
        pick(None if samples.text is None else np.asarray(samples.text, dtype=object)),
        index,
        targets=pick(samples.targets),
        target_names=samples.target_names,
        is_labelled=is_labelled,
        files=samples.files,
        metadata=None if samples.metadata is None else samples.metadata.iloc[rows].reset_index(drop=True),
    )


def _class_counts(dataset: Dataset) -> tuple[tuple[str, int], ...]:
    counts = np.bincount(dataset.labels, minlength=len(dataset.class_names))
    return tuple(zip(dataset.class_names, map(int, counts), strict=True))


def _ignored(counts: Mapping[str, int]) -> tuple[tuple[str, int], ...]:
    """Return what was ignored with its number: hidden files first, then by name."""
    there = [(what, count) for what, count in counts.items() if count]
    return tuple(sorted(there, key=lambda item: (item[0] != "hidden files", item[0])))


def _noun(samples: Samples) -> str:
    if samples.noun:
        return samples.noun
    return "images" if samples.images is not None else "texts" if samples.text is not None else "samples"


def _source_length(samples: Samples, split: str, n_rows: int) -> int:
    """Return how many rows the source has that indices refer to."""
    lengths = samples.source_lengths
    if split in lengths:
        return lengths[split]
    return lengths.get("", len(samples.ids) if samples.index is not None or samples.splits is not None else n_rows)


def joined(parts: Mapping[str, Samples]) -> Samples:
    """Return several sources one after the other, each a split of its own.

    Args:
        parts: samples by the name of their split; what only some of them have, the others lack.
    """
    several = list(parts.values())
    first = several[0]
    images = [part.images for part in several if part.images is not None]
    labels = None
    if any(part.labels is not None for part in several):
        labels = [v for part in several for v in (part.labels if part.labels is not None else [None] * len(part.ids))]
    frames = [
        part.metadata if part.metadata is not None else pd.DataFrame(index=range(len(part.ids))) for part in several
    ]
    counts: Counter[str] = Counter()
    for part in several:
        counts.update(part.ignored)
    ids = [str(name) for part in several for name in part.ids]
    if len(set(ids)) < len(ids):
        ids = [f"{split}/{name}" for split, part in parts.items() for name in part.ids]
    return replace(
        first,
        ids=ids,
        images=JoinedImages(images) if len(images) == len(several) else None,
        labels=labels,
        splits=[split for split, part in parts.items() for _ in part.ids],
        index=np.concatenate([np.arange(len(part.ids)) if part.index is None else part.index for part in several]),
        source_lengths={split: len(part.ids) for split, part in parts.items()},
        text=None if first.text is None else [t for part in several for t in part.text or ()],
        features=None
        if first.features is None
        else np.concatenate([p.features for p in several if p.features is not None]),
        targets=None
        if first.targets is None
        else np.concatenate([p.targets for p in several if p.targets is not None]),
        metadata=_stacked(frames) if any(f.shape[1] for f in frames) else None,
        paths=[name for part in several for name in part.paths],
        files=tuple(dict.fromkeys(file for part in several for file in part.files)),
        ignored=dict(counts),
        notes=tuple(dict.fromkeys(note for part in several for note in part.notes)),
    )


def _stacked(frames: list[pd.DataFrame]) -> pd.DataFrame:
    """Return frames one below the other; whole numbers that one of them lacks stay whole."""
    shared = set(frames[0].columns).intersection(*(frame.columns for frame in frames))
    whole = [
        {c: "UInt64" if frame[c].dtype.kind == "u" else "Int64" for c in frame.columns
         if c not in shared and frame[c].dtype.kind in "iu"} for frame in frames
    ]  # fmt: skip
    return pd.concat([frame.astype(kinds) for frame, kinds in zip(frames, whole, strict=True)], ignore_index=True)
