import dataclasses
import json
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from lsi.config import DataSettings
from lsi.data import Dataset, load
from lsi.data.pixels import measure
from lsi.data.sources import open_source
from lsi.errors import DataError
from tests.data.trees import TWO, plant, shown


def opened(path: Path, **options) -> Dataset:
    return load(DataSettings(data=path, **options), path.parent)


def table(tmp_path: Path, content: str | bytes, name: str = "m.csv", images=("1.png", "2.png", "3.png")) -> Path:
    return plant(tmp_path / "d", images, {name: content}) / name


ROWS = [("1.png", "a"), ("2.png", "b"), ("3.png", "a")]
JSON_LINES = "\n".join(json.dumps({"file_name": p, "label": c}) for p, c in ROWS)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("m.csv", "path,label\n1.png,a\n2.png,b\n3.png,a\n"),
        ("M.CSV", "path,label\n1.png,a\n2.png,b\n3.png,a\n"),
        ("m.csv", "\ufeffpath,label\r\n1.png,a\r\n2.png,b\r\n3.png,a\r\n"),
        ("m.csv", "path;label\n1.png;a\n2.png;b\n3.png;a\n"),
        ("m.csv", "sep=;\npath;label\n1.png;a\n2.png;b\n3.png;a\n"),
        ("m.csv", "path\tlabel\n1.png\ta\n2.png\tb\n3.png\ta\n"),
        ("m.tsv", "path\tlabel\n1.png\ta\n2.png\tb\n3.png\ta\n"),
        ("m.csv", "path|label\n1.png|a\n2.png|b\n3.png|a\n"),
        ("m.csv", "path,label\n1.png,a,\n2.png,b,\n3.png,a,\n"),
        ("m.csv", "path,label,\n1.png,a,\n2.png,b,\n3.png,a,\n"),
        ("m.csv", "path,label\n1.png,a\n2.png,b,,\n3.png,a\n"),
        ("m.csv", "path, label\n1.png, a\n2.png, b\n3.png, a\n"),
        ("m.csv", 'path,label\n"1.png","a"\n"2.png","b"\n\n"3.png","a"\n'),
        ("m.csv", "path,label\n1.png,a\n2.png,b\n3.png,a\n".encode("utf-16")),
        ("m.csv", "path,label\n1.png,a\n2.png,b\n3.png,a\n".encode("utf-16-le")),
        ("m.csv", "path,label\n1.png,a\n2.png,b\n3.png,a\n".encode("utf-32")),
        ("m.jsonl", JSON_LINES),
        ("m.ndjson", JSON_LINES + "\n\n"),
        ("m.json", json.dumps([{"image": p, "class": c} for p, c in ROWS])),
        ("m.json", json.dumps([{"image": p, "class": c} for p, c in ROWS], indent=1)),
        ("m.json", json.dumps(dict(ROWS), indent=1)),
        ("m.json", json.dumps({p: [c] for p, c in ROWS})),
    ],
)
def test_every_usual_form_of_a_table_is_read_alike(tmp_path, name, content):
    data = opened(table(tmp_path, content, name))
    assert data.ids.tolist() == ["1.png", "2.png", "3.png"]
    assert [data.class_names[c] for c in data.labels] == ["a", "b", "a"]
    assert [shown(data.images.read(i)) for i in range(3)] == [0, 1, 2]


@pytest.mark.parametrize(
    ("header", "values"),
    [
        ("image,class", ("1.png", "a")),
        ("img,Label", ("1.png", "a")),
        ("File Name,Category", ("1.png", "a")),
        ("FILENAME,target", ("1.png", "a")),
        (" file_name ,labels", ("1.png", "a")),
        ("image-path,fine_label", ("1.png", "a")),
        ("number,file,y", ("7", "1.png", "a")),
    ],
)
def test_columns_are_known_by_their_usual_names(tmp_path, header, values):
    other = [v.replace("1.png", "2.png").replace("a", "b") if v != "7" else "8" for v in values]
    data = opened(table(tmp_path, f"{header}\n{','.join(values)}\n{','.join(other)}\n"))
    assert data.class_names == ("a", "b")
    assert shown(data.images.read(1)) == 1


