"""The controls of the filter, also where Streamlit ends their callbacks before they have done anything."""

import pytest

from lsi.runs.decisions import Decision
from lsi.runs.listing import list_runs
from lsi.ui import column_filter, deciding, filtering
from lsi.ui.filters import Filter
from tests.ui.test_pages import visit, written


@pytest.mark.parametrize("is_lost", [False, True])
def test_a_control_counts_also_where_its_callback_was_ended(app, monkeypatch, is_lost):
    if is_lost:
        monkeypatch.setattr(filtering, "_changed", lambda: None)
    page = visit(app, "samples")
    page.toggle(key="f_issues").set_value(True).run()
    chips = [b.label for b in page.button if str(b.key).startswith("chip-")]
    assert chips == ["suspected labels"]
    assert page.toggle(key="f_issues").value
    page.button(key="chip-suspected labels").click().run()
    assert "All **400** images" in written(page), "a part that is removed stays removed"
    assert not page.toggle(key="f_issues").value


def test_another_control_leaves_a_range_that_is_finer_than_the_slider(app):
    app.query_params["lsi"] = "0.123-0.9"
    page = visit(app, "samples")
    page.toggle(key="f_duplicates").set_value(True).run()
    assert page.session_state["filter"] == Filter(low=0.123, high=0.9, duplicates=True)
    page.slider(key="f_range").set_value((20, 90)).run()
    assert page.session_state["filter"] == Filter(low=0.2, high=0.9, duplicates=True)


def test_disagreement_can_be_filtered_also_where_one_reviewer_decided_everything_last(app, cache):
    run = next(r for r in list_runs(cache) if r.name.startswith("digits"))
    deciding.reviews().record(run.subject, "ann", [Decision(0, "keep"), Decision(1, "keep")])
    page = visit(app, "samples")
    assert not [t for t in page.toggle if t.label == "Reviewers disagree"]
    deciding.reviews().record(run.subject, "bob", [Decision(0, "keep"), Decision(1, "exclude")])
    next(t for t in page.run().toggle if t.label == "Reviewers disagree").set_value(True).run()
    assert any("**1** of 400 images" in str(m.value) for m in page.markdown)


@pytest.mark.parametrize("is_lost", [False, True])
def test_a_column_counts_also_where_its_callback_was_ended(app, rich, monkeypatch, is_lost):
    values = column_filter._values
    if is_lost:
        monkeypatch.setattr(column_filter, "_values", lambda column, one, _: values(column, one, lambda: None))
    app.query_params["run"] = rich.name
    page = visit(app, "samples")
    name = next(c for c in page.selectbox(key="f_column").options if c == "camera")
    page.selectbox(key="f_column").set_value(name).run()
    offered = page.multiselect(key="f_column_values").options
    page.multiselect(key="f_column_values").set_value([offered[0].rpartition(" (")[0]]).run()
    chosen = page.session_state["filter"].of_column("camera")
    assert chosen.is_active
    page.button(key=f"chip-{chosen.chip()}").click().run()
    assert not page.session_state["filter"].of_column("camera").is_active
