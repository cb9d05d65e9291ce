"""Random views of images, the same at every reading: what one shows should be told from what another shows."""

from typing import Any

import numpy as np
from PIL import Image

from lsi.hashing import Stamp

SCALE = (0.4, 1.0)  # share of the area that a crop keeps
RATIO = (3 / 4, 4 / 3)  # of width to height
LIGHT = 0.3  # brightness, contrast and saturation change by at most this share


class ViewedImages:
    """View number `view` of each image: crop, flip and colours by torchvision, drawn from the seed, view and index.

    torchvision's own random transforms draw from one generator for the whole process; readers run in threads, so the
    draws are made here and the transforms' functional forms do the rest.
    """

    def __init__(self, images: Any, view: int, seed: int) -> None:
        """Take `images` (with `read` and a length)."""
        self.images, self.view, self.seed = images, view, seed

    def __len__(self) -> int:
        """Return how many images there are."""
        return len(self.images)

    def read(self, index: int) -> Image.Image:
        """Return the view of image `index`, of the image's own size."""
        from torchvision.transforms.v2 import functional as change

        image = self.images.read(index)
        rng = np.random.default_rng([self.seed, self.view, index])
        area = rng.uniform(*SCALE)
        ratio = np.exp(rng.uniform(*np.log(RATIO)))
        width = int(np.clip(round(image.width * np.sqrt(area * ratio)), 1, image.width))
        height = int(np.clip(round(image.height * np.sqrt(area / ratio)), 1, image.height))
        top = int(rng.integers(image.height - height + 1))
        left = int(rng.integers(image.width - width + 1))
        seen: Any = change.resized_crop(image, top, left, height, width, [image.height, image.width])
        if rng.random() < 0.5:
            seen = change.horizontal_flip(seen)
        for adjust in (change.adjust_brightness, change.adjust_contrast, change.adjust_saturation):
            seen = adjust(seen, float(rng.uniform(1 - LIGHT, 1 + LIGHT)))
        return seen

    def native(self, index: int) -> Image.Image:
        """Return image `index` as RGB, seen so: there is no other mode of it."""
        return self.read(index)

    def source(self, index: int) -> None:
        """Return None: a view has no file."""

    def checksum(self, index: int) -> str:
        """Return a hash of image `index` itself."""
        return self.images.checksum(index)

    def stamp(self, index: int) -> Stamp | None:
        """Return where the content of image `index` itself lies."""
        return self.images.stamp(index)
