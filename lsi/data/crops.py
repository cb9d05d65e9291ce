"""Crops of images by boxes: many samples an image, each image decoded once while its boxes are read."""

import math
import threading
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import Future
from typing import Literal

import numpy as np
from jaxtyping import Float, Int
from PIL import Image

from lsi.data.deep import LOW_BYTES
from lsi.data.images import ChosenImages, Images, JoinedImages
from lsi.errors import DataError, is_of_surroundings
from lsi.hashing import Stamp, fingerprint

_KEPT = 4  # decoded images: two threads that read in order need one or two each
Unit = Literal["pixels", "fractions"]


class CroppedImages:
    """One image a box. Pixels count from the upper left corner of the upright image."""

    def __init__(
        self,
        images: Images,
        boxes: Float[np.ndarray, "n 4"],
        owner: Int[np.ndarray, " n"],
        names: Sequence[str] | np.ndarray,
        unit: Unit = "pixels",
        sizes: Int[np.ndarray, "m 2"] | None = None,
    ) -> None:
        """Take the images and their boxes.

        Args:
            images: m images.
            boxes: left, top, width and height of each box; what lies outside the image is cut off.
            owner: the image that each box belongs to.
            names: n names for messages.
            unit: of the boxes: pixels, or fractions of the image's width and height.
            sizes: width and height of each image as its annotation gives them, 0 where it says nothing; None where
                nothing is known.
        """
        self.images, self.boxes, self.owner, self.names = images, boxes, owner, names
        self.unit, self.sizes = unit, sizes
        self._decoded: OrderedDict[tuple[int, bool], Future[Image.Image]] = OrderedDict()
        self._checksums: dict[int, str] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        """Return how many boxes there are."""
        return len(self.owner)

    def read(self, index: int) -> Image.Image:
        """Return the crop of box `index` as RGB.

        Raises:
            DataError: the image cannot be read or has another size than its annotation says, or the box is empty.
        """
        return self._crop(index, is_native=False)

    def native(self, index: int) -> Image.Image:
        """Return the crop of box `index` in the image's own mode.

        Raises:
            DataError: the image cannot be read or has another size than its annotation says, or the box is empty.
        """
        return self._crop(index, is_native=True)

    def source(self, index: int) -> None:
        """Return None: a box has no file of its own."""

    def checksum(self, index: int) -> str:
        """Return a hash of the image's content and of the box, "" where the image cannot be read."""
        owner = int(self.owner[index])
        if owner not in self._checksums:
            self._checksums[owner] = self.images.checksum(owner)
        return fingerprint(self._checksums[owner], self.boxes[index]) if self._checksums[owner] else ""

    def stamp(self, index: int) -> Stamp | None:
        """Return the stamp of the image with the box in its place, None where the image has none."""
        stamp = self.images.stamp(int(self.owner[index]))
        if stamp is None:
            return None
        box = ",".join(f"{value:.9g}" for value in self.boxes[index])
        return f"{stamp[0]}#{box}", stamp[1], stamp[2]

    def cut(self, index: int) -> str:
        """Return what else than image and box decides the crop: its unit, and the size that the image must have."""
        owner = int(self.owner[index])
        is_known = self.sizes is not None and self.sizes[owner].all()
        return f"{self.unit} of {self.sizes[owner].tolist() if is_known and self.sizes is not None else 'any size'}"

    def _crop(self, index: int, is_native: bool) -> Image.Image:
        owner = int(self.owner[index])
        image = self._image(owner, is_native)
        if self.sizes is not None and self.sizes[owner].all() and tuple(self.sizes[owner]) != image.size:
            width, height = self.sizes[owner]
            raise DataError(
                f"{self.names[index]}: the image has {image.width} × {image.height} pixels, its annotation says "
                f"{width} × {height}"
            )
        scale = image.size * 2 if self.unit == "fractions" else (1, 1, 1, 1)
        left, top, width, height = (float(value) * by for value, by in zip(self.boxes[index], scale, strict=True))
        if not (math.isfinite(left + top + width + height) and width > 0 and height > 0):
            raise DataError(f"{self.names[index]}: empty box")
        corners = (max(0, math.floor(left)), max(0, math.floor(top)),
                   min(image.width, math.ceil(left + width)), min(image.height, math.ceil(top + height)))  # fmt: skip
        if corners[0] >= corners[2] or corners[1] >= corners[3]:
            raise DataError(f"{self.names[index]}: empty box, it lies outside the image")
        crop = image.crop(corners)
        if LOW_BYTES in crop.info:
            crop.info[LOW_BYTES] = crop.info[LOW_BYTES].crop(corners)
        return crop

    def _image(self, owner: int, is_native: bool) -> Image.Image:
        """Return a decoded image; a thread that wants what another one is decoding waits for it."""
        key = (owner, is_native)
        with self._lock:
            future = self._decoded.get(key)
            is_first = future is None
            if future is None:
                future = self._decoded[key] = Future()
                while len(self._decoded) > _KEPT:
                    self._decoded.popitem(last=False)
            else:
                self._decoded.move_to_end(key)
        if is_first:
            try:
                future.set_result(self.images.native(owner) if is_native else self.images.read(owner))
            except BaseException as error:
                future.set_exception(error)
                if is_of_surroundings(error):  # whoever asks again is to try again
                    with self._lock:
                        self._decoded.pop(key, None)
        return future.result()


def cuts_of(images: Images | None) -> tuple[str, ...]:
    """Return how each of n images is cut from another, as `CroppedImages.cut` says, "" for a whole one."""
    if images is None:
        return ()
    if isinstance(images, CroppedImages):
        return tuple(images.cut(i) for i in range(len(images)))
    if isinstance(images, JoinedImages):
        return tuple(cut for part in images.parts for cut in cuts_of(part))
    inner: Images | None = getattr(images, "images", None)
    cuts = cuts_of(inner)
    if isinstance(images, ChosenImages) and any(cuts):
        return tuple(cuts[i] for i in images.index)
    return cuts if any(cuts) else ("",) * len(images)
