"""Libraries that numba compiles, with what it compiles kept on disk.

umap and pynndescent compile some three hundred functions, most of them anew in every process, which takes half a
minute. numba can keep them beside their source, or in the user's own cache: it has to be asked for each function.
"""

import warnings
from collections.abc import Callable
from importlib import import_module
from types import ModuleType
from typing import Any
from unittest.mock import patch


def import_compiled(name: str) -> ModuleType:
    """Import a library whose functions numba compiles, and keep what it compiles wherever that can be written.

    Args:
        name: of the library.
    """
    import numba

    real = numba.njit

    def njit(*arguments: Any, **options: Any) -> Any:
        if arguments and callable(arguments[0]):  # used as a decorator without parentheses
            return decorate(arguments[0], (), options)
        return lambda function: decorate(function, arguments, options)

    def decorate(function: Callable, signature: tuple, options: dict[str, Any]) -> Any:
        try:
            return real(*signature, **options | {"cache": True})(function)
        except RuntimeError:  # there is no folder that can be written to
            return real(*signature, **options | {"cache": False})(function)

    with warnings.catch_warnings(), patch.object(numba, "njit", njit):
        warnings.simplefilter("ignore")  # umap warns where TensorFlow is missing, which this does not use
        return import_module(name)
