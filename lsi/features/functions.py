"""A backbone that a function of one's own returns: MODULE:FUNCTION, importable from the working folder."""

import contextlib
import importlib
import inspect
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

from torch import nn

from lsi.errors import LsiError, UsageError
from lsi.features.backbone import Backbone, hash_of_weights
from lsi.features.weights import load_weights
from lsi.hashing import file_checksum, fingerprint
from lsi.references import check_pixel_scale


def function_backbone(specification: str, weights: Path | None) -> Backbone:
    """Return the backbone that a function makes; its hash covers the weights and the function's own source file.

    Args:
        specification: MODULE:FUNCTION; the function takes nothing and returns an nn.Module or a Backbone.
        weights: a file with weights for the module; None: those that are in it.

    Raises:
        UsageError: there is no such function, it fails, or it returns something else.
        DataError: the file of weights cannot be read.
    """
    module_name, _, function_name = specification.partition(":")
    with _working_folder_importable():
        module = _imported(specification, module_name)
        function = getattr(module, function_name, None)
        if not callable(function):
            raise UsageError(f"--backbone {specification}: the module {module_name} has no function {function_name!r}.")
        made = _made(specification, function)
    found = made if isinstance(made, Backbone) else Backbone(specification, made, "", is_scale_known=False)
    if found.module is None:
        raise UsageError(f"--backbone {specification}: expected a Backbone with a module, got one without.")
    mean, std = _scale(specification, "mean", found.mean), _scale(specification, "std", found.std)
    if weights is not None:
        load_weights(found.module, weights)
    content = fingerprint(hash_of_weights(found.module.state_dict()), _source(module))
    found.module.eval()
    return replace(
        found, name=specification, weights_hash=content, mean=mean, std=std, bfloat16_from=None, can_be_rewritten=False
    )


def _scale(specification: str, name: str, values: Any) -> tuple[float, ...]:
    """Return the mean or deviation that a Backbone of one's own gives, one number for each channel.

    Raises:
        UsageError: it cannot be one of pixel values in 0 … 1.
    """
    try:
        numbers = (float(values),) if isinstance(values, int | float) else tuple(float(v) for v in values)
        check_pixel_scale(name, numbers)
    except UsageError as error:
        raise UsageError(f"--backbone {specification}: its {name} does not fit. {error}") from None
    except (TypeError, ValueError) as error:
        raise UsageError(f"--backbone {specification}: expected numbers as {name}, got {values!r}.") from error
    return numbers if len(numbers) == 3 else numbers * 3


@contextlib.contextmanager
def _working_folder_importable() -> Iterator[None]:
    """Let modules of the working folder be found, as `python -m` does and an installed command does not."""
    folder = str(Path.cwd())
    sys.path.insert(0, folder)
    try:
        yield
    finally:
        with contextlib.suppress(ValueError):
            sys.path.remove(folder)


def _imported(specification: str, name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except Exception as error:  # whatever one's own module raises while it is imported
        raise UsageError(
            f"--backbone {specification}: the module {name} could not be imported from {Path.cwd()} "
            f"({type(error).__name__}: {error})."
        ) from error


def _made(specification: str, function: Any) -> nn.Module | Backbone:
    try:
        made = function()
    except LsiError:
        raise
    except Exception as error:  # whatever one's own function raises
        raise UsageError(
            f"--backbone {specification}: the function failed ({type(error).__name__}: {error}); it is called without "
            "arguments."
        ) from error
    if not isinstance(made, nn.Module | Backbone):
        raise UsageError(
            f"--backbone {specification}: expected the function to return an nn.Module or a Backbone, got "
            f"{type(made).__name__}."
        )
    return made


_sources: dict[str, tuple[Any, str]] = {}  # by module: what it was imported by, and the hash of its source then


def _source(module: ModuleType) -> str:
    """Return the hash of the source that a module was imported from: the file may have changed since."""
    spec, found = _sources.get(module.__name__, (None, ""))
    if spec is None or spec is not module.__spec__:  # a module that is imported anew has another
        path = inspect.getsourcefile(module)
        found = "" if path is None else file_checksum(Path(path))
        _sources[module.__name__] = (module.__spec__, found)
    return found
