"""What an export writes: decisions in words, splits apart, bounded row groups, own names of images."""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from lsi.cli import main
from lsi.compute import pipeline
from lsi.config import DataSettings, NoiseSettings, Settings
from lsi.data import load
from lsi.export import (
    Selection,
    audit_table,
    export,
    huggingface,
    n_without_class,
    selection_from_records,
    write_for,
    write_images,
)
from lsi.files import read_json, write_json
from lsi.runs.images import RunImages, describe_images, file_facts
from lsi.runs.run import Run
from tests.export.made import made_run

NAMES = ["cat/0.png", "cat/aug/0.png", "dog/0.png", "dog/1.png"]
EVERYTHING = Selection(np.arange(4), np.zeros(0, np.int64), {})


def grey(path: Path, shade: int, size: int = 1) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (size, size), (shade,) * 3).save(path)
    return path


def run_of_files(root: Path, names: list[str], labels: list[int], classes: list[str], **more: Any) -> Run:
    """Return a run on files of these names, each of one shade of its own."""
    files = [grey(root / "data" / name, i + 1) for i, name in enumerate(names)]
    return made_run(root / "run", names, labels, classes, files=files, **more)


def written(root: Path) -> dict[str, int]:
    """Return the images of an export: path and shade."""
    return {p.relative_to(root).as_posix(): Image.open(p).getpixel((0, 0))[0] for p in sorted(root.rglob("*"))
            if p.is_file()}  # fmt: skip


@pytest.mark.parametrize(
    ("names", "labels", "relabelled", "expected"),
    [
        pytest.param(NAMES, [0, 0, 1, 1], {},
                     {"cat/0.png": 1, "cat/aug/0.png": 2, "dog/0.png": 3, "dog/1.png": 4}, id="as they are"),
        pytest.param(NAMES, [0, 0, 1, 1], {0: 1, 1: 1},
                     {"dog/0.png": 3, "dog/0-0.png": 1, "dog/aug/0.png": 2, "dog/1.png": 4}, id="new labels"),
        pytest.param(["w/in/cat/0.png", "w/in/cat/a/0.png", "w/on/dog/0.png", "w/on/dog/1.png"], [0, 0, 1, 1], {},
                     {"cat/0.png": 1, "cat/a/0.png": 2, "dog/0.png": 3, "dog/1.png": 4}, id="folders above the class"),
        pytest.param(["imgs/a/0.png", "imgs/b/0.png", "imgs/a/1.png", "imgs/2.png"], [0, 0, 1, 1], {},
                     {"cat/a/0.png": 1, "cat/b/0.png": 2, "dog/a/1.png": 3, "dog/2.png": 4}, id="no class in the path"),
        pytest.param(["cat/0.png", "cat/O.png", "cat/o.png", "dog/CON.png"], [0, 0, 0, 1], {},
                     {"cat/0.png": 1, "cat/O.png": 2, "cat/o-2.png": 3, "dog/_CON.png": 4}, id="case and devices"),
        pytest.param(["cat/a?.png", "cat/a_.png", "cat/S/0.png", "cat/s/0.png"], [0, 0, 0, 0], {},
                     {"cat/a_-0.png": 1, "cat/a_.png": 2, "cat/S/0.png": 3, "cat/s-2/0.png": 4}, id="folders"),
    ],
)  # fmt: skip
def test_images_keep_their_names_and_folders(tmp_path, names, labels, relabelled, expected):
    run = run_of_files(tmp_path, names, labels, ["cat", "dog"])
    selection = Selection(np.arange(4), np.zeros(0, np.int64), relabelled)
    root = write_images(run, selection, tmp_path / "out", "copy")
    assert written(root) == expected
    listed = pd.read_csv(tmp_path / "out" / "names.csv")
    assert {
        path.removeprefix("images/"): index + 1 for path, index in zip(listed["path"], listed["index"], strict=True)
    } == (expected)
    again = load(DataSettings(data=tmp_path / "out" / "names.csv"), tmp_path)
    new = [relabelled.get(i, c) for i, c in enumerate(labels)]
    assert [again.class_names[c] for c in again.labels] == [["cat", "dog"][c] for c in new]
    assert [again.images.read(i).getpixel((0, 0))[0] for i in range(4)] == [1, 2, 3, 4]


