"""Folders that hold masks, parts of one set or domains are not taken for classes without a word."""

from pathlib import Path

import pytest

from lsi.config import DataSettings
from lsi.data import Dataset, load
from lsi.errors import DataError
from tests.data.trees import TWO, plant


def opened(root: Path, **options) -> Dataset:
    return load(DataSettings(data=root, **options), root.parent)


def many(*folders: str, count: int = 3) -> list[str]:
    return [f"{folder}/{i}.png" for folder in folders for i in range(count)]


@pytest.mark.parametrize(("images", "masks"), [("images", "masks"), ("JPEGImages", "SegmentationClass")])
def test_masks_below_a_split_are_no_class(tmp_path, images, masks):
    root = plant(tmp_path / "d", many(*(f"{s}/{f}" for s in ("train", "val") for f in (images, masks))))
    data = opened(root, split="all")
    assert data.ids.tolist() == many(f"train/{images}", f"val/{images}")
    assert not data.is_labelled
    assert dict(data.plan.splits) == {"train": 3, "val": 3}
    assert dict(data.plan.ignored) == {f"images in train/{masks}/": 3, f"images in val/{masks}/": 3}


def test_masks_beside_the_splits_are_no_class(tmp_path):
    data = opened(plant(tmp_path / "d", many("train", "test", "train_masks")))
    assert dict(data.plan.splits) == {"train": 3, "test": 3}
    assert not data.is_labelled
    assert dict(data.plan.ignored) == {"images in train_masks/, which is no split": 3}


def test_masks_below_a_split_lie_beside_class_folders(tmp_path):
    places = [f"{s}/{f}/{c}" for s in ("train", "val") for f in ("images", "masks") for c in ("cat", "dog")]
    data = opened(plant(tmp_path / "d", many(*places)))
    assert dict(data.plan.classes) == {"cat": 3, "dog": 3}


@pytest.mark.parametrize("between", ["", "train/"])
def test_masks_inside_a_class_are_none_of_its_images(tmp_path, between):
    data = opened(
        plant(tmp_path / "d", many(*(f"{c}/{between}{f}" for c in ("cat", "dog") for f in ("images", "masks"))))
    )
    assert data.ids.tolist() == many(f"cat/{between}images", f"dog/{between}images")
    assert dict(data.plan.ignored) == {f"images in {c}/{between}masks/": 3 for c in ("cat", "dog")}


def test_images_of_a_split_without_classes_are_no_class_called_images(tmp_path):
    places = ["train/n01/images", "train/n02/images", "val/images", "test/images"]
    data = opened(plant(tmp_path / "d", many(*places), {"val/val_annotations.txt": "0.png\tn01\n"}), split="all")
    assert data.class_names == ("n01", "n02")
    assert data.unlabelled is not None
    assert data.unlabelled.ids.tolist() == many("test/images", "val/images")
    assert len(opened(tmp_path / "d", split="val")) == 3
    assert not opened(tmp_path / "d", split="val").is_labelled


def test_a_table_says_the_labels_of_images_below_a_split(tmp_path):
    rows = "".join(f"{i}.png,{'ab'[i % 2]}\n" for i in range(3))
    data = opened(plant(tmp_path / "d", many("train/images", "test/images"), {"train.csv": f"file,label\n{rows}"}))
    assert dict(data.plan.classes) == {"a": 2, "b": 1}


@pytest.mark.parametrize("splits", [("train", "test"), ("train",)])
def test_domains_that_hold_splits_of_the_same_classes_are_refused(tmp_path, splits):
    places = [f"{d}/{s}/{c}" for d in ("amazon", "webcam") for s in splits for c in ("mug", "pen")]
    root = plant(tmp_path / "d", many(*places))
    message = r"amazon, webcam hold splits with folders of the same names in them \(mug, pen\): .* give one of them"
    with pytest.raises(DataError, match=message):
        opened(root)
    assert opened(root / "amazon").class_names == ("mug", "pen")


def test_folders_of_other_names_below_the_splits_of_classes_get_a_note(tmp_path):
    data = opened(
        plant(tmp_path / "d", many("cat/train/siamese", "cat/train/tabby", "dog/train/poodle", "dog/test/collie"))
    )
    assert data.class_names == ("cat", "dog")
    inner = "collie, poodle, siamese, tabby"
    assert f"The classes are the upper folders, as ImageFolder reads them; below them lie {inner}." in data.plan.notes


def parts(form: str, header: str = "image_id,dx", count: int = 8) -> tuple[list[str], dict[str, str]]:
    """Return images in two folders, and a table that names them without suffix."""
    images = [f"{form.format(1 + 2 * i // count)}/ISIC_{i:04d}.png" for i in range(count)]
    rows = "".join(f"ISIC_{i:04d},{'ab'[i % 2]}\n" for i in range(count))
    return images, {"metadata.csv": f"{header}\n{rows}"}


@pytest.mark.parametrize("form", ["HAM10000_images_part_{}", "images_00{}", "batch{}", "Part {}"])
@pytest.mark.parametrize("header", ["image_id,dx", "image,label"])
def test_parts_of_one_download_whose_images_a_table_names_are_refused(tmp_path, form, header):
    root = plant(tmp_path / "d", *parts(form, header))
    message = r"differ by a number alone, and metadata\.csv names 8 of their images: .* give metadata\.csv as --data"
    with pytest.raises(DataError, match=message):
        opened(root)
    assert len(opened(root / "metadata.csv", label_column=header.partition(",")[2])) == 8


@pytest.mark.parametrize("twice", [False, True])
def test_parts_are_refused_as_well_where_the_table_has_absolute_paths_or_names_an_image_twice(tmp_path, twice):
    images, _ = parts("part_{}")
    rows = "".join(f"{tmp_path}/d/{name},{i}\n" * (1 + twice) for i, name in enumerate(images))
    with pytest.raises(DataError, match=r"differ by a number alone, and metadata\.csv names 8 of their images"):
        opened(plant(tmp_path / "d", images, {"metadata.csv": f"path,age\n{rows}"}))


def test_parts_without_a_table_stay_classes(tmp_path):
    images, _ = parts("part_{}")
    assert opened(plant(tmp_path / "d", images, {"sizes.csv": "a,b\n1,2\n"})).class_names == ("part_1", "part_2")


@pytest.mark.parametrize("form", ["n0144076{}", "{}", "person_{}"])
def test_a_table_that_names_the_images_of_class_folders_gets_a_note(tmp_path, form):
    data = opened(plant(tmp_path / "d", *parts(form)))
    assert data.class_names == (form.format(1), form.format(2))
    note = "metadata.csv names 8 of the images in its column image_id; the folders are taken as the labels."
    assert f"{note} Give it as --data for its own." in data.plan.notes


def test_a_table_that_names_few_images_gets_no_note(tmp_path):
    data = opened(plant(tmp_path / "d", TWO, {"some.csv": "picture,score\n0.png,1\n9.png,2\n"}))
    assert data.plan.notes == ()
