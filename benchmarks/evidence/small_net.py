"""A small convolutional network trained from scratch: does what a probe says of images hold for another model?"""

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

WIDTHS = (16, 32, 64)
STEPS = 400
BATCH = 64


class SmallNet(nn.Module):
    """Three blocks of convolution, batch norm, ReLU and pooling, and a linear layer: images (b, c, h, w) → (b, k)."""

    def __init__(self, channels: int, side: int, n_classes: int) -> None:
        super().__init__()
        blocks, before = [], channels
        for width in WIDTHS:
            pool = nn.MaxPool2d(2) if side >= 2 else nn.Identity()
            blocks += [nn.Conv2d(before, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU(), pool]
            before, side = width, max(side // 2, 1)
        self.body = nn.Sequential(*blocks, nn.Flatten())
        self.head = nn.Linear(before * side * side, n_classes)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits."""
        return self.head(self.body(images))


def train(
    images: Float[np.ndarray, "n c h w"], labels: Int[np.ndarray, " n"], n_classes: int, seed: int, steps: int = STEPS
) -> SmallNet:
    """Train for as many steps whatever the number of images, so that fewer of them don't mean less training."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    net = SmallNet(images.shape[1], images.shape[2], n_classes).to(memory_format=torch.channels_last)  # type: ignore
    optimiser = torch.optim.AdamW(net.parameters(), lr=3e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 1e-2, total_steps=steps)
    order = np.concatenate([rng.permutation(len(labels)) for _ in range(steps * BATCH // len(labels) + 1)])
    for step in range(steps):
        rows = order[step * BATCH : (step + 1) * BATCH]
        batch = torch.from_numpy(images[rows]).contiguous(memory_format=torch.channels_last)
        loss = nn.functional.cross_entropy(net(batch), torch.from_numpy(labels[rows]))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    return net.eval()


@torch.inference_mode()
def accuracy(net: SmallNet, images: Float[np.ndarray, "n c h w"], labels: Int[np.ndarray, " n"]) -> float:
    """Return the share of right predictions."""
    found = [net(torch.from_numpy(part)).argmax(dim=1).numpy() for part in np.array_split(images, 8)]
    return float((np.concatenate(found) == labels).mean())


@torch.inference_mode()
def features(net: SmallNet, images: Float[np.ndarray, "n c h w"]) -> Float[np.ndarray, "n d"]:
    """Return what the last layer sees."""
    return np.concatenate([net.body(torch.from_numpy(part)).numpy() for part in np.array_split(images, 8)])
