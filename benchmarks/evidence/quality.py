"""What LSI cannot see: damage that shows in the image alone, found by the columns and flags of image quality, or not.

Each kind of damage is planted alone, in 5 % of the images: of CIFAR-10's test images, as the rules for the flags were
settled on training images, and of crops of two photographs.
"""

import io
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from PIL import Image, ImageFilter
from sklearn.datasets import load_sample_image
from sklearn.metrics import roc_auc_score

from benchmarks.evidence.problems import CIFAR
from lsi.audit.quality import quality_table
from lsi.compute.preparation import prepare
from lsi.config import DataSettings, Settings
from lsi.data.images import decode
from lsi.features import Backbone, bfloat16_is_fast, extract, fit_standardisation, load_backbone, measure, plan
from lsi.laplace.scores import score
from lsi.progress import Progress

SHARE = 0.05
Change = Callable[[Image.Image, np.random.Generator], Image.Image]


@dataclass(frozen=True)
class Damage:
    """What is done to an image; the column that shows it, in which direction (±1), and the flag.

    Copies have no column: `change` is None, and the images are exact copies of others.
    """

    change: Change | None
    column: str
    direction: int
    flag: str


def lit(function: Callable[[float], float]) -> Change:
    levels = [int(np.clip(function(v), 0, 255)) for v in range(256)]
    return lambda image, _: image.point(levels * 3)


def blurred(radius: float) -> Change:
    """Blur with a radius in pixels of an image of 32 px, in proportion on larger ones."""
    return lambda image, _: image.filter(ImageFilter.GaussianBlur(radius * image.width / 32))


def resized(width: float, height: float) -> Change:
    return lambda image, _: image.resize((round(image.width * width), round(image.height * height)))


