import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from lsi.cli.main import main
from lsi.errors import StorageError
from lsi.files import save_array
from lsi.runs.decisions import Decision, Reviews
from lsi.runs.listing import list_runs
from lsi.runs.remarks import add_remark
from lsi.runs.store import Store
from lsi.runs.trail import trail

COMPUTE = ["compute", "--dataset", "digits", "--subset", "200", "--quiet"]


@pytest.fixture(autouse=True)
def account(monkeypatch):
    monkeypatch.delenv("LSI_DATABASE_URL", raising=False)
    monkeypatch.delenv("LSI_READ_ONLY", raising=False)
    monkeypatch.setattr("getpass.getuser", lambda: "ann")


def done(cache) -> list[tuple[str, str]]:
    reviews = Reviews.of_cache(cache, read_only=True)
    rows = trail(reviews)
    reviews.close()
    assert set(rows["who"]) <= {"ann (command line)"}
    return list(zip(rows["what"], rows["about"], strict=True))


def test_what_the_commands_do_stands_in_the_trail(tmp_path):
    cache = ["--cache", str(tmp_path / "cache")]
    assert main([*COMPUTE, *cache]) == 0
    assert not (tmp_path / "cache" / "reviews.db").exists()  # nobody has decided anything yet
    Reviews.of_cache(tmp_path / "cache").close()
    (run,) = list_runs(tmp_path / "cache")
    out = str(tmp_path / "out")
    for words in (
        [*COMPUTE, "--seed", "1"],
        ["export", run.name, "--output", out],
        ["decisions", "export", f"{out}/in-force.json", "--run", run.name],
        ["decisions", "import", f"{out}/decisions.json"],
        ["report", run.name, "--output", f"{out}/report.html"],
        ["runs", "rename", run.name, "first"],
        ["runs", "delete", run.name],
        ["cache", "clear"],
    ):
        assert main([*words, *cache]) == 0, words
    assert done(tmp_path / "cache") == [
        ("started", "digits"),
        ("exported", run.name),
        ("exported", run.name),
        ("read decisions in", "digits"),
        ("exported a report", run.name),
        ("renamed", run.name),
        ("deleted", run.name),
        ("cleared", "features, designs, projections"),
    ]


def test_what_is_refused_does_not_stand_in_the_trail(tmp_path, capsys):
    cache = ["--cache", str(tmp_path / "cache")]
    assert main([*COMPUTE, *cache]) == 0
    Reviews.of_cache(tmp_path / "cache").close()
    (run,) = list_runs(tmp_path / "cache")
    copy, foreign = tmp_path / "copy", tmp_path / "foreign"
    shutil.copytree(run.folder, copy)
    foreign.mkdir()
    (foreign / "manifest.json").write_text("{}")
    for words in (
        ["runs", "rename", run.name, "x" * 81],
        ["runs", "delete", str(copy)],
        ["export", run.name, "--output", str(foreign)],
        ["export", run.name, "--output", str(foreign / "manifest.json")],
        ["export", run.name, "--output", str(run.folder)],
        ["decisions", "export", str(foreign), "--run", run.name],
        ["report", run.name, "--output", str(foreign)],
    ):
        assert main([*words, *cache]) == 2, words
    assert done(tmp_path / "cache") == []
    assert not list(tmp_path.rglob("*.tmp"))


def test_zero_rows_of_the_trail_are_all_of_it(tmp_path, capsys):
    Reviews.of_cache(tmp_path).close()
    for number in range(3):
        assert main(["cache", "clear", "--kinds", "uploads", "--cache", str(tmp_path)]) == 0, number
    for rows, n in ((0, 3), (2, 2)):
        capsys.readouterr()
        assert main(["trail", "--rows", str(rows), "--json", "--cache", str(tmp_path)]) == 0
        assert len(json.loads(capsys.readouterr().out)) == n


def test_what_cannot_be_written_down_is_not_done(tmp_path, monkeypatch, capsys):
    cache = ["--cache", str(tmp_path)]
    assert main([*COMPUTE, *cache]) == 0
    Reviews.of_cache(tmp_path).close()

    def refuse(*_args, **_facts):
        raise StorageError("the disk is full")

    monkeypatch.setattr("lsi.runs.trail.note", refuse)
    assert main(["runs", "delete", "latest", *cache]) != 0
    assert "the disk is full" in capsys.readouterr().err
    assert len(list_runs(tmp_path)) == 1


