"""Every page without a browser."""

import asyncio
import base64
import hashlib
import io
import json
import os
import re
import socket
import time
import zipfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import streamlit
from PIL import Image
from starlette.applications import Starlette
from starlette.testclient import TestClient
from streamlit.testing.v1 import AppTest

from lsi.compute import jobs
from lsi.errors import DataError, StorageError
from lsi.runs.decisions import Decision, Reviews
from lsi.runs.listing import list_runs
from lsi.runs.titles import label_of, rename
from lsi.runs.trail import trail
from lsi.ui import bar, classes, deciding, detail, export_view, login, map_view, samples, session
from lsi.ui.filters import Filter
from lsi.ui.login import Person
from lsi.ui.roles import Role
from lsi.ui.runs_view import table_key
from lsi.ui.server import MIDDLEWARE, ROUTES, inline_script_hashes, start
from lsi.ui.wording import plain
from tests.ui.conftest import ROOT

PAGES = ("samples", "issues", "map", "classes", "redundancy", "export")


def visit(app: AppTest, page: str) -> AppTest:
    app.run()
    app.switch_page(str(ROOT / "pages" / f"{page}.py")).run()
    assert not app.exception, [e.value for e in app.exception]
    return app


def written(app: AppTest) -> str:
    """All text on the page, without Markdown's backslashes."""
    kinds = ("title", "subheader", "markdown", "caption", "info")
    texts = [str(e.value) for kind in kinds for e in getattr(app, kind)]
    texts += [str(e.label) for kind in ("button", "slider", "expander", "metric") for e in getattr(app, kind)]
    return "\n".join(texts).replace("\\", "")


@pytest.mark.parametrize(
    ("page", "content"),
    [
        ("samples", ("All **400** images", "double-click or Enter opens")),
        ("issues", ("suspected labels are undecided. **Between ",)),
        ("map", ("All **400** images", "Draw around points, and their images appear here")),
        ("classes", ("Information per class", "Suspected labels: given against suggested")),
        ("redundancy", ("Near duplicates", "**320** images stay; ")),
        ("export", ("All **400** images", "Kept")),
    ],
)
def test_every_page_shows_what_it_is_for(app, page, content):
    text = written(visit(app, page))
    assert [part for part in content if part not in text] == []


def test_runs_on_other_data_are_compared_by_id_and_content_or_not_at_all(app, calibrated, texts):
    """Both name their samples by their numbers: the same ids stand for other samples."""
    app.query_params["run"] = calibrated.name
    visit(app, "runs")
    box = next(b for b in app.selectbox if b.label == "Compare with")
    assert box.value is None
    box.select(texts.name).run()
    assert any("share no sample" in str(w.value) for w in app.warning)


@pytest.mark.parametrize("page", PAGES)
def test_every_page_draws_with_hostile_class_names(app, hostile, page):
    app.query_params["run"] = hostile.name
    visit(app, page)
    shown = " ".join(str(m.value) for m in app.markdown)
    assert "](javascript:" not in shown
    assert "![](" not in shown


@pytest.mark.parametrize("page", PAGES)
def test_a_run_of_texts_speaks_of_texts(app, texts, page):
    app.query_params["run"] = texts.name
    visit(app, page)
    shown = [str(e.value) for kind in ("markdown", "caption", "info") for e in getattr(app, kind)]
    shown += [str(e.label) for kind in ("button", "slider", "expander", "toggle") for e in getattr(app, kind)]
    assert any("200** texts" in s or "of 200 texts" in s for s in shown)
    assert not [s for s in shown if "image" in s]


def test_a_run_on_vectors_of_the_data_says_so(app, texts):
    visit(app, "runs")
    rows = [table.value for table in app.dataframe if "Features" in table.value]
    assert "own features" in set(rows[0]["Features"])
    assert label_of(texts).startswith("sayings: 200 samples, own features")


def test_texts_are_filtered_by_what_they_say(app, texts):
    app.query_params["run"], app.query_params["text"] = texts.name, "WHITE heron"
    visit(app, "samples")
    assert any("**50** of 200 texts" in str(m.value) for m in app.markdown)
    assert any(t.label == "Text contains" for t in app.text_input)


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("task", ["regression", "paired", "self"])
def test_every_page_draws_without_classes(app, unlabelled, task, page):
    app.query_params["run"] = unlabelled[task].name
    visit(app, page)
    notes = " ".join(str(i.value) for i in app.info)
    assert ("so there is no class to see" in notes) == (page == "classes")
    assert ("so there is no suspected label to see" in notes) == (page == "issues" and task == "self")
    assert not any(s.label == "Relabel as" for s in app.selectbox)
    assert not any(s.label == "Class" for s in app.multiselect)


