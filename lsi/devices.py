"""Where tensors are computed."""

import re
from typing import TYPE_CHECKING

from lsi.errors import UsageError

if TYPE_CHECKING:
    import torch


def choose_device(device: str) -> str:
    """Return "cuda" or "cpu" for "auto", anything else as it is."""
    if device != "auto":
        return device
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def as_device(device: "str | torch.device") -> "torch.device":
    """Return the device of that name, CUDA for "auto" where there is one.

    Raises:
        UsageError: there is no such device here.
    """
    import torch

    name = choose_device(str(device))
    if not re.fullmatch(r"cpu|cuda(:\d+)?", name):
        raise UsageError(f"Expected device auto, cpu, cuda or cuda:N, got {device!r}.")
    where = torch.device(name)
    if where.type == "cuda" and (where.index or 0) >= torch.cuda.device_count():
        raise UsageError(f"device={device!r} is not available: PyTorch sees {torch.cuda.device_count()} CUDA devices.")
    return where
