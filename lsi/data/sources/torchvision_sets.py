"""torchvision's datasets by name."""

import inspect
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from lsi.data.images import ArrayImages, Images, to_rgb
from lsi.data.labels import LabelRules
from lsi.data.naming import numbered
from lsi.data.record import Dataset
from lsi.data.sources.samples import Options, Samples, assemble, joined
from lsi.data.sources.splits import ALL, check_split, same_split
from lsi.environment import DATA_VARIABLE
from lsi.errors import DataError
from lsi.hashing import fingerprint


def from_torchvision(name: str, root: Path, options: Options) -> Dataset:
    """Return a torchvision dataset by name, downloaded on first use where the options allow that.

    Args:
        name: of the dataset, in any case.
        root: the folder that its files lie in or are downloaded to.
        options: which split: train, test, or another that this dataset has; "all" for train and test one after the
            other.

    Raises:
        DataError: no dataset or split has that name, or it is not there and cannot be downloaded.
    """
    import torchvision.datasets as zoo

    known = {n.lower(): n for n in zoo.__all__ if isinstance(getattr(zoo, n), type)}
    if name.lower() not in known:
        close = ", ".join(sorted(n for n in known if n[:3] == name.lower()[:3])) or "cifar10, mnist, svhn"
        raise DataError(
            f"No dataset is called {name!r}: give fashion or digits, a torchvision name (such as {close}), or --data."
        )
    build, short, split = getattr(zoo, known[name.lower()]), name.lower(), options.split
    arguments = inspect.signature(build.__init__).parameters
    if "train" in arguments:
        check_split(split, ("train", "test"), name)
        wanted = ("train", "test") if split == ALL else (same_split(split),)
        parts = {part: _opened(build, short, root, {"train": part == "train"}, options.download) for part in wanted}
        parts = {part: replace(samples, splits=[part] * len(samples.ids)) for part, samples in parts.items()}
        if split == ALL:
            parts = {part: replace(s, ids=[f"{part}/{number}" for number in s.ids]) for part, s in parts.items()}
        return assemble(joined(parts), options)
    if "split" in arguments:
        if split == ALL:
            raise DataError(f"{name}: name one of its splits instead of all.")
        samples = _opened(build, short, root, {"split": split}, options.download)
        return assemble(replace(samples, splits=[split] * len(samples.ids)), options)
    check_split(split, ("train",), name)  # it has no splits, and train is what everybody gets who asks for none
    return assemble(_opened(build, short, root, {}, options.download), replace(options, split=ALL))


def _opened(build: Any, name: str, root: Path, options: dict[str, Any], may_download: bool) -> Samples:
    reasons: list[str] = []
    for download in ({}, {"download": True})[: 1 + may_download]:
        try:
            return _wrapped(name, build(root=str(root), **options, **download))
        except DataError:
            raise
        except TypeError:
            reasons.append("it needs arguments of its own")
        except Exception as error:  # missing files and failed downloads come as many types
            reasons.append(f"{type(error).__name__}: {error}".splitlines()[0])
    if not may_download:
        raise DataError(
            f"{name} is not in {root} any more ({reasons[-1]}). Put its files there, or set {DATA_VARIABLE}."
        )
    raise DataError(f"{name} is not in {root} and could not be downloaded ({reasons[-1]}). Put its files there.")


class _TorchvisionImages:
    """Reads through the dataset's own indexing."""

    def __init__(self, dataset: Any) -> None:
        self.dataset = dataset
        self._checksums: dict[int, str] = {}

    def __len__(self) -> int:
        return len(self.dataset)

    def read(self, index: int) -> Image.Image:
        return to_rgb(self.dataset[index][0])

    def native(self, index: int) -> Image.Image:
        return self.dataset[index][0]

    def source(self, index: int) -> None:
        return None

    def checksum(self, index: int) -> str:
        if index not in self._checksums:  # each is a decoded image: once is enough
            self._checksums[index] = fingerprint(np.asarray(self.read(index)))
        return self._checksums[index]

    def stamp(self, index: int) -> None:
        return None


def _wrapped(name: str, source: Any) -> Samples:
    attributes = (getattr(source, a, None) for a in ("targets", "labels", "_labels"))
    labels = next((v for v in attributes if v is not None), None)
    if labels is None:
        labels = [source[i][1] for i in range(len(source))]
    names = getattr(source, "classes", None)
    values = getattr(source, "data", None)
    images: Images = _TorchvisionImages(source)
    if values is not None:
        values = np.asarray(values)
        channels_first = values.ndim == 4 and values.shape[1] == 3  # svhn, stl10
        images = ArrayImages(values.transpose(0, 2, 3, 1) if channels_first else values)
    class_names = None if names is None else [n if isinstance(n, str) else ", ".join(n) for n in names]
    rules = LabelRules(name, class_names, minus_one_is_missing=True)
    return Samples(name, name, "torchvision", numbered(len(labels)), images, np.asarray(labels), rules,
                   index=np.arange(len(labels)), source_lengths={"": len(labels)})  # fmt: skip
