"""The data that a run is computed on: loaded, thinned to a subset, and corrupted as asked."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from lsi import data
from lsi.audit.calibration import check_calibrates
from lsi.compute.decided import Decided, apply_decisions
from lsi.compute.tasks import task_of
from lsi.config import OF_CLASSES, FeatureSettings, NoiseSettings, ScoreSettings, Settings, Task
from lsi.data import Dataset, Plan, noise
from lsi.data.checksums import with_checksums
from lsi.data.images import JoinedImages
from lsi.data.pixels import PixelSurvey, ScaledImages, measure
from lsi.data.sampling import stratified
from lsi.environment import default_cache, default_data_root
from lsi.errors import DataError, UsageError
from lsi.hashing import fingerprint, key
from lsi.progress import Progress

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
        corrupted: (n,) which are known to have a wrong label, by noise or a second labelling, or a noisy image.
        image_noise: what was added to images, or None.
        split: as it was asked for.
        loaded_ids: (N,) of the samples before a subset was taken.
        chosen: (n,) positions of the samples among those.
        loaded_classes: the classes of the data before a subset or decisions left some without samples.
        other_ids: of the samples without a label, or beside these of those with one; None where there are none.
        survey: how deep the images are, once that has been looked at.
        decided: what was decided before; None where nothing was asked for.
        is_apart: these are the samples without a label.
    """

    dataset: Dataset
    task: Task
    corrupted: np.ndarray
    image_noise: ImageNoise | None
    split: str
    loaded_ids: np.ndarray
    chosen: np.ndarray
    loaded_classes: tuple[str, ...]
    other_ids: np.ndarray | None
    survey: PixelSurvey | None = None
    decided: Decided | None = None
    is_apart: bool = False

    @property
    def source_length(self) -> int:
        """How many rows the source has that the samples' indices count in; 0 where that is not known."""
        return 0 if self.dataset.plan is None else self.dataset.plan.source_length

    @property
    def mark(self) -> str:
        """A hash of the samples in their order, of what was done to them, and of the split they are from."""
        noise_mark = None if self.image_noise is None else self.image_noise.mark
        pixels = None if self.survey is None else self.survey.read_by
        return key(samples=self.dataset.fingerprint, image_noise=noise_mark, split=self.split, pixels=pixels)

    @property
    def beside(self) -> "Prepared | None":
        """The samples without a label, prepared alike; None where there are none, or labels are not what is learnt."""
        unlabelled = self.dataset.unlabelled
        if unlabelled is None or self.task != "classification":
            return None
        n = len(unlabelled)
        unlabelled = replace(unlabelled, plan=self.dataset.plan, class_names=self.dataset.class_names)
        return replace(self, dataset=unlabelled, corrupted=np.zeros(n, bool), image_noise=None, decided=None,
                       loaded_ids=unlabelled.ids, chosen=np.arange(n), other_ids=self.loaded_ids,
                       is_apart=True)  # fmt: skip


def prepare(
    settings: Settings,
    cache: Path | None = None,
    progress: Progress | None = None,
    announce: Callable[[Plan], None] | None = None,
) -> Prepared:
    """Load the data, take the subset, corrupt what is to be corrupted, apply decisions.

    Args:
        settings: which data, and what is done to them.
        cache: where checksums of images are kept, so that they are read once; None: they are not kept.
        progress: told how many images have been read for their checksum.
        announce: told how the data are read, before a pixel is.

    Raises:
        DataError: the data do not fit.
        UsageError: the settings do not fit the data.
    """
    dataset = data.load(settings.data, default_data_root())
    if announce is not None and dataset.plan is not None:
        announce(dataset.plan)
    task = task_of(settings.data.task, dataset)
    log.info("%s: task %s", dataset.name, task)
    _check_task(task, settings)
    if settings.decisions is not None and settings.noise.corrupt_data > 0:
        raise UsageError("corrupt_data and decisions exclude each other: what stays would get other noise.")
    if settings.noise.human_label_noise:
        dataset = dataset.relabel(noise.human_labels(settings.data.dataset.lower(), default_data_root(), len(dataset)))
    loaded, chosen = dataset, np.arange(len(dataset))
    if settings.data.subset is not None:
        chosen = stratified(dataset.labels, settings.data.subset, settings.seed)
        dataset, _ = dataset.take(chosen).without_empty_classes()
    if cache is not None:
        dataset = with_checksums(dataset, cache, settings.data.data, progress)
    if task == "classification":
        dataset.check_trainable()
    dataset = _with_label_noise(dataset, settings.noise.corrupt_label, settings.seed)
    decided = None
    if settings.decisions is not None:  # on the labels that a reviewer saw, wrong ones that were made among them
        dataset, stays, decided = apply_decisions(dataset, task, settings, cache or default_cache())
        chosen = chosen[stays]
    if settings.score.calibrate:
        check_calibrates(len(dataset), len(np.unique(dataset.labels)))
    corrupted = _wrong_labels(dataset, decided)
    image_noise = survey = None
    if settings.noise.corrupt_data > 0:
        dataset, survey = scaled(dataset, progress)
        image_noise = _image_noise(dataset, settings.noise, settings.seed)
        assert dataset.images is not None
        images = noise.NoisyImages(dataset.images, image_noise.noisy, image_noise.sigma, image_noise.seed)
        dataset, corrupted = replace(dataset, images=images), corrupted | image_noise.noisy
    others = None if loaded.unlabelled is None else loaded.unlabelled.ids
    return Prepared(dataset, task, corrupted, image_noise, settings.data.split, loaded.ids, chosen,
                    loaded.class_names, others, survey, decided)  # fmt: skip


