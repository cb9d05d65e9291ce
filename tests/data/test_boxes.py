"""Boxes of COCO, YOLO and Pascal VOC as samples: the right pixels and class, and a count of all that is left out."""

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from lsi.config import DataSettings
from lsi.data import load
from lsi.data.sources.boxes import find_boxes, read_boxes
from lsi.data.sources.boxes.plain_yaml import read_plain_yaml
from lsi.data.sources.samples import Options, assemble
from lsi.data.trees import open_tree
from lsi.errors import DataError

SIZE = (40, 30)  # of every image: the red of a pixel is its x, the green its y


def picture(mark: int = 0) -> Image.Image:
    x, y = np.meshgrid(np.arange(SIZE[0]), np.arange(SIZE[1]))
    return Image.fromarray(np.stack([x, y, np.full_like(x, mark)], axis=-1).astype(np.uint8))


def write(root: Path, files: dict[str, Any]) -> Path:
    """Write texts, JSON and pictures; an integer stands for a picture with that blue."""
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, int):
            picture(content).save(path.with_suffix(".png"))
            path.with_suffix(".png").rename(path)
        elif isinstance(content, bytes):
            path.write_bytes(content)
        else:
            path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return root


def opened(root: Path, split: str = "train"):
    options = Options(split=split, boxes=True)
    return assemble(read_boxes(open_tree(root), options), options)


def extent(image: Image.Image) -> tuple[int, int, int, int]:
    """Return left, top, width and height of a crop, by the colours of its first pixel."""
    return (*image.getpixel((0, 0))[:2], *image.size)


def coco(boxes: list[dict[str, Any]], images: list[dict[str, Any]] | None = None, **others: Any) -> dict[str, Any]:
    images = (
        [{"id": i, "file_name": f"{i}.png", "width": 40, "height": 30} for i in (1, 2)] if images is None else images
    )
    categories = [{"id": 7, "name": "dog", "supercategory": "animal"}, {"id": 3, "name": "cat"}]
    annotations = [
        {"id": 100 + i, "image_id": 1, "category_id": 3, "bbox": [0, 0, 5, 5]} | box for i, box in enumerate(boxes)
    ]
    return {"info": {}, "images": images, "annotations": annotations, "categories": categories} | others


COCO = coco(
    [
        {"image_id": 2, "bbox": [3, 4, 10, 6], "category_id": 7, "area": 41.5, "segmentation": [[1, 2, 3, 4, 5, 6]]},
        {"bbox": [0.5, 1.5, 10.2, 6.0], "score": 0.5, "attributes": {"occluded": True}},
        {"image_id": 2, "bbox": [30, 20, 50, 50]},
        {"image_id": 2, "bbox": [-5, -5, 10, 10], "category_id": 7},
    ]
)


def test_each_box_of_coco_is_a_sample(tmp_path):
    root = write(tmp_path / "pets", {"annotations/instances_train.json": COCO, "images/1.png": 1, "images/2.png": 2})
    dataset = opened(root)
    assert dataset.ids.tolist() == ["images/2.png#0", "images/2.png#1", "images/2.png#2", "images/1.png#0"]
    assert [dataset.class_names[i] for i in dataset.labels] == ["dog", "cat", "dog", "cat"]
    assert dataset.index.tolist() == [0, 2, 3, 1]
    assert dataset.plan.source_length == 4
    assert dataset.plan.splits == (("train", 4),)
    crops = [dataset.images.read(i) for i in range(4)]
    assert [extent(crop) for crop in crops] == [(3, 4, 10, 6), (30, 20, 10, 10), (0, 0, 5, 5), (0, 1, 11, 7)]
    assert [crop.getpixel((0, 0))[2] for crop in crops] == [2, 2, 2, 1]
    assert dataset.images.native(0).size == (10, 6)
    assert dataset.images.source(0) is None
    table = dataset.metadata
    assert table.columns.tolist() == [
        "x", "y", "width", "height", "image", "area", "image_id", "annotation_id", "score", "attributes.occluded"
    ]  # fmt: skip
    assert table.loc[0, ["x", "y", "width", "height", "image", "area", "image_id", "annotation_id"]].tolist() == [
        3, 4, 10, 6, "images/2.png", 41.5, 2, 100
    ]  # fmt: skip
    assert table["area"].tolist() == [41.5, 2500, 100, pytest.approx(61.2)]
    assert table["score"].tolist()[3] == 0.5
    assert dataset.files == (root / "annotations" / "instances_train.json",)
    assert dataset.plan.kind == "COCO boxes"
    assert dataset.plan.notes[0] == "Each box is a sample: 4 boxes in 2 images."


