"""The fast form of a backbone on this processor: batch norm folded into convolutions, channels last.

Compilers were measured and left out: folding alone runs at the same speed without half a minute of compiling, and it
needs no C++ compiler. bfloat16 was left out because its features miss a cosine of 0.999 to float32.
"""

import copy
import logging

import torch
from torch import nn
from torch.fx.experimental.optimization import fuse

log = logging.getLogger(__name__)


def fast(module: nn.Module, device: torch.device) -> nn.Module:
    """Return the module for inference on `device`; what cannot be traced is used as it is."""
    net = copy.deepcopy(module).eval()
    try:
        net = fuse(net)
    except Exception as error:  # tracing fails on control flow, in as many ways as there are models
        log.info("batch norm stays unfused: %s", error)
    for parameter in net.parameters():
        parameter.requires_grad_(False)
    return net.eval().to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