SWAPPED = ["cat/0.png", "cat/1.png", "dog/0.png", "dog/1.png"]


@pytest.mark.parametrize(
    ("names", "labels", "removed", "relabelled", "expected"),
    [
        pytest.param(SWAPPED, [0, 0, 1, 1], [], {0: 1, 2: 0},
                     {"dog/0-0.png": 1, "cat/1.png": 2, "cat/0-2.png": 3, "dog/1.png": 4}, id="in each other's place"),
        pytest.param(SWAPPED, [0, 0, 1, 1], [2], {0: 1},
                     {"dog/0-0.png": 1, "cat/1.png": 2, "dog/1.png": 4}, id="in that of one that left"),
        pytest.param(["cat/0.png", "dog/0.png", "fox/0.png", "fox/1.png"], [0, 1, 2, 2], [], {0: 1, 1: 2},
                     {"dog/0-0.png": 1, "fox/0-1.png": 2, "fox/0.png": 3, "fox/1.png": 4}, id="a chain"),
        pytest.param(["cat/0-1.png", "dog/0.png", "cat/0.png", "dog/1.png"], [0, 1, 0, 1], [0], {1: 0},
                     {"cat/0-1-2.png": 2, "cat/0.png": 3, "dog/1.png": 4}, id="an index in the name"),
    ],
)  # fmt: skip
def test_no_path_in_the_data_leads_to_another_image_of_an_export(
    tmp_path, names, labels, removed, relabelled, expected
):
    run = run_of_files(tmp_path, names, labels, ["cat", "dog", "fox"])
    vars(run)["scores"] = run.scores.assign(near_duplicate_group=-1)
    gone = np.array(removed, np.int64)
    selection = Selection(np.setdiff1d(np.arange(4), gone), gone, relabelled)
    out = tmp_path / "out"
    export(run, selection, out, ("csv",))
    root = write_images(run, selection, out, "copy")
    assert written(root) == expected
    found = {path: root / path for path in pd.read_csv(out / "cleaned.csv")["path"] if (root / path).exists()}
    assert found.keys() == {names[i] for i in selection.kept} - {names[i] for i in relabelled}
    assert all(Image.open(file).getpixel((0, 0))[0] == names.index(path) + 1 for path, file in found.items())
    whole = load(DataSettings(data=out), tmp_path)
    assert whole.metadata is not None
    assert [whole.images.read(i).getpixel((0, 0))[0] for i in range(len(whole))] == [
        int(number) + 1 for number in whole.metadata["index"]
    ]
    assert "decision" not in whole.metadata.columns


def test_an_image_without_a_class_takes_the_place_of_no_other(tmp_path):
    names = ["a/x.png", "b/0.png", "b/x.png", "x.png"]
    run = run_of_files(tmp_path, names, [0, 0, 0, 0], ["cat"])
    run.manifest["task"] = "self"
    root = write_images(run, EVERYTHING, tmp_path / "out", "copy")
    assert written(root) == {"x-0.png": 1, "0.png": 2, "x-2.png": 3, "x.png": 4}


class Members(RunImages):
    """As much of the images of an archive as an export of copies reads."""

    def __init__(self) -> None:
        """Hold nothing: each image is made when it is read."""

    def read(self, index: int) -> Image.Image:
        return Image.new("RGB", (1, 1), (index + 1,) * 3)

    def source(self, index: int) -> bytes:
        buffer = io.BytesIO()
        self.read(index).save(buffer, "PNG")
        return buffer.getvalue()

    def changes(self, positions: np.ndarray | None = None, *, must_reach: bool = False) -> dict:
        return {}


