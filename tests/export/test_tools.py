"""Tasks for Label Studio and back, and the script for FiftyOne."""

import base64
import io
import json
import sys
import types
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lsi.cli import main
from lsi.compute import pipeline
from lsi.config import DataSettings, FeatureSettings, NoiseSettings, Settings
from lsi.errors import DataError, UsageError
from lsi.export import select, write_for
from lsi.runs.decisions import Decision, Reviews
from lsi.runs.records import records_to_add
from lsi.runs.run import Run
from tests.cases import image_files, odd_numbers


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Run:
    folder = tmp_path_factory.mktemp("files with space")
    settings = Settings(
        DataSettings(data=image_files(folder, ("cat & <b>", "dog", "cow"), 60)),
        NoiseSettings(corrupt_label=0.1),
        FeatureSettings(backbone="pixels"),
    )
    return pipeline.run(settings, tmp_path_factory.mktemp("cache"))


def tasks_of(run: Run, folder: Path, **options: str) -> list[dict]:
    write_for(run, select(run), folder, "label-studio", **options)
    return json.loads((folder / "label-studio.json").read_text(encoding="utf-8"))


def test_every_sample_is_a_task_with_what_is_suggested_least_likely_labels_first(run, tmp_path):
    tasks = tasks_of(run, tmp_path)
    assert len(tasks) == 60
    scores = [task["data"]["label_score"] for task in tasks]
    assert scores == sorted(scores)
    by_id = run.scores.set_index("id")
    for task in tasks:
        data, row = task["data"], by_id.loc[task["data"]["lsi_id"]]
        assert data["given_label"] == run.class_names[row["given_label"]]
        assert data["is_suspected"] == row["is_label_issue"]
        assert data["image"] == f"/data/local-files/?d={data['lsi_id']}"
        result = task["predictions"][0]["result"][0]
        assert result["value"]["choices"] == [run.class_names[row["suggested_label"]]]
        assert (result["from_name"], result["to_name"], result["type"]) == ("label", "image", "choices")
    there = tasks_of(run, tmp_path / "there", image_root="https://files.example.org/")
    assert there[0]["data"]["image"].startswith("https://files.example.org/")


def test_the_interface_offers_every_class_by_its_name(run, tmp_path):
    tasks_of(run, tmp_path)
    root = ElementTree.parse(tmp_path / "label-studio.xml").getroot()
    questions = {c.get("name"): [o.get("value") for o in c] for c in root.iter("Choices")}
    assert questions == {"label": run.class_names, "decision": ["exclude", "unsure"]}
    assert {c.get("toName") for c in root.iter("Choices")} == {"image"}
    assert root.find("Image").get("value") == "$image"


def test_images_without_files_travel_in_their_task(tmp_path):
    digits = pipeline.run(Settings(DataSettings(dataset="digits", subset=60)), tmp_path / "cache")
    task = tasks_of(digits, tmp_path)[0]
    kind, _, content = task["data"]["image"].partition(",")
    assert kind == "data:image/png;base64"
    position = digits.scores.index[digits.scores["id"].astype(str) == task["data"]["lsi_id"]][0]
    shown = np.asarray(Image.open(io.BytesIO(base64.b64decode(content))).convert("RGB"))
    np.testing.assert_array_equal(shown, np.asarray(digits.images.read(position).convert("RGB")))
    with pytest.raises(UsageError, match="--images copy"):
        write_for(digits, select(digits), tmp_path, "fiftyone")


def test_runs_without_labels_have_nothing_to_ask(tmp_path):
    numbers = pipeline.run(
        Settings(DataSettings(data=odd_numbers(tmp_path), task="regression", targets="<b>weight</b>")), tmp_path / "c"
    )
    with pytest.raises(UsageError, match="needs class labels"):
        write_for(numbers, select(numbers), tmp_path, "label-studio")


def answered(task: dict, *answers: dict) -> dict:
    """A task as Label Studio's JSON export has it."""
    return {"id": 7, "data": task["data"], "predictions": [], "annotations": list(answers)}


def answer(who, when: str, **chosen: str) -> dict:
    result = [{"from_name": question, "to_name": "image", "type": "choices", "value": {"choices": [choice]}}
              for question, choice in chosen.items()]  # fmt: skip
    return {
        "id": 1,
        "completed_by": who,
        "was_cancelled": False,
        "created_at": when,
        "updated_at": when,
        "result": result,
    }


def export_of(tasks: list[dict]) -> list[dict]:
    given, other = (
        tasks[1]["data"]["given_label"],
        next(c for c in ("dog", "cow") if c != tasks[0]["data"]["given_label"]),
    )
    return [
        answered(tasks[0], answer({"id": 3, "email": "ann@example.org"}, "2026-03-01T10:00:00.5Z", label=other)),
        answered(tasks[1], answer(4, "2026-03-01T10:01:00Z", label=given)),
        answered(tasks[2], answer(4, "2026-03-01T10:02:00Z", label="dog", decision="exclude")),
        answered(tasks[3], answer(4, "2026-03-01T10:03:00Z") | {"was_cancelled": True}),
        answered(tasks[4], answer(4, "2026-03-01T10:04:00Z")),
        answered(tasks[5], answer("bob", "2026-03-01T10:05:00Z", decision="unsure"),
                 answer("eve", "2026-03-01T09:00:00Z", label="no such class")),
    ]  # fmt: skip


