"""The datasets that come with packages: images of clothes, and scikit-learn's handwritten digits."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from lsi.data.images import ArrayImages
from lsi.data.naming import numbered
from lsi.data.record import Dataset
from lsi.data.sources.samples import Options, Samples, assemble

_FASHION, _SIDE = Path(__file__).parent.parent / "embedded" / "fashion-mnist.parquet", 28


def fashion() -> Dataset:
    """Return 2,000 images of clothes, 28 × 28 pixels: 200 of each class of Fashion-MNIST's training images.

    They were drawn at random; ids are their rows there. Source: Xiao, Rasul and Vollgraf, Fashion-MNIST, 2017 (MIT
    licence, beside the file).
    """
    table = pq.read_table(_FASHION)
    pixels = np.frombuffer(b"".join(table["pixels"].to_pylist()), np.uint8).reshape(-1, _SIDE, _SIDE)
    ids = [f"train-{row:05d}" for row in table["row"].to_pylist()]
    kind = "images of clothes, from Fashion-MNIST"
    return assemble(
        Samples("fashion", "fashion", kind, ids, ArrayImages(pixels), table["label"].to_pylist()), Options()
    )


def digits() -> Dataset:
    """Return scikit-learn's 1,797 scans of handwritten digits, 8 × 8 pixels."""
    from sklearn.datasets import load_digits

    source: Any = load_digits()
    pixels = np.rint(source.images * (255 / 16)).astype(np.uint8)
    ids = numbered(len(pixels))
    samples = Samples("digits", "digits", "images of scikit-learn", ids, ArrayImages(pixels), source.target)
    return assemble(samples, Options())


EMBEDDED = {"fashion": fashion, "digits": digits}
