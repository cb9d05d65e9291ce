import shutil
from pathlib import Path

import numpy as np
import pytest
from torchvision.datasets import ImageFolder

from lsi.config import DataSettings
from lsi.data import Dataset, load
from lsi.errors import DataError
from tests.data.trees import TWO, as_bytes_name, plant, write_image


def opened(root: Path, **options) -> Dataset:
    return load(DataSettings(data=root, **options), root.parent)


def named(data: Dataset) -> dict[str, str]:
    return {str(i): data.class_names[c] for i, c in zip(data.ids, data.labels, strict=True)}


def fits_image_folder(data: Dataset, base: Path, root: Path) -> None:
    """Every index selects the same file in torchvision's ImageFolder."""
    listed = [Path(path) for path, _ in ImageFolder(base).samples]
    for sample, index in zip(data.ids, data.source_index, strict=True):
        assert listed[index] == root / sample
    assert data.plan.source_length == len(listed)


CAT_DOG = {"cat": 3, "dog": 3}


@pytest.mark.parametrize(
    ("prefixes", "split", "used"),
    [
        ([""], "train", ""),
        (["images/"], "train", "images/"),
        (["data/images/"], "train", "data/images/"),
        (["train/", "val/"], "train", "train/"),
        (["Train/", "Validation/"], "val", "Validation/"),
        (["TRAINING/", "Dev/"], "validation", "Dev/"),
        (["set/train/", "set/test/"], "test", "set/test/"),
        (["train2017/", "val2017/"], "valid", "val2017/"),
        (["training_set/training_set/", "test_set/test_set/"], "train", "training_set/training_set/"),
        (["seg_train/seg_train/", "seg_test/seg_test/"], "test", "seg_test/seg_test/"),
        (["train/images/", "holdout/images/"], "holdout", "holdout/images/"),
        (["train/", "test/", "__MACOSX/train/"], "train", "train/"),
    ],
)
def test_class_folders_are_found_below_splits_and_wrappers(tmp_path, prefixes, split, used):
    root = plant(tmp_path / "d", [p + name for p in prefixes for name in TWO])
    data = opened(root, split=split)
    assert data.ids.tolist() == [used + name for name in TWO]
    assert dict(data.plan.classes) == CAT_DOG
    fits_image_folder(data, root / used, root)


@pytest.mark.parametrize("split", ["train", "test", "all"])
def test_splits_may_lie_below_the_classes(tmp_path, split):
    root = plant(tmp_path / "d", [f"{c}/{s}/{i}.png" for c in ("a", "b") for s in ("train", "test") for i in range(2)])
    data = opened(root, split=split)
    assert set(data.split) == ({split} if split != "all" else {"train", "test"})
    assert data.class_names == ("a", "b")
    fits_image_folder(data, root, root)


@pytest.mark.parametrize(
    "more",
    [
        [f"{c}/aug/{i}.png" for c in ("cat", "dog") for i in range(3)],
        ["cat/a/1.png", "cat/a b/1.png", "cat/a-b/1.png", "cat/a/x/1.png"],
        [".hidden/1.png", "cat/.ipynb_checkpoints/0.png", "__MACOSX/cat/._0.png", "cat/._0.png", "dog/.thumb.png"],
        ["cat/0.gif", "dog/z.GIF", "cat/aug/1.gif"],
        ["a.b/1.png", "x y/1.PNG", "cat/2.jpeg", "cat/2.JPG", "dog/1.tif", "dog/2.webp"],
        ["9.png", "10.png"],
    ],
)
def test_every_index_is_that_of_image_folder(tmp_path, more):
    root = plant(tmp_path / "d", [*TWO, *more])
    data = opened(root)
    listed = [str(Path(p).relative_to(root)) for p, _ in ImageFolder(root).samples]
    known = [(i, s) for s, i in zip(data.ids, data.source_index, strict=True) if s in listed]
    assert all(listed[i] == s for i, s in known)
    beyond = [int(i) for s, i in zip(data.ids, data.source_index, strict=True) if s not in listed]
    assert beyond == list(range(len(listed), len(listed) + len(beyond)))
    assert {s for _, s in known} == {s for s in listed if not any(p.startswith((".", "__")) for p in s.split("/"))}