def test_labels_without_names_are_in_the_order_of_the_annotations(tmp_path):
    root = write(tmp_path / "pets", {"annotations/instances_train.json": COCO, "images/1.png": 1, "images/2.png": 2})
    np.save(tmp_path / "l.npy", np.array(["dog", "cat", "cat", "dog"]))  # those of the annotations
    dataset = load(DataSettings(data=root, boxes=True, labels=str(tmp_path / "l.npy")), tmp_path)
    assert (dataset.labels == dataset.true_label).all()
    assert dataset.plan.notes[-1].endswith("its rows are taken in the order of the data's rows.")


COCO_LAYOUTS = {
    "of the paper": ({"annotations/instances_train2017.json": "train", "annotations/instances_val2017.json": "val"},
                     {"train": "train2017/{}", "val": "val2017/{}"}),
    "images above": ({"annotations/instances_train2017.json": "train", "annotations/instances_val2017.json": "val"},
                     {"train": "images/train2017/{}", "val": "images/val2017/{}"}),
    "of Roboflow": ({"train/_annotations.coco.json": "train", "valid/_annotations.coco.json": "val"},
                    {"train": "train/{}", "val": "valid/{}"}),
    "under names of its own": ({"annotations/train.json": "train", "annotations/val.json": "val"},
                               {"train": "data/train/{}", "val": "data/val/{}"}),
}  # fmt: skip


@pytest.mark.parametrize(("annotations", "places"), COCO_LAYOUTS.values(), ids=COCO_LAYOUTS)
def test_splits_of_coco_are_told_apart_though_images_have_the_same_names(tmp_path, annotations, places):
    content = coco([{"image_id": 1}, {"image_id": 2, "category_id": 7}])
    files: dict[str, Any] = dict.fromkeys(annotations, content)
    files |= {
        places[split].format(f"{i}.png"): mark + i for split, mark in (("train", 10), ("val", 20)) for i in (1, 2)
    }
    files["annotations/captions_train2017.json"] = {"images": [], "annotations": [{"caption": "a dog"}]}
    root = write(tmp_path / "pets", files)
    for split, mark in (("train", 10), ("val", 20)):
        dataset = opened(root, split)
        assert len(dataset) == 2
        assert [dataset.images.read(i).getpixel((0, 0))[2] for i in range(2)] == [mark + 1, mark + 2]
        assert dataset.index.tolist() == [0, 1]
    assert len(opened(root, "all")) == 4
    with pytest.raises(DataError, match="there is no split 'test'"):
        opened(root, "test")


@pytest.mark.parametrize(
    "name", ["1.png", "images/1.png", "/data/coco/images/1.png", "C:\\coco\\images\\1.png", "./1.png", "other/1.png"]
)
def test_images_are_found_by_any_machines_path(tmp_path, name):
    content = coco([{}], [{"id": 1, "file_name": name}])
    dataset = opened(write(tmp_path, {"instances.json": content, "images/1.png": 5, "images/2.png": 6}))
    assert dataset.ids.tolist() == ["images/1.png#0"]


@pytest.mark.parametrize("place", ["{}", "images/{}", "set/images/{}"])
@pytest.mark.parametrize("annotation", ["instances.json", "annotations/instances.json"])
def test_images_at_two_depths_are_those_of_the_one_folder_that_holds_all(tmp_path, annotation, place):
    content = coco([{}, {"image_id": 2}], [{"id": 1, "file_name": "1.png"}, {"id": 2, "file_name": "sub/1.png"}])
    top = place.partition("images")[0] if place.startswith("set") else ""
    files = {f"{top}{annotation}": content} | {place.format(name): mark for name, mark in
                                              (("1.png", 5), ("sub/1.png", 6), ("other/1.png", 7))}  # fmt: skip
    dataset = opened(write(tmp_path, files))
    assert dataset.ids.tolist() == [place.format("1.png") + "#0", place.format("sub/1.png") + "#0"]


