"""Features, labels and targets as people hold them, checked and turned into tensors on a device."""

import operator
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from jaxtyping import Shaped
from numpy.typing import ArrayLike
from torch import Tensor

from lsi.devices import as_device
from lsi.errors import DataError
from lsi.laplace.design_matrix import DesignMatrix, with_bias


@dataclass(frozen=True)
class Inputs:
    """Features and labels or targets that have been checked.

    Attributes:
        design: Φ (n, D), bias column included.
        targets: (n,) indices into `classes`, or (n, m) numbers.
        classes: (k,) the distinct labels in sorted order; (0,) where there are none.
        index: (n,) of the features or labels that are pandas; None where neither are.
    """

    design: DesignMatrix
    targets: Tensor
    classes: Shaped[np.ndarray, " k"]
    index: pd.Index | None = None


def as_design_and_labels(
    features: ArrayLike | Tensor, labels: ArrayLike | Tensor, device: str | torch.device
) -> Inputs:
    """Return features as a design matrix and labels as class indices, on the device.

    Args:
        features: (n, d) floats.
        labels: (n,) integers, texts or bools.
        device: cpu, cuda, cuda:N or auto.

    Raises:
        DataError: features or labels do not fit.
        UsageError: there is no such device.
    """
    x, where = _check_features(features), as_device(device)
    classes, codes = _classes_and_codes(labels, len(x))
    index = _index_of(features, labels, "labels")
    return Inputs(DesignMatrix(with_bias(x.to(where))), torch.from_numpy(codes).to(where), classes, index)


def as_design_and_targets(
    features: ArrayLike | Tensor, targets: ArrayLike | Tensor, device: str | torch.device
) -> Inputs:
    """Return features as a design matrix and targets as (n, m) float64 of their own, on the device.

    Args:
        features: (n, d) floats.
        targets: (n,) or (n, m) numbers.
        device: cpu, cuda, cuda:N or auto.

    Raises:
        DataError: features or targets do not fit.
        UsageError: there is no such device.
    """
    x, where = _check_features(features), as_device(device)
    t = as_tensor(targets, "targets").to(torch.float64, copy=True)
    t = t[:, None] if t.ndim == 1 else t
    if t.ndim != 2 or len(t) != len(x) or t.shape[1] < 1:
        raise DataError(
            f"Expected targets of shape ({len(x)},) or ({len(x)}, m), one for each row of features, "
            f"got {tuple(t.shape)}."
        )
    _check_finite(t, "targets")
    index = _index_of(features, targets, "targets")
    return Inputs(DesignMatrix(with_bias(x.to(where))), t.to(where), np.empty(0, dtype=np.int64), index)


def as_position(value: object, count: int) -> int | None:
    """Return a whole number from 0 to count − 1, None for anything else."""
    try:
        position = operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        return None
    return position if 0 <= position < count else None


def as_tensor(values: ArrayLike | Tensor, what: str) -> Tensor:
    """Return real numbers of any type and holder as a tensor outside of any graph, which may share their memory.

    Args:
        values: an array, a tensor, a frame or nested lists.
        what: they are, in the plural, for messages.

    Raises:
        DataError: they are no real numbers, or one is masked.
    """
    values = values if isinstance(values, Tensor) else _unmasked(values, what)
    try:
        rows = [row for row in values if isinstance(row, Tensor)] if isinstance(values, list | tuple) else []
        values = torch.stack(rows) if rows and len(rows) == len(values) else values  # type: ignore[arg-type]
        tensor = values.detach() if isinstance(values, Tensor) else _as_tensor(_as_array(values))
    except (TypeError, ValueError, RuntimeError) as error:  # the last where shapes differ
        raise DataError(f"Expected {what} that are an array of numbers: {error}.") from error
    if tensor.is_complex():
        raise DataError(f"Expected {what} that are real numbers, got {tensor.dtype}.")
    return tensor


def _as_array(values: ArrayLike) -> np.ndarray:
    """Return numbers as an array that PyTorch takes: in the machine's order of bytes, with rising strides."""
    if isinstance(values, pd.DataFrame | pd.Series):
        types = list(values.dtypes) if isinstance(values, pd.DataFrame) else [values.dtype]
        if all(map(pd.api.types.is_numeric_dtype, types)) and any(map(pd.api.types.is_extension_array_dtype, types)):
            dtype = np.float32 if all(str(t).lower() == "float32" for t in types) else np.float64
            values = values.to_numpy(dtype=dtype, na_value=np.nan)
    array = np.asarray(values)
    array = array.astype(array.dtype.newbyteorder("="), copy=False)
    return array if all(step >= 0 for step in array.strides) else array.copy()


