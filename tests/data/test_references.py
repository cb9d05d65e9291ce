"""Names in a table lead to the files that are meant, or to a refusal, and never to others of the same name."""

import io
import unicodedata
import zipfile
from pathlib import Path

import pytest

from lsi.data.sources.references import Resolver
from lsi.data.trees import LocalTree, ZipTree
from lsi.errors import DataError

NAMES = [f"{i}.png" for i in range(12)]


def tree_of(root: Path, files: list[str]) -> LocalTree:
    for name in files:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return LocalTree(root)


def below(folder: str, names: list[str] = NAMES) -> list[str]:
    return [f"{folder}/{name}" for name in names]


def zipped(root: Path, files: list[str]) -> ZipTree:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        for name in files:
            archive.writestr(name, b"")
    data.seek(0)
    return ZipTree("data.zip", data)


def test_a_missing_file_is_missing_whatever_lies_beside_the_table(tmp_path):
    tree_of(tmp_path, below("other") + below("mine", NAMES[:5] + NAMES[6:]))
    found = Resolver(LocalTree(tmp_path / "mine"), "t.csv").resolve(NAMES, "path")
    assert (found.names, found.note, found.n_missing, found.first_missing) == (NAMES, "", 1, "5.png")


def test_folders_beside_a_table_count_where_nothing_else_holds_a_file(tmp_path):
    tree_of(tmp_path, below("other"))
    (tmp_path / "mine").mkdir()
    found = Resolver(LocalTree(tmp_path / "mine"), "t.csv").resolve(NAMES, "path")
    assert found.names == below("../other")
    assert found.note == "t.csv, column path: paths are relative to ../other/"


@pytest.mark.parametrize("make", [tree_of, zipped])
@pytest.mark.parametrize(
    ("table", "folder"), [("train.csv", "train"), ("val.csv", "validation"), ("test_labels.csv", "test")]
)
def test_rows_of_a_split_lie_in_its_folder(tmp_path, make, table, folder):
    tree = make(tmp_path, [name for split in ("test", "train", "validation") for name in below(split)])
    assert Resolver(tree, table).resolve(NAMES, "path").names == below(folder)
    assert Resolver(tree, table).resolve([n.removesuffix(".png") for n in NAMES], "id").names == below(folder)


def test_an_image_that_lacks_in_the_folder_of_its_split_is_not_taken_from_another(tmp_path):
    tree = tree_of(tmp_path, below("test") + below("train", NAMES[1:]))
    found = Resolver(tree, "train.csv").resolve(NAMES, "path")
    assert (found.names, found.n_missing) == (below("train"), 1)


def test_a_column_of_splits_says_the_folder_of_each_row(tmp_path):
    tree = tree_of(tmp_path, below("test") + below("train"))
    splits = ["train", "test", "Train"] * 4
    expected = [f"{split.lower()}/{name}" for split, name in zip(splits, NAMES, strict=True)]
    assert Resolver(tree, "labels.csv").resolve(NAMES, "path", splits).names == expected


@pytest.mark.parametrize("make", [tree_of, zipped])
def test_names_that_lead_to_several_files_are_refused(tmp_path, make):
    tree = make(tmp_path, below("a") + below("b"))
    with pytest.raises(DataError, match=r"labels.csv, column path: row 0 names 0.png, which lies in a/ and in b/"):
        Resolver(tree, "labels.csv").resolve(NAMES, "path")


@pytest.mark.parametrize("make", [tree_of, zipped])
def test_names_at_two_depths_lead_into_the_one_folder_that_holds_all(tmp_path, make):
    names = [*NAMES, *below("sub", NAMES[:6])]
    tree = make(tmp_path, below("a", names) + below("b", NAMES[:3]))
    assert Resolver(tree, "labels.csv").resolve(names, "path").names == below("a", names)


def test_a_folder_that_holds_all_is_not_taken_where_another_lacks_few(tmp_path):
    tree = tree_of(tmp_path, below("b", NAMES[1:]) + below("masks"))
    with pytest.raises(DataError, match=r"row 1 names 1.png, which lies in b/ and in masks/"):
        Resolver(tree, "labels.csv").resolve(NAMES, "path")


def test_images_are_meant_and_not_their_masks(tmp_path):
    tree = tree_of(tmp_path, below("images") + below("labels/masks") + below("A"))
    assert Resolver(tree, "labels.csv").resolve(NAMES, "path").names == below("images")


def test_the_same_files_behind_a_link_are_no_other_files(tmp_path):
    tree = tree_of(tmp_path, below("b"))
    (tmp_path / "a").symlink_to(tmp_path / "b")
    assert Resolver(tree, "labels.csv").resolve(NAMES, "path").names == below("a")


@pytest.mark.parametrize("count", [12, 3_000])
def test_parts_of_one_set_in_several_folders_are_found_row_by_row(tmp_path, count):
    names = [f"{i}.png" for i in range(count)]
    places = ["part_3" if i == count - 2 else f"part_{1 + (2 * i >= count)}" for i in range(count)]
    expected = [f"{place}/{name}" for place, name in zip(places, names, strict=True)]
    found = Resolver(tree_of(tmp_path, expected), "meta.csv").resolve(names, "image")
    assert found.names == expected
    assert found.n_missing == 0
    assert found.note == "meta.csv, column image: paths are relative to part_1/ and part_2/ and part_3/"