def test_overview_of_a_run_without_labels(app, unlabelled):
    app.query_params["run"] = unlabelled["self"].name
    app.run()
    assert not app.exception
    assert app.metric[0].label == "1. Explained by another view"


def test_suspected_numbers_are_shown_and_excluded(app, unlabelled):
    run = unlabelled["regression"]
    assert run.scores["is_label_issue"].to_numpy()[[3, 20, 41]].all()
    app.query_params["run"] = run.name
    visit(app, "issues")
    button = next(b for b in app.button if b.label.startswith("Exclude"))
    button.click().run()
    assert not app.exception
    assert len(deciding.decisions(session.View(run))) == int(run.scores["is_label_issue"].sum())


def test_the_most_suspect_targets_come_first_where_their_scores_are_equal(app, unlabelled, monkeypatch):
    run = unlabelled["regression"]
    nothing = SimpleNamespace(numbers=np.zeros(len(run.scores)))
    monkeypatch.setattr(session.View, "column", lambda *_: nothing)  # as residuals that are too long for a score have
    shown: list[samples.Ranking] = []
    monkeypatch.setattr(samples, "grid", lambda view, ranking: (shown.append(ranking), ([], None))[1])
    app.query_params["run"] = run.name
    page = visit(app, "samples")
    page.selectbox(key=samples.ORDER).select("Most suspect target").run()
    residuals = run.scores["standardised_residual"].to_numpy()
    assert np.all(np.diff(residuals[shown[-1].order]) <= 0)


def test_a_detail_says_target_prediction_and_who_draws_it(cache, unlabelled, monkeypatch):
    monkeypatch.setenv("LSI_CACHE", str(cache))
    name = unlabelled["regression"].name

    def page(name: str) -> None:
        from lsi.ui import detail, session

        view = session.open_view(name)
        assert view is not None
        detail.statement(view, view.table.iloc[3])
        detail.reasons(view, 3)

    app = AppTest.from_function(page, kwargs={"name": name}, default_timeout=60).run()
    assert not app.exception, [e.value for e in app.exception]
    text = " ".join(m.value for m in app.markdown)
    assert "predicted without it" in text
    assert "Pull the prediction to what was given" in text
    assert "<b>weight" not in text.replace("\\<b", "")


def test_a_calibrated_run_says_how_precise_a_cut_is(app, calibrated):
    app.query_params["run"] = calibrated.name
    visit(app, "issues")
    assert any("How precise is a cut?" in e.label for e in app.expander)
    assert any("of 300 samples" in str(m.value) for m in app.markdown)  # features alone are no images
    expected = calibrated.manifest["calibration"]["expected_wrong"]
    assert any("Labels taken" in s.label for s in app.slider)
    assert any(f"**{round(expected):,}** least probable labels" in str(m.value) for m in app.markdown)


@pytest.mark.parametrize("page", ["samples", "issues", "map"])
@pytest.mark.parametrize("query", [{"text": "nothing has this"}, {"class": "3"}, {"text": "000005"}])
def test_pages_say_how_many_rows_pass_also_none_one_class_or_one(app, cache, page, query):
    run = next(r for r in list_runs(cache) if r.name.startswith("digits"))
    for name, value in query.items():
        app.query_params[name] = value
    passes = Filter.from_query({name: [value] for name, value in query.items()})
    rows = passes.mask(run.captioned(), deciding.decisions(session.View(run)), None)
    if page == "issues":
        rows &= run.scores["is_label_issue"].to_numpy()
    assert f"**{rows.sum():,}** of 400 images" in written(visit(app, page))


def two_runs(app: AppTest, calibrated) -> tuple[str, str]:
    """The name of the run that the app shows first, and that of an older one."""
    names = session.run_names()
    older = next(name for name in reversed(names) if name.startswith("digits"))
    assert older != names[0], "the chosen run must not be the one that is chosen anyway"
    del app.query_params["run"]
    return names[0], older


def test_the_chosen_run_survives_every_link(app, calibrated):
    newest, older = two_runs(app, calibrated)
    app.run()
    assert app.selectbox(key="run_box").value == newest
    app.selectbox(key="run_box").select(older).run()
    next(b for b in app.button if b.label == "Review them").click().run()
    assert not app.exception
    assert app.title[0].value == "Label issues"
    assert app.selectbox(key="run_box").value == older
    assert older in app.query_params["run"]
    visit(app, "classes")
    next(b for b in app.button if b.key.startswith("cell-")).click().run()
    assert app.title[0].value == "Label issues"
    assert app.selectbox(key="run_box").value == older
    assert "of 400 images" in written(app)


