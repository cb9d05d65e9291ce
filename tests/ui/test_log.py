import pytest

from lsi.errors import StorageError, UsageError
from lsi.ui.components import log as logs
from lsi.ui.components.log import DecisionLog

ENTRIES = [[1, 7, "keep"], [2, 7, "undo"], [3, 8, "exclude"]]


@pytest.fixture
def log(monkeypatch) -> DecisionLog:
    monkeypatch.setattr(logs, "_REST_SECONDS", 0.0)
    return DecisionLog()


def test_a_database_that_fails_in_between_gets_each_decision_once(log):
    written, answers = [], iter([True, False, False, True, True])

    def decide(entry) -> str:
        if not next(answers):
            raise StorageError("The database is in use.")
        written.append(entry)
        return ""

    log.decide = decide
    assert (log.take(ENTRIES), log.waiting, log.why) == (1, 2, "The database is in use.")
    assert (log.take(ENTRIES), log.waiting) == (0, 2)
    assert (log.take(ENTRIES), log.waiting) == (2, 0)
    assert written == [entry[1:] for entry in ENTRIES]


def test_a_decision_that_cannot_be_made_is_said_and_holds_up_no_other(log):
    written = []

    def decide(entry) -> str:
        if entry[1] == "undo":
            raise UsageError("No such sample.")
        written.append(entry)
        return entry[1]

    log.decide = decide
    assert log.take(ENTRIES) == 3
    assert written == [[7, "keep"], [8, "exclude"]]
    assert log.said == ["keep", "No such sample.", "exclude"]


def test_a_database_that_does_not_answer_is_not_asked_twice_in_a_row():
    log, asked = DecisionLog(), []

    def decide(entry) -> str:
        asked.append(entry)
        raise StorageError("The database is in use.")

    log.decide = decide
    assert log.take(ENTRIES[:1]) == log.take(ENTRIES) == 0
    assert (len(asked), log.waiting) == (1, 3)
