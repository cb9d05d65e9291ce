"""Every source of data, one module each; `open_source` picks the one that fits the path."""

from pathlib import Path

from lsi.config import DataSettings
from lsi.data.record import Dataset
from lsi.data.sources.arrays import from_arrays
from lsi.data.sources.embedded import digits
from lsi.data.sources.folder import from_folder
from lsi.data.sources.parquet import from_parquet
from lsi.data.sources.tables import from_csv
from lsi.data.sources.torchvision_sets import from_torchvision
from lsi.errors import DataError

__all__ = ["open_source"]


def open_source(settings: DataSettings, data_root: Path, targets: tuple[str, ...]) -> Dataset:
    """Return the samples that the settings name, as they lie there.

    Args:
        settings: which dataset, or the path of one's own data; which split.
        data_root: where torchvision's datasets lie.
        targets: names of columns of numbers to predict.

    Raises:
        DataError: nothing readable lies there.
    """
    path = settings.data
    if targets and (path is None or path.suffix not in (".parquet", ".csv", ".npz")):
        raise DataError(f"--targets: no such file: {settings.targets}; columns by name need a .csv, .parquet or .npz.")
    if path is None:
        name = settings.dataset.lower()
        return digits() if name == "digits" else from_torchvision(settings.dataset, data_root, settings.split)
    if not path.exists():
        raise DataError(f"--data: no such file or folder: {path}.")
    if path.is_dir():
        has_parquet = any(path.rglob("*.parquet"))
        return from_parquet(path, settings.split) if has_parquet else from_folder(path, settings.split)
    readers = {".parquet": from_parquet, ".csv": from_csv}
    if path.suffix in readers:
        return readers[path.suffix](path, settings.split, targets)
    if path.suffix in (".npz", ".npy"):
        return from_arrays(path, targets)
    raise DataError(
        "--data: expected a folder of images or with one subfolder per class, or a .parquet, .csv, .npz or .npy file, "
        f"got {path}."
    )
