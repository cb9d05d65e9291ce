"""torchvision's datasets by name."""

import inspect
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from lsi.data.encoding import numbered
from lsi.data.images import ArrayImages, Images, JoinedImages, to_rgb
from lsi.data.record import Dataset
from lsi.data.sources.splits import ALL, check_split, same_split
from lsi.errors import DataError
from lsi.hashing import fingerprint


def from_torchvision(name: str, root: Path, split: str) -> Dataset:
    """Return a torchvision dataset by name, downloaded on first use.

    Args:
        name: of the dataset, in any case.
        root: the folder that its files lie in or are downloaded to.
        split: train, test, or another that this dataset has; "all" for train and test one after the other.

    Raises:
        DataError: no dataset or split has that name, or it is not there and cannot be downloaded.
    """
    import torchvision.datasets as zoo

    known = {n.lower(): n for n in zoo.__all__ if isinstance(getattr(zoo, n), type)}
    if name.lower() not in known:
        close = ", ".join(sorted(n for n in known if n[:3] == name.lower()[:3])) or "cifar10, mnist, svhn"
        raise DataError(f"No dataset is called {name!r}: give digits, a torchvision name (such as {close}), or --data.")
    build = getattr(zoo, known[name.lower()])
    arguments = inspect.signature(build.__init__).parameters
    if "train" in arguments:
        check_split(split, ("train", "test"), name)
        if split != ALL:
            return _opened(build, name.lower(), root, {"train": same_split(split) == "train"})
        parts = {part: _opened(build, name.lower(), root, {"train": part == "train"}) for part in ("train", "test")}
        return _joined(name.lower(), parts)
    if "split" in arguments:
        if split == ALL:
            raise DataError(f"{name}: name one of its splits instead of all.")
        return _opened(build, name.lower(), root, {"split": split})
    check_split(split, ("train",), name)  # it has no splits, and train is what everybody gets who asks for none
    return _opened(build, name.lower(), root, {})


def _opened(build: Any, name: str, root: Path, options: dict[str, Any]) -> Dataset:
    reasons: list[str] = []
    for download in ({}, {"download": True}):
        try:
            return _wrapped(name, build(root=str(root), **options, **download))
        except DataError:
            raise
        except TypeError:
            reasons.append("it needs arguments of its own")
        except Exception as error:  # missing files and failed downloads come as many types
            reasons.append(f"{type(error).__name__}: {error}".splitlines()[0])
    raise DataError(f"{name} is not in {root} and could not be downloaded ({reasons[-1]}). Put its files there.")


def _joined(name: str, parts: dict[str, Dataset]) -> Dataset:
    """Return the splits of a dataset one after the other, their names in the ids."""
    first = next(iter(parts.values()))
    images = [part.images for part in parts.values() if part.images is not None]
    ids = [f"{split}/{number}" for split, part in parts.items() for number in part.ids]
    labels = np.concatenate([part.labels for part in parts.values()])
    split = np.array([split for split, part in parts.items() for _ in range(len(part))])
    return replace(first, name=name, ids=np.array(ids), labels=labels, images=JoinedImages(images), split=split)


class _TorchvisionImages:
    """Reads through the dataset's own indexing."""

    def __init__(self, dataset: Any) -> None:
        self.dataset = dataset
        self._checksums: dict[int, str] = {}

    def __len__(self) -> int:
        return len(self.dataset)

    def read(self, index: int) -> Image.Image:
        return to_rgb(self.dataset[index][0])

    def source(self, index: int) -> None:
        return None

    def checksum(self, index: int) -> str:
        if index not in self._checksums:  # each is a decoded image: once is enough
            self._checksums[index] = fingerprint(np.asarray(self.read(index)))
        return self._checksums[index]


def _wrapped(name: str, source: Any) -> Dataset:
    labels = next((v for v in (getattr(source, a, None) for a in ("targets", "labels", "_labels")) if v is not None),
                  None)  # fmt: skip
    if labels is None:
        labels = [source[i][1] for i in range(len(source))]
    labels = np.asarray(labels).astype(np.int64)
    names = getattr(source, "classes", None) or [str(c) for c in range(int(labels.max()) + 1)]
    values = getattr(source, "data", None)
    images: Images = _TorchvisionImages(source)
    if values is not None:
        values = np.asarray(values)
        channels_first = values.ndim == 4 and values.shape[1] == 3  # svhn, stl10
        images = ArrayImages(values.transpose(0, 2, 3, 1) if channels_first else values)
    class_names = tuple(n if isinstance(n, str) else ", ".join(n) for n in names)
    return Dataset(name, numbered(len(labels)), labels, class_names, images)
