"""Standardisation, a recorded step of its own: centre, one global scale, and principal components if wanted."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float


@dataclass(frozen=True)
class Standardisation:
    """x ↦ (x − mean) / scale @ components; the scale is the root mean variance of a feature."""

    mean: Float[np.ndarray, " d"]
    scale: float
    components: Float[np.ndarray, "d e"] | None
    explained: float

    def apply(self, features: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n e"]:
        """Return the standardised features in the dtype that they come in."""
        mean = self.mean.astype(features.dtype)
        pieces = []
        for start in range(0, len(features), 8192):
            piece = (features[start : start + 8192] - mean) / features.dtype.type(self.scale)
            if self.components is not None:
                turned = torch.from_numpy(piece) @ torch.from_numpy(self.components.astype(features.dtype))
                piece = turned.numpy()
            pieces.append(piece)
        return np.concatenate(pieces)


def fit_standardisation(features: Float[np.ndarray, "n d"], n_components: int) -> Standardisation:
    """Return the standardisation of these features, with principal components where d is above `n_components` > 0.

    Components are those of the covariance, in falling order, each with its largest entry positive.
    """
    n, d = features.shape
    mean = features.mean(axis=0, dtype=np.float64)
    covariance = torch.zeros(d, d, dtype=torch.float64)
    for start in range(0, n, 8192):
        piece = torch.from_numpy(np.asarray(features[start : start + 8192], dtype=np.float64) - mean)
        covariance += piece.T @ piece
    covariance /= n
    total = float(covariance.trace())
    scale = (total / d) ** 0.5 or 1.0
    if not 0 < n_components < d:
        return Standardisation(mean, scale, None, 1.0)
    values, vectors = torch.linalg.eigh(covariance)
    kept = min(n_components, n - 1)
    components = vectors[:, -kept:].flip(1)
    largest = components.abs().argmax(dim=0)
    components = components * components[largest, torch.arange(kept)].sign()
    explained = float(values[-kept:].sum()) / total if total > 0 else 1.0
    return Standardisation(mean, scale, components.numpy(), explained)
