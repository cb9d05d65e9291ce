"""A run of ImageNet's shape on synthetic features: classes in groups, wrong labels of near classes, tiny images.

Each stage of the product is called as the pipeline calls it, and timed; the run that is written is one that the app
opens like any other.
"""

import gc
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch

from lsi.audit.duplicates import near_duplicates, neighbours
from lsi.compute import maps
from lsi.compute.preparation import prepare
from lsi.compute.tasks import classify
from lsi.config import DataSettings, FeatureSettings, ScoreSettings, Settings
from lsi.data import Dataset
from lsi.features.design import FILES, VALUES, Recipe, read_design, write_parts
from lsi.laplace.design_matrix import DesignMatrix
from lsi.runs.images import describe_images, file_facts
from lsi.runs.layout import DESIGNS, KIND
from lsi.runs.manifest import make_manifest, make_table
from lsi.runs.run import Run
from lsi.runs.store import Entry, Store
from lsi.runs.writing import RunContent, write_run

IMAGENET = (1_281_167, 256, 1_000)
FLIPS = 0.05
_GROUPS = 40
_PIECE = 65_536


@dataclass
class Meter:
    """Seconds of each stage, and the peak of memory that is not a mapped file, in GiB, within it."""

    seconds: dict[str, float] = field(default_factory=dict)
    peak_gib: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        """Measure a stage and print its figures."""
        process, peak, done = psutil.Process(), [0], threading.Event()

        def watch() -> None:
            while not done.wait(0.05):
                facts = process.memory_info()
                peak[0] = max(peak[0], facts.rss - facts.shared)

        gc.collect()
        thread = threading.Thread(target=watch, daemon=True)
        thread.start()
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = round(time.perf_counter() - start, 2)
            done.set()
            thread.join()
            self.peak_gib[name] = round(peak[0] / 2**30, 2)
            print(f"{name}: {self.seconds[name]} s, {self.peak_gib[name]} GiB", flush=True)


def labels_of(n: int, k: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return the right labels and the given ones: 5 % flipped, four in five of them to a class of the same group."""
    rng = np.random.default_rng(seed)
    right = np.sort(np.arange(n) % k)
    given = right.copy()
    flipped = np.flatnonzero(rng.random(n) < FLIPS)
    groups = max(1, min(_GROUPS, k // 5))
    near = (right[flipped] + groups * rng.integers(1, max(2, k // groups), len(flipped))) % k
    far = (right[flipped] + rng.integers(1, k, len(flipped))) % k
    given[flipped] = np.where(rng.random(len(flipped)) < 0.8, near, far)
    return right, given


def write_features(path: Path, right: np.ndarray, d: int, k: int) -> np.ndarray:
    """Write features of classes that lie in groups, piece by piece; return them memory-mapped."""
    rng = np.random.default_rng(1)
    groups = max(1, min(_GROUPS, k // 5))
    centres = 0.25 * rng.normal(size=(groups, d))[np.arange(k) % groups] + 0.2 * rng.normal(size=(k, d))
    values = np.lib.format.open_memmap(path, "w+", np.dtype("float32"), (len(right), d))
    for start in range(0, len(right), _PIECE):
        rows = slice(start, start + _PIECE)
        values[rows] = centres[right[rows]] + rng.normal(size=(len(right[rows]), d))
    values.flush()
    return np.load(path, mmap_mode="r")


def make_run(cache: Path, n: int, d: int, k: int) -> tuple[Run, Meter]:
    """Compute and write a run of n samples of k classes; return it with the figures of its stages."""
    meter = Meter()
    right, given = labels_of(n, k)
    cache.mkdir(parents=True, exist_ok=True)
    dataset, how = _dataset(cache, given)
    raw = write_features(cache / f"features{n}.npy", right, d, k)
    store, name = Store(cache), f"scale-{n}-{k}"
    with meter("design matrix"):
        design = store.get(DESIGNS, name, lambda e: _write_design(e, raw))

    def write(entry: Entry) -> list[str]:
        stored = read_design(design.folder)
        result = classify(
            dataset,
            DesignMatrix.stored(stored.values, stored.gram_values, stored.gram_vectors),
            ScoreSettings(),
            0,
            meter,
        )
        with meter("near duplicates"):
            nearest = neighbours(stored.values[:, :-1])
            groups = near_duplicates(nearest, stored.values[:, :-1])
        with meter("table and summaries"):
            table = make_table(dataset, result.table, given != right, groups)
            manifest = make_manifest(dataset, "classification", table, given != right, torch.device("cpu"))
            manifest |= result.manifest
        manifest["dataset"]["skipped"] = []
        manifest |= {"settings": how.to_dict(), "seconds": meter.seconds,
                     "images": {"files": file_facts(dataset.files)}, "near_duplicates": {"threshold": groups.threshold},
                     "features": {"key": "", "design": name, "backbone": "synthetic", "n_features": d}}  # fmt: skip
        samples = describe_images(dataset, None).assign(position=np.arange(n))
        pairs = (nearest.index, nearest.distance)
        content = RunContent(manifest, table, samples, result.arrays, result.weights, pairs, None, result.probabilities)
        with meter("writing"):
            return write_run(entry, content)

    run = Run(store.get(KIND, name, write).folder)
    with meter("map"):
        maps.projection_of_run(run, cache)
    return run, meter


def _dataset(cache: Path, given: np.ndarray) -> tuple[Dataset, Settings]:
    """Return the samples, images of 8 × 8 noise, and the settings that read them again."""
    path = cache / f"scale{len(given)}.npz"
    if not path.exists():
        images = np.random.default_rng(2).integers(0, 256, (len(given), 8, 8), dtype=np.uint8)
        names = np.array([f"class {c:04d}" for c in range(int(given.max()) + 1)])
        np.savez(path, images=images, labels=given, class_names=names)
    settings = Settings(DataSettings(data=path), features=FeatureSettings(backbone="pixels"))
    return prepare(settings).dataset, settings


def _write_design(entry: Entry, raw: np.ndarray) -> list[str]:
    recipe, rows = Recipe(None, "float32"), np.arange(len(raw))
    recipe.write(entry.path(VALUES), raw, rows)
    phi = torch.from_numpy(np.load(entry.path(VALUES), mmap_mode="c"))
    gram = DesignMatrix(phi).gram_factor
    write_parts(entry.folder, recipe, rows, (gram.values.numpy(), gram.vectors.numpy()))
    return list(FILES)


def summary(run: Run, meter: Meter) -> dict[str, Any]:
    """Return what a benchmark keeps of such a run."""
    manifest = run.manifest
    return {
        "n": manifest["dataset"]["n_samples"],
        "seconds": meter.seconds,
        "peak_gib_without_mapped_files": meter.peak_gib,
        "probe": manifest["probe"],
        "prior_choice": manifest["prior_choice"],
        "structure": manifest["leave_one_out"]["structure"],
        "detection": manifest["detection"],
    }
