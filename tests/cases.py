"""The problems that the maths is tested on."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits


@dataclass(frozen=True)
class Problem:
    features: np.ndarray
    labels: np.ndarray
    flipped: np.ndarray  # mask


def noisy_digits(share: float = 0.05, seed: int = 0, n: int | None = None) -> Problem:
    """Digits as pixels/16 with a share of the labels moved to another class."""
    x, y = load_digits(return_X_y=True)
    rng = np.random.default_rng(seed)
    keep = np.sort(rng.permutation(len(y))[:n])
    x, y = x[keep] / 16, y[keep].copy()
    mask = np.zeros(len(y), dtype=bool)
    mask[rng.choice(len(y), round(share * len(y)), replace=False)] = True
    y[mask] = (y[mask] + rng.integers(1, 10, mask.sum())) % 10
    return Problem(x, y, mask)


def image_files(folder: Path, class_names: Sequence[str], n: int) -> Path:
    """Write n small colour images and a manifest that gives them these class names in turn; return the manifest."""
    rng = np.random.default_rng(0)
    rows = ["path,label"]
    for i in range(n):
        pixels = np.clip(rng.normal(60 * (i % 3) + 50, 40, (10, 10, 3)), 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{i}.png")
        rows.append(f'{i}.png,"{class_names[i % len(class_names)]}"')
    manifest = folder / "manifest.csv"
    manifest.write_text("\n".join(rows))
    return manifest


def blobs(n: int, d: int, k: int, seed: int = 0, spread: float = 1.0, flips: float = 0.05) -> Problem:
    """Gaussian classes; every class has at least two samples."""
    rng = np.random.default_rng(seed)
    y = np.arange(n) % k
    x = spread * rng.normal(size=(k, d))[y] + rng.normal(size=(n, d))
    mask = rng.random(n) < flips
    y = np.where(mask, (y + 1) % k, y)
    return Problem(x, y, mask)


SMALL = {
    "two_classes": (blobs(60, 4, 2), 0.5),
    "three_classes": (blobs(80, 5, 3), 1.0),
    "weak_prior": (blobs(70, 3, 3, spread=0.3), 1e-3),
    "strong_prior": (blobs(50, 6, 4), 100.0),
    "more_features_than_samples": (blobs(24, 40, 3), 0.1),
    "one_of_a_class": (
        Problem(*(lambda b: (b.features, np.where(np.arange(40) == 7, 3, b.labels), b.flipped))(blobs(40, 4, 3))),
        1.0,
    ),
    "unbalanced": (
        Problem(*(lambda b: (b.features, np.where(b.labels < 2, 0, 1), b.flipped))(blobs(90, 4, 12))),
        1.0,
    ),
}


def odd_numbers(folder: Path, n: int = 60) -> Path:
    """Write n scans of digits, a manifest with a number each, and partners; return the manifest.

    The number is a scan's brightness, but for three that are far off.
    """
    pixels = np.rint(load_digits().images[:n] * (255 / 16)).astype(np.uint8)
    weights = pixels.mean(axis=(1, 2))
    weights[[3, 20, 41]] += 300
    for i, one in enumerate(pixels):
        Image.fromarray(one).save(folder / f"{i:03d}.png")
    rows = "".join(f"{i:03d}.png,{w:.3f}\n" for i, w in enumerate(weights))
    (folder / "numbers.csv").write_text("path,<b>weight</b>\n" + rows)
    np.save(folder / "partners.npy", pixels.reshape(n, -1)[:, ::7].astype(np.float64))
    return folder / "numbers.csv"
