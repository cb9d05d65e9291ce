"""What the app shows beside scores: columns of the data, image quality, samples without a label, the plan."""

import numpy as np
import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from lsi.cli import main
from lsi.export.report import render
from lsi.ui import colouring, deciding, flags, samples, session
from lsi.ui.columns import ColumnFilter, read_column
from lsi.ui.filters import Filter
from tests.ui.rich import CAMERAS, LONG, PLAN
from tests.ui.test_pages import PAGES, visit, written


@pytest.fixture
def rich_app(app, rich) -> AppTest:
    app.query_params["run"] = rich.name
    return app


def passing(rich, chosen: Filter) -> int:
    return int(chosen.mask(rich.captioned(), deciding.decisions(session.View(rich)), None).sum())


@pytest.mark.parametrize("page", ["overview", *PAGES])
def test_every_page_draws_with_columns_flags_and_unlabelled_images(rich_app, page):
    visit(rich_app, page)
    assert not rich_app.error
    assert not rich_app.warning, [w.value for w in rich_app.warning]


def test_values_of_a_column_are_chosen_in_the_filter(rich_app, rich):
    visit(rich_app, "samples")
    rich_app.selectbox(key="f_column").select("camera").run()
    values = rich_app.multiselect(key="f_column_values")
    counts = rich.scores["camera"].value_counts()
    assert values.options[0] == f"{counts.index[0]} ({counts.iloc[0]:,})"
    assert values.options[-1] == f"(empty) ({rich.scores['camera'].isna().sum()})"
    values.set_value(["", CAMERAS[0]]).run()
    expected = passing(rich, Filter(columns=(ColumnFilter("camera", ("", CAMERAS[0])),)))
    assert 0 < expected < 60
    assert f"**{expected}** of 60 images" in written(rich_app)
    assert list(rich_app.query_params["is.camera"]) == ["", CAMERAS[0]]
    rich_app.selectbox(key="f_column").select("exposure").run()
    rich_app.number_input(key="f_column_low").set_value(0.01).run()
    both = Filter(columns=(ColumnFilter("camera", ("", CAMERAS[0])), ColumnFilter("exposure", (), 0.01, None)))
    assert 0 < passing(rich, both) < expected
    assert f"**{passing(rich, both)}** of 60 images" in written(rich_app)
    next(b for b in rich_app.button if b.label.startswith("camera")).click().run()
    assert "is.camera" not in rich_app.query_params
    assert list(np.atleast_1d(rich_app.query_params["in.exposure"])) == ["0.01.."]
    rich_app.toggle(key="f_column_empty").set_value(True).run()
    assert f"**{rich.scores['exposure'].isna().sum()}** of 60 images" in written(rich_app)
    assert not rich_app.exception


@pytest.mark.parametrize(
    ("name", "value", "one"),
    [
        ("in.iso", "150.0..900.0", ColumnFilter("iso", (), 150.0, 900.0)),
        ("is.exposure", "0.00271", ColumnFilter("exposure", ("0.00271",))),
    ],
)
def test_a_filter_that_the_column_has_no_usual_control_for_stays(rich_app, rich, name, value, one):
    """A range of few numbers, and a value of many: an address may say either."""
    rich_app.query_params[name] = value
    visit(rich_app, "samples")
    for _ in range(2):
        assert f"**{passing(rich, Filter(columns=(one,)))}** of 60 images" in written(rich_app)
        assert list(np.atleast_1d(rich_app.query_params[name])) == [value]
        rich_app.run()
    assert not rich_app.exception


def test_an_address_of_columns_and_flags_is_read_back(rich_app, rich):
    chosen = Filter(quality=("is_dark", "is_blurry"), columns=(ColumnFilter("iso", ("100", "3200")),))
    for name, value in chosen.to_query().items():
        rich_app.query_params[name] = value
    visit(rich_app, "samples")
    assert f"**{passing(rich, chosen)}** of 60 images" in written(rich_app)
    assert rich_app.selectbox(key="f_column").value == "iso"
    assert rich_app.multiselect(key="f_column_values").value == ["100", "3200"]
    assert list(rich_app.query_params["quality"]) == ["is_dark", "is_blurry"]


