"""What a run stands on: the data as asked for, their features, and what these are to predict.

dataset → noise → features → targets
"""

import logging
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from lsi import data as datasets
from lsi.compute.tasks import Targets, task_of
from lsi.config import Settings, Task, default_data_root
from lsi.data import Dataset, noise
from lsi.data.sampling import stratified
from lsi.devices import choose_device
from lsi.errors import DataError, UsageError
from lsi.features import (
    TEXT_ENCODER,
    Backbone,
    Standardisation,
    ViewedImages,
    bfloat16_is_fast,
    embed,
    extract,
    fit_standardisation,
    load_backbone,
    plan,
    weights_of_text_encoder,
)
from lsi.files import read_json, save_array, write_json
from lsi.hashing import fingerprint, key
from lsi.progress import Progress
from lsi.runs.store import Entry, Store

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Prepared:
    """A dataset ready for features: subset taken, labels and images corrupted as asked."""

    dataset: Dataset
    task: Task
    corrupted: np.ndarray
    image_noise: str


@dataclass(frozen=True)
class Features:
    """Standardised features of the samples that could be read, and what was left out.

    `other` holds the raw features that these should predict where they are two halves of ready-made ones.
    """

    values: np.ndarray
    kept: np.ndarray
    skipped: dict[int, str]
    backbone: str
    facts: dict[str, Any]
    other: np.ndarray | None = None


def prepare(settings: Settings) -> Prepared:
    """Load the data, take the subset, corrupt what is to be corrupted."""
    data_root = default_data_root()
    dataset = datasets.load(settings.data, data_root)
    task = task_of(settings.data.task, dataset)
    log.info("%s: task %s", dataset.name, task)
    _check_task(settings, task)
    n_classes = len(dataset.class_names)
    if settings.noise.human_label_noise:
        dataset = dataset.relabel(noise.human_labels(settings.data.dataset.lower(), data_root, len(dataset)))
    if settings.data.subset is not None:
        dataset = dataset.take(stratified(dataset.labels, settings.data.subset, settings.seed))
    if task == "classification":
        dataset.check_trainable()
    if settings.noise.corrupt_label > 0:
        flipped = noise.flip_labels(dataset.labels, n_classes, settings.noise.corrupt_label, settings.seed)
        dataset = dataset.relabel(flipped)
    corrupted = np.zeros(len(dataset), bool)
    if dataset.true_label is not None:
        corrupted = dataset.labels != dataset.true_label
    image_noise = ""
    if settings.noise.corrupt_data > 0:
        dataset, noisy = _corrupt_images(dataset, settings)
        corrupted = corrupted | noisy
        image_noise = key(strength=settings.noise.corrupt_data, mask=fingerprint(noisy), seed=settings.seed)
    return Prepared(dataset, task, corrupted, image_noise)


def features_of(settings: Settings, prepared: Prepared, store: Store, progress: Progress) -> Features:
    """Return standardised features, extracted or from the cache."""
    dataset = prepared.dataset
    if dataset.features is not None:
        raw, skipped, backbone, facts = np.asarray(dataset.features), {}, "given", {}
    else:
        raw, skipped, backbone, facts = _extracted(settings, prepared, store, progress)
    if skipped and settings.data.on_error == "fail":
        first = min(skipped)
        raise DataError(f"{len(skipped)} of {len(dataset)} images could not be read; the first: {skipped[first]}.")
    kept = np.setdiff1d(np.arange(len(dataset)), list(skipped))
    values, other = raw[kept] if skipped else raw, None
    if prepared.task == "self" and dataset.images is None:  # one random half of ready-made features predicts the other
        half = np.random.default_rng(settings.seed).permutation(values.shape[1])
        cut = values.shape[1] // 2
        values, other = values[:, np.sort(half[cut:])], values[:, np.sort(half[:cut])]
    if settings.features.standardise:
        how = fit_standardisation(values, settings.features.pca)
        facts = {**facts, **_facts(how)}
        values = how.apply(values)
    return Features(values.astype(settings.score.dtype), kept, skipped, backbone, facts, other)


def targets_of(
    settings: Settings, prepared: Prepared, features: Features, store: Store, progress: Progress
) -> Targets | None:
    """Return what the Gaussian head predicts, a row for each row of the features; None for a classification."""
    if prepared.task == "classification":
        return None
    dataset = prepared.dataset
    if prepared.task == "regression":
        assert dataset.targets is not None
        values = dataset.targets[features.kept]
        mean, scale = values.mean(axis=0), values.std(axis=0)
        scale = np.where(scale > 0, scale, 1.0)
        return Targets((values - mean) / scale, mean, scale, dataset.target_names)
    if prepared.task == "paired":
        assert dataset.targets is not None
        raw = dataset.targets[features.kept]
    elif features.other is not None:
        raw = features.other
    else:
        viewed = ViewedImages(dataset.images, 1, settings.seed)
        mark = key(noise=prepared.image_noise, view=1, seed=settings.seed)
        other = replace(prepared, dataset=replace(dataset, images=viewed), image_noise=mark)
        raw = _extracted(settings, other, store, progress)[0][features.kept]
    values = fit_standardisation(raw, settings.features.pca).apply(np.asarray(raw, dtype=np.float64))
    m = values.shape[1]
    return Targets(values, np.zeros(m), np.ones(m))


