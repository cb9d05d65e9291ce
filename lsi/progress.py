"""What a long computation says of itself while it runs."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Status:
    """One report: `done` of `total` steps of a stage, with the rate a second and the seconds left (None: unknown)."""

    stage: str
    done: int
    total: int
    unit: str
    rate: float | None = None
    seconds_left: float | None = None


@dataclass
class Progress:
    """Passes reports on to listeners; a stage reports its steps, the rate is worked out here."""

    listeners: list[Callable[[Status], None]] = field(default_factory=list)
    _stage: tuple[str, str] = ("", "")
    _started: float = 0.0
    _first: int = 0

    def report(self, stage: str, done: int, total: int, unit: str = "") -> None:
        """Report that `done` of `total` steps of `stage` are done; the first report of a stage starts its clock.

        Args:
            stage: its name.
            done: steps done.
            total: steps in all.
            unit: what a step is, in the plural; empty where a stage is one step.
        """
        now = time.monotonic()
        if (stage, unit) != self._stage:  # what a stage does before its first step does not count
            self._stage, self._started, self._first = (stage, unit), now, done
        elapsed, steps = now - self._started, done - self._first
        rate = steps / elapsed if elapsed > 0 and steps > 0 else None
        status = Status(stage, done, total, unit, rate, (total - done) / rate if rate else None)
        for listener in self.listeners:
            listener(status)