def test_what_somebody_follows_is_noted_by_whom_it_was_started(tmp_path):
    cache = tmp_path / "cache"
    Reviews.of_cache(cache).close()
    assert main([*COMPUTE, "--cache", str(cache), "--progress", str(tmp_path / "progress.json")]) == 0
    assert done(cache) == []


def test_read_only_leaves_no_trace(tmp_path, monkeypatch):
    assert main([*COMPUTE, "--cache", str(tmp_path)]) == 0
    Reviews.of_cache(tmp_path).close()
    monkeypatch.setenv("LSI_READ_ONLY", "1")
    assert main(["report", "latest", "--output", str(tmp_path / "report.html"), "--cache", str(tmp_path)]) == 0
    assert done(tmp_path) == []


def test_read_only_the_commands_change_nothing_and_show_everything(tmp_path, monkeypatch, capsys):
    cache = tmp_path / "cache"
    assert main([*COMPUTE, "--cache", str(cache)]) == 0
    (run,) = list_runs(cache)
    assert main(["export", run.name, "--output", str(tmp_path / "out"), "--cache", str(cache)]) == 0
    decisions, other = str(tmp_path / "out" / "decisions.json"), str(tmp_path / "other.json")
    monkeypatch.setenv("LSI_READ_ONLY", "1")
    before = {path: path.stat().st_mtime_ns for path in cache.rglob("*")}
    for words in (
        [*COMPUTE, "--seed", "1"],
        [*COMPUTE, "--seed", "1", "--progress", str(tmp_path / "progress.json")],
        ["project", run.name],
        ["decisions", "import", decisions],
        ["runs", "rename", run.name, "first"],
        ["runs", "delete", run.name],
        ["cache", "clear"],
    ):
        capsys.readouterr()
        assert main([*words, "--cache", str(cache)]) == 2, words
        assert "LSI_READ_ONLY is set: nothing can be changed here." in capsys.readouterr().err
    for words in (["show", run.name], ["runs"], ["cache", "size"], ["trail"], ["decisions", "export", other]):
        assert main([*words, "--cache", str(cache)]) == 0, words
    assert {path: path.stat().st_mtime_ns for path in cache.rglob("*")} == before


def test_a_run_that_is_named_by_its_folder_has_the_decisions_the_map_and_the_trail_of_its_cache(tmp_path, monkeypatch):
    team, elsewhere = tmp_path / "team", tmp_path / "elsewhere"
    assert main([*COMPUTE, "--cache", str(team)]) == 0
    (run,) = list_runs(team)
    reviews = Reviews.of_cache(team)
    reviews.record(run.subject, "ann (command line)", [Decision(i, "exclude") for i in range(3)])
    reviews.close()
    entry = Store(team).entry("projections", run.projection_key)
    entry.folder.mkdir(parents=True)
    save_array(entry.path("projection.npy"), np.zeros((len(run.scores), 2)))
    entry.seal(["projection.npy"])
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    folder, sites = str(run.folder), []
    for name in (folder, f"../team/runs/{run.name}"):
        assert main(["export", name, "--decisions", "--output", "out"]) == 0
        assert len((elsewhere / "out" / "removed_indices.txt").read_text().split()) == 3
        assert main(["decisions", "export", "d.json", "--run", name]) == 0
        assert len(json.loads((elsewhere / "d.json").read_text())["decisions"]) == 3
        assert main(["report", name, "--output", "r.html"]) == 0
        sites.append((elsewhere / "r.html").read_text())
        assert main(["project", name]) == 0
    assert ">Map<" in sites[0], "its own map"
    monkeypatch.chdir(run.folder.parent)
    assert main(["runs", "rename", run.name, "first"]) == 0
    assert main(["runs", "delete", run.name]) == 0
    assert [what for what, _ in done(team)] == ["exclude"] * 3 + ["exported", "exported", "exported a report"] * 2 + [
        "renamed", "deleted"]  # fmt: skip
    assert not (elsewhere / "cache").exists()


