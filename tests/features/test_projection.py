import numpy as np

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
