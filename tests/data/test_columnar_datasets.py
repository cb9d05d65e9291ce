"""Rows of Parquet and Arrow folders are those that the `datasets` package reads."""

import io
import json
import random
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from lsi.data import Dataset
from lsi.data.sources.columnar import COLUMNAR, read_columnar
from lsi.data.sources.samples import Options, assemble
from lsi.data.trees import LocalTree

NAMES = ["cat", "dog", "owl", "emu"]
# names of the shards of a split: in one folder, in folders of their own, by words in the names
LAYOUTS = (
    "data/{split}-{i:05d}-of-{n:05d}.parquet",
    "data/{split}-{i:05d}-of-{n:05d}-0a1b2c3d.parquet",
    "{split}/{i:04d}.parquet",
    "default/{split}/{i:04d}.parquet",
    "default/partial-{split}/{i:04d}.parquet",
    "plain_text/{split}-{i:05d}-of-{n:05d}.parquet",
    "{split}/part-{i:05d}-of-{n:05d}.parquet",
    "{split}/deep/{i}/rows.parquet",
    "{split}.{i}.parquet",
    "my_{split}_{i}.parquet",
    "images-{split}-{i}.parquet",
)


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    """The package, with everything that it writes in a folder of the test."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_HUB_OFFLINE", "1")
        patch.setenv("HF_HOME", str(tmp_path_factory.mktemp("hub")))
        import datasets

        datasets.disable_progress_bars()
        yield datasets


def table(rng: random.Random, first: int, n: int, has_images: bool) -> pa.Table:
    labels = [rng.choice([*range(len(NAMES)), -1, None]) for _ in range(n)]
    features = {"label": {"_type": "ClassLabel", "names": NAMES}, "text": {"_type": "Value", "dtype": "string"}}
    columns = {"label": pa.array(labels, pa.int64()), "text": pa.array([f"row {first + i}" for i in range(n)])}
    if has_images:
        features["image"] = {"_type": "Image"}
        images = [{"bytes": png(first + i), "path": f"{first + i}.png"} for i in range(n)]
        columns["image"] = pa.array(images, pa.struct([("bytes", pa.binary()), ("path", pa.string())]))
    metadata = {"huggingface": json.dumps({"info": {"features": features}})}
    return pa.table(columns).replace_schema_metadata(metadata)


def png(number: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (2, 2), (number % 256, number // 256, 3)).save(buffer, "PNG")
    return buffer.getvalue()


def ours(folder: Path, split: str) -> Dataset:
    tree, options = LocalTree(folder), Options(split)
    return assemble(read_columnar(tree, [n for n in tree.names() if n.endswith(COLUMNAR)], options), options)


def check(data: Dataset, theirs, has_images: bool) -> None:
    """Compare every row: where it stands, its label by name, its content; rows without a label stand apart."""
    assert data.plan is not None
    assert data.plan.source_length == len(theirs)
    rows = {}
    for part in (data, data.unlabelled):
        for i in range(0 if part is None else len(part)):
            name = part.class_names[part.labels[i]] if part.is_labelled else None
            image = part.images.source(i) if part.images is not None else None
            rows[int(part.source_index[i])] = (name, part.text[i], image, part.ids[i])
    assert sorted(rows) == list(range(len(theirs)))
    for i, row in enumerate(theirs):
        label = None if row["label"] in (None, -1) else NAMES[row["label"]]
        image = row["image"] if has_images else None
        name = f"{i:06d}/{image['path']}" if image else f"{i:06d}"
        assert rows[i] == (label, row["text"], image and image["bytes"], name)


@pytest.mark.parametrize("seed", range(16))
def test_rows_of_hub_layouts_are_those_of_load_dataset(tmp_path, hub, seed):
    rng = random.Random(seed)
    layout = LAYOUTS[seed % len(LAYOUTS)]
    has_images = rng.random() < 0.6
    first = 0
    splits = rng.sample(["train", "validation", "test"], rng.randint(1, 3))
    for split in splits:
        n_shards = rng.randint(1, 12 if seed % 4 == 0 else 3)
        for i in range(n_shards):
            path = tmp_path / "repo" / layout.format(split=split, i=i, n=n_shards)
            path.parent.mkdir(parents=True, exist_ok=True)
            n = rng.randint(1 if i else 2, 6)  # `datasets` stumbles over shards without rows
            pq.write_table(table(rng, first, n, has_images), path, row_group_size=rng.randint(1, 4))
            first += n
    for split in splits:
        theirs = hub.load_dataset(str(tmp_path / "repo"), split=split, cache_dir=str(tmp_path / "cache"))
        theirs = theirs.cast_column("image", hub.Image(decode=False)) if has_images else theirs
        check(ours(tmp_path / "repo", split), theirs, has_images)


@pytest.mark.parametrize("seed", range(4))
def test_rows_of_saved_folders_are_those_of_load_from_disk(tmp_path, hub, seed):
    rng = random.Random(seed)
    has_images = seed % 2 == 0
    parts = {}
    for k, split in enumerate(("train", "test")):
        part = hub.Dataset(table(rng, 50 * k, rng.randint(9, 30), has_images))
        parts[split] = part.shuffle(seed=seed) if seed > 1 else part
    hub.DatasetDict(parts).save_to_disk(tmp_path / "saved", num_shards={"train": 3, "test": 1})
    for split in parts:
        theirs = hub.load_from_disk(tmp_path / "saved")[split]
        theirs = theirs.cast_column("image", hub.Image(decode=False)) if has_images else theirs
        check(ours(tmp_path / "saved", split), theirs, has_images)
        check(ours(tmp_path / "saved" / split, "train"), theirs, has_images)


def test_the_cache_of_load_dataset_is_read_as_it_lies(tmp_path, hub):
    rng = random.Random(0)
    for split in ("train", "test"):
        pq.write_table(table(rng, 0, 9, True), tmp_path / f"{split}.parquet")
    files = {split: str(tmp_path / f"{split}.parquet") for split in ("train", "test")}
    theirs = hub.load_dataset("parquet", data_files=files, cache_dir=str(tmp_path / "cache"))
    theirs["train"].map(lambda row: row).filter(lambda row: row["label"] != 0)
    folder = Path(theirs["train"].cache_files[0]["filename"]).parent
    for split in files:
        data = ours(folder, split)
        check(data, theirs[split].cast_column("image", hub.Image(decode=False)), True)
        assert any("cached Arrow file" in line for line in data.plan.lines())  # type: ignore[union-attr]


def test_kept_rows_select_the_same_images_in_datasets(tmp_path, hub):
    pq.write_table(table(random.Random(3), 0, 40, True), tmp_path / "train.parquet", row_group_size=7)
    theirs = hub.load_dataset(str(tmp_path), split="train", cache_dir=str(tmp_path / "cache"))
    data = ours(tmp_path, "train").take(np.array([3, 1, 8]))
    selected = theirs.cast_column("image", hub.Image(decode=False)).select(data.source_index.tolist())
    assert [row["image"]["bytes"] for row in selected] == [data.images.source(i) for i in range(3)]  # type: ignore[union-attr]
