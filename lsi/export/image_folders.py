"""The kept images as files in one folder per class, under their own names, by copy or link."""

import os
import shutil
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd

from lsi.data.images import SUFFIXES, encoded
from lsi.data.sources.splits import same_split
from lsi.errors import UsageError
from lsi.export.names import Names, portable_name
from lsi.export.selection import Selection
from lsi.export.tables import file_paths, final_labels, relabelled, splits_of, write_csv
from lsi.export.untouched import refuse_sources
from lsi.runs.images import RunImages
from lsi.runs.labels import labels_in_data
from lsi.runs.run import Run

IMAGES, NAMES, CLASSES = "images", "names.csv", "classes.csv"
# what a reader of class folders may take for a split
_SPLITS = frozenset({"train", "validation", "test", "holdout", "unlabelled", "extra"})


@dataclass(frozen=True)
class _Original:
    """Where an image lies in the data: folders below its class, its name, and its class's folder; None for none."""

    folders: tuple[str, ...] = ()
    name: str | None = None
    class_folder: str | None = None


@dataclass
class _Places:
    """Gives folders and files names that stay apart, folder by folder."""

    _names: dict[tuple[str, ...], Names] = field(default_factory=lambda: defaultdict(Names))
    _folders: dict[tuple[tuple[str, ...], str], str] = field(default_factory=dict)

    def folder(self, parent: tuple[str, ...], folders: Iterable[str]) -> tuple[str, ...]:
        """Return the written folders below `parent` that stand for those of the data."""
        for name in folders:
            if (parent, name) not in self._folders:
                self._folders[parent, name] = self._names[parent].take(name)
            parent = (*parent, self._folders[parent, name])
        return parent

    def reserve(self, folder: tuple[str, ...], name: str) -> None:
        """Keep the name that an image of the data has there, whether it is written or not."""
        self._names[folder].reserve(name)

    def file(self, folder: tuple[str, ...], name: str, index: int, is_own: bool) -> str:
        """Return a name for an image that no other in its folder has, nor has in the data unless it is its own."""
        return self._names[folder].take(name, index, is_own)


def refuse_folders(run: Run, folder: Path) -> None:
    """Raise where images were written before, or where a list of them would overwrite what the run was computed from.

    Raises:
        UsageError: it is so.
    """
    root = folder / IMAGES
    if root.exists():
        raise UsageError(f"{root} is there already: export into a new folder, so that nothing is mixed or overwritten.")
    refuse_sources(run, [folder / NAMES, folder / CLASSES])


def refuse_links(images: RunImages, kept: np.ndarray) -> None:
    """Raise where there are no files to link to.

    Args:
        images: those of the run.
        kept: positions of those to link to; the first speaks for all, and none is no reason to link.

    Raises:
        UsageError: it is so.
    """
    if not len(kept) or not isinstance(images.source(int(kept[0])), Path):
        raise UsageError("These images do not lie in files of their own: copy them instead of linking.")


def write_folders(run: Run, selection: Selection, images: RunImages, folder: Path, link: bool) -> Path:
    """Write the kept images below `folder`, with names.csv and classes.csv beside them, and return their root.

    They become `images/<class>/<folders and name of their own>`, below a folder for each split where the run holds
    several, without a class where there are none; images without names are called `<index>.<suffix>`. names.csv has a
    row for each image: the written path, id, index, class, and whether the name is another than its own; classes.csv
    one for each class. Where two names would meet on some file system, the one that was not changed keeps its name; no
    image takes the place that another of the run has in the data, be it written or not.

    Args:
        run: the run.
        selection: which images stay, and their new labels.
        images: those of the run.
        folder: where to write.
        link: whether to write symbolic links instead of copies.

    Raises:
        UsageError: there are images already, a list would overwrite what was computed from, or there are no files to
            link to.
        DataError: an image cannot be read.
    """
    refuse_folders(run, folder)
    root = folder / IMAGES
    if link:
        refuse_links(images, selection.kept)
    temporary = root.with_name(f".{root.name}.{os.getpid()}.tmp")
    writer = _Writer(run, selection, images, temporary, link)
    try:
        temporary.mkdir(parents=True, exist_ok=True)
        rows = [writer.write(position) for position in writer.order()]
        names = pd.DataFrame(rows, columns=["path", "id", "index", "label", "is_renamed"])
        names = names.sort_values("index", kind="stable")
        write_csv(folder / NAMES, names if writer.is_labelled else names.drop(columns="label"))
        if writer.is_labelled:
            write_csv(folder / CLASSES, writer.classes())
        temporary.replace(root)  # last: where it is, all of it is
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return root


