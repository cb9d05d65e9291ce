"""The whole way in a real browser: open → compute → review by keyboard → lasso → exclude → undo → export."""

import csv
import io
import json
import os
import random
import re
import signal
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from playwright.sync_api import BrowserContext, Locator, Page, expect

from lsi.compute import jobs, maps, pipeline
from lsi.config import DataSettings, FeatureSettings, NoiseSettings, Settings
from lsi.runs.decisions import Decision, Reviews
from lsi.runs.listing import list_runs
from lsi.runs.run import Run
from tests.cases import image_files, noisy_digits
from tests.e2e.browser import READY, draw_lasso, free_port, serve, settle
from tests.e2e.conftest import ARTEFACTS, JOB_MS
from tests.ui.rich import enrich, pictures

pytestmark = pytest.mark.e2e
HOSTILE = ("<img src=x onerror=window.hacked=1>", "[x](javascript:alert(1))", "![](http://example.invalid/p.png)")
PAGES = ("", "samples", "issues", "map", "classes", "redundancy", "export", "runs")


def first_run(page: Page) -> None:
    """Open the app and wait for the run that a newcomer gets."""
    page.goto("/")
    expect(page.get_by_text("Most information: atypical, hard or wrongly labelled")).to_be_visible(timeout=JOB_MS)
    settle(page)


def unfold(page: Page, title: str) -> None:
    """Open what is folded; as its script ends a page puts its parts in anew, and a click just before may be lost."""
    part = page.locator("details", has=page.locator("summary", has_text=title)).last
    for _ in range(5):
        if part.get_attribute("open") is None:
            part.locator("summary").first.click()
        page.wait_for_timeout(400)
        if part.get_attribute("open") is not None:
            return
    raise AssertionError(f"{title} stays folded")


def follow(page: Page, name: str) -> None:
    page.get_by_role("link", name=name, exact=True).first.click()
    expect(page.get_by_role("heading", name=name, exact=True)).to_be_visible()
    settle(page)


def lasso(page: Page, corners: list[tuple[float, float]], modifier: str | None = None) -> None:
    draw_lasso(page, corners, modifier)
    page.wait_for_timeout(500)
    settle(page)


def shown(page: Page) -> int:
    text = page.get_by_text(re.compile(r"^(All )?[\d,]+( of [\d,]+)? images$")).first.inner_text()
    return int(re.search(r"[\d,]+", text).group().replace(",", ""))


def count_of(page: Page, action: str) -> int:
    """Return how many decisions of a kind the head of the page counts."""
    found = re.search(rf"(\d+) {action}", page.get_by_text(re.compile("^Decisions: ")).inner_text())
    return int(found.group(1)) if found else 0


def test_from_nothing_to_a_checked_list(page: Page):
    requests: list[str] = []
    page.on("request", lambda r: requests.append(r.url))
    first_run(page)

    follow(page, "Label issues")
    queue = page.locator(".queue")
    queue.wait_for()
    decided: dict[int, str] = {}
    queue.focus()
    keys = ["s", "k", "x", "u", "s", "s", "x", "k", "s", "x"]
    names = {"s": "relabel", "k": "keep", "x": "exclude", "u": "unsure"}
    for key in keys:
        decided[int(queue.get_attribute("data-position"))] = names[key]
        page.keyboard.press(key)
    expect(page.get_by_text("10 decided")).to_be_visible()
    settle(page)
    expect(page.get_by_text("Decisions: 2 keep, 4 relabel, 3 exclude, 1 unsure")).to_be_visible()

    follow(page, "Map")
    page.locator(".map[data-drawn='2000']").wait_for(timeout=JOB_MS)
    lasso(page, [(0.02, 0.02), (0.98, 0.02), (0.98, 0.5), (0.02, 0.5)])
    upper = shown(page)
    assert 0 < upper < 2000
    lasso(page, [(0.02, 0.5), (0.98, 0.5), (0.98, 0.98), (0.02, 0.98)], "Shift")
    assert shown(page) > upper
    lasso(page, [(0.02, 0.5), (0.98, 0.5), (0.98, 0.98), (0.02, 0.98)], "Alt")
    assert abs(shown(page) - upper) <= 2
    inside = shown(page)
    link = page.url
    page.get_by_role("button", name=re.compile("Decide: .* filtered image")).click()
    page.get_by_role("button", name=re.compile("^Exclude .* filtered image")).click()
    page.keyboard.press("Escape")
    expect(page.get_by_text(re.compile(r"Decisions: .*\d+ exclude"))).to_be_visible()
    settle(page)
    page.get_by_role("button", name="Undo").click()
    expect(page.get_by_text("Decisions: 2 keep, 4 relabel, 3 exclude, 1 unsure")).to_be_visible()

    page.goto(link)
    settle(page)
    assert shown(page) == inside, "the address shows the same view"

    follow(page, "Export")
    with page.expect_download() as download:
        page.get_by_role("button", name="Download").click()
    archive = zipfile.ZipFile(io.BytesIO(Path(download.value.path()).read_bytes()))
    removed = [int(line) for line in archive.read("removed_indices.txt").split()]
    assert sorted(removed) == sorted(i for i, what in decided.items() if what == "exclude")
    relabelled = [int(row["index"]) for row in csv.DictReader(io.StringIO(archive.read("relabel.csv").decode()))]
    assert sorted(relabelled) == sorted(i for i, what in decided.items() if what == "relabel")
    exported = {d["index"]: d["action"] for d in json.loads(archive.read("decisions.json"))["decisions"]}
    assert exported == decided
    page.get_by_role("button", name="Check").click()
    expect(page.get_by_text("Curated against random")).to_be_visible(timeout=JOB_MS)
    assert all(url.startswith(("http://127.0.0.1", "ws://127.0.0.1", "blob:", "data:")) for url in requests)