def with_pixel_range(prepared: Prepared, progress: Progress | None = None) -> Prepared:
    """Return the data with all images read by one range of pixel values, which is looked for where it is not known.

    Args:
        prepared: the data.
        progress: told how far the look is.
    """
    if prepared.survey is not None or prepared.dataset.images is None:
        return prepared
    dataset, survey = scaled(prepared.dataset, progress)
    return replace(prepared, dataset=dataset, survey=survey)


def scaled(dataset: Dataset, progress: Progress | None = None) -> tuple[Dataset, PixelSurvey | None]:
    """Return the dataset with all images read by one range of pixel values, and what the look at them found.

    Args:
        dataset: the samples, with those that have no label.
        progress: told how far the look is.
    """
    if dataset.images is None:
        return dataset, None
    beside = None if dataset.unlabelled is None else dataset.unlabelled.images
    survey = measure(dataset.images if beside is None else JoinedImages([dataset.images, beside]), progress)
    if survey.n_deep == 0:
        return dataset, survey
    unlabelled = dataset.unlabelled
    if unlabelled is not None and beside is not None:
        unlabelled = replace(unlabelled, images=ScaledImages(beside, survey.pixel_range))
    return replace(dataset, images=ScaledImages(dataset.images, survey.pixel_range), unlabelled=unlabelled), survey


def _check_task(task: Task, settings: Settings) -> None:
    """Raise where settings can mean nothing for what is learnt."""
    asked, score, how = settings.noise, settings.score, settings.features
    # the targets of paired and self are standardised in any case, and have components of their own
    if task in ("classification", "regression") and not how.standardise and how.pca not in (0, FeatureSettings.pca):
        raise UsageError(
            f"--pca {how.pca} keeps components of standardised features, so it can mean nothing with --no-standardise: "
            "leave one of them out."
        )
    if task == "classification":
        return
    if asked.corrupt_label or asked.human_label_noise or asked.corrupt_data_label:
        raise UsageError(f"Corrupting needs class labels, and the task is {task}.")
    if score.calibrate or score.preset != "none":
        raise UsageError(f"calibrate and preset need class labels, and the task is {task}.")
    usual = ScoreSettings()
    unused = [n for n in OF_CLASSES if getattr(score, n) != getattr(usual, n)]
    if unused:
        raise UsageError(
            f"{' and '.join(unused)} can mean nothing where the task is {task}: everything is exact there. "
            f"Leave {'it' if len(unused) == 1 else 'them'} out."
        )


def _with_label_noise(dataset: Dataset, share: float, seed: int) -> Dataset:
    if share == 0:
        return dataset
    return dataset.relabel(noise.flip_labels(dataset.labels, len(dataset.class_names), share, seed))


def _wrong_labels(dataset: Dataset, decided: Decided | None) -> np.ndarray:
    """Return whose label is known to be wrong, (n,): not what a person made of a label, be it the true one or not."""
    if dataset.true_label is None:
        return np.zeros(len(dataset), bool)
    if decided is None or decided.label_in_data is None:
        return dataset.labels != dataset.true_label
    names = np.array(dataset.class_names, dtype=object)
    return noise.still_wrong(names[dataset.labels], decided.label_in_data, names[dataset.true_label])


def _image_noise(dataset: Dataset, asked: NoiseSettings, seed: int) -> ImageNoise:
    classes, k = asked.corrupt_data_label, len(dataset.class_names)
    if not all(0 <= c < k for c in classes):
        raise DataError(f"Expected corrupt_data_label in 0 … {k - 1}, got {', '.join(map(str, classes))}.")
    if dataset.images is None:
        raise DataError("corrupt_data needs images; these data are ready-made features.")
    sigma = asked.corrupt_data * noise.pixel_deviation(dataset.images, seed)
    return ImageNoise(sigma, np.isin(dataset.labels, classes), seed)
