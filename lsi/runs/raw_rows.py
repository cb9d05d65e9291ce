"""Raw features of any samples as the design of a run takes them."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from numpy.typing import ArrayLike

from lsi.errors import DataError
from lsi.features.class_probabilities import are_no_probabilities, logarithms
from lsi.features.design import Design
from lsi.laplace.scores import as_tensor


def raw_rows(raw: ArrayLike, design: Design, n_unused: int | None, classes: Sequence[str] | None) -> np.ndarray:
    """Return raw features as when the run read them, float32 or float64.

    Args:
        raw: (s, r), as an array, a tensor or a frame.
        design: of the run.
        n_unused: how many of the raw features the run predicts from the others; None where that is not known.
        classes: k names where the raw features are class probabilities, which become logarithms; columns of a frame
            that are called so are taken in this order.

    Raises:
        DataError: there is another number of columns, or a row is no probabilities.
    """
    is_part = False
    if classes is not None and isinstance(raw, pd.DataFrame) and set(classes) <= set(raw.columns):
        is_part = len(raw.columns) > len(classes)  # classes without samples have left: the rest sums to less
        raw = raw[list(classes)]
    rows = as_tensor(raw, "raw features").cpu()
    values = (rows if rows.dtype in (torch.float32, torch.float64) else rows.float()).numpy()
    width = _width(design, n_unused)
    if width is not None and (values.ndim != 2 or values.shape[1] != width):
        named = "" if classes is None else f": probabilities of {', '.join(classes[:10])}{' …' * (len(classes) > 10)}"
        raise DataError(f"Expected raw features of shape (n, {width}), got {values.shape}{named}.")
    if classes is None:
        return values
    values = values.astype(np.float64)
    bad = np.flatnonzero(are_no_probabilities(np.c_[values, _rest(values)] if is_part else values))
    if len(bad):
        row = values[bad[0]]
        raise DataError(
            f"Expected probabilities from 0 to 1 that sum to 1, as the run's own features are, got {row.min():.4g} to "
            f"{row.max():.4g} with sum {row.sum():.4g} in row {bad[0]}: of logits give their softmax."
        )
    return logarithms(values)


def _rest(values: np.ndarray) -> np.ndarray:
    """Return what rows lack of one, which classes that have left may hold."""
    return np.maximum(1 - values.sum(axis=1), 0)


def _width(design: Design, n_unused: int | None) -> int | None:
    """Return the number of raw features that a design was made from, None where that is not known."""
    recipe = design.recipe
    if recipe.columns is not None:
        return None if n_unused is None else len(recipe.columns) + n_unused
    return design.values.shape[1] - 1 if recipe.standardisation is None else len(recipe.standardisation.mean)
