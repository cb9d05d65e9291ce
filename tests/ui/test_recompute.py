"""What a run that is computed again from the app starts from."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lsi.compute import pipeline
from lsi.config import DATABASE, DataSettings, FeatureSettings, NoiseSettings, ScoreSettings, Settings
from lsi.export import planted_labels, selection_of
from lsi.files import read_json, write_json
from lsi.runs.decisions import Decision, Reviews
from lsi.runs.layout import MANIFEST
from lsi.runs.records import records_to_add
from lsi.runs.run import Run
from lsi.ui import export_view, overview
from lsi.ui.filters import differing
from lsi.ui.session import View
from tests.cases import image_files

EARLY = "2026-01-01 00:00:00+00:00"


@pytest.fixture
def reviews(tmp_path, monkeypatch) -> Reviews:
    monkeypatch.delenv("LSI_DATABASE_URL", raising=False)
    reviews = Reviews.of_cache(tmp_path)
    monkeypatch.setattr(export_view, "reviews", lambda: reviews)
    monkeypatch.setattr(export_view, "cache", lambda: tmp_path)
    monkeypatch.setattr(export_view, "decisions", lambda view: reviews.current(view.run.subject))
    return reviews


@pytest.fixture
def run(tmp_path) -> Run:
    (tmp_path / "data").mkdir()
    image_files(tmp_path / "data", ("a", "b"), 24)
    data = DataSettings(data=tmp_path / "data" / "manifest.csv")
    how = Settings(data, features=FeatureSettings(backbone="pixels"), score=ScoreSettings(prior_precision=100.0))
    return pipeline.run(how, tmp_path)


def excluded(run: Run) -> set[str]:
    return {record["id"] for record in run.decided_before if record["action"] == "exclude"}


def record_of(run: Run, i: int, who: str, time: str, action: str = "exclude", label: str | None = None) -> dict:
    about = run.subject
    return {"id": str(about.ids[i]), "content": str(about.contents[i]), "action": action, "label": None,
            "label_name": label, "given_name": None if label is None else about.name(int(about.given[i])),
            "reviewer": who, "time": time}  # fmt: skip


def child_of(run: Run, folder: Path, *records: dict) -> Run:
    """Return the run that starts from a file of these records, which the database never had."""
    file = folder / "carl.json"
    file.write_text(json.dumps({"run": run.name, "dataset": run.subject.dataset, "decisions": records}))
    return pipeline.run(replace(run.settings, decisions=str(file)), folder)


def again(run: Run, folder: Path) -> Run:
    return pipeline.run(replace(run.settings, decisions=export_view._what_is_decided(View(run))), folder)


def test_a_run_of_the_database_goes_on_from_the_database(run, reviews, tmp_path):
    reviews.record(run.subject, "ann", [Decision(0, "exclude")])
    assert export_view._what_is_decided(View(run)) == DATABASE
    child = pipeline.run(replace(run.settings, decisions=DATABASE), tmp_path)
    assert export_view._what_is_decided(View(child)) == DATABASE


def test_a_run_of_a_file_goes_on_from_the_file_and_what_was_decided_since(run, reviews, tmp_path):
    """A colleague's file was never read in, and a rule's is nobody's decision."""
    subject = run.subject
    child = child_of(run, tmp_path, record_of(run, 0, "carl", EARLY), record_of(run, 1, "rule", ""))
    reviews.record(child.subject, "ann", [Decision(5, "exclude")])
    merged = export_view._what_is_decided(View(child))
    assert Path(merged).parent == tmp_path / "uploads"
    second = pipeline.run(replace(child.settings, decisions=merged), tmp_path)
    assert excluded(second) == {*subject.ids[:2], child.subject.ids[5]}
    assert second.parent == child.name
    assert (second.manifest["decided"]["n_excluded"], second.manifest["decided"]["n_by_rule"]) == (2, 1)
    reviews.record(run.subject, "ann", [Decision(0, "keep")])  # later than the file
    assert excluded(again(child, tmp_path)) == {subject.ids[1], child.subject.ids[5]}


def test_a_mistake_that_was_undone_and_a_keep_as_no_duplicate_leave_a_new_label(run, reviews, tmp_path):
    label = run.class_names[1 - int(run.subject.given[3])]
    child = child_of(run, tmp_path, *(record_of(run, i, "carl", EARLY, "relabel", label) for i in (3, 5)))
    reviews.record(child.subject, "ann", [Decision(3, "exclude")])
    assert reviews.undo(child.subject, "ann") == 1
    reviews.record(child.subject, "ann", [Decision(5, "keep", is_of_label=False)])
    new = again(child, tmp_path).scores
    assert [child.class_names[c] for c in new["given_label"][[3, 5]]] == [label, label]
    assert new["is_confirmed"][[3, 5]].all()


