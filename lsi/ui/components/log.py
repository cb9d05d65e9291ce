"""The decisions that a component sends, as a numbered log of which no entry is lost or taken twice."""

import secrets
import threading
import time
from collections.abc import Callable
from typing import Any

import streamlit as st

from lsi.errors import LsiError, StorageError

_LOGS = "decision_logs"
_REST_SECONDS = 1.0  # after a database did not answer, which may itself take ten seconds to show


class DecisionLog:
    """What of a component's log was taken, and what waits; `take` touches nothing of Streamlit: nothing can end it.

    An entry is a list: its number, the token of the log that it was written for, and what was decided.

    Attributes:
        token: tells this log from those of other sessions, whose numbers mean nothing here: a browser sends what it
            has sent before to the session that takes the place of a lost one.
        last: number of the last entry that came here.
        decide: takes a new entry without its number and token, and returns what to say of it; empty for nothing.
        said: what is not shown yet.
        held: entries that the database did not take: the component they came from may not be drawn any more.
        why: the reason.
    """

    def __init__(self) -> None:
        self.token = secrets.token_hex(8)
        self.last = 0
        self.decide: Callable[[list[Any]], str] = lambda entry: ""
        self.said: list[str] = []
        self.held: list[list[Any]] = []
        self.why = ""
        self._lock = threading.Lock()
        self._failed = float("-inf")

    @property
    def waiting(self) -> int:
        """How many entries the database did not take."""
        return len(self.held)

    @property
    def acknowledged(self) -> int:
        """The number of the last entry that was taken: a browser keeps those after it until they are, too."""
        held = self.held
        return held[0][0] - 1 if held else self.last

    def take(self, log: list[Any]) -> int:
        """Pass entries of this log that are new to `decide`, each once, and return how many were taken.

        Where the database does not take one, it and those after it wait for the next call, in their order.
        """
        with self._lock:
            had, came = self.held, [entry for entry in log if entry[1] == self.token and entry[0] > self.last]
            self.held, self.last = had + came, came[-1][0] if came else self.last
            if had and time.monotonic() - self._failed < _REST_SECONDS:
                return 0
            taken = 0
            while self.held:
                try:
                    said = self.decide(self.held[0][2:])
                except StorageError as error:
                    self.why, self._failed = str(error), time.monotonic()
                    return taken
                except LsiError as error:  # it would fail again
                    said = str(error)
                except BaseException:  # so would this one; those after it wait
                    self.held = self.held[1:]
                    raise
                self.held, taken = self.held[1:], taken + 1
                self.said += [said] if said else []
            return taken


def log_of(key: str) -> DecisionLog:
    """Return the log of the component of that key."""
    return st.session_state.setdefault(_LOGS, {}).setdefault(key, DecisionLog())


def drain_decision_log() -> None:
    """Take what the components of this session have sent, and wait for whoever is taking.

    Call it before anything that shows decisions. Streamlit starts a run for the newest event while callbacks of older
    ones still write, and ends a callback at any touch of the session: neither may lose or hide a decision.
    """
    for key, log in dict(st.session_state.get(_LOGS, {})).items():
        log.take((st.session_state.get(key) or {}).get("log") or [])


def unwritten() -> tuple[int, str]:
    """Return how many decisions of this session the database has not taken, and why."""
    waiting = [log for log in st.session_state.get(_LOGS, {}).values() if log.waiting]
    return sum(log.waiting for log in waiting), waiting[0].why if waiting else ""
