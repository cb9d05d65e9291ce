"""Parquet and Arrow files: layouts of the Hub, columns, images of every form, damaged files."""

import io
import json
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from lsi.data import Dataset
from lsi.data.sources.columnar import COLUMNAR, holds_images, read_columnar, stored_bytes
from lsi.data.sources.columns import Wanted
from lsi.data.sources.samples import Options, Samples, assemble, joined
from lsi.data.trees import LocalTree, RemoteTree, open_tree
from lsi.errors import DataError

NAMES = ["cat", "dog", "owl"]
STRUCT = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def png(shade: int, size: int = 4) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (size, size), (shade % 256, 7, 9)).save(buffer, "PNG")
    return buffer.getvalue()


def shade(data: Dataset, position: int) -> int:
    assert data.images is not None
    return np.asarray(data.images.read(position))[0, 0, 0]


def hub(**features) -> dict[str, str]:
    return {"huggingface": json.dumps({"info": {"features": features}})}


CLASSES = hub(image={"_type": "Image"}, label={"_type": "ClassLabel", "names": NAMES})


def rows(first: int, n: int, **more) -> pa.Table:
    """n images, whose shade is their number counted from `first`, with labels in turn."""
    images = pa.array([{"bytes": png(first + i), "path": f"{first + i}.png"} for i in range(n)], STRUCT)
    labels = pa.array([(first + i) % 3 for i in range(n)])
    return pa.table({"image": images, "label": labels, **more}).replace_schema_metadata(CLASSES)


def write(path: Path, table: pa.Table, **options) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path, **options)
    return path


def samples_of(path: Path, use: str = "train", targets: tuple[str, ...] = (), **wanted) -> Samples:
    """Read a folder, an archive, or one file by itself."""
    options = Options(use, Wanted(**wanted), targets=targets)
    if path.suffix in COLUMNAR:
        return read_columnar(LocalTree(path.parent), [path.name], options, is_file=True)
    tree = open_tree(path)
    return read_columnar(tree, [n for n in tree.names() if n.endswith(COLUMNAR)], options)


def opened(path: Path, use: str = "train", targets: tuple[str, ...] = (), **wanted) -> Dataset:
    options = Options(use, Wanted(**wanted), targets=targets)
    return assemble(samples_of(path, use, targets, **wanted), options)


def lines(data: Dataset) -> str:
    assert data.plan is not None
    return "\n".join(data.plan.lines())


# the Hub's layouts


