"""Whether the samples of a run still stand at the rows of the source that an export names."""

from pathlib import Path

import numpy as np

from lsi.data import Dataset, load
from lsi.data.checksums import with_checksums
from lsi.data.naming import ROW
from lsi.environment import data_root_of
from lsi.errors import LsiError
from lsi.runs.run import Run
from lsi.runs.subject import without_noise


def moved_rows(run: Run, cache: Path | None) -> int:
    """Return how many of a run's samples are no longer at their row of the source; 0 where that cannot be told.

    Samples are told by their names. Where these are but their rows they are told by content, so that one that was
    edited in place counts too.

    Args:
        run: the run.
        cache: where checksums of images are kept; None: images without names are not read, and not told.
    """
    index, ids = run.scores["index"].to_numpy(), run.scores["id"].astype(str).to_numpy()
    has_names = not all(map(ROW.fullmatch, ids))
    before = ids if has_names else without_noise(run.subject.contents)
    if not has_names and len(set(before)) < min(2, len(before)):  # of a version that kept no hashes of samples
        return 0
    try:
        dataset = load(run.settings.data, data_root_of(run.folder), download=False)
        now: set[tuple[int, str]] = set()
        for part in (dataset, dataset.unlabelled):
            if part is not None:
                asked = part.take(np.flatnonzero(np.isin(part.source_index, index)))
                marks = asked.ids.astype(str) if has_names else _contents(asked, run, cache)
                if marks is None:
                    return 0
                now.update(zip(asked.source_index.tolist(), marks, strict=True))
    except (LsiError, OSError):
        return 0
    return sum(place not in now for place in zip(index.tolist(), before, strict=True))


def _contents(part: Dataset, run: Run, cache: Path | None) -> tuple[str, ...] | None:
    if part.images is None:
        return part.checksums
    return None if cache is None else with_checksums(part, cache, run.settings.data.data).image_contents
