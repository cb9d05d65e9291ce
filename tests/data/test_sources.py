import io
import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from lsi.config import DataSettings
from lsi.data import Dataset, load
from lsi.errors import DataError

RED = (200, 30, 20)


def png(image: Image.Image, kind: str = "PNG", **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def open_data(path: Path, **options) -> Dataset:
    return load(DataSettings(data=path, **options), path.parent)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, count in {"cat": 3, "dog": 2}.items():
        (tmp_path / "pets" / name).mkdir(parents=True)
        for i in range(count):
            Image.new("RGB", (9, 7), (i * 10, 0, 0)).save(tmp_path / "pets" / name / f"{i}.png")
    return tmp_path / "pets"


def test_digits_are_embedded():
    data = load(DataSettings("digits"), Path())
    assert len(data) == 1797
    assert data.class_names == tuple("0123456789")
    assert data.images.read(0).size == (8, 8)


def test_class_folders(folder):
    data = open_data(folder)
    assert data.class_names == ("cat", "dog")
    np.testing.assert_array_equal(data.labels, [0, 0, 0, 1, 1])
    assert data.ids[0] == "cat/0.png"
    assert data.images.read(1).getpixel((0, 0)) == (10, 0, 0)


def test_class_folders_below_splits(tmp_path):
    for split in ("train", "test"):
        for name in ("a", "b"):
            (tmp_path / "d" / split / name).mkdir(parents=True)
            Image.new("RGB", (4, 4)).save(tmp_path / "d" / split / name / "1.png")
    assert open_data(tmp_path / "d").ids.tolist() == ["train/a/1.png", "train/b/1.png"]
    assert len(open_data(tmp_path / "d", split="all")) == 4
    assert set(open_data(tmp_path / "d", split="all").split) == {"train", "test"}


def test_fingerprint_follows_content(folder):
    before = open_data(folder).fingerprint
    assert open_data(folder).fingerprint == before
    Image.new("RGB", (9, 7), (1, 2, 3)).save(folder / "cat" / "0.png")
    assert open_data(folder).fingerprint != before


def hugging_face(path: Path, with_bytes: bool = True) -> None:
    images = [
        {"bytes": png(Image.new("RGB", (5, 5), (i, 0, 0))) if with_bytes else None, "path": f"{i}.png"}
        for i in range(4)
    ]
    table = pa.table({"image": images, "label": [0, 1, 1, 0]})
    features = {"label": {"names": ["yes", "no"], "_type": "ClassLabel"}}
    metadata = {"huggingface": json.dumps({"info": {"features": features}})}
    pq.write_table(table.replace_schema_metadata(metadata), path)


def test_hugging_face_parquet(tmp_path):
    hugging_face(tmp_path / "train.parquet")
    data = open_data(tmp_path / "train.parquet")
    assert data.class_names == ("yes", "no")
    np.testing.assert_array_equal(data.labels, [0, 1, 1, 0])
    assert data.images.read(3).getpixel((0, 0)) == (3, 0, 0)


def test_hugging_face_parquet_with_paths_and_shards(tmp_path):
    (tmp_path / "hf").mkdir()
    for shard in range(2):
        hugging_face(tmp_path / "hf" / f"train-0000{shard}-of-00002.parquet", with_bytes=False)
    for i in range(4):
        Image.new("RGB", (5, 5), (9, i, 0)).save(tmp_path / "hf" / f"{i}.png")
    data = open_data(tmp_path / "hf")
    assert len(data) == 8
    assert data.images.read(6).getpixel((0, 0)) == (9, 2, 0)


def test_manifest_csv(folder):
    rows = pd.DataFrame(
        {"path": ["cat/0.png", "dog/1.png", "cat/1.png"], "label": ["x", "y", "x"], "split": ["train", "train", "test"]}
    )
    rows.to_csv(folder / "m.csv", index=False)
    assert open_data(folder / "m.csv").ids.tolist() == ["cat/0.png", "dog/1.png"]
    everything = open_data(folder / "m.csv", split="all")
    np.testing.assert_array_equal(everything.labels, [0, 1, 0])
    assert everything.images.read(2).getpixel((0, 0)) == (10, 0, 0)


def test_manifest_parquet_with_text(folder):
    rows = pd.DataFrame({"path": ["cat/0.png", "dog/1.png"], "label": [0, 1], "text": ["hi", "ho"]})
    rows.to_parquet(folder / "m.parquet")
    assert open_data(folder / "m.parquet").text.tolist() == ["hi", "ho"]


def test_arrays_of_features_with_text(tmp_path):
    np.savez(tmp_path / "a.npz", features=np.eye(4), labels=np.array([0, 1, 0, 1]), text=np.array(["a", "b", "c", "d"]))
    data = open_data(tmp_path / "a.npz")
    assert data.features.shape == (4, 4)
    assert data.images is None
    assert data.text[2] == "c"


@pytest.mark.parametrize("shape", [(4, 6, 5), (4, 6, 5, 1), (4, 6, 5, 3)])
@pytest.mark.parametrize("scale", [np.uint8(200), np.float32(0.5), np.uint16(40000)])
def test_arrays_of_images(tmp_path, shape, scale):
    np.savez(tmp_path / "a.npz", images=np.full(shape, scale), labels=np.array([0, 1, 0, 1]))
    image = open_data(tmp_path / "a.npz").images.read(0)
    assert image.size == (5, 6)
    assert image.getpixel((0, 0))[0] in (200, 128, 156)


def test_npy_with_labels_beside_it(tmp_path):
    np.save(tmp_path / "x.npy", np.random.default_rng(0).normal(size=(4, 3)))
    np.save(tmp_path / "x_labels.npy", np.array([0, 1, 1, 0]))
    np.testing.assert_array_equal(open_data(tmp_path / "x.npy").labels, [0, 1, 1, 0])


@pytest.mark.parametrize("kind", ["npy", "npz", "csv", "names"])
def test_another_labelling(folder, kind):
    path = {"npy": folder / "l.npy", "npz": folder / "l.npz", "csv": folder / "l.csv", "names": folder / "n.csv"}[kind]
    new = np.array([1, 0, 0, 1, 0])
    if kind == "npy":
        np.save(path, new)
    elif kind == "npz":
        np.savez(path, human=new, other=new)
    else:
        pd.DataFrame({"human": new if kind == "csv" else np.array(["cat", "dog"])[new]}).to_csv(path, index=False)
    suffix = "" if kind == "npy" else ":human"
    data = load(DataSettings(data=folder, labels=f"{path}{suffix}"), folder)
    np.testing.assert_array_equal(data.labels, new)
    np.testing.assert_array_equal(data.true_label, [0, 0, 0, 1, 1])


def spoil(folder: Path, name: str) -> DataSettings:  # noqa: C901
    """Write bad data and return the settings that read them."""
    path = folder / name
    match name:
        case "nothing":
            path.mkdir()
        case "no_paths.csv":
            pd.DataFrame({"file": ["a"], "label": [0]}).to_csv(path)
        case "twice.csv":
            pd.DataFrame({"path": ["cat/0.png"] * 2, "label": [0, 1]}).to_csv(path)
        case "nan.npz":
            np.savez(path, features=np.full((2, 2), np.nan), labels=np.array([0, 1]))
        case "short.npz":
            np.savez(path, features=np.eye(3), labels=np.array([0, 1]))
        case "odd.npz":
            np.savez(path, images=np.zeros((2, 3, 4, 5, 6)), labels=np.array([0, 1]))
        case "pickled.npz":
            np.savez(path, features=np.array([{"a": 1}, {}], dtype=object), labels=np.array([0, 1]))
        case "empty.parquet" | "film.mp4":
            path.write_bytes(b"no")
        case "labels_short":
            np.save(folder / "l.npy", np.array([0, 1]))
            return DataSettings(data=folder, labels=str(folder / "l.npy"))
        case "labels_which":
            np.savez(folder / "l.npz", a=np.zeros(5, int), b=np.zeros(5, int))
            return DataSettings(data=folder, labels=str(folder / "l.npz"))
        case "labels_unknown":
            pd.DataFrame({"label": ["cat", "cow", "dog", "dog", "dog"]}).to_csv(folder / "l.csv")
            return DataSettings(data=folder, labels=str(folder / "l.csv"))
    return DataSettings(data=path)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("missing", "no such file or folder"),
        ("nothing", "one subfolder per class"),
        ("film.mp4", "expected a folder, .zip or .tar of images, or with one subfolder per class"),
        ("empty.parquet", "not readable as Parquet"),
        ("no_paths.csv", "column file: none of its paths leads to a file"),
        ("twice.csv", "row 1 names cat/0.png a second time"),
        ("nan.npz", r"2 rows of features hold NaN or infinity"),
        ("short.npz", "expected 3 labels, one for each row of the samples, got 2"),
        ("odd.npz", r"images of shape \(n, height, width"),
        ("pickled.npz", "without pickles"),
        ("labels_short", "expected 5 labels, one a sample of the data, got 2"),
        ("labels_which", "say which with"),
        ("labels_unknown", "got 'cow' in row 1"),
    ],
)
def test_bad_data_is_an_error_that_says_what_to_do(folder, name, message):
    with pytest.raises(DataError, match=message):
        load(spoil(folder, name), folder)


