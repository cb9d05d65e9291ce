"""The app from a wheel, in an empty folder, without the repository."""

import os
import subprocess
import sys

import psutil
from playwright.sync_api import expect

from tests.e2e.browser import ROOT, free_port, wait_until_it_answers
from tests.e2e.test_app import digits_run


def test_the_app_starts_from_a_wheel_in_an_empty_folder(browser, tmp_path):
    build = [sys.executable, "-m", "pip", "--quiet", "wheel", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*build, "--wheel-dir", str(tmp_path), str(ROOT)], check=True)
    (wheel,) = tmp_path.glob("*.whl")
    install = [sys.executable, "-m", "pip", "--quiet", "install", "--no-deps", "--no-index"]
    subprocess.run([*install, "--target", str(tmp_path / "installed"), str(wheel)], check=True)
    run = digits_run(tmp_path / "cache", 200)
    empty, port = tmp_path / "empty", free_port()
    empty.mkdir()
    command = [sys.executable, "-P", "-m", "lsi", "app", "--port", str(port), "--cache", str(tmp_path / "cache")]
    # no home that could be written, as in a container
    environment = os.environ | {"PYTHONPATH": str(tmp_path / "installed"), "HOME": "/proc/none"}
    with (tmp_path / "log").open("wb") as log:
        server = subprocess.Popen(command, cwd=empty, env=environment, stdout=log, stderr=log)
    try:
        address = f"http://127.0.0.1:{port}"
        wait_until_it_answers(f"{address}/health", server, tmp_path / "log")
        page = browser.new_page()
        page.set_default_timeout(60_000)
        page.goto(f"{address}/samples?run={run}")
        expect(page.locator(".tile img").first).to_be_visible()
        page.close()
        assert "installed" in location_of_the_app(server)
    finally:
        children = psutil.Process(server.pid).children(recursive=True)
        server.terminate()
        assert server.wait() == 0
        assert psutil.wait_procs(children, timeout=20)[1] == [], "what it started is still there"
    assert list(empty.iterdir()) == []


def location_of_the_app(server: subprocess.Popen) -> str:
    """Return the command lines of the server's children, which name the script that is served."""
    return " ".join(" ".join(child.cmdline()) for child in psutil.Process(server.pid).children(recursive=True))
