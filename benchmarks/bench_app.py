"""The app in Chromium: page changes, review queue, gallery, map, memory, at the sizes that people bring.

    python -m benchmarks.bench_app [RUN …] [--quick] [--cache DIR]

The runs are real (50,000 images of CIFAR-10, from the files beside the project), large (200,000 noisy copies of
digits), million (the map alone) and many_classes (ImageNet's shape). Needs Chromium. `--cache` keeps the runs it
measures on.
"""

import argparse
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

from playwright.sync_api import Browser, Page, expect

from benchmarks import app_runs
from benchmarks.record import save
from lsi.runs.decisions import Reviews
from lsi.runs.run import Run
from tests.e2e.browser import Server, chromium, draw_lasso, launch, serve, settle

LOOK = (Path(__file__).parent / "look.js").read_text()
SHOWN = {
    "Overview": ("Which images matter?", "[data-testid=stImage] img"),
    "Samples": ("Samples", ".gallery .tile img"),
    "Label issues": ("Label issues", ".queue .picture img"),
    "Map": ("Map", ".map[data-drawn]"),
    "Classes": ("Classes", ".js-plotly-plot .main-svg"),
    "Quality and duplicates": ("Quality and duplicates", "[data-testid=stImage] img, .js-plotly-plot .main-svg"),
    "Export": ("Export", "[data-testid=stMetricValue]"),
}
SESSIONS = 10


def open_page(browser: Browser, server: Server, run: Run, page: str = "", **query: str) -> Page:
    context = browser.new_context(viewport={"width": 1400, "height": 900}, base_url=server.address)
    context.set_default_timeout(160_000)
    context.add_init_script(LOOK)
    opened = context.new_page()
    words = "&".join(f"{k}={v}" for k, v in {"run": run.name, **query}.items())
    opened.goto(f"/{page}?{words}")
    expect(opened.get_by_role("heading", level=1).first).to_be_visible(timeout=60_000)
    settle(opened)
    return opened


def page_changes(browser: Browser, server: Server, run: Run, count: int = 20) -> dict[str, Any]:
    """Seconds from the click on a page's link to its first image or mark."""
    page = open_page(browser, server, run)
    names = list(SHOWN)
    order = [names[(3 * i + 1) % len(names)] for i in range(count)]
    found: dict[str, list[float]] = {}
    for name in order:
        title, selector = SHOWN[name]
        seconds = page.evaluate("([n, t, s]) => lsiLook.follow(n, t, s)", [name, title, selector])
        found.setdefault(name, []).append(seconds)
        settle(page)
    page.context.close()
    every = [s for values in found.values() for s in values]
    return {"median": median(every), "worst": max(every), "by_page": {n: median(v) for n, v in found.items()}}


def queue(browser: Browser, server: Server, run: Run, cache: Path, presses: int = 30) -> dict[str, Any]:
    """Seconds from a key to the next image; then forty keys 20 ms apart, and what the database has of them."""
    page = open_page(browser, server, run, "issues")
    page.locator(".queue").focus()
    page.wait_for_timeout(2_000)
    seconds, suspects = [], int(run.scores["is_label_issue"].sum())
    for _ in range(min(presses, suspects - 1)):
        page.evaluate("lsiLook.watchQueue()")
        page.keyboard.press("ArrowRight")
        seconds.append(page.evaluate("lsiLook.queueSeconds()"))
        page.wait_for_timeout(250)
    before, sent = len(Reviews.of_cache(cache).history(run.subject)), []
    for i in range(40):
        sent.append(int(page.locator(".queue").get_attribute("data-position") or -1))
        page.keyboard.press("kxu"[i % 3])
        page.wait_for_timeout(20)
    for _ in range(100):
        history = Reviews.of_cache(cache).history(run.subject).iloc[before:]
        if len(history) >= 40:
            break
        page.wait_for_timeout(100)
    actions = [["keep", "exclude", "unsure"][i % 3] for i in range(40)]
    in_order = history["sample"].tolist() == sent and history["action"].tolist() == actions
    page.context.close()
    return {"median": median(seconds), "worst": max(seconds), "recorded_of_40": len(history), "in_order": in_order}


def scroll(browser: Browser, server: Server, run: Run) -> dict[str, Any]:
    """Seconds that the slowest tile stays blank on screen while 2,000 tiles pass in ten seconds."""
    page = open_page(browser, server, run, "samples")
    page.locator(".gallery .tile img").first.wait_for()
    page.wait_for_timeout(1_500)
    found = page.evaluate("lsiLook.scroll(2000, 10)")
    page.context.close()
    return found


