from pathlib import Path

import pytest

from lsi.errors import UsageError
from lsi.runs.layout import MANIFEST
from lsi.runs.run import Run
from lsi.ui import runs_view, session
from lsi.ui.runs_view import in_order, table_key


def made(name: str, created: str, parent: str | None = None) -> Run:
    run = Run(Path(name))
    vars(run)["manifest"] = {"created": created, "decided": {"parent": parent} if parent else None}
    return run


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("parent", [None, "old"])
def test_the_run_that_came_first_is_the_one_before(turned, parent):
    old, new = made("old", "2026-01-01T00:00:00"), made("new", "2026-01-02T00:00:00", parent)
    assert in_order(*((new, old) if turned else (old, new))) == (old, new)


def test_a_run_that_started_from_another_comes_after_it_whatever_their_clocks_say():
    parent, child = made("parent", "2026-01-02T00:00:00"), made("child", "2026-01-01T00:00:00", "parent")
    assert in_order(child, parent) == in_order(parent, child) == (parent, child)


def test_a_selected_row_is_forgotten_where_the_list_of_runs_changed():
    old, new, newer = (made(name, "2026-01-01T00:00:00") for name in ("old", "new", "newer"))
    assert table_key([new, old]) == table_key([new, old])
    assert len({table_key(runs) for runs in ([new, old], [old], [newer, new, old])}) == 3


def test_a_title_that_is_refused_is_not_noted(tmp_path, monkeypatch):
    (tmp_path / MANIFEST).write_text("{}")
    monkeypatch.setattr(runs_view, "refused", lambda: False)
    monkeypatch.setattr(runs_view, "note", pytest.fail)
    monkeypatch.setattr(runs_view.st, "session_state", {f"title-{tmp_path.name}": "x" * 81})
    with pytest.raises(UsageError, match="at most 80 characters"):
        runs_view._rename(Run(tmp_path), "ann")


def test_runs_of_one_label_are_told_apart(monkeypatch):
    labels = {"a-123456": "baseline", "b-654321": "baseline", "c-111111": "other"}
    monkeypatch.setattr(session, "run_label", labels.get)
    shown = session.labels_apart(list(labels))
    assert shown == {"a-123456": "baseline (123456)", "b-654321": "baseline (654321)", "c-111111": "other"}
