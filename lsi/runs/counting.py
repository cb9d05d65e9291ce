"""How many decisions there are on the data of each run, for a list of many runs."""

import logging
from collections import defaultdict
from collections.abc import Hashable, Sequence
from threading import Lock

from cachetools import LRUCache, cached

from lsi.errors import LsiError
from lsi.runs.decisions import Reviews
from lsi.runs.layout import MANIFEST
from lsi.runs.run import Run
from lsi.runs.subject import Subject

log = logging.getLogger(__name__)
Version = tuple[int, int]


def decided_on(reviews: Reviews, runs: Sequence[Run]) -> dict[str, int]:
    """Return on how many samples of each run's data a decision is in force, by the name of the run.

    Two uploads may have one name, and decisions that were read in may be on samples that no run has.

    Args:
        reviews: the database of decisions.
        runs: those of a list.

    Raises:
        StorageError: the database cannot be read.
    """
    counts, of_name = reviews.counts(), defaultdict[str, dict[Hashable, list[Run]]](lambda: defaultdict(list))
    for run in runs:
        of_name[run.subject_name][_samples_of(run)].append(run)
    found: dict[str, int] = {}
    for name, alike in of_name.items():
        count = counts.get(name, 0)
        version = reviews.version(Subject("", name, (), ())) if count else None
        for same in alike.values():
            own = count if version is None else _count(reviews, same[0], version, count)
            found |= {run.name: own for run in same}
    return found


def _samples_of(run: Run) -> Hashable:
    """Return what is equal for two runs on the same samples."""
    noise = run.asked("noise")
    return run.manifest["dataset"].get("fingerprint"), str(
        [noise.get(n) for n in ("corrupt_data", "corrupt_data_label")]
    )


def _count(reviews: Reviews, run: Run, version: Version, count: int) -> int:
    """Return on how many samples of a run a decision is in force; on data of its name, where it cannot be read."""
    try:
        return _count_own(reviews, run, version)
    except (LsiError, OSError, KeyError) as error:
        log.warning("The samples of %s cannot be read: %s", run.name, error)
        return count


def _mark(reviews: Reviews, run: Run, version: Version) -> Hashable:
    return str(reviews.engine.url), run.folder, (run.folder / MANIFEST).stat().st_mtime_ns, version


@cached(LRUCache(10_000), key=_mark, lock=Lock())
def _count_own(reviews: Reviews, run: Run, version: Version) -> int:
    ids, contents = _decided(reviews, run.subject_name, version)
    subject = Run(run.folder).subject  # of a run of its own: a list of many would hold all of their tables
    return int((subject.find(ids, contents) >= 0).sum())


@cached(LRUCache(4), key=lambda reviews, *rest: (str(reviews.engine.url), *rest), lock=Lock())
def _decided(reviews: Reviews, dataset: str, _version: Version) -> tuple[list[str], list[str]]:
    pairs = reviews.decided(dataset)
    return [sample for sample, _ in pairs], [content for _, content in pairs]
