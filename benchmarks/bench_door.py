"""The first minutes at the app in Chromium, beside an earlier checkout: what is waited for, and what it takes by hand.

    python -m benchmarks.bench_door [--quick] [--beside DIR]

`--beside` names a checkout of an earlier state, run by this one's Python and measured in turn with it. Its pages are
known as they were at 5951610; what it could not do counts as none. What it needs beside this one's packages is found by
PYTHONPATH. Needs Chromium.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import psutil
from PIL import Image
from playwright.sync_api import Browser, Page

from benchmarks.bench_app import LOOK
from benchmarks.record import save
from tests.e2e.browser import ROOT, Server, chromium, launch, serve, settle

REPEATS = 5
PIXELS = 32
MOST_MS = 200_000
COUNTED = """addEventListener("pointerdown", () => sessionStorage.clicks = +(sessionStorage.clicks || 0) + 1, true);
addEventListener("keydown", () => sessionStorage.keys = +(sessionStorage.keys || 0) + 1, true);"""


@dataclass(frozen=True)
class Tree:
    """A checkout, and how its app is used where that differs.

    Attributes:
        root: its folder.
        decides: whether what was decided can be computed with.
        filter_is_folded: whether the filter has to be opened first.
    """

    root: Path
    decides: bool = True
    filter_is_folded: bool = True

    @property
    def path(self) -> str:
        """Where its modules are found before those that are installed, and then what it needs beside them."""
        return os.pathsep.join([str(self.root), os.environ.get("PYTHONPATH", "")])

    def compute(self, *words: str, cache: Path) -> str:
        """Run its command line, and return the name of the run."""
        command = [sys.executable, "-m", "lsi", "compute", *words, "--cache", str(cache), "--quiet"]
        subprocess.run(command, check=True, cwd=self.root, env=os.environ | {"PYTHONPATH": self.path},
                       stdout=subprocess.DEVNULL)  # fmt: skip
        return next((cache / "runs").iterdir()).name

    @contextmanager
    def serve(self, cache: Path) -> Iterator[Server]:
        """Serve its app."""
        with serve(cache, self.root / "app.py", PYTHONPATH=self.path, LSI_DATA_ROOTS=str(cache.parent)) as server:
            yield server
        for job in cache.glob("jobs/*/job.json"):  # the map that it may still compute would slow what comes next
            with suppress(psutil.NoSuchProcess):
                psutil.Process(json.loads(job.read_text())["pid"]).kill()


def visit(browser: Browser, server: Server, path: str) -> Page:
    """Open a page in a fresh context, whose clicks and keys are counted."""
    context = browser.new_context(viewport={"width": 1440, "height": 900}, base_url=server.address)
    context.set_default_timeout(MOST_MS)
    context.add_init_script(LOOK)
    context.add_init_script(COUNTED)
    page = context.new_page()
    page.goto(path)
    return page


def first_minute(tree: Tree, browser: Browser) -> float:
    """Seconds from a server that answers over an empty cache to ranked images and the number of suspects."""
    with tempfile.TemporaryDirectory() as folder, tree.serve(Path(folder) / "cache") as server:
        begin = time.perf_counter()
        page = visit(browser, server, "/")
        page.get_by_text("Most information: atypical, hard or wrongly labelled").wait_for()
        page.get_by_test_id("stMetricLabel").filter(has_text="Suspected labels").wait_for()
        page.evaluate("lsiLook.picture('[data-testid=stImage] img')")
        took = time.perf_counter() - begin
        settle(page)
        page.context.close()
    return took


def opened(browser: Browser, server: Server, run: str) -> float:
    """Seconds from the address of the gallery to its first picture."""
    begin = time.perf_counter()
    page = visit(browser, server, f"/samples?run={run}")
    page.evaluate("lsiLook.picture('.gallery .tile img')")
    took = time.perf_counter() - begin
    settle(page)
    page.context.close()
    return took


def filtered(tree: Tree, browser: Browser, server: Server, run: str) -> dict[str, float]:
    """Seconds from the click on a class to the count of its images, and to the first of them."""
    page = visit(browser, server, f"/samples?run={run}")
    settle(page)
    page.locator(".tile img").first.wait_for()
    page.wait_for_timeout(1_000)
    if tree.filter_is_folded:
        page.get_by_role("button", name="Filter", exact=True).click()
        settle(page)
    page.get_by_role("combobox", name=re.compile(r"\bClass$")).click()
    page.evaluate("lsiLook.watchCount()")
    page.get_by_role("option").nth(3).click()
    found = page.evaluate("lsiLook.countSeconds()")
    page.context.close()
    return {"count": found["count"], "image": found["image"]}


def scrolled(browser: Browser, server: Server, run: str) -> dict[str, float]:
    """Frames a second while 1,000 tiles pass in five seconds, and for how long the slowest tile was blank."""
    page = visit(browser, server, f"/samples?run={run}")
    page.locator(".gallery .tile img").first.wait_for()
    page.wait_for_timeout(1_500)
    found = page.evaluate("lsiLook.scroll(1000, 5)")
    page.context.close()
    return found


def decide(page: Page, keys: str) -> tuple[list[str | None], list[float]]:
    """Press keys in the queue as soon as it shows what comes next; return where it stood, and the seconds of each."""
    queue = page.locator(".queue")
    page.locator(".queue .picture img").wait_for()
    queue.focus()
    seen, seconds = [], []
    for key in keys:
        seen.append(queue.get_attribute("data-position"))
        begin = time.perf_counter()
        page.keyboard.press(key)
        page.locator(f".queue:not([data-position='{seen[-1]}'])").wait_for()
        seconds.append(time.perf_counter() - begin)
    settle(page)
    return seen, seconds


def review(browser: Browser, server: Server, run: str) -> dict[str, Any]:
    """Decide sixty suspects by keys; then reload, and see where the queue goes on."""
    page = visit(browser, server, f"/issues?run={run}")
    page.locator(".queue").wait_for()
    settle(page)
    seen, seconds = decide(page, "sksx" * 15)
    following = page.locator(".queue").get_attribute("data-position")
    page.goto(f"/issues?run={run}")
    page.locator(".queue").wait_for()
    settle(page)
    resumed = page.locator(".queue").get_attribute("data-position")
    page.context.close()
    return {"different": len(set(seen)), "key_to_next": median(seconds), "resumed_at_the_next": resumed == following}


def by_hand(page: Page) -> dict[str, int]:
    """Return the clicks and keys so far."""
    found = page.evaluate("[+(sessionStorage.clicks || 0), +(sessionStorage.keys || 0)]")
    return {"clicks": found[0], "keys": found[1]}


def tasks(tree: Tree, browser: Browser, folder: Path) -> dict[str, dict[str, int] | None]:
    """Clicks and keys of five tasks: see ranked images, load a folder, decide ten, export, compute with that."""
    pictures(folder / "pets")
    found: dict[str, dict[str, int] | None] = {}
    with tree.serve(folder / "cache") as server:
        page = visit(browser, server, "/")
        page.get_by_text("Most information: atypical, hard or wrongly labelled").wait_for()
        settle(page)
        steps: dict[str, Callable[[Page], None]] = {
            "see ranked images": lambda _: None,
            "load a folder": lambda page: load_folder(tree, page, folder / "pets"),
            "decide ten": decide_ten,
            "export": export,
            "compute with the decisions": recompute,
        }
        for name, step in steps.items():
            if name.startswith("compute") and not tree.decides:
                found[name] = None
                continue
            before = by_hand(page)
            step(page)
            found[name] = {k: v - before[k] for k, v in by_hand(page).items()}
        page.context.close()
    return found


def load_folder(tree: Tree, page: Page, folder: Path) -> None:
    """Type the path of a folder into the form, and wait for its run."""
    page.get_by_text("Compute another run").last.click()
    settle(page)
    page.get_by_role("textbox", name="Folder or file" if tree.decides else "Or your own data").click()
    page.keyboard.type(str(folder))
    page.keyboard.press("Tab")
    settle(page)
    page.get_by_role("button", name="Compute", exact=True).click()
    if tree.decides:
        page.get_by_text("240 images in 4 classes.", exact=True).wait_for()
    else:
        page.get_by_test_id("stMetricValue").filter(has_text="240").first.wait_for()
    settle(page)


def decide_ten(page: Page) -> None:
    """Go to the queue, and decide ten by keys."""
    page.get_by_role("link", name="Label issues", exact=True).first.click()
    page.locator(".queue").wait_for()
    settle(page)
    decide(page, "sksxkskxsk")


def export(page: Page) -> None:
    """Go to the export, and download it."""
    page.get_by_role("link", name="Export", exact=True).first.click()
    settle(page)
    with page.expect_download():
        page.get_by_role("button", name="Download").first.click()


def recompute(page: Page) -> None:
    """Compute with what was decided."""
    page.get_by_role("button", name="Recompute with my decisions").click()
    page.get_by_text(re.compile("^Computed from 10 decisions")).wait_for()
    settle(page)


def pictures(folder: Path, classes: int = 4, each: int = 60) -> None:
    """Write a folder a class of coloured noise, a fifth of it in the folder of another."""
    rng = np.random.default_rng(0)
    for i in range(classes * each):
        label, shown = i % classes, i % classes if i % 5 else (i + 1) % classes
        where = folder / f"class{label}" / f"{i}.png"
        where.parent.mkdir(parents=True, exist_ok=True)
        colour = np.array([[200, 60, 60], [60, 200, 60], [60, 60, 200], [200, 200, 60]])[shown]
        Image.fromarray(np.clip(rng.normal(colour, 50, (PIXELS, PIXELS, 3)), 0, 255).astype(np.uint8)).save(where)


def large(folder: Path, n: int) -> Path:
    """Write n images of ten classes with pixels of 32 × 32 as arrays."""
    rng = np.random.default_rng(0)
    labels = rng.integers(10, size=n)
    base = rng.uniform(40, 210, (10, PIXELS, PIXELS, 3))
    images = np.clip(base[labels] + rng.normal(scale=60, size=(n, PIXELS, PIXELS, 3)), 0, 255).astype(np.uint8)
    flipped = rng.random(n) < 0.05
    path = folder / "large.npz"
    np.savez(path, images=images, labels=np.where(flipped, rng.integers(10, size=n), labels))
    return path


def measure(trees: dict[str, Tree], browser: Browser, folder: Path, n: int, repeats: int) -> dict[str, Any]:
    """Measure the trees in turn."""
    data, found = large(folder, n), {name: {} for name in trees}
    for name, tree in trees.items():
        found[name]["first_minute"] = [first_minute(tree, browser) for _ in range(min(repeats, 3))]
        found[name]["by_hand"] = tasks(tree, browser, folder / name / "tasks")
        print(name, found[name], flush=True)
    for name, tree in trees.items():
        cache = folder / name / "cache"
        run = tree.compute("--data", str(data), "--backbone", "pixels", "--pca", "64", cache=cache)
        with tree.serve(cache) as server:
            opened(browser, server, run)  # warm
            found[name] |= {"opened": [opened(browser, server, run) for _ in range(repeats)],
                            "filtered": [filtered(tree, browser, server, run) for _ in range(repeats)],
                            "scrolled": [scrolled(browser, server, run) for _ in range(repeats)],
                            "review": review(browser, server, run),
                            "server_mib": psutil.Process(server.pid).memory_info().rss / 2**20}  # fmt: skip
        print(name, found[name], flush=True)
    return {"n": n, **found}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--beside", type=Path)
    given = parser.parse_args()
    path = chromium()
    if path is None:
        raise SystemExit("no Chromium on this machine (Debian: apt-get install chromium)")
    trees = {"now": Tree(ROOT)}
    if given.beside:
        trees["before"] = Tree(given.beside.resolve(), decides=False, filter_is_folded=False)
    with tempfile.TemporaryDirectory() as folder, launch(path) as browser:
        result = measure(trees, browser, Path(folder), *((2_000, 1) if given.quick else (10_000, REPEATS)))
    save("door_quick" if given.quick else "door", result)


if __name__ == "__main__":
    main()
