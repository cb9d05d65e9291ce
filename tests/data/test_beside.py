"""What lies beside archives and beside images with texts: labels are read or their file is named, never lost."""

import io
import json
import tarfile
import zipfile
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lsi.config import DataSettings
from lsi.data import Dataset, load
from lsi.errors import DataError
from tests.data.trees import TWO, plant


def opened(root: Path, **options) -> Dataset:
    return load(DataSettings(data=root, **options), root.parent)


def packed(folder: Path, archive: Path) -> Path:
    """Pack what lies in a folder, by the archive's suffix, and return the archive."""
    archive.parent.mkdir(parents=True, exist_ok=True)
    files = {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}
    if archive.suffix == ".zip":
        with zipfile.ZipFile(archive, "w") as target:
            for name, content in files.items():
                target.writestr(name, content)
        return archive
    with tarfile.open(archive, "w") as target:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            target.addfile(member, io.BytesIO(content))
    return archive


@pytest.mark.parametrize("suffix", ["tar", "zip"])
def test_class_folders_in_several_archives_are_refused(tmp_path, suffix):
    for split in ("train", "val"):
        packed(plant(tmp_path / split, TWO), tmp_path / "d" / f"{split}.{suffix}")
    message = rf"several archives .*: train\.{suffix} holds 6 images in cat, dog; val\.{suffix} .*unpack them"
    with pytest.raises(DataError, match=message):
        opened(tmp_path / "d")
    assert opened(tmp_path / "d" / f"train.{suffix}").class_names == ("cat", "dog")


def test_class_folders_in_the_tars_of_a_pattern_are_refused(tmp_path):
    for split in ("train", "val"):
        packed(plant(tmp_path / split, TWO), tmp_path / f"{split}.tar")
    with pytest.raises(DataError, match=r"several archives .*: train\.tar holds 6 images in cat, dog"):
        opened(tmp_path / "{train,val}.tar")


def test_zips_of_a_pattern_may_hold_images_in_folders_whose_names_have_dots(tmp_path):
    names = [f"{folder}/x.rf.{i}" for folder in ("p", "q") for i in range(3)]
    for number in range(2):
        texts = {f"{name}.cls": "ab"[i % 2] for i, name in enumerate(names)}
        packed(plant(tmp_path / str(number), [f"{name}.png" for name in names], texts), tmp_path / f"s{number}.zip")
    assert dict(opened(tmp_path / "s{0..1}.zip").plan.classes) == {"a": 6, "b": 6}


def test_an_archive_for_each_class_is_refused_and_shards_of_a_pattern_are_read(tmp_path):
    for name in ("n0001", "n0002"):
        packed(plant(tmp_path / name, [f"{name}_{i}.png" for i in range(3)]), tmp_path / "d" / f"{name}.tar")
    with pytest.raises(DataError, match=r"n0001\.tar holds 3 images; n0002\.tar holds 3 images.*n\{01\.\.10\}\.tar"):
        opened(tmp_path / "d")
    data = opened(tmp_path / "d" / "n{0001..0002}.tar")
    assert len(data) == 6
    assert not data.is_labelled


def test_shards_with_labels_are_read_and_what_lies_beside_is_counted(tmp_path):
    for i in range(2):
        plant(tmp_path / str(i), [f"{i}{k}.png" for k in range(3)], {f"{i}{k}.cls": "ab"[k % 2] for k in range(3)})
        packed(tmp_path / str(i), tmp_path / "d" / f"{i}.tar")
    data = opened(plant(tmp_path / "d", [], {"sizes.json": "{}", "README.md": "x", "more.zip": "x"}))
    assert dict(data.plan.classes) == {"a": 4, "b": 2}
    assert dict(data.plan.ignored) == {".json": 1, ".md": 1, ".zip": 1}


@pytest.mark.parametrize("archive", ["images.zip", "images.tar"])
def test_a_table_beside_an_archive_is_named(tmp_path, archive):
    packed(plant(tmp_path / "images", [f"{i}.png" for i in range(3)]), tmp_path / "kaggle" / archive)
    rows = "".join(f"{i}.png,{'ab'[i % 2]}\n" for i in range(3))
    root = plant(tmp_path / "kaggle", [], {"train.csv": f"file,label\n{rows}", "sample_submission.csv": "a\n1\n"})
    data = opened(root)
    assert not data.is_labelled
    assert dict(data.plan.ignored)[".csv"] == 2
    assert any(note.startswith(f"train.csv lies beside {archive} and is not read: unpack") for note in data.plan.notes)


