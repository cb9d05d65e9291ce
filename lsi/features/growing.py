"""Arrays that are written batch by batch into a folder, and gone on with after an interruption."""

import logging
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib.format import open_memmap

from lsi.files import new_array, read_json, write_json

log = logging.getLogger(__name__)

_SAVE_SECONDS = 2.0
_STATE = "partial.json"


class GrowingArrays:
    """Arrays of n rows, memory-mapped under partial names until `finish` gives each its name.

    Attributes:
        done: how many rows are written, those of an interrupted attempt included.
        failures: rows for which there was nothing to write, with the reason.
    """

    def __init__(self, folder: Path, n: int, columns: Mapping[str, tuple[int, type]]) -> None:
        """Open the arrays where an earlier attempt stopped, or anew.

        Args:
            folder: where they lie.
            n: rows of each.
            columns: how many columns each has, and of which type, by name.
        """
        self._folder, self._names = folder, tuple(columns)
        self._shape = [n, {name: width for name, (width, _) in columns.items()}]
        state: dict[str, Any] = read_json(folder / _STATE) or {}
        self.done, self.failures = 0, {}
        if state.get("shape") == self._shape and all(self._partial(name).exists() for name in columns):
            self.done = int(state["done"])
            self.failures = {int(i): str(reason) for i, reason in state["failures"].items()}
            log.info("going on at image %d of %d", self.done, n)
        self._arrays = {
            name: open_memmap(path, "r+") if self.done else new_array(path, kind, (n, width))
            for name, path, width, kind in ((name, self._partial(name), *what) for name, what in columns.items())
        }
        self._saved = time.monotonic()

    def append(self, rows: Mapping[str, np.ndarray], failures: Mapping[int, str]) -> None:
        """Write the next rows of every array, and the failures among them; every two seconds they are saved."""
        end = self.done
        for name, values in rows.items():
            end = self.done + len(values)
            self._arrays[name][self.done : end] = values
        self.done = end
        self.failures.update(failures)
        if time.monotonic() - self._saved > _SAVE_SECONDS:
            for array in self._arrays.values():
                array.flush()
            write_json(self._folder / _STATE, {"shape": self._shape, "done": end, "failures": self.failures})
            self._saved = time.monotonic()

    def finish(self) -> None:
        """Give each array its name, `<name>.npy`; nothing can be appended after."""
        for array in self._arrays.values():
            array.flush()
        self._arrays.clear()
        for name in self._names:
            self._partial(name).replace(self._folder / f"{name}.npy")
        (self._folder / _STATE).unlink(missing_ok=True)

    def _partial(self, name: str) -> Path:
        return self._folder / f"partial_{name}.npy"