def test_a_link_to_a_run_that_is_gone_says_so_until_another_is_chosen(app, calibrated):
    first, second = two_runs(app, calibrated)
    app.query_params["run"] = "thirty-0000000000000000"
    app.run()
    assert "is not here" in app.warning[0].value
    shown = app.selectbox(key="run_box").value
    app.selectbox(key="run_box").select(second if shown == first else first).run()
    assert not app.warning


@pytest.mark.parametrize("said", ["dictionary changed size during iteration", "something else"])
def test_a_session_that_two_threads_touched_is_drawn_again_and_other_errors_are_shown(app, monkeypatch, said):
    draw, calls = bar.draw, []

    def fail_once(*given, **named) -> None:
        calls.append(1)
        if len(calls) == 1:
            raise RuntimeError(said)
        draw(*given, **named)

    monkeypatch.setattr(bar, "draw", fail_once)
    app.run()
    assert bool(app.exception) == (said == "something else")
    assert len(calls) == (1 if said == "something else" else 2)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(5, "Input/output error", "scores.parquet"), "Input/output error (scores.parquet)"),
        (OSError("gone"), "gone"),
    ],
)
def test_a_file_that_cannot_be_read_while_a_page_is_drawn_is_a_sentence(app, monkeypatch, error, said):
    def fail(*_args, **_facts):
        raise error

    monkeypatch.setattr("lsi.ui.bar.draw", fail)
    app.run()
    assert not app.exception
    assert [shown.value.replace("\\", "").partition(". Nothing")[0] for shown in app.error] == [
        f"A file could not be read or written: {said}"
    ]


def test_of_many_runs_the_newest_are_offered_and_the_one_on_screen(app, monkeypatch):
    truth = bar.run_names
    monkeypatch.setattr(bar, "run_names", lambda: [f"made-{i:016x}" for i in range(300)] + truth())
    app.run()
    assert not app.exception
    offered = app.selectbox(key="run_box")
    assert offered.value == app.query_params["run"]
    assert len(offered.options) == 201
    assert offered.options[1:] == [f"made-{i:016x}" for i in range(200)]


def test_the_way_back_to_a_run_that_is_gone_brings_nothing_of_it_along(app, monkeypatch):
    app.run()
    shown = app.selectbox(key="run_box").value
    monkeypatch.setattr(bar, "get_script_run_ctx", lambda: SimpleNamespace(is_history_navigation=True))
    for name, value in {"run": "thirty-0000000000000000", "lasso": "s0,0_1,0_0,1", "group": "3", "at": "5",
                        "class": "none of these"}.items():  # fmt: skip
        app.query_params[name] = value
    app.run()
    assert not app.exception
    assert app.selectbox(key="run_box").value == shown
    assert "is not here" in app.warning[0].value
    assert app.session_state["filter"] == Filter()
    assert "at" not in app.query_params
    app.query_params["run"] = shown
    app.run()
    assert not app.warning


def _is_away() -> bool:
    raise StorageError("The database is away.")


def test_a_name_that_is_changed_back_is_remembered_too(app, monkeypatch):
    written = []
    monkeypatch.setattr(bar, "remember", lambda cookie, value, path: written.append(value))
    app.run()
    assert not written
    for name in ("ann", "me"):
        app.text_input(key="reviewer").set_value(name).run()
        assert written[-1] == name
    app.text_input(key="reviewer").set_value("ann").run()
    with monkeypatch.context() as away:
        away.setattr(bar, "looks_only", _is_away)
        app.run()
        assert not [box for box in app.text_input if box.key == "reviewer"]
    app.run()
    assert (app.text_input(key="reviewer").value, written[-1]) == ("ann", "ann")


def test_what_fails_in_a_part_of_a_page_is_a_sentence(app, monkeypatch):
    def fail(*_: object) -> None:
        raise DataError("The features are *gone*.")

    monkeypatch.setattr(map_view.maps, "cached_projection", lambda *_: None)
    monkeypatch.setattr(map_view.maps, "projection_of_run", fail)
    page = visit(app, "map")
    page.button(key="compute-map").click().run()
    assert not page.exception
    assert [e.value for e in page.error] == [plain("The features are *gone*.")]
    monkeypatch.setattr(detail, "content", fail)

    def opened() -> None:
        from pathlib import Path

        from lsi.runs.run import Run
        from lsi.ui import detail
        from lsi.ui.session import View

        detail.show(View(Run(Path("nowhere"))), 0)

    page = AppTest.from_function(opened).run()
    assert not page.exception
    assert [e.value for e in page.error] == [plain("The features are *gone*.")]


