"""Corruption on purpose, for experiments: flipped labels, noisy images, human labels. Always seeded first."""

from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Int, Shaped
from PIL import Image

from lsi.data.images import Images
from lsi.data.npz import read_npz
from lsi.errors import DataError, UsageError, unreadable_passed_over
from lsi.hashing import Stamp

HUMAN_FILES = {
    "cifar10": (("CIFAR-10_human.pt", "cifar10n_aggregate.npz"), "aggre_label"),
    "cifar100": (("CIFAR-100_human.pt",), "noisy_label"),
}
_SAMPLE = 1_000


def flip_labels(labels: Int[np.ndarray, " n"], n_classes: int, share: float, seed: int) -> Int[np.ndarray, " n"]:
    """Return labels of which a `share` has moved to another class, chosen uniformly.

    Args:
        labels: (n,) class indices 0 … k − 1.
        n_classes: k.
        share: of the labels to move, 0 … 1.
        seed: of the choice.
    """
    rng = np.random.default_rng(seed)
    chosen = rng.choice(len(labels), round(share * len(labels)), replace=False)
    flipped = labels.copy()
    flipped[chosen] = (labels[chosen] + rng.integers(1, n_classes, len(chosen))) % n_classes
    return flipped


def still_wrong(
    labels: Shaped[np.ndarray, " n"], before: Shaped[np.ndarray, " n"], true_label: Shaped[np.ndarray, " n"]
) -> Bool[np.ndarray, " n"]:
    """Return which labels are wrong ones that nobody has changed: what a person made of a label is not counted, (n,).

    Args:
        labels: (n,) as they are now, by index or by name as the others.
        before: (n,) before anybody decided about them.
        true_label: (n,) before noise or a second labelling.
    """
    return (before != true_label) & (labels == before)


class NoisyImages:
    """Images of which some carry Gaussian noise, the same at every reading."""

    def __init__(self, images: Images, noisy: Bool[np.ndarray, " n"], sigma: float, seed: int) -> None:
        """Add noise of standard deviation `sigma`, in units of pixel values 0 … 255, to the images in `noisy`.

        Args:
            images: the images, as they are.
            noisy: (n,) which of them get noise.
            sigma: standard deviation of the noise.
            seed: of the noise; each image draws from the seed and its position.
        """
        self.images, self.noisy, self.sigma, self.seed = images, noisy, sigma, seed

    def __len__(self) -> int:
        """Return how many images there are."""
        return len(self.images)

    def read(self, index: int) -> Image.Image:
        """Return image `index` as RGB, with its noise."""
        image = self.images.read(index)
        if not self.noisy[index]:
            return image
        return add_noise(image, self.sigma, self.seed, index)

    def native(self, index: int) -> Image.Image:
        """Return image `index` as RGB, with its noise: there is no other mode of it."""
        return self.read(index)

    def source(self, index: int) -> None:
        """Return None: noise is added after decoding."""

    def checksum(self, index: int) -> str:
        """Return a hash of image `index` before the noise."""
        return self.images.checksum(index)

    def stamp(self, index: int) -> Stamp | None:
        """Return where the content of image `index` before the noise lies."""
        return self.images.stamp(index)


def add_noise(image: Image.Image, sigma: float, seed: int, index: int) -> Image.Image:
    """Return an image with Gaussian noise.

    Args:
        image: RGB.
        sigma: standard deviation of the noise, in units of pixel values 0 … 255.
        seed: of the noise.
        index: the image's position, by which images draw differently.
    """
    values = np.asarray(image, dtype=np.float64)
    values = values + np.random.default_rng([seed, index]).normal(scale=sigma, size=values.shape)
    return Image.fromarray(np.clip(np.rint(values), 0, 255).astype(np.uint8))


def pixel_deviation(images: Images, seed: int) -> float:
    """Return the standard deviation of the pixel values 0 … 255, over up to 1,000 images drawn with `seed`."""
    pixels = []
    for i in np.random.default_rng(seed).permutation(len(images))[:_SAMPLE]:
        with unreadable_passed_over():
            pixels.append(np.asarray(images.read(int(i)), dtype=np.float64).ravel())
    return float(np.concatenate(pixels).std()) if pixels else 0.0


def human_labels(name: str, folder: Path, n: int) -> Int[np.ndarray, " n"]:
    """Return the published human labels of a CIFAR training set.

    Source: Wei et al., Learning with Noisy Labels Revisited, ICLR 2022. Their `.pt` file is a pickle; it is read by
    PyTorch's restricted unpickler, which builds arrays and runs nothing in the file.

    Args:
        name: of the dataset, cifar10 or cifar100.
        folder: where the published file lies.
        n: how many labels are expected.

    Raises:
        UsageError: the dataset has no such labels.
        DataError: the file is not there, or does not fit.
    """
    if name not in HUMAN_FILES:
        raise UsageError(f"Human labels are published for cifar10 and cifar100 (training split), not for {name}.")
    files, key = HUMAN_FILES[name]
    path = next((folder / f for f in files if (folder / f).is_file()), None)
    if path is None:
        raise DataError(f"Expected the published file {files[0]} in {folder}: put it there (CIFAR-N project).")
    labels = _arrays(path).get(key)
    if labels is None or len(labels) != n:
        content = "nothing" if labels is None else f"{len(labels)} labels"
        raise DataError(f"{path}: expected {n} labels under {key!r}, got {content}.")
    return np.asarray(labels).astype(np.int64)


def _arrays(path: Path) -> dict[str, Any]:
    if path.suffix == ".npz":
        found = read_npz(path)
        assert isinstance(found, dict)
        return found
    try:
        return _restricted(path)
    except Exception as error:
        raise DataError(f"{path}: not readable without executing code in it ({error}).") from error


def _restricted(path: Path) -> dict[str, Any]:
    import torch
    from numpy._core.multiarray import _reconstruct as rebuild  # type: ignore[attr-defined]

    # a tuple carries the name under which NumPy 1 wrote arrays
    kinds = [type(np.dtype(t)) for t in (np.int64, np.int32, np.int8, np.uint8, np.float64, np.float32)]
    allowed = [(rebuild, "numpy.core.multiarray._reconstruct"), rebuild, np.ndarray, np.dtype, *kinds]
    with torch.serialization.safe_globals(allowed):
        return dict(torch.load(path, map_location="cpu", weights_only=True))
