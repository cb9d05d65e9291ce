"""WebDataset tars: one sample a key, its image, its label and whatever else lies beside them."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import pandas as pd

from lsi.data.fetched import FetchedImages
from lsi.data.images import Images
from lsi.data.labels import LabelRules
from lsi.data.naming import safe_name, text_of_path
from lsi.data.sources.columns import ALIASES, Roles, Wanted, assign_roles
from lsi.data.sources.samples import Options, Samples
from lsi.data.sources.webdataset.shards import (
    Group,
    grouped,
    is_image_suffix,
    is_text_suffix,
    is_webdataset,
    shown_names,
    splits_of,
)
from lsi.data.trees import TarTree, Tree
from lsi.errors import DataError

__all__ = ["is_webdataset", "read_webdataset"]


def read_webdataset(trees: Sequence[Tree], options: Options) -> Samples:
    """Return the samples of WebDataset tars.

    The label is the member whose suffix is one of the usual names (cls, label, class; also with .txt behind it), or
    else the key of that name in the member that ends in .json. Texts and all other keys of the JSON are kept beside.

    Args:
        trees: the tars, in order.
        options: which columns were named; `columns.image` is a suffix.

    Raises:
        DataError: no member is an image, or a text, a number or JSON cannot be read.
    """
    groups, ignored, notes = grouped(trees)
    place, shards = shown_names(trees)
    kept, images, suffix, image_notes = _with_images(groups, options.columns.image, place)
    if not kept:
        raise DataError(f"{place}: expected images in the tar, found none among {_suffixes(groups)}.")
    ignored |= {"samples without an image": len(groups) - len(kept)} | _unused(kept, images)
    rows = [_row(trees[group.shard], group) for group in kept]
    columns = list(dict.fromkeys(column for row in rows for column in row))
    roles = _roles(columns, [group.members for group in kept], options.columns, place)
    of_shard = None if options.columns.split is not None else splits_of(trees)
    if of_shard is not None and roles.split is not None:
        notes.append(f"The tars' names say the splits: the column {roles.split} is kept beside.")
        roles = replace(roles, split=None)
    splits, index, lengths = _places(of_shard, groups, kept)
    if roles.split is not None:
        splits = _column_of_splits(rows, roles.split, notes)
    taken = {roles.label, roles.id, roles.split}
    apart = taken if options.needs_labels else taken - {roles.label}
    rest = [column for column in columns if column not in apart]
    names = [f"{shards[g.shard]}/{name}".lstrip("/") for g, name in zip(kept, images, strict=True)]
    return Samples(
        safe_name(PurePosixPath(place).name.partition(".")[0]),
        place,
        "WebDataset" if len(trees) == 1 else f"WebDataset of {len(trees):,} tars",
        names if roles.id is None else [str(row.get(roles.id, "")) for row in rows],
        _images(trees, kept, images),
        None if roles.label is None else [row.get(roles.label) for row in rows],
        LabelRules(f"{place}, {roles.label}"),
        splits,
        index,
        lengths,
        # as objects: whole numbers beside a gap would be floats
        metadata=pd.DataFrame([[_plain(row.get(c)) for c in rest] for row in rows], columns=rest, dtype=object)
        if rest
        else None,
        columns={"image": suffix} | {role: c for role, c in roles.named().items() if c in taken},
        files=tuple(tree.file for tree in trees if isinstance(tree, TarTree) and tree.file is not None),
        ignored=ignored,
        notes=(*notes, *image_notes, *roles.notes),
    )


def _with_images(groups: list[Group], wanted: str | None, place: str) -> tuple[list[Group], list[str], str, list[str]]:
    """Return the samples that have an image, the member that it is, its suffix in words, and notes."""
    counts = Counter(suffix for group in groups for suffix in group.members if is_image_suffix(suffix))
    notes = []
    if wanted is not None:
        wanted = wanted.lower().lstrip(".")
        if wanted not in counts:
            raise DataError(f"{place}: no image ends in .{wanted} (--image-column); there are {_suffixes(groups)}.")
        order = [wanted]
    else:
        order = sorted(counts, key=lambda suffix: ("." in suffix, -counts[suffix]))
        if any(sum(suffix in counts for suffix in group.members) > 1 for group in groups):
            notes.append(f"Several images a sample: {', '.join(order)}; the first is read, --image-column chooses.")
    kept, images = [], []
    for group in groups:
        image = next((group.members[suffix] for suffix in order if suffix in group.members), None)
        if image is not None:
            kept.append(group)
            images.append(image)
    used = {name.lower().removeprefix(g.key.lower() + ".") for g, name in zip(kept, images, strict=True)}
    return kept, images, " or ".join(suffix for suffix in order if suffix in used), notes


def _suffixes(groups: list[Group]) -> str:
    found = list(dict.fromkeys(f".{suffix}" for group in groups for suffix in group.members))
    return ", ".join(found[:8]) + (", …" if len(found) > 8 else "") or "no members"


def _unused(kept: list[Group], images: list[str]) -> dict[str, int]:
    """Return what lies beside the images and is not read, by suffix."""
    counts: Counter[str] = Counter()
    for group, image in zip(kept, images, strict=True):
        counts.update(
            f".{suffix}"
            for suffix, name in group.members.items()
            if name != image and suffix != "json" and not is_text_suffix(suffix)
        )
    return dict(counts)


def _row(tree: Tree, group: Group) -> dict[str, Any]:
    """Return the texts of a sample by suffix, .cls.txt as cls, and the plain values of its JSON by key."""
    row: dict[str, Any] = {}
    for suffix, name in group.members.items():
        if is_text_suffix(suffix):
            row[suffix.removesuffix(".txt")] = _text(tree, name).strip()
    if "json" in group.members:
        name = group.members["json"]
        text = _text(tree, name)
        try:
            values = json.loads(text)
        except (ValueError, RecursionError) as error:
            reason = "it is nested too deeply" if isinstance(error, RecursionError) else error
            raise DataError(f"{tree.name}: {text_of_path(name)} is no JSON ({reason}).") from None
        for key, value in (values if isinstance(values, dict) else {"json": values}).items():
            row[f"json.{key}" if key in row else key] = value
    return row


def _plain(value: Any) -> Any:
    """Return a value that fits a cell of a table: lists and objects as JSON."""
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list) else value


def _text(tree: Tree, name: str) -> str:
    try:
        return tree.read(name).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise DataError(f"{tree.name}: {text_of_path(name)} is no UTF-8 text.") from None


def _roles(columns: list[str], members: list[dict[str, str]], wanted: Wanted, place: str) -> Roles:
    """Return which column is the label: a member of its own rather than a key of the JSON."""
    own = {suffix.removesuffix(".txt") for group in members for suffix in group}
    if wanted.label is None:
        wanted = replace(
            wanted, label=next((name for name in ALIASES["label"] if name in own and name in columns), None)
        )
    elif wanted.label not in columns:
        wanted = replace(wanted, label=wanted.label.lstrip(".").removesuffix(".txt"))
    return assign_roles(columns, replace(wanted, image=None), place)


def _column_of_splits(rows: list[dict[str, Any]], column: str, notes: list[str]) -> list[str] | None:
    """Return the split of each sample by a column; None where it is empty, with a note."""
    splits = ["" if row.get(column) is None else str(row[column]).strip() for row in rows]
    if not any(splits):
        notes.append(f"The column {column} is empty: there are no splits.")
        return None
    return splits


def _places(
    of_shard: list[str] | None, groups: list[Group], kept: list[Group]
) -> tuple[list[str] | None, np.ndarray, dict[str, int]]:
    """Return the split of each sample, its row among all samples of the split, and their numbers by split."""
    lengths: Counter[str] = Counter()
    rows: dict[int, int] = {}
    for group in groups:
        split = "" if of_shard is None else of_shard[group.shard]
        rows[id(group)] = lengths[split]
        lengths[split] += 1
    splits = None if of_shard is None else [of_shard[group.shard] for group in kept]
    return splits, np.array([rows[id(group)] for group in kept], dtype=np.int64), dict(lengths)


def _images(trees: Sequence[Tree], kept: list[Group], names: list[str]) -> Images:
    places = [trees[group.shard] for group in kept]
    shown = [f"{tree.name}#{text_of_path(name)}" for tree, name in zip(places, names, strict=True)]
    return FetchedImages(shown, lambda i: places[i].read(names[i]), lambda i: places[i].stamp(names[i]))
