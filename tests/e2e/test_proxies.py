"""Behind nginx and Caddy, below a path, with a login: the configurations that `deploy` offers, with other ports."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.browser import READY, ROOT, free_port, serve, wait_until_it_answers
from tests.e2e.provider import serve_with_login
from tests.e2e.test_app import digits_run
from tests.e2e.test_login import sign_in

PROXIES = {
    "nginx": ("nginx.conf", ["nginx", "-p", "{folder}", "-c", "{file}", "-e", "{folder}/errors", "-g",
                             "daemon off; pid {folder}/pid;"]),
    "caddy": ("Caddyfile", ["caddy", "run", "--adapter", "caddyfile", "--config", "{file}"]),
}  # fmt: skip


@pytest.fixture(scope="module")
def cache(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("cache")
    digits_run(folder, 200)
    return folder


@pytest.fixture(scope="module", params=PROXIES)
def address(request, cache, tmp_path_factory) -> Iterator[str]:
    """The address that browsers use."""
    if shutil.which(request.param) is None:
        pytest.skip(f"no {request.param} on this machine (Debian: apt-get install {request.param})")
    folder, port, inner = tmp_path_factory.mktemp(request.param), free_port(), free_port()
    name, command = PROXIES[request.param]
    given = (ROOT / "deploy" / name).read_text()
    assert "8080" in given
    assert "127.0.0.1:8501" in given
    (folder / name).write_text(given.replace("8080", str(port)).replace("8501", str(inner)))
    words = [word.format(folder=folder, file=folder / name) for word in command]
    public = f"http://localhost:{port}/lsi"
    with (
        serve_with_login(cache, folder, inner, public, LSI_BASE_PATH="/lsi"),
        (folder / "log").open("wb") as log,
    ):
        process = subprocess.Popen(words, stdout=log, stderr=log)
        try:
            wait_until_it_answers(f"{public}/health", process, folder / "log")
            yield public
        finally:
            process.terminate()
            process.wait()


@pytest.fixture
def page(browser: Browser, address: str) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1360, "height": 1000}, accept_downloads=True)
    context.set_default_timeout(60_000)
    yield context.new_page()
    context.close()


def test_everything_works_below_a_path(page, address):
    failed = []
    page.on("response", lambda r: failed.append((r.status, r.url)) if r.status >= 400 else None)
    sign_in(page, "bob@example.org", f"{address}/")
    page.wait_for_selector(READY)
    page.goto(f"{address}/samples")
    page.locator(".tile img").first.wait_for()
    shown = page.locator(".tile img")
    assert all(s.startswith("/lsi/thumbs/") for s in shown.evaluate_all("all => all.map(i => i.getAttribute('src'))"))
    assert all(shown.evaluate_all("all => Promise.all(all.map(i => i.decode().then(() => i.naturalWidth > 0)))"))
    page.goto(f"{address}/issues")
    page.locator(".queue .picture img").wait_for()
    page.keyboard.press("k")
    expect(page.get_by_text("keep").first).to_be_visible()  # the other proxy's reviewer decided too
    page.get_by_role("link", name="Export").click()
    with page.expect_download() as download:
        page.get_by_role("button", name="Report").click()
    assert download.value.url.startswith((address, "blob:"))
    page.get_by_text("bob@example.org").first.click()
    page.get_by_role("button", name="Sign out").click()
    page.get_by_role("button", name="End session").click()
    expect(page.get_by_role("link", name="Sign in")).to_be_visible()
    assert page.url.startswith(address)
    searched = ("/_stcore/health", "/_stcore/host-config")  # Streamlit's page looks for its server from the address up
    assert [(s, u) for s, u in failed if s != 401 and not u.endswith(searched)] == []


def test_nothing_is_served_above_the_path_or_without_a_login(page, address):
    for path in ("/thumbs/none/0", "/images/none/0", "/_stcore/host-config"):
        assert page.request.get(f"{address}{path}").status == 401
        answer = page.request.get(f"{address.removesuffix('/lsi')}{path}")  # the proxy's own, whatever it is
        assert "no such image" not in answer.text()
        assert "sign in first" not in answer.text()


def test_a_page_opens_for_whom_a_proxy_has_signed_in(browser, cache, tmp_path):
    """Its session reads from its websocket's headers who it is, and when the proxy was asked."""
    if shutil.which("nginx") is None:
        pytest.skip("no nginx on this machine (Debian: apt-get install nginx)")
    port, inner = free_port(), free_port()
    given = (ROOT / "deploy" / "nginx.conf").read_text().replace("8080", str(port)).replace("8501", str(inner))
    host = "proxy_set_header Host $http_host;"
    assert host in given
    (tmp_path / "nginx.conf").write_text(given.replace(host, f'{host} proxy_set_header X-Forwarded-Email "ann@a.org";'))
    (tmp_path / "roles.toml").write_text('reviewer = ["ann@a.org"]')
    words = [w.format(folder=tmp_path, file=tmp_path / "nginx.conf") for w in PROXIES["nginx"][1]]
    settings = {"LSI_BASE_PATH": "/lsi", "LSI_PROXY_HEADER": "X-Forwarded-Email"}
    with (
        serve(cache, port=inner, LSI_ROLES=str(tmp_path / "roles.toml"), **settings) as server,
        (tmp_path / "log").open("wb") as log,
    ):
        process = subprocess.Popen(words, stdout=log, stderr=log)
        try:
            wait_until_it_answers(f"http://localhost:{port}/lsi/health", process, tmp_path / "log")
            page = browser.new_page()
            assert page.request.get(f"{server.address}/samples").status == 401  # not through the proxy
            page.goto(f"http://localhost:{port}/lsi/")
            page.wait_for_selector(READY, timeout=60_000)
            expect(page.get_by_text("ann@a.org").first).to_be_visible()
            page.close()
        finally:
            process.terminate()
            process.wait()
