"""Which column of a table is the image, the label, the split: the same names in every reader."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from lsi.errors import DataError

# the first name of a role that is there is taken; case, blanks and dashes do not count
ALIASES = {
    "image": ("image", "img", "path", "image_path", "img_path", "file_path", "filepath", "file", "file_name",
              "filename", "image_file", "image_file_name", "image_name", "img_name", "image_filename",
              "images", "picture", "photo",
              "jpg", "jpeg", "png", "webp"),
    "label": ("label", "labels", "class", "class_name", "class_label", "category", "category_name", "target", "targets",
              "fine_label", "label_name", "class_id", "label_id", "category_id", "y", "species", "cls"),
    "split": ("split", "subset", "fold", "partition", "dataset_split", "set"),
    "text": ("text", "sentence", "content"),
    "features": ("features", "embedding", "embeddings", "feature", "vector"),
}  # fmt: skip
_SEVERAL = ("paths", "files", "file_names", "filenames")  # what arrays of names are called
_IDS = ("id", "ids", "key", "keys", "uid", "name", "names", "image_id")
OPTIONS = {"image": "--image-column", "label": "--label-column", "split": "--split-column", "id": "--id-column"}


@dataclass(frozen=True)
class Wanted:
    """The columns that someone named, None where the usual names are looked for.

    Attributes:
        image: of paths or image bytes.
        label: of labels.
        split: of splits.
        id: of names for the samples.
    """

    image: str | None = None
    label: str | None = None
    split: str | None = None
    id: str | None = None


@dataclass(frozen=True)
class Roles:
    """Columns by role, None where there is none; `rest` are all others in their order, `notes` sentences."""

    image: str | None
    label: str | None
    split: str | None
    text: str | None
    features: str | None
    id: str | None
    rest: tuple[str, ...]
    notes: tuple[str, ...] = ()

    def named(self) -> dict[str, str]:
        """Return the columns that were found, by role, as a plan shows them."""
        roles = ("image", "text", "features", "label", "split", "id")
        return {role: column for role in roles if (column := getattr(self, role)) is not None}


def key_columns(columns: Sequence[str], own: Sequence[str] = ()) -> list[tuple[str, bool]]:
    """Return the columns whose names say that they name samples, and whether they name images, the surest first.

    Args:
        columns: all names.
        own: columns that the ids and images of the data come from.
    """
    folded = {_folded(column): column for column in reversed(columns)}
    images = (*ALIASES["image"], *_SEVERAL)
    names = dict.fromkeys((*map(_folded, own), *images, *_IDS))
    return [(folded[name], name in images) for name in names if name in folded]


def refuse_columns(wanted: Wanted, why: str) -> None:
    """Raise where someone named columns of data that have none.

    Args:
        wanted: what was named.
        why: what the data are instead.

    Raises:
        DataError: a column is named.
    """
    named = [f"{option} {getattr(wanted, role)}" for role, option in OPTIONS.items() if getattr(wanted, role)]
    if named:
        raise DataError(f"{why}, so {' and '.join(named)} can mean nothing: give the table that has it as --data.")


def assign_roles(columns: Sequence[str], wanted: Wanted, where: object, spoken_for: Sequence[str] = ()) -> Roles:
    """Return which column plays which role.

    Args:
        columns: all names.
        wanted: those that someone named.
        where: what a message names.
        spoken_for: columns that are targets to predict and nothing else.

    Raises:
        DataError: a column that someone named is not there.
    """
    roles: dict[str, str | None] = {}
    notes: list[str] = []
    taken = set(spoken_for)
    for role in OPTIONS:
        asked = getattr(wanted, role)
        roles[role] = None if asked is None else _named(asked, columns, role, where)
        taken |= {roles[role]} - {None}  # type: ignore[operator]
    for role, aliases in ALIASES.items():
        if roles.get(role) is not None:
            continue
        by_name = {_folded(column): column for column in reversed(columns) if column not in taken}
        found = [by_name[alias] for alias in aliases if alias in by_name]
        roles[role] = found[0] if found else None
        taken |= set(found[:1])
        if role == "label" and len(found) > 1:
            notes.append(
                f"Columns that could be the label: {', '.join(found)}; {found[0]} is, {OPTIONS[role]} chooses."
            )
    rest = tuple(column for column in columns if column not in taken or column in spoken_for)
    return Roles(**roles, rest=rest, notes=tuple(notes))  # type: ignore[arg-type]


def _named(asked: str, columns: Sequence[str], role: str, where: object) -> str:
    exact = [column for column in columns if column == asked]
    alike = exact or [column for column in columns if _folded(column) == _folded(asked)]
    if not alike:
        there = ", ".join(map(str, columns))
        raise DataError(f"{where}: no column {asked!r} ({OPTIONS[role]}); there are {there}.")
    return alike[0]


def _folded(name: str) -> str:
    return re.sub(r"[\s\-]+", "_", str(name).strip().strip("\ufeff").casefold())
