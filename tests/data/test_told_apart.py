"""What must not be taken for one another: arrays of one file, columns of one table, pixels read by another range."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from lsi.config import DataSettings
from lsi.data import Dataset, load
from lsi.data.checksums import Checksums
from lsi.data.images import pixel_limits
from lsi.data.labels import LabelRules, encode_labels
from lsi.errors import DataError
from lsi.features.backbones import load_backbone
from lsi.features.extract import plan
from tests.data.trees import plant


def class_folders(root: Path, names: tuple[str, ...], n: int) -> Path:
    plant(root, [f"{names[i % len(names)]}/{i}.png" for i in range(n)])
    return root


def opened(path, **how) -> Dataset:
    return load(DataSettings(data=path, **how), path.parent)


def test_the_splits_of_one_file_keep_their_own_checksums(tmp_path):
    rng = np.random.default_rng(0)
    arrays = {f"x_{split}": rng.integers(0, 255, (4, 5, 5), dtype=np.uint8) for split in ("train", "test")}
    np.savez(tmp_path / "d.npz", y_train=[0, 1, 0, 1], y_test=[0, 1, 0, 1], **arrays)
    known = Checksums.read(tmp_path / "known.parquet")
    for split in ("train", "test"):
        images = opened(tmp_path / "d.npz", split=split).images
        assert images is not None
        assert known.of(images) == tuple(images.checksum(i) for i in range(4))


def test_two_columns_of_images_are_not_each_other(tmp_path):
    def column(shade: int) -> pa.Array:
        files = class_folders(tmp_path / str(shade), ("a", "b"), 4)
        data = [path.read_bytes() + bytes([shade]) for path in sorted(files.rglob("*.png"))]
        return pa.array([{"bytes": d, "path": None} for d in data])

    pq.write_table(pa.table({"left": column(1), "right": column(2), "label": [0, 1, 0, 1]}), tmp_path / "d.parquet")
    known = Checksums.read(tmp_path / "known.parquet")
    for name in ("left", "right"):
        images = opened(tmp_path / "d.parquet", image_column=name).images
        assert images is not None
        assert known.of(images) == tuple(images.checksum(i) for i in range(len(images)))


def test_the_same_pixels_read_by_another_range_are_other_samples(tmp_path):
    few = np.random.default_rng(0).integers(0, 1000, (4, 5, 5)).astype(np.uint16)
    many = np.concatenate([few, np.full((1, 5, 5), 4000, np.uint16)])
    for name, values in (("few", few), ("many", many)):
        np.savez(tmp_path / f"{name}.npz", images=values, labels=[0, 1, 0, 1, 1][: len(values)])
    first, second = opened(tmp_path / "few.npz"), opened(tmp_path / "many.npz").take(np.arange(4))
    assert first.checksums == second.checksums
    assert first.fingerprint != second.fingerprint


@pytest.mark.parametrize("split", ["train", "test", "all"])
def test_all_splits_of_a_file_are_read_by_one_range(tmp_path, split):
    dark, bright = (np.linspace(0, top, 32).reshape(2, 4, 4).astype(np.uint16) for top in (1000, 4000))
    np.savez(tmp_path / "d.npz", x_train=dark, y_train=[0, 1], x_test=bright, y_test=[0, 1])
    limits = pixel_limits(opened(tmp_path / "d.npz", split=split).images)
    assert {black_white for black_white, _ in limits} == {(0, 4095)}


@pytest.mark.parametrize("form", ["{}", "{:07d}"])
def test_labels_are_joined_by_stems_and_numbers(tmp_path, form):
    folder = class_folders(tmp_path / "photos", ("cat", "dog"), 6)
    for i, path in enumerate(sorted(folder.rglob("*.png"))):
        path.rename(path.with_name(f"{i:04d}.png"))
    ids = [str(i) for i in opened(folder).ids]
    order = np.random.default_rng(0).permutation(len(ids))
    keys = [form.format(int(ids[i][-8:-4])) if form != "{}" else ids[i][-8:-4] for i in order]
    table = pd.DataFrame({"id": keys, "label": [ids[i][:3] for i in order]})
    table.to_csv(tmp_path / "l.csv", index=False)
    if form == "{}":
        data = opened(folder, labels=f"{tmp_path / 'l.csv'}:label")
        assert [data.class_names[c] for c in data.labels] == [i[:3] for i in ids]
    else:
        with pytest.raises(DataError, match="its column id names 0 of the 6 samples"):
            opened(folder, labels=f"{tmp_path / 'l.csv'}:label")


def test_a_column_that_counts_and_names_samples_in_another_order_is_refused(tmp_path):
    """A folder of 1.png … 12.png lists 10 before 2: which of the two orders is meant nobody can say."""
    plant(tmp_path / "photos", [f"{i}.png" for i in range(1, 13)])
    table = pd.DataFrame({"id": range(1, 13), "label": [f"c{i % 3}" for i in range(1, 13)]})
    table.to_csv(tmp_path / "l.csv", index=False)
    with pytest.raises(DataError, match="counts its own rows and also gives the numbers in the samples' names"):
        opened(tmp_path / "photos", labels=f"{tmp_path / 'l.csv'}:label")
    table.sample(frac=1, random_state=0).to_csv(tmp_path / "l.csv", index=False)
    data = opened(tmp_path / "photos", labels=f"{tmp_path / 'l.csv'}:label")
    assert [data.class_names[c] for c in data.labels] == [f"c{int(str(i)[:-4]) % 3}" for i in data.ids]


@pytest.mark.parametrize("first", [0, 1])
def test_a_column_that_counts_is_no_name_of_samples_that_are_numbered(tmp_path, first):
    np.savez(tmp_path / "d.npz", images=np.zeros((6, 4, 4), np.uint8))
    table = pd.DataFrame({"id": range(first, first + 6), "label": list("abcabc")})
    table.to_csv(tmp_path / "l.csv", index=False)
    data = opened(tmp_path / "d.npz", labels=f"{tmp_path / 'l.csv'}:label")
    assert [data.class_names[c] for c in data.labels] == list("abcabc")


def test_targets_are_joined_by_their_names(tmp_path):
    folder = class_folders(tmp_path / "photos", ("cat", "dog"), 6)
    ids = [str(i) for i in opened(folder).ids]
    order = np.random.default_rng(0).permutation(6)
    np.savez(tmp_path / "t.npz", targets=order.astype(float), id=np.array(ids)[order])
    data = opened(folder, task="regression", targets=str(tmp_path / "t.npz"))
    assert data.targets is not None
    assert data.targets[:, 0].tolist() == list(range(6))


def test_a_row_without_an_image_does_not_join_the_splits(tmp_path):
    for split in ("train", "test"):
        class_folders(tmp_path / split, ("a", "b"), 4)
    files = sorted(str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*.png"))
    table = pd.DataFrame({"file_name": [*files, ""], "label": [*"ab" * 4, "a"]})
    table.to_csv(tmp_path / "metadata.csv", index=False)
    data = opened(tmp_path / "metadata.csv")
    assert all(str(i).startswith("train") for i in data.ids)
    assert len(data) == 4


def test_classes_of_one_name_stay_apart():
    labels = encode_labels([0, 1, 2, 1], LabelRules("d", ["crane", "dog", "crane"]))
    assert labels.names == ("crane (0)", "dog", "crane (2)")
    assert any("several classes have one name" in note for note in labels.notes)


def test_names_of_samples_are_no_names_of_classes(tmp_path):
    names = np.array([f"img_{i}.png" for i in range(6)])
    np.savez(tmp_path / "d.npz", images=np.zeros((6, 4, 4), np.uint8), labels=[0, 1, 2, 0, 1, 2], names=names)
    data = opened(tmp_path / "d.npz")
    assert data.class_names == ("0", "1", "2")
    assert data.ids.tolist() == names.tolist()


def test_a_label_that_is_no_number_is_missing_in_every_split(tmp_path):
    values = np.arange(32, dtype=np.float32).reshape(8, 4)
    labels = np.array([0, 1, np.nan, 1, 0, 1, 0, 1], np.float32)
    np.savez(tmp_path / "d.npz", features=values, labels=labels, split=["train"] * 6 + ["test"] * 2)
    data = opened(tmp_path / "d.npz")
    assert data.class_names == ("0", "1")
    assert len(data) == 5


def test_colour_that_comes_late_is_seen(tmp_path):
    (tmp_path / "d").mkdir()
    for i in range(200):
        colour = (i, i, i) if i < 150 else (i, 0, 0)
        Image.new("RGB", (8, 8), colour).save(tmp_path / "d" / f"{i:03d}.png")
    np.save(tmp_path / "l.npy", np.arange(200) % 2)
    images = opened(tmp_path / "d", labels=str(tmp_path / "l.npy")).images
    assert plan(images, load_backbone("pixels"), None, 16).channels == 3


def test_what_is_predicted_and_what_nobody_learns_stay_columns_of_the_data(tmp_path):
    table = pd.DataFrame({"text": list("abcd"), "price": [100, 200, 300, 401], "label": list("xyxy")})
    table.to_csv(tmp_path / "d.csv", index=False)
    for number in table["price"]:  # images of other data are called like its numbers
        image = tmp_path.parent / f"{tmp_path.name}-other" / f"{number}.png"
        image.parent.mkdir(exist_ok=True)
        Image.new("L", (8, 8)).save(image)
    data = opened(tmp_path / "d.csv", task="regression", targets="price")
    assert data.metadata is not None
    assert data.metadata.astype(str).to_dict("list") == {"price": ["100", "200", "300", "401"], "label": list("xyxy")}
    plain = opened(tmp_path / "d.csv").metadata
    assert plain is not None
    assert list(plain.columns) == ["price"]
