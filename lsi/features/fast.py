"""The fast form of a backbone on this processor: batch norm folded into convolutions, channels last, some bfloat16.

Compilers were measured and left out: folding alone runs at the same speed without half a minute of compiling, and it
needs no C++ compiler. All of a network in bfloat16 misses a cosine of 0.999 to float32; its later layers do not.
"""

import copy
import logging
from collections import Counter
from functools import cache
from pathlib import Path

import torch
from torch import Tensor, fx, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

log = logging.getLogger(__name__)


def fast(module: nn.Module, device: torch.device, bfloat16_from: int | None = None) -> nn.Module:
    """Return the module for inference on `device`; what cannot be traced is used as it is.

    Args:
        module: the network.
        device: where it runs.
        bfloat16_from: compute the children of a sequential `module` from this one on in bfloat16.
    """
    if bfloat16_from is None or not isinstance(module, nn.Sequential):
        return _folded(module, device)
    first, rest = _folded(module[:bfloat16_from], device), _folded(module[bfloat16_from:], device)
    return nn.Sequential(first, _Cast(), rest.bfloat16().to(memory_format=torch.channels_last))  # type: ignore[call-overload]


@cache
def bfloat16_is_fast(device: torch.device) -> bool:
    """Say whether the processor multiplies bfloat16 numbers itself, as far as it is known."""
    flags = Path("/proc/cpuinfo")
    if device.type != "cpu" or not flags.exists():
        return False
    words = set(flags.read_text().split())
    return bool(words & {"avx512_bf16", "amx_bf16"})


class _Cast(nn.Module):
    def forward(self, values: Tensor) -> Tensor:
        return values.bfloat16()


def _folded(module: nn.Module, device: torch.device) -> nn.Module:
    net = copy.deepcopy(module).eval()
    try:
        net = _fused(net)
    except Exception as error:  # tracing fails on control flow, in as many ways as there are models
        log.info("batch norm stays unfused: %s", error)
    for parameter in net.parameters():
        parameter.requires_grad_(False)
    return net.eval().to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def _fused(module: nn.Module) -> nn.Module:
    """Return the traced module with each batch normalisation folded into the convolution before it.

    A convolution that is applied twice, or whose output something else reads as well, stays as it is.
    """
    traced = fx.symbolic_trace(module)
    calls = Counter(node.target for node in traced.graph.nodes if node.op == "call_module")
    for node in list(traced.graph.nodes):
        before = node.args[0] if node.op == "call_module" and node.args else None
        if not isinstance(before, fx.Node) or before.op != "call_module" or len(before.users) > 1:
            continue
        convolution, norm = traced.get_submodule(str(before.target)), traced.get_submodule(str(node.target))
        # of these classes themselves: what inherits from them may do more, such as an activation
        if type(convolution) is not nn.Conv2d or type(norm) is not nn.BatchNorm2d:
            continue
        if not norm.track_running_stats or calls[before.target] > 1:
            continue
        traced.set_submodule(str(before.target), fuse_conv_bn_eval(convolution, norm))
        node.replace_all_uses_with(before)
        traced.graph.erase_node(node)
    return fx.GraphModule(traced, traced.graph)
