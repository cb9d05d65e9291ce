"""The 2-D view of the features: UMAP (McInnes, Healy and Melville 2018), for looking only.

Of many samples UMAP is fitted on an even part, and the others are placed among their nearest fitted samples.
"""

import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from lsi.compiled import import_compiled

MOST_FITTED = 50_000
EXACT_LIMIT = 20_000  # samples whose neighbours are found by looking at all pairs; of more umap finds nearly all
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
    if len(features) < 5:
        return np.pad(features[:, :2], ((0, 0), (0, max(0, 2 - features.shape[1])))).astype(np.float32)
    umap = import_compiled("umap")
    count = min(n_neighbours, len(features) - 1)
    known = _neighbours(features, count) if len(features) <= EXACT_LIMIT else (None, None)
    start: Any = _start(features)
    reducer = umap.UMAP(n_neighbors=count, random_state=seed, n_jobs=1, init=start, precomputed_knn=(*known, None))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return np.asarray(reducer.fit_transform(features), dtype=np.float32)


def _neighbours(
    features: Float[np.ndarray, "n d"], count: int
) -> tuple[Int[np.ndarray, "n s"], Float[np.ndarray, "n s"]]:
    """Return the nearest samples of each, itself among them, and their Euclidean distances, nearest first."""
    index, distance = np.empty((len(features), count), np.int64), np.empty((len(features), count), np.float32)
    points = torch.from_numpy(features).float()
    for rows, nearest, squared in _nearest(features, points, count):
        index[rows], distance[rows] = nearest.numpy(), squared.sqrt().numpy()
    distance[index == np.arange(len(index))[:, None]] = 0
    return index, distance


def _nearest(
    features: Float[np.ndarray, "n d"], points: Float[Tensor, "s d"], count: int
) -> Iterator[tuple[slice, Int[Tensor, "b count"], Float[Tensor, "b count"]]]:
    """Give, for one part of the samples after the other, the nearest points and the squares of their distances."""
    norms = points.square().sum(dim=1)
    for start in range(0, len(features), _ROWS):
        rows = slice(start, min(start + _ROWS, len(features)))
        piece = torch.from_numpy(np.array(features[rows], dtype=np.float32))
        partial, nearest = torch.addmm(norms, piece, points.T, alpha=-2).topk(count, dim=1, largest=False)
        yield rows, nearest, (partial + piece.square().sum(dim=1, keepdim=True)).clamp_min(1e-12)


def _placed(
    features: Float[np.ndarray, "n d"],
    chosen: Int[np.ndarray, " s"],
    part: Float[np.ndarray, "s d"],
    positions: Float[np.ndarray, "s 2"],
) -> Float[np.ndarray, "n 2"]:
    """Return positions of all samples: of those that are fitted their own, of the others among the nearest of them."""
    where, result = torch.from_numpy(positions), np.empty((len(features), 2), np.float32)
    for rows, nearest, squared in _nearest(features, torch.from_numpy(part).float(), _NEAREST):
        weight = 1 / squared
        weight /= weight.sum(dim=1, keepdim=True)
        result[rows] = (where[nearest] * weight[:, :, None]).sum(dim=1).numpy()
    result[chosen] = positions
    return result


def _start(features: np.ndarray) -> np.ndarray:
    """Return the first two principal components, scaled as UMAP scales its own start."""
    centred = features - features.mean(axis=0)
    _, vectors = np.linalg.eigh(centred.T @ centred)
    start = centred @ vectors[:, -2:] if features.shape[1] > 1 else np.repeat(centred, 2, axis=1)
    return (start / max(float(np.abs(start).max()), 1e-12) * 10).astype(np.float32)
