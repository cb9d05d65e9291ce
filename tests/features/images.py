"""Images that the tests of features and of noise are made on."""

import numpy as np
from PIL import Image

from lsi.data.images import ArrayImages
from lsi.errors import DataError


def photos(n: int, seed: int = 0) -> ArrayImages:
    """Smooth random colour images, as photographs are."""
    small = np.random.default_rng(seed).integers(0, 256, (n, 5, 5, 3), dtype=np.uint8)
    return ArrayImages(
        np.stack([np.asarray(Image.fromarray(s).resize((32, 32), Image.Resampling.BICUBIC)) for s in small])
    )


class Broken:
    """Images of which some cannot be read, and of which one may stop the program."""

    def __init__(self, images, bad=(), stop=None):
        self.images, self.bad, self.stop = images, set(bad), stop

    def __len__(self):
        return len(self.images)

    def read(self, index):
        if index == self.stop:
            raise KeyboardInterrupt
        if index in self.bad:
            raise DataError(f"{index}.png: not an image")
        return self.images.read(index)
