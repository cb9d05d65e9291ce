"""What a run that is computed again from the app starts from."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from lsi.compute import pipeline
from lsi.config import DATABASE, DataSettings, FeatureSettings, NoiseSettings, ScoreSettings, Settings
from lsi.export import planted_labels, selection_of
from lsi.runs.decisions import Decision, Reviews
from lsi.runs.run import Run
from lsi.ui import export_view, overview
from lsi.ui.filters import differing
from lsi.ui.session import View
from tests.cases import image_files


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


def test_a_run_of_the_database_goes_on_from_the_database(run, reviews, tmp_path):
    reviews.record(run.subject, "ann", [Decision(0, "exclude")])
    assert export_view._what_is_decided(View(run)) == DATABASE
    child = pipeline.run(replace(run.settings, decisions=DATABASE), tmp_path)
    assert export_view._what_is_decided(View(child)) == DATABASE


def test_a_run_of_a_file_goes_on_from_the_file_and_what_was_decided_since(run, reviews, tmp_path):
    """A colleague's file was never read in, and a rule's is nobody's decision."""
    file, subject = tmp_path / "carl.json", run.subject
    records = [{"id": str(subject.ids[i]), "content": str(subject.contents[i]), "action": "exclude", "label": None,
                "label_name": None, "given_name": None, "reviewer": who, "time": time}
               for i, who, time in ((0, "carl", "2026-01-01 00:00:00+00:00"), (1, "rule", ""))]  # fmt: skip
    file.write_text(json.dumps({"run": run.name, "dataset": subject.dataset, "decisions": records}))
    child = pipeline.run(replace(run.settings, decisions=str(file)), tmp_path)
    reviews.record(child.subject, "ann", [Decision(5, "exclude")])
    merged = export_view._what_is_decided(View(child))
    assert Path(merged).parent == tmp_path / "uploads"
    again = pipeline.run(replace(child.settings, decisions=merged), tmp_path)
    assert excluded(again) == {*subject.ids[:2], child.subject.ids[5]}
    assert again.parent == child.name
    assert (again.manifest["decided"]["n_excluded"], again.manifest["decided"]["n_by_rule"]) == (2, 1)
    reviews.record(run.subject, "ann", [Decision(0, "keep")])  # later than the file
    third = pipeline.run(replace(child.settings, decisions=export_view._what_is_decided(View(child))), tmp_path)
    assert excluded(third) == {subject.ids[1], child.subject.ids[5]}


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
