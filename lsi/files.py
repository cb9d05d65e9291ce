"""Files that are there whole or not at all: a temporary name, then a rename."""

import errno
import io
import json
import os
import re
import secrets
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib.format import open_memmap
from numpy.typing import DTypeLike

from lsi.errors import StorageError, UsageError

NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
_NETWORK = re.compile(r"(fuse\.)?(nfs|cifs|smb|sshfs|9p|afs|afpfs|ceph|gluster|lustre|gpfs|davfs|webdav)")
_PIECE = 2**24
CACHE_TAG = "CACHEDIR.TAG"  # by which backups and readers of data know a cache: https://bford.info/cachedir/
CACHE_MARK = "Signature: 8a477f597d28d172789f06886806bc55\n# The cache of LSI Lens"
_PAUSES = (0.01, 0.05, 0.2, 0.5)


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """Give a temporary path beside `path` that replaces it when the block ends without an error."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.parent / f".{path.name[:100]}.{secrets.token_hex(8)}.tmp"
    os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))  # the umask says who may read it
    try:
        yield temporary
        _replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def refuse_folder(path: Path) -> None:
    """Raise where a file is to be written and a folder lies.

    Raises:
        UsageError: it does.
    """
    if path.is_dir():
        raise UsageError(f"{path} is a folder: name a file.")


def _replace(temporary: Path, path: Path) -> None:
    """Rename; Windows refuses while another process holds the file open, which readers do for a moment."""
    for seconds in _PAUSES if sys.platform == "win32" else ():
        with suppress(PermissionError):
            temporary.replace(path)
            return
        time.sleep(seconds)
    temporary.replace(path)


def remove_leftovers(folder: Path, seconds: float = 0.0) -> None:
    """Remove what processes that were killed in the middle of writing left in a folder.

    Args:
        folder: where they wrote; folders below it are not looked into.
        seconds: how old a leftover must be, where another process may be writing now.
    """
    for path in folder.glob(".*.tmp"):
        with suppress(OSError):
            if time.time() - path.lstat().st_mtime >= seconds:
                shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


def path_text(path: Path) -> str:
    """Return a path as text that any file can hold: one that is no UTF-8 as fs: with its bytes in hexadecimal."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return "fs:" + os.fsencode(path).hex()
    return str(path)


def text_path(text: str) -> Path:
    """Return the path that `path_text` wrote."""
    return Path(os.fsdecode(bytes.fromhex(text.removeprefix("fs:"))) if text.startswith("fs:") else text)


def on_network(path: Path) -> bool:
    """Say whether a path lies on another machine's disk, as far as the table of mounts tells."""
    import psutil

    path = path.resolve()
    mounts = [m for m in psutil.disk_partitions(all=True) if path.is_relative_to(m.mountpoint)]
    mount = max(reversed(mounts), key=lambda m: len(m.mountpoint), default=None)  # the last of one place covers others
    is_shared = mount is not None and _NETWORK.match(mount.fstype.lower()) is not None
    return is_shared or str(path).startswith("\\\\")


def write_json(path: Path, value: Any) -> None:
    """Write JSON atomically."""
    with atomic(path) as temporary:
        temporary.write_text(json.dumps(value, indent=2, default=_encode, ensure_ascii=False) + "\n", encoding="utf-8")


def read_json(path: Path) -> Any | None:
    """Return what a JSON file holds, or None where it is missing or unreadable."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def new_array(path: Path, dtype: DTypeLike, shape: tuple[int, ...]) -> np.memmap:
    """Create an .npy file that is mapped into memory for writing, and take its space on the disk at once.

    A page of a mapped file that finds no room on the disk ends the process without a word.

    Args:
        path: of the file.
        dtype: of the values, all zero.
        shape: of the array.

    Raises:
        StorageError: the disk has too little room.
    """
    try:
        path.unlink(missing_ok=True)  # whoever has mapped an earlier file keeps it
        array = open_memmap(path, "w+", np.dtype(dtype), shape)
        with path.open("r+b") as file:
            _take_space(file, array.offset, array.nbytes)
    except OSError as error:
        path.unlink(missing_ok=True)
        if error.errno not in NO_ROOM:
            raise
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        raise StorageError(no_room(f"{path.parent} has no room for {size / 1e6:,.1f} MB more")) from error
    return array


def cache_folder(folder: Path) -> Path:
    """Make a folder of the cache and return it.

    Raises:
        StorageError: it cannot be made, or nothing can be written in it.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as error:
        if error.errno in NO_ROOM:
            raise
        said = f"The cache folder {folder} cannot be written ({error.strerror}). "
        raise StorageError(said + "Name another cache with --cache or LSI_CACHE.") from error
    return folder


def mark_cache(root: Path) -> None:
    """Say in a cache that it is one; where that cannot be written, what is computed says so."""
    if not (root / CACHE_TAG).exists():
        with suppress(OSError):
            (root / CACHE_TAG).write_text(f"{CACHE_MARK}: it can be computed again, but reviews.db and uploads.\n")


def no_room(what: str) -> str:
    """Return what to say where a disk is full."""
    return f"{what}: free some, and run the same command again; what is finished is kept."


def _take_space(file: io.BufferedRandom, start: int, size: int) -> None:
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file.fileno(), 0, max(start + size, 1))
        return
    file.seek(start)  # macOS and Windows: writing takes it
    for done in range(0, size, _PIECE):
        file.write(bytes(min(_PIECE, size - done)))


def save_array(path: Path, array: np.ndarray) -> None:
    """Write an array as .npy, atomically, without pickles."""
    with atomic(path) as temporary, temporary.open("wb") as file:
        np.save(file, array, allow_pickle=False)


def _encode(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"cannot write {type(value).__name__} as JSON")
