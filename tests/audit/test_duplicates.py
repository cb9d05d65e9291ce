import numpy as np
import pytest
from scipy.sparse.csgraph import connected_components

from lsi.audit.duplicates import _fill, near_duplicates, neighbours


@pytest.mark.parametrize("limit", [20_000, 0])
def test_near_duplicates_are_found_by_either_search(monkeypatch, limit):
    monkeypatch.setattr("lsi.audit.duplicates.EXACT_LIMIT", limit)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 20)).astype(np.float32)
    x[10], x[20], x[30] = x[0], x[0] * 1.001, x[5] + 1e-3
    groups = near_duplicates(neighbours(x), x)
    assert groups.group[0] == groups.group[10] == groups.group[20] >= 0
    assert groups.group[5] == groups.group[30] >= 0
    assert groups.group[0] != groups.group[5]
    assert (groups.group >= 0).sum() == 5


def test_neighbours_are_those_of_brute_force():
    x = np.random.default_rng(0).normal(size=(100, 8))
    nearest = neighbours(x, 3)
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    distance = 1 - unit @ unit.T + 9 * np.eye(100)
    np.testing.assert_array_equal(nearest.index, np.argsort(distance, axis=1)[:, :3])
    np.testing.assert_allclose(nearest.distance, np.sort(distance, axis=1)[:, :3], atol=1e-5)


@pytest.mark.parametrize("d", [16, 64, 2_048, 4_096])
def test_copies_are_found_whatever_their_length_and_number_of_features(d):
    """Half of the samples have copies, so that the median distance is rounding and the threshold decides nothing."""
    rng = np.random.default_rng(0)
    x = np.abs(rng.normal(size=(150, d))).astype(np.float32)
    copies = np.vstack([x, x * np.float32(1.37), x[:50] * 3])
    groups = near_duplicates(neighbours(copies), copies).group
    np.testing.assert_array_equal(groups[:150], groups[150:300])
    np.testing.assert_array_equal(groups[:50], groups[300:])
    assert len(set(groups.tolist())) == 150
    angle = np.sqrt(2e-4)  # a cosine distance of 1e-4 is no copy by rounding alone
    apart = x[:1] * np.cos(angle) + np.roll(x[:1], 1) * np.sin(angle)
    with_it = np.vstack([x, x, apart])
    assert near_duplicates(neighbours(with_it), with_it).group[-1] == -1


@pytest.mark.parametrize("limit", [20_000, 0])
@pytest.mark.parametrize("bursts", [2, 5])
def test_groups_are_the_connected_components_of_all_near_pairs(monkeypatch, bursts, limit):
    """Pictures of one thing in several bursts, each so long that it fills the lists of nearest neighbours."""
    monkeypatch.setattr("lsi.audit.duplicates.EXACT_LIMIT", limit)
    rng = np.random.default_rng(0)
    x, thing = rng.normal(size=(400, 64)), rng.normal(size=64)
    for burst in range(bursts):
        start = 70 * burst
        x[start : start + 20] = thing + burst * 0.03 * rng.normal(size=64) + 1e-3 * rng.normal(size=(20, 64))
    found = near_duplicates(neighbours(x), x)
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    _, component = connected_components(1 - unit @ unit.T <= found.threshold)
    alone = np.bincount(component)[component] == 1
    np.testing.assert_array_equal(found.group == -1, alone)
    np.testing.assert_array_equal(
        found.group[:, None] == found.group, (component[:, None] == component) | np.outer(alone, alone)
    )
    assert (found.group >= 0).sum() == 20 * bursts
    assert found.group.max() == 0


def test_a_row_that_the_search_left_short_is_filled_with_the_nearest_of_all():
    unit = np.eye(6, 3, dtype=np.float32)
    unit[3:] = [[0.8, 0.6, 0], [0, 0.8, 0.6], [0.6, 0, 0.8]]
    index, distance = np.array([[0, 3, 5], [1, -1, -1]]), np.array([[0.0, 0.2, 0.4], [0.0, 1.0, 1.0]])
    _fill(index, distance, unit)
    np.testing.assert_array_equal(index, [[0, 3, 5], [1, 4, 3]])
    np.testing.assert_allclose(distance, [[0, 0.2, 0.4], [0, 0.2, 0.4]], atol=1e-6)
