"""Near-duplicate groups: samples that are closer to each other than neighbours usually are.

The rule and its default are cleanlab's: a pair is a near duplicate where its distance is below `threshold` times the
median distance to the nearest neighbour. The distance is the cosine distance, and the Euclidean one for up to three
features, whose directions tell too little apart. Groups are the connected components of such pairs.
"""

import warnings
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from lsi.compiled import import_compiled

THRESHOLD = 0.13
EUCLIDEAN = 3  # features; of more, distances are those of cosines
EXACT_LIMIT = 20_000
# cosine distances of exact copies come out up to 5e-7 in float32, whatever their length or d (measured to d = 4,096)
_ROUNDING = 1e-6
_UNITS_IN_THE_LAST_PLACE = 4  # by which copies of usual length may differ in Euclidean distance
_ROWS = 512  # of distances to all samples that are held at once, of the crowded ones
_MOST_CROWDED = 100_000  # samples that are compared with one another; of more these many, evenly spread


@dataclass(frozen=True)
class Neighbours:
    """`index` (n, s) and `distance` (n, s) of the nearest other samples, nearest first."""

    index: Int[np.ndarray, "n s"]
    distance: Float[np.ndarray, "n s"]


@dataclass(frozen=True)
class Duplicates:
    """`group` (n,) numbers from 0, −1 for none; `distance` (n,) to the nearest other sample; `threshold` used."""

    group: Int[np.ndarray, " n"]
    distance: Float[np.ndarray, " n"]
    threshold: float


def neighbours(features: Float[np.ndarray, "n d"], count: int = 10, seed: int = 0) -> Neighbours:
    """Return the nearest neighbours: exact for d ≤ 3 and up to 20,000 samples, by pynndescent beyond.

    Args:
        features: (n, d); distances are Euclidean for d ≤ 3, else those of cosines.
        count: how many others of each sample; fewer where there are fewer samples.
        seed: of the approximate search.
    """
    count = min(count, len(features) - 1)
    if _is_euclidean(features):
        from scipy.spatial import KDTree  # a third of a second to import

        distance, index = (np.reshape(part, (len(features), count + 1))
                           for part in KDTree(features).query(features, count + 1, workers=-1))  # fmt: skip
        return _without_itself(index, distance.astype(np.float32))
    unit = _unit(features)
    if len(unit) <= EXACT_LIMIT:
        return _exact(unit, count)
    pynndescent = import_compiled("pynndescent")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*Cannot cache compiled function")  # numba keeps the others
        search = pynndescent.NNDescent(unit, metric="cosine", n_neighbors=count + 1, random_state=seed, n_jobs=-1)
    graph = search.neighbor_graph
    assert graph is not None
    index, distance = graph
    _fill(index, distance, unit)
    return _without_itself(index, distance)


def _is_euclidean(features: np.ndarray) -> bool:
    return features.shape[1] <= EUCLIDEAN


def _without_itself(index: np.ndarray, distance: np.ndarray) -> Neighbours:
    """Return the others of what was found: each sample comes first, except where exact copies come before it."""
    is_itself = index == np.arange(len(index))[:, None]
    is_itself[~is_itself.any(axis=1), -1] = True
    shape = (len(index), index.shape[1] - 1)
    return Neighbours(index[~is_itself].reshape(shape).astype(np.int64), distance[~is_itself].reshape(shape))


def _fill(index: np.ndarray, distance: np.ndarray, unit: np.ndarray) -> None:
    """Put the nearest of all samples into the rows where the approximate search found too few."""
    for row in np.flatnonzero((index < 0).any(axis=1)):
        to_all = 1 - unit @ unit[row]
        index[row] = np.argsort(to_all, kind="stable")[: index.shape[1]]
        distance[row] = np.maximum(to_all[index[row]], 0)