def test_boxes_in_the_one_archive_of_a_folder_are_read(tmp_path):
    from tests.data.test_boxes import coco, write

    packed(write(tmp_path / "pets", {"instances.json": coco([{}]), "1.png": 1}), tmp_path / "d" / "pets.zip")
    assert opened(tmp_path / "d", boxes=True).ids.tolist() == ["1.png#0"]


LABELS = "file,label\n0.png,a\n1.png,b\n2.png,a\n"


@pytest.mark.parametrize("table", ["labels.csv", "images/labels.csv"])
def test_a_table_says_the_labels_of_images_with_captions(tmp_path, table):
    captions = {f"images/{i}.txt": "a cat" for i in range(3)}
    data = opened(plant(tmp_path / "d", [f"images/{i}.png" for i in range(3)], captions | {table: LABELS}))
    assert dict(data.plan.classes) == {"a": 2, "b": 1}


def test_labels_beside_the_images_count_before_a_table_which_is_named(tmp_path):
    labels = {f"{i}.cls": "xy"[i % 2] for i in range(3)}
    data = opened(plant(tmp_path / "d", [f"{i}.png" for i in range(3)], labels | {"labels.csv": LABELS}))
    assert data.class_names == ("x", "y")
    assert "labels.csv names the images as well and is not read: give it as --data for its own." in data.plan.notes


def test_captions_alone_stay_beside_the_images(tmp_path):
    captions = {f"{i}.txt": "a cat" for i in range(3)}
    data = opened(plant(tmp_path / "d", [f"{i}.png" for i in range(3)], captions | {"sizes.csv": "a,b\n1,2\n"}))
    assert data.plan.kind == "WebDataset"


@pytest.mark.parametrize("form", ["a_jpg.rf.{}f", "cat.{}", "Screenshot at 10.31.{}", "v1.0/{}.5"])
@pytest.mark.parametrize("count", [1, 4])
def test_names_in_a_folder_may_hold_dots(tmp_path, form, count):
    names = [form.format(i) for i in range(count)]
    data = opened(plant(tmp_path / "d", [f"{n}.png" for n in names], {f"{n}.txt": f"a cat {n}" for n in names}))
    assert data.ids.tolist() == [f"{n}.png" for n in names]
    assert data.metadata["txt"].tolist() == [f"a cat {n}" for n in names]


def test_several_images_of_a_sample_in_a_folder_stay_one_sample(tmp_path):
    images = [f"{i}{end}.png" for end in ("", ".seg") for i in range(3)]
    data = opened(plant(tmp_path / "d", images, {f"{i}.cls.txt": "ab"[i % 2] for i in range(3)}))
    assert data.ids.tolist() == [f"{i}.png" for i in range(3)]
    assert dict(data.plan.classes) == {"a": 2, "b": 1}


def test_boxes_of_darknet_beside_the_images_are_named(tmp_path):
    boxes = {f"{i}.txt": "0 .5 .5 .2 .2\n" for i in range(3)} | {"classes.txt": "cat\n"}
    data = opened(plant(tmp_path / "d", [f"{i}.png" for i in range(3)], boxes))
    assert "There are YOLO boxes: --boxes makes each box a sample." in data.plan.notes


@pytest.mark.parametrize("name", ["metadata.parquet", "labels.parquet"])
@pytest.mark.parametrize("column", ["file_name", "picture_of"])
def test_parquet_that_names_the_images_is_a_table_beside_them(tmp_path, name, column):
    plant(tmp_path, [f"other/{i}.png" for i in range(40)])  # data near by, whose images are called like ages
    root = plant(tmp_path / "data", [f"images/{i}.png" for i in range(6)])
    frame = pd.DataFrame({column: [f"images/{i}.png" for i in range(6)], "label": list("xyzxyz"), "age": range(30, 36)})
    frame.assign(vector=[[1.0, 2.0]] * 6).sample(frac=1, random_state=0).to_parquet(root / name, index=False)
    data = load(DataSettings(data=root), root)
    found = {
        str(i): (data.class_names[c], a) for i, c, a in zip(data.ids, data.labels, data.metadata["age"], strict=True)
    }
    assert found == {f"images/{i}.png": ("xyzxyz"[i], 30 + i) for i in range(6)}
    assert data.features is None
    assert data.plan.ignored == ()


