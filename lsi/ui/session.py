"""What every page stands on: the cache, the runs, who is looking, and what may be changed.

Runs are shared by all sessions and read-only; they are held by name and time of writing, never by a hash of their data.
"""

import hashlib
import logging
import time
from collections import Counter
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from cachetools import LRUCache, cached

from lsi.compute import maps
from lsi.data.thumbnails import thumbnail
from lsi.environment import base_path, default_cache
from lsi.errors import DataError, LsiError, MissingRunError
from lsi.runs.comparison import is_new
from lsi.runs.layout import MANIFEST, TITLE
from lsi.runs.listing import is_run_name, list_runs, run_before
from lsi.runs.run import Run
from lsi.runs.titles import label_of
from lsi.ui.columns import Column, is_numeric, read_column
from lsi.ui.flags import FIGURES, FLAGS

if TYPE_CHECKING:  # they bring torch, which looking at a run does without
    from lsi.compute import queries
    from lsi.laplace.explanation import Explanation

log = logging.getLogger(__name__)
_LOOK_AGAIN_SECONDS = 30.0
_MOST_COMPARED = 200_000  # samples
_MIB = 2**20


def cache() -> Path:
    """Return the cache folder."""
    return default_cache()


def _written(manifest: Path) -> int:
    """Return when a manifest was written, in nanoseconds; 0 where it is no longer there."""
    try:
        return manifest.stat().st_mtime_ns
    except OSError:
        return 0