def _as_tensor(array: np.ndarray) -> Tensor:
    """Return an array as a tensor without a copy, which nobody writes to: features may be mapped from a file."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The given NumPy array is not writ", UserWarning)
        return torch.as_tensor(array)


def _index_of(features: object, others: object, what: str) -> pd.Index | None:
    """Return the index of whichever is pandas.

    Raises:
        DataError: both are, and their indices differ.
    """
    found = [values.index for values in (features, others) if isinstance(values, pd.DataFrame | pd.Series)]
    if len(found) == 2 and not found[0].equals(found[1]):
        row = next((i for i, (a, b) in enumerate(zip(*found, strict=True)) if a != b), 0)
        raise DataError(
            f"Expected features and {what} with the same index in the same order, got {found[0][row]} and "
            f"{found[1][row]} in row {row}: take {what} by the features' index (.loc), or give an array where the "
            "index means nothing (.to_numpy())."
        )
    return found[0] if found else None


def _classes_and_codes(labels: ArrayLike | Tensor, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the distinct labels in sorted order, and each label's index among them."""
    held = _held(labels)
    try:
        values = np.asarray(held)
    except (TypeError, ValueError):
        values = np.empty(0, dtype=object)
    if values.shape != (n,):
        raise DataError(
            f"Expected labels of shape ({n},), one for each row of features, got {values.dtype} {values.shape}."
        )
    kinds = {values.dtype.kind.replace("u", "i")}
    if values.dtype.kind == "O" or isinstance(held, list):  # NumPy makes one kind of several: nan becomes "nan"
        kinds = {_kind(label) for label in (held if isinstance(held, list) else values)}
    if len(kinds) > 1 or not kinds <= set("biUS"):
        raise DataError(
            "Expected labels that are integers, bools or texts, all of one kind and none missing, got "
            f"{values.dtype if len(kinds) == 1 else 'several kinds'}."
        )
    values = values.astype(bool) if kinds == {"b"} else values
    if kinds == {"i"} and values.dtype.kind == "f":  # of integers that no type of NumPy holds together
        values = np.array(held, dtype=object)
    classes, codes = np.unique(values, return_inverse=True)
    if len(classes) < 2:
        raise DataError("Expected labels of at least two classes; all labels are the same.")
    return classes, codes.astype(np.int64)


def _held(labels: ArrayLike | Tensor) -> Any:
    """Return labels as NumPy takes them: a list as a list, tensors as arrays, those in a list as plain numbers."""
    if isinstance(labels, Tensor):  # NumPy has no bfloat16
        return (labels.double() if labels.is_floating_point() else labels).detach().cpu().numpy()
    if isinstance(labels, list | tuple):
        return [label.item() if isinstance(label, Tensor) and label.ndim == 0 else label for label in labels]
    return _unmasked(labels, "labels")


def _kind(label: object) -> str:
    """Return NumPy's letter for the kind of a label, "?" for what can be none."""
    kinds: tuple[tuple[str, tuple[type, ...]], ...] = (
        ("b", (bool, np.bool_)),
        ("i", (int, np.integer)),
        ("U", (str,)),
        ("S", (bytes,)),
    )
    return next((letter for letter, types in kinds if isinstance(label, types)), "?")


def _unmasked(values: ArrayLike, what: str) -> ArrayLike:
    if isinstance(values, np.ma.MaskedArray) and np.ma.getmaskarray(values).any():
        raise DataError(f"Expected {what} none of which is missing; {np.ma.count_masked(values)} are masked.")
    return values


def _check_features(features: ArrayLike | Tensor) -> Tensor:
    x = as_tensor(features, "features")
    if x.ndim != 2 or x.shape[0] < 2 or x.shape[1] < 1:
        raise DataError(f"Expected features of shape (n, d) with n ≥ 2 and d ≥ 1, got {tuple(x.shape)}.")
    x = x if x.dtype == torch.float32 else x.double()
    _check_finite(x, "features")
    return x


def _check_finite(values: Tensor, what: str) -> None:
    bad = (~torch.isfinite(values)).any(dim=1)
    if bool(bad.any()):
        rows = bad.nonzero()[:5, 0].tolist()
        raise DataError(f"Expected finite {what}; {int(bad.sum())} rows hold NaN or infinity, such as {rows}.")