def test_columns_that_someone_names_are_taken(tmp_path):
    content = "id,pic,genus,part,path\nx,1.png,a,one,0\ny,2.png,b,one,0\nz,3.png,b,two,0\n"
    path = table(tmp_path, content)
    named = {"image_column": "pic", "label_column": "Genus", "split_column": "part", "id_column": "id"}
    data = opened(path, split="one", **named)
    assert data.ids.tolist() == ["x", "y"]
    assert data.class_names == ("a", "b")
    assert dict(data.plan.columns) == {"image": "pic", "label": "genus", "split": "part", "id": "id"}
    with pytest.raises(DataError, match=r"no column 'breed' \(--label-column\); there are id, pic, genus"):
        opened(path, label_column="breed")


def test_labels_keep_their_text(tmp_path):
    data = opened(table(tmp_path, "path,label\n1.png,001\n2.png,010\n3.png,1\n"))
    assert sorted(data.class_names) == ["001", "010", "1"]


def test_rows_without_a_label_stand_apart_and_keep_their_row(tmp_path):
    data = opened(table(tmp_path, "path,label\n1.png,a\n2.png,\n3.png,b\n"))
    np.testing.assert_array_equal(data.source_index, [0, 2])
    np.testing.assert_array_equal(data.unlabelled.source_index, [1])
    assert shown(data.unlabelled.images.read(0)) == 1
    assert "1 sample without a label: left out of the fit, still shown" in data.plan.lines()


def test_the_row_of_the_file_is_the_index_whatever_the_split(tmp_path):
    path = table(tmp_path, "path,label,split\n1.png,a,test\n2.png,b,train\n3.png,a,Train\n")
    for split, rows in {"train": [1, 2], "test": [0], "all": [0, 1, 2]}.items():
        data = opened(path, split=split)
        np.testing.assert_array_equal(data.source_index, rows)
        assert pd.read_csv(path)["path"].iloc[data.source_index].tolist() == data.ids.tolist()
        assert data.plan.source_length == 3


SPLIT_ROWS = [("1.png", "0.5", "1 2", "train"), ("2.png", "3", "3 4", "Train"), ("3.png", "", "", "test"),
              ("3.png", "", "5", "test")]  # fmt: skip


@pytest.mark.parametrize(("suffix", "column"), [(".csv", "path"), (".csv", "vector"), (".parquet", "path")])
def test_only_the_rows_of_the_split_must_hold_what_is_asked_for(tmp_path, suffix, column):
    frame = pd.DataFrame(SPLIT_ROWS, columns=["path", "y", "vector", "split"])[[column, "y", "split"]]
    path = table(tmp_path, frame.to_csv(index=False), f"m{suffix}")
    if suffix == ".parquet":
        frame[:3].to_parquet(path)
    settings = DataSettings(data=path, task="regression", targets="y")
    data = open_source(settings, tmp_path, ("y",))
    assert data.targets.tolist() == [[0.5], [3.0]]
    assert data.features is None or data.features.tolist() == [[1, 2], [3, 4]]
    for split in ("test", "all"):
        with pytest.raises(DataError, match=r"row 2|row 3 names 3\.png a second time"):
            open_source(dataclasses.replace(settings, split=split), tmp_path, ("y",))


def test_folds_by_number_are_all_used(tmp_path):
    data = opened(table(tmp_path, "path,label,fold\n1.png,a,0\n2.png,b,1\n3.png,a,1\n"))
    assert len(data) == 3
    assert len(opened(tmp_path / "d" / "m.csv", split="1")) == 2


def test_all_other_columns_are_kept(tmp_path):
    data = opened(table(tmp_path, "path,label,age,note\n1.png,a,007,x\n2.png,,8,\n3.png,b,9,y\n"))
    assert data.metadata.to_dict("list") == {"age": ["007", "9"], "note": ["x", "y"]}
    assert data.unlabelled.metadata.to_dict("list") == {"age": ["8"], "note": [""]}
    assert data.take(np.array([1])).metadata["age"].tolist() == ["9"]
    assert data.plan.metadata == ("age", "note")


