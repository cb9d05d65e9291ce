"""Boxes of YOLO: a text file an image, one line a box, in fractions of the image's width and height."""

import math
import posixpath
from collections.abc import Iterable

from lsi.data.images import SUFFIXES
from lsi.data.naming import text_of_path
from lsi.data.sources.boxes.table import OTHER, Box, BoxTable, split_of_path
from lsi.data.sources.boxes.yolo_description import Description, is_description, read_description
from lsi.data.trees import Tree
from lsi.data.trees.filenames import suffix_of
from lsi.errors import DataError

_FOLDERS = frozenset({"images", "image", "imgs", "img", "jpegimages"})  # of images, beside which labels/ lies
_MOST = 2.0  # fractions may lie a little outside the image; pixels lie far outside


def find_labels(names: Iterable[str]) -> dict[str, str]:
    """Return the label file of each image: of its name in labels/ where the image lies in images/, or beside it."""
    texts = {name for name in names if suffix_of(name) == ".txt"}
    labels: dict[str, str] = {}
    for name in [] if not texts else sorted(name for name in names if suffix_of(name) in SUFFIXES):
        found = next((text for text in _label_names(name) if text in texts), None)
        if found is not None:
            labels[name] = found
    return labels


def is_yolo(names: list[str]) -> bool:
    """Say whether labels/ lies beside images/, or a text beside each image together with a file of class names."""
    labels = find_labels(names)
    are_apart = any(posixpath.dirname(text) != posixpath.dirname(image) for image, text in labels.items())
    return are_apart or (bool(labels) and any(map(is_description, names)))


def _label_names(image: str) -> list[str]:
    parts = posixpath.splitext(image)[0].split("/")
    places = [i for i, part in enumerate(parts[:-1]) if part.casefold() in _FOLDERS]
    return ["/".join([*parts[:i], "labels", *parts[i + 1 :]]) + ".txt" for i in reversed(places)] + [
        "/".join(parts) + ".txt"
    ]


def read_yolo(tree: Tree, names: list[str]) -> BoxTable:
    """Return the boxes of YOLO in a tree; outlines of YOLO-seg become the boxes around them.

    Args:
        tree: where they lie, with the images.
        names: of its files.

    Raises:
        DataError: a line is no box; the message has its file and number.
    """
    described = read_description(tree, names)
    table = BoxTable("YOLO", "fractions", notes=list(described.notes))
    labels = find_labels(names)
    for image in sorted(name for name in names if suffix_of(name) in SUFFIXES):
        split = described.split_of(image) or split_of_path(image)
        n_before = len(table.boxes)
        if image in labels:
            _read_file(tree, labels[image], image, split, described, table)
        if len(table.boxes) == n_before:
            table.left_out.add("images without a box", text_of_path(image))
    used = set(labels.values())
    for name in names:
        if suffix_of(name) == ".txt" and "labels" in name.split("/")[:-1] and name not in used | described.files:
            table.left_out.add("label files without an image", text_of_path(name))
    _number(table)
    return table


def _number(table: BoxTable) -> None:
    """Count the rows of each split, as each split is a source of its own."""
    has_splits = any(split is not None for split in table.splits)
    for split in table.splits:
        name = (split or OTHER) if has_splits else ""
        table.rows.append(table.lengths[name])
        table.lengths[name] += 1


def _read_file(tree: Tree, name: str, image: str, split: str | None, described: Description, table: BoxTable) -> None:
    """Add the boxes of one label file to the table."""
    try:
        lines = tree.read(name).decode("utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise DataError(f"{tree.name}/{text_of_path(name)}: expected UTF-8 text.") from None
    owner = table.add_image(image)
    for i, line in enumerate(lines):
        if not line.strip():
            continue
        where = f"{text_of_path(name)}, line {i + 1}"
        label, box, confidence = _parsed(line.split(), described.has_keypoints, f"{tree.name}/{where}")
        if not table.is_croppable(box, owner, where):
            continue
        class_name = described.name_of(label, name)
        if class_name is None:
            table.left_out.add("boxes of a class that has no name", f"{where}: {label}")
            continue
        fields = {"area": box[2] * box[3], "line": i + 1}
        fields |= {} if confidence is None else {"confidence": confidence}
        table.add(owner, i, box, class_name, split, fields)


def _parsed(words: list[str], has_keypoints: bool, where: str) -> tuple[int, Box, float | None]:
    """Return class number, box and confidence of a line."""
    expected = f"{where}: expected a class number and x, y, width and height as fractions of the image, or an outline"
    try:
        label, values = float(words[0]), [float(word) for word in words[1:]]
    except ValueError:
        raise DataError(f"{expected}, got {' '.join(words)[:60]!r}.") from None
    is_outline = len(values) >= 6 and len(values) % 2 == 0 and not has_keypoints
    is_box = len(values) in (4, 5) or (has_keypoints and len(values) > 5)
    if not (is_outline or is_box) or label < 0 or label != math.floor(label) or not all(map(math.isfinite, values)):
        raise DataError(f"{expected}, got {' '.join(words)[:60]!r}.")
    coordinates = values if is_outline else values[:4]
    if max(coordinates) > _MOST or min(coordinates) < -_MOST:
        raise DataError(f"{expected}, got {max(coordinates, key=abs):g}: are these pixels?")
    if is_outline:
        xs, ys = values[::2], values[1::2]
        return int(label), (min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys)), None
    x, y, width, height = coordinates
    confidence = values[4] if len(values) == 5 else None
    return int(label), (x - width / 2, y - height / 2, width, height), confidence
