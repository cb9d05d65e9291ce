"""The image quality of every sample: measured while features were extracted, or in a pass of its own."""

import numpy as np
from jaxtyping import Float

from lsi.compute.preparation import Prepared
from lsi.compute.raw_features import Pictures
from lsi.compute.raw_record import RAW_FEATURES, RawFeatures
from lsi.data.formats import readers
from lsi.features import FEATURES_VERSION, measure_images
from lsi.hashing import key
from lsi.progress import Progress
from lsi.runs.store import Entry, Store


def measures_of(
    prepared: Prepared, raw: RawFeatures, store: Store, progress: Progress
) -> Float[np.ndarray, "n 6"] | None:
    """Return what `lsi.features.measure` gives for each sample; None where the data have no images.

    Rows are NaN where an image cannot be read.

    Args:
        prepared: the data; noise that was added to images is measured with them.
        raw: their raw features, with the measures where extracting read the images.
        store: the cache.
        progress: told how far a pass over the images is.

    Raises:
        DataError: an image changed meanwhile.
    """
    images = prepared.dataset.images
    if images is None or raw.quality is not None:
        return raw.quality

    def write(entry: Entry) -> list[str]:
        measure_images(images, entry.folder, progress)
        Pictures(images, prepared.mark, stamps=prepared.dataset.image_stamps).check_unchanged()
        return ["quality.npy"]

    name = key(version=FEATURES_VERSION, images=prepared.mark, readers=readers(), what="quality")
    return np.load(store.get(RAW_FEATURES, name, write).path("quality.npy"))