def test_a_link_that_is_followed_right_after_a_key_is_followed(page: Page, cache: Path):
    first_run(page)
    for number in range(4):
        page.goto(f"/issues?run={list_runs(cache)[-1].name}")
        settle(page)
        page.locator(".queue .picture img").wait_for()
        before = len(Reviews.of_cache(cache).history(list_runs(cache)[-1].subject))
        page.wait_for_timeout(400)  # where the queue is has reached the address
        page.keyboard.press("u")
        page.wait_for_timeout(60 * number)
        page.get_by_role("link", name="Export").click()
        expect(page.get_by_role("heading", name="Export", level=1)).to_be_visible()
        page.wait_for_timeout(700)
        expect(page.get_by_role("heading", name="Export", level=1)).to_be_visible()
        assert len(Reviews.of_cache(cache).history(list_runs(cache)[-1].subject)) == before + 1


def test_forty_keys_twenty_milliseconds_apart_are_forty_decisions(page: Page):
    first_run(page)
    page.locator(".st-key-reviewer-box button").click()
    page.get_by_role("textbox", name="Reviewer").fill("quick")
    page.get_by_role("textbox", name="Reviewer").press("Enter")
    page.keyboard.press("Escape")
    settle(page)
    follow(page, "Label issues")
    page.locator(".queue").focus()
    for _ in range(40):
        page.keyboard.press("k")
        page.wait_for_timeout(20)
    expect(page.get_by_text(re.compile(r"Decisions: 4\d keep"))).to_be_visible()
    settle(page)
    unsure = count_of(page, "unsure")
    for _ in range(4):
        page.keyboard.down("u")  # held: the first is a press, what follows are repeats
    page.keyboard.up("u")
    expect(page.get_by_text(re.compile(rf"Decisions: .*\b{unsure + 1} unsure"))).to_be_visible()
    settle(page)
    assert count_of(page, "unsure") == unsure + 1
    page.get_by_role("button", name="Undo", exact=True).click()
    settle(page)


def test_gallery_selects_ranges_and_opens_details(page: Page):
    first_run(page)
    follow(page, "Samples")
    tiles = page.locator(".tile")
    tiles.nth(3).wait_for()
    image = tiles.nth(0).locator("img")
    expect(image).to_have_js_property("complete", True)
    assert image.evaluate("i => i.naturalWidth") == 28
    tiles.nth(0).click()
    tiles.nth(3).click(modifiers=["Shift"])
    expect(page.get_by_role("button", name=re.compile("Decide: 4 selected images"))).to_be_visible()
    page.locator(".tile").nth(1).dblclick()
    expect(page.get_by_text("Its label", exact=True)).to_be_visible()
    expect(page.get_by_text("2 of 2,000", exact=True).first).to_be_visible()
    assert "panel=Detail" in page.url
    page.get_by_role("button", name="Keep", exact=True).click()
    expect(page.get_by_text("3 of 2,000", exact=True).first).to_be_visible()
    page.get_by_role("button", name=re.compile("Previous")).click()
    expect(page.get_by_text("Decided: kept")).to_be_visible()
    page.get_by_text("Advanced: the parts").click()
    expect(page.get_by_text(re.compile("^Support ")).first).to_be_visible()


