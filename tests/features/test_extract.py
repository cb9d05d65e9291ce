import sys

import numpy as np
import pytest
import torch

from lsi.data.images import ArrayImages
from lsi.errors import DataError
from lsi.features import FEATURES_VERSION, extract, load_backbone, plan
from lsi.progress import Progress
from tests.features.images import Broken, photos

CPU = torch.device("cpu")


def test_features_have_a_version():
    assert isinstance(FEATURES_VERSION, int)


def test_pixels_of_grey_images_have_one_channel(tmp_path):
    values = np.random.default_rng(0).integers(0, 256, (5, 8, 8), dtype=np.uint8)
    images = ArrayImages(values)
    how = plan(images, load_backbone("pixels"), None, 2)
    assert extract(images, how, tmp_path, CPU, Progress()) == {}
    np.testing.assert_allclose(np.load(tmp_path / "features.npy"), values.reshape(5, 64) / 255, rtol=1e-6)


def test_images_that_cannot_be_read_are_reported_with_their_reason(tmp_path):
    images = Broken(photos(10), bad=(0, 7))
    how = plan(images, load_backbone("pixels"), 8, 4)
    assert extract(images, how, tmp_path, CPU, Progress()) == {0: "0.png: not an image", 7: "7.png: not an image"}
    features = np.load(tmp_path / "features.npy")
    assert not features[[0, 7]].any()
    assert features[[1, 6, 8, 9]].any(axis=1).all()


def test_nothing_readable_is_an_error():
    with pytest.raises(DataError, match="None of the images could be read"):
        plan(Broken(photos(3), bad=range(3)), load_backbone("pixels"), None, 2)


def test_an_interrupted_extraction_goes_on_where_it_stopped(tmp_path, monkeypatch):
    monkeypatch.setattr(sys.modules["lsi.features.extract"], "_SAVE_SECONDS", -1)
    images, backbone = photos(20), load_backbone("pixels")
    how = plan(images, backbone, 8, 4)
    with pytest.raises(KeyboardInterrupt):
        extract(Broken(images, bad=(1,), stop=13), how, tmp_path, CPU, Progress())
    seen = []
    progress = Progress([lambda s: seen.append(s.done)])
    failures = extract(Broken(images, bad=range(8)), how, tmp_path, CPU, progress)
    assert seen[0] >= 4
    assert failures == {1: "1.png: not an image"}
    other = tmp_path / "whole"
    other.mkdir()
    extract(Broken(images, bad=(1,)), how, other, CPU, Progress())
    np.testing.assert_array_equal(np.load(tmp_path / "features.npy"), np.load(other / "features.npy"))