@pytest.mark.parametrize("annotation", ["instances.json", "annotations/instances.json"])
def test_a_folder_that_holds_all_images_is_not_taken_where_another_lacks_few(tmp_path, annotation):
    content = coco([{}, {"image_id": 2}], [{"id": 1, "file_name": "1.png"}, {"id": 2, "file_name": "s/1.png"}])
    files = {annotation: content, "masks/1.png": 5, "masks/s/1.png": 6, "photos/1.png": 7, "x/s/1.png": 8}
    with pytest.raises(DataError, match=r"several images are called s?/?1\.png"):
        opened(write(tmp_path, files))


def test_an_image_that_may_be_one_of_several_is_refused(tmp_path):
    files = {"instances.json": coco([{}]), "a/1.png": 5, "b/1.png": 6}
    with pytest.raises(DataError, match=r"instances\.json: several images are called 1\.png: a/1\.png, b/1\.png"):
        opened(write(tmp_path, files))


def test_boxes_in_a_zip_are_cropped_as_well(tmp_path):
    with zipfile.ZipFile(tmp_path / "pets.zip", "w") as archive:
        archive.writestr("pets/instances.json", json.dumps(COCO))
        for i in (1, 2):
            buffer = io.BytesIO()
            picture(i).save(buffer, "PNG")
            archive.writestr(f"pets/{i}.png", buffer.getvalue())
    dataset = opened(tmp_path / "pets.zip")
    assert extent(dataset.images.read(0)) == (3, 4, 10, 6)
    assert dataset.files == (tmp_path / "pets.zip",)
    assert dataset.name == "pets"
    assert dataset.images.stamp(0) != dataset.images.stamp(1)


LEFT_OUT = {
    "crowds": ({"iscrowd": 1}, "boxes around crowds (iscrowd) (first: instances.json, annotation 1)"),
    "no box": ({"bbox": []}, "annotations without a box (first: instances.json, annotation 1)"),
    "no width": ({"bbox": [1, 1, 0, 5]}, "boxes without width or height (first: instances.json, annotation 1)"),
    "negative": ({"bbox": [1, 1, 5, -5]}, "boxes without width or height (first: instances.json, annotation 1)"),
    "right of it": ({"bbox": [40, 1, 5, 5]}, "boxes outside their image (first: instances.json, annotation 1)"),
    "above it": ({"bbox": [1, -9, 5, 9]}, "boxes outside their image (first: instances.json, annotation 1)"),
    "category": ({"category_id": 9}, "boxes of a category that is not listed (first: instances.json, annotation 1: 9)"),
    "listed": ({"image_id": 9}, "boxes of an image that is not listed (first: instances.json, annotation 1: 9)"),
    "missing": ({"image_id": 2}, "boxes whose image is not there (first: instances.json, annotation 1: 2.png)"),
}


