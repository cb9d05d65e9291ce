"""Does LSI show corrupted images? Noise, JPEG damage, black images and copies, on the images of a few samples."""

import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from sklearn.metrics import roc_auc_score

from benchmarks.evidence.problems import CIFAR
from lsi.audit.duplicates import near_duplicates, neighbours
from lsi.compute.preparation import prepare
from lsi.config import DataSettings, FeatureSettings, Settings
from lsi.data import Dataset
from lsi.data.images import ArrayImages
from lsi.features import extract, fit_standardisation, load_backbone, plan
from lsi.laplace.scores import score
from lsi.progress import Progress

SHARE = 0.05
Damage = Callable[[np.ndarray, np.random.Generator], np.ndarray]


def gaussian(deviations: float) -> Damage:
    return lambda pixels, rng: pixels + rng.normal(scale=deviations * pixels.std(), size=pixels.shape)


def jpeg(pixels: np.ndarray, _: np.random.Generator) -> np.ndarray:
    buffer = io.BytesIO()
    Image.fromarray(pixels.astype(np.uint8)).save(buffer, "JPEG", quality=3)
    return np.asarray(Image.open(buffer))


DAMAGES: dict[str, Damage] = {
    "noise of 0.5 deviations": gaussian(0.5),
    "noise of 1 deviation": gaussian(1.0),
    "noise of 3 deviations": gaussian(3.0),
    "JPEG of quality 3": jpeg,
    "black": lambda pixels, _: np.zeros_like(pixels),
}


def study(quick: bool, cache: Path) -> dict[str, Any]:
    """Return AUROC of LSI for damaged samples, by kind of damage, and what copies do to LSI."""
    found = {"digits": one(prepare(Settings(DataSettings("digits", subset=400 if quick else 1_797))).dataset, "pixels")}
    if not quick and (CIFAR / "train.parquet").exists():
        data = DataSettings(data=CIFAR / "train.parquet", subset=2_000)
        settings = Settings(data, features=FeatureSettings(backbone="efficientnet_lite0"))
        found["CIFAR-10"] = one(prepare(settings).dataset, "efficientnet_lite0")
    return found


def one(dataset: Dataset, backbone: str) -> dict[str, Any]:
    assert dataset.images is not None
    pixels = np.stack([np.asarray(dataset.images.read(i)) for i in range(len(dataset))])
    rng = np.random.default_rng(0)
    chosen = np.sort(rng.choice(len(pixels), round(SHARE * len(pixels)), replace=False))
    mask = np.isin(np.arange(len(pixels)), chosen)
    rows = {}
    for name, damage in DAMAGES.items():
        damaged = pixels.copy()
        for i in chosen:
            damaged[i] = np.clip(np.rint(damage(pixels[i].astype(np.float64), rng)), 0, 255).astype(np.uint8)
        scores = score(features(replace(dataset, images=ArrayImages(damaged)), backbone), dataset.labels,
                       prior_precision="auto", structure="auto")  # fmt: skip
        rows[name] = {"lsi": float(roc_auc_score(mask, scores.lsi)),
                      "self_confidence": float(roc_auc_score(mask, 1 - scores.loo_p_given))}  # fmt: skip
    return {"n": len(pixels), "damaged": len(chosen), "rows": rows, "copies": copies(dataset, pixels, chosen, backbone)}


def copies(dataset: Dataset, pixels: np.ndarray, chosen: np.ndarray, backbone: str) -> dict[str, float]:
    """Append two copies of each chosen image: their LSI beside what the original had alone."""
    index = np.concatenate([np.arange(len(pixels)), chosen, chosen])
    plain = features(dataset, backbone)
    alone = score(plain, dataset.labels, structure="auto").lsi[chosen]
    together = score(plain[index], dataset.labels[index], structure="auto").lsi[chosen]
    groups = near_duplicates(neighbours(plain[index]), plain[index]).group
    return {"share_with_lower_lsi": float((together < alone).mean()),
            "median_ratio": float(np.median(together / alone)),
            "found_as_near_duplicates": float((groups[chosen] >= 0).mean())}  # fmt: skip


def features(dataset: Dataset, backbone: str) -> np.ndarray:
    import tempfile

    import torch

    with tempfile.TemporaryDirectory() as folder:
        how = plan(dataset.images, load_backbone(backbone), None, 32)
        extract(dataset.images, how, Path(folder), torch.device("cpu"), Progress())
        raw = np.load(Path(folder) / "features.npy")
    return fit_standardisation(raw, 256).apply(raw)
