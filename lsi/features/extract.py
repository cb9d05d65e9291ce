"""Feature extraction: streamed, resumable at the batch, written to memory-mapped arrays; images are read once."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from lsi.errors import DataError, LsiError, UnreachableError, UsageError
from lsi.features.backbone import Backbone
from lsi.features.fast import fast
from lsi.features.growing import GrowingArrays
from lsi.features.measures import MEASURES, measure
from lsi.progress import Progress

FEATURES_VERSION = 3  # rises when the same images and backbone give other numbers or files
STAGE, MEASURING = "features", "image quality"
_THREADS = 2
_MEASURED_AT_ONCE = 64


@dataclass(frozen=True)
class Plan:
    """How images become numbers: `size` px a side, `channels` 1 or 3 (pixels only), a `batch_size`.

    From layer `bfloat16_from` on the backbone computes in bfloat16, where that is not None. Where `is_measured`, every
    image is measured as well, before it is resized.
    """

    backbone: Backbone
    size: int
    channels: int
    batch_size: int
    bfloat16_from: int | None = None
    is_measured: bool = True


def plan(images, backbone: Backbone, image_size: int | None, batch_size: int) -> Plan:
    """Return the plan for these images, taking the size and the greyness from evenly spaced ones that can be read.

    Args:
        images: n images, read one by one.
        backbone: what turns them into features.
        image_size: side in pixels; None: by the size of the images.
        batch_size: images a batch.

    Raises:
        DataError: none of the images can be read.
    """
    seen = list(_some_readable(images, _SEEN))
    if not seen:
        raise DataError("None of the images could be read: check the paths and the files.")
    side = int(np.median([max(image.size) for image in seen]))
    if backbone.module is None:
        grey = all(_is_grey(image) for image in seen)
        return Plan(backbone, image_size or min(side, 32), 1 if grey else 3, batch_size)
    usual = 160 if side <= 64 and not backbone.keeps_native_size else backbone.native_size
    return Plan(backbone, image_size or usual, 3, batch_size)


_SEEN = 64  # images that are looked at for the size and for colour
Rows = dict[str, np.ndarray]  # a batch of each array, by name
Batches = Callable[["Embedding", int], Iterator[tuple[Rows, dict[int, str]]]]


class Embedding:
    """Images that become rows of features, batch by batch, and of measures where those are asked for."""

    def __init__(self, images, how: Plan, device: torch.device) -> None:
        self.images, self.how, self.device = images, how, device
        self._net = _network(how, device)
        self.width = _width(self._net, how, device)

    def read(self, image: Image.Image) -> tuple[np.ndarray, np.ndarray | None]:
        """Return the pixels of an image as the backbone takes them, and its measures."""
        return _resized(image, self.how.size), measure(image) if self.how.is_measured else None

    def rows(self, start: int, batch: list) -> tuple[Rows, dict[int, str]]:
        """Return the rows of a batch, zero for failures, and the failures: position to reason.

        Args:
            start: position of its first image.
            batch: what `read` gave for each image, or the reason why it cannot be read.
        """
        good = [i for i, one in enumerate(batch) if not isinstance(one, str)]
        rows = {"features": np.zeros((len(batch), self.width), np.float32)}
        if good:
            pixels = _batch([batch[i][0] for i in good], self.how, self.device)
            rows["features"][good] = self._net(pixels).float().cpu().numpy()
            _check_finite(rows["features"], start, self.how)
        if self.how.is_measured:
            rows["quality"] = _measured([one if isinstance(one, str) else one[1] for one in batch])
        return rows, _failures(start, batch)

    def batch_at(self, start: int) -> tuple[Rows, dict[int, str]]:
        """Return the rows and failures of the batch that starts at a position."""
        stop = min(start + self.how.batch_size, len(self.images))
        ((_, batch),) = _batches(self.images, self.read, start, self.how.batch_size, stop)
        return self.rows(start, batch)


def extract(
    images, how: Plan, folder: Path, device: torch.device, progress: Progress, batches: Batches | None = None
) -> dict[int, str]:
    """Write `features.npy` (n, d) float32 into `folder` and return the failures: position to reason.

    Where the images are measured, `quality.npy` (n, 6) float64 holds what `measure` gives, NaN for failures. An
    interrupted extraction goes on where it stopped.

    Args:
        images: n images, read one by one.
        how: size, channels and backbone, as `plan` gives them.
        folder: where to write.
        device: where the backbone runs.
        progress: told how many images are done.
        batches: gives rows and failures of the batches from a position on, in order; by default computed here.

    Raises:
        UsageError: the backbone does not take images of that size, or gives something else than features.
        DataError: the features of an image are not finite.
    """
    n, embedding = len(images), Embedding(images, how, device)
    columns: dict[str, tuple[int, type]] = {"features": (embedding.width, np.float32)}
    if how.is_measured:
        columns["quality"] = (len(MEASURES), np.float64)
    arrays = GrowingArrays(folder, n, columns)
    progress.report(STAGE, arrays.done, n, "images")
    for rows, failures in (batches or _batches_here)(embedding, arrays.done):
        arrays.append(rows, failures)
        progress.report(STAGE, arrays.done, n, "images")
    arrays.finish()
    return arrays.failures


def _batches_here(embedding: Embedding, done: int) -> Iterator[tuple[Rows, dict[int, str]]]:
    for start, batch in _batches(embedding.images, embedding.read, done, embedding.how.batch_size):
        yield embedding.rows(start, batch)


def measure_images(images, folder: Path, progress: Progress) -> dict[int, str]:
    """Write `quality.npy` alone, as `extract` does, and return the failures: position to reason.

    Args:
        images: n images, read one by one.
        folder: where to write.
        progress: told how many images are done.
    """
    arrays = GrowingArrays(folder, len(images), {"quality": (len(MEASURES), np.float64)})
    progress.report(MEASURING, arrays.done, len(images), "images")
    for start, batch in _batches(images, measure, arrays.done, _MEASURED_AT_ONCE):
        arrays.append({"quality": _measured(batch)}, _failures(start, batch))
        progress.report(MEASURING, arrays.done, len(images), "images")
    arrays.finish()
    return arrays.failures


def _measured(batch: list) -> np.ndarray:
    """Return the measures of a batch (b, 6), NaN where an image could not be read."""
    return np.stack([np.full(len(MEASURES), np.nan) if isinstance(one, str) else one for one in batch])


def _failures(start: int, batch: list) -> dict[int, str]:
    return {start + i: one for i, one in enumerate(batch) if isinstance(one, str)}


def _network(how: Plan, device: torch.device):
    """Return a function from a uint8 batch (b, 3, size, size) to features (b, d)."""
    backbone, module = how.backbone, how.backbone.module
    if module is None:
        grey = how.channels == 1  # the mean is exact where all three are equal
        return lambda batch: (batch.float().mean(dim=1) if grey else batch.float()).div(255).flatten(1)
    if backbone.can_be_rewritten:
        net, layout = fast(module, device, how.bfloat16_from), torch.channels_last
    else:
        net, layout = module.to(device), torch.contiguous_format
    mean = torch.tensor(backbone.mean, device=device)[:, None, None] * 255
    std = torch.tensor(backbone.std, device=device)[:, None, None] * 255

    def run(batch: torch.Tensor) -> torch.Tensor:
        with torch.inference_mode():
            pixels = batch.float().sub_(mean).div_(std)  # in place: a pass over memory costs as much as a layer
            return _flat(net(pixels.contiguous(memory_format=layout)), len(batch), backbone.name)

    return run


def _flat(rows, count: int, name: str) -> torch.Tensor:
    """Return what a network gave as (count, d)."""
    if not isinstance(rows, torch.Tensor) or rows.ndim < 2 or len(rows) != count:
        said = f"a tensor of shape {tuple(rows.shape)}" if isinstance(rows, torch.Tensor) else type(rows).__name__
        raise UsageError(
            f"The backbone {name} gives {said} for {count} images: expected one tensor with a row of features for each."
        )
    return rows.flatten(1)


def _width(net, how: Plan, device: torch.device) -> int:
    """Return how many features the network gives, by one black image."""
    try:
        return net(_batch([np.zeros((how.size, how.size, 3), np.uint8)], how, device)).shape[1]
    except LsiError:
        raise
    except Exception as error:  # a network that wants another size fails in as many ways as there are networks
        reason = f"{type(error).__name__}: {(str(error).strip().splitlines() or ['no reason given'])[0]}"
        advice = "Give the size that it was made for with --image-size."
        types = {p.dtype for p in how.backbone.module.parameters()} if how.backbone.module is not None else set()
        others = sorted(str(t).removeprefix("torch.") for t in types - {torch.float32} if t.is_floating_point)
        if others:
            advice = f"Images come as float32 and it has weights in {others[0]}: return it with .float()."
        raise UsageError(
            f"The backbone {how.backbone.name} does not take images of {how.size} px ({reason}). {advice}"
        ) from error


def _check_finite(rows: np.ndarray, start: int, how: Plan) -> None:
    bad = np.flatnonzero(~np.isfinite(rows).all(axis=1))
    if len(bad):
        raise DataError(
            f"The backbone {how.backbone.name} gives NaN or infinity for image {start + bad[0]}: its weights, or "
            "--mean and --std, do not fit."
        )


def _batch(arrays: list[np.ndarray], how: Plan, device: torch.device) -> torch.Tensor:
    return torch.from_numpy(np.stack(arrays)).to(device).permute(0, 3, 1, 2)


def _batches(images, read: Callable, start: int, size: int, stop: int | None = None) -> Iterator[tuple[int, list]]:
    """Yield batches of what `read` makes of each image from `start` on, or of the reason why it cannot be read.

    Args:
        images: n images, read one by one in threads, one batch ahead.
        read: what an image becomes, in the same threads.
        start: where to begin.
        size: images a batch.
        stop: where to end; None: at the last image.
    """
    stop = len(images) if stop is None else stop

    def one(index: int):
        try:
            image = images.read(index)
        except UnreachableError:  # no property of the image: the stage fails, and goes on here when it is tried again
            raise
        except DataError as error:
            return str(error)
        return read(image)

    starts = range(start, stop, size)
    with ThreadPoolExecutor(_THREADS) as pool:

        def submit(first: int) -> list:
            return [pool.submit(one, i) for i in range(first, min(first + size, stop))]

        ahead = submit(starts[0]) if len(starts) else []
        for first in starts:
            current, ahead = ahead, submit(first + size) if first + size < stop else []
            yield first, [future.result() for future in current]


def _resized(image: Image.Image, size: int) -> np.ndarray:
    if image.size != (size, size):
        image = image.resize((size, size), Image.Resampling.BICUBIC)
    return np.asarray(image)


def _some_readable(images, most: int) -> Iterator[Image.Image]:
    """Yield evenly spaced images, and the others after them where too few of these can be read."""
    n_readable, step = 0, max(1, -(-len(images) // most))
    for i in (i for start in range(step) for i in range(start, len(images), step)):
        try:
            yield images.read(i)
        except UnreachableError:
            raise
        except DataError:
            continue
        n_readable += 1
        if n_readable == most:
            return


def _is_grey(image: Image.Image) -> bool:
    values = np.asarray(image)
    return bool((values[..., 0] == values[..., 1]).all() and (values[..., 0] == values[..., 2]).all())
