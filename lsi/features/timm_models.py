"""Backbones of the package timm, with its weights or one's own."""

import difflib
from pathlib import Path
from typing import Any

import torch

from lsi.errors import UsageError
from lsi.features.backbone import Backbone, hash_of_weights
from lsi.features.weights import load_weights
from lsi.references import TIMM


def timm_backbone(name: str, weights: Path | None) -> Backbone:
    """Return a network of timm up to its pooled features; size, mean and deviation are those of its own config.

    Args:
        name: timm/NAME, with the tag of its weights where it has one.
        weights: a file with its weights; None: those that timm downloads.

    Raises:
        UsageError: timm is not installed or knows no such network, the weights do not fit or cannot be downloaded.
        DataError: the file of weights cannot be read.
    """
    try:
        import timm
        from timm.data.config import resolve_model_data_config
    except ImportError:
        raise UsageError(f"{name} needs the package timm: pip install 'lsi-lens[timm]'.") from None
    model = name.removeprefix(TIMM)
    if not timm.is_model(model):
        near = difflib.get_close_matches(model.partition(".")[0], timm.list_models(), 3)
        raise UsageError(
            f"timm knows no network called {model!r}" + (f": did you mean {', '.join(near)}?" if near else ".")
        )
    net = _created(timm, model, is_pretrained=weights is None)
    if weights is not None:
        with torch.device("meta"):  # names alone: nothing is allocated
            whole = timm.create_model(model, pretrained=False).state_dict().keys()
        load_weights(net, weights, whole - net.state_dict().keys())
    config = resolve_model_data_config(net)
    return Backbone(
        name,
        net.eval(),
        hash_of_weights(net.state_dict()),
        tuple(config["mean"]),
        tuple(config["std"]),
        config["input_size"][-1],
        keeps_native_size=True,
    )


def _created(timm: Any, model: str, is_pretrained: bool) -> torch.nn.Module:
    """Return the network without its classifier."""
    try:
        return timm.create_model(model, pretrained=is_pretrained, num_classes=0)
    except Exception as error:  # the hub's client raises anything without a network
        reason = (str(error).strip().splitlines() or [""])[0][:120]
        raise UsageError(
            f"The weights of timm/{model} are not on this machine and could not be downloaded ({type(error).__name__}: "
            f"{reason}): give a file of them with --weights FILE.safetensors."
        ) from error