def scatter(browser: Browser, server: Server, run: Run) -> dict[str, Any]:
    """Seconds until the map is drawn from a warm run, and from the end of a lasso to the count and the first image."""
    page = open_page(browser, server, run)
    drawn = page.evaluate("([n, t, s]) => lsiLook.follow(n, t, s)", ["Map", *SHOWN["Map"]])
    settle(page)
    lassos = []
    for left in (0.3, 0.4, 0.5, 0.6):
        page.evaluate("lsiLook.watchCount()")
        draw_lasso(page, [(left, 0.15), (left + 0.1, 0.15), (left + 0.1, 0.85), (left, 0.85)])
        lassos.append(page.evaluate("lsiLook.countSeconds()"))
        settle(page)
    page.context.close()
    return {"drawn": drawn, "lasso_to_count": [o["count"] for o in lassos],
            "lasso_to_gallery": [o["image"] for o in lassos], "points": [o["points"] for o in lassos]}  # fmt: skip


def memory(browser: Browser, server: Server, run: Run) -> dict[str, float]:
    """GiB of the server with one session, with ten, and after they closed."""
    one = open_page(browser, server, run, "map")
    found = {"before": _resident(server)}
    kinds = ("samples", "map", "issues", "classes")
    pages = [open_page(browser, server, run, kinds[i % len(kinds)]) for i in range(SESSIONS)]
    found["ten_sessions"] = _resident(server)
    for page in pages:
        page.context.close()
    time.sleep(5)
    found["closed"] = _resident(server)
    one.context.close()
    return found


def external(browser: Browser, server: Server, run: Run) -> list[str]:
    """Return the requests that left the server's address, over every page."""
    asked: list[str] = []
    page = open_page(browser, server, run)
    page.on("request", lambda r: asked.append(r.url))
    for name in SHOWN:
        page.evaluate("([n, t, s]) => lsiLook.follow(n, t, s)", [name, *SHOWN[name]])
        settle(page)
    page.context.close()
    own = (server.address, server.address.replace("http", "ws"), "blob:", "data:")
    return [url for url in asked if not url.startswith(own)]


def _resident(server: Server) -> float:
    status = Path(f"/proc/{server.pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1]) / 2**20


def everything(browser: Browser, cache: Path, run: Run) -> dict[str, Any]:
    with serve(cache) as server:
        open_page(browser, server, run, "map").context.close()  # warm
        found: dict[str, Any] = {"n": len(run.scores), "run": run.manifest["dataset"]["name"]}
        found["page_change_seconds"] = page_changes(browser, server, run)
        found["queue_seconds"] = queue(browser, server, run, cache)
        found["scroll"] = scroll(browser, server, run)
        found["map_seconds"] = scatter(browser, server, run)
        found["memory_gib"] = memory(browser, server, run)
        found["external_requests"] = external(browser, server, run)
    print(found, flush=True)
    return found


def only_map(browser: Browser, cache: Path, run: Run) -> dict[str, Any]:
    with serve(cache) as server:
        open_page(browser, server, run, "map").context.close()
        return {"n": len(run.scores), "map_seconds": scatter(browser, server, run)}


def many_classes(browser: Browser, cache: Path, run: Run) -> dict[str, Any]:
    with serve(cache) as server:
        start = time.perf_counter()
        open_page(browser, server, run, "map").context.close()
        found: dict[str, Any] = {"n": len(run.scores), "k": len(run.class_names)}
        found["first_page_seconds"] = time.perf_counter() - start
        found["page_change_seconds"] = page_changes(browser, server, run)
        found["queue_seconds"] = queue(browser, server, run, cache)
        found["server_gib"] = _resident(server)
    print(found, flush=True)
    return found


def _real(browser: Browser, cache: Path, quick: bool) -> dict[str, Any]:
    return everything(browser, cache, app_runs.real(cache, 1_000 if quick else None))


def _large(browser: Browser, cache: Path, quick: bool) -> dict[str, Any]:
    return everything(browser, cache, app_runs.copies(cache, 2_000 if quick else 200_000))


def _million(browser: Browser, cache: Path, quick: bool) -> dict[str, Any]:
    return only_map(browser, cache, app_runs.points(cache, 5_000 if quick else 1_000_000))


def _many_classes(browser: Browser, cache: Path, quick: bool) -> dict[str, Any]:
    return many_classes(browser, cache, app_runs.points(cache, *((5_000, 100) if quick else (1_281_167, 1_000))))


RUNS = {"real": _real, "large": _large, "million": _million, "many_classes": _many_classes}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bench_app")
    parser.add_argument("runs", nargs="*", choices=[*RUNS, []], help="by default all but many_classes")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--cache", type=Path)
    given = parser.parse_args()
    path = chromium()
    if path is None:
        raise SystemExit("no Chromium on this machine (Debian: apt-get install chromium)")
    for name in given.runs or [name for name in RUNS if name != "many_classes"]:
        if name == "real" and not app_runs.CIFAR.exists():
            continue
        with tempfile.TemporaryDirectory() as root, launch(path) as browser:
            found = RUNS[name](browser, (given.cache or Path(root)) / name, given.quick)
        save(f"app_{name}" + ("_quick" if given.quick else ""), found)


if __name__ == "__main__":
    main()