@pytest.mark.parametrize(("box", "reason"), LEFT_OUT.values(), ids=LEFT_OUT)
def test_what_cannot_be_cropped_is_counted_with_its_first_place(tmp_path, box, reason):
    files = {"instances.json": coco([{}, box, {"category_id": 7}]), "1.png": 1}
    dataset = opened(write(tmp_path, files))
    ignored = dict(dataset.plan.ignored)
    assert len(dataset) == 2
    assert ignored.pop(reason) == 1
    assert set(ignored) <= {"images without a box (first: instances.json)"}
    files["instances.json"] = coco([box])
    with pytest.raises(DataError, match=r"--boxes: expected COCO boxes, found none: 1 (boxes|annotations) "):
        opened(write(tmp_path, files))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{]", r"instances\.json: the file is no JSON \(Expecting property name"),
        ("[" * 100_000, r"instances\.json: the file is no JSON \(it is nested too deeply\)"),
        (b"\xff\xfe\x00", r"instances\.json: expected UTF-8 text"),
        ([1, 2], r"instances\.json: expected the lists images, annotations and categories"),
        ({"images": []}, r"instances\.json: expected the lists images, annotations and categories"),
        (
            coco([{"bbox": [1, 2, 3]}]),
            r"annotation 0: expected bbox as four numbers x, y, width, height, got \[1, 2, 3\]",
        ),
        (coco([{"bbox": [1, 2, "3", 4]}]), r"annotation 0: expected bbox as four numbers"),
        (coco([{}, {"bbox": [1, 2, float("nan"), 4]}]), r"annotation 1: expected bbox as four numbers .*nan"),
        (coco([{}], [{"id": 1}]), r"images, entry 0: expected a file_name"),
        (coco([{}], [{"file_name": "x"}]), r"images, entry 0: expected an object with an id"),
        (coco([{}], [{"id": 1, "file_name": "1.png"}] * 2), r"images, entry 1: the id 1 is given a second time"),
        (coco([], annotations=[3]), r"annotation 0: expected an object, got int"),
        (coco([{}], categories=[{"name": "cat"}]), r"categories, entry 0: expected an object with an id"),
        (coco([]), r"--boxes: expected COCO boxes, found none: 2 images without a box"),
    ],
)
def test_bad_json_is_named_with_its_entry(tmp_path, content, message):
    with pytest.raises(DataError, match=message):
        opened(write(tmp_path, {"instances.json": content, "1.png": 1}))


def test_categories_of_one_name_are_one_class_with_a_note(tmp_path):
    content = coco([{}, {"category_id": 7}, {"category_id": 8}])
    content["categories"].append({"id": 8, "name": "cat"})
    dataset = opened(write(tmp_path, {"instances.json": content, "1.png": 1}))
    assert dataset.class_names == ("cat", "dog")
    assert any("several categories are called 'cat'; they are one class" in note for note in dataset.plan.notes)


def test_an_image_of_another_size_than_annotated_is_not_cropped(tmp_path):
    content = coco([{}], [{"id": 1, "file_name": "1.png", "width": 80, "height": 60}])
    dataset = opened(write(tmp_path, {"instances.json": content, "1.png": 1}))
    with pytest.raises(DataError, match=r"1\.png#0: the image has 40 × 30 pixels, its annotation says 80 × 60"):
        dataset.images.read(0)


YAML = "# pets\npath: ../pets\ntrain: images/train  # relative\nval: images/val\nnames:\n  0: cat\n  1: 'guinea pig'\n"
LINES = "0 0.5 0.5 0.25 0.2\n\n1 0.1 0.1 0.2 0.2 0.75\n"
YOLO_LAYOUTS = {
    "of ultralytics": {"data.yaml": YAML, "images/train/a.png": 1, "labels/train/a.txt": LINES},
    "of Roboflow": {"data.yaml": "names: [cat, \"guinea pig\"]\nnc: 2\ntrain: ../train/images\n",
                    "train/images/a.png": 1, "train/labels/a.txt": LINES},
    "classes.txt among the labels": {"labels/classes.txt": "cat\nguinea pig", "images/a.png": 1, "labels/a.txt": LINES},
    "darknet": {"obj.names": "cat\nguinea pig\n", "obj_train_data/a.png": 1, "obj_train_data/a.txt": LINES,
                "train.txt": "data/obj_train_data/a.png\n", "obj.data": "classes = 2\n"},
}  # fmt: skip


@pytest.mark.parametrize("files", YOLO_LAYOUTS.values(), ids=YOLO_LAYOUTS)
def test_each_line_of_yolo_is_a_sample(tmp_path, files):
    assert find_boxes(files) == "YOLO"
    dataset = opened(write(tmp_path, files))
    image = next(name for name in files if name.endswith(".png"))
    assert dataset.ids.tolist() == [f"{image}#0", f"{image}#2"]
    assert [dataset.class_names[i] for i in dataset.labels] == ["cat", "guinea pig"]
    assert extent(dataset.images.read(0)) == (15, 12, 10, 6)
    assert extent(dataset.images.read(1)) == (0, 0, 8, 6)
    assert dataset.metadata["line"].tolist() == [1, 3]
    assert dataset.metadata["confidence"].tolist()[1] == 0.75
    assert dataset.metadata["x"].tolist() == pytest.approx([0.375, 0])
    assert dataset.plan.splits in ((("train", 2),), ())


