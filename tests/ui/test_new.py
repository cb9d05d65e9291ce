"""Data that grew: what is new is a link and a filter."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from lsi.compute import pipeline
from lsi.config import DATABASE, DataSettings, FeatureSettings, Settings
from lsi.runs.decisions import Decision
from lsi.runs.layout import SCORES
from lsi.runs.listing import delete_run
from lsi.ui import deciding, session
from tests.cases import image_files
from tests.ui.conftest import ROOT
from tests.ui.test_pages import visit, written


@pytest.fixture
def grown(tmp_path, monkeypatch):
    """Names of two runs on a table of images: 30 at first, then 36."""
    monkeypatch.setenv("LSI_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("LSI_DATABASE_URL", f"sqlite:///{tmp_path / 'reviews.db'}")
    deciding.reviews.cache_clear()
    (tmp_path / "data").mkdir()
    table = image_files(tmp_path / "data", ("cat", "dog"), 36)
    lines = table.read_text().splitlines(keepends=True)
    runs = []
    for count in (31, 37):  # with the line of names
        table.write_text("".join(lines[:count]))
        runs.append(pipeline.run(Settings(DataSettings(data=table), features=FeatureSettings(backbone="pixels")),
                                 tmp_path / "cache"))  # fmt: skip
    yield runs
    deciding.reviews.cache_clear()


def opened(name: str, page: str, **query: str) -> AppTest:
    fresh = AppTest.from_file(str(ROOT / "lsi" / "ui" / "main.py"), default_timeout=60)
    for key, value in ({"run": name} | query).items():
        fresh.query_params[key] = value
    return visit(fresh, page) if page else fresh.run()


def test_what_is_new_is_a_link_and_a_filter(grown):
    before, after = (run.name for run in grown)
    assert "See 6 new images" in [b.label for b in opened(after, "").button]
    assert not any("new image" in b.label for b in opened(before, "").button)
    page = opened(after, "samples", new="1")
    assert "**6** of 36 images" in written(page)
    page.toggle(key="f_new").set_value(False).run()
    assert "All **36** images" in written(page)


def test_damage_to_the_run_before_is_no_matter_of_this_one(grown):
    before, after = grown
    (before.folder / SCORES).write_bytes(b"damaged")
    page = opened(after.name, "")
    assert not page.exception
    assert not any("new image" in b.label for b in page.button)
    shutil.rmtree(before.folder)
    assert not opened(after.name, "").exception


def test_what_was_left_out_by_decisions_is_not_new_and_a_deleted_run_is_none_before(grown):
    before, after = grown
    deciding.reviews().record(after.subject, "ann", [Decision(3, "exclude"), Decision(35, "exclude")])
    child = pipeline.run(replace(after.settings, decisions=DATABASE), before.folder.parent.parent)
    again = pipeline.run(replace(after.settings, seed=1), before.folder.parent.parent)
    view = session.open_view(again.name)
    assert view is not None
    assert not view.is_new.any()
    delete_run(child)
    delete_run(after)
    assert np.flatnonzero(view.is_new).tolist() == list(range(30, 36))
    delete_run(before)
    assert not view.is_new.any()