def test_links_to_folders_and_files_are_followed_as_image_folder_does(tmp_path):
    plant(tmp_path / "elsewhere", [f"{i}.png" for i in range(4)])
    root = plant(tmp_path / "d", TWO)
    (root / "cat" / "linked").symlink_to(tmp_path / "elsewhere")
    (root / "bird").symlink_to(tmp_path / "elsewhere")
    (root / "dog" / "back.png").symlink_to(root / "cat" / "0.png")
    data = opened(root)
    assert dict(data.plan.classes) == {"bird": 4, "cat": 7, "dog": 4}
    fits_image_folder(data, root, root)


def test_a_link_that_leads_back_up_is_followed_once(tmp_path):
    root = plant(tmp_path / "d", TWO)
    (root / "cat" / "loop").symlink_to(root)
    assert dict(opened(root).plan.classes) == CAT_DOG


@pytest.mark.parametrize(
    ("more", "ignored"),
    [
        (["unlabeled/1.png"], {}),
        (["other/1.png", "other/2.png"], {"images in other/, which is no split": 2}),
        (["__MACOSX/1.png"], {"hidden files": 1}),
        (["stray.png"], {"images beside the split folders": 1}),
    ],
)
def test_a_folder_beside_the_splits_never_becomes_a_class(tmp_path, more, ignored):
    root = plant(tmp_path / "d", [*("train/" + n for n in TWO), *("test/" + n for n in TWO), *more])
    data = opened(root)
    assert data.class_names == ("cat", "dog")
    assert dict(data.plan.ignored) == ignored


def test_a_split_without_classes_is_unlabelled(tmp_path):
    root = plant(tmp_path / "d", [*("train/" + n for n in TWO), "test/1.png", "test/2.png"])
    assert not opened(root, split="test").is_labelled
    everything = opened(root, split="all")
    assert len(everything) == 6
    assert everything.unlabelled.ids.tolist() == ["test/1.png", "test/2.png"]
    assert "2 samples without a label: left out of the fit, still shown" in everything.plan.lines()


def test_flat_splits_are_splits_of_unlabelled_images(tmp_path):
    root = plant(tmp_path / "d", ["train/1.png", "train/2.png", "test/1.png"])
    data = opened(root)
    assert data.ids.tolist() == ["train/1.png", "train/2.png"]
    assert not data.is_labelled
    assert dict(data.plan.splits) == {"train": 2, "test": 1}


def test_a_class_may_be_called_test_where_no_classes_lie_below_it(tmp_path):
    data = opened(plant(tmp_path / "d", ["test/1.png", "exam/1.png"]))
    assert data.class_names == ("exam", "test")
    assert any("The folder test is taken for a class" in line for line in data.plan.lines())


@pytest.mark.parametrize("images", [["1.png", "2.png"], ["photos/1.png", "photos/2.png"]])
def test_images_alone_have_no_labels(tmp_path, images):
    data = opened(plant(tmp_path / "d", images))
    assert not data.is_labelled
    assert data.ids.tolist() == images


def test_the_plan_says_what_was_ignored(tmp_path):
    junk = ["cat/.ipynb_checkpoints/0.png", "__MACOSX/cat/._0.png", "dog/._0.png"]
    root = plant(tmp_path / "photos", [*TWO, *junk], {"readme.md": "x", "cat/notes.txt": "x", "dog/more.txt": "x"})
    assert opened(root).plan.lines() == [
        f"{root}: class folders, 6 images in 2 classes (cat 3, dog 3)",
        "ignored: 3 hidden files, 1 .md, 2 .txt",
    ]


