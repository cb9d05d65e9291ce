"""A small convolutional network trained from scratch: does what a probe says of images hold for another model?"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

WIDTHS = (16, 32, 64)
STEPS = 400
BATCH = 64


@dataclass(frozen=True)
class Training:
    """How a network is trained: steps, channels of its blocks, and how much of each label is spread over all."""

    steps: int = STEPS
    widths: tuple[int, ...] = WIDTHS
    label_smoothing: float = 0.0


class SmallNet(nn.Module):
    """Three blocks of convolution, batch norm, ReLU and pooling, and a linear layer: images (b, c, h, w) → (b, k)."""

    def __init__(self, channels: int, side: int, n_classes: int, widths: tuple[int, ...] = WIDTHS) -> None:
        super().__init__()
        blocks, before = [], channels
        for width in widths:
            pool = nn.MaxPool2d(2) if side >= 2 else nn.Identity()
            blocks += [nn.Conv2d(before, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU(), pool]
            before, side = width, max(side // 2, 1)
        self.body = nn.Sequential(*blocks, nn.Flatten())
        self.head = nn.Linear(before * side * side, n_classes)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits."""
        return self.head(self.body(images))


def train(
    images: Float[np.ndarray, "n c h w"],
    labels: Int[np.ndarray, " n"],
    n_classes: int,
    seed: int,
    how: Training = Training(),
) -> SmallNet:
    """Train for as many steps whatever the number of images, so that fewer of them don't mean less training."""
    torch.manual_seed(seed)
    rng, steps = np.random.default_rng(seed), how.steps
    net = SmallNet(images.shape[1], images.shape[2], n_classes, how.widths)
    net = net.to(memory_format=torch.channels_last)  # type: ignore
    optimiser = torch.optim.AdamW(net.parameters(), lr=3e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 1e-2, total_steps=steps)
    order = np.concatenate([rng.permutation(len(labels)) for _ in range(steps * BATCH // len(labels) + 1)])
    for step in range(steps):
        rows = order[step * BATCH : (step + 1) * BATCH]
        batch = torch.from_numpy(images[rows]).contiguous(memory_format=torch.channels_last)
        loss = nn.functional.cross_entropy(
            net(batch), torch.from_numpy(labels[rows]), label_smoothing=how.label_smoothing
        )
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    return net.eval()


@torch.inference_mode()
def accuracy(net: SmallNet, images: Float[np.ndarray, "n c h w"], labels: Int[np.ndarray, " n"]) -> float:
    """Return the share of right predictions."""
    return float((probabilities(net, images).argmax(axis=1) == labels).mean())


@torch.inference_mode()
def probabilities(net: SmallNet, images: Float[np.ndarray, "n c h w"]) -> Float[np.ndarray, "n k"]:
    """Return the probability of every class."""
    parts = np.array_split(images, 8)
    return np.concatenate([net(torch.from_numpy(part)).double().softmax(dim=1).numpy() for part in parts])


@torch.inference_mode()
def features(net: SmallNet, images: Float[np.ndarray, "n c h w"]) -> Float[np.ndarray, "n d"]:
    """Return what the last layer sees."""
    return np.concatenate([net.body(torch.from_numpy(part)).numpy() for part in np.array_split(images, 8)])
