"""Two runs side by side, and what runs are called."""

import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import spearmanr

from lsi.cli import main
from lsi.compute import pipeline
from lsi.config import DATABASE, DataSettings, FeatureSettings, NoiseSettings, ScoreSettings, Settings
from lsi.errors import MissingRunError, UsageError
from lsi.files import write_json
from lsi.runs import listing
from lsi.runs.comparison import compare, is_new
from lsi.runs.counting import decided_on
from lsi.runs.decisions import Decision, Reviews
from lsi.runs.layout import MANIFEST, TITLE
from lsi.runs.listing import delete_run, find_run, list_runs, run_before
from lsi.runs.run import Run
from lsi.runs.store import SEAL
from lsi.runs.titles import label_of, rename

SETTINGS = Settings(DataSettings("digits", subset=300), NoiseSettings(), score=ScoreSettings(structure="diag"), seed=3)


@pytest.fixture(scope="module")
def cache(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def pair(cache) -> tuple[Run, Run]:
    """A run, and the one from its decisions: sample 5 excluded, sample 8 under another label."""
    run = pipeline.run(SETTINGS, cache)
    label = (int(run.scores["given_label"][8]) + 1) % 10
    reviews = Reviews.of_cache(cache)
    reviews.record(run.subject, "ann", [Decision(5, "exclude"), Decision(8, "relabel", label), Decision(9, "keep")])
    reviews.close()
    return run, pipeline.run(replace(SETTINGS, decisions=DATABASE), cache)


def test_a_comparison_says_what_changed_and_for_whom(pair):
    run, child = pair
    found = compare(run, child)
    assert found.removed.tolist() == [5]
    assert not len(found.added)
    assert len(found.shared) == 299
    labels = found.relabelled()
    assert labels["before"].tolist() == [8]
    assert labels["given_before"].tolist() == [run.class_names[run.scores["given_label"][8]]]
    for side, of in (("before", run), ("after", child)):
        rows = found.shared[side].to_numpy()
        np.testing.assert_array_equal(of.scores["id"].to_numpy()[rows], found.shared["id"])
        lsi = of.scores["lsi"].to_numpy()
        np.testing.assert_array_equal(found.shared[f"lsi_{side}"], lsi[rows])
        expected = [(lsi <= value).mean() for value in lsi[rows[:20]]]
        np.testing.assert_allclose(found.shared[f"rank_{side}"][:20], expected, rtol=1e-12)
    figures = found.figures.set_index("figure")
    assert figures.loc["samples"].tolist() == [300, 299]
    assert figures.loc["suspected labels"].tolist() == [r.manifest["summary"]["n_label_issues"] for r in pair]
    assert figures.loc["leave-one-out accuracy"].tolist() == [r.manifest["summary"]["loo_accuracy"] for r in pair]
    expected = spearmanr(found.shared["lsi_before"], found.shared["lsi_after"]).statistic
    assert found.rank_agreement == pytest.approx(expected, rel=1e-12)
    classes = found.classes.set_index("class")
    assert classes["samples_before"].sum() - classes["samples_after"].sum() == 1
    moved = (found.shared["rank_after"] - found.shared["rank_before"]).abs()
    assert found.moved(3).index.tolist() == moved.sort_values(ascending=False, kind="stable").index[:3].tolist()


def test_new_is_what_the_run_before_lacks(pair, cache):
    run, child = pair
    assert not is_new(child, run).any(), "sample 5 was left out by a decision"
    assert np.flatnonzero(is_new(child.with_decided_before([]), run)).tolist() == [5]
    assert not is_new(run, child).any()
    other = pipeline.run(replace(SETTINGS, data=DataSettings(dataset="fashion", subset=60),
                                 features=FeatureSettings(backbone="pixels", pca=16)), cache)  # fmt: skip
    assert not is_new(other, run).any(), "other data"
    before = run_before(cache, child)
    assert before is not None
    assert before.name == run.name
    assert run_before(cache, other) is None


def test_the_run_before_is_one_on_data_of_the_same_place(tmp_path, monkeypatch):
    places = ("one/train", "other/train", "one/train")
    runs = []
    for number, place in enumerate(places):
        folder = tmp_path / "runs" / f"train-{number}"
        folder.mkdir(parents=True)
        write_json(folder / MANIFEST, {"dataset": {"name": "train"}, "settings": {"data": {"data": place}}})
        runs.append(Run(folder))
    monkeypatch.setattr(listing, "list_runs", lambda _: runs[::-1])
    found = [run_before(tmp_path, run) for run in runs]
    assert [run and run.name for run in found] == [None, "train-0", "train-0"]


def listed(cache: Path, name: str, created: str, written: int, title: str = "") -> Path:
    """Write what a list of runs reads of one, its manifest as if it had been copied at `written` seconds."""
    folder = cache / "runs" / name
    folder.mkdir(parents=True)
    manifest = {"created": created, "dataset": {"name": "d"}, "features": {}, "settings": {}, "summary": {}}
    write_json(folder / MANIFEST, manifest)
    write_json(folder / TITLE, {"title": title})
    write_json(folder / SEAL, {})
    os.utime(folder / MANIFEST, (written, written))
    return folder


def test_the_latest_run_is_the_one_computed_last_however_its_files_were_copied(tmp_path):
    listed(tmp_path, "new", "2026-03-01T10:00:00+00:00", 1)
    listed(tmp_path, "old", "2026-03-01T09:59:59+00:00", 4)
    listed(tmp_path, "east", "2026-03-01T11:30:00+02:00", 3)
    listed(tmp_path, "odd", "long ago", 5)
    first, second = (listed(tmp_path, name, "2026-02-01T00:00:00+00:00", 9 - i) for i, name in enumerate("ab"))
    assert [run.name for run in list_runs(tmp_path)] == ["new", "old", "east", "a", "b", "odd"]
    os.utime(second / MANIFEST, (10, 10))
    assert [run.name for run in list_runs(tmp_path)][3:5] == [second.name, first.name]
    assert find_run(tmp_path, "latest").name == "new"
    before = run_before(tmp_path, find_run(tmp_path, "new"))
    assert before is not None
    assert before.name == "old"


def test_the_name_of_a_run_comes_before_titles_of_others(tmp_path):
    listed(tmp_path, "d-1", "2026-03-01T10:00:00+00:00", 1)
    listed(tmp_path, "d-2", "2026-03-02T10:00:00+00:00", 1, title="d-1")
    assert find_run(tmp_path, "d-1").name == "d-1"


def test_an_image_is_not_new_for_the_noise_in_it(tmp_path):
    pixels = FeatureSettings(backbone="pixels", pca=16)
    settings = replace(SETTINGS, data=DataSettings("digits", subset=60), features=pixels)
    clean = pipeline.run(settings, tmp_path)
    noisy = pipeline.run(replace(settings, noise=NoiseSettings(corrupt_data=1.0, corrupt_data_label=(0, 1))), tmp_path)
    found = compare(clean, noisy)  # what is in common is compared, and the noise is what changed it
    assert (len(found.shared), len(found.added), len(found.removed)) == (60, 0, 0)
    assert not is_new(clean, noisy).any()
    assert not is_new(noisy, clean).any()


def test_comparing_turns_around(pair):
    run, child = pair
    there, back = compare(run, child), compare(child, run)
    assert back.added.tolist() == there.removed.tolist() == [5]
    np.testing.assert_array_equal(there.shared[["before", "after"]], back.shared[["after", "before"]])


def test_runs_without_a_common_sample_are_not_compared(pair, cache, tmp_path):
    np.savez(tmp_path / "other.npz", features=np.random.default_rng(0).normal(size=(40, 4)), labels=np.arange(40) % 2)
    with pytest.raises(UsageError, match="share no sample"):
        compare(pair[0], pipeline.run(Settings(DataSettings(data=tmp_path / "other.npz")), cache))


def test_a_class_that_left_is_counted_as_gone(tmp_path):
    rng = np.random.default_rng(0)
    labels = np.array(["a", "b"] * 20 + ["c"])
    np.savez(tmp_path / "d.npz", features=rng.normal(size=(41, 4)), labels=labels)
    settings = Settings(DataSettings(data=tmp_path / "d.npz"))
    run = pipeline.run(settings, tmp_path)
    reviews = Reviews.of_cache(tmp_path)
    reviews.record(run.subject, "ann", [Decision(40, "exclude")])
    reviews.close()
    child = pipeline.run(replace(settings, decisions=DATABASE), tmp_path)
    assert child.class_names == ["a", "b"]
    classes = compare(run, child).classes.set_index("class")
    assert classes.loc["c", ["samples_before", "samples_after"]].tolist() == [1, 0]
    assert np.isnan(classes.loc["c", "lsi_after"])
    json.dumps(compare(run, child).to_dict(), allow_nan=False)


def test_the_command_compares_with_the_parent(pair, cache, capsys):
    run, child = pair
    assert main(["compare", "parent", child.name, "--cache", str(cache), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["before"], said["after"], said["n_removed"]) == (run.name, child.name, 1)
    assert main(["compare", run.name, child.name, "--cache", str(cache)]) == 0
    assert "299 samples in both, 1 under another label; 0 came, 1 left" in capsys.readouterr().out
    assert main(["compare", "parent", run.name, "--cache", str(cache)]) == 2
    assert "started from no other run" in capsys.readouterr().err


def test_runs_are_told_apart_and_called_what_people_call_them(pair, cache, capsys):
    run, child = pair
    words = label_of(run)
    assert words.startswith("digits: 300 images, pixels, seed 3, subset 300, structure diag · ")
    assert "after 3 decisions" in label_of(child)
    rename(child, "  After\nreview ")
    assert label_of(child) == "After review"
    assert find_run(cache, "After review").name == child.name
    assert child.manifest == Run(child.folder).manifest
    assert pipeline.run(replace(SETTINGS, decisions=DATABASE), cache).title == "After review"
    with pytest.raises(UsageError, match="at most 80"):
        rename(child, "x" * 81)
    assert main(["runs", "rename", child.name, "--cache", str(cache)]) == 0
    assert Run(child.folder).title == ""
    assert main(["runs", "delete", "--cache", str(cache)]) == 2
    assert "Name the run to delete" in capsys.readouterr().err


def test_a_run_whose_settings_are_of_another_version_has_a_name_too(pair, tmp_path):
    run, _ = pair
    old = Run(tmp_path / "old")
    settings = run.manifest["settings"] | {"data": {"path": "photos"}}
    write_json(old.folder / "manifest.json", run.manifest | {"settings": settings})
    words = f"digits: 300 images, pixels, of version {run.manifest['versions']['lsi']} · "
    assert label_of(old).startswith(words)
    write_json(old.folder / "manifest.json", pair[1].manifest | {"settings": settings})
    assert "after 3 decisions" in label_of(Run(old.folder))


def test_a_run_that_was_deleted_meanwhile_is_not_made_anew_by_its_title(pair, tmp_path):
    gone = Run(tmp_path / pair[0].name)
    with pytest.raises(MissingRunError, match=f"{gone.name} was deleted meanwhile"):
        rename(gone, "first")
    assert not gone.folder.exists()


def test_deleting_a_run_leaves_decisions_and_other_runs(cache, tmp_path):
    settings = Settings(DataSettings("digits", subset=100))
    run, other = pipeline.run(settings, tmp_path), pipeline.run(replace(settings, seed=1), tmp_path)
    reviews = Reviews.of_cache(tmp_path)
    reviews.record(run.subject, "ann", [Decision(5, "exclude"), Decision(6, "keep"), Decision(6, "clear")])
    assert reviews.counts() == {"digits": 1}
    reviews.undo(run.subject, "ann")
    assert reviews.counts() == {}
    reviews.redo(run.subject, "ann")
    delete_run(run)
    assert [r.name for r in list_runs(tmp_path)] == [other.name]
    assert len(reviews.current(run.subject)) == 1
    reviews.close()
    copied = tmp_path / "elsewhere"
    copied.mkdir()
    with pytest.raises(UsageError, match="no run of a cache"):
        delete_run(Run(copied))
    with pytest.raises(MissingRunError):
        find_run(tmp_path, run.name)
    again = pipeline.run(settings, tmp_path)
    assert again.name == run.name


def test_decisions_on_other_data_of_the_same_name_are_not_counted(tmp_path):
    rng, reviews, runs = np.random.default_rng(0), Reviews.of_cache(tmp_path), []
    for place in ("one", "two"):
        (tmp_path / place).mkdir()
        file = tmp_path / place / "data.npz"
        np.savez(file, features=rng.normal(size=(40, 4)), labels=np.arange(40) % 2)
        runs.append(pipeline.run(Settings(DataSettings(data=file)), tmp_path))
        runs.append(pipeline.run(Settings(DataSettings(data=file), seed=1), tmp_path))
    first, again, second, _ = runs
    assert len({run.subject_name for run in runs}) == 1
    reviews.record(first.subject, "ann", [Decision(i, "exclude") for i in range(3)])
    reviews.record(second.subject, "ann", [Decision(5, "keep")])
    assert list(decided_on(reviews, runs).values()) == [3, 3, 1, 1]
    reviews.record(again.subject, "bob", [Decision(9, "keep"), Decision(0, "clear")])
    assert list(decided_on(reviews, runs).values()) == [3, 3, 1, 1]
    reviews.undo(second.subject, "ann")
    assert list(decided_on(reviews, runs).values()) == [3, 3, 0, 0]
    assert decided_on(reviews, [first, again]) == {first.name: 3, again.name: 3}
    reviews.redo(second.subject, "ann")  # on samples that neither of these has
    assert decided_on(reviews, [first, again]) == {first.name: 3, again.name: 3}
    reviews.undo(second.subject, "ann")
    assert list(decided_on(reviews, runs).values()) == [3, 3, 0, 0]
    (second.folder / "scores.parquet").unlink()
    assert list(decided_on(reviews, runs).values()) == [3, 3, 0, 0], "counted before"
    reviews.close()
