"""Whether the samples of a run still stand at the rows of the source that an export names, with the labels they had."""

from pathlib import Path

import numpy as np
import pandas as pd

from lsi.data import Dataset, load
from lsi.data.checksums import with_checksums
from lsi.data.naming import BOX, ROW
from lsi.data.plan import counted
from lsi.environment import data_root_of
from lsi.errors import LsiError
from lsi.runs.labels import labels_in_data
from lsi.runs.layout import BESIDE
from lsi.runs.run import Run
from lsi.runs.subject import without_noise

PLACE = ("x", "y", "width", "height")  # of a box, as its table has them


def moved_and_relabelled(run: Run, cache: Path | None) -> tuple[int, int]:
    """Return how many of a run's samples are no longer at their row of the source, and how many have another label.

    Samples are told by their names, boxes by their places too. Where names are but rows samples are told by content, so
    that one that was edited in place counts too. Labels are those at the row of the source; those of runs with another
    labelling, or with labels that were made wrong, are not compared.

    Args:
        run: the run.
        cache: where checksums of images are kept; None: images without names are not read, and not told.

    Returns:
        Zeros where that cannot be told.
    """
    index, ids = run.scores["index"].to_numpy(), run.scores["id"].astype(str).to_numpy()
    has_names = not all(map(ROW.fullmatch, ids))
    ids = _with_boxes(ids, _places(run))
    before = ids if has_names else without_noise(run.subject.contents)
    if not has_names and len(set(before)) < min(2, len(before)):  # of a version that kept no hashes of samples
        return 0, 0
    try:
        dataset = load(run.settings.data, data_root_of(run.folder), download=False)
        now: dict[tuple[int, str], str | None] = {}
        for part in (dataset, dataset.unlabelled):
            if part is not None:
                asked = part.take(np.flatnonzero(np.isin(part.source_index, index)))
                names = _with_boxes(asked.ids.astype(str), asked.metadata)
                marks = names if has_names else _contents(asked, run, cache)
                if marks is None:
                    return 0, 0
                labels = [asked.class_names[c] for c in asked.labels] if part is dataset else [None] * len(asked)
                now.update(zip(zip(asked.source_index.tolist(), marks, strict=True), labels, strict=True))
    except (LsiError, OSError):
        return 0, 0
    places = list(zip(index.tolist(), before, strict=True))
    n_moved = sum(place not in now for place in places)
    if not _has_labels_of_data(run):
        return n_moved, 0
    pairs = zip(places, labels_in_data(run), strict=True)
    return n_moved, sum(place in now and now[place] != label for place, label in pairs)


def relabelled_words(count: int) -> str:
    """Return in words how many labels are no longer those of the run, and which of the two an export holds."""
    differ, those = ("differs", "that") if count == 1 else ("differ", "those")
    return (
        f"{counted(count, 'label')} in the data {differ} from {those} at the time of this run, which the files hold "
        "where no decision says another"
    )


def _places(run: Run) -> pd.DataFrame | None:
    """Return where the data have the box of each sample; None where they have none."""
    names = {name: name + BESIDE if name + BESIDE in run.metadata else name for name in PLACE}
    if not {*names.values()} <= {*run.metadata}:
        return None
    return run.scores[list(names.values())].set_axis(list(PLACE), axis=1)


def _with_boxes(ids: np.ndarray, table: pd.DataFrame | None) -> np.ndarray:
    """Return names of samples, those of boxes with their places: of those of an image the name says the number alone.

    Args:
        ids: (n,) names.
        table: n rows of what is known of the samples.
    """
    if table is None or not {*PLACE} <= {*table.columns} or not all(map(BOX.fullmatch, ids)):
        return ids
    return np.array([f"{name} {place}" for name, place in zip(ids, table[[*PLACE]].to_numpy().tolist(), strict=True)])


def _has_labels_of_data(run: Run) -> bool:
    noise = run.settings.noise
    is_corrupted = bool(noise.corrupt_label) or noise.human_label_noise
    return run.task == "classification" and run.settings.data.labels is None and not is_corrupted


def _contents(part: Dataset, run: Run, cache: Path | None) -> tuple[str, ...] | None:
    if part.images is None:
        return part.checksums
    return None if cache is None else with_checksums(part, cache, run.settings.data.data).image_contents
