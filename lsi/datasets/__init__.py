"""Data from wherever it lies, as one record that checks itself."""

from pathlib import Path

from lsi.config import DataSettings
from lsi.datasets.arrays import from_arrays, read_labels
from lsi.datasets.images import Images, decode, to_rgb
from lsi.datasets.record import Dataset
from lsi.datasets.sources import (
    digits,
    from_class_folders,
    from_manifest,
    from_parquet,
    from_torchvision,
)
from lsi.errors import DataError

__all__ = ["Dataset", "Images", "decode", "load", "to_rgb"]


def load(settings: DataSettings, data_root: Path) -> Dataset:
    """Return the dataset that the settings name, with the labelling they name.

    Raises:
        DataError: nothing readable lies there, or the labels do not fit.
    """
    dataset = _open(settings, data_root)
    if settings.labels is not None:
        labels = read_labels(settings.labels, dataset.class_names)
        if len(labels) != len(dataset):
            raise DataError(f"--labels: expected {len(dataset)} labels, one a sample of the data, got {len(labels)}.")
        dataset = dataset.relabel(labels)
    return dataset


def _open(settings: DataSettings, data_root: Path) -> Dataset:
    path = settings.data
    if path is None:
        name = settings.dataset.lower()
        return digits() if name == "digits" else from_torchvision(settings.dataset, data_root, settings.split)
    if not path.exists():
        raise DataError(f"--data: no such file or folder: {path}.")
    if path.is_dir():
        has_parquet = any(path.rglob("*.parquet"))
        return from_parquet(path, settings.split) if has_parquet else from_class_folders(path, settings.split)
    readers = {".parquet": from_parquet, ".csv": from_manifest}
    if path.suffix in readers:
        return readers[path.suffix](path, settings.split)
    if path.suffix in (".npz", ".npy"):
        return from_arrays(path)
    raise DataError(
        f"--data: expected a folder with one subfolder per class, or a .parquet, .csv, .npz or .npy file, got {path}."
    )
