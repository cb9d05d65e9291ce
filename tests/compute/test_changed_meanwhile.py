"""Images that change while a run is computed or after it, and images that a run reads as it read others."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from lsi.compute import pipeline
from lsi.config import DataSettings, FeatureSettings, NoiseSettings, Settings
from lsi.data.sources.references import Resolver
from lsi.data.trees import LocalTree
from lsi.errors import DataError, UsageError
from lsi.features.extract import Embedding
from lsi.features.views import ViewedImages
from lsi.runs.run import Run


def picture(path: Path, shade: int, size: int = 12) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(shade).integers(0, 255, (size, size, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def folders(root: Path, n: int = 12) -> Path:
    for i in range(n):
        picture(root / "ab"[i % 2] / f"{i:02d}.png", i)
    return root


def computed(tmp_path: Path, features: FeatureSettings | None = None, **data) -> Run:
    return pipeline.run(Settings(DataSettings(**data), features=features or FeatureSettings("pixels")), tmp_path / "c")


def test_an_image_that_changes_while_features_are_computed_is_named(tmp_path, monkeypatch):
    root = folders(tmp_path / "d")
    read = Embedding.read

    def slow(self: Embedding, image: Image.Image):
        picture(root / "a" / "00.png", 99, 13)
        return read(self, image)

    monkeypatch.setattr(Embedding, "read", slow)
    with pytest.raises(DataError, match=r"1 image changed while features were computed, such as .*00\.png"):
        computed(tmp_path, data=root)
    monkeypatch.setattr(Embedding, "read", read)
    assert computed(tmp_path, data=root).images.changes() == {}


def test_an_image_that_changes_while_its_second_view_is_read_is_named(tmp_path, monkeypatch):
    root = folders(tmp_path / "d")
    read = ViewedImages.read

    def slow(self: ViewedImages, index: int):
        picture(root / "a" / "00.png", 99, 13)
        return read(self, index)

    monkeypatch.setattr(ViewedImages, "read", slow)
    with pytest.raises(DataError, match=r"1 image changed while features were computed, such as .*00\.png"):
        computed(tmp_path, data=root, task="self")
    monkeypatch.setattr(ViewedImages, "read", read)
    assert computed(tmp_path, data=root, task="self").images.changes() == {}


def test_a_photograph_that_changed_is_found_for_each_of_its_boxes(tmp_path):
    root = tmp_path / "d"
    for i in range(4):
        picture(root / f"{i}.png", i, 40)
    boxes = [{"id": 4 * i + j, "image_id": i, "category_id": j % 2, "bbox": [8 * j, 4, 8, 8]}
             for i in range(4) for j in range(4)]  # fmt: skip
    content = {"images": [{"id": i, "file_name": f"{i}.png", "width": 40, "height": 40} for i in range(4)],
               "annotations": boxes, "categories": [{"id": 0, "name": "a"}, {"id": 1, "name": "b"}]}  # fmt: skip
    (root / "annotations.json").write_text(json.dumps(content))
    run = computed(tmp_path, data=root / "annotations.json", boxes=True)
    images = Run(run.folder).images
    assert images is not None
    assert len(images) == 16
    assert images.changes() == {}
    images.read(0)
    picture(root / "0.png", 50, 40)
    assert sorted(images.changes()) == [i for i in range(16) if images.name(i).startswith("0.png")]
    with pytest.raises(DataError, match="changed"):
        images.read(1)


def test_images_without_a_label_in_a_shared_file_are_shown(tmp_path):
    files = [picture(tmp_path / "p" / f"{i}.png", i) for i in range(12)]
    struct = pa.array([{"bytes": f.read_bytes(), "path": f.name} for f in files])
    labels = [None if i % 4 == 3 else "ab"[i % 2] for i in range(12)]
    pq.write_table(pa.table({"image": struct, "label": labels}), tmp_path / "d.parquet")
    run = computed(tmp_path, data=tmp_path / "d.parquet")
    images = Run(run.folder).images
    assert images is not None
    n = len(run.scores)
    for j, row in enumerate(run.unlabelled["index"]):
        np.testing.assert_array_equal(np.asarray(images.read(n + j)), np.asarray(Image.open(files[row])))


def test_samples_without_a_label_are_read_as_the_others_were(tmp_path, monkeypatch):
    """They are larger, and would be read at another size on their own."""
    root = tmp_path / "d"
    rows = [
        (picture(root / f"{i}.png", i, 12 if i < 12 else 30).name, "ab"[i % 2] if i < 12 else "") for i in range(16)
    ]
    pd.DataFrame(rows, columns=["file", "label"]).to_csv(root / "m.csv", index=False)
    seen = []
    monkeypatch.setattr(pipeline, "raw_features", spy(pipeline.raw_features, seen))
    computed(tmp_path, data=root / "m.csv")
    assert len(seen) >= 2
    assert {raw.facts["image_size"] for raw in seen} == {12}


def spy(function, seen: list):
    def called(*args, **kwargs):
        seen.append(function(*args, **kwargs))
        return seen[-1]

    return called


def test_a_backbone_that_is_named_reads_the_images_beside_features(tmp_path):
    files = [picture(tmp_path / "p" / f"{i}.png", i) for i in range(12)]
    struct = pa.array([{"bytes": f.read_bytes(), "path": f.name} for f in files])
    vectors = [[float(i), float(i % 3)] for i in range(12)]
    table = pa.table({"image": struct, "embedding": vectors, "label": ["ab"[i % 2] for i in range(12)]})
    pq.write_table(table, tmp_path / "d.parquet")
    pq.write_table(table.drop_columns(["image"]), tmp_path / "e.parquet")
    for how, expected in (("auto", "given"), ("pixels", "pixels")):
        run = computed(tmp_path, FeatureSettings(how), data=tmp_path / "d.parquet")
        assert run.manifest["features"]["backbone"] == expected
    alone = pipeline.run(Settings(DataSettings(data=tmp_path / "d.parquet", task="self")), tmp_path / "c")
    assert alone.manifest["features"]["n_features"] == 1, "one half of the features predicts the other"
    with pytest.raises(UsageError, match="ready-made features and no images"):
        computed(tmp_path, data=tmp_path / "e.parquet")
    noise = NoiseSettings(corrupt_data=0.5, corrupt_data_label=(0,))
    with pytest.raises(UsageError, match="do not see it"):
        pipeline.run(Settings(DataSettings(data=tmp_path / "d.parquet"), noise), tmp_path / "c")


def test_the_last_rows_of_a_long_table_are_looked_for_in_other_folders(tmp_path):
    """So few that no sample of the rows shows them."""
    n, late = 5_000, 3
    for i in range(n):
        folder = tmp_path / ("part1" if i < n - late else "part2")
        folder.mkdir(exist_ok=True)
        (folder / f"{i}.png").touch()
    (tmp_path / "t.csv").touch()
    found = Resolver(LocalTree(tmp_path), "t.csv").resolve([f"{i}.png" for i in range(n)] + ["gone.png"], "file")
    assert found.names[-2] == f"part2/{n - 1}.png"
    assert found.n_missing == 1
    assert found.first_missing.endswith("gone.png")


def test_images_in_another_place_are_computed_as_another_run_that_finds_them(tmp_path):
    root = tmp_path / "d"
    names = [picture(root / "images" / f"{i}.png", i).name for i in range(12)]
    pd.DataFrame({"filename": names, "label": list("ab") * 6}).to_csv(root / "labels.csv", index=False)
    before = computed(tmp_path, data=root)
    assert computed(tmp_path, data=root).name == before.name
    (root / "images").rename(root / "pictures")
    after = computed(tmp_path, data=root)
    assert after.name != before.name
    assert after.images.changes() == {}
    assert after.scores["id"].tolist() == before.scores["id"].tolist() == names


def test_rows_of_another_split_that_came_count_in_the_length_of_the_source(tmp_path):
    data = tmp_path / "data.csv"
    files = [picture(tmp_path / "images" / f"{i}.png", i) for i in range(15)]
    rows = pd.DataFrame(
        {"id": range(15), "path": files, "label": [*"ab" * 7, "a"], "split": ["train"] * 12 + ["test"] * 3}
    )
    lengths = []
    for n in (12, 15):
        rows[:n].to_csv(data, index=False)
        lengths.append(computed(tmp_path, data=data, id_column="id").manifest["dataset"]["plan"]["source_length"])
    assert lengths == [12, 15]
