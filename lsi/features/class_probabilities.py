"""Class probabilities as features: which rows are some, and their logarithms."""

import numpy as np
from jaxtyping import Bool, Float

# A network in float32 gives zeros: their logarithm is no number, and any much smaller floor would let the few saturated
# rows set the one scale of all features. Below one in a million no probability is known anyhow.
FLOOR = 1e-6
_SUM_TOLERANCE = 0.02  # of rows that were rounded or stored in half precision


def are_no_probabilities(values: Float[np.ndarray, "n k"]) -> Bool[np.ndarray, " n"]:
    """Say of each row whether it is anything else than numbers from 0 to 1 that sum to 1."""
    return (values < 0).any(axis=1) | ~(np.abs(values.sum(axis=1) - 1) <= _SUM_TOLERANCE)


def logarithms(values: Float[np.ndarray, "n k"]) -> Float[np.ndarray, "n k"]:
    """Return the logarithms of rows divided by their sums, clipped from below; a row of zeros says nothing."""
    sums = values.sum(axis=1, keepdims=True)
    values = np.divide(values, sums, out=np.full_like(values, 1 / values.shape[1]), where=sums > 0)
    return np.log(np.maximum(values, FLOOR))
