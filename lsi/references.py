"""What texts in the settings refer to: PATH[:KEY], the kinds of backbones, and numbers for each channel."""

import re
from pathlib import Path
from typing import Any, Literal

from lsi.errors import UsageError

BackboneKind = Literal["name", "timm", "file", "function"]
ONNX, PROGRAM = ".onnx", ".pt2"
TIMM = "timm/"


def split_file(specification: str) -> tuple[Path, str]:
    """Return the path and KEY of PATH[:KEY]; KEY is "" where there is none."""
    whole = Path(specification).expanduser()
    name, colon, key = specification.rpartition(":")
    part = Path(name).expanduser()
    if whole.is_file() or not colon or not (part.suffix or part.is_file()):
        return whole, ""
    return part, key


def resolved(path: Path | None) -> Path | None:
    """Return an absolute path without links, an address such as s3://bucket/folder as it is, or None for None."""
    if path is None or re.match(r"[a-zA-Z][a-zA-Z0-9+.-]+:/", str(path)):
        return path
    return path.expanduser().resolve()


def resolved_file(specification: str | None) -> Any:
    """Return PATH[:KEY] with an absolute path where the path is a file; anything else as it is."""
    if specification is None:
        return None
    path, key = split_file(specification)
    return f"{path.resolve()}{':' if key else ''}{key}" if path.is_file() else specification


def kind_of_backbone(name: str) -> BackboneKind:
    """Return what sort of backbone is meant: a known name, timm/NAME, a model's file, or MODULE:FUNCTION."""
    if name.startswith(TIMM):
        return "timm"
    if split_file(name)[0].suffix.lower() in (ONNX, PROGRAM):
        return "file"
    return "function" if ":" in name else "name"


def check_backbone_is_no_code(name: str) -> None:
    """Raise where loading a backbone could run any code: who may use the app may not run what they like on its machine.

    Raises:
        UsageError: it is a function, or a .pt2 file, which holds pickles and expressions that are evaluated.
    """
    if kind_of_backbone(name) == "function" or split_file(name)[0].suffix.lower() == PROGRAM:
        raise UsageError(
            f"The app does not load {name}: MODULE:FUNCTION and .pt2 files can run any code. Use them on the command "
            "line, or give the app a name, timm/NAME or an ONNX file."
        )


def check_pixel_scale(name: str, values: tuple[float, ...] | None) -> None:
    """Raise where a mean or deviation cannot be one of pixel values in 0 … 1.

    Raises:
        UsageError: there are neither one number nor three, or they are out of range.
    """
    if values is None:
        return
    if len(values) not in (1, 3):
        raise UsageError(f"Expected one number or three as {name}, one a channel, got {len(values)}.")
    if any(not 0 <= v <= 1 or (name == "std" and v == 0) for v in values):
        raise UsageError(
            f"Expected {name} of pixel values in 0 … 1, got {', '.join(f'{v:g}' for v in values)}: divide what is "
            "meant for values in 0 … 255 by 255."
        )
