"""The record that every source of data becomes: it checks itself."""

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from lsi.data.crops import cuts_of
from lsi.data.images import ChosenImages, Images, JoinedImages, pixel_limits
from lsi.data.plan import Plan
from lsi.errors import DataError
from lsi.hashing import fingerprint, key


@dataclass(frozen=True)
class Dataset:
    """Samples with labels, and a way to read sample i. Shapes are checked here and reported in words.

    Attributes:
        name: short, fit for a folder's name.
        ids: (n,) text, unique: a path, or a number.
        labels: (n,) integers, class indices 0 … k − 1.
        class_names: k texts.
        images: reads image i; None where the samples are features or text only.
        features: (n, d) ready-made features, or None.
        split: (n,) texts, or None.
        text: (n,) texts shown instead of an image, or None.
        index: (n,) rows of the source before any filter, which exports refer to; 0 … n − 1 unless samples were left
            out. The source is the file, or the folder or files of the split.
        true_label: (n,) the labels before noise or replacement, or None where nothing is known.
        targets: (n, m) numbers to predict instead of labels, or None.
        target_names: m texts, or none.
        is_labelled: whether the labels say anything; where not they are all 0.
        files: the files that hold several samples; none where each sample is a file, or comes with a package.
        metadata: n rows of all other columns that the data have, or None.
        image_checksums: hashes of the images' content where they are known already, n texts; None: computed when asked.
        image_stamps: size and time of change of the images' files when their content was looked at, where known.
        unlabelled: the samples without a label, left out of the fit; None where there are none.
        plan: how the data were read, or None where they come with a package.
    """

    name: str
    ids: np.ndarray
    labels: np.ndarray
    class_names: tuple[str, ...]
    images: Images | None = None
    features: np.ndarray | None = None
    split: np.ndarray | None = None
    text: np.ndarray | None = None
    index: np.ndarray | None = None
    true_label: np.ndarray | None = None
    targets: np.ndarray | None = None
    target_names: tuple[str, ...] = ()
    is_labelled: bool = True
    files: tuple[Path, ...] = ()
    metadata: pd.DataFrame | None = None
    image_checksums: tuple[str, ...] | None = None
    image_stamps: Int[np.ndarray, "n 2"] | None = None
    unlabelled: "Dataset | None" = None
    plan: Plan | None = None

    def __post_init__(self) -> None:
        n = len(self.labels)
        for name in ("ids", "images", "features", "split", "text", "index", "true_label", "targets",
                     "metadata"):  # fmt: skip
            value = getattr(self, name)
            if value is not None and len(value) != n:
                raise DataError(f"{self.name}: expected {n} {name}, one for each label, got {len(value)}.")
        if self.images is None and self.features is None and self.text is None:
            raise DataError(f"{self.name}: expected images, texts or ready-made features, got none of them.")
        if self.targets is not None and not np.isfinite(self.targets).all():
            row = int(np.flatnonzero(~np.isfinite(self.targets).all(axis=1))[0])
            raise DataError(f"{self.name}: expected a number as every target; sample {row} has none.")
        if n and (self.labels.min() < 0 or self.labels.max() >= len(self.class_names)):
            raise DataError(
                f"{self.name}: expected labels 0 … {len(self.class_names) - 1} for {len(self.class_names)} classes, "
                f"got {self.labels.min()} … {self.labels.max()}."
            )
        values, counts = np.unique(self.ids, return_counts=True)
        if len(values) < n:
            twice = ", ".join(str(v) for v in values[counts > 1][:3])
            raise DataError(f"{self.name}: expected unique ids; {n - len(values)} are duplicates, such as {twice}.")

    def __len__(self) -> int:
        """Return the number of samples."""
        return len(self.labels)

    @property
    def source_index(self) -> Int[np.ndarray, " n"]:
        """Positions in the source."""
        return np.arange(len(self.labels)) if self.index is None else self.index

    @cached_property
    def checksums(self) -> tuple[str, ...]:
        """A hash of the content of each sample: its image, its ready-made features, its text."""
        return tuple(self._checksum(i) for i in range(len(self)))

    @cached_property
    def fingerprint(self) -> str:
        """A hash of what the samples are, labels aside: ids, splits, places in the source, content, in their order."""
        split = [] if self.split is None else self.split.tolist()
        limits = pixel_limits(self.images)  # the same array may be read otherwise beside brighter images
        read = [key(limits=limits)] if limits else []
        read += cuts if any(cuts := cuts_of(self.images)) else []
        return fingerprint(self.source_index, *map(str, self.ids), *map(str, split), *self.checksums, *read)

    @cached_property
    def image_contents(self) -> tuple[str, ...]:
        """A hash of the content of each image; "" where it cannot be read, or where there are none."""
        if self.image_checksums is not None:
            return self.image_checksums
        return tuple("" if self.images is None else self.images.checksum(i) for i in range(len(self)))

    def _checksum(self, position: int) -> str:
        image = self.image_contents[position]
        parts = [] if self.features is None else [self.features[position]]
        parts += [] if self.text is None else [str(self.text[position])]
        return fingerprint(image, *parts) if parts else image

    def take(self, chosen: Int[np.ndarray, " s"]) -> "Dataset":
        """Return the samples at these positions, in this order."""

        def pick(value: np.ndarray | None) -> np.ndarray | None:
            return None if value is None else value[chosen]

        return replace(
            self,
            ids=self.ids[chosen],
            labels=self.labels[chosen],
            images=None if self.images is None else ChosenImages(self.images, chosen),
            features=pick(self.features),
            split=pick(self.split),
            text=pick(self.text),
            index=self.source_index[chosen],
            true_label=pick(self.true_label),
            targets=pick(self.targets),
            image_stamps=pick(self.image_stamps),
            image_checksums=None if self.image_checksums is None else tuple(self.image_checksums[i] for i in chosen),
            metadata=None if self.metadata is None else self.metadata.iloc[chosen].reset_index(drop=True),
        )

    def followed_by(self, other: "Dataset") -> "Dataset":
        """Return these samples and those of another part of the same data; what one part lacks, both do.

        Args:
            other: with the same classes, and other ids.
        """

        def both(name: str) -> Any:
            first, second = getattr(self, name), getattr(other, name)
            return None if first is None or second is None else np.concatenate([first, second])

        parts = [part.images for part in (self, other) if part.images is not None]
        frames = [part.metadata for part in (self, other) if part.metadata is not None]
        return replace(
            self,
            **{name: both(name) for name in ("ids", "labels", "features", "split", "text", "true_label", "targets",
                                             "image_stamps")},
            images=JoinedImages(parts) if len(parts) == 2 else None,
            index=np.concatenate([self.source_index, other.source_index]),
            target_names=() if both("targets") is None else self.target_names,
            metadata=pd.concat(frames, ignore_index=True) if len(frames) == 2 else None,
            image_checksums=None
            if self.image_checksums is None or other.image_checksums is None
            else self.image_checksums + other.image_checksums,
        )  # fmt: skip

    def relabel(self, labels: Int[np.ndarray, " n"]) -> "Dataset":
        """Return the samples with other labels; the labels before become `true_label` where none are known."""
        before = self.labels if self.true_label is None else self.true_label
        return replace(self, labels=labels.astype(np.int64), true_label=before)

    def without_empty_classes(self) -> tuple["Dataset", tuple[str, ...]]:
        """Return the samples with the classes that still have some, and the names of those that were dropped."""
        used = np.bincount(self.labels, minlength=len(self.class_names)) > 0
        if self.true_label is not None:
            used |= np.bincount(self.true_label, minlength=len(self.class_names)) > 0
        if used.all() or not self.is_labelled:
            return self, ()
        new = np.cumsum(used) - 1
        kept = tuple(name for name, is_used in zip(self.class_names, used, strict=True) if is_used)
        dropped = tuple(name for name, is_used in zip(self.class_names, used, strict=True) if not is_used)
        true_label = None if self.true_label is None else new[self.true_label]
        return replace(self, labels=new[self.labels], class_names=kept, true_label=true_label), dropped

    def with_targets(self, targets: Float[np.ndarray, "n m"], names: tuple[str, ...]) -> "Dataset":
        """Return the samples with numbers to predict."""
        return replace(self, targets=targets, target_names=names)

    def check_trainable(self) -> None:
        """Raise where no probe can be fitted.

        Raises:
            DataError: fewer than two classes have samples.
        """
        present = np.unique(self.labels)
        if len(present) < 2:
            raise DataError(
                f"{self.name}: expected samples of at least two classes, got {len(present)} "
                f"({len(self)} samples). Check the folder or the label column."
            )
