"""A server of its own and a real Chromium; without one the tests skip and say so."""

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

ROOT = Path(__file__).parent.parent.parent
FLAGS = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --use-angle=swiftshader --enable-unsafe-swiftshader"
)
READY = "[data-testid=stApp][data-test-script-state=notRunning][data-test-connection-state=CONNECTED]"
ARTEFACTS = Path(__file__).parent / "artefacts"


@pytest.fixture(scope="module")
def server(tmp_path_factory) -> Iterator[str]:
    """The address of a freshly started server with an empty cache."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    cache = tmp_path_factory.mktemp("e2e")
    environment = {k: v for k, v in os.environ.items() if k not in ("LSI_DATABASE_URL", "LSI_READ_ONLY")}
    command = [str(Path(sys.executable).parent / "streamlit"), "run", str(ROOT / "app.py"), "--server.port", str(port)]
    with (cache / "server.log").open("wb") as log:
        process = subprocess.Popen(
            command, cwd=ROOT, env={**environment, "LSI_CACHE": str(cache)}, stdout=log, stderr=log
        )
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(240):
            try:
                with urllib.request.urlopen(f"{address}/health") as answer:
                    assert answer.status == 200
                break
            except OSError:
                assert process.poll() is None, (cache / "server.log").read_text()
                time.sleep(0.25)
        yield address
    finally:
        process.terminate()
        process.wait()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if path is None:
        pytest.skip("no Chromium on this machine (Debian: apt-get install chromium)")
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=path, args=FLAGS.split())
        yield found
        found.close()


@pytest.fixture
def page(browser: Browser, server: str) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1360, "height": 1000}, base_url=server, accept_downloads=True)
    context.set_default_timeout(60_000)
    yield context.new_page()
    context.close()


def settle(page: Page) -> None:
    """Wait until the script has run and nothing is pending."""
    page.wait_for_timeout(300)
    page.wait_for_selector(READY)
    assert page.locator("[data-testid=stException]").count() == 0