def nearly_constant(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    pixels = rng.uniform(20, 235) + rng.normal(size=(image.height, image.width, 3))
    return Image.fromarray(np.rint(pixels).astype(np.uint8))


DAMAGES = {
    "darkened to 0.15": Damage(lit(lambda v: 0.15 * v), "brightness", -1, "is_dark"),
    "over-exposed three times": Damage(lit(lambda v: 3 * v), "brightness", 1, "is_bright"),
    "washed out": Damage(lit(lambda v: 255 - 0.15 * (255 - v)), "brightness", 1, "is_bright"),
    "blurred by 1.5/32 of its side": Damage(blurred(1.5), "sharpness", -1, "is_blurry"),
    "blurred by 2/32": Damage(blurred(2), "sharpness", -1, "is_blurry"),
    "blurred by 4/32": Damage(blurred(4), "sharpness", -1, "is_blurry"),
    "constant": Damage(lambda image, rng: Image.new("RGB", image.size, tuple(map(int, rng.integers(0, 256, 3)))),
                       "entropy", -1, "is_low_information"),
    "constant but for noise of one level": Damage(nearly_constant, "entropy", -1, "is_low_information"),
    "half as large": Damage(resized(0.5, 0.5), "width", -1, "is_odd_size"),
    "four times as wide as high": Damage(resized(2, 0.5), "aspect", 1, "is_odd_aspect"),
    "an exact copy": Damage(None, "", 1, "is_exact_duplicate"),
}  # fmt: skip


class ImageList:
    """Images of any size that are there already."""

    def __init__(self, images: list[Image.Image]) -> None:
        self.images = images

    def __len__(self) -> int:
        return len(self.images)

    def read(self, index: int) -> Image.Image:
        """Return image `index`."""
        return self.images[index]


def study(quick: bool, cache: Path) -> dict[str, Any]:
    """Return for each kind of damage what LSI, the columns and the flags find of it, and what measuring costs."""
    n = 60 if quick else 400
    found = {"photographs of 300 px": planted(photographs(n, 300), None)}
    if not quick and (CIFAR / "test.parquet").exists():
        dataset = prepare(Settings(DataSettings(data=CIFAR / "test.parquet", subset=2_000))).dataset
        assert dataset.images is not None
        images = [dataset.images.read(i) for i in range(len(dataset))]
        found["CIFAR-10, test images"] = planted(images, dataset.labels)
    return {"sets": found, "cost": [cost(32, 64 if quick else 512), cost(500, 16 if quick else 128)]}


def photographs(n: int, size: int) -> list[Image.Image]:
    """Return square crops of scikit-learn's two photographs, scaled to `size` px."""
    rng = np.random.default_rng(0)
    photos = [Image.fromarray(load_sample_image(f"{name}.jpg")) for name in ("china", "flower")]
    crops = []
    for i in range(n):
        photo, side = photos[i % 2], int(rng.integers(250, 420))
        x, y = int(rng.integers(photo.width - side)), int(rng.integers(photo.height - side))
        crops.append(photo.crop((x, y, x + side, y + side)).resize((size, size), Image.Resampling.BOX))
    return crops


def planted(images: list[Image.Image], labels: np.ndarray | None) -> dict[str, Any]:
    """Return what is found of each kind of damage; with labels, what LSI and the labels' scores find as well."""
    rng = np.random.default_rng(0)
    chosen = np.sort(rng.choice(len(images), round(SHARE * len(images)), replace=False))
    originals = rng.choice(np.setdiff1d(np.arange(len(images)), chosen), len(chosen), replace=False)
    plain = None if labels is None else raw_features(images)
    measures = np.stack([measure(image) for image in images])
    rows = {}
    for name, damage in DAMAGES.items():
        source = chosen if damage.change else originals
        changed = [damage.change(images[i], rng) if damage.change else images[i] for i in source]
        now, checksums = measures.copy(), np.arange(len(images)).astype(str)
        now[chosen] = np.stack([measure(image) for image in changed])
        if damage.change is None:
            checksums[chosen] = checksums[originals]
        known = chosen if damage.change else np.concatenate([chosen, originals])
        rows[name] = found_of(damage, np.isin(np.arange(len(images)), known), quality_table(now, checksums.tolist()))
        if plain is not None and labels is not None:
            features = plain.copy()
            features[chosen] = raw_features(changed)
            seen = labels.copy()
            seen[chosen] = labels[source]  # a copy has the label of its original
            rows[name] |= by_lsi(features, seen, np.isin(np.arange(len(images)), chosen))
    return {"n": len(images), "damaged": len(chosen), "rows": rows}


def found_of(damage: Damage, damaged: np.ndarray, table: pd.DataFrame) -> dict[str, Any]:
    """Return AUROC of the column, and precision and recall of the flag."""
    flagged = table[damage.flag].to_numpy()
    hits = int((flagged & damaged).sum())
    auroc = float(roc_auc_score(damaged, damage.direction * table[damage.column])) if damage.column else None
    return {"column": damage.column, "auroc": auroc, "flag": damage.flag, "recall": hits / int(damaged.sum()),
            "precision": hits / max(int(flagged.sum()), 1)}  # fmt: skip


def by_lsi(raw: np.ndarray, labels: np.ndarray, damaged: np.ndarray) -> dict[str, float]:
    features = fit_standardisation(raw, 256).apply(raw)
    scores = score(features, labels, prior_precision="auto", structure="auto")
    return {"lsi": float(roc_auc_score(damaged, scores.lsi)),
            "self_confidence": float(roc_auc_score(damaged, 1 - scores.loo_p_given))}  # fmt: skip


@cache
def _backbone() -> Backbone:
    return load_backbone("efficientnet_lite0")


def raw_features(images: list[Image.Image]) -> np.ndarray:
    with tempfile.TemporaryDirectory() as folder:
        how = plan(ImageList(images), _backbone(), 160, 32)
        extract(ImageList(images), replace(how, is_measured=False), Path(folder), torch.device("cpu"), Progress())
        return np.load(Path(folder) / "features.npy")


class EncodedList(ImageList):
    """The same, decoded at every reading."""

    def __init__(self, images: list[Image.Image]) -> None:
        self.files = []
        for image in images:
            buffer = io.BytesIO()
            image.save(buffer, "JPEG", quality=90)
            self.files.append(buffer.getvalue())
        super().__init__(images)

    def read(self, index: int) -> Image.Image:
        """Return image `index`."""
        return decode(self.files[index])


def cost(side: int, n: int, turns: int = 4) -> dict[str, Any]:
    """Return the processor's seconds of extracting JPEG images with measuring and without; the best of some turns.

    PyTorch has one thread: several wait for each other, and what they wait counts as the processor's time.

    Args:
        side: of the images in pixels.
        n: how many.
        turns: of each, one after the other.
    """
    images = EncodedList([image.resize((side, 3 * side // 4)) for image in photographs(n, 512)])
    backbone, device = _backbone(), torch.device("cpu")
    how = plan(images, backbone, None, 32)
    how = replace(how, bfloat16_from=backbone.bfloat16_from if bfloat16_is_fast(device) else None)
    seconds: dict[bool, list[float]] = {True: [], False: []}
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    for turn in range(2 * turns):
        is_measured = turn % 4 in (0, 3)
        with tempfile.TemporaryDirectory() as folder:
            start = time.process_time()
            extract(images, replace(how, is_measured=is_measured), Path(folder), device, Progress())
            seconds[is_measured].append(time.process_time() - start)
    torch.set_num_threads(threads)
    return {"side": side, "n": n, "size": how.size, "with": min(seconds[True]), "without": min(seconds[False])}
