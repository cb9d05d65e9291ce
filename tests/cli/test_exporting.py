"""What an export says and leaves, as a person meets it."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from lsi.cli import main
from lsi.files import read_json
from tests.cases import image_files


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """A table of 40 images, and a cache with a run on it."""
    place = tmp_path_factory.mktemp("exporting")
    (place / "data").mkdir()
    image_files(place / "data", ("a", "b", "c"), 40)
    assert main(["compute", *words(place)]) == 0
    return place


def words(place: Path, *more: str) -> list[str]:
    return ["--data", str(place / "data" / "manifest.csv"), "--backbone", "pixels", "--quiet",
            "--cache", str(place / "cache"), *more]  # fmt: skip


def export(place: Path, *more: str, run: str = "latest") -> Path:
    out = place / "out"
    assert main(["export", run, "--cache", str(place / "cache"), "--output", str(out), *more]) == 0
    return out


def test_a_second_export_leaves_no_list_of_the_first(place):
    export(place, "--keep-top", "20", "--formats", "npy", "csv")
    out = export(place, "--keep-top", "5", "--formats", "txt")
    assert {p.name for p in out.glob("*_indices.*")} == {"kept_indices.txt", "removed_indices.txt"}
    assert len((out / "kept_indices.txt").read_text().split()) == 5
    assert read_json(out / "manifest.json")["export"]["n_kept"] == 5


def test_what_is_no_export_is_not_touched(place, tmp_path):
    (tmp_path / "kept_indices.npy").write_text("mine")
    assert (
        main(["export", "latest", "--cache", str(place / "cache"), "--output", str(tmp_path), "--formats", "txt"]) == 0
    )
    assert (tmp_path / "kept_indices.npy").read_text() == "mine"


def test_rows_that_stand_elsewhere_now_are_said(place, capsys):
    table = place / "data" / "manifest.csv"
    before = table.read_text()
    capsys.readouterr()
    export(place)
    assert "stand at another row" not in capsys.readouterr().err
    rows = pd.read_csv(table, dtype=str)
    try:
        rows.iloc[np.r_[1, 0, 2:40]].to_csv(table, index=False)
        export(place)
        assert "lsi: 2 of 40 samples stand at another row of the source" in capsys.readouterr().err
    finally:
        table.write_text(before)


def test_labels_that_were_flipped_on_purpose_are_said(place, capsys):
    assert main(["compute", *words(place, "--corrupt-label", "0.1")]) == 0
    capsys.readouterr()
    export(place)
    assert "lsi: 4 labels of what is kept were corrupted on purpose for this run" in capsys.readouterr().err


def test_a_second_labelling_is_called_no_corruption(place, capsys):
    second = place / "second.csv"
    rows = pd.read_csv(place / "data" / "manifest.csv", dtype=str)
    rows.assign(label=["b", *rows["label"][1:]]).iloc[::-1].to_csv(second, index=False)
    assert main(["compute", *words(place, "--labels", str(second))]) == 0
    out = capsys.readouterr().out
    assert "this labelling differs from the data's own for 1 sample (2.5%)" in out
    assert "corrupted" not in out
    assert main(["show", "latest", "--cache", str(place / "cache")]) == 0
    assert "labels are joined by the column path." in capsys.readouterr().out


def test_what_a_rule_left_out_is_read_in_as_nobodys_decision(place, capsys):
    out = export(place, "--keep-top", "5")
    capsys.readouterr()
    assert main(["decisions", "import", str(out / "decisions.json"), "--cache", str(place / "cache")]) == 0
    said = capsys.readouterr().out
    assert said.startswith("0 decisions about")
    assert "What a rule or a filter left out (35) is no decision, and was not read in." in said


@pytest.mark.parametrize("command", [["apply"], ["decisions", "import"]])
@pytest.mark.parametrize(("content", "said"), [(None, "No such file"), ("[", "holds no JSON")])
def test_a_file_that_is_none_is_named(place, tmp_path, capsys, command, content, said):
    if content is not None:
        (tmp_path / "d.json").write_text(content)
    capsys.readouterr()
    assert main([*command, str(tmp_path / "d.json"), "--cache", str(place / "cache")]) != 0
    error = capsys.readouterr().err
    assert said in error
    assert "d.json" in error
