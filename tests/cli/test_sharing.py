"""How a computation shares the machine with the pages and with what else runs on it."""

import os
from types import SimpleNamespace

import pytest

from lsi.cli import actions, main


@pytest.mark.parametrize(
    ("given", "spins"),
    [({}, "1000"), ({"GOMP_SPINCOUNT": "7"}, "7"), ({"OMP_WAIT_POLICY": "ACTIVE"}, None)],
)
def test_threads_that_wait_sleep_soon_unless_told_otherwise(monkeypatch, capsys, given, spins):
    for variable in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY"):
        monkeypatch.setenv(variable, "")  # so that it is put back afterwards
        monkeypatch.delenv(variable)
    for variable, value in given.items():
        monkeypatch.setenv(variable, value)
    main(["--help"])
    assert os.environ.get("GOMP_SPINCOUNT") == spins


@pytest.mark.parametrize("is_job", [True, False])
def test_the_map_of_a_job_comes_after_the_pages(monkeypatch, capsys, tmp_path, is_job):
    said = []
    run = SimpleNamespace(name="a", folder=tmp_path)
    monkeypatch.setattr(actions.pipeline, "run", lambda *_: run)
    monkeypatch.setattr(actions.psutil, "Process", lambda: SimpleNamespace(nice=lambda value: said.append(value > 0)))
    monkeypatch.setattr(actions.maps, "projection_of_run", lambda *_: said.append("map"))
    monkeypatch.setattr(actions, "print_run", lambda *_: None)
    words = ["--progress", str(tmp_path / "progress.json")] if is_job else []
    assert main(["compute", "--cache", str(tmp_path), "--quiet", "--project", *words]) == 0
    assert said == ([True, "map"] if is_job else ["map"])