def test_of_a_cache_that_cannot_be_written_decisions_are_read_and_the_trail_is_ones_own(tmp_path, monkeypatch, capsys):
    team, own = tmp_path / "team", tmp_path / "own"
    assert main([*COMPUTE, "--cache", str(team)]) == 0
    (run,) = list_runs(team)
    reviews = Reviews.of_cache(team)
    reviews.record(run.subject, "ann (command line)", [Decision(i, "exclude") for i in range(3)])
    add_remark(reviews, run.subject, "ann (command line)", [3], "tag", "blurred")
    reviews.close()
    Reviews.of_cache(own).close()
    before = done(team)
    is_writable = os.access
    monkeypatch.setattr(os, "access", lambda path, how: team not in Path(path).parents and path != team
                        and is_writable(path, how))  # fmt: skip
    folder, words = str(run.folder), ["--cache", str(own)]
    out, file = str(tmp_path / "out"), tmp_path / "d.json"
    monkeypatch.setattr("lsi.features.projection.project", lambda values, _seed: np.zeros((len(values), 2)))
    assert main(["project", folder, *words]) == 0
    assert (own / "projections").is_dir()
    assert not (team / "projections").exists()
    assert main(["export", folder, "--decisions", "--output", out, *words]) == 0
    assert len((tmp_path / "out" / "removed_indices.txt").read_text().split()) == 3
    assert main(["decisions", "export", str(file), "--run", folder, *words]) == 0
    assert [len(json.loads(file.read_text())[name]) for name in ("decisions", "remarks")] == [3, 1]
    assert main(["report", folder, "--output", str(tmp_path / "r.html"), *words]) == 0
    assert ">Map<" in (tmp_path / "r.html").read_text()
    assert done(team) == before
    assert [what for what, _ in done(own)] == ["exported", "exported", "exported a report"]


def test_a_computation_on_a_device_that_is_not_here_is_not_noted(tmp_path, capsys):
    Reviews.of_cache(tmp_path).close()
    assert main([*COMPUTE, "--device", "cuda:99", "--cache", str(tmp_path)]) == 2
    assert "cuda:99" in capsys.readouterr().err
    assert done(tmp_path) == []


def test_reading_leaves_no_database_where_there_is_none(tmp_path):
    cache = tmp_path / "cache"
    assert main([*COMPUTE, "--cache", str(cache)]) == 0
    decisions, report, out = (str(tmp_path / name) for name in ("d.json", "r.html", "out"))
    for words in (
        ["export", "--decisions", "--output", out],
        ["decisions", "export", decisions, "--all"],
        ["report", "--output", report],
    ):
        assert main([*words, "--cache", str(cache)]) == 0
    assert not (cache / "reviews.db").exists()


def test_tags_and_notes_travel_with_exports_and_decisions(tmp_path, capsys):
    cache = ["--cache", str(tmp_path / "cache")]
    assert main([*COMPUTE, *cache]) == 0
    (run,) = list_runs(tmp_path / "cache")
    reviews = Reviews.of_cache(tmp_path / "cache")
    add_remark(reviews, run.subject, "ann", [3, 5], "tag", "blurry")
    gone = replace(run.subject, ids=["gone"], contents=["gone"])
    add_remark(reviews, gone, "ann", [0], "note", "Where is it?")
    reviews.close()
    out = tmp_path / "out"
    assert main(["export", run.name, "--drop-issues", "--output", str(out), *cache]) == 0
    assert pd.read_csv(out / "audit.csv")["tags"].notna().sum() == 2
    assert main(["apply", str(out / "decisions.json"), "--output", str(tmp_path / "again"), *cache]) == 0
    assert (tmp_path / "again" / "audit.csv").read_bytes() == (out / "audit.csv").read_bytes()
    file = tmp_path / "all.json"
    assert main(["decisions", "export", str(file), "--all", "--run", run.name, *cache]) == 0
    capsys.readouterr()
    other = ["--cache", str(tmp_path / "other")]
    for came in (3, 0):
        assert main(["decisions", "import", str(file), "--json", *other]) == 0
        assert json.loads(capsys.readouterr().out)["remarks"] == came
