"""The content-addressed cache: folders of files that are complete once sealed, and are checked before they are used.

An entry is a folder `<root>/<kind>/<name>`. Its files are written under a temporary name and renamed; `entry.json`,
written last, lists every file with its size and checksum and carries a checksum of itself. What does not pass is a
logged miss and is computed again. One process computes an entry at a time; others that want it wait.
"""

import hashlib
import json
import logging
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock

log = logging.getLogger(__name__)

FORMAT = 1
SEAL = "entry.json"


def key(**ingredients: Any) -> str:
    """Return a hash of everything that goes into a result, the cache format included: 16 hex digits."""
    text = json.dumps({"format": FORMAT, **ingredients}, sort_keys=True, default=str)
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def fingerprint(*parts: bytes | np.ndarray | str) -> str:
    """Return a hash of content: bytes, text, and arrays with their dtype and shape."""
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        if isinstance(part, np.ndarray):
            digest.update(f"{part.dtype.str}{part.shape}".encode())
            digest.update(np.ascontiguousarray(part).view(np.uint8).data if part.size else b"")
        else:
            data = part.encode() if isinstance(part, str) else part
            digest.update(len(data).to_bytes(8, "little"))
            digest.update(data)
    return digest.hexdigest()


def file_checksum(path: Path) -> str:
    """Return the BLAKE2b checksum of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """Give a temporary path beside `path` that replaces it when the block ends without an error."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o644)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


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


@dataclass(frozen=True)
class Entry:
    """One folder of the cache."""

    folder: Path

    def path(self, name: str) -> Path:
        """Return the path of one of its files."""
        return self.folder / name

    def is_complete(self) -> bool:
        """Say whether the entry is sealed and every file is as it was sealed."""
        seal = read_json(self.folder / SEAL)
        if seal is None:
            if (self.folder / SEAL).exists():
                log.warning("%s is unreadable: computing it again", self.folder / SEAL)
            return False
        if not isinstance(seal, dict) or seal.get("checksum") != _seal_checksum(seal.get("files")):
            log.warning("%s does not match its checksum: computing it again", self.folder / SEAL)
            return False
        for name, facts in seal["files"].items():
            path = self.folder / name
            if not path.is_file() or path.stat().st_size != facts["size"] or file_checksum(path) != facts["blake2b"]:
                log.warning("%s is missing or does not match its checksum: computing it again", path)
                return False
        return True

    def seal(self, names: list[str]) -> None:
        """Declare the entry complete, with these files."""
        files = {
            n: {"size": (self.folder / n).stat().st_size, "blake2b": file_checksum(self.folder / n)} for n in names
        }
        write_json(self.folder / SEAL, {"files": files, "checksum": _seal_checksum(files)})

    def unseal(self) -> None:
        """Declare the entry incomplete."""
        (self.folder / SEAL).unlink(missing_ok=True)


@dataclass(frozen=True)
class Store:
    """The cache under one root folder."""

    root: Path

    def entry(self, kind: str, name: str) -> Entry:
        """Return the entry of that kind and name, existing or not."""
        return Entry(self.root / kind / name)

    @contextmanager
    def locked(self, entry: Entry) -> Iterator[None]:
        """Hold the entry's lock; other processes that want it wait."""
        locks = self.root / "locks"
        locks.mkdir(parents=True, exist_ok=True)
        with FileLock(locks / f"{entry.folder.parent.name}-{entry.folder.name}.lock"):
            yield

    def get(self, kind: str, name: str, compute: Callable[[Entry], list[str]]) -> Entry:
        """Return the sealed entry; where it is missing or damaged, call `compute` to write its files and name them."""
        entry = self.entry(kind, name)
        with self.locked(entry):
            if not entry.is_complete():
                entry.unseal()
                entry.folder.mkdir(parents=True, exist_ok=True)
                entry.seal(compute(entry))
        return entry

    def sizes(self) -> dict[str, tuple[int, int]]:
        """Return the number of entries and bytes of each kind."""
        found: dict[str, tuple[int, int]] = {}
        for kind in sorted(p for p in self.root.glob("*") if p.is_dir() and p.name != "locks"):
            files = [f for f in kind.rglob("*") if f.is_file()]
            found[kind.name] = (sum(1 for p in kind.iterdir() if p.is_dir()), sum(f.stat().st_size for f in files))
        return found

    def clear(self, kinds: tuple[str, ...]) -> int:
        """Delete all entries of these kinds and return the bytes freed; files outside entries stay."""
        freed = 0
        for kind in kinds:
            folder = self.root / kind
            freed += sum(f.stat().st_size for f in folder.rglob("*") if f.is_file())
            shutil.rmtree(folder, ignore_errors=True)
        return freed


def save_array(path: Path, array: np.ndarray) -> None:
    """Write an array as .npy, atomically, without pickles."""
    with atomic(path) as temporary, temporary.open("wb") as file:
        np.save(file, array, allow_pickle=False)


def _seal_checksum(files: Any) -> str:
    return fingerprint(json.dumps(files, sort_keys=True))


def _encode(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"cannot write {type(value).__name__} as JSON")
