"""Data from wherever it lies, as one record that checks itself."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from lsi.config import DataSettings
from lsi.data.encoding import encode_labels
from lsi.data.images import Images, decode, to_rgb
from lsi.data.record import Dataset
from lsi.data.sources import open_source
from lsi.data.sources.arrays import as_labels, read_array
from lsi.errors import DataError

__all__ = ["Dataset", "Images", "decode", "load", "to_rgb"]


def load(settings: DataSettings, data_root: Path) -> Dataset:
    """Return the dataset that the settings name, with the labelling they name.

    Raises:
        DataError: nothing readable lies there, or the labels do not fit.
    """
    from_file = settings.targets is not None and Path(settings.targets.partition(":")[0]).is_file()
    columns = () if from_file or not settings.targets else tuple(c.strip() for c in settings.targets.split(","))
    dataset = open_source(settings, data_root, columns)
    if from_file and settings.targets is not None:
        dataset = _with_targets(dataset, settings.targets)
    if settings.labels is None:
        return dataset
    values = read_array(settings.labels, "--labels", ("label", "labels"))
    if len(values) != len(dataset):
        raise DataError(f"--labels: expected {len(dataset)} labels, one a sample of the data, got {len(values)}.")
    if dataset.is_labelled:
        return dataset.relabel(as_labels(values, dataset.class_names))
    labels, names = encode_labels(values.tolist())
    return replace(dataset, labels=labels, class_names=names, is_labelled=True)


def _with_targets(dataset: Dataset, specification: str) -> Dataset:
    values = read_array(specification, "--targets", ("targets", "embeddings", "data"))
    if len(values) != len(dataset) or values.ndim > 2 or values.dtype.kind not in "fiu":
        raise DataError(
            f"--targets: expected numbers of shape ({len(dataset)},) or ({len(dataset)}, m), one row a sample of the "
            f"data, got {values.dtype} of shape {values.shape}."
        )
    values = values.reshape(len(values), -1).astype(np.float64)
    return dataset.with_targets(values, tuple(f"target {i}" for i in range(values.shape[1])))
