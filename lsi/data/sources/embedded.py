"""The dataset that comes with a package: scikit-learn's handwritten digits."""

from typing import Any

import numpy as np

from lsi.data.images import ArrayImages
from lsi.data.naming import numbered
from lsi.data.record import Dataset
from lsi.data.sources.samples import Options, Samples, assemble


def digits() -> Dataset:
    """Return scikit-learn's 1,797 scans of handwritten digits, 8 × 8 pixels."""
    from sklearn.datasets import load_digits

    source: Any = load_digits()
    pixels = np.rint(source.images * (255 / 16)).astype(np.uint8)
    ids = numbered(len(pixels))
    samples = Samples("digits", "digits", "images of scikit-learn", ids, ArrayImages(pixels), source.target)
    return assemble(samples, Options())