class _Writer:
    """Writes one image after the other and remembers which names are taken."""

    def __init__(self, run: Run, selection: Selection, images: RunImages, root: Path, link: bool) -> None:
        self.images, self.root, self.link = images, root, link
        self.is_labelled = run.task == "classification"
        self.index, self.ids = run.scores["index"].tolist(), run.scores["id"].tolist()
        self.labels, self.kept = final_labels(run, selection), selection.kept
        self.relabelled = set(relabelled(run, selection).tolist())
        self.splits = splits_of(run)
        self.originals = originals(run)
        self.class_names = run.class_names
        self.numbers = {_folded(name): c for c, name in enumerate(run.class_names)}
        self.numbers |= {name: c for c, name in enumerate(run.class_names)}
        has_folders = any(self.originals[i].folders for i in selection.kept.tolist())
        self.class_folders = class_folders(run.class_names, has_folders)
        split_names, several = Names(), sorted(set(self.splits))
        self.split_folders = {s: split_names.take(s or "no split") for s in several} if len(several) > 1 else None
        self.places = _Places()

    def order(self) -> list[int]:
        """Return the kept positions: names that stay as they are first, then new labels, then names that change."""

        def rank(position: int) -> tuple[bool, bool, int]:
            original = self.originals[position]
            parts = (*original.folders, original.name or "")
            return any(p and portable_name(p) != p for p in parts), position in self.relabelled, position

        ordered = sorted(map(int, self.kept), key=rank)
        for position in ordered:  # all folders before any file: one folder stands for many images
            self._folder(position)
        for position, original in enumerate(self.originals):
            own = self._own_folder(position)
            if own is not None and original.name is not None:
                self.places.reserve(own, original.name)
        return ordered

    def write(self, position: int) -> tuple[str, str, int, str, bool]:
        """Write an image and return its row of names.csv."""
        index, original = int(self.index[position]), self.originals[position]
        source = self.images.source(position)
        own, content, suffix = original.name, b"", source.suffix if isinstance(source, Path) else ""
        if not self.link or not isinstance(source, Path):
            content, suffix = encoded(self.images, position)
            if own is not None and source is None:  # no longer the file that it was
                own = str(PurePosixPath(own).with_suffix(suffix))
        folder = self._folder(position)
        wanted = _with_suffix(own or str(index), suffix)
        is_own = wanted == original.name and folder == self._own_folder(position)
        name = self.places.file(folder, wanted, index, is_own)
        path = self.root.joinpath(*folder, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        if self.link and isinstance(source, Path):
            path.symlink_to(source.resolve())
        else:
            path.write_bytes(content)
        is_renamed = original.name is not None and (*folder[self._depth :], name) != (*original.folders, original.name)
        label = self.class_names[self.labels[position]]
        return "/".join((IMAGES, *folder, name)), self.ids[position], index, label, is_renamed

    def classes(self) -> pd.DataFrame:
        """Return the folder of each class, its number of images, and whether it has another name than the class."""
        counts = np.bincount(self.labels[self.kept], minlength=len(self.class_names))
        table = pd.DataFrame({"folder": self.class_folders, "name": self.class_names, "n_images": counts})
        table["is_renamed"] = table["folder"] != table["name"]
        return table

    @property
    def _depth(self) -> int:
        """How many folders stand above those of the data: split and class."""
        return int(self.split_folders is not None) + int(self.is_labelled)

    def _folder(self, position: int) -> tuple[str, ...]:
        parent = self._split_folder(position)
        if not self.is_labelled:  # folders would be read as classes
            return parent
        parent = (*parent, self.class_folders[self.labels[position]])
        return self.places.folder(parent, self.originals[position].folders)

    def _own_folder(self, position: int) -> tuple[str, ...] | None:
        """Return the written folder that stands for the one in the data, None where none does."""
        parent, original = self._split_folder(position), self.originals[position]
        if not self.is_labelled:
            return (*parent, *original.folders)
        if original.class_folder is None:
            return None
        number = self.numbers.get(original.class_folder, self.numbers.get(_folded(original.class_folder)))
        if number is None:
            return None
        return self.places.folder((*parent, self.class_folders[number]), original.folders)

    def _split_folder(self, position: int) -> tuple[str, ...]:
        return () if self.split_folders is None else (self.split_folders[self.splits[position]],)


def class_folders(class_names: list[str], has_folders: bool = False) -> list[str]:
    """Return a folder name for each class that no other class has on any file system, its own wherever that is one.

    Args:
        class_names: k texts.
        has_folders: whether there are folders below the classes; a class called train would then be read as a split.
    """
    are_splits = [same_split(portable_name(name)) in _SPLITS for name in class_names]
    is_read_as_split = has_folders or all(are_splits)
    wanted = [f"class {name}" if is_split and is_read_as_split else name
              for name, is_split in zip(class_names, are_splits, strict=True)]  # fmt: skip
    names = Names()
    order = sorted(range(len(wanted)), key=lambda c: portable_name(wanted[c]) != class_names[c])
    folders = {c: names.take(wanted[c]) for c in order}
    return [folders[c] for c in range(len(class_names))]


def originals(run: Run) -> list[_Original]:
    """Return for each sample its folders below its class and its name, as the data have them."""
    paths = file_paths(run)
    if paths is None:
        return [_Original()] * len(run.scores)
    labels = [run.scores[c] for c in ("given_label", "true_label") if c in run.scores.columns]
    names = dict(enumerate(run.class_names))
    said = zip(labels_in_data(run), *labels, strict=True)
    known = [{_folded(own), *(_folded(names[c]) for c in others if c in names)} for own, *others in said]
    parts = [_parts(path) for path in paths]
    below = [_below_class(p[:-1], names) for p, names in zip(parts, known, strict=True)]
    others = [p[:-1] for p, folders in zip(parts, below, strict=True) if folders is None]
    shared = len(_common(others))
    splits, found = splits_of(run), []
    for p, folders, split in zip(parts, below, splits, strict=True):
        rest = list(p[shared:-1] if folders is None else folders)
        class_folder = None if folders is None else p[len(p) - len(folders) - 2]
        depths = [depth for depth, name in enumerate(rest) if split and same_split(name) == same_split(split)]
        for depth in depths[:1]:  # classes above splits: the split gets a folder of its own
            del rest[depth]
        found.append(_Original(tuple(rest), p[-1] or None, class_folder))
    return found


def _with_suffix(name: str, suffix: str) -> str:
    """Return the name of an image with the suffix of its content, unless it has one by which readers know an image."""
    is_known = PurePosixPath(name).suffix.casefold() in SUFFIXES or name.casefold().endswith(suffix.casefold())
    return name if is_known else name + suffix


def _common(paths: list[tuple[str, ...]]) -> tuple[str, ...]:
    """Return the folders that all paths begin with."""
    first, last = min(paths, default=()), max(paths, default=())
    different = [depth for depth, (a, b) in enumerate(zip(first, last, strict=False)) if a != b]
    return first[: different[0]] if different else first


def _parts(path: str) -> tuple[str, ...]:
    path = path if "/" in path else path.replace("\\", "/")
    return tuple(part for part in path.split("/") if part not in ("", ".", "..")) or ("",)


def _folded(class_name: str) -> str:
    return class_name.strip().casefold()


def _below_class(folders: tuple[str, ...], class_names: set[str]) -> tuple[str, ...] | None:
    """Return the folders below the one that is called like the class, None where none is."""
    for depth, name in enumerate(folders):
        if _folded(name) in class_names:
            return folders[depth + 1 :]
    return None