def test_images_lie_and_are_found_under_the_names_of_their_files_whatever_a_table_calls_them(tmp_path):
    names = ["imgs/ISIC_0.jpg", "imgs/ISIC_1.jpg", "imgs/1.5.jpg", "imgs/3.jpg"]
    files = [grey(tmp_path / "data" / name, i + 1) for i, name in enumerate(names)]
    (tmp_path / "data" / "t.csv").write_text("")
    for number, ids in enumerate((["ISIC_0", "ISIC_1", "1.5", "3"], [Path(name).name for name in names])):
        run = made_run(tmp_path / f"run {number}", ids, [0, 0, 1, 1], ["cat", "dog"], files=files,
                       data={"data": str(tmp_path / "data" / "t.csv")})  # fmt: skip
        vars(run)["scores"] = run.scores.assign(near_duplicate_group=-1)
        out = tmp_path / f"out {number}"
        root = write_images(run, EVERYTHING, out, "copy")
        assert sorted(written(root)) == ["cat/ISIC_0.jpg", "cat/ISIC_1.jpg", "dog/1.5.jpg", "dog/3.jpg"]
        assert audit_table(run, EVERYTHING)["path"].to_pylist() == ids  # so that it joins with the table
        for tool in ("label-studio", "fiftyone"):
            write_for(run, EVERYTHING, out, tool)
        tasks = {t["data"]["lsi_id"]: t["data"]["image"] for t in read_json(out / "label-studio.json")}
        assert tasks == {i: f"/data/local-files/?d={name}" for i, name in zip(ids, names, strict=True)}
        assert [row["path"] for row in read_json(out / "fiftyone.json")["samples"]] == names


def test_ids_of_images_in_an_archive_are_no_paths_and_their_copies_have_suffixes(tmp_path):
    samples = pd.DataFrame({"checksum": "", "file": [""] * 4, "size": 0, "mtime_ns": 0, "noisy": False, "position": 0})
    expected = {"id": ["cat/0.png", "cat/1.png", "dog/2.png", "dog/3.png"],
                "image": ["cat/a/b.v2.png", "cat/a/c.png", "dog/b/b.png", "dog/d.png"]}  # fmt: skip
    for column, paths in expected.items():
        ids = ["a/b.v2", "a/c", "b/b", "d"]
        run = made_run(tmp_path / column, ids, [0, 0, 1, 1], ["cat", "dog"], samples=samples,
                       plan={"columns": {column: "uid"}}, shared=[{"path": "photos.zip"}])  # fmt: skip
        vars(run)["images"] = Members()
        assert ("path" in audit_table(run, EVERYTHING).column_names) == (column != "id")
        assert sorted(written(write_images(run, EVERYTHING, tmp_path / f"out {column}", "copy"))) == paths


def test_several_splits_have_folders_of_their_own(tmp_path):
    names = ["cat/train/0.png", "cat/val/0.png", "dog/train/0.png", "dog/valid/1.png"]
    run = run_of_files(tmp_path, names, [0, 0, 1, 1], ["cat", "dog"], split=["train", "val", "train", "valid"])
    root = write_images(run, EVERYTHING, tmp_path / "out", "link")
    assert written(root) == {"train/cat/0.png": 1, "val/cat/0.png": 2, "train/dog/0.png": 3, "val/dog/1.png": 4}
    folder = write_images(run, EVERYTHING, tmp_path / "out", "huggingface")
    assert sorted(p.name for p in folder.iterdir()) == ["train.parquet", "val.parquet"]
    assert pq.read_table(folder / "val.parquet")["source_id"].to_pylist() == [names[1], names[3]]
    for split, labels in (("train", [0, 1]), ("validation", [0, 1])):
        assert load(DataSettings(data=folder, split=split), tmp_path).labels.tolist() == labels
        assert load(DataSettings(data=root, split=split), tmp_path).labels.tolist() == labels


