"""What an export says and leaves, as a person meets it."""

import json
import shutil
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from lsi.cli import main
from lsi.config import DataSettings
from lsi.data import load
from lsi.errors import DataError, MissingRunError, UsageError
from lsi.export import lists, select, write_images
from lsi.files import read_json, write_json
from lsi.runs.decisions import Decision, Reviews
from lsi.runs.layout import MANIFEST
from lsi.runs.listing import find_run, run_about
from lsi.runs.remarks import add_remark
from lsi.runs.run import Run
from lsi.runs.store import SEAL
from tests.cases import image_files
from tests.data.trees import plant
from tests.export.made import made_run


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


def test_an_export_of_decisions_says_that_there_are_none(place, capsys):
    out = export(place, "--decisions")
    assert "no decision about these samples is in force" in capsys.readouterr().err
    assert read_json(out / "manifest.json")["export"]["n_kept"] == 40


def test_an_export_is_data_by_its_table_or_by_the_images_in_it(place):
    out = export(place, "--keep-top", "15")
    again = load(DataSettings(data=out), out)
    assert (len(again), again.is_labelled, again.plan.splits) == (15, True, ())
    assert again.ids.tolist() == load(DataSettings(data=out / "cleaned.csv"), out).ids.tolist()
    out = export(place, "--keep-top", "15", "--images", "huggingface")
    again = load(DataSettings(data=out, split="all"), out)
    assert (len(again), dict(again.plan.splits)) == (15, {"train": 15}), "lists of positions are no splits"
    shutil.rmtree(out)


@pytest.mark.parametrize("table", ["", "cleaned.csv", "cleaned.parquet"])
def test_an_export_of_boxes_is_not_read_as_whole_images(tmp_path, table):
    plant(tmp_path / "d", ["1.png", "2.png"])
    out = tmp_path / "out"
    out.mkdir()
    frame = pd.DataFrame({"id": ["1.png#0", "2.png#4"], "image": ["1.png", "2.png"], "label": ["a", "b"], "x": [0, 0]})
    frame.to_csv(out / "cleaned.csv", index=False)
    frame.to_csv(out / "audit.csv", index=False)
    frame.to_parquet(out / "cleaned.parquet")
    manifest = {"export": {"n_kept": 2}, "dataset": {"plan": {"noun": "images", "place": str(tmp_path / "d")}}}
    write_json(out / "manifest.json", manifest)
    for image in ("1.png", "2.png"):
        shutil.copy(tmp_path / "d" / image, out.parent / image)
    assert len(load(DataSettings(data=out / "cleaned.csv"), out)) == 2
    manifest["dataset"]["plan"]["noun"] = "boxes"
    write_json(out / "manifest.json", manifest)
    with pytest.raises(DataError, match=r"an export of boxes, and its rows are parts of images: .*--boxes"):
        load(DataSettings(data=out / table), out)


def test_copies_of_boxes_are_read_as_the_images_that_they_are(tmp_path):
    out = plant(tmp_path / "out", ["images/a/0.png", "images/b/1.png"])
    write_json(out / "manifest.json", {"export": {"n_kept": 2}, "dataset": {"plan": {"noun": "boxes"}}})
    paths, labels = ["images/a/0.png", "images/b/1.png"], ["a", "b"]
    pd.DataFrame({"path": paths, "id": ["1.png#0", "2.png#4"], "label": labels}).to_csv(out / "names.csv", index=False)
    images = [{"bytes": (out / path).read_bytes(), "path": path} for path in paths]
    pd.DataFrame({"image": images, "label": labels}).to_parquet(out / "train.parquet")
    for table in ("names.csv", "train.parquet"):
        assert load(DataSettings(data=out / table), out).class_names == ("a", "b")