def test_back_leads_to_the_page_before_with_its_filter(page: Page):
    """A filter and each place in the queue change the address, and make no step of their own."""
    first_run(page)
    page.get_by_role("button", name="Review them").click()
    expect(page.get_by_role("heading", name="Label issues", exact=True)).to_be_visible()
    queue = page.locator(".queue")
    queue.wait_for()
    settle(page)
    for _ in range(3):
        page.keyboard.press("ArrowRight")
        page.wait_for_timeout(500)
    settle(page)
    assert "at=" in page.url
    assert "issues=1" in page.url
    follow(page, "Runs")
    page.go_back()
    expect(page.get_by_role("heading", name="Label issues", exact=True)).to_be_visible()
    settle(page)
    assert "issues=1" in page.url
    page.go_back()
    expect(page.get_by_role("heading", name="Which images matter?")).to_be_visible()


def test_reload_in_the_middle_of_a_job_keeps_it(page: Page):
    first_run(page)
    unfold(page, "Compute another run")
    page.get_by_role("radio", name="An example").click()
    settle(page)
    unfold(page, "Advanced: parts of the data")
    subset = page.get_by_role("spinbutton", name="Subset (0: all)")
    subset.fill("500")
    subset.press("Tab")
    page.get_by_role("button", name="Compute", exact=True).click()
    expect(page.get_by_text(re.compile("^fashion: (starting|step)"))).to_be_visible()
    page.reload()
    expect(page.get_by_text("500 images in 10 classes.")).to_be_visible(timeout=JOB_MS)


def check_pages(page: Page, name_of_run: str) -> None:
    """Open every page by its address, keep pictures in light and dark, and hold it against WCAG 2 A and AA.

    A theme changes colours and nothing else, so that only these are looked at a second time.
    """
    ARTEFACTS.mkdir(exist_ok=True)
    page.emulate_media(color_scheme="light")
    for name in PAGES:
        page.goto(f"/{name}?run={name_of_run}")
        expect(page.get_by_role("heading", level=1).first).to_be_visible()
        settle(page)
        if name == "map":
            page.locator(".map[data-drawn]").wait_for(timeout=JOB_MS)
        for scheme, rules in (("light", ["wcag2a", "wcag2aa"]), ("dark", ["color-contrast"])):
            page.emulate_media(color_scheme=scheme)
            expect(page.locator(".stApp")).to_have_css("color-scheme", scheme)
            page.wait_for_timeout(800)
            page.screenshot(path=ARTEFACTS / f"{name or 'overview'}-{name_of_run.split('-')[0]}-{scheme}.png")
            violations = Axe().run(page, options={"runOnly": rules}).response["violations"]
            problems = [
                (v["id"], n["html"][:160], n.get("failureSummary", "")[:200]) for v in violations for n in v["nodes"]
            ]
            assert not problems, f"{name or 'overview'}, {scheme}: {problems}"
        page.emulate_media(color_scheme="light")


def test_every_page_by_its_address_in_light_and_dark(page: Page, cache):
    first_run(page)
    check_pages(page, list_runs(cache)[-1].name)


def test_a_second_tab_sees_the_job_and_can_cancel_it(page: Page, context, cache, request):
    first_run(page)
    unfold(page, "Compute another run")
    page.get_by_role("radio", name="An example").click()
    settle(page)
    unfold(page, "Advanced: parts of the data")
    backbone = page.get_by_role("textbox", name="Backbone", exact=True)
    backbone.fill("efficientnet_lite0")
    backbone.press("Tab")
    page.get_by_role("button", name="Compute", exact=True).click()
    job = re.compile("^fashion: (starting|step)")
    expect(page.get_by_text(job)).to_be_visible()
    started = jobs.list_jobs(cache)[0]
    request.addfinalizer(started.cancel)
    os.kill(started.facts["pid"], signal.SIGSTOP)  # or it may be done before the other tab is there
    other = context.new_page()
    other.goto("/")
    expect(other.get_by_text(job)).to_be_visible()
    other.get_by_role("button", name="Cancel").click()
    expect(other.get_by_text(job)).to_have_count(0)
    expect(page.get_by_text(job)).to_have_count(0)
    other.close()