def test_each_folder_of_labels_has_its_own_class_names_where_they_differ(tmp_path):
    files = {"labels/train/classes.txt": "cat\ndog\n", "labels/val/classes.txt": "dog\ncat\n"}
    boxes = {f"{kind}/{split}/a.{end}": content for split in ("train", "val", "test")
             for kind, end, content in (("images", "png", 1), ("labels", "txt", "0 .5 .5 .5 .5\n"))}  # fmt: skip
    dataset = opened(write(tmp_path / "pets", files | boxes), "all")
    assert {str(i).split("/")[1]: dataset.class_names[c] for i, c in zip(dataset.ids, dataset.labels, strict=True)} == {
        "train": "cat", "val": "dog", "test": "cat"
    }  # fmt: skip
    assert any(note.startswith("Class names differ in labels/train/classes.txt, labels/val/classes.txt: those nearest")
               for note in dataset.plan.notes)  # fmt: skip
    same = dict.fromkeys(files, "cat\ndog\n")
    assert not any("differ" in note for note in opened(write(tmp_path / "same", same | boxes), "all").plan.notes)


def test_each_description_of_yolo_names_the_classes_below_it_where_they_differ(tmp_path):
    files = {
        "one/data.yaml": "names: [cat, dog]\n",
        "two/data.yaml": "names: [dog, cat]\n",
        "two/x.yaml": "names: [a]\n",
    }
    boxes = {f"{part}/{kind}/a.{end}": content for part in ("one", "two")
             for kind, end, content in (("images", "png", 1), ("labels", "txt", "0 .5 .5 .5 .5\n"))}  # fmt: skip
    dataset = opened(write(tmp_path / "pets", files | boxes), "all")
    said = {str(i).split("/")[0]: dataset.class_names[c] for i, c in zip(dataset.ids, dataset.labels, strict=True)}
    assert said == {"one": "cat", "two": "dog"}
    assert "Class names differ in one/data.yaml, two/data.yaml: those nearest above a label file are its own, and " in (
        " ".join(dataset.plan.notes)
    )


def test_splits_of_yolo_are_those_of_the_description_or_of_the_folders(tmp_path):
    files = {f"images/{folder}/{i}.png": 1 for folder in ("set_a", "set_b", "test") for i in range(2)}
    files |= {name.replace("images", "labels").replace(".png", ".txt"): "0 .5 .5 .5 .5\n" for name in files}
    files["data.yaml"] = "train:\n- images/set_a\nval: [/home/me/pets/images/set_b]\nnames: ['cat']\n"
    dataset = opened(write(tmp_path, files), "all")
    assert dataset.plan.splits == (("train", 2), ("validation", 2), ("test", 2))
    assert opened(tmp_path, "val").ids.tolist() == ["images/set_b/0.png#0", "images/set_b/1.png#0"]
    assert opened(tmp_path, "test").index.tolist() == [0, 1]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("0 0.1 0.1 0.6 0.1 0.6 0.5", (4, 3, 20, 12)),  # outline of three points
        ("0 .25 .2 .5 .2 .5 .4 .25 .4", (10, 6, 10, 6)),  # turned box of four corners
        ("0.0 .5 .5 .25 .2", (15, 12, 10, 6)),
        ("0 1.0 0.5 0.5 0.2", (30, 12, 10, 6)),  # cut off at the edge
    ],
)
def test_outlines_become_the_boxes_around_them(tmp_path, line, expected):
    files = {"images/a.png": 1, "labels/a.txt": line}
    dataset = opened(write(tmp_path, files))
    assert extent(dataset.images.read(0)) == expected
    assert dataset.class_names == ("0",)
    assert any("they are called by their numbers" in note for note in dataset.plan.notes)


def test_points_of_a_pose_are_no_outline(tmp_path):
    files = {"images/a.png": 1, "labels/a.txt": "0 .5 .5 .25 .2 .1 .1 2 .9 .9 2\n"}
    files["data.yaml"] = "kpt_shape: [2, 3]\nnames: {0: cat}\n"
    assert extent(opened(write(tmp_path, files)).images.read(0)) == (15, 12, 10, 6)


