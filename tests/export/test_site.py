"""A run as a folder for any web server."""

import base64
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from lsi.cli import main
from lsi.compute import pipeline
from lsi.config import DataSettings, FeatureSettings, NoiseSettings, Settings
from lsi.errors import UsageError
from lsi.export.web.site import PAGE, SITE_DATA, write_site
from lsi.runs.records import ACTIONS
from lsi.runs.run import Run
from tests.cases import image_files, odd_numbers

NOTHING = pd.DataFrame({"action": [], "label": []})
HOSTILE = ("</script><script>alert(1)</script>", "<b>dog</b>", "cow")


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Run:
    folder = tmp_path_factory.mktemp("secret place")
    settings = Settings(
        DataSettings(data=image_files(folder, HOSTILE, 45)),
        NoiseSettings(corrupt_label=0.2),
        FeatureSettings(backbone="pixels"),
    )
    return pipeline.run(settings, tmp_path_factory.mktemp("cache"))


def written(run: Run, folder: Path, decisions: pd.DataFrame = NOTHING, remarks=(), positions=None) -> dict:
    write_site(run, folder, positions=positions, decisions=decisions, remarks=list(remarks))
    text = (folder / SITE_DATA).read_text(encoding="utf-8")
    return json.loads(text.removeprefix("window.LSI = ").removesuffix(";\n"))


def column(data: dict, name: str, kind: str) -> np.ndarray:
    return np.frombuffer(base64.b64decode(data["columns"][name]), kind)


def test_the_data_are_those_of_the_run_and_of_what_was_said(run, tmp_path):
    decisions = pd.DataFrame({"action": ["keep", "relabel", "exclude"], "label": [np.nan, 2, np.nan]}, index=[4, 5, 9])
    one = {"id": str(run.scores["id"][3]), "content": run.subject.contents[3]}
    said = [one | {"kind": "tag", "text": "blurry"}, one | {"kind": "note", "text": "See <b>me</b>."}]
    where = np.random.default_rng(0).normal(size=(45, 2))
    data = written(run, tmp_path, decisions, said, where)
    np.testing.assert_array_equal(column(data, "given", "<i4"), run.scores["given_label"])
    np.testing.assert_array_equal(column(data, "lsi", "<f4"), run.scores["lsi"].astype("f4"))
    np.testing.assert_array_equal(column(data, "score", "<f4"), run.scores["label_score"].astype("f4"))
    ranked = np.argsort(column(data, "rank", "<i4"))
    np.testing.assert_array_equal(ranked, np.argsort(run.scores["label_score"], kind="stable"))
    np.testing.assert_array_equal(column(data, "x", "<f4"), where[:, 0].astype("f4"))
    assert [data["actions"][i] for i in column(data, "decision", "u1")[[3, 4, 5, 9]]] == [
        "",
        "keep",
        "relabel",
        "exclude",
    ]
    assert data["actions"] == ["", *ACTIONS]
    assert column(data, "label", "<i4")[[4, 5]].tolist() == [-1, 2]
    assert data["said"] == {"3": [["blurry"], ["See <b>me</b>."]]}
    assert sorted(data["colours"]) == ["Class", "LSI", "Suspected"]
    assert all(len(base64.b64decode(text)) == 4 * 45 for text in data["colours"].values())


def test_every_sample_has_its_image_and_no_name_of_a_disk_or_of_data_gets_into_the_page(run, tmp_path):
    data = written(run, tmp_path)
    assert sorted(p.name for p in (tmp_path / data["base"]).iterdir()) == sorted(f"{i}.webp" for i in range(45))
    for path in (tmp_path / PAGE, tmp_path / SITE_DATA):
        assert "secret place" not in path.read_text(encoding="utf-8")
    page = (tmp_path / PAGE).read_text(encoding="utf-8")
    assert not [name for name in HOSTILE[:2] if name in page]
    assert data["classes"] == run.class_names


def test_a_site_is_written_anew_and_foreign_files_stay(run, tmp_path):
    images = tmp_path / "site" / written(run, tmp_path / "site")["base"]
    (images / "45.webp").write_bytes(b"of a larger run")
    (images / "mine.txt").write_text("mine")
    for folder in ("images", "images-0123456789abcdef"):  # of a version before, and of another run
        (tmp_path / "site" / folder).mkdir()
        (tmp_path / "site" / folder / "7.webp").write_bytes(b"another image")
    written(run, tmp_path / "site")
    assert not (images / "45.webp").exists()
    assert (images / "mine.txt").read_text() == "mine"
    assert [p.name for p in (tmp_path / "site").iterdir() if p.is_dir()] == [images.name]
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / SITE_DATA).write_text("somebody's")
    (tmp_path / "file").write_text("")
    (tmp_path / "album" / "images").mkdir(parents=True)
    (tmp_path / "album" / "images" / "beach.webp").write_bytes(b"mine")
    for folder in (tmp_path / "photos", tmp_path, tmp_path / "file", tmp_path / "album"):
        with pytest.raises(UsageError, match=r"holds other files|is no folder"):
            written(run, folder)
    assert [p.name for p in (tmp_path / "photos").iterdir()] == [SITE_DATA]


def test_the_command_writes_site_and_report(run, tmp_path, capsys):
    cache = ["--cache", str(run.folder.parent.parent)]
    assert main(["report", run.name, "--static", str(tmp_path / "site"), *cache]) == 0
    assert capsys.readouterr().out.strip() == str(tmp_path / "site" / PAGE)
    data, images, *rest = sorted(p.name for p in (tmp_path / "site").iterdir())
    assert (data, images[:7], rest) == ("data.js", "images-", ["index.html", "report.html"])
    assert main(["report", run.name, "--static", str(tmp_path / "site"), *cache]) == 0
    assert main(["report", run.name, "--static", "a", "--output", "b", *cache]) == 2


def test_numbers_to_predict_stand_where_classes_would(tmp_path):
    numbers = pipeline.run(
        Settings(DataSettings(data=odd_numbers(tmp_path), task="regression", targets="<b>weight</b>")), tmp_path / "c"
    )
    far = np.linspace(20, 40, 60)  # so far off that a label score is 0
    vars(numbers)["scores"] = numbers.scores.assign(standardised_residual=far, label_score=np.exp(-(far**2)))
    data = written(numbers, tmp_path / "site")
    assert not column(data, "score", "<f4").any()
    assert column(data, "rank", "<i4").tolist() == list(range(60))[::-1]
    assert data["colours"] == {}
    given = [data["classes"][i] for i in column(data, "given", "<i4")]
    assert given == numbers.captioned()["given"].tolist()
