import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

from lsi.data.images import ArrayImages
from lsi.errors import DataError
from lsi.features import FEATURES_VERSION, MEASURES, extract, load_backbone, measure, measure_images, plan
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


def test_images_are_measured_as_they_are_before_they_are_resized(tmp_path):
    images = Broken(photos(10), bad=(3,))
    how = plan(images, load_backbone("pixels"), 8, 4)
    extract(images, how, tmp_path, CPU, Progress())
    quality = np.load(tmp_path / "quality.npy")
    assert quality.shape == (10, len(MEASURES))
    assert np.isnan(quality[3]).all()
    for i in (0, 4, 9):
        np.testing.assert_array_equal(quality[i], measure(images.read(i)))
    assert (np.delete(quality, 3, axis=0)[:, MEASURES.index("width")] == 32).all()


def test_measuring_changes_no_feature_and_can_be_left_out(tmp_path):
    images = photos(10)
    how = plan(images, load_backbone("pixels"), 8, 4)
    for name, is_measured in (("with", True), ("without", False)):
        (tmp_path / name).mkdir()
        extract(images, replace(how, is_measured=is_measured), tmp_path / name, CPU, Progress())
    assert sorted(p.name for p in (tmp_path / "without").iterdir()) == ["features.npy"]
    features = [np.load(tmp_path / name / "features.npy") for name in ("with", "without")]
    np.testing.assert_array_equal(*features)


def extracted_with(images, folder, progress) -> dict[int, str]:
    return extract(images, plan(photos(20), load_backbone("pixels"), 8, 4), folder, CPU, progress)


@pytest.mark.parametrize(
    ("work", "names"),
    [(extracted_with, ["features", "quality"]), (measure_images, ["quality"])],
    ids=["extract", "measure"],
)
def test_interrupted_work_goes_on_where_it_stopped(tmp_path, monkeypatch, work, names):
    monkeypatch.setattr(sys.modules["lsi.features.growing"], "_SAVE_SECONDS", -1)
    monkeypatch.setattr(sys.modules["lsi.features.extract"], "_MEASURED_AT_ONCE", 4)
    images = photos(20)
    with pytest.raises(KeyboardInterrupt):
        work(Broken(images, bad=(1,), stop=13), tmp_path, Progress())
    assert not (tmp_path / "quality.npy").exists()
    seen = []
    progress = Progress([lambda s: seen.append(s.done)])
    failures = work(Broken(images, bad=range(8)), tmp_path, progress)
    assert seen[0] >= 8
    assert failures == {1: "1.png: not an image"}
    other = tmp_path / "whole"
    other.mkdir()
    work(Broken(images, bad=(1,)), other, Progress())
    assert sorted(p.name for p in other.iterdir()) == [f"{name}.npy" for name in names]
    for name in names:
        np.testing.assert_array_equal(np.load(tmp_path / f"{name}.npy"), np.load(other / f"{name}.npy"))


def test_work_begins_anew_where_what_was_left_does_not_fit(tmp_path, monkeypatch):
    monkeypatch.setattr(sys.modules["lsi.features.growing"], "_SAVE_SECONDS", -1)
    with pytest.raises(KeyboardInterrupt):
        extracted_with(Broken(photos(20), stop=13), tmp_path, Progress())
    (tmp_path / "partial_quality.npy").unlink()
    seen = []
    extracted_with(photos(20), tmp_path, Progress([lambda s: seen.append(s.done)]))
    assert seen[0] == 0
    assert np.isfinite(np.load(tmp_path / "quality.npy")).all()