def test_one_label_for_all_is_refused(tmp_path):
    np.savez(tmp_path / "a.npz", images=np.zeros((10, 8, 8), np.uint8), labels=np.array(3))
    with pytest.raises(DataError, match="got a single value"):
        load(DataSettings(data=tmp_path / "a.npz"), tmp_path)


def test_an_unknown_dataset_names_the_known():
    with pytest.raises(DataError, match=r"No dataset is called 'cifar'.*cifar10"):
        load(DataSettings(dataset="cifar"), Path())


def test_one_class_is_refused(folder):
    data = open_data(folder)
    with pytest.raises(DataError, match="at least two classes, got 1"):
        data.take(np.array([0, 1])).check_trainable()


def test_torchvision_by_name(tmp_path, monkeypatch):
    """With files in the folder that torchvision would download to, nothing is downloaded."""
    raw = tmp_path / "FashionMNIST" / "raw"
    raw.mkdir(parents=True)
    for name, n in {"train": 6, "t10k": 3}.items():
        images = np.arange(n * 784, dtype=np.int64).astype(np.uint8)
        header = b"\x00\x00\x08\x03" + n.to_bytes(4, "big") + (28).to_bytes(4, "big") * 2
        (raw / f"{name}-images-idx3-ubyte").write_bytes(header + images.tobytes())
        labels = (np.arange(n) % 10).astype(np.uint8)
        (raw / f"{name}-labels-idx1-ubyte").write_bytes(b"\x00\x00\x08\x01" + n.to_bytes(4, "big") + labels.tobytes())
    data = load(DataSettings(dataset="fashionmnist"), tmp_path)
    assert len(data) == 6
    assert data.class_names[0] == "T-shirt/top"
    assert data.images.read(1).size == (28, 28)
    assert len(load(DataSettings(dataset="FashionMNIST", split="test"), tmp_path)) == 3


