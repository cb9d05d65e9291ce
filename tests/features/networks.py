"""One small network of timm with random weights, and the files that it is exported to."""

import warnings
from pathlib import Path

import torch
from torch import nn

NAME = "resnet10t"
SIZE = 32


def network(seed: int = 0) -> nn.Module:
    """The network without its classifier: (b, 3, 32, 32) to (b, 512)."""
    import timm

    torch.manual_seed(seed)
    net = timm.create_model(NAME, pretrained=False, num_classes=0).eval()
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):  # as after training: folding must be right about them
            nn.init.uniform_(module.running_var, 0.5, 2)
            nn.init.normal_(module.running_mean)
    return net


def export_onnx(net: nn.Module, path: Path, batch: int | None = None, **options) -> Path:
    """Write the network as ONNX, with a batch of any size or of `batch`."""
    dynamic = {"images": {0: "batch"}} if batch is None else None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter warns of its own successor
        torch.onnx.export(net, (torch.randn(batch or 2, 3, SIZE, SIZE),), path, dynamo=False, input_names=["images"],
                          dynamic_axes=dynamic, **options)  # fmt: skip
    return path


def export_program(net: nn.Module, path: Path, batch: int | None = None, size: int = SIZE) -> Path:
    """Write the network as a program, with a batch of any size or of `batch`."""
    dynamic = ({0: torch.export.Dim("batch")},) if batch is None else None
    program = torch.export.export(net, (torch.randn(batch or 2, 3, size, size),), dynamic_shapes=dynamic)
    torch.export.save(program, path)
    return path


class Tiny(nn.Module):
    """Channel means times a matrix: a network that exports in no time."""

    def __init__(self, width: int = 4) -> None:
        super().__init__()
        self.last = nn.Linear(3, width)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.last(images.mean(dim=(2, 3)))


class Reading(nn.Module):
    """A network that reads bytes."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images.float().mean(dim=(2, 3))


class Two(nn.Module):
    """A network that gives two things."""

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        means = images.mean(dim=(2, 3))
        return means, 2 * means
