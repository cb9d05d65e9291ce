"""The content-addressed cache: folders of files that are complete once sealed, and are checked before they are used.

An entry is a folder `<root>/<kind>/<name>`. Its files are written under a temporary name and renamed; `entry.json`,
written last, lists every file with its size and checksum and carries a checksum of itself. What does not pass is a
logged miss and is computed again. One process computes an entry at a time; others that want it wait.
"""

import json
import logging
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from glob import escape
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from lsi.files import cache_folder, mark_cache, read_json, remove_leftovers, write_json
from lsi.hashing import file_checksum, fingerprint
from lsi.runs.layout import KIND, SOURCES

log = logging.getLogger(__name__)

SEAL = "entry.json"


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

    def is_sealed(self) -> bool:
        """Say whether the entry is sealed and its files have their sizes: what looking needs, without reading them."""
        seal = read_json(self.folder / SEAL)
        if not isinstance(seal, dict) or not isinstance(seal.get("files"), dict):
            return False
        try:
            return all((self.folder / n).stat().st_size == facts["size"] for n, facts in seal["files"].items())
        except (OSError, KeyError, TypeError):
            return False

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
        locks = cache_folder(self.root / "locks")
        mark_cache(self.root)
        with FileLock(locks / f"{entry.folder.parent.name}-{entry.folder.name}.lock"):
            yield

    def get(
        self,
        kind: str,
        name: str,
        compute: Callable[[Entry], list[str]],
        has_more: Callable[[Entry], bool] = lambda entry: True,
    ) -> Entry:
        """Return the sealed entry; where it is missing or damaged, compute it first.

        Args:
            kind: folder below the root.
            name: of the entry.
            compute: writes the entry's files and returns their names.
            has_more: says of a sealed entry whether what it refers to elsewhere in the cache is there.
        """
        entry = self.entry(kind, name)
        with self.locked(entry):
            if not (entry.is_complete() and has_more(entry)):
                entry.unseal()
                remove_leftovers(cache_folder(entry.folder))
                entry.seal(compute(entry))
        return entry

    def sizes(self) -> dict[str, tuple[int, int]]:
        """Return the number of entries and bytes of each kind."""
        sizes: dict[str, tuple[int, int]] = {}
        for kind in sorted(p for p in self.root.glob("*") if p.is_dir() and p.name != "locks"):
            sizes[kind.name] = (sum(1 for p in kind.iterdir() if p.is_dir()), _bytes_below(kind))
        return sizes

    def clear(self, kinds: tuple[str, ...], keep: frozenset[tuple[str, str]] = frozenset()) -> int:
        """Delete the entries of these kinds and return the bytes freed; files outside entries stay.

        So does an entry that is being computed, and while that is a run all that it may be computed from.

        Args:
            kinds: names of folders below the root.
            keep: entries that stay, as kind and name.
        """
        freed, needed = 0, SOURCES if self._is_held(f"{KIND}-*") else ()
        for kind in kinds:
            folder = self.root / kind
            if kind in needed:
                log.warning("A run is being computed, or may be by another account: %s stay.", kind)
                continue
            for entry in sorted(folder.iterdir()) if folder.is_dir() else ():
                if (kind, entry.name) in keep or self._is_held(escape(f"{kind}-{entry.name}")):
                    continue
                size = _bytes_below(entry)
                shutil.rmtree(entry, ignore_errors=True)
                freed += size if not entry.exists() else 0
            if folder.is_dir() and not any(folder.iterdir()):
                folder.rmdir()
        return freed

    def _is_held(self, pattern: str) -> bool:
        """Say whether an entry is being computed whose lock has such a name."""
        for path in (self.root / "locks").glob(f"{pattern}.lock"):
            try:
                with FileLock(path, timeout=0):
                    pass
            except (Timeout, PermissionError):  # one of another account's may be held
                return True
        return False


def _bytes_below(folder: Path) -> int:
    """Return the bytes of the files below a folder; those that others remove meanwhile count for none."""
    found = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            with suppress(FileNotFoundError):
                found += (Path(parent) / name).stat().st_size
    return found


def _seal_checksum(files: Any) -> str:
    return fingerprint(json.dumps(files, sort_keys=True))
