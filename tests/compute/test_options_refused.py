"""Options that can mean nothing for the data are refused, with what to do instead."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lsi.compute import pipeline
from lsi.config import DataSettings, FeatureSettings, Settings
from lsi.data import load
from lsi.errors import UsageError
from tests.data.trees import plant

FEATURES = np.random.default_rng(0).normal(size=(12, 4)).astype(np.float32)
LABELS = np.arange(12) % 3
WITHOUT_PIXELS = {
    "features": ("d.npz", r"d holds ready-made features, so {} can mean nothing: leave (it|them) out\."),
    "features beside images": ("d.parquet", r"holds ready-made features, so {} .* or name a --backbone that reads the"),
    "text": ("d.csv", r"These data are text, so {} can mean nothing: leave (it|them) out\."),
}


def data(folder: Path, name: str) -> Path:
    if name == "d.npz":
        np.savez(folder / name, features=FEATURES, labels=LABELS)
    elif name == "d.csv":
        rows = "".join(f"some words {i},{'abc'[i % 3]}\n" for i in range(12))
        (folder / name).write_text(f"text,label\n{rows}")
    else:
        files = sorted(plant(folder / "images", [f"{i}.png" for i in range(12)]).glob("*.png"))
        images = [{"bytes": path.read_bytes(), "path": None} for path in files]
        table = {"image": images, "label": LABELS.tolist(), "features": FEATURES.tolist()}
        pq.write_table(pa.table(table), folder / name)
    return folder / name


@pytest.mark.parametrize(("name", "message"), WITHOUT_PIXELS.values(), ids=WITHOUT_PIXELS)
@pytest.mark.parametrize(
    ("options", "named"),
    [({"image_size": 64}, "--image-size"), ({"mean": (0.5,), "std": (0.5,)}, "--mean and --std")],
)
def test_options_for_pixels_are_refused_where_none_are_read(tmp_path, name, message, options: dict[str, Any], named):
    settings = Settings(DataSettings(data=data(tmp_path, name)), features=FeatureSettings(**options))
    with pytest.raises(UsageError, match=message.format(named)):
        pipeline.run(settings, tmp_path / "cache")


def test_components_of_features_that_stay_as_they_are_are_refused(tmp_path):
    of = DataSettings(data=data(tmp_path, "d.npz"))
    with pytest.raises(UsageError, match=r"--pca 2 keeps components of standardised features, .* --no-standardise"):
        pipeline.run(Settings(of, features=FeatureSettings(standardise=False, pca=2)), tmp_path / "cache")
    run = pipeline.run(Settings(of, features=FeatureSettings(standardise=False)), tmp_path / "cache")
    assert run.manifest["features"]["n_features"] == 4


@pytest.mark.parametrize("name", ["d.npz", "d.parquet", "d.csv", "d{0..1}.tar"])
def test_boxes_are_refused_where_there_can_be_none(tmp_path, name):
    path = tmp_path / name if name.endswith("tar") else data(tmp_path, name)
    with pytest.raises(UsageError, match=r"--boxes: expected .* such as a folder or an archive.*leave --boxes out"):
        load(DataSettings(data=path, boxes=True), tmp_path)


def test_boxes_of_an_example_are_refused(tmp_path):
    with pytest.raises(UsageError, match="--boxes: digits has no boxes: leave --boxes out, or give --data"):
        load(DataSettings(dataset="digits", boxes=True), tmp_path)
