"""Boxes are those of the annotation that was given, and are cut from the images that it means or from none."""

import json
from pathlib import Path
from typing import Any

import pytest

from lsi.config import DataSettings
from lsi.data import Dataset, load
from lsi.data.sources.confined import confined
from lsi.errors import DataError
from tests.data.test_boxes import LINES, coco, opened, voc, write

TWO = coco([{"image_id": 1}, {"image_id": 2, "category_id": 7}])
IMAGES = {"1.png": 1, "2.png": 2}


def given(path: Path, **how: Any) -> Dataset:
    return load(DataSettings(data=path, boxes=True, **how), path.parent)


def named(*file_names: str) -> dict[str, Any]:
    """Return COCO with an image of each name and a box in each."""
    images = [{"id": i, "file_name": name} for i, name in enumerate(file_names)]
    return coco([{"image_id": i} for i in range(len(file_names))], images)


@pytest.mark.parametrize("name", ["val.json", "instances_val2017.json", "boxes.json"])
@pytest.mark.parametrize("beside", ["backup.json", "instances_train.json"])
def test_a_file_of_boxes_that_is_given_is_read_alone(tmp_path, name, beside):
    root = write(tmp_path / "pets", {name: TWO, beside: coco([{}]), "labels/1.txt": LINES} | IMAGES)
    data = given(root / name)
    assert data.ids.tolist() == ["1.png#0", "2.png#0"]
    assert data.plan.place.endswith(name)
    assert data.plan.source_length == 2
    assert data.files == (root / name,)
    note = f"{root / name} was given by itself, so it is read, though it is the split validation."
    assert (note in data.plan.notes) == ("val" in name)


def test_another_split_than_that_of_the_file_given_is_refused(tmp_path):
    root = write(tmp_path / "pets", {"val.json": TWO} | IMAGES)
    assert len(given(root / "val.json", split="val")) == 2
    with pytest.raises(DataError, match="there is no split 'test'"):
        given(root / "val.json", split="test")


def test_images_of_a_file_given_lie_beside_its_folder_as_well(tmp_path):
    files = {"annotations/instances_val2017.json": TWO, "train2017/1.png": 8}
    root = write(tmp_path / "pets", files | {f"val2017/{name}": mark for name, mark in IMAGES.items()})
    data = given(root / "annotations" / "instances_val2017.json")
    assert data.ids.tolist() == ["val2017/1.png#0", "val2017/2.png#0"]
    with confined(), pytest.raises(DataError, match="leads out of the folders that this server may read"):
        given(root / "annotations" / "instances_val2017.json")


@pytest.mark.parametrize("table", [TWO, named("train2017/1.png", "train2017/2.png")])
def test_boxes_of_a_split_that_is_not_there_are_not_cut_from_another(tmp_path, table):
    files = {f"annotations/instances_{split}2017.json": TWO for split in ("train", "val")}
    files["annotations/instances_train2017.json"] = table
    root = write(tmp_path / "pets", files | {f"val2017/{name}": mark for name, mark in IMAGES.items()})
    assert [i.partition("#")[0] for i in opened(root, "val").ids] == ["val2017/1.png", "val2017/2.png"]
    data = opened(root, "all")
    assert len(data) == 2
    assert any(what.startswith("boxes whose image is not there") and n == 2 for what, n in data.plan.ignored)


def test_an_image_in_two_other_splits_is_in_neither_that_of_a_third(tmp_path):
    files = {"instances_train.json": TWO, "instances_val.json": TWO, "instances_test.json": TWO}
    root = write(tmp_path, files | {f"{split}/{name}": 1 for split in ("val", "test") for name in IMAGES})
    assert dict(opened(root, "all").plan.splits) == {"validation": 2, "test": 2}


@pytest.mark.parametrize("name", ["dev/images/1.png", "dev/1.png"])
def test_a_folder_around_annotations_and_images_is_no_split_of_the_images(tmp_path, name):
    files = {"dev/annotations/instances_train.json": named("1.png"), name: 1}
    assert opened(write(tmp_path, files)).ids.tolist() == [f"{name}#0"]


def test_an_image_belongs_to_the_name_whose_folders_agree(tmp_path):
    root = write(tmp_path, {"instances.json": named("cam1/0001.png", "cam2/0001.png"), "cam1/0001.png": 1})
    data = opened(root)
    assert data.ids.tolist() == ["cam1/0001.png#0"]
    assert any(what.startswith("boxes whose image is not there") for what, _ in data.plan.ignored)
    assert len(opened(write(tmp_path, {"cam2/0001.png": 2}))) == 2