LAYOUTS = {
    "data/{}-00000-of-00002.parquet": "data/{}-00001-of-00002.parquet",
    "data/{}-00000-of-00002-3f0a9c.parquet": "data/{}-00001-of-00002-77aa10.parquet",
    "default/{}/0000.parquet": "default/{}/0001.parquet",
    "default/partial-{}/0000.parquet": "default/partial-{}/0001.parquet",
    "plain_text/{}-00000-of-00002.parquet": "plain_text/{}-00001-of-00002.parquet",
    "{}.parquet": "{}_1.parquet",
    "cifar10_{}.parquet": "cifar10_{}_b.parquet",
    "{}/a.parquet": "{}/b/c.parquet",
    "{}/part-00000-of-00002.parquet": "{}/part-00001-of-00002.parquet",
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_splits_are_found_in_names_and_folders_and_rows_run_through_their_shards(tmp_path, layout):
    for i, split in enumerate(("test", "train", "validation")):
        write(tmp_path / layout.format(split), rows(20 * i, 3))
        write(tmp_path / LAYOUTS[layout].format(split), rows(20 * i + 3, 2 + i))
    for i, split in enumerate(("test", "train", "validation")):
        data = opened(tmp_path, split)
        assert data.index is not None
        assert data.index.tolist() == list(range(5 + i))
        assert [shade(data, k) for k in range(5 + i)] == [20 * i + k for k in range(5 + i)]
        assert data.ids[3] == f"000003/{20 * i + 3}.png"
        assert data.plan is not None
        assert (dict(data.plan.splits), data.plan.split) == ({"test": 5, "train": 6, "validation": 7}, split)
        assert data.plan.source_length == 5 + i
    assert len(opened(tmp_path, "val")) == 7
    assert len(opened(tmp_path, "all")) == 18
    with pytest.raises(DataError, match=r"no split 'holdout'. There are test, train, validation"):
        opened(tmp_path, "holdout")


def test_splits_of_unusual_names_keep_them(tmp_path):
    write(tmp_path / "data" / "train_sft-00000-of-00001.parquet", rows(0, 3))
    write(tmp_path / "data" / "test_sft-00000-of-00001.parquet", rows(3, 4))
    with pytest.raises(DataError, match=r"no split 'train'. There are test_sft, train_sft"):
        opened(tmp_path)
    assert len(opened(tmp_path, "test_sft")) == 4
    write(tmp_path / "one" / "part-00000-of-00001.parquet", rows(3, 4))
    assert opened(tmp_path / "one").plan.splits == ()  # type: ignore[union-attr]


def test_trainval_is_not_train_and_a_file_with_other_columns_is_no_split(tmp_path):
    for i, name in enumerate(("train", "test", "trainval")):
        write(tmp_path / f"{name}.parquet", rows(10 * i, 3))
    write(tmp_path / "embeddings.parquet", pa.table({"vector": [[1.0], [2.0]]}))
    data = opened(tmp_path)
    assert len(data) == 3
    assert dict(data.plan.splits) == {"train": 3, "test": 3, "trainval": 3, "embeddings": 2}  # type: ignore[union-attr]
    every = opened(tmp_path, "all")
    assert len(every) == 9
    assert "embeddings.parquet: no split by name, and other columns than the splits have: left out" in lines(every)


def test_several_configurations_are_named_unless_one_is_given(tmp_path):
    for config in ("en", "fr"):
        write(tmp_path / config / "train" / "0000.parquet", rows(0, 3))
        write(tmp_path / config / "test" / "0000.parquet", rows(0, 2))
    with pytest.raises(
        DataError, match=r"several configurations, each with splits of its own: en, fr. Give the folder"
    ):
        opened(tmp_path)
    assert len(opened(tmp_path / "fr", "test")) == 2


def test_missing_shards_and_splits_that_cannot_be_opened_are_said(tmp_path):
    write(tmp_path / "data" / "train-00000-of-00003.parquet", rows(0, 3))
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n"
    (tmp_path / "data" / "test-00000-of-00001.parquet").write_text(pointer)
    shown = lines(opened(tmp_path))
    assert "Only 1 of the 3 shards of data/train are here." in shown
    assert "The split test is not counted" in shown
    assert "a Git LFS pointer" in shown


def test_a_file_given_by_itself_is_read_whatever_its_name_says(tmp_path):
    write(tmp_path / "hub" / "test-00000-of-00001.parquet", rows(0, 3))
    data = opened(tmp_path / "hub" / "test-00000-of-00001.parquet")
    assert len(data) == 3
    assert "was given by itself, so it is read, though it is the split test" in lines(data)
    assert len(opened(tmp_path / "hub" / "test-00000-of-00001.parquet", "test")) == 3
    with pytest.raises(DataError, match=r"no split 'train'. There is test"):
        opened(tmp_path / "hub")
    with pytest.raises(DataError, match=r"no split 'validation'. There is test"):
        opened(tmp_path / "hub" / "test-00000-of-00001.parquet", "validation")


# a column of splits


def test_a_column_of_splits_counts_where_names_say_nothing(tmp_path):
    table = rows(0, 6, split=pa.array(["test", "Train", "test", "train", None, "val"]))
    path = write(tmp_path / "d.parquet", table)
    data = opened(path)
    assert data.index is not None
    assert (data.index.tolist(), data.plan.source_length) == ([1, 3], 6)  # type: ignore[union-attr]
    assert opened(path, "validation").ids.tolist() == ["000005/5.png"]
    assert len(opened(path, "all")) == 6
    with pytest.raises(DataError, match=r"no split 'extra'. There are"):
        opened(path, "extra")


def test_a_column_of_splits_is_kept_beside_where_names_say_them_unless_someone_names_it(tmp_path):
    for name in ("train", "test"):
        write(tmp_path / f"{name}.parquet", rows(0, 4, fold=pa.array(["a", "b", "a", "b"])))
    data = opened(tmp_path)
    assert len(data) == 4
    assert list(data.metadata.columns) == ["fold"]  # type: ignore[union-attr]
    assert "The files' names say the splits: the column fold is kept beside." in lines(data)
    assert opened(tmp_path, "a", split="fold").index.tolist() == [0, 2, 4, 6]  # type: ignore[union-attr]


def test_an_empty_column_of_splits_and_one_of_class_numbers(tmp_path):
    path = write(tmp_path / "d.parquet", rows(0, 3, split=pa.array([None, "", None])))
    assert "The column split is empty: there are no splits." in lines(opened(path))
    table = rows(0, 3, split=pa.array([0, 1, 1])).replace_schema_metadata(
        hub(split={"_type": "ClassLabel", "names": ["train", "test"]})
    )
    assert len(opened(write(tmp_path / "e.parquet", table), "test")) == 2


# labels


def labelled(path: Path, *columns: pa.Array, features=(None,) * 9) -> Path:
    """Write one shard for each label column."""
    for i, (column, feature) in enumerate(zip(columns, features, strict=False)):
        table = pa.table({"text": [f"{i} {k}" for k in range(len(column))], "label": column})
        metadata = hub(label=feature) if feature else None
        write(path / f"{i}.parquet", table.replace_schema_metadata(metadata))
    return path


def names_of(data: Dataset) -> list[str]:
    return [data.class_names[i] for i in data.labels]


CLASS = {"_type": "ClassLabel", "names": NAMES}


@pytest.mark.parametrize(
    ("columns", "features", "expected"),
    [
        ([pa.array([0, 2])], [CLASS], ["cat", "owl"]),
        ([pa.array([0.0, 2.0])], [CLASS], ["cat", "owl"]),
        ([pa.array(["owl", "cat"])], [CLASS], ["owl", "cat"]),
        ([pa.array(["001", "010"])], [None], ["001", "010"]),
        ([pa.array([7, 7]), pa.array(["cat", "7"])], [None, None], ["7", "7", "cat", "7"]),
        ([pa.array([1, 0]), pa.array(["owl", "cat"])], [CLASS, None], ["dog", "cat", "owl", "cat"]),
        (
            [pa.array([1, 0]), pa.array([1, 0])],
            [CLASS, {**CLASS, "names": ["owl", "cat"]}],
            ["dog", "cat", "cat", "owl"],
        ),
        ([pa.array([0, 1]), pa.array([2, 0])], [CLASS, None], ["cat", "dog", "owl", "cat"]),
        ([pa.array(["b", "a"]).dictionary_encode()], [None], ["b", "a"]),
        ([pa.array([[2], [0]])], [{"feature": CLASS, "_type": "Sequence"}], ["owl", "cat"]),
        ([pa.array([[2], [0]])], [[CLASS]], ["owl", "cat"]),
        ([pa.array([True, False])], [None], ["True", "False"]),
        ([pa.array([b"cat", b"dog"])], [None], ["cat", "dog"]),
    ],
)
def test_labels_of_every_form_are_read_by_name(tmp_path, columns, features, expected):
    assert names_of(opened(labelled(tmp_path, *columns, features=features))) == expected


@pytest.mark.parametrize(
    ("column", "feature", "n_missing", "expected"),
    [
        (pa.array([-1, 0, 1, -1]), CLASS, 2, ["cat", "dog"]),
        (pa.array([-1, 0, 1, -1]), {"dtype": "int64", "_type": "Value"}, 2, ["0", "1"]),
        (pa.array([-1, 0, 1, -1]), None, 0, ["-1", "0", "1", "-1"]),
        (pa.array([0.0, np.nan, 1.0, None]), None, 2, ["0", "1"]),
        (pa.array(["a", "", "b", None]), None, 2, ["a", "b"]),
    ],
)
def test_missing_labels_stand_apart(tmp_path, column, feature, n_missing, expected):
    data = opened(labelled(tmp_path, column, features=[feature]))
    assert names_of(data) == expected
    assert (0 if data.unlabelled is None else len(data.unlabelled)) == n_missing


@pytest.mark.parametrize(
    ("column", "feature", "message"),
    [
        (pa.array([[0], [0, 1]]), None, r"column label: expected one label a sample, got several \(row 1"),
        (pa.array([0, 3]), CLASS, r"column label: expected one of the 3 classes cat, dog, owl .* got '3' in row 1"),
        (pa.array(["cat", "z"]), CLASS, r"got 'z' in row 1"),
        (pa.array([{"a": 1}, {"a": 2}]), None, "expected a text or a number as label, got a dict in row 0"),
    ],
)
def test_labels_that_do_not_fit_name_column_and_row(tmp_path, column, feature, message):
    with pytest.raises(DataError, match=message):
        opened(labelled(tmp_path, column, features=[feature]))


def test_texts_get_the_class_names_of_the_schema_and_rows_without_text_are_left_out(tmp_path):
    table = pa.table({"text": ["good", None, "bad", " "], "label": [1, 0, 0, 1]}).replace_schema_metadata(
        hub(label={"_type": "ClassLabel", "names": ["neg", "pos"]})
    )
    data = opened(write(tmp_path / "train.parquet", table))
    assert (names_of(data), data.text.tolist()) == (["pos", "neg"], ["good", "bad"])  # type: ignore[union-attr]
    assert data.index.tolist() == [0, 2]  # type: ignore[union-attr]
    assert "ignored: 2 rows without text" in lines(data)


# images


def image_column(kind: str) -> pa.Array:
    data = [png(i) for i in range(4)]
    struct = [{"bytes": d} for d in data]
    match kind:
        case "struct without path":
            return pa.array(struct, pa.struct([("bytes", pa.binary())]))
        case "struct with path None":
            return pa.array([{**s, "path": None} for s in struct], STRUCT)
        case "struct of large binary":
            return pa.array(struct, pa.struct([("path", pa.string()), ("bytes", pa.large_binary())]))
        case "binary":
            return pa.array(data)
        case "large binary":
            return pa.array(data, pa.large_binary())
        case "dictionary":
            return pa.array(data).dictionary_encode()
        case "some null":
            return pa.array([struct[0] | {"path": "a"}, None, {"bytes": None, "path": None}, struct[3]], STRUCT)
    raise AssertionError(kind)


@pytest.mark.parametrize("end", ["parquet", "arrow"])
@pytest.mark.parametrize(
    "kind",
    ["struct without path", "struct with path None", "struct of large binary", "binary", "large binary", "dictionary"],
)
def test_images_in_every_form_of_column(tmp_path, kind, end):
    table = pa.table({"label": [0, 1, 0, 1], "img": image_column(kind)})
    path = tmp_path / f"d.{end}"
    write(path, table) if end == "parquet" else write_arrow(path, table)
    data = opened(path)
    assert [shade(data, i) for i in range(4)] == [0, 1, 2, 3]
    assert data.ids.tolist() == ["000000", "000001", "000002", "000003"]
    assert data.images.source(2) == png(2)  # type: ignore[union-attr]
    assert data.images.stamp(2) == (f"{path}#img#2", path.stat().st_size, path.stat().st_mtime_ns)  # type: ignore[union-attr]
    assert len(set(data.checksums)) == 4


def test_rows_without_an_image_say_so(tmp_path):
    data = opened(write(tmp_path / "d.parquet", pa.table({"image": image_column("some null"), "label": [0, 1, 0, 1]})))
    assert (shade(data, 0), shade(data, 3)) == (0, 3)
    for row in (1, 2):
        with pytest.raises(DataError, match=rf"d\.parquet, column image, row {row}: no image bytes"):
            data.images.read(row)  # type: ignore[union-attr]


@pytest.mark.parametrize("statistics", [True, False])
def test_rows_with_only_a_path_are_read_from_the_folder_of_their_file(tmp_path, monkeypatch, statistics):
    for name in ("train", "test"):
        (tmp_path / "hub" / name / "pics").mkdir(parents=True)
        for i in range(3):
            (tmp_path / "hub" / name / "pics" / f"{i}.png").write_bytes(png(50 + i))
        values = [
            {"bytes": None, "path": f"pics/{i}.png"} if i < 3 else {"bytes": png(i), "path": "x.png"} for i in range(4)
        ]
        values.append({"bytes": None, "path": "pics/gone.png"})
        table = pa.table({"image": pa.array(values, STRUCT), "label": [0, 1, 0, 1, 1]})
        write(tmp_path / "hub" / name / "0.parquet", table, write_statistics=statistics)
    monkeypatch.chdir(tmp_path)
    data = opened(tmp_path / "hub")
    assert [shade(data, i) for i in range(4)] == [50, 51, 52, 3]
    assert data.ids[1] == "000001/pics/1.png"
    with pytest.raises(DataError, match=r"gone\.png: cannot be read"):
        data.images.read(4)  # type: ignore[union-attr]
    before = data.images.stamp(1)  # type: ignore[union-attr]
    (tmp_path / "hub" / "train" / "pics" / "1.png").write_bytes(png(9, size=8))
    assert opened(tmp_path / "hub").images.stamp(1) != before  # type: ignore[union-attr]
    assert data.images.stamp(3)[0].endswith("0.parquet#image#3")  # type: ignore[union-attr]


@pytest.mark.parametrize("kind", ["structs", "texts"])
def test_a_column_of_paths_alone_is_a_manifest(tmp_path, monkeypatch, kind):
    (tmp_path / "set" / "images").mkdir(parents=True)
    for i in range(3):
        (tmp_path / "set" / "images" / f"{i}.png").write_bytes(png(30 + i))
    paths = [f"{i}.png" for i in range(3)]
    column = pa.array(
        paths if kind == "texts" else [{"bytes": None, "path": p} for p in paths], None if kind == "texts" else STRUCT
    )
    table = pa.table({"image": column, "label": [2, 0, 1], "weight": [0.5, 1.5, 2.5]}).replace_schema_metadata(CLASSES)
    write(tmp_path / "set" / "d.parquet", table)
    monkeypatch.chdir(tmp_path)
    samples = samples_of(tmp_path / "set" / "d.parquet")
    assert list(samples.paths) == [f"images/{i}.png" for i in range(3)]
    data = opened(tmp_path / "set" / "d.parquet")
    assert [shade(data, i) for i in range(3)] == [30, 31, 32]
    assert (names_of(data), data.ids[1]) == (["owl", "cat", "dog"], "1.png" if kind == "texts" else "000001/1.png")
    assert data.images.source(1) == tmp_path / "set" / "images" / "1.png"  # type: ignore[union-attr]
    assert data.metadata.weight.tolist() == [0.5, 1.5, 2.5]  # type: ignore[union-attr]
    assert "paths are relative to images/" in lines(data)


def test_paths_of_shards_in_different_folders_are_told_apart(tmp_path):
    for i, name in enumerate(("train", "test")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "0.png").write_bytes(png(i))
        write(tmp_path / name / "m.parquet", pa.table({"file_name": ["0.png"], "label": [i]}))
    data = opened(tmp_path, "all")
    assert sorted(data.ids.tolist()) == ["test/0.png", "train/0.png"]
    assert opened(tmp_path).ids.tolist() == ["0.png"]
    write(tmp_path / "train" / "m.parquet", pa.table({"file_name": ["0.png", "0.png"], "label": [0, 1]}))
    with pytest.raises(DataError, match=r"row 1 names train/0.png a second time|row 1 names 0.png a second time"):
        opened(tmp_path)


@pytest.mark.parametrize(
    ("columns", "wanted", "expected"),
    [
        ({"scan": "image", "file_name": "text"}, {}, "scan"),
        ({"scan": "bytes", "file_name": "text"}, {}, None),
        ({"scan": "bytes"}, {}, "scan"),
        ({"mask": "image", "img": "image"}, {}, "img"),
        ({"mask": "image", "img": "image"}, {"image": "mask"}, "mask"),
        ({"label": "image", "image": "image"}, {}, "image"),
        ({"a": "image", "b": "image"}, {"image": "b"}, "b"),
        ({"Image ": "bytes", "hash": "bytes"}, {}, "Image "),
        ({"sound": "audio", "photo": "image"}, {}, "photo"),
    ],
)
def test_the_image_column_is_found_by_name_and_by_type(tmp_path, columns, wanted, expected):
    (tmp_path / "0.png").write_bytes(png(0))
    values = {
        "image": [{"bytes": png(5), "path": "p"}],
        "bytes": [png(5)],
        "text": ["0.png"],
        "audio": [{"bytes": b"RIFF", "path": "p"}],
    }
    table = pa.table({c: pa.array(values[k]) for c, k in columns.items()})
    table = table.replace_schema_metadata(hub(**{c: {"_type": "Audio"} for c, k in columns.items() if k == "audio"}))
    write(tmp_path / "d.parquet", table)
    data = opened(tmp_path / "d.parquet", **wanted)
    assert dict(data.plan.columns)["image"] == (expected or "file_name")  # type: ignore[union-attr]
    assert shade(data, 0) == (5 if expected else 0)
    assert holds_images(LocalTree(tmp_path), "d.parquet") == any(
        c != "scan" or k != "bytes" for c, k in columns.items() if k in ("image", "bytes")
    )


@pytest.mark.parametrize(
    ("columns", "wanted", "message"),
    [
        ({"a": [{"bytes": b""}], "b": [{"bytes": b""}]}, {}, "several columns could be the image: a, b. Name one with"),
        ({"a": [b"x"], "b": [b"x"]}, {}, "several columns could be the image: a, b"),
        ({"image": [3], "n": [1]}, {}, "no column holds images, paths, .* there are image, n. Name .*--image-column"),
        ({"image": [3], "text": ["a"]}, {"image": "image"}, "column image: expected images as bytes, structs"),
        ({"text": ["a"]}, {"label": "kind"}, "no column 'kind' .--label-column.; there are text"),
        ({"text": ["a", "b"], "name": ["x", None]}, {"id": "name"}, "column name, row 1: expected an id, got nothing"),
    ],
)  # fmt: skip
def test_columns_that_cannot_be_settled_name_the_option(tmp_path, columns, wanted, message):
    write(tmp_path / "d.parquet", pa.table(columns))
    with pytest.raises(DataError, match=message):
        opened(tmp_path / "d.parquet", **wanted)


# features, targets, metadata


def test_lists_of_numbers_are_features_and_others_are_kept(tmp_path):
    shards = [pa.array([[1, 2], [3, 4]]), pa.array([[5.0, 6.0]], pa.list_(pa.float64(), 2))]
    for i, column in enumerate(shards):
        write(tmp_path / f"{i}.parquet", pa.table({"embedding": column, "label": ["a"] * len(column)}))
    data = opened(tmp_path)
    assert data.features is not None
    assert (data.features.dtype, data.features.tolist()) == (np.float32, [[1, 2], [3, 4], [5, 6]])
    assert data.ids.tolist() == ["000000", "000001", "000002"]


@pytest.mark.parametrize(
    ("column", "message"),
    [
        (pa.array([[1.0], None]), "column embedding, row 1: expected a list of 1 numbers, got nothing"),
        (pa.array([None, [1.0]]), "column embedding, row 0: expected a list of 1 numbers, got nothing"),
        (pa.array([[1.0, 2.0], [1.0]]), "column embedding, row 1: expected a list of 2 numbers, got 1"),
        (pa.array([[1.0, np.nan]]), "column embedding, row 0: expected 2 numbers; one is missing, NaN or infinite"),
        (pa.array([[1.0, None]]), "row 0: expected 2 numbers; one is missing"),
        (pa.array([[1e300, 0.0]]), "row 0: expected 2 numbers; one is missing, NaN or infinite"),
        (pa.array([[], []], pa.list_(pa.float32())), "row 0: expected a list of 1 numbers, got 0"),
    ],
)
def test_features_that_do_not_fit_name_column_and_row(tmp_path, column, message):
    write(tmp_path / "d.parquet", pa.table({"embedding": column}))
    with pytest.raises(DataError, match=message):
        opened(tmp_path / "d.parquet")


def test_targets_are_numbers_and_stay_columns_of_the_data(tmp_path):
    table = pa.table({"text": ["a", "b"], "weight": [1, 2], "place": [[0.5, 1.0], [2.0, 3.0]], "word": ["x", "y"]})
    write(tmp_path / "d.parquet", table)
    data = opened(tmp_path / "d.parquet", targets=("weight", "place"))
    assert data.targets.tolist() == [[1, 0.5, 1], [2, 2, 3]]  # type: ignore[union-attr]
    assert list(data.metadata.columns) == ["weight", "place", "word"]  # type: ignore[union-attr]
    with pytest.raises(DataError, match="expected a number in column word, row 0, got 'x'"):
        opened(tmp_path / "d.parquet", targets=("word",))
    with pytest.raises(DataError, match="no column size to predict; there are text, weight"):
        opened(tmp_path / "d.parquet", targets=("size",))


def test_all_other_columns_are_kept_and_what_is_left_out_has_a_line(tmp_path):
    more = {
        "site": pa.array(["a", None, "é"]),
        "patient": pa.array([2**60, None, 5]),
        "large": pa.array([2**64 - 1, None, 5], pa.uint64()),
        "few": pa.array([3, None, 5]),
        "when": pa.array([0, 1, None], pa.date32()),
        "boxes": pa.array([[1, 2], None, []]),
        "camera": pa.array([{"iso": 100}, {"iso": None}, None]),
        "hash": pa.array([b"1", b"2", b"3"]),
        "mask": pa.array([{"bytes": b"x", "path": None}] * 3, STRUCT),
        "kind": pa.array(["x", "y", "x"]).dictionary_encode(),
        "text": pa.array(["a", "b", None]),
        "content": pa.array([1, 2, 3]),
    }
    data = opened(write(tmp_path / "d.parquet", rows(0, 3, **more)))
    kept = data.metadata
    assert kept is not None
    assert list(kept.columns) == ["site", "patient", "large", "few", "when", "boxes", "camera", "kind", "content"]
    assert kept.site.isna().tolist() == [False, True, False]
    assert (int(kept.patient[0]), kept.when[1]) == (2**60, "1970-01-02")
    assert (int(kept.large[0]), kept.few.tolist()) == (2**64 - 1, [3, pd.NA, 5])
    assert (kept.boxes[0], kept.camera[0]) == ("[1, 2]", '{"iso": 100}')
    assert kept.kind.tolist() == ["x", "y", "x"]
    assert data.text.tolist() == ["a", "b", ""]  # type: ignore[union-attr]
    shown = lines(data)
    for line in ("The column hash holds bytes: left out.",
                 "The column mask holds images or other files as well: left out; --image-column mask takes it",
                 "The column boxes holds lists or structs: kept as JSON text."):  # fmt: skip
        assert line in shown


def test_metadata_of_different_types_in_different_shards(tmp_path):
    write(tmp_path / "0.parquet", pa.table({"text": ["a"], "year": [1999], "n": [1], "old": [True]}))
    write(tmp_path / "1.parquet", pa.table({"text": ["b"], "year": ["n/a"], "n": [0.5]}))
    data = opened(tmp_path)
    assert data.metadata.year.tolist() == ["1999", "n/a"]  # type: ignore[union-attr]
    assert data.metadata.n.tolist() == [1, 0.5]  # type: ignore[union-attr]
    assert data.metadata.old.isna().tolist() == [False, True]  # type: ignore[union-attr]
    assert "The column year holds int64 and string in different files: kept as text." in lines(data)


def test_whole_numbers_that_a_split_lacks_stay_whole_in_the_other():
    more = pd.DataFrame({"n": [2**53, 2**53 + 1]})
    parts = {"train": Samples("d", "d", "table", ["a", "b"], metadata=more), "test": Samples("d", "d", "table", ["c"])}
    kept = joined(parts).metadata
    assert kept is not None
    assert kept.n.tolist() == [2**53, 2**53 + 1, pd.NA]


# any size


@pytest.fixture
def tight(monkeypatch):
    monkeypatch.setattr(stored_bytes, "MOST_OF_GROUP", 2_000)
    monkeypatch.setattr(stored_bytes, "MOST_IN_MEMORY", 4_000)


@pytest.mark.parametrize("size", [1, 7, 64, 500])
def test_images_of_any_row_groups_are_read_in_any_order_by_any_thread(tmp_path, tight, size):
    write(tmp_path / "0.parquet", rows(0, 120), row_group_size=size)
    write(tmp_path / "1.parquet", rows(120, 80), row_group_size=size)
    data = opened(tmp_path)
    order = np.random.default_rng(0).permutation(200).tolist()
    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(lambda i: shade(data, i), order)) == order
        assert list(pool.map(lambda i: shade(data, i), range(200))) == list(range(200))