def test_the_plan_names_classes_of_a_single_sample(tmp_path):
    lines = opened(plant(tmp_path / "photos", [*TWO, "catt/0.png"])).plan.lines()
    assert lines[1:] == ["1 class of a single sample: catt"]


@pytest.mark.parametrize("folders", [("fold1", "fold2"), ("train-clean", "train-noisy"), ("batch_1", "batch_2")])
def test_folders_that_hold_the_same_classes_are_splits_by_any_such_name(tmp_path, folders):
    root = plant(tmp_path / "d", [f"{f}/{name}" for f in folders for name in TWO])
    with pytest.raises(DataError, match=rf"no split 'train'. There are {folders[0]}, {folders[1]}"):
        opened(root)
    data = opened(root, split=folders[1])
    assert dict(data.plan.classes) == CAT_DOG
    fits_image_folder(data, root / folders[1], root)


@pytest.mark.parametrize(
    ("images", "masks"), [("images", "masks"), ("JPEGImages", "SegmentationClass"), ("imgs", "gt")]
)
def test_masks_beside_images_are_no_class(tmp_path, images, masks):
    root = plant(tmp_path / "d", [f"{images}/{i}.png" for i in range(3)] + [f"{masks}/{i}.png" for i in range(3)])
    data = opened(root)
    assert data.ids.tolist() == [f"{images}/{i}.png" for i in range(3)]
    assert dict(data.plan.ignored) == {f"images in {masks}/": 3}


def test_folders_without_images_are_named(tmp_path):
    data = opened(plant(tmp_path / "d", TWO, {"bird/readme.txt": "soon", "docs/a/b.txt": "x"}))
    assert data.class_names == ("cat", "dog")
    assert "2 folders beside the classes without an image: bird, docs." in data.plan.lines()


def test_the_plan_names_the_splits_and_the_one_in_use(tmp_path):
    root = plant(tmp_path / "photos", ["train/" + n for n in TWO] + ["test/cat/1.png", "test/dog/1.png"])
    assert (
        opened(root, split="test")
        .plan.lines()[0]
        .endswith("2 images in 2 classes (cat 1, dog 1); splits test 2, train 6; using test")
    )


def test_files_without_suffix_are_told_by_their_content(tmp_path):
    root = plant(tmp_path / "d", TWO, {"cat/LICENSE": "text", "cat/part.001": "text"})
    for name in ("cat/noext", "dog/scan.002"):
        write_image(root / name)
    data = opened(root)
    assert {"cat/noext", "dog/scan.002"} <= set(data.ids)
    assert dict(data.plan.ignored) == {"without suffix": 1, ".001": 1}


def test_class_names_that_differ_by_case_are_reported_and_joined_on_request(tmp_path):
    root = plant(tmp_path / "d", ["Cat/1.png", "cat/1.png", "cat/2.png", "dog/1.png"])
    data = opened(root)
    assert data.class_names == ("Cat", "cat", "dog")
    assert any("'Cat', 'cat'; --merge-classes case joins them" in line for line in data.plan.lines())
    assert dict(opened(root, merge_classes="case").plan.classes) == {"cat": 3, "dog": 1}


def test_names_that_are_no_utf8_are_read(tmp_path):
    root = plant(tmp_path / "d", [as_bytes_name(b"caf\xe9/\xff.png"), "b/1.png"])
    data = opened(root)
    assert data.ids.tolist() == ["b/1.png", "caf\\xe9/\\xff.png"]
    assert data.class_names == ("b", "caf\\xe9")
    assert data.images.read(1).size == (3, 2)


@pytest.mark.parametrize(
    ("images", "texts", "options", "message"),
    [
        ([], {}, {}, r"found none; there is nothing\."),
        ([], {"a.txt": "x", "b.pdf": "x"}, {}, r"found none; there are 1 \.pdf, 1 \.txt"),
        ([], {"m.csv": "a,b\n1,2\n"}, {}, r"give it itself as --data, such as m\.csv"),
        (["val/" + n for n in TWO], {}, {}, r"no split 'train'. There is val: name one of them with --split, or all"),
        (["train/" + n for n in TWO], {}, {"split": "test"}, r"no split 'test'. There is train"),
        (TWO, {}, {"split": "test"}, r"no split 'test', for the data have none: leave --split out"),
    ],
)
def test_what_cannot_be_read_says_what_lies_there(tmp_path, images, texts, options, message):
    with pytest.raises(DataError, match=message):
        opened(plant(tmp_path / "d", images, texts), **options)


