"""Tags and notes on the pages."""

import json
from functools import partial

import pytest
from streamlit.testing.v1 import AppTest

from lsi.runs.listing import list_runs
from lsi.runs.remarks import add_remark, remarks
from lsi.runs.run import Run
from lsi.ui import deciding, session
from lsi.ui import said as said_view
from tests.ui.conftest import ROOT
from tests.ui.test_pages import look_only, visit, written


@pytest.fixture
def view(app, cache) -> session.View:
    """The run of digits, with nothing said yet."""
    return session.View(next(r for r in list_runs(cache) if r.name.startswith("digits")))


def opened(view, page: str, **query: str) -> AppTest:
    fresh = AppTest.from_file(str(ROOT / "lsi" / "ui" / "main.py"), default_timeout=60)
    for name, value in ({"run": view.run.name} | query).items():
        fresh.query_params[name] = value
    return visit(fresh, page)


def said(view) -> list[tuple]:
    rows = remarks(deciding.reviews(), view.run.subject)
    return list(rows[["sample", "kind", "text", "reviewer"]].itertuples(index=False, name=None))


def tags_of_sample(page: AppTest):
    return next(m for m in page.multiselect if m.label == "Tags" and m.key != "f_tags")


def test_one_sample_gets_tags_and_notes_and_loses_them(view):
    page = opened(view, "samples", panel="Detail")
    tags_of_sample(page).set_value(["blurry"]).run()
    ((sample, *rest),) = said(view)
    assert rest == ["tag", "blurry", "me"]
    note = next(t for t in page.text_input if t.label == "Add a note")
    assert note.key.endswith(f"-{sample}")
    note.set_value("Ask <b>Ann</b>.").run()
    assert said(view)[1:] == [(sample, "note", "Ask <b>Ann</b>.", "me")]
    assert "Ask <b>Ann</b>." in written(page), "as text, not as HTML"
    assert next(t for t in page.text_input if t.label == "Add a note").value == ""
    tags_of_sample(page).set_value([]).run()
    next(b for b in page.button if b.label == "Remove").click().run()
    assert said(view) == []
    assert not page.exception


def test_tags_and_notes_are_kept_also_where_their_callbacks_were_ended(view, monkeypatch):
    add_remark(deciding.reviews(), view.run.subject, "ann", list(range(400)), "tag", "blurry")
    add_remark(deciding.reviews(), view.run.subject, "ann", [0], "tag", "dark")
    for kind in ("multiselect", "text_input"):
        draw = getattr(said_view.st, kind)
        lost = partial(lambda draw, *args, on_change=None, **options: draw(*args, **options | {"args": None}), draw)
        monkeypatch.setattr(said_view.st, kind, lost)
    page = opened(view, "samples", panel="Detail")
    tags_of_sample(page).set_value(["dark"]).run()
    next(t for t in page.text_input if t.label == "Add a note").set_value("See the log.").run()
    sample = next(i for i, _, text, _ in said(view) if text == "See the log.")
    assert [(kind, text, who) for i, kind, text, who in said(view) if i == sample and who == "me"] == [
        *([("tag", "dark", "me")] if sample else []), ("note", "See the log.", "me")]  # fmt: skip
    assert (sample, "tag", "blurry", "ann") not in said(view)
    assert next(t for t in page.text_input if t.label == "Add a note").value == ""
    add_remark(deciding.reviews(), view.run.subject, "ann", [sample], "tag", "blurry")
    page.run()
    assert (sample, "tag", "blurry", "ann") in said(view), "what a colleague says since stays"
    assert tags_of_sample(page).value == ["dark", "blurry"]


def test_a_tag_for_several_filters_them(view):
    first = int(view.table.index[view.table["is_label_issue"]][0])
    add_remark(deciding.reviews(), view.run.subject, "me", [first], "tag", "second look")  # AppTest types no new ones
    page = opened(view, "samples", issues="1")
    count = int(view.table["is_label_issue"].sum())
    next(s for s in page.selectbox if s.label == "Tag").set_value("second look").run()
    next(b for b in page.button if b.label.startswith("Tag ")).click().run()
    assert len(said(view)) == count
    assert not page.exception
    found = opened(view, "samples", tag="second look")
    assert f"**{count:,}** of 400 images" in written(found)
    assert any(b.label == "tag second look" for b in found.button)
    next(s for s in found.selectbox if s.label == "Tag").set_value("second look").run()
    next(b for b in found.button if b.label == "Take the tag off").click().run()
    assert said(view) == []
    none = opened(view, "samples", tag="another")
    assert "Nothing passes the filter" in written(none)


def test_the_filter_offers_tags_and_notes_where_there_are_any(view):
    page = opened(view, "map")
    assert not any(m.key == "f_tags" for m in page.multiselect)
    add_remark(deciding.reviews(), view.run.subject, "ann", [3, 4], "tag", "blurry")
    add_remark(deciding.reviews(), view.run.subject, "ann", [4], "note", "See.")
    page.run()
    page.multiselect(key="f_tags").set_value(["blurry"]).run()
    assert "**2** of 400 images" in written(page)
    page.toggle(key="f_noted").set_value(True).run()
    assert "**1** of 400 images" in written(page)
    assert page.query_params["tag"] == "blurry"
    assert page.query_params["noted"] == "1"


@pytest.mark.parametrize("how", ["LSI_READ_ONLY", "viewer"])
def test_whoever_may_only_look_reads_them(view, monkeypatch, how):
    add_remark(deciding.reviews(), view.run.subject, "ann", list(range(400)), "tag", "blurry")
    add_remark(deciding.reviews(), view.run.subject, "ann", list(range(400)), "note", "See the log.")
    look_only(monkeypatch, how)
    before = said(view)
    said_view._put(view, "eve", [0], ("mine",), ("blurry",))
    said_view._remove_note(view, "eve", 1)
    assert said(view) == before, "nor by a press that was on its way when the role was taken"
    page = opened(view, "samples", panel="Detail")
    assert "Tags: blurry" in written(page)
    assert "See the log. (ann, " in written(page)
    assert not any(m.label == "Tags" and m.key != "f_tags" for m in page.multiselect)
    assert not any(t.label == "Add a note" for t in page.text_input)
    assert not any(b.label == "Remove" for b in page.button)


def test_decisions_read_in_go_to_the_data_that_they_are_of(app, cache, hostile):
    run = next(r for r in list_runs(cache) if r.name.startswith("digits"))

    def record(of: Run, sample: int) -> dict:
        return {"id": of.subject.ids[sample], "content": of.subject.contents[sample], "action": "unsure",
                "reviewer": "anna", "time": "2026-01-01T00:00:00+00:00"}  # fmt: skip

    theirs = [record(hostile, i) for i in range(5)]
    app.query_params["run"] = run.name
    page = visit(app, "export")
    content = {"dataset": hostile.subject_name, "decisions": [*theirs, record(run, 0)]}
    page.file_uploader[0].upload("decisions.json", json.dumps(content).encode()).run()
    page.button(key="read-in").click().run()
    assert not app.exception
    assert f"6 decisions about {hostile.subject_name} read in" in page.toast[0].value
    assert len(deciding.reviews().current(hostile.subject)) == 5
    assert deciding.reviews().current(run.subject).empty