def test_a_split_that_is_not_there_is_an_error_with_the_list(folder, tmp_path):
    rows = pd.DataFrame({"path": ["cat/0.png", "dog/1.png"], "label": ["x", "y"], "split": ["Train", "dev"]})
    rows.to_csv(folder / "m.csv", index=False)
    assert open_data(folder / "m.csv", split="validation").ids.tolist() == ["dog/1.png"]
    np.testing.assert_array_equal(open_data(folder / "m.csv", split="validation").source_index, [1])
    with pytest.raises(
        DataError, match=r"there is no split 'test'. There are Train, dev: name one of them with --split, or all"
    ):
        open_data(folder / "m.csv", split="test")
    for split in ("train", "val"):
        shutil.copytree(folder, tmp_path / "tree" / split)
    with pytest.raises(DataError, match=r"there is no split 'test'. There are train, val"):
        open_data(tmp_path / "tree", split="test")
    assert len(open_data(tmp_path / "tree", split="Validation")) == 5
    with pytest.raises(DataError, match=r"no split 'val'. There are test, train"):
        load(DataSettings(dataset="cifar10", split="val"), tmp_path)


@pytest.mark.parametrize("layout", ["default/{}/0000.parquet", "data/{}-00000-of-00001.parquet", "{}.parquet"])
def test_splits_of_parquet_folders_are_found_in_names_and_folders(tmp_path, layout):
    for split in ("train", "test"):
        path = tmp_path / "hub" / layout.format(split)
        path.parent.mkdir(parents=True, exist_ok=True)
        hugging_face(path)
    hugging_face(tmp_path / "hub" / "trainval.parquet") if layout == "{}.parquet" else None
    for split in ("train", "test"):
        assert len(open_data(tmp_path / "hub", split=split)) == 4
    with pytest.raises(DataError, match=r"no split 'validation'. There are test, train"):
        open_data(tmp_path / "hub", split="validation")
    assert len(open_data(tmp_path / "hub", split="all")) == (12 if layout == "{}.parquet" else 8)


