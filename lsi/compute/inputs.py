"""What a run stands on: the data as asked for, their raw features, the design matrix, and what it is to predict.

data → noise → raw features → design → targets
"""

import logging
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from lsi import data
from lsi.compute.tasks import Targets, task_of
from lsi.config import DataSettings, FeatureSettings, NoiseSettings, ScoreSettings, Settings, Task, default_data_root
from lsi.data import Dataset, noise
from lsi.data.sampling import stratified
from lsi.devices import choose_device
from lsi.errors import DataError, UsageError
from lsi.features import (
    FEATURES_VERSION,
    TEXT_ENCODER,
    Backbone,
    ViewedImages,
    bfloat16_is_fast,
    embed,
    extract,
    fit_standardisation,
    load_backbone,
    plan,
    weights_of_text_encoder,
)
from lsi.features.design import FILES, VALUES, Design, Recipe, read_design, write_parts
from lsi.files import read_json, save_array, write_json
from lsi.hashing import fingerprint, key
from lsi.laplace.design_matrix import DesignMatrix, GramFactor
from lsi.progress import Progress
from lsi.runs.run import DESIGNS
from lsi.runs.store import Entry, Store

log = logging.getLogger(__name__)

RAW_FEATURES = "features"  # kind of the cache's entries


@dataclass(frozen=True)
class ImageNoise:
    """Gaussian noise on some images: `sigma` in units of pixel values, `noisy` (n,) which, `seed` of the draws."""

    sigma: float
    noisy: np.ndarray
    seed: int

    @property
    def mark(self) -> str:
        """A hash of all of it."""
        return key(sigma=self.sigma, mask=fingerprint(self.noisy), seed=self.seed)


@dataclass(frozen=True)
class Prepared:
    """A dataset ready for features: subset taken, labels and images corrupted as asked.

    Attributes:
        dataset: the samples.
        task: what is learnt of them.
        corrupted: (n,) which are known to have a wrong label or a noisy image.
        image_noise: what was added to images, or None.
        split: as it was asked for.
    """

    dataset: Dataset
    task: Task
    corrupted: np.ndarray
    image_noise: ImageNoise | None
    split: str

    @property
    def mark(self) -> str:
        """A hash of the samples in their order, of what was done to them, and of the split they are from."""
        noise_mark = None if self.image_noise is None else self.image_noise.mark
        return key(samples=self.dataset.fingerprint, image_noise=noise_mark, split=self.split)


@dataclass(frozen=True)
class RawFeatures:
    """What a backbone gives, before anything is standardised.

    Attributes:
        values: (n, r), a row for each sample of the dataset; rows of unreadable images are zero.
        skipped: positions of the samples that could not be read, with the reason.
        backbone: its name; "given" for ready-made features.
        facts: what the manifest says of the extraction.
        key: of the cache's entry, or the data's fingerprint for ready-made features.
    """

    values: np.ndarray
    skipped: dict[int, str]
    backbone: str
    facts: dict[str, Any]
    key: str

    @property
    def rows(self) -> np.ndarray:
        """Rows of the samples that could be read."""
        return np.setdiff1d(np.arange(len(self.values)), list(self.skipped))


@dataclass(frozen=True)
class DesignEntry:
    """A stored design matrix with its name in the cache.

    `unused` (n, e) holds the columns of ready-made features that the design leaves for its target to have, in the task
    self without images; None otherwise.
    """

    key: str
    design: Design
    unused: np.ndarray | None = None

    def matrix(self, device: torch.device) -> DesignMatrix:
        """Return Φ with the factor of ΦᵀΦ on a device."""
        phi, values, vectors = (
            torch.from_numpy(array).to(device)
            for array in (self.design.values, self.design.gram_values, self.design.gram_vectors)
        )
        return DesignMatrix(phi, GramFactor(values, vectors))


def prepare(settings: Settings) -> Prepared:
    """Load the data, take the subset, corrupt what is to be corrupted.

    Raises:
        DataError: the data do not fit.
        UsageError: the settings do not fit the data.
    """
    dataset = data.load(settings.data, default_data_root())
    task = task_of(settings.data.task, dataset)
    log.info("%s: task %s", dataset.name, task)
    _check_task(task, settings.noise, settings.score)
    if settings.noise.human_label_noise:
        name = settings.data.dataset.lower()
        dataset = dataset.relabel(noise.human_labels(name, default_data_root(), len(dataset)))
    if settings.data.subset is not None:
        dataset = dataset.take(stratified(dataset.labels, settings.data.subset, settings.seed))
    if task == "classification":
        dataset.check_trainable()
    dataset = _with_label_noise(dataset, settings.noise.corrupt_label, settings.seed)
    corrupted = np.zeros(len(dataset), bool)
    if dataset.true_label is not None:
        corrupted = dataset.labels != dataset.true_label
    image_noise = None
    if settings.noise.corrupt_data > 0:
        image_noise = _image_noise(dataset, settings.noise, settings.seed)
        assert dataset.images is not None
        images = noise.NoisyImages(dataset.images, image_noise.noisy, image_noise.sigma, image_noise.seed)
        dataset, corrupted = replace(dataset, images=images), corrupted | image_noise.noisy
    return Prepared(dataset, task, corrupted, image_noise, settings.data.split)


