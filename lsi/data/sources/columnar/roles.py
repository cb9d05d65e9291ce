"""Which column of Parquet and Arrow files is the image, the label, the text: by name, else by type."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

import pyarrow as pa

from lsi.data.sources.columnar.types import is_bytes, is_text
from lsi.data.sources.columnar.values import is_vector
from lsi.data.sources.columns import OPTIONS, Roles, Wanted, assign_roles
from lsi.data.sources.samples import Options
from lsi.errors import DataError

Kind = Literal["image", "bytes", "text", "vector", "other"]
_NO_IMAGES = ("Audio", "Video", "Pdf", "Nifti")  # what the Hub keeps in the same form as images


def kind_of(kind: pa.DataType, feature: Any = None) -> Kind:
    """Return what a column may hold, by its type and by what the Hub's metadata say of it.

    Args:
        kind: type of the column.
        feature: of the metadata.
    """
    if isinstance(kind, pa.BaseExtensionType):
        kind = kind.storage_type
    said = feature.get("_type") if isinstance(feature, dict) else None
    if said in _NO_IMAGES:
        return "other"
    if pa.types.is_struct(kind):
        fields = {kind.field(i).name: kind.field(i).type for i in range(kind.num_fields)}
        has_bytes = "bytes" in fields and (is_bytes(fields["bytes"]) or pa.types.is_null(fields["bytes"]))
        return "image" if has_bytes or fields.keys() == {"path"} else "other"
    if is_bytes(kind):
        return "image" if said == "Image" else "bytes"
    return "text" if is_text(kind) else "vector" if is_vector(kind) else "other"


def choose_roles(kinds: Mapping[str, Kind], options: Options, where: str) -> Roles:
    """Return which column plays which role; a column whose type does not fit its name is like any other.

    Args:
        kinds: what each column holds, by name.
        options: the columns that someone named, and those that are targets.
        where: what messages name.

    Raises:
        DataError: no column says what the samples are, or several could be the image.
    """
    wanted = options.columns
    columns = list(kinds)
    roles = assign_roles(columns, wanted, where, options.targets)
    if wanted.image is None:
        image = _image_column(kinds, roles, options, where)
        wanted = replace(wanted, image=image) if image else wanted
    elif kinds[str(roles.image)] not in ("image", "bytes", "text"):
        raise DataError(
            f"{where}, column {roles.image}: expected images as bytes, structs with bytes or path, or paths as text."
        )
    misfits: Sequence[str] = ()
    while True:
        columns = [column for column in columns if column not in misfits]
        roles = assign_roles(columns, wanted, where, options.targets)
        misfits = _misfits(kinds, roles, wanted)
        if not misfits:
            break
    if roles.image is None and roles.text is None and roles.features is None:
        raise DataError(
            f"{where}: no column holds images, paths, texts or features; there are {', '.join(kinds)}. Name the "
            f"one that holds images or paths with {OPTIONS['image']}."
        )
    return replace(roles, rest=tuple(options.beside(list(kinds), roles)))


def image_columns(kinds: Mapping[str, Kind]) -> list[str]:
    """Return the columns that hold images rather than their paths, those with a usual name first.

    Args:
        kinds: what each column holds, by name.
    """
    embedded = [column for column, kind in kinds.items() if kind in ("image", "bytes")]
    named = assign_roles(embedded, Wanted(), "").image
    return ([named] if named else []) + [c for c in embedded if c != named and kinds[c] == "image"]


def _image_column(kinds: Mapping[str, Kind], roles: Roles, options: Options, where: str) -> str | None:
    """Return the column of images where nobody named one: bytes count before paths, usual names before others."""
    asked = options.columns
    spoken_for = {*options.targets, asked.label, asked.split, asked.id}
    free: dict[str, Kind] = {column: kind for column, kind in kinds.items() if column not in spoken_for}
    found = image_columns(free)
    if found and assign_roles(found[:1], Wanted(), where).image:
        return found[0]
    has_other = kinds.get(str(roles.image)) == "text" or any(
        kinds.get(str(column)) == kind for column, kind in ((roles.text, "text"), (roles.features, "vector"))
    )
    candidates = found or ([] if has_other else [column for column, kind in free.items() if kind == "bytes"])
    if len(candidates) > 1:
        raise DataError(
            f"{where}: several columns could be the image: {', '.join(candidates)}. Name one with {OPTIONS['image']}."
        )
    return candidates[0] if candidates else None


def _misfits(kinds: Mapping[str, Kind], roles: Roles, wanted: Wanted) -> Sequence[str]:
    """Return columns that have a role by their name and cannot play it by their type."""
    unfit = (
        (roles.image, wanted.image is None and kinds.get(str(roles.image)) != "text"),
        (roles.label, wanted.label is None and kinds.get(str(roles.label)) == "image"),
        (roles.text, kinds.get(str(roles.text)) != "text"),
        (roles.features, kinds.get(str(roles.features)) != "vector"),
    )
    return [column for column, is_unfit in unfit if column is not None and is_unfit]