def test_what_is_no_export_is_not_touched(place, tmp_path, capsys):
    def runs(*words: str, output: Path = tmp_path) -> int:
        return main(["export", "latest", "--cache", str(place / "cache"), "--output", str(output), *words])

    (tmp_path / "notes.txt").write_text("mine")
    assert runs("--formats", "txt") == 0
    assert (tmp_path / "notes.txt").read_text() == "mine"
    for options, name in (
        ("--formats txt", "kept_indices.npy"),
        ("", "cleaned.csv"),
        ("", "subset.py"),
        ("--images copy", "classes.csv"),
        ("--images huggingface", "train.parquet"),
    ):
        folder = tmp_path / f"of {name}"
        folder.mkdir()
        (folder / name).write_text("mine")
        assert runs(*options.split(), output=folder) == 2
        assert f"{folder / name} is of no export" in capsys.readouterr().err
        assert [path.read_text() for path in folder.iterdir()] == ["mine"]


def test_an_export_that_ended_half_way_is_written_over(place, tmp_path, monkeypatch):
    words = ["export", "latest", "--cache", str(place / "cache"), "--output", str(tmp_path / "out")]
    with monkeypatch.context() as patch:
        patch.setattr(lists, "write_spreadsheet", Mock(side_effect=KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            lists.export(find_run(place / "cache", "latest"), select(find_run(place / "cache", "latest")),
                         tmp_path / "out")  # fmt: skip
    assert (tmp_path / "out" / "cleaned.csv").is_file()
    assert main(words) == 0
    assert (tmp_path / "out" / "subset.py").is_file()


def test_no_report_and_no_decisions_take_the_place_of_an_image(place, tmp_path, capsys):
    photos, here = tmp_path / "photos", ["--cache", str(tmp_path / "cache")]
    shutil.copytree(place / "data", photos)
    table = photos / "manifest.csv"
    assert main(["compute", "--data", str(table), "--backbone", "pixels", "--quiet", *here]) == 0
    image = next(photos.rglob("*.png"))
    content = image.read_bytes()
    for words in (["report", "latest", "--output"], ["decisions", "export"]):
        capsys.readouterr()
        assert main([*words, str(image), *here]) == 2
        assert f"{image.name} is what the run was computed from" in capsys.readouterr().err
    assert image.read_bytes() == content


def test_a_folder_of_data_takes_no_export_but_one_below_it_does_again(place, tmp_path, capsys):
    whole, cache = tmp_path / "whole", ["--cache", str(tmp_path / "cache")]
    shutil.copytree(place / "data", whole)
    assert main(["compute", "--data", str(whole), "--backbone", "pixels", "--quiet", *cache]) == 0
    assert main(["export", "latest", "--output", str(whole), *cache]) == 2
    assert f"{whole} holds the data" in capsys.readouterr().err
    for _ in range(2):
        assert main(["export", "latest", "--output", str(whole / "out"), *cache]) == 0


def test_what_a_run_was_computed_from_is_not_overwritten(place, tmp_path, capsys):
    """A cleaned table laid beside its images, or Parquet of an earlier export, is the data of the next run."""
    cache = ["--cache", str(tmp_path / "cache")]
    first = export(place, "--images", "huggingface", "--formats", "txt")
    for source in (first / "train.parquet", first / "cleaned.csv"):
        folder = tmp_path / source.stem
        folder.mkdir()
        shutil.copy(source, folder)
        if source.suffix == ".csv":
            shutil.copytree(place / "data", folder, dirs_exist_ok=True)
        data, content = folder / source.name, source.read_bytes()
        assert main(["compute", "--data", str(data), "--backbone", "pixels", "--quiet", *cache]) == 0
        capsys.readouterr()
        words = ["export", "latest", "--images", "huggingface", "--output", str(folder), *cache]
        assert main(words) == 2
        assert f"{source.name} is what the run was computed from" in capsys.readouterr().err
        assert data.read_bytes() == content
    words = ["compute", "--data", str(first / "train.parquet"), "--backbone", "pixels", "--quiet", *cache]
    assert main(words) == 0  # where an export lies, and its manifest names the file
    content = (first / "train.parquet").read_bytes()
    assert main(["export", "latest", "--images", "huggingface", "--output", str(first), *cache]) == 2
    assert main(["export", "latest", "--output", str(first), *cache]) == 0
    assert (first / "train.parquet").read_bytes() == content
    whole = tmp_path / "whole"
    shutil.copytree(place / "data", whole)
    assert main(["compute", "--data", str(whole), "--backbone", "pixels", "--quiet", *cache]) == 0
    (whole / "cleaned.csv").write_text("id,label")  # any table in a folder of data may say the labels
    assert main(["export", "latest", "--output", str(whole), *cache]) == 2
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "manifest.json").write_text('{"name": "mine"}')
    for words in (["export", "latest"], ["compute", "--data", str(data), "--backbone", "pixels", "--quiet"]):
        assert main([*words, "--output", str(tmp_path / "own"), *cache]) == 2
        assert "manifest.json is somebody else's" in capsys.readouterr().err
    assert (tmp_path / "own" / "manifest.json").read_text() == '{"name": "mine"}'


def test_a_list_of_images_never_takes_the_place_of_the_table_that_says_the_labels(place, tmp_path, capsys):
    photos, here = tmp_path / "photos", ["--cache", str(tmp_path / "cache")]
    shutil.copytree(place / "data", photos)
    table = (photos / "manifest.csv").rename(photos / "names.csv")
    said = table.read_text()
    assert main(["compute", "--data", str(table), "--backbone", "pixels", "--quiet", *here]) == 0
    before, run = sorted(photos.iterdir()), find_run(tmp_path / "cache", "latest")
    for how in ("copy", "link"):
        capsys.readouterr()
        assert main(["export", "latest", "--images", how, "--output", str(photos), *here]) == 2
        assert "names.csv is what the run was computed from" in capsys.readouterr().err
        with pytest.raises(UsageError, match="is what the run was computed from"):
            write_images(run, select(run), photos, how)
    assert table.read_text() == said
    assert sorted(photos.iterdir()) == before


def test_a_second_export_names_the_parquet_of_the_first(place, capsys):
    out = export(place, "--images", "huggingface", "--formats", "txt")
    assert read_json(out / "manifest.json")["export"]["images"] == ["train.parquet"]
    capsys.readouterr()
    for _ in range(2):  # what was noted once is noted again
        export(place, "--keep-top", "5", "--formats", "txt")
        assert "train.parquet is of an earlier export and stays as it is" in capsys.readouterr().err
    assert (out / "train.parquet").is_file(), "it may be the data of another run"
    export(place, "--images", "huggingface", "--formats", "txt")
    assert "earlier export" not in capsys.readouterr().err


def test_apply_takes_no_decision_of_another_run(place, tmp_path, capsys):
    cache = tmp_path / "cache"
    file = tmp_path / "d.json"
    here = ["--cache", str(cache)]
    data = ["compute", "--data", str(place / "data" / "manifest.csv"), "--backbone", "pixels", "--quiet", *here]
    assert main(data) == 0
    assert main(["export", "latest", "--keep-top", "30", "--output", str(tmp_path / "rule"), *here]) == 0
    other = tmp_path / "rule" / "decisions.json"
    assert main([*data, "--decisions", str(other)]) == 0
    assert main(["export", "latest", "--output", str(tmp_path / "child"), *here]) == 0
    record = read_json(other)["decisions"][0]
    content = {"run": "elsewhere", "dataset": read_json(other)["dataset"], "decisions": [record]}
    file.write_text(json.dumps(content))
    assert main(["apply", str(file), "--output", str(tmp_path / "one"), *here]) == 0
    assert len((tmp_path / "one" / "removed_indices.txt").read_text().split()) == 1
    child = read_json(tmp_path / "child" / "manifest.json")["export"]["run"]
    kept = {**record, "action": "keep", "reviewer": "ann", "time": "2026-01-01 00:00:00+00:00"}
    file.write_text(json.dumps(content | {"decisions": [kept]}))
    capsys.readouterr()
    assert main(["apply", str(file), "--run", child, "--output", str(tmp_path / "two"), *here]) == 0
    said = f"{child} holds 10 samples no longer that the file does not leave out"  # nor does it say a word of nine
    assert said in capsys.readouterr().err
    assert (tmp_path / "two" / "removed_indices.txt").read_text() == ""
    facts = read_json(cache / "runs" / child / "manifest.json")["decided"]
    assert (facts["n_excluded"], facts["n_by_rule"]) == (0, 10)


def test_rows_that_stand_elsewhere_now_are_said(place, capsys):
    table = place / "data" / "manifest.csv"
    before = table.read_text()
    capsys.readouterr()
    export(place)
    assert "at the row of the source" not in capsys.readouterr().err
    rows = pd.read_csv(table, dtype=str)
    try:
        rows.iloc[np.r_[1, 0, 2:40]].to_csv(table, index=False)
        export(place)
        assert "lsi: 2 of 40 samples are no longer at the row of the source" in capsys.readouterr().err
    finally:
        table.write_text(before)


@pytest.mark.parametrize("is_on_purpose", [False, True])
def test_labels_that_were_corrected_in_the_data_since_are_said(tmp_path, capsys, is_on_purpose):
    table, here = image_files(tmp_path, ("a", "b"), 30), ["--cache", str(tmp_path / "cache")]
    noise = ["--corrupt-label", "0.1"] if is_on_purpose else []
    assert main(["compute", "--data", str(table), "--backbone", "pixels", "--quiet", *noise, *here]) == 0
    rows = pd.read_csv(table, dtype=str)
    out = ["--output", str(tmp_path / "out")]
    for n_changed, said in ((0, ""), (1, "1 label in the data differs from that"), (2, "2 labels in the data differ")):
        rows.assign(label=[*["b", "a"][:n_changed], *rows["label"][n_changed:]]).to_csv(table, index=False)
        capsys.readouterr()
        assert main(["export", "latest", *out, *here]) == 0
        error = capsys.readouterr().err
        assert "of the source" not in error
        assert ("in the data differ" in error) == (n_changed > 0 and not is_on_purpose)
        assert is_on_purpose or said in error


def test_images_that_changed_are_counted_among_those_that_are_scored(tmp_path, capsys):
    """Samples without a label have images too, which no export and no report is about."""
    table, here = image_files(tmp_path, ("a", "b", ""), 30), ["--cache", str(tmp_path / "cache")]
    assert main(["compute", "--data", str(table), "--backbone", "pixels", "--quiet", *here]) == 0
    out = ["--output", str(tmp_path / "out")]
    for number, said in ((2, None), (0, "1 of 20 images has changed")):  # 2 has no label
        Image.new("RGB", (10, 10), "red").save(tmp_path / f"{number}.png")
        capsys.readouterr()
        assert main(["export", "latest", *out, *here]) == 0
        error = capsys.readouterr().err
        assert "changed since" not in error if said is None else said in error
        assert main(["report", "latest", "--output", str(tmp_path / "r.html"), *here]) == 0
        assert ("changed since" in (tmp_path / "r.html").read_text(encoding="utf-8")) == (said is not None)


@pytest.mark.parametrize("row", [0, 20])
def test_rows_without_names_are_told_by_their_content(tmp_path, capsys, row):
    """Their ids are their numbers, which a row that goes leaves as they were."""
    rng, file = np.random.default_rng(0), tmp_path / "rows.npz"
    arrays = {"features": rng.normal(size=(30, 3)), "labels": np.arange(30) % 3}
    np.savez(file, **arrays)
    cache = ["--cache", str(tmp_path / "cache")]
    assert main(["compute", "--data", str(file), "--quiet", *cache]) == 0
    np.savez(file, **{name: np.delete(values, row, axis=0) for name, values in arrays.items()})
    capsys.readouterr()
    assert main(["export", "latest", "--output", str(tmp_path / "out"), *cache]) == 0
    assert f"lsi: {30 - row} of 30 samples are no longer at the row of the source" in capsys.readouterr().err


def test_decisions_are_read_in_for_the_run_that_has_their_samples(tmp_path, monkeypatch, capsys):
    """Whatever name its data have there; where no run has them that is said."""
    monkeypatch.delenv("LSI_DATABASE_URL", raising=False)
    file, rng = tmp_path / "d.json", np.random.default_rng(0)
    for name in ("other", "old"):
        np.savez(tmp_path / f"{name}.npz", features=rng.normal(size=(30, 3)), labels=np.arange(30) % 3)
    shutil.copy(tmp_path / "old.npz", tmp_path / "new.npz")
    for cache, names in (("one", ("old",)), ("two", ("new", "other"))):
        for name in names:
            words = ["--data", str(tmp_path / f"{name}.npz"), "--quiet", "--cache", str(tmp_path / cache)]
            assert main(["compute", *words]) == 0
    run, reviews = find_run(tmp_path / "one", "old"), Reviews.of_cache(tmp_path / "one")
    reviews.record(run.subject, "ann", [Decision(4, "exclude"), Decision(9, "relabel", 2)])
    add_remark(reviews, run.subject, "ann", [3], "tag", "blurred")
    assert main(["decisions", "export", str(file), "--run", "old", "--cache", str(tmp_path / "one")]) == 0
    for cache, said, warned in (("two", "new", False), ("three", "old", True)):
        capsys.readouterr()
        assert main(["decisions", "import", str(file), "--cache", str(tmp_path / cache)]) == 0
        came = capsys.readouterr()
        assert came.out.startswith(f"2 decisions about {said} added;")
        assert "1 remark added" in came.out
        assert ("lsi: no run here on old has these samples" in came.err) == warned
    there = find_run(tmp_path / "two", "new").subject
    assert sorted(Reviews.of_cache(tmp_path / "two").current(there).index) == [4, 9]


def run_on(cache, name: str, ids: list[str]) -> Run:
    """A run as far as decisions are concerned: its samples are these."""
    run = made_run(cache / "runs" / f"{name}-0", ids, [0] * len(ids), ["a", "b"])
    run.manifest["dataset"]["name"] = name
    write_json(run.folder / MANIFEST, {"created": "2026-01-01", "features": {}, "summary": {}, **run.manifest})
    write_json(run.folder / SEAL, {})
    return Run(run.folder)


def test_the_run_that_decisions_are_about_has_their_samples(tmp_path):
    def said(dataset: str, ids: list[str]) -> dict:
        content = {i: c for r in runs for i, c in zip(r.subject.ids, r.subject.contents, strict=True)}
        return {"dataset": dataset, "decisions": [{"id": i, "content": content.get(i, "?"), "action": "keep"}
                                                  for i in ids]}  # fmt: skip

    letters = list("abcdefghij")
    runs = [run_on(tmp_path, "one", letters[:4]), run_on(tmp_path, "two", letters[3:])]
    for dataset, ids, expected in (
        ("one", letters, runs[0]),  # the name counts where it has any
        ("one", letters[5:], runs[1]),
        ("new", letters[3:], runs[1]),
        ("new", [*letters[4:6], "x", "y", "z"], None),  # no others are called after a few
        ("one", [], runs[0]),
        ("new", [], None),
    ):
        found = run_about(tmp_path, said(dataset, ids))
        assert (found and found.name) == (expected and expected.name), (dataset, ids)
    assert run_about(tmp_path, said("two", letters), runs[0]).name == runs[1].name  # that has fewer than half
    assert run_about(tmp_path, said("two", letters[2:5]), runs[0]).name == runs[0].name
    file = said("two", letters)
    (runs[1].folder / "scores.parquet").write_bytes(b"")
    assert run_about(tmp_path, file) is None
    assert run_about(tmp_path, file | {"dataset": "one"}).name == runs[0].name


def test_decisions_follow_data_whose_folder_was_renamed(tmp_path):
    letters = list("abcdef")
    old, new = run_on(tmp_path, "old", letters), run_on(tmp_path, "new", letters)
    records = [{"id": i, "content": c, "action": "keep"} for i, c in zip(old.subject.ids, old.subject.contents,
                                                                         strict=True)]  # fmt: skip
    for folder, expected in ((tmp_path, "old"), (tmp_path / "gone", "new")):
        for run, data in ((old, folder), (new, tmp_path)):
            settings = run.manifest.get("settings", {}) | {"data": {"data": str(data)}}
            write_json(run.folder / MANIFEST, run.manifest | {"settings": settings})
        assert run_about(tmp_path, {"dataset": "old", "decisions": records}).subject_name == expected
    assert run_about(tmp_path, {"dataset": "new", "decisions": records}).subject_name == "new"


def test_a_damaged_run_is_found_by_its_folder_and_says_what_is_wrong(tmp_path, capsys):
    run, words = run_on(tmp_path, "one", list("ab")), ["--cache", str(tmp_path / "other")]
    manifest = (run.folder / MANIFEST).read_text()
    write_json(run.folder / MANIFEST, {"created": "2026-01-01"})
    with pytest.raises(MissingRunError, match=r"of its manifest\.json, it lacks dataset"):
        find_run(tmp_path, str(run.folder))
    (run.folder / MANIFEST).write_text(manifest)
    (run.folder / "scores.parquet").unlink()
    assert main(["issues", str(run.folder), *words]) == 1
    assert "scores.parquet is missing: compute the run again" in capsys.readouterr().err
    assert main(["runs", "delete", str(run.folder), *words]) == 0
    assert not run.folder.exists()


def test_a_run_is_found_by_its_start_beside_an_export_of_that_name(place, tmp_path, monkeypatch):
    export(place)
    run = find_run(place / "cache", "latest")
    monkeypatch.chdir(tmp_path)
    for name in (run.name[:-3], "elsewhere"):
        (tmp_path / name).symlink_to(place / "out")
    assert find_run(place / "cache", run.name[:-3]).name == run.name
    with pytest.raises(MissingRunError, match="The folder elsewhere is no run but an export"):
        find_run(place / "cache", "elsewhere")


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


def test_what_cannot_all_be_written_is_refused_before_anything_is(place, tmp_path, capsys):
    here = ["--cache", str(tmp_path / "cache"), "--output", str(tmp_path / "out")]
    file = tmp_path / "rows.npz"
    np.savez(file, images=np.random.default_rng(0).integers(0, 255, (30, 8, 8), np.uint8), labels=np.arange(30) % 3)
    assert main(["compute", "--data", str(file), "--backbone", "pixels", "--quiet", *here[:2]]) == 0
    for more, said in (
        (["--images", "copy", "link"], "by copy or by link, not both"),
        (["--images", "copy", "copy"], "each form once"),
        (["--images", "link"], "do not lie in files of their own"),
        (["--images", "copy", "--tools", "label-studio", "fiftyone"], "do not lie in files of their own"),
    ):
        capsys.readouterr()
        assert main(["export", "latest", *here, *more]) == 2
        assert said in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_an_export_ends_with_the_name_of_its_run_and_latest_is_the_one_computed_last(place, tmp_path, capsys):
    here = ["--cache", str(tmp_path / "cache"), "--quiet"]
    data = ["compute", "--data", str(place / "data" / "manifest.csv"), "--backbone", "pixels", *here]
    for seed in ("0", "1", "0"):
        assert main([*data, "--seed", seed]) == 0
    run = find_run(tmp_path / "cache", "latest")
    assert run.settings.seed == 1
    capsys.readouterr()
    out, where = ["--output", str(tmp_path / "out")], here[:2]
    assert main(["export", "latest", *out, *where]) == 0
    assert f"{run.name}: 40 kept, 0 removed, 0 relabelled" in capsys.readouterr().out
    assert main(["export", "latest", *out, *where, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["run"] == run.name
    assert main(["report", "latest", "--output", str(tmp_path / "r.html"), *where]) == 0
    assert f"lsi: report of {run.name}" in capsys.readouterr().err


def test_a_site_without_a_map_says_how_to_make_one(place, tmp_path, capsys):
    here, run = ["--cache", str(place / "cache")], find_run(place / "cache", "latest")
    capsys.readouterr()
    assert main(["report", "latest", "--static", str(tmp_path / "site"), *here]) == 0
    assert f"lsi: no map: `lsi project {run.name}` makes one" in capsys.readouterr().err


def test_splits_of_an_earlier_export_are_not_called_its_own(tmp_path, capsys):
    here, out = ["--cache", str(tmp_path / "cache")], tmp_path / "out"
    table = image_files(tmp_path, ("a", "b"), 24)
    rows = pd.read_csv(table, dtype=str)
    for splits in (["test", "train", "val"], ["train", "val"]):
        rows.assign(split=[splits[i % len(splits)] for i in range(len(rows))]).to_csv(table, index=False)
        words = ["compute", "--data", str(table), "--split", "all", "--backbone", "pixels", "--quiet", *here]
        assert main(words) == 0
        capsys.readouterr()
        assert main(["export", "latest", "--images", "huggingface", "--output", str(out), *here]) == 0
    assert "test.parquet is of an earlier export and stays as it is" in capsys.readouterr().err


def test_apply_on_data_takes_what_fits_and_names_the_run_of_the_file(place, tmp_path, capsys):
    out, file = export(place, "--keep-top", "38"), tmp_path / "d.json"
    content = read_json(out / "decisions.json")
    content["decisions"][0] |= {"content": "another picture"}
    file.write_text(json.dumps(content))
    words = ["apply", str(file), "--data", str(place / "data" / "manifest.csv"), "--output", str(tmp_path / "out")]
    for name in (content["run"], None):
        file.write_text(json.dumps(content | {"run": name}))
        capsys.readouterr()
        assert main([*words, "--cache", str(tmp_path / "c")]) == 0
        printed = capsys.readouterr()
        assert "lsi: 1 decision of the file fits no sample here, and changes nothing" in printed.err
        assert printed.out.startswith(f"{content['dataset']}: 39 kept, 1 removed")
        assert read_json(tmp_path / "out" / "decisions.json")["run"] == name
        assert read_json(tmp_path / "out" / "manifest.json")["export"]["run"] == name
    for record in content["decisions"]:
        record["content"] = "another picture"
    file.write_text(json.dumps(content))
    assert main([*words, "--cache", str(tmp_path / "c")]) == 1
    assert "belong to other data" in capsys.readouterr().err


@pytest.mark.parametrize("data", [".", "labels.csv"])
def test_what_was_written_among_the_data_is_no_data(tmp_path, monkeypatch, data):
    names = [f"{c}/{i}.png" for c in ("cat", "dog") for i in range(20)]
    plant(tmp_path / "d", names, {"labels.csv": "who,label\n" + "".join(f"{name},{name[:3]}\n" for name in names)})
    monkeypatch.chdir(tmp_path / "d")
    before = load(DataSettings(data=Path(data)), tmp_path)
    cache = ["--cache", "cache"]
    assert main(["compute", "--data", data, "--backbone", "pixels", "--quiet", *cache]) == 0
    assert main(["export", "latest", "--output", "lsi-export", "--images", "copy", *cache]) == 0
    assert main(["report", "latest", "--static", "site", *cache]) == 0
    after = load(DataSettings(data=Path(data)), tmp_path)
    assert (after.ids.tolist(), after.class_names) == (before.ids.tolist(), ("cat", "dog"))
    assert after.plan is not None
    if data == ".":
        said = "1 cache of LSI Lens in cache/, 1 export of LSI Lens in lsi-export/, 1 site of a report in site/"
        assert said in "\n".join(after.plan.lines())
    assert load(DataSettings(data=Path("lsi-export")), tmp_path).class_names == ("cat", "dog")


def test_a_cache_of_a_version_that_did_not_mark_it_is_marked_before_the_data_are_read(tmp_path, monkeypatch):
    plant(tmp_path / "d", [f"{c}/{i}.png" for c in ("cat", "dog") for i in range(20)])
    monkeypatch.chdir(tmp_path / "d")
    words = ["compute", "--data", ".", "--backbone", "pixels", "--quiet", "--cache", "cache"]
    assert main(words) == 0
    (tmp_path / "d" / "cache" / "CACHEDIR.TAG").unlink()
    assert main([*words, "--seed", "1"]) == 0
    assert find_run(tmp_path / "d" / "cache", "latest").class_names == ["cat", "dog"]
