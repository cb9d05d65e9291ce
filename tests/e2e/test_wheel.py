"""The app from a wheel, in an empty folder, without the repository: installed, as a user without rights, by uvx."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from playwright.sync_api import Browser, expect

from tests.e2e.browser import ROOT, free_port, wait_until_it_answers
from tests.e2e.test_app import digits_run

NOBODY = 65534
# reads everything, the interpreter of root's home included, and writes what its user may
WITHOUT_RIGHTS = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups",
                  *(f"--{kind}-caps=-all,+dac_read_search" for kind in ("inh", "ambient")),
                  "--bounding-set=-all,+dac_read_search"]  # fmt: skip


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "pip", "--quiet", "wheel", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*build, "--wheel-dir", str(folder), str(ROOT)], check=True)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def open_folder():
    """Give a folder with a cache that other users may enter and write to, as pytest's own may not be."""
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        folder.chmod(0o755)
        yield folder


@pytest.fixture(scope="module")
def run(open_folder):
    return digits_run(open_folder / "cache", 200)


@pytest.mark.skipif(not shutil.which("setpriv") and not os.geteuid(), reason="root cannot become another user here")
def test_the_app_starts_from_a_wheel_without_rights_in_an_empty_folder(browser, wheel, open_folder, run):
    install = [sys.executable, "-m", "pip", "--quiet", "install", "--no-deps", "--no-index"]
    subprocess.run([*install, "--target", str(open_folder / "installed"), str(wheel)], check=True)
    home = open_folder / "home"
    home.mkdir(mode=0o555)
    if not os.geteuid():
        for path in (open_folder / "cache").rglob("*"):
            os.chown(path, NOBODY, NOBODY)
        os.chown(open_folder / "cache", NOBODY, NOBODY)
    command = [*(() if os.geteuid() else WITHOUT_RIGHTS), sys.executable, "-P", "-m", "lsi"]
    with served(command, open_folder, PYTHONPATH=str(open_folder / "installed"), HOME=str(home)) as (address, server):
        assert psutil.Process(server.pid).uids().effective != 0
        assert "installed" in location_of_the_app(server)
        look_at_the_first_image(browser, f"{address}/samples?run={run}")
    assert list(home.iterdir()) == []


def test_uvx_starts_the_app_from_the_wheel_file(browser, wheel, open_folder, run):
    """What `uvx --from` does, held to the packages of the lock, which setting up has put in uv's cache."""
    uvx = [str(Path(sys.executable).with_name("uv")), "tool", "run", "--offline", "--python", sys.executable,
           "--constraints", str(ROOT / "requirements.lock"), "--from", str(wheel), "lsi"]  # fmt: skip
    tried = subprocess.run([*uvx, "--help"], capture_output=True, text=True, check=False)
    if "cache" in tried.stderr and tried.returncode:
        pytest.skip(f"uv's cache lacks a package: {tried.stderr.strip().splitlines()[-1]}")
    assert tried.returncode == 0, tried.stderr
    with served(uvx, open_folder) as (address, server):
        assert str(ROOT) not in location_of_the_app(server)
        look_at_the_first_image(browser, f"{address}/samples?run={run}")


@contextmanager
def served(lsi: list[str], folder: Path, **environment: str) -> Iterator[tuple[str, subprocess.Popen]]:
    """Start `lsi app` over the cache in a folder, from an empty one; all of it has ended afterwards, tracelessly."""
    empty, port = folder / "empty", free_port()
    empty.mkdir(exist_ok=True)
    command = [*lsi, "app", "--port", str(port), "--cache", str(folder / "cache")]
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(command, cwd=empty, env=os.environ | environment, stdout=log, stderr=log)
    try:
        address = f"http://127.0.0.1:{port}"
        wait_until_it_answers(f"{address}/health", server, folder / "log")
        yield address, server
    finally:
        children = psutil.Process(server.pid).children(recursive=True)
        server.terminate()
        assert server.wait() == 0
        assert psutil.wait_procs(children, timeout=20)[1] == [], "what it started is still there"
    assert list(empty.iterdir()) == []


def look_at_the_first_image(browser: Browser, address: str) -> None:
    """Wait until a page shows an image."""
    page = browser.new_page()
    page.set_default_timeout(60_000)
    page.goto(address)
    expect(page.locator(".tile img").first).to_be_visible()
    page.close()


def location_of_the_app(server: subprocess.Popen) -> str:
    """Return the command lines of the server's children, which name the script that is served."""
    return " ".join(" ".join(child.cmdline()) for child in psutil.Process(server.pid).children(recursive=True))