def test_another_run_takes_no_positions_and_no_classes_along(app, calibrated, unlabelled):
    _, older = two_runs(app, calibrated)
    app.query_params["run"] = older
    app.query_params["lasso"] = "s0,0_1,0_0,1"
    app.query_params["class"] = "3"
    visit(app, "samples")
    app.session_state["focus"] = older, 399
    app.selectbox(key="run_box").select(unlabelled["regression"].name).run()
    assert not app.exception
    assert "All **60** images" in written(app)
    visit(app, "map")
    assert "All **60** images" in written(app)


def test_another_run_takes_no_class_that_was_chosen_along(app, hostile):
    """A class is chosen by its number, which is another class there."""
    app.query_params["lsi"], app.query_params["at"] = "0-0.9", "5"
    visit(app, "samples")
    app.session_state["opened"] = app.selectbox(key="run_box").value, 5
    app.button_group(key="panel").set_value("Detail").run()
    labels = ("Relabel as", "Another class")

    def chosen() -> list:
        return [next(box for box in app.selectbox if box.label == label).value for label in labels]

    for label in labels:
        next(box for box in app.selectbox if box.label == label).select_index(1).run()
    assert chosen() == [1, 1]
    app.session_state["opened"] = hostile.name, 5
    app.selectbox(key="run_box").select(hostile.name).run()
    assert not app.exception
    assert chosen() == [None, None]


@pytest.mark.parametrize(
    ("page", "name", "value"),
    [("samples", "order", "Most suspect label"), ("samples", "tile", "L"), ("samples", "panel", "Detail"),
     ("map", "colour", "Class"), ("map", "tool", "Box")],
)  # fmt: skip
def test_the_filter_changes_and_what_the_page_shows_stays_in_the_address(app, hostile, page, name, value):
    app.query_params[name] = value
    visit(app, page)
    app.session_state["filter"] = Filter(issues=True, low=0.5)
    app.run()
    assert not app.exception
    address = {key: "".join(app.query_params[key]) for key in app.query_params}
    assert address.items() >= {name: value, "issues": "1", "lsi": "0.50000000-1.00000000"}.items()
    app.session_state["filter"] = Filter()
    app.selectbox(key="run_box").select(hostile.name).run()
    assert not app.exception
    address = {key: "".join(app.query_params[key]) for key in app.query_params}
    assert address.items() >= {name: value, "run": hostile.name}.items()
    assert not address.keys() & {"issues", "lsi"}


def test_the_place_in_the_queue_stays_with_its_run(app, hostile):
    app.query_params["at"] = "2"
    visit(app, "issues")
    assert "".join(app.query_params["at"]) == "2"
    app.selectbox(key="run_box").select(hostile.name).run()
    assert not app.exception
    assert "at" not in app.query_params


def test_a_gallerys_selection_belongs_to_its_run(cache, calibrated, monkeypatch):
    """The same positions of another run are other images, and must not be excluded instead of these."""
    monkeypatch.setenv("LSI_CACHE", str(cache))

    def page() -> None:
        import numpy as np
        import streamlit as st

        from lsi.ui import samples, session

        view = session.open_view(st.session_state["name"])
        assert view is not None
        ranking = samples.Ranking(np.arange(10), view.table["lsi"].to_numpy(), 96)
        st.write(samples.grid(view, ranking)[0])

    app = AppTest.from_function(page, default_timeout=60)
    first, second = session.run_names()[:2]
    seen: dict[str, list[int]] = {}
    monkeypatch.setattr("lsi.ui.samples.gallery", lambda tiles, key, act: (seen.setdefault(key, [1]), None))
    for name in (first, second):
        app.session_state["name"] = name
        app.run()
        assert not app.exception
    assert sorted(seen) == sorted(f"gallery-{name}" for name in (first, second))


def test_an_address_opens_the_sample_that_stood_in_detail(app, cache):
    run = next(r for r in list_runs(cache) if r.name.startswith("digits"))
    order = np.argsort(-run.scores["lsi"].to_numpy(), kind="stable")
    app.query_params["panel"], app.query_params["at"] = "Detail", str(order[7])
    visit(app, "samples")
    assert any(c.value == "8 of 400" for c in app.caption)
    app.button(key="step-Next").click().run()
    assert "".join(app.query_params["at"]) == str(order[8])
    app.button_group(key="panel").set_value("Information").run()
    assert "at" not in app.query_params


def test_an_address_holds_the_column_that_colours_the_map(app, rich):
    app.query_params["run"], app.query_params["colour"], app.query_params["colour_column"] = rich.name, "Column", "iso"
    visit(app, "map")
    assert app.selectbox(key="colour_column").value == "iso"


