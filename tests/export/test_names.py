"""Names that stay apart on every file system."""

import re
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lsi.export.image_folders import class_folders
from lsi.export.names import Names, portable_name
from tests.export.made import nasty

anything = st.one_of(nasty, st.text(max_size=300), st.text(st.characters(codec="utf-8"), max_size=8))


def is_fine_everywhere(name: str) -> bool:
    """Say whether Windows, macOS and Linux take the name as it is."""
    stem = name.split(".")[0].rstrip().upper()
    return (
        not re.search(r'[<>:"/\\|?*]', name)
        and not any(unicodedata.category(c) in ("Cc", "Cs") for c in name)
        and name == name.strip()
        and not name.startswith(".")
        and not name.endswith(".")
        and not re.fullmatch(r"CON|PRN|AUX|NUL|CONIN\$|CONOUT\$|(COM|LPT)[0-9¹²³]", stem)
        and 0 < len(name.encode()) <= 240
    )


def alike(name: str) -> set[str]:
    """Return what file systems that fold case or composition make of a name."""
    return {unicodedata.normalize("NFC", unicodedata.normalize("NFD", name).casefold()),
            unicodedata.normalize("NFC", name).upper(), unicodedata.normalize("NFD", name).lower()}  # fmt: skip


def all_apart(names: list[str]) -> bool:
    forms = [alike(name) for name in names]
    return all(not (a & b) for i, a in enumerate(forms) for b in forms[:i])


@settings(max_examples=300, deadline=None)
@given(anything)
def test_every_name_becomes_one_that_every_system_takes_and_then_stays(name):
    written = portable_name(name)
    assert is_fine_everywhere(written), ascii(written)
    assert portable_name(written) == written
    assert written == name or not is_fine_everywhere(name) or written == f"_{name}"


@settings(max_examples=200, deadline=None)
@given(st.lists(anything, max_size=12), st.booleans())
def test_names_of_a_folder_never_meet(wanted, are_files):
    names = Names()
    written = [names.take(name, number if are_files else None) for number, name in enumerate(wanted)]
    assert all(is_fine_everywhere(name) for name in written)
    assert all_apart(written)


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("cat.", "cat"), (" cat ", "cat"), ("a/b", "a_b"), ("CON.png", "_CON.png"), ("lpt¹", "_lpt¹"),
        (".hidden", "_.hidden"),
        ("__MACOSX", "___MACOSX"), ("#recycle", "_#recycle"), ("", "_"), ("..", "_"), ("caf\udce9.png", "caf_.png"),
        ("control.png", "control.png"),
        ("猫 (1) & 'x'.png", "猫 (1) & 'x'.png"), ("x" * 300 + ".png", "x" * 236 + ".png"), ("é" * 200, "é" * 120),
    ],
)  # fmt: skip
def test_what_becomes_of_a_name(name, written):
    assert portable_name(name) == written


@pytest.mark.parametrize(
    ("classes", "folders"),
    [
        (["a?", "a_", "a_-0"], ["a_-2", "a_", "a_-0"]),
        (["a?", "a_", "a_-2"], ["a_-3", "a_", "a_-2"]),
        (["Cat", "cat", "CAT"], ["Cat", "cat-2", "CAT-3"]),
        (["é", "e\u0301"], ["é", "e\u0301-2"]),
        (["cat.", "cat"], ["cat-2", "cat"]),
        (["straße", "STRASSE", "ı", "I"], ["straße", "STRASSE-2", "ı", "I-2"]),
        (["train", "test"], ["class train", "class test"]),
        (["train", "car"], ["train", "car"]),
    ],
)
def test_classes_that_would_share_a_folder_do_not(classes, folders):
    assert class_folders(classes) == folders


def test_a_class_called_like_a_split_is_told_apart_where_folders_lie_below_it():
    assert class_folders(["train", "car"], has_folders=True) == ["class train", "car"]


def test_a_mark_stands_before_the_suffix_and_long_names_make_room_for_it():
    names = Names()
    assert [names.take("0.png", i) for i in (3, 17, 17)] == ["0.png", "0-17.png", "0-17-2.png"]
    long = "x" * 240
    assert names.take(long, 5) == long
    assert names.take(long, 5) == "x" * 238 + "-5"