@pytest.mark.parametrize(
    ("name", "value"),
    [("is.camera", "no such"), ("class", "no such"), ("predicted", "no such"), ("decision", "no such"),
     ("differs", "1"), ("is.nowhere", "x")],
)  # fmt: skip
def test_an_address_may_ask_for_what_the_run_does_not_have(rich_app, name, value):
    rich_app.query_params[name] = value
    visit(rich_app, "samples")
    assert ("**0** of 60 images" if name == "is.camera" else "All **60** images") in written(rich_app)


def test_another_run_takes_no_columns_along(rich_app, cache, app):
    other = next(name for name in session.run_names() if name.startswith("digits"))
    rich_app.query_params["is.camera"] = CAMERAS[0]
    visit(rich_app, "samples")
    rich_app.selectbox(key="run_box").select(other).run()
    assert "All **400** images" in written(rich_app)
    assert not any(s.label == "Column" and "camera" in s.options for s in rich_app.selectbox)


def test_orders_hold_the_columns_with_numbers_and_the_figures(rich, cache, monkeypatch):
    monkeypatch.setenv("LSI_CACHE", str(cache))
    view = session.open_view(rich.name)
    assert view is not None
    known = samples.orders(view)
    assert {"Darkest", "Blurriest", "exposure, lowest first", "iso, highest first", "altitude, highest first"} <= set(
        known
    )
    assert not [name for name in known if name.startswith(("camera", "flash", "photographer", "remark"))]


def test_the_gallery_follows_a_column_of_numbers_stored_as_text(rich_app, rich):
    visit(rich_app, "samples")
    rich_app.selectbox(key="order").select("exposure, lowest first").run()
    assert not rich_app.exception
    assert "exposure" in written(rich_app)


def test_a_flag_leads_to_its_images_the_worst_first(rich_app, rich):
    visit(rich_app, "redundancy")
    text = written(rich_app)
    dark = int(rich.scores["is_dark"].sum())
    assert f"**Dark**: {dark} images" in text
    assert "Near duplicates" in text
    rich_app.button(key="flag-is_dark").click().run()
    assert rich_app.title[0].value == "Samples"
    assert f"**{dark}** of 60 images" in written(rich_app)
    assert rich_app.selectbox(key="order").value == "Darkest"
    assert rich_app.pills(key="f_quality").value == ["is_dark"]


@pytest.mark.parametrize("flag", list(flags.FLAGS))
def test_the_worst_of_a_flag_comes_first(rich, flag):
    rows = flags.worst_first(rich.scores, flag, np.arange(60))
    assert sorted(rows) == np.flatnonzero(rich.scores[flag]).tolist()
    column = flags.FLAGS[flag].order
    if column and len(rows):
        values = rich.scores[column].iloc[rows].tolist()
        assert values == sorted(values, reverse=not flags.FLAGS[flag].is_rising)


def test_images_without_a_label_are_shown_with_what_they_are_taken_for(rich_app, rich):
    visit(rich_app, "samples")
    assert "5 images without a label" in written(rich_app)
    table = rich.unlabelled
    wanted = int(table["predicted_label"].iloc[0])
    rich_app.multiselect(key=f"unlabelled_class-{rich.name}").set_value([wanted]).run()
    assert not rich_app.exception


def test_the_images_without_a_label_follow_the_others(rich, cache, monkeypatch):
    monkeypatch.setenv("LSI_CACHE", str(cache))
    view = session.open_view(rich.name)
    assert view is not None
    assert view.thumbnail(64, 64) is not None
    assert view.thumbnail(65, 64) is None
    assert rich.images is not None
    assert rich.images.name(60) == rich.unlabelled["id"].iloc[0]


def test_a_run_whose_samples_all_have_a_label_has_no_others(cache):
    run = next(r for r in session.list_runs(cache) if r.name.startswith("digits"))
    assert run.unlabelled.empty
    assert run.metadata == []