@dataclass(frozen=True)
class View:
    """A run with what the pages need of it, shared by all sessions."""

    run: Run

    @cached_property
    def table(self) -> pd.DataFrame:
        """One row a sample, with what was given and what is predicted as text; treat as read-only."""
        return self.run.captioned()

    @property
    def labelled(self) -> bool:
        """Whether the samples have classes."""
        return self.run.task == "classification"

    @property
    def image_base(self) -> str:
        """What the addresses of its images begin with; empty where there are none."""
        return f"{base_path()}/thumbs/{self.run.name}" if self.has_images else ""

    @property
    def noun(self) -> str:
        """What the samples are, in the plural."""
        return self.run.noun

    @property
    def one(self) -> str:
        """What a sample is, in the singular."""
        return self.noun.removesuffix("s")

    @cached_property
    def captions(self) -> tuple[np.ndarray, np.ndarray, list[str]]:
        """What is written below an image: codes of what was given and of what is predicted, and their texts."""
        return self.run.caption_codes()

    @cached_property
    def columns(self) -> list[str]:
        """The columns to filter, colour and sort by: those of the data, and the figures of image quality."""
        own = list(self.run.metadata)
        return own + [c for c in self.figures if c not in own]

    @cached_property
    def numeric_columns(self) -> list[str]:
        """Those of the columns of the data, figures of image quality aside, that hold nothing but numbers."""
        return [c for c in self.run.metadata if is_numeric(self.run.scores[c])]

    @cached_property
    def figures(self) -> list[str]:
        """The figures of image quality that the run has; none where it is of before or has no images."""
        return [c for c in FIGURES if c in self.run.scores.columns] if self.flags else []

    @cached_property
    def flags(self) -> list[str]:
        """The flags of image quality that the run has."""
        return [flag for flag in FLAGS if flag in self.run.scores.columns]

    def column(self, name: str) -> Column:
        """Return a column of the table, as text and where possible as numbers."""
        return _column(self.key, name)

    @property
    def has_images(self) -> bool:
        """Whether the samples are images; says nothing of whether their files are still there."""
        return bool(self.run.manifest["dataset"]["has_images"])

    @cached_property
    def fit(self) -> "queries.ClassifierFit | queries.RegressionFit":
        """What the run fitted, one factor for every group that is asked for."""
        from lsi.compute import queries

        return queries.refit_of_run(self.run)

    def group_lsi(self, positions: tuple[int, ...]) -> tuple[float, float]:
        """Return the LSI of leaving these samples out together, and the sum of that of each alone, in nats."""
        return _group_lsi(self.key, positions)

    @property
    def is_new(self) -> np.ndarray:
        """Which samples the run before this one on the same data lacks, (n,).

        None where there was no such run, or where it cannot be read: another run's damage is no matter of this one.
        Nor are runs compared that are so large that every first page would wait for it.
        """
        manifest, written, _ = self._compared
        if manifest is not None and _written(manifest) != written:  # deleted since, so that another one came before
            vars(self).pop("_compared", None)
        return self._compared[2]

    @cached_property
    def _compared(self) -> tuple[Path | None, int, np.ndarray]:
        """The manifest of the run before this one, its time of writing, and which samples that run lacks."""
        manifest, written, nobody = None, 0, np.zeros(len(self.table), dtype=bool)
        if len(nobody) > _MOST_COMPARED:
            return manifest, written, nobody
        try:
            before = run_before(cache(), self.run)
            if before is None:
                return manifest, written, nobody
            manifest = before.folder / MANIFEST
            written = _written(manifest)
            return manifest, written, is_new(before, self.run)
        except (LsiError, OSError, KeyError) as error:
            log.warning("The run before %s cannot be compared with it: %s", self.run.name, error)
            return manifest, written, nobody

    def projection(self) -> np.ndarray | None:
        """Return the UMAP positions, or None while they are not computed."""
        return maps.cached_projection(self.run, cache())

    def explain(self, position: int) -> "Explanation":
        """Return which samples support and which contradict the label of a sample."""
        return _explain(self.key, position)

    def thumbnail(self, position: int, size: int, *, enlarge: bool = False) -> bytes | None:
        """Return the image at a position as WebP, or None where there is none.

        Args:
            position: row of the table; beyond its end those of the samples without a label.
            size: of the longer side in pixels.
            enlarge: as in `thumbnails`.

        Raises:
            DataError: the image is no longer there, or has changed since the run.
        """
        if not self.has_images or not 0 <= position < len(self.table) + len(self.run.unlabelled):
            return None
        return _thumbnail(self.key, position, size, enlarge)

    def count_changed(self) -> int:
        """Return how many images are not those that the run was computed on, as of the last half minute."""
        return _count_changed(self.key, int(time.monotonic() // _LOOK_AGAIN_SECONDS))

    @cached_property
    def key(self) -> tuple[str, int]:
        """The run's name and its time of writing: what caches are keyed by, so that they hold no view."""
        return self.run.name, (self.run.folder / MANIFEST).stat().st_mtime_ns


@cached(LRUCache(256 * _MIB, getsizeof=lambda column: column.n_bytes), lock=Lock())
def _column(key: tuple[str, int], name: str) -> Column:
    view = by_key(key)
    return read_column((view.run.scores if name in view.run.scores.columns else view.table)[name])


@cached(LRUCache(64 * _MIB, getsizeof=len), lock=Lock())
def _thumbnail(key: tuple[str, int], position: int, size: int, enlarge: bool) -> bytes:
    images = by_key(key).run.images
    assert images is not None
    return thumbnail(images.read(position), size, enlarge=enlarge)


@cached(LRUCache(64 * _MIB, getsizeof=lambda found: found.support.nbytes + found.label_lsi.nbytes), lock=Lock())
def _explain(key: tuple[str, int], position: int) -> "Explanation":
    from lsi.compute import queries

    return queries.explain_sample(by_key(key).run, position)


def _digest(key: tuple[str, int], positions: tuple[int, ...]) -> tuple[str, int, bytes]:
    return *key, hashlib.blake2b(np.array(positions, np.int64).tobytes()).digest()


@cached(LRUCache(4_096), key=_digest, lock=Lock())  # a selection may be of a million samples
def _group_lsi(key: tuple[str, int], positions: tuple[int, ...]) -> tuple[float, float]:
    fit, rows = by_key(key).fit, np.array(positions)
    return fit.group_information(rows), fit.information_apart(rows)


@lru_cache(maxsize=16)
def _count_changed(key: tuple[str, int], _tick: int) -> int:
    try:
        images = by_key(key).run.images
    except DataError:  # a run of a version that kept no record of its images: each of them says so
        return 0
    return 0 if images is None else len(images.changes(look_for_parts=False))


def by_key(key: tuple[str, int]) -> View:
    """Return the view of that key.

    Raises:
        MissingRunError: its run is gone.
    """
    view = open_view(key[0])
    if view is None:
        raise MissingRunError(f"No run is called {key[0]!r} any more.")
    return view


@lru_cache(maxsize=4)
def _view(folder: Path, written: int) -> View:
    return View(Run(folder))


def open_view(name: str) -> View | None:
    """Return the run of that name, or None where there is none."""
    folder = cache() / "runs" / name
    manifest = folder / MANIFEST
    if not is_run_name(name) or not manifest.is_file():
        return None
    try:
        return _view(folder, manifest.stat().st_mtime_ns)
    except OSError:  # deleted since
        return None


def run_names() -> list[str]:
    """Return the names of all finished runs, the newest first."""
    return [r.name for r in list_runs(cache())]


def run_label(name: str) -> str:
    """Return what a run is called where people choose one: its title, or what tells it from the others."""
    folder = cache() / "runs" / name
    try:
        titled = (folder / TITLE).stat().st_mtime_ns if (folder / TITLE).exists() else 0
        return _label(folder, (folder / MANIFEST).stat().st_mtime_ns, titled)
    except OSError:  # deleted since
        return name


def labels_apart(names: list[str]) -> dict[str, str]:
    """Return what each run is called where people choose one; those of one label get the end of their name."""
    labels = {name: run_label(name) for name in names}
    often = Counter(labels.values())
    return {name: text if often[text] == 1 else f"{text} ({name[-6:]})" for name, text in labels.items()}


@lru_cache(maxsize=10_000)
def _label(folder: Path, _written: int, _titled: int) -> str:
    return label_of(Run(folder))
