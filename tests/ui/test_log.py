import pytest

from lsi.errors import StorageError, UsageError
from lsi.ui.components import log as logs
from lsi.ui.components import widgets
from lsi.ui.components.log import DecisionLog
from lsi.ui.wording import plain

TOKEN = "of this log"
ENTRIES = [[1, TOKEN, 7, "keep"], [2, TOKEN, 7, "undo"], [3, TOKEN, 8, "exclude"]]


def made() -> DecisionLog:
    log = DecisionLog()
    log.token = TOKEN
    return log


@pytest.fixture
def log(monkeypatch) -> DecisionLog:
    monkeypatch.setattr(logs, "_REST_SECONDS", 0.0)
    return made()


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
    assert written == [entry[2:] for entry in ENTRIES]


def test_what_waits_is_written_where_its_component_is_gone(log):
    """Streamlit drops what a component sent once the page is drawn without it: where nothing can be read, say."""
    written, is_up = [], []

    def decide(entry) -> str:
        if not is_up:
            raise StorageError("The database is away.")
        written.append(entry)
        return ""

    log.decide = decide
    assert (log.take(ENTRIES), log.waiting) == (0, 3)
    assert (log.take([]), log.waiting, log.why) == (0, 3, "The database is away.")
    assert (log.acknowledged, log.last) == (0, 3)  # whoever comes back goes on behind what waits
    more = [4, TOKEN, 9, "keep"]
    assert (log.take([*ENTRIES, more]), log.waiting, log.acknowledged) == (0, 4, 0)
    is_up.append(True)
    assert (log.take([more]), log.waiting, log.acknowledged) == (4, 0, 4)
    assert written == [entry[2:] for entry in [*ENTRIES, more]]
    assert log.take([more]) == 0


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


def test_what_nobody_expects_takes_one_decision_along_and_not_those_behind_it(log):
    written = []

    def decide(entry) -> str:
        if entry == ENTRIES[1][2:]:
            raise IndexError("there is no such sample")
        written.append(entry)
        return ""

    log.decide = decide
    with pytest.raises(IndexError):
        log.take(ENTRIES)
    assert (log.waiting, log.acknowledged) == (1, 2)
    assert (log.take(ENTRIES), log.waiting) == (1, 0)
    assert written == [ENTRIES[0][2:], ENTRIES[2][2:]]


def test_a_database_that_does_not_answer_is_not_asked_twice_in_a_row():
    log, asked = made(), []

    def decide(entry) -> str:
        asked.append(entry)
        raise StorageError("The database is in use.")

    log.decide = decide
    assert log.take(ENTRIES[:1]) == log.take(ENTRIES) == 0
    assert (len(asked), log.waiting) == (1, 3)


def test_what_another_session_has_taken_is_not_taken_again(log):
    """A browser whose session was lost sends the new one all that it sent before, a keep that was overruled since."""
    written = []
    log.decide = lambda entry: written.append(entry) or ""
    assert log.take([[4, "of the session before", 7, "keep"], [4, "k", [7]]]) == 0
    assert (log.last, log.waiting, written) == (0, 0, [])
    assert log.take([[4, "of the session before", 7, "keep"], [1, TOKEN, 8, "exclude"]]) == 1
    assert written == [[8, "exclude"]]
    assert len({DecisionLog().token for _ in range(9)}) == 9


def test_what_a_log_says_is_shown_as_it_is(monkeypatch):
    shown, said = [], DecisionLog()
    monkeypatch.setattr(widgets.st, "toast", shown.append)
    said.said = ["Undone: 1 decision, on *a*_1.png"]
    widgets._say(said)
    assert shown == [plain("Undone: 1 decision, on *a*_1.png")]
    assert not said.said