def test_what_a_rule_left_out_returns_where_a_person_keeps_it_later(run, reviews, tmp_path):
    """What was said of it before the rule left it out does not bring it back."""
    kept = record_of(run, 2, "ann", EARLY, "keep")
    reviews.add(*records_to_add({"dataset": run.subject.dataset, "decisions": [kept]}))
    child = child_of(run, tmp_path, *(record_of(run, i, "rule", "") for i in (1, 2)))
    assert excluded(again(child, tmp_path)) == set(run.subject.ids[1:3])
    reviews.record(run.subject, "ann", [Decision(1, "keep")])
    assert excluded(again(child, tmp_path)) == {run.subject.ids[2]}


def test_a_run_whose_decisions_were_all_taken_back_is_computed_without_any(run, reviews, tmp_path, monkeypatch):
    """Nothing is decided on the samples that it holds, and the page asks to compute again."""
    reviews.record(run.subject, "ann", [Decision(0, "exclude")])
    child = pipeline.run(replace(run.settings, decisions=DATABASE), tmp_path)
    ruled = child_of(run, tmp_path, record_of(run, 0, "rule", ""))
    reviews.record(run.subject, "ann", [Decision(0, "clear")])
    offered = []
    monkeypatch.setattr(export_view, "looks_only", lambda: False)
    monkeypatch.setattr(export_view, "pressed", lambda *_words, **options: offered.append(not options["disabled"]))
    for one in (run, child, ruled):
        export_view.recompute(View(one))
    assert offered == [False, True, True]
    assert again(child, tmp_path).name == again(ruled, tmp_path).name == run.name


def test_a_run_of_code_that_the_app_refuses_is_not_noted_as_started(run, reviews, monkeypatch):
    reviews.record(run.subject, "ann", [Decision(0, "exclude")])
    monkeypatch.setattr(export_view, "looks_only", lambda: False)
    monkeypatch.setattr(export_view, "pressed", lambda *_words, **_options: True)
    monkeypatch.setattr(export_view, "note", pytest.fail)
    said = []
    monkeypatch.setattr(export_view.st, "error", said.append)
    of_code = replace(run.settings, features=replace(run.settings.features, backbone="nets:best"))
    monkeypatch.setitem(vars(run), "settings", of_code)
    export_view.recompute(View(run))
    assert ["can run any code" in one for one in said] == [True]


def test_settings_of_before_that_mean_nothing_without_classes_keep_no_run_from_its_decisions(
    reviews, tmp_path, monkeypatch
):
    np.savez(
        tmp_path / "d.npz", features=np.random.default_rng(0).normal(size=(30, 4)), progression=np.linspace(0, 1, 30)
    )
    run = pipeline.run(
        Settings(DataSettings(data=tmp_path / "d.npz", task="regression", targets="progression")), tmp_path
    )
    assert run.task == "regression"
    manifest = read_json(run.folder / MANIFEST)
    manifest["settings"]["score"] |= {"structure": "kron", "loo": "refit", "refit_top": 3, "certify": 2}
    write_json(run.folder / MANIFEST, manifest)
    run, started = Run(run.folder), []
    reviews.record(run.subject, "ann", [Decision(0, "exclude")])
    for name, does in {"looks_only": lambda: False, "pressed": lambda *_, **__: True, "note": lambda *_, **__: None,
                       "reviewer": lambda: "ann", "await_job": started.append}.items():  # fmt: skip
        monkeypatch.setattr(export_view, name, does)
    monkeypatch.setattr(export_view.jobs, "start", lambda settings, _cache, decided: settings)
    monkeypatch.setattr(export_view.st, "switch_page", lambda _page: None)
    monkeypatch.setattr(export_view.st, "session_state", {"pages": {"overview": None}})
    export_view.recompute(View(run))
    assert started[0].score == ScoreSettings()
    assert len(pipeline.run(started[0], tmp_path).scores) == 29


def test_labels_that_a_person_changed_are_not_called_flipped_on_purpose(run, reviews, tmp_path):
    """Four labels are flipped; one of them is mended, and two right ones are changed."""
    run = pipeline.run(replace(run.settings, noise=NoiseSettings(corrupt_label=4 / 24)), tmp_path)
    given, true = run.scores["given_label"], run.scores["true_label"]
    flipped, right = run.scores.index[given != true], run.scores.index[given == true]
    assert len(flipped) == 4
    assert overview._differ(View(run), 4) == "labels were flipped on purpose"
    changed = {int(i): int(true[i]) for i in flipped[:1]} | {int(i): 1 - int(given[i]) for i in right[:2]}
    reviews.record(run.subject, "ann", [Decision(i, "relabel", label) for i, label in changed.items()])
    assert planted_labels(run, selection_of(run, reviews.current(run.subject))) == 3
    child = pipeline.run(replace(run.settings, decisions=DATABASE), tmp_path)
    assert sorted(child.scores["id"][child.scores["is_corrupted"]]) == sorted(run.scores["id"][flipped[1:]])
    assert child.manifest["detection"]["n_corrupted"] == 3
    assert planted_labels(child, selection_of(child, reviews.current(child.subject))) == 3
    count = int(differing(View(child).table).sum())
    assert count == 6
    assert overview._differ(View(child), count) == "labellings differ (3 flipped on purpose)"
    reviews.close()
