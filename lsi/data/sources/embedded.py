"""The dataset that comes with a package: scikit-learn's handwritten digits."""

from typing import Any

import numpy as np

from lsi.data.encoding import numbered
from lsi.data.images import ArrayImages
from lsi.data.record import Dataset


def digits() -> Dataset:
    """Return scikit-learn's 1,797 scans of handwritten digits, 8 × 8 pixels."""
    from sklearn.datasets import load_digits

    source: Any = load_digits()
    pixels = np.rint(source.images * (255 / 16)).astype(np.uint8)
    labels = source.target.astype(np.int64)
    names = tuple(str(c) for c in range(10))
    return Dataset("digits", numbered(len(labels)), labels, names, ArrayImages(pixels))
