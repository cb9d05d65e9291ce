import numpy as np
import pandas as pd
import pytest

from lsi.probabilities import Probabilities
from lsi.runs.decisions import Decision, Reviews
from lsi.runs.run import Run
from lsi.runs.subject import Subject
from lsi.ui import issues
from lsi.ui.issues import queue_items
from lsi.ui.session import View

SCORES = pd.DataFrame({"id": ["a", "b", "c"], "given_label": [1, 1, 2], "suggested_label": [0, 1, 1]})
PROBABILITIES = Probabilities(np.array([[0.7, 0.2, 0.1], [0.2, 0.6, 0.2], [0.1, 0.2, 0.7]]), 3)
JUDGED = Probabilities(np.array([[0.9, 0.05, 0.05], [0.2, 0.6, 0.2], [0.1, 0.7, 0.2]]), 3)


@pytest.fixture
def view(monkeypatch, tmp_path) -> View:
    view = View(Run(tmp_path))
    monkeypatch.setattr(View, "key", (tmp_path.name, 0))
    monkeypatch.setattr(issues, "by_key", lambda key: view)
    manifest = {"dataset": {"has_images": False}}  # instead of the files that it would read
    vars(view.run).update(scores=SCORES, probabilities=PROBABILITIES, manifest=manifest)
    monkeypatch.setattr(Run, "judged", JUDGED)
    return view


@pytest.mark.parametrize(("action", "label"), [("relabel", 0), ("relabel", 2), ("keep", None), ("exclude", None)])
@pytest.mark.parametrize("beside", [[], [Decision(1, "keep")], [Decision(1, "relabel", 1)]])
def test_the_queue_shows_a_decision_with_its_class(view, tmp_path, action, label, beside):
    reviews = Reviews(f"sqlite:///{tmp_path / 'r.db'}")
    about = Subject("run", "data", list("abc"), list("xyz"), ("x", "y", "z"), np.array([1, 0, 0]))
    reviews.record(about, "ann", [Decision(0, action, label), *beside])
    item = queue_items(view, np.array([0]), reviews.current(about))[0]
    assert (item["decision"], item["label"]) == (action, label)
    reviews.engine.dispose()


def test_the_queue_shows_a_sample_without_a_decision(view):
    items = queue_items(view, np.array([2, 1]), pd.DataFrame({"action": [], "label": []}))
    assert [item["i"] for item in items] == [2, 1]
    assert items[0] == {
        "near": [],
        "i": 2,
        "id": "c",
        "text": "",
        "given": 2,
        "suggested": 1,
        "top": [[1, 0.7], [2, 0.2], [0, 0.1]],
        "decision": None,
        "label": None,
    }
    assert items[1]["suggested"] is None, "nothing is suggested where the label is the likeliest"


def test_an_undo_of_something_else_than_what_was_seen_is_said(view, tmp_path, monkeypatch):
    """Another tab decided since, or several were decided at once: the queue does not show what is taken back."""
    reviews = Reviews(f"sqlite:///{tmp_path / 'r.db'}")
    about = Subject("run", "data", list("abc"), list("xyz"), ("x", "y", "z"), np.array([1, 1, 2]))
    monkeypatch.setattr(issues, "reviews", lambda: reviews)
    vars(view.run)["subject"], vars(view)["table"] = about, SCORES
    reviews.record(about, "ann", [Decision(0, "keep")])
    reviews.record(about, "ann", [Decision(1, "exclude"), Decision(2, "relabel", 0)])
    assert issues.take_back(view, "ann", 0) == "Undone: 2 decisions, on b, c"
    assert issues.take_back(view, "ann", 0) == ""
    assert issues.take_back(view, "ann", -1) == "Nothing to undo"
    reviews.engine.dispose()
