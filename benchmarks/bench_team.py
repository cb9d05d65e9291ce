"""A team at the app: many sessions that browse and decide, slow clients, and a cache with 1,000 runs.

    python -m benchmarks.bench_team [--quick] [--minutes 5] [--sessions 30]

Sessions speak Streamlit's own protocol, each over a websocket of its own, and fetch the images that a page shows first:
what they cost is the server's time, and no browser's. Needs the Fashion-MNIST subset that the app begins with.
"""

import argparse
import asyncio
import itertools
import json
import os
import random
import shutil
import socket
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import websockets
from playwright.sync_api import Browser
from streamlit import config
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.typing import Origin, Subprotocol

from benchmarks.bench_app import open_page, page_changes
from benchmarks.record import save
from lsi.compute import maps, pipeline
from lsi.config import Settings
from lsi.runs.decisions import Reviews
from lsi.runs.listing import list_runs
from lsi.runs.run import Run
from lsi.ui.first_run import FIRST
from tests.e2e.browser import Server, chromium, launch, serve, settle

PAGES = ("", "samples", "issues", "map", "classes", "redundancy", "export")
IMAGES = 12  # that a session fetches after each page
KEPT = config.get_option("server.disconnectedSessionTTL")  # seconds that Streamlit keeps what a closed session held
THINKING = (2.0, 8.0)  # seconds between two pages of a session


class Session:
    """One open page of the app."""

    def __init__(self, server: Server, run: Run, number: int) -> None:
        self.server, self.run, self.number = server, run, number
        self.pages: dict[str, str] = {}
        self.gallery, self.token, self.log = "", "", []
        self.seconds: list[tuple[str, float]] = []
        self.errors: list[str] = []

    async def live(self, until: float) -> None:
        """Browse and decide until a time of `time.perf_counter`."""
        address = self.server.address.replace("http", "ws") + "/_stcore/stream"
        choose = random.Random(self.number)
        try:
            async with websockets.connect(
                address, subprotocols=[Subprotocol("streamlit")], origin=Origin(self.server.address), max_size=None
            ) as socket:
                self.socket = socket
                await self.show("")
                while time.perf_counter() < until:
                    await asyncio.sleep(choose.uniform(*THINKING))
                    await self.show(choose.choice(PAGES))
                    if self.gallery:
                        await self.decide(choose.randrange(2_000), choose.choice(("keep", "exclude", "unsure")))
        except Exception as error:
            self.errors.append(f"{type(error).__name__}: {error}")

    async def show(self, page: str) -> None:
        """Open a page, wait until its script has run, and fetch the first images."""
        self.gallery = ""
        begin = time.perf_counter()
        await self.ask(page)
        self.seconds.append((page or "overview", time.perf_counter() - begin))
        self.page = page
        begin = time.perf_counter()
        await asyncio.gather(*(asyncio.to_thread(self.fetch, i) for i in range(IMAGES)))
        self.seconds.append(("images", time.perf_counter() - begin))

    async def decide(self, position: int, what: str) -> None:
        """Decide about one image, as a key in the gallery does."""
        self.log.append([len(self.log) + 1, self.token, what, [position]])
        begin = time.perf_counter()
        await self.ask(self.page, self.gallery)
        self.seconds.append(("decide", time.perf_counter() - begin))

    async def ask(self, page: str, widget: str = "") -> None:
        """Have the script of a page run, with what a component sends, and look at what it shows."""
        message = BackMsg()
        asked = message.rerun_script
        asked.query_string = f"run={self.run.name}"
        asked.page_script_hash = self.pages.get(page, "")
        if widget:
            state = asked.widget_states.widgets.add()
            state.id, state.json_value = widget, json.dumps({"log": self.log})
        await self.socket.send(message.SerializeToString())
        while True:
            answer = ForwardMsg()
            answer.ParseFromString(await asyncio.wait_for(self.socket.recv(decode=False), 60))
            kind = answer.WhichOneof("type")
            if kind == "navigation":
                self.pages = {p.url_pathname: p.page_script_hash for p in answer.navigation.app_pages}
            elif kind == "delta":
                self.take(answer.delta.new_element)
            elif kind == "script_finished":
                if answer.script_finished != ForwardMsg.FINISHED_SUCCESSFULLY:
                    self.errors.append(f"{page}: {answer.script_finished}")
                return

    def take(self, element: Any) -> None:
        """Look at what a page shows: errors, and the gallery."""
        if element.HasField("exception"):
            self.errors.append(element.exception.message)
        if element.HasField("bidi_component") and "gallery" in element.bidi_component.component_name:
            self.gallery = element.bidi_component.id
            self.token = _data_of(element.bidi_component)["token"]

    def fetch(self, number: int) -> None:
        """Fetch one image."""
        position = (97 * self.number + 13 * len(self.seconds) + number) % 2_000
        with urllib.request.urlopen(f"{self.server.address}/thumbs/{self.run.name}/{position}?size=128") as answer:
            if answer.status != 200:
                self.errors.append(f"image {position}: {answer.status}")
            answer.read()


def _data_of(component: Any) -> dict[str, Any]:
    """Return what a component is given."""
    return json.loads(component.mixed.json if component.HasField("mixed") else component.json)


async def browse(server: Server, run: Run, sessions: list[Session], seconds: float) -> None:
    until = time.perf_counter() + seconds
    await asyncio.gather(*(session.live(until) for session in sessions))


