"""A server of its own and a real Chromium, for the tests and the benchmark of the app."""

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

ROOT = Path(__file__).parent.parent.parent
FLAGS = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --use-angle=swiftshader --enable-unsafe-swiftshader"
)
READY = "[data-testid=stApp][data-test-script-state=notRunning][data-test-connection-state=CONNECTED]"
NOT_PASSED_ON = ("LSI_DATABASE_URL", "LSI_READ_ONLY", "LSI_DATA_ROOTS", "LSI_ROLES", "LSI_PROXY_HEADER")


@dataclass(frozen=True)
class Server:
    """A running server: its address and process number."""

    address: str
    pid: int


@contextmanager
def serve(cache: Path, script: Path = ROOT / "app.py", port: int | None = None, **environment: str) -> Iterator[Server]:
    """Start the app, or another script, by default on a free port, over this cache, and end it afterwards."""
    port = port or free_port()
    kept = {k: v for k, v in os.environ.items() if k not in NOT_PASSED_ON}
    command = [str(Path(sys.executable).parent / "streamlit"), "run", str(script), "--server.port", str(port)]
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "server.log").open("wb") as log:
        process = subprocess.Popen(
            command,
            cwd=script.parent if script.name == "app.py" else ROOT,
            env={**kept, "LSI_CACHE": str(cache), **environment},
            stdout=log,
            stderr=log,
        )
    address = f"http://127.0.0.1:{port}{environment.get('LSI_BASE_PATH', '')}"
    health = "health" if script.name == "app.py" else "_stcore/health"
    try:
        wait_until_it_answers(f"{address}/{health}", process, cache / "server.log")
        yield Server(address, process.pid)
    finally:
        process.terminate()
        process.wait()


def free_port() -> int:
    """Return a port that nothing listens on."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_until_it_answers(address: str, process: subprocess.Popen, log: Path) -> None:
    """Wait for a server, a minute at the most, and show its log where it ends instead."""
    for _ in range(240):
        try:
            with urllib.request.urlopen(address) as answer:
                assert answer.status == 200
            return
        except OSError:
            assert process.poll() is None, log.read_text()
            time.sleep(0.25)
    raise AssertionError(f"{address} does not answer: {log.read_text()}")


def chromium() -> str | None:
    """Return the path of a Chromium, or None where there is none."""
    return shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@contextmanager
def launch(path: str) -> Iterator[Browser]:
    """Start Chromium and end it afterwards."""
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=path, args=FLAGS.split())
        yield found
        found.close()


def settle(page: Page) -> None:
    """Wait until the script has run and nothing is pending."""
    page.wait_for_timeout(300)
    page.wait_for_selector(READY)
    assert page.locator("[data-testid=stException]").count() == 0


def draw_lasso(page: Page, corners: list[tuple[float, float]], modifier: str | None = None) -> None:
    """Drag over the map through corners given as shares of its width and height."""
    page.locator(".map canvas").scroll_into_view_if_needed()
    box = page.locator(".map canvas").bounding_box()
    assert box is not None
    points = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in [*corners, corners[0]]]
    if modifier:
        page.keyboard.down(modifier)
    page.mouse.move(*points[0])
    page.mouse.down()
    for x, y in points[1:]:
        page.mouse.move(x, y, steps=8)
    page.mouse.up()
    if modifier:
        page.keyboard.up(modifier)
