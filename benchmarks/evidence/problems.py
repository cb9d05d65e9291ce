"""The data of the studies: standardised features and clean labels of three datasets, and label noise of known kinds."""

import gzip
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int

from benchmarks.evidence.probes import fitted, scores_of
from lsi.compute.designs import design_of
from lsi.compute.preparation import prepare
from lsi.compute.raw_features import Where, raw_features
from lsi.config import DataSettings, FeatureSettings, Settings
from lsi.data import Dataset
from lsi.progress import Progress
from lsi.runs.store import Store

SPARSITY = 0.4  # share of the entries of a random transition matrix that are zero, as in Northcutt et al. (2021)
CIFAR = Path("../shared/data/cifar10")
FASHION = Path("/usr/share/datasets/fashion-mnist")  # where Debian's package of that name puts it


@dataclass(frozen=True)
class Problem:
    """Features (n, d) float32, the labels that a detector sees, and the labels that are right."""

    name: str
    noise: str
    features: Float[np.ndarray, "n d"]
    given: Int[np.ndarray, " n"]
    clean: Int[np.ndarray, " n"]

    @property
    def wrong(self) -> Bool[np.ndarray, " n"]:
        """Which given labels are wrong."""
        return self.given != self.clean


def flipped(labels: Int[np.ndarray, " n"], kind: str, share: float, seed: int) -> Int[np.ndarray, " n"]:
    """Return labels with symmetric, pair (c → c + 1) or one-class noise (a `share` of class 3)."""
    rng, k = np.random.default_rng(seed), int(labels.max()) + 1
    pool = np.flatnonzero(labels == 3) if kind == "one class" else np.arange(len(labels))
    chosen = rng.choice(pool, round(share * len(pool)), replace=False)
    noisy = labels.copy()
    step = np.ones(len(chosen), np.int64) if kind == "pair" else rng.integers(1, k, len(chosen))
    noisy[chosen] = (labels[chosen] + step) % k
    return noisy


def confused(labels: Int[np.ndarray, " n"], share: float, seed: int) -> Int[np.ndarray, " n"]:
    """Return labels drawn from a random sparse transition matrix whose classes err at rates around `share`."""
    rng, k = np.random.default_rng([7, seed]), int(labels.max()) + 1
    matrix = np.zeros((k, k))
    for c in range(k):
        others = rng.dirichlet(np.ones(k - 1)) * (rng.random(k - 1) >= SPARSITY)
        others = others if others.any() else np.eye(k - 1)[rng.integers(k - 1)]
        rate = min(share * rng.uniform(0.3, 1.7), 0.85)
        matrix[c, np.arange(k) != c] = rate * others / others.sum()
        matrix[c, c] = 1 - rate
    return np.array([rng.choice(k, p=matrix[c]) for c in labels])


def doubted(
    features: Float[np.ndarray, "n d"], labels: Int[np.ndarray, " n"], share: float, seed: int
) -> Int[np.ndarray, " n"]:
    """Return labels of which a share is flipped to a probe's runner-up, the likelier the more the probe doubts."""
    p = scores_of(fitted(features, labels, int(labels.max()) + 1)).loo_probabilities.copy()
    p[np.arange(len(labels)), labels] = 0
    keys = np.log(p.sum(axis=1) + 1e-12) + np.random.default_rng([8, seed]).gumbel(size=len(labels))
    rows = np.argsort(-keys)[: round(share * len(labels))]
    given = labels.copy()
    given[rows] = p[rows].argmax(axis=1)
    return given


NOISES = (("symmetric", 0.05), ("symmetric", 0.2), ("symmetric", 0.4), ("pair", 0.2), ("one class", 0.2))
SPARSE, DOUBTED = (0.2, 0.4), (0.05, 0.2)  # shares of wrong labels


