"""EfficientNet-Lite up to its pooled features, as plain PyTorch layers.

Source: Tan and Le, EfficientNet, ICML 2019, in the Lite variant that Google published in 2020: no squeeze and
excitation, ReLU6 for swish, and a stem and a head of fixed width. The padding is TensorFlow's "same" for images of an
even size at every stage: where a layer halves the image, the odd pixel of padding goes to the right and to the bottom.
"""

import math
from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn

_BATCH_NORM_EPS = 1e-3
_STEM_WIDTH, _HEAD_WIDTH = 32, 1280


class _Stage(NamedTuple):
    """A row of the published table: blocks of the same kind, of which the first may change width and resolution."""

    repeats: int
    kernel: int
    stride: int
    expansion: int
    width: int


_STAGES = (
    _Stage(1, 3, 1, 1, 16),
    _Stage(2, 3, 2, 6, 24),
    _Stage(2, 5, 2, 6, 40),
    _Stage(3, 3, 2, 6, 80),
    _Stage(3, 5, 1, 6, 112),
    _Stage(4, 5, 2, 6, 192),
    _Stage(1, 3, 1, 6, 320),
)


def efficientnet_lite(weights: Mapping[str, Tensor], width: float = 1.0, depth: float = 1.0) -> nn.Sequential:
    """Return stem, blocks, head and pooling: (b, 3, size, size) floats to (b, 1280), the size divisible by 32.

    Args:
        weights: the published checkpoint, from names such as `_blocks.3._depthwise_conv.weight` to tensors. Those of
            the classifier, `_fc`, are not used.
        width: by which the channels of the stages are multiplied: 1.0 for Lite0 and Lite1, 1.1 for Lite2.
        depth: by which the repeats of the stages are: 1.0, 1.1 and 1.2.

    Raises:
        KeyError: the checkpoint lacks a layer.
        RuntimeError: a layer of the checkpoint has another shape.
    """
    layers = _Layers(weights)
    parts: list[nn.Module] = [
        nn.Sequential(*layers.convolution("_conv_stem", 3, _STEM_WIDTH, 3, stride=2),
                      layers.batch_norm("_bn0", _STEM_WIDTH), nn.ReLU6(inplace=True))
    ]  # fmt: skip
    inputs = _STEM_WIDTH
    for stage in _scaled(width, depth):
        for repeat in range(stage.repeats):
            stride = stage.stride if repeat == 0 else 1
            parts.append(_Block(layers, len(parts) - 1, inputs, stage._replace(stride=stride)))
            inputs = stage.width
    parts.append(
        nn.Sequential(*layers.convolution("_conv_head", inputs, _HEAD_WIDTH, 1),
                      layers.batch_norm("_bn1", _HEAD_WIDTH), nn.ReLU6(inplace=True))
    )  # fmt: skip
    return nn.Sequential(*parts, _Pool())


def _scaled(width: float, depth: float) -> tuple[_Stage, ...]:
    """Return the stages of a larger network: channels in eights, repeats rounded up except in the first and last."""
    last = len(_STAGES) - 1
    return tuple(
        stage._replace(
            repeats=stage.repeats if i in (0, last) else math.ceil(depth * stage.repeats),
            width=stage.width if width == 1 else _in_eights(width * stage.width),
        )
        for i, stage in enumerate(_STAGES)
    )


def _in_eights(width: float) -> int:
    rounded = max(8, int(width + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * width else rounded


class _Layers:
    """Makes layers with their weights from a checkpoint."""

    def __init__(self, weights: Mapping[str, Tensor]) -> None:
        self.weights = weights

    def convolution(
        self, name: str, inputs: int, outputs: int, kernel: int, *, stride: int = 1, depthwise: bool = False
    ) -> list[nn.Module]:
        """Return a convolution, after a padding of its own where "same" is not symmetric."""
        padding = kernel - stride  # of an even size; an odd kernel keeps it, or halves it with a stride of two
        layer = nn.Conv2d(
            inputs,
            outputs,
            kernel,
            stride,
            padding=padding // 2 if padding % 2 == 0 else 0,
            groups=inputs if depthwise else 1,
            bias=False,
        )
        self._load(layer, name)
        before, after = padding // 2, padding - padding // 2
        return [layer] if before == after else [nn.ZeroPad2d((before, after, before, after)), layer]

    def batch_norm(self, name: str, width: int) -> nn.Module:
        """Return a batch normalisation."""
        layer = nn.BatchNorm2d(width, eps=_BATCH_NORM_EPS)
        self._load(layer, name)
        return layer

    def _load(self, layer: nn.Module, name: str) -> None:
        layer.load_state_dict({key: self.weights[f"{name}.{key}"] for key in layer.state_dict()})


class _Block(nn.Module):
    """A mobile inverted bottleneck (Sandler et al. 2018): expand, filter each channel, project, add the input."""

    def __init__(self, layers: _Layers, index: int, inputs: int, stage: _Stage) -> None:
        super().__init__()
        name, wide = f"_blocks.{index}", inputs * stage.expansion
        parts: list[nn.Module] = []
        if stage.expansion != 1:
            parts += layers.convolution(f"{name}._expand_conv", inputs, wide, 1)
            parts += [layers.batch_norm(f"{name}._bn0", wide), nn.ReLU6(inplace=True)]
        depthwise = f"{name}._depthwise_conv"
        parts += layers.convolution(depthwise, wide, wide, stage.kernel, stride=stage.stride, depthwise=True)
        parts += [layers.batch_norm(f"{name}._bn1", wide), nn.ReLU6(inplace=True)]
        parts += layers.convolution(f"{name}._project_conv", wide, stage.width, 1)
        parts += [layers.batch_norm(f"{name}._bn2", stage.width)]
        self.layers = nn.Sequential(*parts)
        self.residual = stage.stride == 1 and inputs == stage.width

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layers(x) if self.residual else self.layers(x)


class _Pool(nn.Module):
    """The mean over the image, in float32."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.mean(x.float(), dim=(2, 3))