def memory(server: Server) -> float:
    """Return the MiB that the server's process holds."""
    return psutil.Process(server.pid).memory_info().rss / 2**20


def load(cache: Path, run: Run, count: int, seconds: float) -> dict[str, Any]:
    """Sessions that browse and decide: seconds a page, errors, and memory before, during and after."""
    with serve(cache) as server:
        asyncio.run(browse(server, run, [Session(server, run, 1_000 + i) for i in range(3)], seconds / 10))
        time.sleep(20)  # what the first sessions leave is given back
        before, begin = memory(server), time.perf_counter()
        sessions = [Session(server, run, i) for i in range(count)]
        asyncio.run(browse(server, run, sessions, seconds))
        took, during = time.perf_counter() - begin, memory(server)
        after = []
        for _ in range(KEPT // 30 + 4):
            time.sleep(30)
            after.append(round(memory(server), 1))
        log = (cache / "server.log").read_text()
    found: dict[str, list[float]] = {}
    for name, value in itertools.chain.from_iterable(s.seconds for s in sessions):
        found.setdefault(name, []).append(value)
    shown = np.concatenate([values for name, values in found.items() if name not in ("images", "decide")])
    decided = sum(len(session.log) for session in sessions)
    history = Reviews.of_cache(cache).history(run.subject)
    recorded = len(history) if not history.empty else 0
    if recorded < decided:
        raise SystemExit(f"{decided} decisions were sent, {recorded} are recorded")
    return {
        "sessions": count,
        "seconds": took,
        "pages": len(shown),
        "page_median": float(np.median(shown)),
        "page_p95": float(np.quantile(shown, 0.95)),
        "by_kind": {name: {"n": len(v), "median": float(np.median(v)), "p95": float(np.quantile(v, 0.95))}
                    for name, v in found.items()},
        "errors": [e for s in sessions for e in s.errors],
        "tracebacks": log.count("Traceback"),
        "decided": decided,
        "recorded": recorded,
        "mib": {"before": before, "during": during, "after": after},
    }  # fmt: skip


def slow_clients(cache: Path, run: Run, count: int = 100) -> dict[str, Any]:
    """Seconds that a fast client waits for an image, alone and beside clients that ask and do not read or write on."""
    with serve(cache) as server:
        host, port = server.address.removeprefix("http://").split(":")
        alone = [_image_seconds(server, run, i) for i in range(100)]
        opened = []
        for i in range(count):
            one = socket.create_connection((host, int(port)))
            request = f"GET /images/{run.name}/{i} HTTP/1.1\r\nHost: {host}:{port}\r\n"
            one.sendall((request + ("\r\n" if i % 2 else "X-Slow: ")).encode())
            opened.append(one)
        beside = [_image_seconds(server, run, 100 + i) for i in range(100)]
        for one in opened:
            one.close()
    return {
        "clients": count,
        "alone": {"median": float(np.median(alone)), "worst": max(alone)},
        "beside": {"median": float(np.median(beside)), "worst": max(beside)},
    }


def _image_seconds(server: Server, run: Run, position: int) -> float:
    begin = time.perf_counter()
    with urllib.request.urlopen(f"{server.address}/thumbs/{run.name}/{position}?size=128") as answer:
        answer.read()
    return time.perf_counter() - begin


def many_runs(cache: Path, run: Run, count: int = 1_000) -> dict[str, Any]:
    """Seconds of page changes in Chromium beside few runs and beside this many, one of them damaged."""
    path = chromium()
    if path is None:
        raise SystemExit("needs Chromium")
    found: dict[str, Any] = {}
    for runs in (2, count):
        for number in range(runs - len(list_runs(cache))):
            copy = run.folder.with_name(f"{run.name[:-6]}{runs + number:06x}")
            shutil.copytree(run.folder, copy, copy_function=os.link)
            (copy / "manifest.json").unlink()
            shutil.copy(run.folder / "manifest.json", copy / "manifest.json")
        if runs == count:
            next(run.folder.parent.glob(f"{run.name[:-6]}{runs:06x}/manifest.json")).write_text("{")
        with serve(cache) as server, launch(path) as browser:
            found[str(runs)] = page_changes(browser, server, run, 28) | {"runs_page": _runs_page(browser, server, run)}
    return found


def _runs_page(browser: Browser, server: Server, run: Run) -> float:
    """Return the median of the seconds from the click on Runs to its table."""
    page, seconds = open_page(browser, server, run), []
    for _ in range(4):
        seconds.append(page.evaluate("([n, t, s]) => lsiLook.follow(n, t, s)",
                                     ["Runs", "Runs", "[data-testid=stDataFrame] canvas"]))  # fmt: skip
        settle(page)
        page.get_by_role("link", name="Overview", exact=True).click()
        settle(page)
    page.context.close()
    return float(np.median(seconds))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="half a minute with five sessions, and 20 runs")
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--sessions", type=int, default=30)
    options = parser.parse_args()
    count, minutes = (5, 0.5) if options.quick else (options.sessions, options.minutes)
    with tempfile.TemporaryDirectory() as folder:
        cache = Path(folder)
        run = pipeline.run(Settings(FIRST.data, FIRST.noise, FIRST.features), cache)
        maps.projection_of_run(run, cache)
        result = {"slow_clients": slow_clients(cache, run), "load": load(cache, run, count, 60 * minutes)}
        result["many_runs"] = many_runs(cache, run, 20 if options.quick else 1_000)
    save("team-quick" if options.quick else "team", result)


if __name__ == "__main__":
    main()
