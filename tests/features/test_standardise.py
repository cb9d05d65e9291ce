import numpy as np
import pytest

from lsi.features import fit_standardisation


def test_standardisation_centres_scales_and_turns():
    x = np.random.default_rng(0).normal(size=(500, 6)) * [9, 5, 3, 1, 0.5, 0.1] + 4
    plain = fit_standardisation(x, 0).apply(x)
    np.testing.assert_allclose(plain.mean(axis=0), 0, atol=1e-12)
    assert plain.var(axis=0).mean() == pytest.approx(1)
    how = fit_standardisation(x, 3)
    turned = how.apply(x)
    assert turned.shape == (500, 3)
    assert how.explained == pytest.approx(turned.var(axis=0).sum() / plain.var(axis=0).sum())
    np.testing.assert_allclose(np.corrcoef(turned.T) - np.eye(3), 0, atol=1e-10)


def test_standardisation_of_constant_features_is_finite():
    assert np.isfinite(fit_standardisation(np.ones((5, 3)), 2).apply(np.ones((5, 3)))).all()
