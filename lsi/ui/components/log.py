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
    """The last entry of a component's log that was taken; `take` touches nothing of Streamlit: nothing can end it.

    An entry is a list: its number, the token of the log that it was written for, and what was decided.

    Attributes:
        token: tells this log from those of other sessions, whose numbers mean nothing here: a browser sends what it
            has sent before to the session that takes the place of a lost one.
        last: number of that entry.
        decide: takes a new entry without its number and token, and returns what to say of it; empty for nothing.
        said: what is not shown yet.
        waiting: how many entries the database did not take.
        why: the reason.
    """

    def __init__(self) -> None:
        self.token = secrets.token_hex(8)
        self.last = 0
        self.decide: Callable[[list[Any]], str] = lambda entry: ""
        self.said: list[str] = []
        self.waiting = 0
        self.why = ""
        self._lock = threading.Lock()
        self._failed = float("-inf")

    def take(self, log: list[Any]) -> int:
        """Pass entries of this log that are new to `decide`, each once, and return how many were taken.

        Where the database does not take one, it and those after it wait for the next call, in their order.
        """
        with self._lock:
            new = [entry for entry in log if entry[1] == self.token and entry[0] > self.last]
            if self.waiting and time.monotonic() - self._failed < _REST_SECONDS:
                self.waiting = len(new)
                return 0
            for taken, entry in enumerate(new):
                try:
                    said = self.decide(entry[2:])
                except StorageError as error:
                    self.waiting, self.why, self._failed = len(new) - taken, str(error), time.monotonic()
                    return taken
                except LsiError as error:  # it would fail again
                    said = str(error)
                self.last = entry[0]
                self.said += [said] if said else []
            self.waiting = 0
            return len(new)


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
