"""Feature extraction: streamed, resumable at the batch, written to a memory-mapped array."""

import logging
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.lib.format import open_memmap
from PIL import Image

from lsi.errors import DataError
from lsi.features.backbones import Backbone
from lsi.features.fast import fast
from lsi.files import read_json, write_json
from lsi.progress import Progress

log = logging.getLogger(__name__)

FEATURES_VERSION = 1  # rises when the same images and backbone give other numbers
STAGE = "features"
_SAVE_SECONDS = 2.0
_THREADS = 2


@dataclass(frozen=True)
class Plan:
    """How images become numbers: `size` px a side, `channels` 1 or 3 (pixels only), a `batch_size`.

    From layer `bfloat16_from` on the backbone computes in bfloat16, where that is not None.
    """

    backbone: Backbone
    size: int
    channels: int
    batch_size: int
    bfloat16_from: int | None = None


def plan(images, backbone: Backbone, image_size: int | None, batch_size: int) -> Plan:
    """Return the plan for these images, taking the size and the greyness from the first readable ones.

    Args:
        images: n images, read one by one.
        backbone: what turns them into features.
        image_size: side in pixels; None: by the size of the images.
        batch_size: images a batch.

    Raises:
        DataError: none of the images can be read.
    """
    seen = list(_first_readable(images, 16))
    if not seen:
        raise DataError("None of the images could be read: check the paths and the files.")
    side = int(np.median([max(image.size) for image in seen]))
    if backbone.module is None:
        grey = all(_is_grey(image) for image in seen)
        return Plan(backbone, image_size or min(side, 32), 1 if grey else 3, batch_size)
    usual = 160 if side <= 64 else backbone.native_size
    return Plan(backbone, image_size or usual, 3, batch_size)


def extract(images, how: Plan, folder: Path, device: torch.device, progress: Progress) -> dict[int, str]:
    """Write `features.npy` (n, d) float32 into `folder` and return the failures: position to reason.

    An interrupted extraction goes on where it stopped: `partial.npy` and `partial.json` hold what is done.

    Args:
        images: n images, read one by one.
        how: size, channels and backbone, as `plan` gives them.
        folder: where to write.
        device: where the backbone runs.
        progress: told how many images are done.
    """
    n, net = len(images), _network(how, device)
    width = net(_batch([np.zeros((how.size, how.size, 3), np.uint8)], how, device)).shape[1]
    partial, state_path = folder / "partial.npy", folder / "partial.json"
    state = read_json(state_path) or {}
    done, failures = 0, {}
    if partial.exists() and state.get("shape") == [n, width]:
        done, failures = int(state["done"]), {int(i): reason for i, reason in state["failures"].items()}
        log.info("features: going on at image %d of %d", done, n)
    features = open_memmap(partial, "r+" if done else "w+", np.float32, (n, width))
    saved = time.monotonic()
    progress.report(STAGE, done, n, "images")
    for start, arrays in _decoded(images, how, done):
        good = [a for a in arrays if isinstance(a, np.ndarray)]
        rows = np.zeros((len(arrays), width), np.float32)
        if good:
            rows[[isinstance(a, np.ndarray) for a in arrays]] = net(_batch(good, how, device)).float().cpu().numpy()
        features[start : start + len(arrays)] = rows
        failures.update({start + i: a for i, a in enumerate(arrays) if isinstance(a, str)})
        done = start + len(arrays)
        progress.report(STAGE, done, n, "images")
        if time.monotonic() - saved > _SAVE_SECONDS:
            features.flush()
            write_json(state_path, {"shape": [n, width], "done": done, "failures": failures})
            saved = time.monotonic()
    features.flush()
    del features
    partial.replace(folder / "features.npy")
    state_path.unlink(missing_ok=True)
    return failures


def _network(how: Plan, device: torch.device):
    """Return a function from a uint8 batch (b, 3, size, size) to features (b, d)."""
    if how.backbone.module is None:
        return lambda batch: (batch[:, : how.channels].float() / 255).flatten(1)
    net = fast(how.backbone.module, device, how.bfloat16_from)
    mean = torch.tensor(how.backbone.mean, device=device)[:, None, None] * 255
    std = torch.tensor(how.backbone.std, device=device)[:, None, None] * 255

    def run(batch: torch.Tensor) -> torch.Tensor:
        with torch.inference_mode():
            pixels = batch.float().sub_(mean).div_(std)  # in place: a pass over memory costs as much as a layer
            return net(pixels.contiguous(memory_format=torch.channels_last)).flatten(1)

    return run


def _batch(arrays: list[np.ndarray], how: Plan, device: torch.device) -> torch.Tensor:
    return torch.from_numpy(np.stack(arrays)).to(device).permute(0, 3, 1, 2)


def _decoded(images, how: Plan, start: int) -> Iterator[tuple[int, list[np.ndarray | str]]]:
    """Yield batches of (size, size, 3) arrays, or the reason for each that cannot be read, one batch ahead."""

    def read(index: int) -> np.ndarray | str:
        try:
            image = images.read(index)
        except DataError as error:
            return str(error)
        return _resized(image, how.size)

    starts = range(start, len(images), how.batch_size)
    with ThreadPoolExecutor(_THREADS) as pool:

        def submit(first: int) -> list:
            return [pool.submit(read, i) for i in range(first, min(first + how.batch_size, len(images)))]

        ahead = submit(starts[0]) if len(starts) else []
        for first in starts:
            current, ahead = ahead, submit(first + how.batch_size) if first + how.batch_size < len(images) else []
            yield first, [future.result() for future in current]


def _resized(image: Image.Image, size: int) -> np.ndarray:
    if image.size != (size, size):
        image = image.resize((size, size), Image.Resampling.BICUBIC)
    return np.asarray(image)


def _first_readable(images, most: int) -> Iterator[Image.Image]:
    n_readable = 0
    for i in range(len(images)):
        try:
            yield images.read(i)
        except DataError:
            continue
        n_readable += 1
        if n_readable == most:
            return


def _is_grey(image: Image.Image) -> bool:
    values = np.asarray(image)
    return bool((values[..., 0] == values[..., 1]).all() and (values[..., 0] == values[..., 2]).all())