def raw_features(
    prepared: Prepared, how: FeatureSettings, device: torch.device, store: Store, progress: Progress
) -> RawFeatures:
    """Return raw features of every sample: ready-made, from the cache, or extracted.

    Args:
        prepared: the data.
        how: backbone and image size.
        device: where the backbone runs.
        store: the cache.
        progress: told how far the extraction is.

    Raises:
        UsageError: there is no such backbone, or it does not fit the data.
        DataError: no image could be read.
    """
    dataset = prepared.dataset
    if dataset.features is not None:
        return RawFeatures(np.asarray(dataset.features), {}, "given", {}, prepared.mark)
    if dataset.images is None:
        return _embedded(prepared, how, device, store, progress)
    return _extracted(dataset.images, prepared.mark, how, (device, store, progress))


def check_readable(raw: RawFeatures, data_settings: DataSettings) -> None:
    """Raise where images could not be read and the settings ask to fail then.

    Raises:
        DataError: the first of them, with its reason.
    """
    if raw.skipped and data_settings.on_error == "fail":
        reason = raw.skipped[min(raw.skipped)]
        raise DataError(f"{len(raw.skipped)} of {len(raw.values)} images could not be read; the first: {reason}.")


def design_of(prepared: Prepared, raw: RawFeatures, settings: Settings, store: Store) -> DesignEntry:
    """Return the design matrix of raw features: from the cache, or standardised and stored.

    Args:
        prepared: the data.
        raw: their raw features.
        settings: standardisation, components, dtype and the seed of a random half.
        store: the cache.
    """
    rows, columns, unused = raw.rows, None, None
    if prepared.task == "self" and prepared.dataset.images is None:
        # one random half of ready-made features predicts the other
        order = np.random.default_rng(settings.seed).permutation(raw.values.shape[1])
        cut = len(order) // 2
        columns, unused = np.sort(order[cut:]), raw.values[rows][:, np.sort(order[:cut])]
    how, dtype = settings.features, settings.score.dtype
    name = key(
        version=FEATURES_VERSION,
        raw=raw.key,
        rows=fingerprint(rows),
        columns=None if columns is None else fingerprint(columns),
        standardise=how.standardise,
        pca=how.pca,
        dtype=dtype,
    )

    def write(entry: Entry) -> list[str]:
        used = raw.values[rows] if raw.skipped else raw.values
        used = used if columns is None else used[:, columns]
        recipe = Recipe(fit_standardisation(used, how.pca) if how.standardise else None, dtype, columns)
        recipe.write(entry.path(VALUES), raw.values, rows)
        phi = torch.from_numpy(np.load(entry.path(VALUES), mmap_mode="c"))
        gram = DesignMatrix(phi).gram_factor
        write_parts(entry.folder, recipe, rows, (gram.values.numpy(), gram.vectors.numpy()))
        return list(FILES)

    entry = store.get(DESIGNS, name, write)
    return DesignEntry(name, read_design(entry.folder), unused)


def targets_of(
    prepared: Prepared, raw: RawFeatures, entry: DesignEntry, settings: Settings, store: Store, progress: Progress
) -> Targets | None:
    """Return what the Gaussian head predicts, a row for each row of the design; None for a classification.

    Args:
        prepared: the data.
        raw: their raw features.
        entry: the design matrix.
        settings: how the other view of an image becomes features, and the seed of the view.
        store: the cache.
        progress: told how far an extraction is.
    """
    if prepared.task == "classification":
        return None
    dataset, rows = prepared.dataset, raw.rows
    if prepared.task == "regression":
        assert dataset.targets is not None
        values = dataset.targets[rows]
        mean, scale = values.mean(axis=0), values.std(axis=0)
        scale = np.where(scale > 0, scale, 1.0)
        return Targets((values - mean) / scale, mean, scale, dataset.target_names)
    if prepared.task == "paired":
        assert dataset.targets is not None
        partner = dataset.targets[rows]
    elif entry.unused is not None:
        partner = entry.unused
    else:
        view = ViewedImages(dataset.images, 1, settings.seed)
        mark = key(samples=prepared.mark, view=1, seed=settings.seed)
        device = torch.device(choose_device(settings.device))
        partner = _extracted(view, mark, settings.features, (device, store, progress)).values[rows]
    values = fit_standardisation(partner, settings.features.pca).apply(np.asarray(partner, dtype=np.float64))
    m = values.shape[1]
    return Targets(values, np.zeros(m), np.ones(m))