@pytest.mark.parametrize(("there", "said"), [("NFD", "NFC"), ("NFC", "NFD")])
def test_letters_may_be_composed_in_one_place_and_not_in_the_other(tmp_path, there, said):
    names = [f"café_{i}.png" for i in range(4)]
    tree = tree_of(tmp_path, [unicodedata.normalize(there, name) for name in names])
    found = Resolver(tree, "t.csv").resolve([unicodedata.normalize(said, name) for name in names], "path")
    assert [tree.has(name) for name in found.names] == [True] * 4


@pytest.mark.parametrize("make", [tree_of, zipped])
def test_one_name_in_plain_letters_does_not_settle_the_accents_of_the_others(tmp_path, make):
    plain, accented = [f"{i}.png" for i in range(90)], [f"café_{i}.png" for i in range(10)]
    there = plain + [unicodedata.normalize("NFD", name) for name in accented]
    said = plain + [unicodedata.normalize("NFC", name) for name in accented]
    found = Resolver(make(tmp_path, there), "t.csv").resolve(said, "path")
    assert (found.names, found.n_missing) == (there, 0)


def test_both_forms_of_accents_are_found_in_one_folder(tmp_path):
    forms = ["NFC", "NFD", "NFD", "NFC"]
    there = [unicodedata.normalize(form, f"photos/café_{i}.png") for i, form in enumerate(forms)]
    found = Resolver(tree_of(tmp_path, there), "t.csv").resolve([f"café_{i}" for i in range(4)], "path")
    assert (found.names, found.n_missing) == (there, 0)


@pytest.mark.parametrize("make", [tree_of, zipped])
@pytest.mark.parametrize("folder", ["", "images/"])
@pytest.mark.parametrize("rare", [1, 2, 2_000])
def test_names_without_suffix_may_stand_for_several(tmp_path, make, folder, rare):
    count = 2_500 if rare == 2_000 else 40
    there = [f"{folder}{i}.{'jpeg' if i % rare == rare - 1 else 'png'}" for i in range(count)]
    found = Resolver(make(tmp_path, there), "t.csv").resolve([str(i) for i in range(count)], "id")
    assert (found.names, found.n_missing) == (there, 0)
    assert "names stand without their suffix" in found.note
    assert (".png" in found.note) == (rare > 1)
    assert ".jpeg" in found.note


def test_a_mask_is_not_taken_for_an_image_that_is_missing(tmp_path):
    tree = tree_of(tmp_path, [f"{i}.jpg" for i in range(40) if i != 7] + [f"{i}.png" for i in range(5, 30)])
    found = Resolver(tree, "t.csv").resolve([str(i) for i in range(40)], "id")
    assert (found.n_missing, found.first_missing) == (1, "7.jpg")


def test_a_few_names_with_their_suffix_among_names_without_are_found(tmp_path):
    said = [str(i) if i % 8 else f"{i}.png" for i in range(40)]
    found = Resolver(tree_of(tmp_path, [f"{i}.png" for i in range(40)]), "t.csv").resolve(said, "id")
    assert (found.names, found.n_missing) == ([f"{i}.png" for i in range(40)], 0)


@pytest.mark.parametrize("bare", [1, 15, 25])
def test_names_without_suffix_are_found_row_by_row_however_few_they_are(tmp_path, bare):
    files = [f"{i}.png" for i in range(2_000 if bare == 1 else 40)]
    said = [name.removesuffix(".png") if 5 < i <= 5 + bare else name for i, name in enumerate(files)]
    found = Resolver(tree_of(tmp_path, files), "t.csv").resolve(said, "id")
    assert (found.names, found.n_missing) == (files, 0)


def test_names_may_begin_with_the_folder_of_a_table_that_is_given_by_itself(tmp_path):
    tree_of(tmp_path / "CheXpert", below("train"))
    found = Resolver(LocalTree(tmp_path / "CheXpert"), "train.csv").resolve(below("CheXpert/train"), "Path")
    assert (found.names, found.n_missing) == (below("train"), 0)


def test_names_are_those_that_the_tree_lists(tmp_path):
    tree = tree_of(tmp_path / "d", [*below("a"), "b/0.png"])
    (tmp_path / "link").symlink_to(tmp_path / "d")
    (tmp_path / "d" / "up").symlink_to(tmp_path / "d" / "a")
    said = {f"{tmp_path}/d/a/1.png": "a/1.png", f"file://{tmp_path}/d/a/2.png": "a/2.png", "a//3.png": "a/3.png",
            "b/../a/4.png": "a/4.png", "./a/./5.png": "a/5.png", "up/6.png": "up/6.png",
            "up/../b/0.png": "b/0.png", f"{tmp_path}/other.png": f"{tmp_path}/other.png"}  # fmt: skip
    assert Resolver(tree, "t.csv").resolve(list(said), "path").names == list(said.values())
    linked = Resolver(LocalTree(tmp_path / "link"), "t.csv")
    assert linked.resolve([f"{tmp_path}/d/a/1.png"], "path").names == ["a/1.png"]


def test_a_link_round_in_a_circle_hides_no_folder(tmp_path):
    tree = tree_of(tmp_path, below("images"))
    (tmp_path / "circle").symlink_to(tmp_path / "circle")
    assert Resolver(tree, "t.csv").resolve(NAMES, "path").names == below("images")


def test_a_link_on_the_way_up_leads_where_it_leads(tmp_path):
    tree = tree_of(tmp_path / "d", ["0.png"])
    tree_of(tmp_path / "far", ["0.png", "in/1.png"])
    (tmp_path / "d" / "up").symlink_to(tmp_path / "far" / "in")
    assert Resolver(tree, "t.csv").resolve(["up/../0.png"], "path").names == ["up/../0.png"]
