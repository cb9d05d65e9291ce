import io
import zipfile

import numpy as np
import pandas as pd
import pytest

from lsi.config import DataSettings
from lsi.data import load, npz
from lsi.data.npz import read_npz
from lsi.errors import DataError
from lsi.features.vector_files import read_vectors

FEATURES = np.arange(8.0).reshape(4, 2)


def test_bytes_are_the_text_that_they_hold(tmp_path):
    texts = np.array(["a", "é", "b", "猫"])
    path = tmp_path / "a.npz"
    np.savez(path, features=FEATURES, labels=np.char.encode(texts[[0, 1, 0, 1]], "utf-8"),
             text=np.char.encode(texts, "utf-8"), ids=np.char.encode(texts, "utf-8"))  # fmt: skip
    found = load(DataSettings(data=path), tmp_path)
    assert found.class_names == ("a", "é")
    assert list(found.ids) == list(found.text) == texts.tolist()


@pytest.mark.parametrize("point", [0x110000, 0xFFFFFFFF, 0xD800, 0xDFFF])
@pytest.mark.parametrize("order", ["<", ">"])
def test_code_points_that_are_none_are_refused(tmp_path, point, order):
    texts = np.array(["ab", "cd"], dtype=f"{order}U2")
    texts.view(f"{order}u4")[1] = point
    np.savez(tmp_path / "a.npz", features=FEATURES[:2], labels=texts)
    with pytest.raises(DataError, match="labels: expected text, got code points that are none"):
        read_npz(tmp_path / "a.npz")


def test_bytes_that_are_no_text_are_refused(tmp_path):
    np.savez(tmp_path / "a.npz", features=FEATURES, labels=np.array([b"a", b"\xff", b"a", b"b"]))
    with pytest.raises(DataError, match="labels: expected text in UTF-8"):
        read_npz(tmp_path / "a.npz")


@pytest.mark.parametrize(
    "read", [lambda p: load(DataSettings(data=p), p.parent), lambda p: read_vectors(str(p), "--features", ())]
)
def test_arrays_that_do_not_fit_in_memory_are_refused_before_they_are_unpacked(tmp_path, monkeypatch, read):
    content = io.BytesIO()
    np.save(content, np.zeros((1000, 1000)))
    with zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("unused.npy", content.getvalue())
    assert (tmp_path / "a.npz").stat().st_size < 10_000
    monkeypatch.setattr(npz, "budget_bytes", lambda: 1_000_000)
    monkeypatch.setattr(np, "load", None)
    with pytest.raises(DataError, match="more than there is"):
        read(tmp_path / "a.npz")


def opened(path, **options):
    return load(DataSettings(data=path, **options), path.parent)


def arrays_of(n: int, first: float = 0.0) -> np.ndarray:
    return np.arange(n * 3, dtype=np.float32).reshape(n, 3) + first


@pytest.mark.parametrize(
    ("values", "labels", "other"),
    [("X", "y", "X_test"), ("images", "labels", "val_images"), ("features", "labels", "extra_features")],
)
def test_samples_that_name_no_split_beside_those_of_one_are_those_to_train_with(tmp_path, values, labels, other):
    np.savez(tmp_path / "d.npz", **{values: arrays_of(6), labels: [0, 1] * 3, other: arrays_of(4, 100)})
    data = opened(tmp_path / "d.npz")
    np.testing.assert_array_equal(data.features, arrays_of(6))
    assert data.labels.tolist() == [0, 1] * 3
    assert sorted(dict(data.plan.splits).values()) == [4, 6]
    assert dict(data.plan.splits)["train"] == 6
    assert not data.plan.ignored
    every = opened(tmp_path / "d.npz", split="all")
    assert (len(every), len(every.unlabelled)) == (6, 4)


def test_samples_that_name_no_split_beside_those_to_train_with_are_refused(tmp_path):
    np.savez(tmp_path / "d.npz", X=arrays_of(6), y=[0, 1] * 3, X_train=arrays_of(4), y_train=[0, 1] * 2)
    with pytest.raises(DataError, match="it holds samples as X and those of the split train as well"):
        opened(tmp_path / "d.npz")


@pytest.mark.parametrize("kind", [int, str])
@pytest.mark.parametrize("form", ["arrays of splits", "one array"])
def test_labels_are_names_or_numbers_in_all_splits_alike(tmp_path, kind, form):
    labels = np.array([1, 2, 3, 4, 5, 1, 2, 3, 4]).astype(kind)
    names = {"class_names": ["1", "2", "3", "4", "5"]}
    if form == "one array":
        np.savez(tmp_path / "d.npz", x=arrays_of(9), y=labels, split=["train"] * 5 + ["test"] * 4, **names)
    else:
        np.savez(tmp_path / "d.npz", x_train=arrays_of(5), y_train=labels[:5], x_test=arrays_of(4), y_test=labels[5:],
                 **names)  # fmt: skip
    test = opened(tmp_path / "d.npz", split="test")
    assert [test.class_names[label] for label in test.labels] == ["1", "2", "3", "4"]


@pytest.mark.parametrize("split", ["train", "all"])
def test_other_arrays_beside_those_of_splits_are_counted(tmp_path, split):
    arrays = {"x_train": arrays_of(4), "y_train": [0, 1] * 2, "x_test": arrays_of(2), "y_test": [0, 1], "y_val": [1],
              "class_names": ["a", "b"], "mean": np.zeros((3, 1))}  # fmt: skip
    np.savez(tmp_path / "d.npz", **arrays)
    data = opened(tmp_path / "d.npz", split=split)
    assert dict(data.plan.ignored) == {"arrays (y_val (1,), mean (3, 1))": 2}
    assert data.class_names == ("a", "b")


def test_labels_that_lie_beside_an_array_are_named_in_the_plan(tmp_path):
    np.save(tmp_path / "X.npy", np.eye(4))
    np.save(tmp_path / "y.npy", np.array([0, 1, 0, 1]))
    plan = load(DataSettings(data=tmp_path / "X.npy"), tmp_path).plan
    assert "The labels are those of y.npy, which lies beside." in plan.notes


def test_arrays_of_dates_are_kept_beside_and_those_of_other_kinds_are_said_to_be_ignored(tmp_path):
    dates, lengths = np.array(["2020-01-01", "NaT"], "M8[D]"), np.array([1, 2], "m8[s]")
    np.savez(tmp_path / "d.npz", features=np.eye(2), labels=[0, 1], taken=dates, lasted=lengths)
    data = load(DataSettings(data=tmp_path / "d.npz"), tmp_path)
    assert data.metadata["taken"].tolist() == [pd.Timestamp("2020-01-01"), pd.NaT]
    assert data.plan.ignored == (("arrays (lasted (2,))", 1),)


def test_one_hot_rows_of_one_split_and_numbers_of_another_are_two_forms(tmp_path):
    np.savez(tmp_path / "d.npz", x_train=np.eye(2), y_train=np.eye(2), x_test=np.eye(2), y_test=[0, 1])
    assert load(DataSettings(data=tmp_path / "d.npz"), tmp_path).labels.tolist() == [0, 1]
    with pytest.raises(DataError, match="expected all labels in one form, got rows of numbers and, in row 0, 0"):
        load(DataSettings(data=tmp_path / "d.npz", split="all"), tmp_path)
