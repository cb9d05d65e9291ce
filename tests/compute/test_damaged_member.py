"""One member of an archive that cannot be unpacked is left out and named, and the others are computed."""

import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lsi.compute import pipeline
from lsi.config import DataSettings, FeatureSettings, Settings
from lsi.data import load
from lsi.data.pixels import measure
from lsi.errors import DataError


@pytest.fixture
def archive(tmp_path) -> Path:
    """A zip of two classes of ten images, of which one no longer has its checksum."""
    rng = np.random.default_rng(0)
    with zipfile.ZipFile(tmp_path / "pets.zip", "w") as target:
        for i in range(20):
            picture = Image.fromarray(rng.integers(0, 256, (10, 10, 3), dtype=np.uint8))
            picture.save(tmp_path / "one.png")
            target.write(tmp_path / "one.png", f"{'cat' if i % 2 else 'dog'}/{i}.png")
    data = bytearray((tmp_path / "pets.zip").read_bytes())
    start = data.index(b"IDAT", data.index(b"cat/3.png"))
    data[start + 8 : start + 12] = bytes(value ^ 255 for value in data[start + 8 : start + 12])
    (tmp_path / "pets.zip").write_bytes(data)
    return tmp_path / "pets.zip"


def test_the_survey_goes_on_behind_a_damaged_member(archive):
    images = load(DataSettings(data=archive), archive.parent).images
    assert images is not None
    assert measure(images).n_images == 20


def test_a_run_leaves_a_damaged_member_out(archive, tmp_path):
    settings = Settings(DataSettings(data=archive), features=FeatureSettings(backbone="pixels"))
    run = pipeline.run(settings, tmp_path / "cache")
    assert len(run.scores) == 19
    (skipped,) = run.manifest["dataset"]["skipped"]
    assert skipped["id"] == "cat/3.png"
    assert "its size or checksum is wrong" in skipped["reason"]
    failing = Settings(DataSettings(data=archive, on_error="fail"), features=FeatureSettings(backbone="pixels"))
    with pytest.raises(DataError, match=r"1 of 20 images could not be read; the first: .*cat/3\.png"):
        pipeline.run(failing, tmp_path / "cache")
