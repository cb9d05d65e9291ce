"""Weights of one's own from a file, put into a network that has a name."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from lsi.errors import DataError, UsageError

_NESTED = ("state_dict", "model_state_dict", "model", "net")  # where training scripts put the state dict
_COUNTER = "num_batches_tracked"  # of batch normalisation: old checkpoints lack it and features do not need it


def read_weights(path: Path) -> dict[str, Tensor]:
    """Return the state dict of a .safetensors file, or of what torch.save wrote.

    Raises:
        UsageError: the package that reads it is not installed.
        DataError: the file is not there, or holds something else.
    """
    if not path.is_file():
        raise DataError(f"--weights: no such file: {path}.")
    content = _safetensors(path) if path.suffix.lower() == ".safetensors" else _pickled(path)
    while isinstance(content, Mapping) and (inner := next((k for k in _NESTED if _is_dict(content, k)), None)):
        content = content[inner]
    tensors = {str(k): v for k, v in content.items() if isinstance(v, Tensor)} if isinstance(content, Mapping) else {}
    if not tensors:
        raise DataError(f"{path}: expected a state dict of tensors, got {type(content).__name__} without any.")
    return tensors


def load_weights(net: nn.Module, path: Path, head: Collection[str] = ()) -> None:
    """Put the weights of a file into a network.

    Args:
        net: the network, without its last layer.
        path: of the file.
        head: names of weights that the file may hold as well: those of the last layer that was taken off.

    Raises:
        UsageError: the file's names or shapes are not the network's.
        DataError: the file cannot be read.
    """
    own = net.state_dict()
    weights = _without_prefix(read_weights(path), {*own, *head})
    missing = [k for k in own if k not in weights and not k.endswith(_COUNTER)]
    surplus = [k for k in weights if k not in own and k not in head]
    if missing or surplus:
        parts = [f"{len(names)} of {what}, such as {names[0]}" for names, what in
                 ((missing, "the network's weights are not in it"), (surplus, "its weights are not in the network"))
                 if names]  # fmt: skip
        raise UsageError(f"{path}: these are weights of another network: {'; '.join(parts)}.")
    wrong = [k for k in own if k in weights and weights[k].shape != own[k].shape]
    if wrong:
        shapes = tuple(own[wrong[0]].shape), tuple(weights[wrong[0]].shape)
        raise UsageError(
            f"{path}: these are weights of another network: expected {wrong[0]} of shape {shapes[0]}, got {shapes[1]}."
        )
    net.load_state_dict({k: v for k, v in weights.items() if k in own}, strict=False)


def _is_dict(content: Mapping[str, Any], name: str) -> bool:
    return isinstance(content.get(name), Mapping)


def _safetensors(path: Path) -> Any:
    try:
        from safetensors.torch import load_file
    except ImportError:
        raise UsageError(f"{path} needs the package safetensors: pip install 'lsi-lens[timm]'.") from None
    try:
        return load_file(path)
    except Exception as error:  # its own error class is not exported everywhere
        raise DataError(f"{path}: not readable as safetensors ({error}).") from error


def _pickled(path: Path) -> Any:
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a pickle may fail in any way
        raise DataError(
            f"{path}: expected a state dict as torch.save(model.state_dict(), FILE) writes it; nothing else is loaded, "
            f"because a pickle can run code ({type(error).__name__})."
        ) from error


def _without_prefix(weights: dict[str, Tensor], wanted: Collection[str]) -> dict[str, Tensor]:
    """Return the weights without words that wrappers put before every name, such as `module.`."""
    while not any(k in wanted for k in weights):
        first = {k.partition(".")[0] for k in weights}
        if len(first) > 1 or not all("." in k for k in weights):
            return weights
        weights = {k.partition(".")[2]: v for k, v in weights.items()}
    return weights
