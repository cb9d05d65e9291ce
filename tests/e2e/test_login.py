"""Signing in with a real provider: who may do what, under whose name, and what is left after signing out."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from lsi.runs.decisions import Reviews
from lsi.runs.run import Run
from tests.e2e.browser import READY, free_port
from tests.e2e.provider import serve_with_login
from tests.e2e.test_app import digits_run


@pytest.fixture(scope="module")
def cache(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("login")
    digits_run(folder, 200)
    return folder


@pytest.fixture(scope="module")
def server(cache, tmp_path_factory) -> Iterator[str]:
    port = free_port()
    public = f"http://localhost:{port}"
    with serve_with_login(cache, tmp_path_factory.mktemp("secrets"), port, public):
        yield public


@pytest.fixture
def context(browser: Browser, server: str) -> Iterator[BrowserContext]:
    found = browser.new_context(viewport={"width": 1360, "height": 1000}, base_url=server)
    found.set_default_timeout(60_000)
    yield found
    found.close()


def sign_in(page: Page, email: str, path: str = "/") -> None:
    answer = page.goto(path)
    assert answer is not None
    assert answer.status == 401
    page.get_by_role("link", name="Sign in").click()
    page.get_by_placeholder("sub").fill(email)
    page.get_by_role("button", name="Authorize", exact=True).click()


def test_a_reviewer_decides_under_the_name_of_the_login_and_signs_out(context, cache):
    page = context.new_page()
    sign_in(page, "bob@example.org")
    page.wait_for_selector(READY)
    page.goto("/issues")
    page.locator(".queue").wait_for()
    page.keyboard.press("k")
    expect(page.get_by_text("1 keep")).to_be_visible()
    run = Run(next((cache / "runs").iterdir()))
    assert set(Reviews.of_cache(cache).current(run.subject)["reviewer"]) == {"bob@example.org"}
    page.get_by_text("bob@example.org").first.click()
    page.get_by_role("button", name="Sign out").click()
    page.get_by_role("button", name="End session").click()  # the provider's own page
    expect(page.get_by_role("link", name="Sign in")).to_be_visible()
    assert context.request.get("/thumbs/none/0").status == 401


def test_a_viewer_changes_nothing(context):
    page = context.new_page()
    sign_in(page, "eve@other.org")
    page.wait_for_selector(READY)
    page.goto("/samples")
    page.locator(".tile img").first.wait_for()
    expect(page.get_by_text("Read-only")).to_be_visible()
    for name in ("Undo", "Decide"):
        expect(page.get_by_role("button", name=name)).to_have_count(0)


def test_somebody_without_a_role_sees_that_and_nothing_else(context):
    page = context.new_page()
    sign_in(page, "mallory@evil.example")
    expect(page.get_by_text("mallory@evil.example has no role here")).to_be_visible()
    assert context.request.get("/thumbs/none/0").status == 403
    page.get_by_role("link", name="Sign out").click()
    page.get_by_role("button", name="End session").click()
    expect(page.get_by_role("link", name="Sign in")).to_be_visible()


def test_an_altered_login_is_none(context):
    page = context.new_page()
    sign_in(page, "ann@example.org")
    page.wait_for_selector(READY)
    held = next(c for c in context.cookies() if c["name"] == "_streamlit_user")
    assert context.request.get("/thumbs/none/0").status == 404
    value = held["value"]
    context.add_cookies([held | {"value": value[:10] + ("A" if value[10] != "A" else "B") + value[11:]}])
    answer = page.goto("/samples")
    assert answer is not None
    assert answer.status == 401
