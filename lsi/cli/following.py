"""The file by which others follow a computation: what it does, and that it is still there."""

import os
import threading
import time
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from lsi.files import write_json
from lsi.progress import Status

SIGN_SECONDS = 30.0  # between two signs of life, where a stage has nothing to report
_REPORT_SECONDS = 0.25


class ProgressFile:
    """Writes reports to a file, at most four a second and each stage's first, and touches it between them."""

    def __init__(self, path: Path, sign_seconds: float = SIGN_SECONDS) -> None:
        """Begin to give signs of life.

        Args:
            path: of the file.
            sign_seconds: how often.
        """
        self.path, self.stage, self.written = path, "", 0.0
        self._last: dict[str, Any] = {}
        self._facts: dict[str, Any] = {}
        self._is_over = threading.Event()
        threading.Thread(target=self._give_signs, args=(sign_seconds,), name="signs of life", daemon=True).start()

    def __call__(self, status: Status) -> None:
        """Write a report; one that cannot be written is missed, and the computation goes on."""
        now = time.monotonic()
        if status.stage != self.stage or now - self.written > _REPORT_SECONDS:
            self.stage, self.written, self._last = status.stage, now, asdict(status)
            with suppress(OSError):
                write_json(self.path, self._last | self._facts)

    def finish(self, run_name: str) -> None:
        """Say that the run is there; the 2-D view may still follow."""
        self._facts, self.written = {"run": run_name}, 0.0
        self(Status("done", 1, 1, ""))

    def close(self) -> None:
        """Say that nothing follows: on another machine nobody sees the process end."""
        self._is_over.set()
        with suppress(OSError):  # what ended it may be that nothing can be written
            write_json(self.path, self._last | self._facts | {"ended": True})

    def _give_signs(self, seconds: float) -> None:
        while not self._is_over.wait(seconds):
            with suppress(OSError):
                os.utime(self.path)
