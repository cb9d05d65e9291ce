from pathlib import Path

import pytest

from lsi.runs.run import Run
from lsi.ui.runs_view import in_order


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
