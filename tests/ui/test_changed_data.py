"""The app on a run whose data have changed since, or are gone."""

import io
import os
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from starlette.applications import Starlette
from starlette.testclient import TestClient
from streamlit.testing.v1 import AppTest

from lsi.compute import maps, pipeline
from lsi.config import DataSettings, Settings
from lsi.errors import DataError
from lsi.runs.run import Run
from lsi.runs.trail import trail
from lsi.ui import deciding, downloads, export_view, session
from lsi.ui.server import ROUTES
from tests.cases import image_files
from tests.ui.conftest import ROOT

PAGES = ("overview", "samples", "issues", "map", "classes", "redundancy", "export")


@pytest.fixture
def folder(tmp_path) -> Path:
    (tmp_path / "files").mkdir()
    return image_files(tmp_path / "files", ("cat", "dog", "cow"), 36).parent


@pytest.fixture
def run(folder, tmp_path, monkeypatch) -> Run:
    monkeypatch.setenv("LSI_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("LSI_DATABASE_URL", f"sqlite:///{tmp_path / 'reviews.db'}")
    deciding.reviews.cache_clear()
    deciding._decisions.cache_clear()
    found = pipeline.run(Settings(DataSettings(data=folder / "manifest.csv")), tmp_path / "cache")
    maps.projection_of_run(found, tmp_path / "cache")
    return found


def visit(run: Run, page: str) -> AppTest:
    app = AppTest.from_file(str(ROOT / "lsi" / "ui" / "main.py"), default_timeout=60)
    app.query_params["run"] = run.name
    app.run()
    app.switch_page(str(ROOT / "pages" / f"{page}.py")).run()
    assert not app.exception, [e.value for e in app.exception]
    return app


@pytest.mark.parametrize("page", PAGES)
def test_every_page_draws_without_the_data_and_says_so(run, folder, tmp_path, page):
    folder.rename(tmp_path / "elsewhere")
    app = visit(run, page)
    assert any("36 of 36 images have changed since this run" in str(w.value) for w in app.warning)
    assert not app.error


def test_nothing_is_said_while_the_data_are_the_same(run):
    assert not visit(run, "overview").warning


def test_a_changed_image_is_a_placeholder_and_comes_back(run, folder):
    client = TestClient(Starlette(routes=ROUTES))
    path, address = folder / "5.png", f"/thumbs/{run.name}/5?size=64"
    before = path.read_bytes()
    Image.new("RGB", (10, 10), (1, 2, 3)).save(path)
    answer = client.get(address)
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    shown = np.asarray(Image.open(io.BytesIO(answer.content)).convert("RGB"))
    assert shown.shape == (64, 64, 3)
    assert np.median(shown) > 200  # the grey of the placeholder, not the new picture
    path.unlink()
    assert client.get(address).headers["cache-control"] == "no-store"
    path.write_bytes(before)
    answer = client.get(address)
    assert "immutable" in answer.headers["cache-control"]
    assert Image.open(io.BytesIO(answer.content)).size == (10, 10)


@pytest.mark.parametrize("damage", ["scores", "manifest"])
def test_a_damaged_run_is_said_and_another_one_can_be_chosen(run, tmp_path, damage):
    broken = tmp_path / "cache" / "runs" / "broken"
    shutil.copytree(run.folder, broken)
    if damage == "scores":
        (broken / "scores.parquet").write_bytes(b"xx")
    else:
        (broken / "manifest.json").write_text('{"dataset": {}, "features": {}}')
    os.utime(broken / "manifest.json")  # the newest run is the first on screen
    app = AppTest.from_file(str(ROOT / "lsi" / "ui" / "main.py"), default_timeout=60)
    app.run()
    assert not app.exception
    offered = app.selectbox(key="run_box").options
    if damage == "scores":
        assert "scores.parquet is damaged" in app.error[0].value.replace("\\", "")
        app.selectbox(key="run_box").select(run.name).run()
    assert len(offered) == (2 if damage == "scores" else 1)
    assert not app.exception
    assert not app.error
    assert app.metric


def test_the_export_says_which_labels_were_corrected_in_the_data_since(run, folder):
    table = pd.read_csv(folder / "manifest.csv")
    table.loc[0, "label"] = next(name for name in table["label"] if name != table.loc[0, "label"])
    table.to_csv(folder / "manifest.csv", index=False)
    said = [str(w.value) for w in visit(run, "export").warning]
    assert [text.startswith("1 label in the data differs from that") for text in said] == [True]


def test_a_download_that_fails_says_why_on_the_page(run, folder, monkeypatch):
    made = {}

    def button(label, data, *_, **__) -> None:
        made[label] = data

    def failing(*_, **__) -> None:
        raise MemoryError

    page = visit(run, "export")
    page.button_group(key="images").set_value("One folder per class").run()
    monkeypatch.setattr(downloads.st, "download_button", button)
    page.run()
    (folder / "5.png").unlink()
    with pytest.raises(DataError):
        made["Download"]()
    assert trail(deciding.reviews()).empty
    session._count_changed.cache_clear()  # as of the last half minute
    page.run()
    assert "could not be made. " in page.error[0].value
    assert "1 of 36 images has changed since this run. It is not shown" in page.warning[0].value
    page.button_group(key="images").set_value("None").run()
    assert not page.error, "that of other files is not said"
    page.button_group(key="images").set_value("One folder per class").run()
    with monkeypatch.context() as patched:
        patched.setattr(export_view, "export", failing)
        with pytest.raises(MemoryError):
            made["Download"]()
    assert "Something unexpected went wrong" in page.run().error[0].value
    Image.new("RGB", (10, 10), (1, 2, 3)).save(folder / "5.png")
    made["Report"]()
    page.button_group(key="images").set_value("None").run()
    made["Download"]()
    assert not page.run().error
