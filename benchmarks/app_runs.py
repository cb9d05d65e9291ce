"""The runs that the app is measured on: real images, a large set of noisy copies, and a million points."""

from contextlib import nullcontext
from pathlib import Path

import numpy as np
import torch

from lsi.audit.duplicates import Duplicates
from lsi.compute import pipeline, queries
from lsi.compute.preparation import prepare
from lsi.compute.tasks import classify
from lsi.config import DataSettings, FeatureSettings, NoiseSettings, ScoreSettings, Settings
from lsi.data import Dataset
from lsi.features.design import FILES, VALUES, Recipe, read_design, write_parts
from lsi.files import save_array
from lsi.laplace.design_matrix import DesignMatrix, with_bias
from lsi.progress import Progress
from lsi.runs.images import describe_images, file_facts
from lsi.runs.manifest import make_manifest, make_table
from lsi.runs.run import DESIGNS, KIND, PROJECTIONS, Run
from lsi.runs.store import Entry, Store
from lsi.runs.writing import RunContent, write_run

CIFAR = Path("../shared/data/cifar10/train.parquet")
HUMAN = Path("../shared/data/cifar10/cifar10n_aggregate.npz")


def real(cache: Path, n: int | None) -> Run:
    """Return CIFAR-10 with human labels through EfficientNet-Lite0, map included."""
    data = DataSettings(data=CIFAR, labels=f"{HUMAN}:aggre_label", subset=n)
    settings = Settings(data, features=FeatureSettings(backbone="efficientnet_lite0"))
    run = pipeline.run(settings, cache, Progress())
    queries.projection_of_run(run, cache)
    return run


def copies(cache: Path, n: int) -> Run:
    """Return digits repeated with noise and 5 % flipped labels; its map is of two principal components."""
    digits = prepare(Settings()).dataset
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


def points(cache: Path, n: int, k: int = 10, d: int = 2) -> Run:
    """Return a run of n points of k classes whose images are 8 × 8 noise, written without a search for neighbours."""
    rng, name = np.random.default_rng(0), f"points-{n}-{k}"
    right = rng.integers(0, k, n)
    labels = np.where(rng.random(n) < 0.05, rng.integers(0, k, n), right) if k > 10 else right
    where = (3 * rng.normal(size=(k, d))[right] + rng.normal(size=(n, d))).astype(np.float32)
    path = cache / f"{name}.npz"
    path.parent.mkdir(parents=True, exist_ok=True)
    names = np.array([f"class {c:04d}" for c in range(k)])
    np.savez(path, images=rng.integers(0, 256, (n, 8, 8), dtype=np.uint8), labels=labels, class_names=names)
    settings = Settings(DataSettings(data=path), features=FeatureSettings(backbone="pixels"))
    dataset = prepare(settings).dataset
    design = Store(cache).get(DESIGNS, name, lambda e: _write_design(e, where))
    entry = Store(cache).get(KIND, name, lambda e: write_run(e, _content(settings, dataset, design)))
    run = Run(entry.folder)
    _put_map(run, cache, np.array(where[:, :2]))
    return run


def _write_design(entry: Entry, where: np.ndarray) -> list[str]:
    recipe, rows = Recipe(None, "float32"), np.arange(len(where))
    recipe.write(entry.path(VALUES), where, rows)
    gram = DesignMatrix(with_bias(torch.from_numpy(where))).gram_factor
    write_parts(entry.folder, recipe, rows, (gram.values.numpy(), gram.vectors.numpy()))
    return list(FILES)


def _content(settings: Settings, dataset: Dataset, design: Entry) -> RunContent:
    n, phi = len(dataset), DesignMatrix(torch.from_numpy(read_design(design.folder).values))
    result = classify(dataset, phi, ScoreSettings(1.0, certify=0), 0, lambda _: nullcontext())
    table = make_table(dataset, result.table, np.zeros(n, bool), Duplicates(np.full(n, -1), np.ones(n), 0.0))
    manifest = make_manifest(dataset, "classification", table, np.zeros(n, bool), phi.device) | result.manifest
    manifest["dataset"]["skipped"] = []
    manifest |= {"settings": settings.to_dict(), "seconds": {}, "near_duplicates": {"threshold": 0.0},
                 "images": {"files": file_facts(dataset.files)},
                 "features": {"key": "", "design": design.folder.name, "backbone": "points",
                              "n_features": phi.shape[1] - 1}}  # fmt: skip
    samples = describe_images(dataset, None).assign(position=np.arange(n))
    near = (np.stack([(np.arange(n) + 1) % n], axis=1), np.ones((n, 1), np.float32))
    return RunContent(manifest, table, samples, result.arrays, result.weights, near, None, result.probabilities)


def _put_map(run: Run, cache: Path, where: np.ndarray) -> None:
    def write(entry: Entry) -> list[str]:
        save_array(entry.path(queries.PROJECTION), where)
        return [queries.PROJECTION]

    Store(cache).get(PROJECTIONS, run.projection_key, write)