def test_no_more_than_the_limit_of_bytes_waits_in_memory(tmp_path, tight):
    write(tmp_path / "0.parquet", rows(0, 200), row_group_size=10)
    data = opened(tmp_path)
    stored = data.images._fetch.__self__.bytes  # type: ignore[union-attr]
    for i in range(200):
        shade(data, i)
        assert sum(group.size for group in stored._waiting.values()) <= stored_bytes.MOST_IN_MEMORY
    assert not stored._on_disk


def test_a_large_row_group_goes_to_the_disk_once_and_a_full_disk_is_said(tmp_path, tight, monkeypatch):
    data = opened(write(tmp_path / "d.parquet", rows(0, 200)))
    stored = data.images._fetch.__self__.bytes  # type: ignore[union-attr]
    assert [shade(data, i) for i in (199, 0, 100)] == [199, 0, 100]
    assert (len(stored._on_disk), len(stored._waiting)) == (1, 0)

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(stored_bytes.tempfile, "TemporaryFile", full)
    data = opened(tmp_path / "d.parquet")
    with pytest.raises(DataError, match=r"cannot take them \(No space left on device\): set TMPDIR"):
        data.images.read(199)  # type: ignore[union-attr]


def test_damaged_pages_cost_the_images_in_them(tmp_path):
    path = write(tmp_path / "d.parquet", rows(0, 8), row_group_size=2, compression="snappy", use_dictionary=False)
    chunk = pq.read_metadata(path).row_group(2).column(0)
    content = bytearray(path.read_bytes())
    start = chunk.data_page_offset
    content[start : start + chunk.total_compressed_size] = b"\xff" * chunk.total_compressed_size
    path.write_bytes(content)
    data = opened(path)
    assert [shade(data, i) for i in (0, 1, 2, 3, 6, 7)] == [0, 1, 2, 3, 6, 7]
    for _ in range(2):
        with pytest.raises(DataError, match=r"d\.parquet, column image, row group 2: cannot be read"):
            data.images.read(4)  # type: ignore[union-attr]


