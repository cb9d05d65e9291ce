"""The images behind a finished run, each compared with what was computed before it is shown."""

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from lsi.data import Dataset, Images
from lsi.data.decoding import decode, decode_native
from lsi.data.images import FileImages, JoinedImages
from lsi.data.noise import NoisyImages, add_noise
from lsi.data.pixels import PixelRange, ScaledImages
from lsi.data.thumbnails import CHANGED, MISSING
from lsi.errors import DataError, LsiError, UnreachableError, is_of_surroundings
from lsi.files import path_text, text_path
from lsi.hashing import Stamp, stamp_of


def describe_images(dataset: Dataset, noisy: np.ndarray | None) -> pd.DataFrame:
    """Return what tells later whether an image is still the one that a run was computed on, one row a sample.

    Columns: `checksum` of the content; `file` (absolute path, or "" where the image has no file of its own) with its
    `size` in bytes and `mtime_ns`, its time of change; `owner`, the file of which the image is a part, such as a box
    of a photograph, and `part`, which part; `noisy`, whether noise was added after reading.

    Args:
        dataset: with images.
        noisy: (n,) which images noise was added to; None: none.
    """
    images = dataset.images.images if isinstance(dataset.images, NoisyImages) else dataset.images
    assert images is not None
    known, stamps, shared = dataset.image_checksums, dataset.image_stamps, {str(path) for path in dataset.files}
    owners: dict[str, str] = {}
    rows = []
    for i in range(len(images)):
        stamp = images.stamp(i)
        name, owner, part, size, changed = "", "", "", 0, 0
        if stamp is not None and Path(stamp[0]).is_file():  # else it lies with others, or in memory
            name = path_text(Path(stamp[0]))
        elif stamp is not None:
            place, _, part = stamp[0].rpartition("#")
            if place not in owners:
                is_own = place and place not in shared and Path(place).is_file()
                owners[place] = path_text(Path(place)) if is_own else ""
            owner = owners[place]
        if stamp is not None and (name or owner):
            size, changed = stamp[1:] if stamps is None else stamps[i].tolist()
        checksum = images.checksum(i) if known is None else known[i]
        rows.append((checksum, name, size, changed, owner, part if owner else ""))
    table = pd.DataFrame(rows, columns=["checksum", "file", "size", "mtime_ns", "owner", "part"])
    table["noisy"] = False if noisy is None else noisy
    return table


def file_facts(paths: tuple[Path, ...]) -> list[dict[str, Any]]:
    """Return path, size and time of change of each file, as a manifest keeps them."""
    return [dict(zip(("path", "size", "mtime_ns"), (str(p.resolve()), *_facts(p)), strict=True)) for p in paths]