def test_images_without_labels_lie_in_no_class(tmp_path):
    run = run_of_files(tmp_path, ["a/0.png", "a/1.png", "b/0.png", "b/2.png"], [0] * 4, ["all"])
    run.manifest["task"] = "self"
    root = write_images(run, EVERYTHING, tmp_path / "out", "copy")
    assert written(root) == {"0.png": 1, "1.png": 2, "0-2.png": 3, "2.png": 4}
    assert not load(DataSettings(data=root), tmp_path).is_labelled
    assert not (tmp_path / "out" / "classes.csv").exists()


def test_an_image_with_noise_is_a_png_under_its_own_name(tmp_path):
    for i in range(12):
        grey(tmp_path / "data" / ("dark", "light")[i % 2] / f"{i}.jpg", 20 * i, 8)
    noise = NoiseSettings(corrupt_data=1.0, corrupt_data_label=(0,))
    run = pipeline.run(Settings(DataSettings(data=tmp_path / "data"), noise), tmp_path / "cache")
    everything = Selection(np.arange(12), np.zeros(0, np.int64), {})
    root = write_images(run, everything, tmp_path / "out", "copy")
    assert {p.suffix for p in (root / "dark").iterdir()} == {".png"}
    assert {p.suffix for p in (root / "light").iterdir()} == {".jpg"}
    assert sorted(int(p.stem) for p in root.rglob("*.*")) == list(range(12))


def test_a_parquet_of_paths_is_copied_by_its_own_names(tmp_path, capsys):
    names = [f"{('dark', 'light')[i % 2]}/{i}.png" for i in range(12)]
    for i, name in enumerate(names):
        grey(tmp_path / "data" / name, 20 * i, 8)
    pq.write_table(pa.table({"image": names, "label": [i % 2 for i in range(12)]}), tmp_path / "data" / "d.parquet")
    run = pipeline.run(Settings(DataSettings(data=tmp_path / "data" / "d.parquet")), tmp_path / "cache")
    words = ["export", run.name, "--images", "copy", "huggingface", "--cache", str(tmp_path / "cache")]
    assert main([*words, "--output", str(tmp_path / "out")]) == 0, capsys.readouterr()
    there = [
        p.relative_to(tmp_path / "out" / "images").as_posix() for p in (tmp_path / "out" / "images").rglob("*.png")
    ]
    assert sorted(there) == sorted(f"{i % 2}/{name}" for i, name in enumerate(names))
    assert pd.read_csv(tmp_path / "out" / "cleaned.csv")["path"].tolist() == names
    assert load(DataSettings(data=tmp_path / "out" / "train.parquet"), tmp_path).labels.tolist() == [0, 1] * 6


def test_row_groups_are_bounded_by_bytes_and_by_rows(tmp_path, monkeypatch):
    def noise(seed: int) -> bytes:
        buffer = io.BytesIO()
        Image.fromarray(np.random.default_rng(seed).integers(0, 255, (20, 20, 3), np.uint8)).save(buffer, "PNG")
        return buffer.getvalue()

    rows = [{"bytes": noise(i), "path": None} for i in range(40)]
    pq.write_table(pa.table({"image": rows, "label": [0, 1] * 20}), tmp_path / "d.parquet")
    dataset = load(DataSettings(data=tmp_path / "d.parquet"), tmp_path)
    samples = describe_images(dataset, None)
    samples["position"] = np.arange(40)
    metadata = pd.DataFrame({"image": range(40), "label": ["x"] * 40})
    run = made_run(tmp_path / "run", list(dataset.ids), [0, 1] * 20, ["a", "b"], samples=samples, metadata=metadata,
                   shared=file_facts(dataset.files))  # fmt: skip
    vars(run)["_open_data"] = lambda: load(DataSettings(data=tmp_path / "d.parquet"), tmp_path)
    selection = Selection(np.arange(40), np.zeros(0, np.int64), {})
    monkeypatch.setattr(huggingface, "MOST_BYTES", 3 * 1300)
    file = pq.ParquetFile(write_images(run, selection, tmp_path / "bytes", "huggingface"))
    assert {file.metadata.row_group(i).num_rows for i in range(file.num_row_groups - 1)} <= {2, 3}
    assert file.read(["source_index", "source_image", "source_label"]).to_pylist() == [
        {"source_index": i, "source_image": i, "source_label": "x"} for i in range(40)
    ]
    monkeypatch.setattr(huggingface, "MOST_BYTES", 10**9)
    monkeypatch.setattr(huggingface, "MOST_ROWS", 16)
    file = pq.ParquetFile(write_images(run, selection, tmp_path / "rows", "huggingface"))
    assert [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)] == [16, 16, 8]