@pytest.mark.parametrize(
    ("files", "written", "base"),
    [
        (["1.png", "2.png"], ["1.png", "2.png"], ""),
        (["images/1.png", "images/2.png"], ["images/1.png", "images/2.png"], ""),
        (["images/1.png", "images/2.png"], ["1.png", "2.png"], "images/"),
        (["data/imgs/1.png", "data/imgs/2.png"], ["1.png", "2.png"], "data/imgs/"),
        (["images/1.png", "images/2.png"], ["./images/1.png", "images\\2.png"], ""),
        (["1.tif", "2.tif"], ["1", "2"], ".tif"),
        (["a b/é.png", "2.png"], ["a b/é.png", "2.png"], ""),
    ],
)
def test_paths_are_tried_from_the_table_and_from_folders_near_it(tmp_path, files, written, base):
    rows = "".join(f"{name},{c}\n" for name, c in zip(written, "ab", strict=True))
    root = plant(tmp_path / "d", files, {"m.csv": f"path,label\n{rows}"})
    for path in (root / "m.csv", root):
        data = opened(path)
        assert sorted(shown(data.images.read(i)) for i in range(2)) == [0, 1]
        assert not base or any(base in line for line in data.plan.notes)


def test_paths_beside_the_folder_of_the_table_are_found(tmp_path):
    root = plant(
        tmp_path / "d", ["images/1.png", "images/2.png"], {"annotations/m.csv": "path,label\n1.png,a\n2.png,b\n"}
    )
    data = opened(root / "annotations" / "m.csv")
    assert shown(data.images.read(1)) == 1
    assert any("paths are relative to ../images/" in line for line in data.plan.notes)


def test_absolute_and_file_addresses_are_paths(tmp_path):
    root = plant(tmp_path / "d", ["x 1.png", "2.png"])
    first = str(root / "x 1.png").replace(" ", "%20")
    (tmp_path / "m.csv").write_text(f"path,label\nfile://{first},a\n{root / '2.png'},b\n")
    data = opened(tmp_path / "m.csv")
    assert [shown(data.images.read(i)) for i in range(2)] == [0, 1]


def test_a_table_beside_class_folders_adds_its_columns_and_no_labels(tmp_path):
    content = "file_name,label,age\ncat/0.png,zebra,3\ndog/1.png,zebra,4\ncat/1.png,,5\ncat/2.png,,6\ndog/0.png,,7\n"
    data = opened(plant(tmp_path / "d", TWO, {"metadata.csv": content}))
    assert data.class_names == ("cat", "dog")
    assert data.metadata["age"].tolist() == ["3", "5", "6", "7", "4", None]
    assert any("names 5 of the images: its columns are kept beside" in line for line in data.plan.notes)


@pytest.mark.parametrize("name", ["annotations.csv", "sample_submission.csv", "embeddings.parquet"])
def test_a_table_that_names_no_images_is_ignored_beside_class_folders(tmp_path, name):
    root = plant(tmp_path / "d", TWO)
    frame = pd.DataFrame({"id": [1, 2], "width": [3, 4]})
    frame.to_csv(root / name, index=False) if name.endswith("csv") else frame.to_parquet(root / name)
    data = opened(root)
    assert data.class_names == ("cat", "dog")
    assert dict(data.plan.ignored) == {Path(name).suffix: 1}
    assert data.metadata is None


def test_a_table_for_each_split_beside_flat_images(tmp_path):
    texts = {"train.csv": "path,label\n1.png,a\n3.png,b\n", "test.csv": "path,label\n2.png,a\n"}
    root = plant(tmp_path / "d", ["im/1.png", "im/2.png", "im/3.png"], texts)
    assert opened(root).ids.tolist() == ["1.png", "3.png"]
    test = opened(root, split="test")
    assert test.ids.tolist() == ["2.png"]
    assert dict(test.plan.splits) == {"train": 2, "test": 1}
    assert len(opened(root, split="all")) == 3
    with pytest.raises(DataError, match=r"no split 'dev'. There are test, train"):
        opened(root, split="dev")


BROKEN = 'path,label\n1.png,"a\n2.png,b\n'


@pytest.mark.parametrize("other", ["test.csv", "train_meta.csv"])
@pytest.mark.parametrize("split", ["train", "all"])
def test_a_broken_table_of_the_split_is_not_swallowed_by_another_that_fits(tmp_path, other, split):
    texts = {"train.csv": BROKEN, other: "path,label\n1.png,a\n2.png,b\n"}
    with pytest.raises(DataError, match=r"train\.csv: not readable"):
        opened(plant(tmp_path / "d", ["1.png", "2.png"], texts), split=split)


