"""What a backbone is: a frozen network, its weights' hash, and how it wants its images."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import nn

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
        keeps_native_size: images of any size are resized to `native_size` unless the settings say another; otherwise
            small ones are resized to less.
        can_be_rewritten: whether batch normalisation may be folded into its convolutions and its input come channels
            last; a network that was exported or comes from elsewhere runs as it is.
        is_scale_known: whether mean and std are the network's own, not ImageNet's for want of better.
    """

    name: str
    module: nn.Module | None
    weights_hash: str
    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD
    native_size: int = 224
    bfloat16_from: int | None = None
    keeps_native_size: bool = False
    can_be_rewritten: bool = True
    is_scale_known: bool = True


def hash_of_weights(weights: Mapping[str, torch.Tensor]) -> str:
    """Return a hash of a state dict's values, in its order."""
    return fingerprint(*(t.detach().cpu().float().numpy() for t in weights.values()))