def test_lists_that_are_cut_say_so(app, monkeypatch):
    monkeypatch.setattr(map_view, "_LISTED", 7)
    monkeypatch.setattr(classes, "SHOWN_PAIRS", 2)
    assert "Of these 400 images the 7 of most information as a table" in written(visit(app, "map"))
    assert "The table lists the first 2 pairs." in written(visit(app, "classes"))


def test_suspected_numbers_are_called_targets_in_the_filter_too(app, unlabelled):
    app.query_params["run"], app.query_params["issues"] = unlabelled["regression"].name, "1"
    visit(app, "samples")
    assert [b.label for b in app.button if str(b.key).startswith("chip-")] == ["suspected targets"]


def test_what_is_kept_as_no_duplicate_is_not_counted_as_confirmed(app, cache):
    run = next(r for r in list_runs(cache) if r.name.startswith("digits"))
    kept = [Decision(0, "keep"), Decision(1, "keep", is_of_label=False), Decision(2, "keep", is_of_label=False)]
    deciding.reviews().record(run.subject, "me", kept)
    app.run()
    assert "1 confirmed, 2 kept." in written(app)


def test_overview_says_what_lsi_is_and_leads_on(app):
    app.run()
    assert not app.exception
    assert any("how much the model's knowledge depends on one image" in str(m.value) for m in app.markdown)
    assert [m.label for m in app.metric] == ["1. Suspected labels", "2. Near duplicates", "3. Decisions"]
    button = next(b for b in app.button if b.label == "Review them")
    button.click().run()
    assert not app.exception


def test_deciding_undo_and_export_agree(app, cache):
    run = next(r for r in list_runs(cache) if r.name.startswith("digits"))
    fresh = AppTest.from_file(str(ROOT / "lsi" / "ui" / "main.py"), default_timeout=60)
    fresh.query_params["issues"], fresh.query_params["run"] = "1", run.name
    visit(fresh, "samples")
    exclude = next(b for b in fresh.button if b.label.startswith("Exclude"))
    count = int(run.scores["is_label_issue"].sum())
    assert f"{count:,} filtered image" in exclude.label
    exclude.click().run()
    assert len(deciding.decisions(session.View(run))) == count
    visit(fresh, "export")
    assert [m.value for m in fresh.metric] == [f"{400 - count:,}", f"{count:,}", "0"]
    next(b for b in fresh.button if b.label == "Undo").click().run()
    assert [m.value for m in fresh.metric] == ["400", "0", "0"]


def test_suggestions_for_several_leave_what_people_decided(app, cache, monkeypatch):
    run = next(r for r in list_runs(cache) if r.name.startswith("digits"))
    app.query_params["issues"] = "1"
    visit(app, "samples")
    view = session.open_view(run.name)
    offered = deciding.suggested(view, list(range(400)))
    kept, single = offered[:2], offered[2]
    deciding.reviews().record(run.subject, "ann", [Decision(i, "keep") for i in kept])
    app.run()
    button = app.button(key="filtered-suggestion")
    assert button.label == f"Take the suggestion for {len(offered) - 2} (2 decided ones stay)"
    said = samples._act(view, "me", "suggestion", [*kept, single])
    assert said == "Took the suggestion: 1 image. Undo takes it back. 2 that were decided before stay."
    button.click().run()
    decided = deciding.decisions(view)["action"]
    assert decided[kept].tolist() == ["keep", "keep"]
    assert set(decided[offered[2:]]) == {"relabel"}
    assert app.button(key="filtered-suggestion").disabled
    samples._act(view, "me", "suggestion", kept[:1])
    assert deciding.decisions(view)["action"][kept[0]] == "relabel", "one tile is decided on purpose"


def test_an_archive_is_of_one_state_of_the_decisions(app, cache, monkeypatch):
    """Somebody decides between the page and the click: lists, columns and decisions say the same."""
    offered = {}
    run = next(r for r in list_runs(cache) if r.name.startswith("digits"))
    first, second = np.flatnonzero(run.scores["id"].str.contains("1"))[:2].tolist()
    deciding.reviews().record(run.subject, "me", [Decision(first, "exclude")])
    app.query_params["text"] = "1"
    visit(app, "export").toggle(key="only_filtered").set_value(True).run()
    monkeypatch.setattr(export_view.st, "download_button", lambda label, data, *_, **__: offered.update({label: data}))
    app.run()
    deciding.reviews().record(run.subject, "ann", [Decision(first, "keep"), Decision(second, "exclude")])
    files = zipfile.ZipFile(io.BytesIO(offered["Download"]()))
    audit = pd.read_csv(io.BytesIO(files.read("audit.csv")), dtype={"id": str}).set_index("id")
    removed = {int(i) for i in files.read("removed_indices.txt").split()}
    records = {r["id"]: r["action"] for r in json.loads(files.read("decisions.json"))["decisions"]}
    for position, action in ((first, "keep"), (second, "exclude")):
        row = run.scores.iloc[position]
        assert (int(row["index"]) in removed) == (action == "exclude")
        assert records[str(row["id"])] == audit.loc[str(row["id"]), "decision"] == action
    assert len(removed) == 1 + int((~run.scores["id"].str.contains("1")).sum())


