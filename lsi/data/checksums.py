"""Checksums of images that were computed before, kept for as long as a file's size and times stay the same.

A second start of the same data reads no image. A file that changed within a tick of the file system's clock before it
was read could change once more without its time telling: such a tick is waited for, and what is younger still is read
again.
"""

import os
import time
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from lsi.data.images import BEHIND, Images
from lsi.data.record import Dataset
from lsi.files import atomic
from lsi.hashing import key
from lsi.progress import Progress

FOLDER = "checksums"  # of the cache
_TICK_NS = 100_000_000  # of the clock of a file system
_COARSE_TICK_NS = 2_000_000_000  # of one that knows whole seconds alone


@dataclass
class Checksums:
    """Known checksums, by the place of their content.

    Attributes:
        path: of the file that they are kept in.
        known: size, time of change, or of taking its name if later, in nanoseconds, and checksum, by place with links
            resolved.
    """

    path: Path
    known: dict[str, tuple[int, int, str]] = field(default_factory=dict)

    @staticmethod
    def read(path: Path) -> "Checksums":
        """Return what a file holds; nothing where it is missing or damaged."""
        try:
            table = pq.read_table(path)
            columns = [table[name].to_pylist() for name in ("place", "size", "mtime_ns", "checksum")]
        except (OSError, pa.ArrowException, KeyError):
            return Checksums(path)
        return Checksums(path, {p: (s, t, c) for p, s, t, c in zip(*columns, strict=True)})

    def of(self, images: Images, progress: Progress | None = None) -> tuple[str, ...]:
        """Return the checksum of each image: known, or computed and kept.

        Args:
            images: n images.
            progress: told how many are done, where images have to be read.
        """
        checksums: list[str] = []
        fresh: dict[str, tuple[int, int, str]] = {}
        files = _Files()
        for i in range(len(images)):
            stamp = images.stamp(i)
            place = "" if stamp is None else files.real(stamp[0])
            known = self.known.get(place)
            time_ns = 0 if stamp is None else files.put_there(place, stamp[2])
            if stamp is not None and known is not None and known[:2] == (stamp[1], time_ns):
                checksums.append(known[2])
                continue
            is_settled = stamp is not None and _settled(time_ns)
            checksum = images.checksum(i)
            checksums.append(checksum)
            if stamp is not None and checksum and is_settled:
                fresh[place] = (stamp[1], time_ns, checksum)
            if progress is not None and i % 256 == 0:
                progress.report("reading", i, len(images), "images")
        if fresh:
            self.known |= fresh
            self._write()
        return tuple(checksums)

    def _write(self) -> None:
        places = list(self.known)
        values = list(self.known.values())
        table = pa.table(
            {
                "place": pa.array([p.encode("utf-8", "surrogateescape").decode("utf-8", "replace") for p in places]),
                "size": np.array([v[0] for v in values], dtype=np.int64),
                "mtime_ns": np.array([v[1] for v in values], dtype=np.int64),
                "checksum": pa.array([v[2] for v in values]),
            }
        )
        with atomic(self.path) as temporary:
            pq.write_table(table, temporary)


def stamps_of(images: Images) -> np.ndarray:
    """Return size in bytes and time of change in nanoseconds of each image's file, (n, 2); −1 where it has none."""
    found = np.full((len(images), 2), -1, dtype=np.int64)
    for i in range(len(images)):
        stamp = images.stamp(i)
        if stamp is not None:
            found[i] = stamp[1:]
    return found


def with_checksums(dataset: Dataset, cache: Path, place: Path | None, progress: Progress | None = None) -> Dataset:
    """Return the dataset with the checksums of its images, those of images that stayed the same without reading them.

    Args:
        dataset: the samples.
        cache: where checksums are kept.
        place: of the data; None where they come with a package or from torchvision.
        progress: told how many images have been read.
    """
    if dataset.images is None:
        return dataset
    known = Checksums.read(cache / FOLDER / f"{key(place=str(place or dataset.name))}.parquet")

    def looked_at(part: Dataset | None) -> Dataset | None:
        if part is None or part.images is None:
            return part
        stamps = stamps_of(part.images)  # before the content: what changes in between has changed since
        return replace(part, image_checksums=known.of(part.images, progress), image_stamps=stamps)

    return replace(looked_at(dataset) or dataset, unlabelled=looked_at(dataset.unlabelled))


class _Files:
    """Where the files lie that content is in, and when they were put there; one that much lies in is looked at once."""

    def __init__(self) -> None:
        self._folders: dict[str, str] = {}
        self._times: dict[str, tuple[int, int] | None] = {}

    def real(self, place: str) -> str:
        """Return the place of content with links resolved: one that leads elsewhere now is another place."""
        if BEHIND in place:
            return BEHIND.join(map(self.real, place.split(BEHIND)))
        if not os.path.isabs(place):  # noqa: PTH117 - an address; a Path each would take twice the time
            return place
        folder, name = os.path.split(place)
        if folder not in self._folders:
            self._folders[folder] = os.path.realpath(folder)
        if os.path.islink(place):  # noqa: PTH114 - a Path each would take twice the time
            return os.path.realpath(place)
        return place if self._folders[folder] == folder else f"{self._folders[folder]}{os.sep}{name}"

    def put_there(self, place: str, time_ns: int) -> int:
        """Return when content was last changed or put where it lies: a file that takes another's name keeps its time.

        Args:
            place: of the content: a file, or a file with # and a part of it behind, or two of them.
            time_ns: when it was changed; a checksum or a version, which are smaller than times, stay as they are.
        """
        if BEHIND in place:
            found = [self._times_around(part) for part in place.split(BEHIND)]
            return time_ns if None in found else max(time for times in found for time in times or ())
        times = self._times_around(place)
        return time_ns if times is None or time_ns < times[0] else max(time_ns, times[1])

    def _times_around(self, place: str) -> tuple[int, int] | None:
        times = _times_of(place)
        while times is None and "#" in place:
            place = place.rpartition("#")[0]
            if place not in self._times:
                self._times[place] = _times_of(place)
            times = self._times[place]
        return times


def _times_of(place: str) -> tuple[int, int] | None:
    """Return when a file was changed and when it was put where it lies, in nanoseconds; None where there is none."""
    try:
        status = os.stat(place)  # noqa: PTH116 - a Path each would take twice the time
    except (OSError, ValueError):
        return None
    return status.st_mtime_ns, status.st_ctime_ns


def _settled(mtime_ns: int) -> bool:
    """Say whether a file changed so long ago that another change would have another time; wait a tick for it."""
    tick = _TICK_NS if mtime_ns % 1_000_000_000 else _COARSE_TICK_NS
    missing = mtime_ns + tick - time.time_ns()
    if 0 < missing <= _TICK_NS:
        time.sleep(missing / 1e9)
        missing = 0
    return missing <= 0