def test_what_yolo_leaves_out_is_counted(tmp_path):
    files = {
        "classes.txt": "cat\ndog\n",
        "images/a.png": 1, "labels/a.txt": "0 .5 .5 .2 .2\n1 .5 .5 0 .2\n5 .5 .5 .2 .2\n1 1.4 .5 .2 .2\n1 .2 .2 .1 .1",
        "images/b.png": 2, "labels/b.txt": "",
        "images/c.png": 3,
        "labels/d.txt": "0 .5 .5 .2 .2\n",
    }  # fmt: skip
    dataset = opened(write(tmp_path, files))
    assert dataset.ids.tolist() == ["images/a.png#0", "images/a.png#4"]
    assert dict(dataset.plan.ignored) == {
        "boxes without width or height (first: labels/a.txt, line 2)": 1,
        "boxes of a class that has no name (first: labels/a.txt, line 3: 5)": 1,
        "boxes outside their image (first: labels/a.txt, line 4)": 1,
        "images without a box (first: images/b.png)": 2,
        "label files without an image (first: labels/d.txt)": 1,
    }


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("0 0.5 0.5", r"labels/a\.txt, line 2: expected a class number and x, y, width and height as fractions"),
        ("cat .5 .5 .2 .2", r"line 2: expected a class number .* got 'cat \.5 \.5 \.2 \.2'"),
        ("0 120 80 30 20", r"line 2: expected .*, got 120: are these pixels\?"),
        ("-1 .5 .5 .2 .2", r"line 2: expected a class number"),
        ("0.5 .5 .5 .2 .2", r"line 2: expected a class number"),
        ("0 .5 nan .2 .2", r"line 2: expected a class number"),
        ("0 .1 .1 .2 .2 .3 .3 .4", r"line 2: expected a class number .*, or an outline"),
    ],
)
def test_a_bad_line_is_named(tmp_path, line, message):
    with pytest.raises(DataError, match=message):
        opened(write(tmp_path, {"images/a.png": 1, "labels/a.txt": f"0 .5 .5 .2 .2\n{line}\n"}))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('names: [cat, \'guinea pig\', "a \\"b\\""]', ["cat", "guinea pig", 'a "b"']),
        ("names: ['it''s', a#b, traffic light, 'x: y'] # note", ["it's", "a#b", "traffic light", "x: y"]),
        ("names: [ 'a', 'b',\n   'c' ]  # class names\nnc: 3", ["a", "b", "c"]),
        ("names:\n- a\n- 'b c' # second\n\n- no\nnc: 3", ["a", "b c", "no"]),
        ("names:\n  - a\n  - 1.0\ntrain: x", ["a", "1.0"]),
        ('names:\n  0: a\n  1: "b # c"\n  2: it\'s\n', {"0": "a", "1": "b # c", "2": "it's"}),
        ("names: {0: a, 1: 'b, c', 2: [x, y]}", {"0": "a", "1": "b, c", "2": ["x", "y"]}),
        ("{}", "absent"),
        ("download: |\n  names: [x]\n  for i in range(3):\n\nnames: [y]", ["y"]),
        ('---\n"names": [y]\r\n', ["y"]),
        ("names: person", "person"),
        ("names:\nnc: 3", None),
        ("names: []", []),
        ("info: {names: [a]}\n", "absent"),
        (r'names: ["\xE9cureuil", "\u732B", "\U0001F431", "a\tb\/c\\"]', ["écureuil", "猫", "🐱", "a\tb/c\\"]),
        (r'names: ["say \"hi\" #1", x] # note', ['say "hi" #1', "x"]),
    ],
)
def test_the_little_yaml_that_is_needed_is_read(text, expected):
    assert read_plain_yaml(text, ("names",), "data.yaml").get("names", "absent") == expected
    yaml = pytest.importorskip("yaml")
    theirs = (yaml.safe_load(text) or {}).get("names", "absent")
    spelt = {"False": "no", "1.0": "1.0"}  # YAML takes no for a truth value

    def texts(value):
        if isinstance(value, dict):
            return {str(k): texts(v) for k, v in value.items()}
        if isinstance(value, list):
            return [texts(v) for v in value]
        return None if value is None else spelt.get(str(value), str(value))

    assert texts(theirs) == expected