def test_a_database_that_fails_is_a_sentence_beside_the_page(app, cache, monkeypatch):
    def fail(*_) -> int:
        raise StorageError("The database is in use by another program.")

    app = visit(app, "samples")
    run = next(r for r in list_runs(cache) if r.name.startswith("digits"))
    deciding.reviews().record(run.subject, "me", [Decision(0, "keep")])
    app.run()
    monkeypatch.setattr(Reviews, "undo", fail)
    app.button(key="undo").click().run()
    assert not app.exception
    assert "in use by another program" in app.toast[0].value
    assert app.title[0].value == "Samples"


def test_decisions_that_wait_for_the_database_are_counted(app):
    app = visit(app, "samples")
    key = next(iter(app.session_state["decision_logs"]))
    log = app.session_state["decision_logs"][key]
    log.held = [[1, log.token, "keep", [0]], [2, log.token, "keep", [1]]]
    log.why, log._failed = "The database is in use.", time.monotonic()
    app.run()
    assert "2 decisions are not written yet" in app.error[0].value
    log._failed = float("-inf")
    app.button(key="write-again").click().run()
    assert not app.error


def test_what_is_no_position_in_a_selection_breaks_no_page(app):
    app = visit(app, "samples")
    key = next(iter(app.session_state["decision_logs"]))
    token = app.session_state["decision_logs"][key].token
    app.session_state[key] = {"selected": [3, None, "4", 5], "log": [[1, token, "keep", [3, None]]]}
    app.run()
    assert not app.exception
    assert [b.label for b in app.button if b.key == "selected-keep"] == ["Keep 2 selected images"]
    assert "Kept: 1 image" in app.toast[0].value.replace("\\", "")


def look_only(monkeypatch, how: str) -> None:
    if how == "LSI_READ_ONLY":
        monkeypatch.setenv("LSI_READ_ONLY", "1")
    else:
        sign_in(monkeypatch, "viewer")


def sign_in(monkeypatch, role: Role) -> None:
    monkeypatch.setenv("LSI_PROXY_HEADER", "X-Forwarded-Email")
    monkeypatch.setattr(login, "current", lambda: Person(f"{role}@example.org", role))


@pytest.mark.parametrize("how", ["LSI_READ_ONLY", "viewer"])
def test_read_only_offers_nothing_that_writes(app, monkeypatch, how):
    look_only(monkeypatch, how)
    for page in ("overview", *PAGES):
        visit(app, page)
        labels = [b.label for b in app.button if not b.disabled]
        words = ("Exclude", "Keep", "Relabel", "Undo", "Compute", "Delete", "Rename", "Decide", "Start")
        assert [label for label in labels if any(word in label for word in words)] == [], page
        assert not app.file_uploader
        assert not [t for t in app.text_input if t.label == "Reviewer"]


@pytest.mark.parametrize("how", ["LSI_READ_ONLY", "viewer"])
def test_read_only_decides_nothing_even_when_asked(app, cache, monkeypatch, how):
    look_only(monkeypatch, how)
    view = session.open_view(next(r for r in list_runs(cache) if r.name.startswith("digits")).name)
    deciding.decide(view, "me", [1], "exclude")
    assert Reviews.of_cache(cache).history(view.run.subject).empty


@pytest.mark.parametrize(("role", "may_delete"), [("reviewer", False), ("admin", True)])
def test_only_an_admin_deletes_runs_and_a_login_is_the_reviewer(app, cache, monkeypatch, role, may_delete):
    sign_in(monkeypatch, role)
    visit(app, "runs")
    app.session_state[table_key(list_runs(cache))] = {"selection": {"rows": [0], "columns": []}}
    app.run()
    labels = [b.label for b in app.button]
    assert ("Delete this run" in labels) == may_delete
    assert "Rename" in labels
    assert deciding.reviewer() == f"{role}@example.org"
    assert not [t for t in app.text_input if t.label == "Reviewer"]