def test_answers_come_back_as_decisions(run, tmp_path):
    tasks = tasks_of(run, tmp_path)
    dataset, records = records_to_add(export_of(tasks))
    reviews = Reviews(f"sqlite:///{tmp_path / 'r.db'}")
    assert reviews.add(dataset, records).added == 5
    found = reviews.current(run.subject)
    ids = run.scores["id"].iloc[found.index].tolist()
    said = {i: (a, n, r) for i, a, n, r in zip(ids, found["action"], found["label"], found["reviewer"], strict=True)}
    expected = run.class_names.index(export_of(tasks)[0]["annotations"][0]["result"][0]["value"]["choices"][0])
    name = [task["data"]["lsi_id"] for task in tasks]
    assert said[name[0]] == ("relabel", expected, "ann@example.org")
    assert said[name[1]][0::2] == ("keep", "label-studio 4")
    assert said[name[2]][0::2] == ("exclude", "label-studio 4")
    assert said[name[5]][0::2] == ("unsure", "bob")
    assert set(said) == {name[0], name[1], name[2], name[5]}
    assert found["time"].iloc[0].year == 2026
    assert reviews.add(dataset, records).known == 5
    reviews.record(run.subject, "me", [Decision(int(found.index[0]), "exclude")])
    reviews.close()


def test_json_min_says_the_same(run, tmp_path):
    tasks = tasks_of(run, tmp_path)
    flat = [task["data"] | {"annotator": 4, "updated_at": "2026-03-01T10:00:00Z", "label": label}
            for task, label in zip(tasks, ("dog", {"choices": ["cow"]}, None), strict=False)]  # fmt: skip
    _, records = records_to_add(flat)
    assert [r["label_name"] or r["given_name"] for r in records] == ["dog", "cow"]
    assert {r["reviewer"] for r in records} == {"label-studio 4"}
    assert records[0]["time"] == datetime(2026, 3, 1, 10, tzinfo=UTC)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ([], "no task"),
        ([{"data": {"image": "a.png"}, "annotations": []}], "Task 0: expected a Label Studio export"),
        (["text"], "Task 0: expected a Label Studio export"),
        ("two datasets", "several datasets"),
        ("two choices", "expected one choice"),
        ("another decision", "expected exclude or unsure"),
    ],
)
def test_what_is_no_answer_is_refused_in_words(run, tmp_path, content, said):
    tasks = tasks_of(run, tmp_path)[:2]
    if content == "two datasets":
        tasks[1]["data"]["lsi_dataset"] = "another"
        content = [answered(task) for task in tasks]
    elif content == "two choices":
        content = [tasks[0]["data"] | {"label": {"choices": ["dog", "cow"]}}]
    elif content == "another decision":
        content = [answered(tasks[0], answer(1, "2026-03-01T10:00:00Z", decision="burn"))]
    with pytest.raises(DataError, match=said):
        records_to_add(content)


def test_the_commands_write_tasks_and_read_answers(run, tmp_path, monkeypatch, capsys):
    cache = run.folder.parent.parent
    monkeypatch.setenv("LSI_DATABASE_URL", f"sqlite:///{tmp_path / 'r.db'}")
    words = ["export", run.name, "--cache", str(cache), "--output", str(tmp_path / "out")]
    assert main([*words, "--tools", "label-studio", "fiftyone"]) == 0
    assert "fiftyone_dataset.py" in capsys.readouterr().out
    tasks = json.loads((tmp_path / "out" / "label-studio.json").read_text(encoding="utf-8"))
    (tmp_path / "answers.json").write_text(json.dumps(export_of(tasks)))
    assert main(["decisions", "import", str(tmp_path / "answers.json"), "--cache", str(cache)]) == 0
    assert "5 decisions" in capsys.readouterr().out
    for task in tasks:
        task["data"]["lsi_dataset"] = "another"
    (tmp_path / "answers.json").write_text(json.dumps(export_of(tasks)))
    assert main(["decisions", "import", str(tmp_path / "answers.json"), "--cache", str(cache)]) == 0
    assert f"0 decisions about {run.subject.dataset} added; 5 were here already" in capsys.readouterr().out


@dataclass
class Classification:
    label: str


@dataclass
class Sample:
    filepath: str
    tags: list[str] = field(default_factory=list)
    fields: dict = field(default_factory=dict)

    def __init__(self, filepath: str, tags: list[str], **fields) -> None:
        self.filepath, self.tags, self.fields = filepath, tags, fields


def test_the_script_names_every_image_with_its_labels_scores_and_state(run, tmp_path, monkeypatch):
    """With a stand-in for FiftyOne, whose own package needs a MongoDB."""
    stand_in = types.ModuleType("fiftyone")
    stand_in.Classification, stand_in.Sample, stand_in.Dataset = Classification, Sample, list  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "fiftyone", stand_in)
    selection = select(run, drop_issues=True)
    write_for(run, selection, tmp_path, "fiftyone")
    scope: dict = {"__file__": str(tmp_path / "fiftyone_dataset.py"), "__name__": "fiftyone_dataset"}
    exec(compile((tmp_path / "fiftyone_dataset.py").read_text(), "fiftyone_dataset.py", "exec"), scope)
    root = Path(run.settings.data.data).parent
    found = list(scope["samples"](root))
    assert [s.filepath for s in found] == [str(root / name) for name in run.scores["id"]]
    excluded = [i for i, s in enumerate(found) if "excluded" in s.tags]
    assert excluded == selection.removed.tolist()
    assert [s.fields["lsi"] for s in found] == run.scores["lsi"].tolist()
    assert [s.fields["given_label"].label for s in found] == [run.class_names[c] for c in run.scores["given_label"]]
    with pytest.raises(FileNotFoundError, match="give the folder"):
        list(scope["samples"](tmp_path))
