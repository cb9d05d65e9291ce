"""NumPy's files, read without pickles, bounded in memory, their texts checked."""

import sys
import zipfile
from pathlib import Path

import numpy as np

from lsi.errors import DataError
from lsi.memory import budget_bytes

_SURROGATES = 0xD800, 0xDFFF  # halves of characters: no text alone


def read_npz(path: Path) -> np.ndarray | dict[str, np.ndarray]:
    """Return the array of an .npy file, memory-mapped, or the arrays of an .npz, or of a structured .npy, by name.

    Bytes become the text that they hold.

    Raises:
        DataError: the file is no such file, needs more memory than there is, holds pickles, or texts that are none.
    """
    needed = _unpacked(path) if path.suffix.lower() == ".npz" else 0
    if needed > budget_bytes():
        raise DataError(
            f"{path}: its arrays take {needed / 1e9:,.1f} GB of memory, more than there is "
            f"({budget_bytes() / 1e9:,.1f} GB). Save each as an .npy file: those are read where they lie."
        )
    try:
        loaded = np.load(path, allow_pickle=False, mmap_mode="r" if path.suffix.lower() == ".npy" else None)
        if isinstance(loaded, np.ndarray):
            if loaded.dtype.names is None:
                return _checked(loaded, str(path))
            arrays = {n: loaded[n] for n in loaded.dtype.names}
        else:
            with loaded:
                arrays = {k: loaded[k] for k in loaded.files}
    except DataError:
        raise
    except Exception as error:  # zipfile, zlib and NumPy each have errors of their own
        raise DataError(
            f"{path}: not readable as arrays without pickles ({type(error).__name__}: {error}); save ids with "
            "np.array(ids, dtype=str)."
        ) from error
    return {name: _checked(array, f"{path}, {name}") for name, array in arrays.items()}


def _unpacked(path: Path) -> int:
    """Return how many bytes the members of an archive say that they unpack to."""
    try:
        with zipfile.ZipFile(path) as archive:
            return sum(member.file_size for member in archive.infolist())
    except Exception:  # what is wrong with it, reading says
        return 0


def _checked(array: np.ndarray | bytes, where: str) -> np.ndarray:
    """Return an array, bytes as text, once all of its text is text: NumPy keeps code points that are none."""
    if isinstance(array, bytes):  # a member of an archive that does not begin as arrays do
        raise DataError(f"{where}: it is no array.")
    if array.dtype.kind == "S":
        try:
            return np.char.decode(array, "utf-8")
        except UnicodeDecodeError:
            raise DataError(f"{where}: expected text in UTF-8, got other bytes.") from None
    if array.dtype.kind == "U" and array.dtype.itemsize and array.size:
        points = np.ascontiguousarray(array).reshape(-1).view(np.dtype("u4").newbyteorder(array.dtype.byteorder))
        if points.max() > sys.maxunicode or ((points >= _SURROGATES[0]) & (points <= _SURROGATES[1])).any():
            raise DataError(f"{where}: expected text, got code points that are none.")
    return array