@pytest.mark.parametrize("other", [("boxes.csv", BROKEN), ("train_boxes.csv", "path,x\n1.png,1\n1.png,2\n")])
def test_a_table_that_cannot_be_used_beside_that_of_the_split_gets_a_line_and_is_counted(tmp_path, other):
    texts = {"train.csv": "path,label\n1.png,a\n2.png,b\n", other[0]: other[1]}
    data = opened(plant(tmp_path / "d", ["1.png", "2.png"], texts))
    assert data.class_names == ("a", "b")
    assert any(note.startswith(f"A table beside the images is not read: {other[0]}") for note in data.plan.notes)
    assert dict(data.plan.ignored) == {".csv": 1}


def test_the_one_table_of_another_split_is_not_that_of_the_split(tmp_path):
    root = plant(tmp_path / "d", ["1.png", "2.png"], {"test.csv": "path,label\n1.png,a\n2.png,b\n"})
    with pytest.raises(DataError, match=r"there is no split 'train'. There is test"):
        opened(root)
    assert dict(opened(root, split="test").plan.splits) == {"test": 2}
    (root / "test.csv").write_text("path,label,split\n1.png,a,train\n2.png,b,train\n")
    assert len(opened(root)) == 2


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("_annotations.coco.json", '{"images": [], "annotations": [], "categories": []}'),
        ("classes.json", '["cat", "dog"]'),
        ("labels.json", '{"1.png": ["cat", "dog"], "2.png": ["cat"]}'),
    ],
)
def test_json_that_is_no_table_refuses_no_images(tmp_path, name, content):
    root = plant(tmp_path / "d", ["train/1.png", "train/2.png"], {f"train/{name}": content})
    data = opened(root)
    assert (len(data), data.is_labelled) == (2, False)
    assert any(note.startswith(f"A table beside the images is not read: train/{name}") for note in data.plan.notes)
    with pytest.raises(DataError, match=name):
        opened(root, label_column="label")


def test_a_table_that_names_few_images_by_most_of_its_rows_gets_a_line(tmp_path):
    rows = "".join(f"{i}.png,{'ab'[i % 2]}\n" for i in range(40))
    root = plant(tmp_path / "d", [f"{i}.png" for i in range(4)], {"train.csv": f"path,label\n{rows}"})
    data = opened(root)
    assert not data.is_labelled
    assert any("train.csv names 4 of the images in its column path" in note for note in data.plan.notes)
    assert opened(root / "train.csv").class_names == ("a", "b")


@pytest.mark.parametrize("label", ["a", None])
def test_a_table_whose_other_column_names_the_images_gets_a_line_on_how_to_choose_it(tmp_path, label):
    folder = f"{label}/" if label else ""
    files = [f"{folder}{i}.png" for i in range(4)] + (["b/9.png"] if label else [])
    rows = "".join(f"x{i},{i}.png,{'ab'[i % 2]}\n" for i in range(4))
    data = opened(plant(tmp_path / "d", files, {"m.csv": f"path,pic,label\n{rows}"}))
    [note] = [note for note in data.plan.notes if "m.csv names 4 of the images in its column pic" in note]
    assert "--image-column pic" in note
    assert "lead to" not in note


@pytest.mark.parametrize("name", ["sample_submission.csv", "sampleSubmission.csv", "stage1_sample_submission.csv"])
def test_a_sample_submission_is_no_table_of_samples(tmp_path, name):
    texts = {"train.csv": "image,label\n1.png,a\n2.png,b\n", name: "image,label\n3.png,a\n"}
    data = opened(plant(tmp_path / "d", ["train/1.png", "train/2.png", "test/3.png"], texts))
    assert data.ids.tolist() == ["1.png", "2.png"]


def test_images_that_no_row_names_are_counted(tmp_path):
    root = plant(tmp_path / "d", ["1.png", "2.png", "3.png"], {"labels.csv": "id,label\n1,a\n3,b\n"})
    data = opened(root)
    assert data.ids.tolist() == ["1", "3"]
    assert dict(data.plan.ignored) == {"images that labels.csv does not name": 1}


