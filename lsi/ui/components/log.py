"""The decisions that a component sends, as a numbered log of which no entry is lost or taken twice."""

import threading
from collections.abc import Callable, Sequence
from typing import Any

import streamlit as st

_LOGS = "decision_logs"


class DecisionLog:
    """The last entry of a component's log that was taken; `take` touches nothing of Streamlit: nothing can end it.

    Attributes:
        last: number of that entry.
        decide: takes new entries without their numbers, and returns what to say of them.
        said: what is not shown yet.
    """

    def __init__(self) -> None:
        self.last = 0
        self.decide: Callable[[list[list[Any]]], Sequence[str]] = lambda log: []
        self.said: list[str] = []
        self._lock = threading.Lock()

    def take(self, log: list[Any]) -> int:
        """Pass entries that are new to `decide`, once, and return how many there were."""
        with self._lock:
            new = [entry for entry in log if entry[0] > self.last]
            if new:
                self.said.extend(self.decide([entry[1:] for entry in new]))
                self.last = new[-1][0]
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