class RunImages:
    """Images in the order of a run's table; what is not the image that was computed on is an error, never shown.

    An image in a file of its own is read from that file. Images that share a file (Parquet, arrays) are read through
    the data set, opened when the first one is asked for, and found by their content where rows have moved.
    """

    def __init__(self, table: pd.DataFrame, facts: dict[str, Any], open_source: Callable[[], Dataset]) -> None:
        """Take what `describe_images` gave, in the order of the run's table.

        Args:
            table: with columns id, index and position as well; position is that before unreadable images were left out.
            facts: `files` that hold several images, as `file_facts` gives them; `sigma` and `seed` of added noise;
                `pixel_range` of images deeper than 8 bits, as `PixelRange.to_dict` gives it, or None.
            open_source: opens the data set that the images lie in.
        """
        self._facts, self._open = facts, open_source
        self._range = PixelRange.from_dict(facts["pixel_range"]) if facts.get("pixel_range") else None
        self._columns = {name: table[name].to_numpy() for name in table.columns}
        self._sizes, self._times = self._columns["size"].tolist(), self._columns["mtime_ns"].tolist()
        files = self._columns["file"]
        self._owners = self._columns.get("owner", np.full(len(files), "", dtype=object))  # runs of before know none
        self._own_files = np.where(files == "", self._owners, files)
        self._parts = self._columns.get("part", np.full(len(files), "", dtype=object))
        self._seen: dict[str, Any] = {}
        self._lock = threading.Lock()
        self._verified: dict[int, tuple[int, int]] = {}
        self._opened: Dataset | None = None
        self._opened_at: tuple[Any, ...] = ()
        self._rows: dict[int, int] = {}
        self._rows_by_content: dict[str, int] | None = None
        self._unread: list[int] = []  # rows whose content is not among them yet

    def __len__(self) -> int:
        """Return how many images there are."""
        return len(self._sizes)

    def holds(self, path: Path) -> bool:
        """Say whether a file is one of these images, or one that some of them are parts of."""
        return bool(np.isin(self._own_files, [path_text(path.absolute()), path_text(path.resolve())]).any())

    def read(self, index: int) -> Image.Image:
        """Return image `index` as RGB, with the noise that the run was computed with.

        Raises:
            DataError: it is no longer there, or has changed since the run.
        """
        path = self._path(index)
        named = self.name(index)
        image = decode(path, named, self._range) if path is not None else self._in_source(index, "read")
        if not self._columns["noisy"][index]:
            return image
        return add_noise(image, self._facts["sigma"], self._facts["seed"], int(self._columns["position"][index]))

    def native(self, index: int) -> Image.Image:
        """Return image `index` upright and in its own mode, as RGB where noise was added.

        Raises:
            DataError: it is no longer there, or has changed since the run.
        """
        if self._columns["noisy"][index]:
            return self.read(index)
        path = self._path(index)
        return decode_native(path, self.name(index)) if path is not None else self._in_source(index, "native")

    def source(self, index: int) -> Path | bytes | None:
        """Return the file of image `index`, its encoded bytes, or None where it has neither.

        Raises:
            DataError: it is no longer there, or has changed since the run.
        """
        if self._columns["noisy"][index]:
            return None
        path = self._path(index)
        return path if path is not None else self._in_source(index, "source")

    def checksum(self, index: int) -> str:
        """Return the hash of the content of image `index` that the run was computed on."""
        return str(self._columns["checksum"][index])

    def stamp(self, index: int) -> Stamp | None:
        """Return where the content of image `index` lies, None where it has no file.

        Raises:
            DataError: it is no longer there, or has changed since the run.
        """
        path = self._path(index)
        return stamp_of(path) if path is not None else self._in_source(index, "stamp")

    def name(self, index: int) -> str:
        """Return the id of image `index`."""
        return str(self._columns["id"][index])

    def changes(
        self, positions: np.ndarray | None = None, *, must_reach: bool = False, look_for_parts: bool = True
    ) -> dict[int, str]:
        """Return the images that are not what the run was computed on: position to what happened to it.

        Size and time of change decide where they are as before; the content is read only where they differ.

        Args:
            positions: which images to look at; by default all.
            must_reach: whether an image that cannot be reached is an error; else nothing is said of it.
            look_for_parts: whether to read the annotations anew, which may have lost a box of an image.

        Raises:
            UnreachableError: an image cannot be reached, and must be.
        """
        chosen = range(len(self)) if positions is None else [int(i) for i in positions]
        if not self._own_files.any() and self._files_unchanged():
            return {}
        suspects = [i for i in chosen if not self._is_untouched(i)]
        if look_for_parts and any(self._parts):
            suspects += self._lost_parts(set(chosen) - set(suspects))
        reasons = {i: self._reason(i, must_reach) for i in suspects}
        return {i: reason for i, reason in reasons.items() if reason is not None}

    def _lost_parts(self, chosen: set[int]) -> list[int]:
        """Return those of the images that are parts of others, such as boxes, and that the data have no more."""
        with self._lock:
            self._opened = None  # which annotations say it may not be known, nor their time of change
        try:
            images = self._images
            stamps = (images.stamp(i) for i in range(len(images)))
            there = {stamp[0] for stamp in stamps if stamp is not None}
        except LsiError:  # each of them says why
            return sorted(chosen)
        parts = {i: f"{text_path(self._owners[i])}#{self._parts[i]}" for i in sorted(chosen) if self._parts[i]}
        return [i for i, part in parts.items() if part not in there]

    def _is_untouched(self, index: int) -> bool:
        """Say whether the file that an image is, or is a part of, has its size and time of change (50,000: 0.2 s)."""
        try:
            status = os.stat(text_path(self._own_files[index]))  # noqa: PTH116 - a Path each would take twice the time
        except OSError:
            return False
        return status.st_size == self._sizes[index] and status.st_mtime_ns == self._times[index]

    def _reason(self, index: int, must_reach: bool) -> str | None:
        try:
            if self._path(index) is None:
                self._place(index)
        except UnreachableError:
            if must_reach:
                raise
        except DataError as error:
            return str(error).removeprefix(f"{self.name(index)} ")
        return None

    def _path(self, index: int) -> Path | None:
        """Return the image's own file after comparing it, or None where it has none."""
        name = self._columns["file"][index]
        if not name:
            return None
        path = text_path(name)
        try:
            facts = _facts(path)
        except OSError as error:
            if is_of_surroundings(error):
                raise UnreachableError(f"{self.name(index)} cannot be reached ({error.strerror}).") from None
            raise DataError(f"{self.name(index)} {MISSING}") from None
        before = (int(self._columns["size"][index]), int(self._columns["mtime_ns"][index]))
        if facts != before and self._verified.get(index) != facts:
            if FileImages([path]).checksum(0) != self.checksum(index):
                raise DataError(f"{self.name(index)} {CHANGED}")
            self._verified[index] = facts
        return path

    def _in_source(self, index: int, what: str) -> Any:
        place = self._place(index)
        return getattr(self._images, what)(place)

    def _place(self, index: int) -> int:
        """Return where the data set has the image now."""
        self._open_anew_where_changed(index)
        expected, place, what = self.checksum(index), None, MISSING
        try:
            images, place = self._images, self._row_of_index(index)
            if place is not None and images.checksum(place) == expected:
                return place
            moved = self._row_of_content(expected)
        except UnreachableError:
            raise
        except DataError as error:  # the data set cannot be opened any more
            moved = None
            if all(_facts_or_none(Path(facts["path"])) for facts in self._facts.get("files", ())):
                what = f"is not found, for the data cannot be read any more: {error}"
        if moved is None:
            raise DataError(f"{self.name(index)} {what if place is None else CHANGED}")
        return moved

    def _open_anew_where_changed(self, index: int) -> None:
        """Forget the data set where it was opened before the file that an image is a part of changed."""
        owner = self._owners[index]
        if not owner:
            return
        now = _facts_or_none(text_path(owner))
        with self._lock:
            if self._seen.setdefault(owner, now) != now:  # since it was first asked for
                self._opened, self._seen = None, {owner: now}

    def _files_unchanged(self) -> bool:
        return all(
            _facts_or_none(Path(facts["path"])) == (facts["size"], facts["mtime_ns"])
            for facts in self._facts.get("files", ())
        )

    @property
    def _images(self) -> Images:
        dataset = self._dataset
        parts = [part.images for part in (dataset, dataset.unlabelled) if part is not None and part.images is not None]
        if not parts:
            raise DataError("the data have no images any more")
        images = parts[0] if len(parts) == 1 else JoinedImages(parts)
        return images if self._range is None else ScaledImages(images, self._range)

    @property
    def _dataset(self) -> Dataset:
        """The data set that the images lie in, opened once for as long as its files stay as they are."""
        with self._lock:
            now = tuple(_facts_or_none(Path(facts["path"])) for facts in self._facts.get("files", ()))
            if self._opened is None or self._opened_at != now:
                self._opened, self._opened_at, self._rows_by_content = self._open(), now, None
                parts = [part for part in (self._opened, self._opened.unlabelled) if part is not None]
                rows = np.concatenate([part.source_index for part in parts])
                self._rows = {int(row): i for i, row in enumerate(rows)}
            return self._opened

    def _row_of_index(self, index: int) -> int | None:
        return self._rows.get(int(self._columns["index"][index]))

    def _row_of_content(self, checksum: str) -> int | None:
        """Return the first row with that content; rows that could not be reached before are tried again for it."""
        rows = self._rows_by_content
        if rows is None:
            for owner in set(self._owners) - {""}:
                self._seen.setdefault(owner, _facts_or_none(text_path(owner)))
            self._unread, rows = list(range(len(self._images))), {}
            self._rows_by_content = rows
        failure = None if checksum in rows else self._read_contents(rows)
        if checksum not in rows and failure is not None:
            raise failure
        return rows.get(checksum)

    def _read_contents(self, rows: dict[str, int]) -> UnreachableError | None:
        """Add the rows whose content is not known yet; return why one of them is still not."""
        images, left, failure = self._images, [], None
        for i in self._unread:
            try:
                content = images.checksum(i)
            except UnreachableError as error:
                left.append(i)
                failure = error
            else:
                rows[content] = min(i, rows.get(content, i))
        self._unread = left
        return failure


def _facts_or_none(path: Path) -> tuple[int, int] | None:
    try:
        return _facts(path)
    except OSError:
        return None


def _facts(path: Path) -> tuple[int, int]:
    """Return size and time of change of a file."""
    status = path.stat()
    return status.st_size, status.st_mtime_ns