@pytest.mark.parametrize("column", ["content", "embedding"])
def test_a_column_of_any_name_that_names_images_counts_beside_texts_and_vectors(tmp_path, column):
    rows = "".join(f"{i},{i} 1,{'ab'[i % 2]},{i}\n" for i in range(3))
    texts = {"labels.csv": f"photo_id,{column},label,again\n{rows}"}
    root = plant(tmp_path / "d", [f"{i}.png" for i in range(3)], texts)
    data = opened(root)
    assert data.images is None
    assert any("Several could be the image (photo_id, again)" in note for note in data.plan.notes)
    (root / "labels.csv").write_text(texts["labels.csv"].replace(",0\n", ",5\n").replace(",1\n", ",5\n"))
    data = opened(root)
    assert [shown(data.images.read(i)) for i in range(3)] == [0, 1, 2]
    assert "labels.csv: column photo_id names files, so it is taken for the image." in data.plan.notes
    assert not data.plan.ignored


@pytest.mark.parametrize(("n_images", "last"), [(100, "7.png"), (3, "https://x.org/1.png")])
def test_images_that_cannot_be_used_leave_texts_texts(tmp_path, n_images, last):
    rows = "".join(f"a thing,{i}.png,{'ab'[i % 2]}\n" for i in range(n_images))
    rows = rows.replace("1.png", last, 1)
    root = plant(tmp_path / "d", [f"{i}.png" for i in range(n_images)], {"m.csv": f"text,pic,label\n{rows}"})
    data = opened(root / "m.csv")
    assert data.images is None
    assert list(data.text) == ["a thing"] * n_images
    assert any(note.startswith("No column is taken for the image: m.csv") for note in data.plan.notes)


def test_no_image_is_looked_for_behind_the_address_of_a_table_of_texts(monkeypatch):
    fsspec = pytest.importorskip("fsspec")
    rows = "".join(f"good {i},{'ab'[i % 2]},title {i}\n" for i in range(4))
    fsspec.filesystem("memory").pipe("texts/reviews.csv", f"text,label,title\n{rows}".encode())
    monkeypatch.setattr(type(fsspec.filesystem("memory")), "find", lambda *_, **__: {})  # as stores that list nothing
    data = opened(Path("memory://texts/reviews.csv"))
    assert list(data.text) == [f"good {i}" for i in range(4)]


@pytest.mark.parametrize("value", ["{i}.pdf", "{i} stars", "1"])
def test_a_column_that_names_no_images_leaves_texts_texts(tmp_path, value):
    rows = "".join(f"{value.format(i=i)},good,{'ab'[i % 2]}\n" for i in range(3))
    texts = {"m.csv": f"source,text,label\n{rows}"} | {f"{i}.pdf": "x" for i in range(3)}
    data = opened(plant(tmp_path / "d", ["1.png", "2.png"], texts) / "m.csv")
    assert data.images is None
    assert data.text.tolist() == ["good"] * 3


def test_embeddings_in_a_column_are_features(tmp_path):
    content = 'label,embedding,who\na,"[0.5, 1, 2]",x\nb,0.1 0.2 0.3,y\n'
    data = opened(table(tmp_path, content))
    np.testing.assert_allclose(data.features, [[0.5, 1, 2], [0.1, 0.2, 0.3]], rtol=1e-6)
    assert data.metadata["who"].tolist() == ["x", "y"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "m.csv: the file is empty"),
        ("path,label\n", "m.csv: the table has a header and no rows"),
        ("a,b\n1,2\n", r"m.csv: no column is called image, path.*; there are a, b\..*--image-column"),
        ("1.png,a\n2.png,b\n", r"m.csv: the first line is no header \(1.png, a\)"),
        ("path,label\n1.png,a\n1.png,b\n", r"m.csv: row 1 names 1.png a second time.*--id-column"),
        (
            "path,label\nx/7.png,a\nx/8.png,b\n",
            r"m.csv, column path: none of its paths leads to a file; tried 'x/7.png'",
        ),
        ("path,label\nhttps://a.b/1.png,a\n", "m.csv, column path: row 0 is an address"),
        ("path,label\n1.png,a,b\n2.png,b\n", "m.csv, line 2: expected 2 fields like the header, got 3"),
        ('path,label\n1.png,"a\n', "m.csv: not readable as a table separated by ','"),
        (b"path,label\n1.png,\x00\x01\n\xff\xfe", "m.csv: expected text, got binary data"),
        (b"version https://git-lfs.github.com/spec/v1\noid x\n", "m.csv: a Git LFS pointer"),
        (
            'label,embedding\na,"[1, 2]"\nb,"[1]"\n',
            "m.csv, column embedding: expected 2 numbers in row 1 as in row 0, got 1",
        ),
        ('label,embedding\na,"[1, NaN]"\n', "m.csv, column embedding: row 0 holds NaN or infinity"),
        ("label,embedding\na,\n", "m.csv, column embedding: expected a list of numbers in row 0"),
        ("label,embedding\na,tree\n", "m.csv, column embedding: expected a list of numbers in row 0, got 'tree'"),
    ],
)
def test_bad_tables_say_what_is_wrong_and_where(tmp_path, content, message):
    with pytest.raises(DataError, match=message):
        opened(table(tmp_path, content))