def test_a_letter_that_json_writes_as_a_pair_is_one_letter():
    assert read_plain_yaml(r'names: ["\ud83d\udc31"]', ("names",), "data.yaml") == {"names": ["🐱"]}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nc: 1\nnames: [a, b", r"data\.yaml, line 2: expected a list or a mapping, got '\[a, b'"),
        ("names: [a,,b]", r"line 1: expected a list or a mapping"),
        ("names: ['a, b]", r"line 1: expected a list or a mapping"),
        ("names:\n  a\n  b\n", r"line 1: expected a list or a mapping, got 'a'"),
    ],
)
def test_yaml_that_is_not_understood_is_refused(text, message):
    with pytest.raises(DataError, match=message):
        read_plain_yaml(text, ("names",), "data.yaml")


def test_class_names_of_another_kind_are_refused(tmp_path):
    files = {"data.yaml": "names: person", "images/a.png": 1, "labels/a.txt": LINES}
    with pytest.raises(DataError, match=r"data\.yaml: expected names as a list, or by class number, got 'person'"):
        opened(write(tmp_path, files))


def voc(*objects: tuple[str, tuple], name: str = "a.png", size: str = "<width>40</width><height>30</height>") -> str:
    edges = ("xmin", "ymin", "xmax", "ymax")
    inner = "".join(
        f"<object><name>{label}</name><difficult>1</difficult><bndbox>"
        + "".join(f"<{edge}>{value}</{edge}>" for edge, value in zip(edges, box, strict=True))
        + "</bndbox><part><name>head</name></part></object>"
        for label, box in objects
    )
    return f"<annotation><filename>{name}</filename><size>{size}</size>{inner}</annotation>"


@pytest.mark.parametrize(
    "places",
    [("Annotations/a.xml", "JPEGImages/a.png"), ("train/a.xml", "train/a.png"), ("a.xml", "images/a.png")],
)
def test_each_object_of_pascal_voc_is_a_sample(tmp_path, places):
    content = voc(("cat", (3, 4, 13, 10)), ("dog", (0, 0, 40, 30)), ("dog", (50, 50, 60, 60)), ("", (1, 1, 2, 2)))
    files = {
        places[0]: content,
        places[1]: 9,
        "SegmentationClass/a.webp": 3,
        "Annotations/b.xml": voc(("cat", (1, 1, 2, 2))),
    }
    assert find_boxes(files) == "Pascal VOC"
    dataset = opened(write(tmp_path, files | {"Annotations/b.xml": voc(("cat", (1, 1, 2, 2)), name="none.png")}))
    assert dataset.ids.tolist() == [f"{places[1]}#0", f"{places[1]}#1"]
    assert [dataset.class_names[i] for i in dataset.labels] == ["cat", "dog"]
    assert extent(dataset.images.read(0)) == (3, 4, 10, 6)
    assert dataset.metadata["difficult"].tolist() == ["1", "1"]
    assert dict(dataset.plan.ignored) == {
        f"boxes outside their image (first: {places[0]}, object 2)": 1,
        f"boxes without a name (first: {places[0]}, object 3)": 1,
        "boxes whose image is not there (first: Annotations/b.xml)": 1,
    }


