"""The data of the studies: standardised features and clean labels of three datasets, and label noise of known kinds."""

import gzip
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Int

from lsi import pipeline
from lsi.config import DataSettings, FeatureSettings, Settings
from lsi.progress import Progress
from lsi.store import Store

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


NOISES = (("symmetric", 0.05), ("symmetric", 0.2), ("symmetric", 0.4), ("pair", 0.2), ("one class", 0.2))


def sources(cache: Path, n: int) -> Iterator[tuple[str, np.ndarray, np.ndarray, np.ndarray | None]]:
    """Yield name, features, clean labels and human labels (where there are any) of each dataset at hand."""
    yield "digits", *_features(DataSettings(subset=min(n, 1_797)), "pixels", cache), None
    images = FASHION / "train-images-idx3-ubyte.gz"
    if images.exists():
        path = cache / "fashion.npz"
        if not path.exists():
            cache.mkdir(parents=True, exist_ok=True)
            pixels = np.frombuffer(gzip.decompress(images.read_bytes()), np.uint8, offset=16).reshape(-1, 28, 28)
            labels = gzip.decompress((FASHION / "train-labels-idx1-ubyte.gz").read_bytes())
            np.savez(path, images=pixels, labels=np.frombuffer(labels, np.uint8, offset=8).astype(np.int64))
        yield "Fashion-MNIST", *_features(DataSettings(data=path, subset=n), "efficientnet_lite0", cache), None
    if (CIFAR / "train.parquet").exists():
        data = DataSettings(data=CIFAR / "train.parquet", labels=f"{CIFAR / 'cifar10n_aggregate.npz'}:aggre_label",
                            subset=n)  # fmt: skip
        settings = Settings(data, features=FeatureSettings(backbone="efficientnet_lite0"))
        prepared = pipeline.prepare(settings)
        values = pipeline.features_of(settings, prepared, Store(cache), Progress()).values
        assert prepared.dataset.true_label is not None
        yield "CIFAR-10", values, prepared.dataset.true_label, prepared.dataset.labels


def problems(cache: Path, n: int, seeds: int) -> Iterator[tuple[Problem, int]]:
    """Yield every dataset with every noise and seed; human labels come once."""
    for name, features, clean, human in sources(cache, n):
        if human is not None:
            yield Problem(name, "human (CIFAR-10N)", features, human, clean), 0
        for kind, share in NOISES:
            for seed in range(seeds):
                yield Problem(name, f"{kind} {share:.0%}", features, flipped(clean, kind, share, seed), clean), seed


def _features(data: DataSettings, backbone: str, cache: Path) -> tuple[np.ndarray, np.ndarray]:
    settings = Settings(data, features=FeatureSettings(backbone=backbone))
    prepared = pipeline.prepare(settings)
    return pipeline.features_of(settings, prepared, Store(cache), Progress()).values, prepared.dataset.labels
