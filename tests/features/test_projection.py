import numpy as np
from sklearn.manifold import trustworthiness

from lsi.features import projection
from lsi.features.projection import project


def test_projection_keeps_clusters_apart_and_is_repeatable():
    rng = np.random.default_rng(0)
    x = (rng.normal(size=(120, 10)) + 20 * np.eye(3, 10)[np.arange(120) % 3]).astype(np.float32)
    a = project(x, seed=1)
    np.testing.assert_array_equal(a, project(x, seed=1))
    centres = np.stack([a[np.arange(120) % 3 == c].mean(axis=0) for c in range(3)])
    spread = max(np.linalg.norm(a[np.arange(120) % 3 == c] - centres[c], axis=1).mean() for c in range(3))
    assert np.linalg.norm(centres[0] - centres[1]) > 2 * spread
    assert project(x[:3]).shape == (3, 2)


def test_neighbours_are_the_nearest_samples_themselves_first():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(3_000, 5)).astype(np.float32)
    index, distance = projection._neighbours(x, 15)
    exact = np.linalg.norm(x[:50, None].astype(np.float64) - x, axis=2)
    np.testing.assert_array_equal(index[:50], np.argsort(exact, axis=1)[:, :15])
    np.testing.assert_allclose(distance[:50], np.sort(exact, axis=1)[:, :15], atol=2e-3)
    assert (index[:, 0] == np.arange(3_000)).all()
    assert (distance[:, 0] == 0).all()


def test_exact_neighbours_show_what_umaps_own_show(monkeypatch):
    rng = np.random.default_rng(0)
    centres = 8 * rng.normal(size=(6, 10))
    x = (centres[np.arange(600) % 6] + rng.normal(size=(600, 10))).astype(np.float32)
    found = [trustworthiness(x, projection.project(x), n_neighbors=10)]
    monkeypatch.setattr(projection, "EXACT_LIMIT", 0)
    found.append(trustworthiness(x, projection.project(x), n_neighbors=10))
    assert min(found) > 0.9
    assert abs(found[0] - found[1]) < 0.02
