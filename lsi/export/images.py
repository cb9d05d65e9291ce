"""The kept images themselves, under their new labels: a folder by copy or link, or Hugging Face Parquet.

The originals are read, never changed: a copy is the original file byte for byte where there is one, a PNG otherwise.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from lsi.errors import DataError, UsageError
from lsi.export.huggingface import parquet_files, write_parquet
from lsi.export.image_folders import CLASSES, NAMES, refuse_folders, write_folders
from lsi.export.lists import note_written
from lsi.export.selection import Selection
from lsi.export.untouched import check_folder, refuse_foreign, refuse_sources
from lsi.runs.images import RunImages
from lsi.runs.run import Run

ImageFormat = Literal["copy", "link", "huggingface"]
_NAMED = 10  # so many changed images a message names


def write_images(run: Run, selection: Selection, folder: Path, how: ImageFormat) -> Path:
    """Write the kept images below `folder` and return what was written.

    Args:
        run: the run.
        selection: which images stay, and their new labels.
        folder: where to write; copy and link make `images/<class>/…` in it, with the names that the images have.
        how: copy, link (symbolic, for images that lie in files), or huggingface (`<split>.parquet`).

    Raises:
        UsageError: the run has no images, the folder is its own or holds images already, what was computed from
            would be overwritten, or there are no files to link to.
        DataError: images have changed since the run or are no longer there; the message names them.
    """
    check_folder(run, folder)
    images = run.images
    if images is None:
        raise UsageError(f"{run.name} has no images to write.")
    refuse_changed(images, selection.kept)
    if how == "huggingface":
        return write_parquet(run, selection, images, folder)
    return write_folders(run, selection, images, folder, link=how == "link")


def note_images(run: Run, folder: Path, formats: Sequence[ImageFormat]) -> list[str]:
    """Note in the manifest of an export which Parquet files of images were written, and return those of before.

    Args:
        run: the run.
        folder: of the export.
        formats: in which images were written.
    """
    return note_written(folder, list(parquet_files(run, folder).values()) if "huggingface" in formats else [])


def refuse_overwriting(run: Run, folder: Path, how: ImageFormat) -> None:
    """Raise where images would be mixed with earlier ones, or would overwrite what the run was computed from.

    Args:
        run: the run.
        folder: where to write.
        how: as in `write_images`.

    Raises:
        UsageError: it is so.
    """
    if how == "huggingface":
        files = parquet_files(run, folder).values()
        refuse_sources(run, files)
        refuse_foreign(folder, [str(file.relative_to(folder)) for file in files])
    else:
        refuse_folders(run, folder)
        refuse_foreign(folder, (NAMES, CLASSES))


def refuse_changed(images: RunImages, positions: np.ndarray) -> None:
    """Raise where images are not those that the run was computed on.

    Raises:
        DataError: with the first of them by name.
        UnreachableError: an image cannot be reached.
    """
    changes = images.changes(positions, must_reach=True)
    if changes:
        first = "; ".join(f"{images.name(i)} {reason}" for i, reason in list(changes.items())[:_NAMED])
        more = f"; and {len(changes) - _NAMED:,} more" if len(changes) > _NAMED else ""
        raise DataError(
            f"{len(changes):,} of the {len(positions):,} images to write are not those that the run was computed on: "
            f"{first}{more}. Put them back, exclude them, or compute the run again."
        )
