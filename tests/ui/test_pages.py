"""Every page without a browser."""

import asyncio
import io
import socket

import pytest
from PIL import Image
from starlette.applications import Starlette
from starlette.testclient import TestClient
from streamlit.testing.v1 import AppTest

from lsi.runs.decisions import Reviews
from lsi.runs.run import list_runs
from lsi.ui import export_view, session
from lsi.ui.server import MIDDLEWARE, ROUTES, send_at_once
from tests.ui.conftest import ROOT

PAGES = ("samples", "issues", "map", "classes", "redundancy", "export")


def visit(app: AppTest, page: str) -> AppTest:
    app.run()
    app.switch_page(str(ROOT / "pages" / f"{page}.py")).run()
    assert not app.exception, [e.value for e in app.exception]
    return app


@pytest.mark.parametrize("page", PAGES)
def test_every_page_draws(app, page):
    assert visit(app, page).title[0].value


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
    told = " ".join(str(i.value) for i in app.info)
    assert ("so there is no class to see" in told) == (page == "classes")
    assert ("so there is no suspected label to see" in told) == (page == "issues" and task == "self")
    assert not any(s.label == "Relabel as" for s in app.selectbox)
    assert not any(s.label == "Class" for s in app.multiselect)


def test_overview_of_a_run_without_labels(app, unlabelled):
    app.query_params["run"] = unlabelled["self"].name
    app.run()
    assert not app.exception
    assert app.metric[1].label == "Explained by another view"


def test_suspected_numbers_are_shown_and_excluded(app, unlabelled):
    run = unlabelled["regression"]
    assert run.scores["is_label_issue"].to_numpy()[[3, 20, 41]].all()
    app.query_params["run"] = run.name
    visit(app, "issues")
    button = next(b for b in app.button if b.label.startswith("Exclude"))
    button.click().run()
    assert not app.exception
    assert len(session.decisions(run.name)) == int(run.scores["is_label_issue"].sum())


def test_a_detail_says_target_prediction_and_who_draws_it(cache, unlabelled, monkeypatch):
    monkeypatch.setenv("LSI_CACHE", str(cache))
    name = unlabelled["regression"].name

    def page(name: str) -> None:
        from lsi.ui import detail, session

        view = session.open_view(name)
        assert view is not None
        detail.headline(view, view.table.iloc[3])
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
def test_pages_draw_with_no_row_one_class_or_one_row(app, page, query):
    for name, value in query.items():
        app.query_params[name] = value
    visit(app, page)


def test_overview_says_what_lsi_is_and_leads_on(app):
    app.run()
    assert not app.exception
    assert any("how much the model's knowledge depends on one image" in str(m.value) for m in app.markdown)
    assert [m.label for m in app.metric] == ["Images", "Suspected labels", "Held by the top tenth", "Near duplicates"]
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
    assert len(session.decisions(run.name)) == count
    visit(fresh, "export")
    assert [m.value for m in fresh.metric] == [f"{400 - count:,}", f"{count:,}", "0"]
    next(b for b in fresh.button if b.label == "Undo").click().run()
    assert [m.value for m in fresh.metric] == ["400", "0", "0"]


def test_read_only_offers_nothing_that_writes(app, monkeypatch):
    monkeypatch.setenv("LSI_READ_ONLY", "1")
    for page in PAGES:
        visit(app, page)
        labels = [b.label for b in app.button]
        assert not any(word in label for label in labels for word in ("Exclude", "Keep", "Relabel", "Undo", "Compute"))


def test_read_only_decides_nothing_even_when_asked(app, cache, monkeypatch):
    monkeypatch.setenv("LSI_READ_ONLY", "1")
    view = session.open_view(next(r for r in list_runs(cache) if r.name.startswith("digits")).name)
    session.decide(view, [1], "exclude")
    assert Reviews.of_cache(cache).history(view.run.name).empty


@pytest.fixture
def client(cache, monkeypatch) -> TestClient:
    monkeypatch.setenv("LSI_CACHE", str(cache))
    return TestClient(Starlette(routes=ROUTES, middleware=MIDDLEWARE))


def test_images_come_sized_cached_and_with_headers(client, cache):
    name = next(r for r in list_runs(cache) if r.name.startswith("digits")).name
    found = client.get(f"/thumbs/{name}/3?size=128")
    assert found.status_code == 200
    assert found.headers["content-type"] == "image/webp"
    assert "immutable" in found.headers["cache-control"]
    assert "frame-ancestors 'none'" in found.headers["content-security-policy"]
    again = client.get(f"/thumbs/{name}/3?size=128", headers={"if-none-match": found.headers["etag"]})
    assert again.status_code == 304
    assert Image.open(io.BytesIO(client.get(f"/images/{name}/3").content)).size == (8, 8)
    assert client.get("/health").json() == {"status": "ok"}


@pytest.mark.parametrize(
    ("path", "code"),
    [("/thumbs/{run}/400", 404), ("/thumbs/{run}/-1", 404), ("/thumbs/{run}/x", 404), ("/thumbs/nothing/0", 404),
     ("/thumbs/..%2F..%2Fetc/0", 404), ("/thumbs/.hidden/0", 404), ("/thumbs/{run}/0?size=9999", 400),
     ("/thumbs/{run}/0?size=x", 400)],
)  # fmt: skip
def test_image_routes_check_what_they_are_asked(client, cache, path, code):
    name = next(r for r in list_runs(cache) if r.name.startswith("digits")).name
    assert client.get(path.format(run=name)).status_code == code


def test_a_view_answers_for_groups_and_reports(cache, monkeypatch):
    monkeypatch.setenv("LSI_CACHE", str(cache))
    view = session.open_view(next(r for r in list_runs(cache) if r.name.startswith("digits")).name)
    assert view.group_lsi((3,)) == pytest.approx(view.table["lsi"].iloc[3], rel=1e-3)
    assert view.group_lsi((3, 4)) > view.group_lsi((3,))
    assert view.fit is view.fit
    report = export_view._report(view).decode()
    assert "data:image/webp;base64," in report
    assert "Does curation help?" in report


def test_small_answers_leave_at_once():
    """A connection accepted after start-up does not wait for acknowledgements."""

    async def started() -> int:
        async with send_at_once(None):
            with socket.create_connection(listener.getsockname()):
                accepted, _ = listener.accept()
                with accepted:
                    return accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)

    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        assert asyncio.run(started()) != 0
