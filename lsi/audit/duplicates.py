"""Near-duplicate groups: samples that are closer to each other than neighbours usually are.

The rule and its default are cleanlab's: a pair is a near duplicate where its cosine distance is below `threshold` times
the median distance to the nearest neighbour. Groups are the connected components of such pairs.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

THRESHOLD = 0.13
EXACT_LIMIT = 20_000
# cosine distances of exact copies come out up to 5e-7 in float32, whatever their length or d (measured to d = 4,096)
_ROUNDING = 1e-6


@dataclass(frozen=True)
class Neighbours:
    """`index` (n, s) and cosine `distance` (n, s) of the nearest other samples, nearest first."""

    index: Int[np.ndarray, "n s"]
    distance: Float[np.ndarray, "n s"]


@dataclass(frozen=True)
class Duplicates:
    """`group` (n,) numbers from 0, −1 for none; `distance` (n,) to the nearest other sample; `threshold` used."""

    group: Int[np.ndarray, " n"]
    distance: Float[np.ndarray, " n"]
    threshold: float


def neighbours(features: Float[np.ndarray, "n d"], count: int = 10, seed: int = 0) -> Neighbours:
    """Return the nearest neighbours by cosine distance: exact up to 20,000 samples, by pynndescent beyond.

    Args:
        features: (n, d).
        count: how many others of each sample; fewer where there are fewer samples.
        seed: of the approximate search.
    """
    count = min(count, len(features) - 1)
    unit = features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12)
    unit = unit.astype(np.float32)
    if len(unit) <= EXACT_LIMIT:
        return _exact(unit, count)
    from pynndescent import NNDescent

    search = NNDescent(unit, metric="cosine", n_neighbors=count + 1, random_state=seed, n_jobs=-1)
    graph = search.neighbor_graph
    assert graph is not None
    index, distance = graph
    # a sample is its own first neighbour, except where exact duplicates come before it
    is_itself = index == np.arange(len(unit))[:, None]
    is_itself[~is_itself.any(axis=1), -1] = True
    shape = (len(unit), count)
    return Neighbours(index[~is_itself].reshape(shape).astype(np.int64), distance[~is_itself].reshape(shape))


def near_duplicates(neighbours_of: Neighbours, threshold: float = THRESHOLD) -> Duplicates:
    """Return the groups of near duplicates."""
    n = len(neighbours_of.index)
    nearest = neighbours_of.distance[:, 0]
    limit = max(threshold * float(np.median(nearest)), _ROUNDING)
    row, column = np.nonzero(neighbours_of.distance <= limit)
    links = coo_matrix((np.ones(len(row), bool), (row, neighbours_of.index[row, column])), shape=(n, n))
    _, component = connected_components(links, directed=False)
    sizes = np.bincount(component, minlength=n)
    grouped = sizes[component] > 1
    group = np.full(n, -1, dtype=np.int64)
    first: dict[int, int] = {}
    for i in np.flatnonzero(grouped):
        group[i] = first.setdefault(int(component[i]), len(first))
    return Duplicates(group, nearest.astype(np.float64), limit)


def no_duplicates(neighbours_of: Neighbours) -> Duplicates:
    """Return that nobody is a near duplicate: for features that say nothing of what a sample looks like."""
    nearest = neighbours_of.distance[:, 0].astype(np.float64)
    return Duplicates(np.full(len(nearest), -1, dtype=np.int64), nearest, 0.0)


def _exact(unit: np.ndarray, count: int) -> Neighbours:
    points = torch.from_numpy(unit)
    index, distance = [], []
    for start in range(0, len(points), 1024):
        similarity = points[start : start + 1024] @ points.T
        rows = torch.arange(len(similarity))
        similarity[rows, start + rows] = -torch.inf
        value, nearest = similarity.topk(count, dim=1)
        index.append(nearest.numpy())
        distance.append((1 - value).clamp_min(0).numpy())
    return Neighbours(np.concatenate(index), np.concatenate(distance))