def archive_of_hostile_names() -> bytes:
    rng = np.random.default_rng(0)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        rows = ["path,label"]
        for i in range(60):
            picture = io.BytesIO()
            pixels = np.clip(rng.normal(60 * (i % 3) + 50, 60, (10, 10, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(picture, "PNG")
            archive.writestr(f"set/{i}.png", picture.getvalue())
            rows.append(f'{i}.png,"{HOSTILE[i % 3]}"')
        archive.writestr("set/names.csv", "\n".join(rows))
    return buffer.getvalue()


def test_uploaded_data_with_hostile_class_names_stay_text(page: Page):
    requests: list[str] = []
    page.on("request", lambda r: requests.append(r.url))
    page.on("dialog", lambda d: pytest.fail(f"a script ran: {d.message}"))
    first_run(page)
    unfold(page, "Compute another run")
    page.get_by_role("radio", name="An upload").click()
    page.locator("input[type=file]").set_input_files(
        {"name": "set.zip", "mimeType": "application/zip", "buffer": archive_of_hostile_names()}
    )
    expect(page.get_by_text("60 images in 3 classes")).to_be_visible()
    page.get_by_role("button", name="Compute", exact=True).click()
    expect(page.get_by_text("60 images in 3 classes.", exact=True)).to_be_visible(timeout=JOB_MS)
    for name in PAGES:
        page.goto(f"/{name}")
        settle(page)
        page.wait_for_timeout(500)
        assert page.locator("a[href^='javascript:']").count() == 0
        assert page.evaluate("window.hacked") is None
    assert not [url for url in requests if "example.invalid" in url]


def digits_run(cache: Path, subset: int) -> str:
    settings = Settings(data=DataSettings("digits", subset=subset), noise=NoiseSettings(corrupt_label=0.1))
    return pipeline.run(settings, cache).name


@dataclass(frozen=True)
class Runs:
    """A server over four runs: with metadata, image quality and images without a label, two on digits, and texts."""

    context: BrowserContext
    address: str
    rich: Run
    older: str
    newer: str
    texts: str


@pytest.fixture(scope="module")
def runs(browser, tmp_path_factory) -> Iterator[Runs]:
    folder, cache = tmp_path_factory.mktemp("rich"), tmp_path_factory.mktemp("runs")
    data = DataSettings(data=image_files(folder, ("cat", "dog", "cow"), 60))
    run = pipeline.run(Settings(data, features=FeatureSettings(backbone="pixels")), cache)
    maps.projection_of_run(run, cache)
    rich = enrich(run, pictures(folder / "rest", 5))
    older, newer = (digits_run(cache, subset) for subset in (300, 200))
    texts = long_texts(folder, cache)
    with serve(cache) as server:
        context = browser.new_context(viewport={"width": 1360, "height": 1000}, base_url=server.address)
        context.set_default_timeout(60_000)
        yield Runs(context, server.address, rich, older, newer, texts)
        context.close()


SILENCE = "silence, which is a rather long class name"


def long_texts(folder: Path, cache: Path) -> str:
    """Compute a run of texts of sixty lines each that bring their features, and return its name.

    All classes but one begin alike.
    """
    problem = noisy_digits(0.1, n=200)
    names = np.array([*(f"what the herons say, number {c}" for c in range(9)), SILENCE])
    sayings = np.array(["\n".join(f"heron {i}, line {line}" for line in range(60)) for i in range(200)])
    np.savez(folder / "sayings.npz", features=problem.features, labels=names[problem.labels], text=sayings)
    return pipeline.run(Settings(DataSettings(data=folder / "sayings.npz")), cache).name


@pytest.fixture
def tab(runs: Runs) -> Iterator[Page]:
    made = runs.context.new_page()
    yield made
    made.close()


def test_links_selections_and_the_matrix_stay_in_the_chosen_run(runs: Runs, tab: Page):
    older, page = runs.older, tab
    page.goto(f"/samples?run={older}")
    expect(page.locator(".tile img").first).to_have_class("tiny")  # of 8 px: its pixels stay squares
    for i in range(4):
        page.locator(".tile").nth(i).click()
    expect(page.get_by_role("button", name=re.compile("Decide: 4 selected images"))).to_be_visible()
    page.get_by_role("combobox", name=re.compile("Run")).click()
    page.get_by_role("option", name=re.compile("^digits: 200 images, .*subset 200")).click()
    expect(page.get_by_text("All 200 images")).to_be_visible()
    settle(page)
    expect(page.get_by_role("button", name=re.compile("selected image"))).to_have_count(0)
    expect(page.locator(".tile.selected")).to_have_count(0)

    page.goto(f"/?run={older}")
    page.get_by_role("button", name="Review them").click()
    expect(page.get_by_text(re.compile(r"^\d+ of 300 images$"))).to_be_visible()
    assert f"run={older}" in page.url

    page.goto(f"/classes?run={older}")
    settle(page)
    cell = page.locator(".scatterlayer .point").first
    cell.scroll_into_view_if_needed()
    box = cell.bounding_box()
    assert box is not None
    assert box["width"] > 20
    page.mouse.click(box["x"] + 4, box["y"] + 4)
    expect(page.get_by_role("heading", name="Label issues", exact=True)).to_be_visible()
    expect(page.get_by_text(re.compile(r"^\d+ of 300 images$"))).to_be_visible()
    assert f"run={older}" in page.url
    assert "predicted=" in page.url


def test_the_queue_is_worked_through_by_keys_from_wherever_one_stopped(browser, tmp_path):
    """Keys work while no field has the focus, Z takes back, the list stays, and it opens where one stopped."""
    cache = tmp_path / "cache"
    run = Run(cache / "runs" / digits_run(cache, 300))
    suspects = run.scores[run.scores["is_label_issue"]].sort_values("label_score").index.tolist()
    with serve(cache) as server:
        context = browser.new_context(viewport={"width": 1360, "height": 1000}, base_url=server.address)
        context.set_default_timeout(60_000)
        page = context.new_page()
        page.goto(f"/issues?run={run.name}&decision=undecided")
        queue, settled = page.locator(".queue"), page.locator(".queue .progress")
        queue.wait_for()
        settle(page)
        page.get_by_role("heading", name="Label issues", exact=True).click()
        for key in ("k", "x", "u"):
            page.keyboard.press(key)
        expect(page.get_by_text("Decisions: 1 keep, 1 exclude, 1 unsure")).to_be_visible()
        expect(settled).to_have_text(f"4 of {len(suspects)} · 3 decided · 3 since you opened it")
        page.get_by_role("heading", name="Label issues", exact=True).click()
        page.keyboard.press("z")
        expect(page.get_by_text(re.compile("Decisions: 1 keep, 1 exclude$"))).to_be_visible()
        expect(settled).to_have_text(f"3 of {len(suspects)} · 2 decided · 2 since you opened it")

        page.keyboard.press("/")
        page.evaluate("document.activeElement.blur()")  # as a page that is drawn anew may do: no letter may decide
        page.keyboard.type("x1")
        expect(page.locator(".queue .none")).to_have_text("No class holds “x1”.")
        page.keyboard.press("Escape")
        page.keyboard.press("/")
        given = run.scores["given_label"][suspects[2]]
        other = (given + 1) % 10
        page.keyboard.type(str(other))
        expect(page.locator(".queue .found li").first).to_have_text(str(other))
        page.keyboard.press("Enter")
        expect(page.locator(".queue .strip img").first).to_be_visible()
        expect(page.get_by_text(re.compile("Decisions: 1 keep, 1 relabel, 1 exclude$"))).to_be_visible()

        expect(page).to_have_url(re.compile(rf"[?&]at={suspects[3]}(&|$)"))
        page.reload()
        expect(settled).to_have_text(re.compile(f"1 of {len(suspects) - 3} · 0 decided"))
        page.goto(f"/issues?run={run.name}")
        expect(queue).to_have_attribute("data-position", str(suspects[3]))
        page.goto(f"/issues?run={run.name}&at={suspects[1]}")
        expect(queue).to_have_attribute("data-position", str(suspects[1]))
        page.keyboard.press("n")
        expect(queue).to_have_attribute("data-position", str(suspects[3]))
        for _ in suspects[3:]:
            page.keyboard.press("s")
            page.wait_for_timeout(20)
        expect(page.get_by_text(re.compile(rf"All {len(suspects)} are decided: 1 confirmed, "))).to_be_visible()
        settle(page)
        page.get_by_role("button", name="Check, export, recompute").click()
        page.get_by_role("button", name="Recompute with my decisions").click()
        expect(page.get_by_text(re.compile(r"^Computed from \d+ decisions on digits: 300 images"))).to_be_visible()
        follow(page, "Runs")
        expect(
            page.get_by_text(re.compile(r"^\d+ images in both, \d+ under another label; 0 came and 1 left"))
        ).to_be_visible()
        context.close()


def test_a_session_that_takes_over_writes_no_decision_again_and_loses_none(browser, tmp_path):
    """Another server on the same port knows nothing of the session before, whose page is still open."""
    cache, port = tmp_path / "cache", free_port()
    run = Run(cache / "runs" / digits_run(cache, 200))
    first = run.scores[run.scores["is_label_issue"]].sort_values("label_score").index[0]
    with serve(cache, port=port) as server:
        context = browser.new_context(viewport={"width": 1360, "height": 1000}, base_url=server.address)
        context.set_default_timeout(60_000)
        page = context.new_page()
        page.goto(f"/issues?run={run.name}")
        page.locator(".queue").wait_for()
        settle(page)
        page.get_by_role("heading", name="Label issues", exact=True).click()
        page.keyboard.press("k")
        expect(page.get_by_text("Decisions: 1 keep")).to_be_visible()
        settle(page)
    reviews = Reviews.of_cache(cache)
    reviews.record(run.subject, "ben", [Decision(int(first), "relabel", int(run.scores["suggested_label"][first]))])
    page.keyboard.press("x")  # nobody takes it yet
    page.wait_for_timeout(500)
    with serve(cache, port=port):
        page.locator(READY).wait_for()
        page.keyboard.press("u")
        expect(page.get_by_text("Decisions: 1 relabel, 1 exclude, 1 unsure")).to_be_visible()
        settle(page)
        assert reviews.history(run.subject)["action"].tolist() == ["keep", "relabel", "exclude", "unsure"]
        context.close()
    reviews.close()


def test_the_map_is_walked_by_keys_and_points_where_the_gallery_points(runs: Runs, tab: Page):
    page = tab
    page.goto(f"/samples?run={runs.rich.name}&panel=Map")
    drawn, rings, hovered = page.locator(".map[data-drawn]"), page.locator(".map circle"), page.locator(".tile.hovered")
    drawn.wait_for()
    page.locator(".gallery .tile img").first.wait_for()
    settle(page)
    expect(rings).to_have_count(0)
    page.locator(".gallery .tile").nth(1).hover()
    expect(rings).to_have_count(1)
    page.get_by_role("heading", level=1).first.hover()
    expect(rings).to_have_count(0)

    page.locator(".map canvas").focus()
    page.keyboard.press("ArrowRight")
    expect(rings).to_have_count(1)
    ways, walk = ("ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown"), random.Random(0)
    for _ in range(300):  # to a point whose picture is on screen
        if hovered.count():
            break
        page.keyboard.press(walk.choice(ways))
    expect(hovered).to_have_count(1)
    expect(page.locator(".map .tip")).to_be_visible()
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name=re.compile("Previous"))).to_be_visible()


def test_quick_keys_in_the_gallery_are_all_taken(runs: Runs, tab: Page):
    page = tab
    page.goto(f"/samples?run={runs.rich.name}")
    page.locator(".gallery .tile").first.wait_for()
    settle(page)
    page.locator(".gallery").first.focus()
    for i in range(30):
        page.keyboard.press("x" if i % 3 else "k")
        page.keyboard.press("ArrowRight")
        page.wait_for_timeout(15)
    expect(page.get_by_text("Decisions: 10 keep, 20 exclude")).to_be_visible()

    page.keyboard.press("Home")
    for _ in range(5):
        page.keyboard.down("k")  # held: the first is a press, what follows are repeats
    page.keyboard.up("k")
    expect(page.get_by_text("Decisions: 11 keep, 20 exclude")).to_be_visible()


def gallery(page: Page, address: str) -> Locator:
    """Open a page with a gallery, and return its tiles once they are drawn."""
    page.goto(address)
    tiles = page.locator(".gallery .tile")
    tiles.first.wait_for()
    settle(page)
    return tiles


def test_keys_in_the_gallery_decide_about_what_the_filter_leaves(runs: Runs, tab: Page):
    """What a decision or a filter takes off the screen is selected no more, and the next key spares it."""
    page = tab
    tiles = gallery(page, f"/samples?run={runs.rich.name}&decision=undecided")
    before, excluded = shown(page), count_of(page, "exclude")
    tiles.nth(0).click()
    page.keyboard.press("x")
    expect(page.get_by_text(f"{before - 1} of 60 images")).to_be_visible()
    settle(page)
    page.keyboard.press("k")  # the focus stayed where it was: on the image that came there
    expect(page.get_by_text(f"{before - 2} of 60 images")).to_be_visible()
    settle(page)
    tiles.nth(0).click()
    expect(page.get_by_text("1 selected", exact=True)).to_be_visible()
    page.keyboard.press("k")
    expect(page.get_by_text(f"{before - 3} of 60 images")).to_be_visible()
    settle(page)
    assert count_of(page, "exclude") == excluded + 1


def test_a_range_begins_at_the_image_that_was_clicked_also_in_another_order(runs: Runs, tab: Page):
    page = tab
    tiles = gallery(page, f"/samples?run={runs.older}")
    tiles.nth(3).click()
    expect(page.get_by_text("1 selected", exact=True)).to_be_visible()
    choose(page, "Order", "Least information")
    settle(page)
    tiles.nth(0).click(modifiers=["Shift"])
    expect(page.get_by_text("297 selected", exact=True)).to_be_visible()


def test_the_bar_keeps_one_line_on_a_small_laptop_and_the_box_of_runs_grows_with_the_window(runs: Runs, tab: Page):
    page, widths = tab, []
    for width in (1024, 1900):
        page.set_viewport_size({"width": width, "height": 800})
        page.goto(f"/issues?run={runs.newer}")
        page.locator(".queue").wait_for()
        settle(page)
        undo = page.locator(".st-key-bar").get_by_role("button", name="Undo", exact=True).bounding_box()
        me, box = (page.locator(f".st-key-{key}").bounding_box() for key in ("reviewer-box", "run_box"))
        assert undo is not None
        assert me is not None
        assert box is not None
        assert abs(undo["y"] + undo["height"] / 2 - me["y"] - me["height"] / 2) < 5
        widths.append(box["width"])
    assert widths == [pytest.approx(245.8, abs=1), pytest.approx(420, abs=1)]


def test_a_reviewers_name_outlasts_a_reload(runs: Runs, browser):
    context = browser.new_context(base_url=runs.address)
    page = context.new_page()
    page.goto(f"/samples?run={runs.rich.name}")
    page.get_by_role("button", name="me", exact=True).click()
    page.get_by_role("textbox", name="Reviewer").fill("Zoë; 100 %")
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Zoë; 100 %", exact=True)).to_be_visible()
    settle(page)
    page.reload()
    expect(page.get_by_role("button", name="Zoë; 100 %", exact=True)).to_be_visible(timeout=JOB_MS)
    context.close()


def test_columns_quality_and_unlabelled_images_in_light_and_dark(runs: Runs, tab: Page):
    rich, page = runs.rich, tab
    check_pages(page, rich.name)

    follow(page, "Quality and duplicates")
    page.get_by_role("button", name="Show all").first.click()
    expect(page.get_by_role("heading", name="Samples", exact=True)).to_be_visible()
    dark = int(rich.scores["is_dark"].sum())
    expect(page.get_by_text(f"{dark} of 60 images")).to_be_visible()
    assert "quality=is_dark" in page.url
    page.get_by_role("button", name="image quality dark").click()
    expect(page.get_by_text("All 60 images")).to_be_visible()

    page.get_by_role("button", name=re.compile("Filter")).click()
    choose(page, "Column", "camera")
    page.get_by_role("combobox", name="Values").click()
    page.get_by_role("option", name=re.compile(r"^iPhone \*15\* \(")).click()
    count = int((rich.scores["camera"] == "iPhone *15*").sum())
    expect(page.get_by_text(f"{count} of 60 images")).to_be_visible()
    settle(page)
    page.goto(page.url)
    expect(page.get_by_text(f"{count} of 60 images")).to_be_visible()

    expect(page.get_by_role("heading", name="5 images without a label")).to_be_visible()
    page.get_by_role("button", name=re.compile(r"^sample 6\d, ")).first.click()
    expect(page.get_by_text("Probability of that class")).to_be_visible()


def choose(page: Page, box: str, option: str) -> None:
    page.get_by_role("combobox", name=re.compile(rf"\b{box}$")).click()
    page.get_by_role("option", name=option, exact=True).click()
    settle(page)


def test_read_only_shows_everything_and_changes_nothing(browser, tmp_path):
    cache = tmp_path / "cache"
    run = pipeline.run(Settings(data=DataSettings("digits", subset=300), noise=NoiseSettings(corrupt_label=0.1)), cache)
    before = {p: p.read_bytes() for p in (cache / "runs").rglob("*") if p.is_file()}
    with serve(cache, LSI_READ_ONLY="1") as server:
        context = browser.new_context(viewport={"width": 1360, "height": 1000}, base_url=server.address)
        context.set_default_timeout(60_000)
        page = context.new_page()
        page.goto(f"/issues?run={run.name}")
        page.locator(".queue").focus()
        page.keyboard.press("k")
        page.keyboard.press("x")
        settle(page)
        expect(page.get_by_text("Decisions: none yet")).to_be_visible()
        assert page.get_by_role("button", name=re.compile("^(Undo|Redo|Compute)")).count() == 0
        context.close()
    assert before == {p: p.read_bytes() for p in (cache / "runs").rglob("*") if p.is_file()}
    assert Reviews.of_cache(cache).history(run.subject).empty


def test_a_new_tag_is_typed_kept_and_filtered_by(runs: Runs, tab: Page):
    page = tab
    page.goto(f"/samples?run={runs.newer}&panel=Detail")
    settle(page)
    box = page.get_by_role("combobox", name=re.compile("Tags$"))
    box.click()
    box.press_sequentially("second look")
    expect(page.get_by_role("option", name="Add: second look")).to_be_visible()
    box.press("Enter")
    box.press("Escape")  # the open list hides the rest of the page from readers
    expect(page.get_by_text("second look", exact=True)).to_be_visible()
    note = page.get_by_role("textbox", name="Add a note")
    note.fill("Ask Ann.")
    note.press("Enter")
    expect(page.get_by_text("Ask Ann. (me, ")).to_be_visible()
    page.goto(f"/samples?run={runs.newer}&tag=second+look&noted=1")
    settle(page)
    expect(page.get_by_text("1 of 200 images")).to_be_visible()


def test_texts_in_the_queue_are_read_to_their_end_and_have_no_keys_of_images(runs: Runs, tab: Page):
    page = tab
    page.goto(f"/issues?run={runs.texts}")
    expect(page.locator(".queue .text")).to_be_visible()
    expect(page.get_by_role("button", name="Zoom in")).to_be_hidden()
    expect(page.get_by_role("button", name=re.compile("^Pixels"))).to_be_hidden()
    frame, text = page.locator(".queue .picture"), page.locator(".queue .text")
    assert text.bounding_box()["y"] >= frame.bounding_box()["y"]
    frame.hover()
    page.mouse.wheel(0, 5_000)
    page.wait_for_timeout(500)
    below = frame.bounding_box()["y"] + frame.bounding_box()["height"]
    assert text.bounding_box()["y"] + text.bounding_box()["height"] <= below + 1
    page.screenshot(path=ARTEFACTS / "texts.png")
    page.keyboard.press("k")
    expect(page.locator(".queue .progress")).to_contain_text("1 decided")
    assert frame.evaluate("part => part.scrollTop") == 0


def test_classes_that_begin_alike_stay_apart_in_the_gallery(runs: Runs, tab: Page):
    page = tab
    gallery(page, f"/samples?run={runs.texts}")
    shown = set(page.locator(".gallery .tile .name").all_inner_texts())
    alike = {name for name in shown if name.startswith("what")}
    assert len(alike) > 5
    assert all(re.fullmatch(r"what[^…]*…[^…]* \d", name) for name in alike), alike
    assert SILENCE in shown, "which no other begins like is cut by its end alone"
    within = page.locator(".gallery .tile .name").evaluate_all(
        "parts => parts.map(p => p.scrollWidth <= p.clientWidth)"
    )
    named = page.locator(".gallery .tile .name").all_inner_texts()
    assert all(fits for fits, name in zip(within, named, strict=True) if name.startswith("what")), named
    page.screenshot(path=ARTEFACTS / "alike.png")