def test_a_title_is_saved_as_it_was_typed_though_the_page_was_drawn_before(app, cache):
    visit(app, "runs")
    run = list_runs(cache)[0]
    app.session_state[table_key(list_runs(cache))] = {"selection": {"rows": [0], "columns": []}}
    app.run()
    app.text_input(key=f"title-{run.name}").set_value("first try")
    app.button(key=f"rename-{run.name}").click().run()
    assert not app.exception
    assert list_runs(cache)[0].title == "first try"
    rename(list_runs(cache)[0], "")


def test_a_role_that_was_taken_away_does_nothing_from_a_page_that_is_open(app, cache, monkeypatch):
    run, others = next(r for r in list_runs(cache) if r.name.startswith("digits")), len(list_runs(cache))
    for key, page, entry in (("gallery", "samples", ["exclude", [3]]), ("queue", "issues", [3, "keep", None])):
        sign_in(monkeypatch, "reviewer")
        visit(app, page)
        token = app.session_state["decision_logs"][f"{key}-{run.name}"].token
        app.session_state[f"{key}-{run.name}"] = {"log": [[1, token, *entry]]}
        sign_in(monkeypatch, "viewer")
        app.run()
        assert not app.exception
        assert [t.value for t in app.toast] == [plain("Read-only: nothing can be changed here.")]
    for label in ("Rename", "Delete this run"):
        sign_in(monkeypatch, "admin")
        visit(app, "runs")
        app.session_state[table_key(list_runs(cache))] = {"selection": {"rows": [0], "columns": []}}
        app.run()
        button = next(b for b in app.button if b.label == label)
        sign_in(monkeypatch, "reviewer" if label.startswith("Delete") else "viewer")
        button.click().run()
        assert not app.exception
        assert len(app.toast) == 1
    assert len(list_runs(cache)) == others
    assert not len(trail(deciding.reviews()))


def test_what_was_done_is_written_down_under_the_name_of_who_did_it(app, cache, monkeypatch):
    started = []
    monkeypatch.setattr(jobs, "start", lambda *what, **_: started.append(what) or jobs.Job(cache / "none"))
    sign_in(monkeypatch, "admin")
    visit(app, "runs")
    app.session_state[table_key(list_runs(cache))] = {"selection": {"rows": [0], "columns": []}}
    app.run()
    title = next(b for b in app.button if b.label == "Rename")
    title.click().run()
    run = next(r for r in list_runs(cache) if r.name.startswith("digits"))
    deciding.reviews().record(run.subject, "bob", [Decision(0, "keep")])
    visit(app, "export")
    app.button(key="recompute").click().run()
    assert not app.exception
    assert len(started) == 1
    export_view._report(session.View(run), "eve")
    rows = trail(deciding.reviews())
    assert list(zip(rows["who"], rows["what"], strict=True)) == [
        ("admin@example.org", "renamed"),
        ("bob", "keep"),
        ("admin@example.org", "started"),
        ("eve", "exported a report"),
    ]
    visit(app, "runs")
    shown = next(d.value for d in app.dataframe if "Who" in d.value.columns)
    assert shown["What"].tolist() == ["exported a report", "started", "keep", "renamed"]
    sign_in(monkeypatch, "reviewer")
    app.run()
    assert not [d for d in app.dataframe if "Who" in d.value.columns]


def test_computing_again_after_other_decisions_is_another_job(app, cache, monkeypatch):
    """The one that runs may have read those of before."""
    started = []
    monkeypatch.setattr(jobs, "start", lambda _, cache, decided: started.append(decided) or jobs.Job(cache / "none"))
    run = next(r for r in list_runs(cache) if r.name.startswith("digits"))
    for decided in ([Decision(0, "keep")], [], [Decision(1, "keep")]):
        deciding.reviews().record(run.subject, "me", decided)
        visit(app, "export")
        app.button(key="recompute").click().run()
    first, again, other = started
    assert first == again != other


def test_what_cannot_be_written_down_is_not_done(app, cache, monkeypatch):
    def fail(*_, **__) -> None:
        raise StorageError("The disk is full.")

    monkeypatch.setattr(deciding.trail, "note", fail)
    monkeypatch.setattr(jobs, "start", pytest.fail)
    run = next(r for r in list_runs(cache) if r.name.startswith("digits"))
    deciding.reviews().record(run.subject, "me", [Decision(0, "keep")])
    visit(app, "export")
    app.button(key="recompute").click().run()
    assert "The disk is full" in app.error[0].value
    with pytest.raises(StorageError):
        export_view._report(session.View(run), "me")


