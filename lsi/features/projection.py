"""The 2-D view of the features: UMAP (McInnes, Healy and Melville 2018), for looking only.

Of many samples UMAP is fitted on an even part, and the others are placed among their nearest fitted samples.
"""

import warnings
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int

MOST_FITTED = 50_000
_NEAREST = 3
_ROWS = 2_048


def project(features: Float[np.ndarray, "n d"], seed: int = 0, n_neighbours: int = 15) -> Float[np.ndarray, "n 2"]:
    """Return the UMAP positions of the samples, the same for the same seed.

    Beyond 50,000 samples UMAP is fitted on as many, drawn at random, and each other sample is placed at the mean of the
    positions of its three nearest fitted samples, weighted by the inverse of their squared distances.

    Args:
        features: (n, d), memory-mapped or not.
        seed: of the layout, and of the samples that are fitted.
        n_neighbours: how many neighbours a sample is held to; fewer where there are fewer samples.
    """
    n = len(features)
    if n <= MOST_FITTED:
        return _fitted(np.asarray(features), seed, n_neighbours)
    chosen = np.sort(np.random.default_rng(seed).permutation(n)[:MOST_FITTED])
    part = np.asarray(features[chosen])
    return _placed(features, chosen, part, _fitted(part, seed, n_neighbours))


def _fitted(features: np.ndarray, seed: int, n_neighbours: int) -> np.ndarray:
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


def _placed(
    features: Float[np.ndarray, "n d"],
    chosen: Int[np.ndarray, " s"],
    part: Float[np.ndarray, "s d"],
    positions: Float[np.ndarray, "s 2"],
) -> Float[np.ndarray, "n 2"]:
    """Return positions of all samples: of those that are fitted their own, of the others among the nearest of them."""
    fitted, where = torch.from_numpy(part).float(), torch.from_numpy(positions)
    norms = fitted.square().sum(dim=1)
    result = np.empty((len(features), 2), np.float32)
    for start in range(0, len(features), _ROWS):
        piece = torch.from_numpy(np.array(features[start : start + _ROWS], dtype=np.float32))
        partial, nearest = torch.addmm(norms, piece, fitted.T, alpha=-2).topk(_NEAREST, dim=1, largest=False)
        distance = (partial + piece.square().sum(dim=1, keepdim=True)).clamp_min(1e-12)
        weight = 1 / distance
        weight /= weight.sum(dim=1, keepdim=True)
        result[start : start + len(piece)] = (where[nearest] * weight[:, :, None]).sum(dim=1).numpy()
    result[chosen] = positions
    return result


def _start(features: np.ndarray) -> np.ndarray:
    """Return the first two principal components, scaled as UMAP scales its own start."""
    centred = features - features.mean(axis=0)
    _, vectors = np.linalg.eigh(centred.T @ centred)
    start = centred @ vectors[:, -2:] if features.shape[1] > 1 else np.repeat(centred, 2, axis=1)
    return (start / max(float(np.abs(start).max()), 1e-12) * 10).astype(np.float32)
