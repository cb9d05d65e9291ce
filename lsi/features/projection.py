"""The 2-D view of the features: UMAP (McInnes, Healy and Melville 2018), for looking only."""

import warnings
from typing import Any

import numpy as np
from jaxtyping import Float


def project(features: Float[np.ndarray, "n d"], seed: int = 0, n_neighbours: int = 15) -> Float[np.ndarray, "n 2"]:
    """Return the UMAP positions of the samples, the same for the same seed.

    Args:
        features: (n, d).
        seed: of the layout.
        n_neighbours: how many neighbours a sample is held to; fewer where there are fewer samples.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns where TensorFlow is missing, which this does not use
        import umap
    if len(features) < 5:
        return np.pad(features[:, :2], ((0, 0), (0, max(0, 2 - features.shape[1])))).astype(np.float32)
    start: Any = _start(features)
    reducer = umap.UMAP(n_neighbors=min(n_neighbours, len(features) - 1), random_state=seed, n_jobs=1, init=start)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return np.asarray(reducer.fit_transform(features), dtype=np.float32)


def _start(features: np.ndarray) -> np.ndarray:
    """Return the first two principal components, scaled as UMAP scales its own start."""
    centred = features - features.mean(axis=0)
    _, vectors = np.linalg.eigh(centred.T @ centred)
    start = centred @ vectors[:, -2:] if features.shape[1] > 1 else np.repeat(centred, 2, axis=1)
    return (start / max(float(np.abs(start).max()), 1e-12) * 10).astype(np.float32)
