"""The data that a run is computed on: loaded, thinned to a subset, and corrupted as asked."""

import logging
from dataclasses import dataclass, replace

import numpy as np

from lsi import data
from lsi.compute.tasks import task_of
from lsi.config import NoiseSettings, ScoreSettings, Settings, Task, default_data_root
from lsi.data import Dataset, noise
from lsi.data.sampling import stratified
from lsi.errors import DataError, UsageError
from lsi.hashing import fingerprint, key

log = logging.getLogger(__name__)


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
