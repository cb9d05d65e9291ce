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


@pytest.mark.parametrize(("d", "offset"), [(1, 0.0), (2, 0.0), (3, 0.0), (4, 0.0), (1, 1e3), (2, 1e3), (3, 1e3)])
def test_near_pairs_are_those_of_cleanlab_whatever_the_number_of_features(d, offset):
    """Up to three features cleanlab takes Euclidean distances: by cosines nearly all of these would be copies."""
    from cleanlab.datalab.internal.issue_manager.duplicate import NearDuplicateIssueManager
    from cleanlab.internal.neighbor.knn_graph import create_knn_graph_and_index

    x = np.random.default_rng(d).normal(size=(200, d))
    x[:10] = x[100:110] + 1e-4
    x += offset
    graph, _ = create_knn_graph_and_index(x, n_neighbors=10, correct_exact_duplicates=False)
    nearest = graph.data.reshape(len(x), -1)[:, 0]
    sets = NearDuplicateIssueManager._neighbors_within_radius(graph, 0.13, float(np.median(nearest)))
    found = neighbours(x)
    np.testing.assert_allclose(found.distance[:, 0], nearest, rtol=1e-5, atol=1e-6)
    groups = near_duplicates(found, x).group
    np.testing.assert_array_equal(groups >= 0, [len(others) > 0 for others in sets])
    for i, others in enumerate(sets):
        assert set(groups[others].tolist()) <= {groups[i]}


@pytest.mark.parametrize("d", [1, 2, 3])
@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_groups_of_few_features_do_not_depend_on_their_scale(d, scale):
    rng = np.random.default_rng(0)
    x = rng.uniform(1, 2, size=(300, d)).astype(np.float32)
    copies = np.vstack([x[:100], x[:100], x[:100], np.nextafter(x[:100], np.float32(9))]) * np.float32(scale)
    groups = near_duplicates(neighbours(copies), copies).group
    np.testing.assert_array_equal(groups[:100], groups[100:200])
    np.testing.assert_array_equal(groups[:100], groups[300:])
    assert len(set(groups.tolist())) > 95


def test_bursts_of_few_features_are_joined_across_full_lists_of_neighbours():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(400, 3))
    x[:40] = x[0] + 1e-3 * (np.arange(40)[:, None] >= 20) + 1e-6 * rng.normal(size=(40, 3))
    found = near_duplicates(neighbours(x), x)
    to_all = np.linalg.norm(x[:, None] - x, axis=2)
    _, component = connected_components(to_all <= found.threshold)
    assert len(set(found.group[:40].tolist())) == 1
    np.testing.assert_array_equal(found.group == -1, np.bincount(component)[component] == 1)