def test_a_detail_shows_every_column_and_the_whole_of_a_long_value(rich, cache, monkeypatch):
    monkeypatch.setenv("LSI_CACHE", str(cache))

    def page(name: str) -> None:
        from lsi.ui import detail, session

        view = session.open_view(name)
        assert view is not None
        detail.everything(view, view.run.scores, 0)
        detail.everything(view, view.run.unlabelled, 1)

    found = AppTest.from_function(page, kwargs={"name": rich.name}, default_timeout=60).run()
    assert not found.exception, [e.value for e in found.exception]
    quality, columns, other = (frame.value for frame in found.dataframe)
    assert quality["width"].iloc[0] == rich.scores["width"].iloc[0]
    assert columns["column"].tolist() == other["column"].tolist() == rich.manifest["dataset"]["metadata"]
    values = dict(zip(columns["column"], columns["value"], strict=True))
    assert values["iso"] == str(rich.scores["iso"].iloc[0])
    assert len(values["remark"]) < 130 < len(LONG)
    assert [t.value.strip() for t in found.text] == [LONG.strip()]


def test_the_overview_says_how_the_data_were_read_and_what_else_there_is(rich_app):
    rich_app.run()
    text = written(rich_app)
    assert [line for line in PLAN if line not in text] == []
    assert "5 images without a label" in text
    assert "Image quality:" in text


def test_the_tenth_that_the_overview_leads_to_has_as_many_samples_as_are_summed(app, hostile):
    app.query_params["run"] = hostile.name
    page = visit(app, "overview")
    next(b for b in page.button if b.label.startswith("See the tenth")).click().run()
    assert len(hostile.scores) == 45
    assert "**4** of 45 images" in written(page)


def test_an_exact_duplicate_is_one_of_several(rich_app, rich):
    assert int(rich.scores["is_exact_duplicate"].sum()) == 2
    assert "2 exact duplicates" in written(visit(rich_app, "overview"))


def test_the_report_and_the_command_line_say_how_the_data_were_read(rich, cache, capsys):
    html = render(rich, check=None, positions=None)
    assert [line for line in PLAN if f"<li>{line}</li>" not in html] == []
    capsys.readouterr()
    assert main(["show", rich.name, "--cache", str(cache)]) == 0
    assert capsys.readouterr().out.splitlines()[:3] == PLAN


@pytest.mark.parametrize("name", ["camera", "exposure", "iso", "altitude", "brightness"])
def test_the_map_is_coloured_by_a_column(rich_app, name):
    visit(rich_app, "map")
    rich_app.segmented_control(key="colour").select("Column").run()
    rich_app.selectbox(key="colour_column").select(name).run()
    assert not rich_app.exception


def test_long_values_that_begin_alike_are_told_apart_in_the_legend_and_stand_there_in_full():
    names = [f"a name that is longer than a legend is wide, number {i}" for i in range(2)]
    legend = colouring.by_value(read_column(pd.Series(names)), "classes").legend
    assert [entry.value for entry in legend] == names
    assert len({entry.text for entry in legend}) == 2
    assert max(len(entry.text) for entry in legend) == 32


def test_frequent_values_have_colours_and_the_rest_is_grey():
    values = [f"v{i:02d}" for i in range(20) for _ in range(20 - i)] + [None]
    painted = colouring.by_value(read_column(pd.Series(values)), "values")
    assert [entry.text for entry in painted.legend] == [*(f"v{i:02d}" for i in range(12)), "8 other values", "(empty)"]
    assert len({tuple(c) for c in painted.colours.tolist()}) == 14
    assert tuple(painted.colours[-1, :3]) == (0xD5, 0xD9, 0xDD)


@pytest.mark.parametrize(
    ("numbers", "lower", "upper"),
    [
        (["0", "5", "10", None], "≤ 0.1", "≥ 9.9"),
        ([2.0, 2.0, 2.0], "2", "2"),
        (np.geomspace(1, 1e6, 201).tolist(), "≤ 1.148", "≥ 870,963.6 (log scale)"),
    ],
)
def test_numbers_are_coloured_on_a_scale_with_its_ends(numbers, lower, upper):
    painted = colouring.by_number(read_column(pd.Series(numbers)))
    assert (painted.legend[0].lower, painted.legend[0].text) == (lower, upper)
    assert painted.legend[0].colour.startswith("linear-gradient(")
    assert ("(empty)" in [entry.text for entry in painted.legend]) == (None in numbers)
    assert painted.colours.shape == (len(numbers), 4)