def test_annotations_of_boxes_are_named(tmp_path):
    with pytest.raises(
        DataError, match=r"m.json: annotations of boxes, as COCO has them: --boxes makes each box a sample"
    ):
        opened(table(tmp_path, json.dumps({"images": [], "annotations": []}, indent=1), "m.json"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"path": "1.png"\n', "m.jsonl, line 1: not readable as JSON"),
        ('{"path": "1.png"}\n[1]\n', "m.jsonl: expected one JSON object a sample"),
        ("[{]", "m.jsonl: not readable as JSON"),
        ('{"1.png": ["a"], "2.png": ["a", "b"]}', r"got several \(2.png: \['a', 'b'\]\); multi-label"),
    ],
)
def test_bad_json_says_what_is_wrong_and_where(tmp_path, content, message):
    with pytest.raises(DataError, match=message):
        opened(table(tmp_path, content, "m.jsonl"))


def test_several_tables_that_name_the_images_are_refused_by_name(tmp_path):
    texts = {"a.csv": "path,label\n1.png,a\n", "b.csv": "path,label\n2.png,b\n"}
    with pytest.raises(
        DataError, match=r"several tables name the images \(a.csv, b.csv\): give the one to read as --data"
    ):
        opened(plant(tmp_path / "d", ["1.png", "2.png"], texts))


def test_no_reference_of_a_job_from_the_app_leads_out_of_its_folders(tmp_path, monkeypatch):
    plant(tmp_path / "secret", ["1.png"])
    path = table(tmp_path, "path,label\n1.png,a\n../secret/1.png,b\n")
    assert len(opened(path)) == 2
    monkeypatch.setenv("LSI_CONFINED", "1")
    monkeypatch.setenv("LSI_DATA_ROOTS", str(tmp_path / "d"))
    with pytest.raises(DataError, match=r"secret/1.png leads out of the folders that this server may read"):
        opened(path)
    (tmp_path / "d" / "link.png").symlink_to(tmp_path / "secret" / "1.png")
    path.write_text("path,label\n1.png,a\nlink.png,b\n")
    with pytest.raises(DataError, match=r"link.png leads out"):
        opened(path)
    monkeypatch.setenv("LSI_DATA_ROOTS", str(tmp_path))
    assert len(opened(path)) == 2


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("path,label," + "h" * 140_000, "the header cannot be read"),
        ("path,label," + ",".join(f"c{i}" for i in range(10_001)), "10,003 columns are more than the 10,000"),
    ],
)
def test_headers_beyond_all_measure_are_refused(tmp_path, header, message):
    with pytest.raises(DataError, match=message):
        opened(table(tmp_path, header + "\n1.png,a\n"))


def test_a_table_that_names_a_pipe_waits_for_nothing(tmp_path):
    path = table(tmp_path, "path,label\n1.png,a\n2.png,b\n3.png,a\npipe.png,b\n")
    os.mkfifo(path.parent / "pipe.png")
    images = opened(path).images
    assert images is not None
    assert images.checksum(3) == ""
    assert measure(images).n_images == 4
    with pytest.raises(DataError, match="expected a regular file"):
        images.read(3)


@pytest.mark.parametrize("column", ["path", "picture"])
def test_a_table_is_judged_by_rows_from_all_over_it(tmp_path, column):
    """The first rows of a table in an order of its own may all be of images that are not here."""
    names = [f"gone/{i}.png" for i in range(60)] + [f"{i}.png" for i in range(100)]
    rows = "".join(f"{name},{'ab'[i % 2]}\n" for i, name in enumerate(names))
    root = plant(tmp_path / "d", [f"{i}.png" for i in range(100)], {"m.csv": f"{column},label\n{rows}"})
    data = opened(root)
    assert data.class_names == ("a", "b")
    assert any("60 rows name no file here" in note for note in data.plan.notes)


