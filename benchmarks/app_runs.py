"""The runs that the app is measured on: real images, a large set of noisy copies, and a million points."""

from contextlib import nullcontext
from pathlib import Path

import numpy as np
import torch

from lsi.audit.duplicates import Duplicates
from lsi.compute import maps, pipeline
from lsi.compute.preparation import prepare
from lsi.compute.tasks import classify
from lsi.config import DataSettings, FeatureSettings, NoiseSettings, ScoreSettings, Settings
from lsi.data import Dataset
from lsi.features.design import FILES, VALUES, Recipe, read_design, write_parts
from lsi.files import save_array
from lsi.laplace.design_matrix import DesignMatrix, with_bias
from lsi.laplace.scores.predictions import kept_probabilities
from lsi.probabilities import Probabilities
from lsi.progress import Progress
from lsi.runs.images import describe_images, file_facts
from lsi.runs.layout import DESIGNS, KIND, PROJECTIONS
from lsi.runs.manifest import make_manifest, make_table
from lsi.runs.run import Run
from lsi.runs.store import Entry, Store
from lsi.runs.writing import RunContent, write_run

CIFAR = Path("../shared/data/cifar10/train.parquet")
HUMAN = Path("../shared/data/cifar10/cifar10n_aggregate.npz")


def real(cache: Path, n: int | None) -> Run:
    """Return CIFAR-10 with human labels through EfficientNet-Lite0, map included."""
    data = DataSettings(data=CIFAR, labels=f"{HUMAN}:aggre_label", subset=n)
    settings = Settings(data, features=FeatureSettings(backbone="efficientnet_lite0"))
    run = pipeline.run(settings, cache, Progress())
    maps.projection_of_run(run, cache)
    return run


def copies(cache: Path, n: int) -> Run:
    """Return digits repeated with noise and 5 % flipped labels; its map is of two principal components."""
    digits = prepare(Settings(DataSettings("digits"))).dataset
    assert digits.images is not None
    pixels = np.stack([np.asarray(digits.images.read(i))[..., 0] for i in range(len(digits))]).astype(np.float32)
    rng = np.random.default_rng(0)
    index = np.arange(n) % len(digits)
    images = np.clip(pixels[index] + rng.normal(scale=20, size=(n, *pixels.shape[1:])), 0, 255).astype(np.uint8)
    path = cache / f"copies{n}.npz"
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, images=images, labels=digits.labels[index])
    settings = Settings(DataSettings(data=path), NoiseSettings(corrupt_label=0.05),
                        FeatureSettings(backbone="pixels"), ScoreSettings(certify=0))  # fmt: skip
    run = pipeline.run(settings, cache, Progress())
    _put_map(run, cache, np.array(run.design.values[:, :2]))
    return run


def points(cache: Path, n: int, k: int = 10) -> Run:
    """Return a run of n points of k classes whose images are 8 × 8 noise, written without a search for neighbours.

    Beyond 10 classes a set of 20 samples a class is scored and repeated, with 5 % of its labels flipped.
    """
    rng, name, d = np.random.default_rng(0), f"points-{n}-{k}", 2 if k <= 10 else 16
    size = n if k <= 10 else 20 * k
    right = rng.integers(0, k, size)
    labels = np.where(rng.random(size) < (0 if k <= 10 else 0.05), rng.integers(0, k, size), right)
    where = (3 * rng.normal(size=(k, d))[right] + rng.normal(size=(size, d))).astype(np.float32)
    path = cache / f"{name}.npz"
    path.parent.mkdir(parents=True, exist_ok=True)
    names = np.array([f"class {c:04d}" for c in range(k)])
    index = np.arange(n) % size
    images = rng.integers(0, 256, (n, 8, 8), dtype=np.uint8)
    np.savez(path, images=images, labels=labels[index], class_names=names)
    settings = Settings(DataSettings(data=path), features=FeatureSettings(backbone="pixels"))
    dataset = prepare(settings).dataset
    design = Store(cache).get(DESIGNS, name, lambda e: _write_design(e, where[index]))
    entry = Store(cache).get(KIND, name, lambda e: write_run(e, _content(settings, dataset, design, index)))
    run = Run(entry.folder)
    spread = rng.normal(scale=0.1, size=(n, 2)) if k > 10 else 0.0
    _put_map(run, cache, (where[index, :2] + spread).astype(np.float32))
    return run


def _write_design(entry: Entry, where: np.ndarray) -> list[str]:
    recipe, rows = Recipe(None, "float32"), np.arange(len(where))
    recipe.write(entry.path(VALUES), where, rows)
    gram = DesignMatrix(with_bias(torch.from_numpy(where))).gram_factor
    write_parts(entry.folder, recipe, rows, (gram.values.numpy(), gram.vectors.numpy()))
    return list(FILES)


def _content(settings: Settings, dataset: Dataset, design: Entry, index: np.ndarray) -> RunContent:
    n, size, k = len(dataset), int(index.max()) + 1, len(dataset.class_names)
    phi = DesignMatrix(torch.from_numpy(read_design(design.folder).values[:size]))
    first = dataset.take(np.arange(size))
    result = classify(first, phi, ScoreSettings(1.0, certify=0), 0, lambda _: nullcontext())
    scores = result.table.iloc[index].reset_index(drop=True)
    scores["lsi_rank"] = scores["lsi"].rank(method="first", ascending=False).astype(np.int64)
    table = make_table(dataset, scores, np.zeros(n, bool), Duplicates(np.full(n, -1), np.ones(n), 0.0))
    manifest = make_manifest(dataset, "classification", table, np.zeros(n, bool), phi.device) | result.manifest
    manifest["dataset"]["skipped"] = []
    manifest |= {"settings": settings.to_dict(), "seconds": {}, "near_duplicates": {"threshold": 0.0},
                 "images": {"files": file_facts(dataset.files)},
                 "features": {"key": "", "design": design.folder.name, "backbone": "points",
                              "n_features": phi.shape[1] - 1}}  # fmt: skip
    samples = describe_images(dataset, None).assign(position=np.arange(n))
    near = (np.stack([(np.arange(n) + 1) % n], axis=1), np.ones((n, 1), np.float32))
    probabilities = {name: _repeated(part, first.labels, index) for name, part in result.probabilities.items()}
    assert all(part.n_classes == k for part in probabilities.values())
    return RunContent(manifest, table, samples, result.arrays, result.weights, near, None, probabilities)


def _repeated(part: Probabilities, labels: np.ndarray, index: np.ndarray) -> Probabilities:
    whole = Probabilities.allocate(len(index), part.n_classes)
    kept = kept_probabilities(torch.from_numpy(part.dense()), torch.from_numpy(labels), whole.n_kept)
    for start in range(0, len(index), len(labels)):
        rows = slice(start, min(start + len(labels), len(index)))
        classes = None if kept.classes is None else kept.classes[: rows.stop - start]
        whole.put_part(rows, Probabilities(kept.values[: rows.stop - start], part.n_classes, classes))
    return whole


def _put_map(run: Run, cache: Path, where: np.ndarray) -> None:
    def write(entry: Entry) -> list[str]:
        save_array(entry.path(maps.PROJECTION), where)
        return [maps.PROJECTION]

    Store(cache).get(PROJECTIONS, run.projection_key, write)
