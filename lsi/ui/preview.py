"""How data would be read, looked at beside the page, so that no page waits for a slow folder."""

import logging
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace

from lsi.config import DataSettings, Settings
from lsi.data import inspect
from lsi.data.sources.confined import confined
from lsi.environment import default_data_root
from lsi.errors import LsiError

log = logging.getLogger(__name__)

KEPT_SECONDS = 60.0
_WAIT_SECONDS = 0.8
_POOL = ThreadPoolExecutor(2, "look-at-data")
_LOCK = threading.Lock()
_LOOKS: dict[tuple[DataSettings, tuple[int, int]], tuple[float, "Future[Preview]"]] = {}


@dataclass(frozen=True)
class Preview:
    """How data would be read, or why they cannot be.

    Attributes:
        lines: of the plan, the most important first.
        problem: a sentence, "" where the data can be read.
    """

    lines: tuple[str, ...]
    problem: str = ""


def look(settings: DataSettings) -> Preview | None:
    """Return how these data would be read; None while that is not known: ask again a second later.

    An answer is kept for a minute, as long as the folder or file itself stays as it is.
    """
    asked = Settings(data=replace(settings, subset=None)).resolved().data
    key, now = (asked, _stamp(asked)), time.monotonic()
    with _LOCK:
        for old in [k for k, (started, answer) in _LOOKS.items() if answer.done() and now - started > KEPT_SECONDS]:
            del _LOOKS[old]
        if key not in _LOOKS:
            _LOOKS[key] = now, _POOL.submit(_look, asked)
        answer = _LOOKS[key][1]
    try:
        return answer.result(timeout=_WAIT_SECONDS)
    except TimeoutError:
        return None


def _look(settings: DataSettings) -> Preview:
    try:
        with confined():
            return Preview(tuple(inspect(settings, default_data_root()).lines()))
    except LsiError as error:
        return Preview((), str(error))
    except Exception as error:  # whatever a file does to a reader, the page has a sentence and the log the rest
        log.exception("looking at %s", settings.data)
        return Preview((), f"These data cannot be read ({type(error).__name__}); the server's log says more.")


def _stamp(settings: DataSettings) -> tuple[int, int]:
    """Return size and time of change of the folder or file itself, zeros where there is none."""
    try:
        status = None if settings.data is None else settings.data.stat()
    except (OSError, ValueError):
        status = None
    return (0, 0) if status is None else (status.st_size, status.st_mtime_ns)