@dataclass(frozen=True)
class Source:
    """A dataset at hand: standardised features (n, d), right labels, human labels where there are any, its images."""

    name: str
    features: Float[np.ndarray, "n d"]
    clean: Int[np.ndarray, " n"]
    human: Int[np.ndarray, " n"] | None
    dataset: Dataset
    settings: Settings

    def pixels(self) -> Float[np.ndarray, "n c h w"]:
        """Return the images, centred and scaled as a whole."""
        assert self.dataset.images is not None
        images = np.stack([np.asarray(self.dataset.images.read(i)) for i in range(len(self.dataset))])
        images = images[:, None] if images.ndim == 3 else images.transpose(0, 3, 1, 2)
        images = images.astype(np.float32)
        return (images - images.mean()) / images.std()

    def with_backbone(self, cache: Path, **features: Any) -> Float[np.ndarray, "n d"]:
        """Return standardised features by other settings."""
        return _features(replace(self.settings, features=FeatureSettings(**features)), cache)


def sources(cache: Path, n: int) -> Iterator[Source]:
    """Yield each dataset at hand, with at most `n` samples."""
    yield _source("digits", DataSettings("digits", subset=min(n, 1_797)), "pixels", cache)
    if (FASHION / "train-images-idx3-ubyte.gz").exists():
        data = DataSettings(data=fashion(cache), subset=n)
        yield _source("Fashion-MNIST", data, "efficientnet_lite0", cache)
    human = human_source(cache, n)
    if human is not None:
        yield human


def human_source(cache: Path, n: int, pca: int = 256) -> Source | None:
    """Return CIFAR-10 with its human labels, `n` samples of it, where it is at hand."""
    if not (CIFAR / "train.parquet").exists():
        return None
    labels = f"{CIFAR / 'cifar10n_aggregate.npz'}:aggre_label"
    data = DataSettings(data=CIFAR / "train.parquet", labels=labels, subset=n)
    return _source("CIFAR-10", data, "efficientnet_lite0", cache, pca)


def fashion(cache: Path) -> Path:
    """Return an .npz of Fashion-MNIST's training images and labels, made from Debian's files."""
    path = cache / "fashion.npz"
    if not path.exists():
        cache.mkdir(parents=True, exist_ok=True)
        images = gzip.decompress((FASHION / "train-images-idx3-ubyte.gz").read_bytes())
        labels = gzip.decompress((FASHION / "train-labels-idx1-ubyte.gz").read_bytes())
        pixels = np.frombuffer(images, np.uint8, offset=16).reshape(-1, 28, 28)
        np.savez(path, images=pixels, labels=np.frombuffer(labels, np.uint8, offset=8).astype(np.int64))
    return path


def problems(
    cache: Path, n: int, seeds: int, more: tuple[tuple[str, float], ...] = ()
) -> Iterator[tuple[Problem, int]]:
    """Yield every dataset with every noise, and `more` of them, and seed; human labels come once."""
    for s in sources(cache, n):
        empty = Problem(s.name, "", s.features, s.clean, s.clean)
        if s.human is not None:
            yield replace(empty, noise="human (CIFAR-10N)", given=s.human), 0
        for seed in range(seeds):
            for kind, share in (*more, *NOISES):
                yield replace(empty, noise=f"{kind} {share:.0%}", given=flipped(s.clean, kind, share, seed)), seed
            for share in SPARSE:
                given = confused(s.clean, share, seed)
                yield replace(empty, noise=f"sparse transitions {share:.0%}", given=given), seed
            for share in DOUBTED:
                given = doubted(s.features, s.clean, share, seed)
                yield replace(empty, noise=f"where a probe doubts {share:.0%}", given=given), seed


def _source(name: str, data: DataSettings, backbone: str, cache: Path, pca: int = 256) -> Source:
    settings = Settings(data, features=FeatureSettings(backbone=backbone, pca=pca))
    dataset = prepare(settings).dataset
    human = dataset.labels if dataset.true_label is not None else None
    clean = dataset.labels if dataset.true_label is None else dataset.true_label
    return Source(name, _features(settings, cache), clean, human, dataset, settings)


def _features(settings: Settings, cache: Path) -> Float[np.ndarray, "n d"]:
    prepared, store = prepare(settings), Store(cache)
    raw = raw_features(prepared, settings.features, Where(torch.device("cpu"), store, Progress()))
    return np.asarray(design_of(prepared, raw, settings, store).design.values[:, :-1])
