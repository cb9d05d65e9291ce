"""A run, its map, decisions, an export with images and a report: in a process that is killed at its n-th write.

`python -m tests.ending.scenario` imports everything once and takes one line of JSON a time: `folder`, `at` (0: never),
`fault`. Each is done in a process of its own, and answered with how it ended and how many writes there were.

A write is whatever changes files as others see them: opening one to write, renaming, removing, making a folder, taking
space, flushing a mapped array, and each statement and commit of the database.
"""

import errno
import json
import os
import resource
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import Engine, event

from lsi.compute import maps, pipeline, queries
from lsi.config import DataSettings, FeatureSettings, NoiseSettings, ScoreSettings, Settings
from lsi.errors import LsiError
from lsi.export import check_selection, export, selection_of, write_images  # noqa: F401
from lsi.export import report as _report  # noqa: F401  imported before the fork
from lsi.features import growing, projection
from lsi.runs.decisions import Decision, Reviews
from lsi.runs.records import decision_records
from lsi.runs.run import Run

CHANGES = ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate", "os.link", "os.symlink")
BATCHES = (
    [Decision(0, "exclude"), Decision(1, "exclude")],
    [Decision(2, "relabel", 1)],
    [Decision(3, "keep")],
    [Decision(4, "unsure"), Decision(5, "relabel", 0), Decision(6, "exclude")],
)


class Writes:
    """Counts the writes of this process; at the n-th it kills the process, or fails as a full disk does."""

    def __init__(self, at: int, fault: str) -> None:
        self.at, self.fault, self.count, self.is_on = at, fault, 0, True
        sys.addaudithook(self._audit)
        posix_fallocate = os.posix_fallocate
        os.posix_fallocate = self._before(posix_fallocate)
        np.memmap.flush = self._before(np.memmap.flush)
        event.listen(Engine, "before_cursor_execute", lambda *_: self.happens())
        event.listen(Engine, "commit", lambda *_: self.happens())

    def happens(self) -> None:
        """Count one write, before it is done."""
        if not self.is_on:
            return
        self.count += 1
        if self.fault == "kill" and self.count == self.at:
            os.kill(os.getpid(), signal.SIGKILL)
        if self.fault == "full" and 0 < self.at <= self.count:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def _audit(self, name: str, arguments: tuple) -> None:
        if name == "open":
            path, mode, flags = arguments
            is_written = bool(flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)) if mode is None else mode[0] in "wax"
            if is_written and not str(path).startswith(("/dev/", "/proc/")):
                self.happens()
        elif name in CHANGES:
            self.happens()

    def _before(self, function: Callable) -> Callable:
        def counted(*arguments: Any) -> Any:
            self.happens()
            return function(*arguments)

        return counted


def everything(folder: Path, tell: Callable[[str], None]) -> None:
    """Do all of it below a folder, going on where an earlier attempt ended.

    Args:
        folder: holds `data`, and gets `cache` and `out`.
        tell: takes a word for each thing that is done.
    """
    cache, out = folder / "cache", folder / "out"
    settings = Settings(
        DataSettings(data=folder / "data" / "manifest.csv"),
        NoiseSettings(corrupt_label=0.1),
        FeatureSettings(backbone="pixels", pca=4),
        ScoreSettings(calibrate=True),
    )
    run = pipeline.run(settings, cache)
    tell("run")
    positions = maps.projection_of_run(run, cache)
    tell("map")
    reviews = Reviews(f"sqlite:///{cache / 'reviews.db'}")
    done = reviews.history(run.subject)["batch"].nunique()
    for number, batch in enumerate(BATCHES):
        if number >= done:
            reviews.record(run.subject, "ann", batch)
            tell(f"batch {number}")
    decisions = reviews.current(run.subject)
    reviews.close()
    _leave(run, decisions, positions, out)
    tell("export")


def _leave(run: Run, decisions: Any, positions: np.ndarray, out: Path) -> None:
    selection = selection_of(run, decisions)
    export(run, selection, out, decisions=decision_records(run.subject, decisions))
    if not (out / "images").exists():  # it is never written over
        write_images(run, selection, out, "copy")
    from lsi.files import atomic

    with atomic(out / "report.html") as temporary:
        temporary.write_text(queries.report_of_run(run, positions, decisions), encoding="utf-8")


def _child(folder: Path, at: int, fault: str, answers: int) -> None:
    """Do everything in this process, and write what is done to a pipe."""
    growing._SAVE_SECONDS = 0.0  # every batch is saved
    projection.project = lambda features, seed: np.asarray(features[:, :2], dtype=np.float32)
    writes = Writes(at, fault)

    def tell(what: str) -> None:
        os.write(answers, f"{what}\n".encode())

    try:
        everything(folder, tell)
    except Exception as error:
        writes.is_on = False
        kind = "sentence" if isinstance(error, LsiError) or getattr(error, "errno", 0) == errno.ENOSPC else "failure"
        tell(f"{kind}: {type(error).__name__}: {error}".replace("\n", " "))
        os._exit(1)
    tell(f"writes {writes.count}")
    os._exit(0)


def main() -> None:
    """Answer one line of JSON after the other."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for line in sys.stdin:
        asked = json.loads(line)
        readable, writable = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(readable)
            _child(Path(asked["folder"]), asked["at"], asked["fault"], writable)
        os.close(writable)
        with os.fdopen(readable) as pipe:
            said = pipe.read().splitlines()
        _, status = os.waitpid(pid, 0)
        print(json.dumps({"said": said, "code": os.waitstatus_to_exitcode(status)}), flush=True)


if __name__ == "__main__":
    main()