def test_parquet_beside_images_says_the_names_of_its_classes(tmp_path):
    plant(tmp_path, [f"{i}.png" for i in range(3)])
    features = {"info": {"features": {"label": {"names": ["cat", "dog"], "_type": "ClassLabel"}}}}
    table = pa.table({"file_name": [f"{i}.png" for i in range(3)], "label": [1, 0, -1]})
    pq.write_table(table.replace_schema_metadata({"huggingface": json.dumps(features)}), tmp_path / "metadata.parquet")
    data = load(DataSettings(data=tmp_path), tmp_path)
    assert [data.class_names[c] for c in data.labels] == ["dog", "cat"]
    assert data.unlabelled.ids.tolist() == ["2.png"]


def test_a_table_of_text_counts_before_parquet_and_vectors_alone_are_no_table(tmp_path):
    plant(tmp_path, [f"{i}.png" for i in range(4)], {"t.csv": "path,label\n0.png,a\n1.png,b\n2.png,a\n3.png,b\n"})
    frame = pd.DataFrame({"path": [f"{i}.png" for i in range(4)], "label": "c"})
    frame.to_parquet(tmp_path / "t.parquet", index=False)
    data = load(DataSettings(data=tmp_path), tmp_path)
    assert data.class_names == ("a", "b")
    assert "t.parquet names the images as well and is not read: give it as --data for its own." in data.plan.notes
    (tmp_path / "t.csv").unlink()
    frame.drop(columns="label").assign(v=[[1.0]] * 4).to_parquet(tmp_path / "t.parquet", index=False)
    data = load(DataSettings(data=tmp_path), tmp_path)
    assert (data.is_labelled, data.features, data.plan.ignored) == (False, None, ((".parquet", 1),))
    (tmp_path / "t.parquet").write_bytes(b"PAR1 broken")
    assert len(load(DataSettings(data=tmp_path), tmp_path)) == 4


def test_columns_of_parquet_beside_class_folders_are_kept(tmp_path):
    plant(tmp_path, [f"{'ab'[i % 2]}/{i}.png" for i in range(4)])
    names = [f"{'ab'[i % 2]}/{i}.png" for i in range(4)]
    pd.DataFrame({"file_name": names, "patient": range(4)}).to_parquet(tmp_path / "m.parquet", index=False)
    data = load(DataSettings(data=tmp_path), tmp_path)
    assert dict(zip(data.ids, data.metadata["patient"], strict=True)) == dict(zip(names, range(4), strict=True))


@pytest.mark.parametrize("column", ["split", "image", "label"])
def test_whole_numbers_with_gaps_in_parquet_beside_images_are_read(tmp_path, column):
    plant(tmp_path, [f"{i}.png" for i in range(6)])
    table = {"image": [f"{i}.png" for i in range(6)], "label": list("xyzxyz"), "split": ["train"] * 6}
    table[column] = pa.array([0, 1, None, 3, 4, 5], pa.int64())
    pq.write_table(pa.table(table), tmp_path / "t.parquet")
    data = opened(tmp_path, split="all")
    assert data.is_labelled
    assert len(data) == (5 if column == "label" else 6)
    assert (len(data.class_names), len(data.plan.splits)) == (
        5 if column == "label" else 3,
        6 if column == "split" else 1,
    )


def test_numbers_of_vectors_in_parquet_beside_images_are_no_columns(tmp_path):
    plant(tmp_path, [f"{i}.png" for i in range(4)])
    wide = pd.DataFrame({f"f{i}": [0.5] * 4 for i in range(60)})
    wide.insert(0, "path", [f"{i}.png" for i in range(4)])
    wide.iloc[:3].to_parquet(tmp_path / "a.parquet", index=False)
    data = opened(tmp_path)
    assert (len(data), data.metadata, data.plan.ignored) == (4, None, ((".parquet", 1),))


def test_of_several_parquet_tables_beside_images_none_is_read(tmp_path):
    plant(tmp_path, [f"{i}.png" for i in range(4)])
    for name in ("a.parquet", "b.parquet"):
        frame = pd.DataFrame({"path": [f"{i}.png" for i in range(4)], "label": list(name[0] + "xyz")})
        frame.to_parquet(tmp_path / name, index=False)
    data = opened(tmp_path)
    assert (len(data), data.is_labelled) == (4, False)
    assert "b.parquet names the images as well and is not read: give it as --data for its own." in data.plan.notes


def test_beside_class_folders_values_of_text_tables_come_before_parquet(tmp_path):
    names = [f"{'ab'[i % 2]}/{i}.png" for i in range(4)]
    plant(tmp_path, names, {"z.csv": "path,age\n" + "".join(f"{name},1\n" for name in names)})
    pd.DataFrame({"path": names, "age": [2] * 4}).to_parquet(tmp_path / "a.parquet", index=False)
    assert [int(age) for age in opened(tmp_path).metadata["age"]] == [1] * 4