# damaged files


def cut(path: Path, size: int) -> Path:
    path.write_bytes(path.read_bytes()[:size])
    return path


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("d.parquet", b"", r"d\.parquet: the file is empty \(0 bytes\)"),
        ("d.arrow", b"", r"d\.arrow: the file is empty \(0 bytes\)"),
        ("d.parquet", b"version https://git-lfs.github.com/spec/v1\noid", "LFS pointer, not the data itself: run"),
        ("d.arrow", b"version https://git-lfs.github.com/spec/v1\noid", "a Git LFS pointer"),
        ("d.parquet", b"<html>404</html>", "not readable as Parquet .it begins with b'<html>40'"),
        ("d.parquet", b"PAR1" + b"\0" * 40, r"d\.parquet: cannot be read \(.*damaged or incomplete"),
        ("d.arrow", b"nothing of the kind", r"d\.arrow: cannot be read"),
        ("d.arrow", b"ARROW1\0\0" + b"\7" * 50, r"d\.arrow: cannot be read"),
    ],
)  # fmt: skip
def test_files_that_are_none_say_so(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=message):
        opened(tmp_path / name)
    assert not holds_images(LocalTree(tmp_path), name)


@pytest.mark.parametrize("end", ["parquet", "arrow"])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.99])
def test_truncated_files_say_so(tmp_path, end, share):
    path = tmp_path / f"d.{end}"
    write(path, rows(0, 50)) if end == "parquet" else write_arrow(path, rows(0, 50))
    cut(path, int(path.stat().st_size * share))
    with pytest.raises(DataError, match=rf"d\.{end}.*cannot be read \(.*damaged or incomplete"):
        opened(path)