def test_an_image_that_two_names_could_mean_is_that_of_neither(tmp_path):
    files = {
        "instances.json": named("cam1/0001.png", "cam2/0001.png", "2.png"),
        "images/0001.png": 1,
        "images/2.png": 2,
    }
    assert opened(write(tmp_path, files)).ids.tolist() == ["images/2.png#0"]


def test_an_annotation_of_pascal_voc_describes_the_image_beside_it_alone(tmp_path):
    files = {f"cam{i}/Annotations/0001.xml": voc((f"c{i}", (1, 1, 9, 9)), name="0001.png") for i in (1, 2)}
    data = opened(write(tmp_path, files | {"cam1/JPEGImages/0001.png": 1}))
    assert data.class_names == ("c1",)
    with pytest.raises(DataError, match=r"cam1/Annotations/0001\.xml and old/0001\.xml both describe 0001\.png"):
        opened(write(tmp_path / "b", {"cam1/Annotations/0001.xml": voc(), "old/0001.xml": voc(), "0001.png": 1}))


ROBOFLOW = "train: ../train/images\nval: ../valid/images\ntest: ../test/images\nnames: [cat, 'guinea pig']\n"


def yolo(*folders: str) -> dict[str, Any]:
    images = {f"{folder}/images/{i}.png": i for folder in folders for i in range(2)}
    return images | {name.replace("images", "labels").replace(".png", ".txt"): LINES for name in images}


def test_a_split_of_yolo_that_is_not_there_takes_no_images_of_the_others(tmp_path):
    data = opened(write(tmp_path, yolo("valid", "test") | {"data.yaml": ROBOFLOW}), "all")
    assert dict(data.plan.splits) == {"validation": 4, "test": 4}
    assert "data.yaml: train leads to no image here (../train/images)." in data.plan.notes


@pytest.mark.parametrize("above", ["", "/home/dev/pets/", "../"])
def test_a_folder_that_is_not_there_takes_no_images_of_one_that_is_named(tmp_path, above):
    text = f"train: {above}set_a/images\nval: {above}set_b/images\nnames: [cat, 'guinea pig']\n"
    data = opened(write(tmp_path, yolo("set_b") | {"data.yaml": text}), "all")
    assert dict(data.plan.splits) == {"validation": 4}


def test_a_list_of_a_split_takes_no_images_of_another(tmp_path):
    files = {"obj.names": "cat\nguinea pig\n", "train.txt": "data/train/0.png\n", "val.txt": "data/val/0.png\n"}
    data = opened(write(tmp_path, files | {"val/0.png": 1, "val/0.txt": LINES}), "all")
    assert dict(data.plan.splits) == {"validation": 2}
    assert "train leads to no image here (train.txt)." in data.plan.notes


def test_of_several_descriptions_data_yaml_is_taken_and_named(tmp_path):
    files = {"coco.yaml": "names: [a, b]\n", "data.yaml": "names: [cat, dog]\n", "hyp.yaml": "lr0: 0.1\n"}
    data = opened(write(tmp_path, files | yolo("a")))
    assert data.class_names == ("cat", "dog")
    assert "data.yaml gives the classes their names; coco.yaml would as well." in data.plan.notes


def test_the_same_boxes_in_two_files_are_refused(tmp_path):
    files = {"annotations/instances_train2017.json": TWO, "annotations/instances_train2017_subset.json": coco([{}])}
    message = r"instances_train2017\.json and annotations/instances_train2017_subset\.json both hold boxes of 1\.png"
    with pytest.raises(DataError, match=message):
        opened(write(tmp_path, files | IMAGES))
    parts = {f"instances_train_{i}.json": named(f"{i}.png") for i in (1, 2)}
    assert len(opened(write(tmp_path / "parts", parts | IMAGES))) == 2


def test_a_file_of_boxes_under_another_name_is_named_where_it_is_not_read(tmp_path):
    files = {"instances_train.json": TWO, "val.json": TWO, "notes.json": {"images": []}, "bad.json": "{"}
    data = opened(write(tmp_path, files | IMAGES))
    note = "val.json holds boxes as well, and is not read beside files called instances: give it as --data for its own."
    assert note in data.plan.notes
    assert not any("notes.json" in note for note in data.plan.notes)
    assert json.loads((tmp_path / "val.json").read_text()) == TWO


def test_json_beside_images_that_holds_no_boxes_of_coco_is_not_said_to_be_coco(tmp_path):
    shape = {"label": "cat", "points": [[1, 1], [9, 9]], "shape_type": "rectangle"}
    labelme = {f"{i}.json": {"shapes": [shape], "imagePath": f"{i}.png"} for i in (1, 2)}
    root = write(tmp_path / "pets", labelme | IMAGES)
    with pytest.raises(DataError, match=r"--boxes: expected boxes of COCO \(instances_\*\.json\), YOLO .* found none"):
        given(root)