def near_duplicates(
    neighbours_of: Neighbours, features: Float[np.ndarray, "n d"], threshold: float = THRESHOLD
) -> Duplicates:
    """Return the groups of near duplicates.

    A pair that is not among the nearest neighbours can only be one of samples whose known neighbours are all near
    duplicates: among these groups are joined by looking at all pairs.

    Args:
        neighbours_of: the nearest others of each sample.
        features: what they were found by, (n, d).
        threshold: times the median distance to the nearest neighbour.
    """
    n = len(neighbours_of.index)
    nearest = neighbours_of.distance[:, 0]
    limit = max(threshold * float(np.median(nearest)), _rounding(features))
    row, column = np.nonzero(neighbours_of.distance <= limit)
    component = _components(n, row, neighbours_of.index[row, column])
    crowded = np.flatnonzero(neighbours_of.distance[:, -1] <= limit)
    if len(crowded) and neighbours_of.index.shape[1] < n - 1:
        crowded = crowded[:: -(-len(crowded) // _MOST_CROWDED)]
        first, second = _nearest_of_other_groups(features[crowded], component[crowded], limit)
        component = _components(n, np.append(row, crowded[first]),
                                np.append(neighbours_of.index[row, column], crowded[second]))  # fmt: skip
    sizes = np.bincount(component, minlength=n)
    grouped = sizes[component] > 1
    group = np.full(n, -1, dtype=np.int64)
    numbers: dict[int, int] = {}
    for i in np.flatnonzero(grouped):
        group[i] = numbers.setdefault(int(component[i]), len(numbers))
    return Duplicates(group, nearest.astype(np.float64), limit)


def _rounding(features: np.ndarray) -> float:
    """Return the distance at which copies may come out, by the rounding of numbers."""
    if not _is_euclidean(features):
        return _ROUNDING
    length = float(np.sqrt(np.mean(features.astype(np.float64) ** 2)))
    return _UNITS_IN_THE_LAST_PLACE * float(np.finfo(features.dtype).eps) * length


def _components(n: int, first: Int[np.ndarray, " e"], second: Int[np.ndarray, " e"]) -> Int[np.ndarray, " n"]:
    """Return the number of the connected component of each sample, given the two ends of each link."""
    links = coo_matrix((np.ones(len(first), bool), (first, second)), shape=(n, n))
    return connected_components(links, directed=False)[1]


def _nearest_of_other_groups(
    features: Float[np.ndarray, "s d"], component: Int[np.ndarray, " s"], limit: float
) -> tuple[Int[np.ndarray, " e"], Int[np.ndarray, " e"]]:
    """Return the two ends of links that join all groups which a pair closer than `limit` joins.

    As in Borůvka's algorithm each sample links to the nearest one of another group, until no group has any.
    """
    is_euclidean, links = _is_euclidean(features), (np.zeros(0, np.int64), np.zeros(0, np.int64))
    points = torch.from_numpy(features.astype(np.float64) if is_euclidean else _unit(features))
    while len(np.unique(component)) > 1:
        groups, found = torch.from_numpy(component), []
        for start in range(0, len(points), _ROWS):
            block = points[start : start + _ROWS]
            distance = _euclidean(block, points) if is_euclidean else 1 - block @ points.T
            distance[groups[start : start + _ROWS, None] == groups] = torch.inf
            value, other = distance.min(dim=1)
            near = torch.nonzero(value <= limit)[:, 0]
            found.append(torch.stack([near + start, other[near]]).numpy())
        first, second = np.concatenate(found, axis=1)
        if not len(first):
            break
        links = np.append(links[0], first), np.append(links[1], second)
        _, number = np.unique(component, return_inverse=True)
        component = _components(int(number.max()) + 1, number[first], number[second])[number]
    return links


def _euclidean(block: torch.Tensor, points: torch.Tensor) -> torch.Tensor:
    return torch.cdist(block, points, compute_mode="donot_use_mm_for_euclid_dist")  # products would cancel


def no_duplicates(neighbours_of: Neighbours) -> Duplicates:
    """Return that nobody is a near duplicate: for features that say nothing of what a sample looks like."""
    nearest = neighbours_of.distance[:, 0].astype(np.float64)
    return Duplicates(np.full(len(nearest), -1, dtype=np.int64), nearest, 0.0)


def _unit(features: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n d"]:
    unit = features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12)
    return unit.astype(np.float32)


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