def test_damaged_columns_are_named(tmp_path):
    path = write(tmp_path / "d.parquet", rows(0, 50), use_dictionary=False)
    chunk = pq.read_metadata(path).row_group(0).column(2)
    content = bytearray(path.read_bytes())
    start, size = chunk.data_page_offset, chunk.total_compressed_size
    content[start : start + size] = b"\xff" * size
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"d\.parquet, column label: cannot be read"):
        opened(path)


def test_empty_tables_and_missing_columns_and_twins(tmp_path):
    with pytest.raises(DataError, match="the table is empty: it has columns and no rows"):
        opened(write(tmp_path / "a" / "d.parquet", rows(0, 0)))
    write(tmp_path / "b" / "0.parquet", rows(0, 2))
    write(tmp_path / "b" / "1.parquet", pa.table({"label": [1]}))
    with pytest.raises(DataError, match=r"1\.parquet: no column image; there are label"):
        opened(tmp_path / "b")
    twins = pa.Table.from_arrays([pa.array(["a"]), pa.array(["b"])], names=["text", "text"])
    with pytest.raises(DataError, match=r"two columns are called text: rename one of them"):
        opened(write(tmp_path / "c" / "d.parquet", twins))
    with pytest.raises(DataError, match="no Parquet or Arrow files lie here"):
        read_columnar(LocalTree(tmp_path), [], Options())
    texts = pa.table({"text": ["", None]})
    with pytest.raises(DataError, match="column text: expected texts, all rows are empty"):
        opened(write(tmp_path / "e" / "d.parquet", texts))


