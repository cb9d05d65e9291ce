"""The datasets that come with packages."""

from pathlib import Path

import numpy as np

import lsi.data
from lsi.config import EMBEDDED, DataSettings
from lsi.data.sources import embedded


def test_clothes_are_two_thousand_images_of_ten_classes_with_their_licence():
    dataset = lsi.data.load(DataSettings(dataset="fashion"), Path("none"))
    assert len(dataset) == 2_000
    assert np.bincount(dataset.labels).tolist() == [200] * 10
    assert "Ankle boot" in dataset.class_names
    assert dataset.images is not None
    images = [np.asarray(dataset.images.read(i)) for i in range(0, 2_000, 100)]
    assert {image.shape for image in images} == {(28, 28, 3)}
    assert min(image.max() for image in images) > 100
    assert dataset.plan is not None
    assert "Fashion-MNIST" in dataset.plan.lines()[0]
    licence = Path(lsi.data.__file__).parent / "embedded" / "fashion-mnist.LICENSE"
    assert "The MIT License (MIT)" in licence.read_text(encoding="utf-8")


def test_every_embedded_dataset_is_known_to_the_settings():
    assert sorted(embedded.EMBEDDED) == sorted(EMBEDDED)