@pytest.mark.parametrize("form", ["{root}/im/{i}.png", "im//{i}.png", "im/../im/{i}.png", "file://{root}/im/{i}.png"])
def test_images_that_a_table_names_in_another_form_are_named(tmp_path, form):
    rows = "".join(f"{form.format(root=tmp_path / 'd', i=i)},{'ab'[i % 2]}\n" for i in range(4))
    root = plant(tmp_path / "d", [f"im/{i}.png" for i in range(5)], {"labels.csv": f"path,label\n{rows}"})
    assert dict(opened(root).plan.ignored) == {"images that labels.csv does not name": 1}


@pytest.mark.parametrize("form", ["{root}/{name}", "file://{root}/{name}", ".//{name}", "x/../{name}"])
def test_columns_of_a_table_with_other_forms_of_paths_are_kept_beside_class_folders(tmp_path, form):
    (tmp_path / "d" / "x").mkdir(parents=True)
    rows = "".join(f"{form.format(root=tmp_path / 'd', name=name)},{i}\n" for i, name in enumerate(TWO))
    data = opened(plant(tmp_path / "d", TWO, {"m.csv": f"path,age\n{rows}"}))
    assert data.metadata["age"].tolist() == list("012345")
    assert any("names 6 of the images: its columns are kept beside" in line for line in data.plan.notes)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("path,box\n" + "".join(f"{n},1\n{n},2\n" for n in TWO), "row 1 names cat/0.png a second time"),
        ("path,age\n" + "".join(f"{i}.png,{i}\n" for i in range(3)), "names 0.png, which lies in"),
        ("image,age\n" + "".join(f"{n},1\n" for n in TWO) + "https://a.b/1.png,2\n", "is an address"),
        ("path,age\ncat/0.png,1,2,3\n", "expected 2 fields like the header"),
    ],
)
def test_a_table_that_cannot_be_read_beside_class_folders_gets_its_line(tmp_path, content, said):
    data = opened(plant(tmp_path / "d", TWO, {"m.csv": content}))
    assert data.class_names == ("cat", "dog")
    assert data.metadata is None
    lines = [line for line in data.plan.notes if "a table beside them is not read: m.csv" in line]
    assert len(lines) == 1
    assert said in lines[0]


def test_a_table_of_another_column_names_images_that_are_called_alike_in_each_folder(tmp_path):
    names = [f"train/{c}/{i:03d}.png" for c in ("air hockey", "boxing") for i in range(3)]
    rows = "".join(f"{i},{name}\n" for i, name in enumerate(names))
    data = opened(plant(tmp_path / "d", names, {"sports.csv": f"class id,filepaths\n{rows}"}))
    assert any("names 6 of the images in its column filepaths" in line for line in data.plan.notes)


def test_a_wrong_label_is_named_by_its_row_in_the_file(tmp_path):
    path = table(tmp_path, 'path,label,split\n1.png,a,test\n2.png,a,train\n3.png,"[a, b]",train\n')
    with pytest.raises(DataError, match=r"several \(row 2"):
        opened(path)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_json_lines_end_where_lines_end(tmp_path, end):
    rows = [
        json.dumps({"path": p, "label": c, "said": "one\u2028two\u2029\u0085"}, ensure_ascii=False) for p, c in ROWS
    ]
    data = opened(table(tmp_path, end.join(rows).encode(), "m.jsonl"))
    assert data.metadata["said"].tolist() == ["one\u2028two\u2029\u0085"] * 3


def test_paths_may_begin_with_the_folder_of_the_table(tmp_path, monkeypatch):
    rows = "".join(f"d-small/train/{i}.png,{'ab'[i % 2]}\n" for i in range(4))
    root = plant(tmp_path / "d-small", [f"train/{i}.png" for i in range(4)], {"train.csv": f"Path,label\n{rows}"})
    monkeypatch.setenv("LSI_CONFINED", "1")
    monkeypatch.setenv("LSI_DATA_ROOTS", str(tmp_path / "elsewhere"))
    for path in (root / "train.csv", root):
        data = opened(path)
        assert [shown(data.images.read(i)) for i in range(4)] == [0, 1, 2, 3]
        assert any("paths are relative to ../" in line for line in data.plan.notes)
