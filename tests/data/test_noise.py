from pathlib import Path

import numpy as np
import pytest
import torch

from lsi.data.noise import NoisyImages, flip_labels, human_labels, pixel_deviation
from lsi.errors import DataError, UsageError
from tests.features.images import photos


def test_flipped_labels_are_the_share_asked_for_and_seeded():
    labels = np.arange(1000) % 10
    flipped = flip_labels(labels, 10, 0.2, seed=1)
    assert (flipped != labels).sum() == 200
    assert flipped.min() == 0
    assert flipped.max() == 9
    np.testing.assert_array_equal(flipped, flip_labels(labels, 10, 0.2, seed=1))
    assert (flipped != flip_labels(labels, 10, 0.2, seed=2)).any()


def test_noise_is_on_the_chosen_images_only_and_the_same_at_every_reading():
    images = photos(40)
    noisy = NoisyImages(images, np.arange(40) < 20, 0.5 * pixel_deviation(images, seed=3), seed=3)
    clean = np.stack([np.asarray(images.read(i), float) for i in range(40)])
    noisy_pixels = np.stack([np.asarray(noisy.read(i), float) for i in range(40)])
    np.testing.assert_array_equal(noisy_pixels[20:], clean[20:])
    inner = (clean[:20] > 100) & (clean[:20] < 155)  # away from where clipping bites
    assert (noisy_pixels[:20] - clean[:20])[inner].std() == pytest.approx(0.5 * clean.std(), rel=0.1)
    np.testing.assert_array_equal(np.asarray(noisy.read(2)), noisy_pixels[2])


def test_human_labels_are_read_from_the_published_file(tmp_path):
    labels = np.arange(12) % 10
    torch.save({"aggre_label": labels, "clean_label": labels}, tmp_path / "CIFAR-10_human.pt")
    np.testing.assert_array_equal(human_labels("cifar10", tmp_path, 12), labels)
    with pytest.raises(DataError, match="expected 50 labels"):
        human_labels("cifar10", tmp_path, 50)
    with pytest.raises(DataError, match=r"Expected the published file CIFAR-100_human\.pt"):
        human_labels("cifar100", tmp_path, 50)
    with pytest.raises(UsageError, match="not for digits"):
        human_labels("digits", tmp_path, 50)


class _Evil:
    def __reduce__(self):
        return (eval, ("__import__('pathlib').Path('/tmp/lsi-was-here').touch()",))


def test_code_in_a_label_file_is_refused_and_not_run(tmp_path):
    torch.save({"aggre_label": _Evil()}, tmp_path / "CIFAR-10_human.pt")
    with pytest.raises(DataError, match="without executing code"):
        human_labels("cifar10", tmp_path, 12)
    assert not Path("/tmp/lsi-was-here").exists()