def test_an_empty_shard_beside_others_does_no_harm(tmp_path):
    write(tmp_path / "train-00000-of-00002.parquet", rows(0, 0))
    write(tmp_path / "train-00001-of-00002.parquet", rows(0, 3))
    assert [shade(opened(tmp_path), i) for i in range(3)] == [0, 1, 2]


# Arrow files and other places


def write_arrow(path: Path, table: pa.Table, is_file: bool = False, compression: str | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    options = pa.ipc.IpcWriteOptions(compression=compression)
    make = pa.ipc.new_file if is_file else pa.ipc.new_stream
    with pa.OSFile(str(path), "wb") as file, make(file, table.schema, options=options) as writer:
        writer.write_table(table, max_chunksize=7)
    return path


@pytest.mark.parametrize("is_file", [True, False])
@pytest.mark.parametrize("compression", [None, "lz4", "zstd"])
def test_arrow_files_and_streams_compressed_or_not(tmp_path, tight, is_file, compression):
    data = opened(write_arrow(tmp_path / "d.arrow", rows(0, 40, site=pa.array(["x"] * 40)), is_file, compression))
    assert [shade(data, i) for i in (39, 0, 7, 20)] == [39, 0, 7, 20]
    assert (data.ids[8], names_of(data)[:3]) == ("000008/8.png", NAMES)
    assert data.metadata.site.tolist() == ["x"] * 40  # type: ignore[union-attr]


def test_saved_folders_read_the_files_that_they_list(tmp_path):
    for i in range(2):
        write_arrow(tmp_path / f"data-0000{i}-of-00002.arrow", rows(10 * i, 3))
    write_arrow(tmp_path / "cache-1f.arrow", rows(99, 1))
    (tmp_path / "dataset_info.json").write_text("{}")
    state = {"_data_files": [{"filename": f"data-0000{i}-of-00002.arrow"} for i in (1, 0)], "_split": "test"}
    (tmp_path / "state.json").write_text(json.dumps(state))
    data = opened(tmp_path)
    assert [shade(data, i) for i in range(6)] == [10, 11, 12, 0, 1, 2]
    assert "1 cached Arrow file" in lines(data)
    assert "it is the split test" in lines(data)
    assert len(opened(tmp_path, "test")) == 6
    assert [shade(opened(tmp_path / "data-00001-of-00002.arrow"), i) for i in range(3)] == [10, 11, 12]
    assert len(opened(tmp_path / "data-00001-of-00002.arrow")) == 3
    (tmp_path / "data-00001-of-00002.arrow").unlink()
    with pytest.raises(
        DataError, match=r"state\.json lists data-00001-of-00002\.arrow, which is not there: copy the whole"
    ):
        opened(tmp_path)
    (tmp_path / "state.json").write_text("[1]")
    with pytest.raises(DataError, match=r"expected a JSON object in state.json"):
        opened(tmp_path)
    (tmp_path / "state.json").write_text("{")
    with pytest.raises(DataError, match=r"state.json is not readable as JSON"):
        opened(tmp_path)


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_archives_are_read_in_place(tmp_path, compression):
    write(tmp_path / "train.parquet", rows(0, 9), row_group_size=4)
    write_arrow(tmp_path / "data.arrow", rows(0, 9))
    for name in ("train.parquet", "data.arrow"):
        with zipfile.ZipFile(tmp_path / "d.zip", "w", compression) as archive:
            archive.write(tmp_path / name, f"top/{name}")
        data = opened(tmp_path / "d.zip")
        assert [shade(data, i) for i in (8, 0, 4)] == [8, 0, 4]
        assert data.files == ()


def test_addresses_are_read_in_place(tmp_path):
    import fsspec

    memory = fsspec.filesystem("memory")
    for name, n in {"train": 9, "test": 4}.items():
        memory.pipe(
            f"/columnar/data/{name}.parquet",
            write(tmp_path / f"{name}.parquet", rows(0, n), row_group_size=4).read_bytes(),
        )
    memory.pipe("/columnar2/d.arrow", write_arrow(tmp_path / "d.arrow", rows(0, 5)).read_bytes())
    tree = RemoteTree("memory://columnar")
    data = assemble(read_columnar(tree, list(tree.names()), Options()), Options())
    assert [shade(data, i) for i in (8, 0, 4)] == [8, 0, 4]
    assert dict(data.plan.splits) == {"train": 9, "test": 4}  # type: ignore[union-attr]
    tree = RemoteTree("memory://columnar2")
    assert shade(assemble(read_columnar(tree, ["d.arrow"], Options()), Options()), 3) == 3


@pytest.mark.parametrize("end", ["parquet", "arrow"])
def test_files_with_damaged_bytes_raise_nothing_else(tmp_path, end):
    path = tmp_path / f"d.{end}"
    table = rows(0, 12, boxes=pa.array([[1, 2]] * 12), site=pa.array(["x"] * 12))
    write(path, table, row_group_size=5) if end == "parquet" else write_arrow(path, table)
    whole, rng = path.read_bytes(), np.random.default_rng(0)
    reasons = []
    for _ in range(60):
        content = bytearray(whole)
        for place in rng.integers(0, len(whole), rng.integers(1, 9)):
            content[place] = rng.integers(256)
        path.write_bytes(content)
        try:
            images = opened(path).images
            for i in range(12):
                images.source(i)  # type: ignore[union-attr]
        except DataError as error:
            reasons.append(str(error))
    assert len(reasons) > 10
    assert all(f"d.{end}" in reason for reason in reasons)