def standardisation_facts(design: Design) -> dict[str, Any]:
    """Return what the manifest says of a design's standardisation."""
    how = design.recipe.standardisation
    if how is None:
        return {}
    components = None if how.components is None else how.components.shape[1]
    return {"scale": how.scale, "n_components": components, "explained_variance": how.explained}


def _check_task(task: Task, asked: NoiseSettings, score: ScoreSettings) -> None:
    """Raise where settings for labels meet data without."""
    if task == "classification":
        return
    if asked.corrupt_label or asked.human_label_noise or asked.corrupt_data_label:
        raise UsageError(f"Corrupting needs class labels, and the task is {task}.")
    if score.calibrate or score.preset != "none":
        raise UsageError(f"calibrate and preset need class labels, and the task is {task}.")


def _with_label_noise(dataset: Dataset, share: float, seed: int) -> Dataset:
    if share == 0:
        return dataset
    return dataset.relabel(noise.flip_labels(dataset.labels, len(dataset.class_names), share, seed))


def _image_noise(dataset: Dataset, asked: NoiseSettings, seed: int) -> ImageNoise:
    classes, k = asked.corrupt_data_label, len(dataset.class_names)
    if not all(0 <= c < k for c in classes):
        raise DataError(f"Expected corrupt_data_label in 0 … {k - 1}, got {', '.join(map(str, classes))}.")
    if dataset.images is None:
        raise DataError("corrupt_data needs images; these data are ready-made features.")
    sigma = asked.corrupt_data * noise.pixel_deviation(dataset.images, seed)
    return ImageNoise(sigma, np.isin(dataset.labels, classes), seed)


def _backbone(name: str, images: Any) -> Backbone:
    if name == "auto":
        small = plan(images, load_backbone("pixels"), None, 1).size <= 16
        name = "pixels" if small else "efficientnet_lite0"
    return load_backbone(name)


def _extracted(
    images: Any, mark: str, how: FeatureSettings, where: tuple[torch.device, Store, Progress]
) -> RawFeatures:
    """Return the raw features of images; `mark` is a hash of what they are."""
    device, store, progress = where
    backbone = _backbone(how.backbone, images)
    planned = plan(images, backbone, how.image_size, how.batch_size)
    if how.precision == "auto" and bfloat16_is_fast(device):
        planned = replace(planned, bfloat16_from=backbone.bfloat16_from)
    facts = {"weights": backbone.weights_hash, "image_size": planned.size, "channels": planned.channels,
             "bfloat16_from": planned.bfloat16_from}  # fmt: skip
    name = key(
        version=FEATURES_VERSION,
        images=mark,
        backbone=backbone.name,
        transform=(backbone.mean, backbone.std),
        device=device.type,
        **facts,
    )

    def write(entry: Entry) -> list[str]:
        failures = extract(images, planned, entry.folder, device, progress)
        write_json(entry.path("skipped.json"), failures)
        return ["features.npy", "skipped.json"]

    entry = store.get(RAW_FEATURES, name, write)
    skipped = {int(i): reason for i, reason in (read_json(entry.path("skipped.json")) or {}).items()}
    values = np.load(entry.path("features.npy"), mmap_mode="r")
    return RawFeatures(values, skipped, backbone.name, facts, name)


def _embedded(
    prepared: Prepared, how: FeatureSettings, device: torch.device, store: Store, progress: Progress
) -> RawFeatures:
    """Return the raw features of texts."""
    if how.backbone not in ("auto", TEXT_ENCODER):
        raise UsageError(f"These data are text: use --backbone auto or {TEXT_ENCODER}.")
    texts, weights = prepared.dataset.text, weights_of_text_encoder()
    assert texts is not None
    name = key(version=FEATURES_VERSION, texts=prepared.mark, backbone=TEXT_ENCODER, weights=weights,
               device=device.type)  # fmt: skip

    def write(entry: Entry) -> list[str]:
        save_array(entry.path("features.npy"), embed(texts, str(device), progress))
        return ["features.npy"]

    entry = store.get(RAW_FEATURES, name, write)
    return RawFeatures(np.load(entry.path("features.npy"), mmap_mode="r"), {}, TEXT_ENCODER, {"weights": weights}, name)