def test_splits_of_pascal_voc_are_lists_of_names(tmp_path):
    files = {f"VOC/Annotations/{i}.xml": voc(("cat", (1, 1, 9, 9)), name=f"{i}.png") for i in range(3)}
    files |= {f"VOC/JPEGImages/{i}.png": i for i in range(3)}
    files |= {"VOC/ImageSets/Main/train.txt": "0\n1\n", "VOC/ImageSets/Main/test.txt": "2\n",
              "VOC/ImageSets/Main/cat_train.txt": "0 1\n1 -1\n", "VOC/ImageSets/Main/trainval.txt": "0 1"}  # fmt: skip
    assert opened(write(tmp_path, files), "all").plan.splits == (("train", 2), ("test", 1))
    assert opened(tmp_path, "test").ids.tolist() == ["VOC/JPEGImages/2.png#0"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("<annotation><object>", r"a\.xml: the file is no XML \(no element found"),
        (
            '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><annotation>&x;</annotation>',
            "without a document type",
        ),
        ("<!doctype a><annotation/>", "without a document type"),
        ("<annotation/>".encode("utf-16"), "expected XML in UTF-8"),
        ("<annotation/>".encode("utf-32"), "expected XML in UTF-8"),
        ("<?xml version='1.0' encoding='nonsense'?><annotation/>", r"a\.xml: the file is no XML"),
        (voc(("cat", (1, "x", 2, 3))), r"a\.xml, object 0: expected numbers xmin, ymin, xmax, ymax in bndbox"),
        (voc(("cat", (1, "nan", 2, 3))), r"a\.xml, object 0: expected numbers"),
        ("<annotation><object><name>cat</name></object></annotation>", r"a\.xml, object 0: expected numbers"),
        (voc(), r"expected Pascal VOC boxes, found none: 1 images without a box"),
    ],
)
def test_bad_xml_is_named(tmp_path, content, message):
    with pytest.raises(DataError, match=message):
        opened(write(tmp_path, {"a.xml": content, "a.png": 1}))


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["annotations/instances_val2017.json", "val2017/1.jpg"], "COCO"),
        (["train/_annotations.coco.json"], "COCO"),
        (["instances.json"], "COCO"),
        (["images/a.jpg", "labels/a.txt"], "YOLO"),
        (["data/images/train/a.jpg", "data/labels/train/a.txt"], "YOLO"),
        (["a.jpg", "a.txt", "classes.txt"], "YOLO"),
        (["a.jpg", "a.xml"], "Pascal VOC"),
        (["a.jpg", "a.txt"], None),
        (["cat/a.jpg", "cat/notes.txt", "metadata.json", "config.xml"], None),
        ([".hidden/instances_val.json", "__MACOSX/labels/a.txt"], None),
        ([], None),
    ],
)
def test_formats_of_boxes_are_known_by_names(names, expected):
    assert find_boxes(names) == expected


def test_a_folder_without_boxes_says_what_is_expected(tmp_path):
    with pytest.raises(DataError, match=r"--boxes: expected boxes of COCO \(instances_\*\.json\), YOLO .* found none"):
        opened(write(tmp_path, {"cat/a.png": 1}))


def test_where_several_formats_lie_a_note_says_which_is_read(tmp_path):
    files = {"instances.json": coco([{}]), "images/1.png": 1, "labels/1.txt": "0 .5 .5 .2 .2\n"}
    dataset = opened(write(tmp_path, files))
    assert dataset.plan.kind == "COCO boxes"
    assert "There are YOLO boxes as well; those of COCO are read." in dataset.plan.notes


def test_boxes_are_opened_through_the_front_door_and_a_folder_says_that_they_are_there(tmp_path):
    root = write(tmp_path / "pets", YOLO_LAYOUTS["classes.txt among the labels"])
    dataset = load(DataSettings(data=root, boxes=True), tmp_path)
    assert len(dataset) == len(set(dataset.checksums)) == 2
    assert dataset.plan.lines()[0].endswith("pets: YOLO boxes, 2 boxes in 2 classes (cat 1, guinea pig 1)")
    plain = load(DataSettings(data=root), tmp_path)
    assert "There are YOLO boxes: --boxes makes each box a sample." in plain.plan.notes


def test_boxes_of_an_image_with_a_mask_of_its_name_are_of_the_image(tmp_path):
    files = {f"annotations/xmls/cat_{i}.xml": voc(("cat", (1, 1, 9, 9)), name=f"cat_{i}.jpg") for i in range(3)}
    files |= {f"{place}/cat_{i}.png": i for i in range(3) for place in ("annotations/trimaps", "images")}
    dataset = opened(write(tmp_path, files))
    assert len(dataset) == 3
    assert dataset.ids.tolist() == [f"images/cat_{i}.png#0" for i in range(3)]