def test_a_split_column_beside_images_is_read(tmp_path):
    hugging_face(tmp_path / "d.parquet")
    table = pq.read_table(tmp_path / "d.parquet")
    pq.write_table(table.append_column("split", pa.array(["test", "train", "test", "train"])), tmp_path / "d.parquet")
    data = open_data(tmp_path / "d.parquet", split="test")
    np.testing.assert_array_equal(data.source_index, [0, 2])
    assert [data.images.read(i).getpixel((0, 0))[0] for i in (0, 1)] == [0, 2]
    assert data.class_names == ("yes", "no")


def test_data_of_a_finished_run_are_not_downloaded(tmp_path, monkeypatch):
    asked = []

    class Digits:
        def __init__(self, root: str, train: bool = True, download: bool = False) -> None:
            asked.append(download)
            raise RuntimeError("Dataset not found.")

    monkeypatch.setattr("torchvision.datasets.MNIST", Digits)
    with pytest.raises(DataError, match=r"is not in .* any more \(RuntimeError: Dataset not found\.\).*LSI_DATA\."):
        load(DataSettings(dataset="mnist"), tmp_path, download=False)
    assert asked == [False]
    with pytest.raises(DataError, match="could not be downloaded"):
        load(DataSettings(dataset="mnist"), tmp_path)
    assert asked == [False, False, True]


def test_torchvision_all_is_every_split(tmp_path):
    raw = tmp_path / "FashionMNIST" / "raw"
    raw.mkdir(parents=True)
    for name, n in {"train": 6, "t10k": 3}.items():
        images = (np.arange(n * 784) + n).astype(np.uint8)
        header = b"\x00\x00\x08\x03" + n.to_bytes(4, "big") + (28).to_bytes(4, "big") * 2
        (raw / f"{name}-images-idx3-ubyte").write_bytes(header + images.tobytes())
        (raw / f"{name}-labels-idx1-ubyte").write_bytes(
            b"\x00\x00\x08\x01" + n.to_bytes(4, "big") + (np.arange(n) % 10).astype(np.uint8).tobytes()
        )
    data = load(DataSettings(dataset="fashionmnist", split="all"), tmp_path)
    assert data.ids[[0, 6]].tolist() == ["train/000000", "test/000000"]
    assert data.images.read(6).getpixel((0, 0))[0] == 3
    assert data.images.checksum(6) == load(DataSettings(dataset="fashionmnist", split="test"), tmp_path).checksums[0]
