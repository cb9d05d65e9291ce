"""Images that could not be read are read once what reads them is installed, and the others are not read again."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from lsi.compute.raw_features import Pictures, Where, extracted
from lsi.config import FeatureSettings
from lsi.data import formats
from lsi.data.images import HEIC_SUFFIXES, FileImages
from lsi.progress import Progress
from lsi.runs.store import Store


@pytest.fixture
def paths(tmp_path) -> list[Path]:
    """Three images, of which the last needs a reader of its own."""
    heif = pytest.importorskip("pillow_heif")
    rng = np.random.default_rng(0)
    names = [tmp_path / name for name in ("0.png", "1.png", "2.heic")]
    for name in names:
        image = Image.fromarray(rng.integers(0, 256, (16, 16, 3), dtype=np.uint8))
        if name.suffix == ".png":
            image.save(name)
        else:
            heif.from_pillow(image).save(name)
    return names


def test_a_reader_that_is_installed_later_reads_what_failed(paths, tmp_path, monkeypatch, embedded):
    images = FileImages(paths)
    pictures = Pictures(images, "mark", (tuple(images.checksum(i) for i in range(3)), None))
    where = Where(torch.device("cpu"), Store(tmp_path / "cache"), Progress())
    how = FeatureSettings(backbone="pixels")
    with monkeypatch.context() as without:
        without.setattr(formats, "register_heic", lambda: False)
        without.setattr(formats, "SUFFIXES", formats.SUFFIXES - HEIC_SUFFIXES)
        assert list(extracted(pictures, how, where).skipped) == [2]
        embedded.clear()
        assert list(extracted(pictures, how, where).skipped) == [2]
        assert embedded == []
    found = extracted(pictures, how, where)
    assert found.skipped == {}
    assert sum(embedded) == 1
    assert np.abs(found.values[2]).sum() > 0
