"""The report as a file in a browser: every figure is drawn, and nothing is asked of anybody."""

import re

import pytest
from playwright.sync_api import Browser

from lsi.compute import maps, pipeline, queries
from lsi.config import DataSettings, NoiseSettings, Settings
from lsi.export.report.render import PLOTLY
from lsi.runs.decisions import Decision, Reviews

pytestmark = pytest.mark.e2e


def test_a_report_draws_every_figure_and_asks_nobody(browser: Browser, tmp_path):
    run = pipeline.run(Settings(DataSettings(dataset="digits", subset=400), NoiseSettings(corrupt_label=0.1)), tmp_path)
    reviews = Reviews(f"sqlite:///{tmp_path / 'r.db'}")
    reviews.record(run.subject, "ann", [Decision(3, "exclude"), Decision(4, "relabel", 1)])
    html = queries.report_of_run(run, maps.projection_of_run(run, tmp_path), reviews.current(run.subject))
    reviews.close()
    assert len(html.encode()) < 2_000_000
    (tmp_path / "report.html").write_text(html, encoding="utf-8")
    page = browser.new_page()
    asked, errors = [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto((tmp_path / "report.html").as_uri())
    names = re.findall(r'id="(figure-[a-z]+)"', html)
    assert sorted(names) == ["figure-budget", "figure-classes", "figure-histogram", "figure-map", "figure-matrix"]
    for name in names:
        page.locator(f"#{name} .main-svg").first.wait_for()
        assert page.locator(f"#{name} .main-svg .trace, #{name} .main-svg .hm").count() > 0, name
    assert not errors
    assert [url for url in asked if not url.startswith(("file:", "data:", "blob:"))] == []
    page.close()


def test_the_part_of_plotly_is_of_a_version_that_the_figures_are_written_for():
    ours = re.search(r"plotly\.js \(cartesian - minified\) v(\d+)", PLOTLY.read_text(encoding="utf-8")[:300])
    assert ours is not None
    assert int(ours.group(1)) >= 3  # arrays as base64, which plotly.py writes since its version 6