def record(index: int, action: str, **more: Any) -> dict:
    return {
        "index": index,
        "id": f"{index}.png",
        "action": action,
        "label": None,
        "reviewer": "ann",
        "time": "t",
    } | more


def test_the_audit_says_what_became_of_each_sample_and_by_whom(tmp_path):
    records = [record(0, "keep"), record(1, "unsure"), record(2, "exclude"), record(3, "relabel", label=1),
               record(4, "keep"), record(4, "exclude", reviewer="filter", time=""), record(6, "exclude")]  # fmt: skip
    run = made_run(tmp_path / "run", [f"{i}.png" for i in range(7)], [0] * 7, ["=a", "-1"])
    selection = selection_from_records(run, records)
    table = audit_table(run, selection, records).to_pandas()
    assert table["decision"].tolist() == ["keep", "unsure", "exclude", "relabel", "removed", "kept", "exclude"]
    assert table["is_kept"].tolist() == [True, True, False, True, False, True, False]
    assert table["label"].tolist() == ["=a", "=a", "=a", "-1", "=a", "=a", "=a"]
    by_rule = audit_table(run, Selection(np.arange(3), np.arange(3, 7), {0: 1})).to_pandas()
    assert by_rule["decision"].tolist() == ["relabel", "kept", "kept", *["removed"] * 4]
    export(run, selection, tmp_path / "out", decisions=records)
    relabelled = pd.read_csv(tmp_path / "out" / "relabel.csv", dtype=str, keep_default_na=False)
    assert relabelled[["given_name", "new_name"]].to_numpy().tolist() == [["=a", "-1"]]
    sheet = pd.read_csv(tmp_path / "out" / "spreadsheet.csv", dtype=str, encoding="utf-8-sig")
    assert sheet[["given_label", "label"]].to_numpy()[3].tolist() == ["'=a", "'-1"]
    assert read_json(tmp_path / "out" / "manifest.json")["export"]["source_length"] is None


def test_a_new_label_stays_only_where_the_run_lacks_the_class_of_the_data(tmp_path):
    run = made_run(tmp_path / "run", [f"{i}.png" for i in range(5)], [1] * 5, ["a", "b"])
    vars(run)["scores"] = run.scores.assign(label_in_data=["a", "b", "gone", "gone", "a"])
    said = [record(4, "relabel", label=1, label_name="b")]
    selection = Selection(np.arange(5), np.zeros(0, np.int64), {3: 0})
    run = run.with_decided_before([{**r, "content": run.subject.contents[0]} for r in said])
    assert audit_table(run, selection)["label"].to_pylist() == ["a", "b", "b", "a", "b"]
    assert n_without_class(run, selection) == 1
    assert n_without_class(run, selection.within(np.array([0, 1, 3]))) == 0


