"""The audited images as a FiftyOne dataset: given and suggested labels, scores, decisions.

    from fiftyone_dataset import dataset

    view = dataset("photos")                     # the folder that was audited
    view.match_tags("suspected").sort_by("label_score")

This file needs fiftyone.json beside it, and the package fiftyone.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fiftyone as fo  # pyright: ignore[reportMissingImports]

HERE = Path(__file__).resolve().parent


def samples(root: str | Path) -> Iterator[fo.Sample]:
    """Yield a sample for each image: its labels as classifications, its scores as fields, its state as tags.

    Args:
        root: the folder that the paths of the images are below.

    Raises:
        FileNotFoundError: an image is not there; the message names it.
    """
    for row in _content()["samples"]:
        path = Path(root) / row.pop("path")
        if not path.is_file():
            raise FileNotFoundError(f"{path} is not there: give the folder that was audited.")
        labels = {"given_label": row.pop("given_label"), "label": row.pop("label")}
        labels["suggested_label"] = row.pop("suggested_label")
        given = {name: fo.Classification(label=text) for name, text in labels.items() if text is not None}
        yield fo.Sample(filepath=str(path.resolve()), tags=row.pop("tags"), **given, **row)


def dataset(root: str | Path, name: str | None = None, **options: Any) -> fo.Dataset:
    """Return a FiftyOne dataset of all images.

    Args:
        root: the folder that the paths of the images are below.
        name: of the dataset; that of the run without one.
        options: of fiftyone.Dataset, such as persistent or overwrite.

    Raises:
        FileNotFoundError: an image is not there.
    """
    found = fo.Dataset(name or _content()["run"], **options)
    found.add_samples(list(samples(root)))
    return found


def _content() -> dict[str, Any]:
    return json.loads((HERE / "fiftyone.json").read_text(encoding="utf-8"))
