"""A server of its own and a real Chromium; without one the tests skip and say so."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.e2e.browser import chromium, launch, serve

ARTEFACTS = Path(__file__).parent / "artefacts"
JOB_MS = 300_000  # a computation in a process of its own, beside other tests
expect.set_options(timeout=90_000)  # other tests run beside these; how long pages take is the benchmark's business


@pytest.fixture(scope="module")
def cache(tmp_path_factory) -> Path:
    """The server's cache, empty at first."""
    return tmp_path_factory.mktemp("e2e")


@pytest.fixture(scope="module")
def server(cache) -> Iterator[str]:
    """The address of a freshly started server."""
    with serve(cache) as found:
        yield found.address


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    path = chromium()
    if path is None:
        pytest.skip("no Chromium on this machine (Debian: apt-get install chromium)")
    with launch(path) as found:
        yield found


@pytest.fixture(scope="module")
def context(browser: Browser, server: str) -> Iterator[BrowserContext]:
    """What the pages of a module share: above all the scripts of the app, compiled."""
    made = browser.new_context(viewport={"width": 1360, "height": 1000}, base_url=server, accept_downloads=True)
    made.set_default_timeout(90_000)
    yield made
    made.close()


@pytest.fixture
def page(context: BrowserContext) -> Iterator[Page]:
    made = context.new_page()
    yield made
    made.close()