def test_a_spreadsheet_says_why_the_run_suspects_a_label_and_not_what_the_data_call_so(tmp_path):
    said = {"label_score": ["x", "y"], "is_label_issue": 7, "suggested_label": 8, "source_label_score": 9}
    run = made_run(tmp_path / "run", ["0", "1"], [0, 1], ["a", "b"])
    stored = run.scores.drop(columns="suggested_label")
    beside = pd.DataFrame(said).rename(columns=lambda name: name if name.startswith("source") else f"{name} (data)")
    pd.concat([stored, beside], axis=1).to_parquet(run.folder / "scores.parquet")
    write_json(run.folder / "manifest.json", run.manifest | {"dataset": run.manifest["dataset"]
                                                             | {"metadata": list(beside.columns)}})  # fmt: skip
    export(Run(run.folder), Selection(np.arange(2), np.zeros(0, np.int64), {}), tmp_path / "out")
    sheet = pd.read_csv(tmp_path / "out" / "spreadsheet.csv", encoding="utf-8-sig")
    assert sheet["label_score"].tolist() == run.scores["label_score"].tolist()
    assert sheet["is_label_issue"].tolist() == [True, False]
    assert sheet["suggested_label"].tolist() == ["a", "b"]
    assert sheet["source_source_label_score"].tolist() == ["x", "y"]
    assert sheet[["source_is_label_issue", "source_suggested_label", "source_label_score"]].to_numpy().tolist() == (
        [[7, 8, 9]] * 2
    )


def test_tags_and_notes_stand_beside_what_was_decided(tmp_path):
    run = made_run(tmp_path / "run", [f"{i}.png" for i in range(3)], [0, 1, 0], ["a", "b"])
    one = {"id": "1.png", "content": run.subject.contents[1], "reviewer": "ann", "time": ""}
    texts = ("tag", "blurry, dark"), ("tag", "x"), ("note", 'Say "no".\nTwice.')
    said = [one | {"kind": kind, "text": text} for kind, text in texts]
    said.append(said[0] | {"id": "gone.png"})
    selection = Selection(np.arange(3), np.zeros(0, np.int64), {})
    export(run, selection, tmp_path / "out", remarks=said)
    cleaned = pq.read_table(tmp_path / "out" / "cleaned.parquet")
    assert cleaned["tags"].to_pylist() == [None, ["blurry, dark", "x"], None]
    assert cleaned["notes"].to_pylist() == [None, ['Say "no".\nTwice.'], None]
    audit = pd.read_csv(tmp_path / "out" / "audit.csv", keep_default_na=False)
    assert [json.loads(v or "null") for v in audit["tags"]] == [None, ["blurry, dark", "x"], None]
    assert read_json(tmp_path / "out" / "decisions.json")["remarks"] == said
    export(run, selection, tmp_path / "without")
    assert "tags" not in pd.read_csv(tmp_path / "without" / "audit.csv").columns
    assert "remarks" not in read_json(tmp_path / "without" / "decisions.json")


def test_without_classes_the_tables_hold_what_was_predicted(tmp_path):
    scans = tmp_path / "scans"
    for i in range(24):
        grey(scans / f"{i}.png", 10 * i, 8)
    pd.DataFrame({"path": [f"{i}.png" for i in range(24)], "weight": np.arange(24) / 4}).to_csv(
        scans / "t.csv", index=False
    )
    data = DataSettings(data=scans / "t.csv", task="regression", targets="weight")
    run = pipeline.run(Settings(data), tmp_path / "cache")
    export(run, Selection(np.arange(1, 24), np.array([0]), {}), tmp_path / "out")
    table = pd.read_csv(tmp_path / "out" / "cleaned.csv")
    assert list(table.columns) == ["index", "id", "path", "decision", "weight"]
    assert table["weight"].tolist() == (np.arange(1, 24) / 4).tolist()


def test_columns_of_the_data_keep_the_names_that_they_have_there(tmp_path):
    metadata = pd.DataFrame({"lsi (data)": [1, 2], "label": ["x", "y"], "Index (data)": [3, 4], "z (data)": [5, 6]})
    run = made_run(tmp_path / "run", ["a.png", "b.png"], [0, 1], ["=a", "b"], metadata=metadata)
    table = audit_table(run, Selection(np.arange(2), np.zeros(0, np.int64), {}))
    beside = table.select(["lsi", "source_label", "Index (data)", "z (data)"]).to_pandas()
    assert beside.to_numpy().tolist() == [[1, "x", 3, 5], [2, "y", 4, 6]]