@pytest.fixture
def client(cache, monkeypatch) -> TestClient:
    monkeypatch.setenv("LSI_CACHE", str(cache))
    return TestClient(Starlette(routes=ROUTES, middleware=MIDDLEWARE), base_url="http://localhost")


def test_images_come_sized_cached_and_with_headers(client, cache):
    name = next(r for r in list_runs(cache) if r.name.startswith("digits")).name
    found = client.get(f"/thumbs/{name}/3?size=128")
    assert found.status_code == 200
    assert found.headers["content-type"] == "image/webp"
    assert "immutable" in found.headers["cache-control"]
    assert "frame-ancestors 'none'" in found.headers["content-security-policy"]
    again = client.get(f"/thumbs/{name}/3?size=128", headers={"if-none-match": found.headers["etag"]})
    assert again.status_code == 304
    gone = client.get(f"/thumbs/{name}gone/3?size=128", headers={"if-none-match": found.headers["etag"]})
    assert gone.status_code == 404
    assert Image.open(io.BytesIO(client.get(f"/images/{name}/3").content)).size == (8, 8)
    assert client.get("/health").json() == {"status": "ok"}


@pytest.mark.parametrize(
    ("path", "code"),
    [("/thumbs/{run}/400", 404), ("/thumbs/{run}/-1", 404), ("/thumbs/{run}/x", 404), ("/thumbs/nothing/0", 404),
     ("/thumbs/..%2F..%2Fetc/0", 404), ("/thumbs/.hidden/0", 404), ("/thumbs/{run}/0?size=9999", 400),
     ("/thumbs/{run}/0?size=x", 400), ("/thumbs/{run}/0?size=²", 400), ("/thumbs/{run}/0?size=" + "1" * 5_000, 400),
     ("/thumbs/{run}/" + "1" * 5_000, 404), ("/images/{run}/²", 404), ("/images/{run}/1e1", 404)],
)  # fmt: skip
def test_image_routes_check_what_they_are_asked(client, cache, path, code):
    name = next(r for r in list_runs(cache) if r.name.startswith("digits")).name
    assert client.get(path.format(run=name)).status_code == code


def test_a_view_answers_for_groups_and_reports(cache, monkeypatch):
    monkeypatch.setenv("LSI_CACHE", str(cache))
    view = session.open_view(next(r for r in list_runs(cache) if r.name.startswith("digits")).name)
    together, apart = view.group_lsi((3,))
    assert together == pytest.approx(apart, rel=1e-5)
    assert apart == pytest.approx(view.table["lsi"].iloc[3], rel=1e-3)
    assert view.group_lsi((3, 4))[0] > together
    assert view.group_lsi((3, 4))[1] == pytest.approx(view.table["lsi"].iloc[[3, 4]].sum(), rel=1e-3)
    assert view.fit is view.fit
    report = export_view._report(view, "me").decode()
    assert "data:image/webp;base64," in report
    assert "Does curation help?" in report


def test_small_answers_leave_at_once():
    """A connection accepted after start-up does not wait for acknowledgements."""

    async def started() -> int:
        async with start(None):
            with socket.create_connection(listener.getsockname()):
                accepted, _ = listener.accept()
                with accepted:
                    return accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)

    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        assert asyncio.run(started()) != 0


def test_a_root_that_is_no_folder_is_said_at_the_start(tmp_path, monkeypatch, caplog):
    async def started() -> None:
        async with start(None):
            pass

    monkeypatch.setenv("LSI_DATA_ROOTS", os.pathsep.join([str(tmp_path), "/data,/photos"]))
    asyncio.run(started())
    assert [r.getMessage() for r in caplog.records if "LSI_DATA_ROOTS" in r.getMessage()] == [
        f"LSI_DATA_ROOTS: /data,/photos is no folder; between several stands {os.pathsep}."
    ]


def test_inline_scripts_are_hashed_as_a_browser_does():
    page = '<script>\n1 + 1;\n</script><script type="module" src="./a.js"></script><script nonce>2</script>'
    expected = [base64.b64encode(hashlib.sha256(text).digest()).decode() for text in (b"\n1 + 1;\n", b"2")]
    assert inline_script_hashes(page) == [f"'sha256-{digest}'" for digest in expected]


def test_the_policy_allows_the_inline_scripts_of_the_installed_streamlit_only(client):
    page = (Path(streamlit.__file__).parent / "static" / "index.html").read_text(encoding="utf-8")
    policy = client.get("/health").headers["content-security-policy"]
    assert sorted(re.findall(r"'sha256-[^']+'", policy)) == sorted(inline_script_hashes(page))