def _check_task(settings: Settings, task: Task) -> None:
    """Raise where settings for labels meet data without."""
    if task == "classification":
        return
    noise_asked = settings.noise
    if noise_asked.corrupt_label or noise_asked.human_label_noise or noise_asked.corrupt_data_label:
        raise UsageError(f"Corrupting needs class labels, and the task is {task}.")
    if settings.score.calibrate or settings.score.preset != "none":
        raise UsageError(f"calibrate and preset need class labels, and the task is {task}.")


def _corrupt_images(dataset: Dataset, settings: Settings) -> tuple[Dataset, np.ndarray]:
    classes = settings.noise.corrupt_data_label
    k = len(dataset.class_names)
    if not all(0 <= c < k for c in classes):
        raise DataError(f"Expected corrupt_data_label in 0 … {k - 1}, got {', '.join(map(str, classes))}.")
    if dataset.images is None:
        raise DataError("corrupt_data needs images; these data are ready-made features.")
    noisy = np.isin(dataset.labels, classes)
    images = noise.NoisyImages(dataset.images, noisy, settings.noise.corrupt_data, settings.seed)
    return replace(dataset, images=images), noisy


def _backbone(settings: Settings, dataset: Dataset) -> Backbone:
    name = settings.features.backbone
    if name == "auto":
        assert dataset.images is not None
        small = plan(dataset.images, load_backbone("pixels"), None, 1).size <= 16
        name = "pixels" if small else "efficientnet_lite0"
    return load_backbone(name)


def _extracted(
    settings: Settings, prepared: Prepared, store: Store, progress: Progress
) -> tuple[np.ndarray, dict[int, str], str, dict[str, Any]]:
    dataset = prepared.dataset
    if dataset.images is None:
        return _embedded(settings, dataset, store, progress)
    backbone = _backbone(settings, dataset)
    device = torch.device(choose_device(settings.device))
    how = plan(dataset.images, backbone, settings.features.image_size, settings.features.batch_size)
    if settings.features.precision == "auto" and bfloat16_is_fast(device):
        how = replace(how, bfloat16_from=backbone.bfloat16_from)
    facts = {"weights": backbone.weights_hash, "image_size": how.size, "channels": how.channels,
             "bfloat16_from": how.bfloat16_from}  # fmt: skip
    name = key(
        dataset=dataset.fingerprint,
        rows=fingerprint(dataset.source_index),
        image_noise=prepared.image_noise,
        backbone=backbone.name,
        transform=(backbone.mean, backbone.std),
        **facts,
    )

    def compute_features(entry: Entry) -> list[str]:
        failures = extract(dataset.images, how, entry.folder, device, progress)
        write_json(entry.path("skipped.json"), failures)
        return ["features.npy", "skipped.json"]

    entry = store.get("features", name, compute_features)
    skipped = {int(i): reason for i, reason in (read_json(entry.path("skipped.json")) or {}).items()}
    raw = np.load(entry.path("features.npy"), mmap_mode="r")
    return raw, skipped, backbone.name, {**facts, "key": name}


def _embedded(
    settings: Settings, dataset: Dataset, store: Store, progress: Progress
) -> tuple[np.ndarray, dict[int, str], str, dict[str, Any]]:
    """Return what `_extracted` does, of texts."""
    if settings.features.backbone not in ("auto", TEXT_ENCODER):
        raise UsageError(f"These data are text: use --backbone auto or {TEXT_ENCODER}.")
    texts = dataset.text
    assert texts is not None
    weights = weights_of_text_encoder()
    name = key(dataset=dataset.fingerprint, rows=fingerprint(dataset.source_index), backbone=TEXT_ENCODER,
               weights=weights)  # fmt: skip

    def compute_features(entry: Entry) -> list[str]:
        save_array(entry.path("features.npy"), embed(texts, choose_device(settings.device), progress))
        return ["features.npy"]

    entry = store.get("features", name, compute_features)
    raw = np.load(entry.path("features.npy"), mmap_mode="r")
    return raw, {}, TEXT_ENCODER, {"weights": weights, "key": name}


def _facts(how: Standardisation) -> dict[str, Any]:
    components = None if how.components is None else how.components.shape[1]
    return {"scale": how.scale, "n_components": components, "explained_variance": how.explained}