def test_numbers_stay_in_the_order_of_the_source(tmp_path):
    root = plant(tmp_path / "d", TWO)
    np.testing.assert_array_equal(opened(root).source_index, np.arange(6))
    assert named(opened(root))["dog/1.png"] == "dog"


def test_columns_that_are_named_are_read_or_refused(tmp_path):
    parts = [f"part_{1 + i % 2}/{i}.png" for i in range(8)]
    plant(tmp_path, parts, {"meta.csv": "image_id,dx\n" + "\n".join(f"{i},{'ab'[i // 4]}" for i in range(8))})
    data = opened(tmp_path, label_column="dx", image_column="image_id")
    assert {Path(p).stem: c for p, c in named(data).items()} == {str(i): "ab"[i // 4] for i in range(8)}
    with pytest.raises(DataError, match="no column 'nonsense'"):
        opened(tmp_path, label_column="nonsense", image_column="image_id")
    with pytest.raises(DataError, match="folders say the labels, so --split-column fold can mean nothing"):
        opened(tmp_path, split_column="fold")


def test_tables_of_several_splits_describe_the_images_of_their_own(tmp_path):
    images = [f"{split}/{c}/{i}.png" for split in ("test", "train") for c in ("cat", "dog") for i in range(3)]
    rows = "\n".join(f"{c}/{i}.png,{{}} {c} {i}" for c in ("cat", "dog") for i in range(3))
    plant(tmp_path, images, {f"{s}.csv": "file,who\n" + rows.format(*[s] * 6) for s in ("test", "train")})
    data = opened(tmp_path, split="all")
    assert data.metadata is not None
    assert [f"{p.split('/')[0]} {p.split('/')[1]} {Path(p).stem}" for p in data.ids] == data.metadata["who"].tolist()


def test_a_folder_inside_a_split_that_is_called_as_a_split_is_no_class(tmp_path):
    images = [f"{split}/{split}/im{i}.png" for split in ("train", "test") for i in range(4)]
    rows = "id,label\n" + "\n".join(f"im{i}.png,{i % 2}" for i in range(4))
    plant(tmp_path / "cactus", images, {"train.csv": rows})
    data = opened(tmp_path / "cactus")
    assert named(data) == {f"im{i}.png": str(i % 2) for i in range(4)}
    pets = [f"train/train/{c}/{i}.png" for c in ("cat", "dog") for i in range(3)]
    plant(tmp_path / "pets", [*pets, "test/test1/0.png", "test/test1/1.png"])
    data = opened(tmp_path / "pets", split="all")
    assert dict(data.plan.classes) == CAT_DOG
    assert not [note for note in data.plan.notes if "taken for a class" in note]


@pytest.mark.parametrize("base", ["", "train/"])
def test_a_folder_that_holds_the_same_classes_again_is_no_class(tmp_path, base):
    plant(tmp_path / "d", [base + name for name in TWO] + [f"{base}again/{name}" for name in TWO])
    data = opened(tmp_path / "d")
    assert dict(data.plan.classes) == CAT_DOG
    assert f"6 images in {base}again/, which holds folders of the same names again" in "\n".join(data.plan.lines())


def test_a_table_in_a_folder_of_images_takes_none_from_the_data_beside(tmp_path):
    """Its names are those of the images of another version, whose labels are others."""
    plant(tmp_path / "v1", [f"images/{i}.png" for i in range(4)])
    rows = "image,label\n" + "\n".join(f"images/{i}.png,{'ab'[i % 2]}" for i in range(4))
    plant(tmp_path / "v2", [f"images/{i}.jpg" for i in range(4)], {"labels.csv": rows})
    data = opened(tmp_path / "v2")
    assert [Path(name).suffix for name in data.ids] == [".jpg"] * 4
    assert not data.is_labelled


@pytest.mark.parametrize("names", ["{}.jpeg", "http://host/{}.png?size=3"])
def test_a_table_whose_names_fit_no_image_is_said(tmp_path, names):
    rows = "image,label\n" + "\n".join(f"{names.format(i)},{'ab'[i % 2]}" for i in range(4))
    plant(tmp_path / "d", [f"images/{i}.png" for i in range(4)], {"d.csv": rows})
    notes = "\n".join(opened(tmp_path / "d").plan.lines())
    assert (
        f"d.csv is not read: its column image names none of the images here (it begins with {names.format(0)}" in notes
    )


def test_a_table_of_bare_names_without_a_header_is_refused(tmp_path):
    rows = "\n".join(f"ISIC_{i:04d},{'ab'[i % 2]}" for i in range(6))
    plant(tmp_path / "d", [f"ISIC_{i:04d}.png" for i in range(6)], {"d.csv": rows})
    with pytest.raises(DataError, match="the first line is no header"):
        opened(tmp_path / "d")


def test_bins_of_disks_are_no_classes(tmp_path):
    plant(tmp_path / "d", [*TWO, "#recycle/0.png", "System Volume Information/0.png"])
    assert dict(opened(tmp_path / "d").plan.classes) == CAT_DOG


def test_a_table_of_paths_on_another_machine_says_with_what_it_begins(tmp_path):
    rows = "image,label\n" + "\n".join(f"/content/drive/{i}.png,{'ab'[i % 2]}" for i in range(4))
    plant(tmp_path / "d", [f"images/{i}.png" for i in range(4)], {"d.csv": rows})
    notes = "\n".join(opened(tmp_path / "d").plan.lines())
    assert "lead to no file here (it begins with /content/drive/0.png), so it is not read: write its paths" in notes


def test_folds_that_hold_splits_are_refused(tmp_path):
    images = [f"fold{f}/{s}/{c}/{i}.png" for f in (1, 2) for s in ("Train", "Valid") for c in "ab" for i in range(2)]
    plant(tmp_path / "d", images)
    with pytest.raises(DataError, match=r"fold1, fold2 hold splits .* give one of them as --data"):
        opened(tmp_path / "d")
    assert set(opened(tmp_path / "d" / "fold1").class_names) == {"a", "b"}


@pytest.mark.parametrize("folders", [("benign", "malign"), ("",), ("train/benign", "train/malign")])
def test_masks_beside_their_images_are_ignored(tmp_path, folders):
    images = [f"{folder}/x ({i})".lstrip("/") for folder in folders for i in range(4)]
    masks = [f"{name}_mask.png" for name in images] + [f"{images[0]}_mask_1.png"]
    plant(tmp_path / "d", [*(f"{name}.png" for name in images), *masks])
    data = opened(tmp_path / "d")
    assert data.ids.tolist() == [f"{name}.png" for name in images]
    assert "masks beside their images" in "\n".join(data.plan.lines())


def test_a_few_names_like_masks_stay(tmp_path):
    plant(tmp_path / "d", [f"{c}/{i}.png" for c in "ab" for i in range(4)] + ["a/0_mask.png"])
    assert len(opened(tmp_path / "d")) == 9


def test_parts_of_one_set_that_lie_there_twice_are_refused(tmp_path):
    places = [f"{name}_images_part_{1 + i // 3}/{i}.png" for name in ("HAM10000", "ham10000") for i in range(6)]
    table = "image_id,dx\n" + "\n".join(f"{i},{'ab'[i % 2]}" for i in range(6))
    plant(tmp_path / "d", places, {"HAM10000_metadata.csv": table})
    said = r"as parts of one set they are no classes, and HAM\S+/0.png and ham\S+/0.png are called alike: take one copy"
    with pytest.raises(DataError, match=said):
        opened(tmp_path / "d")
    for part in (1, 2):
        shutil.rmtree(tmp_path / "d" / f"ham10000_images_part_{part}")
    assert len(opened(tmp_path / "d" / "HAM10000_metadata.csv", label_column="dx")) == 6


@pytest.mark.parametrize(
    "names",
    [("cars_train", "cars_test"), ("Final_Training", "Final_Test"), ("asl_alphabet_train", "asl_alphabet_test")],
)
def test_splits_may_share_a_word(tmp_path, names):
    plant(tmp_path / "d", [f"{name}/Images/{c}/{i}.png" for name in names for c in ("cat", "dog") for i in range(3)])
    data = opened(tmp_path / "d")
    assert set(data.ids) == {f"{names[0]}/Images/{c}/{i}.png" for c in ("cat", "dog") for i in range(3)}
    assert dict(data.plan.classes) == CAT_DOG
    assert len(opened(tmp_path / "d", split="test")) == 6
    assert opened(tmp_path / "d", split=names[1]).ids.tolist() == opened(tmp_path / "d", split="test").ids.tolist()


@pytest.mark.parametrize("names", [("cars_train", "cars_test"), ("train", "test")])
def test_a_table_of_a_split_is_of_the_folder_of_that_split(tmp_path, names):
    tables = {"train.csv": "image,label\n0.png,a\n1.png,b\n", "test.csv": "image\n0.png\n1.png\n"}
    plant(tmp_path / "d", [f"{name}/{i}.png" for name in names for i in range(2)], tables)
    data = opened(tmp_path / "d")
    assert named(data) == {"0.png": "a", "1.png": "b"}
    assert [data.images.stamp(i)[0] for i in range(2)] == [str(tmp_path / "d" / names[0] / f"{i}.png") for i in (0, 1)]


def test_rows_of_one_table_are_of_the_split_whose_folder_their_image_lies_in(tmp_path):
    images = [f"cars_{split}/{i}.png" for split in ("train", "test") for i in range(2)]
    rows = "image,label\n" + "".join(f"{name},{'ab'[i % 2]}\n" for i, name in enumerate(images))
    plant(tmp_path / "d", images, {"cars.csv": rows})
    assert opened(tmp_path / "d" / "cars.csv", split="test").ids.tolist() == images[2:]


@pytest.mark.parametrize("wrapped", ["{0}", "{0}/{0}"])
def test_a_name_without_a_split_is_train_beside_one_with_a_split_that_holds_the_same_classes(tmp_path, wrapped):
    names = ("rps", "rps-test-set")
    plant(tmp_path / "d", [f"{wrapped.format(name)}/{c}" for name in names for c in TWO])
    data = opened(tmp_path / "d")
    assert dict(data.plan.classes) == CAT_DOG
    assert dict(data.plan.splits) == {"train": 6, "test": 6}
    plant(tmp_path / "other", ["rps/a/0.png", "rps/b/0.png", "rps-test-set/c/0.png", "rps-test-set/d/0.png"])
    assert opened(tmp_path / "other").class_names == names


@pytest.mark.parametrize("names", [("steam_train", "bullet_train"), ("dev_board", "test_board"), ("a_train", "b_test")])
def test_classes_that_hold_words_of_splits_stay_classes(tmp_path, names):
    plant(tmp_path / "d", [f"{name}/{i}.png" for name in names for i in range(3)])
    assert opened(tmp_path / "d").class_names == tuple(sorted(names))


@pytest.mark.parametrize("third", ["images", "masks", "extra_stuff"])
@pytest.mark.parametrize("classes", [("a/", "b/"), ("",)])
def test_folds_with_another_folder_beside_their_splits_are_refused(tmp_path, third, classes):
    images = [f"fold{f}/{s}/{c}{i}.png" for f in (1, 2) for s in ("train", "test") for c in classes for i in range(2)]
    plant(tmp_path / "d", [*images, *(f"fold{f}/{third}/{i}.png" for f in (1, 2) for i in range(2))])
    said = r"fold1/, fold2/ are folds or parts of one set, and hold splits \(test, train\): give one of them as --data"
    with pytest.raises(DataError, match=said):
        opened(tmp_path / "d")
    if third != "extra_stuff" or len(classes) == 2:
        data = opened(tmp_path / "d" / "fold1")
        assert all(str(name).startswith("train/") for name in data.ids)
        assert dict(data.plan.ignored) == {f"images in {third}/, which is no split": 2}


@pytest.mark.parametrize("copies", [("Plants(Augmented)",), ("Plants(Augmented)", "plants(augmented)")])
def test_splits_below_a_folder_with_others_beside_are_refused(tmp_path, copies):
    images = [f"{a}/Plants/{s}/{name}" for a in copies for s in ("train", "valid") for name in TWO]
    plant(tmp_path / "d", [*images, "test/test/0.png", "test/test/1.png"])
    said = (
        r"Plants\(Augmented\)/.* holds? splits \(train, valid\), and beside lies test/: give (it|one of them) as --data"
    )
    with pytest.raises(DataError, match=said):
        opened(tmp_path / "d")
    assert dict(opened(tmp_path / "d" / copies[0]).plan.classes) == CAT_DOG


def test_a_split_that_is_not_there_names_the_folders_that_are_none(tmp_path):
    folders = (
        "images_background/Greek",
        "images_background/Latin",
        "images_evaluation/Oriya",
        "images_evaluation/Ge_ez",
    )
    plant(tmp_path / "d", [f"{folder}/character01/{i}.png" for folder in folders for i in range(2)])
    with pytest.raises(
        DataError, match="Ignored are images in images_background/, which is no split: give that folder"
    ):
        opened(tmp_path / "d")
    assert opened(tmp_path / "d" / "images_background").class_names == ("Greek", "Latin")


def test_folds_whose_splits_hold_images_alone_are_refused(tmp_path):
    plant(tmp_path / "d", [f"fold_{f}/{s}/{i}.png" for f in (1, 2) for s in ("train", "val") for i in range(2)])
    with pytest.raises(DataError, match=r"fold_1, fold_2 are called as folds .* give one of them as --data"):
        opened(tmp_path / "d")


EXPORT = {
    "manifest.json": '{"export": {}}',
    "audit.csv": "id,index\n1.png,0\n",
    "names.csv": "path,id,index,label,is_renamed\nimages/a/1.png,1.png,0,a,False\nimages/a-2/2.png,2.png,1, a,True\n"
    "images/b_c/3.png,3.png,2,b/c,True\n",
    "classes.csv": 'folder,name,n_images,is_renamed\na,a,1,False\na-2," a",1,True\nb_c,b/c,1,True\n',
}


@pytest.mark.parametrize("given", ["", "names.csv"])
def test_an_export_has_the_classes_that_it_says_however_their_folders_are_called(tmp_path, given):
    plant(tmp_path / "d", ["images/a/1.png", "images/a-2/2.png", "images/b_c/3.png"], EXPORT)
    data = opened(tmp_path / "d" / given)
    assert {Path(name).name: c for name, c in named(data).items()} == {"1.png": "a", "2.png": " a", "3.png": "b/c"}
    (tmp_path / "d" / "manifest.json").write_text("{}")
    assert opened(tmp_path / "d" / "names.csv").class_names == ("a", "b/c")


def test_classes_of_an_export_whose_list_of_them_is_damaged_are_its_folders(tmp_path):
    plant(tmp_path / "d", ["images/a/1.png", "images/b_c/3.png"], EXPORT | {"classes.csv": ""})
    data = opened(tmp_path / "d")
    assert data.class_names == ("a", "b_c")
    assert any("classes.csv: the file is empty" in note for note in data.plan.notes)
