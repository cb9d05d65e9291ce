from collections.abc import Iterator

import numpy as np
import pandas as pd
import pytest

from lsi.errors import StorageError
from lsi.probabilities import Probabilities
from lsi.runs.decisions import Decision, Reviews
from lsi.runs.listing import list_runs
from lsi.runs.run import Run
from lsi.runs.subject import Subject
from lsi.ui import deciding, issues, session
from lsi.ui.filters import DECISIONS, Filter, decision_codes
from lsi.ui.issues import queue_items
from lsi.ui.session import View
from tests.ui.test_pages import visit, written

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


@pytest.fixture
def three(view, tmp_path, monkeypatch) -> Iterator[tuple[Reviews, Subject]]:
    """A database of three samples that the view is of."""
    reviews = Reviews(f"sqlite:///{tmp_path / 'r.db'}")
    about = Subject("run", "data", list("abc"), list("xyz"), ("x", "y", "z"), np.array([1, 1, 2]))
    monkeypatch.setattr(issues, "reviews", lambda: reviews)
    vars(view.run)["subject"], vars(view)["table"] = about, SCORES
    yield reviews, about
    reviews.engine.dispose()


def test_an_undo_of_something_else_than_what_was_seen_is_said(view, three):
    """Another tab decided since, or several were decided at once: the queue does not show what is taken back."""
    reviews, about = three
    reviews.record(about, "ann", [Decision(0, "keep")])
    reviews.record(about, "ann", [Decision(1, "exclude"), Decision(2, "relabel", 0)])
    assert issues.take_back(view, "ann", 0) == "Undone: 2 decisions, on b, c"
    assert issues.take_back(view, "ann", 0) == ""
    assert issues.take_back(view, "ann", -1) == "Nothing to undo"


def test_an_undo_that_leaves_another_decision_in_force_says_so(view, three):
    reviews, about = three
    for _ in range(2):
        reviews.record(about, "ann", [Decision(0, "keep")])
    stays = "Undone: 1 decision. It changes nothing that is in force."
    assert issues.take_back(view, "ann", 0) == stays
    reviews.record(about, "bob", [Decision(0, "exclude")])
    assert issues.take_back(view, "ann", 0) == stays


def test_an_undo_after_which_nothing_can_be_read_is_not_done_again(view, three, monkeypatch):
    reviews, about = three
    reviews.record(about, "ann", [Decision(0, "keep")])
    answers = [reviews.current(about)]

    def then_away(_) -> pd.DataFrame:
        if not answers:
            raise StorageError("The database is away.")
        return answers.pop()

    monkeypatch.setattr(reviews, "current", then_away)
    assert issues.take_back(view, "ann", 0) == "Undone: 1 decision"


def test_a_list_holds_the_undecided_ones_first_and_keeps_their_order(monkeypatch):
    monkeypatch.setattr(issues, "MOST", 3)
    found = np.array([7, 2, 9, 4, 1])
    assert issues.first_of(found, pd.Index([])).tolist() == [7, 2, 9]
    assert issues.first_of(found, pd.Index([2, 7])).tolist() == [9, 4, 1]
    assert issues.first_of(found, pd.Index([2, 4, 9])).tolist() == [7, 2, 1]


def test_more_suspects_than_a_list_holds_are_said_and_follow_list_by_list(app, cache, monkeypatch):
    run = next(r for r in list_runs(cache) if r.name.startswith("digits"))
    total = int(run.scores["is_label_issue"].sum())
    monkeypatch.setattr(issues, "MOST", total - 2)
    page = visit(app, "issues")
    first = page.session_state["worklist"][1]
    assert f"This list holds **{total - 2} of {total}** suspected labels" in written(page)
    deciding.reviews().record(run.subject, "me", [Decision(int(i), "keep") for i in first])
    page.run()
    assert [s.value for s in page.success] == [
        f"All {total - 2} of this list are decided: {total - 2} confirmed. 2 more are suspected and undecided."
    ]
    page.button(key="after-next").click().run()
    rest = set(page.session_state["worklist"][1]) - set(first)
    assert len(rest) == 2
    deciding.reviews().record(run.subject, "me", [Decision(int(i), "exclude") for i in rest])
    page.run()
    assert [s.value for s in page.success] == [f"All {total} are decided: {total - 2} confirmed, 2 excluded."]
    assert not [b for b in page.button if b.key == "after-next"]


def test_suspected_numbers_beyond_a_list_are_said_and_follow(app, unlabelled, monkeypatch):
    run = unlabelled["regression"]
    suspected = run.scores.index[run.scores["is_label_issue"]]
    monkeypatch.setattr(issues, "MOST", len(suspected) - 1)
    app.query_params["run"] = run.name
    page = visit(app, "issues")
    assert f"{len(suspected) - 1} of {len(suspected)}** suspected targets" in written(page)
    first = page.session_state["worklist"][1]
    deciding.reviews().record(run.subject, "me", [Decision(int(i), "exclude") for i in first])
    page.run()
    page.button(key="after-next").click().run()
    assert set(suspected) - set(first) <= set(page.session_state["worklist"][1])


def test_a_suspect_kept_as_no_duplicate_is_undecided_wherever_decisions_are_shown(app, cache):
    run = next(r for r in list_runs(cache) if r.name.startswith("digits"))
    suspects = run.scores.index[run.scores["is_label_issue"]].tolist()
    others = run.scores.index[~run.scores["is_label_issue"]].tolist()
    apart = [Decision(i, "keep", is_of_label=False) for i in (suspects[0], others[0])]
    said = [Decision(suspects[1], "keep"), Decision(suspects[2], "exclude", is_of_label=False)]
    deciding.reviews().record(run.subject, "me", [*apart, *said])
    codes = decision_codes(400, deciding.shown_decisions(View(run)))
    shown = [DECISIONS[codes[i]] for i in (*suspects[:3], others[0])]
    assert shown == ["undecided", "keep", "exclude", "keep"]
    app.query_params["issues"], app.query_params["decision"] = "1", "undecided"
    page = visit(app, "samples")
    assert f"**{len(suspects) - 2}** of 400 images" in written(page)
    visit(app, "issues")
    assert set(app.session_state["worklist"][1]) == {*suspects} - {*suspects[1:3]}


def test_where_nothing_is_suspected_no_filter_is_blamed(app, cache, monkeypatch):
    run = next(r for r in list_runs(cache) if r.name.startswith("digits"))
    view = session.open_view(run.name)
    monkeypatch.setitem(vars(view), "table", view.table.assign(is_label_issue=False))
    page = visit(app, "issues")
    assert "No label of this run is suspected." in written(page)
    (link,) = [button for button in page.button if button.label == "See all images, the most suspect first"]
    link.click()
    page.run()
    assert page.session_state["order"] == "Most suspect label"
    page = visit(app, "issues")
    page.session_state["filter"] = Filter(low=0.5)
    assert "No suspected label passes the filter. Remove a part of it above." in written(page.run())
