"""The site of a run in a browser: from a disk, and from a server that knows nothing but files."""

import functools
import http.server
import re
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from lsi.compute import maps, pipeline
from lsi.config import DataSettings, NoiseSettings, Settings
from lsi.export.web.site import write_site
from lsi.runs.decisions import Decision, Reviews
from lsi.runs.records import remark_records
from lsi.runs.remarks import add_remark, remarks
from tests.cases import odd_numbers

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("site")
    run = pipeline.run(
        Settings(DataSettings(dataset="digits", subset=400), NoiseSettings(corrupt_label=0.1)), root / "c"
    )
    reviews = Reviews(f"sqlite:///{root / 'r.db'}")
    reviews.record(run.subject, "ann", [Decision(3, "exclude"), Decision(4, "relabel", 1)])
    add_remark(reviews, run.subject, "ann", [4], "tag", "second look")
    decisions, said = reviews.current(run.subject), remark_records(run.subject, remarks(reviews, run.subject))
    reviews.close()
    where = maps.projection_of_run(run, root / "c")
    write_site(run, root / "site", positions=where, decisions=decisions, remarks=said)
    (root / "site" / "report.html").write_text("")
    return root / "site"


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Serves files and says nothing."""

    def log_message(self, *_) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def address(site) -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(site)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def visit(browser: Browser):
    page = browser.new_page(viewport={"width": 1440, "height": 900})
    page.set_default_timeout(60_000)
    seen: list[str] = []
    page.on("console", lambda message: seen.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: seen.append(str(error)))

    def opened(where: str) -> Page:
        page.goto(where)
        return page

    yield opened
    page.close()
    assert seen == []


def names(page: Page) -> list[str]:
    return page.locator(".tile").evaluate_all("tiles => tiles.map(t => t.getAttribute('aria-label'))")


def test_it_filters_orders_and_opens_from_a_disk(site, visit):
    page, asked = visit(site.joinpath("index.html").as_uri()), []
    page.on("request", lambda request: asked.append(request.url))
    expect(page.locator("output")).to_have_text("All 400 images")
    page.get_by_label("Decision").select_option("relabelled")
    expect(page.locator("output")).to_have_text("1 of 400 images")
    page.locator(".tile").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("relabelled as 1")
    expect(dialog).to_contain_text("second look")
    expect(dialog.locator("img")).to_have_js_property("naturalWidth", 8)
    dialog.get_by_role("button", name="Close").click()
    page.get_by_role("button", name="Show all").click()
    page.get_by_label("suspected only").check()
    page.get_by_label("Order").select_option("Most suspect label")
    first = names(page)[0]
    again = page.url
    page.goto("about:blank")
    page.goto(again)
    expect(page.get_by_label("suspected only")).to_be_checked()
    assert names(page)[0] == first, "what is shown stands in the address"
    page.get_by_label("Search").fill("second LOOK")
    assert page.get_by_role("button", name="Show all").is_visible()
    assert [url for url in asked if not url.startswith(("file:", "about:"))] == []


def test_targets_that_are_all_too_far_off_for_a_label_score_are_ordered_by_how_far(tmp_path, visit):
    data = DataSettings(data=odd_numbers(tmp_path), task="regression", targets="<b>weight</b>")
    run = pipeline.run(Settings(data), tmp_path / "c")
    vars(run)["scores"] = run.scores.assign(label_score=1e-60, standardised_residual=np.linspace(20, 40, 60))
    nothing = pd.DataFrame({"action": [], "label": []})
    page = visit(write_site(run, tmp_path / "site", positions=None, decisions=nothing, remarks=[]).as_uri())
    page.get_by_label("Order").select_option("Most suspect target")
    assert [name.split(",")[0] for name in names(page)[:3]] == ["sample 59", "sample 58", "sample 57"]


def test_the_map_selects_what_lies_inside_and_the_legend_filters(address, visit):
    page = visit(address)
    canvas = page.locator(".map canvas")
    expect(page.locator(".map")).to_have_attribute("data-drawn", "400")
    box = canvas.bounding_box()
    assert box is not None

    def draw(share: float) -> None:
        """Draw around the left part of the map."""
        left, top, width, height = box["x"] + 3, box["y"] + 3, share * box["width"] - 6, box["height"] - 6
        page.mouse.move(left, top)
        page.mouse.down()
        for x, y in ((1, 0), (1, 1), (0, 1), (0, 0.01)):
            page.mouse.move(left + x * width, top + y * height, steps=4)
        page.mouse.up()

    draw(0.5)
    expect(page.locator("output")).to_have_text(re.compile(r"^[1-9]\d* of 400 images$"))
    half = int(page.locator("output").inner_text().split()[0])
    assert 20 < half < 380
    again = page.url
    page.goto("about:blank")
    page.goto(again)
    expect(page.locator("output")).to_have_text(f"{half} of 400 images")
    draw(1.0)
    expect(page.locator("output")).to_have_text("All 400 images")
    page.get_by_label("Class", exact=True).last.check()
    page.get_by_role("button", name="7", exact=True).click()
    expect(page.locator(".controls [name=class]")).to_have_value("7")
    page.get_by_role("button", name="Show all").click()
    expect(page.locator("output")).to_have_text("All 400 images")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_breaks_no_rule_of_accessibility(address, browser, scheme):
    page = browser.new_page(color_scheme=scheme)
    page.goto(address)
    expect(page.locator("output")).to_have_text("All 400 images")
    found = Axe().run(page, options={"runOnly": ["wcag2a", "wcag2aa"]}).response["violations"]
    assert [(v["id"], v["nodes"][0]["html"][:120]) for v in found] == []
    page.locator(".tile").first.click()
    found = Axe().run(page, options={"runOnly": ["wcag2a", "wcag2aa"]}).response["violations"]
    assert [(v["id"], v["nodes"][0]["html"][:120]) for v in found] == []
    page.close()
